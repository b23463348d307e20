"""What an instrument stated to the objects it becomes, in a fixed order: measurements of eyes, curves, drawn pages, the report.

Whatever of a set no other object holds is in the report, which comes last; nothing is dropped in silence. PS3.3 A.34
(waveforms), A.35.3 (report), A.45.1 (Encapsulated PDF), A.60 (eyes).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from gateway.model import Observation, ReadingSet, TraceKind
from gateway.objects import curves, drawn, encode, iods, refraction, sr, waveform
from gateway.objects.words import Sink, Words, Written, check_times
from gateway.profile import READINGS, ObjectKind

KINDS = (*(kind for _, kind in refraction.KINDS.values()), *waveform.KINDS, drawn.PAGE, READINGS)
"""Every kind of object that readings become."""


def kind_of(modality: str) -> ObjectKind:
    """Return the kind of object whose Modality this is: `profile.READINGS` for SR."""
    return next((kind for kind in KINDS if kind.modality == modality), READINGS)


def objects_of(readings: ReadingSet) -> Iterator[tuple[ObjectKind, ReadingSet]]:
    """Yield the objects that a set of readings becomes, each with what it holds of the set."""
    measured = list(refraction.objects_of(readings.observations))
    taken = {one.part_of for _, observations in measured for one in observations}
    for kind, observations in measured:
        yield kind, structs.replace(readings, observations=observations, traces=())
    left = tuple(one for one in readings.observations if one.part_of not in taken)
    of_curves = left if readings.traces and all(trace.kind is TraceKind.ECG for trace in readings.traces) else ()
    for kind, traces in waveform.objects_of(readings.traces):
        begun_ns = traces[0].received_ns or readings.received_ns
        yield kind, structs.replace(readings, observations=of_curves, traces=traces, received_ns=begun_ns)
    for traces in drawn.pages_of(readings):
        begun_ns = min(trace.received_ns for trace in traces) or readings.received_ns
        yield drawn.PAGE, structs.replace(readings, observations=left, traces=traces, received_ns=begun_ns)
    report = (*left, *(Observation(concept=sr.COMMENT, value=each) for each in unheld(readings)))
    if report:
        yield READINGS, structs.replace(readings, observations=report, traces=())


def unheld(readings: ReadingSet) -> Iterator[str]:
    """Yield, as sentences, which curves are in no waveform object, and why; the report has them too."""
    for trace in readings.traces:
        if trace.kind is not TraceKind.CARDIOTOCOGRAM and (why := waveform.why_not(trace)):
            yield f"The curve {curves.label(trace.channel)} is in no waveform object, the journal has it: {why}."


def write(sink: Sink, words: Words, readings: ReadingSet) -> Written:
    """Write one object of `objects_of`, of the kind that `words` say, Explicit VR Little Endian.

    Raises ClockUntrusted for a date before this software was made, ObjectInvalid when what was stated is not enough for it.
    """
    if words.object.modality == READINGS.modality:
        return sr.write(sink, words, readings.observations)
    if words.object.modality == drawn.PAGE.modality:
        check_times(words)
        return encode.write(sink, iods.compose_set(iods.ENCAPSULATED_PDF, words, readings), encode.EXPLICIT_LITTLE)
    if words.object in waveform.KINDS:
        return waveform.write(sink, words, readings)
    return refraction.write(sink, words, readings.observations)
