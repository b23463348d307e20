"""Each task of the keeper by itself, on a real spool with a real object."""

import os
import threading
from datetime import timedelta

import pydicom
import pytest

from gateway import config, exam, uids
from gateway.errors import DiskFull, ProfileError
from gateway.model import DeliveryState, Patient, ScheduledStep, StoreOutcome
from gateway.objects import verify
from gateway.service import keeper, unit
from gateway.service.bell import Bell
from gateway.service.compose import Box
from gateway.simulators.ris import SimulatedRIS
from gateway.spool.quota import Room
from gateway.spool.spool import Spool
from tests.service.world import WHO, still


def states(box, instance):
    return [each.state for each in box.spool.deliveries.of_payload(instance.sop_instance_uid)]


def read(box, instance):
    return pydicom.dcmread(box.spool.blobs.path(box.spool.instances.get(instance.sop_instance_uid).blob))


def test_a_capture_is_released_when_its_time_has_come_and_forward_is_told(box):
    _, instance = still(box)
    with Bell(box.site.run, "forward") as bell:
        keeper.release(box)
        assert states(box, instance) == [DeliveryState.HELD]
        assert not bell.wait(0)
        box.clock.sleep(box.site.release.after_s + 1)
        keeper.release(box)
        assert states(box, instance) == [DeliveryState.QUEUED]
        assert bell.wait(0)


def test_an_identified_emergency_leaves_with_its_name_and_its_very_pixels(box):
    step, instance = still(box, patient=None)
    before = read(box, instance)
    box.clock.sleep(box.site.release.after_s + 1)
    exam.identify(box.spool, step.exam_id, patient=WHO)
    keeper.release(box)
    assert states(box, instance) == [DeliveryState.HELD]
    keeper.bring_up_to_date(box)
    keeper.release(box)
    after = read(box, instance)
    assert states(box, instance) == [DeliveryState.QUEUED]
    assert after.PatientName == WHO.name
    assert after.PatientID != before.PatientID
    assert after.PixelData == before.PixelData
    assert after.SOPInstanceUID == before.SOPInstanceUID
    assert box.spool.instances.behind_identity() == []


def test_an_emergency_that_is_identified_from_the_worklist_becomes_the_ordered_study(box):
    step, instance = still(box, patient=None)
    before = read(box, instance)
    box.clock.sleep(box.site.release.after_s + 1)
    order = _order(box)
    exam.identify(box.spool, step.exam_id, scheduled=order)
    keeper.bring_up_to_date(box)
    keeper.release(box)
    after, row = read(box, instance), box.spool.instances.get(instance.sop_instance_uid)
    assert states(box, instance) == [DeliveryState.QUEUED]
    assert before.StudyInstanceUID == uids.study(step.exam_id)
    assert after.StudyInstanceUID == row.study_instance_uid == order.study_instance_uid
    assert (after.AccessionNumber, after.PatientID) == ("A-31", "1")
    assert after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].StudyInstanceUID == before.StudyInstanceUID
    assert (after.PixelData, after.SOPInstanceUID) == (before.PixelData, before.SOPInstanceUID)
    assert verify.check(box.spool.blobs.path(row.blob)) == []


def test_a_patient_typed_over_the_wrong_order_takes_the_exam_out_of_that_study(box):
    step, instance = still(box, patient=None)
    exam.identify(box.spool, step.exam_id, scheduled=_order(box))
    keeper.bring_up_to_date(box)
    exam.identify(box.spool, step.exam_id, patient=WHO)
    keeper.bring_up_to_date(box)
    after = read(box, instance)
    assert (after.StudyInstanceUID, after.AccessionNumber) == (uids.study(step.exam_id), "")


def test_a_damaged_object_is_shown_and_never_gets_a_new_digest(box):
    step, instance = still(box, patient=None)
    path = box.spool.blobs.path(instance.blob)
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    exam.identify(box.spool, step.exam_id, patient=WHO)
    keeper.bring_up_to_date(box)
    assert box.spool.instances.get(instance.sop_instance_uid).blob == instance.blob
    assert [each.error_code for each in box.spool.troubles.all()] == ["G402"]


def test_one_object_that_cannot_be_rewritten_keeps_no_other_from_it(box, monkeypatch):
    step, first = still(box, patient=None)
    exam.complete(box.spool, box.clock, step.exam_id)
    other, second = still(box, patient=None)
    for each in (step, other):
        exam.identify(box.spool, each.exam_id, patient=WHO)
    real = keeper.words

    def words(site, segment):
        if segment.step.exam_id == step.exam_id:
            raise ProfileError(name="p", problem="gone")
        return real(site, segment)

    monkeypatch.setattr(keeper, "words", words)
    with pytest.raises(ProfileError):
        keeper.bring_up_to_date(box)
    assert read(box, second).PatientName == WHO.name
    assert [each.subject for each in box.spool.troubles.all()] == [first.sop_instance_uid]
    assert states(box, first) == [DeliveryState.HELD]


def test_what_a_dead_sender_had_is_taken_back(box):
    _, instance = still(box)
    box.clock.sleep(box.site.release.after_s + 1)
    keeper.release(box)
    if (pid := os.fork()) == 0:
        with Spool.open(box.site.data, box.clock) as other:
            other.deliveries.claim("pacs", 1)
        os._exit(0)
    os.waitpid(pid, 0)
    assert states(box, instance) == [DeliveryState.SENDING]
    keeper.take_back(box)
    assert states(box, instance) == [DeliveryState.QUEUED]


def test_recovery_leaves_the_living_alone(box):
    _, instance = still(box)
    box.clock.sleep(box.site.release.after_s + 1)
    keeper.release(box)
    (delivery,) = box.spool.deliveries.claim("pacs", 1)
    keeper.recover(box)
    assert states(box, instance) == [DeliveryState.SENDING]
    assert box.spool.deliveries.settle([(delivery.delivery_id, StoreOutcome(verdict="accepted"))]) == []


def test_only_what_everybody_has_is_purged_and_only_after_its_retention(box):
    step, instance = still(box)
    exam.complete(box.spool, box.clock, step.exam_id)
    box.clock.sleep(timedelta(days=box.site.spool.retention_days + 1).total_seconds())
    keeper.purge(box)
    assert box.spool.instances.is_here(instance.sop_instance_uid)
    keeper.release(box)
    (delivery,) = box.spool.deliveries.claim("pacs", 1)
    box.spool.deliveries.settle([(delivery.delivery_id, StoreOutcome(verdict="accepted"))])
    keeper.purge(box)
    assert box.spool.instances.is_here(instance.sop_instance_uid)
    box.clock.sleep(timedelta(days=box.site.spool.retention_days + 1).total_seconds())
    keeper.purge(box)
    assert not box.spool.instances.is_here(instance.sop_instance_uid)
    assert not box.spool.blobs.path(instance.blob).exists()


def test_an_exam_of_this_boot_is_dated_once_the_clock_is_certain(box):
    wall = box.clock.wall
    box.clock.wall, box.clock.why = wall.replace(year=1970), "it shows 1970"
    step, instance = still(box)
    keeper.watch_clock(box)
    keeper.bring_up_to_date(box)
    box.clock.sleep(box.site.release.after_s + 1)
    keeper.release(box)
    assert states(box, instance) == [DeliveryState.HELD]
    box.clock.wall, box.clock.why = wall + timedelta(minutes=1), ""
    keeper.watch_clock(box)
    keeper.bring_up_to_date(box)
    keeper.release(box)
    assert states(box, instance) == [DeliveryState.QUEUED]
    assert read(box, instance).StudyDate == "20261201"
    assert box.spool.exams.get(step.exam_id).started_at.year == 2026


def test_little_room_is_written_down_once_and_so_is_its_end(box, monkeypatch):
    watch = keeper.RoomWatch()
    for is_low in (False, True, True, False):
        monkeypatch.setattr(type(box.spool.quota), "room", lambda _, low=is_low: Room(1, 2, 0, low))
        watch(box)
    events = [entry.event for entry in box.spool.history.of("disk")]
    assert sorted(events) == ["room is low: new work is refused", "there is room again"]


def test_the_worklist_is_kept_while_the_ris_is_down(box, free_port):
    site = config.Site(
        paths=box.site.paths, worklist=config.Worklist(host="127.0.0.1", port=free_port, called_ae="RIS")
    )
    asking = Box(site=site, spool=box.spool, clock=box.clock)
    keeper.ask_worklist(asking)
    assert box.spool.worklist.fetched() is None
    assert box.spool.worklist.last_failure() is not None
    order = _order(box)
    with SimulatedRIS(free_port, [order]):
        keeper.ask_worklist(asking)
    assert [each.patient.name for each in box.spool.worklist.all()] == [order.patient.name]
    keeper.ask_worklist(asking)
    assert len(box.spool.worklist.all()) == 1


def test_a_ris_that_does_not_answer_holds_up_nobody(box, monkeypatch):
    """The RIS is asked in a thread: the keeper's own turn never waits for it."""
    site = config.Site(paths=box.site.paths, worklist=config.Worklist(host="127.0.0.1", port=1, called_ae="RIS"))
    asked, may_answer, stop = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr(keeper, "ask_worklist", lambda _: (asked.set(), may_answer.wait(20)))
    thread = threading.Thread(target=keeper.ask_on, args=(Box(site=site, spool=box.spool, clock=box.clock), stop))
    thread.start()
    assert asked.wait(10)
    stop.set()
    may_answer.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_task_that_fails_is_not_tried_at_once_and_ends_nothing(box):
    turns = []

    def fails(_):
        turns.append(1)
        raise ValueError("Phiname^Sentinel")

    for error in (None, DiskFull()):
        task = keeper.Task("t", 0.0, fails if error is None else lambda _, error=error: _raise(error))
        keeper.turn(task, box)
        assert task.due_s > 0
        keeper.turn(task, box)
    assert len(turns) == 1


def test_a_damaged_file_of_the_panel_is_shown_until_it_is_mended(box, tmp_path):
    path = config.write_override(box.site, "panel", {"grabber": {"ROOM-1": {"ring_s": 5.0, "retrospective_s": 5.0}}})
    good = path.read_bytes()
    path.write_bytes(b"[")
    keeper.show_configuration(box)
    keeper.show_configuration(box)
    assert [each.error_code for each in box.spool.troubles.all()] == ["G101"]
    path.write_bytes(good)
    keeper.show_configuration(box)
    assert box.spool.troubles.all() == []


def test_no_later_start_believes_a_clock_that_shows_less_than_what_was_certain(box, monkeypatch):
    box.clock.wall += timedelta(days=30)
    keeper.note_time(box)
    clock = unit.clock_of(box.site)
    monkeypatch.setattr(clock, "now", lambda: box.clock.wall - timedelta(hours=1))
    assert "before 2026-12-31" in clock.doubt()
    monkeypatch.setattr(clock, "now", lambda: box.clock.wall + timedelta(hours=1))
    assert clock.doubt() == ""


def test_an_uncertain_time_is_not_noted(box):
    box.clock.why = "it shows 1970"
    keeper.note_time(box)
    assert unit.seen_at(box.site.data) is None


@pytest.mark.parametrize("torn", [b"", b"\xff\x00", b"2026-12", b"2026-12-01T00:00:00"])
def test_a_torn_note_of_the_time_counts_as_none(box, torn):
    (box.site.data / unit.SEEN).write_bytes(torn)
    assert unit.seen_at(box.site.data) is None
    assert unit.clock_of(box.site).now().year >= 2020


def _order(box):
    return ScheduledStep(
        patient=Patient(patient_id="1", name="Wang^XiaoDong=王^小东"),
        scheduled_procedure_step_id="S1",
        study_instance_uid="1.2.3",
        accession_number="A-31",
        scheduled_start_date=f"{box.clock.now():%Y%m%d}",
        scheduled_start_time="080000",
        modality="US",
    )


def _raise(error):
    raise error
