"""Which SQLite this is, and whether it can lose a commit by itself.

The WAL-reset bug: two connections that write and checkpoint at the same instant could corrupt a database, in 3.7.0 to
3.51.2, mended in 3.51.3 and, of older branches, 3.50.7 and 3.44.6 (sqlite.org/wal.html). Law 1's writer lock keeps that
instant from ever coming; what this file says is for the engineer.
"""

from __future__ import annotations

import sqlite3

Version = tuple[int, ...]

_FIRST: Version = (3, 7, 0)
_MENDED: Version = (3, 51, 3)
_BRANCHES: tuple[Version, ...] = ((3, 44, 6), (3, 50, 7))


def version() -> str:
    """Return the version of the SQLite library in this process."""
    return sqlite3.sqlite_version


def has_wal_reset_bug(stated: str) -> bool:
    """Say whether a version has the bug."""
    found = tuple(int(part) for part in stated.split("."))
    is_mended = any(found[:2] == branch[:2] and found >= branch for branch in _BRANCHES)
    return _FIRST <= found < _MENDED and not is_mended
