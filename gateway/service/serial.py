"""serial@PORT: what an instrument prints to readings of the exam in progress at its station.

Bytes are in the port's journal, with their arrival times, before anyone parses them, and durable before the readings made
of them are. A set of readings without an exam is never guessed to be someone's: it stays in the journal, and is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway import exam as exams
from gateway import profile as profiles
from gateway.device.tty import Tty
from gateway.errors import DeviceError, GatewayError
from gateway.model import CaptureState
from gateway.service import compose, log, notify
from gateway.service import readings as readings_
from gateway.source.serial import Instrument
from gateway.spool.journal import Journal

if TYPE_CHECKING:
    import threading

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.errors import UnreadableRecord
    from gateway.model import Capture, PerformedStep, ReadingSet
    from gateway.profile import InstrumentProfile
    from gateway.service.bell import Bell
    from gateway.spool.spool import Spool

LISTEN_S: Final = 0.1
MINUTE_NS: Final = 60_000_000_000
REOPEN_S: Final = 2.0


def serve(name: str, site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Serve one port until told to stop; an adapter that is unplugged is opened again when it is back."""
    box = compose.Box(site=site, spool=spool, clock=clock)
    port = Port(name, box, profiles.instrument(site.serial[name].instrument, site.own_profiles))
    notify.ready()
    while not stop.is_set():
        try:
            with Tty(site.serial[name].device, port.profile.line) as tty:
                port.plugged()
                port.listen(tty, stop)
        except DeviceError as error:
            port.unplugged(error)
            bell.wait(REOPEN_S)
    port.close()


class Port:
    """One serial port at work."""

    def __init__(self, name: str, box: compose.Box, profile: InstrumentProfile) -> None:
        """Open the journal of the port."""
        self.profile = profile
        self._name = name
        self._box = box
        self._station = box.site.serial[name].station or name
        self._instrument = Instrument(profile)
        self._journal = Journal(box.site.data / "serial" / name)
        self._watchdog = notify.Watchdog()
        self._logger = log.of(f"serial@{name}")
        self._is_gone = False
        self._kept: dict[tuple[object, ...], Capture] = {}
        """What was kept of each exam lately: a reprint is recognised by it."""
        self._unreadable: list[UnreadableRecord] = []
        self._complained_ns = box.clock.monotonic_ns() - MINUTE_NS
        self._finish_abandoned()

    def listen(self, tty: Tty, stop: threading.Event) -> None:
        """Journal what arrives, then read it; raises DeviceGone when the line is unplugged."""
        while not stop.is_set():
            self._watchdog.alive()
            data = tty.read(LISTEN_S)
            now_ns = self._box.clock.monotonic_ns()
            if data:
                self._journal.append(data, self._box.clock.now(), now_ns)
                ended = self._instrument.receive_data(data, now_ns)
            else:
                ended = self._instrument.tick(now_ns)
            self._journal.sync()
            for each in ended:
                self._keep(each)
            self._complain(self._instrument.errors(), now_ns)
            if sent := self._instrument.answer() + self._instrument.due(now_ns):
                tty.write(sent)

    def plugged(self) -> None:
        """The line is open (again)."""
        if self._is_gone:
            self._box.spool.history.add(f"port {self._name}", "plugged in")
        self._is_gone = False

    def unplugged(self, error: DeviceError) -> None:
        """Say once that the line is gone."""
        if not self._is_gone:
            self._box.spool.history.add(f"port {self._name}", "unplugged", text=str(error))
            self._logger.warning("%s", error, extra={"CODE": error.code})
        self._is_gone = True

    def close(self) -> None:
        """Make the journal durable, and close it."""
        self._journal.close()

    def _complain(self, errors: list[UnreadableRecord], now_ns: int) -> None:
        """Say what could not be read: of a line that does nothing but make noise, once a minute, with how often."""
        self._unreadable += errors
        if self._unreadable and now_ns - self._complained_ns >= MINUTE_NS:
            count = f" ({len(self._unreadable)} of them)" if len(self._unreadable) > 1 else ""
            self._say("a record could not be read", f"{self._unreadable[-1]}{count}")
            self._unreadable, self._complained_ns = [], now_ns

    def _keep(self, readings: ReadingSet) -> None:
        step = self._box.spool.exams.running(self._station)
        if step is None:
            self._say("a reading came without an exam", f"{len(readings.observations)} values, kept in the journal")
            return
        if self._is_reprint(step, readings):
            self._say("a reprint came", f"{len(readings.observations)} values, the same as before: no second object")
            return
        try:
            capture = readings_.keep(self._box, self._name, self.profile, step, readings)
        except GatewayError as error:
            self._logger.error("%s", error, extra={"EXAM": str(step.exam_id), "CODE": error.code})  # noqa: TRY400  no trace: the sentence says it
            self._say("a reading could not be kept", str(error))
            return
        self._kept[(step.exam_id, *_content(readings))] = capture

    def _is_reprint(self, step: PerformedStep, readings: ReadingSet) -> bool:
        """Say whether the same was printed in this exam some minutes ago, and is still a part of it."""
        oldest_ns = readings.received_ns - self.profile.reprint_minutes * MINUTE_NS
        self._kept = {content: capture for content, capture in self._kept.items() if capture.started_ns > oldest_ns}
        former = self._kept.get((step.exam_id, *_content(readings)))
        if former is None:
            return False
        return self._box.spool.captures.get(step.exam_id, former.number).state is not CaptureState.DISCARDED

    def _finish_abandoned(self) -> None:
        """Close what this port was storing when its process died: nothing is there yet, and the journal has it."""
        for capture in self._box.spool.captures.abandoned(self._name):
            exams.finish_capture(self._box.spool, capture, note="not kept: the power failed; the journal has it")

    def _say(self, what: str, text: str) -> None:
        self._box.spool.history.add(f"port {self._name}", what, text=text)


def _content(readings: ReadingSet) -> tuple[object, ...]:
    """What a set says, without when it came."""
    return tuple(
        (one.concept, one.value, one.unit, one.laterality, one.part_of, one.raw) for one in readings.observations
    )
