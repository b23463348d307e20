"""The tables of `<data>/gateway.db`, as migrations that are only ever appended to.

A released migration is never edited: a store in a clinic has already run it. Each runs in a transaction with the record
of its name (sqlite-utils `Migrations`); a name that this release does not know means a newer gateway wrote the store.
"""

from __future__ import annotations

from typing import Any

from sqlite_utils import Migrations

from gateway.errors import SpoolTooNew

SPOOL = Migrations("spool")


def migrate(db: Any) -> None:
    """Bring the store to this release's tables; raise SpoolTooNew when a newer release has written it.

    The caller holds the writer lock and an open transaction.
    """
    applied = [done.name for done in SPOOL.applied(db)]
    if unknown := [name for name in applied if name not in _NAMES]:
        raise SpoolTooNew(found=unknown[-1], known=_NAMES[-1])
    if len(applied) < len(_NAMES):
        SPOOL.apply(db)


@SPOOL()
def m001_first(db: Any) -> None:
    """Make the tables of the first release."""
    _execute(db, _FIRST)


@SPOOL()
def m002_correction(db: Any) -> None:
    """Make room for corrections after release: what an exam was, what replaces an object, and whether a note names it."""
    _execute(db, _CORRECTION)


@SPOOL()
def m003_mistake(db: Any) -> None:
    """Count mistakes at the sign-in by account and address, so that nobody elsewhere locks a person out."""
    _execute(db, _MISTAKE)


@SPOOL()
def m004_serial(db: Any) -> None:
    """Make room for readings that wait for a person, for how far each port's journal was read, and for what it said."""
    _execute(db, _SERIAL)


def _execute(db: Any, statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        db.execute(statement)


_NAMES = ("m001_first", "m002_correction", "m003_mistake", "m004_serial")

_SERIAL = """
CREATE TABLE inbox (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    port TEXT NOT NULL,
    instrument TEXT NOT NULL,
    received_at TEXT NOT NULL,
    received_boot TEXT NOT NULL,
    readings TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'WAITING',
    exam_id TEXT,
    "by" TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT '',
    settled_at TEXT
) STRICT;
CREATE INDEX inbox_open ON inbox (entry_id) WHERE state IN ('WAITING', 'ASSIGNED');
CREATE INDEX inbox_assigned ON inbox (port, entry_id) WHERE state = 'ASSIGNED';
CREATE INDEX inbox_settled ON inbox (settled_at) WHERE state IN ('KEPT', 'DISCARDED');
CREATE TABLE heard (
    port TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    offset INTEGER NOT NULL,
    sets INTEGER NOT NULL,
    boot_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE printed (
    port TEXT NOT NULL,
    content TEXT NOT NULL,
    exam_id TEXT NOT NULL,
    capture INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    PRIMARY KEY (port, content, exam_id, capture)
) STRICT, WITHOUT ROWID;
CREATE INDEX printed_old ON printed (received_at)
"""

_MISTAKE = """
CREATE TABLE mistake (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    failures INTEGER NOT NULL,
    failed_boot TEXT NOT NULL,
    failed_ns INTEGER NOT NULL,
    UNIQUE (account, address)
) STRICT;
ALTER TABLE account DROP COLUMN failures;
ALTER TABLE account DROP COLUMN failed_boot;
ALTER TABLE account DROP COLUMN failed_ns
"""

_CORRECTION = """
CREATE TABLE correction (
    exam_id TEXT NOT NULL REFERENCES exam (exam_id),
    revision INTEGER NOT NULL,
    "by" TEXT NOT NULL,
    former TEXT NOT NULL,
    is_owed INTEGER NOT NULL,
    PRIMARY KEY (exam_id, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX correction_owed ON correction (exam_id, revision) WHERE is_owed = 1;
ALTER TABLE instance ADD COLUMN replaces TEXT NOT NULL DEFAULT '';
ALTER TABLE instance ADD COLUMN is_rejected INTEGER NOT NULL DEFAULT 0;
CREATE INDEX instance_replaces ON instance (replaces) WHERE replaces <> ''
"""

_FIRST = """
CREATE TABLE change (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT;
INSERT INTO change VALUES (1, 0);

CREATE TABLE exam (
    number INTEGER PRIMARY KEY,
    exam_id TEXT NOT NULL UNIQUE,
    station TEXT NOT NULL,
    status TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    clock_doubt TEXT NOT NULL,
    has_patient INTEGER NOT NULL,
    identity_revision INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX exam_running ON exam (station) WHERE status = 'IN PROGRESS';
CREATE INDEX exam_revised ON exam (exam_id) WHERE identity_revision > 0;
CREATE INDEX exam_doubtful ON exam (number) WHERE clock_doubt <> '';

CREATE TABLE capture (
    exam_id TEXT NOT NULL REFERENCES exam (exam_id),
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    started_at TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    note TEXT NOT NULL,
    segments INTEGER NOT NULL,
    owner_boot TEXT NOT NULL,
    owner_pid INTEGER NOT NULL,
    owner_started INTEGER NOT NULL,
    PRIMARY KEY (exam_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX capture_recording ON capture (source) WHERE state = 'RECORDING';

CREATE TABLE rejection (
    exam_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    "by" TEXT NOT NULL,
    is_note_owed INTEGER NOT NULL,
    PRIMARY KEY (exam_id, number),
    FOREIGN KEY (exam_id, number) REFERENCES capture (exam_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX rejection_owed ON rejection (exam_id, number) WHERE is_note_owed = 1;

CREATE TABLE instance (
    number INTEGER PRIMARY KEY,
    payload TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    variant INTEGER NOT NULL,
    sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    blob TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    data_digest TEXT NOT NULL,
    revision INTEGER NOT NULL,
    exam_id TEXT,
    capture INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    kind TEXT NOT NULL,
    modality TEXT NOT NULL,
    frame_count INTEGER NOT NULL,
    captured_ns INTEGER NOT NULL,
    received_from TEXT NOT NULL,
    is_held INTEGER NOT NULL,
    is_damaged INTEGER NOT NULL DEFAULT 0,
    discarded_by TEXT NOT NULL DEFAULT '',
    stored_at TEXT NOT NULL
) STRICT;
CREATE INDEX instance_blob ON instance (blob);
CREATE INDEX instance_uid ON instance (sop_instance_uid);
CREATE INDEX instance_exam ON instance (exam_id, capture) WHERE exam_id IS NOT NULL;
CREATE INDEX instance_stored ON instance (number) WHERE state = 'STORED';
CREATE INDEX instance_purging ON instance (number) WHERE state = 'PURGING';
CREATE INDEX instance_held ON instance (number) WHERE is_held = 1;

CREATE TABLE leaving (blob TEXT PRIMARY KEY, why TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    after INTEGER REFERENCES delivery (delivery_id),
    exam_id TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    error_code TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    is_commitment_required INTEGER NOT NULL DEFAULT 0,
    waits INTEGER NOT NULL DEFAULT 0,
    due_boot TEXT NOT NULL DEFAULT '',
    due_ns INTEGER NOT NULL DEFAULT 0,
    held_for TEXT NOT NULL DEFAULT '',
    release_boot TEXT NOT NULL DEFAULT '',
    release_ns INTEGER,
    lease_boot TEXT NOT NULL DEFAULT '',
    lease_pid INTEGER NOT NULL DEFAULT 0,
    lease_started INTEGER NOT NULL DEFAULT 0,
    settled_at TEXT
) STRICT;
CREATE INDEX delivery_due ON delivery (destination, delivery_id) WHERE state = 'QUEUED' AND due_ns = 0;
CREATE INDEX delivery_waiting ON delivery (destination, due_boot, due_ns) WHERE state = 'QUEUED' AND due_ns > 0;
CREATE INDEX delivery_state ON delivery (destination, state);
CREATE INDEX delivery_sending ON delivery (delivery_id) WHERE state = 'SENDING';
CREATE INDEX delivery_held ON delivery (delivery_id) WHERE state = 'HELD';
CREATE INDEX delivery_failed ON delivery (delivery_id) WHERE state = 'FAILED';
CREATE INDEX delivery_undated ON delivery (delivery_id)
    WHERE settled_at IS NULL AND state IN ('SENT', 'COMMITTED', 'CANCELLED');
CREATE INDEX delivery_payload ON delivery (payload);
CREATE INDEX delivery_exam ON delivery (exam_id) WHERE exam_id IS NOT NULL;
CREATE INDEX delivery_after ON delivery (after) WHERE after IS NOT NULL;

CREATE TABLE destination (name TEXT PRIMARY KEY, last_success_at TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    request_id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    exam_id TEXT NOT NULL,
    station TEXT NOT NULL,
    pressed_boot_id TEXT NOT NULL,
    pressed_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    capture INTEGER,
    error_code TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    owner_boot TEXT NOT NULL DEFAULT '',
    owner_pid INTEGER NOT NULL DEFAULT 0,
    owner_started INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX request_open ON request (station, request_id) WHERE state = 'REQUESTED';
CREATE INDEX request_taken ON request (request_id) WHERE state = 'TAKEN';
CREATE INDEX request_exam ON request (exam_id);

CREATE TABLE worklist (position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT;
CREATE TABLE worklist_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    fetched_at TEXT,
    failed_at TEXT,
    failure TEXT NOT NULL
) STRICT;
INSERT INTO worklist_state VALUES (1, NULL, NULL, '');

CREATE TABLE account (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    pin_hash TEXT NOT NULL DEFAULT '',
    is_active INTEGER NOT NULL DEFAULT 1,
    session_epoch INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    failed_boot TEXT NOT NULL DEFAULT '',
    failed_ns INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    subject TEXT NOT NULL,
    event TEXT NOT NULL,
    text TEXT NOT NULL,
    "by" TEXT NOT NULL
) STRICT;
CREATE INDEX history_subject ON history (subject, entry_id);

CREATE TABLE trouble (
    trouble_id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    error_code TEXT NOT NULL,
    text TEXT NOT NULL,
    found_at TEXT NOT NULL,
    cleared_by TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX trouble_open ON trouble (subject, error_code) WHERE cleared_by = ''
"""
