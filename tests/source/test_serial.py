"""Sets of readings: what the instrument printed in one go, whatever the pieces it arrived in."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Code, ReadingSet
from gateway.profile import InstrumentProfile, Reading
from gateway.simulators.instrument import dose_report
from gateway.source.serial import Instrument

SECOND = 1_000_000_000
PROFILE = InstrumentProfile(
    name="dose",
    title="Dose meter",
    sources=("test",),
    kind="plain_line",
    record_end="END",
    reading=(
        Reading(
            pattern=r"DAP (?P<value>\S+)",
            concept=Code("113722", "DCM", "Dose Area Product Total"),
            unit=Code("cGy.cm2", "UCUM", "cGy.cm2"),
        ),
        Reading(
            pattern=r"TIME (?P<value>\S+) s",
            concept=Code("113735", "DCM", "Exposure Time"),
            unit=Code("s", "UCUM", "s"),
        ),
    ),
)


def values(sets: list[ReadingSet]) -> list[list[str]]:
    return [[observation.value for observation in one.observations] for one in sets]


def test_a_pause_ends_a_set() -> None:
    instrument = Instrument(PROFILE)
    assert instrument.receive_data(dose_report(), SECOND) == []
    assert instrument.tick(SECOND + 1000) == []
    assert values(instrument.tick(2 * SECOND)) == [["12.50", "42"]]


def test_the_profiles_end_line_ends_a_set_at_once() -> None:
    instrument = Instrument(PROFILE)
    assert values(instrument.receive_data(b"DAP 1\r\nEND\r\nDAP 2\r\nEND\r\n", SECOND)) == [["1"], ["2"]]


def test_a_line_without_its_end_counts_once_the_line_is_silent() -> None:
    instrument = Instrument(PROFILE)
    instrument.receive_data(b"DAP 7", SECOND)
    assert values(instrument.tick(2 * SECOND)) == [["7"]]


def test_headings_alone_are_no_set() -> None:
    instrument = Instrument(PROFILE)
    instrument.receive_data(b"DOSE REPORT\r\n", SECOND)
    assert instrument.tick(9 * SECOND) == []


def test_an_endless_line_is_counted_and_the_rest_is_read() -> None:
    instrument = Instrument(PROFILE)
    instrument.receive_data(b"x" * 10_000 + b"\r\nDAP 3\r\n", SECOND)
    (one,) = instrument.tick(2 * SECOND)
    assert values([one]) == [["3"]]
    assert [str(error) for error in instrument.errors()] == ["What the instrument sent cannot be read: it has no end."]


@given(st.binary(max_size=100), st.lists(st.integers(0, 140), max_size=6))
def test_noise_before_a_report_and_any_pieces_give_the_same_sets(noise: bytes, cuts: list[int]) -> None:
    data = noise + b"\r\n" + dose_report()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole, pieces = Instrument(PROFILE), Instrument(PROFILE)
    expected = whole.receive_data(data, SECOND) + whole.tick(9 * SECOND)
    found = [s for a, b in pairwise(edges) for s in pieces.receive_data(data[a:b], SECOND)] + pieces.tick(9 * SECOND)
    assert values(found) == values(expected)
    assert values(expected)[-1][-2:] == ["12.50", "42"]
