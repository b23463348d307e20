"""Framing: any bytes, whole or in any pieces, give the same bounded records."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.records import NEED_DATA, Lines, Record


def frame(pieces: list[bytes], terminator: bytes = b"\r\n", limit: int = 16) -> list[Record]:
    lines = Lines(terminator, limit)
    records = []
    for piece in pieces:
        lines.receive_data(piece)
        while isinstance(record := lines.next_record(), Record):
            records.append(record)
    if isinstance(rest := lines.flush(), Record):
        records.append(rest)
    return records


def test_cr_lf_cr_and_lf_alone_each_end_one_line() -> None:
    assert [r.data for r in frame([b"a\r\nb\rc\nd"])] == [b"a", b"b", b"c", b"d"]


def test_a_blank_line_is_a_record() -> None:
    assert [r.data for r in frame([b"a\r\n\r\nb\r\n"])] == [b"a", b"", b"b"]


def test_a_cr_that_ends_one_piece_and_its_lf_in_the_next_are_one_end() -> None:
    assert [r.data for r in frame([b"a\r", b"\nb\r", b"\n"])] == [b"a", b"b"]


def test_an_endless_line_is_one_overlong_record_and_framing_goes_on_after_it() -> None:
    records = frame([b"x" * 1000, b"y" * 1000 + b"\r\nok\r\n"])
    assert records == [Record(b"x" * 16, is_overlong=True), Record(b"ok")]


def test_an_endless_line_needs_no_endless_memory() -> None:
    lines = Lines(limit_bytes=16)
    for _ in range(1000):
        lines.receive_data(b"z" * 100)
        assert lines.next_record() is NEED_DATA
    assert len(lines._pending) <= 16


def test_another_terminator_is_taken_by_the_letter() -> None:
    assert [r.data for r in frame([b"a\r\x03", b"\x04b\x03\x04"], b"\x03\x04")] == [b"a\r", b"b"]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8), st.sampled_from([b"\r\n", b"\x03", b"ETX"]))
def test_any_bytes_in_any_pieces_give_the_same_records(data: bytes, cuts: list[int], terminator: bytes) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    whole = frame([data], terminator)
    assert frame(pieces, terminator) == whole
    assert frame([data[i : i + 1] for i in range(len(data))], terminator) == whole
    assert all(len(record.data) <= 16 for record in whole)


@given(st.binary(max_size=200))
def test_no_byte_is_lost_but_line_ends(data: bytes) -> None:
    kept = b"".join(record.data for record in frame([data], limit=1000))
    assert kept == data.replace(b"\r", b"").replace(b"\n", b"")
