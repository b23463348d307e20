"""What a spool does on a disk that is really full. Each scenario runs in a process of its own, on a small file system.

`python -m tests.spool.full_disk SCENARIO FOLDER`; the folder is the root of that file system.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from gateway.errors import DiskFull
from gateway.model import CaptureKind, CaptureState, Patient
from gateway.spool.framelog import FrameLog, FrameLogHeader, tally
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock, admit, instance, send, states, step

OBJECT_BYTES = 300_000
MIB = 1 << 20


def new_work_is_refused_and_nothing_is_lost(folder: Path) -> None:
    clock = FakeClock()
    with Spool.open(folder / "data", clock, keep_free_bytes=4 * MIB) as spool:
        stored = _receive_until_full(spool)
        assert len(stored) > 10
        assert spool.quota.room().free_bytes < 4 * MIB + OBJECT_BYTES
        assert _refuses(spool), "still full"
        assert list((folder / "data" / "parts").iterdir()) == [], "a refused object leaves nothing behind"
        assert set(spool.blobs.all()) == {spool.instances.get(uid).blob for uid in stored}
        assert all(spool.instances.verify(uid) for uid in stored)
        assert send(spool) == stored, "sending goes on"
        clock.sleep(86400)
        for gone in spool.instances.purgeable(clock.now(), timedelta(0)):
            spool.instances.purge(gone.sop_instance_uid)
        assert list(spool.blobs.all()) == []
        admit(spool, "2.1", data=os.urandom(OBJECT_BYTES))
        assert spool.integrity() == []


def on_the_last_byte_the_exam_settling_and_purging_go_on(folder: Path) -> None:
    clock = FakeClock()
    with Spool.open(folder / "data", clock, ballast_bytes=4 * MIB, keep_free_bytes=2 * MIB) as spool:
        assert spool.quota.room().ballast_bytes == 4 * MIB
        sent = admit(spool, "1.sent")
        send(spool)
        admit(spool, "1.queued")
        running = step(clock, patient=Patient(patient_id="1", name="A"))
        spool.exams.start(running)
        filler = _fill(folder)
        assert _refuses(spool)
        assert spool.quota.room().ballast_bytes == 4 * MIB, "new work does not get the ballast"
        capture = spool.captures.begin(running.exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
        assert spool.quota.room().ballast_bytes == 0
        with spool.blobs.part(is_urgent=True) as part:
            part.write(os.urandom(MIB))
        _still(spool, clock, running, capture)
        assert send(spool) == ["1.queued"], "settling goes on"
        clock.sleep(86400)
        assert not spool.quota.restore_ballast(), "there is no room for it yet"
        spool.instances.purge(sent.sop_instance_uid)
        assert not spool.blobs.path(sent.blob).exists()
        filler.unlink()
        assert spool.recover().flagged == 0
        assert spool.quota.room().ballast_bytes == 4 * MIB, "the ballast is whole again"
        assert not _refuses(spool)
        assert spool.integrity() == []


def a_recording_ends_at_its_last_whole_frame(folder: Path) -> None:
    clock = FakeClock()
    with Spool.open(folder / "data", clock, ballast_bytes=2 * MIB) as spool:
        running = step(clock)
        spool.exams.start(running)
        spool.captures.begin(running.exam_id, CaptureKind.CINE, "us", clock.now(), clock.monotonic_ns())
        header = FrameLogHeader(
            exam_id=running.exam_id, capture=1, started_at=clock.now(), started_ns=1, boot_id="b", notes={}
        )
        log = spool.new_frame_log(header)
        frames = 0
        try:
            while frames < 1000:
                log.append(bytes([frames % 251]) * 400_000, frames)
                frames += 1
        except DiskFull:
            log.sync()
            log.abandon()
        path = spool.frame_log_path(running.exam_id, 1, 0)
        assert 10 < frames < 1000
        assert spool.quota.room().ballast_bytes == 0, "it used the ballast"
        kept = list(FrameLog.read(path)[1])
        assert [number for number, _ in kept] == list(range(frames))
        assert all(frame == bytes([number % 251]) * 400_000 for number, frame in kept)
        assert not tally(path).is_over
        spool.remove_frame_log(path)
        spool.captures.set_state(running.exam_id, 1, CaptureState.LOST, "the disk was full")


def without_a_ballast_the_last_byte_is_an_error_with_a_name(folder: Path) -> None:
    with Spool.open(folder / "data", FakeClock()) as spool:
        admit(spool, "1.0")
        _fill(folder)
        for size in (10, 5000, OBJECT_BYTES):
            for number in range(20):
                try:
                    admit(spool, f"2.{size}.{number}", data=os.urandom(size))
                except DiskFull:
                    break
            else:
                raise AssertionError("it was not full")
        acknowledged = [delivery.payload for delivery in spool.deliveries.recent(999)]
        assert all(spool.instances.verify(uid) for uid in acknowledged)
        assert set(spool.blobs.all()) == {spool.instances.get(uid).blob for uid in acknowledged}
        assert list((folder / "data" / "parts").iterdir()) == []
        assert spool.integrity() == []


def many_writers_share_one_counter(folder: Path) -> None:
    """Each reserves before it writes: together they never take what must stay free."""
    keep = 3 * MIB
    with Spool.open(folder / "data", FakeClock()):
        pass
    children = []
    for writer in range(3):
        if not (child := os.fork()):
            os._exit(_write_until_full(folder, writer, keep))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0, 0]
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with Spool.open(folder / "data", FakeClock(), keep_free_bytes=keep) as spool:
        assert free > keep - MIB, f"{free} bytes are left; the rows' own room is less than a megabyte"
        assert all(spool.instances.verify(delivery.payload) for delivery in spool.deliveries.recent(999))


def _write_until_full(folder: Path, writer: int, keep: int) -> int:
    with Spool.open(folder / "data", FakeClock(), keep_free_bytes=keep) as spool:
        try:
            for number in range(999):
                admit(spool, f"{writer}.{number}", data=os.urandom(OBJECT_BYTES))
        except DiskFull:
            return 0
    return 1


def _receive_until_full(spool: Spool) -> list[str]:
    stored: list[str] = []
    try:
        while len(stored) < 999:
            uid = f"1.{len(stored)}"
            admit(spool, uid, data=os.urandom(OBJECT_BYTES))
            stored.append(uid)
    except DiskFull:
        pass
    return stored


def _refuses(spool: Spool) -> bool:
    try:
        with spool.blobs.part() as part:
            part.write(bytes(OBJECT_BYTES))
    except DiskFull:
        return True
    return False


def _still(spool: Spool, clock: FakeClock, running, capture) -> None:
    made = os.urandom(MIB)
    with spool.blobs.part(is_urgent=True) as part:
        part.write(made)
        part.commit()
        spool.instances.admit(
            instance("1.still", made, exam_id=running.exam_id, capture=capture.number), ["pacs"], hold=True
        )
    spool.captures.set_state(running.exam_id, capture.number, CaptureState.HELD)
    assert spool.instances.verify("1.still")
    assert states(spool, "1.still") == ["HELD"]


def _fill(folder: Path) -> Path:
    """Take the last byte."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (MIB, 65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\xff" * size)
            except OSError:
                continue
        os.fsync(file.fileno())
    return path


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
