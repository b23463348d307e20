"""What a person asks of a service, to rows: asked once, taken once, answered once, or MISSED with the reason.

A press carries the boot id and the monotonic time at which it was made; another boot, another exam or too late is MISSED
(`StalePress`), and the panel says so.
"""

from __future__ import annotations

from uuid import UUID

from gateway.errors import GatewayError, NoSuchRow, StalePress, WrongState
from gateway.model import Request, RequestKind, RequestState
from gateway.spool import lease
from gateway.spool.quota import Quota
from gateway.spool.rows import Row, value
from gateway.spool.store import Store


class Requests:
    """The presses of every exam."""

    def __init__(self, store: Store, quota: Quota) -> None:
        """Keep the store; a press is of the running exam, and its row may use the last byte."""
        self._store = store
        self._quota = quota

    def ask(self, kind: RequestKind, exam_id: UUID, station: str, *, pressed_ns: int, expires_ns: int) -> Request:
        """Record a press of this boot."""
        self._quota.make_way()
        with self._store.transaction():
            rows = self._store.rows(
                """INSERT INTO request (kind, exam_id, station, pressed_boot_id, pressed_ns, expires_ns, state)
                   VALUES (?, ?, ?, ?, ?, ?, 'REQUESTED') RETURNING *""",
                (kind, str(exam_id), station, self._store.clock.boot_id(), pressed_ns, expires_ns),
            )
        return value(rows[0], Request)

    def take(self, station: str) -> Request | None:
        """Take the oldest press of a station that still counts; those that do not are MISSED on the way."""
        if (
            self._store.row("SELECT 1 FROM request WHERE station = ? AND state = 'REQUESTED' LIMIT 1", (station,))
            is None
        ):
            return None
        self._quota.make_way()
        with self._store.transaction():
            waiting = self._store.rows(
                """SELECT request.*, exam.status = 'IN PROGRESS' AS is_running
                   FROM request LEFT JOIN exam ON exam.exam_id = request.exam_id AND exam.station = request.station
                   WHERE request.station = ? AND request.state = 'REQUESTED' ORDER BY request_id""",
                (station,),
            )
            for row in waiting:
                if stale := self._staleness(row):
                    self.missed(row["request_id"], StalePress(problem=stale))
                else:
                    return self._take(row["request_id"])
        return None

    def done(self, request_id: int, capture: int | None) -> Request:
        """Say which capture answered a press."""
        return self._answer(request_id, RequestState.DONE, capture=capture)

    def missed(self, request_id: int, error: GatewayError) -> Request:
        """Say why nothing answered a press."""
        return self._answer(request_id, RequestState.MISSED, error_code=error.code, error_text=str(error))

    def get(self, request_id: int) -> Request:
        """Return one press; raises NoSuchRow."""
        row = self._store.row("SELECT * FROM request WHERE request_id = ?", (request_id,))
        if row is None:
            raise NoSuchRow(what="request", key=request_id)
        return value(row, Request)

    def of_exam(self, exam_id: UUID) -> list[Request]:
        """Return the presses of an exam, in order."""
        rows = self._store.rows("SELECT * FROM request WHERE exam_id = ? ORDER BY request_id", (str(exam_id),))
        return [value(row, Request) for row in rows]

    def recover(self) -> int:
        """Turn what a dead process had TAKEN into MISSED; return how many."""
        boot_id = self._store.clock.boot_id()
        missed = 0
        with self._store.transaction():
            for row in self._store.rows("SELECT * FROM request WHERE state = 'TAKEN'"):
                owner = lease.Owner(row["owner_boot"], row["owner_pid"], row["owner_started"])
                if not lease.is_alive(owner, boot_id):
                    self.missed(row["request_id"], StalePress(problem="the service that had taken it was stopped"))
                    missed += 1
        return missed

    def _staleness(self, row: Row) -> str:
        clock = self._store.clock
        if row["pressed_boot_id"] != clock.boot_id():
            return "the box was restarted since"
        if not row["is_running"]:
            return "that exam has ended"
        if clock.monotonic_ns() > row["expires_ns"]:
            return f"nobody took it within {(row['expires_ns'] - row['pressed_ns']) / 1e9:.0f} seconds"
        return ""

    def _take(self, request_id: int) -> Request:
        me = self._store.me
        self._store.run(
            """UPDATE request SET state = 'TAKEN', owner_boot = ?, owner_pid = ?, owner_started = ?
               WHERE request_id = ?""",
            (me.boot_id, me.pid, me.started, request_id),
        )
        return self.get(request_id)

    def _answer(
        self,
        request_id: int,
        state: RequestState,
        *,
        capture: int | None = None,
        error_code: str = "",
        error_text: str = "",
    ) -> Request:
        self._quota.make_way()
        with self._store.transaction():
            request = self.get(request_id)
            if request.state not in {RequestState.REQUESTED, RequestState.TAKEN}:
                raise WrongState(what="This press", state=request.state, event=state)
            self._store.run(
                "UPDATE request SET state = ?, capture = ?, error_code = ?, error_text = ? WHERE request_id = ?",
                (state, capture, error_code, error_text, request_id),
            )
            return self.get(request_id)
