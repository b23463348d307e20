"""Captures to rows: a press gets its number, and a cine the number of each segment, before the first byte (law 2)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from gateway.errors import NoSuchRow, WrongState
from gateway.model import Capture, CaptureKind, CaptureState
from gateway.spool import lease
from gateway.spool.quota import Quota
from gateway.spool.rows import Row, stamp, value
from gateway.spool.store import Store
from gateway.structs import learn


class Rejection(Struct, frozen=True):
    """A capture that was discarded after it had been released, by whom."""

    exam_id: UUID
    number: int
    by: str


class Captures:
    """The captures of every exam."""

    def __init__(self, store: Store, quota: Quota) -> None:
        """Keep the store."""
        self._store = store
        self._quota = quota

    def begin(self, exam_id: UUID, kind: CaptureKind, source: str, started_at: datetime, started_ns: int) -> Capture:
        """Commit the next number of an exam, RECORDING and owned by this process; raises NoSuchRow."""
        self._quota.make_way()
        me = self._store.me
        with self._store.transaction():
            rows = self._store.rows(
                """INSERT INTO capture
                   SELECT exam_id, (SELECT coalesce(max(number), 0) + 1 FROM capture WHERE exam_id = exam.exam_id),
                          ?, 'RECORDING', ?, ?, ?, '', 1, ?, ?, ?
                   FROM exam WHERE exam_id = ? RETURNING *""",
                (kind, source, stamp(started_at), started_ns, me.boot_id, me.pid, me.started, str(exam_id)),
            )
        if not rows:
            raise NoSuchRow(what="exam", key=exam_id)
        return value(rows[0], Capture)

    def next_segment(self, exam_id: UUID, number: int) -> int:
        """Commit the number of the next segment of a long recording (the first is 0)."""
        self._quota.make_way()
        with self._store.transaction():
            rows = self._store.rows(
                "UPDATE capture SET segments = segments + 1 WHERE exam_id = ? AND number = ? RETURNING segments",
                (str(exam_id), number),
            )
        if not rows:
            raise NoSuchRow(what="capture", key=number)
        return int(rows[0]["segments"]) - 1

    def get(self, exam_id: UUID, number: int) -> Capture:
        """Return one capture; raises NoSuchRow."""
        return value(self._row(exam_id, number), Capture)

    def of_exam(self, exam_id: UUID) -> list[Capture]:
        """Return the captures of an exam, in order of the presses."""
        rows = self._store.rows("SELECT * FROM capture WHERE exam_id = ? ORDER BY number", (str(exam_id),))
        return [value(row, Capture) for row in rows]

    def set_state(self, exam_id: UUID, number: int, state: CaptureState, note: str = "") -> Capture:
        """Move a capture; a note that is given is added. LOST is final, and what is RELEASED only `reject` discards (WrongState)."""
        self._quota.make_way()
        with self._store.transaction():
            capture = self.get(exam_id, number)
            if (capture.state, state) in _IMPOSSIBLE or capture.state is CaptureState.LOST:
                raise WrongState(what="This capture", state=capture.state, event=state)
            self._store.run(
                "UPDATE capture SET state = ?, note = ? WHERE exam_id = ? AND number = ?",
                (state, "; ".join(filter(None, (capture.note, note))), str(exam_id), number),
            )
        return self.get(exam_id, number)

    def reject(self, exam_id: UUID, number: int, by: str, *, is_note_owed: bool) -> Capture:
        """Discard a RELEASED capture, for good; when something of it may have arrived, a rejection note is owed from now on.

        Raises WrongState for any other capture.
        """
        self._quota.make_way()
        with self._store.transaction():
            capture = self.get(exam_id, number)
            if capture.state is not CaptureState.RELEASED:
                raise WrongState(what="This capture", state=capture.state, event="reject")
            key = (str(exam_id), number)
            self._store.run("UPDATE capture SET state = 'DISCARDED' WHERE exam_id = ? AND number = ?", key)
            self._store.run("INSERT INTO rejection VALUES (?, ?, ?, ?)", (*key, by, is_note_owed))
        return self.get(exam_id, number)

    def is_rejected(self, exam_id: UUID, number: int) -> bool:
        """Say whether a capture was discarded after its release: nothing brings it back."""
        key = (str(exam_id), number)
        return self._store.row("SELECT 1 FROM rejection WHERE exam_id = ? AND number = ?", key) is not None

    def notes_owed(self) -> list[Rejection]:
        """Return the rejections whose note is not written yet."""
        rows = self._store.rows("SELECT * FROM rejection INDEXED BY rejection_owed WHERE is_note_owed = 1")
        return [value(row, Rejection) for row in rows]

    def note_written(self, exam_id: UUID, number: int) -> None:
        """Say that a rejection's note is admitted; in the transaction that admits it."""
        with self._store.transaction():
            self._store.run(
                "UPDATE rejection SET is_note_owed = 0 WHERE exam_id = ? AND number = ?", (str(exam_id), number)
            )

    def abandoned(self, source: str) -> list[Capture]:
        """Return the captures that were RECORDING from a source when their process died."""
        boot_id = self._store.clock.boot_id()
        rows = self._store.rows("SELECT * FROM capture WHERE state = 'RECORDING' AND source = ?", (source,))
        return [value(row, Capture) for row in rows if not lease.is_alive(_owner(row), boot_id)]

    def _row(self, exam_id: UUID, number: int) -> Row:
        row = self._store.row("SELECT * FROM capture WHERE exam_id = ? AND number = ?", (str(exam_id), number))
        if row is None:
            raise NoSuchRow(what="capture", key=number)
        return row


def _owner(row: Row) -> lease.Owner:
    return lease.Owner(row["owner_boot"], row["owner_pid"], row["owner_started"])


_IMPOSSIBLE = frozenset(
    {
        (CaptureState.RELEASED, CaptureState.DISCARDED),
        (CaptureState.RELEASED, CaptureState.RECORDING),
        (CaptureState.RELEASED, CaptureState.LOST),
        (CaptureState.HELD, CaptureState.RECORDING),
        (CaptureState.DISCARDED, CaptureState.RECORDING),
    }
)


learn(Rejection)
