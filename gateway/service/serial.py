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
from gateway.model import CaptureKind, CaptureState
from gateway.service import compose, log, notify
from gateway.source.serial import Instrument, ReadingSet
from gateway.spool.journal import Journal

if TYPE_CHECKING:
    import threading

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.model import PerformedStep
    from gateway.profile import InstrumentProfile
    from gateway.service.bell import Bell
    from gateway.spool.spool import Spool

LISTEN_S: Final = 0.1
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

    def _keep(self, readings: ReadingSet) -> None:
        step = self._box.spool.exams.running(self._station)
        if step is None:
            count = len(readings.observations)
            self._box.spool.history.add(
                f"port {self._name}", "a reading came without an exam", text=f"{count} values, kept in the journal"
            )
            return
        try:
            self._store(step, readings)
        except GatewayError as error:
            self._logger.error("%s", error, extra={"EXAM": str(step.exam_id), "CODE": error.code})  # noqa: TRY400  no trace: the sentence says it
            self._box.spool.history.add(f"port {self._name}", "a reading could not be kept", text=str(error))

    def _store(self, step: PerformedStep, readings: ReadingSet) -> None:
        """Make one SR of a set, durable and its capture complete in one transaction."""
        spool = self._box.spool
        capture = exams.begin_capture(
            spool,
            self._box.clock,
            step.exam_id,
            CaptureKind.READING,
            self._name,
            captured_ns=readings.received_ns,
        )
        doubts = [doubt for observation in readings.observations for doubt in observation.doubts]
        segment = compose.Segment(
            step=step,
            capture=capture,
            equipment=self.profile.equipment,
            object=profiles.READINGS,
            captured_ns=readings.received_ns,
        )
        try:
            compose.store_readings(
                self._box,
                segment,
                readings.observations,
                also=lambda: exams.finish_capture(spool, capture, note="; ".join(doubts)),
            )
        except GatewayError as error:
            spool.captures.set_state(step.exam_id, capture.number, CaptureState.LOST, str(error))
            raise
