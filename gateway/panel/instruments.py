"""What a serial service says of its port to a page: is the line open, the last values with their age, curves as they come.

A value is called live only while its service answers in this boot: one of yesterday must never pass for one of now. To look
is to ask for curves; nothing else is asked of the service.
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, render_template
from msgspec import Struct

from gateway import profile
from gateway.config import SerialPort
from gateway.errors import DeviceGone, GatewayError
from gateway.model import InstrumentStatus
from gateway.panel import measured, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.spool import live

STALE_NS: Final = 10_000_000_000
"""A serial service says how its port is each few seconds, and sooner while somebody looks."""
views = Blueprint("instruments", __name__, url_prefix="/readings/instruments")


class Heard(Struct, frozen=True, kw_only=True):
    """One port and its instrument."""

    port: str
    title: str
    tone: str
    word: str
    shape: str = ""
    sentence: str = ""
    """What is the matter, or when something came last."""
    hint: str = ""
    who: str = ""
    parts: list[measured.Part] = []
    curves: list[measured.Curve] = []
    status: InstrumentStatus | None = None
    """While its service answers."""


@views.get("")
def screen() -> str:
    """Show every instrument."""
    return render_template("instruments.html", ports=[watched(name) for name in heard_ports()])


def heard_ports() -> list[str]:
    """Return the ports that are listened to."""
    return [name for name, line in box().site.serial.items() if line.is_enabled]


def watched(name: str) -> Heard:
    """Say how one port is, and ask for its curves: somebody looks at them."""
    live.want(box().site.run, name, live.INSTRUMENT)
    return port(name)


def port(name: str) -> Heard:
    """Say how one port is."""
    run, clock = box().site.run, box().clock
    title = title_of(box().site.serial[name])
    status = live.read_instrument(run, name)
    now_ns = clock.monotonic_ns()
    if status is None or status.boot_id != clock.boot_id() or now_ns - status.updated_ns > STALE_NS:
        return Heard(
            port=name,
            title=title,
            tone="bad",
            word=gettext("No answer"),
            sentence=gettext("The program of this port does not answer."),
            hint=gettext("It is started again by itself. If it stays so for a minute, call the engineer of this box."),
        )
    shown = measured.parts(status.values, now_ns)
    drawn = measured.curves(status.traces)
    if not status.is_open:
        trouble = _trouble(status.problem)
        return Heard(
            port=name,
            title=title,
            tone="bad",
            word=gettext("Not open"),
            shape="signal",
            sentence=trouble.sentence or gettext("The line is not open."),
            hint=trouble.hint,
            who=trouble.who,
            parts=shown,
            status=status,
        )
    heard = (
        gettext("Last heard %(age)s.", age=measured.age(now_ns - status.heard_ns))
        if status.heard_ns
        else gettext("Nothing has come yet. Press Print or Send on the instrument.")
    )
    problem = words.said(status.problem) if status.problem else None
    return Heard(
        port=name,
        title=title,
        tone="care" if problem else "safe",
        word=gettext("Look at it") if problem else gettext("Open"),
        sentence=problem.sentence if problem else heard,
        hint=problem.hint if problem else "",
        who=problem.who if problem else "",
        parts=shown,
        curves=drawn,
        status=status,
    )


def title_of(line: SerialPort) -> str:
    """Return what a person calls the instrument on a line."""
    try:
        return profile.instrument(line.instrument, box().site.own_profiles).title
    except GatewayError:
        return gettext("%(name)s (cannot be read)", name=line.instrument)


def _trouble(problem: str) -> words.Trouble:
    """Say why a line is not open; of one that was unplugged, what to plug in."""
    said = words.said(problem)
    if said.code == DeviceGone.code:
        hint = gettext("Plug the adapter of the line in again, in the same socket. What came so far is kept.")
        return words.Trouble(sentence=said.sentence, hint=hint, who=said.who, code=said.code)
    return said
