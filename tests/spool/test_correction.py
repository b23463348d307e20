"""A correction after release, as rows: what the exam was is kept, what is owed is known, and a note waits for the copies."""

from datetime import timedelta

import pytest

from gateway import uids
from gateway.errors import WrongState
from gateway.model import CaptureKind, CaptureState, Patient, ScheduledStep, StepStatus
from gateway.spool.spool import Spool
from tests.spool.world import ACCEPTED, LATER, NEVER, admit, send, states, step

WRONG, TRUE = Patient(patient_id="7", name="Ω^Ψ"), Patient(patient_id="8", name="C^D")


@pytest.fixture
def exam(spool, clock):
    running = step(clock, patient=WRONG)
    spool.exams.start(running)
    return running


def capture(spool, clock, exam, uid, destinations=("pacs",), **fields):
    made = spool.captures.begin(exam.exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
    given = {"release_at_ns": 0, "kind": "image", "capture": made.number} | fields
    admit(spool, uid, destinations, hold=True, exam_id=exam.exam_id, **given)
    spool.captures.set_state(exam.exam_id, made.number, CaptureState.HELD)
    spool.deliveries.release_due()


def copy(spool, exam, of, destinations=("pacs",), revision=1):
    fields = {"kind": "image", "capture": 1, "release_at_ns": 0}
    return admit(
        spool, f"{of}.9", destinations, hold=True, exam_id=exam.exam_id, replaces=of, revision=revision, **fields
    )


def note(spool, exam, destinations=("pacs",)):
    return admit(spool, "9.9", destinations, hold=True, exam_id=exam.exam_id, kind="note", release_at_ns=0)


def owed(spool, exam, **which):
    return [each.sop_instance_uid for each in spool.instances.uncorrected(exam.exam_id, **which)]


def test_a_correction_keeps_what_the_exam_was_and_by_whom_it_changed(data, clock):
    with Spool.open(data, clock) as spool:
        was = step(clock, patient=WRONG)
        spool.exams.start(was)
        now = spool.exams.correct(was.exam_id, TRUE, None, "Ada")
        assert (now.patient, now.identity_revision, now.corrected) == (TRUE, 1, 1)
        assert now.study_instance_uid == uids.study(was.exam_id, 1) != was.study_instance_uid
    with Spool.open(data, clock) as spool:
        found = spool.exams.correction_after(was.exam_id, 0)
        assert (found.former, found.by, found.revision) == (was, "Ada", 1)
        assert spool.exams.correction_after(was.exam_id, 1) is None
        assert spool.exams.corrections_owed() == [was.exam_id]
        assert spool.exams.get(was.exam_id) == now


def test_each_object_finds_the_identity_under_which_it_left(spool, exam):
    first = spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    spool.exams.confirm_time(exam.exam_id, exam.started_at)
    spool.exams.correct(exam.exam_id, WRONG, None, "Eve")
    after = spool.exams.correction_after
    assert after(exam.exam_id, 0).former == exam
    assert after(exam.exam_id, 1).former.patient == after(exam.exam_id, 2).former.patient == first.patient
    assert (after(exam.exam_id, 1).revision, after(exam.exam_id, 3)) == (3, None)


@pytest.mark.parametrize(("patient", "is_taken"), [(TRUE, False), (WRONG, True)])
def test_an_order_in_the_study_of_somebody_else_gives_no_study(spool, exam, patient, is_taken):
    """RIS have given the order to another patient meanwhile; or it was that patient's after all."""
    order = ScheduledStep(patient=patient, scheduled_procedure_step_id="S", study_instance_uid=exam.study_instance_uid)
    now = spool.exams.correct(exam.exam_id, patient, order, "Ada")
    assert (now.study_instance_uid == exam.study_instance_uid) is is_taken


def test_paying_an_earlier_correction_leaves_a_later_one_owed(spool, exam):
    for patient in (TRUE, WRONG):
        spool.exams.correct(exam.exam_id, patient, None, "Ada")
    spool.exams.correction_paid(exam.exam_id, 1)
    assert spool.exams.corrections_owed() == [exam.exam_id]
    spool.exams.correction_paid(exam.exam_id, 2)
    assert spool.exams.corrections_owed() == []


def test_what_was_sent_or_tried_is_owed_a_copy_and_nothing_else_is(spool, clock, exam):
    for number, outcome in enumerate((ACCEPTED, LATER, NEVER, None)):
        capture(spool, clock, exam, f"1.{number}")
        if outcome:
            send(spool, outcome=outcome, limit=1)
    capture(spool, clock, exam, "1.4")
    send(spool)
    spool.captures.reject(exam.exam_id, 5, "Eve", is_note_owed=True)
    assert [each.sop_instance_uid for each in spool.instances.left(exam.exam_id)] == ["1.0", "1.1", "1.2", "1.3"]
    assert owed(spool, exam) == [], "nothing was corrected"
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    assert owed(spool, exam) == ["1.0", "1.1", "1.2", "1.3"]
    spool.instances.rejected(spool.instances.left(exam.exam_id)[:1])
    assert owed(spool, exam) == ["1.1", "1.2", "1.3"]


def test_a_damaged_object_is_owed_no_copy_but_a_note(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    send(spool)
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    path = spool.blobs.path(spool.instances.get("1.1").blob)
    path.chmod(0o600)
    path.write_bytes(b"changed")
    assert not spool.instances.verify("1.1")
    assert (owed(spool, exam), owed(spool, exam, is_damaged_too=True)) == ([], ["1.1"])


def test_a_copy_is_known_by_what_it_replaces(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    send(spool)
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    assert not spool.instances.is_replaced("1.1")
    copy(spool, exam, "1.1")
    assert spool.instances.is_replaced("1.1")
    assert not spool.instances.is_replaced("")
    assert owed(spool, exam) == ["1.1"], "a copy is not behind, and nothing of it has left"


def test_nothing_of_an_exam_is_purged_while_a_correction_is_owed(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    send(spool)
    spool.exams.end(exam.exam_id, StepStatus.COMPLETED, clock.now(), "")
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    later = clock.now() + timedelta(days=400)
    assert spool.instances.purgeable(later, timedelta(days=30)) == []
    with pytest.raises(WrongState):
        spool.instances.purge("1.1")
    spool.exams.correction_paid(exam.exam_id, 1)
    assert [each.sop_instance_uid for each in spool.instances.purgeable(later, timedelta(days=30))] == ["1.1"]
    spool.instances.purge("1.1")


@pytest.mark.parametrize(("outcome", "is_free"), [(ACCEPTED, True), (LATER, False), (NEVER, False), (None, False)])
def test_a_note_leaves_for_a_destination_once_every_copy_has_arrived_there(spool, clock, exam, outcome, is_free):
    capture(spool, clock, exam, "1.1", ("pacs", "archive"))
    for name in ("pacs", "archive"):
        send(spool, name)
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    copy(spool, exam, "1.1", ("pacs", "archive"))
    note(spool, exam, ("pacs", "archive"))
    spool.deliveries.release_due()
    spool.exams.correction_paid(exam.exam_id, 1)
    assert send(spool, "archive") == ["1.1.9"]
    if outcome:
        assert send(spool, outcome=outcome) == ["1.1.9"]
    spool.deliveries.release_due()
    assert send(spool, "archive") == ["9.9"], "the one does not wait for the other"
    assert states(spool, "9.9") == [("QUEUED" if is_free else "HELD"), "SENT"]
    if not is_free:
        with pytest.raises(WrongState, match="corrected copies"):
            spool.deliveries.apply(spool.deliveries.of_payload("9.9")[0].delivery_id, "release", by="eve")


def test_a_note_waits_while_the_copies_are_not_made_yet(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    send(spool)
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    note(spool, exam)
    assert spool.deliveries.release_due() == 0
    spool.exams.correction_paid(exam.exam_id, 1)
    assert spool.deliveries.release_due() == 1


def test_a_copy_that_was_given_up_frees_the_note(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    send(spool)
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    copy(spool, exam, "1.1")
    note(spool, exam)
    spool.exams.correction_paid(exam.exam_id, 1)
    spool.deliveries.release_due()
    send(spool, outcome=NEVER)
    assert spool.deliveries.release_due() == 0
    spool.deliveries.apply(spool.deliveries.of_payload("1.1.9")[0].delivery_id, "cancel", by="eve")
    assert spool.deliveries.release_due() == 1


def test_what_a_note_names_is_never_sent_again(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    send(spool)
    spool.instances.rejected([spool.instances.get("1.1")])
    with pytest.raises(WrongState, match="rejected"):
        spool.deliveries.apply(1, "retry", by="eve")
    assert states(spool, "1.1") == ["SENT"]


def test_what_was_not_tried_waits_again_and_is_behind(spool, clock, exam):
    capture(spool, clock, exam, "1.1")
    assert states(spool, "1.1") == ["QUEUED"]
    spool.deliveries.wait_again("1.1")
    spool.exams.correct(exam.exam_id, TRUE, None, "Ada")
    assert [each.sop_instance_uid for each in spool.instances.behind_identity()] == ["1.1"]
    assert spool.deliveries.release_due() == 0


def test_a_damaged_header_keeps_no_other_from_leaving(spool, clock, exam):
    """It cannot be rewritten; it waits by itself, and the rest of its exam does not wait for it."""
    capture(spool, clock, exam, "1.1", release_at_ns=None)
    path = spool.blobs.path(spool.instances.get("1.1").blob)
    path.chmod(0o600)
    path.write_bytes(b"changed")
    spool.instances.verify("1.1")
    spool.exams.identify(exam.exam_id, TRUE, None)
    capture(spool, clock, exam, "1.2", revision=1)
    spool.instances.release_exam(exam.exam_id)
    assert (states(spool, "1.1"), states(spool, "1.2")) == (["HELD"], ["QUEUED"])


def test_a_store_of_before_the_corrections_is_brought_up(data, clock):
    """What a box of the first migration holds has no correction, replaces nothing and is not rejected."""
    with Spool.open(data, clock) as spool:
        admit(spool, "1.1")
        with spool.transaction():
            for statement in (
                "DROP INDEX instance_replaces",
                "ALTER TABLE instance DROP COLUMN replaces",
                "ALTER TABLE instance DROP COLUMN is_rejected",
                "DROP TABLE correction",
                "DELETE FROM _sqlite_migrations WHERE name = 'm002_correction'",
            ):
                spool._store.run(statement)
    with Spool.open(data, clock) as spool:
        made = spool.instances.get("1.1")
        assert (made.replaces, made.is_rejected, spool.exams.corrections_owed()) == ("", False, [])
