"""What was discarded after it had left: a note follows it to everybody who may have it, once, and nothing else does."""

from datetime import timedelta

import pydicom
import pytest

from gateway import exam, uids
from gateway.errors import DiskFull
from gateway.model import DeliveryState, StoreOutcome
from gateway.objects import verify
from gateway.service import keeper
from gateway.service.bell import Bell
from tests.service.world import still

ACCEPTED = StoreOutcome(verdict="accepted")
LATER = StoreOutcome(verdict="later", error_code="G500", text="the connection broke")
HELD, QUEUED, SENT, CANCELLED = DeliveryState.HELD, DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.CANCELLED


@pytest.fixture
def released(box):
    """One picture that may leave."""
    step, instance = still(box)
    box.clock.sleep(box.site.release.after_s + 1)
    keeper.release(box)
    return step, instance


def send(box, outcome=ACCEPTED):
    claimed = box.spool.deliveries.claim("pacs", 10)
    box.spool.deliveries.settle([(each.delivery_id, outcome) for each in claimed])
    return [each.payload for each in claimed]


def states(box, payload):
    return [each.state for each in box.spool.deliveries.of_payload(payload)]


def note_of(step):
    return uids.instance(step.exam_id, "note", 1, 0)


def notes(box, step):
    return [each for each in box.spool.instances.of_exam(step.exam_id) if each.kind == "note"]


def read(box, instance):
    return pydicom.dcmread(box.spool.blobs.path(instance.blob))


def test_a_note_follows_what_was_sent_and_then_discarded(box, released):
    step, instance = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1, by="Ada")
    with Bell(box.site.run, "forward") as bell:
        keeper.reject(box)
        assert bell.wait(0)
    (made,) = notes(box, step)
    ds = read(box, made)
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert (made.sop_instance_uid, ds.StudyInstanceUID) == (note_of(step), step.study_instance_uid)
    assert series.SeriesInstanceUID == instance.series_instance_uid
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == instance.sop_instance_uid
    assert verify.check(box.spool.blobs.path(made.blob)) == []
    assert states(box, made.sop_instance_uid) == [QUEUED]
    assert send(box) == [note_of(step)]


def test_a_note_is_written_once(box, released):
    step, _ = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1)
    for _ in range(3):
        keeper.reject(box)
        box.clock.sleep(60)
    assert len(notes(box, step)) == 1
    assert len(box.spool.deliveries.of_payload(note_of(step))) == 1


def test_a_note_waits_while_what_it_rejects_is_on_the_wire(box, released):
    step, instance = released
    (delivery,) = box.spool.deliveries.claim("pacs", 1)
    exam.discard(box.spool, step.exam_id, 1)
    keeper.reject(box)
    assert notes(box, step) == []
    box.spool.deliveries.settle([(delivery.delivery_id, ACCEPTED)])
    keeper.reject(box)
    assert states(box, instance.sop_instance_uid) == [SENT]
    assert send(box) == [note_of(step)]


def test_what_comes_back_from_a_broken_link_is_not_sent_again(box, released):
    """Whether it had arrived before the link broke nobody knows: the note goes all the same."""
    step, instance = released
    (delivery,) = box.spool.deliveries.claim("pacs", 1)
    exam.discard(box.spool, step.exam_id, 1)
    box.spool.deliveries.settle([(delivery.delivery_id, LATER)])
    keeper.reject(box)
    assert states(box, instance.sop_instance_uid) == [CANCELLED]
    assert send(box) == [note_of(step)]


def test_what_nobody_was_sent_is_followed_by_nothing(box, released):
    step, instance = released
    exam.discard(box.spool, step.exam_id, 1)
    keeper.reject(box)
    assert (notes(box, step), states(box, instance.sop_instance_uid)) == ([], [CANCELLED])


def test_a_crash_before_the_commit_costs_a_second_writing_and_makes_no_second_note(box, released, monkeypatch):
    step, _ = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1)
    with monkeypatch.context() as broken:
        broken.setattr(box.spool.instances, "rejected", lambda *_: _raise(DiskFull()))
        with pytest.raises(DiskFull):
            keeper.reject(box)
        assert notes(box, step) == []
    keeper.recover(box)
    box.clock.sleep(5)
    keeper.reject(box)
    (made,) = notes(box, step)
    assert states(box, made.sop_instance_uid) == [QUEUED]
    assert set(box.spool.blobs.all()) == {each.blob for each in box.spool.instances.of_exam(step.exam_id)}


def test_a_note_outlives_what_it_rejects_and_leaves_after_its_own_retention(box, released):
    step, instance = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1)
    keeper.reject(box)
    exam.complete(box.spool, box.clock, step.exam_id)
    keeper.purge(box)
    assert not box.spool.instances.is_here(instance.sop_instance_uid)
    assert send(box) == [note_of(step)]
    keeper.purge(box)
    assert box.spool.instances.is_here(note_of(step))
    box.clock.sleep(timedelta(days=box.site.spool.retention_days + 1).total_seconds())
    keeper.purge(box)
    assert not box.spool.instances.is_here(note_of(step))


def test_a_time_that_is_confirmed_later_leaves_a_note_as_it_is(box, released):
    step, _ = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1)
    keeper.reject(box)
    before = notes(box, step)
    box.spool.exams.confirm_time(step.exam_id, step.started_at - timedelta(hours=1))
    keeper.bring_up_to_date(box)
    assert notes(box, step) == before
    assert box.spool.troubles.all() == []


def test_a_clock_that_lies_dates_no_note_in_1970(box, released):
    step, _ = released
    send(box)
    exam.discard(box.spool, step.exam_id, 1)
    box.clock.wall, box.clock.why = box.clock.wall.replace(year=1970), "it shows 1970"
    keeper.reject(box)
    (made,) = notes(box, step)
    assert read(box, made).ContentDate == "20261201"


def test_a_note_that_cannot_be_written_is_shown_and_keeps_no_other_from_it(box, released, monkeypatch):
    step, _ = released
    exam.complete(box.spool, box.clock, step.exam_id)
    other, _ = still(box)
    exam.complete(box.spool, box.clock, other.exam_id)
    send(box)
    for each in (step, other):
        exam.discard(box.spool, each.exam_id, 1)
    real = keeper.rejection.pay

    def pay(box, owed, at):
        return _raise(DiskFull()) if owed.exam_id == step.exam_id else real(box, owed, at)

    monkeypatch.setattr(keeper.rejection, "pay", pay)
    with pytest.raises(DiskFull):
        keeper.reject(box)
    assert len(notes(box, other)) == 1
    assert [each.subject for each in box.spool.troubles.all()] == [f"exam {step.exam_id}"]


def _raise(error):
    raise error
