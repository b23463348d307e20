"""Exams (PerformedSteps) to rows: one IN PROGRESS a station, held by a unique index, whoever asks at the same time."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway import uids
from gateway.errors import ExamAlreadyRunning, NoSuchRow, WrongState
from gateway.model import Patient, PerformedStep, ScheduledStep, StepStatus
from gateway.spool.quota import Quota
from gateway.spool.rows import Row, stamp
from gateway.spool.store import Store

CONFIRMED = "A person confirmed the date and time."
COMPUTED = "The date and time were computed from a trusted clock of the same boot."
"""How a doubtful time was settled, as the objects say it (`PerformedStep.clock_note`)."""


class Correction(Struct, frozen=True):
    """A change of identity after something had left, by whom, and the exam as it was until then."""

    exam_id: UUID
    revision: int
    by: str
    former: PerformedStep


class Exams:
    """The exams of this box."""

    def __init__(self, store: Store, quota: Quota) -> None:
        """Keep the store."""
        self._store = store
        self._quota = quota

    def start(self, step: PerformedStep) -> None:
        """Commit an exam's identity (law 2); raises ExamAlreadyRunning."""
        self._quota.make_way()
        with self._store.transaction():
            try:
                self._store.run(
                    """INSERT INTO exam
                       (exam_id, station, status, boot_id, clock_doubt, has_patient, identity_revision, body)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                    (str(step.exam_id), step.station, step.status, step.boot_id, *_columns(step)),
                )
            except sqlite3.IntegrityError:
                raise ExamAlreadyRunning(station=step.station) from None

    def get(self, exam_id: UUID) -> PerformedStep:
        """Return one exam; raises NoSuchRow."""
        row = self._store.row("SELECT body FROM exam WHERE exam_id = ?", (str(exam_id),))
        if row is None:
            raise NoSuchRow(what="exam", key=exam_id)
        return _step(row)

    def running(self, station: str) -> PerformedStep | None:
        """Return the exam in progress on a station, if there is one."""
        row = self._store.row("SELECT body FROM exam WHERE station = ? AND status = 'IN PROGRESS'", (station,))
        return _step(row) if row else None

    def all_running(self) -> list[PerformedStep]:
        """Return every exam in progress."""
        return [_step(row) for row in self._store.rows("SELECT body FROM exam WHERE status = 'IN PROGRESS'")]

    def recent(self, limit: int) -> list[PerformedStep]:
        """Return the latest exams, latest first."""
        return [_step(row) for row in self._store.rows("SELECT body FROM exam ORDER BY number DESC LIMIT ?", (limit,))]

    def end(self, exam_id: UUID, status: StepStatus, ended_at: datetime, reason: str) -> PerformedStep:
        """End an exam, once; raises WrongState when it has ended."""
        self._quota.make_way()
        with self._store.transaction():
            step = self.get(exam_id)
            if step.status is not StepStatus.IN_PROGRESS:
                raise WrongState(what="This exam", state=step.status, event=status)
            return self._save(
                msgspec.structs.replace(step, status=status, ended_at=ended_at, discontinuation_reason=reason)
            )

    def identify(self, exam_id: UUID, patient: Patient, scheduled: ScheduledStep | None) -> PerformedStep:
        """Say who it is: raises the revision that every header must reach before it leaves.

        What was ordered is replaced too, by nothing when it was typed by hand: an order of somebody else must not stay.
        So is the Study Instance UID, by the order's or the exam's own, unless something has left under the one it has.
        """
        self._quota.make_way()
        with self._store.transaction():
            step = self.get(exam_id)
            study = scheduled.study_instance_uid if scheduled else uids.study(exam_id)
            return self._save(
                msgspec.structs.replace(
                    step,
                    patient=patient,
                    scheduled=scheduled,
                    study_instance_uid=step.study_instance_uid if self.has_left(exam_id) else study,
                    identity_revision=step.identity_revision + 1,
                )
            )

    def correct(self, exam_id: UUID, patient: Patient, scheduled: ScheduledStep | None, by: str) -> PerformedStep:
        """Say who it really is, after something has left: a corrected copy and a rejection note are owed from now on.

        The study is the order's, or one of its own: never one under which objects of somebody else have left.
        """
        self._quota.make_way()
        with self._store.transaction():
            step = self.get(exam_id)
            revision = step.identity_revision + 1
            former = msgspec.json.encode(step).decode("utf-8")
            self._store.run("INSERT INTO correction VALUES (?, ?, ?, ?, 1)", (str(exam_id), revision, by, former))
            ordered = scheduled.study_instance_uid if scheduled else ""
            is_free = ordered and ordered not in self._studies_of_others(exam_id, patient)
            return self._save(
                msgspec.structs.replace(
                    step,
                    patient=patient,
                    scheduled=scheduled,
                    study_instance_uid=ordered if is_free else uids.study(exam_id, revision),
                    identity_revision=revision,
                    corrected=revision,
                )
            )

    def corrections_owed(self) -> list[UUID]:
        """Return the exams of which a corrected copy or a rejection note is still owed."""
        rows = self._store.rows("SELECT DISTINCT exam_id FROM correction INDEXED BY correction_owed WHERE is_owed = 1")
        return [UUID(row["exam_id"]) for row in rows]

    def correction_after(self, exam_id: UUID, revision: int) -> Correction | None:
        """Return the first correction of what an object of this revision says; its `former` is what that says."""
        row = self._store.row(
            "SELECT * FROM correction WHERE exam_id = ? AND revision > ? ORDER BY revision LIMIT 1",
            (str(exam_id), revision),
        )
        if row is None:
            return None
        former = msgspec.json.decode(row["former"], type=PerformedStep)
        return Correction(exam_id=exam_id, revision=row["revision"], by=row["by"], former=former)

    def correction_paid(self, exam_id: UUID, revision: int) -> None:
        """Say that nothing is owed any more for the corrections up to this one: its last note is admitted."""
        with self._store.transaction():
            self._store.run(
                "UPDATE correction SET is_owed = 0 WHERE exam_id = ? AND revision <= ?", (str(exam_id), revision)
            )

    def has_left(self, exam_id: UUID) -> bool:
        """Say whether anything of an exam may have reached anybody, or may do so at any moment."""
        found = self._store.row(
            "SELECT 1 FROM delivery WHERE exam_id = ? AND (state NOT IN ('HELD', 'CANCELLED') OR attempts > 0) LIMIT 1",
            (str(exam_id),),
        )
        return found is not None

    def confirm_time(self, exam_id: UUID, started_at: datetime, *, note: str = CONFIRMED) -> PerformedStep:
        """Say when an exam with a doubtful clock really started: its captures move with it, and every header is due again.

        Captures of the same boot get their time from the monotonic clock; those after a reboot move by the same step.
        `note` is how the time was settled; every object of the exam says it.
        """
        with self._store.transaction():
            step = self.get(exam_id)
            for row in self._store.rows("SELECT * FROM capture WHERE exam_id = ?", (str(exam_id),)):
                self._move_capture(row, step, started_at)
            return self._save(
                msgspec.structs.replace(
                    step,
                    started_at=started_at,
                    clock_doubt="",
                    clock_note=note,
                    identity_revision=step.identity_revision + 1,
                )
            )

    def doubtful(self) -> list[PerformedStep]:
        """Return the exams whose time nobody has confirmed yet."""
        return [_step(row) for row in self._store.rows("SELECT body FROM exam WHERE clock_doubt <> ''")]

    def date_doubtful(self) -> int:
        """Compute the time of this boot's doubtful exams, once the clock is trusted (law 6); return how many."""
        clock = self._store.clock
        if clock.doubt():
            return 0
        dated = 0
        with self._store.transaction():
            for step in self.doubtful():
                if step.boot_id == clock.boot_id():
                    age = timedelta(microseconds=(clock.monotonic_ns() - step.started_ns) // 1000)
                    self.confirm_time(step.exam_id, clock.now() - age, note=COMPUTED)
                    dated += 1
        return dated

    def _studies_of_others(self, exam_id: UUID, patient: Patient) -> set[str]:
        """Return the studies in which objects of an exam stand, or stood, under another identity than this."""
        rows = self._store.rows("SELECT former AS body FROM correction WHERE exam_id = ?", (str(exam_id),))
        return {each.study_instance_uid for each in map(_step, rows) if each.patient != patient}

    def _move_capture(self, capture: Row, step: PerformedStep, started_at: datetime) -> None:
        if capture["owner_boot"] == step.boot_id:
            moved = started_at + timedelta(microseconds=(capture["started_ns"] - step.started_ns) // 1000)
        else:
            moved = datetime.fromisoformat(capture["started_at"]) + (started_at - step.started_at)
        self._store.run(
            "UPDATE capture SET started_at = ? WHERE exam_id = ? AND number = ?",
            (stamp(moved), capture["exam_id"], capture["number"]),
        )

    def _save(self, step: PerformedStep) -> PerformedStep:
        self._store.run(
            """UPDATE exam SET status = ?, clock_doubt = ?, has_patient = ?, identity_revision = ?, body = ?
               WHERE exam_id = ?""",
            (step.status, *_columns(step), str(step.exam_id)),
        )
        return step


def _columns(step: PerformedStep) -> tuple[str, bool, int, str]:
    return (
        step.clock_doubt,
        step.patient is not None,
        step.identity_revision,
        msgspec.json.encode(step).decode("utf-8"),
    )


def _step(row: Row) -> PerformedStep:
    return msgspec.json.decode(row["body"], type=PerformedStep)
