"""Traces to waveform objects: which IOD takes them, how many objects they need, and which of them none can take.

The limits of each IOD hold: what has too many channels or groups becomes several objects, what is no electrocardiogram of
twelve leads a general one. PS3.3 A.34.3 12-Lead ECG, A.34.4 General ECG, A.34.6 Hemodynamic, A.34.8 Arterial Pulse,
A.34.9 Respiratory Waveform; the limits stand in the Content Constraints of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType

from msgspec import Struct, structs
from pydicom.dataset import Dataset

from gateway.errors import ObjectInvalid
from gateway.model import ReadingSet, Trace, TraceKind
from gateway.objects import curves, encode, iods
from gateway.objects.iods import Iod
from gateway.objects.words import Sink, Words, Written, check_times
from gateway.profile import ObjectKind

ECG = ObjectKind(modality="ECG", series_description="Electrocardiogram")
HEMODYNAMIC = ObjectKind(modality="HD", series_description="Hemodynamic curves")
RESPIRATORY = ObjectKind(modality="RESP", series_description="Breathing curves")
KINDS = (ECG, HEMODYNAMIC, RESPIRATORY)


class Limits(Struct, frozen=True, kw_only=True):
    """What one object of an IOD may hold."""

    groups: int
    channels: int
    """In a group."""
    all_channels: int = 1 << 30
    lowest_hz: float = 0.0
    highest_hz: float
    samples: int = 1 << 30
    """In a channel."""


LIMITS = MappingProxyType(
    {
        iods.TWELVE_LEAD_ECG.name: Limits(
            groups=5, channels=13, all_channels=13, lowest_hz=200, highest_hz=1000, samples=16384
        ),
        iods.GENERAL_ECG.name: Limits(groups=4, channels=24, lowest_hz=200, highest_hz=1000),
        iods.HEMODYNAMIC.name: Limits(groups=4, channels=8, highest_hz=400),
        iods.ARTERIAL_PULSE.name: Limits(groups=1, channels=1, highest_hz=600),
        iods.RESPIRATORY.name: Limits(groups=1, channels=1, highest_hz=100),
    }
)
"""By the name of the IOD."""
OF_KIND = MappingProxyType(
    {
        TraceKind.ECG: (iods.GENERAL_ECG, ECG),
        TraceKind.HEMODYNAMIC: (iods.HEMODYNAMIC, HEMODYNAMIC),
        TraceKind.ARTERIAL_PULSE: (iods.ARTERIAL_PULSE, HEMODYNAMIC),
        TraceKind.RESPIRATORY: (iods.RESPIRATORY, RESPIRATORY),
    }
)
"""The IOD of each kind of trace; that of a cardiotocogram does not exist."""
INDEPENDENT = frozenset({0, 1, 6, 7, 8, 9, 10, 11})
"""Leads I, II and V1 to V6, by their place in `codes.LEADS`: from these the other four follow."""


def objects_of(traces: Sequence[Trace]) -> Iterator[tuple[ObjectKind, tuple[Trace, ...]]]:
    """Yield the waveform objects that traces become, each of traces that begin together, within the limits of its IOD."""
    fit = [trace for trace in traces if trace.kind in OF_KIND and not why_not(trace) and not curves.is_empty(trace)]
    for kind, (iod, described) in OF_KIND.items():
        for begun_ns in sorted({trace.received_ns for trace in fit if trace.kind is kind}):
            together = tuple(trace for trace in fit if trace.kind is kind and trace.received_ns == begun_ns)
            if kind is TraceKind.ECG and is_twelve_lead(together):
                yield described, together
            else:
                yield from ((described, held) for held in _split(curves.groups_of(together), LIMITS[iod.name]))


def why_not(trace: Trace) -> str:
    """Return why no object of its kind can hold a trace, in words; empty when one can."""
    if problem := curves.problem(trace):
        return problem
    if trace.kind not in OF_KIND:
        return "there is no waveform object for it"
    limits = LIMITS[OF_KIND[trace.kind][0].name]
    if not limits.lowest_hz <= trace.hz <= limits.highest_hz:
        return f"no waveform object takes {trace.hz:g} samples in a second of it"
    return ""


def is_twelve_lead(traces: Sequence[Trace]) -> bool:
    """Say whether traces are an electrocardiogram of twelve leads: all of them, or those from which the others follow."""
    limits = LIMITS[iods.TWELVE_LEAD_ECG.name]
    leads = {at for trace in traces if (at := curves.lead(trace.channel)) is not None}
    return (
        leads >= INDEPENDENT
        and all(curves.lead(trace.channel) is not None for trace in traces)
        and len(traces) <= limits.all_channels
        and len(curves.groups_of(traces)) <= limits.groups
        and all(len(trace.samples) <= limits.samples * curves.SAMPLE_BYTES for trace in traces)
    )


def iod_of(traces: Sequence[Trace]) -> Iod:
    """Return the IOD of the traces of one object. Raises ObjectInvalid when none takes them together."""
    if not traces or len({trace.kind for trace in traces}) != 1 or traces[0].kind not in OF_KIND:
        raise ObjectInvalid(problem="the curves are not of one kind that an object can hold")
    problem = next(filter(None, map(why_not, traces)), "")
    if problem:
        raise ObjectInvalid(problem=f"of a curve: {problem}")
    iod = OF_KIND[traces[0].kind][0]
    if iod is iods.GENERAL_ECG and is_twelve_lead(traces):
        return iods.TWELVE_LEAD_ECG
    limits, groups = LIMITS[iod.name], curves.groups_of(traces)
    if len(groups) > limits.groups or any(len(group) > limits.channels for group in groups):
        raise ObjectInvalid(problem=f"{len(traces)} curves are more than one {iod.name} object holds")
    return iod


def write(sink: Sink, words: Words, readings: ReadingSet) -> Written:
    """Write one waveform object, Explicit VR Little Endian.

    Raises ClockUntrusted for a date before this software was made, ObjectInvalid when no IOD takes the traces.
    """
    check_times(words)
    return encode.write(sink, compose(words, readings), encode.EXPLICIT_LITTLE)


def compose(words: Words, readings: ReadingSet) -> Dataset:
    """Return the whole data set. Raises ObjectInvalid as `write` does."""
    iod = iod_of(readings.traces)
    said = structs.replace(words, object=OF_KIND[readings.traces[0].kind][1])
    return iods.compose_set(iod, said, readings)


def _split(groups: Sequence[tuple[Trace, ...]], limits: Limits) -> Iterator[tuple[Trace, ...]]:
    """Yield what each object holds; the parts of a group that has too many channels are in different objects."""
    most = max(map(len, groups), default=0)
    for first in range(0, most, limits.channels):
        parts = [part for group in groups if (part := group[first : first + limits.channels])]
        for at in range(0, len(parts), limits.groups):
            yield tuple(trace for part in parts[at : at + limits.groups] for trace in part)
