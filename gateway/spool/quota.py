"""How much room the data partition has, and who may still use it.

Law 3: a full disk refuses new work and loses nothing. New work stops at `keep_free`; the running exam, settling and
purging go on to the last byte, and then release the ballast, a preallocated file (posix_fallocate(3)). Every writer
reserves room in steps before it writes: one counter for all processes, a slot each in `<data>/reserved` under flock(2),
and a dead process's slot counts for nothing. The database and the journals count because the file system counts them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from gateway.errors import DiskFull
from gateway.spool import lease

STEP_BYTES = 8 << 20
"""A writer reserves this much at a time."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SLOT = struct.Struct("<QQQ")
_SLOTS = 128
_LOW_WATER_BYTES = 4 << 20
"""Below this even a row may not fit: the ballast goes before it is tried."""


class Room(Struct, frozen=True):
    """What is left on the data partition."""

    free_bytes: int
    """That nobody has reserved."""
    total_bytes: int
    ballast_bytes: int
    """What the ballast still holds; 0: it was released, or never fitted."""
    is_low: bool
    """New work is refused."""


class Reservation:
    """Room that one writer may still use; ends with `close`."""

    def __init__(self, quota: Quota, size: int, *, is_urgent: bool) -> None:
        """Reserve the first step; raises DiskFull."""
        self._quota = quota
        self._is_urgent = is_urgent
        self._reserved = self._left = 0
        self._renew(size)

    def use(self, size: int) -> None:
        """Account for `size` bytes about to be written; reserves the next step when needed, or raises DiskFull."""
        if size > self._left:
            self._renew(size)
        self._left -= size

    def close(self) -> None:
        """Give back what was not used."""
        self._quota.change(-self._reserved, is_urgent=True)
        self._reserved = self._left = 0

    @property
    def reserved_bytes(self) -> int:
        """What nobody else gets until it is closed."""
        return self._reserved

    def _renew(self, size: int) -> None:
        """Replace what was used up by a step, or near the end by just what is needed; only for that does the ballast go."""
        step = max(STEP_BYTES, size)
        try:
            self._quota.change(step - self._reserved, is_urgent=self._is_urgent, may_release=step == size)
        except DiskFull:
            step = size
            self._quota.change(step - self._reserved, is_urgent=self._is_urgent)
        self._reserved = self._left = step


class Quota:
    """The room of one spool. Safe to share between threads."""

    def __init__(self, data: Path, me: lease.Owner, *, ballast_bytes: int, keep_free_bytes: int) -> None:
        """Open the counter and, if there is room, make the ballast."""
        self._data = data
        self._me = me
        self._ballast = data / "ballast"
        self._ballast_bytes = ballast_bytes
        self._keep_free_bytes = keep_free_bytes
        self._threads = threading.Lock()
        self._mine = 0
        self._slot: int | None = None
        self._fd = os.open(data / "reserved", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.restore_ballast()

    def room(self) -> Room:
        """Measure."""
        disk = os.statvfs(self._data)
        with self._counting():
            reserved = self._mine + self._others()
        free = max(0, disk.f_bavail * disk.f_frsize - reserved)
        return Room(free, disk.f_blocks * disk.f_frsize, _size(self._ballast), free < self._keep_free_bytes)

    def reserve(self, size: int, *, is_urgent: bool = False) -> Reservation:
        """Reserve room for one writer, who closes it. `is_urgent`: the running exam. Raises DiskFull."""
        return Reservation(self, size, is_urgent=is_urgent)

    def change(self, more: int, *, is_urgent: bool, may_release: bool = True) -> None:
        """Change what this process has reserved; raises DiskFull and leaves it as it was.

        `may_release`: the ballast goes when only that makes what is urgent fit.
        """
        with self._counting():
            if more >= 0 and not self._fits(more, is_urgent=is_urgent, may_release=may_release):
                raise DiskFull
            self._mine += more
            self._write_slot()

    def make_way(self) -> None:
        """Release the ballast if not even a few rows would fit: for the running exam, settling and purging."""
        if self._ballast_bytes and _free(self._data) < _LOW_WATER_BYTES:
            self.release_ballast()

    def release_ballast(self) -> int:
        """Free the ballast; return how many bytes that gave."""
        size = _size(self._ballast)
        with suppress(FileNotFoundError):
            os.truncate(self._ballast, 0)
        return size

    def restore_ballast(self) -> bool:
        """Make the ballast again if that leaves room for new work; say whether it is whole."""
        missing = self._ballast_bytes - _size(self._ballast)
        if missing <= 0:
            return True
        if _free(self._data) < missing + self._keep_free_bytes:
            return False
        return _allocate(self._ballast, self._ballast_bytes)

    def close(self) -> None:
        """Give this process's slot back."""
        with self._counting():
            self._mine = 0
            self._write_slot()
        os.close(self._fd)

    def _fits(self, more: int, *, is_urgent: bool, may_release: bool) -> bool:
        """Ask three times: as it stands, without the dead, without the ballast."""
        floor = 0 if is_urgent else self._keep_free_bytes
        if self._is_free(more + floor):
            return True
        self._forget_the_dead()
        if self._is_free(more + floor):
            return True
        return is_urgent and may_release and self.release_ballast() > 0 and self._is_free(more)

    def _is_free(self, size: int) -> bool:
        return _free(self._data) - self._mine - self._others() >= size

    @contextmanager
    def _counting(self) -> Iterator[None]:
        with self._threads:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _others(self) -> int:
        return sum(size for number, (_, _, size) in enumerate(self._slots()) if number != self._slot)

    def _slots(self) -> list[tuple[int, int, int]]:
        data = os.pread(self._fd, _SLOT.size * _SLOTS, 0).ljust(_SLOT.size * _SLOTS, b"\0")
        return list(_SLOT.iter_unpack(data))

    def _write_slot(self) -> None:
        if self._slot is None:
            self._forget_the_dead()
            self._slot = next(number for number, (pid, _, _) in enumerate(self._slots()) if not pid)
        pid = self._me.pid if self._mine else 0
        os.pwrite(self._fd, _SLOT.pack(pid, self._me.started, self._mine), self._slot * _SLOT.size)
        if not pid:
            self._slot = None

    def _forget_the_dead(self) -> None:
        for number, (pid, started, _) in enumerate(self._slots()):
            if pid and lease.started_at(pid) != started:
                os.pwrite(self._fd, bytes(_SLOT.size), number * _SLOT.size)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what a full disk answers to write(2), fsync(2) or fallocate(2) into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull from error
        raise


def _allocate(path: Path, size: int) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.posix_fallocate(fd, 0, size)
        os.fsync(fd)
        return True
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.ftruncate(fd, 0)
        return False
    finally:
        os.close(fd)


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
