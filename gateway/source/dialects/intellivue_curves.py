"""The curves of an IntelliVue monitor: what it says of them, and the blocks of 256 ms in which they come, to Traces.

What a sample means comes apart from the samples: period and bits once, scale and unit when they change. Samples that the monitor marks
as invalid, whole blocks that it calls invalid or unavailable, and blocks that were lost on the way, are NO_SAMPLE: a curve stays true to
its time, by the clock of the monitor.

Sources: Data Export Interface Programming Guide 4535 642 59271, pages 83 to 88 and 286, 287, as open implementations quote it.
"""

from __future__ import annotations

import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway import codes
from gateway.model import NO_SAMPLE, Code, Trace
from gateway.source.dialects import intellivue_codes as terms
from gateway.source.dialects import intellivue_state as states
from gateway.wire import intellivue as wire

if TYPE_CHECKING:
    from collections.abc import Iterator

Handle = tuple[int, int]
"""Context and handle of an object: several leads share one, and are told apart by their identifier."""
Key = tuple[Handle, int]


class Curves:
    """The curves of one association."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._said: dict[Key, dict[int, bytes]] = {}
        """What the monitor says of each, under its handle and 0, and its handle and identifier where it has one."""
        self._shapes: dict[Key, _Shape] = {}
        """Of those of which all is known."""
        self._next_ticks: dict[Key, int] = {}
        """When the next sample of each is expected."""
        self._arrived = (-1, 0)
        """Of the last blocks: the ticks of their first sample, and when the first of them arrived."""

    def learn(self, handle: Handle, attributes: dict[int, bytes]) -> None:
        """Keep what is said of an object."""
        found = {key: value for key, value in attributes.items() if key in _CONTEXT}
        if not found:
            return
        identifier = int.from_bytes(found.get(wire.LABEL, b"")[2:4], "big")
        for key in {(handle, 0), (handle, identifier)}:
            known = self._said.setdefault(key, {})
            if not found.items() <= known.items():
                known |= found
                self._shapes.clear()
        if len(self._said) > _MOST_OBJECTS:
            for kept in (self._said, self._shapes, self._next_ticks):
                kept.clear()

    def traces(
        self, handle: Handle, attributes: dict[int, bytes], ticks: int, received_ns: int
    ) -> tuple[list[Trace], int]:
        """Return the next pieces of an object's curves, and how many could not be read: their scale is not known, or what they are.

        `ticks`: when their first sample was taken; blocks of one moment begin together, in however many messages they come. Raises
        UnreadableRecord for lengths that are wrong.
        """
        blocks = list(_blocks(attributes))
        if blocks and self._arrived[0] != ticks:
            self._arrived = ticks, received_ns
        found = [self._trace(handle, each, ticks, self._arrived[1]) for each in blocks]
        return [each for each in found if each is not None], sum(each is None for each in found)

    def _trace(self, handle: Handle, block: bytes, ticks: int, received_ns: int) -> Trace | None:
        identifier, state, _ = struct.unpack(">HHH", block[:_BLOCK_HEADER])
        curve, key = terms.CURVES.get(identifier), (handle, identifier)
        if curve is None or (shape := self._shape(key)) is None:
            return None
        samples = shape.samples(block[_BLOCK_HEADER:])
        lost = self._lost(key, ticks, len(samples), shape.period)
        if not states.has_value(state):
            samples, state = [NO_SAMPLE] * len(samples), 0
        samples = [NO_SAMPLE] * lost + samples
        return Trace(
            kind=curve.kind,
            channel=curve.channel,
            unit=shape.unit or curve.unit,
            hz=wire.TICKS_A_SECOND / shape.period,
            step=shape.step,
            zero=shape.zero,
            samples=struct.pack(f"<{len(samples)}h", *samples),
            received_ns=received_ns - lost * shape.period * _TICK_NS,
            doubts=states.doubts(state),
        )

    def _lost(self, key: Key, ticks: int, count: int, period: int) -> int:
        """Return how many samples are missing before a piece that begins at `ticks`; the clock goes round at 32 bits."""
        behind = (ticks - self._next_ticks.get(key, ticks)) % _CLOCK
        self._next_ticks[key] = (ticks + count * period) % _CLOCK
        return round(behind / period) if count * period // 2 < behind <= _LONGEST_GAP else 0

    def _shape(self, key: Key) -> _Shape | None:
        """How the samples of a curve are to be read, once all of it is known."""
        if known := self._shapes.get(key):
            return known
        shape = _shape_of(self._said.get((key[0], 0), {}) | self._said.get(key, {}))
        if shape is not None:
            self._shapes[key] = shape
        return shape


class _Shape(Struct, frozen=True):
    """How samples of a curve are encoded, and what they mean."""

    period: int
    """Ticks between two samples."""
    size: int
    """Bytes of a sample."""
    kept: int
    """Its bits that are a number."""
    invalid: int
    """The bits that say that there is none."""
    offset: int
    """Is subtracted, so that 16 bits become signed ones."""
    step: str
    zero: str
    unit: Code | None

    def samples(self, stated: bytes) -> list[int]:
        """Decode samples; of sixteen bits, the lowest number cannot be told from none."""
        count = len(stated) // self.size
        numbers = struct.unpack(f">{count}{'H' if self.size > 1 else 'B'}", stated[: count * self.size])
        kept, invalid, offset = self.kept, self.invalid, self.offset
        return [NO_SAMPLE if number & invalid else (number & kept) - offset for number in numbers]


def _shape_of(said: dict[int, bytes]) -> _Shape | None:
    """Read period, SaSpec, SaFixedValSpec16 and ScaleRangeSpec16 (pages 83 to 86); None: something is missing, or impossible."""
    if wire.SAMPLE_PERIOD not in said or wire.SAMPLE_SPEC not in said or wire.SCALE not in said:
        return None
    (period,) = wire.Taken(said[wire.SAMPLE_PERIOD]).numbers("I")
    _, size, significant, flags = wire.Taken(said[wire.SAMPLE_SPEC]).numbers("HBBH")
    low, high, low_sample, high_sample = wire.Taken(said[wire.SCALE]).numbers("IIHH")
    bits = significant if flags & _IS_MASKED else size
    if period < _SHORTEST_PERIOD or size not in {8, 16} or not 0 < bits <= size:
        return None
    offset = _HALF if bits == _WIDEST else 0
    unit = said.get(wire.UNIT)
    step, zero, unit_code = "1", "0", _NO_UNITS
    if (values := _range(low, high)) is not None:
        scale = _scale(values, (low_sample - offset, high_sample - offset))
        if scale is None:
            return None
        step, zero = scale
        unit_code = terms.unit_of(int.from_bytes(unit[:2], "big")) if unit else None
    return _Shape(
        period=period,
        size=size // 8,
        kept=(1 << bits) - 1,
        invalid=_invalid_bits(said.get(wire.FIXED_VALUES, bytes(4))),
        offset=offset,
        step=step,
        zero=zero,
        unit=unit_code,
    )


def _range(low: int, high: int) -> tuple[Decimal, Decimal] | None:
    """The values at both ends of a scale; None: the curve has none (page 86)."""
    ends = wire.decimal(low), wire.decimal(high)
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def _scale(values: tuple[Decimal, Decimal], samples: tuple[int, int]) -> tuple[str, str] | None:
    """Return step and zero of a curve; None where the ends of its scale make no sense."""
    (low, high), (low_sample, high_sample) = values, samples
    if high == low or high_sample == low_sample or (high > low) != (high_sample > low_sample):
        return None
    step = _TWELVE_DIGITS.divide(high - low, Decimal(high_sample - low_sample))
    return _plain(step), _plain(low - low_sample * step)


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _invalid_bits(stated: bytes) -> int:
    for entry in wire.Taken(stated).listed():
        what, bits = entry.numbers("HH")
        if what == wire.INVALID_SAMPLE:
            return bits
    return 0


def _blocks(attributes: dict[int, bytes]) -> Iterator[bytes]:
    """Yield each SaObsValue: identifier, state, length, and the samples."""
    fronts = []
    if stated := attributes.get(wire.SAMPLES):
        fronts = [wire.Taken(stated)]
    if stated := attributes.get(wire.COMPOUND_SAMPLES):
        fronts += wire.Taken(stated).listed()
    for front in fronts:
        head = front.take(_BLOCK_HEADER)
        yield head + front.take(int.from_bytes(head[4:], "big"))


_CONTEXT: Final = frozenset(
    {wire.LABEL, wire.UNIT, wire.SAMPLE_PERIOD, wire.SAMPLE_SPEC, wire.SCALE, wire.FIXED_VALUES}
)
_BLOCK_HEADER: Final = 6
_IS_MASKED: Final = 0x1000
"""Of SaFlags: bits that are not significant are to be masked."""
_SHORTEST_PERIOD: Final = 8
"""Ticks: 1000 samples in a second; no curve of these monitors has more than 500."""
_LONGEST_GAP: Final = 10 * wire.TICKS_A_SECOND
"""After this long without a word the association is over."""
_WIDEST, _HALF = 16, 0x8000
_NO_UNITS: Final[Code | None] = codes.NO_UNITS
_TWELVE_DIGITS: Final = Context(prec=12)
_CLOCK: Final = 1 << 32
_TICK_NS: Final = 125_000
_MOST_OBJECTS: Final = 1024
