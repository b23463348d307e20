"""The judge of a cut finds each kind of loss in a store, and nothing in a store that kept its word."""

import sqlite3

import pytest

from gateway.clock import SystemClock
from gateway.model import CaptureKind, CaptureState
from gateway.spool.framelog import FrameLogHeader
from gateway.spool.spool import Spool
from tests.rig.power import STATION, judge
from tests.rig.power.judge import Lost, Wrong
from tests.spool.world import ACCEPTED, admit, step

FRAME = bytes(100)


@pytest.fixture
def store(tmp_path):
    """A box that has stored one object, sent another, ended one exam, and records in the next; what it said of that."""
    clock, data = SystemClock(), tmp_path / "spool"
    with Spool.open(data, clock) as spool:
        sent, stored = admit(spool, "1.2.1"), admit(spool, "1.2.2")
        (delivery,) = spool.deliveries.claim("pacs", 1)
        spool.deliveries.settle([(delivery.delivery_id, ACCEPTED)])
        ended, running = step(clock, station=STATION), step(clock, station=STATION)
        spool.exams.start(ended)
        still = spool.captures.begin(ended.exam_id, CaptureKind.STILL, STATION, clock.now(), clock.monotonic_ns())
        made = admit(spool, "2.25.3", exam_id=ended.exam_id, capture=still.number)
        spool.captures.set_state(ended.exam_id, still.number, CaptureState.HELD)
    said = [
        ["stored", "1.2.1", sent.blob],
        ["stored", "1.2.2", stored.blob],
        ["sent", "1.2.1", "pacs"],
        ["exam", str(ended.exam_id)],
        ["still", str(ended.exam_id), str(still.number), "2.25.3", made.blob],
    ]
    return data, said, running


def held_to(data, said, tmp_path, received=("1.2.1",)):
    judge.judge(data, tmp_path, said, set(received))


def change(data, sql):
    with sqlite3.connect(data / "gateway.db") as db:
        db.execute(sql)
    db.close()


def blob(data, said, number):
    digest = said[number][-1]
    return data / "blobs" / digest[:2] / digest


def test_a_store_that_kept_its_word_passes_as_often_as_it_is_looked_at(store, tmp_path):
    data, said, _ = store
    held_to(data, said, tmp_path)
    held_to(data, said, tmp_path)


def test_an_object_without_its_file_is_lost(store, tmp_path):
    data, said, _ = store
    blob(data, said, 1).unlink()
    with pytest.raises(Lost, match=r"1\.2\.2 was acknowledged and is torn"):
        held_to(data, said, tmp_path)


def test_an_object_with_one_torn_sector_is_lost(store, tmp_path):
    data, said, _ = store
    with blob(data, said, 1).open("r+b") as file:
        file.write(b"\0")
    with pytest.raises(Lost, match="torn"):
        held_to(data, said, tmp_path)


def test_an_object_whose_row_was_never_durable_is_lost(store, tmp_path):
    data, said, _ = store
    with pytest.raises(Lost, match="not here"):
        held_to(data, [*said, ["stored", "1.2.9", "ab" * 32]], tmp_path)


def test_what_was_settled_and_is_owed_again_is_found(store, tmp_path):
    data, said, _ = store
    change(data, "UPDATE delivery SET state = 'QUEUED' WHERE payload = '1.2.1'")
    with pytest.raises(Lost, match="owed again"):
        held_to(data, said, tmp_path)


def test_what_is_called_sent_and_never_arrived_is_found(store, tmp_path):
    data, said, _ = store
    with pytest.raises(Wrong, match="the PACS never had it"):
        held_to(data, said, tmp_path, received=())


def test_an_object_that_is_owed_to_nobody_is_found(store, tmp_path):
    data, said, _ = store
    change(data, "DELETE FROM delivery WHERE payload = '1.2.2'")
    with pytest.raises(Wrong, match="owed 0 times"):
        held_to(data, said, tmp_path)


def test_an_exam_or_a_capture_that_is_gone_is_found(store, tmp_path):
    data, said, running = store
    with pytest.raises(Lost):
        held_to(data, [*said, ["exam", str(running.exam_id)]], tmp_path)
    with pytest.raises(Lost, match="goes on"):
        held_to(data, [*said, ["ended", said[3][1]]], tmp_path)
    change(data, "UPDATE capture SET state = 'LOST'")
    with pytest.raises(Lost, match="not kept"):
        held_to(data, said, tmp_path)


def test_a_recording_that_is_shorter_than_what_was_synced_is_found(store, tmp_path):
    data, said, _ = store
    with Spool.open(data, SystemClock()) as spool:
        exam = spool.exams.get(spool.exams.recent(1)[0].exam_id)
        header = FrameLogHeader(exam_id=exam.exam_id, capture=7, started_at=exam.started_at, started_ns=1, boot_id="b")
        log = spool.new_frame_log(header)
        for number in range(3):
            log.append(FRAME, number)
        log.sync()
        log.abandon()
    name = f"{exam.exam_id}-7-0.log"
    with pytest.raises(Lost, match="3 frames of 4"):
        held_to(data, [*said, ["synced", name, "4"]], tmp_path)


def test_a_recording_that_is_neither_a_log_nor_an_object_is_found(store, tmp_path):
    data, said, _ = store
    with pytest.raises(Lost, match="0 frames of 1"):
        held_to(data, [*said, ["synced", f"{said[3][1]}-7-0.log", "1"]], tmp_path)
