"""A modality that speaks DICOM: it sends files to the gateway as a C-STORE SCU, and misbehaves as a script says.

It shares with the gateway only the encoding of command sets; sockets and PDUs are its own, so that it can break every rule. A
script has one letter an object, see `FAULTS`; objects beyond its end are sent properly. What came back is recorded in
`seen`: "0000" (a status), "abort 2/6" (A-ABORT, source and reason), "reject 1/1/3", "closed" or "reset".
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct
from pydicom.filereader import read_file_meta_info

from gateway.wire.dimse import pdu
from gateway.wire.dimse.pdu import HEADER, Command, Field

FAULTS = {
    ".": "sent whole",
    "s": "sent slowly, in small pieces",
    "c": "the connection is closed in the middle of the data set",
    "r": "the connection is reset in the middle of the data set",
    "b": "A-ABORT in the middle of the data set",
    "q": "A-RELEASE-RQ in the middle of the data set",
    "g": "garbage where the next PDU should begin",
    "u": "a PDU of an unknown type",
    "l": "a fragment that says it is longer than its PDU",
    "h": "the connection is closed inside the header of a fragment",
    "n": "a presentation context that was not negotiated",
    "d": "a data set without a command",
    "m": "a second command in the middle of the data set",
    "o": "a command set of a megabyte",
    "e": "a command set whose element is longer than the set",
    "z": "a P-DATA-TF without a fragment",
}
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
_GARBAGE = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"


class Seen(Struct, frozen=True):
    """What one object met with."""

    sop_instance_uid: str
    fault: str
    answer: str


class Modality:
    """One modality; every method opens an association of its own, and a new one after a fault."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        calling_ae: str = "MODALITY",
        called_ae: str = "GATEWAY",
        script: str = "",
        pdu_bytes: int = 32768,
        pause_s: float = 0.01,
        timeout_s: float = 20.0,
    ) -> None:
        """`address` is (host, port) of the gateway; `pause_s` is how slow slow is."""
        self.seen: list[Seen] = []
        self._address = address
        self._names = (calling_ae, called_ae)
        self._script = script
        self._pdu_bytes = pdu_bytes
        self._pause_s = pause_s
        self._timeout_s = timeout_s

    def echo(self) -> str:
        """C-ECHO; return what came back."""
        with self._associate([(VERIFICATION, IMPLICIT)]) as line:
            if line.answer:
                return line.answer
            answer = line.ask(1, Command(field=Field.C_ECHO_RQ, message_id=1, sop_class_uid=VERIFICATION))
            line.release()
            return answer

    def send(self, paths: Sequence[Path]) -> list[Seen]:
        """Send files in order, each with the fault that the script has for it; return what was seen this time."""
        objects = [_Stored(path) for path in paths]
        kinds = sorted({(one.sop_class_uid, one.transfer_syntax_uid) for one in objects})
        before, line = len(self.seen), None
        for one in objects:
            fault = self._script[len(self.seen)] if len(self.seen) < len(self._script) else "."
            line = line or self._associate(kinds)
            answer = line.answer or self._send_one(line, 2 * kinds.index(one.kind) + 1, one, fault)
            self.seen.append(Seen(one.sop_instance_uid, fault, answer))
            if fault not in ".s" or not answer.isalnum():
                line.close()
                line = None
        if line is not None:
            line.release()
        return self.seen[before:]

    def _associate(self, kinds: Sequence[tuple[str, str]]) -> Line:
        line = Line(self._address, self._timeout_s)
        line.associate(associate_rq(kinds, *self._names))
        return line

    def _send_one(self, line: Line, context_id: int, one: _Stored, fault: str) -> str:
        command = pdu.encode(one.command(len(self.seen) % 65535 + 1))
        try:
            if fault in _INSTEAD:
                line.send(_INSTEAD[fault](context_id, command))
            else:
                line.send(fragment(context_id, command, is_command=True, is_last=True))
                self._send_data(line, context_id, one, fault)
        except OSError:
            pass  # the gateway hung up on us: what it said may still be read
        if fault in "ch":
            line.close()
            return "closed"
        if fault == "r":
            line.reset()
            return "reset"
        return line.hear()

    def _send_data(self, line: Line, context_id: int, one: _Stored, fault: str) -> None:
        pieces = one.pieces(self._pdu_bytes - 6)
        middle = one.size_bytes // (self._pdu_bytes - 6) // 2
        for number, (data, is_last) in enumerate(pieces):
            if fault in _MIDDLE and number == middle:
                line.send(_MIDDLE[fault](context_id, data))
                return
            piece = fragment(context_id, data, is_command=False, is_last=is_last)
            if fault == "s":
                self._dribble(line, piece)
            else:
                line.send(piece)

    def _dribble(self, line: Line, data: bytes) -> None:
        for start in range(0, len(data), 4096):
            line.send(data[start : start + 4096])
            time.sleep(self._pause_s)


class Line:
    """One connection, PDU by PDU; a context manager that closes."""

    def __init__(self, address: tuple[str, int], timeout_s: float = 20.0) -> None:
        """Connect. Raises OSError."""
        self._socket = socket.create_connection(address, timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.answer = ""
        """Why there is no association; empty when there is one."""
        self.accepted: dict[int, str] = {}
        """Transfer syntax by presentation context id."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def associate(self, request: bytes) -> None:
        """Send an A-ASSOCIATE-RQ and hear the answer."""
        try:
            self.send(request)
            kind, body = self._pdu()
        except OSError as error:
            self.answer = _broken(error)
            return
        if kind == pdu.PDUType.ASSOCIATE_AC:
            self.accepted = dict(_accepted(body))
        else:
            self.answer = _in_words(kind, body)

    def ask(self, context_id: int, command: Command) -> str:
        """Send a command without data set; return what came back."""
        self.send(fragment(context_id, pdu.encode(command), is_command=True, is_last=True))
        return self.hear()

    def hear(self) -> str:
        """Wait for one answer."""
        try:
            return _in_words(*self._pdu())
        except OSError as error:
            return _broken(error)

    def release(self) -> str:
        """Release the association and close; return what came back."""
        try:
            self.send(RELEASE_RQ)
        except OSError as error:
            return _broken(error)
        answer = self.hear()
        self.close()
        return answer

    def reset(self) -> None:
        """Close with a TCP reset instead of an orderly end."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _pdu(self) -> tuple[int, bytes]:
        header = self._file.read(HEADER.size)
        if len(header) < HEADER.size:
            return 0, b""
        kind, length = HEADER.unpack(header)
        return kind, self._file.read(length)


RELEASE_RQ = HEADER.pack(pdu.PDUType.RELEASE_RQ, 4) + bytes(4)
ABORT = HEADER.pack(pdu.PDUType.ABORT, 4) + bytes(4)


def fragment(context_id: int, data: bytes, *, is_command: bool, is_last: bool) -> bytes:
    """One P-DATA-TF with one fragment."""
    return pdu.data_header(context_id, len(data), is_command=is_command, is_last=is_last) + data


def associate_rq(
    kinds: Sequence[tuple[str, str | Sequence[str]]], calling_ae: str, called_ae: str, *, user_items: bytes = b""
) -> bytes:
    """One A-ASSOCIATE-RQ: a presentation context for each (abstract syntax, transfer syntaxes), ids 1, 3, 5 ..."""
    items = [_item(0x10, b"1.2.840.10008.3.1.1.1")]
    for number, (abstract, offered) in enumerate(kinds):
        syntaxes = [offered] if isinstance(offered, str) else offered
        sub_items = [_item(0x30, abstract.encode()), *(_item(0x40, syntax.encode()) for syntax in syntaxes)]
        items.append(_item(0x20, bytes((2 * number + 1, 0, 0, 0)) + b"".join(sub_items)))
    items.append(_item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4") + user_items))
    names = called_ae.encode().ljust(16) + calling_ae.encode().ljust(16)
    body = b"\0\1\0\0" + names + bytes(32) + b"".join(items)
    return HEADER.pack(pdu.PDUType.ASSOCIATE_RQ, len(body)) + body


class _Stored:
    """A Part 10 file to send: its data set goes out as it is."""

    def __init__(self, path: Path) -> None:
        meta = read_file_meta_info(path)
        self._path = path
        self._start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
        self.size_bytes = path.stat().st_size - self._start
        self.sop_class_uid = str(meta.MediaStorageSOPClassUID)
        self.sop_instance_uid = str(meta.MediaStorageSOPInstanceUID)
        self.transfer_syntax_uid = str(meta.TransferSyntaxUID)

    @property
    def kind(self) -> tuple[str, str]:
        return self.sop_class_uid, self.transfer_syntax_uid

    def command(self, message_id: int) -> Command:
        return Command(
            field=Field.C_STORE_RQ,
            sop_class_uid=self.sop_class_uid,
            sop_instance_uid=self.sop_instance_uid,
            message_id=message_id,
            priority=0,
            has_data_set=True,
        )

    def pieces(self, size: int) -> Iterator[tuple[bytes, bool]]:
        """The data set in pieces of at most `size` bytes; True with the last one."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            left = self.size_bytes
            while left > size:
                yield file.read(size), False
                left -= size
            yield file.read(left), True


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _accepted(body: bytes) -> list[tuple[int, str]]:
    found, at = [], 68
    while at < len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        value = body[at + 4 : at + 4 + length]
        if kind == 0x21 and value[2] == 0:
            found.append((value[0], value[8:].decode("ascii").strip("\0")))
        at += 4 + length
    return found


def _in_words(kind: int, body: bytes) -> str:
    match kind:
        case pdu.PDUType.P_DATA:
            return f"{pdu.decode(body[6:]).status:04X}"
        case pdu.PDUType.ABORT:
            return f"abort {body[2]}/{body[3]}"
        case pdu.PDUType.ASSOCIATE_RJ:
            return f"reject {body[1]}/{body[2]}/{body[3]}"
        case pdu.PDUType.RELEASE_RP:
            return "released"
    return "closed"


def _broken(error: OSError) -> str:
    return "silence" if isinstance(error, TimeoutError) else "reset"


def _lying(context_id: int, data: bytes) -> bytes:
    return HEADER.pack(pdu.PDUType.P_DATA, 100) + struct.pack(">IBB", 0x7FFFFFFF, context_id, 0) + data[:94]


def _second_command(context_id: int, _data: bytes) -> bytes:
    echo = pdu.encode(Command(field=Field.C_ECHO_RQ, message_id=9, sop_class_uid=VERIFICATION))
    return fragment(context_id, echo, is_command=True, is_last=True)


_MIDDLE: dict[str, Callable[[int, bytes], bytes]] = {
    "c": lambda _id, _data: b"",
    "r": lambda _id, _data: b"",
    "b": lambda _id, _data: ABORT,
    "q": lambda _id, _data: RELEASE_RQ,
    "g": lambda _id, _data: _GARBAGE,
    "u": lambda _id, _data: HEADER.pack(0x42, 4) + bytes(4),
    "l": _lying,
    "h": lambda context_id, _data: HEADER.pack(pdu.PDUType.P_DATA, 100) + struct.pack(">IB", 96, context_id),
    "m": _second_command,
    "z": lambda _id, _data: HEADER.pack(pdu.PDUType.P_DATA, 0),
}
_INSTEAD: dict[str, Callable[[int, bytes], bytes]] = {
    "n": lambda _id, command: fragment(253, command, is_command=True, is_last=True),
    "d": lambda context_id, command: fragment(context_id, command, is_command=False, is_last=True),
    "o": lambda context_id, command: fragment(context_id, command + bytes(1 << 20), is_command=True, is_last=False),
    "e": lambda context_id, command: fragment(
        context_id, command[:-1] + b"\0\0\0\1\xff\xff\xff\x7f", is_command=True, is_last=True
    ),
}
