"""Every write and flush of a guest's disk, as QEMU's blklogwrites recorded them, to the disks that a power cut may have left.

The model: a volatile write cache. Whatever had been written before the last flush is on the disk; of what was written after
it each write, or each sector of it, is there or not, whatever became of its neighbours; a FUA write is there. Since the
lost and the kept are drawn one by one, every order of destaging is among the outcomes: a write that went to the disk before
an older one is one that was kept while the older was lost. A sector (512 bytes) is written whole or not at all.

The format is that of Linux, Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c: a block
with the head, then for each entry a block that describes it, followed by its data.
"""

from __future__ import annotations

import enum
import os
import random
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SECTOR: Final = 512
MAGIC: Final = 0x6A736677736872
VERSION: Final = 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8

_HEAD: Final = struct.Struct("<QQQI")
_ENTRY: Final = struct.Struct("<QQQQ")
_TORN_SHARE: Final = 0.3
_STALE_S: Final = 0.02
_CHUNK: Final = 1 << 20


class BadLog(Exception):
    """This is not a log of writes, or not of a kind that is known here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that the guest made of its disk."""

    at: int
    """Where on the disk, in bytes."""
    size: int
    """Bytes written; 0 for a flush alone."""
    flags: int
    data_at: int
    """Where its data is in the log, in bytes."""

    @property
    def is_flush(self) -> bool:
        """What was written before is durable, once this was answered."""
        return bool(self.flags & FLUSH)

    @property
    def is_durable(self) -> bool:
        """It did not stay in the cache (forced unit access)."""
        return bool(self.flags & FUA)


class Log:
    """What was recorded so far. May be read while QEMU writes it; `entries` grows with `look`."""

    def __init__(self, path: Path) -> None:
        """Open a log that has its head. Raises BadLog."""
        self.path = path
        self.entries: list[Entry] = []
        self._file = path.open("rb")
        magic, version, self._counted, self._block = self._head()
        if magic != MAGIC or version != VERSION or self._block < SECTOR:
            self._file.close()
            raise BadLog(f"{path.name} is not a log of writes of version {VERSION}")
        self._next = self._block
        self.look()

    def __enter__(self) -> Self:
        """Have it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def look(self) -> int:
        """Take in what was added; return how many entries there are.

        An entry that is not written down yet ends the walk. The head's own count may be older than the walk, and ahead
        of it: the greater one is right.
        """
        while (entry := self._entry()) is not None:
            self.entries.append(entry)
            self._next = entry.data_at + _blocks(entry, self._block)
        self._counted = max(self._counted, self._head()[2])
        return max(self._counted, len(self.entries))

    def position(self) -> int:
        """Return a number of entries among which is everything the guest was answered before now; QEMU's own writing lags a little."""
        time.sleep(_STALE_S)
        return self.look()

    def data(self, entry: Entry) -> bytes:
        """Return what was written."""
        return os.pread(self._file.fileno(), entry.size, entry.data_at)

    def _head(self) -> tuple[int, int, int, int]:
        head = os.pread(self._file.fileno(), _HEAD.size, 0)
        if len(head) < _HEAD.size:
            raise BadLog(f"{self.path.name} has no head")
        magic, version, entries, block = _HEAD.unpack(head)
        return magic, version, entries, block

    def _entry(self) -> Entry | None:
        head = os.pread(self._file.fileno(), _ENTRY.size, self._next)
        if len(head) < _ENTRY.size or head == bytes(_ENTRY.size):
            return None
        sector, sectors, flags, _ = _ENTRY.unpack(head)
        if flags & MARK:  # its text stands in the entry's own block
            return Entry(at=0, size=0, flags=flags, data_at=self._next + self._block)
        if flags & DISCARD:
            raise BadLog("a discard: give the guest a disk without (discard=off)")
        return Entry(at=sector * self._block, size=sectors * self._block, flags=flags, data_at=self._next + self._block)


class Fate(enum.Enum):
    """What a cut does to the writes that were in the cache."""

    LOST = "all are lost"
    KEPT = "all are kept"
    MIXED = "each is lost or kept"
    TORN = "each is lost or kept, and some are torn: each of their sectors is lost or kept"
    LATEST = "the latest are kept and the earlier lost"


FATES: Final = (Fate.LOST, Fate.KEPT, Fate.MIXED, Fate.MIXED, Fate.TORN, Fate.TORN, Fate.LATEST)
"""How often each is drawn."""


@dataclass(frozen=True)
class Piece:
    """Bytes that reached the disk."""

    at: int
    data: bytes


def survivors(
    log: Log, cached: Sequence[Entry], fate: Fate, chance: random.Random, *, whole_below: int = 0
) -> Iterator[Piece]:
    """Yield what a cut left of the writes in the cache, in the order in which they were made.

    `whole_below`: a write that begins below this byte of the disk is never torn, only lost or kept.
    """
    first_kept = chance.randrange(len(cached) + 1) if fate is Fate.LATEST else 0
    for number, entry in enumerate(cached):
        if not entry.size:
            continue
        piece = Piece(entry.at, log.data(entry))
        if entry.is_durable:
            yield piece
        elif fate is Fate.TORN and entry.at >= whole_below and chance.random() < _TORN_SHARE:
            yield from _sectors(piece, chance)
        elif _is_kept(number, fate, first_kept, chance):
            yield piece


class Disk:
    """An image that goes forward through a log: what is durable at each cut, and beside it what was in the cache."""

    def __init__(self, log: Log, image: Path) -> None:
        """`image`: the disk as it was when the recording began; it is changed."""
        self._log = log
        self._image = image.open("r+b")
        self._applied = 0

    def __enter__(self) -> Self:
        """Have it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the image."""
        self._image.close()

    def forward(self, cut: int) -> list[Entry]:
        """Apply what is durable when the power fails after `cut` entries; return the writes in the cache, oldest first.

        Cuts come in ascending order. A flush that carries data makes durable what was before it, not its own data.
        """
        entries = self._log.entries
        last = next((n for n in range(cut - 1, self._applied - 1, -1) if entries[n].is_flush), self._applied)
        write(self._image.fileno(), (Piece(each.at, self._log.data(each)) for each in entries[self._applied : last]))
        self._applied = last
        return entries[last:cut]


def write(image: int, pieces: Sequence[Piece] | Iterator[Piece]) -> None:
    """Write pieces to an open image."""
    for piece in pieces:
        os.pwrite(image, piece.data, piece.at)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy an image without its holes: an empty disk costs nothing."""
    with source.open("rb") as reading, target.open("wb") as writing:
        size = os.fstat(reading.fileno()).st_size
        os.ftruncate(writing.fileno(), size)
        for start, end in _extents(reading.fileno(), size):
            for at in range(start, end, _CHUNK):
                os.pwrite(writing.fileno(), os.pread(reading.fileno(), min(_CHUNK, end - at), at), at)


def cuts(total: int, answered: Sequence[int], flushes: Sequence[int], count: int, chance: random.Random) -> list[int]:
    """Choose where the power fails: right after answers, right before and after flushes, and anywhere; ascending.

    `answered`: how many entries there were at each answer. A third of the cuts are of each kind, spread over the run.
    """
    first = min(answered, default=1)
    kinds: list[Callable[[], int]] = [
        lambda: chance.choice(answered) + chance.choice((0, 0, 1, 2)),
        lambda: chance.choice(flushes) + chance.choice((0, 1)),
        lambda: chance.randint(first, total),
    ]
    drawn = (kinds[number % 3]() if answered and flushes else kinds[2]() for number in range(count))
    return sorted(min(max(cut, 1), total) for cut in drawn)


def _blocks(entry: Entry, block: int) -> int:
    return (entry.size + block - 1) // block * block


def _is_kept(number: int, fate: Fate, first_kept: int, chance: random.Random) -> bool:
    match fate:
        case Fate.LOST:
            return False
        case Fate.KEPT:
            return True
        case Fate.LATEST:
            return number >= first_kept
    return chance.random() < 0.5


def _sectors(piece: Piece, chance: random.Random) -> Iterator[Piece]:
    for start in range(0, len(piece.data), SECTOR):
        if chance.random() < 0.5:
            yield Piece(piece.at + start, piece.data[start : start + SECTOR])


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that are no holes (lseek(2), SEEK_DATA)."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at
