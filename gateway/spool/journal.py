"""Bytes of a serial line to an append-only file: stored with their arrival times before anyone parses them.

One file per port and day. A chunk is a header (length, CLOCK_REALTIME and CLOCK_MONOTONIC in ns, CRC-32 of these and of
the bytes) and the bytes. Only the synced part counts as stored; a torn tail is ignored when read. A parser's bug, mended
later, is replayed from here.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.errors import DiskFull, SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

_HEADER: Final = struct.Struct("<IqqI")
_LIMIT_BYTES: Final = 1 << 20


class Chunk(Struct, frozen=True):
    """What arrived at once."""

    received_at_ns: int
    """Wall clock, ns since 1970: it may have been wrong."""
    received_ns: int
    """CLOCK_MONOTONIC."""
    data: bytes


class Journal:
    """The journal of one port, open for appending; it moves to the next day's file by itself."""

    def __init__(self, folder: Path) -> None:
        """`folder` is `<data>/serial/<port>`; it is made when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._day = ""
        self._file = -1
        self._is_synced = True

    def append(self, data: bytes, at: datetime, received_ns: int) -> None:
        """Write one chunk. Raises DiskFull; what was written in part is cut off again."""
        self._open(f"{at:%Y-%m-%d}")
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            _write_all(self._file, _packed(data, int(at.timestamp() * 1e9), received_ns))
        except OSError as error:
            os.ftruncate(self._file, end)
            raise DiskFull from error
        self._is_synced = False

    def sync(self) -> None:
        """Make all that was appended durable (fdatasync)."""
        if not self._is_synced:
            os.fdatasync(self._file)
            self._is_synced = True

    def close(self) -> None:
        """Sync and close."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1

    def _open(self, day: str) -> None:
        if day == self._day and self._file >= 0:
            return
        self.close()
        path = self._folder / f"{day}.journal"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SpoolError(problem=f"{path.name}: {error.strerror}") from error
        os.ftruncate(self._file, sum(_HEADER.size + len(chunk.data) for chunk in read(path)))
        _sync_folder(self._folder)
        self._day = day


def read(path: Path) -> Iterator[Chunk]:
    """Yield the whole chunks of a journal, in order; stop at the first that is torn or damaged."""
    with path.open("rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, at_ns, received_ns, crc = _HEADER.unpack(header)
            data = file.read(length) if length <= _LIMIT_BYTES else b""
            if len(data) != length or _crc(data, at_ns, received_ns) != crc:
                return
            yield Chunk(at_ns, received_ns, data)


def _packed(data: bytes, at_ns: int, received_ns: int) -> bytes:
    return _HEADER.pack(len(data), at_ns, received_ns, _crc(data, at_ns, received_ns)) + data


def _crc(data: bytes, at_ns: int, received_ns: int) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<Iqq", len(data), at_ns, received_ns)))


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
