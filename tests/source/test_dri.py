"""A Datex-Ohmeda monitor: every value and sample as it was sent, requests to the byte, and any bytes values or a named error."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway import profile as profiles
from gateway.device.tty import Tty
from gateway.errors import ProfileError
from gateway.model import NO_SAMPLE, Observation, ReadingSet, Trace, TraceKind
from gateway.objects import stated
from gateway.simulators.instrument import SimulatedInstrument
from gateway.simulators.monitor_dri import (
    NONE,
    PATIENT,
    Monitor,
    curves_record,
    framed,
    record_of,
    sample,
    values_record,
)
from gateway.source.serial import Instrument
from gateway.wire.frames import EscapedFrames
from tests.source.pieces import check_pieces
from tests.wire.pieces import records_of

SECOND = 1_000_000_000
PROFILE = profiles.instrument("ge-s5-monitor")
VALUES = framed(values_record(PATIENT, 3))
ECG_AND_PRESSURE = {1: [sample(1, n) for n in range(300)], 4: [sample(4, n) for n in range(100)]}
CURVES = framed(curves_record(ECG_AND_PRESSURE, 3))

ASK_VALUES = bytes.fromhex(
    "7e 31 00 00 00 0000 00000000 00 00 0000 0000" + "000000 0000ff" + "000000" * 6 + "01 0500 00000000 0000" + "36 7e"
)
"""49 bytes, main type 0, one subrecord of type 0; the displayed values, each 5 s, of the basic class."""
STOP_CURVES = bytes.fromhex(
    "7e 48 00 00 00 0000 00000000 00 00 0000 0100"
    "000000 0000ff" + "000000" * 6 + "0100 0000 00ff000000000000" + "00" * 20 + "48 7e"
)
ASK_CURVES = bytes.fromhex(
    "7e 48 00 00 00 0000 00000000 00 00 0000 0100"
    "000000 0000ff" + "000000" * 6 + "0000 0000 010408090d0eff00" + "00" * 20 + "78 7e"
)


PUBLISHED = bytes.fromhex("7e 31" + "00" * 20 + "ff" + "00" * 18 + "01 0a00 0e000000 0000 49 7e")
PUBLISHED_STOP = bytes.fromhex("7e 31" + "00" * 20 + "ff" + "00" * 18 + "01 0000 00000000 0000 31 7e")
"""As a published driver in Java sends them byte for byte: values each 10 s of all classes, and no more values."""


def heard(*frames: bytes, seconds: tuple[float, ...] = ()) -> ReadingSet:
    instrument = Instrument(PROFILE)
    times = seconds or tuple(range(1, len(frames) + 1))
    for frame, when in zip(frames, times, strict=True):
        assert instrument.receive_data(frame, round(when * SECOND)) == []
    (one,) = instrument.end()
    assert instrument.errors() == []
    return one


def value_of(readings: ReadingSet, meaning: str) -> Observation:
    return next(one for one in readings.observations if one.concept.meaning == meaning)


def samples_of(trace: Trace) -> list[int]:
    return list(struct.unpack(f"<{len(trace.samples) // 2}h", trace.samples))


def test_every_displayed_value_has_its_code_its_unit_and_its_bytes() -> None:
    found = [(one.concept.value, one.value, one.unit and one.unit.value) for one in heard(VALUES).observations]
    assert found == [
        ("8867-4", "72", "/min"),
        ("2:770", "0.52", "mm"),
        ("2:835", "-0.30", "mm"),
        ("2:20490", "14", "/min"),
        ("2:16770", "72", "/min"),
        ("2:18961", "121.50", "mm[Hg]"),
        ("2:18962", "78.40", "mm[Hg]"),
        ("2:18963", "93.10", "mm[Hg]"),
        ("2:18450", "72", "/min"),
        ("2:19015", "9.10", "mm[Hg]"),
        ("2:18949", "118.00", "mm[Hg]"),
        ("2:18950", "76.00", "mm[Hg]"),
        ("2:18951", "90.00", "mm[Hg]"),
        ("2:18474", "71", "/min"),
        ("2:19300", "36.72", "Cel"),
        ("2:19316", "33.91", "Cel"),
        ("2:19384", "97.80", "%"),
        ("2:18458", "73", "/min"),
        ("2:20636", "5.12", "%"),
        ("2:20644", "0.04", "%"),
        ("2:21368", "45.10", "%"),
        ("2:21124", "50.20", "%"),
        ("2:20522", "14", "/min"),
        ("2:20490", "13", "/min"),
        ("2:20901", "22.40", "cm[H2O]"),
        ("2:20904", "4.80", "cm[H2O]"),
        ("2:21352", "19.90", "cm[H2O]"),
        ("2:21588", "512.0", "mL"),
        ("2:21592", "506.0", "mL"),
        ("2:20616", "42.50", "mL/cm[H2O]"),
        ("2:20928", "6.58", "L/min"),
    ]
    pressure = value_of(heard(VALUES), "Arterial pressure, systolic (P1)")
    assert (pressure.raw, pressure.received_ns, pressure.doubts) == (struct.pack("<h", 12150), SECOND, ())


def test_no_two_values_of_a_record_have_the_same_concept() -> None:
    every = {key: 100 if isinstance(value, int) else (100,) * len(value) for key, value in PATIENT.items()}  # type: ignore[arg-type]
    concepts = [one.concept for one in heard(framed(values_record(every, 1))).observations]
    assert len(concepts) == len(set(concepts)) == 34


@pytest.mark.parametrize("reason", [-32767, -32766, -32765, -32764, -32763, -32762, -32001])
def test_what_the_monitor_calls_invalid_is_left_out(reason: int) -> None:
    found = heard(framed(values_record(PATIENT | {"spo2": reason}, 1)))
    assert "2:19384" not in [one.concept.value for one in found.observations]


def test_an_implausible_value_is_kept_with_its_doubt() -> None:
    found = heard(framed(values_record(PATIENT | {"spo2": 13000, "T1": -200}, 1)))
    saturation = value_of(found, "Oxygen saturation, by pulse oximetry")
    assert (saturation.value, saturation.doubts) == ("130.00", ("it is above 100",))
    cold = value_of(found, "Esophageal temperature (T1)")
    assert (cold.value, cold.doubts) == ("-2.00", ("it is below 10",))


def test_a_pressure_without_a_code_of_its_own_says_what_the_monitor_calls_it_and_an_old_one_how_old_it_is() -> None:
    record = bytearray(values_record(PATIENT, 1))
    record[40 + 4 + 16 + 4 : 40 + 4 + 16 + 6] = struct.pack("<H", 17)
    record[40 + 4 + 72 + 4 : 40 + 4 + 72 + 6] = struct.pack("<H", 3 | 1 << 8)
    found = heard(framed(bytes(record)))
    pressure = value_of(found, "Invasive pressure, mean (P1)")
    assert (pressure.concept.value, pressure.doubts) == ("2:18947", ("the monitor calls it UAC",))
    assert value_of(found, "Noninvasive blood pressure, systolic").doubts == ("it is older than a minute",)


def test_a_curve_has_its_rate_its_scale_and_every_sample_and_is_named_by_the_labels_of_the_values() -> None:
    ecg, pressure = heard(VALUES, CURVES).traces
    assert (ecg.kind, ecg.channel.value, ecg.channel.meaning) == (TraceKind.ECG, "2:2", "Lead II (ECG1)")
    assert (ecg.hz, ecg.unit.value, ecg.step, ecg.received_ns) == (300, "uV", "1", 2 * SECOND)
    assert samples_of(ecg) == ECG_AND_PRESSURE[1]
    assert (pressure.kind, pressure.channel.value) == (TraceKind.HEMODYNAMIC, "128446002")
    assert (pressure.hz, pressure.unit.value, pressure.step) == (100, "mm[Hg]", "0.01")
    assert samples_of(pressure) == ECG_AND_PRESSURE[4]


def test_an_interval_of_the_shipped_profile_is_six_whole_curves_and_a_report() -> None:
    instrument = Instrument(PROFILE)
    instrument.receive_data(VALUES, SECOND)
    for second in range(1, PROFILE.collect_s + 1):
        wanted = {number: [n + second for n in range(hz)] for number, hz in ((1, 300), (4, 100), (8, 100))}
        breathing = {number: [n - second for n in range(25)] for number in (9, 13, 14)}
        ended = instrument.receive_data(framed(curves_record(wanted | breathing, second)), second * SECOND)
        assert ended == []
    (one,) = instrument.tick((PROFILE.collect_s + 1) * SECOND)
    objects = list(stated.objects_of(one))
    assert [kind.modality for kind, _ in objects] == ["ECG", "HD", "HD", "RESP", "RESP", "RESP", "SR"]
    held = [trace for _, readings in objects for trace in readings.traces]
    assert [len(trace.samples) // 2 for trace in held] == [PROFILE.collect_s * round(trace.hz) for trace in held]
    assert NO_SAMPLE not in samples_of(held[0])
    assert PROFILE.collect_s == 300, "as many objects as its confirm says"


@pytest.mark.parametrize(
    ("number", "kind", "unit", "step", "hz"),
    [
        (8, TraceKind.ARTERIAL_PULSE, "%", "0.01", 100),
        (9, TraceKind.RESPIRATORY, "%", "0.01", 25),
        (13, TraceKind.RESPIRATORY, "cm[H2O]", "0.1", 25),
        (14, TraceKind.RESPIRATORY, "L/min", "0.1", 25),
        (15, TraceKind.RESPIRATORY, "Ohm", "0.01", 25),
        (17, TraceKind.HEMODYNAMIC, "mm[Hg]", "0.01", 100),
    ],
)
def test_each_curve_belongs_to_its_object(number: int, kind: TraceKind, unit: str, step: str, hz: int) -> None:
    (trace,) = heard(framed(curves_record({number: [1, -2, 3]}, 1))).traces
    assert (trace.kind, trace.unit.value, trace.step, trace.hz) == (kind, unit, step, hz)


def test_pieces_are_joined_an_invalid_sample_is_none_and_a_lost_second_stays_a_gap() -> None:
    seconds = [[n] * 25 for n in range(5)]
    seconds[1][3] = NONE
    frames = [framed(curves_record({9: each}, 1)) for each in seconds]
    del frames[2]
    (trace,) = heard(VALUES, *frames, seconds=(0.5, 1, 2, 4, 5)).traces
    found = samples_of(trace)
    assert found[25 + 3] == NO_SAMPLE
    assert found == [*[0] * 25, *[1] * 3, NO_SAMPLE, *[1] * 21, *[NO_SAMPLE] * 25, *[3] * 25, *[4] * 25]


def test_a_silence_between_two_intervals_is_in_neither() -> None:
    instrument = Instrument(structs.replace(PROFILE, collect_s=100))
    sets: list[ReadingSet] = []
    for when in (1, 2, 60):
        instrument.receive_data(framed(curves_record({1: [when] * 300, 9: [when] * 25}, when)), when * SECOND)
        sets += instrument.end() if when != 1 else []
    ecg, gas = sets[1].traces
    assert (samples_of(ecg), samples_of(gas)) == ([60] * 300, [60] * 25)
    assert (ecg.received_ns, gas.received_ns, sets[1].received_ns) == (60 * SECOND, 60 * SECOND, 60 * SECOND)


def test_a_second_whose_frame_was_damaged_stays_a_gap_though_the_next_comes_a_little_early() -> None:
    frames = [framed(curves_record({9: [n] * 25}, 1)) for n in range(4)]
    frames[2] = frames[2][:60] + bytes([frames[2][60] ^ 1]) + frames[2][61:]
    instrument = Instrument(PROFILE)
    for frame, when in zip(frames, (1.0, 2.0, 3.0, 3.97), strict=True):
        instrument.receive_data(frame, round(when * SECOND))
    (trace,) = instrument.end()[0].traces
    assert samples_of(trace) == [*[0] * 25, *[1] * 25, *[NO_SAMPLE] * 24, *[3] * 25]


def test_an_ecg_whose_electrode_is_off_says_so() -> None:
    off = struct.pack("<hHH3h", 3, 0x0008, 0, 0, 0, 0)
    (trace,) = heard(framed(record_of(1, [(1, off)], 1))).traces
    assert (samples_of(trace), trace.doubts) == ([0, 0, 0], ("the monitor says that an electrode is off",))


def test_a_curve_that_is_late_or_early_by_less_than_a_second_has_no_gap() -> None:
    frames = [framed(curves_record({9: [n] * 25}, 1)) for n in range(6)]
    (trace,) = heard(*frames, seconds=(1.3, 2.1, 3.05, 4.0, 5.9, 6.0)).traces
    assert len(samples_of(trace)) == 150


def test_values_are_asked_for_first_then_curves_and_again_what_is_silent() -> None:
    instrument = Instrument(PROFILE)
    assert instrument.due(SECOND) == ASK_VALUES
    assert instrument.due(2 * SECOND) == b""
    assert instrument.due(16 * SECOND) == ASK_VALUES
    instrument.receive_data(VALUES, 17 * SECOND)
    assert instrument.due(17 * SECOND) == STOP_CURVES + ASK_CURVES
    instrument.receive_data(CURVES, 18 * SECOND)
    instrument.receive_data(VALUES, 22 * SECOND)
    assert instrument.due(32 * SECOND) == b""
    instrument.receive_data(VALUES, 32 * SECOND)
    assert instrument.due(33 * SECOND) == STOP_CURVES + ASK_CURVES
    assert instrument.due(47 * SECOND) == ASK_VALUES


@pytest.mark.parametrize("published", [PUBLISHED, PUBLISHED_STOP])
def test_our_request_is_the_published_one_but_for_its_interval_its_classes_and_its_sum(published: bytes) -> None:
    (record,) = records_of(EscapedFrames("dri"), [published])
    assert record.is_checked
    assert (len(ASK_VALUES), ASK_VALUES[:42]) == (len(published), published[:42])
    told = bytearray(ASK_VALUES)
    told[42:50] = published[42:50]
    told[50] = sum(told[1:50]) & 0xFF
    assert bytes(told) == published


@pytest.mark.parametrize("curves", [("ECG1", "EKG"), ("ECG1", "ECG2", "CO2"), ("CO2",) * 9])
def test_curves_that_are_unknown_or_too_many_are_a_mistake_of_the_profile(curves: tuple[str, ...]) -> None:
    with pytest.raises(ProfileError, match="curves"):
        Instrument(structs.replace(PROFILE, curves=curves))


def test_what_is_not_read_is_counted_and_what_is_damaged_is_named() -> None:
    trends = framed(record_of(0, [(2, values_record(PATIENT, 1)[40:])], 1))
    extended = framed(record_of(0, [(1, values_record(PATIENT, 1)[40:-1] + b"\x01")], 1))
    eeg, alarm = framed(curves_record({18: [1]}, 1)), framed(record_of(4, [(0, bytes(8))], 1))
    assert heard(VALUES, trends, extended, eeg, alarm).unread == 4
    instrument = Instrument(PROFILE)
    instrument.receive_data(VALUES[:60] + b"\x01" + VALUES[61:] + VALUES, SECOND)
    assert [str(error) for error in instrument.errors()] == [
        "What the instrument sent cannot be read: its checksum is wrong."
    ]
    assert len(instrument.end()[0].observations) == 31


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"\x31\x00", "shorter than a header"),
        (struct.pack("<h", 99) + bytes(38), "not as long as it says"),
        (struct.pack("<h", -1) + bytes(38), "not as long as it says"),
        (record_of(1, [(1, struct.pack("<hHH", 3, 0, 0) + bytes(5))], 1), "a curve of it is cut off"),
        (record_of(0, [(1, bytes(277))], 1), "its values are cut off"),
        (
            record_of(1, [(9, bytes(6))], 1)[:16] + struct.pack("<hB", 6, 9) + record_of(1, [(9, bytes(6))], 1)[19:],
            "lies outside",
        ),
        (
            record_of(1, [(9, bytes(6))], 1)[:16] + struct.pack("<hB", -1, 9) + record_of(1, [(9, bytes(6))], 1)[19:],
            "lies outside",
        ),
    ],
)
def test_a_record_whose_parts_are_not_there_is_unreadable(record: bytes, problem: str) -> None:
    instrument = Instrument(PROFILE)
    assert instrument.receive_data(framed(record), SECOND) == []
    (error,) = instrument.errors()
    assert problem in str(error)
    assert instrument.end() == []


@pytest.mark.parametrize("stuck", [b"\x7e", b"\x7d", b"\x00", b"\xff"])
def test_a_stuck_line_gives_nothing_and_what_comes_after_it_is_read(stuck: bytes) -> None:
    instrument = Instrument(PROFILE)
    for _ in range(40):
        assert instrument.receive_data(b"\x7e" + stuck * 1000, SECOND) == []
    instrument.errors()
    instrument.receive_data(b"\x7e" + VALUES, SECOND)
    assert len(instrument.end()[0].observations) == 31


def test_the_monitors_own_time_is_not_used() -> None:
    year_2105 = bytearray(values_record(PATIENT, 1))
    year_2105[6:10] = year_2105[40:44] = b"\xff\xff\xff\xff"
    assert heard(framed(bytes(year_2105))) == heard(VALUES)


def test_a_monitor_on_a_line_is_asked_and_answers_and_is_asked_again_after_it_was_off() -> None:
    found: list[ReadingSet] = []
    instrument = Instrument(structs.replace(PROFILE, curves=("CO2",)))
    with SimulatedInstrument(baud=0) as line, Tty(line.path, structs.replace(PROFILE.line, handshake="none")) as tty:
        monitor = Monitor(line, damaged=frozenset({3}), noise=b"\x00\x7e\x41")
        second, now = 0, SECOND

        def host() -> None:
            while data := tty.read(0.005):
                found.extend(instrument.receive_data(data, now))
            if asked := instrument.due(now):
                tty.write(asked)

        for second in range(40):
            now = (second + 1) * SECOND
            host()
            monitor.listen()
            monitor.send_second(second)
            if second == 12:
                monitor.switch_off(cut_at=60)
            if second == 15:
                monitor.switch_on()
    assert monitor.requests == 6
    (one,) = [*found, *instrument.end()]
    (curve,) = one.traces
    samples = samples_of(curve)
    assert monitor.asked.curves == (9,)
    assert len(samples) > 25 * 30
    assert samples.count(NO_SAMPLE) >= 25 * 10
    assert samples[:25] == [sample(9, n) for n in range(25)]


AWKWARD = [
    VALUES,
    CURVES,
    VALUES[:-1],
    b"\x7e",
    b"\x7d",
    b"\x7e\x7d\x7e",
    framed(b""),
    framed(record_of(1, [(1, struct.pack("<hHH", -1, 0, 0))], 1)),
    framed(record_of(1, [(1, struct.pack("<hHH", 32767, 0, 0))], 1)),
    framed(record_of(0, [(1, b"")], 1)),
    framed(record_of(-1, [(255, b"")], 1)),
]
parts = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(AWKWARD),
    st.binary(max_size=400).map(
        lambda body: framed(struct.pack("<h", 40 + len(body)) + bytes(12) + b"\x01\x00" + bytes(24) + body)
    ),
    st.binary(min_size=24, max_size=320).map(lambda tail: framed(struct.pack("<h", 16 + len(tail)) + bytes(14) + tail)),
)


@given(st.lists(parts, max_size=5).map(b"".join), st.lists(st.integers(0, 2000), max_size=5))
def test_any_stream_whole_or_in_pieces_gives_the_same_values_curves_and_errors(data: bytes, cuts: list[int]) -> None:
    check_pieces(PROFILE, data, cuts)
