"""A serial line to bytes: opened for us alone, set as its profile says, read with a time-out.

pyserial on termios (POSIX `termios.h`, `TIOCEXCL` of tty_ioctl(4)); works on a pseudo-terminal too, which has no modem
lines, always eight bits, and never parity (drivers/tty/pty.c; asking for them is EINVAL).
"""

from __future__ import annotations

import errno
import os
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import serial

from gateway.device import refusal
from gateway.errors import DeviceBusy, DeviceError, DeviceGone

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.profile import SerialSettings

_READ_BYTES = 4096
_PSEUDO: Final = range(136, 144)
"""Major numbers of pseudo-terminals, by whatever name (Documentation/admin-guide/devices.txt)."""


class Tty:
    """One open line. Raises DeviceGone when it is unplugged, DeviceBusy when another program holds it."""

    def __init__(self, device: str, settings: SerialSettings) -> None:
        """Open and lock `device`."""
        self._device = device
        try:
            is_pseudo = os.major(Path(device).stat().st_rdev) in _PSEUDO
            self._port = serial.Serial(
                device,
                baudrate=settings.baud,
                bytesize=8 if is_pseudo else settings.data_bits,
                parity="N" if is_pseudo else settings.parity,
                stopbits=settings.stop_bits,
                xonxoff=settings.handshake == "xon/xoff",
                rtscts=settings.handshake == "rts/cts",
                dsrdtr=settings.handshake == "dtr/dsr",
                timeout=0,
                exclusive=True,
            )
        except (serial.SerialException, OSError, ValueError, termios.error) as error:
            raise _opening(device, error) from error

    def fileno(self) -> int:
        """Return the descriptor, to wait on it."""
        return int(self._port.fileno())

    def read(self, timeout_s: float) -> bytes:
        """Return what arrives within `timeout_s`, at most 4 KiB; empty when nothing does."""
        try:
            self._port.timeout = timeout_s
            first = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0
            return bytes(first + self._port.read(_READ_BYTES - 1))
        except (serial.SerialException, OSError, TypeError) as error:
            raise DeviceGone(device=self._device) from error

    def write(self, data: bytes) -> None:
        """Send `data` and wait until it has left."""
        try:
            self._port.write(data)
            self._port.flush()
        except (serial.SerialException, OSError) as error:
            raise DeviceGone(device=self._device) from error

    def close(self) -> None:
        """Close and unlock it."""
        self._port.close()

    def __enter__(self) -> Self:
        """Keep it open for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def _opening(device: str, error: Exception) -> DeviceError:
    number = error.args[0] if isinstance(error, termios.error) else getattr(error, "errno", None)
    if number is None:
        return DeviceError(device=device, problem=str(error))
    if number == errno.EAGAIN:  # another program holds its lock
        return DeviceBusy(device=device)
    return refusal.named(device, number, "the group `dialout`")
