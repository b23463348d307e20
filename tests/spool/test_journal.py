"""The serial journal: what was synced is there, whole, after any cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.spool.journal import Journal, read

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
