"""Pictures and readings of a capture to Instances in the spool: the values are moved between rooms here.

One place says which words an object carries, so that a still, a cine that a power cut ended and a header rewritten after
an identification agree. UIDs follow law 2; bytes are durable and their row committed before anything returns (law 1).
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway import exam as exams
from gateway import profile as profiles
from gateway import uids
from gateway.clock import BUILT_AT, Clock
from gateway.config import Site
from gateway.model import Capture, CaptureKind, Equipment, Instance, PerformedStep
from gateway.objects import image, stated
from gateway.objects.words import Words, Written
from gateway.profile import ObjectKind
from gateway.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.model import Picture, ReadingSet
    from gateway.objects.words import Sink
    from gateway.spool.blobs import Part

SERIES: Final = {
    "image": 1,
    "cine": 1,
    "sr": 2,
    "len": 4,
    "ar": 5,
    "ker": 6,
    "srf": 7,
    "va": 8,
    "ecg": 9,
    "hd": 10,
    "resp": 11,
    "doc": 12,
}
"""Series Number of each kind of object; stills and cines of an exam are one series, each kind of measurement is its own. 3: notes."""

SEGMENT_NUMBERS: Final = 1000
"""Instance Numbers of a capture: its own number, then number x 1000 + segment for the segments after the first."""


class Box(Struct, frozen=True, kw_only=True):
    """One gateway at work: what every service has in hand."""

    site: Site
    spool: Spool
    clock: Clock


class Segment(Struct, frozen=True, kw_only=True):
    """One segment of one capture, and whose pictures or values they are."""

    step: PerformedStep
    capture: Capture
    equipment: Equipment
    object: ObjectKind
    captured_ns: int
    """CLOCK_MONOTONIC of its first frame, or of its last value."""
    number: int = 0

    @property
    def kind(self) -> str:
        """What its UIDs are derived from."""
        if self.capture.kind is CaptureKind.READING:
            return self.object.modality.lower()
        return "image" if self.capture.kind is CaptureKind.STILL else "cine"


def words(site: Site, segment: Segment) -> Words:
    """Return what a segment says beside its pixels.

    While the clock is in doubt, dates count from the day this software was made: such an object is HELD, and gets its
    true dates in a new header before it may leave (law 6).
    """
    step, number, kind = segment.step, segment.capture.number, segment.kind
    return Words(
        exam=step if step.started_at >= BUILT_AT else structs.replace(step, started_at=BUILT_AT),
        equipment=segment.equipment,
        object=segment.object,
        station=site.station,
        sop_instance_uid=uids.instance(step.exam_id, kind, number, segment.number),
        series_instance_uid=uids.series(step.exam_id, "image" if kind == "cine" else kind, step.corrected),
        series_number=SERIES[kind],
        instance_number=number if segment.number == 0 else number * SEGMENT_NUMBERS + segment.number,
        captured_at=_captured_at(segment),
    )


def store_picture(
    box: Box,
    segment: Segment,
    picture: Picture,
    frames: Iterable[bytes],
    *,
    reserve_bytes: int = 0,
    also: Callable[[], None] | None = None,
) -> Instance:
    """Write a segment as an image object, durable and admitted when this returns; `also` is done in that transaction."""
    says = words(box.site, segment)
    wrote = _Wrote(lambda sink: image.write(sink, says, picture, frames), picture.frame_count)
    return _store(box, segment, says, wrote, reserve_bytes, also)


def store_video(box: Box, segment: Segment, picture: Picture, stream: Path) -> Instance:
    """Write a segment as an MPEG-4 video, durable and admitted when this returns."""
    says = words(box.site, segment)
    wrote = _Wrote(lambda sink: image.write_video(sink, says, picture, stream), picture.frame_count)
    return _store(box, segment, says, wrote, stream.stat().st_size, None)


def store_measurements(
    box: Box,
    measured: Sequence[tuple[Segment, ReadingSet]],
    *,
    also: Callable[[], None] | None = None,
) -> list[Instance]:
    """Write readings, each set as its segment's kind of object; all are durable and admitted when this returns, or none.

    `stated.objects_of` says which objects a set of readings becomes. `also` as above.
    """
    with ExitStack() as parts:
        instances = []
        for segment, readings in measured:
            says = words(box.site, segment)
            wrote = _Wrote(partial(stated.write, words=says, readings=readings), 1)
            part = parts.enter_context(box.spool.blobs.part(is_urgent=True))
            instances.append(_written(box, segment, says, wrote, part))
        _admit(box, instances, also)
    return instances


def of_instance(box: Box, instance: Instance, step: PerformedStep) -> Segment:
    """Return the segment that an object of ours is, with the words of its exam as `step` says them."""
    capture = box.spool.captures.get(step.exam_id, instance.capture)
    is_reading = capture.kind is CaptureKind.READING
    equipment, kind = origin(box, step, capture.source, is_reading=is_reading)
    if is_reading:
        kind = stated.kind_of(instance.modality)
    return Segment(
        step=step,
        capture=capture,
        equipment=equipment,
        object=kind,
        captured_ns=instance.captured_ns,
        number=instance.segment,
    )


def origin(box: Box, step: PerformedStep, source: str, *, is_reading: bool) -> tuple[Equipment, ObjectKind]:
    """Return the equipment and the kind of object behind a capture; of a port that is gone by now, nothing is known but that."""
    own = box.site.own_profiles
    if is_reading:
        port = box.site.serial.get(source)
        return profiles.instrument(port.instrument, own).equipment if port else Equipment(), profiles.READINGS
    profile = profiles.modality(step.profile, own)
    return profile.equipment, profile.object


class _Wrote(Struct, frozen=True):
    write: Callable[[Sink], Written]
    frame_count: int


def committed(box: Box, says: Words, written: Written, part: Part, *, kind: str) -> Instance:
    """Make what was written into a part durable; return the row of an object that belongs to the exam of its words."""
    blob, size_bytes = part.commit()
    return Instance(
        sop_instance_uid=written.sop_instance_uid,
        sop_class_uid=written.sop_class_uid,
        transfer_syntax_uid=written.transfer_syntax_uid,
        study_instance_uid=says.exam.study_instance_uid,
        series_instance_uid=says.series_instance_uid,
        blob=blob,
        size_bytes=size_bytes,
        data_digest=written.data_digest,
        revision=says.exam.identity_revision,
        exam_id=says.exam.exam_id,
        kind=kind,
        modality=says.object.modality,
        stored_at=box.clock.now(),
    )


def _store(
    box: Box, segment: Segment, says: Words, wrote: _Wrote, reserve_bytes: int, also: Callable[[], None] | None
) -> Instance:
    """Make the bytes durable, then their row and what goes with it in one transaction, while the part is still ours."""
    with box.spool.blobs.part(reserve_bytes, is_urgent=True) as part:
        instance = _written(box, segment, says, wrote, part)
        _admit(box, [instance], also)
    return instance


def _written(box: Box, segment: Segment, says: Words, wrote: _Wrote, part: Part) -> Instance:
    """Write one object into its part, durable; return the row that is to be admitted."""
    return structs.replace(
        committed(box, says, wrote.write(part), part, kind=segment.kind),
        capture=segment.capture.number,
        segment=segment.number,
        frame_count=wrote.frame_count,
        captured_ns=segment.captured_ns,
    )


def _admit(box: Box, instances: Iterable[Instance], also: Callable[[], None] | None) -> None:
    with box.spool.transaction():
        for instance in instances:
            exams.keep(box.spool, box.clock, instance, box.site)
        if also is not None:
            also()


def _captured_at(segment: Segment) -> datetime:
    capture, step = segment.capture, segment.step
    at = capture.started_at + timedelta(microseconds=(segment.captured_ns - capture.started_ns) // 1000)
    return at if at >= BUILT_AT else BUILT_AT + max(at - step.started_at, timedelta(0))
