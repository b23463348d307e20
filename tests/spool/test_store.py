"""Transactions: all or nothing, durable, one writer at a time on the whole box."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from gateway.errors import SpoolCorrupt, SpoolError, SpoolTooNew
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock, admit, states


def test_a_transaction_that_raises_leaves_nothing(spool):
    with pytest.raises(ZeroDivisionError), spool.transaction():
        spool.history.add("a", "b")
        spool.worklist.failure("no route")
        raise ZeroDivisionError
    assert spool.history.recent(9) == []
    assert spool.worklist.last_failure() is None


def test_a_nested_transaction_that_raises_undoes_only_itself(spool):
    with spool.transaction():
        spool.history.add("outer", "kept")
        with pytest.raises(ZeroDivisionError), spool.transaction():
            spool.history.add("inner", "undone")
            raise ZeroDivisionError
        with spool.transaction(), spool.transaction():
            spool.history.add("inmost", "kept")
    assert [entry.subject for entry in spool.history.recent(9)] == ["inmost", "outer"]


def test_an_outer_failure_undoes_what_an_inner_one_had_done(spool):
    with pytest.raises(ZeroDivisionError), spool.transaction():
        with spool.transaction():
            spool.history.add("inner", "undone with the rest")
        raise ZeroDivisionError
    assert spool.history.recent(9) == []


def test_a_commit_is_synced_and_nothing_checkpoints_by_itself(spool):
    settings = {
        name: spool._store.row(f"PRAGMA {name}")[0]
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "mmap_size", "foreign_keys")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
        "mmap_size": 0,
        "foreign_keys": 1,
    }


def test_every_thread_has_a_connection_of_its_own_with_the_same_settings(spool):
    seen = []

    def look():
        seen.append((id(spool._store._session().db.conn), spool._store.row("PRAGMA synchronous")[0]))

    for _ in range(2):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    assert {setting for _, setting in seen} == {2}
    assert seen[-1][0] not in {conn for conn, _ in seen[:-1]}


def test_a_statement_outside_a_transaction_is_refused(spool):
    with pytest.raises(SpoolError):
        spool._store.run("DELETE FROM history")


def test_threads_write_one_after_another_and_nothing_is_lost(spool):
    def write(name):
        for number in range(25):
            spool.history.add(name, str(number))

    threads = [threading.Thread(target=write, args=(f"thread {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [entry.event for entry in spool.history.of(f"thread {number}")] == [str(n) for n in range(25)]


def test_a_reader_never_waits_for_a_writer(spool):
    with spool.transaction():
        spool.history.add("unseen", "yet")
        seen = []
        thread = threading.Thread(target=lambda: seen.append(spool.history.recent(9)))
        thread.start()
        thread.join(10)
        assert seen == [[]]


def test_the_version_grows_with_every_change_by_anyone_and_only_then(spool, data):
    before = spool.data_version()
    assert spool.data_version() == before
    with Spool.open(data, FakeClock()) as other:
        assert spool.data_version() == before, "opening changes nothing"
        other.history.add("a", "b")
        assert spool.data_version() == other.data_version() == before + 1
    spool.deliveries.claim("nobody", 10)
    spool.deliveries.release_due()
    assert spool.data_version() == before + 1, "looking for work changes nothing"


def test_a_checkpoint_moves_the_wal_and_keeps_every_row(spool, data):
    for number in range(20):
        spool.history.add("a", str(number))
    done = spool.checkpoint()
    assert done.copied_pages == done.wal_pages > 0
    assert len(spool.history.of("a")) == 20
    assert spool.integrity() == []


def test_a_checkpoint_beside_a_reader_copies_what_it_can_and_does_not_wait(spool, data):
    spool.history.add("a", "1")
    reader = sqlite3.connect(data / "gateway.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM history").fetchall()
    spool.history.add("a", "2")
    done = spool.checkpoint()
    assert done.copied_pages < done.wal_pages
    reader.close()
    assert spool.checkpoint().copied_pages == done.wal_pages


def test_a_checkpoint_is_no_part_of_a_transaction(spool):
    with pytest.raises(SpoolError), spool.transaction():
        spool.checkpoint()


def test_a_long_wal_is_cut_once_it_is_copied(spool, data, monkeypatch):
    monkeypatch.setattr("gateway.spool.store._TRUNCATE_FROM_BYTES", 100_000)
    for number in range(60):
        spool.history.add("a", "x" * 4000 + str(number))
    assert (data / "gateway.db-wal").stat().st_size > 100_000
    spool.checkpoint()
    assert (data / "gateway.db-wal").stat().st_size == 0
    assert len(spool.history.of("a")) == 60


def test_nobody_else_may_look_into_the_folder(spool, data):
    assert data.stat().st_mode & 0o007 == 0


def test_a_garbage_file_is_named_and_left_as_it_is(data, clock):
    data.mkdir()
    (data / "gateway.db").write_bytes(b"not a database, " * 1000)
    with pytest.raises(SpoolCorrupt) as caught:
        Spool.open(data, clock)
    assert caught.value.code == "G408"
    assert (data / "gateway.db").read_bytes() == b"not a database, " * 1000


@pytest.mark.parametrize("offset", [0, 16, 100, 4096, 8200])
def test_a_damaged_page_is_a_named_error_or_is_found_by_the_check(data, clock, offset):
    with Spool.open(data, clock) as spool:
        for number in range(50):
            admit(spool, f"1.{number}")
    damaged = bytearray((data / "gateway.db").read_bytes())
    damaged[offset : offset + 96] = b"\xa5" * 96
    (data / "gateway.db").write_bytes(damaged)
    assert _what_is_wrong(data, clock)


def test_a_store_of_a_newer_release_is_refused_and_untouched(data, clock):
    with Spool.open(data, clock) as spool, spool.transaction():
        spool._store.run(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('spool', 'm999_future', '')"
        )
    with pytest.raises(SpoolTooNew) as caught:
        Spool.open(data, clock)
    assert caught.value.facts["found"] == "m999_future"


def test_the_migrations_are_those_that_were_released():
    """Once 0.1.0 is out, never edit the first: append another. Until then, change the digest with it."""
    import hashlib

    from gateway.spool import schema

    assert [migration.name for migration in schema.SPOOL._migrations] == list(schema._NAMES)
    assert hashlib.sha256(schema._FIRST.encode()).hexdigest()[:16] == FIRST, "m001_first was edited"


def test_an_existing_store_is_opened_with_its_rows(data, clock):
    with Spool.open(data, clock) as spool:
        admit(spool, "1.2.3")
    with Spool.open(data, clock) as again:
        assert states(again, "1.2.3") == ["QUEUED"]


def test_a_spool_that_was_opened_before_a_fork_says_so(data, clock):
    code = f"""
import os, sys
from pathlib import Path
from gateway.errors import SpoolError
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock
spool = Spool.open(Path({str(data)!r}), FakeClock())
if os.fork() == 0:
    try:
        spool.history.recent(1)
    except SpoolError as error:
        os._exit(7 if "fork" in str(error) else 1)
    os._exit(2)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7


def test_a_writer_that_is_stopped_stalls_the_others_until_it_dies_and_then_its_work_is_undone(data, clock):
    """What the design does with a SIGSTOP inside a transaction: waiting loses nothing, and the watchdog ends the wait."""
    code = f"""
import sys, time
from pathlib import Path
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock
spool = Spool.open(Path({str(data)!r}), FakeClock())
with spool.transaction():
    spool.history.add("stopped", "never committed")
    print("in", flush=True)
    time.sleep(60)
"""
    with Spool.open(data, clock) as spool:
        holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert holder.stdout.readline() == b"in\n"
        os.kill(holder.pid, signal.SIGSTOP)
        waiter = threading.Thread(target=spool.history.add, args=("waiter", "written"))
        waiter.start()
        waiter.join(0.3)
        assert waiter.is_alive(), "it must wait for the lock"
        assert spool.history.recent(9) == [], "readers go on"
        holder.kill()
        waiter.join(20)
        holder.wait()
        holder.stdout.close()
        assert [entry.subject for entry in spool.history.recent(9)] == ["waiter"]
        assert spool.integrity() == []


def _what_is_wrong(data, clock):
    try:
        with Spool.open(data, clock) as spool:
            return spool.integrity()
    except SpoolError as error:  # a damaged page is found wherever it is first read
        return [str(error)]


FIRST = "234677808923d23a"
