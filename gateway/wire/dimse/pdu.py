"""P-DATA PDUs and DIMSE command sets to values and back, for both sides of an association.

Sans I/O. Negotiation PDUs are pynetdicom's; these few are ours because every image passes through them. A length that
does not fit what came is a ValueError that says so, never an over-read. PS3.8 9.3.5 and annex E, PS3.7 6.3 and annex E.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from msgspec import Struct

HEADER = struct.Struct(">BxI")
"""Type and length of a PDU (PS3.8 9.3.1): six bytes before everything."""
PDV_HEADER = struct.Struct(">IBB")
"""Length of what follows the length, presentation context id, message control header (PS3.8 9.3.5.1, E.2)."""
DATA_HEADER_BYTES = HEADER.size + PDV_HEADER.size
"""What stands before the fragment in a P-DATA-TF of one PDV."""


class PDUType(IntEnum):
    """First byte of a PDU (PS3.8 9.3)."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class Field(IntEnum):
    """Command Field (0000,0100) of the messages that the gateway speaks (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


class Command(Struct, frozen=True, kw_only=True):
    """One command set (PS3.7 E.1); None and "" mean that the element is absent."""

    field: int
    """(0000,0100) Command Field."""
    sop_class_uid: str = ""
    """(0000,0002) Affected SOP Class UID."""
    sop_instance_uid: str = ""
    """(0000,1000) Affected SOP Instance UID."""
    message_id: int | None = None
    """(0000,0110)"""
    responding_to: int | None = None
    """(0000,0120) Message ID Being Responded To."""
    priority: int | None = None
    """(0000,0700): 0 medium, 1 high, 2 low."""
    has_data_set: bool = False
    """(0000,0800) Command Data Set Type is not 0101."""
    status: int | None = None
    """(0000,0900)"""
    error_comment: str = ""
    """(0000,0902), at most 64 characters."""


class PDV(Struct, frozen=True):
    """One fragment of a message."""

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


def encode(command: Command) -> bytes:
    """Write a command set: Implicit VR Little Endian, group length first, elements in order (PS3.7 6.3.1)."""
    elements = [
        _element(0x0002, _uid(command.sop_class_uid)),
        _element(0x0100, _us(command.field)),
        _element(0x0110, _us(command.message_id)),
        _element(0x0120, _us(command.responding_to)),
        _element(0x0700, _us(command.priority)),
        _element(0x0800, _us(0x0000 if command.has_data_set else _NO_DATA_SET)),
        _element(0x0900, _us(command.status)),
        _element(0x0902, _text(command.error_comment[:64])),
        _element(0x1000, _uid(command.sop_instance_uid)),
    ]
    body = b"".join(elements)
    return _element(0x0000, struct.pack("<I", len(body))) + body


def decode(data: bytes | bytearray | memoryview) -> Command:
    """Read a command set; elements that a Command does not hold are passed over. Raises ValueError."""
    found = dict(_elements(memoryview(data)))
    if (field := _number(found, 0x0100)) is None:
        raise ValueError("a command set without a Command Field")
    return Command(
        field=field,
        sop_class_uid=_string(found, 0x0002),
        sop_instance_uid=_string(found, 0x1000),
        message_id=_number(found, 0x0110),
        responding_to=_number(found, 0x0120),
        priority=_number(found, 0x0700),
        has_data_set=_number(found, 0x0800) not in {None, _NO_DATA_SET},
        status=_number(found, 0x0900),
        error_comment=_string(found, 0x0902),
    )


def data_header(context_id: int, length: int, *, is_command: bool, is_last: bool) -> bytes:
    """Write what stands before a fragment of `length` bytes in a P-DATA-TF of one PDV."""
    control = is_command | is_last << 1
    return HEADER.pack(PDUType.P_DATA, length + PDV_HEADER.size) + PDV_HEADER.pack(length + 2, context_id, control)


def pdvs(payload: bytes | bytearray | memoryview) -> Iterator[PDV]:
    """Read the fragments of one P-DATA-TF, given what follows its six-byte header. Raises ValueError."""
    view = memoryview(payload)
    while view:
        if len(view) < PDV_HEADER.size:
            raise ValueError(f"a PDV of {len(view)} bytes")
        length, context_id, control = PDV_HEADER.unpack_from(view)
        if not 2 <= length <= len(view) - 4:
            raise ValueError(f"a PDV says that it has {length} bytes, {len(view) - 4} are there")
        yield PDV(context_id, bool(control & 1), bool(control & 2), view[PDV_HEADER.size : length + 4])
        view = view[length + 4 :]


_NO_DATA_SET = 0x0101
_TAG = struct.Struct("<HHI")


def _element(element: int, value: bytes | None) -> bytes:
    return b"" if value is None else _TAG.pack(0, element, len(value)) + value


def _us(value: int | None) -> bytes | None:
    return None if value is None else struct.pack("<H", value)


def _uid(value: str) -> bytes | None:
    return value.encode("ascii") + b"\0" * (len(value) % 2) if value else None


def _text(value: str) -> bytes | None:
    """LO in the default repertoire: a command set has no Specific Character Set."""
    data = value.encode("ascii", "replace")
    return data + b" " * (len(data) % 2) if data else None


def _elements(view: memoryview) -> Iterator[tuple[int, bytes]]:
    while view:
        if len(view) < _TAG.size:
            raise ValueError("a command set that ends inside an element")
        group, element, length = _TAG.unpack_from(view)
        if group != 0 or length > len(view) - _TAG.size:
            raise ValueError(f"a command set with ({group:04X},{element:04X}) of {length} bytes")
        yield element, bytes(view[_TAG.size : _TAG.size + length])
        view = view[_TAG.size + length :]


def _number(found: dict[int, bytes], element: int) -> int | None:
    value = found.get(element, b"")
    return int.from_bytes(value[:2], "little") if len(value) >= 2 else None


def _string(found: dict[int, bytes], element: int) -> str:
    return found.get(element, b"").decode("ascii", "replace").strip("\0 ")
