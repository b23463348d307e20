"""Two modalities at one box, each with an acquire process of its own: what befalls one leaves the other alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.model import CaptureState, PerformedStep, RequestKind, RequestState, Signal
from gateway.service.bell import ring
from gateway.simulators.scanner import tell
from gateway.spool import live
from gateway.spool.spool import Spool
from tests.flow.rooms import WHO, Room, numbers
from tests.service.world import site_file

ROOMS = ("LEFT", "RIGHT")
SCRIPTS = {"LEFT": "phantom,320x240,yuyv,25", "RIGHT": "ybr_color,320x240,uyvy,25,stamp"}
PROFILE = "simulator-ultrasound"


class House:
    """Two rooms, their processes, and the store that both write to."""

    def __init__(self, folder: Path) -> None:
        grabbers = {name: {"device": f"simulator:{SCRIPTS[name]}", "profile": PROFILE, "ring_s": 2} for name in ROOMS}
        for each in grabbers.values():
            each["retrospective_s"] = 1
        self.file = site_file(folder, grabber=grabbers)
        self.site = config.load(self.file)
        self.clock = SystemClock()
        self.spool = Spool.open(self.site.data, self.clock, ballast_bytes=1 << 20, keep_free_bytes=1 << 20)
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        self.steps: dict[str, PerformedStep] = {}

    def begin(self) -> None:
        """Start both services, and an exam in each room."""
        for name in ROOMS:
            self.start(name)
        for name in ROOMS:
            self.until(lambda name=name: self.status(name) is Signal.STREAMING, 90)
        self.steps = {name: self.exam(name) for name in ROOMS}

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "gateway", "--config", str(self.file), "service", f"acquire@{name}"]
        self.programs[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def status(self, name: str) -> Signal | None:
        found = live.read_status(self.site.run, name)
        return found.signal if found else None

    def exam(self, name: str) -> PerformedStep:
        return exam.start(self.spool, self.clock, station=name, modality="US", profile=PROFILE, patient=WHO)

    def press(self, name: str, kind: RequestKind) -> RequestState:
        asked = exam.press(self.spool, self.clock, kind, self.steps[name].exam_id, name)
        ring(self.site.run, f"acquire@{name}")
        is_open = {RequestState.REQUESTED, RequestState.TAKEN}
        self.until(lambda: self.spool.requests.get(asked.request_id).state not in is_open)
        answered = self.spool.requests.get(asked.request_id)
        assert not answered.error_text
        return answered.state

    def film(self, name: str, number: int = 1):
        """Wait until a capture is complete; return it, its only object and the numbers in its pictures."""
        exam_id = self.steps[name].exam_id
        self.until(lambda: self.spool.captures.get(exam_id, number).state is not CaptureState.RECORDING)
        (instance,) = self.spool.instances.of_capture(exam_id, number)
        pictures = Room.pictures_at(self.spool.blobs.path(instance.blob))
        return self.spool.captures.get(exam_id, number), instance, numbers(pictures)

    def until(self, is_so: Callable[[], bool], seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def close(self) -> None:
        for program in self.programs.values():
            program.send_signal(signal.SIGTERM)
        for program in self.programs.values():
            program.wait(30)
        self.spool.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        made.begin()
        yield made
    finally:
        made.close()


def test_a_grabber_that_is_pulled_out_and_a_process_that_dies_leave_the_other_room_alone(house: House) -> None:
    for name in ROOMS:
        assert house.press(name, RequestKind.CINE_START) is RequestState.DONE
    time.sleep(0.6)
    tell(house.site.run, "LEFT", "unplug")
    left, instance, seen = house.film("LEFT")
    assert "ended early" in left.note
    assert "unplugged" in left.note
    assert instance.frame_count == len(seen) >= 10
    assert all(b - a == 1 for a, b in pairwise(seen))
    assert (house.status("LEFT"), house.status("RIGHT")) == (Signal.ABSENT, Signal.STREAMING)

    tell(house.site.run, "LEFT", "replug")
    house.until(lambda: house.status("LEFT") is Signal.STREAMING)
    assert house.press("LEFT", RequestKind.CINE_START) is RequestState.DONE
    time.sleep(1.5)
    os.kill(house.programs["LEFT"].pid, signal.SIGKILL)
    house.programs["LEFT"].wait()
    assert house.press("RIGHT", RequestKind.STILL) is RequestState.DONE
    assert house.press("RIGHT", RequestKind.CINE_STOP) is RequestState.DONE

    right, instance, seen = house.film("RIGHT")
    assert right.note == ""
    assert instance.frame_count == len(seen) > 40
    assert all(b - a == 1 for a, b in pairwise(seen))

    house.start("LEFT")
    rescued, instance, seen = house.film("LEFT", 2)
    assert rescued.state is CaptureState.HELD
    assert instance.frame_count == len(seen) >= 10
    assert {each.station for each in house.steps.values()} == set(ROOMS)
