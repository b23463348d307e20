"""The serial journal: what was synced is there, whole, after any cut."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import SpoolError
from gateway.spool.journal import Journal, file_of, prune, read

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def path_of(folder: Path) -> Path:
    return folder / "2026-11-24.journal"


def test_chunks_come_back_with_their_times(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(b"DAP 1", NOON, 5)
    journal.append(b"2\r\n", NOON + timedelta(seconds=1), 6)
    journal.close()
    chunks = list(read(path_of(tmp_path)))
    assert [chunk.data for chunk in chunks] == [b"DAP 1", b"2\r\n"]
    assert [chunk.received_ns for chunk in chunks] == [5, 6]
    assert chunks[0].received_at_ns == int(NOON.timestamp() * 1e9)


def test_a_new_day_is_a_new_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(b"a", NOON, 1)
    journal.append(b"b", NOON + timedelta(days=1), 2)
    journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-11-24.journal", "2026-11-25.journal"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.integers(0, 400))
def test_a_journal_cut_anywhere_keeps_its_whole_chunks_and_goes_on(
    tmp_path: Path, pieces: list[bytes], cut: int
) -> None:
    path = path_of(tmp_path)
    path.unlink(missing_ok=True)
    journal = Journal(tmp_path)
    for number, piece in enumerate(pieces):
        journal.append(piece, NOON, number)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    kept = [chunk.data for chunk in read(path)]
    assert kept == pieces[: len(kept)]
    again = Journal(tmp_path)
    again.append(b"next", NOON, 99)
    again.close()
    assert [chunk.data for chunk in read(path)] == [*kept, b"next"]


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_read_as_chunks_or_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(data)
    assert list(read(path)) == []


def test_a_chunk_says_whether_the_line_had_errors_and_where_it_ends(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    ends = [journal.append(b"good", NOON, 5), journal.append(b"b\x1ad", NOON, 6, is_damaged=True)]
    journal.close()
    chunks = list(read(path_of(tmp_path)))
    assert [(chunk.data, chunk.is_damaged) for chunk in chunks] == [(b"good", False), (b"b\x1ad", True)]
    assert [chunk.end for chunk in chunks] == [end.offset for end in ends]
    assert list(read(path_of(tmp_path), ends[0].offset)) == chunks[1:]


def test_a_message_across_midnight_may_stay_in_one_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(b"a", NOON, 1)
    place = journal.append(b"b", NOON + timedelta(days=1), 2, stays=True)
    journal.close()
    assert place.file == "2026-11-24.journal"
    assert [chunk.data for chunk in read(path_of(tmp_path))] == [b"a", b"b"]


def test_a_file_is_opened_behind_what_is_known_to_be_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = journal.append(b"a", NOON, 1), journal.append(b"b", NOON, 2)
    journal.close()
    with path_of(tmp_path).open("ab") as file:
        file.write(b"torn")
    assert journal.open(first.file, first.offset) == second
    journal.close()
    assert path_of(tmp_path).stat().st_size == second.offset
    assert journal.open(first.file, second.offset + 999) == second


def test_it_is_synced_a_tenth_of_a_second_after_the_first_byte_and_not_at_each_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    journal = Journal(tmp_path)
    for ms in range(0, 250, 10):
        journal.append(b"x", NOON, ms * 1_000_000)
        journal.sync_by(ms * 1_000_000)
    assert len(synced) == 2
    journal.sync()
    journal.sync()
    assert len(synced) == 3


def test_what_could_not_be_made_durable_is_not_called_durable_by_a_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fdatasync", full)
    journal = Journal(tmp_path)
    journal.append(b"x", NOON, 0)
    for _ in range(2):
        with pytest.raises(SpoolError):
            journal.sync()


def test_old_days_go_and_the_oldest_when_there_are_too_many_bytes_but_never_one_in_use(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for day in range(6):
        journal.append(bytes(100), NOON + timedelta(days=day), day)
    journal.append(bytes(100), datetime(1970, 1, 1, tzinfo=UTC), 9)
    journal.close()
    in_use = file_of(NOON + timedelta(days=4))

    def left() -> list[str]:
        return [path.name[:10] for path in sorted(tmp_path.iterdir())]

    assert prune(tmp_path, file_of(NOON + timedelta(days=1)), 10_000, in_use) == ["2026-11-24.journal"]
    assert left()[0] == "1970-01-01", "a wrong clock says nothing of how old it is"
    assert prune(tmp_path, "2026-11-24.journal", 500, in_use) == ["1970-01-01.journal", "2026-11-25.journal"]
    assert prune(tmp_path, "9999-12-31.journal", 0, in_use) == ["2026-11-26.journal", "2026-11-27.journal"]
    assert left() == ["2026-11-28", "2026-11-29"]
