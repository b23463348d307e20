"""The engineer's list of destinations, and the button that asks one whether it answers (C-ECHO, PS3.4 A.4)."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from msgspec import Struct

from gateway.panel import standing, words
from gateway.panel.box import EchoAnswer, box
from gateway.panel.language import gettext
from gateway.panel.words import Answer

views = Blueprint("destinations", __name__, url_prefix="/setup/destinations")


class Row(Struct, frozen=True, kw_only=True):
    """One destination."""

    name: str
    where: str
    when: str
    here: int
    moving: int
    safe: int
    bad: int
    answer: Answer | None = None


@views.get("")
def screen() -> str:
    """Show every destination."""
    return _page()


@views.get("/<name>/echo")
def echoed(**_: str) -> str:
    """Show every destination: a reload asks nobody again."""
    return _page()


@views.post("/<name>/echo")
def echo(name: str) -> str:
    """Ask one destination, and show what it said beside it."""
    if name not in box().site.destination:
        abort(404)
    return _page(name, _answer(name, box().echo(name)))


def _page(asked: str = "", answer: Answer | None = None) -> str:
    rows = [_row(name, answer if name == asked else None) for name in box().site.destination]
    return render_template("destinations.html", rows=rows)


def _row(name: str, answer: Answer | None) -> Row:
    site, deliveries = box().site, box().spool.deliveries
    known = site.destination[name]
    counted = standing.tally_counts(
        deliveries.counts().get(name, {}), is_commitment_required=known.is_commitment_required
    )
    success = deliveries.last_success(name)
    return Row(
        name=name,
        where=f"{known.called_ae} · {known.host}:{known.port}",
        when=words.moment(success, box().clock.now()) if success else gettext("nothing sent yet"),
        here=counted.here,
        moving=counted.moving,
        safe=counted.safe,
        bad=counted.bad,
        answer=answer,
    )


def _answer(name: str, said: EchoAnswer) -> Answer:
    if said.is_ok:
        return Answer(tone="safe", sentence=gettext("It answers, in %(ms)d ms.", ms=round(said.took_ms)))
    found = words.trouble(said.error_code, said.facts.get("problem", ""), **{"peer": name, **said.facts})
    return Answer(tone="bad", sentence=found.sentence, hint=found.hint, who=found.who)
