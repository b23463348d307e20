"""Bytes of a serial line to whole records, without any I/O: framing only, whatever the records mean.

Like h11: `receive_data` takes what arrived, `next_record` gives a Record or NEED_DATA. The incomplete is bounded: a line
that never ends becomes one Record marked `is_overlong`, and framing starts afresh at the next terminator. Fed whole or
byte by byte, the records are the same.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

MAX_RECORD_BYTES: Final = 4096


class Need(Enum):
    """What the framing waits for."""

    DATA = "NEED_DATA"


NEED_DATA: Final = Need.DATA


class Record(Struct, frozen=True):
    """One framed record, without its terminator."""

    data: bytes
    is_overlong: bool = False
    """It had no end within the limit: its first bytes are kept, and not parsed."""


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
        return Record(data, is_overlong)

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
