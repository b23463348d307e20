"""Statements to durable rows: one connection a thread, one writer at a time on the whole box.

Law 1: a write transaction holds the writer lock from BEGIN IMMEDIATE to COMMIT, with WAL and `synchronous=FULL`; nothing
checkpoints by itself (`wal_autocheckpoint=0`), and no page is mapped. Nested transactions are savepoints. Reads take no
lock. The last connection that closes checkpoints too: SQLite does so only when it alone has the file (sqlite3_close).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from msgspec import Struct
from sqlite_utils import Database

from gateway.clock import Clock
from gateway.errors import DiskFull, SpoolCorrupt, SpoolError
from gateway.spool import lease, schema
from gateway.spool.lock import WriterLock

Parameters = Sequence[Any] | Mapping[str, Any]

_BUSY_S = 20.0
"""Nobody waits for a writer here (the lock does that); only for a connection that opens or closes the file."""
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_TRUNCATE_FROM_BYTES = 32 << 20


class Checkpointed(Struct, frozen=True):
    """What a checkpoint came to."""

    wal_pages: int
    copied_pages: int
    """Less than `wal_pages` while a reader still looks at the past: the next checkpoint copies the rest."""


class Store:
    """The database of one spool. Safe to share between threads; not across a fork."""

    def __init__(self, data: Path, clock: Clock) -> None:
        """Open and migrate; raises SpoolCorrupt (the file is left as it is) and SpoolTooNew."""
        self.data = data
        self.clock = clock
        self.me = lease.myself(clock.boot_id())
        self._path = data / "gateway.db"
        self._lock = WriterLock(data / "writer.lock")
        self._sessions: WeakSet[_Session] = WeakSet()
        self._local = threading.local()
        try:
            with self._lock.held(), _named(self._path):
                self._session()
            with self.transaction():
                schema.migrate(self._session().db)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and durable when it returns; inside another one it is a savepoint of that."""
        session = self._session()
        session.depth += 1
        try:
            with self._outermost(session) if session.depth == 1 else _savepoint(session):
                yield
        finally:
            session.depth -= 1

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every writer out without writing a row: for a change of files that rows refer to."""
        with nullcontext() if self._session().depth else self._lock.held():
            yield

    def run(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Run a writing statement of the open transaction."""
        session = self._session()
        if not session.depth:
            raise SpoolError(problem="a statement writes outside a transaction")
        cursor: sqlite3.Cursor = session.db.execute(sql, parameters)
        return cursor

    def rows(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Return every row of a query, or of the RETURNING of a writing statement in the open transaction."""
        session = self._session()
        with nullcontext() if session.depth else _named(self._path):
            found: list[sqlite3.Row] = session.db.execute(sql, parameters).fetchall()
        return found

    def row(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def number(self, sql: str, parameters: Parameters = ()) -> int:
        """Return the one number that a query computes."""
        return int(self.rows(sql, parameters)[0][0] or 0)

    def change_count(self) -> int:
        """Return the number of transactions that ever changed this store, by any process."""
        return self.number("SELECT count FROM change")

    def checkpoint(self) -> Checkpointed:
        """Copy what the WAL holds into the database, as far as readers let us; never waits for a reader."""
        session = self._session()
        if session.depth:
            raise SpoolError(problem="a checkpoint cannot be part of a transaction")
        with self._lock.held(), _named(self._path), session.without_waiting():
            _, pages, copied = session.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages == copied and _size(self._path.with_name("gateway.db-wal")) > _TRUNCATE_FROM_BYTES:
                session.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return Checkpointed(max(pages, 0), max(copied, 0))

    def integrity(self) -> list[str]:
        """Return what SQLite finds wrong with the file; an empty list when it is sound."""
        with _named(self._path):
            found = [str(row[0]) for row in self.rows("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close every connection; the last one of all processes checkpoints, so the lock is held."""
        with self._lock.held():
            for session in list(self._sessions):
                session.close()
        self._lock.close()

    @contextmanager
    def _outermost(self, session: _Session) -> Iterator[None]:
        with self._lock.held(), _named(self._path):
            session.db.execute("BEGIN IMMEDIATE")
            changes = session.db.conn.total_changes
            try:
                yield
                if session.db.conn.total_changes != changes:
                    session.db.execute("UPDATE change SET count = count + 1")
                session.db.execute("COMMIT")
            except BaseException:
                if session.db.conn.in_transaction:
                    session.db.execute("ROLLBACK")
                raise

    def _session(self) -> _Session:
        session: _Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session(self._path)
            self._sessions.add(session)
        if session.pid != os.getpid():
            raise SpoolError(problem="it was opened before a fork; open it again in this process")
        return session


class _Session:
    """One thread's connection, and how deep its transactions nest."""

    def __init__(self, path: Path) -> None:
        conn = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        conn.row_factory = sqlite3.Row
        try:
            self.db: Any = Database(conn, recursive_triggers=False, execute_plugins=False)
            for setting in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0", "mmap_size=0"):
                self.db.execute(f"PRAGMA {setting}").fetchall()
            self.db.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            conn.close()
            raise
        self.depth = 0
        self.pid = os.getpid()

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """Let SQLite give up at once where it would wait for a reader."""
        self.db.execute("PRAGMA busy_timeout=0")
        try:
            yield
        finally:
            self.db.execute(f"PRAGMA busy_timeout={int(_BUSY_S * 1000)}")

    def close(self) -> None:
        self.db.conn.close()

    def __del__(self) -> None:
        with suppress(AttributeError):
            self.close()


@contextmanager
def _savepoint(session: _Session) -> Iterator[None]:
    name = f"nested_{session.depth}"
    session.db.execute(f"SAVEPOINT {name}")
    try:
        yield
    except BaseException:
        if session.db.conn.in_transaction:  # a full disk may have rolled the whole of it back already
            session.db.execute(f"ROLLBACK TO {name}")
            session.db.execute(f"RELEASE {name}")
        raise
    session.db.execute(f"RELEASE {name}")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into the errors that people know."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and not _free_bytes(path.parent)):
            raise DiskFull from error
        if code & 0xFF in _CORRUPT:
            raise SpoolCorrupt(file=path.name, problem=str(error)) from error
        raise SpoolError(problem=str(error)) from error


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
