"""A serial port whose line is a script, on a box whose clock stands until the script moves it."""

import threading
from collections.abc import Callable

import pydicom

from gateway import config, exam
from gateway import profile as profiles
from gateway.device.tty import LineErrors
from gateway.errors import NotReady
from gateway.model import CaptureState
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.spool.spool import Spool
from tests.service.world import WHO, site_file
from tests.spool.world import FakeClock

PORT = "LM"
LENSMETER = profiles.instrument("nidek-lm")
PAUSE = 2.0
"""Seconds without a byte: a set ends."""


class Line:
    """A line that is read as its script says; when that is over, so is the service."""

    def __init__(self, clock: FakeClock, script, *, is_refusing: bool = False) -> None:
        self._clock, self._script, self._is_refusing = clock, list(script), is_refusing
        self.stop = threading.Event()
        self.wrote = b""
        self.held: list[bool] = []
        """When it was told to wait, and to go on."""
        self._errors = LineErrors()

    def read(self, _timeout_s: float) -> bytes:
        if not self._script:
            self.stop.set()
            return b""
        step = self._script.pop(0)
        match step:
            case bytes():
                self._clock.sleep(0.01)
                return step
            case LineErrors():
                self._errors = step
                return self.read(0)
            case float():
                self._clock.sleep(step)
            case Callable():
                self._clock.sleep(0.01)
                step()
        return b""

    def errors(self) -> LineErrors:
        errors, self._errors = self._errors, LineErrors()
        return errors

    def write(self, data: bytes) -> None:
        if self._is_refusing:
            raise NotReady(device="line", problem="DSR is off")
        self.wrote += data

    def hold(self) -> None:
        self.held.append(True)

    def resume(self) -> None:
        self.held.append(False)


class PortAtWork:
    """One box, one port, and what is known of both."""

    def __init__(self, folder, *, ballast_bytes: int = 0) -> None:
        serial = {PORT: {"device": "/dev/null-lm", "instrument": "nidek-lm", "station": "ROOM-1"}}
        self.site = config.load(site_file(folder, serial=serial))
        self.clock = FakeClock()
        self.spool = Spool.open(self.site.data, self.clock, ballast_bytes=ballast_bytes)
        self.box = Box(site=self.site, spool=self.spool, clock=self.clock)

    def start(self):
        return exam.start(
            self.spool, self.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound", patient=WHO
        )

    def complete(self, step):
        exam.complete(self.spool, self.clock, step.exam_id)

    def play(self, *script, profile=LENSMETER, is_killed=False, **how) -> Line:
        line = Line(self.clock, script, **how)
        port = Port(PORT, self.box, profile)
        try:
            port.listen(line, line.stop)
        finally:
            if not is_killed:
                port.close()
        return line

    def captures(self, step):
        return [one for one in self.spool.captures.of_exam(step.exam_id) if one.state is not CaptureState.LOST]

    def objects(self, step):
        found = self.spool.instances.of_exam(step.exam_id)
        return [pydicom.dcmread(self.spool.blobs.path(one.blob)) for one in found]

    def events(self):
        return [entry.event for entry in self.spool.history.of(f"port {PORT}")]

    def waiting(self):
        return self.spool.inbox.waiting()
