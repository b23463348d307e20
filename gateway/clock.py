"""What time it is, and whether we believe it.

Wall clocks lie (law 6): a rural box boots in 1970, and NTP may move the clock in the middle of an exam. Intervals and
leases use CLOCK_MONOTONIC together with the boot id; the wall clock is only for what a person reads, and for dates in
objects once it is trusted. `adjtimex(2)` says whether the kernel's clock is synchronised (`STA_UNSYNC`, linux/timex.h).
"""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

BUILT_AT = datetime(2026, 11, 24, tzinfo=UTC)
"""No trusted clock shows a time before the software was made."""

_STA_UNSYNC = 0x0040
_TIMEX_STATUS_OFFSET = 40
_TIMEX_BYTES = 208


class Clock(Protocol):
    """Time as the gateway sees it; tests and simulators bring their own."""

    def now(self) -> datetime:
        """Return the wall clock, aware, in UTC; it may be wrong."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds: comparable only within one boot."""

    def boot_id(self) -> str:
        """Return the identity of this boot."""

    def doubt(self) -> str:
        """Return why the wall clock is not trusted, in words; empty when it is."""


class SystemClock:
    """The kernel's clock. `needs_ntp`: trust it only while the kernel says that it is synchronised."""

    def __init__(self, *, needs_ntp: bool = False, seen_at: datetime | None = None) -> None:
        """`seen_at` is the latest time that this box has ever recorded: the clock must not be before it."""
        self._needs_ntp = needs_ntp
        self._floor = max(BUILT_AT, seen_at) if seen_at else BUILT_AT
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(tz=UTC)

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def boot_id(self) -> str:
        """Return the kernel's boot id."""
        return self._boot_id

    def doubt(self) -> str:
        """Say why the clock is not trusted."""
        now = self.now()
        if now < self._floor:
            return f"it shows {now:%Y-%m-%d %H:%M}, before {self._floor:%Y-%m-%d %H:%M}"
        if self._needs_ntp and not kernel_is_synchronised():
            return "no time server has confirmed it since the box was switched on"
        return ""


def kernel_is_synchronised() -> bool:
    """Ask the kernel whether a time server disciplines its clock (adjtimex with modes 0 reads only)."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    status = int.from_bytes(timex.raw[_TIMEX_STATUS_OFFSET : _TIMEX_STATUS_OFFSET + 4], "little")
    return state >= 0 and not status & _STA_UNSYNC


_the_kernel: type[Clock] = SystemClock
