"""A device to the program that has locked it: the kernel's list of flock(2) locks (proc_locks(5))."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from msgspec import Struct


class Holder(Struct, frozen=True):
    """Who holds a lock."""

    pid: int
    program: str


def holder(device: str, proc: Path = Path("/proc")) -> Holder | None:
    """Return who has locked a device; None: nobody that can be seen from here."""
    try:
        found = Path(device).stat()
        where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        locks = (proc / "locks").read_text(encoding="ascii")
    except OSError:
        return None
    for pid, place in _FLOCK.findall(locks):
        if place == where and int(pid) > 0:
            return Holder(int(pid), _program(proc / pid))
    return None


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a program"


_FLOCK: Final = re.compile(r"^\d+: FLOCK +ADVISORY +WRITE +(-?\d+) ([0-9a-f]+:[0-9a-f]+:\d+) ", re.MULTILINE)
