"""Bytes of a serial line to whole frames, for protocols with escapes, checksums and acknowledgements: no I/O, as `records`.

Every framing enforces its check; what fails is a Record with the fault CHECKSUM, so that it is kept, counted and answered.
After noise each finds the next frame, and each holds a bounded part of an unfinished one.

Sources. STX/ETX with a one-byte sum in two hexadecimal digits, and ASTM E1381 (LIS1-A): ENQ, frames, EOT, ACK and NAK.
GE Datex-Ohmeda S/5 "DRI" (7E, 7D, sum of the payload). Philips IntelliVue Data Export Interface Programming Guide 4535 642
59271, chapter 4 (C0, C1, 7D, FCS-16 of RFC 1662). Draeger MEDIBUS: a command `ESC cmd data sum CR`, a reply `SOH cmd data sum
CR`, real-time bytes from 80h anywhere.
"""

from __future__ import annotations

import binascii
from collections import deque
from typing import Final

from gateway.wire.records import MAX_MESSAGE_BYTES, NEED_DATA, Fault, Need, Record

STX, ETX, EOT, ENQ, ACK, NAK, ETB, ESC, SOH, CR, LF = (
    *(0x02, 0x03, 0x04, 0x05, 0x06, 0x15, 0x17, 0x1B, 0x01, 0x0D, 0x0A),
)
DC1, DC3 = 0x11, 0x13


class ChecksumFrames:
    """Frames `STX text ETX CS CS`, the checksum two hexadecimal digits: the low byte of a sum."""

    def __init__(self, *, sums_ends: bool = True, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """`sums_ends`: ETX is in the sum (never STX). Keep at most `limit_bytes` of an unfinished frame."""
        self._is_end_summed = sums_ends
        self._limit = limit_bytes
        self._pending = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data

    def next_record(self) -> Record | Need:
        """Return the text of the next frame, or NEED_DATA. A STX inside a frame begins another one."""
        del self._pending[: _index(self._pending, STX)]
        end = self._pending.find(ETX, 0, self._limit)
        again = self._pending.find(STX, 1, end if end > 0 else self._limit)
        if again > 0:
            return self._take(again, Fault.CUT)
        if end < 0:
            return self._take(self._limit, Fault.OVERLONG) if len(self._pending) >= self._limit else NEED_DATA
        if len(self._pending) < end + 3:
            return NEED_DATA
        text, digits = bytes(self._pending[1:end]), bytes(self._pending[end + 1 : end + 3])
        del self._pending[: end + 3]
        total = sum(text) + (ETX if self._is_end_summed else 0)
        is_right = digits.upper() == sum8(total)
        return Record(text, Fault.NONE if is_right else Fault.CHECKSUM, is_checked=is_right)

    def flush(self) -> Record | Need:
        """Return what is pending as a frame that was cut off."""
        record = self.next_record()
        if isinstance(record, Record) or not self._pending:
            return record
        return self._take(len(self._pending), Fault.CUT)

    def _take(self, end: int, fault: Fault) -> Record:
        data = bytes(self._pending[1:end])
        del self._pending[:end]
        return Record(data, fault)


class AstmFrames:
    """The receiving side of ASTM E1381: frames in, the text of whole records out, and what must be answered.

    A frame is `STX seq text CR ETX CS CS CR LF`; ETB instead of ETX says that the record goes on in the next one. A frame
    that is damaged, or not the next one, is refused with NAK and comes again; one that came before is acknowledged once more
    and not doubled. Outside ENQ ... EOT nothing is read.
    """

    def __init__(self, *, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Keep at most `limit_bytes` of an unfinished record."""
        self._limit = limit_bytes
        self._pending = bytearray()
        self._record = bytearray()
        self._ready: deque[Record] = deque()
        self._answer = bytearray()
        self._is_open = False
        self._next = 1
        self._has_accepted = False
        """A frame of this session was accepted: only then can one come twice."""

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data

    def next_record(self) -> Record | Need:
        """Return the text of the next record, a refused frame with its fault, or NEED_DATA."""
        while not self._ready and self._step():
            pass
        return self._ready.popleft() if self._ready else NEED_DATA

    def flush(self) -> Record | Need:
        """The sender has fallen silent (30 s): what is pending was cut off, and the link is closed."""
        record = self.next_record()
        if isinstance(record, Record):
            return record
        left = bytes(self._record + self._pending)
        self._close()
        self._pending.clear()
        return Record(left, Fault.CUT) if left else NEED_DATA

    def answer(self) -> bytes:
        """Return what must be sent to the instrument, once."""
        answer = bytes(self._answer)
        self._answer.clear()
        return answer

    def _step(self) -> bool:
        """Take one control character or one frame; return whether something was taken."""
        if not self._pending:
            return False
        match self._pending[0]:
            case 0x05:  # ENQ
                self._cut_off()
                self._is_open, self._has_accepted, self._next = True, False, 1
                self._answer.append(ACK)
            case 0x04:  # EOT
                self._cut_off()
                self._close()
            case 0x02 if self._is_open:  # STX
                return self._frame()
            case _:
                pass
        del self._pending[:1]
        return True

    def _frame(self) -> bool:
        end = self._pending.find(LF, 0, _LONGEST_FRAME)
        if end < 0:
            if len(self._pending) < _LONGEST_FRAME:
                return False
            self._refuse(bytes(self._pending[:_LONGEST_FRAME]))
            del self._pending[:_LONGEST_FRAME]
            return True
        frame = bytes(self._pending[: end + 1])
        del self._pending[: end + 1]
        self._take(frame)
        return True

    def _take(self, frame: bytes) -> None:
        """Check one frame, `STX` to `LF`, and answer it."""
        body, digits, tail = frame[1:-4], frame[-4:-2], frame[-2:]
        is_whole = len(body) >= _SHORTEST_BODY and tail == b"\r\n" and body[-1] in {ETX, ETB}
        if not is_whole or digits.upper() != sum8(sum(body)):
            self._refuse(frame)
            return
        number = body[0] - ord("0")
        if number == (self._next - 1) % 8 and self._has_accepted:
            self._answer.append(ACK)
            return
        if number != self._next:
            self._refuse(frame)
            return
        self._next = (self._next + 1) % 8
        self._has_accepted = True
        self._record += body[1:-1]
        self._answer.append(ACK)
        if len(self._record) > self._limit:
            self._ready.append(Record(bytes(self._record[: self._limit]), Fault.OVERLONG))
            self._record.clear()
        elif body[-1] == ETX:
            self._ready.append(Record(bytes(self._record).removesuffix(b"\r"), is_checked=True))
            self._record.clear()

    def _refuse(self, frame: bytes) -> None:
        self._answer.append(NAK)
        self._ready.append(Record(frame, Fault.CHECKSUM))

    def _cut_off(self) -> None:
        """A record that ETX never ended."""
        if self._record:
            self._ready.append(Record(bytes(self._record), Fault.CUT))
            self._record.clear()

    def _close(self) -> None:
        self._is_open, self._has_accepted = False, False
        self._record.clear()


class EscapedFrames:
    """Frames between flag bytes with escapes, and a check at their end: Datex-Ohmeda DRI and Philips IntelliVue."""

    def __init__(self, kind: str, *, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """`kind`: `dri` (7E to 7E, the sum of the payload) or `intellivue` (C0 to C1, FCS-16). Keep at most `limit_bytes`."""
        self._begin, self._end = {"dri": (0x7E, 0x7E), "intellivue": (0xC0, 0xC1)}[kind]
        self._check = {"dri": _dri, "intellivue": _intellivue}[kind]
        self._limit = limit_bytes
        self._pending = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._pending += data

    def next_record(self) -> Record | Need:
        """Return the content of the next frame without its check, or NEED_DATA."""
        while True:
            del self._pending[: _index(self._pending, self._begin)]
            end = self._pending.find(self._end, 1, self._limit)
            again = self._pending.find(self._begin, 1, end if end > 0 else self._limit)
            if self._begin != self._end and again > 0:
                return self._cut(again, Fault.CUT)
            if end < 0:
                return self._cut(self._limit, Fault.OVERLONG) if len(self._pending) >= self._limit else NEED_DATA
            stuffed = bytes(self._pending[1:end])
            if not stuffed and self._begin == self._end:
                del self._pending[:1]
                continue
            content, fault = self._check(_unescaped(stuffed))
            is_lost = fault and self._begin == self._end
            del self._pending[: end if is_lost else end + 1]
            return Record(content, fault, is_checked=not fault)

    def flush(self) -> Record | Need:
        """Return what is pending as a frame that was cut off."""
        record = self.next_record()
        if isinstance(record, Record) or len(self._pending) <= 1:
            if not isinstance(record, Record):
                self._pending.clear()
            return record
        return self._cut(len(self._pending), Fault.CUT)

    def _cut(self, end: int, fault: Fault) -> Record:
        data = bytes(self._pending[1:end])
        del self._pending[:end]
        return Record(data, fault)


class MedibusFrames:
    """Separates what a MEDIBUS device sends: commands and replies, and the real-time bytes (80h and above) that may stand anywhere.

    A command may stand inside a reply: the reply goes on after it. A record is `ESC` or `SOH`, the command byte and its data,
    without the checksum; or up to eight sync cycles, each a sync byte (D0h to DFh) and the real-time bytes after it: those that
    ended before a command or reply did come before it.
    """

    def __init__(self, *, limit_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Keep at most `limit_bytes` of an unfinished record."""
        self._limit = limit_bytes
        self._open: list[bytearray] = []
        self._ready: deque[Record] = deque()
        self._cycles = bytearray()
        self._count = 0
        """How many cycles are in `_cycles`."""
        self._cycle = bytearray()
        """The one that goes on; empty until the first sync byte."""

    def receive_data(self, data: bytes) -> None:
        """Take what arrived. The bytes of software handshaking (DC1, DC3) are no part of anything."""
        for byte in data:
            if byte >= _REAL_TIME:
                self._add_real_time(byte)
            elif byte in {ESC, SOH}:
                self._begin(byte)
            elif self._open and byte not in {DC1, DC3}:
                self._add(byte)

    def next_record(self) -> Record | Need:
        """Return the next command, reply or run of cycles, or NEED_DATA."""
        return self._ready.popleft() if self._ready else NEED_DATA

    def flush(self) -> Record | Need:
        """Return what is pending: a run of cycles, or a record that was cut off."""
        if not self._ready:
            self._end_cycle()
            self._end_cycles()
            if self._open:
                self._ready.append(Record(bytes(self._open.pop()), Fault.CUT))
        return self.next_record()

    def _begin(self, byte: int) -> None:
        """A command inside a reply is nested; any other beginning cuts off what is open."""
        is_nested = byte == ESC and len(self._open) == 1 and self._open[0][0] == SOH
        if not is_nested:
            self._ready.extend(Record(bytes(each), Fault.CUT) for each in self._open)
            self._open.clear()
        self._open.append(bytearray([byte]))

    def _add(self, byte: int) -> None:
        current = self._open[-1]
        if byte != CR:
            current.append(byte)
            if len(current) > self._limit:
                self._ready.append(Record(bytes(self._open.pop()[: self._limit]), Fault.OVERLONG))
            return
        self._end_cycles()
        record = bytes(self._open.pop())
        is_right = len(record) > _SHORTEST_MEDIBUS and record[-2:] == sum8(sum(record[:-2]))
        content = record[:-2] if is_right else record
        self._ready.append(Record(content, Fault.NONE if is_right else Fault.CHECKSUM, is_checked=is_right))

    def _add_real_time(self, byte: int) -> None:
        """What comes before the first sync byte is noise; so is what follows a cycle that is too long to be one."""
        cycle = self._cycle
        if byte & 0xF0 == _SYNC:
            self._end_cycle()
            if self._count == _CYCLES:
                self._end_cycles()
        elif not cycle:
            return
        cycle.append(byte)
        if len(cycle) > _LONGEST_CYCLE:
            self._end_cycles()
            self._ready.append(Record(bytes(cycle), Fault.OVERLONG))
            cycle.clear()

    def _end_cycle(self) -> None:
        if self._cycle:
            self._cycles += self._cycle
            self._cycle.clear()
            self._count += 1

    def _end_cycles(self) -> None:
        if self._cycles:
            self._ready.append(Record(bytes(self._cycles)))
            self._cycles.clear()
            self._count = 0


def sum8(total: int) -> bytes:
    """Return the low byte of a sum as two hexadecimal digits, in capitals."""
    return b"%02X" % (total & 0xFF)


def fcs16(data: bytes) -> int:
    """Return the frame check sequence of RFC 1662, appendix C (polynomial 8408h, complemented).

    It is the CRC that Python's library has (1021h), of the mirrored bytes, mirrored.
    """
    return _reversed(binascii.crc_hqx(data.translate(_MIRROR), 0xFFFF), 16) ^ 0xFFFF


def _reversed(number: int, bits: int) -> int:
    """The bits of a number in the other order."""
    return int(f"{number:0{bits}b}"[::-1], 2)


_MIRROR: Final = bytes(_reversed(byte, 8) for byte in range(256))
_LONGEST_FRAME: Final = 247
"""Of ASTM E1381: 240 characters of text and seven around them."""
_SHORTEST_BODY: Final = 2
_SHORTEST_MEDIBUS: Final = 3
_REAL_TIME: Final = 0x80
_SYNC: Final = 0xD0
_CYCLES: Final = 8
"""Of real time, in one record: an eighth of a second at 62.5 Hz."""
_LONGEST_CYCLE: Final = 64
"""A sync byte, twelve values of two bytes each, and as many bytes again for its commands."""
_ESCAPE: Final = 0x7D


def _index(data: bytearray, byte: int) -> int:
    found = data.find(byte)
    return found if found >= 0 else len(data)


def _unescaped(stuffed: bytes) -> bytes:
    """Undo 7D: the byte after it has its bit 5 inverted. An escape without a byte after it stays, and fails the check."""
    pieces = stuffed.split(bytes([_ESCAPE]))
    undone = bytearray(pieces[0])
    for piece in pieces[1:]:
        undone += bytes([piece[0] ^ 0x20]) + piece[1:] if piece else bytes([_ESCAPE])
    return bytes(undone)


def _dri(frame: bytes) -> tuple[bytes, Fault]:
    content = frame[:-1]
    return (content, Fault.NONE) if content and sum(content) & 0xFF == frame[-1] else (frame, Fault.CHECKSUM)


def _intellivue(frame: bytes) -> tuple[bytes, Fault]:
    content, check = frame[:-2], frame[-2:]
    is_right = len(content) > 0 and fcs16(content).to_bytes(2, "little") == check
    return (content, Fault.NONE) if is_right else (frame, Fault.CHECKSUM)
