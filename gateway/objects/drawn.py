"""Which curves a page is drawn of, and what it is called: known to those who never draw.

The drawing itself is in `page`, which is only imported where a page is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from gateway.model import ReadingSet, Trace, TraceKind
from gateway.objects import curves
from gateway.profile import ObjectKind

PAGE = ObjectKind(modality="DOC", series_description="Drawn pages")
TITLES = MappingProxyType({TraceKind.ECG: "Electrocardiogram", TraceKind.CARDIOTOCOGRAM: "Cardiotocogram"})
"""What is drawn, and what its page is called."""
VOLTS = MappingProxyType({"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3})
"""Of each unit of an electrocardiogram, how many millivolts it is (UCUM)."""


def pages_of(readings: ReadingSet) -> Iterator[tuple[Trace, ...]]:
    """Yield the curves of each page: an electrocardiograph's leads that begin together, and a fetal monitor's curves.

    A monitor that shows an electrocardiogram among other curves is no electrocardiograph: its stream would be a page a minute.
    """
    leads = readings.traces if all(trace.kind is TraceKind.ECG for trace in readings.traces) else ()
    begins = sorted({trace.received_ns for trace in leads})
    together = [tuple(trace for trace in leads if trace.received_ns == begun_ns) for begun_ns in begins]
    strip = tuple(trace for trace in readings.traces if trace.kind is TraceKind.CARDIOTOCOGRAM)
    yield from (traces for traces in (*together, strip) if any(map(is_drawn, traces)))


def is_drawn(trace: Trace) -> bool:
    """Say whether a curve can be drawn to scale; one of which nothing was measured is not."""
    is_to_scale = trace.kind is not TraceKind.ECG or trace.unit.value in VOLTS
    return is_to_scale and not curves.problem(trace) and not curves.is_empty(trace)
