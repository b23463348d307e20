"""The longer statements of the room: what is due, what may be released, what may leave the disk.

Each names the partial index that keeps it flat (schema.py); `INDEXED BY` makes SQLite refuse any other plan, so a change
that would scan every row fails in a test instead of in a clinic.
"""

from __future__ import annotations

from gateway.spool import states

CHUNK = 500
"""Rows a transaction, where a whole queue moves: a capture's row never waits for 100,000 of them."""

DUE = """SELECT d.delivery_id FROM delivery AS d INDEXED BY delivery_due
    WHERE d.destination = ? AND d.state = 'QUEUED' AND d.due_ns = 0
      AND (d.after IS NULL OR EXISTS (
          SELECT 1 FROM delivery AS first WHERE first.delivery_id = d.after AND first.state IN ('SENT', 'COMMITTED')))
    ORDER BY d.delivery_id"""

CLAIM = f"""UPDATE delivery SET state = 'SENDING', attempts = attempts + 1,
        lease_boot = ?, lease_pid = ?, lease_started = ?
    WHERE delivery_id IN ({DUE} LIMIT ?) RETURNING *"""
CLAIM_NEWEST = CLAIM.replace("ORDER BY d.delivery_id", "ORDER BY d.delivery_id DESC")

_WAITING = """SELECT delivery_id, due_ns FROM delivery INDEXED BY delivery_waiting
    WHERE destination = :destination AND state = 'QUEUED' AND due_ns > 0 AND due_boot"""

WAKE = f"""UPDATE delivery SET due_boot = '', due_ns = 0 WHERE delivery_id IN (SELECT delivery_id FROM (
    {_WAITING} < :boot UNION ALL {_WAITING} > :boot UNION ALL {_WAITING} = :boot AND due_ns <= :now) LIMIT {CHUNK})"""

NEXT = f"""SELECT min(due_ns) AS due_ns FROM (
    SELECT * FROM (SELECT 0 AS delivery_id, 0 AS due_ns FROM ({_WAITING} < :boot LIMIT 1))
    UNION ALL SELECT * FROM (SELECT 0, 0 FROM ({_WAITING} > :boot LIMIT 1))
    UNION ALL SELECT * FROM ({_WAITING} = :boot ORDER BY due_ns LIMIT 1))"""

PROBED = """UPDATE delivery SET waits = 0, due_boot = '', due_ns = 0 WHERE delivery_id IN (
    SELECT delivery_id FROM delivery INDEXED BY delivery_waiting
    WHERE destination = ? AND state = 'QUEUED' AND due_ns > 0 LIMIT ?)"""

MOVE = """UPDATE delivery SET state = :state, error_code = :error_code, error_text = :error_text, note = :note,
        waits = :waits, due_boot = :due_boot, due_ns = :due_ns, held_for = :held_for, release_boot = :release_boot,
        release_ns = :release_ns, lease_boot = :lease_boot, lease_pid = :lease_pid, lease_started = :lease_started,
        settled_at = :settled_at
    WHERE delivery_id = :delivery_id"""

SUCCESS = """INSERT INTO destination (name, last_success_at) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET last_success_at = excluded.last_success_at"""

IS_BEHIND = """(behind.state = 'STORED' AND behind.kind <> 'note' AND behind.is_damaged = 0 AND NOT EXISTS (
    SELECT 1 FROM delivery AS left_already
    WHERE left_already.payload = behind.payload
      AND (left_already.state NOT IN ('HELD', 'CANCELLED') OR left_already.attempts > 0)))"""
"""Of an instance named `behind`: it is here and whole, and not one byte of it has left. A rejection note stays what it was."""

BEHIND = f"""SELECT behind.* FROM exam INDEXED BY exam_revised CROSS JOIN instance AS behind USING (exam_id)
    WHERE exam.identity_revision > 0 AND behind.revision < exam.identity_revision AND {IS_BEHIND}
    ORDER BY behind.number"""

_LEFT = """SELECT i.* FROM instance AS i
    LEFT JOIN capture AS c ON c.exam_id = i.exam_id AND c.number = i.capture
    WHERE i.exam_id = :exam AND i.kind <> 'note' AND i.is_rejected = 0 AND coalesce(c.state, '') <> 'DISCARDED'
      AND EXISTS (SELECT 1 FROM delivery AS d WHERE d.payload = i.payload AND d.attempts > 0)"""
_IN_ORDER = "ORDER BY i.capture, i.segment, i.number"

LEFT = f"{_LEFT} {_IN_ORDER}"

UNCORRECTED = f"""{_LEFT} AND i.is_damaged <= :damaged
    AND i.revision < (SELECT max(revision) FROM correction WHERE correction.exam_id = i.exam_id) {_IN_ORDER}"""

_JOINED = """LEFT JOIN instance AS i ON i.payload = d.payload AND d.kind = 'STORE'
    LEFT JOIN exam AS e ON e.exam_id = d.exam_id
    LEFT JOIN capture AS c ON c.exam_id = i.exam_id AND c.number = i.capture"""

_IS_LATE = f"""EXISTS (SELECT 1 FROM instance AS behind
    WHERE behind.exam_id = e.exam_id AND behind.revision < e.identity_revision AND {IS_BEHIND})"""

_AWAITS_COPIES = """(coalesce(i.kind, '') = 'note' AND EXISTS (
    SELECT 1 FROM correction AS k WHERE k.exam_id = d.exam_id AND k.is_owed = 1 UNION ALL
    SELECT 1 FROM instance AS copy JOIN delivery AS first ON first.payload = copy.payload
    WHERE copy.exam_id = d.exam_id AND copy.replaces <> '' AND first.destination = d.destination
      AND first.state NOT IN ('SENT', 'COMMITTED', 'CANCELLED')))"""
"""Of a delivery `d` of the instance `i`: it is a rejection note, and a corrected copy is not made, or has not arrived there yet."""

RELEASABLE = f"""SELECT d.* FROM delivery AS d INDEXED BY delivery_held {_JOINED}
    WHERE d.state = 'HELD' AND d.held_for = 'RELEASE' AND (:exam IS NULL OR d.exam_id = :exam)
      AND d.release_ns IS NOT NULL AND (d.release_boot <> :boot OR d.release_ns <= :now)
      AND coalesce(i.is_held, 0) = 0 AND coalesce(i.is_damaged, 0) = 0 AND NOT {_AWAITS_COPIES}
      AND (e.exam_id IS NULL OR (e.has_patient = 1 AND e.clock_doubt = '' AND NOT {_IS_LATE}))
      AND (c.number IS NULL OR c.state IN ('HELD', 'RELEASED'))"""

STANDING = f"""SELECT e.has_patient, e.clock_doubt, {_IS_LATE} AS is_behind, i.is_damaged,
        {_AWAITS_COPIES} AS awaits_copies, c.state AS capture_state FROM delivery AS d {_JOINED} WHERE d.delivery_id = ?"""

RELEASE_CAPTURE = """UPDATE capture SET state = 'RELEASED' WHERE state = 'HELD' AND (exam_id, number) IN (
    SELECT exam_id, capture FROM instance WHERE payload = ? AND exam_id IS NOT NULL)"""

_UNDATED = "WHERE settled_at IS NULL AND state IN ('SENT', 'COMMITTED', 'CANCELLED')"
ANY_UNDATED = f"SELECT 1 FROM delivery {_UNDATED} LIMIT 1"
DATE_SETTLED = f"UPDATE delivery SET settled_at = ? {_UNDATED}"

_FIELDS = (
    "sop_instance_uid",
    "variant",
    "sop_class_uid",
    "transfer_syntax_uid",
    "study_instance_uid",
    "series_instance_uid",
    "blob",
    "size_bytes",
    "data_digest",
    "revision",
    "exam_id",
    "capture",
    "segment",
    "kind",
    "modality",
    "frame_count",
    "captured_ns",
    "received_from",
    "is_held",
    "replaces",
    "is_rejected",
    "stored_at",
)

INSERT = f"""INSERT INTO instance (payload, state, {", ".join(_FIELDS)})
    VALUES (:payload, 'STORED', {", ".join(f":{name}" for name in _FIELDS)})"""

REVIVE = f"""UPDATE instance SET state = 'STORED', is_damaged = 0, discarded_by = '',
    {", ".join(f"{name} = :{name}" for name in _FIELDS)} WHERE payload = :payload"""

OWNED = """SELECT 1 FROM instance WHERE blob = :blob AND state <> 'PURGED' AND payload <> :payload
    UNION ALL SELECT 1 FROM leaving WHERE blob = :blob AND :payload = '' LIMIT 1"""

_OWED = f"""(d.state IN ({", ".join(f"'{state}'" for state in sorted(states.OWED))})
    OR (d.state = 'SENT' AND d.is_commitment_required = 1))"""

PURGEABLE = f"""SELECT i.* FROM instance AS i
    LEFT JOIN exam AS e ON e.exam_id = i.exam_id
    LEFT JOIN capture AS c ON c.exam_id = i.exam_id AND c.number = i.capture
    WHERE i.state = 'STORED' AND i.is_held = 0 AND coalesce(e.status, '') <> 'IN PROGRESS'
      AND (i.discarded_by <> '' OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.payload = i.payload))
      AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.payload = i.payload AND {_OWED})
      AND NOT EXISTS (SELECT 1 FROM correction AS k WHERE k.exam_id = i.exam_id AND k.is_owed = 1)
      AND (i.discarded_by <> '' OR c.state = 'DISCARDED' OR NOT EXISTS (
          SELECT 1 FROM delivery AS d WHERE d.payload = i.payload
          AND (d.settled_at IS NULL OR d.settled_at > :before)))
    ORDER BY i.number LIMIT :limit"""
