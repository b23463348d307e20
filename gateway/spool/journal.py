"""Bytes of a serial line to an append-only file: stored with their arrival times before anyone parses them.

One file per port and day. A chunk is a header (length, CLOCK_REALTIME and CLOCK_MONOTONIC in ns, CRC-32 of these and of
the bytes) and the bytes; the highest bit of the length says that the line had errors while they came. Only the synced part
counts as stored; a torn tail is ignored when read. A parser's bug, mended later, is replayed from here. Days go once they are
old or the port has too much (`prune`), never one that has not been turned into sets.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.clock import BUILT_AT
from gateway.errors import DiskFull, SpoolError
from gateway.spool.quota import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

_HEADER: Final = struct.Struct("<IqqI")
_LIMIT_BYTES: Final = 1 << 20
_DAMAGED: Final = 1 << 31
SYNC_NS: Final = 100_000_000
"""Nothing stays unsynced for longer, while it is asked."""


class Chunk(Struct, frozen=True):
    """What arrived at once."""

    received_at_ns: int
    """Wall clock, ns since 1970: it may have been wrong."""
    received_ns: int
    """CLOCK_MONOTONIC."""
    data: bytes
    is_damaged: bool = False
    """The line had errors while it came."""
    end: int = 0
    """Where it ends in its file, in bytes."""


class Place(Struct, frozen=True):
    """A place between two chunks."""

    file: str = ""
    """The name of the file; empty: none was opened yet."""
    offset: int = 0


class Journal:
    """The journal of one port, open for appending."""

    def __init__(self, folder: Path) -> None:
        """`folder` is `<data>/serial/<port>`; it is made when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = -1
        self._unsynced_ns: int | None = None
        """When the first of what is not durable was appended."""
        self.place = Place()
        """Where the next chunk goes."""

    def open(self, file: str, whole: int = 0) -> Place:
        """Open a day's file, and cut off what is torn at its end; so much of it is known to be whole. Raises SpoolError."""
        self.close()
        path = self._folder / file
        try:
            with disk_errors():
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SpoolError(problem=f"{path.name}: {error.strerror}") from error
        end = max((chunk.end for chunk in read(path, whole)), default=min(whole, path.stat().st_size))
        os.ftruncate(self._file, end)
        os.fsync(self._file)  # what a process that died had appended counts from here on
        _sync_folder(self._folder)
        self.place = Place(file, end)
        return self.place

    def append(
        self, data: bytes, at: datetime, received_ns: int, *, is_damaged: bool = False, stays: bool = False
    ) -> Place:
        """Write one chunk; return where it ends. Raises DiskFull; what was written in part is cut off again.

        A new day is a new file, unless it `stays` in the open one: a message across midnight is in one file.
        """
        if self._file < 0 or (not stays and self.place.file != file_of(at)):
            self.open(file_of(at))
        chunk = _packed(data, int(at.timestamp() * 1e9), received_ns, is_damaged=is_damaged)
        try:
            _write_all(self._file, chunk)
        except OSError as error:
            os.ftruncate(self._file, self.place.offset)
            raise DiskFull from error
        self.place = Place(self.place.file, self.place.offset + len(chunk))
        if self._unsynced_ns is None:
            self._unsynced_ns = received_ns
        return self.place

    def sync_by(self, now_ns: int) -> None:
        """Make durable what was appended 100 ms ago or earlier, and all that came since."""
        if self._unsynced_ns is not None and now_ns - self._unsynced_ns >= SYNC_NS:
            self.sync()

    def sync(self) -> None:
        """Make all that was appended durable (fdatasync).

        Raises SpoolError: what could not be made durable may be gone although a second fdatasync says nothing of it, so nobody
        goes on from here; whoever opens the journal anew sees what is left of it.
        """
        if self._unsynced_ns is not None:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise SpoolError(problem=f"{self.place.file}: {error.strerror}") from error
            self._unsynced_ns = None

    def close(self) -> None:
        """Sync and close."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1


def file_of(at: datetime) -> str:
    """Return the name of a day's file."""
    return f"{at:%Y-%m-%d}.journal"


def read(path: Path, offset: int = 0) -> Iterator[Chunk]:
    """Yield the whole chunks of a journal from a place between two of them, in order; stop at the first that is torn or damaged."""
    with path.open("rb") as file:
        end = file.seek(offset)
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            size, at_ns, received_ns, crc = _HEADER.unpack(header)
            length = size & ~_DAMAGED
            data = file.read(length) if length <= _LIMIT_BYTES else b""
            if len(data) != length or _crc(data, size, at_ns, received_ns) != crc:
                return
            end += _HEADER.size + length
            yield Chunk(at_ns, received_ns, data, bool(size & _DAMAGED), end)


def prune(folder: Path, oldest: str, most_bytes: int, in_use: str) -> list[str]:
    """Remove the files of days before `oldest` (a file's name), and the oldest of the others while they are more than `most_bytes`.

    The file `in_use`, and what is newer than it, stays whatever its size; a day before this software was made came with a wrong
    clock, and is not known to be old. Return the names that went.
    """
    files = sorted(folder.glob("*.journal"))
    sizes = {path: path.stat().st_size for path in files}
    removed = []
    for path in files:
        is_old = file_of(BUILT_AT) <= path.name < oldest
        if path.name >= in_use or not (is_old or sum(sizes.values()) > most_bytes):
            continue
        path.unlink()
        del sizes[path]
        removed.append(path.name)
    if removed:
        _sync_folder(folder)
    return removed


def _packed(data: bytes, at_ns: int, received_ns: int, *, is_damaged: bool) -> bytes:
    size = len(data) | (_DAMAGED if is_damaged else 0)
    return _HEADER.pack(size, at_ns, received_ns, _crc(data, size, at_ns, received_ns)) + data


def _crc(data: bytes, size: int, at_ns: int, received_ns: int) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<Iqq", size, at_ns, received_ns)))


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
