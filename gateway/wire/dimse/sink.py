"""Where a received object goes: the two protocols that the caller of the Storage SCP fulfils, and the head of its file.

The SCP hands over the bytes of the data set as they come, and says success only after `commit` has returned: it promises
that the object is durable (law 1). The head of the file, preamble and group 0002, is known before the first byte of the
data set (PS3.10 7.1); a sink writes it first. What a sink raises is answered with a status.
"""

from __future__ import annotations

import struct
from typing import Protocol

from msgspec import Struct

from gateway import uids
from gateway.errors import GatewayError


class Arrival(Struct, frozen=True, kw_only=True):
    """What a C-STORE-RQ announces."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    called_ae: str = ""
    address: str = ""


class Sink(Protocol):
    """One object on its way to the disk. `commit` or `abort` is called once, and nothing after it."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the data set; they hold only during the call. Raises a GatewayError."""

    def commit(self) -> None:
        """Return once the object is durable and every obligation that comes with it. Raises a GatewayError: then nothing is left."""

    def abort(self) -> None:
        """Leave nothing behind: the object did not come whole."""


class Receiver(Protocol):
    """Who keeps what comes; shared by the threads of all associations."""

    def begin(self, arrival: Arrival) -> Sink:
        """Make room for an object. Raises a GatewayError, which is answered once its data set has been drained."""

    def notice(self, error: GatewayError) -> None:
        """Hear what went wrong on the wire: a refused caller, a broken protocol, a cut link."""


def file_head(arrival: Arrival) -> bytes:
    """Write preamble, `DICM` and group 0002 of the file that the object becomes (PS3.10 7.1), Explicit VR Little Endian."""
    group = b"".join(
        (
            b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01",  # File Meta Information Version
            _element(0x0002, b"UI", arrival.sop_class_uid),
            _element(0x0003, b"UI", arrival.sop_instance_uid),
            _element(0x0010, b"UI", arrival.transfer_syntax_uid),
            _element(0x0012, b"UI", uids.IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", uids.IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", arrival.calling_ae),
        )
    )
    return _PREAMBLE + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


_PREAMBLE = bytes(128) + b"DICM"


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value
