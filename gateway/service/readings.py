"""A set of readings to the objects of an exam: what the serial service keeps as it comes, and a replay keeps afterwards.

One capture a set, and an object for each thing in it: `objects.stated` says which.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from gateway import exam as exams
from gateway.errors import GatewayError
from gateway.model import CaptureKind
from gateway.objects import stated
from gateway.service import compose
from gateway.spool import readings as shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.model import Capture, PerformedStep, ReadingSet
    from gateway.profile import InstrumentProfile


def keep(
    box: compose.Box,
    port: str,
    profile: InstrumentProfile,
    step: PerformedStep,
    readings: ReadingSet,
    *,
    also: Callable[[Capture], None] | None = None,
) -> Capture:
    """Make the objects of a set, durable, and their capture complete, in one transaction; return the capture.

    `also` is done in that transaction. Raises what made it impossible; the capture then is lost, and says why. The journal
    has the set.
    """
    capture = exams.begin_capture(
        box.spool, box.clock, step.exam_id, CaptureKind.READING, port, captured_ns=readings.received_ns
    )
    readings = structs.replace(readings, paper_cm_min=profile.paper_cm_min)
    model_name = readings.model_name or profile.equipment.model_name
    segments = [
        (
            compose.Segment(
                step=step,
                capture=capture,
                equipment=structs.replace(profile.equipment, model_name=model_name),
                object=kind,
                captured_ns=held.received_ns,
                number=number,
            ),
            held,
        )
        for number, (kind, held) in enumerate(stated.objects_of(readings))
    ]

    def finish() -> None:
        exams.finish_capture(box.spool, capture, note=note(readings))
        if also is not None:
            also(capture)

    try:
        compose.store_measurements(box, segments, also=finish)
    except GatewayError as error:
        exams.finish_capture(box.spool, capture, note=str(error))
        raise
    _show(box, capture, readings)
    return capture


def _show(box: compose.Box, capture: Capture, readings: ReadingSet) -> None:
    """Lay what the set says beside the pictures for the panel: the objects are durable without it."""
    with contextlib.suppress(OSError):
        shown.write(box.spool.data, capture.exam_id, capture.number, readings)


def in_this_boot(box: compose.Box, at: datetime, readings: ReadingSet) -> ReadingSet:
    """Return the same set as if it had been heard at its time in this boot, whose monotonic clock captures are timed by."""
    received_ns = box.clock.monotonic_ns() - int((box.clock.now() - at) / timedelta(microseconds=1)) * 1000
    shift = received_ns - readings.received_ns
    return structs.replace(
        readings,
        observations=tuple(structs.replace(one, received_ns=one.received_ns + shift) for one in readings.observations),
        traces=tuple(
            structs.replace(one, received_ns=one.received_ns + shift if one.received_ns else 0)
            for one in readings.traces
        ),
        received_ns=received_ns,
    )


def note(readings: ReadingSet) -> str:
    """Return what a person should know of a set: why a value may be wrong, and that there was more."""
    of_values = [doubt for one in readings.observations for doubt in one.doubts]
    of_curves = [doubt for one in readings.traces for doubt in one.doubts]
    doubts = list(dict.fromkeys((*of_values, *of_curves, *stated.unheld(readings))))
    if readings.unread:
        doubts.append(f"{readings.unread} parts of it are not read, the journal has them")
    return "; ".join(doubts)
