"""A capture that was discarded after it had left to a rejection note for everybody who may have it.

The note is written once nothing of the capture is on the wire any more, so it always comes after what it names. Its row and
the end of the debt are one transaction: after a crash it is written again under the same UID, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway import exam as exams
from gateway import uids
from gateway.model import CaptureKind, DeliveryState, Instance
from gateway.objects import note
from gateway.objects.words import Words
from gateway.profile import ObjectKind
from gateway.service import compose

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.model import Capture, PerformedStep
    from gateway.service.compose import Box
    from gateway.spool.captures import Rejection

KIND: Final = "note"
SERIES_NUMBER: Final = 3
OBJECT: Final = ObjectKind(modality="KO", series_description="Rejected")
_ON_THE_WIRE: Final = frozenset({DeliveryState.SENDING, DeliveryState.RELAYED})


def pay(box: Box, owed: Rejection, at: datetime) -> Instance | None:
    """Write one note that is owed, made `at`, durable and admitted when this returns; None while it must wait.

    What a sender handed back meanwhile is taken back from the queue first. Raises ObjectError, SpoolError, ProfileError.
    """
    spool = box.spool
    step, capture = spool.exams.get(owed.exam_id), spool.captures.get(owed.exam_id, owed.number)
    deliveries = exams.withdraw(spool, capture, owed.by)
    if any(delivery.state in _ON_THE_WIRE for delivery in deliveries):
        return None
    tried = [delivery for delivery in deliveries if delivery.attempts]
    payloads = {delivery.payload for delivery in tried}
    rejected = [
        each for each in spool.instances.of_capture(step.exam_id, capture.number) if each.sop_instance_uid in payloads
    ]
    says = _words(box, step, capture, at)
    with spool.blobs.part(is_urgent=True) as part:
        written = note.write(part, says, rejected, by=owed.by)
        blob, size_bytes = part.commit()
        instance = Instance(
            sop_instance_uid=written.sop_instance_uid,
            sop_class_uid=written.sop_class_uid,
            transfer_syntax_uid=written.transfer_syntax_uid,
            study_instance_uid=step.study_instance_uid,
            series_instance_uid=says.series_instance_uid,
            blob=blob,
            size_bytes=size_bytes,
            data_digest=written.data_digest,
            revision=step.identity_revision,
            exam_id=step.exam_id,
            kind=KIND,
            modality=OBJECT.modality,
            stored_at=box.clock.now(),
        )
        _admit(box, instance, owed, sorted({delivery.destination for delivery in tried}))
    return instance


def _admit(box: Box, instance: Instance, owed: Rejection, destinations: list[str]) -> None:
    known = box.site.destination
    commitment = [name for name in destinations if name in known and known[name].is_commitment_required]
    with box.spool.transaction():
        box.spool.instances.admit(instance, destinations, commitment=commitment)
        box.spool.captures.note_written(owed.exam_id, owed.number)
        box.spool.history.add(f"exam {owed.exam_id}", "rejection note", text=f"capture {owed.number}", by=owed.by)


def _words(box: Box, step: PerformedStep, capture: Capture, at: datetime) -> Words:
    equipment, _ = compose.origin(box, step, capture.source, is_reading=capture.kind is CaptureKind.READING)
    return Words(
        exam=step,
        equipment=equipment,
        object=OBJECT,
        station=box.site.station,
        sop_instance_uid=uids.instance(step.exam_id, KIND, capture.number, 0),
        series_instance_uid=uids.series(step.exam_id, KIND),
        series_number=SERIES_NUMBER,
        instance_number=capture.number,
        captured_at=at,
    )
