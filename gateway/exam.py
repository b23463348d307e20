"""One exam, a PerformedStep, from start to end: each verb is one transaction on the spool.

The exam is the standard's Performed Procedure Step (PS3.4 F.7.2): IN PROGRESS, then COMPLETED or DISCONTINUED. The panel
and acquire call the same verbs. Laws kept here: an identity is committed before anything is derived from it (2), one
patient per object (5), captures wait HELD until they are released, and an unidentified exam stays HELD.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from gateway import uids
from gateway.errors import ExamAlreadyRunning, ExamError, NoExam
from gateway.model import (
    Capture,
    CaptureKind,
    CaptureState,
    Delivery,
    DeliveryState,
    Instance,
    Patient,
    PerformedStep,
    Request,
    RequestKind,
    ScheduledStep,
    StepStatus,
)

if TYPE_CHECKING:
    from gateway.clock import Clock
    from gateway.config import Release, Site
    from gateway.spool.spool import Spool

PRESS_LIVES_NS = 5_000_000_000
"""A press that no one has taken by then is MISSED: the picture the person saw is no longer meant."""

CORRECTED = "its patient was corrected"
"""Why an object is not sent any more, as its Deliveries say it."""

_UNSENT = frozenset({DeliveryState.HELD, DeliveryState.QUEUED, DeliveryState.FAILED})


def start(
    spool: Spool,
    clock: Clock,
    *,
    station: str,
    modality: str,
    profile: str,
    scheduled: ScheduledStep | None = None,
    patient: Patient | None = None,
    operator: str = "",
) -> PerformedStep:
    """Start an exam: scheduled, typed by hand, or (neither given) an emergency without a patient yet.

    Raises ExamAlreadyRunning when the station has one in progress.
    """
    exam_id = uids.new_exam()
    step = PerformedStep(
        exam_id=exam_id,
        station=station,
        status=StepStatus.IN_PROGRESS,
        study_instance_uid=scheduled.study_instance_uid if scheduled else uids.study(exam_id),
        modality=modality,
        profile=profile,
        started_at=clock.now(),
        started_ns=clock.monotonic_ns(),
        boot_id=clock.boot_id(),
        clock_doubt=clock.doubt(),
        patient=scheduled.patient if scheduled else patient,
        scheduled=scheduled,
        operator=operator,
    )
    with spool.transaction():
        if spool.exams.running(station) is not None:
            raise ExamAlreadyRunning(station=station)
        spool.exams.start(step)
        spool.history.add(f"exam {exam_id}", "started", text=_how(step), by=operator)
    return step


def complete(spool: Spool, clock: Clock, exam_id: UUID, *, operator: str = "") -> PerformedStep:
    """End the exam as COMPLETED: discards become final, and what waits for release leaves now."""
    return _end(spool, clock, exam_id, StepStatus.COMPLETED, "", operator)


def discontinue(spool: Spool, clock: Clock, exam_id: UUID, reason: str, *, operator: str = "") -> PerformedStep:
    """End the exam as DISCONTINUED, with the reason; what was captured is kept and leaves like any other."""
    return _end(spool, clock, exam_id, StepStatus.DISCONTINUED, reason, operator)


def identify(
    spool: Spool,
    exam_id: UUID,
    *,
    patient: Patient | None = None,
    scheduled: ScheduledStep | None = None,
    operator: str = "",
) -> PerformedStep:
    """Say who the patient is, or correct it before release: raises the identity revision; pixels are not touched.

    From the worklist, the exam becomes the ordered study; typed by hand, it is a study of its own.
    The keeper then rewrites the header of every held object; none is released before that. Raises ExamError when
    something of the exam has already left under the old identity.
    """
    who = _who(patient, scheduled)
    with spool.transaction():
        if spool.exams.has_left(exam_id):
            raise ExamError(problem="images of it have already left under the former name")
        step = spool.exams.identify(exam_id, who, scheduled)
        spool.history.add(f"exam {exam_id}", "identified", text=_how(step), by=operator)
    return step


def correct(
    spool: Spool,
    exam_id: UUID,
    *,
    patient: Patient | None = None,
    scheduled: ScheduledStep | None = None,
    operator: str = "",
) -> PerformedStep:
    """Correct a wrong patient after release (law 2): another study, and for what has left a new UID and a rejection note.

    What waits, or was not tried yet, is held and rewritten under its own UID; of what has left, nothing more is sent. The
    keeper then makes the corrected copies and the notes. When nothing has left after all, this is `identify`. Raises
    ExamError when `operator` names nobody, and when something is no longer kept here, so that no copy could be made.
    """
    who = _who(patient, scheduled)
    with spool.transaction():
        for capture in spool.captures.of_exam(exam_id):
            if capture.state is not CaptureState.DISCARDED:
                _stop(spool, capture, operator)
        if not spool.exams.has_left(exam_id):
            return identify(spool, exam_id, patient=patient, scheduled=scheduled, operator=operator)
        if not operator:
            raise ExamError(problem="only a named person may correct what has left")
        step = spool.exams.correct(exam_id, who, scheduled, operator)
        if not all(spool.instances.is_here(each.sop_instance_uid) for each in spool.instances.uncorrected(exam_id)):
            raise ExamError(problem="some of its images are no longer kept on this box")
        spool.history.add(f"exam {exam_id}", "corrected after it had left", text=_how(step), by=operator)
    return step


def press(
    spool: Spool, clock: Clock, kind: RequestKind, exam_id: UUID, station: str, *, pressed_ns: int | None = None
) -> Request:
    """Ask acquire for a capture: one row, which carries the instant of the press (CLOCK_MONOTONIC of this boot)."""
    at_ns = clock.monotonic_ns() if pressed_ns is None else pressed_ns
    with spool.transaction():
        running = spool.exams.running(station)
        if running is None or running.exam_id != exam_id:
            raise NoExam(station=station)
        return spool.requests.ask(kind, exam_id, station, pressed_ns=at_ns, expires_ns=at_ns + PRESS_LIVES_NS)


def begin_capture(
    spool: Spool, clock: Clock, exam_id: UUID, kind: CaptureKind, source: str, *, captured_ns: int | None = None
) -> Capture:
    """Commit the number of a capture, before the first byte of it is written (law 2).

    `captured_ns` is the CLOCK_MONOTONIC time of its first frame, which may lie in the past; now when not given.
    """
    now_ns = clock.monotonic_ns()
    started_ns = now_ns if captured_ns is None else captured_ns
    started_at = clock.now() - timedelta(microseconds=(now_ns - started_ns) // 1000)
    return spool.captures.begin(exam_id, kind, source, started_at, started_ns)


def keep(spool: Spool, clock: Clock, instance: Instance, site: Site) -> None:
    """Admit one segment of a capture, with one Delivery for each destination, HELD until its release.

    Called inside the `with` of the part that holds its bytes. A segment whose exam has ended is released at once.
    """
    if instance.exam_id is None:
        raise ExamError(problem="an object without an exam cannot wait for the release of one")
    with spool.transaction():
        owed = destinations(site, spool.exams.get(instance.exam_id).modality)
        spool.instances.admit(
            instance,
            owed,
            hold=True,
            release_at_ns=_release_at(spool, clock, instance.exam_id, site.release),
            commitment=commitment(site, owed),
        )


def finish_capture(spool: Spool, capture: Capture, *, note: str = "") -> None:
    """Say that a capture is complete: HELD with what was kept of it, or LOST when nothing could be."""
    with spool.transaction():
        has_any = bool(spool.instances.of_capture(capture.exam_id, capture.number))
        state = CaptureState.HELD if has_any else CaptureState.LOST
        spool.captures.set_state(capture.exam_id, capture.number, state, note)


def discard(spool: Spool, exam_id: UUID, number: int, *, by: str = "") -> bool:
    """Take a capture out; return whether a rejection note is owed for it from now on, which the keeper writes.

    Before its release it can be undone until the exam ends; then its Deliveries are cancelled. After its release that is
    final: what has not been sent is cancelled at once, and a note follows to everybody who may have the rest. Raises
    ExamError while it records, and once it is discarded or lost.
    """
    with spool.transaction():
        capture = spool.captures.get(exam_id, number)
        match capture.state:
            case CaptureState.HELD:
                spool.captures.set_state(exam_id, number, CaptureState.DISCARDED)
                is_note_owed = False
                if spool.exams.get(exam_id).status is not StepStatus.IN_PROGRESS:
                    withdraw(spool, capture, by)
            case CaptureState.RELEASED:
                is_note_owed = any(delivery.attempts for delivery in withdraw(spool, capture, by))
                spool.captures.reject(exam_id, number, by, is_note_owed=is_note_owed)
            case _:
                raise ExamError(problem=f"this capture is {capture.state.lower()}, and cannot be discarded")
        event = "discarded after its release" if capture.state is CaptureState.RELEASED else "discarded"
        spool.history.add(f"exam {exam_id}", event, text=f"capture {number}", by=by)
    return is_note_owed


def undo(spool: Spool, exam_id: UUID, number: int, *, by: str = "") -> None:
    """Bring a discarded capture back, while its exam is in progress."""
    with spool.transaction():
        capture = spool.captures.get(exam_id, number)
        if capture.state is not CaptureState.DISCARDED:
            raise ExamError(problem="this capture was not discarded")
        if spool.exams.get(exam_id).status is not StepStatus.IN_PROGRESS:
            raise ExamError(problem="the exam has ended, and its discards with it")
        if spool.captures.is_rejected(exam_id, number):
            raise ExamError(problem="this capture had already left")
        spool.captures.set_state(exam_id, number, CaptureState.HELD)
        spool.history.add(f"exam {exam_id}", "brought back", text=f"capture {number}", by=by)


def withdraw(spool: Spool, capture: Capture, by: str) -> list[Delivery]:
    """Cancel what has not been sent of a capture, and is not being sent; return all its Deliveries as they are then."""
    instances = spool.instances.of_capture(capture.exam_id, capture.number)
    with spool.transaction():
        return [
            delivery
            for instance in instances
            if not instance.is_rejected
            for delivery in take_back(spool, instance, by, why="discarded")
        ]


def take_back(spool: Spool, instance: Instance, by: str, *, why: str) -> list[Delivery]:
    """Cancel what has not been sent of an object, and is not being sent; return all its Deliveries as they are then."""
    with spool.transaction():
        for delivery in spool.deliveries.of_payload(instance.sop_instance_uid):
            if delivery.state in _UNSENT:
                spool.deliveries.apply(delivery.delivery_id, "cancel", text=why, by=by)
        return spool.deliveries.of_payload(instance.sop_instance_uid)


def destinations(site: Site, modality: str) -> list[str]:
    """Return the names of the destinations that receive objects of a modality."""
    return [
        name
        for name, destination in site.destination.items()
        if not destination.modalities or modality in destination.modalities
    ]


def commitment(site: Site, names: list[str]) -> list[str]:
    """Return those destinations that must also answer for the safety of what they receive."""
    return [name for name in names if name in site.destination and site.destination[name].is_commitment_required]


def _who(patient: Patient | None, scheduled: ScheduledStep | None) -> Patient:
    who = scheduled.patient if scheduled else patient
    if who is None:
        raise ExamError(problem="neither a worklist item nor a patient was given")
    return who


def _stop(spool: Spool, capture: Capture, by: str) -> None:
    """Let nothing of a capture leave under an identity that is being corrected."""
    for instance in spool.instances.of_capture(capture.exam_id, capture.number):
        deliveries = spool.deliveries.of_payload(instance.sop_instance_uid)
        if any(delivery.attempts for delivery in deliveries):
            take_back(spool, instance, by, why=CORRECTED)
        else:
            spool.deliveries.wait_again(instance.sop_instance_uid)


def _end(spool: Spool, clock: Clock, exam_id: UUID, status: StepStatus, reason: str, operator: str) -> PerformedStep:
    with spool.transaction():
        step = spool.exams.end(exam_id, status, clock.now(), reason)
        for capture in spool.captures.of_exam(exam_id):
            if capture.state is CaptureState.DISCARDED:
                withdraw(spool, capture, operator)
        spool.instances.release_exam(exam_id)
        spool.history.add(f"exam {exam_id}", status.lower(), text=reason, by=operator)
    return step


def _release_at(spool: Spool, clock: Clock, exam_id: UUID, release: Release) -> int | None:
    if spool.exams.get(exam_id).status is not StepStatus.IN_PROGRESS:
        return clock.monotonic_ns()
    if release.is_at_completion:
        return None
    return clock.monotonic_ns() + int(release.after_s * 1e9)


def _how(step: PerformedStep) -> str:
    if step.scheduled is not None:
        return "from the worklist"
    return "typed by hand" if step.patient is not None else "emergency, no patient yet"
