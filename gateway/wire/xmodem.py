"""Bytes of a serial line to whole files: the receiving side of XMODEM and YMODEM, and records that carry their own length.

No I/O, as `records`: blocks in, files out, and what must be answered. The receiver drives: `due` asks the sender to begin (C
for a CRC, NAK for a sum), and asks again after a silence. A damaged block is refused once the line is quiet; one that came
before is acknowledged once more and not doubled; the first EOT is doubted, as a lone byte on a bad line may be one. The answers
are to be sent once the bytes they answer are durable.

Sources. Chuck Forsberg, XMODEM/YMODEM Protocol Reference (18 June 1988): blocks of 128 and 1024 bytes, batches (figures 3
to 6), time-outs and ten attempts (7.3), CRC (8). YMODEM-g (without answers) is not asked for. SCP-ECG (EN 1064): a record begins
with its CRC and its size; section 0 follows, whose header ends with the letters SCPECG.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from collections import deque
from typing import Final, Literal

from gateway.wire.records import NEED_DATA, Fault, Need, Record

SOH, STX, EOT, ACK, NAK, CAN = 0x01, 0x02, 0x04, 0x06, 0x15, 0x18
ASK_CRC: Final = ord("C")
MAX_FILE_BYTES: Final = 1 << 20
ATTEMPTS: Final = 10
ASK_NS: Final = 3_000_000_000
"""From one request to begin to the next."""
PAUSE_NS: Final = 1_000_000_000
"""Between two bytes of one block there is never so much: what has begun was damaged."""
SILENCE_NS: Final = 10_000_000_000
_ASKED: Final = bytes([ASK_CRC, ASK_CRC, ASK_CRC, NAK])
"""A sender that knows no CRC waits for NAK."""
_SIGNS: Final = re.compile(b"[\x01\x02\x04\x18]")
_HEADER: Final = 3
_SIZES: Final = {SOH: 128, STX: 1024}
Check = Literal["crc", "sum"]


class Xmodem:
    """One line by which files come, block after block."""

    def __init__(self, *, limit_bytes: int = MAX_FILE_BYTES) -> None:
        """A file of more than `limit_bytes` is refused (CAN)."""
        self._limit = limit_bytes
        self._pending = bytearray()
        self._ready: deque[Record] = deque()
        self._answer = bytearray()
        self._check: Check = "crc"
        self._is_fresh, self._heard_ns, self._asked_ns, self._asks = False, -ASK_NS, -ASK_NS, 0
        self.file_number = 0
        """Of the file that came last, in its batch: 1 is the first, or the only one."""
        self._has_ended = False
        """A file has ended, and nothing was asked for since."""
        self._is_noisy = False
        """Something came that is no part of a block: an EOT behind it is not believed."""
        self._reset()

    def _reset(self) -> None:
        """Wait for a file."""
        self._content = bytearray()
        self._is_open = self._is_batch = self._is_ending = self._is_sure = False
        self._next, self._length, self._errors = 0, -1, 0

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data
        self._is_fresh = self._is_fresh or bool(data)

    def next_record(self) -> Record | Need:
        """Return the next file, a refused block with its fault, or NEED_DATA."""
        while not self._ready and self._step():
            pass
        return self._ready.popleft() if self._ready else NEED_DATA

    def flush(self) -> Record | Need:
        """The sender has fallen silent for good: a file without its end was cut off, unless it has its whole length."""
        record = self.next_record()
        if isinstance(record, Record):
            return record
        self._pending.clear()
        if self._is_open:
            is_whole = self._is_ending or 0 <= self._length <= len(self._content)
            self._end(Fault.NONE if is_whole else Fault.CUT)
        return self._ready.popleft() if self._ready else NEED_DATA

    def answer(self) -> bytes:
        """Return what must be sent to the instrument, once."""
        answer = bytes(self._answer)
        self._answer.clear()
        return answer

    def due(self, now_ns: int) -> bytes:
        """Return what asks the sender to begin, or to send again what did not come."""
        if self._is_fresh:
            self._is_fresh, self._heard_ns = False, now_ns
        quiet_ns = now_ns - max(self._heard_ns, self._asked_ns)
        if not self._is_open:
            return self._ask(now_ns) if quiet_ns >= ASK_NS else b""
        is_damaged = bool(self._pending) or self._is_noisy
        if quiet_ns < (PAUSE_NS if is_damaged else SILENCE_NS):
            return b""
        self._pending.clear()
        self._asked_ns, self._is_noisy = now_ns, False
        self._refuse()
        return self.answer()

    def _ask(self, now_ns: int) -> bytes:
        """Ask for a file: mostly by C."""
        self._pending.clear()
        self._asked_ns = now_ns
        self._has_ended, self.file_number = False, 0
        asked = _ASKED[self._asks % len(_ASKED)]
        self._asks += 1
        self._check = "sum" if asked == NAK else "crc"
        return bytes([asked])

    def _step(self) -> bool:
        """Take one block or one sign; return whether something was taken."""
        found = _SIGNS.search(self._pending)
        start = found.start() if found else len(self._pending)
        if start:
            self._is_noisy = True
            del self._pending[:start]
        if not found:
            return False
        if self._pending[0] in _SIZES:
            return self._block()
        if self._pending[0] == CAN:
            return self._cancelled()
        del self._pending[0]
        if not self._is_noisy:
            self._ended()
        return True

    # ---- blocks ----

    def _block(self) -> bool:
        """Take one block, when it is whole and can be the next; else only its first byte, which was none."""
        if len(self._pending) < _HEADER:
            return False
        number, complement = self._pending[1:_HEADER]
        is_expected = self._is_expected(number)
        if number ^ complement != 0xFF or not (is_expected or number in {0, 1}):
            return self._noise()
        size = _HEADER + _SIZES[self._pending[0]]
        for check in self._checks():
            end = size + (2 if check == "crc" else 1)
            if len(self._pending) < end:
                return False
            if _fits(check, self._pending[_HEADER:size], self._pending[size:end]):
                payload = bytes(self._pending[_HEADER:size])
                del self._pending[:end]
                self._check, self._is_noisy = check, False
                self._take(number, payload)
                return True
        if is_expected:
            self._ready.append(Record(bytes(self._pending[:size]), Fault.CHECKSUM))
        return self._noise()

    def _is_expected(self, number: int) -> bool:
        return number in {self._next, (self._next - 1) & 0xFF} if self._is_open else number in {0, 1}

    def _checks(self) -> tuple[Check, ...]:
        """Which checks a block may have: until the first one fits, the sender may have heard another request than the last."""
        other: Check = "sum" if self._check == "crc" else "crc"
        return (self._check,) if self._is_sure else (self._check, other)

    def _noise(self) -> bool:
        self._is_noisy = True
        if self._pending:
            del self._pending[0]
        return True

    def _take(self, number: int, payload: bytes) -> None:
        """One good block: the next, the last once more, or the first of a file."""
        self._errors, self._is_ending = 0, False
        if self._is_open and number == self._next:
            self._add(payload)
        elif self._is_open and self._is_expected(number):
            self._say(ACK)
            if self._is_batch and not self._content:
                self._say(ASK_CRC)
        else:
            self._begin(number, payload)

    def _begin(self, number: int, payload: bytes) -> None:
        if self._is_open:
            self._end(Fault.CUT)
        if number == 1:
            self._is_open, self._next, self.file_number = True, 1, 1
            self._add(payload)
            return
        name, _, fields = payload.partition(b"\0")
        self._say(ACK)
        self.file_number = self.file_number + 1 if name else 0
        if name:
            stated = fields.partition(b"\0")[0].split(b" ")[0]
            self._is_open, self._is_batch, self._next = True, True, 1
            self._length = int(stated) if re.fullmatch(rb"[0-9]{1,9}", stated) else -1
            self._say(ASK_CRC)

    def _add(self, payload: bytes) -> None:
        self._content += payload
        self._next, self._is_sure = (self._next + 1) & 0xFF, True
        if len(self._content) > self._limit:
            self._say(CAN, CAN)
            self._end(Fault.OVERLONG)
        else:
            self._say(ACK)

    # ---- ends ----

    def _ended(self) -> None:
        """EOT: asked for once more, then believed; after the end of a file, the sender has not heard that."""
        if not self._is_open:
            if self._has_ended:
                self._say(ACK)
        elif not self._is_ending:
            self._is_ending = True
            self._say(NAK)
        else:
            self._say(ACK)
            if self._is_batch:
                self._say(ASK_CRC)
            self._end(Fault.NONE)

    def _cancelled(self) -> bool:
        """Two CAN in a row end a file; a single one is noise."""
        if len(self._pending) < 2:
            return False
        if self._is_noisy or self._pending[1] != CAN:
            return self._noise()
        del self._pending[:2]
        if self._is_open:
            self._end(Fault.CUT)
        return True

    def _end(self, fault: Fault) -> None:
        """Give what came of a file, and wait for the next."""
        size = self._length if 0 <= self._length < len(self._content) else len(self._content)
        if self._content or not fault:
            self._ready.append(Record(bytes(self._content[: min(size, self._limit)]), fault, is_checked=not fault))
        self._reset()
        self._asks, self._has_ended = 0, True

    def _refuse(self) -> None:
        """Ask for it again; after too many attempts, give up."""
        self._errors += 1
        if self._is_open and self._errors > ATTEMPTS:
            self._say(CAN, CAN)
            self._end(Fault.CUT)
        else:
            self._say(ASK_CRC if self._is_batch and not self._content else NAK)

    def _say(self, *signs: int) -> None:
        self._answer += bytes(signs)


class SizedRecords:
    """Records of SCP-ECG in a stream of bytes, found by their mark, their size and their CRC."""

    def __init__(self, *, limit_bytes: int = MAX_FILE_BYTES) -> None:
        """A record of more than `limit_bytes` is none."""
        self._limit = limit_bytes
        self._pending = bytearray()
        self.file_number = 1
        """As of Xmodem: each comes by itself."""

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data

    def next_record(self) -> Record | Need:
        """Return the next whole record, one whose checksum is wrong, or NEED_DATA."""
        while (mark := self._pending.find(_MARK)) >= 0:
            start = mark - _BEFORE_MARK
            size = int.from_bytes(self._pending[start + 2 : start + 6], "little") if start >= 0 else 0
            if not mark + len(_MARK) - start <= size <= self._limit or any(self._pending[start + 8 : start + 10]):
                del self._pending[: mark + len(_MARK)]
                continue
            del self._pending[:start]
            if len(self._pending) < size:
                return NEED_DATA
            record = bytes(self._pending[:size])
            is_right = crc_hqx(record[2:], 0xFFFF) == int.from_bytes(record[:2], "little")
            del self._pending[: size if is_right else _BEFORE_MARK + len(_MARK)]
            return Record(record, Fault.NONE if is_right else Fault.CHECKSUM, is_checked=is_right)
        del self._pending[: -_BEFORE_MARK - len(_MARK)]
        return NEED_DATA

    def flush(self) -> Record | Need:
        """Return a record that has begun and did not end; what is inside it is looked at again."""
        record = self.next_record()
        if isinstance(record, Record):
            return record
        if self._pending.find(_MARK) != _BEFORE_MARK:
            self._pending.clear()
            return NEED_DATA
        data = bytes(self._pending)
        del self._pending[: _BEFORE_MARK + len(_MARK)]
        return Record(data, Fault.CUT)

    def answer(self) -> bytes:
        """Return nothing: it is not waited for."""
        return b""

    def due(self, now_ns: int) -> bytes:
        """Return nothing: it comes unasked."""
        return b""


_MARK: Final = b"SCPECG"
_BEFORE_MARK: Final = 16
"""CRC and size of the record (6), and the header of section 0 up to its reserved bytes (10)."""


def _fits(check: Check, payload: bytearray, stated: bytearray) -> bool:
    if check == "crc":
        return crc_hqx(payload, 0) == int.from_bytes(stated, "big")
    return sum(payload) & 0xFF == stated[0]
