"""What we propose to a peer to an A-ASSOCIATE-RQ, and its answer back to what it accepts, or to why it does not.

One presentation context for each (SOP class, transfer syntax), so that the peer can accept several syntaxes for a class
and we choose among them. pynetdicom writes the request; the answer is read here, where items that nobody knows are passed
over (PS3.8 9.3.1) and whatever bytes come are an answer or a PeerError. PS3.8 9.3.2 to 9.3.4, PS3.7 annex D.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from msgspec import Struct
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from gateway import uids
from gateway.errors import PeerError, PeerRefused
from gateway.wire.dimse.peer import Peer

MAX_CONTEXTS = 128
"""Presentation context ids are the odd numbers up to 255 (PS3.8 9.3.2.2)."""
MAX_PDU_BYTES = 1 << 17
"""What we ask the peer not to exceed."""
ACCEPTED, USER_REJECTION, NO_REASON, CLASS_NOT_SUPPORTED, SYNTAX_NOT_SUPPORTED = range(5)
"""Result of a presentation context (PS3.8 table 9-18)."""


class Context(Struct, frozen=True):
    """One proposed presentation context, and the peer's answer to it."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    result: int


def write(peer: Peer, proposals: Sequence[tuple[str, str]]) -> bytes:
    """Write the A-ASSOCIATE-RQ that proposes at most MAX_CONTEXTS pairs of SOP class and transfer syntax."""
    contexts = []
    for number, (sop_class_uid, transfer_syntax_uid) in enumerate(proposals):
        context = build_context(sop_class_uid, [transfer_syntax_uid])
        context.context_id = _context_id(number)
        contexts.append(context)
    longest, implementation, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    longest.maximum_length_received = MAX_PDU_BYTES
    implementation.implementation_class_uid = uids.IMPLEMENTATION_CLASS_UID
    version.implementation_version_name = uids.IMPLEMENTATION_VERSION_NAME
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = peer.calling_ae, peer.called_ae
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = [longest, implementation, version]
    return bytes(A_ASSOCIATE_RQ(primitive).encode())


def answer(peer: Peer, body: bytes | bytearray, proposals: Sequence[tuple[str, str]]) -> tuple[list[Context], int]:
    """Read what follows the header of an A-ASSOCIATE-AC: each proposal's result, and the longest P-DATA-TF it takes.

    A proposal that the answer does not name is refused. 0 bytes means any length. Raises PeerError.
    """
    results, longest = {}, 0
    try:
        for kind, item in _items(bytes(body[_AC_ITEMS_AT:])):
            if kind == _PRESENTATION_CONTEXT:
                results[item[0]] = item[2]
            elif kind == _USER_INFORMATION:
                longest = next((int.from_bytes(value[:4], "big") for kind, value in _items(item) if kind == 0x51), 0)
    except (struct.error, IndexError) as error:
        raise PeerError(peer=peer.name, problem="its answer to our association request cannot be read") from error
    answered = [results.get(_context_id(number), NO_REASON) for number in range(len(proposals))]
    return [Context(_context_id(n), *pair, answered[n]) for n, pair in enumerate(proposals)], longest


def rejection(peer: Peer, body: bytes | bytearray) -> PeerError:
    """Turn an A-ASSOCIATE-RJ (PS3.8 9.3.4) into its error: a permanent one is a PeerRefused."""
    _, result, source, reason = bytes(body[:4]).ljust(4, b"\0")
    words = _REASONS.get((source, reason), f"source {source}, reason {reason}")
    if result == 1:
        return PeerRefused(peer=peer.name, problem=f"{words} (we call {peer.called_ae}, as {peer.calling_ae})")
    return PeerError(peer=peer.name, problem=f"it refuses for the moment: {words}")


def abort_words(body: bytes | bytearray) -> str:
    """Say who aborted and why (PS3.8 9.3.8)."""
    _, _, source, reason = bytes(body[:4]).ljust(4, b"\0")
    return f"reason {reason}" if source == 2 else "by its own decision"


_AC_ITEMS_AT = 68
_PRESENTATION_CONTEXT, _USER_INFORMATION = 0x21, 0x50
_ITEM = struct.Struct(">BxH")
_REASONS = {
    (1, 1): "it gives no reason",
    (1, 2): "it does not know the application context",
    (1, 3): "it does not know our AE title",
    (1, 7): "that is not its AE title",
    (2, 1): "it gives no reason",
    (2, 2): "it speaks another version of the protocol",
    (3, 1): "it is congested",
    (3, 2): "it has as many associations as it allows",
}
"""Source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""


def _context_id(number: int) -> int:
    return 2 * number + 1


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item (PS3.8 9.3.1); one that says it is longer than what came is cut."""
    while data:
        kind, length = _ITEM.unpack_from(data)
        yield kind, data[_ITEM.size : _ITEM.size + length]
        data = data[_ITEM.size + length :]
