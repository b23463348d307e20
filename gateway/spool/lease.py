"""Who holds something, and whether that one still lives: boot id, process id and the time the process started.

Law 6: wall clocks lie, and process ids come again. A lease is dead when the box was booted since, when no process has
the id, when the process that has it started at another time, or when it is a zombie (proc_pid_stat(5), fields 3 and 22).
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct


class Owner(Struct, frozen=True):
    """One process of one boot."""

    boot_id: str
    pid: int
    started: int
    """Clock ticks since boot (field 22)."""

    @property
    def is_alive(self) -> bool:
        """Say whether this very process still runs, as far as this boot can tell."""
        return started_at(self.pid) == self.started


def myself(boot_id: str) -> Owner:
    """Return the lease of the calling process."""
    pid = os.getpid()
    return Owner(boot_id, pid, started_at(pid) or 0)


def is_alive(owner: Owner, boot_id: str) -> bool:
    """Say whether an owner lives in this boot."""
    return owner.boot_id == boot_id and owner.is_alive


def started_at(pid: int) -> int | None:
    """Return when a living process started, in ticks since boot; None when there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(b")")[2].split()  # the name may hold spaces and brackets; what follows is field 3
    return None if fields[0] in b"ZX" else int(fields[19])
