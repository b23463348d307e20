"""What a socket delivers, in whatever pieces, to PDUs and the fragments of messages, without copying the fragments.

Sans I/O: fill `space()`, say how much came with `took()`, then read `events()`. A fragment is handed on as far as it has
come, so that a PDU of any length needs no memory, and a PDV may come in several pieces. A length that cannot be is a
Breach with the source and reason of the A-ABORT that answers it; nothing else is raised, whatever comes. PS3.8 9.3, annex E.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.wire.dimse.pdu import HEADER, PDV_HEADER, PDUType

BUFFER_BYTES = 512 * 1024
"""One receive fills at most this much."""
MAX_ASSOCIATE_BYTES = 1 << 20
"""128 presentation contexts with every transfer syntax there is are a third of it."""
_SHORT_PDU_BYTES = 4
"""A-RELEASE-RQ, A-RELEASE-RP and A-ABORT have no other length (PS3.8 tables 9-24 to 9-26)."""

SERVICE_USER, SERVICE_PROVIDER = 0, 2
"""Source of an A-ABORT (PS3.8 9.3.8)."""
NOT_SPECIFIED, UNRECOGNIZED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 0, 1, 2, 6
"""Reason of an A-ABORT by the service provider (PS3.8 table 9-26)."""


class Breach(Exception):
    """The peer broke the protocol: what it did, and the A-ABORT that answers it. Never leaves wire/dimse."""

    def __init__(self, problem: str, reason: int, source: int = SERVICE_PROVIDER) -> None:
        """`problem` is a sentence without PHI."""
        super().__init__(problem)
        self.problem = problem
        self.reason = reason
        self.source = source


class Whole(NamedTuple):
    """A PDU other than P-DATA-TF."""

    type: PDUType
    body: bytes
    """What follows the six-byte header."""


class Piece(NamedTuple):
    """Part of one PDV; `data` holds until the next `space()`."""

    context_id: int
    is_command: bool
    is_last: bool
    """The PDV's message control header says that the message part (command or data set) ends with this PDV."""
    data: memoryview
    is_end: bool
    """The PDV is complete with this piece."""


class PDUStream:
    """One direction of one connection."""

    def __init__(self, buffer_bytes: int = BUFFER_BYTES) -> None:
        """`buffer_bytes`: at least a header's worth; the size of the largest single receive."""
        self._view = memoryview(bytearray(buffer_bytes))
        self._start = 0
        self._end = 0
        self._type: PDUType | None = None
        self._pdu_left = 0
        self._pdv_left = 0
        self._pdv = (0, False, False)
        self._body = bytearray()

    @property
    def is_between(self) -> bool:
        """No PDU has begun that is not complete."""
        return self._type is None and self._start == self._end

    def space(self) -> memoryview:
        """Return where the next bytes go. Pieces handed out before are overwritten."""
        rest = self._end - self._start
        self._view[:rest] = self._view[self._start : self._end]
        self._start, self._end = 0, rest
        return self._view[rest:]

    def took(self, count: int) -> None:
        """Say that `count` bytes were put into the last `space()`."""
        self._end += count

    def events(self) -> Iterator[Whole | Piece]:
        """Read on as far as bytes have come. Raises Breach, after which the stream is of no more use."""
        while True:
            if self._type is None:
                if not self._begin_pdu():
                    return
            elif self._type is not PDUType.P_DATA:
                if not self._gather():
                    return
                kind, self._type = self._type, None
                yield Whole(kind, bytes(self._body))
            elif self._pdv_left:
                if self._start == self._end:
                    return
                yield self._piece()
            elif not self._pdu_left:
                self._type = None
            elif not self._begin_pdv():
                return
            elif not self._pdv_left:
                yield Piece(*self._pdv, self._view[:0], True)

    def _begin_pdu(self) -> bool:
        if self._end - self._start < HEADER.size:
            return False
        kind, length = HEADER.unpack_from(self._view, self._start)
        try:
            self._type = PDUType(kind)
        except ValueError:
            raise Breach(f"a PDU of the unknown type {kind:02X}", UNRECOGNIZED_PDU) from None
        self._start += HEADER.size
        self._pdu_left = length
        self._body.clear()
        _check_length(self._type, length)
        return True

    def _gather(self) -> bool:
        """Collect the body of a PDU that is not P-DATA-TF; True when it is complete."""
        size = min(self._end - self._start, self._pdu_left)
        self._body += self._view[self._start : self._start + size]
        self._start += size
        self._pdu_left -= size
        return not self._pdu_left

    def _begin_pdv(self) -> bool:
        if self._pdu_left < PDV_HEADER.size:
            raise Breach(f"a P-DATA-TF with {self._pdu_left} bytes after its last fragment", INVALID_PARAMETER)
        if self._end - self._start < PDV_HEADER.size:
            return False
        length, context_id, control = PDV_HEADER.unpack_from(self._view, self._start)
        if not 2 <= length <= self._pdu_left - 4:
            raise Breach(f"a fragment of {length} bytes in the last {self._pdu_left} of a PDU", INVALID_PARAMETER)
        self._start += PDV_HEADER.size
        self._pdu_left -= PDV_HEADER.size
        self._pdv_left = length - 2
        self._pdv = (context_id, bool(control & 1), bool(control & 2))
        return True

    def _piece(self) -> Piece:
        size = min(self._end - self._start, self._pdv_left)
        data = self._view[self._start : self._start + size]
        self._start += size
        self._pdu_left -= size
        self._pdv_left -= size
        return Piece(*self._pdv, data, not self._pdv_left)


def _check_length(kind: PDUType, length: int) -> None:
    if kind is PDUType.P_DATA:
        if length < PDV_HEADER.size:
            raise Breach(f"a P-DATA-TF of {length} bytes, which holds no fragment", INVALID_PARAMETER)
    elif kind in {PDUType.ASSOCIATE_RQ, PDUType.ASSOCIATE_AC}:
        if length > MAX_ASSOCIATE_BYTES:
            raise Breach(f"an association request of {length} bytes", INVALID_PARAMETER)
    elif length != _SHORT_PDU_BYTES:
        raise Breach(f"a PDU {kind.name} of {length} bytes", INVALID_PARAMETER)
