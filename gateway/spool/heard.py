"""How far the journal of each port has been turned into sets, and what they said: rows that a restart does not forget.

The mark of a port moves in the transaction that keeps a set, so that what the journal holds behind it is exactly what nobody
has yet (law 1). A quiet point is a place in the journal at which nothing was under way: from there a fresh parser makes the
same sets again, of which the first `sets` are done. What was kept is remembered by its content, so that a reprint is known.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from gateway.spool.rows import stamp, value
from gateway.structs import learn

if TYPE_CHECKING:
    from gateway.model import ReadingSet
    from gateway.spool.store import Store


class Mark(Struct, frozen=True, kw_only=True):
    """How far a journal has been turned into sets."""

    file: str = ""
    """Name of the journal of a day; empty: nothing has been heard."""
    offset: int = 0
    """Where in it the quiet point is, in bytes."""
    sets: int = 0
    """How many of the sets that begin there are done."""
    boot_id: str = ""
    """Of the boot that wrote it: what follows came in that boot or later."""


class Kept(Struct, frozen=True, kw_only=True):
    """A capture with the same content."""

    exam_id: UUID
    capture: int


class Heard:
    """The marks of all ports, and what they have heard lately."""

    def __init__(self, store: Store) -> None:
        """Keep the store."""
        self._store = store

    def mark(self, port: str) -> Mark:
        """Return how far the journal of a port has been turned into sets."""
        row = self._store.row("SELECT * FROM heard WHERE port = ?", (port,))
        return value(row, Mark) if row else Mark()

    def turned(self, port: str, mark: Mark) -> None:
        """Move the mark of a port: in the transaction that keeps the set, if one was made."""
        with self._store.transaction():
            self._store.run(
                """INSERT INTO heard VALUES (?, ?, ?, ?, ?) ON CONFLICT (port) DO UPDATE
                   SET file = excluded.file, offset = excluded.offset, sets = excluded.sets, boot_id = excluded.boot_id""",
                (port, mark.file, mark.offset, mark.sets, mark.boot_id),
            )

    def remember(self, port: str, content: str, kept: Kept, received_at: datetime) -> None:
        """Remember what a capture says; in the transaction that keeps it."""
        with self._store.transaction():
            self._store.run(
                "INSERT OR REPLACE INTO printed VALUES (?, ?, ?, ?, ?)",
                (port, content, str(kept.exam_id), kept.capture, stamp(received_at)),
            )

    def same(self, port: str, content: str, exam_id: UUID, received_at: datetime, within: timedelta) -> Kept | None:
        """Return the capture of an exam that says the same and came so near in time, before or after; None: there is none.

        One that was discarded or lost does not count.
        """
        row = self._store.row(
            """SELECT printed.exam_id, printed.capture FROM printed
               JOIN capture ON capture.exam_id = printed.exam_id AND capture.number = printed.capture
               WHERE port = ? AND content = ? AND printed.exam_id = ? AND received_at BETWEEN ? AND ?
                 AND capture.state NOT IN ('DISCARDED', 'LOST') LIMIT 1""",
            (port, content, str(exam_id), stamp(received_at - within), stamp(received_at + within)),
        )
        return value(row, Kept) if row else None

    def prune(self, before: datetime) -> None:
        """Forget what came before: no reprint comes so late."""
        with self._store.transaction():
            self._store.run("DELETE FROM printed WHERE received_at < ?", (stamp(before),))


def digest(readings: ReadingSet) -> str:
    """Return what a set says, without when it came and without our doubts, as SHA-256 in hex: equal for a reprint."""
    says = (
        [structs.replace(one, received_ns=0, doubts=()) for one in readings.observations],
        [structs.replace(one, received_ns=0, doubts=()) for one in readings.traces],
    )
    return hashlib.sha256(msgspec.json.encode(says)).hexdigest()


learn(Mark, Kept)
