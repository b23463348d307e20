"""Kills acquire at a durable step, or at a random moment, and looks what is left. Prints one JSON line.

`python -m tests.crash.acquire_driver FOLDER (steps|moments) KILLS SEED`. One store lives through all kills. Each child is a
whole acquire with a simulated scanner: it presses, records, and tells its parent through a pipe what was acknowledged. Then
a process runs `closing.rescue` (and is killed itself, now and then), and the parent holds the store to every word. A step
is named by the system call or statement and by who makes it; the steps of a life that nobody ends are the list to kill at.
"""

import contextlib
import itertools
import json
import logging
import random
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

import pydicom

from gateway import exam
from gateway.clock import SystemClock
from gateway.errors import SpoolError
from gateway.model import CaptureKind, CaptureState, RequestKind, RequestState
from gateway.pixels import chain
from gateway.profile import modality
from gateway.service import closing, recording
from gateway.service.acquire import Acquire
from gateway.service.compose import Box
from gateway.simulators.pictures import Playback, parse
from gateway.spool import framelog
from gateway.spool.framelog import FrameLog
from gateway.spool.spool import Spool
from tests.crash.killing import Say, life, step_for, steps_of, watch_steps
from tests.flow.rooms import NAME, SCRIPT, Room, numbers, site_of
from tests.objects.test_dciodvfy import unexplained

SYNC_NS = 80_000_000
SEGMENT_FRAMES = 12
RESCUE_DIES_EVERY = 3
EARLY = "ended early"
SAMPLE = 5
KEPT = {CaptureState.HELD, CaptureState.RELEASED}


class Told:
    """Everything that was ever acknowledged, by whoever died since."""

    def __init__(self) -> None:
        self.stills: dict[tuple[str, int], int] = {}
        self.cines: dict[tuple[str, int], int] = {}
        self.synced: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
        self.composing: list[str] = []
        self.looked_at: set[str] = set()
        self.early = 0
        self.lost = 0

    def hear(self, word: str, *facts: str) -> None:
        exam_id, number, *rest = facts
        key = (exam_id, int(number))
        match word:
            case "still":
                assert key not in self.stills, "a capture answers one press"
                self.stills[key] = int(rest[0])
            case "cine":
                self.cines[key] = int(rest[0])
            case "synced":
                segment, frames = map(int, rest)
                self.synced[key][segment] = frames
            case _:
                raise AssertionError(word)


# ---- what the children do ----


def work(room: Room, rounds: int, say) -> None:
    """Press and record, and say each thing once it is acknowledged."""
    step = room.spool.exams.running(NAME) or room.start()
    for _ in range(rounds):
        still(room, step, say)
        number = room.press(step, RequestKind.CINE_START).capture
        if number is None:  # on a busy machine a press to stop came too late
            room.press(step, RequestKind.CINE_STOP)
            continue
        room.until(partial(_is_long, room, step, number))
        still(room, step, say)
        room.press(step, RequestKind.CINE_STOP)
        past = room.press(step, RequestKind.RETROSPECTIVE).capture
        for each in (number, past):
            if each is not None and room.capture(step, each).state is CaptureState.HELD:
                say("cine", step.exam_id, each, sum(i.frame_count for i in room.objects(step, each)))


def still(room: Room, step, say) -> None:
    pressed_ns = room.clock.monotonic_ns()
    request = room.press(step, RequestKind.STILL, pressed_ns=pressed_ns)
    if request.state is RequestState.DONE:
        say("still", step.exam_id, request.capture, room.acquire._source.frame_at(pressed_ns).frame.sequence)


def _is_long(room: Room, step, number: int) -> bool:
    """Say whether a recording is well into its second segment."""
    with contextlib.suppress(SpoolError, FileNotFoundError):
        return sum(framelog.tally(path).frames for path in _logs(room.spool, step.exam_id, number)) > SEGMENT_FRAMES + 4
    return False


def _logs(spool: Spool, exam_id, number: int) -> list[Path]:
    return [path for path in spool.frame_logs() if path.name.startswith(f"{exam_id}-{number}-")]


def acquire(folder: Path, say: Say, *, rounds: int = 1, at: str = "", nth: int = 0) -> None:
    recording.SYNC_NS, recording.SEGMENT_FRAMES = SYNC_NS, SEGMENT_FRAMES
    tell_of_syncs(say)
    shutil.rmtree(folder / "run", ignore_errors=True)  # a status of the dead
    room = Room(folder)
    passed = watch_steps(at, nth)
    work(room, rounds, say)
    room.close()
    for each in passed:
        say("step", each)


def rescue(folder: Path, say: Say, *, at: str = "", nth: int = 0) -> None:
    site, clock = site_of(folder, SCRIPT), SystemClock()
    with Spool.open(site.data, clock) as spool:
        place = closing.Station(
            name=NAME, box=Box(site=site, spool=spool, clock=clock), logger=logging.getLogger("rescue")
        )
        passed = watch_steps(at, nth)
        closing.rescue(place, Acquire(place).profile_of)
        spool.recover()
    for each in passed:
        say("step", each)


def tell_of_syncs(say) -> None:
    """Say how many frames of which segment were durable, once they are."""
    begin, sync = Spool.new_frame_log, FrameLog.sync

    def begun(spool, header):
        log = begin(spool, header)
        log.header = header
        return log

    def synced(log):
        frames = log.frames
        sync(log)
        say("synced", log.header.exam_id, log.header.capture, log.header.segment, frames)

    Spool.new_frame_log, FrameLog.sync = begun, synced


# ---- the killing ----


def look(folder: Path, told: Told, chance: random.Random) -> None:
    """Rescue, in a process of its own, and hold the store to every word."""
    site = site_of(folder, SCRIPT)
    with Spool.open(site.data, SystemClock()) as spool:
        before = uids(spool)
        broken = [c for c in captures(spool) if c.state is CaptureState.RECORDING]
        had = {(c.exam_id, c.number): _kept(_logs(spool, c.exam_id, c.number)) for c in broken}
    if chance.randrange(RESCUE_DIES_EVERY) == 0:
        life(partial(rescue, folder, at=chance.choice(told.composing), nth=1), told.hear)
    assert not life(partial(rescue, folder), told.hear).is_killed
    with Spool.open(site.data, SystemClock()) as spool:
        spool.recover()
        check(spool, told)
        for capture in broken:
            check_broken(spool, capture, had[capture.exam_id, capture.number], before, told)
        told.looked_at |= uids(spool)
    assert list((site.data / "parts").iterdir()) == []
    assert list((site.data / "framelogs").iterdir()) == []


def _kept(paths: list[Path]) -> list[framelog.Tally]:
    """Return what is in those logs that can be read."""
    found = []
    for path in paths:
        with contextlib.suppress(SpoolError):
            found.append(framelog.tally(path))
    return found


def captures(spool: Spool) -> Iterator:
    for step in spool.exams.recent(1000):
        yield from spool.captures.of_exam(step.exam_id)


def uids(spool: Spool) -> set[str]:
    return {i.sop_instance_uid for step in spool.exams.recent(1000) for i in spool.instances.of_exam(step.exam_id)}


def check(spool: Spool, told: Told) -> None:
    assert {trouble.error_code for trouble in spool.troubles.all()} <= {"G409"}, "only what was never acknowledged"
    assert list(spool.blobs.orphans()) == []
    shown = {path.relative_to(spool.data / "thumbnails") for path in (spool.data / "thumbnails").rglob("*.*")}
    for capture in captures(spool):
        made = spool.instances.of_capture(capture.exam_id, capture.number)
        assert capture.state in KEPT | {CaptureState.LOST}, capture
        assert bool(made) is (capture.state in KEPT), f"{capture} has {len(made)} objects"
        assert [i.segment for i in made] == list(range(len(made))), "each segment once, from the first"
        if capture.kind is CaptureKind.STILL:
            assert len(made) <= 1
        if not made:
            assert capture.note, "what was lost says why"
            assert (capture.exam_id, capture.number) not in told.stills.keys() | told.cines.keys()
            path = spool.thumbnail_path(capture.exam_id, capture.number)
            assert path.relative_to(spool.data / "thumbnails") not in shown, "a picture of nothing"
    for key, sequence in told.stills.items():
        (made,) = of(spool, key)
        if made.sop_instance_uid not in told.looked_at:
            assert numbers(pictures(spool, made)) == [sequence]
    for key, frames in told.cines.items():
        assert sum(i.frame_count for i in of(spool, key)) == frames
    for key in told.synced:
        check_cine(spool, key, told)
    for step in spool.exams.recent(1000):
        done = [r.capture for r in spool.requests.of_exam(step.exam_id) if r.kind is RequestKind.STILL and r.capture]
        assert len(done) == len(set(done)), "two presses have one capture"
        for number in done:
            assert len(of(spool, (str(step.exam_id), number))) == 1, "the panel was told DONE, and there is no picture"


def check_cine(spool: Spool, key: tuple[str, int], told: Told) -> None:
    """Every frame that was synced, once and in order; those between are counted where the capture says so."""
    made = of(spool, key)
    for segment, frames in told.synced[key].items():
        kept = made[segment].frame_count if segment < len(made) else 0
        assert kept >= frames, f"{key} segment {segment} kept {kept} frames of {frames} that were synced"
    if {i.sop_instance_uid for i in made} <= told.looked_at:
        return
    seen = list(itertools.chain.from_iterable(numbers(pictures(spool, i)) for i in made))
    assert len(seen) == sum(i.frame_count for i in made)
    gaps = [later - one for one, later in itertools.pairwise(seen)]
    assert all(gap >= 1 for gap in gaps), f"out of order: {seen}"
    missing = sum(gap - 1 for gap in gaps)
    note = spool.captures.get(UUID(key[0]), key[1]).note
    assert (f"Pictures missed: {missing}." in note) if missing else ("missed" not in note), (missing, note)


def check_broken(spool: Spool, capture, had: list[framelog.Tally], before: set[str], told: Told) -> None:
    """What a recording had when it died is kept, and says that it ended early, unless it had come to its end: capture and objects."""
    now = spool.captures.get(capture.exam_id, capture.number)
    made = spool.instances.of_capture(capture.exam_id, capture.number)
    told.lost += now.state is CaptureState.LOST
    is_early = not any(each.is_over for each in had)
    frames = sum(each.frames for each in had)
    if frames:
        assert now.state in KEPT
        assert is_early == (EARLY in now.note), now
        assert sum(i.frame_count for i in made) >= frames
    for each in made:
        if each.sop_instance_uid not in before:
            told.early += is_early
            says = pydicom.dcmread(spool.blobs.path(each.blob), stop_before_pixels=True).get("ImageComments", "")
            assert is_early == (EARLY in says), says


def of(spool: Spool, key: tuple[str, int]):
    return spool.instances.of_capture(UUID(key[0]), key[1])


def pictures(spool: Spool, made):
    spool.blobs.verify(made.blob)
    return Room.pictures_at(spool.blobs.path(made.blob))


def warm() -> None:
    """Load the kernels before the forks, so that no child waits for them."""
    playback = Playback(parse(SCRIPT))
    pixels = chain.build(playback.format, modality("simulator-ultrasound").chain)
    pixels.to_grey(pixels.run(None, playback.raw(1), None))
    pixels.is_grey(pixels.run(None, playback.raw(1), None))


def main(folder: Path, how: str, kills: int, seed: int) -> dict[str, int]:
    told, chance = Told(), random.Random(seed)
    warm()
    steps = steps_of(partial(acquire, folder), told.hear)
    told.composing = [name for name, _ in steps if {"finish", "_compose"} & set(re.split(r"[ <]", name))]
    died = 0
    for kill in range(kills):
        if how == "steps":
            at, often = step_for(kill, kills, steps)
            once = partial(acquire, folder, at=at, nth=chance.randint(1, min(often, 4)), rounds=2)
            died += life(once, told.hear).is_killed
        else:
            died += life(partial(acquire, folder, rounds=30), told.hear, after_s=chance.uniform(0.3, 1.6)).is_killed
        look(folder, told, chance)
        with Spool.open(site_of(folder, SCRIPT).data, SystemClock()) as spool:
            if (running := spool.exams.running(NAME)) and kill % 4 == 3:
                exam.complete(spool, spool.clock, running.exam_id)
    with Spool.open(site_of(folder, SCRIPT).data, SystemClock()) as spool:
        assert spool.integrity() == []
        made = [i for step in spool.exams.recent(1000) for i in spool.instances.of_exam(step.exam_id)]
        for each in chance.sample(made, SAMPLE):
            assert unexplained(spool.blobs.path(each.blob)) == []
    return {
        "died": died,
        "steps": len(steps),
        "stills": len(told.stills),
        "cines": len(told.cines),
        "synced": sum(sum(each.values()) for each in told.synced.values()),
        "early": told.early,
        "lost": told.lost,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
