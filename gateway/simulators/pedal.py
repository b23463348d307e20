"""A foot to what the kernel would say of it: the bytes of a HID pedal, and the modem lines that a foot switch pulls.

A pedal is written into a pipe or a socket that `gateway.device.trigger.Pedal` reads; a named pipe stands in for a device
node, and closing it for unplugging. Lines are sampled, as a driver's are. Follows linux/input.h and ioctl_tty(2).
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from gateway.config import ModemLine
from gateway.device import evdev
from gateway.device.trigger import LINES, Wires


class SimulatedPedal:
    """Presses keys into a file descriptor."""

    def __init__(self, fd: int, key: str = "KEY_B") -> None:
        """`fd` is the writing end; it is closed by `unplug`."""
        self._fd = fd
        self._code = evdev.code_of(key) or 0
        self.pressed: list[int] = []
        """When each key went down, as stamped."""

    def press(self, *, at_ns: int | None = None, held_ns: int = 120_000_000, bounces: int = 0) -> int:
        """Press and let go, stamped `at_ns` (now, when not given); the contact bounces so often, a millisecond each."""
        down_ns = time.monotonic_ns() if at_ns is None else at_ns
        for bounce in range(bounces + 1):
            self.move(1, down_ns + 2_000_000 * bounce)
            if bounce < bounces:
                self.move(0, down_ns + 2_000_000 * bounce + 1_000_000)
        self.move(0, down_ns + held_ns)
        self.pressed.append(down_ns // 1_000 * 1_000)
        return self.pressed[-1]

    def move(self, value: int, at_ns: int) -> None:
        """Send one event of the key, and its report."""
        self.send(evdev.Event(evdev.EV_KEY, self._code, value, at_ns), evdev.Event(evdev.EV_SYN, 0, 0, at_ns))

    def send(self, *events: evdev.Event) -> None:
        """Send events as they are."""
        os.write(self._fd, b"".join(evdev.packed(each) for each in events))

    def unplug(self) -> None:
        """Pull it out."""
        os.close(self._fd)


class SimulatedLines:
    """The modem lines of a port, at the pace of whoever samples them: one state a sample."""

    def __init__(self, line: ModemLine = "cts", wait: Callable[[float], None] = time.sleep) -> None:
        """`wait` lets the time between two samples pass."""
        self._bit = LINES[line]
        self._wait = wait
        self._coming: list[bool] = []
        self._is_closed = False
        self.is_plugged = True

    def then(self, *, is_closed: bool, samples: int = 1) -> SimulatedLines:
        """Be so for that many samples more; the last state stays."""
        self._coming += [is_closed] * samples
        return self

    def state(self) -> int:
        """See `Wires`."""
        if not self.is_plugged:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self._coming:
            self._is_closed = self._coming.pop(0)
        return self._bit if self._is_closed else 0

    def wait(self, timeout_s: float) -> None:
        """See `Wires`."""
        self._wait(timeout_s)

    def close(self) -> None:
        """See `Wires`."""


_the_lines: type[Wires] = SimulatedLines
