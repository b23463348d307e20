"""What may leave, and what must not yet: time, patient, clock, header, person."""

from datetime import timedelta

import pytest

from gateway.errors import BlobMissing, ClockUntrusted, PatientUnknown, SpoolError, WrongState
from gateway.model import CaptureKind, CaptureState, Patient, ScheduledStep, StepStatus
from gateway.spool.spool import Spool
from tests.spool.world import NEVER, SECOND_NS, admit, instance, send, states, step

PATIENT = Patient(patient_id="7", name="Ω^Ψ")


@pytest.fixture
def exam(spool, clock):
    running = step(clock, patient=PATIENT)
    spool.exams.start(running)
    return running


def test_a_capture_leaves_when_its_time_has_come(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    assert spool.deliveries.release_due() == 0
    assert spool.deliveries.claim("pacs", 9) == []
    clock.sleep(29.9)
    assert spool.deliveries.release_due() == 0
    clock.sleep(0.2)
    assert spool.deliveries.release_due() == 1
    assert states(spool, "1.1") == ["QUEUED"]
    assert spool.captures.get(exam.exam_id, 1).state == "RELEASED"
    assert spool.deliveries.release_due() == 0


def test_the_wall_clock_releases_nothing(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    clock.wall += timedelta(days=9)
    assert spool.deliveries.release_due() == 0


def test_after_a_reboot_enough_time_has_certainly_passed(data, clock):
    with Spool.open(data, clock) as spool:
        running = step(clock, patient=PATIENT)
        spool.exams.start(running)
        _capture(spool, clock, running, "1.1")
    clock.reboot()
    with Spool.open(data, clock) as spool:
        assert spool.deliveries.release_due() == 1


def test_a_capture_that_still_records_waits(spool, clock, exam):
    _capture(spool, clock, exam, "1.1", state=None)
    clock.sleep(60)
    assert spool.deliveries.release_due() == 0
    spool.captures.set_state(exam.exam_id, 1, CaptureState.HELD)
    assert spool.deliveries.release_due() == 1


def test_an_emergency_waits_for_its_patient_and_for_every_header(spool, clock):
    running = step(clock)
    spool.exams.start(running)
    for number in (1, 2):
        _capture(spool, clock, running, f"1.{number}")
    clock.sleep(60)
    assert spool.deliveries.release_due() == 0
    with pytest.raises(PatientUnknown):
        spool.deliveries.apply(1, "release", by="eve")
    spool.exams.identify(running.exam_id, PATIENT, None)
    assert spool.deliveries.release_due() == 0, "the headers name nobody yet"
    with pytest.raises(WrongState):
        spool.deliveries.apply(1, "release", by="eve")
    assert [behind.sop_instance_uid for behind in spool.instances.behind_identity()] == ["1.1", "1.2"]
    _rewrite(spool, "1.1", 1)
    assert spool.deliveries.release_due() == 0, "one of them is still behind"
    _rewrite(spool, "1.2", 1)
    assert spool.instances.behind_identity() == []
    assert spool.deliveries.release_due() == 2
    assert spool.instances.get("1.1").revision == 1


def test_an_object_that_was_made_before_the_identification_and_admitted_after_it_is_behind(spool, clock):
    running = step(clock)
    spool.exams.start(running)
    spool.exams.identify(running.exam_id, PATIENT, None)
    _capture(spool, clock, running, "1.1")
    clock.sleep(60)
    assert spool.deliveries.release_due() == 0
    assert [behind.sop_instance_uid for behind in spool.instances.behind_identity()] == ["1.1"]


def test_a_correction_before_release_is_due_again(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    clock.sleep(60)
    spool.exams.identify(exam.exam_id, Patient(patient_id="8", name="C^D"), None)
    assert spool.deliveries.release_due() == 0
    _rewrite(spool, "1.1", 1)
    assert spool.deliveries.release_due() == 1


def test_what_has_left_is_never_rewritten(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    clock.sleep(60)
    spool.deliveries.release_due()
    spool.exams.identify(exam.exam_id, PATIENT, None)
    assert spool.instances.behind_identity() == []
    with pytest.raises(WrongState):
        _rewrite(spool, "1.1", 1)
    _capture(spool, clock, exam, "1.2", revision=1)
    clock.sleep(60)
    assert spool.deliveries.release_due() == 1, "what left already does not keep the rest"


def test_the_study_is_the_orders_until_something_has_left_under_its_own(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    assert not spool.exams.has_left(exam.exam_id)
    assert spool.exams.identify(exam.exam_id, PATIENT, _order("1.2.3")).study_instance_uid == "1.2.3"
    _rewrite(spool, "1.1", 1)
    clock.sleep(60)
    spool.deliveries.release_due()
    assert spool.exams.has_left(exam.exam_id)
    assert spool.exams.identify(exam.exam_id, PATIENT, _order("1.2.4")).study_instance_uid == "1.2.3"


def test_what_was_tried_once_and_then_given_up_may_have_left(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    clock.sleep(60)
    spool.exams.identify(exam.exam_id, PATIENT, None)
    _rewrite(spool, "1.1", 1)
    spool.deliveries.release_due()
    (delivery, *_) = spool.deliveries.claim("pacs", 1)
    spool.deliveries.settle([(delivery.delivery_id, NEVER)])
    for each in spool.deliveries.of_exam(exam.exam_id):
        spool.deliveries.apply(each.delivery_id, "cancel", by="somebody")
    assert spool.exams.has_left(exam.exam_id)


def test_a_revision_never_goes_back(spool, clock, exam):
    _capture(spool, clock, exam, "1.1", revision=3)
    for revision in (2, 3):
        with pytest.raises(WrongState):
            _rewrite(spool, "1.1", revision)
    with pytest.raises(BlobMissing):
        spool.instances.revise("1.1", revision=4, blob="0" * 64, size_bytes=1, data_digest="d", what="")


def test_a_former_revision_leaves_the_disk_and_the_new_one_stays(spool, clock, exam):
    made = _capture(spool, clock, exam, "1.1")
    fresh = _rewrite(spool, "1.1", 1)
    assert set(spool.blobs.all()) == {made.blob, fresh.blob}
    assert spool.recover().quarantined == 0
    assert set(spool.blobs.all()) == {fresh.blob}


def test_with_a_doubtful_clock_nothing_leaves_until_its_time_is_certain(spool, clock):
    clock.why, clock.wall = "it shows 1970-01-01", clock.wall.replace(year=1970)
    running = step(clock, patient=PATIENT)
    spool.exams.start(running)
    clock.sleep(10)
    _capture(spool, clock, running, "1.1")
    clock.sleep(60)
    assert spool.deliveries.release_due() == 0
    with pytest.raises(ClockUntrusted):
        spool.deliveries.apply(1, "release", by="eve")
    assert spool.exams.date_doubtful() == 0, "it is not trusted yet"
    clock.why, clock.wall = "", clock.wall.replace(year=2026)
    assert spool.exams.date_doubtful() == 1
    dated = spool.exams.get(running.exam_id)
    assert (dated.clock_doubt, dated.started_at) == ("", clock.now() - timedelta(seconds=70))
    assert spool.captures.get(running.exam_id, 1).started_at == clock.now() - timedelta(seconds=60)
    assert spool.deliveries.release_due() == 0, "its header still says 1970"
    _rewrite(spool, "1.1", 1)
    assert spool.deliveries.release_due() == 1


def test_after_a_reboot_a_doubtful_exam_waits_for_a_person(data, clock):
    clock.why = "it shows 1970-01-01"
    with Spool.open(data, clock) as spool:
        running = step(clock, patient=PATIENT)
        spool.exams.start(running)
        _capture(spool, clock, running, "1.1")
    clock.reboot()
    clock.why = ""
    with Spool.open(data, clock) as spool:
        assert spool.exams.date_doubtful() == 0
        assert [exam.exam_id for exam in spool.exams.doubtful()] == [running.exam_id]
        spool.exams.confirm_time(running.exam_id, clock.now())
        assert spool.exams.doubtful() == []
        assert [behind.sop_instance_uid for behind in spool.instances.behind_identity()] == ["1.1"]


def test_at_completion_all_that_waits_leaves_but_the_discarded(spool, clock, exam):
    for number in (1, 2, 3):
        _capture(spool, clock, exam, f"1.{number}", release_at_ns=None)
    spool.captures.set_state(exam.exam_id, 2, CaptureState.DISCARDED)
    clock.sleep(999)
    assert spool.deliveries.release_due() == 0, "release at completion has no time"
    spool.exams.end(exam.exam_id, StepStatus.COMPLETED, clock.now(), "")
    assert spool.instances.release_exam(exam.exam_id) == 2
    assert [states(spool, f"1.{number}") for number in (1, 2, 3)] == [["QUEUED"], ["HELD"], ["QUEUED"]]


def test_an_unidentified_exam_that_ended_leaves_when_it_is_identified(spool, clock):
    running = step(clock)
    spool.exams.start(running)
    _capture(spool, clock, running, "1.1", release_at_ns=None)
    spool.exams.end(running.exam_id, StepStatus.COMPLETED, clock.now(), "")
    assert spool.instances.release_exam(running.exam_id) == 0
    spool.exams.identify(running.exam_id, PATIENT, None)
    _rewrite(spool, "1.1", 1)
    assert spool.deliveries.release_due() == 1


def test_a_discarded_capture_waits_and_leaves_when_it_is_brought_back(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    spool.captures.set_state(exam.exam_id, 1, CaptureState.DISCARDED)
    clock.sleep(60)
    assert spool.deliveries.release_due() == 0
    with pytest.raises(WrongState):
        spool.deliveries.apply(1, "release", by="eve")
    spool.captures.set_state(exam.exam_id, 1, CaptureState.HELD)
    assert spool.deliveries.release_due() == 1


def test_what_a_person_holds_no_time_releases(spool, clock):
    admit(spool, "1.1")
    spool.deliveries.apply(1, "hold", by="eve")
    clock.sleep(9999)
    assert spool.deliveries.release_due() == 0
    assert spool.deliveries.apply(1, "release", by="eve") == "QUEUED"


def test_other_content_under_a_uid_waits_for_a_person_who_delivers_it(spool, clock):
    admit(spool, "1.1", data=b"first")
    admit(spool, "1.1", data=b"other", variant=1, is_held=True)
    assert send(spool) == ["1.1"]
    clock.sleep(9999)
    assert spool.deliveries.release_due() == 0
    assert [held.variant for held in spool.instances.held()] == [1]
    assert [known.variant for known in spool.instances.same_uid("1.1")] == [0, 1]
    with pytest.raises(SpoolError):
        spool.instances.decide("1.1#1", deliver=True, by="")
    spool.instances.decide("1.1#1", deliver=True, by="eve")
    assert spool.instances.held() == []
    assert send(spool) == ["1.1#1"]


def test_other_content_under_a_uid_waits_for_a_person_who_discards_it(spool, clock):
    admit(spool, "1.1", data=b"first")
    other = admit(spool, "1.1", data=b"other", variant=1, is_held=True)
    spool.instances.decide("1.1#1", deliver=False, by="eve")
    assert states(spool, "1.1#1") == ["CANCELLED"]
    purgeable = spool.instances.purgeable(clock.now(), timedelta(days=30))
    assert [gone.blob for gone in purgeable] == [other.blob]


def _capture(spool, clock, exam, uid, *, state=CaptureState.HELD, **fields):
    capture = spool.captures.begin(exam.exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
    given = {"release_at_ns": clock.monotonic_ns() + 30 * SECOND_NS} | fields
    made = admit(spool, uid, hold=True, exam_id=exam.exam_id, capture=capture.number, **given)
    if state:
        spool.captures.set_state(exam.exam_id, capture.number, state)
    return made


def test_only_what_was_released_is_rejected_and_only_once(spool, clock, exam):
    _capture(spool, clock, exam, "1.1")
    with pytest.raises(WrongState):
        spool.captures.reject(exam.exam_id, 1, "Ada", is_note_owed=True)
    clock.sleep(60)
    spool.deliveries.release_due()
    with pytest.raises(WrongState):
        spool.captures.set_state(exam.exam_id, 1, CaptureState.DISCARDED)
    spool.captures.reject(exam.exam_id, 1, "Ada", is_note_owed=True)
    with pytest.raises(WrongState):
        spool.captures.reject(exam.exam_id, 1, "Ada", is_note_owed=True)
    assert spool.captures.is_rejected(exam.exam_id, 1)
    assert [(owed.number, owed.by) for owed in spool.captures.notes_owed()] == [(1, "Ada")]
    spool.captures.note_written(exam.exam_id, 1)
    assert spool.captures.notes_owed() == []
    assert spool.captures.is_rejected(exam.exam_id, 1), "the note ends the debt, not the rejection"


def _order(study):
    return ScheduledStep(patient=PATIENT, scheduled_procedure_step_id="S1", study_instance_uid=study)


def _rewrite(spool, uid, revision):
    data = f"{uid} revision {revision}".encode()
    fresh = instance(uid, data)
    with spool.blobs.part() as part:
        part.write(data)
        part.commit()
        return spool.instances.revise(
            uid,
            revision=revision,
            blob=fresh.blob,
            size_bytes=len(data),
            data_digest=fresh.data_digest,
            what="identity",
        )
