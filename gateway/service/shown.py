"""What a port is doing, to the file that the panel shows: twice a second while somebody looks, else each few seconds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.model import InstrumentStatus
from gateway.service.lines import Lines
from gateway.spool import live

if TYPE_CHECKING:
    from gateway.device.tty import LineErrors
    from gateway.profile import InstrumentProfile
    from gateway.source.recent import Recent

WANTED_NS: Final = 500_000_000
UNWANTED_NS: Final = 3_000_000_000


class Shown:
    """One port, since its service started."""

    def __init__(self, run: Path, port: str, profile: InstrumentProfile, boot_id: str) -> None:
        """Nothing has been heard."""
        self._run, self._port, self._profile, self._boot_id = run, port, profile, boot_id
        self._published_ns = -UNWANTED_NS
        self._lines = Lines(run)
        self._framing_errors = self._parity_errors = self._overruns = 0
        self._received_bytes = self._heard_ns = 0
        self.sets = 0
        self.unreadable = 0
        self.is_open = False
        self.problem = ""

    def heard(self, data: bytes, now_ns: int) -> None:
        """Count what arrived."""
        self._received_bytes += len(data)
        self._heard_ns = now_ns

    def hit(self, errors: LineErrors) -> None:
        """Count the errors of the line."""
        self._framing_errors += errors.framing
        self._parity_errors += errors.parity
        self._overruns += errors.overruns

    def publish(self, recent: Recent, now_ns: int, *, at_once: bool = False) -> None:
        """Publish it when it is time."""
        since_ns = now_ns - self._published_ns
        if since_ns < WANTED_NS and not at_once:
            return
        is_wanted = live.is_wanted(self._run, self._port, live.INSTRUMENT)
        if since_ns < UNWANTED_NS and not is_wanted and not at_once:
            return
        self._published_ns = now_ns
        self._lines.publish(now_ns)
        status = InstrumentStatus(
            port=self._port,
            instrument=self._profile.title,
            boot_id=self._boot_id,
            updated_ns=now_ns,
            is_open=self.is_open,
            problem=self.problem,
            heard_ns=self._heard_ns,
            received_bytes=self._received_bytes,
            sets=self.sets,
            unreadable=self.unreadable,
            framing_errors=self._framing_errors,
            parity_errors=self._parity_errors,
            overruns=self._overruns,
            values=recent.values(),
            traces=recent.traces() if is_wanted else (),
        )
        with suppress(OSError):  # it is only looked at: without room it is written the next time
            live.write_instrument(self._run, status)
