"""A foot that presses: the picture of that very moment is captured, recordings begin and end, and nothing else is asked for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from msgspec import structs

from gateway import exam
from gateway.config import Trigger
from gateway.model import CaptureKind, CaptureState, RequestKind, RequestState
from gateway.simulators.pedal import SimulatedPedal
from tests.flow.rooms import NAME, SCRIPT, SECOND, Room, numbers, site_of

ACTIONS = {"A": "still", "B": "cine", "C": "retrospective", "D": "time-lapse"}


class Feet:
    """A room whose pedals are a named pipe: a board with a key for each action."""

    def __init__(self, folder: Path, script: str = SCRIPT, **settings) -> None:
        self.path = folder / "pedal"
        os.mkfifo(self.path)
        site = site_of(folder, script)
        grabber = structs.replace(site.grabber[NAME], **{"time_lapse_s": 0.2, **settings})
        triggers = {
            action: Trigger(
                kind="pedal", device=str(self.path), grabber=NAME, action=action, keys=(key,), is_exclusive=False
            )
            for key, action in ACTIONS.items()
        }
        self.room = Room(folder, script, site=structs.replace(site, grabber={NAME: grabber}, trigger=triggers))
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=work, args=(self.stop,), daemon=True) for work in self.room.acquire.works[4:]
        ]
        for thread in self.threads:
            thread.start()
        self.plug()

    def plug(self) -> None:
        self._fd = os.open(self.path, os.O_WRONLY)

    def unplug(self) -> None:
        os.close(self._fd)

    def press(self, key: str, **how) -> int:
        return SimulatedPedal(self._fd, key).press(**how)

    def requests(self, step):
        return self.room.spool.requests.of_exam(step.exam_id)

    def answered(self, step, count: int):
        """Wait until so many presses are answered."""
        is_done = {RequestState.DONE, RequestState.MISSED}
        self.room.until(lambda: sum(each.state in is_done for each in self.requests(step)) >= count)
        return self.requests(step)

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.room.close()
        self.room.spool.close()


@pytest.fixture
def feet(tmp_path: Path) -> Iterator[Feet]:
    made = Feet(tmp_path)
    yield made
    made.close()


def test_a_pedal_captures_the_picture_of_its_moment(feet: Feet) -> None:
    step = feet.room.start()
    time.sleep(0.3)
    at_ns = feet.press("A", at_ns=time.monotonic_ns() - SECOND // 5)
    (request,) = feet.answered(step, 1)
    assert (request.kind, request.state, request.pressed_ns) == (RequestKind.STILL, RequestState.DONE, at_ns)
    capture = feet.room.capture(step, 1)
    assert capture.started_ns <= at_ns < capture.started_ns + 2 * 20_000_000


def test_a_chattering_pedal_captures_one_picture(feet: Feet) -> None:
    step = feet.room.start()
    time.sleep(0.1)
    feet.press("A", at_ns=time.monotonic_ns() - SECOND // 10, bounces=6)
    feet.answered(step, 1)
    time.sleep(0.2)
    assert len(feet.requests(step)) == 1


def test_one_press_begins_a_film_and_the_next_one_ends_it(feet: Feet) -> None:
    step = feet.room.start()
    time.sleep(0.1)
    feet.press("B")
    feet.answered(step, 1)
    time.sleep(0.4)
    feet.press("B")
    feet.answered(step, 2)
    kinds = [(each.kind, each.state) for each in feet.requests(step)]
    assert kinds == [(RequestKind.CINE_START, RequestState.DONE), (RequestKind.CINE_STOP, RequestState.DONE)]
    (instance,) = feet.room.objects(step, 1)
    assert instance.frame_count > 10
    feet.press("B")
    feet.answered(step, 3)
    assert feet.requests(step)[-1].kind is RequestKind.CINE_START


def test_a_film_that_ended_by_itself_is_begun_anew(feet: Feet) -> None:
    step = feet.room.start()
    feet.press("B")
    feet.answered(step, 1)
    feet.room.scanner("signal off")
    feet.room.capture(step, 1)
    feet.room.scanner("signal on")
    feet.room.until(lambda: feet.room.signal() == "STREAMING")
    feet.press("B")
    feet.answered(step, 2)
    assert [each.kind for each in feet.requests(step)] == [RequestKind.CINE_START] * 2


def test_a_pedal_keeps_the_last_seconds(feet: Feet) -> None:
    step = feet.room.start()
    time.sleep(1.2)
    feet.press("C")
    feet.answered(step, 1)
    assert feet.room.capture(step, 1).kind is CaptureKind.RETROSPECTIVE


def test_a_press_while_nobody_is_examined_asks_for_nothing(feet: Feet) -> None:
    feet.press("A")
    time.sleep(0.3)
    step = feet.room.start()
    time.sleep(0.2)
    assert feet.requests(step) == []


def test_a_pedal_that_was_pulled_out_works_again_when_it_is_back(feet: Feet) -> None:
    step = feet.room.start()
    feet.press("A")
    feet.answered(step, 1)
    feet.unplug()
    time.sleep(0.1)
    feet.plug()
    feet.press("A")
    feet.answered(step, 2)
    subject = f"trigger {', '.join(ACTIONS.values())}"
    feet.room.until(lambda: len(feet.room.spool.history.of(subject)) == 3)
    assert [each.event for each in feet.room.spool.history.of(subject)] == ["plugged in", "lost", "plugged in"]


def test_a_time_lapse_keeps_one_picture_each_interval_until_it_is_stopped(feet: Feet) -> None:
    step = feet.room.start()
    time.sleep(0.1)
    feet.press("D")
    feet.answered(step, 1)
    assert feet.room.acquire._recording() is not None
    time.sleep(1.1)
    feet.press("D")
    feet.answered(step, 2)
    assert feet.requests(step)[-1].kind is RequestKind.CINE_STOP
    capture = feet.room.capture(step, 1)
    assert (capture.kind, capture.state, capture.note) == (CaptureKind.TIME_LAPSE, CaptureState.HELD, "")
    (instance,) = feet.room.objects(step, 1)
    ds = pydicom.dcmread(feet.room.spool.blobs.path(instance.blob))
    assert 5 <= ds.NumberOfFrames <= 8
    steps = np.array(ds.FrameTimeVector, float) if "FrameTimeVector" in ds else np.array([ds.FrameTime], float)
    assert all(abs(each - 200) <= 20.1 for each in steps[-(ds.NumberOfFrames - 1) :])
    stamped = numbers(feet.room.pictures(instance))
    assert all(abs(b - a - 10) <= 1 for a, b in pairwise(stamped))


def test_the_end_of_the_exam_ends_a_time_lapse_and_keeps_it(feet: Feet) -> None:
    step = feet.room.start()
    feet.press("D")
    feet.answered(step, 1)
    time.sleep(0.5)
    exam.complete(feet.room.spool, feet.room.clock, step.exam_id)
    (instance,) = feet.room.objects(step, 1)
    assert instance.frame_count >= 2
    assert feet.room.acquire._recording() is None or not feet.room.acquire._recording().is_alive()


def test_every_picture_of_a_time_lapse_is_durable_before_the_next(tmp_path: Path) -> None:
    feet = Feet(tmp_path, time_lapse_s=3)
    try:
        step = feet.room.start()
        feet.press("D")
        feet.answered(step, 1)
        logs = feet.room.spool.frame_logs
        feet.room.until(lambda: any(path.stat().st_size > 10_000 for path in logs()), seconds=2)
    finally:
        feet.close()


def test_two_boxes_hold_no_press_of_the_others(feet: Feet) -> None:
    """A trigger of another grabber is none of ours."""
    site = feet.room.site
    other = structs.replace(site.trigger["still"], grabber="ROOM-2")
    place = structs.replace(
        feet.room.acquire._station,
        box=structs.replace(feet.room.acquire._box, site=structs.replace(site, trigger={"x": other})),
    )
    from gateway.service import triggers

    assert triggers.works(place) == ()
