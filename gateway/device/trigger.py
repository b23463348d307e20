"""A pedal's events or a foot switch's contact to presses: when, and with which key.

A press is told once, with the time of its first contact: by the kernel's own stamp for a pedal (evdev), by the sample that
saw it for a contact on a modem line. What chatters is one press. Nothing is retried here: what was unplugged says so and is
opened again by whoever decides that. Follows linux/input.h and ioctl_tty(2) (TIOCMGET).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import time
from collections import deque
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct

from gateway.config import ModemLine
from gateway.device import evdev, refusal
from gateway.errors import DeviceError, DeviceGone

LINES: Final[dict[ModemLine, int]] = {
    "cts": termios.TIOCM_CTS,
    "dsr": termios.TIOCM_DSR,
    "dcd": termios.TIOCM_CD,
    "ri": termios.TIOCM_RI,
}
"""Modem lines that a contact may pull, by name."""
SAMPLE_S: Final = 0.004
"""How often a line is looked at: a person's shortest tap is ten times as long."""

_MEANINGS: Final = {errno.ENOTTY: "it is neither a pedal nor a port with modem lines"}
_READ_BYTES: Final = 64 * evdev.EVENT_BYTES
_BELIEVED_NS: Final = 2_000_000_000
"""A stamp that lies further back, or ahead, is of another clock: then the time of arrival counts."""


class Press(Struct, frozen=True):
    """One press."""

    at_ns: int
    """CLOCK_MONOTONIC, of its first contact."""
    key: int = 0
    """Which key of a pedal; 0: a switch has only one."""


class Trigger(Protocol):
    """Something that a person presses."""

    def poll(self, timeout_s: float) -> Press | None:
        """Return the next press; None: none within the time. Raises DeviceGone, DeviceError."""

    def close(self) -> None:
        """Let go of it."""


class Contact:
    """Edges of one contact to presses, chatter taken out."""

    def __init__(self, quiet_ns: int, hold_ns: int = 0) -> None:
        """`quiet_ns`: a press begins only when nothing moved for so long. `hold_ns`: it must stay closed for so long to count."""
        self._quiet_ns = quiet_ns
        self._hold_ns = hold_ns
        self._is_closed = False
        self._moved_ns: int | None = None
        self._begun_ns: int | None = None

    def seen(self, at_ns: int, *, is_closed: bool) -> None:
        """Take note of the contact's state at a time, not before the last one."""
        if is_closed == self._is_closed:
            return
        self._forget_spike(at_ns)
        is_quiet = self._moved_ns is None or at_ns - self._moved_ns >= self._quiet_ns
        if is_closed and is_quiet:
            self._begun_ns = at_ns
        self._is_closed, self._moved_ns = is_closed, at_ns

    def due(self, now_ns: int) -> int | None:
        """Return when the press began that is certain by now, once; None when there is none."""
        begun_ns = self._begun_ns
        if begun_ns is None or self._moved_ns is None:
            return None
        if self._hold_ns and not (self._is_closed and now_ns - self._moved_ns >= self._hold_ns):
            return None
        self._begun_ns = None
        return begun_ns

    def _forget_spike(self, at_ns: int) -> None:
        """A contact that opened again and stayed open was no press, but a spike on a long cable."""
        is_over = self._moved_ns is not None and at_ns - self._moved_ns >= self._quiet_ns
        if not self._is_closed and is_over:
            self._begun_ns = None


class Pedal:
    """A HID pedal or any other keys, through evdev."""

    def __init__(self, device: str, fd: int, codes: frozenset[int] | None = None, *, debounce_ms: int = 30) -> None:
        """Read `fd`, which is closed in the end; `codes` are the keys that count, None: every key. See `pedal`."""
        self._device = device
        self._fd = fd
        self._codes = codes
        self._quiet_ns = debounce_ms * 1_000_000
        self._contacts: dict[int, Contact] = {}
        self._bytes = evdev.EventBytes()
        self._has_dropped = False
        self._presses: deque[Press] = deque()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def poll(self, timeout_s: float) -> Press | None:
        """Return the next press; None: none within the time. Raises DeviceGone, DeviceError."""
        until_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while not self._presses:
            left_ns = until_ns - time.monotonic_ns()
            if not self._poll.poll(max(0.0, left_ns / 1e6)):
                return None
            self._read()
        return self._presses.popleft()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise _named(self._device, error) from error
        if not data:
            raise DeviceGone(device=self._device)
        arrived_ns = time.monotonic_ns()
        for event in self._bytes.take(data):
            is_believed = 0 <= arrived_ns - event.at_ns <= _BELIEVED_NS
            self._take(event, event.at_ns if is_believed else arrived_ns)

    def _take(self, event: evdev.Event, at_ns: int) -> None:
        """Follow one event. After SYN_DROPPED nothing counts until the next report, and then what is down is asked."""
        if event.type == evdev.EV_SYN and event.code == evdev.SYN_DROPPED:
            self._has_dropped = True
        elif event.type == evdev.EV_SYN and event.code == evdev.SYN_REPORT and self._has_dropped:
            self._has_dropped = False
            down = self._asked()
            for code in {*self._contacts, *down}:
                self._look(code, at_ns, is_down=code in down)
        elif event.type == evdev.EV_KEY and not self._has_dropped:
            self._look(event.code, at_ns, is_down=event.value != 0)

    def _look(self, code: int, at_ns: int, *, is_down: bool) -> None:
        if self._codes is not None and code not in self._codes:
            return
        contact = self._contacts.setdefault(code, Contact(self._quiet_ns))
        contact.seen(at_ns, is_closed=is_down)
        if (begun_ns := contact.due(at_ns)) is not None:
            self._presses.append(Press(begun_ns, code))

    def _asked(self) -> set[int]:
        """Ask which keys are down (EVIOCGKEY); none, where nobody can say."""
        bits = bytearray(evdev.KEY_BYTES)
        with suppress(OSError):
            fcntl.ioctl(self._fd, evdev.EVIOCGKEY, bits)
        return {code for code in range(evdev.KEY_MAX + 1) if bits[code // 8] >> code % 8 & 1}


class Switch:
    """A foot switch between RTS (or DTR) and a modem line of a serial port."""

    def __init__(
        self, device: str, wires: Wires, line: ModemLine, *, debounce_ms: int = 30, is_closed_at_rest: bool = False
    ) -> None:
        """Look at `line` of `wires`, which are closed in the end. See `switch`."""
        self._device = device
        self._wires = wires
        self._bit = LINES[line]
        self._at_rest = is_closed_at_rest
        self._contact = Contact(debounce_ms * 1_000_000, debounce_ms * 1_000_000)

    def poll(self, timeout_s: float) -> Press | None:
        """Return the next press; None: none within the time. Raises DeviceGone, DeviceError."""
        until_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            now_ns = time.monotonic_ns()
            try:
                is_asserted = bool(self._wires.state() & self._bit)
                self._contact.seen(now_ns, is_closed=is_asserted is not self._at_rest)
                if (begun_ns := self._contact.due(now_ns)) is not None:
                    return Press(begun_ns)
                if now_ns >= until_ns:
                    return None
                self._wires.wait(SAMPLE_S)
            except OSError as error:
                raise _named(self._device, error) from error

    def close(self) -> None:
        """Let go of it."""
        self._wires.close()


class Wires(Protocol):
    """The modem lines of a serial port. Every method raises OSError with the kernel's errno."""

    def state(self) -> int:
        """Return which lines are asserted (TIOCM_* bits)."""

    def wait(self, timeout_s: float) -> None:
        """Let so much time pass, or less where the port hangs up."""

    def close(self) -> None:
        """Give the port back."""


class ModemLines:
    """The modem lines of a port of the running kernel."""

    def __init__(self, path: str) -> None:
        """Open it beside whoever else watches its lines, and feed the switch: RTS and DTR on."""
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.state()
            self._heed_no_carrier()
            fcntl.ioctl(self._fd, termios.TIOCMBIS, struct.pack("@i", termios.TIOCM_RTS | termios.TIOCM_DTR))
        except termios.error as error:
            os.close(self._fd)
            raise OSError(*error.args) from error
        except OSError:
            os.close(self._fd)
            raise
        self._poll = select.poll()
        self._poll.register(self._fd, 0)  # only that it hangs up; what arrives is nobody's

    def state(self) -> int:
        """See `Wires`."""
        bits = bytearray(4)
        fcntl.ioctl(self._fd, termios.TIOCMGET, bits)
        return int.from_bytes(bits, "little")

    def wait(self, timeout_s: float) -> None:
        """See `Wires`."""
        if self._poll.poll(timeout_s * 1000):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def close(self) -> None:
        """See `Wires`."""
        os.close(self._fd)

    def _heed_no_carrier(self) -> None:
        """CLOCAL: else a contact on DCD that opens would hang up the port."""
        settings = termios.tcgetattr(self._fd)
        settings[2] |= termios.CLOCAL
        termios.tcsetattr(self._fd, termios.TCSANOW, settings)


_a_pedal: type[Trigger] = Pedal
_a_switch: type[Trigger] = Switch
_modem_lines: type[Wires] = ModemLines


def pedal(device: str, keys: tuple[str, ...] = (), *, debounce_ms: int = 30, is_exclusive: bool = True) -> Pedal:
    """Open a pedal, /dev/input/event* or a name of it; `keys` by their kernel names, none: every key counts.

    `is_exclusive`: nobody else sees its keys, so that a pedal that plays a keyboard types nowhere. Raises DeviceGone,
    DeviceBusy, DeviceError.
    """
    codes = frozenset(_code(device, key) for key in keys) or None
    try:
        fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _named(device, error) from error
    try:
        with suppress(OSError):  # without it the stamps are of the wall clock: then the time of arrival counts
            fcntl.ioctl(fd, evdev.EVIOCSCLOCKID, struct.pack("@i", time.CLOCK_MONOTONIC))
        if is_exclusive:
            fcntl.ioctl(fd, evdev.EVIOCGRAB, 1)
    except OSError as error:
        os.close(fd)
        raise _named(device, error) from error
    return Pedal(device, fd, codes, debounce_ms=debounce_ms)


def switch(device: str, line: ModemLine, *, debounce_ms: int = 30, is_closed_at_rest: bool = False) -> Switch:
    """Open a foot switch on a modem line of a serial port. Raises DeviceGone, DeviceBusy, DeviceError."""
    try:
        wires = ModemLines(device)
    except OSError as error:
        raise _named(device, error) from error
    return Switch(device, wires, line, debounce_ms=debounce_ms, is_closed_at_rest=is_closed_at_rest)


def _code(device: str, name: str) -> int:
    code = evdev.code_of(name)
    if code is None:
        raise DeviceError(device=device, problem=f"no key is named {name}")
    return code


def _named(device: str, error: OSError) -> DeviceError:
    if error.errno == errno.EIO:  # a port that hung up
        return DeviceGone(device=device)
    return refusal.named(device, error.errno, "the groups `input` and `dialout`", _MEANINGS)
