"""Philips IntelliVue monitors (MP, MX, X2) on their MIB/RS232 interface: values each second, and curves, to Observations and Traces.

The monitor speaks when asked: `intellivue_dialogue` says what is sent when, `wire.intellivue` has the messages. A value or a curve that
the monitor calls invalid or unavailable is left out; whatever else it says against one (questionable, being calibrated, a test, a
demonstration) becomes a doubt. Samples that it marks as invalid, and those that were lost on the way, are NO_SAMPLE: a curve stays true to
its time, by the clock of the monitor. Its patient data are not asked for: the exam in progress says who it is.

Sources: Data Export Interface Programming Guide 4535 642 59271, pages 76, 77 (values), 83 to 88 (curves), 96 (demonstration), 286, 287
(which curves at once), as open implementations quote it. Not read: alarms, enumerations, averages and trends; the compound ECG is
read. Not spoken: the AutoSpeed protocol, which finds the speed by itself (page 32).
"""

from __future__ import annotations

import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway import codes
from gateway.errors import ProfileError, UnreadableRecord
from gateway.model import NO_SAMPLE, Code, Observation, Trace
from gateway.source.dialects import intellivue_codes as terms
from gateway.source.dialects.intellivue_dialogue import Dialogue
from gateway.source.dialects.said import Said
from gateway.wire import intellivue as wire
from gateway.wire.frames import EscapedFrames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.profile import InstrumentProfile
    from gateway.wire.records import Record

Handle = tuple[int, int]
"""Context and handle of an object: several leads share one, and are told apart by their identifier."""


class IntelliVue:
    """One monitor."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raise ProfileError for curves that no monitor has, or more than one sends."""
        self.framing = EscapedFrames("intellivue")
        self._dialogue = Dialogue(_labels(profile))
        self._longest_gap = profile.collect_s * wire.TICKS_A_SECOND
        self._is_demonstration = False
        self._said: dict[tuple[Handle, int], dict[int, bytes]] = {}
        """What the monitor says of each object, under its handle, and under 0 and its identifier where it has one."""
        self._shapes: dict[tuple[Handle, int], _Shape | None] = {}
        self._next_ticks: dict[tuple[Handle, int], int] = {}
        """When the next sample of each curve is expected."""
        self._held_against: dict[tuple[Handle, int, int], int] = {}
        """When each bit of its state was set last, of each curve."""

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a frame says. Raises UnreadableRecord for a damaged one, a foreign one, and where the monitor does not want to talk."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        message = wire.read(wire.unframed(record.data))
        self._dialogue.hear(message, received_ns)
        match message:
            case wire.Created():
                return self._begin(message)
            case wire.Polled():
                return self._result(message, received_ns)
            case wire.Refused():
                raise UnreadableRecord(problem="the monitor refuses to talk: something else may be reading it")
            case wire.Ended():
                raise UnreadableRecord(problem="the monitor ended the conversation, and is asked anew")
            case wire.Failed():
                raise UnreadableRecord(problem=f"the monitor refused a request, with error {message.reason}")
            case _:
                return Said()

    def answer(self) -> bytes:
        """Return the answer to the event with which a conversation begins, once."""
        return self._dialogue.answer()

    def due(self, now_ns: int) -> bytes:
        """Return the next request, or a sign of life."""
        return self._dialogue.due(now_ns)

    def _begin(self, event: wire.Created) -> Said:
        """A new association has new handles."""
        for each in (self._said, self._shapes, self._next_ticks, self._held_against):
            each.clear()
        mode = event.attributes.get(wire.MODE, b"")
        self._is_demonstration = bool(int.from_bytes(mode[:2], "big") & wire.DEMONSTRATION)
        names = wire.texts(event.attributes.get(wire.MODEL, b""))
        return Said(model_name=_printable(names[-1]) if names else "")

    def _result(self, result: wire.Polled, received_ns: int) -> Said:
        observations: list[Observation] = []
        traces: list[Trace] = []
        unread = 0
        for each in result.objects:
            self._learn(each)
            for value in _values(each.attributes):
                observations += self._observation(each.handle, value, received_ns)
            for samples in _samples(each.attributes):
                trace = self._trace(each.handle, samples, result.ticks, received_ns)
                traces += trace
                unread += not trace
        return Said(observations=tuple(observations), traces=tuple(traces), unread=unread)

    def _learn(self, item: wire.PolledObject) -> None:
        """Keep what is said of an object."""
        found = {key: value for key, value in item.attributes.items() if key in _CONTEXT}
        if not found:
            return
        identifier = int.from_bytes(found.get(wire.LABEL, b"")[2:4], "big")
        for key in {(item.handle, 0), (item.handle, identifier)}:
            known = self._said.setdefault(key, {})
            if not found.items() <= known.items():
                known |= found
                self._shapes.clear()
        if len(self._said) > _MOST_OBJECTS:
            self._said.clear()

    def _observation(self, handle: Handle, value: bytes, received_ns: int) -> Iterator[Observation]:
        """Yield the value, unless there is none."""
        identifier, state, unit_code, stated = struct.unpack(">HHHI", value)
        number = wire.decimal(stated)
        if number is None or state & _NO_VALUE:
            return
        unit = terms.unit_of(unit_code)
        yield Observation(
            concept=terms.concept_of(identifier, self._label(handle)),
            value=format(number, "f"),
            unit=unit,
            raw=value,
            received_ns=received_ns,
            doubts=self._doubts(state) + _implausible(number, identifier, unit),
        )

    def _label(self, handle: Handle) -> str:
        """What the monitor calls an object, in its own language."""
        stated = self._said.get((handle, 0), {}).get(wire.LABEL_TEXT, b"")
        texts = wire.texts(stated)
        return _printable(texts[0]) if texts else ""

    def _doubts(self, state: int) -> tuple[str, ...]:
        if self._is_demonstration:
            state |= _DEMONSTRATION
        return tuple(words for bit, words in _DOUBTS.items() if state & bit)

    def _trace(self, handle: Handle, value: bytes, ticks: int, received_ns: int) -> list[Trace]:
        """Return the next piece of a curve; none while its scale is not known, or what it means."""
        identifier, state, _ = struct.unpack(">HHH", value[:_SAMPLES_HEADER])
        curve = terms.CURVES.get(identifier)
        key = (handle, identifier)
        shape = self._shape(key)
        if curve is None or shape is None:
            return []
        samples = shape.samples(value[_SAMPLES_HEADER:])
        lost = self._lost(key, ticks, len(samples), shape.period)
        if state & _NO_VALUE:
            samples = [NO_SAMPLE] * len(samples)
        samples = [NO_SAMPLE] * lost + samples
        return [
            Trace(
                kind=curve.kind,
                channel=curve.channel,
                unit=shape.unit or curve.unit,
                hz=wire.TICKS_A_SECOND / shape.period,
                step=shape.step,
                zero=shape.zero,
                samples=struct.pack(f"<{len(samples)}h", *samples),
                received_ns=received_ns - lost * shape.period * _TICK_NS,
                doubts=self._doubts(self._lasting(key, 0 if state & _NO_VALUE else state, received_ns)),
            )
        ]

    def _lasting(self, key: tuple[Handle, int], state: int, now_ns: int) -> int:
        """The state of a curve, with what was said against it lately: it is one curve, however often that comes and goes."""
        for bit in _DOUBTS:
            if state & bit:
                self._held_against[*key, bit] = now_ns
            elif now_ns - self._held_against.get((*key, bit), -_CLOCK * _TICK_NS) <= self._longest_gap * _TICK_NS:
                state |= bit
        return state

    def _lost(self, key: tuple[Handle, int], ticks: int, count: int, period: int) -> int:
        """Return how many samples are missing before a piece that begins at `ticks`; the clock goes round at 32 bits."""
        behind = (ticks - self._next_ticks.get(key, ticks)) % _CLOCK
        self._next_ticks[key] = (ticks + count * period) % _CLOCK
        return round(behind / period) if count * period // 2 < behind <= self._longest_gap else 0

    def _shape(self, key: tuple[Handle, int]) -> _Shape | None:
        """How the samples of a curve are to be read, once all of it is known."""
        if key not in self._shapes:
            said = self._said.get((key[0], 0), {}) | self._said.get(key, {})
            self._shapes[key] = _shape_of(said)
        return self._shapes[key]


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
    if not period or size not in {8, 16} or not 0 < bits <= size:
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


def _values(attributes: dict[int, bytes]) -> Iterator[bytes]:
    """Yield each NuObsValue, ten bytes."""
    if stated := attributes.get(wire.VALUE):
        yield wire.Taken(stated).take(_VALUE_BYTES)
    if stated := attributes.get(wire.COMPOUND_VALUE):
        yield from (each.take(_VALUE_BYTES) for each in wire.Taken(stated).listed())


def _samples(attributes: dict[int, bytes]) -> Iterator[bytes]:
    """Yield each SaObsValue: identifier, state, length, and the samples."""
    fronts = []
    if stated := attributes.get(wire.SAMPLES):
        fronts = [wire.Taken(stated)]
    if stated := attributes.get(wire.COMPOUND_SAMPLES):
        fronts += wire.Taken(stated).listed()
    for front in fronts:
        head = front.take(_SAMPLES_HEADER)
        yield head + front.take(int.from_bytes(head[4:], "big"))


def _implausible(number: Decimal, identifier: int, unit: Code) -> tuple[str, ...]:
    bounds = terms.is_plausible(identifier, unit)
    if bounds is None:
        return ()
    low, high = bounds
    if number < Decimal(low):
        return (f"it is below {low}",)
    return (f"it is above {high}",) if number > Decimal(high) else ()


def _printable(text: str) -> str:
    return "".join(each for each in text if each.isprintable() and each != "\\")[:_LONGEST_LABEL].strip()


def _labels(profile: InstrumentProfile) -> tuple[int, ...]:
    unknown = [name for name in profile.curves if name not in terms.NAMES]
    if unknown:
        known = ", ".join(terms.NAMES)
        raise ProfileError(name=profile.name, problem=f'curves: "{unknown[0]}" is none of {known}')
    leads = sum(terms.NAMES[name] <= _LAST_LEAD for name in profile.curves)
    if leads > terms.MOST_LEADS or len(profile.curves) - leads > terms.MOST_OTHERS:
        problem = f"curves: a monitor sends {terms.MOST_LEADS} leads and {terms.MOST_OTHERS} other curves at most"
        raise ProfileError(name=profile.name, problem=problem)
    return tuple(terms.LABEL_OF | terms.NAMES[name] for name in profile.curves)


_NO_VALUE: Final = 0x8000 | 0x2000
"""Of a MeasurementState (page 76): invalid, unavailable."""
_DEMONSTRATION: Final = 0x0400
_DOUBTS: Final = {
    0x4000: "the monitor calls it questionable",
    0x1000: "it was being calibrated",
    0x0800: "it is a test signal of the monitor, of no patient",
    _DEMONSTRATION: "the monitor is in its demonstration mode: it is of no patient",
    0x0300: "the monitor marked it in a way that this software does not know",
    0x0040: "it is an early estimate",
}
_CONTEXT: Final = frozenset(
    {
        wire.LABEL,
        wire.LABEL_TEXT,
        wire.UNIT,
        wire.SAMPLE_PERIOD,
        wire.SAMPLE_SPEC,
        wire.SCALE,
        wire.FIXED_VALUES,
    }
)
_VALUE_BYTES, _SAMPLES_HEADER = 10, 6
_IS_MASKED: Final = 0x1000
"""Of SaFlags: bits that are not significant are to be masked."""
_WIDEST, _HALF = 16, 0x8000
_NO_UNITS: Final[Code | None] = codes.NO_UNITS
_TWELVE_DIGITS: Final = Context(prec=12)
_CLOCK: Final = 1 << 32
_TICK_NS: Final = 125_000
_MOST_OBJECTS: Final = 1024
_LONGEST_LABEL: Final = 24
_LAST_LEAD: Final = 0x01FF
