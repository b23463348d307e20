"""Claimed Deliveries of one DICOM Destination to verdicts: find the object, choose its form, send it once, report.

No retry and no sleep: the Delivery's state table does that. One bad object holds up nobody: a blob that is missing or
does not match its digest is a verdict of its own, and the others go on. Law 4: see forms.py. PS3.4 annex B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from gateway import config
from gateway.errors import BlobCorrupt, BlobMissing, GatewayError, NoSuchRow
from gateway.forward import forms
from gateway.model import Delivery, Instance, StoreOutcome
from gateway.spool.blobs import Part
from gateway.spool.spool import Spool
from gateway.wire.dimse import names, scu, status
from gateway.wire.dimse.peer import Peer

Transcode = Callable[[Path, Part, str], object]
"""Write the object of a DICOM file anew in that transfer syntax, pixels unchanged (gateway.objects.transcode.write with
its codecs); raises CodecError or ObjectError when it cannot."""


def peer_of(name: str, destination: config.Destination, station_ae_title: str) -> Peer:
    """Return whom to call for a Destination; we call by its own name for us, else by the station's."""
    return Peer(
        name=name,
        host=destination.host,
        port=destination.port,
        called_ae=destination.called_ae,
        calling_ae=destination.calling_ae or station_ae_title,
        timeout_s=destination.timeout_s,
    )


def send(
    peer: Peer,
    batch: Sequence[Delivery],
    spool: Spool,
    transcode: Transcode,
    *,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, StoreOutcome]]:
    """Send a batch over as few associations as it needs, smallest object first; yield (delivery_id, outcome) as each ends.

    Every Delivery comes out exactly once, unless gateway.wire.net.Stopped is raised: what is left is then untried.
    """
    found: list[tuple[Delivery, Instance]] = []
    for delivery in batch:
        try:
            found.append((delivery, spool.instances.get(delivery.payload)))
        except NoSuchRow as error:
            yield delivery.delivery_id, status.failure(error)
    found.sort(key=lambda pair: pair[1].size_bytes)
    offers = [_offer(instance) for _, instance in found]

    def load(index: int, accepted: tuple[str, ...]) -> AbstractContextManager[Path]:
        delivery, instance = found[index]
        return _form(delivery.payload, instance, accepted, spool, transcode)

    for index, outcome in scu.store(peer, offers, load, is_stopped=is_stopped):
        yield found[index][0].delivery_id, outcome


def _offer(instance: Instance) -> scu.Offer:
    is_image = names.is_image(instance.sop_class_uid)
    return scu.Offer(instance.sop_class_uid, forms.offered(instance.transfer_syntax_uid, is_image=is_image))


@contextmanager
def _form(
    payload: str, instance: Instance, accepted: tuple[str, ...], spool: Spool, transcode: Transcode
) -> Iterator[Path]:
    """Keep a file of the object in the best accepted form for as long as it is sent. Raises BlobCorrupt, BlobMissing."""
    try:
        spool.blobs.verify(instance.blob)
    except (BlobCorrupt, BlobMissing) as error:
        spool.instances.flag(payload, error)
        raise
    with ExitStack() as kept:
        yield _best(instance, accepted, spool, transcode, kept)


def _best(instance: Instance, accepted: tuple[str, ...], spool: Spool, transcode: Transcode, kept: ExitStack) -> Path:
    """Return the stored blob or a transcoded copy; a form that cannot be made gives way to the next."""
    stored, problem = spool.blobs.path(instance.blob), GatewayError()
    for syntax in forms.in_order(instance.transfer_syntax_uid, accepted):
        if syntax == instance.transfer_syntax_uid:
            return stored
        if syntax in forms.SLOW and instance.size_bytes > forms.SLOW_BYTES and instance.transfer_syntax_uid in accepted:
            continue
        try:
            part = kept.enter_context(spool.blobs.part(instance.size_bytes))
            transcode(stored, part, syntax)
        except GatewayError as error:
            problem = error
            continue
        is_smaller = part.size_bytes < instance.size_bytes
        return part.path if is_smaller or instance.transfer_syntax_uid not in accepted else stored
    raise problem
