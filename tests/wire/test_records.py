"""Framing: any bytes, whole or in any pieces, give the same bounded records."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.records import NEED_DATA, Fault, Lines, Messages, Record
from tests.wire.pieces import records_of


def frame(pieces: list[bytes], terminator: bytes = b"\r\n", limit: int = 16) -> list[Record]:
    return records_of(Lines(terminator, limit), pieces)


def test_cr_lf_cr_and_lf_alone_each_end_one_line() -> None:
    assert [r.data for r in frame([b"a\r\nb\rc\nd"])] == [b"a", b"b", b"c", b"d"]


def test_a_blank_line_is_a_record() -> None:
    assert [r.data for r in frame([b"a\r\n\r\nb\r\n"])] == [b"a", b"", b"b"]


def test_a_cr_that_ends_one_piece_and_its_lf_in_the_next_are_one_end() -> None:
    assert [r.data for r in frame([b"a\r", b"\nb\r", b"\n"])] == [b"a", b"b"]


def test_an_endless_line_is_one_overlong_record_and_framing_goes_on_after_it() -> None:
    records = frame([b"x" * 1000, b"y" * 1000 + b"\r\nok\r\n"])
    assert records == [Record(b"x" * 16, Fault.OVERLONG), Record(b"ok")]


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


def messages(pieces: list[bytes], *, has_checksum: bool = True, limit: int = 64) -> list[Record]:
    return records_of(Messages(has_checksum=has_checksum, limit_bytes=limit), pieces)


def summed(message: bytes) -> bytes:
    return message + b"%04X" % (sum(message) % 65536)


A, B = b"\x01DLM\x02a\x17\x04", b"\x01DRM\x02b\x17\x04"


def test_a_message_with_its_checksum_is_whole_and_checked() -> None:
    assert messages([summed(A) + b"\r" + summed(B)]) == [Record(A, is_checked=True), Record(B, is_checked=True)]


def test_carriage_returns_do_not_count_in_a_checksum() -> None:
    with_returns = A.replace(b"\x17", b"\x17\r")
    assert messages([with_returns + summed(A)[-4:]]) == [Record(with_returns, is_checked=True)]


def test_a_wrong_or_half_checksum_is_a_fault() -> None:
    wrong = [A + b"0000\r", A + b"12", A + b"1\r"]
    assert [messages([each]) for each in wrong] == [[Record(A, Fault.CHECKSUM)]] * 3


def test_a_message_without_a_checksum_is_whole_and_not_checked() -> None:
    assert messages([A + b"\r" + A]) == [Record(A), Record(A)]


def test_what_follows_a_message_is_noise_where_no_checksum_is_expected() -> None:
    assert messages([A + b"0000\r" + A], has_checksum=False) == [Record(A), Record(A)]


def test_several_blocks_are_one_message_and_a_message_that_another_interrupts_is_cut() -> None:
    both = b"\x01DRM\x02b\x17\r\x01DKM\x02k\x17\x04"
    assert messages([both + b"\r"]) == [Record(both)]
    assert messages([b"\x01DLM\x02ha" + summed(B)]) == [
        Record(b"\x01DLM\x02ha", Fault.CUT),
        Record(B, is_checked=True),
    ]
    assert messages([b"\x01DLM\x02ha" + B + b"\r"]) == [Record(b"\x01DLM\x02ha", Fault.CUT), Record(B)]


def test_a_message_without_an_end_is_overlong_and_needs_no_endless_memory() -> None:
    framing = Messages(limit_bytes=64)
    found = []
    for _ in range(100):
        framing.receive_data(b"\x01" + b"x" * 999)
        while isinstance(record := framing.next_record(), Record):
            found.append(record)
    assert {record.fault for record in found} == {Fault.OVERLONG}
    assert all(len(record.data) == 64 for record in found)
    assert len(framing._pending) < 64


part = st.sampled_from(
    [b"\x01", b"\x02", b"\x04", b"\x17", b"\r", b"\n", b"0", b"A", b"f", b"xyz", A, B, summed(A), summed(B)]
)


@given(st.lists(part, max_size=30).map(b"".join), st.lists(st.integers(0, 300), max_size=6), st.booleans())
def test_any_messages_in_any_pieces_are_the_same(data: bytes, cuts: list[int], has_checksum: bool) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    whole = messages([data], has_checksum=has_checksum)
    assert messages([data[a:b] for a, b in pairwise(edges)], has_checksum=has_checksum) == whole
    assert messages([data[i : i + 1] for i in range(len(data))], has_checksum=has_checksum) == whole
    assert all(len(record.data) <= 64 for record in whole)
