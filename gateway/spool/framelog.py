"""Frames, as they are captured, to an append-only file: what a power cut leaves of it is exactly its whole frames.

`magic, length, header (JSON), CRC`, then for each frame `length, monotonic time, flags, CRC` and its bytes, then an end
mark when it was closed in order. A frame counts when its CRC-32 (ISO 3309, zlib) is right; reading stops at the first
that is not. `sync` is fdatasync(2); the service calls it each second. The writer holds the file's flock.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.errors import SpoolError
from gateway.model import CaptureKind, FrameFormat, Picture
from gateway.spool import lock
from gateway.spool.blobs import sync_folder
from gateway.spool.quota import Reservation, disk_errors
from gateway.structs import learn

_MAGIC = b"GWFRAME1"
_HEAD = struct.Struct("<8sI")
_FRAME = struct.Struct("<IQI")
_CRC = struct.Struct("<I")
_WHOLE, _END, _OVERRUN, _REPEATED = 1, 2, 4, 8
_LONGEST_HEADER = 1 << 20


class FrameLogHeader(Struct, frozen=True, kw_only=True):
    """What composing the object needs to know, beside the frames."""

    exam_id: UUID
    capture: int
    segment: int = 0
    kind: CaptureKind = CaptureKind.CINE
    source: str = ""
    started_at: datetime
    started_ns: int
    boot_id: str
    picture: Picture | None = None
    """What the frames are, when they are stored as they came out of the pixel chain (frame count and times not yet)."""
    grey_steps: tuple[str, ...] = ()
    """What was done to the pictures, where all of them turn out to be truly grey."""
    format: FrameFormat | None = None
    """What the grabber delivered."""
    notes: dict[str, str] = {}


class Tally(Struct, frozen=True):
    """What a frame log holds."""

    frames: int
    faulty: int
    """Frames that came damaged, or not at all, before the last whole one: recorded, never padded."""
    overrun: int
    """Those of them that came, and were gone before the recorder had its turn."""
    payload_bytes: int
    first_ns: int
    last_ns: int
    is_over: bool
    """The recording ended in it; otherwise it goes on in another log, or was cut off by the power or a dead process."""
    ended_early: str = ""
    """Where it is over: why, when it ended before it was stopped."""
    why: dict[str, int] = {}
    """What became of how many of the faulty ones, as far as it was told: "dropped", "error", "short", ..."""
    repeated: int = 0
    """Frames that came twice, and were stored once."""


class FrameLog:
    """One segment of one recording, while it records."""

    def __init__(self, fd: int, reservation: Reservation | None) -> None:
        """Use `create`."""
        self._fd = fd
        self._reservation = reservation
        self._end = os.fstat(fd).st_size
        self.frames = 0
        self.payload_bytes = 0

    @classmethod
    def create(cls, path: Path, header: FrameLogHeader, reservation: Reservation | None = None) -> FrameLog:
        """Begin a log, durably; raises DiskFull, and leaves nothing behind then."""
        path.parent.mkdir(parents=True, exist_ok=True)
        body = msgspec.json.encode(header)
        with disk_errors():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            lock.try_lock(fd)
            with disk_errors():
                _write(fd, _HEAD.pack(_MAGIC, len(body)), body, _CRC.pack(zlib.crc32(body)))
                os.fsync(fd)
                sync_folder(path.parent)
        except BaseException:
            os.close(fd)
            path.unlink()
            raise
        return cls(fd, reservation)

    @staticmethod
    def read(path: Path) -> tuple[FrameLogHeader, Iterator[tuple[int, bytes]]]:
        """Return the header and (captured_ns, bytes) of every whole frame; raises SpoolError when there is no header."""
        return read_header(path), _whole_frames(path)

    def append(self, frame: bytes | memoryview, captured_ns: int) -> None:
        """Add a whole frame. Raises DiskFull, and keeps the rest."""
        view = memoryview(frame).cast("B")
        self._add(view, captured_ns, _WHOLE)
        self.frames += 1
        self.payload_bytes += view.nbytes

    def miss(self, captured_ns: int, *, is_overrun: bool = False, why: str = "") -> None:
        """Record that a frame before this moment came damaged or not at all (`why`), or (`is_overrun`) was not taken in time."""
        self._add(memoryview(why.encode()), captured_ns, _OVERRUN if is_overrun else 0)

    def repeat(self, captured_ns: int) -> None:
        """Record that a frame before this moment came a second time, and was left out."""
        self._add(memoryview(b""), captured_ns, _REPEATED)

    @property
    def reserved_bytes(self) -> int:
        """Room that it keeps from everybody else while it records."""
        return self._reservation.reserved_bytes if self._reservation else 0

    def sync(self) -> None:
        """Make what was appended durable."""
        with disk_errors():
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Make it durable and let the file go: the recording goes on in another."""
        try:
            self.sync()
        finally:
            self.abandon()

    def end(self, ended_early: str = "") -> None:
        """Mark the end of the recording, and why it came before its time; make it durable, and let the file go."""
        try:
            self._add(memoryview(ended_early.encode()), 0, _END)
        except BaseException:
            self.abandon()
            raise
        self.close()

    def abandon(self) -> None:
        """Let the file go as it is (the disk is full, or the grabber failed): its whole frames stay."""
        os.close(self._fd)
        if self._reservation:
            self._reservation.close()

    def _add(self, frame: memoryview, captured_ns: int, flags: int) -> None:
        head = _FRAME.pack(frame.nbytes, captured_ns, flags)
        crc = _CRC.pack(zlib.crc32(frame, zlib.crc32(head)))
        size = len(head) + len(crc) + frame.nbytes
        if self._reservation:
            self._reservation.use(size)
        try:
            with disk_errors():
                _write(self._fd, head, crc, frame)
        except BaseException:
            os.ftruncate(self._fd, self._end)
            os.lseek(self._fd, self._end, os.SEEK_SET)
            raise
        self._end += size


def read_header(path: Path) -> FrameLogHeader:
    """Return what a log says of itself; raise SpoolError when the power failed before it could."""
    with path.open("rb") as file:
        return msgspec.json.decode(_header(file), type=FrameLogHeader)


def has_begun(path: Path) -> bool:
    """Say whether a log is longer than its header: one that was cut off before that never held a frame."""
    with path.open("rb") as file:
        magic, size = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size, b"\0"))
        length = os.fstat(file.fileno()).st_size
    return length > _HEAD.size and (magic != _MAGIC or length > _HEAD.size + size + _CRC.size)


def tally(path: Path, look: Callable[[int, bytes], object] = lambda _ns, _frame: None) -> Tally:
    """Count what a log holds, in one pass, without keeping a frame; `look` is shown each whole one, with its time."""
    frames = faulty = overrun = repeated = payload = first = last = 0
    gap = gap_overrun = 0  # what was missed since the last whole frame, and counts once another follows
    why, gap_why = Counter[str](), Counter[str]()
    is_over, ended_early = False, ""
    for captured_ns, flags, frame in _records(path):
        if flags & _END:
            is_over, ended_early = True, frame.decode("utf-8", "replace")
        elif flags & _WHOLE:
            frames += 1
            faulty, overrun, gap, gap_overrun = faulty + gap, overrun + gap_overrun, 0, 0
            why, gap_why = why + gap_why, Counter()
            payload += len(frame)
            first, last = first or captured_ns, captured_ns
            look(captured_ns, frame)
        elif flags & _REPEATED:
            repeated += 1
        else:
            gap += 1
            gap_overrun += bool(flags & _OVERRUN)
            gap_why.update([frame.decode("utf-8", "replace")] if frame else [])
    return Tally(frames, faulty, overrun, payload, first, last, is_over, ended_early, dict(why), repeated)


def is_recording(path: Path) -> bool:
    """Say whether a living process still writes to it."""
    return lock.is_held(path)


def _whole_frames(path: Path) -> Iterator[tuple[int, bytes]]:
    for captured_ns, flags, frame in _records(path):
        if flags == _WHOLE:
            yield captured_ns, frame


def _records(path: Path) -> Iterator[tuple[int, int, bytes]]:
    with path.open("rb") as file:
        _header(file)
        left = os.fstat(file.fileno()).st_size - file.tell()
        while left >= _FRAME.size + _CRC.size:
            head = file.read(_FRAME.size)
            (crc,) = _CRC.unpack(file.read(_CRC.size))
            size, captured_ns, flags = _FRAME.unpack(head)
            left -= _FRAME.size + _CRC.size + size
            if left < 0:
                return
            frame = file.read(size)
            if zlib.crc32(frame, zlib.crc32(head)) != crc:
                return
            yield captured_ns, flags, frame


def _header(file: BinaryIO) -> bytes:
    magic, size = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size, b"\0"))
    if magic != _MAGIC or size > _LONGEST_HEADER:
        raise SpoolError(problem="a recording has no readable beginning")
    body: bytes = file.read(size)
    crc = file.read(_CRC.size)
    if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(body):
        raise SpoolError(problem="a recording has no readable beginning")
    return body


def _write(fd: int, *pieces: bytes | memoryview) -> None:
    """Write all pieces, in as few calls as the kernel allows."""
    waiting = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    while waiting:
        written = os.writev(fd, waiting)
        while waiting and written >= waiting[0].nbytes:
            written -= waiting.pop(0).nbytes
        if waiting:
            waiting[0] = waiting[0][written:]


learn(FrameLogHeader)
