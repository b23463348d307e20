"""SOP Instances to rows: admitted with what is owed for them, revised before they leave, purged when nobody waits.

Law 1: a row is only written for a blob that is on the disk. Law 2: the same UID with other content is another row, held
until a person decides. Law 3: a blob leaves in the order row PURGING, unlink, fsync of the directory, row PURGED.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from gateway.errors import BlobCorrupt, BlobMissing, NoSuchRow, SpoolError, WrongState
from gateway.model import Delivery, DeliveryState, Instance, PayloadKind
from gateway.spool import readings, statements, states
from gateway.spool.blobs import Blobs
from gateway.spool.deliveries import Deliveries
from gateway.spool.history import History, Troubles
from gateway.spool.quota import Quota
from gateway.spool.rows import Row, columns, stamp, value
from gateway.spool.store import Store


def payload_of(instance: Instance) -> str:
    """Return the name under which deliveries carry an instance: `<uid>`, or `<uid>#<variant>`."""
    return f"{instance.sop_instance_uid}#{instance.variant}" if instance.variant else instance.sop_instance_uid


class Instances:
    """What this box holds."""

    def __init__(
        self, store: Store, quota: Quota, blobs: Blobs, deliveries: Deliveries, history: History, troubles: Troubles
    ) -> None:
        """Keep the rooms' insides."""
        self._store = store
        self._quota = quota
        self._blobs = blobs
        self._deliveries = deliveries
        self._history = history
        self._troubles = troubles

    def admit(
        self,
        instance: Instance,
        destinations: Sequence[str],
        *,
        hold: bool = False,
        release_at_ns: int | None = None,
        commitment: Collection[str] = (),
    ) -> list[Delivery]:
        """Own an object whose blob is durable, and owe it to each destination; return its deliveries.

        `hold`: until `release_at_ns` of this boot, or until `release_exam` when that is None. A variant waits for a person.
        `commitment`: the destinations that must also answer for its safety. The same object again adds only destinations
        that are new. Raises BlobMissing, and WrongState when the UID (and variant) has other content.
        """
        payload = payload_of(instance)
        if instance.exam_id is not None:
            self._quota.make_way()
        held_for = "PERSON" if instance.is_held or instance.variant else "RELEASE" if hold else ""
        with self._store.transaction():
            if not self._blobs.path(instance.blob).exists():
                raise BlobMissing(blob=instance.blob)
            former = self._store.row("SELECT * FROM instance WHERE payload = ?", (payload,))
            owed = set(destinations) - self._known_destinations(instance, payload, former)
            for destination in (name for name in dict.fromkeys(destinations) if name in owed):
                self._deliveries.add(
                    PayloadKind.STORE,
                    payload,
                    destination,
                    exam_id=instance.exam_id,
                    held_for=held_for,
                    release_at_ns=release_at_ns,
                    is_commitment_required=destination in commitment,
                )
            return self._deliveries.of_payload(payload)

    def get(self, payload: str) -> Instance:
        """Return one instance; raises NoSuchRow."""
        return value(self._row(payload), Instance)

    def is_here(self, payload: str) -> bool:
        """Say whether the object itself is still on this box."""
        return bool(self._row(payload)["state"] == "STORED")

    def same_uid(self, uid: str) -> list[Instance]:
        """Return every content that ever came under a UID, the purged ones too; its length is the next variant."""
        return self._list("SELECT * FROM instance WHERE sop_instance_uid = ? ORDER BY variant", (uid,))

    def of_exam(self, exam_id: UUID) -> list[Instance]:
        """Return the objects of an exam, by capture and segment, and its rejection notes after them."""
        order = "kind = 'note', capture, segment, number"
        return self._list(f"SELECT * FROM instance WHERE exam_id = ? ORDER BY {order}", (str(exam_id),))

    def of_capture(self, exam_id: UUID, number: int) -> list[Instance]:
        """Return the objects of one capture, by segment."""
        return self._list(
            "SELECT * FROM instance WHERE exam_id = ? AND capture = ? ORDER BY segment, number", (str(exam_id), number)
        )

    def received(self, limit: int) -> list[Instance]:
        """Return the latest objects that came from elsewhere, latest first."""
        return self._list("SELECT * FROM instance WHERE exam_id IS NULL ORDER BY number DESC LIMIT ?", (limit,))

    def held(self) -> list[Instance]:
        """Return what waits for a person: other content under a UID that we have."""
        return self._list("SELECT * FROM instance WHERE is_held = 1 AND state = 'STORED' ORDER BY number", ())

    def behind_identity(self) -> list[Instance]:
        """Return what the keeper must rewrite: older than its exam's identity, and nothing of it has left."""
        return self._list(statements.BEHIND, ())

    def left(self, exam_id: UUID) -> list[Instance]:
        """Return what was sent of an exam, or tried, and counts: neither discarded nor named in a rejection note."""
        return self._list(statements.LEFT, {"exam": str(exam_id)})

    def uncorrected(self, exam_id: UUID, *, is_damaged_too: bool = False) -> list[Instance]:
        """Return what of that left under an identity that was corrected since."""
        return self._list(statements.UNCORRECTED, {"exam": str(exam_id), "damaged": is_damaged_too})

    def is_replaced(self, uid: str) -> bool:
        """Say whether a corrected copy of an object is here, or was."""
        return self._store.row("SELECT 1 FROM instance WHERE replaces = ? AND replaces <> ''", (uid,)) is not None

    def rejected(self, instances: Sequence[Instance]) -> None:
        """Say that a rejection note names these; in the transaction that admits it."""
        with self._store.transaction():
            for instance in instances:
                self._store.run("UPDATE instance SET is_rejected = 1 WHERE payload = ?", (payload_of(instance),))

    def revise(
        self,
        payload: str,
        *,
        revision: int,
        blob: str,
        size_bytes: int,
        data_digest: str,
        what: str,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
    ) -> Instance:
        """Put a rewritten header in place of the former one, before anything has left; `what` is for the history.

        `study_instance_uid`, `series_instance_uid`: what the new header names; the former ones when not given.
        Raises WrongState when something has left (then a correction is a new UID), or when the revision is not newer.
        """
        with self._store.transaction():
            row = self._row(payload)
            if not self._blobs.path(blob).exists():
                raise BlobMissing(blob=blob)
            if revision <= row["revision"] or self._has_left(payload):
                raise WrongState(what="This object", state=f"at revision {row['revision']}", event="revise")
            self._store.run(
                """UPDATE instance SET revision = ?, blob = ?, size_bytes = ?, data_digest = ?,
                       study_instance_uid = coalesce(?, study_instance_uid),
                       series_instance_uid = coalesce(?, series_instance_uid) WHERE payload = ?""",
                (revision, blob, size_bytes, data_digest, study_instance_uid, series_instance_uid, payload),
            )
            self._leave(row["blob"], f"revision {revision} of {payload}")
            self._history.add(payload, "revised", text=what)
            return self.get(payload)

    def release_exam(self, exam_id: UUID) -> int:
        """Let what waits of an exam leave: now, or as soon as its patient and its time are certain; return how many left."""
        with self._store.transaction():
            self._deliveries.due_for_release(exam_id)
            return self._deliveries.release_due(exam_id)

    def decide(self, payload: str, *, deliver: bool, by: str) -> None:
        """Decide about other content under a UID that we have: deliver it, or discard it. `by` a named person."""
        _named(by)
        with self._store.transaction():
            self._store.run("UPDATE instance SET is_held = 0 WHERE payload = ?", (payload,))
            if not deliver:
                return self.discard(payload, by)
            for delivery in self._deliveries.of_payload(payload):
                if delivery.state is DeliveryState.HELD:
                    self._deliveries.apply(delivery.delivery_id, "release", text="decided", by=by)
            return None

    def discard(self, payload: str, by: str) -> None:
        """Give an object up before it leaves: by a named person, never by itself. Raises WrongState while it is sent."""
        _named(by)
        with self._store.transaction():
            for delivery in self._deliveries.of_payload(payload):
                if states.is_owed(delivery.state, is_commitment_required=False):
                    self._deliveries.apply(delivery.delivery_id, "cancel", text="discarded", by=by)
            self._store.run("UPDATE instance SET discarded_by = ? WHERE payload = ?", (by, payload))
            self._history.add(payload, "discarded", by=by)

    # ---- leaving this box ----

    def purgeable(self, now: datetime, retention: timedelta, limit: int = 500) -> list[Instance]:
        """Return what may leave the disk, oldest first: nobody waits for it, and its time is over or it was discarded.

        While the clock is not trusted, no retention is over.
        """
        self._deliveries.date_settled()
        before = "" if self._store.clock.doubt() else stamp(now - retention)
        return self._list(statements.PURGEABLE, {"before": before, "limit": limit})

    def set_purging(self, payload: str) -> None:
        """Say that a blob is about to go; raises WrongState when somebody still waits for it (law 3)."""
        self._quota.make_way()
        with self._store.transaction():
            row = self._row(payload)
            if row["state"] == "STORED":
                once_owed = row["discarded_by"] or self._deliveries.of_payload(payload)
                if self._deliveries.is_owed(payload) or self._is_correction_owed(row) or not once_owed:
                    raise WrongState(what="This object", state="owed", event="purge")
                self._store.run("UPDATE instance SET state = 'PURGING' WHERE payload = ?", (payload,))

    def set_purged(self, payload: str) -> None:
        """Unlink the blob, unless another row has it, and say so."""
        self._quota.make_way()
        with self._store.transaction():
            row = self._row(payload)
            if row["state"] != "PURGING":
                raise WrongState(what="This object", state=row["state"], event="purge")
            if self._is_last(row):
                self._blobs.remove(row["blob"])
            self._store.run("UPDATE instance SET state = 'PURGED' WHERE payload = ?", (payload,))
        self._remove_thumbnail(row)

    def purge(self, payload: str) -> None:
        """Let an object leave the disk, in the order of law 3; interrupted anywhere, `resume_purging` goes on."""
        self.set_purging(payload)
        self.set_purged(payload)

    def resume_purging(self) -> int:
        """Finish what an interrupted purge, or a revision, left; return how many blobs went."""
        purging = self._store.rows("SELECT payload FROM instance WHERE state = 'PURGING'")
        for row in purging:
            self.set_purged(row["payload"])
        leaving = self._store.rows("SELECT blob FROM leaving")
        for row in leaving:
            self._let_go(row["blob"])
        return len(purging) + len(leaving)

    def is_owned(self, digest: str) -> bool:
        """Say whether a row has this blob."""
        return self._store.row(statements.OWNED, {"blob": digest, "payload": ""}) is not None

    def drop_unowned(self, digest: str) -> bool:
        """Remove a blob that no row has; say whether it went."""
        with self._store.transaction():
            if self.is_owned(digest):
                return False
            self._blobs.remove(digest)
            return True

    # ---- is it whole ----

    def verify(self, payload: str) -> bool:
        """Read an object against its digest; what is damaged is flagged, shown and held, and what is whole again let go."""
        row = self._row(payload)
        try:
            self._blobs.verify(row["blob"])
        except (BlobCorrupt, BlobMissing) as error:
            self.flag(payload, error)
            return False
        if row["is_damaged"]:
            with self._store.transaction():
                self._store.run("UPDATE instance SET is_damaged = 0 WHERE payload = ?", (payload,))
                self._history.add(payload, "whole again")
                self._deliveries.resume_damaged(payload)
        return True

    def flag(self, payload: str, error: BlobCorrupt | BlobMissing) -> None:
        """Show that an object is damaged, and keep it from leaving like that; nothing is deleted."""
        with self._store.transaction():
            self._store.run("UPDATE instance SET is_damaged = 1 WHERE payload = ?", (payload,))
            self._deliveries.stop_damaged(payload, error.code, str(error))
            self._troubles.add(payload, error)

    def flag_missing(self) -> int:
        """Flag every object whose file is not there, or not of its size; return how many are new."""
        flagged = 0
        for row in self._store.rows(
            "SELECT payload, blob, size_bytes FROM instance WHERE state = 'STORED' AND is_damaged = 0"
        ):
            if error := self._looks_wrong(row):
                self.flag(row["payload"], error)
                flagged += 1
        return flagged

    # ---- private ----

    def _known_destinations(self, instance: Instance, payload: str, former: Row | None) -> set[str]:
        """Write the row; return the destinations that need no new Delivery."""
        if former is None:
            self._store.run(statements.INSERT, columns(instance) | {"payload": payload})
            return set()
        if former["data_digest"] != instance.data_digest:
            raise WrongState(what="This UID", state="stored with other content", event="admit")
        if former["state"] != "STORED":
            self._store.run(statements.REVIVE, columns(instance) | {"payload": payload})
            return set()
        if former["blob"] != instance.blob:
            self._leave(instance.blob, f"another copy of {payload}")
        return {delivery.destination for delivery in self._deliveries.of_payload(payload)}

    def _has_left(self, payload: str) -> bool:
        unsent = {DeliveryState.HELD, DeliveryState.CANCELLED}
        deliveries = self._deliveries.of_payload(payload)
        return any(delivery.state not in unsent or delivery.attempts for delivery in deliveries)

    def _is_correction_owed(self, row: Row) -> bool:
        """A corrected copy may still have to be made of it: the only pixels are these."""
        owed = "SELECT 1 FROM correction WHERE exam_id = ? AND is_owed = 1"
        return self._store.row(owed, (row["exam_id"],)) is not None

    def _leave(self, blob: str, why: str) -> None:
        self._store.run("INSERT OR IGNORE INTO leaving (blob, why) VALUES (?, ?)", (blob, why))

    def _let_go(self, blob: str) -> None:
        with self._store.transaction():
            if self._store.row("SELECT 1 FROM instance WHERE blob = ? AND state <> 'PURGED'", (blob,)) is None:
                self._blobs.remove(blob)
            self._store.run("DELETE FROM leaving WHERE blob = ?", (blob,))

    def _is_last(self, row: Row) -> bool:
        return self._store.row(statements.OWNED, {"blob": row["blob"], "payload": row["payload"]}) is None

    def _looks_wrong(self, row: Row) -> BlobMissing | BlobCorrupt | None:
        try:
            size = self._blobs.path(row["blob"]).stat().st_size
        except FileNotFoundError:
            return BlobMissing(blob=row["blob"])
        return None if size == row["size_bytes"] else BlobCorrupt(blob=row["blob"])

    def _remove_thumbnail(self, row: Row) -> None:
        """A thumbnail shows the patient, and so do values: they go with the last object of their capture."""
        others = "SELECT 1 FROM instance WHERE exam_id = ? AND capture = ? AND state <> 'PURGED'"
        if row["exam_id"] and self._store.row(others, (row["exam_id"], row["capture"])) is None:
            thumbnail(self._store.data, UUID(row["exam_id"]), row["capture"]).unlink(missing_ok=True)
            readings.remove(self._store.data, UUID(row["exam_id"]), row["capture"])

    def _row(self, payload: str) -> Row:
        row = self._store.row("SELECT * FROM instance WHERE payload = ?", (payload,))
        if row is None:
            raise NoSuchRow(what="object", key=payload)
        return row

    def _list(self, sql: str, parameters: Sequence[object] | dict[str, object]) -> list[Instance]:
        return [value(row, Instance) for row in self._store.rows(sql, parameters)]


def thumbnail(data: Path, exam_id: UUID, capture: int) -> Path:
    """Return where the small picture of a capture is kept."""
    return data / "thumbnails" / str(exam_id) / f"{capture}.jpg"


def _named(by: str) -> None:
    if not by:
        raise SpoolError(problem="only a named person may decide that")
