"""The worklist, kept for when the RIS is down: replaced as a whole or not at all, names in Unicode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from gateway.errors import NoSuchRow
from gateway.model import ScheduledStep
from gateway.spool.rows import stamp, time_of
from gateway.spool.store import Store


class Failure(Struct, frozen=True):
    """Why the worklist could not be fetched, since when it last could."""

    text: str
    at: datetime


class Worklist:
    """What is ordered, as the RIS last said it."""

    def __init__(self, store: Store) -> None:
        """Keep the store."""
        self._store = store

    def replace(self, steps: Sequence[ScheduledStep], fetched_at: datetime) -> None:
        """Keep these items instead of the former ones; an item that came twice is kept once, as it came last."""
        items = {step.key: msgspec.json.encode(step).decode("utf-8") for step in steps}
        with self._store.transaction():
            self._store.run("DELETE FROM worklist")
            for key, body in items.items():
                self._store.run("INSERT INTO worklist (key, body) VALUES (?, ?)", (key, body))
            self._store.run(
                "UPDATE worklist_state SET fetched_at = ?, failed_at = NULL, failure = ''", (stamp(fetched_at),)
            )

    def all(self) -> list[ScheduledStep]:
        """Return every item, in the order of the RIS."""
        rows = self._store.rows("SELECT body FROM worklist ORDER BY position")
        return [msgspec.json.decode(row["body"], type=ScheduledStep) for row in rows]

    def get(self, key: str) -> ScheduledStep:
        """Return one item by its key; raises NoSuchRow."""
        row = self._store.row("SELECT body FROM worklist WHERE key = ?", (key,))
        if row is None:
            raise NoSuchRow(what="worklist item", key=key)
        return msgspec.json.decode(row["body"], type=ScheduledStep)

    def fetched(self) -> datetime | None:
        """Return when the RIS was last asked with success."""
        row = self._store.row("SELECT fetched_at FROM worklist_state")
        return time_of(row["fetched_at"]) if row else None

    def failure(self, text: str) -> None:
        """Record why the RIS could not be asked; what was fetched before is kept."""
        with self._store.transaction():
            self._store.run(
                "UPDATE worklist_state SET failed_at = ?, failure = ?", (stamp(self._store.clock.now()), text)
            )

    def last_failure(self) -> Failure | None:
        """Return the failure since the last success; None when there was none."""
        row = self._store.row("SELECT failed_at, failure FROM worklist_state WHERE failed_at IS NOT NULL")
        return Failure(row["failure"], datetime.fromisoformat(row["failed_at"])) if row else None
