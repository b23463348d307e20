"""A Datex-Ohmeda S/5 monitor on a simulated line: it waits for requests, then sends values and curves at their real pace.

Written from the structures of the DRI specification as monitor_serial (datex.h) and icu_devices (GE_Monitor.md) state them,
apart from the parser. Every sample is computed from its number, so that a test knows each one.
"""

from __future__ import annotations

import math
import struct
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    import threading

    from gateway.simulators.instrument import SimulatedInstrument

NONE: Final = -32767
"""Data invalid."""
PATIENT: Final = {
    "hr": 72,
    "st": (52, -30, NONE),
    "breaths": 14,
    "P1": (12150, 7840, 9310, 72),
    "P2": (NONE, NONE, 910, NONE),
    "nibp": (11800, 7600, 9000, 71),
    "T1": 3672,
    "T2": 3391,
    "spo2": 9780,
    "pulse": 73,
    "co2": (512, 4),
    "o2": (4510, 5020),
    "flow": (13, 2240, 480, 1990, 5120, 5060, 4250, 658),
}
"""A made-up patient under anaesthesia: what stands in the groups."""
LEAD_II, LEAD_V, ARTERIAL, CENTRAL_VENOUS, ESOPHAGUS, SKIN = 2, 7, 1, 2, 1, 7

RATES_HZ: Final = {1: 300, 2: 300, 3: 300, 4: 100, 5: 100, 6: 100, 7: 100, 8: 100, 9: 25, 13: 25, 14: 25, 15: 25}
"""Samples in a second, by subrecord type."""


class Asked(Struct, frozen=True):
    """What a host has asked for."""

    interval_s: int = 0
    """0: no values."""
    curves: tuple[int, ...] = ()


class Monitor:
    """One monitor. Faults: `damaged` frames by number, from 1; `noise`; `switch_off` in the middle of a frame, and on again."""

    def __init__(self, line: SimulatedInstrument, *, damaged: frozenset[int] = frozenset(), noise: bytes = b"") -> None:
        """`noise` is sent before each frame."""
        self._line = line
        self._damaged = damaged
        self._noise = noise
        self._received = bytearray()
        self._frames = 0
        self._sent: dict[int, int] = {}
        self.asked = Asked()
        self.requests = 0
        """How many well-formed ones arrived."""
        self.seconds = 0
        """How many seconds of curves were sent."""
        self.values = 0
        """How many records of values were sent."""
        self.patient = dict(PATIENT)
        self._is_on = True
        self._cut_at: int | None = None

    def serve(self, stop: threading.Event) -> None:
        """Send what was asked for, a second of curves each second, until told to stop."""
        began, second = time.monotonic(), 0
        while not stop.is_set():
            self.listen()
            if time.monotonic() - began >= second:
                self.send_second(second)
                second += 1
            time.sleep(0.01)

    def listen(self) -> None:
        """Take the requests that have arrived; whoever is switched off hears none."""
        self._received += self._line.heard()
        if not self._is_on:
            self._received.clear()
        while (begin := self._received.find(0x7E)) >= 0 and (end := self._received.find(0x7E, begin + 1)) > 0:
            frame = bytes(self._received[begin + 1 : end])
            del self._received[: end + (1 if frame else 0)]
            record = frame.replace(b"\x7d\x5e", b"\x7e").replace(b"\x7d\x5d", b"\x7d")
            if record and sum(record[:-1]) & 0xFF == record[-1]:
                self._take(record[:-1])

    def send_second(self, second: int) -> None:
        """Send what is due in one second of a clock that begins at 0."""
        if not self._is_on:
            return
        if self.asked.interval_s and second % self.asked.interval_s == 0:
            self._send(values_record(self.patient, second))
            self.values += 1
        if self.asked.curves:
            self._send(curves_record({number: self._samples(number) for number in self.asked.curves}, second))
            self.seconds += 1

    def switch_off(self, cut_at: int) -> None:
        """The power goes after so many bytes of the next frame: it is cut, and every request forgotten."""
        self._cut_at = cut_at

    def switch_on(self) -> None:
        """The power is back; nothing is sent before it is asked for."""
        self._is_on = True

    def _take(self, record: bytes) -> None:
        length, main = struct.unpack_from("<h", record)[0], struct.unpack_from("<h", record, 14)[0]
        if length != len(record):
            return
        self.requests += 1
        if main == 0:
            kind, interval_s = struct.unpack_from("<Bh", record, 40)
            self.asked = Asked(interval_s if kind == 1 else 0, self.asked.curves)
            return
        command, listed = struct.unpack_from("<h2x8s", record, 40)
        self.asked = Asked(self.asked.interval_s, tuple(listed.split(b"\xff")[0]) if command == 0 else ())

    def _samples(self, number: int) -> list[int]:
        start = self._sent.get(number, 0)
        self._sent[number] = start + RATES_HZ[number]
        return [sample(number, index) for index in range(start, start + RATES_HZ[number])]

    def _send(self, record: bytes) -> None:
        if not self._is_on:
            return
        self._frames += 1
        sent = framed(record)
        if self._frames in self._damaged:
            sent = sent[:50] + bytes([sent[50] ^ 0x01]) + sent[51:]
        self._line.print(sent, noise=self._noise, cut_at=self._cut_at)
        if self._cut_at is not None:
            self._cut_at, self._is_on, self.asked = None, False, Asked()


def sample(number: int, index: int) -> int:
    """Return one sample of a curve, as the monitor sends it."""
    turn = 2 * math.pi * index / RATES_HZ[number]
    match number:
        case 1 | 2 | 3:  # microvolts
            return round(1000 * math.exp(-(((index % 250) - 60) ** 2) / 40))
        case 4:  # hundredths of a mmHg
            return round(9500 + 2500 * math.sin(1.2 * turn))
        case 5 | 6 | 7:
            return round(900 + 200 * math.sin(1.2 * turn))
        case 8:  # hundredths of a percent
            return round(150 * math.sin(1.2 * turn))
        case 9:
            return max(0, round(500 * math.sin(0.25 * turn)))
        case _:
            return round(200 * math.sin(0.25 * turn))


def values_record(patient: dict[str, object], second: int) -> bytes:
    """Return a record of displayed values, of the basic class."""
    group = struct.Struct("<IH").pack
    basic = b"".join(
        [
            group(3, LEAD_II | LEAD_V << 4) + _shorts(patient["hr"], patient["st"], patient["breaths"]),
            group(3, ARTERIAL) + _shorts(patient["P1"]),
            group(3, CENTRAL_VENOUS) + _shorts(patient["P2"]),
            (group(0, 0) + _shorts((NONE,) * 4)) * 2,
            group(3, 3) + _shorts(patient["nibp"]),
            group(3, ESOPHAGUS) + _shorts(patient["T1"]),
            group(3, SKIN) + _shorts(patient["T2"]),
            (group(0, 0) + _shorts(NONE)) * 2,
            group(3, 0) + _shorts(patient["spo2"], patient["pulse"], NONE, NONE),
            group(3, 1) + _shorts(patient["co2"], patient["breaths"], 7601),
            group(3, 0) + _shorts(patient["o2"]),
            group(0, 0) + _shorts((NONE,) * 2),
            group(0, 1) + _shorts((NONE,) * 3),
            group(3, 0) + _shorts(patient["flow"]),
            group(0, 0) + _shorts((NONE,) * 4),
            group(0, 0) + _shorts((NONE,) * 3),
            _shorts(patient["hr"], NONE, NONE),
            group(0, 0) + _shorts(NONE),
            (group(0, 0) + _shorts((NONE,) * 4)) * 2,
            bytes(2),
        ]
    )
    subrecord = struct.pack("<I", second) + basic + struct.pack("<BBH", 0, 0, 0 << 8)
    return record_of(0, [(1, subrecord)], second)


def curves_record(curves: dict[int, list[int]], second: int) -> bytes:
    """Return a record of curves, by their subrecord types."""
    parts = [
        (number, struct.pack(f"<hHH{len(samples)}h", len(samples), 0, 0, *samples))
        for number, samples in curves.items()
    ]
    return record_of(1, parts, second)


def record_of(main: int, parts: list[tuple[int, bytes]], second: int) -> bytes:
    """Return a record: its header of 40 bytes and its subrecords."""
    body, descriptors = b"", b""
    for kind, part in parts:
        descriptors += struct.pack("<hB", len(body), kind)
        body += part
    descriptors = (descriptors + struct.pack("<hB", 0, 0xFF)).ljust(24, b"\x00")[:24]
    header = struct.pack("<hBBHIBBHh", 40 + len(body), second & 0xFF, 9, 1, 86_400 * 365 + second, 0, 0, 0, main)
    return header + descriptors + body


def framed(record: bytes) -> bytes:
    """Return a record as it goes over the line: with its sum, escaped, between two flags."""
    sent = bytearray([0x7E])
    for byte in [*record, sum(record) % 256]:
        if byte in {0x7D, 0x7E}:
            sent += bytes([0x7D, byte & 0x5F])
        else:
            sent.append(byte)
    return bytes([*sent, 0x7E])


def _shorts(*numbers: object) -> bytes:
    flat: list[int] = []
    for each in numbers:
        flat += each if isinstance(each, tuple) else [each]  # type: ignore[list-item]
    return struct.pack(f"<{len(flat)}h", *flat)
