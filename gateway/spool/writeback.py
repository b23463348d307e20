"""Bytes that were written begin to reach the disk now, so that the fsync at the end has little left to wait for.

Promises nothing about durability: fsync does. sync_file_range(2) with SYNC_FILE_RANGE_WRITE (linux/fs.h) only starts the
transfer; a file system that cannot is left alone. A large object thus never leaves gigabytes for its last moment, in which a
sender would lose patience.
"""

from __future__ import annotations

import ctypes

STEP_BYTES = 128 << 10
"""Started at most this often."""
_PAGE_BYTES = 4096
_SYNC_FILE_RANGE_WRITE = 2


class Writeback:
    """The transfer of one growing file."""

    def __init__(self, fd: int) -> None:
        """`fd` is open for writing, and outlives this."""
        self._fd = fd
        self._started = 0

    def grown_to(self, size: int) -> None:
        """Start what became whole pages since the last time, once it is worth a system call."""
        if size - self._started >= STEP_BYTES:
            end = size - size % _PAGE_BYTES
            _sync_file_range(self._fd, self._started, end - self._started, _SYNC_FILE_RANGE_WRITE)
            self._started = end


_sync_file_range = ctypes.CDLL(None).sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_sync_file_range.restype = ctypes.c_int
