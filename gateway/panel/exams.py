"""One exam in progress to its screen, and a technologist's acts to the verbs of `gateway.exam`."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from flask import Blueprint, abort, flash, get_flashed_messages, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from gateway import exam
from gateway.model import CaptureState, PerformedStep, ScheduledStep, StepStatus
from gateway.panel import guard, inbox, instruments, looks, measured, typed, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.spool import readings

views = Blueprint("exams", __name__, url_prefix="/exam/<uuid:exam_id>")


@views.get("")
def screen(exam_id: UUID) -> str | Response:
    """Show the exam; one that has ended is shown by what became of it."""
    step = box().spool.exams.get(exam_id)
    if step.status is not StepStatus.IN_PROGRESS:
        return redirect(url_for("way.one", exam_id=exam_id), 303)
    if guard.person():
        guard.drive(exam_id)
    shots = looks.film(step)
    return render_template(
        "exam.html",
        exam=step,
        view=looks.exam(step),
        shots=shots,
        film_version=_version(shots),
        last_s=_last_s(step),
        answer=_answer_to(request.args.get("press", 0, type=int), step) or _said(),
        waiting=_waiting(),
        ports=_ports(step),
    )


@views.get("/pulse")
def pulse(exam_id: UUID) -> Response | tuple[Response, int]:
    """Say how picture, recording and film stand, for the script of the exam screen."""
    step = box().spool.exams.get(exam_id)
    if step.status is not StepStatus.IN_PROGRESS:
        return jsonify(ended=True), 410
    view, ports = looks.exam(step), _ports(step)
    return jsonify(
        pulse=render_template("_heard.html", ports=ports) if ports else render_template("_pulse.html", view=view),
        tags=render_template("_tags.html", view=view, ports=ports),
        record=render_template("_record.html", view=view),
        waiting=render_template("_waiting.html", waiting=_waiting()),
        film_version=_version(looks.film(step)),
    )


@views.get("/film")
def film(exam_id: UUID) -> Response:
    """Return the captures as they stand in the page."""
    step = box().spool.exams.get(exam_id)
    shots = looks.film(step)
    answer = Response(render_template("_film.html", exam=step, shots=shots), mimetype="text/html")
    answer.headers["X-Film-Version"] = _version(shots)
    return answer


@views.get("/captures/<int:number>/discard")
def ask_discard(exam_id: UUID, number: int) -> str | Response:
    """Ask whether a capture that has been released is really to be discarded: that is final."""
    back = url_for("exams.screen", exam_id=exam_id)
    if not _is_released(exam_id, number):
        return redirect(back, 303)
    step, has_picture = box().spool.exams.get(exam_id), box().spool.thumbnail_path(exam_id, number).exists()
    return render_template("discard.html", exam=step, number=number, has_picture=has_picture, back=back)


@views.post("/captures/<int:number>/discard")
def discard(exam_id: UUID, number: int) -> Response:
    """Take a capture out: at once before it leaves, and after that only when a person who is signed in has confirmed it."""
    if _is_released(exam_id, number):
        return _discarded_for_good(exam_id, number)
    exam.discard(box().spool, exam_id, number, by=guard.operator())
    return _done(exam_id, gettext("Capture %(number)d is discarded. Undo brings it back.", number=number))


@views.get("/captures/<int:number>")
def reading(exam_id: UUID, number: int) -> str:
    """Show all values and curves of one reading."""
    step, capture = box().spool.exams.get(exam_id), box().spool.captures.get(exam_id, number)
    found = readings.read(box().site.data, exam_id, number)
    if found is None:
        abort(404)
    return render_template(
        "reading.html", exam=step, capture=capture, said=measured.said(found), model_name=found.model_name
    )


@views.post("/captures/<int:number>/undo")
def undo(exam_id: UUID, number: int) -> Response:
    """Bring a discarded capture back."""
    exam.undo(box().spool, exam_id, number, by=guard.operator())
    return _done(exam_id, gettext("Capture %(number)d is back.", number=number))


@views.get("/identify")
def identify(exam_id: UUID) -> str:
    """Ask who the patient is."""
    return _identify_page(exam_id)


@views.post("/identify")
def identified(exam_id: UUID) -> str | Response | tuple[str, int]:
    """Say who the patient is: the keeper writes it into what waits, and corrects what has left, once that is confirmed."""
    step, scheduled, fields = box().spool.exams.get(exam_id), None, typed.of(None)
    if request.form.get("how") == "scheduled":
        scheduled = box().spool.worklist.get(request.form.get("step", ""))
    else:
        fields, problem = typed.typed_from(request.form)
        if problem:
            return _identify_page(exam_id, fields, problem), 400
    patient = scheduled.patient if scheduled else fields.patient()
    left = len(box().spool.instances.left(exam_id))
    if left and _is_same(step, scheduled, fields):
        return _identify_page(exam_id, fields, gettext("It has been sent for this patient already.")), 400
    if left and request.form.get("sent") != "yes":
        kept = {key: value for key, value in request.form.items() if key != "csrf"}
        return render_template("correct.html", exam=step, patient=patient, left=left, fields=kept)
    exam.correct(box().spool, exam_id, patient=patient, scheduled=scheduled, operator=guard.operator())
    box().ring("keeper")
    said = gettext("The patient is corrected: new copies are sent, and the old ones are rejected.")
    flash(said if left else gettext("The patient is identified."), "safe")
    return redirect(url_for("exams.screen", exam_id=exam_id), 303)


@views.get("/end")
def end(exam_id: UUID) -> str | Response:
    """Ask how the exam ended: one press too many must not end it."""
    step = box().spool.exams.get(exam_id)
    if step.status is not StepStatus.IN_PROGRESS:
        return redirect(url_for("way.one", exam_id=exam_id), 303)
    states = [capture.state for capture in box().spool.captures.of_exam(exam_id)]
    discarded = states.count(CaptureState.DISCARDED)
    kept = len(states) - discarded - states.count(CaptureState.LOST)
    return render_template(
        "end.html", exam=step, view=looks.exam(step), kept=kept, discarded=discarded, reasons=words.REASONS
    )


@views.post("/complete")
def complete(exam_id: UUID) -> Response:
    """End the exam as done."""
    step = exam.complete(box().spool, box().clock, exam_id, operator=guard.operator())
    return _ended(step, gettext("The exam is completed."))


@views.post("/discontinue")
def discontinue(exam_id: UUID) -> Response:
    """End the exam as not done, with the reason."""
    reason = request.form.get("reason", "")
    if reason not in dict(words.REASONS):
        abort(400)
    step = exam.discontinue(box().spool, box().clock, exam_id, reason, operator=guard.operator())
    return _ended(step, gettext("The exam is discontinued."))


@views.get("/time")
def time(exam_id: UUID) -> str:
    """Ask when an exam started that began under a clock nobody trusts."""
    step = box().spool.exams.get(exam_id)
    zone = box().site.station.timezone
    shown = words.moment(step.started_at, box().clock.now())
    back = url_for("exams.screen", exam_id=exam_id)
    started = f"{step.started_at.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"
    return render_template("time.html", exam=step, zone=zone, shown=shown, started=started, back=back)


@views.post("/time")
def time_confirmed(exam_id: UUID) -> Response:
    """Take a person's word for when it started."""
    try:
        local = datetime.fromisoformat(request.form.get("started", ""))
    except ValueError:
        abort(400)
    started_at = local.replace(tzinfo=ZoneInfo(box().site.station.timezone))
    box().spool.exams.confirm_time(exam_id, started_at.astimezone(UTC))
    box().spool.history.add(f"exam {exam_id}", "time confirmed", by=guard.operator())
    box().ring("keeper")
    flash(gettext("The time is confirmed."), "safe")
    return redirect(url_for("exams.screen", exam_id=exam_id), 303)


def _identify_page(exam_id: UUID, fields: typed.Typed | None = None, problem: str = "") -> str:
    step = box().spool.exams.get(exam_id)
    steps = box().spool.worklist.all()
    return render_template(
        "identify.html",
        exam=step,
        steps=steps,
        typed=fields or typed.of(step.patient),
        problem=problem,
        station="",
        left=len(box().spool.instances.left(exam_id)),
    )


def _is_same(step: PerformedStep, scheduled: ScheduledStep | None, fields: typed.Typed) -> bool:
    """Say whether this is what the exam names already: a press too many must not send everything again."""
    if scheduled is not None or step.scheduled is not None:
        return scheduled == step.scheduled
    return fields == typed.of(step.patient)


def _is_released(exam_id: UUID, number: int) -> bool:
    return box().spool.captures.get(exam_id, number).state is CaptureState.RELEASED


def _discarded_for_good(exam_id: UUID, number: int) -> Response:
    if request.form.get("released") != "yes" or guard.person() is None:
        return redirect(url_for("exams.ask_discard", exam_id=exam_id, number=number), 303)
    is_note_owed = exam.discard(box().spool, exam_id, number, by=guard.operator())
    box().ring("keeper")
    if is_note_owed:
        flash(gettext("Capture %(number)d is discarded. A note that rejects it follows it.", number=number), "safe")
    else:
        flash(gettext("Capture %(number)d is discarded. It had not been sent to anybody.", number=number), "safe")
    return redirect(url_for("exams.screen", exam_id=exam_id), 303)


def _answer_to(request_id: int, step: PerformedStep) -> words.Answer | None:
    """Return what became of the press that a browser without JavaScript has just made."""
    if not request_id:
        return None
    asked = box().spool.requests.get(request_id)
    return words.press_answer(asked) if asked.exam_id == step.exam_id else None


def _said() -> words.Answer | None:
    """Return what an act on another page came to: on this screen it stands where the presses are answered."""
    said = get_flashed_messages(with_categories=True)
    return words.Answer(tone=said[-1][0], sentence=said[-1][1]) if said else None


def _waiting() -> inbox.Notice | None:
    """Say that readings wait without an exam, to a person who may say whose they are."""
    return inbox.notice() if guard.person() else None


def _ports(step: PerformedStep) -> list[instruments.Heard]:
    """Say how the instrument of an exam without video is; of one with a picture, the picture is what is looked at."""
    if step.station in box().site.grabber or step.station not in box().site.serial:
        return []
    return [instruments.watched(step.station)]


def _last_s(step: PerformedStep) -> int:
    grabber = box().site.grabber.get(step.station)
    return round(grabber.retrospective_s) if grabber else 10


def _version(shots: list[looks.Shot]) -> str:
    return f"{zlib.crc32(msgspec.json.encode(shots)):08x}"


def _done(exam_id: UUID, sentence: str) -> Response:
    if guard.wants_json():
        answer: dict[str, Any] = {"answer": words.Answer(tone="safe", sentence=sentence)}
        return jsonify(answer=render_template("_answer.html", **answer))
    return redirect(url_for("exams.screen", exam_id=exam_id), 303)


def _ended(step: PerformedStep, sentence: str) -> Response:
    box().ring(f"acquire@{step.station}")
    box().ring("keeper")
    box().ring("forward")
    flash(sentence, "safe")
    return redirect(url_for("worklist.screen"), 303)
