"""One grabber at work in the test's own process, and a person who presses: what flow tests of acquire stand on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np

from gateway import exam
from gateway.clock import Clock, SystemClock
from gateway.config import Destination, Grabber, Paths, Site, Station, Store
from gateway.model import (
    Capture,
    CaptureState,
    Instance,
    Patient,
    PerformedStep,
    Request,
    RequestKind,
    Signal,
)
from gateway.service import closing
from gateway.service.acquire import Acquire
from gateway.service.closing import Station as Place
from gateway.service.compose import Box
from gateway.simulators import viewer
from gateway.simulators.pictures import number_of
from gateway.spool import live
from gateway.spool.spool import Spool

NAME = "ROOM"
SCRIPT = "ybr_color,320x240,progressive,yuyv,50,stamp"
WHO = Patient(patient_id="P1", name="Synthetic^Test")
SECOND = 1_000_000_000
MIB = 1 << 20
RED_MEANS_COLOUR = 3


def site_of(folder: Path, script: str = SCRIPT) -> Site:
    """Return the configuration of a box with one simulated grabber."""
    return Site(
        paths=Paths(data=str(folder / "data"), run=str(folder / "run")),
        station=Station(timezone="Africa/Nairobi"),
        grabber={
            NAME: Grabber(device=f"simulator:{script}", profile="simulator-ultrasound", ring_s=3, retrospective_s=1)
        },
        destination={"pacs": Destination(host="127.0.0.1", called_ae="PACS")},
        spool=Store(ballast_mb=1, keep_free_mb=1),
    )


class Room:
    """One grabber at work in this process, and a person who presses."""

    def __init__(
        self, folder: Path, script: str = SCRIPT, clock: Clock | None = None, site: Site | None = None
    ) -> None:
        self.site = site or site_of(folder, script)
        self.script = script
        self.clock = clock or SystemClock()
        room = self.site.spool
        self.spool = Spool.open(
            self.site.data, self.clock, ballast_bytes=room.ballast_mb * MIB, keep_free_bytes=room.keep_free_mb * MIB
        )
        self.stop = threading.Event()
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.spool.close()

    def open(self) -> None:
        """Start as the service does: first what a dead process left, then the device."""
        self.stop = threading.Event()
        place = Place(
            name=NAME, box=Box(site=self.site, spool=self.spool, clock=self.clock), logger=logging.getLogger("t")
        )
        self.acquire = Acquire(place)
        self.rescued = closing.rescue(place, self.acquire.profile_of)
        self.thread = threading.Thread(target=self.acquire.watch, args=(self.stop,), daemon=True)
        self.thread.start()
        self.until(lambda: self.signal() is Signal.STREAMING)

    def close(self) -> None:
        self.acquire.end()
        self.stop.set()
        self.thread.join()

    @contextmanager
    def at_work(self, work: Callable[[threading.Event], None]) -> Iterator[None]:
        """One of the works that acquire does beside, as long as it takes."""
        stop = threading.Event()
        thread = threading.Thread(target=work, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def scanner(self, command: str) -> None:
        """Do something to the scanner, its cable or the grabber."""
        with (self.site.run / "sim" / NAME).open("w") as pipe:
            pipe.write(f"{command}\n")

    def signal(self) -> Signal | None:
        self.acquire.turn()
        status = live.read_status(self.site.run, NAME)
        return status.signal if status else None

    def start(self) -> PerformedStep:
        return exam.start(
            self.spool, self.clock, station=NAME, modality="US", profile="simulator-ultrasound", patient=WHO
        )

    def press(self, step: PerformedStep, kind: RequestKind, *, pressed_ns: int | None = None) -> Request:
        request = exam.press(self.spool, self.clock, kind, step.exam_id, NAME, pressed_ns=pressed_ns)
        self.acquire.turn()
        return self.spool.requests.get(request.request_id)

    def until(self, is_so: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "it did not happen"
            self.acquire.turn()
            time.sleep(0.01)

    def capture(self, step: PerformedStep, number: int) -> Capture:
        """Wait until a capture is complete."""
        self.until(lambda: self.spool.captures.get(step.exam_id, number).state is not CaptureState.RECORDING)
        return self.spool.captures.get(step.exam_id, number)

    def objects(self, step: PerformedStep, number: int) -> list[Instance]:
        self.capture(step, number)
        return self.spool.instances.of_capture(step.exam_id, number)

    def pictures(self, instance: Instance) -> np.ndarray:
        return self.pictures_at(self.spool.blobs.path(instance.blob))

    @staticmethod
    def pictures_at(path: Path) -> np.ndarray:
        seen = viewer.look(path).pictures
        return seen if seen.ndim == RED_MEANS_COLOUR + 1 else np.repeat(seen[..., None], RED_MEANS_COLOUR, axis=3)


def numbers(pictures: np.ndarray) -> list[int]:
    return [number_of(picture) for picture in pictures]
