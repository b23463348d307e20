"""The serial lines of this box, to the file from which the panel offers them: the panel has no hands, a service looks for it.

Any service that may see /dev does it; they all say the same. A line that is plugged in is there at the next look.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.device import tty
from gateway.spool import live

LOOK_NS: Final = 3_000_000_000


class Lines:
    """What was published last."""

    def __init__(self, run: Path, devices: Path = tty.DEVICES) -> None:
        """Nothing has been published."""
        self._run, self._devices = run, devices
        self._names: tuple[str, ...] | None = None
        self._looked_ns = 0

    def publish(self, now_ns: int) -> None:
        """Look now and then, and publish the lines where others are there than before."""
        if self._names is not None and now_ns - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now_ns
        names = tty.names(self._devices)
        if names != self._names:
            live.write_lines(self._run, names)
            self._names = names
