"""An FT232 as a USB device of our own, driven by the kernel's own ftdi_sio: its UART, modem lines and line errors, and an instrument behind.

FunctionFS (linux/usb/functionfs.h) on a controller of dummy_hcd plays the chip. Its requests and its two bytes of status before each
packet are those of drivers/usb/serial/ftdi_sio.h. The receiver is the model of a UART (gateway/simulators/uart.py), set as the
driver sets it: the instrument sends at its own baud and parity, and the driver is told which characters came out damaged. With
RTS/CTS the chip itself stops while CTS is off, and holds what it has. It shows nothing of electrical levels or of time below 16 ms.
"""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.profile import SerialSettings
from gateway.simulators.uart import Character, Fault, Uart, Wire

CONFIGFS: Final = Path("/sys/kernel/config/usb_gadget")
PACKET_BYTES: Final = 512
LATENCY_S: Final = 0.016
"""The chip hands on what it has, at least its status, after so long."""

RESET, MODEM_CTRL, SET_FLOW, SET_BAUD, SET_DATA, GET_STATUS, SET_LATENCY, GET_LATENCY = 0, 1, 2, 3, 4, 5, 9, 10
RTS_CTS: Final = 0x0100
ALWAYS, CTS, DSR = 0x01, 0x10, 0x20
READY, OVERRUN, PARITY, FRAMING, BREAK, EMPTY = 0x01, 0x02, 0x04, 0x08, 0x10, 0x60
STATUS: Final = {Fault.PARITY: PARITY, Fault.FRAMING: FRAMING, Fault.BREAK: BREAK | FRAMING}
EIGHTHS: Final = (0, 4, 2, 1, 3, 5, 6, 7)
"""Of the divisor of 3 MHz, by the three bits that stand for them (ftdi_232bm_baud_base_to_divisor)."""

_MAGIC_DESCRIPTORS, _MAGIC_STRINGS = 3, 2
_FULL_SPEED, _HIGH_SPEED, _ALL_REQUESTS = 1, 2, 64
_SETUP: Final = 4
_EVENT: Final = struct.Struct("<BBHHHB3x")


class Ftdi:
    """One adapter, not yet in its socket, and the instrument behind it. `print` and `heard` are those of SimulatedInstrument."""

    def __init__(self, number: int) -> None:
        """`number`: which of dummy_hcd's controllers, from 0; it is the socket."""
        self.settings = SerialSettings()
        """As the driver has set the chip."""
        self.dtr = self.rts = False
        """As the driver has them: what the instrument sees."""
        self.line = SerialSettings()
        """As the instrument is set."""
        self.is_flow_by_rts = False
        self._number = number
        self._inputs = CTS | DSR
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._held = b""
        self._heard = b""
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._ends: list[int] = []
        self.is_plugged = False
        self._gadget = CONFIGFS / f"ftdi{number}"
        self._mount = Path(f"/run/ftdi{number}")
        self._describe()

    # ---- the instrument ----

    def print(self, text: bytes, *, noise: bytes = b"", cut_at: int | None = None, wrong: Iterable[int] = ()) -> None:
        """Send `text` at the instrument's own settings and pace. `wrong`: places whose parity bit is turned around."""
        data = noise + text[:cut_at]
        wire = Wire(data, self.line, wrong=frozenset(wrong))
        self._receive(Uart(wire, self.settings).until(wire.period_s))
        time.sleep(wire.period_s)

    def play(self, wire: Wire, stop: threading.Event) -> None:
        """Send over and over, in real time, whatever the chip is set to meanwhile."""
        began, settings, uart = time.monotonic(), self.settings, Uart(wire, self.settings)
        while not stop.wait(LATENCY_S):
            now = time.monotonic() - began
            if settings != self.settings:
                settings = self.settings
                uart = Uart(wire, settings, now)
            self._receive(uart.until(now))

    def hold_line_down(self) -> None:
        """A break."""
        self._receive([Character(0, Fault.BREAK, 0.0)])

    def lose(self) -> None:
        """The chip has no room for a character."""
        with self._changed:
            self._waiting.append((b"?", OVERRUN))
            self._changed.notify_all()

    def heard(self) -> bytes:
        """Return what the instrument heard since the last call."""
        with self._changed:
            heard, self._heard = self._heard, b""
        return heard

    def ready(self, *, cts: bool = True, dsr: bool = True) -> None:
        """Say whether the instrument listens."""
        with self._changed:
            self._inputs = CTS * cts | DSR * dsr
            self._let_go()
            self._changed.notify_all()

    # ---- the socket ----

    def plug(self) -> str:
        """Put it into its socket; return the device that the driver makes of it."""
        before = set(Path("/dev").glob("ttyUSB*"))
        (self._gadget / "UDC").write_text(f"dummy_udc.{self._number}")
        end = time.monotonic() + 60
        while not (new := set(Path("/dev").glob("ttyUSB*")) - before):
            assert time.monotonic() < end, "the driver does not see it"
            time.sleep(0.05)
        subprocess.run(["udevadm", "settle"], check=True)
        self.is_plugged = True
        for end_point, work in ((1, self._send), (2, self._take)):
            self._ends.append(os.open(self._mount / f"ep{end_point}", os.O_RDWR))
            os.set_blocking(self._ends[-1], False)  # who comes after it was pulled out does not wait for the next time
            self._threads.append(_start(work, self._ends[-1]))
        return str(new.pop())

    def unplug(self) -> None:
        """Pull it out; what had not been handed on is lost with it."""
        with self._changed:
            self.is_plugged = False
            self._changed.notify_all()
        (self._gadget / "UDC").write_text("\n")
        for thread in self._threads:
            thread.join(30)
        self._threads.clear()
        for end in self._ends:
            os.close(end)
        self._ends.clear()
        self._waiting.clear()

    # ---- the chip ----

    def _describe(self) -> None:
        """Say to the kernel what it is: an FT232BM with a bulk end each way."""
        for module in ("libcomposite", "usb_f_fs", "ftdi_sio"):
            subprocess.run(["modprobe", module], check=True)
        self._gadget.mkdir()
        for name, value in (("idVendor", "0x0403"), ("idProduct", "0x6001"), ("bcdDevice", "0x0400")):
            (self._gadget / name).write_text(value)
        (self._gadget / "strings/0x409").mkdir()
        (self._gadget / "strings/0x409/serialnumber").write_text(f"RIG{self._number}")
        (self._gadget / "configs/c.1").mkdir()
        (self._gadget / "functions" / f"ffs.ftdi{self._number}").mkdir()
        self._mount.mkdir()
        subprocess.run(["mount", "-t", "functionfs", f"ftdi{self._number}", self._mount], check=True)
        self._control = os.open(self._mount / "ep0", os.O_RDWR)
        os.write(self._control, _descriptors())
        os.write(self._control, struct.pack("<IIII", _MAGIC_STRINGS, 16, 0, 0))
        (self._gadget / "configs/c.1/ffs.0").symlink_to(self._gadget / "functions" / f"ffs.ftdi{self._number}")
        _start(self._obey, self._control)

    def _receive(self, characters: Iterable[Character]) -> None:
        """What the receiver makes of the line: a damaged character has a packet of its own, so that the driver knows which it was."""
        with self._changed:
            good = b""
            for one in characters:
                if one.fault is Fault.NONE:
                    good += bytes([one.byte])
                    continue
                self._waiting.extend([(good, 0)] * bool(good))
                self._waiting.append((bytes([one.byte]), STATUS[one.fault]))
                good = b""
            self._waiting.extend([(good, 0)] * bool(good))
            self._changed.notify_all()

    def _send(self, end: int) -> None:
        """To the driver: status, and what has been received."""
        with suppress(OSError):
            while self.is_plugged:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or not self.is_plugged, LATENCY_S)
                    data, status = self._waiting.popleft() if self._waiting else (b"", 0)
                for start in range(0, max(1, len(data)), PACKET_BYTES - 2):
                    os.write(end, self._status(status) + data[start : start + PACKET_BYTES - 2])

    def _take(self, end: int) -> None:
        """From the driver, to the instrument: while it is ready, where the flow goes by CTS."""
        with suppress(OSError):
            while self.is_plugged:
                data = os.read(end, PACKET_BYTES)
                with self._changed:
                    self._held += data
                    self._let_go()
                    self._changed.wait_for(lambda: not self._held or not self.is_plugged)

    def _let_go(self) -> None:
        if not self.is_flow_by_rts or self._inputs & CTS:
            self._heard, self._held = self._heard + self._held, b""

    def _status(self, line: int = 0) -> bytes:
        return bytes([ALWAYS | self._inputs, line | (0 if self._held else EMPTY)])

    def _obey(self, control: int) -> None:
        """Answer the driver's requests."""
        with suppress(OSError):
            while True:
                for event in _EVENT.iter_unpack(os.read(control, _EVENT.size * 4)):
                    if event[5] == _SETUP:
                        self._answer(control, *event[:5])

    def _answer(self, control: int, kind: int, request: int, value: int, index: int, length: int) -> None:
        if kind & 0x80:
            answers = {GET_STATUS: self._status(), GET_LATENCY: b"\x10"}
            os.write(control, answers.get(request, bytes(length))[:length])
            return
        os.read(control, length)
        with self._changed:
            self._set(request, value, index)
            self._let_go()
            self._changed.notify_all()

    def _set(self, request: int, value: int, index: int) -> None:
        match request:
            case 0:  # RESET
                self._waiting.clear()
            case 1:  # MODEM_CTRL: which of the lines, and how
                self.dtr = bool(value & 1) if value & 0x100 else self.dtr
                self.rts = bool(value & 2) if value & 0x200 else self.rts
            case 2:  # SET_FLOW
                self.is_flow_by_rts = bool(index & RTS_CTS)
            case 3:  # SET_BAUD
                self.settings = _with(self.settings, baud=_baud(value, index))
            case 4:  # SET_DATA
                parity, stop_bits = "NOE"[value >> 8 & 3], 2 if value >> 11 & 2 else 1
                self.settings = _with(self.settings, data_bits=value & 0xF, parity=parity, stop_bits=stop_bits)
            case _:
                pass


def _start(work: Callable[[int], None], end: int) -> threading.Thread:
    thread = threading.Thread(target=work, args=(end,), daemon=True)
    thread.start()
    return thread


def _with(settings: SerialSettings, **changes: object) -> SerialSettings:
    fields = {name: getattr(settings, name) for name in ("baud", "data_bits", "parity", "stop_bits")}
    return SerialSettings(**{**fields, **changes})


def _baud(value: int, index: int) -> int:
    code = value | (index & 1) << 16
    if code in {0, 1}:
        return (3_000_000, 2_000_000)[code]
    return round(3_000_000 / ((code & 0x3FFF) + EIGHTHS[code >> 14 & 7] / 8))


def _descriptors() -> bytes:
    """One interface of the maker's own class, a bulk end to the host and one from it, at full and at high speed."""
    interface = struct.pack("<9B", 9, 4, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0)

    def ends(size: int) -> bytes:
        return b"".join(struct.pack("<BBBBHB", 7, 5, address, 2, size, 0) for address in (0x81, 0x02))

    body = struct.pack("<II", 3, 3) + interface + ends(64) + interface + ends(PACKET_BYTES)
    flags = _FULL_SPEED | _HIGH_SPEED | _ALL_REQUESTS
    return struct.pack("<III", _MAGIC_DESCRIPTORS, 12 + len(body), flags) + body
