"""A wrong patient, noticed after release: corrected copies, and then a note that rejects the former, each once and whole."""

import json
from datetime import timedelta

import pydicom
import pytest

from gateway import exam, uids
from gateway.config import SerialPort
from gateway.errors import DiskFull, WrongState
from gateway.model import (
    CaptureKind,
    Code,
    DeliveryState,
    Observation,
    Patient,
    ReadingSet,
    ScheduledStep,
    StoreOutcome,
)
from gateway.objects import verify
from gateway.service import compose, keeper
from gateway.service.bell import Bell
from gateway.service.compose import Segment
from tests.objects.test_dciodvfy import unexplained
from tests.service.world import WHO, another, still

ACCEPTED = StoreOutcome(verdict="accepted")
LATER = StoreOutcome(verdict="later", error_code="G500", text="the connection broke")
NEVER = StoreOutcome(verdict="never", error_code="G505", text="not wanted")
TRUE = Patient(patient_id="42", name="True^Patient", birth_date="19800101", sex="M")
THIRD = Patient(patient_id="43", name="Third^Patient")
HELD, QUEUED, SENT, FAILED, CANCELLED = (
    DeliveryState.HELD,
    DeliveryState.QUEUED,
    DeliveryState.SENT,
    DeliveryState.FAILED,
    DeliveryState.CANCELLED,
)


@pytest.fixture
def released(box):
    """One picture that may leave."""
    step, instance = still(box)
    release(box)
    return step, instance


def release(box):
    box.clock.sleep(box.site.release.after_s + 1)
    keeper.bring_up_to_date(box)
    keeper.release(box)


def send(box, outcome=ACCEPTED, to="pacs"):
    claimed = box.spool.deliveries.claim(to, 100)
    box.spool.deliveries.settle([(each.delivery_id, outcome) for each in claimed])
    return [each.payload for each in claimed]


def work(box):
    """What the keeper does in one second."""
    keeper.bring_up_to_date(box)
    keeper.correct(box)
    keeper.reject(box)
    keeper.release(box)


def correct(box, step, patient=TRUE, **who):
    given = who or {"patient": patient}
    return exam.correct(box.spool, step.exam_id, operator="Ada", **given)


def states(box, payload):
    return [each.state for each in box.spool.deliveries.of_payload(payload)]


def of_kind(box, step, kind):
    return [each for each in box.spool.instances.of_exam(step.exam_id) if each.kind == kind]


def notes(box, step):
    return of_kind(box, step, "note")


def copies(box, step):
    return [each for each in box.spool.instances.of_exam(step.exam_id) if each.replaces]


def read(box, instance):
    return pydicom.dcmread(box.spool.blobs.path(box.spool.instances.get(instance.sop_instance_uid).blob))


def named_in(ds):
    """Study, and what a note names of it."""
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    return study.StudyInstanceUID, [
        sop.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    ]


def order(patient=TRUE, study="1.2.3"):
    return ScheduledStep(
        patient=patient, scheduled_procedure_step_id="S1", study_instance_uid=study, accession_number="A-31"
    )


def test_a_copy_has_its_own_uids_the_true_patient_and_the_very_same_pixels(box, released):
    step, instance = released
    send(box)
    now = correct(box, step)
    work(box)
    (copy,) = copies(box, step)
    before, after = read(box, instance), read(box, copy)
    assert copy.sop_instance_uid == uids.replacement(instance.sop_instance_uid, now.identity_revision)
    assert (copy.replaces, copy.capture, copy.kind) == (instance.sop_instance_uid, 1, "image")
    assert (after.PatientID, after.PatientName) == ("42", "True^Patient")
    assert after.PixelData == before.PixelData
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert after[keyword].value != before[keyword].value
    assert (copy.study_instance_uid, copy.series_instance_uid) == (after.StudyInstanceUID, after.SeriesInstanceUID)
    (original,) = after.OriginalAttributesSequence
    said = original.ModifiedAttributesSequence[0]
    assert original.ReasonForTheAttributeModification == "CORRECT"
    assert (said.PatientID, said.SOPInstanceUID) == (WHO.patient_id, instance.sop_instance_uid)
    assert verify.check(box.spool.blobs.path(copy.blob)) == []
    assert unexplained(box.spool.blobs.path(copy.blob)) == []
    assert read(box, instance) == before


def test_a_note_names_the_former_in_their_own_study_under_their_own_patient(box, released):
    step, instance = released
    send(box)
    correct(box, step)
    work(box)
    (note,) = notes(box, step)
    ds = read(box, note)
    assert named_in(ds) == (step.study_instance_uid, [instance.sop_instance_uid])
    assert (ds.PatientID, ds.StudyInstanceUID) == (WHO.patient_id, instance.study_instance_uid)
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert [each.PersonName for each in ds.ContentSequence if "PersonName" in each] == ["Ada"]
    assert unexplained(box.spool.blobs.path(note.blob)) == []
    assert box.spool.instances.get(instance.sop_instance_uid).is_rejected


def test_a_wrong_worklist_entry_is_named_as_one(box):
    step = exam.start(
        box.spool,
        box.clock,
        station="ROOM-1",
        modality="US",
        profile="simulator-ultrasound",
        scheduled=order(WHO, "1.2.9"),
    )
    another(box, step)
    release(box)
    send(box)
    correct(box, step, scheduled=order())
    work(box)
    (note,), (copy,) = notes(box, step), copies(box, step)
    ds, after = read(box, note), read(box, copy)
    assert (ds.StudyInstanceUID, ds.ConceptNameCodeSequence[0].CodeValue) == ("1.2.9", "113038")
    assert (after.StudyInstanceUID, after.AccessionNumber, after.PatientID) == ("1.2.3", "A-31", "42")


def test_the_study_of_somebody_else_is_never_used_again(box, released):
    """The RIS has given the same order another patient: what stands in that study is still somebody else's."""
    step, _ = released
    send(box)
    now = correct(box, step, scheduled=order(study=step.study_instance_uid))
    work(box)
    assert now.study_instance_uid == copies(box, step)[0].study_instance_uid == uids.study(step.exam_id, 1)
    back = correct(box, step, scheduled=order(WHO, step.study_instance_uid))
    assert back.study_instance_uid == step.study_instance_uid, "it was the true patient's after all"


def test_a_copy_is_sent_first_and_the_note_after_it_has_arrived(box, released):
    step, instance = released
    send(box)
    correct(box, step)
    with Bell(box.site.run, "forward") as bell:
        work(box)
        assert bell.wait(0)
    (copy,), (note,) = copies(box, step), notes(box, step)
    assert (states(box, copy.sop_instance_uid), states(box, note.sop_instance_uid)) == ([QUEUED], [HELD])
    assert send(box, LATER) == [copy.sop_instance_uid]
    work(box)
    assert states(box, note.sop_instance_uid) == [HELD]
    with pytest.raises(WrongState, match="waiting for the corrected copies"):
        box.spool.deliveries.apply(box.spool.deliveries.of_payload(note.sop_instance_uid)[0].delivery_id, "release")
    box.clock.sleep(3600)
    assert send(box) == [copy.sop_instance_uid]
    work(box)
    assert send(box) == [note.sop_instance_uid]
    assert states(box, instance.sop_instance_uid) == [SENT]


def test_a_copy_that_is_refused_keeps_its_note_until_a_person_gives_it_up(box, released):
    step, _ = released
    send(box)
    correct(box, step)
    work(box)
    send(box, NEVER)
    work(box)
    (copy,), (note,) = copies(box, step), notes(box, step)
    assert states(box, note.sop_instance_uid) == [HELD]
    (refused,) = box.spool.deliveries.of_payload(copy.sop_instance_uid)
    box.spool.deliveries.apply(refused.delivery_id, "cancel", by="Ada")
    work(box)
    assert send(box) == [note.sop_instance_uid]


def test_everything_is_made_once_however_often_the_keeper_looks(box, released):
    step, _ = released
    send(box)
    correct(box, step)
    for _ in range(4):
        work(box)
        box.clock.sleep(60)
        send(box)
    assert (len(copies(box, step)), len(notes(box, step))) == (1, 1)
    assert {each.state for each in box.spool.deliveries.of_exam(step.exam_id)} == {SENT}
    assert box.spool.exams.corrections_owed() == []


def test_what_has_not_left_is_rewritten_under_its_own_uid_and_no_note_names_it(box, released):
    step, first = released
    send(box)
    _, second = another(box, step)
    correct(box, step)
    work(box)
    box.clock.sleep(60)
    work(box)
    (copy,) = copies(box, step)
    kept = box.spool.instances.get(second.sop_instance_uid)
    assert (kept.study_instance_uid, kept.series_instance_uid) == (copy.study_instance_uid, copy.series_instance_uid)
    ds = read(box, second)
    assert (ds.PatientID, ds.SOPInstanceUID, ds.SeriesInstanceUID) == (
        "42",
        second.sop_instance_uid,
        kept.series_instance_uid,
    )
    assert sorted(send(box)) == sorted([copy.sop_instance_uid, second.sop_instance_uid])
    assert named_in(read(box, notes(box, step)[0]))[1] == [first.sop_instance_uid]


def test_what_waits_in_the_queue_untried_waits_again_and_leaves_as_the_true_patient(box, released):
    step, instance = released
    correct(box, step)
    assert states(box, instance.sop_instance_uid) == [HELD]
    work(box)
    assert (copies(box, step), notes(box, step)) == ([], [])
    assert send(box) == [instance.sop_instance_uid]
    assert read(box, instance).PatientID == "42"


def test_where_the_former_was_not_sent_yet_only_the_copy_goes(box, two):
    step, instance = two
    send(box)
    correct(box, step)
    assert sorted(states(box, instance.sop_instance_uid)) == [CANCELLED, SENT]
    work(box)
    (copy,), (note,) = copies(box, step), notes(box, step)
    assert send(box, to="archive") == [copy.sop_instance_uid]
    assert send(box) == [copy.sop_instance_uid]
    work(box)
    assert [each.destination for each in box.spool.deliveries.of_payload(note.sop_instance_uid)] == ["pacs"]


def test_one_dead_destination_holds_up_no_other(box, two):
    step, _ = two
    send(box)
    send(box, to="archive")
    correct(box, step)
    work(box)
    (note,) = notes(box, step)
    send(box)
    work(box)
    assert send(box) == [note.sop_instance_uid]
    assert [each.state for each in box.spool.deliveries.of_payload(note.sop_instance_uid)] == [HELD, SENT]


def test_the_note_waits_while_the_former_is_on_the_wire(box, released):
    step, instance = released
    (delivery,) = box.spool.deliveries.claim("pacs", 1)
    correct(box, step)
    work(box)
    assert (len(copies(box, step)), notes(box, step)) == (1, [])
    box.spool.deliveries.settle([(delivery.delivery_id, LATER)])
    work(box)
    assert states(box, instance.sop_instance_uid) == [CANCELLED], (
        "whether it arrived nobody knows: it is named all the same"
    )
    assert named_in(read(box, notes(box, step)[0]))[1] == [instance.sop_instance_uid]


def test_nothing_that_a_note_names_is_sent_again(box, released):
    step, instance = released
    send(box)
    correct(box, step)
    work(box)
    with pytest.raises(WrongState, match="rejected"):
        box.spool.deliveries.apply(box.spool.deliveries.of_payload(instance.sop_instance_uid)[0].delivery_id, "retry")


def test_a_corrected_exam_is_corrected_again(box, released):
    step, first = released
    for patient in (TRUE, THIRD):
        send(box)
        now = correct(box, step, patient)
        work(box)
    second, third = copies(box, step)
    assert (second.replaces, third.replaces) == (first.sop_instance_uid, second.sop_instance_uid)
    assert (read(box, second).PatientID, read(box, third).PatientID) == ("42", "43")
    assert len(read(box, third).OriginalAttributesSequence) == 2
    assert len({each.study_instance_uid for each in (first, second, third)}) == 3
    for _ in range(2):
        send(box)
        work(box)
    said = [(read(box, each).PatientID, *named_in(read(box, each))) for each in notes(box, step)]
    assert said == [
        (WHO.patient_id, first.study_instance_uid, [first.sop_instance_uid]),
        ("42", second.study_instance_uid, [second.sop_instance_uid]),
    ]
    assert third.study_instance_uid == now.study_instance_uid
    assert states(box, third.sop_instance_uid) == [SENT]


def test_two_corrections_before_the_keeper_looked_are_one_copy_of_the_last(box, released):
    step, first = released
    send(box)
    correct(box, step)
    correct(box, step, THIRD)
    work(box)
    (copy,), (note,) = copies(box, step), notes(box, step)
    assert read(box, copy).PatientID == "43"
    assert (read(box, note).PatientID, named_in(read(box, note))[1]) == (WHO.patient_id, [first.sop_instance_uid])


def test_a_copy_that_has_not_left_is_only_rewritten_by_a_second_correction(box, released):
    step, first = released
    send(box)
    correct(box, step)
    work(box)
    correct(box, step, THIRD)
    work(box)
    (copy,) = copies(box, step)
    assert (read(box, copy).PatientID, copy.replaces) == ("43", first.sop_instance_uid)
    assert len(notes(box, step)) == 1
    assert send(box) == [copy.sop_instance_uid]


def test_a_correction_between_a_copy_and_its_commit_lets_no_wrong_name_out(box, released, monkeypatch):
    """The keeper has written a copy for the one, and a person says it is the other before it is admitted."""
    step, first = released
    send(box)
    correct(box, step)
    real = box.spool.instances.admit

    def admit(*args, **options):
        monkeypatch.undo()
        correct(box, step, THIRD)
        return real(*args, **options)

    monkeypatch.setattr(box.spool.instances, "admit", admit)
    keeper.correct(box)
    assert send(box) == []
    for _ in range(2):
        work(box)
    (copy,) = copies(box, step)
    assert send(box) == [copy.sop_instance_uid]
    assert read(box, copy).PatientID == "43"
    work(box)
    assert named_in(read(box, notes(box, step)[0]))[1] == [first.sop_instance_uid]
    assert box.spool.exams.corrections_owed() == []


def test_a_damaged_original_is_shown_and_holds_up_no_other(box, released):
    step, first = released
    _, second = another(box, step)
    release(box)
    send(box)
    path = box.spool.blobs.path(first.blob)
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    correct(box, step)
    work(box)
    assert [(each.subject, each.error_code) for each in box.spool.troubles.all()] == [(first.sop_instance_uid, "G402")]
    (copy,) = copies(box, step)
    assert copy.replaces == second.sop_instance_uid
    assert sorted(named_in(read(box, notes(box, step)[0]))[1]) == sorted(
        [first.sop_instance_uid, second.sop_instance_uid]
    )
    assert box.spool.exams.corrections_owed() == []


def test_what_cannot_be_copied_is_shown_and_nothing_is_rejected_before_it_is(box, released, monkeypatch):
    step, first = released
    _, second = another(box, step)
    release(box)
    send(box)
    correct(box, step)
    real = keeper.correction.revise.write

    def write(source, *args, **options):
        if options.get("replaces") == first.sop_instance_uid:
            raise DiskFull
        return real(source, *args, **options)

    with monkeypatch.context() as full:
        full.setattr(keeper.correction.revise, "write", write)
        with pytest.raises(DiskFull):
            keeper.correct(box)
    assert [each.replaces for each in copies(box, step)] == [second.sop_instance_uid]
    assert notes(box, step) == []
    assert [each.subject for each in box.spool.troubles.all()] == [f"exam {step.exam_id}"]
    work(box)
    assert (len(copies(box, step)), len(notes(box, step))) == (2, 1)


def test_nothing_is_purged_before_its_copy_is_made(box, released):
    step, instance = released
    send(box)
    exam.complete(box.spool, box.clock, step.exam_id)
    box.clock.sleep(timedelta(days=box.site.spool.retention_days + 1).total_seconds())
    correct(box, step)
    keeper.purge(box)
    assert box.spool.instances.is_here(instance.sop_instance_uid)
    with pytest.raises(WrongState):
        box.spool.instances.purge(instance.sop_instance_uid)
    work(box)
    keeper.purge(box)
    assert not box.spool.instances.is_here(instance.sop_instance_uid)
    (copy,) = copies(box, step)
    assert send(box) == [copy.sop_instance_uid]
    assert box.spool.blobs.verify(copy.blob) is None


def test_a_capture_that_was_discarded_gets_no_copy_and_its_note_names_the_wrong_patient(box, released):
    step, instance = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1, by="Eve")
    correct(box, step)
    work(box)
    assert copies(box, step) == []
    (note,) = notes(box, step)
    ds = read(box, note)
    assert (ds.PatientID, ds.ConceptNameCodeSequence[0].CodeValue) == (WHO.patient_id, "113001")
    assert named_in(ds) == (instance.study_instance_uid, [instance.sop_instance_uid])
    assert send(box) == [note.sop_instance_uid]


def test_a_capture_that_is_discarded_after_the_correction_is_rejected_as_the_true_patients(box, released):
    step, _ = released
    send(box)
    now = correct(box, step)
    for _ in range(2):
        work(box)
        send(box)
    exam.discard(box.spool, step.exam_id, 1, by="Eve")
    work(box)
    (copy,), (_, last) = copies(box, step), notes(box, step)
    assert named_in(read(box, last)) == (now.study_instance_uid, [copy.sop_instance_uid])
    assert read(box, last).PatientID == "42"
    assert send(box) == [last.sop_instance_uid]


def test_a_capture_that_is_discarded_before_its_copy_left_is_rejected_once(box, released):
    step, _ = released
    send(box)
    correct(box, step)
    work(box)
    assert not exam.discard(box.spool, step.exam_id, 1, by="Eve"), "the copy went to nobody"
    work(box)
    (copy,), (note,) = copies(box, step), notes(box, step)
    assert states(box, copy.sop_instance_uid) == [CANCELLED]
    assert send(box) == [note.sop_instance_uid]


def test_a_measurement_is_corrected_like_a_picture(box, released):
    step, _ = released
    box.site.serial["LINE"] = SerialPort(device="simulator:scale", instrument="plain-line-dose")
    capture = exam.begin_capture(box.spool, box.clock, step.exam_id, CaptureKind.READING, "LINE")
    equipment, kind = compose.origin(box, step, "LINE", is_reading=True)
    at = box.clock.monotonic_ns()
    segment = Segment(step=step, capture=capture, equipment=equipment, object=kind, captured_ns=at)
    read_off = Observation(concept=Code("121106", "DCM", "Comment"), value="12")
    said = ReadingSet(observations=(read_off,), received_ns=at)
    compose.store_measurements(box, [(segment, said)], also=lambda: exam.finish_capture(box.spool, capture))
    release(box)
    send(box)
    (report,) = of_kind(box, step, "sr")
    correct(box, step)
    work(box)
    copy = next(each for each in copies(box, step) if each.kind == "sr")
    before, after = read(box, report), read(box, copy)
    assert (after.PatientID, after.ContentSequence) == ("42", before.ContentSequence)
    assert after.SeriesInstanceUID not in {before.SeriesInstanceUID, copies(box, step)[0].series_instance_uid}
    assert unexplained(box.spool.blobs.path(copy.blob)) == []


def test_who_corrected_and_what_is_in_the_history_without_a_name(box, released):
    step, _ = released
    send(box)
    correct(box, step)
    work(box)
    told = box.spool.history.recent(100)
    assert {"corrected after it had left", "rejection note"} <= {each.event for each in told}
    said = json.dumps([(each.subject, each.event, each.text) for each in told])
    assert not any(word in said for word in ("True", "Phiname", "PHI-ID"))


@pytest.fixture
def two(box):
    """One picture that may leave to two destinations."""
    box.site.destination["archive"] = box.site.destination["pacs"]
    step, instance = still(box)
    release(box)
    return step, instance
