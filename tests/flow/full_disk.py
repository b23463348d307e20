"""One box on a disk that fills to the last byte while an exam runs, and on its way back. Runs on a small file system.

`python -m tests.flow.full_disk SCENARIO PORT PORT FOLDER`; the folder is the root of that file system, and only the data
partition is there.
"""

import itertools
import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pydicom
from msgspec import structs

from gateway import exam
from gateway.config import Listen, Store
from gateway.model import CaptureState, DeliveryState, RequestKind, RequestState
from gateway.service import acquire, forward, keeper, listen
from gateway.service.bell import Bell
from gateway.service.compose import Box
from gateway.simulators.modality import Modality
from gateway.simulators.pacs import SimulatedPACS
from gateway.spool import framelog
from tests.flow.arrivals import write
from tests.flow.rooms import MIB, Room, numbers, site_of

SUCCESS, OUT_OF_RESOURCES = "0000", "A700"
ROWS = 384
"""Of a received object of about 300 kB."""
STILLS = 6


def the_exam_goes_on_and_the_box_comes_back(folder: Path, elsewhere: Path, ports: tuple[int, int]) -> None:
    site = _site(folder, elsewhere, ports)
    with ExitStack() as stack:
        room = stack.enter_context(Room(folder, site=site))
        stack.enter_context(room.at_work(room.acquire.mend))
        box = Box(site=site, spool=room.spool, clock=room.clock)
        listener = listen.listen(site, listen.Reception(site, room.spool, room.clock))
        stack.callback(listener.stop)
        modality = Modality(("127.0.0.1", listener.port), calling_ae="MODALITY", called_ae="GATEWAY")
        watch = keeper.RoomWatch()

        assert room.spool.quota.room().ballast_bytes == site.spool.ballast_mb * MIB
        received = _receive_until_refused(modality, elsewhere)
        assert len(received) > 10
        step, kept, cine = _exam_on_the_last_byte(room, modality, elsewhere)
        watch(box)
        exam.complete(room.spool, room.clock, step.exam_id)

        acknowledged = {*received, *kept, *cine}
        with _delivering(site, room), SimulatedPACS(site.destination["pacs"].port, keep=elsewhere / "pacs") as pacs:
            room.until(lambda: _states(room, acknowledged) == {DeliveryState.SENT}, 60)
        assert {one.sop_instance_uid for one in pacs.accepted()} == acknowledged
        for uid in kept:
            assert numbers(Room.pictures_at(elsewhere / "pacs" / f"{uid}.dcm"))

        keeper.purge(box)
        assert list(room.spool.blobs.all()) == []
        watch(box)
        assert room.spool.quota.room().ballast_bytes == site.spool.ballast_mb * MIB, "the ballast is whole again"
        events = [entry.event for entry in room.spool.history.of("disk")]
        assert sorted(events) == ["room is low: new work is refused", "there is room again"], events
        assert _send(modality, elsewhere, "1.9.9") == SUCCESS
        _everything_works_again(room)
        assert room.spool.integrity() == []
        assert room.spool.troubles.all() == []


def without_a_ballast_a_cine_is_kept_as_soon_as_there_is_room(
    folder: Path, elsewhere: Path, ports: tuple[int, int]
) -> None:
    """Nothing can be written, not even a row: the pictures wait in their log, and nobody has to restart anything."""
    with Room(folder, site=_site(folder, elsewhere, ports)) as room, room.at_work(room.acquire.mend):
        step = room.start()
        running = room.press(step, RequestKind.CINE_START)
        room.until(lambda: sum(path.stat().st_size for path in room.spool.frame_logs()) > MIB // 8)
        room.spool.quota.release_ballast()
        filler = _fill(room.site.data)
        (log,) = room.spool.frame_logs()
        room.until(lambda: not framelog.is_recording(log))
        kept = framelog.tally(log).frames
        assert room.spool.captures.get(step.exam_id, running.capture).state is CaptureState.RECORDING
        filler.unlink()
        assert room.capture(step, running.capture).note.startswith("It ended early: The disk is full")
        (made,) = room.objects(step, running.capture)
        assert made.frame_count == kept > 0
        assert room.spool.frame_logs() == []
        assert room.press(step, RequestKind.STILL).state is RequestState.DONE


def _site(folder: Path, elsewhere: Path, ports: tuple[int, int]):
    site = site_of(folder)
    return structs.replace(
        site,
        paths=structs.replace(site.paths, run=str(elsewhere / "run")),
        listen=Listen(host="127.0.0.1", port=ports[0], is_open_to_all=True),
        destination={"pacs": structs.replace(site.destination["pacs"], port=ports[1], timeout_s=2.0)},
        spool=Store(ballast_mb=5, keep_free_mb=5, retention_days=0),
    )


def _exam_on_the_last_byte(room: Room, modality: Modality, elsewhere: Path):
    """An exam that began in time goes on: its cine ends early with what it has, and its stills are kept."""
    step = room.start()
    first = room.press(step, RequestKind.STILL)
    running = room.press(step, RequestKind.CINE_START)
    assert (first.state, running.state) == (RequestState.DONE, RequestState.DONE)
    room.until(lambda: sum(path.stat().st_size for path in room.spool.frame_logs()) > MIB // 4)
    _fill(room.site.data)
    assert _send(modality, elsewhere, "1.9.1") == OUT_OF_RESOURCES
    room.until(lambda: room.spool.captures.get(step.exam_id, running.capture).state is not CaptureState.RECORDING, 60)
    capture = room.capture(step, running.capture)
    assert capture.state is CaptureState.HELD
    assert list((room.site.data / "parts").iterdir()) == [], "what was refused leaves nothing behind"
    assert capture.note == "It ended early: The disk is full: new work is refused, and what is stored stays safe."
    stills = [room.press(step, RequestKind.STILL) for _ in range(STILLS)]
    assert [one.state for one in stills] == [RequestState.DONE] * STILLS, stills
    cine = room.objects(step, running.capture)
    seen = list(itertools.chain.from_iterable(numbers(room.pictures(one)) for one in cine))
    assert len(seen) > 5
    assert seen == sorted(set(seen))
    for one in cine:
        comments = pydicom.dcmread(room.spool.blobs.path(one.blob), stop_before_pixels=True).ImageComments
        assert "The recording ended early: The disk is full" in comments
    kept = [room.objects(step, one.capture)[0].sop_instance_uid for one in (first, *stills)]
    assert len(set(kept)) == STILLS + 1
    assert _send(modality, elsewhere, "1.9.2") == OUT_OF_RESOURCES, "new work gets nothing of the ballast"
    return step, kept, [one.sop_instance_uid for one in cine]


def _everything_works_again(room: Room) -> None:
    step = room.start()
    still = room.press(step, RequestKind.STILL)
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.4)
    stopped = room.press(step, RequestKind.CINE_STOP)
    assert (still.state, stopped.state) == (RequestState.DONE, RequestState.DONE)
    assert room.capture(step, stopped.capture).note == ""
    assert room.objects(step, stopped.capture)[0].frame_count > 10
    assert room.spool.thumbnail_path(step.exam_id, still.capture).exists()


def _receive_until_refused(modality: Modality, elsewhere: Path) -> list[str]:
    received = []
    for number in range(200):
        uid = f"1.8.{number}"
        answer = _send(modality, elsewhere, uid)
        if answer == OUT_OF_RESOURCES:
            return received
        assert answer == SUCCESS, answer
        received.append(uid)
    raise AssertionError("it was never full")


def _send(modality: Modality, elsewhere: Path, uid: str) -> str:
    (seen,) = modality.send([write(elsewhere / "sent.dcm", uid, rows=ROWS, seed=hash(uid) % 1000)])
    return seen.answer


def _fill(folder: Path) -> Path:
    """Take what is free now, to the last byte, as any other program may; not what somebody gives back meanwhile."""
    path, disk = folder / "filler", os.statvfs(folder)
    left = disk.f_bavail * disk.f_frsize
    with path.open("wb", buffering=0) as file:
        for size in (MIB, 65536, 4096, 512, 1):
            try:
                while left >= size:
                    left -= file.write(b"\xff" * size)
            except OSError:
                continue
        os.fsync(file.fileno())
    return path


def _states(room: Room, uids: set[str]) -> set[DeliveryState]:
    return {delivery.state for uid in uids for delivery in room.spool.deliveries.of_payload(uid)}


@contextmanager
def _delivering(site, room: Room):
    stop = threading.Event()
    with Bell(site.run, "forward") as bell:
        thread = threading.Thread(target=forward.serve, args=(site, room.spool, room.clock, stop, bell))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            bell.ring_self()
            thread.join()


def main(scenario: str, first_port: str, second_port: str, folder: str) -> None:
    acquire.MEND_S = 0.5
    with tempfile.TemporaryDirectory() as elsewhere:
        globals()[scenario](Path(folder), Path(elsewhere), (int(first_port), int(second_port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
