"""An exam whose patient was corrected after objects had left to corrected copies of them, and a note that rejects the former.

Law 2: after an object was sent, a correction is a new SOP Instance UID and a rejection note. First every copy is durable and
owed to whoever is owed the former object, then a note is written for each identity under which something had left; where a
copy has not arrived yet, the note waits for it. Each step is one transaction and looks what is there already: after a crash
at any moment, the same copies and notes are made once. Until then nothing of the exam is purged. IHE RAD TF-2, IOCM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway import exam as exams
from gateway import uids
from gateway.errors import BlobCorrupt, BlobMissing, GatewayError
from gateway.model import DeliveryState
from gateway.objects import note, revise
from gateway.service import compose, rejection
from gateway.spool.instances import payload_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from gateway.model import Instance, PerformedStep
    from gateway.objects.words import Words, Written
    from gateway.service.compose import Box
    from gateway.service.rejection import Identity

STRIDE: Final = 1000
"""Instance Number of a note: the revision of the correction times this, beyond the numbers of captures."""


def pay(box: Box, exam_id: UUID, at: datetime) -> bool:
    """Make what is owed for the corrections of an exam, as of `at`; return whether anything was made, or all is paid.

    While something is still on the wire under a former identity, its note waits. A damaged original is shown; it gets no
    copy, and is rejected all the same: it names the wrong patient. Raises the first other error, once every copy that can
    be made is made: ObjectError, SpoolError, ProfileError.
    """
    step = box.spool.exams.get(exam_id)
    copied = _copy_all(box, step, at)
    every = box.spool.instances.uncorrected(exam_id, is_damaged_too=True)
    owed = rejection.by_identity(box, [each for each in every if each.revision < step.corrected])
    waits = [_is_on_the_wire(box, identity, former) for identity, former in owed]
    if any(waits):
        return copied
    for identity, former in owed:
        rejection.write(box, _note(identity, former, at), "after a correction")
    box.spool.exams.correction_paid(exam_id, step.corrected)
    return True


def _is_on_the_wire(box: Box, identity: Identity, former: Sequence[Instance]) -> bool:
    """Take back what a sender has handed back meanwhile, and say whether any of it may still arrive."""
    taken = [exams.take_back(box.spool, each, identity.by, why=exams.CORRECTED) for each in former]
    return rejection.is_on_the_wire(delivery for deliveries in taken for delivery in deliveries)


def _copy_all(box: Box, step: PerformedStep, at: datetime) -> bool:
    """Make every copy that is not there yet; return whether there was one to make."""
    failed: list[GatewayError] = []
    made = 0
    for each in box.spool.instances.uncorrected(step.exam_id):
        if box.spool.instances.is_replaced(each.sop_instance_uid):
            continue
        try:
            _copy(box, each, step, at)
            made += 1
        except (BlobCorrupt, BlobMissing) as error:
            box.spool.instances.flag(payload_of(each), error)
        except GatewayError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return made > 0


def _copy(box: Box, former: Instance, step: PerformedStep, at: datetime) -> None:
    """Write one corrected copy: other identity, other UIDs, the same pixels byte for byte; owed to whoever is owed the former.

    It is read whole and compared with its digest first: a new digest must never hide that the disk has changed a pixel.
    When the exam is corrected again meanwhile, the copy is behind that, and is rewritten before it may leave.
    """
    box.spool.blobs.verify(former.blob)
    says = _words(box, former, step)
    with box.spool.blobs.part(former.size_bytes, is_urgent=True) as part:
        source = box.spool.blobs.path(former.blob)
        written = revise.write(source, part, says, modified_at=at, replaces=former.sop_instance_uid)
        blob, size_bytes = part.commit()
        copy = structs.replace(
            _of(former, step, says, written), blob=blob, size_bytes=size_bytes, stored_at=box.clock.now()
        )
        owed = _destinations(box, former)
        with box.spool.transaction():
            box.spool.instances.admit(
                copy,
                owed,
                hold=True,
                release_at_ns=box.clock.monotonic_ns(),
                commitment=exams.commitment(box.site, owed),
            )
            box.spool.history.add(payload_of(copy), "corrected copy", text=f"capture {former.capture}")
            box.spool.deliveries.release_due(step.exam_id)


def _of(former: Instance, step: PerformedStep, says: Words, written: Written) -> Instance:
    return structs.replace(
        former,
        sop_instance_uid=written.sop_instance_uid,
        study_instance_uid=step.study_instance_uid,
        series_instance_uid=says.series_instance_uid,
        data_digest=written.data_digest,
        revision=step.identity_revision,
        replaces=former.sop_instance_uid,
        is_rejected=False,
    )


def _words(box: Box, former: Instance, step: PerformedStep) -> Words:
    says = compose.words(box.site, compose.of_instance(box, former, step))
    return structs.replace(says, sop_instance_uid=uids.replacement(former.sop_instance_uid, step.identity_revision))


def _destinations(box: Box, former: Instance) -> list[str]:
    """Whoever may have the former object, or was still to receive it; not whom a person had taken off before."""
    return [
        delivery.destination
        for delivery in box.spool.deliveries.of_payload(former.sop_instance_uid)
        if delivery.attempts or delivery.state is not DeliveryState.CANCELLED or delivery.note == exams.CORRECTED
    ]


def _note(identity: Identity, rejected: Sequence[Instance], at: datetime) -> rejection.Note:
    exam_id = identity.step.exam_id
    return rejection.Note(
        identity=identity,
        rejected=rejected,
        sop_instance_uid=uids.instance(exam_id, rejection.KIND, 0, identity.until),
        instance_number=identity.until * STRIDE,
        why=note.WRONG_PATIENT if identity.step.scheduled is None else note.WRONG_ENTRY,
        by=identity.by,
        at=at,
    )
