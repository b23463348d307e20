"""The unit `forward`: what is queued leaves, each Destination by its own courier, so that a dead peer delays nobody else.

A courier claims a batch, sends it smallest object first, and settles each verdict as it comes: what a peer has accepted
is a row before the next object starts. Killed in between, an object is sent again, and the peer says that it has it. A
batch holds what lately took TURN_S, and the turns alternate between the oldest and the newest: after an outage of weeks
today's exams do not wait for the backlog, nor the backlog for them. New work waits for two turns at most, or for the one
object on the wire that takes longer (a C-STORE cannot be interrupted). Retry is the spool's; here is only the probe: a peer
out of reach is asked for a sign of life (C-ECHO), and when it gives one, its backoffs end. Law 7: what went through is
what counts, an answered probe is only hope.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from gateway import config
from gateway.clock import Clock
from gateway.config import Site
from gateway.errors import GatewayError, PeerError, PeerRefused, PeerSilent, PeerUnreachable
from gateway.forward import dicom
from gateway.forward.probes import Probes
from gateway.model import Delivery, StoreOutcome
from gateway.service import notify
from gateway.service.bell import Bell
from gateway.service.unit import run_unit
from gateway.spool.blobs import Part
from gateway.spool.spool import Spool
from gateway.spool.states import Event
from gateway.wire.dimse import scu
from gateway.wire.dimse.peer import Peer
from gateway.wire.net import Stopped

FIRST_BATCH, LARGEST_BATCH = 8, 64
"""Deliveries of one claim; they go over one association."""
TURN_S = 20.0
"""What a batch should take at most, by the one before."""
LOOK_EVERY_S = 1.0
"""Whoever queues something rings; should that be lost, the spool is looked at so often."""
_REST_S = 60.0
TROUBLE_S = 10.0
_PARTING_S = 5.0
_LOG = logging.getLogger("forward")
_OUT_OF_REACH = {PeerError.code, PeerUnreachable.code, PeerRefused.code, PeerSilent.code}


def main(site_path: Path | None = None) -> int:
    """Run the unit; return the exit status."""
    return run_unit("forward", config.load(site_path), serve)


def serve(site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Deliver until `stop` is set."""
    spool.deliveries.recover()
    couriers = [
        Courier(dicom.peer_of(name, destination, site.station.ae_title), spool, clock, transcode, stop)
        for name, destination in site.destination.items()
    ]
    for courier in couriers:
        courier.start()
    notify.ready()
    watchdog, version = notify.Watchdog(), spool.data_version()
    while not stop.is_set():
        watchdog.alive()
        lost = [courier.peer.name for courier in couriers if courier.is_out_of_reach]
        notify.status(f"{len(couriers)} destinations, out of reach: {', '.join(lost) or 'none'}")
        is_rung = bell.wait(LOOK_EVERY_S)
        if is_rung or spool.data_version() != version:
            version = spool.data_version()
            _wake(couriers)
    _wake(couriers)
    for courier in couriers:
        courier.join(_PARTING_S)


def transcode(source: Path, part: Part, transfer_syntax_uid: str) -> None:
    """Write an object anew in another transfer syntax, pixels unchanged. The codecs are loaded when first needed."""
    from gateway.objects import transcode as objects_transcode
    from gateway.pixels import codecs

    # A lossy object comes here only to be decompressed, for a peer that does not take it as it is (forms.offered).
    objects_transcode.write(source, part, transfer_syntax_uid, codecs.decode, codecs.encode_as, is_loss_known=True)


def next_batch(count: int, took_s: float) -> int:
    """Return how many to claim next, when `count` took so long: as many as fit into a turn, growing step by step."""
    fitting = int(count * TURN_S / took_s) if took_s > 0 else LARGEST_BATCH
    return max(1, min(fitting, 2 * max(count, FIRST_BATCH), LARGEST_BATCH))


class Courier(threading.Thread):
    """Everything that goes to one Destination, one object after the other."""

    def __init__(
        self,
        peer: Peer,
        spool: Spool,
        clock: Clock,
        transcode: dicom.Transcode,
        stop: threading.Event,
    ) -> None:
        """Start it with `start()`; it ends soon after `stop` is set and `wake()` is called."""
        super().__init__(name=f"courier {peer.name}", daemon=True)
        self.peer = peer
        self.is_out_of_reach = False
        self._spool = spool
        self._clock = clock
        self._transcode = transcode
        self._stop_event = stop
        self._woken = threading.Event()
        self._claimed: set[int] = set()
        """Ours, and not settled yet."""
        self._batch = FIRST_BATCH
        self._is_newest_turn = True
        self._savings = dicom.Savings()
        self._probes = Probes()
        self._probe_at_s = 0.0

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def run(self) -> None:
        """Deliver until told to stop; whatever goes wrong, try again after a while."""
        self.is_out_of_reach = self._is_behind()
        while not self._stop_event.is_set():
            try:
                self._turn()
            except GatewayError as error:
                _LOG.error("%s %s", error, error.hint, extra={"CODE": error.code, "DESTINATION": self.peer.name})
                self._stop_event.wait(TROUBLE_S)
            except Exception:  # noqa: BLE001  the top of the loop: one bug must not end all delivery to this peer
                _LOG.exception("the courier stumbled", extra={"DESTINATION": self.peer.name})
                self._stop_event.wait(TROUBLE_S)
        self._hand_back()

    def _turn(self) -> None:
        """Do one thing: send what is due, ask for a sign of life, or wait."""
        self._woken.clear()
        self._hand_back()
        due_s = self._spool.deliveries.next_due_s(self.peer.name)
        if due_s is None:
            self._rest(_REST_S)
        elif due_s <= 0:
            self._is_newest_turn = not self._is_newest_turn
            claimed = self._spool.deliveries.claim(self.peer.name, self._batch, is_newest_first=self._is_newest_turn)
            self._send(claimed)
        elif self.is_out_of_reach and self._now_s() >= self._probe_at_s:
            self._probe()
        else:
            probe_s = self._probe_at_s - self._now_s() if self.is_out_of_reach else _REST_S
            self._rest(min(due_s, probe_s, _REST_S))

    def _send(self, batch: Sequence[Delivery]) -> None:
        self._claimed.update(delivery.delivery_id for delivery in batch)
        begun = self._now_s()
        verdicts = dicom.send(
            self.peer, batch, self._spool, self._transcode, savings=self._savings, is_stopped=self._stop_event.is_set
        )
        try:
            for delivery_id, outcome in verdicts:
                self._spool.deliveries.settle([(delivery_id, outcome)])
                self._claimed.discard(delivery_id)
                self._learn(outcome)
        except Stopped:
            return
        self._batch = next_batch(len(batch), self._now_s() - begun)

    def _hand_back(self) -> None:
        """Return what was claimed and not settled to the queue: untried, or sent and to be sent again."""
        while self._claimed:
            delivery_id = next(iter(self._claimed))
            self._spool.deliveries.apply(delivery_id, Event.LEASE_LOST)
            self._claimed.discard(delivery_id)

    def _probe(self) -> None:
        try:
            scu.echo(self.peer)
        except PeerError as error:
            self._probes.missed(error)
        else:
            self._probes.hoped()
            self._spool.deliveries.probe_now(self.peer.name)
        self._probe_at_s = self._now_s() + self._probes.wait_s()

    def _learn(self, outcome: StoreOutcome) -> None:
        """Know from traffic whether the peer is there; a change is history."""
        if outcome.status or outcome.verdict == "accepted":
            self._probes.delivered()
            self._set_out_of_reach(is_out_of_reach=False, text="")
        elif outcome.error_code in _OUT_OF_REACH:
            self._set_out_of_reach(is_out_of_reach=True, text=outcome.text)

    def _set_out_of_reach(self, *, is_out_of_reach: bool, text: str) -> None:
        if is_out_of_reach == self.is_out_of_reach:
            return
        self.is_out_of_reach = is_out_of_reach
        self._probe_at_s = self._now_s() + self._probes.wait_s()
        event = "out of reach" if is_out_of_reach else "answers again"
        self._spool.history.add(f"destination {self.peer.name}", event, text=text)
        _LOG.info("%s %s", self.peer.name, event, extra={"DESTINATION": self.peer.name})

    def _is_behind(self) -> bool:
        """Say whether something waits out a backoff from before this start: then the peer is asked at once."""
        due_s = self._spool.deliveries.next_due_s(self.peer.name)
        return due_s is not None and due_s > 0

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _rest(self, longest_s: float) -> None:
        """Wait for work, or for `longest_s`."""
        if not self._stop_event.is_set():
            self._woken.wait(max(longest_s, 0.0))


def _wake(couriers: Sequence[Courier]) -> None:
    for courier in couriers:
        courier.wake()
