"""Deliveries to rows: claimed in batches, settled in batches, and moved only as the table in states.py says.

A claim is one `UPDATE ... RETURNING` (after litequeue's pop), oldest first, and leaves the lease of this process. Waiting
is monotonic with the boot id (law 6): what waits since another boot is due. Claim and settle read only what they touch,
however many rows there are: QUEUED is split by two partial indexes into what is due and what waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from random import SystemRandom
from typing import Any
from uuid import UUID

from gateway.errors import ClockUntrusted, LeaseLost, NoSuchRow, PatientUnknown, WrongState
from gateway.model import CaptureState, Delivery, DeliveryState, PayloadKind, StoreOutcome
from gateway.spool import backoff, lease, statements, states
from gateway.spool.history import History
from gateway.spool.quota import Quota
from gateway.spool.rows import Row, stamp, time_of, value
from gateway.spool.states import Event
from gateway.spool.store import Store

_VERDICTS = {"accepted": Event.ACCEPT, "later": Event.DEFER, "never": Event.REJECT}
_BY_A_SENDER = frozenset({Event.ACCEPT, Event.RELAYED, Event.DEFER, Event.REJECT})
_TOLD = frozenset({Event.REJECT, Event.COMMIT_FAILED, Event.LOST, Event.HOLD, Event.RELEASE, Event.RETRY, Event.CANCEL})
"""Events that a person will ask about."""


class Deliveries:
    """What is owed to whom, and how it stands."""

    def __init__(self, store: Store, quota: Quota, history: History, random: Callable[[], float] | None = None) -> None:
        """Keep the store; `random` draws the jitter, from [0, 1)."""
        self._store = store
        self._quota = quota
        self._history = history
        self._random = random or SystemRandom().random

    def add(
        self,
        kind: PayloadKind,
        payload: str,
        destination: str,
        *,
        exam_id: UUID | None = None,
        after: int | None = None,
        held_for: str = "",
        release_at_ns: int | None = None,
        is_commitment_required: bool = False,
    ) -> Delivery:
        """Owe a payload to a destination. `held_for`: "RELEASE" or "PERSON", else it is QUEUED at once."""
        self._quota.make_way()
        with self._store.transaction():
            rows = self._store.rows(
                """INSERT INTO delivery
                   (kind, payload, destination, state, after, exam_id, held_for, release_boot, release_ns,
                    is_commitment_required) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *""",
                (
                    kind,
                    payload,
                    destination,
                    DeliveryState.HELD if held_for else DeliveryState.QUEUED,
                    after,
                    str(exam_id) if exam_id else None,
                    held_for,
                    self._store.clock.boot_id(),
                    release_at_ns,
                    is_commitment_required,
                ),
            )
        return value(rows[0], Delivery)

    def claim(self, destination: str, limit: int, *, is_newest_first: bool = False) -> list[Delivery]:
        """Take up to `limit` due deliveries, oldest (or newest) first: SENDING, leased to this process."""
        if self.next_due_s(destination) != 0:
            return []
        self._quota.make_way()
        me = self._store.me
        with self._store.transaction():
            self._wake(destination)
            statement = statements.CLAIM_NEWEST if is_newest_first else statements.CLAIM
            rows = self._store.rows(statement, (me.boot_id, me.pid, me.started, destination, limit))
        return sorted((value(row, Delivery) for row in rows), key=lambda delivery: delivery.delivery_id)

    def settle(self, outcomes: Sequence[tuple[int, StoreOutcome]]) -> list[int]:
        """Record what a batch of attempts came to, in one transaction; return those whose lease was lost meanwhile.

        A lost one stays as its new owner has it: it may be sent twice under the same UID, never lost.
        """
        self._quota.make_way()
        lost = []
        with self._store.transaction():
            rows = {row["delivery_id"]: row for row in self._by_id([number for number, _ in outcomes])}
            for number, outcome in outcomes:
                row = rows.pop(number, None)
                if row is None or not self._is_mine(row):
                    lost.append(number)
                else:
                    self._move(row, _VERDICTS[outcome.verdict], code=outcome.error_code, text=outcome.text)
        return lost

    def apply(self, delivery_id: int, event: str, *, text: str = "", by: str = "", code: str = "") -> DeliveryState:
        """Move one delivery by any event but a claim; return its new state.

        Raises WrongState (the table has no such cell, or the object has left this box), LeaseLost (another process sends
        it), and for a release PatientUnknown or ClockUntrusted.
        """
        self._quota.make_way()
        with self._store.transaction():
            row = self._row(delivery_id)
            if event not in Event.__members__.values() or event == Event.CLAIM:
                raise WrongState(what="This delivery", state=row["state"], event=event)
            if row["state"] == DeliveryState.SENDING and event in _BY_A_SENDER and not self._is_mine(row):
                raise LeaseLost
            return self._move(row, Event(event), code=code, text=text, by=by)

    def get(self, delivery_id: int) -> Delivery:
        """Return one delivery; raises NoSuchRow."""
        return value(self._row(delivery_id), Delivery)

    def next_due_s(self, destination: str) -> float | None:
        """Return how long until something may be claimed: 0.0 now, None when nothing waits for time alone."""
        if self._store.row(f"{statements.DUE} LIMIT 1", (destination,)):
            return 0.0
        clock = self._store.clock
        row = self._store.row(statements.NEXT, {"destination": destination, "boot": clock.boot_id()})
        if row is None or row["due_ns"] is None:
            return None
        return max(0.0, (int(row["due_ns"]) - clock.monotonic_ns()) / 1e9)

    def probe_now(self, destination: str) -> int:
        """End every backoff of a destination, because it has just answered; return how many waited."""
        woken = 0
        while True:
            with self._store.transaction():
                chunk = self._store.run(statements.PROBED, (destination, statements.CHUNK)).rowcount
            woken += chunk
            if chunk < statements.CHUNK:
                return woken

    def of_payload(self, payload: str) -> list[Delivery]:
        """Return the deliveries of one object."""
        return self._list("SELECT * FROM delivery WHERE payload = ? ORDER BY delivery_id", (payload,))

    def of_exam(self, exam_id: UUID) -> list[Delivery]:
        """Return the deliveries of one exam."""
        return self._list("SELECT * FROM delivery WHERE exam_id = ? ORDER BY delivery_id", (str(exam_id),))

    def failed(self, limit: int) -> list[Delivery]:
        """Return what a person must look at, latest first."""
        return self._list("SELECT * FROM delivery WHERE state = 'FAILED' ORDER BY delivery_id DESC LIMIT ?", (limit,))

    def recent(self, limit: int) -> list[Delivery]:
        """Return the latest deliveries, latest first."""
        return self._list("SELECT * FROM delivery ORDER BY delivery_id DESC LIMIT ?", (limit,))

    def counts(self) -> dict[str, dict[DeliveryState, int]]:
        """Count deliveries by destination and state."""
        counted: dict[str, dict[DeliveryState, int]] = {}
        for row in self._store.rows("SELECT destination, state, count(*) AS n FROM delivery GROUP BY 1, 2"):
            counted.setdefault(row["destination"], {})[DeliveryState(row["state"])] = row["n"]
        return counted

    def last_success(self, destination: str) -> datetime | None:
        """Return when a destination last took something (law 7)."""
        row = self._store.row("SELECT last_success_at FROM destination WHERE name = ?", (destination,))
        return time_of(row["last_success_at"]) if row else None

    def release_due(self, exam_id: UUID | None = None) -> int:
        """Release what waited for time alone and may leave; return how many.

        It may when its time has come (or the box was rebooted since, so that it certainly has), its exam has a patient and
        no doubt about the clock, no header of the exam is behind that identity, and its capture was not discarded.
        """
        clock = self._store.clock
        parameters = {"boot": clock.boot_id(), "now": clock.monotonic_ns(), "exam": str(exam_id) if exam_id else None}
        if self._store.row(f"{statements.RELEASABLE} LIMIT 1", parameters) is None:
            return 0
        self._quota.make_way()
        with self._store.transaction():
            rows = self._store.rows(statements.RELEASABLE, parameters)
            for row in rows:
                self._move(row, Event.RELEASE, is_told=False)
        return len(rows)

    def due_for_release(self, exam_id: UUID) -> None:
        """End the waiting of an exam's captures; what was discarded, or waits for a person, stays."""
        with self._store.transaction():
            self._store.run(
                """UPDATE delivery SET release_boot = '', release_ns = 0
                   WHERE exam_id = ? AND state = 'HELD' AND held_for = 'RELEASE'""",
                (str(exam_id),),
            )

    def recover(self) -> int:
        """Give back what a dead process was SENDING; return how many."""
        boot_id = self._store.clock.boot_id()
        recovered = 0
        with self._store.transaction():
            for row in self._store.rows("SELECT * FROM delivery WHERE state = 'SENDING'"):
                owner = lease.Owner(row["lease_boot"], row["lease_pid"], row["lease_started"])
                if not lease.is_alive(owner, boot_id):
                    self._move(row, Event.LEASE_LOST)
                    recovered += 1
        return recovered

    def is_owed(self, payload: str) -> bool:
        """Say whether anybody must still receive an object (law 3)."""
        rows = self._store.rows("SELECT state, is_commitment_required FROM delivery WHERE payload = ?", (payload,))
        return any(_is_owed(row, DeliveryState(row["state"])) for row in rows)

    def stop_damaged(self, payload: str, code: str, text: str) -> None:
        """Hold back what must not be sent as it is, until its file is whole again or a person decides."""
        with self._store.transaction():
            for row in self._store.rows("SELECT * FROM delivery WHERE payload = ? AND state = 'QUEUED'", (payload,)):
                self._move(row, Event.HOLD, code=code, text=text, held_for="DAMAGE")

    def wait_again(self, payload: str) -> None:
        """Let what may leave, and has not been tried, wait for its release once more; that is due."""
        with self._store.transaction():
            for row in self._store.rows("SELECT * FROM delivery WHERE payload = ? AND state = 'QUEUED'", (payload,)):
                self._move(row, Event.HOLD, held_for="RELEASE", is_told=False)
                self._store.run(
                    "UPDATE delivery SET release_boot = '', release_ns = 0 WHERE delivery_id = ?", (row["delivery_id"],)
                )

    def resume_damaged(self, payload: str) -> None:
        """Let what was held for its damage wait for its release again; that is due."""
        with self._store.transaction():
            self._store.run(
                """UPDATE delivery SET held_for = 'RELEASE', release_boot = '', release_ns = 0
                   WHERE payload = ? AND state = 'HELD' AND held_for = 'DAMAGE'""",
                (payload,),
            )
            self.release_due()

    def date_settled(self) -> None:
        """Date what was settled while the clock was not trusted: now, the latest it can have been."""
        if self._store.clock.doubt() or self._store.row(statements.ANY_UNDATED) is None:
            return
        with self._store.transaction():
            self._store.run(statements.DATE_SETTLED, (stamp(self._store.clock.now()),))

    # ---- one move ----

    def _move(
        self,
        row: Row,
        event: Event,
        *,
        code: str = "",
        text: str = "",
        by: str = "",
        held_for: str = "PERSON",
        is_told: bool = True,
    ) -> DeliveryState:
        before = DeliveryState(row["state"])
        state = states.following(before, event)
        self._check(row, event, before, state)
        now = dict(row) | {"state": state, "lease_boot": "", "lease_pid": 0, "lease_started": 0}
        now |= self._effects(row, event, code, text, held_for)
        self._store.run(statements.MOVE, now)
        self._consequences(now, event, by)
        if is_told and event in _TOLD:
            self._history.add(f"delivery {row['delivery_id']}", event, text=text, by=by)
        return state

    def _effects(self, row: Row, event: Event, code: str, text: str, held_for: str) -> Mapping[str, Any]:
        """Return the columns that an event changes, beside the state and the lease."""
        match event:
            case Event.ACCEPT | Event.COMMITTED:
                done = {"error_code": "", "error_text": "", "waits": 0, "settled_at": self._now()}
                return done | ({"note": text} if text else {})
            case Event.RELAYED:
                return {"error_code": "", "error_text": "", "waits": 0, "note": text}
            case Event.DEFER:
                return {"error_code": code, "error_text": text, **self._later(row)}
            case Event.LEASE_LOST:  # the first time at once; a poisonous object must not kill sender after sender
                return self._later(row) if row["attempts"] > 1 else _AT_ONCE
            case Event.REJECT | Event.COMMIT_FAILED:
                return {"error_code": code, "error_text": text, "settled_at": None}
            case Event.LOST:
                return {"error_code": code, "error_text": text, "settled_at": None, **_AT_ONCE}
            case Event.HOLD:
                return {"held_for": held_for, "release_ns": None, "error_code": code, "error_text": text}
            case Event.RELEASE:
                return {"held_for": "", "error_code": "", "error_text": "", **_AT_ONCE}
            case Event.RETRY:
                return {"error_code": "", "error_text": "", "settled_at": None, **_AT_ONCE}
            case _:
                return {"settled_at": self._now(), "note": text or row["note"]}

    def _check(self, row: Row, event: Event, before: DeliveryState, after: DeliveryState) -> None:
        if event is Event.RELEASE:
            self._check_release(row)
        if event in {Event.RELEASE, Event.RETRY} and self._is_rejected(row):
            raise WrongState(what="This object", state="rejected by a note", event=event)
        if row["kind"] == PayloadKind.STORE and _is_owed(row, after) and not _is_owed(row, before):
            here = self._store.row("SELECT 1 FROM instance WHERE payload = ? AND state = 'STORED'", (row["payload"],))
            if here is None:
                raise WrongState(what="This object", state="no longer on this box", event=event)

    def _check_release(self, row: Row) -> None:
        stands = self._store.row(statements.STANDING, (row["delivery_id"],))
        if stands is None:
            return
        if stands["has_patient"] == 0:
            raise PatientUnknown
        if stands["clock_doubt"]:
            raise ClockUntrusted(problem=stands["clock_doubt"])
        if stands["is_behind"]:
            raise WrongState(what="This object", state="being rewritten for its patient", event="release")
        if stands["is_damaged"]:
            raise WrongState(what="This object", state="damaged", event="release")
        if stands["awaits_copies"]:
            raise WrongState(what="This note", state="waiting for the corrected copies", event="release")
        if stands["capture_state"] == CaptureState.DISCARDED:
            raise WrongState(what="This capture", state="discarded", event="release")

    def _is_rejected(self, row: Row) -> bool:
        rejected = "SELECT 1 FROM instance WHERE payload = ? AND is_rejected = 1"
        return self._store.row(rejected, (row["payload"],)) is not None

    def _consequences(self, now: Mapping[str, Any], event: Event, by: str) -> None:
        if event is Event.ACCEPT and not self._store.clock.doubt():
            self._store.run(statements.SUCCESS, (now["destination"], stamp(self._store.clock.now())))
        elif event is Event.RELEASE:
            self._store.run(statements.RELEASE_CAPTURE, (now["payload"],))
        elif event is Event.CANCEL:
            for row in self._store.rows("SELECT * FROM delivery WHERE after = ?", (now["delivery_id"],)):
                if (DeliveryState(row["state"]), Event.CANCEL) in states.TABLE:
                    self._move(row, Event.CANCEL, text="what it follows was cancelled", by=by)

    def _later(self, row: Row) -> Mapping[str, Any]:
        clock = self._store.clock
        delay_ns = int(backoff.delay_s(row["waits"], self._random) * 1e9)
        return {"waits": row["waits"] + 1, "due_boot": clock.boot_id(), "due_ns": clock.monotonic_ns() + delay_ns}

    def _now(self) -> str | None:
        """Return the time to write down; None while it is not trusted (`date_settled` fills it in)."""
        return None if self._store.clock.doubt() else stamp(self._store.clock.now())

    def _wake(self, destination: str) -> None:
        clock = self._store.clock
        self._store.run(
            statements.WAKE, {"destination": destination, "boot": clock.boot_id(), "now": clock.monotonic_ns()}
        )

    # ---- rows ----

    def _is_mine(self, row: Row) -> bool:
        me = self._store.me
        lease_of = (row["lease_boot"], row["lease_pid"], row["lease_started"])
        return row["state"] == DeliveryState.SENDING and lease_of == (me.boot_id, me.pid, me.started)

    def _row(self, delivery_id: int) -> Row:
        row = self._store.row("SELECT * FROM delivery WHERE delivery_id = ?", (delivery_id,))
        if row is None:
            raise NoSuchRow(what="delivery", key=delivery_id)
        return row

    def _by_id(self, numbers: Collection[int]) -> list[Row]:
        return self._store.rows(
            "SELECT * FROM delivery WHERE delivery_id IN (SELECT value FROM json_each(?))", (json.dumps(list(numbers)),)
        )

    def _list(self, sql: str, parameters: Sequence[Any]) -> list[Delivery]:
        return [value(row, Delivery) for row in self._store.rows(sql, parameters)]


def _is_owed(row: Row, state: DeliveryState) -> bool:
    return states.is_owed(state, is_commitment_required=bool(row["is_commitment_required"]))


_AT_ONCE: Mapping[str, Any] = {"waits": 0, "due_boot": "", "due_ns": 0}
