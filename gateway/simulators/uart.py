"""Characters to levels on a wire, and back through a receiver that may be set otherwise: what a UART makes of the wrong baud or parity.

A frame is a start bit (low), the data bits from the lowest, a parity bit if there is one, and the stop bits (high). The receiver
waits for a falling edge, looks half a bit later whether it is still low, and then samples each bit in its middle, as a 16550
does; after a missing stop bit it takes that for the next start bit (PC16550D data sheet, National Semiconductor, June 1995,
8.4.3). A character whose bits are all low, its stop bit too, is a break. Noise and edges that are not steep are not modelled.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from gateway.profile import SerialSettings

_LOW: Final = 0
_HIGH: Final = 1


class Fault(StrEnum):
    """How a character came out wrong."""

    NONE = ""
    PARITY = "parity"
    FRAMING = "framing"
    BREAK = "break"


class Character(Struct, frozen=True):
    """One character, as a receiver has it."""

    byte: int
    fault: Fault
    at_s: float
    """When its stop bit was looked at, since the beginning of the wire."""


class Wire:
    """What an instrument sends over and over, with a pause between: levels, at its own pace."""

    def __init__(
        self, data: bytes, settings: SerialSettings, *, pause_s: float = 0.0, wrong: frozenset[int] = frozenset()
    ) -> None:
        """`pause_s`: how long it rests after `data`. `wrong`: the places in `data` whose parity bit is turned around."""
        self.baud = settings.baud
        bits = bytearray()
        for index, byte in enumerate(data):
            bits += frame(byte, settings, is_wrong=index in wrong)
        self._bits = bytes(bits) + bytes([_HIGH]) * max(2, math.ceil(pause_s * self.baud))
        self._twice = self._bits * 2

    @property
    def period_s(self) -> float:
        """How long it takes until all begins anew."""
        return len(self._bits) / self.baud

    def level(self, at_s: float) -> int:
        """Return the level at a time."""
        return self._bits[int(at_s * self.baud) % len(self._bits)]

    def edge(self, from_s: float) -> float:
        """Return when the wire next falls from high to low, at or after a time."""
        now = from_s * self.baud
        place = math.ceil(now - 1e-9)
        start = (place - 1) % len(self._bits)
        found = self._twice.find(bytes([_HIGH, _LOW]), start)
        return (place + found - start) / self.baud if found >= 0 else math.inf


class Uart:
    """A receiver on a wire, switched on at a moment, and set for good."""

    def __init__(self, wire: Wire, settings: SerialSettings, from_s: float = 0.0) -> None:
        """Look for a falling edge from `from_s` on."""
        self._wire = wire
        self._settings = settings
        self._bit_s = 1 / settings.baud
        self._start_s = wire.edge(from_s)

    def until(self, until_s: float) -> list[Character]:
        """Return the characters that are whole by then, and have not been returned before."""
        found: list[Character] = []
        while self._start_s < until_s:
            if self._wire.level(self._start_s + self._bit_s / 2) != _LOW:
                self._start_s = self._wire.edge(self._start_s + self._bit_s / 2)
                continue
            one = self._one()
            if one.at_s >= until_s:
                break
            found.append(one)
            is_out_of_step = one.fault is Fault.FRAMING
            self._start_s = one.at_s - self._bit_s / 2 if is_out_of_step else self._wire.edge(one.at_s)
        return found

    def _one(self) -> Character:
        settings, level = self._settings, self._wire.level
        middle = self._start_s + 1.5 * self._bit_s
        data = [level(middle + number * self._bit_s) for number in range(settings.data_bits)]
        byte = sum(each << number for number, each in enumerate(data))
        after = middle + settings.data_bits * self._bit_s
        ones, is_right = sum(data), True
        if settings.parity != "N":
            is_right = level(after) == _parity(ones, settings.parity)
            ones += level(after)
            after += self._bit_s
        if level(after) == _LOW:
            return Character(byte, Fault.FRAMING if ones else Fault.BREAK, after)
        return Character(byte, Fault.NONE if is_right else Fault.PARITY, after)


def frame(byte: int, settings: SerialSettings, *, is_wrong: bool = False) -> bytes:
    """Return the levels of one character, one byte a bit."""
    data = [byte >> number & 1 for number in range(settings.data_bits)]
    parity = [] if settings.parity == "N" else [_parity(sum(data), settings.parity) ^ is_wrong]
    return bytes([_LOW, *data, *parity, *[_HIGH] * settings.stop_bits])


def _parity(ones: int, parity: str) -> int:
    return ones % 2 ^ (parity == "O")
