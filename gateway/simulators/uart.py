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
    from collections.abc import Iterator

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

    def received(self, settings: SerialSettings, from_s: float, until_s: float) -> Iterator[Character]:
        """Yield what a receiver that is set so, and switched on at `from_s`, makes of the wire until `until_s`."""
        bit_s = 1 / settings.baud
        start_s = self.edge(from_s)
        while start_s < until_s:
            if self.level(start_s + bit_s / 2) != _LOW:
                start_s = self.edge(start_s + bit_s / 2)
                continue
            found = self._one(settings, start_s, bit_s)
            if found.at_s >= until_s:
                return
            yield found
            start_s = found.at_s - bit_s / 2 if found.fault is Fault.FRAMING else self.edge(found.at_s)

    def _one(self, settings: SerialSettings, start_s: float, bit_s: float) -> Character:
        middle = start_s + 1.5 * bit_s
        data = [self.level(middle + number * bit_s) for number in range(settings.data_bits)]
        byte = sum(level << number for number, level in enumerate(data))
        after = middle + settings.data_bits * bit_s
        ones, is_right = sum(data), True
        if settings.parity != "N":
            level = self.level(after)
            is_right = level == _parity(ones, settings.parity)
            ones += level
            after += bit_s
        if self.level(after) == _LOW:
            return Character(byte, Fault.FRAMING if ones else Fault.BREAK, after)
        return Character(byte, Fault.NONE if is_right else Fault.PARITY, after)


def frame(byte: int, settings: SerialSettings, *, is_wrong: bool = False) -> bytes:
    """Return the levels of one character, one byte a bit."""
    data = [byte >> number & 1 for number in range(settings.data_bits)]
    parity = [] if settings.parity == "N" else [_parity(sum(data), settings.parity) ^ is_wrong]
    return bytes([_LOW, *data, *parity, *[_HIGH] * settings.stop_bits])


def _parity(ones: int, parity: str) -> int:
    return ones % 2 ^ (parity == "O")
