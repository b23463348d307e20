"""What an instrument stated, to what a person reads: values by side with units and doubts, curves as lines to be drawn.

Nothing is rounded, left out or corrected: a value is shown as it was stated, and a doubtful one with the reason. A curve is
drawn by the highest and lowest sample of each column, so that no peak is lost, and has a hole where no sample is.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.codes import (
    AXIS,
    CYLINDER,
    DIOPTRE,
    DISTANCE_PD,
    MERIDIAN_1,
    NEAR_PD,
    POWER_1,
    POWER_2,
    RADIUS_1,
    RADIUS_2,
    SPHERE,
    VERTEX_DISTANCE,
)
from gateway.model import NO_SAMPLE, Code, LiveTrace, MeasurementKind, Observation, ReadingSet, Trace, TraceKind
from gateway.panel import terms
from gateway.panel.language import gettext, ngettext

COLUMNS: Final = 400
"""How wide a curve is drawn, in units of its own."""
HEIGHT: Final = 100
NEW_NS: Final = 10_000_000_000
"""What came within this time has no age."""
OLD_NS: Final = 60_000_000_000
"""A value of a live view that came longer ago is marked."""
_MARGIN = 6
_BRIEF = 4
_SHORT = 8
_WITH_CURVE = 2
STARTED: Final = Code("111526", "DCM", "DateTime Started")


_HELD_BY: Final[Mapping[str, tuple[tuple[MeasurementKind | None, ...], tuple[TraceKind, ...]]]] = MappingProxyType(
    {
        "len": ((MeasurementKind.LENSOMETRY,), ()),
        "ar": ((MeasurementKind.AUTOREFRACTION,), ()),
        "ker": ((MeasurementKind.KERATOMETRY,), ()),
        "srf": ((MeasurementKind.SUBJECTIVE, MeasurementKind.FINAL), ()),
        "va": ((MeasurementKind.ACUITY,), ()),
        "ecg": ((), (TraceKind.ECG,)),
        "hd": ((), (TraceKind.HEMODYNAMIC, TraceKind.ARTERIAL_PULSE)),
        "resp": ((), (TraceKind.RESPIRATORY,)),
        "sr": ((None,), ()),
    }
)
"""What each kind of object is made of (`objects.stated`)."""
_GROUPS: Final[Mapping[Code, tuple[Code, ...]]] = MappingProxyType({SPHERE: (CYLINDER, AXIS), RADIUS_1: (RADIUS_2,)})
"""What is read as one with what; the first of the others must be there."""
_BESIDES: Final = frozenset({STARTED, VERTEX_DISTANCE, DISTANCE_PD, NEAR_PD, POWER_1, POWER_2, MERIDIAN_1})
"""What only goes with another value."""
_FIRST: Final = frozenset({"Heart rate", "Clinical Interpretation"})


class Value(Struct, frozen=True, kw_only=True):
    """One value."""

    label: str
    text: str
    unit: str
    is_words: bool = False
    """Text, and not so short that it could stand like a number."""
    doubts: list[str] = []
    age: str = ""
    """How long ago it came; empty where that is not asked, and of what has just come."""
    is_old: bool = False


class Part(Struct, frozen=True, kw_only=True):
    """What was measured of one side in one way."""

    title: str
    """Empty: values that stand by themselves."""
    side: str
    values: list[Value]


class Line(Struct, frozen=True, kw_only=True):
    """One line of the short form."""

    side: str
    text: str
    is_doubtful: bool


class Curve(Struct, frozen=True, kw_only=True):
    """One channel: `path` is for a drawing of COLUMNS by HEIGHT."""

    label: str
    path: str
    span: str
    """What it reaches over, and how long it lasts: "−0.4 to 1.2 mV, 10 s"."""
    doubts: list[str] = []


class Brief(Struct, frozen=True, kw_only=True):
    """A set of readings where there is little room."""

    lines: list[Line]
    more: str
    """That there are more values than these; empty when there are not."""
    curve: Curve | None
    doubts: list[str]
    """Each with what it is about."""


class Said(Struct, frozen=True, kw_only=True):
    """All that one set of readings says."""

    parts: list[Part]
    curves: list[Curve]
    unread: list[str]
    """That there was more than these."""


def said(readings: ReadingSet) -> Said:
    """Return everything of a set; doubts stand at their values and curves."""
    return Said(parts=parts(readings.observations), curves=curves(readings.traces), unread=_unread(readings))


def parts(observations: Iterable[Observation], now_ns: int | None = None) -> list[Part]:
    """Return the values by what was measured and of which side, in order of their first coming; with `now_ns`, with their age."""
    groups: dict[tuple[MeasurementKind | None, str], list[Value]] = {}
    for one in observations:
        groups.setdefault((one.part_of, one.laterality), []).append(_value(one, now_ns))
    return [Part(title=terms.kind(kind), side=terms.side(side), values=found) for (kind, side), found in groups.items()]


def brief(readings: ReadingSet, most: int = _BRIEF) -> Brief:
    """Return the first values, one curve, and every doubt."""
    lines = list(_lines(readings.observations))
    most = min(most, _WITH_CURVE) if readings.traces else most
    left = len(lines) - most
    more = ngettext("and %(num)d more value", "and %(num)d more values", left) if left > 0 else ""
    curve = drawn(readings.traces[0]) if readings.traces else None
    return Brief(lines=lines[:most], more=more, curve=curve, doubts=doubts(readings))


def of_object(readings: ReadingSet, kind: str) -> Brief | None:
    """Return what one object holds of a set, by the object's kind; None where that cannot be told."""
    parts_of, traces_of = _HELD_BY.get(kind, ((), ()))
    held = replace(
        readings,
        observations=tuple(one for one in readings.observations if one.part_of in parts_of),
        traces=tuple(trace for trace in readings.traces if trace.kind in traces_of),
    )
    return brief(held) if held.observations or held.traces else None


def doubts(readings: ReadingSet) -> list[str]:
    """Say of a set what a person should look at."""
    found = [
        gettext("%(what)s: %(doubt)s", what=_named(one), doubt=terms.doubt(doubt))
        for one in readings.observations
        for doubt in one.doubts
    ]
    for trace in readings.traces:
        label = terms.concept(trace.channel)
        found += [gettext("%(what)s: %(doubt)s", what=label, doubt=terms.doubt(doubt)) for doubt in trace.doubts]
    return list(dict.fromkeys([*found, *_unread(readings)]))


def _unread(readings: ReadingSet) -> list[str]:
    if not readings.unread:
        return []
    return [
        ngettext(
            "%(num)d part of it is not read; it is kept in the journal",
            "%(num)d parts of it are not read; they are kept in the journal",
            readings.unread,
        )
    ]


def curves(traces: Iterable[Trace | LiveTrace]) -> list[Curve]:
    """Return every channel, to be drawn."""
    return [drawn(trace) for trace in traces]


def drawn(trace: Trace | LiveTrace) -> Curve:
    """Return one channel as a line."""
    samples = _samples(trace.samples)
    there = [sample for sample in samples if sample != NO_SAMPLE] if NO_SAMPLE in samples else samples
    low, high = (min(there), max(there)) if there else (0, 0)
    return Curve(
        label=terms.concept(trace.channel),
        path="".join(_path(samples, low, high)),
        span=_span(trace, low, high, len(samples)) if there else gettext("nothing was measured"),
        doubts=[terms.doubt(each) for each in trace.doubts] if isinstance(trace, Trace) else [],
    )


def age(passed_ns: int) -> str:
    """Say how long ago something was."""
    seconds = passed_ns // 1_000_000_000
    minutes = seconds // 60
    if passed_ns < NEW_NS:
        return gettext("just now")
    if not minutes:
        return ngettext("%(num)d s ago", "%(num)d s ago", seconds)
    if minutes < 60:
        return ngettext("%(num)d min ago", "%(num)d min ago", minutes)
    return ngettext("%(num)d h ago", "%(num)d h ago", minutes // 60)


def text_of(one: Observation) -> str:
    """Write a value as it was stated, with a minus that is one, and a plus where opticians write it."""
    if one.unit is None:
        return one.value
    is_power = one.unit == DIOPTRE and one.part_of is not None and one.concept in {SPHERE, CYLINDER}
    sign = "+" if is_power and one.value[:1] not in {"-", "+"} else ""
    return f"{sign}{one.value}".replace("-", "−")


def _value(one: Observation, now_ns: int | None) -> Value:
    passed_ns = 0 if now_ns is None else now_ns - one.received_ns
    return Value(
        label=terms.concept(one.concept),
        text=text_of(one),
        unit=terms.unit(one.unit),
        is_words=one.unit is None and len(one.value) > _SHORT,
        doubts=[terms.doubt(each) for each in one.doubts],
        age=age(passed_ns) if passed_ns > NEW_NS else "",
        is_old=passed_ns > OLD_NS,
    )


def _lines(observations: Sequence[Observation]) -> Iterator[Line]:
    """Yield one line a value; what belongs together of one measurement together, as it stands in a prescription.

    What is read first comes first, and what only goes with it last.
    """
    yield from (line for _, line in sorted(_ranked(observations), key=lambda ranked: ranked[0]))


def _ranked(observations: Sequence[Observation]) -> Iterator[tuple[int, Line]]:
    taken: set[int] = set()
    for number, one in enumerate(observations):
        if number in taken:
            continue
        found = _together(observations, number)
        taken |= set(found)
        group = [observations[each] for each in found]
        is_first = len(group) > 1 or one.concept.meaning in _FIRST
        rank = 0 if is_first else 2 if one.concept in _BESIDES else 1
        is_doubtful = any(each.doubts for each in group)
        yield rank, Line(side=terms.side(one.laterality), text=_line(group), is_doubtful=is_doubtful)


def _line(group: Sequence[Observation]) -> str:
    first = group[0]
    if len(group) == 1:
        return " ".join(filter(None, (terms.concept(first.concept), text_of(first), terms.unit(first.unit))))
    if first.concept == RADIUS_1:
        return " ".join((gettext("Radius"), " / ".join(map(text_of, group)), terms.unit(first.unit)))
    return " ".join(f"× {text_of(one)}°" if one.concept == AXIS else text_of(one) for one in group)


def _together(observations: Sequence[Observation], number: int) -> list[int]:
    """Return where the values stand that are read as one: of the same measurement and side, in the order of _GROUPS."""
    first = observations[number]
    places = {first.concept: number}
    for at, one in enumerate(observations[number + 1 :], number + 1):
        if (one.part_of, one.laterality) == (first.part_of, first.laterality):
            places.setdefault(one.concept, at)
    group = _GROUPS.get(first.concept, ())
    return [number, *(places[concept] for concept in group if concept in places and group[0] in places)]


def _named(one: Observation) -> str:
    return " ".join(filter(None, (terms.concept(one.concept), terms.side(one.laterality).lower())))


def _samples(data: bytes) -> array[int]:
    samples = array("h")
    samples.frombytes(data[: len(data) - len(data) % 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _path(samples: array[int], low: int, high: int) -> Iterator[str]:
    """Yield the steps of an SVG path (SVG 1.1, 8.3): of each column, its lowest and highest sample."""
    scale = (HEIGHT - 2 * _MARGIN) / (high - low or 1)
    width = max(1, -(-len(samples) // COLUMNS))
    step = COLUMNS / max(1, -(-len(samples) // width) - 1)
    is_pen_down = False
    for column, at in enumerate(range(0, len(samples), width)):
        some = samples[at : at + width]
        there = [sample for sample in some if sample != NO_SAMPLE]
        if not there:
            is_pen_down = False
            continue
        for sample in dict.fromkeys((min(there), max(there))):
            y = HEIGHT / 2 if low == high else HEIGHT - _MARGIN - (sample - low) * scale
            yield f"{'L' if is_pen_down else 'M'}{column * step:.1f} {y:.1f}"
            is_pen_down = True


def _span(trace: Trace | LiveTrace, low: int, high: int, count: int) -> str:
    lowest, highest = (f"{_stated(trace, sample):.4g}".replace("-", "−") for sample in (low, high))
    return gettext(
        "%(low)s to %(high)s %(unit)s, %(seconds)s s",
        low=lowest,
        high=highest,
        unit=terms.unit(trace.unit),
        seconds=f"{count / trace.hz:.3g}" if trace.hz > 0 else "?",
    )


def _stated(trace: Trace | LiveTrace, sample: int) -> float:
    return float(Decimal(trace.zero) + sample * Decimal(trace.step))
