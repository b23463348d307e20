"""A press of a button, a key or a pedal to a Request row, and the row's answer back to the person who pressed.

The instant that counts is the one at which the request came in (`pressed_ns`), before anything else was done for it. The
row is committed, acquire is rung, and the answer waited for a moment: saved, or missed and why.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from flask import Blueprint, abort, g, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from gateway import exam
from gateway.model import Request, RequestKind, RequestState
from gateway.panel import looks, words
from gateway.panel.box import box
from gateway.panel.guard import wants_json

views = Blueprint("presses", __name__)
_PATIENCE_NS: Final = 2_000_000_000
_LOOK_S: Final = 0.02
_OPEN: Final = frozenset({RequestState.REQUESTED, RequestState.TAKEN})


@views.post("/exam/<uuid:exam_id>/press")
def press(exam_id: UUID) -> Response:
    """Ask acquire for what was pressed, and say what became of it."""
    kind = _kind(request.form.get("kind", ""))
    step = box().spool.exams.get(exam_id)
    asked = exam.press(box().spool, box().clock, kind, exam_id, step.station, pressed_ns=g.received_ns)
    box().ring(f"acquire@{step.station}")
    answered = _answered(asked)
    if not wants_json():
        return redirect(url_for("exams.screen", exam_id=exam_id, press=answered.request_id), 303)
    answer = words.press_answer(answered)
    return jsonify(
        state=answered.state,
        capture=answered.capture,
        answer=render_template("_answer.html", answer=answer),
        record=render_template("_record.html", view=looks.exam(step)),
    )


def _answered(asked: Request) -> Request:
    """Wait until acquire has answered, or for as long as a person would."""
    until_ns = box().clock.monotonic_ns() + _PATIENCE_NS
    found = box().spool.requests.get(asked.request_id)
    while found.state in _OPEN and box().clock.monotonic_ns() < until_ns:
        box().wait(_LOOK_S)
        found = box().spool.requests.get(asked.request_id)
    return found


def _kind(text: str) -> RequestKind:
    try:
        return RequestKind(text)
    except ValueError:
        abort(400)
