"""Bytes of a GE Corometrics fetal monitor to whole messages: framing only, no I/O, as `records`.

A message is `monitor type, response type, monitor ID, data, 03`. Nothing marks its beginning and nothing checks it: after
noise or a cut the last place that looks like a beginning is one. Source: GE Corometrics 170 Series Service Manual 2000947-004,
pages 8-13 to 8-15, and 120 Series 2015590-001, pages 11-11 to 11-13 (the monitor type is fixed at 39h, the ID at 30h, and a
response type is 60h to 67h).
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from gateway.wire.records import NEED_DATA, Fault, Need, Record

ETX: Final = 0x03
ANNOTATION: Final = 0x63
"""The response type whose data is any text, so that what looks like a beginning inside it is none."""
MAX_MESSAGE_BYTES: Final = 1024


class FetalMessages:
    """Frames messages that end with ETX; a record is a message without it."""

    def __init__(self, *, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Keep at most `limit_bytes` of an unfinished message."""
        self._limit = limit_bytes
        self._pending = bytearray()
        self._ready: deque[Record] = deque()
        self._is_overlong = False

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data

    def next_record(self) -> Record | Need:
        """Return the next message, with what was cut off before it as a record of its own, or NEED_DATA."""
        while not self._ready and self._find():
            pass
        return self._ready.popleft() if self._ready else NEED_DATA

    def flush(self) -> Record | Need:
        """Return what is pending as a message that was cut off."""
        record = self.next_record()
        if isinstance(record, Record) or not self._pending:
            return record
        left = bytes(self._pending)
        self._pending.clear()
        self._is_overlong = False
        return Record(left, Fault.CUT)

    def _find(self) -> bool:
        """Take one message, or the beginning of one without an end; return whether something was taken."""
        end = self._pending.find(ETX, 0, self._limit)
        if end < 0:
            return self._bound()
        piece = bytes(self._pending[:end])
        del self._pending[: end + 1]
        begin = _beginning(piece)
        if begin and not self._is_overlong:  # else it is the rest of what was given up
            self._ready.append(Record(piece[:begin], Fault.CUT))
        if begin < len(piece):
            self._ready.append(Record(piece[begin:]))
        self._is_overlong = False
        return True

    def _bound(self) -> bool:
        """Give up a message without an end: its first bytes are a record, whatever else comes before the next ETX is not."""
        if len(self._pending) < self._limit:
            return False
        if not self._is_overlong:
            self._ready.append(Record(bytes(self._pending[: self._limit]), Fault.OVERLONG))
        del self._pending[: self._limit]
        self._is_overlong = True
        return True


_BEGINNING: Final = re.compile(rb"9[\x60-\x67]0")


def _beginning(piece: bytes) -> int:
    """Where the message that ends with this piece begins; its length: nowhere."""
    found = list(_BEGINNING.finditer(piece))
    if not found:
        return len(piece)
    is_text = piece[found[0].start() + 1] == ANNOTATION
    return found[0 if is_text else -1].start()
