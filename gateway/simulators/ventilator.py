"""A ventilator on MEDIBUS: it answers what a host asks, streams its curves between and inside its replies, and gives up a silent host.

Written from OpenICE (devices/draeger: Medibus.java, RTMedibus.java and the *.map tables, BSD) and from xenon's notes on the MEDIBUS
definition 6.00, not from the parser. Faults on demand: the power goes, a reply is damaged or preceded by noise, a cycle is corrupt.
What it saw: `asked`, `answered`, `sent`, `lost_hosts`.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    import threading

    from gateway.simulators.instrument import SimulatedInstrument

IDENTITY: Final = "8210'Evita 4'04.00:04.03"
MEASURED_1: Final = (
    (0x07, "  58"),
    (0x08, " 9.5"),
    (0x73, "11.2"),
    (0x78, " 4.9"),
    (0x7D, "23.1"),
    (0x82, "0.48"),
    (0x88, " 482"),
    (0xB9, " 7.2"),
    (0xD6, "15.0"),
    (0xE6, "38.0"),
    (0xEB, " 130"),
    (0xF0, "  40"),
    (0xC1, "    "),
)
"""One that means different things on different devices (82h), one that cannot be (SpO2 of 130 %), one that was not measured."""
MEASURED_2: Final = ((0x06, "17.5"), (0x07, "0.55"))
SETTINGS: Final = ((0x01, "   40"), (0x0B, "  5.0"), (0x4B, "   80"))
TEXTS: Final = ((0x0E, "BIPAP"), (0x20, "Adults"), (0x61, "SYNTHETIC"))
"""The last is the patient's name."""
ALARMS: Final = (("O", 0x9B, "MIN VOL HIGH"),)
"""Its priority is the distance of the letter from 0."""
SILENCE_S: Final = 3.0
STEP_S: Final = 0.005
PIECE: Final = 16

ESC, SOH, CR = b"\x1b", b"\x01", b"\r"


class Channel(Struct, frozen=True, kw_only=True):
    """One curve that it can send: its scale as it states it, and how it goes."""

    code: int
    low: int
    high: int
    highest: int
    mean: float
    swing: float

    def sample(self, number: int) -> int:
        """The sample of this number: a breath takes a hundred."""
        value = self.mean + self.swing * math.sin(2 * math.pi * number / 100)
        return round((value - self.low) / (self.high - self.low) * self.highest)


CHANNELS: Final = (
    Channel(code=0x00, low=-20, high=100, highest=4000, mean=14.0, swing=9.0),
    Channel(code=0x01, low=-180, high=180, highest=4095, mean=0.0, swing=35.0),
    Channel(code=0x06, low=0, high=100, highest=4095, mean=19.0, swing=19.0),
)


_BY_CODE: Final = {channel.code: channel for channel in CHANNELS}
_ROUND: Final = (0x24, 0x2B, 0x29, 0x2A, 0x27, 0x2E)


class Ventilator:
    """One on a simulated line. Its clock is the real one: it runs in a thread of its own."""

    def __init__(self, line: SimulatedInstrument, *, interval_ms: int = 32) -> None:
        """`interval_ms`: between two samples of each curve."""
        self._line = line
        self._interval_ms = interval_ms
        self.asked: list[int] = []
        """Commands, in the order in which they were heard."""
        self.answered: list[int] = []
        """Its own commands that the host replied to."""
        self.sent: dict[int, list[int]] = {channel.code: [] for channel in CHANNELS}
        """Samples of each curve."""
        self.lost_hosts = 0
        """How often it gave up a host that was silent for three seconds."""
        self.is_on = True
        self._heard = b""
        self._heard_at = 0.0
        self._has_host = False
        self._chosen: tuple[Channel, ...] = ()
        self._every = 1
        self._began_at = 0.0
        self._cycles = 0
        self._begins = False
        self._damages = 0
        self._noise = b""
        self._corrupts = 0
        self._interrupts = 0

    def power_off(self) -> None:
        """It says nothing any more, in the middle of whatever it was saying."""
        self.is_on = False

    def power_on(self) -> None:
        """It begins by itself, with ICC."""
        self._has_host, self._chosen, self._begins = False, (), True
        self.is_on = True

    def damage(self, replies: int = 1, *, noise: bytes = b"") -> None:
        """Hurt the next replies that carry data on the way, and make a noise before the first."""
        self._damages, self._noise = replies, noise

    def corrupt(self, cycles: int) -> None:
        """Say of the next cycles that they are corrupt."""
        self._corrupts = cycles

    def interrupt(self, replies: int = 1) -> None:
        """Ask whether the host is there in the middle of the next replies that carry data."""
        self._interrupts = replies

    def run(self, stop: threading.Event) -> None:
        """Be a ventilator until told to stop."""
        while not stop.is_set():
            self._step()
            time.sleep(STEP_S)

    def _step(self) -> None:
        heard = self._line.heard()
        if not self.is_on:
            self._heard = b""
            return
        if self._begins:
            self._begins = False
            self._line.print(framed(ESC + b"\x51"))
        if heard:
            self._heard, self._heard_at = self._heard + heard, time.monotonic()
            self._switch()
            self._answer()
        if self._has_host and time.monotonic() - self._heard_at > SILENCE_S:
            self._has_host, self._chosen = False, ()
            self.lost_hosts += 1
        self._stream()

    def _switch(self) -> None:
        """Streams are switched on and off by bytes above 7Fh: D0 C1 and which of the first four."""
        fast = bytes(byte for byte in self._heard if byte >= 0x80)
        self._heard = bytes(byte for byte in self._heard if byte < 0x80)
        at = fast.find(b"\xd0\xc1")
        if at >= 0 and fast[at + 3 :] == b"\xc0\xc0":
            is_on = fast[at + 2] & (1 << len(self._chosen)) - 1 == (1 << len(self._chosen)) - 1
            self._began_at, self._cycles = (time.monotonic(), 0) if is_on else (0.0, 0)

    def _answer(self) -> None:
        while CR in self._heard:
            message, _, self._heard = self._heard.partition(CR)
            if SOH in message:
                self.answered.append(message[message.rfind(SOH) + 1])
                self._has_host |= self.answered[-1] == 0x51
            command = message[message.rfind(ESC) :] if ESC in message else b""
            if not command:
                continue
            if len(command) < 4 or framed(command[:-2]) != command + CR:
                self._line.print(framed(SOH + b"\x15"))
                continue
            self.asked.append(command[1])
            self._has_host |= command[1] == 0x51
            if command[1] == 0x54:
                self._configure(command[2:-2])
            if self._has_host:
                self._say(SOH + command[1:2] + data_of(command[1], self._interval_ms))

    def _configure(self, argument: bytes) -> None:
        """Two digits of a code and two of a multiplier for each curve; all of them have one interval here."""
        self._chosen = tuple(_BY_CODE[int(argument[at : at + 2], 16)] for at in range(0, len(argument), 4))
        self._every, self._began_at = int(argument[2:4] or b"1", 16), 0.0

    def _say(self, reply: bytes) -> None:
        """Say it piece by piece: curves go on between the pieces."""
        whole = framed(reply)
        if self._damages and len(reply) > 2:
            self._damages -= 1
            whole = whole.replace(whole[4:5], b"~", 1)
            self._line.print(self._noise)
            self._noise = b""
        for at in range(0, len(whole), PIECE):
            if not self.is_on:
                return
            self._line.print(whole[at : at + PIECE])
            self._stream()
            if self._interrupts and len(whole) > at + PIECE:
                self._interrupts -= 1
                self._line.print(framed(ESC + b"\x30"))

    def _stream(self) -> None:
        """Send the cycles that are due by now."""
        if not self._chosen or not self._began_at:
            return
        due = int((time.monotonic() - self._began_at) * 1000 / (self._interval_ms * self._every))
        while self._cycles < due and self.is_on:
            samples = [channel.sample(self._cycles * self._every) for channel in self._chosen]
            for channel, sample in zip(self._chosen, samples, strict=True):
                self.sent[channel.code].append(sample)
            is_corrupt = self._corrupts > 0
            self._line.print(cycle_of(samples, is_corrupt=is_corrupt))
            if is_corrupt:
                self._corrupts -= 1
            self._cycles += 1


def framed(message: bytes) -> bytes:
    """Return a command (from ESC on) or a reply (from SOH on) as it stands on the line: with its checksum and CR."""
    return message + f"{sum(message) % 256:02X}".encode("ascii") + CR


def data_of(code: int, interval_ms: int = 32) -> bytes:
    """Return what it replies to a command, without what stands around it."""
    match code:
        case 0x52:
            text = IDENTITY
        case 0x53:
            text = "".join(f"{c.code:02X}{interval_ms * 1000:8d}{c.low:5d}{c.high:5d}{c.highest:03X}" for c in CHANNELS)
        case 0x24:
            text = "".join(f"{each:02X}{value}" for each, value in MEASURED_1)
        case 0x2B:
            text = "".join(f"{each:02X}{value}" for each, value in MEASURED_2)
        case 0x29:
            text = "".join(f"{each:02X}{value}" for each, value in SETTINGS)
        case 0x2A:
            text = "".join(f"{each:02X}{chr(0x30 + len(value))}{value}\x03" for each, value in TEXTS)
        case 0x27:
            text = "".join(f"{priority}{each:02X}{phrase:12}" for priority, each, phrase in ALARMS)
        case _:
            text = ""
    return text.encode("ascii")


def cycle_of(samples: list[int], *, is_corrupt: bool = False) -> bytes:
    """Return one sync cycle with a sample of each of the first streams."""
    cycle = bytearray([0xD0 | (1 << len(samples)) - 1])
    if is_corrupt:
        cycle += b"\xcf\xc0"
    for sample in samples:
        cycle += bytes([0x80 | sample & 0x3F, 0x80 | sample >> 6])
    return bytes(cycle)


def recording(seconds: int = 5, interval_ms: int = 16) -> bytes:
    """Return what is on the line for so long, by the gateway's ear: the offer of its curves, the curves, each reply of a round."""
    replies = [framed(SOH + bytes([code]) + data_of(code, interval_ms)) for code in (0x53, 0x54, *_ROUND)]
    numbers = range(seconds * 1000 // interval_ms)
    return b"".join(replies) + b"".join(cycle_of([channel.sample(n) for channel in CHANNELS]) for n in numbers)
