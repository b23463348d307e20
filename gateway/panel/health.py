"""Signals, traffic, disk, clock and programs to words: is this box doing its work, and what is wrong if not.

Law 7: a destination is green only when an object went all the way to it lately, never because a connection is up.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from msgspec import Struct
from werkzeug.wrappers import Response

from gateway.config import Site
from gateway.model import DeliveryState, Shown, Signal
from gateway.panel import guard, instruments, looks, words
from gateway.panel.box import box
from gateway.panel.language import gettext, ngettext
from gateway.panel.way import trouble_of
from gateway.spool import lock
from gateway.spool.history import Trouble

views = Blueprint("health", __name__)
LATELY: Final = timedelta(hours=24)
_LOOKED_AT = 500
_WORST_FIRST = ("bad", "care", "off", "safe")


class Check(Struct, frozen=True, kw_only=True):
    """One thing, and how it is."""

    name: str
    tone: str
    verdict: str
    sentence: str = ""
    hint: str = ""
    shape: str = ""
    trouble_id: int = 0
    """Of what stays on the screen until an engineer says that it is dealt with."""


class Health(Struct, frozen=True, kw_only=True):
    """Everything that is looked at."""

    sources: list[Check]
    instruments: list[Check]
    destinations: list[Check]
    box: list[Check]
    services: list[Check]


@views.get("/health")
def screen() -> str:
    """Show how this box is."""
    health = now()
    return render_template("health.html", health=health, overall=_overall(health))


@views.post("/health/cleared")
def cleared() -> Response:
    """Take a trouble off the screen, because an engineer has dealt with it."""
    box().spool.troubles.clear(request.form.get("trouble", 0, type=int), guard.operator())
    return redirect(url_for("health.screen"), 303)


def now() -> Health:
    """Look at everything."""
    return Health(
        sources=[_source(name) for name in box().site.grabber],
        instruments=[*(_instrument(name) for name in instruments.heard_ports()), *_readings()],
        destinations=[_destination(name) for name in box().site.destination],
        box=[_disk(), _clock(), *_worklist(), *_troubles()],
        services=[_service(name) for name in services(box().site)],
    )


def services(site: Site) -> list[str]:
    """Return the programs that this site's configuration needs."""
    listen = ["listen"] if site.listen.is_enabled else []
    return [
        *(f"acquire@{name}" for name in site.grabber),
        *(f"serial@{name}" for name, line in site.serial.items() if line.is_enabled),
        *listen,
        "forward",
        "keeper",
        "panel",
    ]


def is_running(data: Path, service: str) -> bool:
    """Say whether a living process holds the service's lock; looks at the kernel's table, and takes no lock itself.

    To try the lock, as `lock.is_held` does, could keep out a service that starts at this very instant; it is the way
    only where the unit's sandbox hides /proc/locks (proc(5)).
    """
    path = data / "locks" / service
    try:
        found = path.stat()
        table = Path("/proc/locks").read_text(encoding="ascii")
    except FileNotFoundError:
        return path.exists() and lock.is_held(path)
    device = f"{found.st_dev >> 8 & 0xFFF:02x}:{found.st_dev & 0xFF | found.st_dev >> 12 & 0xFFF00:02x}"
    return any(f" {device}:{found.st_ino} " in line for line in table.splitlines() if " FLOCK " in line)


def _source(name: str) -> Check:
    look = looks.station(name)
    told = words.together(*_told(look))
    if look.is_live and look.shows is not Shown.PICTURE:
        hint = words.together(look.hint, told)
        return Check(name=name, tone="care", verdict=gettext("Look at it"), sentence=look.sentence, hint=hint)
    if look.is_live:
        sentence = look.picture or look.sentence
        return Check(name=name, tone="safe", verdict=gettext("Picture"), sentence=sentence, hint=told)
    verdict = gettext("No picture")
    tone = "bad" if look.signal is None or look.signal is Signal.ABSENT else "care"
    hint = words.together(look.hint, told)
    return Check(name=name, tone=tone, verdict=verdict, sentence=look.sentence, hint=hint, shape="signal")


def _instrument(name: str) -> Check:
    heard = instruments.port(name)
    hint = words.together(heard.hint, heard.who) or heard.title
    return Check(name=name, tone=heard.tone, verdict=heard.word, sentence=heard.sentence, hint=hint, shape=heard.shape)


def _readings() -> list[Check]:
    count = box().spool.inbox.count()
    if not count:
        return []
    sentence = ngettext("%(num)d reading waits", "%(num)d readings wait", count)
    hint = gettext("They came without an exam. Say under Readings whose they are.")
    return [Check(name=gettext("Readings"), tone="care", verdict=gettext("Waits"), sentence=sentence, hint=hint)]


def _told(look: looks.Look) -> Iterator[str]:
    """Say what has happened to the picture since its program started."""
    if look.losses:
        yield ngettext("The picture was lost %(num)d time.", "The picture was lost %(num)d times.", look.losses)
    if look.missed:
        yield ngettext(
            "%(num)d picture was missed or damaged.", "%(num)d pictures were missed or damaged.", look.missed
        )


def _destination(name: str) -> Check:
    deliveries = box().spool.deliveries
    counts = deliveries.counts().get(name, {})
    failed = counts.get(DeliveryState.FAILED, 0)
    success = deliveries.last_success(name)
    when = (
        gettext("The last object arrived: %(moment)s.", moment=words.moment(success, box().clock.now()))
        if success
        else gettext("No object has gone there yet.")
    )
    if failed:
        sentence = ngettext("%(num)d object was not delivered.", "%(num)d objects were not delivered.", failed)
        hint = gettext("On the way says what to do.")
        return Check(
            name=name, tone="bad", verdict=gettext("Look at it"), sentence=words.together(sentence, when), hint=hint
        )
    last_error = next(
        (
            delivery
            for delivery in deliveries.recent(_LOOKED_AT)
            if delivery.destination == name and delivery.state is DeliveryState.QUEUED and delivery.error_code
        ),
        None,
    )
    if last_error:
        trouble = trouble_of(last_error)
        return Check(
            name=name,
            tone="care",
            verdict=gettext("Waits"),
            sentence=words.together(trouble.sentence, when),
            hint=trouble.hint,
        )
    if success and box().clock.now() - success < LATELY:
        return Check(name=name, tone="safe", verdict=gettext("Works"), sentence=when)
    return Check(name=name, tone="off", verdict=gettext("Not proven lately"), sentence=when)


def _disk() -> Check:
    room = box().spool.quota.room()
    sentence = gettext(
        "%(free)s of %(total)s are free.",
        free=words.size_word(room.free_bytes),
        total=words.size_word(room.total_bytes),
    )
    name = gettext("Disk")
    if room.is_low:
        hint = gettext("New work is refused until the queue empties; what is stored stays safe. Call the engineer.")
        return Check(name=name, tone="bad", verdict=gettext("Full"), sentence=sentence, hint=hint)
    return Check(name=name, tone="safe", verdict=gettext("Room"), sentence=sentence)


def _clock() -> Check:
    doubt = box().clock.doubt()
    name = gettext("Date and time")
    if doubt:
        hint = gettext("Exams can start. Their images wait until the time is certain, or somebody confirms it.")
        return Check(name=name, tone="care", verdict=gettext("Not certain"), hint=hint, shape="clock")
    return Check(name=name, tone="safe", verdict=gettext("Certain"), sentence=words.time_of(box().clock.now()))


def _worklist() -> list[Check]:
    if box().site.worklist is None:
        return []
    name, stored = gettext("Worklist"), box().spool.worklist
    fetched, failure = stored.fetched(), stored.last_failure()
    since = (
        gettext("Last fetched: %(moment)s.", moment=words.moment(fetched, box().clock.now()))
        if fetched
        else gettext("It was never fetched.")
    )
    if failure is None and fetched is not None:
        return [Check(name=name, tone="safe", verdict=gettext("Works"), sentence=since)]
    hint = gettext("Exams can start all the same.")
    return [Check(name=name, tone="care", verdict=gettext("The RIS does not answer"), sentence=since, hint=hint)]


def _troubles() -> list[Check]:
    return [_trouble(each) for each in box().spool.troubles.all()]


def _trouble(found: Trouble) -> Check:
    said = words.trouble(found.error_code, found.text)
    return Check(
        name=gettext("Storage"),
        tone="bad",
        verdict=gettext("Look at it"),
        sentence=said.sentence,
        hint=said.hint,
        trouble_id=found.trouble_id,
    )


def _service(name: str) -> Check:
    if is_running(box().site.data, name):
        return Check(name=name, tone="safe", verdict=gettext("Runs"))
    hint = gettext("It is started again by itself. If it stays so for a minute, call the engineer of this box.")
    return Check(name=name, tone="bad", verdict=gettext("Does not run"), hint=hint)


def _overall(health: Health) -> Check:
    tones = {
        check.tone
        for part in (health.sources, health.instruments, health.destinations, health.box, health.services)
        for check in part
    }
    worst = next((tone for tone in _WORST_FIRST if tone in tones), "safe")
    match worst:
        case "bad":
            sentence, hint = gettext("Something needs a person."), gettext("It is marked red below.")
        case "care":
            sentence = gettext("Exams can go on; something waits.")
            hint = gettext("It is marked yellow below.")
        case "off":
            sentence = gettext("Nothing is wrong.")
            hint = gettext("Not every destination has received something lately, so not every one is proven to work.")
        case _:
            sentence, hint = gettext("All is well."), ""
    return Check(name="", tone=worst, verdict="", sentence=sentence, hint=hint)
