"""The head of a DICOM file to where its data set begins and what it is: the data set itself is sent as it is.

Only group 0002 is read, which is Explicit VR Little Endian in every file (PS3.10 7.1). A file that is not one is a
NotDicom, whatever its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from gateway.errors import NotDicom

_MAX_ELEMENT_BYTES = 1 << 20


class Head(Struct, frozen=True):
    """What group 0002 says, and the offset of the first byte after it."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_at: int


def read_head(file: BinaryIO) -> Head:
    """Read the File Meta Information from the start of `file`. Raises NotDicom."""
    if file.read(132)[128:] != b"DICM":
        raise NotDicom(problem="it has no DICOM preamble")
    found = dict(_group_2(file))
    head = Head(_uid(found, 0x0002), _uid(found, 0x0003), _uid(found, 0x0010), file.tell())
    if not (head.sop_class_uid and head.sop_instance_uid and head.transfer_syntax_uid):
        raise NotDicom(problem="its File Meta Information does not say what it is")
    return head


def _uid(found: dict[int, bytes], element: int) -> str:
    return found.get(element, b"").decode("ascii", "replace").strip("\0 ")


def _group_2(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    while len(tag := file.read(8)) == 8:
        group, element, vr, short = struct.unpack("<HH2sH", tag)
        if group != 0x0002:
            file.seek(-8, 1)
            return
        length = struct.unpack("<I", file.read(4).ljust(4, b"\0"))[0] if vr in {b"OB", b"UN"} else short
        value = file.read(min(length, _MAX_ELEMENT_BYTES))
        if len(value) < length:
            raise NotDicom(problem="its File Meta Information is cut off")
        yield element, value
