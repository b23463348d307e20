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


class Savings:
    """Which kinds of object lately became no smaller by compressing: not tried again for a while.

    A kind is SOP class, stored and tried syntax, and size to the next power of two: noise stays noise for a whole series.
    """

    REST = 50
    """So many objects of a kind go as they are before it is tried again."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._resting: dict[tuple[str, str, str, int], int] = {}

    def is_worth_trying(self, instance: Instance, syntax: str) -> bool:
        """Say so, or count one more that went as it is."""
        kind = _kind(instance, syntax)
        left = self._resting.get(kind, 0)
        if left:
            self._resting[kind] = left - 1
        return not left

    def tried(self, instance: Instance, syntax: str, *, has_saved: bool) -> None:
        """Learn what came of it."""
        self._resting[_kind(instance, syntax)] = 0 if has_saved else self.REST


class Shelf:
    """Objects of the spool in the form that a peer takes, for as long as each is sent."""

    def __init__(self, spool: Spool, transcode: Transcode, savings: Savings) -> None:
        """`transcode` writes a copy in another syntax."""
        self._spool, self._transcode, self._savings = spool, transcode, savings

    @contextmanager
    def form(self, payload: str, instance: Instance, accepted: tuple[str, ...]) -> Iterator[Path]:
        """Give the file of an object in the best accepted form. Raises BlobCorrupt, BlobMissing; they are shown, too."""
        try:
            self._spool.blobs.verify(instance.blob)
        except (BlobCorrupt, BlobMissing) as error:
            self._spool.instances.flag(payload, error)
            raise
        with ExitStack() as kept:
            yield self._best(instance, accepted, kept)

    def _best(self, instance: Instance, accepted: tuple[str, ...], kept: ExitStack) -> Path:
        """Return the stored blob or a transcoded copy; a form that cannot be made gives way to the next."""
        stored, problem = self._spool.blobs.path(instance.blob), GatewayError()
        is_spare = instance.transfer_syntax_uid in accepted
        for syntax in forms.in_order(instance.transfer_syntax_uid, accepted):
            if syntax == instance.transfer_syntax_uid:
                return stored
            if is_spare and not self._is_worth_trying(instance, syntax):
                continue
            try:
                copy = self._copy(instance, stored, syntax, kept)
            except GatewayError as error:
                self._savings.tried(instance, syntax, has_saved=False)
                problem = error
                continue
            has_saved = copy.size_bytes < instance.size_bytes
            self._savings.tried(instance, syntax, has_saved=has_saved)
            return copy.path if has_saved or not is_spare else stored
        raise problem

    def _is_worth_trying(self, instance: Instance, syntax: str) -> bool:
        is_too_slow = syntax in forms.SLOW and instance.size_bytes > forms.SLOW_BYTES
        return not is_too_slow and self._savings.is_worth_trying(instance, syntax)

    def _copy(self, instance: Instance, stored: Path, syntax: str, kept: ExitStack) -> Part:
        part = kept.enter_context(self._spool.blobs.part(instance.size_bytes))
        self._transcode(stored, part, syntax)
        return part


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
    savings: Savings | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, StoreOutcome]]:
    """Send a batch over as few associations as it needs, smallest object first; yield (delivery_id, outcome) as each ends.

    `savings` is what earlier batches learned. Every Delivery comes out exactly once, unless gateway.wire.net.Stopped is raised: what is left is then untried.
    """
    found: list[tuple[Delivery, Instance]] = []
    for delivery in batch:
        try:
            found.append((delivery, spool.instances.get(delivery.payload)))
        except NoSuchRow as error:
            yield delivery.delivery_id, status.failure(error)
    found.sort(key=lambda pair: pair[1].size_bytes)
    offers = [_offer(instance) for _, instance in found]
    shelf = Shelf(spool, transcode, savings or Savings())

    def load(index: int, accepted: tuple[str, ...]) -> AbstractContextManager[Path]:
        delivery, instance = found[index]
        return shelf.form(delivery.payload, instance, accepted)

    for index, outcome in scu.store(peer, offers, load, is_stopped=is_stopped):
        yield found[index][0].delivery_id, outcome


def _offer(instance: Instance) -> scu.Offer:
    is_image = names.is_image(instance.sop_class_uid)
    return scu.Offer(instance.sop_class_uid, forms.offered(instance.transfer_syntax_uid, is_image=is_image))


def _kind(instance: Instance, syntax: str) -> tuple[str, str, str, int]:
    return instance.sop_class_uid, instance.transfer_syntax_uid, syntax, instance.size_bytes.bit_length()
