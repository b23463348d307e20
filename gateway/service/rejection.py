"""What was discarded, or corrected, after it had left to a rejection note for everybody who may have it.

A note is written once nothing of what it names is on the wire any more, so it always comes after it, and it stands in the
study of what it names, under the identity that stood there. Its row and the mark on each object that it names are one
transaction: after a crash it is written again under the same UID, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway import exam as exams
from gateway import uids
from gateway.errors import ExamError
from gateway.model import CaptureKind, DeliveryState, Instance, PerformedStep
from gateway.objects import note
from gateway.objects.words import Words
from gateway.profile import ObjectKind
from gateway.service import compose

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from gateway.model import Delivery
    from gateway.service.compose import Box
    from gateway.spool.captures import Rejection

KIND: Final = "note"
SERIES_NUMBER: Final = 3
OBJECT: Final = ObjectKind(modality="KO", series_description="Rejected")
_ON_THE_WIRE: Final = frozenset({DeliveryState.SENDING, DeliveryState.RELAYED})


class Identity(Struct, frozen=True):
    """Under whom objects left: the exam as it was until the correction of this revision, by whom; 0 when it is so still."""

    step: PerformedStep
    until: int = 0
    by: str = ""


class Note(Struct, frozen=True, kw_only=True):
    """One note that is owed."""

    identity: Identity
    rejected: Sequence[Instance]
    sop_instance_uid: str
    instance_number: int
    why: note.Reason
    by: str
    at: datetime


def pay(box: Box, owed: Rejection, at: datetime) -> bool:
    """Write what is owed for a discarded capture, made `at`, durable and admitted when this returns; False while it must wait.

    What a sender handed back meanwhile is taken back from the queue first. Raises ObjectError, SpoolError, ProfileError.
    """
    spool = box.spool
    capture = spool.captures.get(owed.exam_id, owed.number)
    deliveries = exams.withdraw(spool, capture, owed.by)
    if is_on_the_wire(deliveries):
        return False
    tried = {delivery.payload for delivery in deliveries if delivery.attempts}
    left = [each for each in spool.instances.of_capture(owed.exam_id, owed.number) if each.sop_instance_uid in tried]
    for identity, rejected in by_identity(box, left):
        made = Note(
            identity=identity,
            rejected=rejected,
            sop_instance_uid=uids.instance(owed.exam_id, KIND, owed.number, identity.until),
            instance_number=owed.number,
            why=note.DISCARDED,
            by=owed.by,
            at=at,
        )
        write(box, made, f"capture {owed.number}")
    spool.captures.note_written(owed.exam_id, owed.number)
    return True


def write(box: Box, owed: Note, what: str) -> None:
    """Make one note durable, and owe it to everybody to whom anything that it names was ever tried; `what` is for the history.

    Where a corrected copy has not arrived yet, it waits for that (`spool.statements`).
    """
    spool, step = box.spool, owed.identity.step
    says = _words(box, owed)
    with spool.blobs.part(is_urgent=True) as part:
        written = note.write(part, says, owed.rejected, by=owed.by, why=owed.why)
        instance = compose.committed(box, says, written, part, kind=KIND)
        with spool.transaction():
            _admit(box, instance, owed)
            spool.instances.rejected(owed.rejected)
            spool.history.add(f"exam {step.exam_id}", "rejection note", text=what, by=owed.by)


def by_identity(box: Box, instances: Iterable[Instance]) -> list[tuple[Identity, list[Instance]]]:
    """Sort objects of one exam by the identity under which they left, the first one first."""
    found: dict[int, tuple[Identity, list[Instance]]] = {}
    for each in instances:
        identity = _identity(box, each)
        found.setdefault(identity.until, (identity, []))[1].append(each)
    return list(found.values())


def is_on_the_wire(deliveries: Iterable[Delivery]) -> bool:
    """Say whether one of them may still arrive."""
    return any(delivery.state in _ON_THE_WIRE for delivery in deliveries)


def _identity(box: Box, instance: Instance) -> Identity:
    if instance.exam_id is None:
        raise ExamError(problem="an object without an exam has no identity to correct")
    correction = box.spool.exams.correction_after(instance.exam_id, instance.revision)
    if correction is None:
        return Identity(box.spool.exams.get(instance.exam_id))
    return Identity(correction.former, correction.revision, correction.by)


def _admit(box: Box, instance: Instance, owed: Note) -> None:
    deliveries = [d for each in owed.rejected for d in box.spool.deliveries.of_payload(each.sop_instance_uid)]
    tried = sorted({delivery.destination for delivery in deliveries if delivery.attempts})
    box.spool.instances.admit(
        instance,
        tried,
        hold=True,
        release_at_ns=box.clock.monotonic_ns(),
        commitment=exams.commitment(box.site, tried),
    )
    box.spool.deliveries.release_due(instance.exam_id)


def _words(box: Box, owed: Note) -> Words:
    step = owed.identity.step
    capture = box.spool.captures.get(step.exam_id, owed.rejected[0].capture)
    equipment, _ = compose.origin(box, step, capture.source, is_reading=capture.kind is CaptureKind.READING)
    return Words(
        exam=step,
        equipment=equipment,
        object=OBJECT,
        station=box.site.station,
        sop_instance_uid=owed.sop_instance_uid,
        series_instance_uid=uids.series(step.exam_id, KIND, step.corrected),
        series_number=SERIES_NUMBER,
        instance_number=owed.instance_number,
        captured_at=owed.at,
    )
