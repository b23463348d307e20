"""Real-time data of MEDIBUS to pieces of curves: which curves a device offers, which are chosen, and the samples in its sync cycles.

A cycle begins with a sync byte (D0h to DFh), whose low four bits say which of the first four streams have a sample in it; C4h and
C5h with an argument say the same of the streams from 5 and from 9 on. A sample is two bytes of six bits, the low six first.
What is corrupt, or is not as many samples as it says, is NO_SAMPLE. Sources: as `medibus`; that the low six bits come first, and the
whole cycle is dropped when the counts differ, also safety-box (MedibusRealTimeParser.java), which tried the other order first.
"""

from __future__ import annotations

import re
import sys
from array import array
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway.errors import UnreadableRecord
from gateway.model import NO_SAMPLE, Trace
from gateway.source.dialects.medibus_codes import CURVES, WANTED, Curve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_STREAMS: Final = 4
MOST_HZ: Final = 100.0
"""Of a Respiratory Waveform (PS3.3 A.34.9)."""


class Stream(Struct, frozen=True, kw_only=True):
    """One curve as the device sends it."""

    code: int
    curve: Curve
    interval_us: int
    zero: str
    step: str
    highest: int
    """The highest sample of its scale."""
    multiplier: int = 1
    """It sends every so manyth sample."""

    @property
    def hz(self) -> float:
        """Samples in a second."""
        return 1e6 / (self.interval_us * self.multiplier)


def chosen(offer: bytes, bytes_per_s: float) -> tuple[Stream, ...]:
    """Return which of the curves that a device offers it is to send, the most important first, and how much of each.

    None is faster than the object that it becomes may be, and all together need at most `bytes_per_s`. Raises UnreadableRecord.
    """
    streams = [structs.replace(each, multiplier=_multiplier(each, MOST_HZ)) for each in _wanted(_offered(offer))]
    for _ in range(_HALVINGS):
        if not streams or _load(streams) <= bytes_per_s:
            break
        half = max(each.hz for each in streams) / 2
        streams = [structs.replace(each, multiplier=_multiplier(each, half)) for each in streams]
    return tuple(streams)


def configuration(streams: Sequence[Stream]) -> bytes:
    """Return what the command that configures them says: code and multiplier of each, two digits both."""
    return b"".join(b"%02X%02X" % (each.code, each.multiplier) for each in streams)


def enabled(count: int) -> bytes:
    """Return the sync command that switches on the first `count` streams (1 to 4)."""
    return bytes([0xD0, 0xC1, 0xC0 | ((1 << count) - 1), 0xC0, 0xC0])


def traces(streams: Sequence[Stream], data: bytes, received_ns: int) -> tuple[Trace, ...]:
    """Return what a run of sync cycles adds to each curve."""
    samples: list[list[int]] = [[] for _ in streams]
    for cycle in _CYCLE.findall(data):
        for number, sample in _samples(cycle):
            if number < len(samples):
                samples[number].append(sample if sample <= streams[number].highest else NO_SAMPLE)
    return tuple(_trace(stream, found, received_ns) for stream, found in zip(streams, samples, strict=True) if found)


# ---- what is offered ----

_MOST_MULTIPLIER: Final = 0xFF
_HALVINGS: Final = 8
_OFFER_BYTES: Final = 23
_OFFER: Final = re.compile(rb"([0-9A-F ]{2})([\d ]{8})([-+.\d ]{5})([-+.\d ]{5})([0-9A-F ]{3})")
"""Code, interval in microseconds, least and greatest value, highest sample."""
_EXACT: Final = Context(prec=12, rounding=ROUND_HALF_EVEN)


def _offered(body: bytes) -> Iterator[Stream]:
    if len(body) % _OFFER_BYTES:
        raise UnreadableRecord(problem=f"its fields are not {_OFFER_BYTES} bytes long")
    for at in range(0, len(body), _OFFER_BYTES):
        match = _OFFER.fullmatch(body, at, at + _OFFER_BYTES)
        if match is None:
            raise UnreadableRecord(problem="a curve is not described as it must be")
        code, highest = (int(match[group].replace(b" ", b"0"), 16) for group in (1, 5))
        interval, low, high = (_decimal(match[group]) for group in (2, 3, 4))
        curve = CURVES.get(code)
        if curve and interval > 0 and highest > 0 and high > low:
            step = _EXACT.divide(high - low, Decimal(highest))
            yield Stream(
                code=code,
                curve=curve,
                interval_us=int(interval),
                zero=format(low, "f"),
                step=format(step.normalize(), "f"),
                highest=highest,
            )


def _decimal(digits: bytes) -> Decimal:
    try:
        return Decimal(digits.replace(b" ", b"").decode("ascii") or "0")
    except InvalidOperation as error:
        raise UnreadableRecord(problem="the scale of a curve is not a number") from error


def _wanted(offered: Iterator[Stream]) -> list[Stream]:
    by_code = {each.code: each for each in offered}
    first = (next((by_code[code] for code in group if code in by_code), None) for group in WANTED)
    return [each for each in first if each is not None][:MOST_STREAMS]


def _multiplier(stream: Stream, most_hz: float) -> int:
    """The smallest that makes it no faster than `most_hz`, and it no faster than it is."""
    needed = -int(-1e6 / stream.interval_us // most_hz)
    return min(_MOST_MULTIPLIER, max(stream.multiplier, needed))


def _load(streams: list[Stream]) -> float:
    """Bytes in a second: two for each sample, one for each cycle."""
    return sum(2 * each.hz for each in streams) + max(each.hz for each in streams)


# ---- what comes ----

_CYCLE: Final = re.compile(rb"[\xd0-\xdf][^\xd0-\xdf]*")
_COMMAND: Final = 0xC0
"""From here to CFh are commands, with an argument; below are samples."""
_CORRUPT: Final = 0xCF
_NUMBERS: Final = tuple(tuple(number for number in range(4) if bits >> number & 1) for bits in range(16))
"""Which of four bits are set."""
_LATER_STREAMS: Final = {0xC4: 4, 0xC5: 8}
"""Commands whose argument says which of the streams behind these have a sample."""


def _samples(cycle: bytes) -> list[tuple[int, int]]:
    """The streams (from 0) that have a sample in a cycle, each with it; of two, where the sync byte of the second was lost."""
    present, samples, is_corrupt = list(_NUMBERS[cycle[0] & 0x0F]), [], len(cycle) % 2 == 0
    for first, second in zip(cycle[1::2], cycle[2::2], strict=False):
        if first < _COMMAND and second < _COMMAND:
            samples.append(first & 0x3F | (second & 0x3F) << 6)
        elif first & 0xF0 == _COMMAND and second >= _COMMAND:
            is_corrupt |= first == _CORRUPT
            begin = _LATER_STREAMS.get(first)
            present += [begin + number for number in _NUMBERS[second & 0x0F]] if begin else []
        else:
            is_corrupt = True
    if is_corrupt or len(samples) != len(present):
        cycles = max(1, len(samples) // max(1, len(present)))
        return [(number, NO_SAMPLE) for number in present] * cycles
    return list(zip(sorted(present), samples, strict=True))


def _trace(stream: Stream, samples: list[int], received_ns: int) -> Trace:
    words = array("h", samples)
    if sys.byteorder == "big":
        words.byteswap()
    return Trace(
        kind=stream.curve.kind,
        channel=stream.curve.channel,
        unit=stream.curve.unit,
        hz=stream.hz,
        step=stream.step,
        zero=stream.zero,
        samples=words.tobytes(),
        received_ns=received_ns,
    )
