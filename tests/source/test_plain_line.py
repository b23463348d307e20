"""The declarative dialect: lines to Observations, and never anything but values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProfileError
from gateway.model import Code
from gateway.profile import InstrumentProfile, Reading
from gateway.source.dialects.plain_line import PlainLine

DAP = Code("113722", "DCM", "Dose Area Product Total")
GYM2 = Code("Gy.m2", "UCUM", "Gy.m2")
CGYCM2 = Code("cGy.cm2", "UCUM", "cGy.cm2")
NUMBER = r"DAP\s+(?P<value>[-+]?[0-9]+[.,]?[0-9]*)\s*(?P<unit>\S*)"


def dialect(separator: str = ".", pattern: str = NUMBER) -> PlainLine:
    reading = Reading(
        pattern=pattern,
        concept=DAP,
        unit=CGYCM2,
        decimal_separator=separator,
        units={"cGycm2": CGYCM2, "Gym2": GYM2},
        low=0,
        high=10_000,
    )
    return PlainLine(
        InstrumentProfile(name="dap", title="DAP", sources=("test",), kind="plain_line", reading=(reading,))
    )


def test_a_line_becomes_a_coded_value_with_its_unit_and_its_bytes() -> None:
    (reading,) = dialect().parse(b"DAP  12.50 Gym2", 7)
    assert (reading.concept, reading.value, reading.unit, reading.raw) == (DAP, "12.50", GYM2, b"DAP  12.50 Gym2")
    assert reading.received_ns == 7
    assert reading.doubts == ()


def test_a_decimal_comma_becomes_a_point() -> None:
    (reading,) = dialect(",").parse(b"DAP 3,25", 0)
    assert reading.value == "3.25"


def test_a_heading_is_no_value_and_no_error() -> None:
    assert dialect().parse(b"PATIENT REPORT", 0) == ()


@pytest.mark.parametrize(
    ("line", "doubt"), [(b"DAP -1", "below 0"), (b"DAP 99999", "above 10000"), (b"DAP 1 furlong", "furlong")]
)
def test_an_implausible_value_is_kept_and_marked(line: bytes, doubt: str) -> None:
    (reading,) = dialect().parse(line, 0)
    assert doubt in reading.doubts[0]


def test_a_value_that_is_no_number_is_kept_and_marked() -> None:
    (reading,) = dialect(pattern=r"DAP (?P<value>\S+)").parse(b"DAP ----", 0)
    assert (reading.value, reading.doubts) == ("----", ("it is not a number",))


@pytest.mark.parametrize("pattern", ["(", "DAP"])
def test_a_pattern_that_cannot_work_is_named(pattern: str) -> None:
    with pytest.raises(ProfileError):
        dialect(pattern=pattern)


@given(st.binary(max_size=300))
def test_any_bytes_give_values_or_nothing(line: bytes) -> None:
    for reading in dialect(pattern=r"(?P<value>\S+)").parse(line, 0):
        assert isinstance(reading.value, str)
