"""Bytes of a serial line to whole records, without any I/O: framing only, whatever the records mean.

Like h11: `receive_data` takes what arrived, `next_record` gives a Record or NEED_DATA, `flush` says that the line has fallen
silent. The incomplete is bounded; noise before a record is dropped; what fails is a Record too, with its fault, so that it
can be kept, counted and answered. Fed whole or byte by byte, the records are the same. Sources: ASCII control characters as
each instrument's manual names them (hw/instruments).
"""

from __future__ import annotations

import re
from collections import deque
from enum import Enum, StrEnum
from typing import Final, Protocol

from msgspec import Struct

MAX_RECORD_BYTES: Final = 4096
MAX_MESSAGE_BYTES: Final = 16384
SOH, STX, EOT, CR, LF, ETB = 0x01, 0x02, 0x04, 0x0D, 0x0A, 0x17


class Need(Enum):
    """What the framing waits for."""

    DATA = "NEED_DATA"


NEED_DATA: Final = Need.DATA


class Fault(StrEnum):
    """Why a record is not to be believed."""

    NONE = ""
    OVERLONG = "it has no end"
    """Nothing ended it within the limit: its first bytes are kept."""
    CUT = "it was cut off"
    """It began and did not end: the power went, or another one began."""
    CHECKSUM = "its checksum is wrong"


class Record(Struct, frozen=True):
    """One framed record, without its terminator."""

    data: bytes
    fault: Fault = Fault.NONE
    is_checked: bool = False
    """It came with a checksum, which is right."""


class Framing(Protocol):
    """Finds records in the bytes of one line."""

    def receive_data(self, data: bytes, /) -> None:
        """Take what arrived."""

    def next_record(self) -> Record | Need:
        """Return the next whole record, or NEED_DATA."""

    def flush(self) -> Record | Need:
        """Return what is pending as a record: the line has been silent for long enough to call it ended."""


class Lines:
    r"""Frames lines. The terminator `\r\n` means: CR LF, CR alone or LF alone; any other is taken by the letter."""

    def __init__(self, terminator: bytes = b"\r\n", limit_bytes: int = MAX_RECORD_BYTES) -> None:
        """Keep at most `limit_bytes` of an unfinished record."""
        self._is_newline = terminator in {b"\r\n", b"\r", b"\n"}
        self._terminator = b"\n" if self._is_newline else terminator
        self._limit = limit_bytes
        self._pending = bytearray()
        self._is_overlong = False
        self._last_was_cr = False

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += self._with_one_newline(data) if self._is_newline else data

    def next_record(self) -> Record | Need:
        """Return the next whole record, or NEED_DATA. A blank line is a record too: some instruments end a set with one."""
        end = self._pending.find(self._terminator, self._limit if self._is_overlong else 0)
        if end < 0:
            self._bound()
            return NEED_DATA
        return self._take(end, end + len(self._terminator))

    def flush(self) -> Record | Need:
        """Return what is pending as a record: the line has been silent for long enough to call it ended."""
        if not self._pending:
            return NEED_DATA
        return self._take(len(self._pending), len(self._pending))

    def _take(self, end: int, after: int) -> Record:
        is_overlong = self._is_overlong or end > self._limit
        data = bytes(self._pending[: min(end, self._limit)])
        del self._pending[:after]
        self._is_overlong = False
        return Record(data, Fault.OVERLONG if is_overlong else Fault.NONE)

    def _bound(self) -> None:
        """Drop the middle of an endless record; a terminator that has only begun stays."""
        tail = len(self._terminator) - 1
        excess = len(self._pending) - tail - self._limit
        if excess > 0:
            self._is_overlong = True
            del self._pending[self._limit : self._limit + excess]

    def _with_one_newline(self, data: bytes) -> bytes:
        """Turn CR LF, CR and LF into LF each, also where a CR ended the last piece and its LF begins this one."""
        if self._last_was_cr and data.startswith(b"\n"):
            data = data[1:]
        elif not data:
            return data
        self._last_was_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class Messages:
    """Frames messages from SOH to EOT, with or without four hexadecimal digits of a checksum behind, as NIDEK instruments send.

    The checksum is the low 16 bits of the sum of all bytes from SOH to EOT, both included, CR and LF not: it reproduces the
    example of the LM-1000 manual (page 22, 16C1) and two messages that others published (1372, 16E7). Several blocks, each
    with a SOH of its own and ended by ETB, may stand in one message. A message that another one interrupts is CUT; where
    the checksum fits the later one alone, that is whole.
    """

    def __init__(self, *, has_checksum: bool = True, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """`has_checksum`: whether what follows EOT is looked at. Keep at most `limit_bytes` of an unfinished message."""
        self._has_checksum = has_checksum
        self._limit = limit_bytes
        self._pending = bytearray()
        self._ready: deque[Record] = deque()

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data

    def next_record(self) -> Record | Need:
        """Return the next whole message, or NEED_DATA."""
        while not self._ready and self._find(is_silent=False):
            pass
        return self._ready.popleft() if self._ready else NEED_DATA

    def flush(self) -> Record | Need:
        """Return the next message, whole or not: nothing more will come."""
        while not self._ready and self._find(is_silent=True):
            pass
        return self._ready.popleft() if self._ready else NEED_DATA

    def _find(self, *, is_silent: bool) -> bool:
        """Take one message out of what is pending; return whether something was taken."""
        self._drop_noise()
        if not self._pending:
            return False
        end = self._pending.find(EOT, 0, self._limit)
        if end < 0:
            return self._give_up(is_silent=is_silent)
        digits = _digits(self._pending, end + 1) if self._has_checksum else b""
        is_open = self._has_checksum and end + 1 + len(digits) == len(self._pending) and len(digits) < _DIGITS
        if is_open and not is_silent:
            return False
        message = bytes(self._pending[: end + 1])
        del self._pending[: end + 1 + len(digits)]
        self._ready += _checked(message, digits) if digits else _unchecked(message)
        return True

    def _drop_noise(self) -> None:
        start = self._pending.find(SOH)
        del self._pending[: start if start >= 0 else len(self._pending)]

    def _give_up(self, *, is_silent: bool) -> bool:
        """End a message that has no end, at the limit or once the line is silent; the next SOH begins afresh."""
        if len(self._pending) < self._limit and not is_silent:
            return False
        again = self._pending.find(SOH, 1, self._limit)
        is_overlong = again < 0 and len(self._pending) >= self._limit
        end = again if again > 0 else min(len(self._pending), self._limit)
        self._ready.append(Record(bytes(self._pending[:end]), Fault.OVERLONG if is_overlong else Fault.CUT))
        del self._pending[:end]
        return True


def sum16(message: bytes) -> bytes:
    """Return the four digits that follow a message of `Messages`."""
    return b"%04X" % (sum(byte for byte in message if byte not in {CR, LF}) & 0xFFFF)


_DIGITS: Final = 4
_HEX: Final = re.compile(rb"[0-9A-F]{0,4}")


def _digits(data: bytearray, start: int) -> bytes:
    found = _HEX.match(data, start)
    return found[0] if found else b""


def _checked(message: bytes, digits: bytes) -> list[Record]:
    """The message, or the one inside it that the checksum fits, with what was cut off before it."""
    for start in _starts(message):
        if sum16(message[start:]) == digits:
            cut = [Record(message[:start], Fault.CUT)] if start else []
            return [*cut, Record(message[start:], is_checked=True)]
    return [Record(message, Fault.CHECKSUM)]


def _unchecked(message: bytes) -> list[Record]:
    """The message with all its blocks; a block that does not end with ETB was cut off by the next."""
    records, begin = [], 0
    for start in _starts(message)[1:]:
        if not message[:start].rstrip(b"\r\n").endswith(bytes([ETB])):
            records.append(Record(message[begin:start], Fault.CUT))
            begin = start
    return [*records, Record(message[begin:])]


def _starts(message: bytes) -> list[int]:
    return [index for index, byte in enumerate(message) if byte == SOH]
