"""A fetal monitor: every sample where it belongs in time, pen lifts and losses as gaps, and any bytes values or a named error."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import profile as profiles
from gateway.model import NO_SAMPLE, Observation, ReadingSet, Trace, TraceKind
from gateway.simulators.fetal_monitor import FetalMonitor, heart_rate, is_moving, message, uterine_activity
from gateway.simulators.instrument import SimulatedInstrument
from gateway.source.serial import Instrument
from gateway.wire.corometrics import FetalMessages
from gateway.wire.records import Fault, Record
from tests.source.pieces import check_pieces
from tests.wire.pieces import records_of

SECOND = 1_000_000_000
PROFILE = profiles.instrument("ge-corometrics")
RATE_140 = bytes.fromhex("39 60 30 31 34 30 03")
"""Monitor type 9, response type 60h (heart rate 1), ID 0, "140", end of text."""


def heard(data: bytes, *, when: int = SECOND) -> ReadingSet:
    instrument = Instrument(PROFILE)
    assert instrument.receive_data(data, when) == []
    (one,) = instrument.end()
    assert instrument.errors() == []
    return one


def traces(readings: ReadingSet) -> dict[str, list[int]]:
    return {one.channel.value: samples_of(one) for one in readings.traces}


def samples_of(trace: Trace) -> list[int]:
    return list(struct.unpack(f"<{len(trace.samples) // 2}h", trace.samples))


def value_of(readings: ReadingSet, code: str) -> Observation:
    return next(one for one in readings.observations if one.concept.value == code)


def played(ticks: range, *, monitor: FetalMonitor, lost: frozenset[int] = frozenset()) -> Instrument:
    """Eighths of a second of a monitor, as they come; those that are lost do not."""
    instrument = Instrument(PROFILE)
    for number in ticks:
        data = monitor.tick(number)
        if number not in lost:
            assert instrument.receive_data(data, SECOND + number * SECOND // 8) == []
    return instrument


@pytest.fixture
def monitor():
    with SimulatedInstrument(baud=0) as line:
        yield FetalMonitor(line)


def test_the_simulator_writes_the_bytes_of_the_manual() -> None:
    assert message(b"`", b"140") == RATE_140
    assert message(b"d", b"") == bytes.fromhex("39 64 30 03")


def test_a_heart_rate_is_a_value_and_a_sample() -> None:
    found = heard(RATE_140)
    rate = value_of(found, "55283-6")
    assert (rate.value, rate.unit and rate.unit.value, rate.raw, rate.doubts) == ("140", "/min", b"140", ())
    trace = found.traces[0]
    assert (trace.kind, trace.hz, trace.step, trace.unit.value) == (TraceKind.CARDIOTOCOGRAM, 4, "1", "/min")
    assert traces(found) == {"55283-6": [140], "EventMark": [0]}


def test_a_minute_of_a_monitor_is_every_sample_of_every_channel(monitor: FetalMonitor) -> None:
    instrument = played(range(480), monitor=monitor)
    (one,) = instrument.end()
    assert instrument.errors() == []
    assert traces(one) == {
        "55283-6": [heart_rate(n) for n in range(240)],
        "SecondHeartRate": [heart_rate(n) - 12 for n in range(240)],
        "UterineActivity": [uterine_activity(n) for n in range(480)],
        "FetalMovement": [int(is_moving(n)) for n in range(240)],
        "EventMark": [0] * 240,
    }
    assert {trace.channel.value: trace.hz for trace in one.traces}["UterineActivity"] == 8
    assert [(v.concept.value, v.value) for v in one.observations] == [
        ("FetalMonitorModes", "AA"),
        ("UterineActivity", str(uterine_activity(479))),
        ("55283-6", str(heart_rate(239))),
        ("SecondHeartRate", str(heart_rate(239) - 12)),
    ]


def test_a_mark_stands_beside_the_sample_before_which_it_was_pressed(monitor: FetalMonitor) -> None:
    instrument = played(range(16), monitor=monitor)
    monitor.press_mark()
    for number in range(16, 32):
        instrument.receive_data(monitor.tick(number), SECOND + number * SECOND // 8)
    found = traces(instrument.end()[0])
    assert found["EventMark"] == [int(n == 8) for n in range(16)]
    assert len(found["55283-6"]) == 16


def test_a_lifted_pen_is_no_sample_and_no_value(monitor: FetalMonitor) -> None:
    monitor.is_lifted = True
    found = heard(message(b"`", b"00") + message(b"a", b"128") + message(b"e", b"00"))
    assert traces(found) == {
        "55283-6": [NO_SAMPLE],
        "EventMark": [0],
        "UterineActivity": [NO_SAMPLE],
        "SecondHeartRate": [NO_SAMPLE],
    }
    assert found.observations == ()


def test_seconds_that_are_lost_stay_a_gap_in_every_channel(monitor: FetalMonitor) -> None:
    instrument = played(range(160), monitor=monitor, lost=frozenset(range(40, 72)))
    found = traces(instrument.end()[0])
    assert found["55283-6"] == [
        *[heart_rate(n) for n in range(20)],
        *[NO_SAMPLE] * 16,
        *[heart_rate(n) for n in range(36, 80)],
    ]
    assert found["UterineActivity"][72:] == [uterine_activity(n) for n in range(72, 160)]
    assert found["UterineActivity"][40:72] == [NO_SAMPLE] * 32
    assert len(found["EventMark"]) == len(found["55283-6"]) == 80


def test_a_monitor_that_is_switched_off_in_a_message_loses_that_one_and_leaves_a_gap(monitor: FetalMonitor) -> None:
    instrument = Instrument(PROFILE)
    for number in range(160):
        if number == 40:
            monitor.switch_off(cut_at=11)
        if number == 72:
            monitor.switch_on()
        instrument.receive_data(monitor.tick(number), SECOND + number * SECOND // 8)
    assert [str(error)[-15:] for error in instrument.errors()] == ["it was cut off."]
    found = traces(instrument.end()[0])
    assert found["55283-6"][20:36] == [NO_SAMPLE] * 16
    assert found["55283-6"][36:] == [heart_rate(n) for n in range(36, 80)]


def test_single_lost_samples_do_not_add_up_to_more_than_a_second(monitor: FetalMonitor) -> None:
    instrument = played(range(1600), monitor=monitor, lost=frozenset(range(0, 1600, 20)))
    found = traces(instrument.end()[0])
    assert 800 - 4 <= len(found["55283-6"]) <= 800
    assert 1600 - 8 <= len(found["UterineActivity"]) <= 1600


@pytest.mark.parametrize(
    ("kind", "data", "code", "doubt"),
    [
        (b"`", b"250", "55283-6", "it is above 240"),
        (b"`", b"12", "55283-6", "it is below 30"),
        (b"e", b"250", "SecondHeartRate", "it is above 240"),
        (b"a", b"200", "UterineActivity", "it is above 127"),
    ],
)
def test_what_no_fetus_has_is_kept_with_its_doubt(kind: bytes, data: bytes, code: str, doubt: str) -> None:
    found = heard(message(kind, data))
    assert (value_of(found, code).value, value_of(found, code).doubts[-1]) == (data.decode(), doubt)
    assert traces(found)[code] == [int(data)]


def test_whose_the_second_rate_is_and_the_unit_of_the_contractions_are_left_open_in_words() -> None:
    found = heard(message(b"e", b"80") + message(b"a", b"15"))
    assert "the mother's" in value_of(found, "SecondHeartRate").doubts[0]
    assert "mmHg with a catheter" in value_of(found, "UterineActivity").doubts[0]


@pytest.mark.parametrize(("data", "samples"), [(b"2", None), (b"4", None), (b"0", [0]), (b"1", [1])])
def test_a_monitor_that_cannot_feel_movement_says_nothing_of_it(data: bytes, samples: list[int] | None) -> None:
    instrument = Instrument(PROFILE)
    instrument.receive_data(message(b"f", data), SECOND)
    ended = instrument.end()
    assert [traces(one).get("FetalMovement") for one in ended] == ([samples] if samples else [])


def test_annotations_are_counted_and_what_is_said_of_the_paper_is_not_a_reading() -> None:
    found = heard(RATE_140 + message(b"c", b"NIBP 118/76 9a0 at 12:10") + message(b"g", b"1"))
    assert (found.unread, len(found.observations)) == (1, 1)


@pytest.mark.parametrize(
    "data",
    [
        message(b"`", b""),
        message(b"`", b"1 0"),
        message(b"`", b"1400"),
        message(b"a", b"-12"),
        message(b"a", "\u0661\u0662".encode()),
        message(b"f", b"3"),
        message(b"b", b"A"),
        message(b"b", b"\x80A"),
        b"9`014",
        b"\x00\xff\x03",
    ],
)
def test_data_that_is_none_is_unreadable_and_the_next_message_is_read(data: bytes) -> None:
    instrument = Instrument(PROFILE)
    instrument.receive_data(data + b"" + RATE_140, SECOND)
    assert len(instrument.errors()) == 1
    (one,) = instrument.end()
    assert traces(one) == {"55283-6": [140], "EventMark": [0]}


@pytest.mark.parametrize("stuck", [b"\x00", b"9", b"\x03", b"\xff"])
def test_a_stuck_line_is_bounded_said_a_few_times_and_over_when_it_is_over(stuck: bytes) -> None:
    framing = FetalMessages()
    found = records_of(framing, [stuck * 700] * 20 + [b"\x03" + RATE_140])
    assert len([one for one in found if one.fault]) <= 2
    assert found[-1] == Record(RATE_140[:-1])


def test_a_message_without_an_end_is_given_up_and_the_next_is_whole() -> None:
    found = records_of(FetalMessages(limit_bytes=64), [b"9c0" + b"x" * 500 + RATE_140 + RATE_140])
    assert [(one.fault, len(one.data)) for one in found] == [(Fault.OVERLONG, 64), (Fault.NONE, 6), (Fault.NONE, 6)]


def test_a_message_that_the_power_cut_is_said_and_the_next_is_whole() -> None:
    found = records_of(FetalMessages(), [RATE_140[:5] + RATE_140])
    assert found == [Record(RATE_140[:5], Fault.CUT), Record(RATE_140[:-1])]


AWKWARD = [
    RATE_140,
    RATE_140[:-1],
    message(b"d", b""),
    message(b"c", b"9`0140"),
    message(b"a", b"128"),
    message(b"h", b"1"),
    b"9`",
    b"\x03",
    b"9c0" + b"y" * 1100,
    "\u0664\u0665".encode(),
]
parts = st.one_of(st.binary(max_size=8), st.sampled_from(AWKWARD))


@given(st.lists(parts, max_size=8).map(b"".join), st.lists(st.integers(0, 1500), max_size=5))
def test_any_stream_whole_or_in_pieces_gives_the_same_values_curves_and_errors(data: bytes, cuts: list[int]) -> None:
    check_pieces(PROFILE, data, cuts)
