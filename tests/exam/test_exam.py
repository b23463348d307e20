"""The exam: each verb is one transaction, and nothing leaves before it may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gateway import exam, uids
from gateway.clock import SystemClock
from gateway.config import Destination, Release, Site
from gateway.errors import ExamAlreadyRunning, ExamError, NoExam
from gateway.model import (
    Capture,
    CaptureKind,
    CaptureState,
    DeliveryState,
    Instance,
    Patient,
    PerformedStep,
    RequestKind,
    ScheduledStep,
    StepStatus,
    StoreOutcome,
)
from gateway.spool.captures import Rejection
from gateway.spool.spool import Spool

WHO = Patient(patient_id="P1", name="Synthetic^Test", birth_date="19700101", sex="F")
ORDER = ScheduledStep(
    patient=WHO, scheduled_procedure_step_id="SPS1", study_instance_uid="1.2.3.4", accession_number="A1", modality="US"
)
SITE = Site(
    destination={
        "pacs": Destination(host="127.0.0.1", called_ae="PACS"),
        "us-archive": Destination(host="127.0.0.1", called_ae="US", modalities=("US",)),
        "ct-archive": Destination(host="127.0.0.1", called_ae="CT", modalities=("CT",)),
    }
)

AT_ONCE = Site(destination=SITE.destination, release=Release(after_s=0))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool.open(tmp_path, SystemClock()) as opened:
        yield opened


def begin(spool: Spool, **who: object) -> PerformedStep:
    return exam.start(spool, spool.clock, station="US1", modality="US", profile="p", **who)  # type: ignore[arg-type]


def capture(spool: Spool, step: PerformedStep, site: Site = SITE) -> Capture:
    """One press, with its object: kept, and complete."""
    made = exam.begin_capture(spool, spool.clock, step.exam_id, CaptureKind.STILL, "US1")
    with spool.blobs.part() as part:
        part.write(f"pixels of {made.number}".encode())
        blob, size = part.commit()
        instance = Instance(
            sop_instance_uid=uids.instance(step.exam_id, "image", made.number, 0),
            sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            study_instance_uid=step.study_instance_uid,
            series_instance_uid=uids.series(step.exam_id, "image"),
            blob=blob,
            size_bytes=size,
            data_digest=blob,
            revision=step.identity_revision,
            exam_id=step.exam_id,
            capture=made.number,
            kind="image",
            modality="US",
            stored_at=spool.clock.now(),
        )
        exam.keep(spool, spool.clock, instance, site)
    exam.finish_capture(spool, made)
    return made


def states(spool: Spool, exam_id: UUID) -> set[DeliveryState]:
    return {delivery.state for delivery in spool.deliveries.of_exam(exam_id)}


def test_a_scheduled_exam_keeps_the_study_uid_of_its_order(spool: Spool) -> None:
    step = begin(spool, scheduled=ORDER)
    assert (step.study_instance_uid, step.patient) == ("1.2.3.4", WHO)
    assert spool.exams.get(step.exam_id) == step


def test_an_emergency_exam_starts_without_a_patient_and_with_a_study_uid_of_its_own(spool: Spool) -> None:
    step = begin(spool)
    assert step.patient is None
    assert step.study_instance_uid == uids.study(step.exam_id)


def test_a_station_has_one_exam_at_a_time(spool: Spool) -> None:
    begin(spool, patient=WHO)
    with pytest.raises(ExamAlreadyRunning):
        begin(spool, patient=WHO)
    assert len(spool.exams.all_running()) == 1


def test_captures_are_numbered_and_wait(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    assert [capture(spool, step).number for _ in range(3)] == [1, 2, 3]
    assert states(spool, step.exam_id) == {DeliveryState.HELD}


def test_an_object_goes_to_every_destination_of_its_modality(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    assert {d.destination for d in spool.deliveries.of_exam(step.exam_id)} == {"pacs", "us-archive"}


def test_nothing_leaves_before_its_release(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.HELD}


def test_a_capture_leaves_when_its_time_has_come(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step, Site(destination=SITE.destination, release=Release(after_s=0)))
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}
    assert spool.captures.get(step.exam_id, 1).state is CaptureState.RELEASED


def test_completion_releases_what_waits(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    ended = exam.complete(spool, spool.clock, step.exam_id)
    assert ended.status is StepStatus.COMPLETED
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}


def test_what_is_kept_until_completion_does_not_leave_by_time(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step, Site(destination=SITE.destination, release=Release(after_s=0, is_at_completion=True)))
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.HELD}
    exam.complete(spool, spool.clock, step.exam_id)
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}


def test_a_capture_that_ends_after_its_exam_leaves_at_once(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    exam.complete(spool, spool.clock, step.exam_id)
    capture(spool, step)
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}


def test_a_discarded_capture_never_leaves(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    exam.discard(spool, step.exam_id, 1)
    spool.deliveries.release_due()
    exam.complete(spool, spool.clock, step.exam_id)
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.CANCELLED}


def test_a_discard_is_undone_while_the_exam_is_in_progress(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    exam.discard(spool, step.exam_id, 1)
    exam.undo(spool, step.exam_id, 1)
    exam.complete(spool, spool.clock, step.exam_id)
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}


def test_a_discard_is_final_once_the_exam_has_ended(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    exam.discard(spool, step.exam_id, 1)
    exam.complete(spool, spool.clock, step.exam_id)
    with pytest.raises(ExamError):
        exam.undo(spool, step.exam_id, 1)


def test_what_is_discarded_after_its_exam_has_ended_never_leaves(spool: Spool) -> None:
    step = begin(spool)
    capture(spool, step)
    exam.complete(spool, spool.clock, step.exam_id)
    assert not exam.discard(spool, step.exam_id, 1)
    assert states(spool, step.exam_id) == {DeliveryState.CANCELLED}


def test_a_released_capture_that_nobody_was_sent_is_cancelled_and_owes_no_note(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step, AT_ONCE)
    spool.deliveries.release_due()
    assert not exam.discard(spool, step.exam_id, 1, by="Ada")
    assert states(spool, step.exam_id) == {DeliveryState.CANCELLED}
    assert spool.captures.get(step.exam_id, 1).state is CaptureState.DISCARDED
    assert spool.captures.notes_owed() == []


def test_a_capture_that_has_left_is_discarded_for_good_and_owes_a_note(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step, AT_ONCE)
    spool.deliveries.release_due()
    (sent,) = spool.deliveries.claim("pacs", 1)
    spool.deliveries.settle([(sent.delivery_id, StoreOutcome(verdict="accepted"))])
    assert exam.discard(spool, step.exam_id, 1, by="Ada")
    assert {d.destination: d.state for d in spool.deliveries.of_exam(step.exam_id)} == {
        "pacs": DeliveryState.SENT,
        "us-archive": DeliveryState.CANCELLED,
    }
    assert spool.captures.notes_owed() == [Rejection(step.exam_id, 1, "Ada")]
    for again in (exam.undo, exam.discard):
        with pytest.raises(ExamError):
            again(spool, step.exam_id, 1)
    assert len(spool.captures.notes_owed()) == 1


def test_an_exam_of_which_a_discarded_capture_has_left_keeps_its_patient(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step, AT_ONCE)
    spool.deliveries.release_due()
    spool.deliveries.claim("pacs", 1)
    exam.discard(spool, step.exam_id, 1)
    with pytest.raises(ExamError):
        exam.identify(spool, step.exam_id, patient=Patient(patient_id="P2", name="Other"))


def test_a_capture_that_records_cannot_be_discarded(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    exam.begin_capture(spool, spool.clock, step.exam_id, CaptureKind.CINE, "US1")
    with pytest.raises(ExamError):
        exam.discard(spool, step.exam_id, 1)


def test_an_unidentified_exam_stays_here_even_when_completed(spool: Spool) -> None:
    step = begin(spool)
    capture(spool, step)
    exam.complete(spool, spool.clock, step.exam_id)
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.HELD}


def test_an_identified_exam_leaves_only_after_its_headers_are_rewritten(spool: Spool) -> None:
    step = begin(spool)
    capture(spool, step)
    exam.complete(spool, spool.clock, step.exam_id)
    identified = exam.identify(spool, step.exam_id, patient=WHO)
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.HELD}
    (behind,) = spool.instances.behind_identity()
    with spool.blobs.part() as part:
        part.write(b"pixels of 1, the right name")
        blob, size = part.commit()
        spool.instances.revise(
            behind.sop_instance_uid,
            revision=identified.identity_revision,
            blob=blob,
            size_bytes=size,
            data_digest=blob,
            what="identified",
        )
    spool.deliveries.release_due()
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}


def test_identifying_after_something_has_left_is_refused(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    exam.complete(spool, spool.clock, step.exam_id)
    with pytest.raises(ExamError):
        exam.identify(spool, step.exam_id, patient=Patient(patient_id="P2", name="Other"))


OTHER = Patient(patient_id="P2", name="Other^Person")


@pytest.fixture
def left(spool: Spool) -> PerformedStep:
    """An exam of three pictures: one was sent, one was tried in vain, one waits in the queue."""
    step = begin(spool, patient=WHO)
    for _ in range(3):
        capture(spool, step, AT_ONCE)
    spool.deliveries.release_due()
    for verdict in ("accepted", "later"):
        (delivery,) = spool.deliveries.claim("pacs", 1)
        spool.deliveries.settle([(delivery.delivery_id, StoreOutcome(verdict=verdict))])  # type: ignore[arg-type]
    return step


def of_capture(spool: Spool, step: PerformedStep, number: int) -> list[tuple[str, DeliveryState]]:
    (instance,) = spool.instances.of_capture(step.exam_id, number)
    return [(each.destination, each.state) for each in spool.deliveries.of_payload(instance.sop_instance_uid)]


def test_a_correction_stops_what_was_tried_and_holds_what_was_not(spool: Spool, left: PerformedStep) -> None:
    step = exam.correct(spool, left.exam_id, patient=OTHER, operator="Ada")
    assert (step.patient, step.corrected) == (OTHER, 1)
    assert of_capture(spool, step, 1) == [("pacs", DeliveryState.SENT), ("us-archive", DeliveryState.CANCELLED)]
    assert of_capture(spool, step, 2) == [("pacs", DeliveryState.CANCELLED), ("us-archive", DeliveryState.CANCELLED)]
    assert of_capture(spool, step, 3) == [("pacs", DeliveryState.HELD), ("us-archive", DeliveryState.HELD)]
    assert {each.note for each in spool.deliveries.of_exam(step.exam_id) if each.state is DeliveryState.CANCELLED} == {
        exam.CORRECTED
    }
    assert [each.capture for each in spool.instances.uncorrected(step.exam_id)] == [1, 2]
    assert [each.capture for each in spool.instances.behind_identity()] == [3]
    assert spool.exams.corrections_owed() == [step.exam_id]


def test_a_correction_takes_the_order_and_its_study(spool: Spool, left: PerformedStep) -> None:
    step = exam.correct(spool, left.exam_id, scheduled=ORDER, operator="Ada")
    assert (step.scheduled, step.study_instance_uid) == (ORDER, ORDER.study_instance_uid)


def test_only_a_named_person_corrects_what_has_left(spool: Spool, left: PerformedStep) -> None:
    with pytest.raises(ExamError, match="named person"):
        exam.correct(spool, left.exam_id, patient=OTHER)
    assert spool.exams.get(left.exam_id) == left
    assert of_capture(spool, left, 3)[0][1] is DeliveryState.QUEUED, "a refused correction stops nothing"


def test_a_correction_of_what_has_not_left_is_an_identification(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step, AT_ONCE)
    spool.deliveries.release_due()
    now = exam.correct(spool, step.exam_id, patient=OTHER)
    assert (now.identity_revision, now.corrected) == (1, 0)
    assert states(spool, step.exam_id) == {DeliveryState.HELD}
    assert spool.exams.corrections_owed() == []


def test_what_is_no_longer_here_is_not_corrected_by_half(spool: Spool, left: PerformedStep) -> None:
    exam.complete(spool, spool.clock, left.exam_id)
    for name in ("pacs", "us-archive"):
        spool.deliveries.probe_now(name)
        claimed = spool.deliveries.claim(name, 9)
        spool.deliveries.settle([(each.delivery_id, StoreOutcome(verdict="accepted")) for each in claimed])
    spool.instances.purge(spool.instances.of_capture(left.exam_id, 2)[0].sop_instance_uid)
    with pytest.raises(ExamError, match="no longer kept"):
        exam.correct(spool, left.exam_id, patient=OTHER, operator="Ada")
    assert spool.exams.get(left.exam_id).patient == WHO
    assert spool.exams.corrections_owed() == []


def test_a_correction_touches_no_capture_that_was_discarded(spool: Spool, left: PerformedStep) -> None:
    exam.discard(spool, left.exam_id, 1, by="Eve")
    before = of_capture(spool, left, 1)
    exam.correct(spool, left.exam_id, patient=OTHER, operator="Ada")
    assert of_capture(spool, left, 1) == before
    assert [each.capture for each in spool.instances.uncorrected(left.exam_id)] == [2]


def test_a_press_needs_the_exam_it_was_meant_for(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    exam.complete(spool, spool.clock, step.exam_id)
    with pytest.raises(NoExam):
        exam.press(spool, spool.clock, RequestKind.STILL, step.exam_id, "US1")


def test_a_press_carries_the_instant_at_which_it_was_made(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    request = exam.press(spool, spool.clock, RequestKind.STILL, step.exam_id, "US1", pressed_ns=123)
    assert (request.pressed_ns, request.expires_ns) == (123, 123 + exam.PRESS_LIVES_NS)


def test_a_capture_of_which_nothing_was_kept_is_lost(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    made = exam.begin_capture(spool, spool.clock, step.exam_id, CaptureKind.CINE, "US1")
    exam.finish_capture(spool, made, note="no picture came")
    assert spool.captures.get(step.exam_id, 1).state is CaptureState.LOST


def test_a_discontinued_exam_says_why_and_keeps_what_it_has(spool: Spool) -> None:
    step = begin(spool, patient=WHO)
    capture(spool, step)
    ended = exam.discontinue(spool, spool.clock, step.exam_id, "patient left")
    assert (ended.status, ended.discontinuation_reason) == (StepStatus.DISCONTINUED, "patient left")
    assert states(spool, step.exam_id) == {DeliveryState.QUEUED}


def test_no_name_is_in_the_history(spool: Spool) -> None:
    step = begin(spool, scheduled=ORDER)
    capture(spool, step)
    exam.complete(spool, spool.clock, step.exam_id)
    said = repr(spool.history.recent(100)) + repr(step)
    assert not any(secret in said for secret in ("Synthetic", "19700101", "P1", "A1"))
