"""An instrument that streams: intervals, curves joined, and what the line damaged is marked or unreadable."""

import pytest
from msgspec import Struct, structs

from gateway.errors import UnreadableRecord
from gateway.model import NO_SAMPLE, Code, Observation, Trace, TraceKind
from gateway.source import serial
from gateway.source.dialects.said import Said
from gateway.source.serial import DOUBT, Instrument
from gateway.wire.records import Lines
from tests.source.test_serial import PROFILE, SECOND

PULSE = Code("8867-4", "LN", "Heart rate")
UNIT = Code("/min", "UCUM", "/min")


class Monitor(Struct):
    """A line is a number, and ten samples of a curve of 10 Hz with it."""

    framing: Lines

    def hear(self, record, received_ns):
        if not record.data.strip().isdigit():
            raise UnreadableRecord(problem="it is no number")
        value = Observation(concept=PULSE, value=record.data.decode(), unit=UNIT, received_ns=received_ns)
        curve = Trace(
            kind=TraceKind.ECG, channel=PULSE, unit=UNIT, hz=10.0, step="1", samples=bytes(20), received_ns=received_ns
        )
        return Said(observations=(value,), traces=(curve,))

    def answer(self):
        return b""

    def due(self, _now_ns):
        return b""


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setattr(serial, "dialect_of", lambda _profile: Monitor(Lines()))
    return Instrument(structs.replace(PROFILE, collect_s=5))


def test_so_many_seconds_become_one_set_with_the_last_value_and_the_whole_curve(stream):
    ended = [one for second in range(1, 8) for one in stream.receive_data(b"%d\n" % second, second * SECOND)]
    (one,) = ended
    assert ([value.value for value in one.observations], one.received_ns) == (["5"], SECOND)
    assert len(one.traces[0].samples) == 100
    (rest,) = stream.end()
    assert [value.value for value in rest.observations] == ["7"]
    assert stream.end() == []


def test_a_pause_ends_no_interval_and_stands_in_the_curve_as_no_sample(stream):
    stream.receive_data(b"1\n", SECOND)
    assert stream.tick(3 * SECOND) == []
    stream.receive_data(b"2\n", 4 * SECOND)
    (one,) = stream.end()
    samples = memoryview(one.traces[0].samples).cast("h").tolist()
    assert samples == [0] * 10 + [NO_SAMPLE] * 20 + [0] * 10


def test_what_runs_for_long_is_condensed(stream, monkeypatch):
    monkeypatch.setattr(serial, "MOST_PARTS", 8)
    for tenth in range(40):
        stream.receive_data(b"%d\n" % tenth, SECOND + tenth * SECOND // 10)
    assert len(stream._observations) < 8
    (one,) = stream.end()
    assert [value.value for value in one.observations] == ["39"]
    assert one.received_ns == SECOND
    assert len(one.traces[0].samples) == 40 * 20


def test_a_record_that_the_line_damaged_is_unreadable_and_one_beside_it_is_doubted(stream):
    stream.receive_data(b"1\n2", SECOND, is_damaged=True)
    stream.receive_data(b"\n3\n1\x1a\n", SECOND + 1)
    (one,) = stream.end()
    assert [value.doubts for value in one.observations] == [()]
    assert [(trace.doubts, len(trace.samples)) for trace in one.traces] == [((DOUBT,), 60)]
    assert [str(error) for error in stream.errors()] == ["What the instrument sent cannot be read: it is no number."], (
        "on a line without errors 1Ah is a character like any other"
    )
    stream.receive_data(b"4\x1a2\n", 2 * SECOND, is_damaged=True)
    assert ["damaged a character" in str(error) for error in stream.errors()] == [True]
    assert stream.end() == []


def test_when_the_first_byte_came_is_known_until_the_set_or_a_pause_has_ended_it():
    instrument = Instrument(PROFILE)
    assert instrument.began_ns == 0
    instrument.receive_data(b"DAP ", SECOND)
    instrument.receive_data(b"1\r\n", SECOND + 5)
    assert instrument.began_ns == SECOND
    assert len(instrument.tick(3 * SECOND)) == 1
    assert instrument.began_ns == 0


def test_a_set_without_an_end_is_ended_at_a_bound(monkeypatch):
    monkeypatch.setattr(serial, "MOST_PARTS", 10)
    instrument = Instrument(PROFILE)
    ended = instrument.receive_data(b"DAP 1\r\n" * 25, SECOND)
    assert [len(one.observations) for one in ended] == [10, 10]
