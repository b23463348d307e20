"""Marked input of the kernel to data and damage, whole and byte by byte the same."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.device.marks import DAMAGED, Counts, LineErrors, Marks, Tally

SUB = bytes([DAMAGED])
NOTHING = Counts(0, 0, 0, 0)


def marked(heard: list[int | tuple[int]]) -> bytes:
    """What the kernel hands on (termios(3)): a character, or, in a tuple, a damaged one."""
    return b"".join(
        b"\xff\x00" + bytes(one) if isinstance(one, tuple) else b"\xff\xff" if one == 0xFF else bytes([one])
        for one in heard
    )


CHARACTERS = st.lists(st.one_of(st.integers(0, 255), st.sampled_from([0xFF, 0x00]), st.tuples(st.integers(0, 255))))


@given(CHARACTERS, st.lists(st.integers(1, 7), min_size=1))
def test_what_was_sent_is_what_is_read_in_pieces_of_any_size(heard: list[int | tuple[int]], sizes: list[int]) -> None:
    raw, marks, clean = marked(heard), Marks(), b""
    while raw:
        sizes = sizes[1:] + sizes[:1]
        clean += marks.take(raw[: sizes[0]])
        raw = raw[sizes[0] :]
    assert clean == bytes(DAMAGED if isinstance(one, tuple) else one for one in heard)
    damaged = [one[0] for one in heard if isinstance(one, tuple)]
    assert (marks.characters, marks.breaks) == (len(damaged) - damaged.count(0), damaged.count(0))


def test_a_damaged_figure_keeps_its_place() -> None:
    assert Marks().take(b"SPH -\xff\x0012.50\r") == b"SPH -" + SUB + b"2.50\r"


def test_a_mark_that_is_not_whole_waits_for_its_end() -> None:
    marks = Marks()
    assert [marks.take(piece) for piece in (b"A\xff", b"\x00", b"\x41B")] == [b"A", b"", SUB + b"B"]


def test_a_line_that_is_set_anew_has_no_half_a_mark() -> None:
    marks = Marks()
    assert marks.take(b"\xff") == b""
    marks.forget()
    assert marks.take(b"\x00B") == b"\x00B"


@pytest.mark.parametrize(
    ("has_parity", "expected"),
    [(True, LineErrors(parity=2, breaks=1)), (False, LineErrors(framing=2, breaks=1))],
)
def test_where_the_driver_does_not_count_the_marks_do(has_parity: bool, expected: LineErrors) -> None:
    marks, tally = Marks(), Tally(has_parity=has_parity, counts=None)
    marks.take(b"\xff\x00\x41\xff\x00\x42\xff\x00\x00")
    assert tally.since(marks, None) == expected
    assert tally.since(marks, None) == LineErrors()
    assert expected.damaged == 3


def test_a_driver_that_counts_is_believed_about_what_it_was() -> None:
    marks, tally = Marks(), Tally(has_parity=True, counts=Counts(7, 7, 7, 7))
    marks.take(b"\xff\x00\x41\xff\x00\x42\xff\x00\x00")
    assert tally.since(marks, Counts(8, 8, 7, 8)) == LineErrors(framing=1, parity=1, breaks=1)


def test_a_driver_that_marks_and_does_not_count_is_believed_too() -> None:
    marks, tally = Marks(), Tally(has_parity=True, counts=NOTHING)
    marks.take(b"\xff\x00\x41\xff\x00\x00")
    assert tally.since(marks, NOTHING) == LineErrors(parity=1, breaks=1)


def test_a_character_is_not_counted_twice_when_it_is_read_later_than_it_was_counted() -> None:
    marks, tally = Marks(), Tally(has_parity=True, counts=NOTHING)
    assert tally.since(marks, Counts(0, 1, 0, 0)).parity == 1
    marks.take(b"\xff\x00\x41")
    assert tally.since(marks, Counts(0, 1, 0, 0)) == LineErrors()
    marks.take(b"\xff\x00\x41")
    assert tally.since(marks, Counts(0, 2, 0, 0)) == LineErrors(parity=1)


def test_what_came_in_one_packet_with_a_damaged_character_is_as_damaged() -> None:
    marks, tally = Marks(), Tally(has_parity=True, counts=NOTHING)
    marks.take(b"\xff\x00\x41" * 5)
    assert tally.since(marks, Counts(1, 0, 0, 0)) == LineErrors(framing=5)


def test_an_adapter_that_is_gone_counts_no_more() -> None:
    tally = Tally(has_parity=True, counts=Counts(5, 5, 5, 5))
    assert tally.since(Marks(), None) == LineErrors()


def test_what_a_driver_counts_and_does_not_point_out_is_unplaced() -> None:
    marks, tally = Marks(), Tally(has_parity=True, counts=NOTHING)
    assert tally.since(marks, Counts(0, 2, 0, 0)) == LineErrors(parity=2, unplaced=2)


def test_a_lost_character_is_never_in_its_place() -> None:
    marks, tally = Marks(), Tally(has_parity=True, counts=NOTHING)
    marks.take(b"\xff\x00\x41")
    assert tally.since(marks, Counts(0, 1, 3, 0)) == LineErrors(parity=1, overruns=3, unplaced=3)


def test_the_counts_of_the_kernel_are_where_its_header_puts_them() -> None:
    answer = struct.pack("@11i", *range(100, 111)) + bytes(36)
    assert Counts.of(answer) == Counts(framing=106, parity=108, overruns=107 + 110, breaks=109)
