"""Locks that a killed process cannot leave behind: one for writers, one for each service.

Law 1: every write transaction and every checkpoint holds `<data>/writer.lock`. flock(2) belongs to the open file
description, so the threads of a process need a lock of their own around it; the kernel frees it when the process dies.
A process that is stopped (SIGSTOP) inside a transaction stalls every writer until it goes on or dies: waiting is the only
answer that loses nothing, and systemd's watchdog kills a service that cannot feed it. Readers never wait.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from gateway.errors import AlreadyRunning

_MODE = 0o640


class WriterLock:
    """The one lock of all who write; not re-entrant: the store counts its nesting."""

    def __init__(self, path: Path) -> None:
        """Open (and create) the file; nothing is ever written to it."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the other threads, then for the other processes."""
        with self._threads:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which frees the lock."""
        os.close(self._fd)


class ServiceLock:
    """`<data>/locks/<service>`: held as long as the service lives."""

    def __init__(self, folder: Path, service: str) -> None:
        """Take the lock, or raise AlreadyRunning with the process that has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(folder / service, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        if not try_lock(self._fd):
            pid = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "?"
            os.close(self._fd)
            raise AlreadyRunning(service=service, pid=pid)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the next one in."""
        os.close(self._fd)


def try_lock(fd: int) -> bool:
    """Take the flock of a file if nobody has it; say whether it is ours now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Say whether a living process holds the flock of this file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not try_lock(fd)
    finally:
        os.close(fd)
