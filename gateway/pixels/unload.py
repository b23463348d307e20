"""The compiler's program text out of this process's memory, once every kernel is compiled: nothing will run it again.

llvmlite's library has some 55 MB of instructions that loading a cached kernel touches once. They are clean pages of a file:
MADV_DONTNEED (madvise(2)) lets go of them, and whoever should need one again reads it from the file. Only mappings that are
executable and not writable are let go (proc(5), /proc/PID/maps): what the loader has relocated is never touched.
"""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path

_TEXT = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-xp .*/libllvmlite\.so$")


def compiler() -> int:
    """Let go of the compiler's instructions; return how many bytes of address space that are."""
    libc = ctypes.CDLL(None)
    total = 0
    for first, end in _mappings():
        if libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_DONTNEED) == 0:
            total += end - first
    return total


def _mappings() -> list[tuple[int, int]]:
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    return [(int(found[1], 16), int(found[2], 16)) for line in lines if (found := _TEXT.fullmatch(line))]
