"""Objects to a peer and its answers to verdicts (C-STORE), a sign of life (C-ECHO), and the worklist (C-FIND).

A sender tries once and reports: no retry, no sleep. One association carries a whole batch; an object that breaks it is
reported, and the others go on in a new one. PS3.4 annex A, B and K, PS3.7 9.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from io import BytesIO
from pathlib import Path

from msgspec import Struct

from gateway.errors import GatewayError, NoPresentationContext, ObjectError, PeerError, SpoolError
from gateway.model import ScheduledStep, StoreOutcome
from gateway.wire.dimse import association, names, proposal, status, worklist
from gateway.wire.dimse.association import Association
from gateway.wire.dimse.part10 import Head, read_head
from gateway.wire.dimse.pdu import Command, Field
from gateway.wire.dimse.peer import Peer

VERIFICATION = "1.2.840.10008.1.1"
UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
"""Explicit VR Little Endian, Implicit VR Little Endian, Explicit VR Big Endian."""


class Offer(Struct, frozen=True):
    """One object to send: its SOP class, and every transfer syntax in which it can be sent."""

    sop_class_uid: str
    transfer_syntaxes: tuple[str, ...]


Load = Callable[[int, tuple[str, ...]], AbstractContextManager[Path]]
"""Give the object with that index as a DICOM file in one of these transfer syntaxes, for the time of sending it; raises
a GatewayError when it cannot, which becomes the object's verdict."""


def echo(peer: Peer) -> None:
    """Ask the peer for a sign of life. Raises PeerError: unreachable, refused, silent, or an answer that is not success."""
    with association.request(peer, [(VERIFICATION, UNCOMPRESSED[1])]) as assoc:
        context_id = assoc.accepted(VERIFICATION).get(UNCOMPRESSED[1])
        if context_id is None:
            raise NoPresentationContext(peer=peer.name, problem="it does not accept Verification (C-ECHO)")
        command = Command(field=Field.C_ECHO_RQ, sop_class_uid=VERIFICATION, message_id=assoc.next_message_id())
        answer = assoc.ask(context_id, command)
        if answer.status:
            raise PeerError(peer=peer.name, problem=f"it answers C-ECHO with status {answer.status:04X}")


def store(
    peer: Peer, offers: Sequence[Offer], load: Load, *, is_stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, StoreOutcome]]:
    """Send the objects and yield (index, outcome) as each ends; every index once, unless net.Stopped is raised.

    A peer that cannot be had at all ends the batch: what was not tried comes out `later`, with the same reason. So does
    the second association in a row that breaks before any answer: then it is not the object.
    """
    waiting = list(range(len(offers)))
    breaks, outcome = 0, StoreOutcome(verdict="later")
    while waiting:
        indexes, proposals = _one_association(offers, waiting)
        try:
            assoc = association.request(peer, proposals, is_stopped=is_stopped)
        except PeerError as error:
            yield from ((index, status.failure(error)) for index in waiting)
            return
        with assoc:
            for index in indexes:
                outcome = _store(assoc, peer, offers[index], partial(load, index))
                breaks = 0 if assoc.is_usable else breaks + 1
                waiting.remove(index)
                yield index, outcome
                if not assoc.is_usable:
                    break
        if breaks >= _BREAKS_ALLOWED:
            yield from ((index, outcome) for index in waiting)
            return


def find_worklist(peer: Peer, keys: worklist.Keys, *, limit: int = 500) -> worklist.Found:
    """Ask a RIS what is ordered (Modality Worklist, PS3.4 K); beyond `limit` items it is told to stop (C-CANCEL).

    Raises PeerError: unreachable, refused, silent, or a status that is a failure.
    """
    proposals = [(worklist.MODALITY_WORKLIST_FIND, uid) for uid in UNCOMPRESSED[:2]]
    with association.request(peer, proposals) as assoc:
        accepted = assoc.accepted(worklist.MODALITY_WORKLIST_FIND)
        if not accepted:
            raise NoPresentationContext(peer=peer.name, problem="it does not offer a Modality Worklist")
        syntax, context_id = next(iter(accepted.items()))
        return _find(assoc, peer, context_id, keys, is_implicit=syntax == UNCOMPRESSED[1], limit=limit)


_BREAKS_ALLOWED = 2
_PENDING = {0xFF00, 0xFF01}
_CANCELLED = 0xFE00


def _find(
    assoc: Association, peer: Peer, context_id: int, keys: worklist.Keys, *, is_implicit: bool, limit: int
) -> worklist.Found:
    command = Command(
        field=Field.C_FIND_RQ,
        sop_class_uid=worklist.MODALITY_WORKLIST_FIND,
        message_id=assoc.next_message_id(),
        priority=0,
        has_data_set=True,
    )
    assoc.send(context_id, command, BytesIO(worklist.identifier(keys, is_implicit=is_implicit)))
    steps: list[ScheduledStep] = []
    skipped, is_cut = 0, False
    while True:
        answer, data = assoc.receive(command)
        if answer.status not in _PENDING:
            break
        if is_cut:
            continue
        try:
            steps.append(worklist.read(data, is_implicit=is_implicit, character_set=keys.character_set))
        except ValueError:
            skipped += 1
        if len(steps) + skipped >= limit:
            is_cut = True
            assoc.send(context_id, Command(field=Field.C_CANCEL_RQ, responding_to=command.message_id))
    assoc.is_usable = True
    if answer.status and not (is_cut and answer.status == _CANCELLED):
        comment = f" ({answer.error_comment})" if answer.error_comment else ""
        raise PeerError(peer=peer.name, problem=f"it answers the query with status {answer.status:04X}{comment}")
    return worklist.Found(steps=tuple(steps), skipped=skipped, is_cut=is_cut)


def _one_association(offers: Sequence[Offer], waiting: Sequence[int]) -> tuple[list[int], list[tuple[str, str]]]:
    """Choose, in order, the objects whose presentation contexts fit into one association; and those contexts."""
    indexes: list[int] = []
    proposals: dict[tuple[str, str], None] = {}
    for index in waiting:
        more = [(offers[index].sop_class_uid, syntax) for syntax in offers[index].transfer_syntaxes]
        if len(proposals.keys() | set(more)) <= proposal.MAX_CONTEXTS:
            proposals |= dict.fromkeys(more)
            indexes.append(index)
    return indexes, list(proposals)


def _store(
    assoc: Association, peer: Peer, offer: Offer, load: Callable[..., AbstractContextManager[Path]]
) -> StoreOutcome:
    """Send one object in the form that `load` prefers; a compressed one that is refused, once more uncompressed."""
    accepted = tuple(syntax for syntax in offer.transfer_syntaxes if syntax in assoc.accepted(offer.sop_class_uid))
    if not accepted:
        return status.failure(NoPresentationContext(peer=peer.name, problem=_why_none(assoc, offer)))
    syntax, outcome = _send(assoc, peer, accepted, load)
    plain = tuple(uid for uid in accepted if uid in UNCOMPRESSED)
    if not (outcome.status and outcome.verdict == "never" and plain and syntax not in UNCOMPRESSED):
        return outcome
    _, again = _send(assoc, peer, plain, load)
    is_answered = again.status or again.verdict == "accepted" or not assoc.is_usable
    return again if is_answered else outcome


def _send(
    assoc: Association, peer: Peer, accepted: tuple[str, ...], load: Callable[..., AbstractContextManager[Path]]
) -> tuple[str, StoreOutcome]:
    """Send one object once: the transfer syntax it went in, and what came of it."""
    syntax = ""
    try:
        with load(accepted) as path, path.open("rb") as file:
            head = read_head(file)
            syntax = head.transfer_syntax_uid
            context_id = assoc.accepted(head.sop_class_uid).get(syntax)
            if context_id is None:
                raise ObjectError(problem="the file is not what was announced")
            file.seek(head.data_set_at)
            answer = assoc.ask(context_id, _request(head, assoc.next_message_id()), file)
            return syntax, status.outcome(peer.name, answer.status or 0, answer.error_comment)
    except GatewayError as error:
        return syntax, status.failure(error)
    except OSError as error:
        return syntax, status.failure(SpoolError(problem=f"an object cannot be read ({error.strerror or error})"))


def _request(head: Head, message_id: int) -> Command:
    """PS3.7 9.3.1.1."""
    return Command(
        field=Field.C_STORE_RQ,
        sop_class_uid=head.sop_class_uid,
        sop_instance_uid=head.sop_instance_uid,
        message_id=message_id,
        priority=0,
        has_data_set=True,
    )


def _why_none(assoc: Association, offer: Offer) -> str:
    """Say in the standard's names what was proposed in vain."""
    what = names.name(offer.sop_class_uid)
    results = {context.result for context in assoc.contexts if context.sop_class_uid == offer.sop_class_uid}
    if results == {proposal.CLASS_NOT_SUPPORTED}:
        return f"it does not support {what}"
    return f"{what} as {', '.join(names.name(uid) for uid in offer.transfer_syntaxes)}"
