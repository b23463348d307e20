"""Traces to the modules that hold them: one function a module, named as in PS3.3.

Samples are written as they came, 16 bits each; what one of them means stands beside them in exact decimal strings. C.7.4.2
Synchronization, C.7.6.14 Acquisition Context, C.10.8 Waveform Identification, C.10.9 Waveform, C.10.10 Waveform Annotation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway import codes, uids
from gateway.model import NO_SAMPLE, Code, Observation, ReadingSet, Trace, TraceKind
from gateway.objects import coerce, modules
from gateway.objects import words as words_
from gateway.objects.attributes import code, dataset
from gateway.objects.words import Words

SAMPLE_BYTES = 2
_LEAD_NAMES = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_MDC_PARTITION = 2 << 16
"""Of SCADA (ISO/IEEE 11073-10101): a lead may be stated by its number in the whole scheme, too."""
_WHOLE_GROUP = 0
_LABEL_LENGTH, _LONGEST_BRACKET = 16, 8
_PADDING, _DATA = Tag(0x5400, 0x100A), Tag(0x5400, 0x1010)


def general_series(words: Words) -> Dataset:
    """C.7.3.1: without Laterality: a heart has no other side."""
    return modules.general_series(words, has_sides=False)


def synchronization(words: Words) -> Dataset:
    """C.7.4.2: all curves of an exam are timed by one clock of the gateway, which no other equipment shares."""
    return dataset(
        SynchronizationFrameOfReferenceUID=uids.series(words.exam.exam_id, "synchronization"),
        SynchronizationTrigger="NO TRIGGER",
        AcquisitionTimeSynchronized="N",
    )


def waveform_identification(words: Words) -> Dataset:
    """C.10.8: when the first sample arrived."""
    return dataset(
        InstanceNumber=words.instance_number,
        ContentDate=words_.da(words, words.captured_at),
        ContentTime=words_.tm(words, words.captured_at),
        AcquisitionDateTime=words_.dt(words, words.captured_at),
    )


def acquisition_context(words: Words) -> Dataset:
    """C.7.6.14: nobody told the gateway of any; what a reader must know of the clock stands here."""
    return dataset(
        AcquisitionContextSequence=[],
        AcquisitionContextDescription="\r\n".join(modules.comments(words)) or None,
    )


def waveform(_words: Words, readings: ReadingSet) -> Dataset:
    """C.10.9: a multiplex group for the traces of one rate and length. All begin together, as AcquisitionDateTime says."""
    return dataset(WaveformSequence=[_group(group) for group in groups_of(readings.traces)])


def waveform_annotation(_words: Words, readings: ReadingSet) -> Dataset:
    """C.10.10: what was measured of the curves, and why one of them may be wrong; nothing where there is neither."""
    notes = [*_of_values(readings.observations), *_of_curves(readings.traces)]
    return dataset(WaveformAnnotationSequence=notes or None)


def groups_of(traces: Sequence[Trace]) -> list[tuple[Trace, ...]]:
    """Return the multiplex groups that traces become, each in the order in which its channels came."""
    found: dict[tuple[float, int], list[Trace]] = {}
    for trace in traces:
        found.setdefault((trace.hz, len(trace.samples)), []).append(trace)
    return [tuple(group) for group in found.values()]


def samples(trace: Trace) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return the samples, 1-D, as they came."""
    return np.frombuffer(trace.samples, dtype="<i2")


def problem(trace: Trace) -> str:
    """Return why nobody can tell what the samples of a trace say, in words; empty when it can be told."""
    if not (_is_number(trace.step) and _is_number(trace.zero)) or Decimal(trace.step) <= 0:
        return "what its samples mean is no number that an object can hold"
    if not trace.samples or len(trace.samples) % SAMPLE_BYTES or not math.isfinite(trace.hz) or trace.hz <= 0:
        return "it has no samples that are evenly spaced in time"
    return ""


def is_empty(trace: Trace) -> bool:
    """Say whether nothing was measured: no object is made of that."""
    return bool((samples(trace) == NO_SAMPLE).all())


def seconds(trace: Trace) -> float:
    """Return how long a trace is."""
    return len(trace.samples) // SAMPLE_BYTES / trace.hz


def lead(channel: Code) -> int | None:
    """Return which of the twelve leads a channel is, by its place in `codes.LEADS`; None for any other."""
    value = channel.value
    if channel.scheme == "MDC" and value.isascii() and value.isdigit():
        value = f"2:{int(value) - _MDC_PARTITION}"
    return next((at for at, one in enumerate(codes.LEADS) if (one.value, one.scheme) == (value, channel.scheme)), None)


def label(channel: Code) -> str:
    """Return what a channel is called on a page: "aVR"; of what is no lead, its meaning."""
    at = lead(channel)
    return channel.meaning if at is None else _LEAD_NAMES[at]


def _group(traces: Sequence[Trace]) -> Dataset:
    stacked = np.stack([samples(trace) for trace in traces], axis=1)
    ds = dataset(
        WaveformOriginality="ORIGINAL",
        NumberOfWaveformChannels=len(traces),
        NumberOfWaveformSamples=len(stacked),
        SamplingFrequency=coerce.ds(str(Decimal(repr(traces[0].hz)))),
        MultiplexGroupLabel="RHYTHM" if traces[0].kind is TraceKind.ECG else None,
        ChannelDefinitionSequence=[_channel(number, trace) for number, trace in enumerate(traces, 1)],
        WaveformBitsAllocated=8 * SAMPLE_BYTES,
        WaveformSampleInterpretation="SS",
    )
    if (stacked == NO_SAMPLE).any():
        ds[_PADDING] = DataElement(_PADDING, "OW", NO_SAMPLE.to_bytes(SAMPLE_BYTES, "little", signed=True))
    ds[_DATA] = DataElement(_DATA, "OW", stacked.tobytes())
    return ds


def _channel(number: int, trace: Trace) -> Dataset:
    """A value is sample x ChannelSensitivity + ChannelBaseline: the correction factor is 1."""
    at = lead(trace.channel)
    return dataset(
        WaveformChannelNumber=number,
        ChannelLabel=_channel_label(trace.channel),
        ChannelStatus="QUESTIONABLE" if trace.doubts else None,
        ChannelSourceSequence=code(trace.channel if at is None else codes.LEADS[at]),
        ChannelSensitivity=coerce.ds(trace.step),
        ChannelSensitivityUnitsSequence=code(trace.unit),
        ChannelSensitivityCorrectionFactor="1",
        ChannelBaseline=coerce.ds(trace.zero),
        ChannelSampleSkew="0",
        WaveformBitsStored=8 * SAMPLE_BYTES,
        FilterLowFrequency=_hz(trace.low_hz),
        FilterHighFrequency=_hz(trace.high_hz),
        NotchFilterFrequency=_hz(trace.notch_hz),
    )


def _channel_label(channel: Code) -> str:
    """SH: what is too long for it keeps its end in brackets, which tells two pressures apart: "Arterial pr (P2)"."""
    called = label(channel)
    if len(called) <= _LABEL_LENGTH:
        return called
    body, bracket, end = called.rpartition(" (")
    kept = f"{bracket}{end}"
    if not body or not called.endswith(")") or len(kept) > _LONGEST_BRACKET:
        return called[:_LABEL_LENGTH]
    return f"{body[: _LABEL_LENGTH - len(kept)].rstrip()}{kept}"


def _hz(found: float | None) -> str | None:
    return None if found is None else coerce.ds(str(found)) or None


def _of_values(observations: Sequence[Observation]) -> Iterator[Dataset]:
    """Each value, of all channels of the first group, where it is one that DS can hold; any other as a text."""
    for one in observations:
        number = coerce.ds(one.value) if one.unit is not None else ""
        is_exact = bool(number) and Decimal(number) == Decimal(one.value.strip())
        yield dataset(
            ReferencedWaveformChannels=[1, _WHOLE_GROUP],
            AnnotationGroupNumber=1,
            ConceptNameCodeSequence=code(one.concept) if is_exact else None,
            NumericValue=number if is_exact else None,
            MeasurementUnitsCodeSequence=code(one.unit) if is_exact and one.unit is not None else None,
            UnformattedTextValue=None if is_exact else f"{one.concept.meaning}: {one.value}",
        )
        yield from (_remark(1, _WHOLE_GROUP, f"{one.concept.meaning}: {doubt}") for doubt in one.doubts)


def _of_curves(traces: Sequence[Trace]) -> Iterator[Dataset]:
    for group, members in enumerate(groups_of(traces), 1):
        for channel, trace in enumerate(members, 1):
            yield from (_remark(group, channel, doubt) for doubt in trace.doubts)


def _remark(group: int, channel: int, text: str) -> Dataset:
    return dataset(
        ReferencedWaveformChannels=[group, channel],
        AnnotationGroupNumber=2,
        UnformattedTextValue=text,
    )


def _is_number(stated: str) -> bool:
    """Say whether DS holds exactly what was stated."""
    try:
        return bool(coerce.ds(stated)) and Decimal(coerce.ds(stated)) == Decimal(stated)
    except InvalidOperation:
        return False
