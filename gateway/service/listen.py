"""The unit `listen`: objects that a modality sends become durable rows with a Delivery for each destination.

Law 1: the C-STORE is answered after the blob's name and the row are on the disk, in one transaction. Law 2: the same UID
with the same content is answered with success and makes no second row; with other content it is stored as the next variant,
held, and shown; never dropped, never overwritten. Law 3: a full disk refuses new work with A700 and leaves nothing behind.
What goes wrong on the wire is counted and written to the history, not more often than a person can read.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway import config, exam
from gateway.clock import Clock
from gateway.config import Listen, Site
from gateway.errors import (
    ConfigBadValue,
    DataSetMismatch,
    GatewayError,
    ObjectError,
    PixelError,
    ServiceError,
    SpoolError,
)
from gateway.model import Instance
from gateway.service import notify
from gateway.service.bell import Bell, ring
from gateway.service.unit import run_unit
from gateway.spool.instances import payload_of
from gateway.spool.spool import Spool
from gateway.wire.dimse import identity
from gateway.wire.dimse.identity import HEAD_BYTES, HeadTooShort, Identity
from gateway.wire.dimse.scp import IsAllowed, Listener
from gateway.wire.dimse.sink import Arrival, Receiver, Sink, file_head

RING_EVERY_S = 0.1
"""Whoever delivers is woken at most so often."""
NOTICE_EVERY_S = 60.0
"""One entry in the history for each kind of trouble and peer in this time; the rest is counted."""
_MAX_PEERS = 64
_LOG = logging.getLogger("listen")


def main(site_path: Path | None = None) -> int:
    """Run the unit; return the exit status."""
    return run_unit("listen", config.load(site_path), serve)


def serve(site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Listen until `stop` is set."""
    if not site.listen.is_enabled:
        _LOG.info("listening for modalities is switched off in the configuration")
        return
    reception = Reception(site, spool, clock)
    listener = listen(site, reception)
    notify.ready()
    watchdog = notify.Watchdog()
    try:
        while not stop.is_set():
            watchdog.alive()
            notify.status(
                f"port {listener.port}, {listener.associations} associations, {reception.stored} objects stored"
            )
            reception.ring()
            bell.wait(1.0)
    finally:
        listener.stop()
        reception.ring()


def listen(site: Site, receiver: Receiver) -> Listener:
    """Open the port of a site. Raises ServiceError when it cannot be had, ConfigBadValue for a bad allow-list."""
    listener = Listener(
        (site.listen.host, site.listen.port),
        site.station.ae_title,
        allow_list(site.listen),
        receiver,
        max_associations=site.listen.max_associations,
        idle_s=site.listen.idle_s,
    )
    try:
        listener.start()
    except OSError as error:
        problem = f"port {site.listen.port} cannot be opened ({error.strerror})"
        raise ServiceError(service="listen", problem=problem) from error
    if not (site.listen.allow or site.listen.is_open_to_all):
        _LOG.warning("nobody may send: [listen.allow] is empty")
    return listener


def allow_list(settings: Listen) -> IsAllowed:
    """Return who may send: a calling AE title together with the address it calls from."""
    if settings.is_open_to_all:
        return lambda _ae_title, _address: True
    allowed = [(peer.ae_title.strip(), _network(name, peer.address)) for name, peer in settings.allow.items()]
    return lambda ae_title, address: any(ae_title == known and _plain(address) in network for known, network in allowed)


class Reception:
    """The receiver of the SCP: keeps what comes. Shared by the threads of all associations."""

    def __init__(self, site: Site, spool: Spool, clock: Clock) -> None:
        """`spool` and `clock` are the ones of the process."""
        self.site = site
        self.spool = spool
        self.clock = clock
        self.stored = 0
        """How many objects have become durable here."""
        self._is_unheard = False
        self._rang_at = 0.0
        self.turns = Turns()
        self._notices = Notices()

    def begin(self, arrival: Arrival) -> Sink:
        """Make room for an object. Raises DiskFull."""
        with _disk_trouble():
            return Incoming(self, arrival)

    def notice(self, error: GatewayError) -> None:
        """Write trouble on the wire to the log and to the history, rarely enough to be read."""
        text = self._notices.say(error)
        if not text:
            return
        _LOG.warning("%s", text, extra={"CODE": error.code})
        try:
            self.spool.history.add("listen", error.code, text=text)
        except SpoolError as trouble:
            _LOG.warning("%s", trouble, extra={"CODE": trouble.code})

    def has_stored(self) -> None:
        """An object is durable: whoever delivers may look. One ring stands for all that come within a moment."""
        self.stored += 1
        self._is_unheard = True
        if time.monotonic() - self._rang_at > RING_EVERY_S:
            self.ring()

    def ring(self) -> None:
        """Wake whoever delivers, if there is something it has not been told of."""
        if self._is_unheard:
            self._is_unheard = False
            self._rang_at = time.monotonic()
            ring(self.site.run, "forward")


class Incoming:
    """The sink of one object."""

    def __init__(self, reception: Reception, arrival: Arrival) -> None:
        """Open the part and write the head of its file. Raises DiskFull."""
        self._reception = reception
        self._spool = reception.spool
        self._arrival = arrival
        self._data_digest = hashlib.sha256()
        self._head = bytearray()
        self._size = 0
        self._part = self._spool.blobs.part()
        try:
            self._part.write(file_head(arrival))
        except BaseException:
            self.abort()
            raise

    def write(self, data: memoryview) -> None:
        """Hash and write the next bytes of the data set."""
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self._size += len(data)
        self._data_digest.update(data)
        with _disk_trouble():
            self._part.write(data)

    def commit(self) -> None:
        """Make the object durable with its row and its Deliveries; or raise, and nothing of it is left."""
        with _disk_trouble(), self._part, self._reception.turns.of(self._arrival.sop_instance_uid):
            self._admit(self._identity())
        self._reception.has_stored()

    def abort(self) -> None:
        """Remove the part."""
        with self._part:
            pass

    def _admit(self, who: Identity) -> None:
        known = self._spool.instances.same_uid(who.sop_instance_uid)
        if known and self._is_here_already(known):
            return
        blob, size_bytes = self._part.commit()
        data_digest = self._data_digest.hexdigest()
        variant = next((one.variant for one in known if one.data_digest == data_digest), len(known))
        self._own(self._instance(who, variant, blob, size_bytes, data_digest), is_new=variant == len(known))

    def _is_here_already(self, known: list[Instance]) -> bool:
        data_digest = self._data_digest.hexdigest()
        here = [one for one in known if self._spool.instances.is_here(payload_of(one))]
        return any(one.data_digest == data_digest for one in here) or any(self._is_same(one) for one in here)

    def _own(self, instance: Instance, *, is_new: bool) -> None:
        """Write the row and what is owed, in one transaction; what was purged long ago and comes again is owed again."""
        site = self._reception.site
        destinations = exam.destinations(site, instance.modality)
        commitment = [name for name in destinations if site.destination[name].is_commitment_required]
        with self._spool.transaction():
            self._spool.instances.admit(instance, destinations, commitment=commitment)
            if instance.variant and is_new:
                text = f"other content under the same UID, from {instance.received_from}: held until a person decides"
                self._spool.history.add(payload_of(instance), "held", text=text)

    def _instance(self, who: Identity, variant: int, blob: str, size_bytes: int, data_digest: str) -> Instance:
        return Instance(
            sop_instance_uid=who.sop_instance_uid,
            variant=variant,
            sop_class_uid=who.sop_class_uid,
            transfer_syntax_uid=self._arrival.transfer_syntax_uid,
            study_instance_uid=who.study_instance_uid,
            series_instance_uid=who.series_instance_uid,
            blob=blob,
            size_bytes=size_bytes,
            data_digest=data_digest,
            kind="received",
            modality=who.modality,
            frame_count=who.frame_count,
            received_from=self._arrival.calling_ae,
            is_held=variant > 0,
            stored_at=self._reception.clock.now(),
        )

    def _identity(self) -> Identity:
        """Read what the object says it is. Raises NotDicom, and DataSetMismatch when the command said otherwise."""
        try:
            syntax = self._arrival.transfer_syntax_uid
            who = identity.read(bytes(self._head), syntax, is_whole=self._size <= len(self._head))
        except HeadTooShort:
            who = self._peek()
        announced = (self._arrival.sop_class_uid, self._arrival.sop_instance_uid)
        if (who.sop_class_uid, who.sop_instance_uid) != announced:
            problem = "its SOP class or SOP instance is not the one of the C-STORE command"
            raise DataSetMismatch(peer=self._arrival.calling_ae, problem=problem)
        return who

    def _peek(self) -> Identity:
        """Ask the slow road: something long stands before what we want."""
        from gateway.objects import peek

        seen = peek.read(self._part.path)
        return Identity(
            sop_class_uid=seen.sop_class_uid,
            sop_instance_uid=seen.sop_instance_uid,
            study_instance_uid=seen.study_instance_uid,
            series_instance_uid=seen.series_instance_uid,
            modality=seen.modality,
            frame_count=seen.frames,
        )

    def _is_same(self, known: Instance) -> bool:
        """Compare decoded pixels with what was stored before under the same UID (law 2); what cannot be decoded differs."""
        from gateway.objects import verify
        from gateway.pixels import codecs

        try:
            return verify.same(self._spool.blobs.path(known.blob), self._part.path, codecs.decode)
        except (ObjectError, PixelError):
            return False


class Turns:
    """Who comes with the same UID at the same time waits for the one before."""

    def __init__(self) -> None:
        """Nobody is in."""
        self._busy: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, uid: str) -> Iterator[None]:
        """Be the only one with this UID."""
        with self._changed:
            self._changed.wait_for(lambda: uid not in self._busy)
            self._busy.add(uid)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(uid)
                self._changed.notify_all()


class Notices:
    """Troubles to sentences, one for each kind and peer in a minute; the others are counted into the next."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is in seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], float] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    def say(self, error: GatewayError) -> str:
        """Return the sentence to show, or nothing yet."""
        with self._lock:
            key = self._key(error)
            if self._now() - self._said.get(key, -NOTICE_EVERY_S) < NOTICE_EVERY_S:
                self._unsaid[key] = self._unsaid.get(key, 0) + 1
                return ""
            self._said[key] = self._now()
            more = self._unsaid.pop(key, 0)
        return f"{error} ({more} more like it since)" if more else str(error)

    def _key(self, error: GatewayError) -> tuple[str, str]:
        """One key for each peer, as long as there are not too many of them (a port scanner has many names)."""
        key = (error.code, error.facts.get("peer", ""))
        return key if key in self._said or len(self._said) < _MAX_PEERS else (error.code, "")


@contextmanager
def _disk_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(problem=error.strerror or type(error).__name__) from error


def _network(name: str, address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(address, strict=False)
    except ValueError as error:
        problem = "must be an IP address or a network such as 10.1.2.0/24"
        raise ConfigBadValue(file="[listen]", key=f"listen.allow.{name}.address", problem=problem) from error


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 caller on an IPv6 socket is an IPv4 caller."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


_receiver: type[Receiver] = Reception
_sink: type[Sink] = Incoming
