"""What happened and what is wrong, in rows that people read: events by whom, and troubles until somebody clears them.

No PHI: a subject is `exam <uuid>`, `delivery <number>`, a UID or a digest.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from gateway.errors import GatewayError, NoSuchRow
from gateway.spool.rows import stamp, value
from gateway.spool.store import Store
from gateway.structs import learn


class Entry(Struct, frozen=True, kw_only=True):
    """One event."""

    entry_id: int
    at: datetime
    """By this box's clock at that moment, right or wrong."""
    subject: str
    event: str
    text: str = ""
    by: str = ""
    """Who did it; empty: the gateway itself."""


class Trouble(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with what is stored, found by recovery."""

    trouble_id: int
    subject: str
    error_code: str
    text: str
    found_at: datetime


class History:
    """What happened."""

    def __init__(self, store: Store) -> None:
        """Keep the store."""
        self._store = store

    def add(self, subject: str, event: str, *, text: str = "", by: str = "") -> None:
        """Record an event."""
        with self._store.transaction():
            self._store.run(
                'INSERT INTO history (at, subject, event, text, "by") VALUES (?, ?, ?, ?, ?)',
                (stamp(self._store.clock.now()), subject, event, text, by),
            )

    def recent(self, limit: int) -> list[Entry]:
        """Return the latest events, latest first."""
        return [
            value(row, Entry)
            for row in self._store.rows("SELECT * FROM history ORDER BY entry_id DESC LIMIT ?", (limit,))
        ]

    def of(self, subject: str) -> list[Entry]:
        """Return what happened to one subject, first event first."""
        rows = self._store.rows("SELECT * FROM history WHERE subject = ? ORDER BY entry_id", (subject,))
        return [value(row, Entry) for row in rows]


class Troubles:
    """What is wrong, until a person clears it."""

    def __init__(self, store: Store, history: History) -> None:
        """Keep the store."""
        self._store = store
        self._history = history

    def add(self, subject: str, error: GatewayError) -> bool:
        """Show a trouble, once; say whether it is a new one."""
        with self._store.transaction():
            added = self._store.run(
                "INSERT OR IGNORE INTO trouble (subject, error_code, text, found_at) VALUES (?, ?, ?, ?)",
                (subject, error.code, str(error), stamp(self._store.clock.now())),
            ).rowcount
            if added:
                self._history.add(subject, "trouble", text=f"{error.code} {error}")
        return bool(added)

    def all(self) -> list[Trouble]:
        """Return what nobody has cleared, latest first."""
        rows = self._store.rows("SELECT * FROM trouble WHERE cleared_by = '' ORDER BY trouble_id DESC")
        return [value(row, Trouble) for row in rows]

    def clear(self, trouble_id: int, by: str) -> None:
        """Take a trouble off the screen, by a named person; raises NoSuchRow."""
        with self._store.transaction():
            rows = self._store.rows(
                "UPDATE trouble SET cleared_by = ? WHERE trouble_id = ? AND cleared_by = '' RETURNING subject",
                (by, trouble_id),
            )
            if not rows:
                raise NoSuchRow(what="trouble", key=trouble_id)
            self._history.add(rows[0]["subject"], "cleared", by=by)


learn(Entry, Trouble)
