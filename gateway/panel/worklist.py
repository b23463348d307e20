"""What is ordered, to a list from which an exam starts with one press; it works from the last list while the RIS is down."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_babel import to_user_timezone
from msgspec import Struct
from werkzeug.wrappers import Response

from gateway import exam, profile
from gateway.errors import ConfigError
from gateway.model import Patient, PerformedStep, ScheduledStep
from gateway.panel import guard, profiles, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.panel.typed import Typed, typed_from

views = Blueprint("worklist", __name__)


class Doubt(Struct, frozen=True):
    """Why the list may not be what the RIS would say now."""

    tone: str
    sentence: str
    hint: str


@views.get("/")
def screen() -> str:
    """Show the list of today."""
    return _page(box().spool.worklist.all())


@views.get("/search")
def searched() -> Response:
    """A search that is reloaded is the list again: names never stand in an address."""
    return redirect(url_for("worklist.screen"), 303)


@views.post("/search")
def search() -> str:
    """Show what matches; posted, so that a name never stands in an address or a log."""
    query = request.form.get("query", "").strip()
    wanted = _folded(query).split()
    found = [
        step for step in box().spool.worklist.all() if all(word in _folded(words.step_words(step)) for word in wanted)
    ]
    return _page(found, query)


@views.get("/patient")
def patient() -> str:
    """Show the form for a patient who is not on the list."""
    return render_template("patient.html", typed=Typed(), problem="", station=station())


@views.post("/station")
def choose_station() -> Response:
    """Remember which station this browser stands at."""
    if request.form.get("station") in stations():
        session["station"] = request.form["station"]
    return redirect(url_for("worklist.screen"), 303)


@views.post("/exams")
def start() -> Response | tuple[str, int]:
    """Start an exam: scheduled, typed by hand, or an emergency with no patient yet."""
    place = request.form.get("station") or station()
    scheduled, who = None, None
    match request.form.get("how"):
        case "scheduled":
            scheduled = box().spool.worklist.get(request.form.get("step", ""))
        case "typed":
            typed, problem = typed_from(request.form)
            if problem:
                return render_template("patient.html", typed=typed, problem=problem, station=place), 400
            who = typed.patient()
    started = _start(place, scheduled, who)
    guard.drive(started.exam_id)
    session["station"] = place
    return redirect(url_for("exams.screen", exam_id=started.exam_id), 303)


def stations() -> list[str]:
    """Return the places where an exam can take place: the grabbers, and serial lines that belong to none."""
    site = box().site
    return [*site.grabber, *(name for name, line in site.serial.items() if line.is_enabled and not line.station)]


def station() -> str:
    """Return the place this browser stands at: the one it chose, else the first."""
    known = stations()
    chosen = session.get("station", "")
    return chosen if chosen in known else next(iter(known), "")


def _start(place: str, scheduled: ScheduledStep | None, who: Patient | None) -> PerformedStep:
    modality, name = _how_it_is_made(place)
    started = exam.start(
        box().spool,
        box().clock,
        station=place,
        modality=modality,
        profile=name,
        scheduled=scheduled,
        patient=who,
        operator=guard.operator(),
    )
    box().ring(f"acquire@{place}")
    return started


def _how_it_is_made(place: str) -> tuple[str, str]:
    """Return the modality of a place, and the profile that says so."""
    site = box().site
    if place in site.grabber:
        name = profiles.chosen(place)
        return profile.modality(name, site.own_profiles).object.modality, name
    if place in site.serial:
        return "OT", site.serial[place].instrument
    raise ConfigError(problem=gettext("no video grabber and no serial line is configured"))


def _page(steps: Sequence[ScheduledStep], query: str = "") -> str:
    today = f"{to_user_timezone(box().clock.now()):%Y%m%d}"
    is_doubtful = bool(box().clock.doubt())
    place = station()
    now: list[ScheduledStep] = []
    others: list[ScheduledStep] = []
    for step in sorted(steps, key=_when):
        (now if is_doubtful or step.scheduled_start_date == today else others).append(step)
    return render_template(
        "worklist.html",
        steps=now,
        others=others,
        query=query,
        station=place,
        stations=stations(),
        running=box().spool.exams.running(place) if place else None,
        today=gettext("Date not certain") if is_doubtful else words.day_of(box().clock.now()),
        **_freshness(),
    )


def _freshness() -> dict[str, Any]:
    """Say from when the list is, and whether the RIS answers."""
    if box().site.worklist is None:
        return {"doubt": None, "fresh": ""}
    fetched, failure, now = box().spool.worklist.fetched(), box().spool.worklist.last_failure(), box().clock.now()
    hint = gettext("Exams can start all the same.")
    if failure is not None and fetched is not None:
        sentence = gettext("The RIS does not answer. This list is from %(moment)s.", moment=words.moment(fetched, now))
        return {"doubt": Doubt("care", sentence, hint), "fresh": ""}
    if fetched is None:
        return {"doubt": Doubt("care", gettext("The RIS has not answered yet."), hint), "fresh": ""}
    return {"doubt": None, "fresh": gettext("From the RIS, %(moment)s.", moment=words.moment(fetched, now))}


def _when(step: ScheduledStep) -> tuple[str, str]:
    return step.scheduled_start_date, step.scheduled_start_time


def _folded(text: str) -> str:
    """Fold case, width and accents: Müller is found by muller."""
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(letter)
    )
