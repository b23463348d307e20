"""Bytes to `<data>/blobs/ab/<SHA-256>`: durable before anybody is told so.

Law 1, in this order: `.part` on the data partition, the digest as it is written, fsync, rename, fsync of the directory
(rename(2), fsync(2)); the row comes after, inside the same `with`. The writer holds the flock of its file until the `with`
ends, through the rename: so recovery tells a file that somebody is about to admit from one that a dead process left.
After borg's SaveFile and SyncFile: cleaned up on both roads.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from uuid import uuid4

from gateway.errors import BlobCorrupt, BlobMissing, WrongState
from gateway.spool import lock
from gateway.spool.quota import Quota, Reservation, disk_errors
from gateway.spool.writeback import Writeback

_PREFIXES = tuple(f"{number:02x}" for number in range(256))
_HEX = frozenset("0123456789abcdef")


class Part:
    """One object being written, by one thread. Nothing of it stays unless it was committed."""

    def __init__(self, blobs: Blobs, path: Path, reservation: Reservation) -> None:
        """Create the file and lock it."""
        self.path = path
        """Where the bytes are: `.part` until `commit`, then the blob."""
        self.size_bytes = 0
        self._blobs = blobs
        self._reservation = reservation
        self._hash = hashlib.sha256()
        self._digest = ""
        self._was_there = False
        with disk_errors():
            self._fd = _open_locked(path)
        self._writeback = Writeback(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave nothing behind that no row will ever own."""
        try:
            if not self._digest:
                self.path.unlink(missing_ok=True)
            elif kind is not None and not self._was_there:
                self._blobs.drop_unowned(self._digest)
        finally:
            os.close(self._fd)
            self._reservation.close()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append, and hash in the same pass; raises DiskFull."""
        view = memoryview(data).cast("B")
        self._reservation.use(view.nbytes)
        self._hash.update(view)
        written = 0
        with disk_errors():
            while written < view.nbytes:
                written += os.write(self._fd, view[written:])
        self.size_bytes += written
        self._writeback.grown_to(self.size_bytes)
        return written

    def commit(self) -> tuple[str, int]:
        """Make it durable under its digest; return digest and size. Admit it before the `with` ends."""
        if self._digest:
            raise WrongState(what="This object", state="committed", event="commit")
        digest = self._hash.hexdigest()
        final = self._blobs.path(digest)
        with disk_errors():
            os.fsync(self._fd)
            self._was_there = final.exists()
            self.path.rename(final)
            self.path, self._digest = final, digest
            sync_folder(final.parent)
        return digest, self.size_bytes


class Blobs:
    """Every stored object, by the digest of its bytes. Knows no UID and no row."""

    def __init__(self, data: Path, quota: Quota, is_owned: Callable[[str], bool], drop: Callable[[str], bool]) -> None:
        """Make the folders. `is_owned` asks the rows; `drop` removes a blob that no row has, under the writer lock."""
        self._folder = data / "blobs"
        self._parts = data / "parts"
        self._quarantine = data / "quarantine"
        self._quota = quota
        self._is_owned = is_owned
        self.drop_unowned = drop
        self._make_folders()

    def part(self, reserve_bytes: int = 0, *, is_urgent: bool = False) -> Part:
        """Begin an object: `with blobs.part() as part: part.write(...); part.commit(); admit`.

        `is_urgent`: of the running exam, which may use the last byte and the ballast. Raises DiskFull at once when new
        work is refused.
        """
        reservation = self._quota.reserve(reserve_bytes, is_urgent=is_urgent)
        try:
            return Part(self, self._parts / f"{uuid4()}.part", reservation)
        except BaseException:
            reservation.close()
            raise

    def path(self, digest: str) -> Path:
        """Return where the blob of a digest is, or would be."""
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise BlobMissing(blob=digest)
        return self._folder / digest[:2] / digest

    def verify(self, digest: str) -> None:
        """Read the whole blob; raise BlobMissing or BlobCorrupt."""
        try:
            with self.path(digest).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise BlobMissing(blob=digest) from None
        if found != digest:
            raise BlobCorrupt(blob=digest)

    def remove(self, digest: str) -> None:
        """Unlink a blob, durably. Only for a row that is PURGING, or a blob that no row has."""
        path = self.path(digest)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def all(self) -> Iterator[str]:
        """Name every blob on the disk."""
        for prefix in _PREFIXES:
            with os.scandir(self._folder / prefix) as entries:
                yield from sorted(entry.name for entry in entries)

    def orphans(self) -> Iterator[str]:
        """Name every blob that no row has and no living writer is about to admit."""
        for digest in self.all():
            if not self._is_owned(digest) and not self._is_being_admitted(digest):
                yield digest

    def quarantine(self, digest: str) -> Path:
        """Move a blob out of the way, to be looked at; return where it is now."""
        source = self._folder / digest[:2] / digest
        target = self._quarantine / digest
        source.rename(target)
        sync_folder(self._quarantine)
        sync_folder(source.parent)
        return target

    def remove_dead_parts(self) -> list[str]:
        """Remove what dead writers left half written; return the names."""
        return [path.name for path in sorted(self._parts.iterdir()) if _remove_if_dead(path)]

    def _is_being_admitted(self, digest: str) -> bool:
        try:
            return lock.is_held(self._folder / digest[:2] / digest)
        except FileNotFoundError:
            return True  # purged or replaced since it was listed

    def _make_folders(self) -> None:
        for folder in (self._parts, self._quarantine, self._folder):
            folder.mkdir(parents=True, exist_ok=True)
        missing = set(_PREFIXES).difference(path.name for path in self._folder.iterdir())
        for prefix in sorted(missing):
            (self._folder / prefix).mkdir(exist_ok=True)
        if missing:
            sync_folder(self._folder)
            sync_folder(self._folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_locked(path: Path) -> int:
    """Create a file and lock it; again, when recovery took it for a dead one's before it was locked."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _remove_if_dead(path: Path) -> bool:
    """Remove a file unless a living writer has it locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        is_dead = lock.try_lock(fd)
        if is_dead:
            path.unlink(missing_ok=True)
        return is_dead
    finally:
        os.close(fd)
