"""A Reichert tonometer's printout: both eyes by their headings, a cut one refused, any bytes values or a named error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import codes
from gateway import profile as profiles
from gateway.model import ReadingSet
from gateway.simulators.tonometer import printout
from gateway.source.serial import Instrument
from tests.source.pieces import check_pieces

SECOND = 1_000_000_000
PROFILE = profiles.instrument("reichert-g3")


def heard(data: bytes) -> tuple[list[ReadingSet], list[str]]:
    instrument = Instrument(PROFILE)
    sets = instrument.receive_data(data, SECOND) + instrument.tick(60 * SECOND)
    return sets, [str(error) for error in instrument.errors()]


def values(data: bytes) -> list[tuple[str, str, str, tuple[str, ...]]]:
    (one,), errors = heard(data)
    assert errors == []
    return [(each.laterality, each.concept.value, each.value, each.doubts) for each in one.observations]


def test_both_eyes_have_pressures_hysteresis_and_score_with_their_units() -> None:
    (one,), errors = heard(printout())
    assert errors == []
    assert [
        (each.laterality, each.concept, each.value, each.unit and each.unit.value) for each in one.observations
    ] == [
        ("R", codes.COMPENSATED_PRESSURE, "16.2", "mm[Hg]"),
        ("R", codes.HYSTERESIS, "9.8", "mm[Hg]"),
        ("R", codes.PRESSURE, "15.1", "mm[Hg]"),
        ("R", codes.CURVE_SCORE, "8.4", "1"),
        ("L", codes.COMPENSATED_PRESSURE, "17.0", "mm[Hg]"),
        ("L", codes.HYSTERESIS, "10.1", "mm[Hg]"),
        ("L", codes.PRESSURE, "16.3", "mm[Hg]"),
        ("L", codes.CURVE_SCORE, "7.9", "1"),
    ]
    assert one.observations[0].raw == printout()[:-1]


def test_an_eye_that_was_not_measured_has_no_line_and_no_values() -> None:
    assert [side for side, *_ in values(printout(right=()))] == ["L"] * 4


def test_the_columns_are_those_of_the_headings() -> None:
    text = b"\r\rIOPg IOPcc Score\r(R) 15.1 16.2\r\r\x04"
    assert [(concept, value) for _, concept, value, _ in values(text)] == [("56844-4", "15.1"), ("IOPcc", "16.2")]


def test_without_a_known_heading_the_columns_are_in_the_order_of_the_manual_and_each_value_says_so() -> None:
    text = b"\r\r24.11.2026\r\rAugendruck Kurven-Score\r(L) 16,2 9,8 15,1 8,4\r\r\x04"
    said = ("its column was not named: it is taken to be where the manual says",)
    assert [(concept, value, doubts) for _, concept, value, doubts in values(text)] == [
        ("IOPcc", "16.2", said),
        ("CH", "9.8", said),
        ("56844-4", "15.1", said),
        ("WS", "8.4", said),
    ]


def test_what_is_implausible_is_kept_and_marked_and_what_is_no_number_is_not_measured() -> None:
    assert values(printout(right=("161.2", "--.-", "1.5.1", "11"), left=())) == [
        ("R", "IOPcc", "161.2", ("it is above 80",)),
        ("R", "56844-4", "1.5.1", ("it is not a number",)),
        ("R", "WS", "11", ("it is above 10",)),
    ]


@pytest.mark.parametrize("date", ["31.12.1999 23:59", "01/01/2105", "99-99-99", "\x1a\x1a", ""])
def test_whatever_the_date_is_the_values_are_the_same(date: str) -> None:
    assert values(printout(date=date)) == values(printout())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (printout()[:-1], "cut off"),
        (printout()[:60], "cut off"),
        (b"\r\r11/24/2026\r\r\x04", "no value"),
        (printout(right=("16.2", "9.8", "15.1")), "3 values under 4 headings"),
        (b"x" * 5000 + b"\x04", "no end"),
    ],
)
def test_what_is_damaged_is_refused_by_name_and_the_next_is_whole(data: bytes, problem: str) -> None:
    sets, errors = heard(data)
    assert sets == []
    assert problem in errors[0]
    instrument = Instrument(PROFILE)
    instrument.receive_data(data, SECOND)
    instrument.tick(30 * SECOND)
    assert len(instrument.receive_data(b"\x00\xff" + printout(), 31 * SECOND)) == 1


def test_noise_on_the_line_is_no_printout_that_was_cut_off() -> None:
    assert heard(b"\x00\xff\x00") == ([], [])


parts = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [printout(), printout()[:70], b"\x04", b"\r", b"(R)", b"(L) 1e9 - ,5 \xb2\r", b"IOPcc CH\r", b"x" * 5000]
    ),
)


@given(st.lists(parts, max_size=6).map(b"".join), st.lists(st.integers(0, 600), max_size=5))
def test_any_stream_whole_or_in_pieces_gives_the_same_sets_and_errors(data: bytes, cuts: list[int]) -> None:
    check_pieces(PROFILE, data, cuts)
