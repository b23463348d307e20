"""One established association, heard as its acceptor: PDUs and fragments in, the bytes to answer out.

Sans I/O. C-STORE goes to a sink of the receiver and is answered when that has committed; C-ECHO is answered at once. What a
receiver refuses is drained first, so that the association lives on (PS3.4 B.2.3, A700). A message that breaks the rules of
PS3.7 9.3 or PS3.8 annex E is a Breach, answered by A-ABORT; what had come of its object is gone by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.errors import DataSetMismatch, GatewayError, ObjectError
from gateway.wire.dimse import pdu
from gateway.wire.dimse.negotiation import VERIFICATION, Accepted
from gateway.wire.dimse.pdu import HEADER, Command, Field, PDUType
from gateway.wire.dimse.sink import Arrival, Receiver, Sink
from gateway.wire.dimse.stream import INVALID_PARAMETER, SERVICE_USER, UNEXPECTED_PDU, Breach, Piece, Whole

MAX_COMMAND_BYTES = 16 * 1024
"""A command set of a C-STORE-RQ has about 200."""

SUCCESS = 0x0000
INVALID_SOP_INSTANCE = 0x0117
SOP_CLASS_NOT_SUPPORTED = 0x0122
UNRECOGNIZED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
DATA_SET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""Statuses of PS3.7 annex C and PS3.4 B.2.3."""


class Acceptor:
    """One association. Give every event to `hear`; call `lost` when no more will come."""

    def __init__(
        self, contexts: Mapping[int, Accepted], receiver: Receiver, *, calling_ae: str, called_ae: str, address: str
    ) -> None:
        """`contexts` are the accepted presentation contexts by id."""
        self._contexts = contexts
        self._receiver = receiver
        self._who = (calling_ae, called_ae, address)
        self._command = bytearray()
        self._message: _Message | None = None
        self.is_over = False
        """Released or aborted by the peer."""
        self.messages = 0
        """How many messages have been answered."""

    @property
    def is_idle(self) -> bool:
        """No message is under way."""
        return self._message is None and not self._command

    def hear(self, event: Whole | Piece) -> bytes:
        """Take one event; return what must be sent now, often nothing. Raises Breach."""
        if isinstance(event, Piece):
            if event.context_id not in self._contexts:
                raise Breach(f"presentation context {event.context_id} was not accepted", INVALID_PARAMETER)
            return self._hear_command(event) if self._message is None else self._hear_data(self._message, event)
        return self._hear_control(event.type)

    def lost(self) -> None:
        """Forget the message under way: nothing of it is left."""
        message, self._message = self._message, None
        self._command.clear()
        if message is not None:
            message.abort()

    def _hear_control(self, kind: PDUType) -> bytes:
        if kind not in {PDUType.RELEASE_RQ, PDUType.ABORT}:
            raise Breach(f"an unexpected PDU {kind.name}", UNEXPECTED_PDU)
        self.is_over = True
        return _RELEASE_RP if kind is PDUType.RELEASE_RQ else b""

    def _hear_command(self, piece: Piece) -> bytes:
        if not piece.is_command:
            raise Breach("a data set without a command", UNEXPECTED_PDU, SERVICE_USER)
        if len(self._command) + len(piece.data) > MAX_COMMAND_BYTES:
            raise Breach(f"a command set of more than {MAX_COMMAND_BYTES} bytes", INVALID_PARAMETER, SERVICE_USER)
        self._command += piece.data
        if not (piece.is_end and piece.is_last):
            return b""
        command = _read_command(bytes(self._command))
        self._command.clear()
        if command.field == Field.C_CANCEL_RQ:
            return b""
        message = self._begin(piece.context_id, command)
        if not command.has_data_set:
            return self._answer(message)
        self._message = message
        return b""

    def _hear_data(self, message: _Message, piece: Piece) -> bytes:
        if piece.is_command or piece.context_id != message.context_id:
            raise Breach("the fragments of two messages are mixed", UNEXPECTED_PDU, SERVICE_USER)
        message.write(piece.data)
        if not (piece.is_end and piece.is_last):
            return b""
        self._message = None
        return self._answer(message)

    def _begin(self, context_id: int, command: Command) -> _Message:
        message = _Message(context_id, command)
        if command.field == Field.C_STORE_RQ:
            message.begin(self._receiver, self._arrival(context_id, command))
        elif command.field != Field.C_ECHO_RQ:
            message.fail(UNRECOGNIZED_OPERATION, f"operation {command.field:04X} is not offered here")
        return message

    def _arrival(self, context_id: int, command: Command) -> Arrival:
        calling_ae, called_ae, address = self._who
        return Arrival(
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
            transfer_syntax_uid=self._contexts[context_id].transfer_syntax,
            calling_ae=calling_ae,
            called_ae=called_ae,
            address=address,
        )

    def _answer(self, message: _Message) -> bytes:
        message.commit()
        self.messages += 1
        return message.response()


class _Message:
    """One request, its sink while it has one, and what it will be answered."""

    def __init__(self, context_id: int, command: Command) -> None:
        self.context_id = context_id
        self._command = command
        self._sink: Sink | None = None
        self._status = SUCCESS
        self._comment = ""

    def begin(self, receiver: Receiver, arrival: Arrival) -> None:
        """Open the sink of a C-STORE, or remember why there is none."""
        if not (_is_uid(arrival.sop_class_uid) and _is_uid(arrival.sop_instance_uid)):
            self.fail(INVALID_SOP_INSTANCE, "the command names no valid SOP class and instance")
        elif arrival.sop_class_uid == VERIFICATION:
            self.fail(SOP_CLASS_NOT_SUPPORTED, "objects of this class are not stored")
        elif not self._command.has_data_set:
            self.fail(CANNOT_UNDERSTAND, "there is no data set")
        else:
            try:
                self._sink = receiver.begin(arrival)
            except GatewayError as error:
                self.fail(*_failure(error))

    def write(self, data: memoryview) -> None:
        """Hand data on, or drain it."""
        if self._sink is None:
            return
        try:
            self._sink.write(data)
        except GatewayError as error:
            self.abort()
            self.fail(*_failure(error))

    def commit(self) -> None:
        """Make the object durable, or remember why it is not."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.commit()
        except GatewayError as error:
            self.fail(*_failure(error))

    def abort(self) -> None:
        """Leave nothing behind."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abort()

    def fail(self, status: int, comment: str) -> None:
        """Remember the status that will be answered."""
        self._status, self._comment = status, comment

    def response(self) -> bytes:
        """Write the response, one P-DATA-TF."""
        command = pdu.encode(
            Command(
                field=self._command.field | 0x8000,
                sop_class_uid=_legible(self._command.sop_class_uid),
                sop_instance_uid=_legible(self._command.sop_instance_uid),
                responding_to=self._command.message_id,
                status=self._status,
                error_comment=self._comment,
            )
        )
        return pdu.data_header(self.context_id, len(command), is_command=True, is_last=True) + command


_RELEASE_RP = HEADER.pack(PDUType.RELEASE_RP, 4) + bytes(4)
_UID = re.compile(r"[0-9.]{1,64}")


def _is_uid(text: str) -> bool:
    return _UID.fullmatch(text) is not None


def _legible(uid: str) -> str:
    return uid if _is_uid(uid) else ""


def _read_command(data: bytes) -> Command:
    try:
        command = pdu.decode(data)
    except ValueError as error:
        raise Breach(str(error), INVALID_PARAMETER, SERVICE_USER) from None
    if command.field & 0x8000:
        raise Breach(f"a response {command.field:04X} to a question nobody asked", UNEXPECTED_PDU, SERVICE_USER)
    if command.message_id is None and command.field != Field.C_CANCEL_RQ:
        raise Breach("a command set without a Message ID", INVALID_PARAMETER, SERVICE_USER)
    return command


def _failure(error: GatewayError) -> tuple[int, str]:
    """Status and comment for what went wrong: only what the sender must correct is refused for good."""
    comment = f"{error.code} {error}"
    if isinstance(error, DataSetMismatch):
        return DATA_SET_MISMATCH, comment
    return (CANNOT_UNDERSTAND if isinstance(error, ObjectError) else OUT_OF_RESOURCES), comment
