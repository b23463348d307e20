"""Readings that came without an exam to a person who says whose they are, or that they are nobody's.

Nothing is guessed: no exam is chosen beforehand, whatever a reading says about itself, and before it is given away both
sides are shown once more. What was decided goes to the service of the port as a row; it makes the objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from msgspec import Struct
from werkzeug.wrappers import Response

from gateway.errors import NoSuchRow, WrongState
from gateway.model import InboxEntry, InboxState, PerformedStep, StepStatus
from gateway.panel import guard, health, measured, words
from gateway.panel.box import box
from gateway.panel.language import gettext, lazy_gettext, ngettext

views = Blueprint("inbox", __name__, url_prefix="/readings")
_EXAMS: Final = 25
_SETTLED: Final = 8
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "A test of the instrument": lazy_gettext("A test of the instrument"),
        "Measured again": lazy_gettext("It was measured again"),
        "Nobody knows whose it is": lazy_gettext("Nobody knows whose it is"),
        "Another reason": lazy_gettext("Another reason"),
    }
)
"""Why a reading is discarded; the English one is what is recorded."""


class Row(Struct, frozen=True, kw_only=True):
    """One set of readings, with what it says about itself."""

    entry: InboxEntry
    title: str
    """The instrument, by its profile and by its own name."""
    brief: measured.Brief
    problem: words.Trouble | None
    exam: PerformedStep | None
    """Whose it was said to be."""
    is_waiting: bool


class Settled(Struct, frozen=True, kw_only=True):
    """What became of one."""

    row: Row
    tone: str
    word: str
    shape: str


class Notice(Struct, frozen=True):
    """That readings wait, for a screen that shows something else."""

    count: int
    sentence: str


@views.get("")
def screen() -> str:
    """Show what waits, and what became of the last ones."""
    entries = box().spool.inbox.waiting()
    return render_template(
        "inbox.html",
        rows=[_row(entry) for entry in entries if entry.state is InboxState.WAITING],
        settled=[
            *(_settled(entry) for entry in reversed(entries) if entry.state is InboxState.ASSIGNED),
            *(_settled(entry) for entry in box().spool.inbox.recent(_SETTLED)),
        ],
    )


@views.get("/<int:entry_id>")
def one(entry_id: int) -> str | Response:
    """Show all that a set says, and the exams that it may be given to."""
    entry = box().spool.inbox.get(entry_id)
    if entry.state not in {InboxState.WAITING, InboxState.ASSIGNED}:
        return redirect(url_for("inbox.screen"), 303)
    return render_template("give.html", row=_row(entry), said=_said(entry), exams=_exams(entry))


@views.get("/<int:entry_id>/give/<uuid:exam_id>")
def ask(entry_id: int, exam_id: UUID) -> str | Response:
    """Show both sides before one is given to the other."""
    entry, step = box().spool.inbox.get(entry_id), box().spool.exams.get(exam_id)
    if entry.state not in {InboxState.WAITING, InboxState.ASSIGNED}:
        return redirect(url_for("inbox.screen"), 303)
    return render_template("give_ask.html", row=_row(entry), said=_said(entry), exam=step)


@views.post("/<int:entry_id>/give/<uuid:exam_id>")
def give(entry_id: int, exam_id: UUID) -> Response:
    """Give a set to an exam, because a person says that it is of this patient."""
    step = box().spool.exams.get(exam_id)
    try:
        entry = box().spool.inbox.assign(entry_id, exam_id, guard.operator())
    except WrongState:
        return _too_late()
    box().ring(_keeps(entry.port))
    flash(gettext("Given to %(name)s.", name=words.patient_name(step.patient)), "safe")
    return redirect(url_for("inbox.screen"), 303)


@views.get("/<int:entry_id>/discard")
def ask_discard(entry_id: int) -> str | Response:
    """Ask once, for nothing brings it back to this list."""
    entry = box().spool.inbox.get(entry_id)
    if entry.state not in {InboxState.WAITING, InboxState.ASSIGNED}:
        return redirect(url_for("inbox.screen"), 303)
    return render_template("inbox_discard.html", row=_row(entry), said=_said(entry), reasons=REASONS)


@views.post("/<int:entry_id>/discard")
def discard(entry_id: int) -> Response:
    """Say that a set is nobody's, and why if the person wants to."""
    reason = request.form.get("reason", "")
    if reason and reason not in REASONS:
        abort(400)
    spool = box().spool
    try:
        with spool.transaction():
            spool.inbox.discard(entry_id, guard.operator())
            if reason:
                spool.history.add(f"inbox {entry_id}", "why it was discarded", text=reason, by=guard.operator())
    except WrongState:
        return _too_late()
    flash(gettext("Discarded. The journal of the port still has what came."), "safe")
    return redirect(url_for("inbox.screen"), 303)


def notice() -> Notice | None:
    """Say how many readings wait without an exam; None when none does."""
    count = box().spool.inbox.count()
    return Notice(count, ngettext("%(num)d reading waits", "%(num)d readings wait", count)) if count else None


def _too_late() -> Response:
    flash(gettext("Somebody else has decided about it already."), "care")
    return redirect(url_for("inbox.screen"), 303)


def _exams(entry: InboxEntry) -> list[PerformedStep]:
    """Return the exams to choose from: those in progress first, and of them the one at the instrument's own place."""
    line = box().site.serial.get(entry.port)
    place = (line.station if line else "") or entry.port
    recent = box().spool.exams.recent(_EXAMS)
    running = sorted(box().spool.exams.all_running(), key=lambda step: step.station != place)
    return [*running, *(step for step in recent if step.status is not StepStatus.IN_PROGRESS)]


def _row(entry: InboxEntry) -> Row:
    model = entry.readings.model_name
    return Row(
        entry=entry,
        title=entry.instrument if not model or model in entry.instrument else f"{entry.instrument} ({model})",
        brief=measured.brief(entry.readings, 6),
        problem=words.said(entry.problem) if entry.problem else None,
        exam=_exam(entry.exam_id) if entry.exam_id else None,
        is_waiting=entry.state is InboxState.WAITING,
    )


def _settled(entry: InboxEntry) -> Settled:
    row = _row(entry)
    name = words.patient_name(row.exam.patient) if row.exam else gettext("an exam that is no longer here")
    match entry.state:
        case InboxState.KEPT:
            tone, word, shape = "safe", gettext("In the exam of %(name)s", name=name), ""
        case InboxState.DISCARDED:
            tone, word, shape = "off", gettext("Discarded"), "gone"
        case _ if health.is_running(box().site.data, _keeps(entry.port)):
            tone, word, shape = "moving", gettext("On its way to %(name)s", name=name), ""
        case _:
            said = gettext("It is for %(name)s, and waits until the program of its port runs.", name=name)
            tone, word, shape = "care", said, "clock"
    return Settled(row=row, tone=tone, word=word, shape=shape)


def _keeps(port: str) -> str:
    """Return the service that makes the objects of what was given away: the port's own, or the keeper where it has none."""
    line = box().site.serial.get(port)
    return f"serial@{port}" if line and line.is_enabled else "keeper"


def _said(entry: InboxEntry) -> measured.Said:
    return measured.said(entry.readings)


def _exam(exam_id: UUID) -> PerformedStep | None:
    try:
        return box().spool.exams.get(exam_id)
    except NoSuchRow:
        return None
