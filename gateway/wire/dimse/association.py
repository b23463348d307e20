"""An open association, over which DIMSE messages go out and come in, one at a time.

The messages go through our own blocking pump, because a device that never polls answers at once, knows which byte
failed, and tells a hung peer from a slow link. Every failure is a PeerError in words. PS3.8 7 and 9.3 (PDUs), PS3.7 6.3
(messages).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from types import TracebackType
from typing import BinaryIO, Self

from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RP, A_RELEASE_RQ

from gateway.errors import PeerError
from gateway.wire import net
from gateway.wire.dimse import pdu, proposal
from gateway.wire.dimse.peer import Peer
from gateway.wire.dimse.proposal import Context


class Association:
    """An association that we requested. Leaving its `with` releases it, or aborts it when something failed."""

    def __init__(self, line: net.Connection, peer: Peer, contexts: Sequence[Context], peer_max_bytes: int) -> None:
        """Use `request()`; `peer_max_bytes` is the longest P-DATA-TF the peer takes, 0 any."""
        self._line, self._peer, self.contexts = line, peer, tuple(contexts)
        self._fragment_bytes = _fragment_bytes(peer_max_bytes)
        self._message_id = 0
        self.is_usable = True
        """False from the first byte of a message to its answer: what breaks in between breaks the association."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._line:
            if self.is_usable and kind in {None, GeneratorExit}:
                self._release()
            else:
                self._abort()

    def accepted(self, sop_class_uid: str) -> dict[str, int]:
        """Return the transfer syntaxes accepted for a SOP class, each with its presentation context id."""
        return {
            context.transfer_syntax_uid: context.context_id
            for context in self.contexts
            if context.sop_class_uid == sop_class_uid and context.result == 0
        }

    def next_message_id(self) -> int:
        """Count messages, 1 to 65535 and round."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def ask(self, context_id: int, command: pdu.Command, data_set: BinaryIO | None = None) -> pdu.Command:
        """Send one message (its data set from the file's position to its end, as it is) and return the answer's command.

        What took long to send may still be on its way when the last byte has left us, where a satellite's accelerator
        acknowledges for the peer: the answer is waited for as long as the sending took, within reason.
        Raises PeerError when the association did not survive it; OSError when the file could not be read.
        """
        begun = time.monotonic()
        self.send(context_id, command, data_set)
        self._line.timeout_s = max(self._peer.timeout_s, min(time.monotonic() - begun, _LONGEST_PATIENCE_S))
        answer, _ = self.receive(command)
        self._line.timeout_s = self._peer.timeout_s
        self.is_usable = True
        return answer

    def send(self, context_id: int, command: pdu.Command, data_set: BinaryIO | None = None) -> None:
        """Send one message; the memory it takes does not depend on its size."""
        self.is_usable = False
        words = pdu.encode(command)
        for chunk in _fragments(context_id, BytesIO(words), len(words), self._fragment_bytes, is_command=True):
            self._line.send(chunk)
        if data_set is not None:
            start = data_set.tell()
            rest = data_set.seek(0, os.SEEK_END) - start
            data_set.seek(start)
            for chunk in _fragments(context_id, data_set, rest, self._fragment_bytes, is_command=False):
                self._line.send(chunk)

    def receive(self, asked: pdu.Command) -> tuple[pdu.Command, bytes]:
        """Wait for an answer to `asked`: its command and, where it has one, its data set. Raises PeerError."""
        command: pdu.Command | None = None
        parts: list[bytes] = []
        for pdv in self._pdvs():
            parts.append(bytes(pdv.data))
            if sum(map(len, parts)) > _MAX_MESSAGE_BYTES:
                raise self._unreadable("a message without an end")
            if not pdv.is_last:
                continue
            if pdv.is_command:
                command, parts = self._command(b"".join(parts), asked), []
            if command and not (pdv.is_command and command.has_data_set):
                break
        if command is None:
            raise self._unreadable("no command")
        return command, b"".join(parts)

    def _pdvs(self) -> Iterator[pdu.PDV]:
        """Yield fragment after fragment, for as long as the caller needs more."""
        while True:
            kind, payload = _receive(self._line, self._peer)
            if kind == pdu.PDUType.ABORT:
                raise PeerError(
                    peer=self._peer.name, problem=f"it aborted the association ({proposal.abort_words(payload)})"
                )
            if kind == pdu.PDUType.RELEASE_RQ:
                self._line.send(A_RELEASE_RP().encode())
                raise PeerError(peer=self._peer.name, problem="it ended the association")
            if kind != pdu.PDUType.P_DATA:
                raise self._unreadable(f"a PDU of type {kind}")
            try:
                yield from pdu.pdvs(payload)
            except ValueError as error:
                raise self._unreadable(str(error)) from error

    def _command(self, data: bytes, asked: pdu.Command) -> pdu.Command:
        try:
            command = pdu.decode(data)
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        if command.field != asked.field | 0x8000 or command.responding_to != asked.message_id:
            raise self._unreadable("an answer to something else")
        if command.status is None:
            raise self._unreadable("an answer without a status")
        return command

    def _unreadable(self, what: str) -> PeerError:
        return PeerError(peer=self._peer.name, problem=f"its answer cannot be read: {what}")

    def _release(self) -> None:
        """Part politely; everything is settled, so a peer that does not answer is left alone soon."""
        self._line.timeout_s = min(self._line.timeout_s, _RELEASE_S)
        try:
            self._line.send(A_RELEASE_RQ().encode())
            _receive(self._line, self._peer)
        except (PeerError, net.Stopped):
            return

    def _abort(self) -> None:
        """End what failed: by a reset where bytes of it still wait here, which would else arrive after we gave it up."""
        if self._line.discard():
            return
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0, 0
        self._line.timeout_s = 0.0
        try:
            self._line.send(abort.encode())
        except (PeerError, net.Stopped):
            return


def request(
    peer: Peer, proposals: Sequence[tuple[str, str]], *, is_stopped: Callable[[], bool] = lambda: False
) -> Association:
    """Open an association that proposes one presentation context for each (SOP class, transfer syntax).

    Raises PeerUnreachable, PeerRefused (A-ASSOCIATE-RJ permanent), PeerSilent, PeerError, or net.Stopped.
    """
    try:
        words = proposal.write(peer, proposals)
    except ValueError as error:  # an AE title that is none
        raise PeerError(peer=peer.name, problem=f"it cannot be called: {error}") from error
    line = net.connect(peer.name, peer.host, peer.port, peer.timeout_s, is_stopped=is_stopped)
    try:
        line.send(words)
        kind, payload = _receive(line, peer)
        if kind == pdu.PDUType.ASSOCIATE_AC:
            return Association(line, peer, *proposal.answer(peer, payload, proposals))
        if kind == pdu.PDUType.ASSOCIATE_RJ:
            raise proposal.rejection(peer, payload)
        if kind == pdu.PDUType.ABORT:
            raise PeerError(peer=peer.name, problem=f"it aborted the association ({proposal.abort_words(payload)})")
        raise PeerError(peer=peer.name, problem="what answers there does not speak DICOM")
    except BaseException:
        line.close()
        raise


_MAX_PDU_BYTES = 1 << 20
_MAX_MESSAGE_BYTES = 1 << 24
_MAX_FRAGMENT_BYTES = 1 << 18
_CHUNK_BYTES = 1 << 20
_RELEASE_S = 2.0
_LONGEST_PATIENCE_S = 600.0


def _fragment_bytes(peer_max_bytes: int) -> int:
    """Longest fragment, even (PS3.8 E.1), that fits into one P-DATA-TF of the peer."""
    longest = min(peer_max_bytes or _MAX_FRAGMENT_BYTES, _MAX_FRAGMENT_BYTES) - pdu.PDV_HEADER.size
    return max(longest - longest % 2, 2)


def _fragments(context_id: int, file: BinaryIO, rest: int, step: int, *, is_command: bool) -> Iterator[memoryview]:
    """Yield `rest` bytes of a file as P-DATA-TF PDUs, many to a chunk, always in the same memory."""
    stride = pdu.DATA_HEADER_BYTES + step
    slots = max(1, min(-(-rest // step), _CHUNK_BYTES // stride))
    chunk = memoryview(bytearray(slots * stride))
    while True:
        filled = 0
        for _ in range(slots):
            length = min(step, rest)
            rest -= length
            body = filled + pdu.DATA_HEADER_BYTES
            chunk[filled:body] = pdu.data_header(context_id, length, is_command=is_command, is_last=rest == 0)
            if file.readinto(chunk[body : body + length]) != length:  # type: ignore[attr-defined]
                raise OSError("the file is shorter than it was")
            filled = body + length
            if rest == 0:
                break
        yield chunk[:filled]
        if rest == 0:
            return


def _receive(line: net.Connection, peer: Peer) -> tuple[int, bytearray]:
    """Wait for one PDU: its type, and what follows its length."""
    kind, length = pdu.HEADER.unpack(line.receive(pdu.HEADER.size))
    if kind not in set(pdu.PDUType) or length > _MAX_PDU_BYTES:
        raise PeerError(peer=peer.name, problem="what answers there does not speak DICOM")
    return kind, line.receive(length)
