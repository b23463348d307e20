"""A serial line to bytes: opened for us alone, set as its profile says, read with a time-out; what was damaged is told from data.

pyserial opens and sets it; termios beside it has what pyserial does not: marked errors (PARMRK of termios(3)), the driver's
counts (TIOCGICOUNT), TIOCEXCL (tty_ioctl(4)), and writes that end. RTS/CTS and XON/XOFF are the kernel's; DSR and CTS are looked at here too.
Works on a pseudo-terminal too, which has no modem lines, always eight bits, and never parity (drivers/tty/pty.c).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import serial

from gateway.device import locks, refusal
from gateway.device.marks import DAMAGED, ICOUNTER_BYTES, Counts, LineErrors, Marks, Tally
from gateway.errors import DeviceBusy, DeviceError, DeviceGone, LineClaimed, LineLocked, NotReady

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.profile import SerialSettings

__all__ = ["DAMAGED", "LineErrors", "Tty", "names"]

WRITE_S: Final = 1.0
"""How long the instrument may keep us from sending, beyond the time that the characters take."""
_READ_BYTES: Final = 4096
_PIECE_BYTES: Final = 16
"""So many characters are sent before DSR or CTS is looked at again: the FIFO of a 16550."""
_LOOK_S: Final = 0.005
_PAUSE_CHARACTERS: Final = 4
_PAUSE_S: Final = 0.02
"""Half duplex: the line was silent for at least so long; a USB adapter hands characters on in bunches (FT232: each 16 ms)."""
_PSEUDO: Final = range(136, 144)
"""Major numbers of pseudo-terminals, by whatever name (Documentation/admin-guide/devices.txt)."""
_COUNT: Final = struct.Struct("@i")


DEVICES: Final = Path("/dev")
"""Where devices are."""


def names(devices: Path = DEVICES) -> tuple[str, ...]:
    """Return the serial lines that are there, by names that stay: those of our udev rules, and the kernel's paths of any others.

    firmware-config/usr/lib/udev/rules.d/70-gateway.rules; /dev/serial/by-path: systemd's 60-serial.rules.
    """
    found = {path.resolve(): path for path in sorted(devices.glob("serial/by-path/*"))}
    found |= {path.resolve(): path for path in sorted(devices.glob("gateway/serial-*"))}
    return tuple(sorted(map(str, found.values())))


class Tty:
    """One open line. Raises DeviceGone when it is unplugged, DeviceBusy when another program holds it."""

    def __init__(self, device: str, settings: SerialSettings) -> None:
        """Open and lock `device`."""
        self._device = device
        self._settings = settings
        try:
            self._is_pseudo = os.major(Path(device).stat().st_rdev) in _PSEUDO
            self._port = serial.Serial(timeout=0, exclusive=True)
            self._port.apply_settings(self._line())
            self._port.port = device
            self._port.open()
        except (serial.SerialException, OSError, ValueError, termios.error) as error:
            raise _opening(device, error) from error
        self._fd = int(self._port.fileno())
        self._poll, self._hangup = select.poll(), select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._hangup.register(self._fd, 0)
        self._marks = Marks()
        self._ahead = b""
        """What arrived while we waited for our turn to send."""
        try:
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            self._begin()
        except (OSError, termios.error, DeviceError) as error:
            self._port.close()
            raise error if isinstance(error, DeviceError) else _opening(device, error) from error

    def fileno(self) -> int:
        """Return the descriptor, to wait on it."""
        return self._fd

    def read(self, timeout_s: float) -> bytes:
        """Return what arrives within `timeout_s`, at most 4 KiB; empty when nothing does. A damaged character reads as DAMAGED."""
        raw, self._ahead = self._ahead, b""
        return self._marks.take(raw or self._raw(timeout_s))

    def errors(self) -> LineErrors:
        """Return what went wrong on the line since the last call."""
        return self._tally.since(self._marks, self._counts())

    def write(self, data: bytes) -> None:
        """Send `data` and wait until the kernel has handed it on. Raises NotReady when the instrument does not let us; the rest is then never sent."""
        end = time.monotonic() + WRITE_S + len(data) * self._character_s
        try:
            if self._settings.duplex == "half":
                self._await_pause(end)
            for start in range(0, len(data), _PIECE_BYTES):
                self._await_ready(end)
                self._send(data[start : start + _PIECE_BYTES], end)
        except (OSError, termios.error) as error:
            raise DeviceGone(device=self._device) from error

    def change(self, settings: SerialSettings) -> None:
        """Set the line anew, without closing it; what had arrived is dropped. Raises DeviceError when this line cannot be set so."""
        self._settings = settings
        try:
            self._port.apply_settings(self._line())
            self._begin()
        except (serial.SerialException, OSError, ValueError, termios.error) as error:
            raise _opening(self._device, error) from error

    def hold(self) -> None:
        """Tell the instrument to wait, as the handshake has it: DTR or RTS off, or XOFF; without a handshake it cannot be told."""
        self._tell(is_ready=False)

    def resume(self) -> None:
        """Tell the instrument that it may go on."""
        self._tell(is_ready=True)

    def close(self) -> None:
        """Close and unlock it; the kernel lowers DTR and RTS."""
        self._port.close()

    def __enter__(self) -> Self:
        """Keep it open for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    # ---- setting ----

    def _line(self) -> dict[str, object]:
        """Return the settings in the words of pyserial, which raises DTR at once and leaves it up, whatever the handshake."""
        line = self._settings
        return {
            "baudrate": line.baud,
            "bytesize": 8 if self._is_pseudo else line.data_bits,
            "parity": "N" if self._is_pseudo else line.parity,
            "stopbits": line.stop_bits,
            "xonxoff": line.handshake == "xon/xoff",
            "rtscts": line.handshake == "rts/cts",
            "dsrdtr": line.handshake == "dtr/dsr",
        }

    def _begin(self) -> None:
        """Have errors marked, and see whether the line is what was asked for. Raises DeviceError, OSError, termios.error."""
        attributes = termios.tcgetattr(self._fd)
        attributes[0] |= termios.INPCK | termios.PARMRK
        attributes[0] &= ~(termios.IGNPAR | termios.IGNBRK | termios.BRKINT)
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        termios.tcflush(self._fd, termios.TCIFLUSH)
        if not self._is_pseudo:
            self._check(termios.tcgetattr(self._fd)[2])
        line = self._settings
        self._character_s = (1 + line.data_bits + (line.parity != "N") + line.stop_bits) / line.baud
        self._ahead = b""
        self._marks.forget()
        self._tally = Tally(has_parity=line.parity != "N", counts=self._counts())
        self._tally.since(self._marks, self._counts())

    def _check(self, cflag: int) -> None:
        """Raise DeviceError when the driver left out a part of what was asked: tcsetattr(3) says nothing of it."""
        line = self._settings
        found = (
            7 if cflag & termios.CSIZE == termios.CS7 else 8,
            "N" if not cflag & termios.PARENB else "O" if cflag & termios.PARODD else "E",
        )
        if found != (line.data_bits, line.parity):
            raise DeviceError(
                device=self._device, problem=f"it cannot do {line.data_bits} bits with parity {line.parity}"
            )

    def _tell(self, *, is_ready: bool) -> None:
        """Raise or lower what stops the instrument."""
        try:
            match self._settings.handshake:
                case "dtr/dsr":
                    self._set_line(termios.TIOCM_DTR, is_ready=is_ready)
                case "rts/cts":
                    self._set_line(termios.TIOCM_RTS, is_ready=is_ready)
                case "xon/xoff":
                    termios.tcflow(self._fd, termios.TCION if is_ready else termios.TCIOFF)
                case "none":
                    pass
        except (OSError, termios.error) as error:
            if not _has_no_lines(error):
                raise DeviceGone(device=self._device) from error

    def _set_line(self, bit: int, *, is_ready: bool) -> None:
        fcntl.ioctl(self._fd, termios.TIOCMBIS if is_ready else termios.TIOCMBIC, _COUNT.pack(bit))

    # ---- receiving ----

    def _raw(self, timeout_s: float) -> bytes:
        """What arrives within the time, with the kernel's marks in it. Raises DeviceGone."""
        try:
            if not self._poll.poll(max(0.0, timeout_s * 1000)):
                return b""
            raw = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceGone(device=self._device) from error
        if not raw:
            raise DeviceGone(device=self._device)
        return raw

    def _counts(self) -> Counts | None:
        """What the driver has counted; None: it does not count (a pseudo-terminal), or is gone."""
        try:
            return Counts.of(fcntl.ioctl(self._fd, termios.TIOCGICOUNT, bytes(ICOUNTER_BYTES)))
        except OSError:
            return None

    # ---- sending ----

    def _await_pause(self, end: float) -> None:
        """Wait until the instrument has stopped sending; what it sends meanwhile is there for the next read."""
        pause_s = max(_PAUSE_S, _PAUSE_CHARACTERS * self._character_s)
        while raw := self._raw(pause_s):
            self._ahead += raw
            if time.monotonic() > end:
                raise NotReady(device=self._device, problem="it sends without a pause")

    def _await_ready(self, end: float) -> None:
        """Wait until the instrument says that it listens; a line without modem lines always does."""
        bit, problem = _READY.get(self._settings.handshake, (0, ""))
        while bit and not self._modem_lines() & bit:
            if time.monotonic() > end:
                raise NotReady(device=self._device, problem=problem)
            self._wait()

    def _modem_lines(self) -> int:
        try:
            (lines,) = _COUNT.unpack(fcntl.ioctl(self._fd, termios.TIOCMGET, _COUNT.pack(0)))
        except OSError as error:
            if _has_no_lines(error):
                return termios.TIOCM_DSR | termios.TIOCM_CTS
            raise
        return int(lines)

    def _send(self, data: bytes, end: float) -> None:
        """Write, and wait until the kernel has none of it left: it keeps what CTS or XOFF holds up.

        Never tcdrain(3): it waits for ever for an adapter (ftdi_sio) whose own buffer is held up by CTS.
        """
        while data or self._unsent():
            with suppress(BlockingIOError):
                data = data[os.write(self._fd, data) :] if data else data
            if not data and not self._unsent():
                break
            if time.monotonic() > end:
                termios.tcflush(self._fd, termios.TCOFLUSH)
                raise NotReady(
                    device=self._device, problem=_HELD.get(self._settings.handshake, "nothing leaves the box")
                )
            self._wait()

    def _unsent(self) -> int:
        (count,) = _COUNT.unpack(fcntl.ioctl(self._fd, termios.TIOCOUTQ, _COUNT.pack(0)))
        return int(count)

    def _wait(self) -> None:
        """Let a few characters pass; comes back at once, with OSError, when the line was unplugged."""
        if self._hangup.poll(_LOOK_S * 1000):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


_READY: Final = {"dtr/dsr": (termios.TIOCM_DSR, "DSR is off"), "rts/cts": (termios.TIOCM_CTS, "CTS is off")}
_HELD: Final = {"rts/cts": "CTS is off", "xon/xoff": "it has sent XOFF"}


def _has_no_lines(error: Exception) -> bool:
    return error.args[0] in {errno.ENOTTY, errno.EINVAL}


def _opening(device: str, error: Exception) -> DeviceError:
    number = error.args[0] if isinstance(error, termios.error) else getattr(error, "errno", None)
    if number is None:
        return DeviceError(device=device, problem=str(error))
    if number in {errno.EAGAIN, errno.EBUSY}:
        return _taken(device)
    return refusal.named(device, number, "the group `dialout`")


def _taken(device: str) -> DeviceBusy:
    """Say who has it: who locks (flock) is known by name, who only claims it (TIOCEXCL) is not."""
    found = locks.holder(device)
    return LineLocked(device=device, program=found.program, pid=found.pid) if found else LineClaimed(device=device)
