"""An instrument that prints on a pseudo-terminal as the real one does on its line: at its pace, and with faults on demand.

The gateway opens `path`; what the double was told to print arrives there byte by byte. It records what was written to it.
"""

from __future__ import annotations

import os
import time
import tty
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class SimulatedInstrument:
    """One pseudo-terminal. Faults: `noise` before a print, `cut_at` bytes, `unplug` for good."""

    def __init__(self, *, baud: int = 9600) -> None:
        """Open the pair; `baud` sets the pace (10 bits a byte), 0 prints at once."""
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)
        self._pause_s = 10 / baud if baud else 0.0

    def print(self, text: bytes, *, noise: bytes = b"", cut_at: int | None = None) -> None:
        """Print `noise` and then `text`, all of it or its first `cut_at` bytes (the power went)."""
        due = time.monotonic()
        for byte in noise + text[:cut_at]:
            os.write(self._ours, bytes([byte]))
            due += self._pause_s
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)

    def heard(self) -> bytes:
        """Return what the gateway sent to the instrument since the last call."""
        os.set_blocking(self._ours, False)
        try:
            return os.read(self._ours, 65536)
        except BlockingIOError:
            return b""
        finally:
            os.set_blocking(self._ours, True)

    def unplug(self) -> None:
        """Pull the adapter out: the gateway's descriptor reports that the line is gone."""
        self.close()

    def close(self) -> None:
        """Close the pair."""
        for descriptor in (self._ours, self._theirs):
            if descriptor >= 0:
                os.close(descriptor)
        self._ours = self._theirs = -1

    def __enter__(self) -> Self:
        """Keep it for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def dose_report(dose: str = "12.50", unit: str = "cGycm2", seconds: str = "42") -> bytes:
    """Return what the plain-line dose meter of hw/instruments prints after an exposure."""
    return f"DAP {dose} {unit}\r\nTIME {seconds} s\r\n\r\n".encode("ascii")
