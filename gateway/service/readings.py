"""A set of readings to the objects of an exam: what the serial service keeps as it comes, and a replay keeps afterwards.

One capture a set; each measurement in it becomes an object of its own, and what is left the report. PS3.3 A.60, A.35.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from gateway import exam as exams
from gateway.errors import GatewayError
from gateway.model import CaptureKind
from gateway.objects import refraction
from gateway.service import compose

if TYPE_CHECKING:
    from gateway.model import Capture, PerformedStep, ReadingSet
    from gateway.profile import InstrumentProfile


def keep(box: compose.Box, port: str, profile: InstrumentProfile, step: PerformedStep, readings: ReadingSet) -> Capture:
    """Make the objects of a set, durable, and their capture complete, in one transaction; return the capture.

    Raises what made it impossible; the capture then is lost, and says why. The journal has the set.
    """
    capture = exams.begin_capture(
        box.spool, box.clock, step.exam_id, CaptureKind.READING, port, captured_ns=readings.received_ns
    )
    stated = readings.model_name or profile.equipment.model_name
    segments = [
        (
            compose.Segment(
                step=step,
                capture=capture,
                equipment=structs.replace(profile.equipment, model_name=stated),
                object=kind,
                captured_ns=readings.received_ns,
                number=number,
            ),
            observations,
        )
        for number, (kind, observations) in enumerate(refraction.objects_of(readings.observations))
    ]
    try:
        compose.store_measurements(
            box, segments, also=lambda: exams.finish_capture(box.spool, capture, note=note(readings))
        )
    except GatewayError as error:
        exams.finish_capture(box.spool, capture, note=str(error))
        raise
    return capture


def note(readings: ReadingSet) -> str:
    """Return what a person should know of a set: why a value may be wrong, and that there was more."""
    doubts = [doubt for observation in readings.observations for doubt in observation.doubts]
    if readings.unread:
        doubts.append(f"{readings.unread} parts of it are not read, the journal has them")
    return "; ".join(doubts)
