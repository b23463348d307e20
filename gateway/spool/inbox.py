"""Sets of readings that came without an exam, to rows that wait until a person says whose they are.

Nothing here guesses: an entry waits for ever. A person assigns it or discards it; the service of its port makes the objects,
and says KEPT in the very transaction that admits them, so that it is never kept twice and never lost. What could not be kept
waits again, and says why.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.errors import NoSuchRow, WrongState
from gateway.model import InboxEntry, InboxState, ReadingSet
from gateway.spool.heard import digest
from gateway.spool.rows import Row, stamp, value
from gateway.structs import learn

if TYPE_CHECKING:
    from gateway.spool.history import History
    from gateway.spool.quota import Quota
    from gateway.spool.store import Store

_COLUMNS = 'entry_id, port, instrument, received_at, readings, state, exam_id, "by", problem'


class Inbox:
    """What waits for a person, of every port."""

    def __init__(self, store: Store, quota: Quota, history: History) -> None:
        """Keep the store; a set may use the last byte, as one of the running exam may."""
        self._store = store
        self._quota = quota
        self._history = history

    def add(
        self,
        port: str,
        instrument: str,
        readings: ReadingSet,
        *,
        received_at: datetime | None = None,
        problem: str = "",
    ) -> InboxEntry:
        """Let a set wait, durable when this returns; `problem` is why no exam has it.

        `received_at` is given for a set of another boot, of which `readings.received_ns` tells nothing.
        """
        clock = self._store.clock
        boot_id = "" if received_at else clock.boot_id()
        at = received_at or clock.now() - timedelta(microseconds=(clock.monotonic_ns() - readings.received_ns) // 1000)
        self._quota.make_way()
        with self._store.transaction():
            rows = self._store.rows(
                f"""INSERT INTO inbox (port, instrument, received_at, received_boot, readings, digest, problem)
                    VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}""",
                (
                    port,
                    instrument,
                    stamp(at),
                    boot_id,
                    msgspec.json.encode(readings).decode("utf-8"),
                    digest(readings),
                    problem,
                ),
            )
            self._say(rows[0], "a reading waits in the inbox", text=problem)
        return _entry(rows[0])

    def waiting(self) -> list[InboxEntry]:
        """Return what waits for a person, and what was assigned and is not kept yet, in the order in which it came."""
        rows = self._store.rows(
            f"SELECT {_COLUMNS} FROM inbox WHERE state IN ('WAITING', 'ASSIGNED') ORDER BY entry_id"
        )
        return [_entry(row) for row in rows]

    def count(self) -> int:
        """Return how many wait for a person."""
        row = self._store.row("SELECT count(*) AS number FROM inbox WHERE state = 'WAITING'")
        return int(row["number"]) if row else 0

    def recent(self, limit: int) -> list[InboxEntry]:
        """Return what was decided and done, latest first."""
        rows = self._store.rows(
            f"""SELECT {_COLUMNS} FROM inbox WHERE state IN ('KEPT', 'DISCARDED')
                ORDER BY settled_at DESC, entry_id DESC LIMIT ?""",
            (limit,),
        )
        return [_entry(row) for row in rows]

    def get(self, entry_id: int) -> InboxEntry:
        """Return one entry; raises NoSuchRow."""
        return _entry(self._row(entry_id))

    def assigned(self, port: str) -> list[InboxEntry]:
        """Return what the service of a port shall keep, in order."""
        rows = self._store.rows(
            f"SELECT {_COLUMNS} FROM inbox WHERE state = 'ASSIGNED' AND port = ? ORDER BY entry_id", (port,)
        )
        return [_entry(row) for row in rows]

    def ports_assigned(self) -> set[str]:
        """Return the ports of which something is assigned and not kept yet."""
        return {row["port"] for row in self._store.rows("SELECT DISTINCT port FROM inbox WHERE state = 'ASSIGNED'")}

    def assign(self, entry_id: int, exam_id: UUID, by: str) -> InboxEntry:
        """Say whose it is; the caller rings the service of its port. Until that has kept it, it can be assigned anew.

        Raises NoSuchRow when there is no such entry or exam, WrongState when it was kept or discarded.
        """
        with self._store.transaction():
            if self._store.row("SELECT 1 FROM exam WHERE exam_id = ?", (str(exam_id),)) is None:
                raise NoSuchRow(what="exam", key=exam_id)
            return self._move(entry_id, InboxState.ASSIGNED, "assigned", exam_id=exam_id, by=by)

    def discard(self, entry_id: int, by: str) -> InboxEntry:
        """Decide that it is nobody's: it makes no object. Raises NoSuchRow, and WrongState when it was kept or discarded."""
        return self._move(entry_id, InboxState.DISCARDED, "discarded", exam_id=None, by=by)

    def keep(self, entry_id: int, exam_id: UUID) -> InboxEntry:
        """Say that its objects are in the exam: in the transaction that admits them.

        Raises WrongState when a person has decided otherwise meanwhile: then nothing of that transaction happens.
        """
        with self._store.transaction():
            self._expect_assigned(entry_id, exam_id, "keep")
            return self._move(entry_id, InboxState.KEPT, "kept", exam_id=exam_id)

    def refuse(self, entry_id: int, exam_id: UUID, problem: str) -> InboxEntry:
        """Say why it could not be kept in the exam; it waits again. Raises WrongState as `keep` does."""
        with self._store.transaction():
            self._expect_assigned(entry_id, exam_id, "refuse")
            return self._move(entry_id, InboxState.WAITING, "could not be kept", exam_id=None, problem=problem)

    def boot_of(self, entry_id: int) -> str:
        """Return the boot whose monotonic clock its readings are timed by; empty when that is not known."""
        row = self._store.row("SELECT received_boot FROM inbox WHERE entry_id = ?", (entry_id,))
        return str(row["received_boot"]) if row else ""

    def has(self, port: str, content: str, since: datetime) -> bool:
        """Say whether the same content waits, of this port and not older than `since`: what comes now is a reprint."""
        found = self._store.row(
            """SELECT 1 FROM inbox WHERE state IN ('WAITING', 'ASSIGNED') AND port = ? AND digest = ? AND received_at >= ?
               LIMIT 1""",
            (port, content, stamp(since)),
        )
        return found is not None

    def prune(self, before: datetime) -> int:
        """Forget what was kept or discarded before; what waits, waits for ever. Return how many."""
        with self._store.transaction():
            return self._store.run(
                "DELETE FROM inbox WHERE state IN ('KEPT', 'DISCARDED') AND settled_at < ?", (stamp(before),)
            ).rowcount

    def _expect_assigned(self, entry_id: int, exam_id: UUID, event: str) -> None:
        entry = self.get(entry_id)
        if entry.state is not InboxState.ASSIGNED or entry.exam_id != exam_id:
            raise WrongState(what="This reading", state=entry.state, event=event)

    def _move(
        self, entry_id: int, state: InboxState, event: str, *, exam_id: UUID | None, by: str = "", problem: str = ""
    ) -> InboxEntry:
        self._quota.make_way()
        is_settled = state in {InboxState.KEPT, InboxState.DISCARDED}
        with self._store.transaction():
            before = self._row(entry_id)
            if before["state"] in {InboxState.KEPT, InboxState.DISCARDED}:
                raise WrongState(what="This reading", state=before["state"], event=state)
            rows = self._store.rows(
                f"""UPDATE inbox SET state = ?, exam_id = ?, "by" = ?, problem = ?, settled_at = ?
                    WHERE entry_id = ? RETURNING {_COLUMNS}""",
                (
                    state,
                    str(exam_id) if exam_id else None,
                    by or before["by"],
                    problem,
                    stamp(self._store.clock.now()) if is_settled else None,
                    entry_id,
                ),
            )
            self._say(rows[0], event, text=problem or (f"exam {exam_id}" if exam_id else ""), by=by)
        return _entry(rows[0])

    def _row(self, entry_id: int) -> Row:
        row = self._store.row(f"SELECT {_COLUMNS} FROM inbox WHERE entry_id = ?", (entry_id,))
        if row is None:
            raise NoSuchRow(what="reading in the inbox", key=entry_id)
        return row

    def _say(self, row: Row, event: str, *, text: str = "", by: str = "") -> None:
        where = f"inbox {row['entry_id']}, port {row['port']}"
        self._history.add(where, event, text=text, by=by)


class _Plain(Struct, frozen=True, kw_only=True):
    """An entry without its readings."""

    entry_id: int
    port: str
    instrument: str
    received_at: datetime
    state: InboxState
    exam_id: UUID | None
    by: str
    problem: str


def _entry(row: Row) -> InboxEntry:
    found = value(row, _Plain)
    return InboxEntry(readings=msgspec.json.decode(row["readings"], type=ReadingSet), **msgspec.structs.asdict(found))


learn(_Plain)
