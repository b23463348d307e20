"""An IntelliVue monitor: every value and sample as it was sent, a conversation that survives, and any bytes values or a named error."""

from __future__ import annotations

import struct
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway import profile as profiles
from gateway.errors import ProfileError
from gateway.model import NO_SAMPLE, Observation, ReadingSet, Trace, TraceKind
from gateway.simulators import intellivue_messages as simulated
from gateway.simulators.intellivue_messages import BREATH, LEAD_II, PATIENT, PLETH, PRESSURE, Number, Numeric
from gateway.simulators.monitor_intellivue import DEMO, Monitor
from gateway.source.dialects import intellivue_codes as terms
from gateway.source.dialects.intellivue_curves import Curves
from gateway.source.serial import Instrument
from gateway.wire import intellivue as wire

SECOND = 1_000_000_000
PROFILE = profiles.instrument("philips-intellivue")
NUMBERS_ONLY = structs.replace(PROFILE, curves=())
STEP_S = 0.04


class Room:
    """A monitor and the box on one line, and a clock that nobody waits for."""

    def __init__(self, profile: profiles.InstrumentProfile = PROFILE, **faults: object) -> None:
        self.instrument = Instrument(profile)
        self.monitor = Monitor(self, **faults)  # type: ignore[arg-type]  # a line: print and heard
        self.to_box, self.to_monitor = b"", b""
        self.sent: list[bytes] = []
        self.sets: list[ReadingSet] = []
        self.now_s = 100.0

    def print(self, text: bytes, *, noise: bytes = b"", cut_at: int | None = None) -> None:
        self.to_box += noise + text[:cut_at]

    def heard(self) -> bytes:
        heard, self.to_monitor = self.to_monitor, b""
        return heard

    def run(self, seconds: float) -> Room:
        end = self.now_s + seconds
        while self.now_s < end:
            self.now_s += STEP_S
            self.monitor.step(self.now_s)
            data, self.to_box = self.to_box, b""
            now_ns = round(self.now_s * SECOND)
            self.sets += self.instrument.receive_data(data, now_ns) if data else self.instrument.tick(now_ns)
            if sent := self.instrument.answer() + self.instrument.due(now_ns):
                self.sent.append(sent)
                self.to_monitor += sent
        return self

    def reading(self) -> ReadingSet:
        (one,) = self.instrument.end()
        return one


def value_of(readings: ReadingSet, meaning: str) -> Observation:
    (one,) = [each for each in readings.observations if each.concept.meaning == meaning]
    return one


def samples_of(trace: Trace) -> list[int]:
    return list(struct.unpack(f"<{len(trace.samples) // 2}h", trace.samples))


def expected(wave: simulated.Wave, count: int, start: int = 0) -> list[int]:
    stated = [simulated.sample(wave, start + index) for index in range(count)]
    return [NO_SAMPLE if one & 0x8000 else one for one in stated]


def said(*numbers: Number, label: str = "X", profile: profiles.InstrumentProfile = NUMBERS_ONLY) -> ReadingSet:
    """What a monitor with one object of these values says in three seconds."""
    room = Room(profile)
    room.monitor.patient = (Numeric(1, label, numbers),)
    return room.run(3).reading()


# ---- values ----


def test_every_value_on_the_screen_is_read_with_its_unit_and_its_label() -> None:
    found = Room(NUMBERS_ONLY).run(3).reading()
    assert found.model_name == "M8000"
    assert [
        (one.concept.value, one.concept.meaning, one.value, one.unit and one.unit.value) for one in found.observations
    ] == [
        ("2:16770", "Heart rate (HR)", "72", "/min"),
        ("2:19384", "Oxygen saturation by pulse oximetry (SpO₂)", "97.5", "%"),
        ("2:18965", "Arterial blood pressure, systolic (ABP)", "121", "mm[Hg]"),
        ("2:18966", "Arterial blood pressure, diastolic (ABP)", "78", "mm[Hg]"),
        ("2:18967", "Arterial blood pressure, mean (ABP)", "93", "mm[Hg]"),
        ("2:19272", "Temperature (T1)", "36.81", "Cel"),
        ("2:19272", "Temperature (T2)", "33.90", "Cel"),
        ("2:20490", "Respiration rate (AF)", "14", "/min"),
    ]
    assert {one.concept.scheme for one in found.observations} == {"MDC"}
    assert value_of(found, "Heart rate (HR)").raw == PATIENT[0].numbers[0].packed()
    assert value_of(found, "Temperature (T2)").doubts == ("the monitor calls it questionable",)
    assert value_of(found, "Heart rate (HR)").doubts == ()


def test_what_is_no_number_or_no_measurement_is_left_out() -> None:
    found = said(
        Number(0x4182, 0x0AA0, 72, state=0x8000),
        Number(0x4BB8, 0x0220, 98, state=0x2000),
        Number(0x4A15, 0x0F20, 0x7FFFFF),
        Number(0x4A16, 0x0F20, 0x800000),
        Number(0x4A17, 0x0F20, 0x7FFFFE),
        Number(0x500A, 0x0AE0, 0),
    )
    assert [one.value for one in found.observations] == ["0"]


@pytest.mark.parametrize(
    ("state", "doubts"),
    [
        (0x1000, ("it was being calibrated",)),
        (0x0800, ("it is a test signal of the monitor, of no patient",)),
        (0x0400, ("the monitor is in its demonstration mode: it is of no patient",)),
        (0x0100, ("the monitor marked it in a way that this software does not know",)),
        (0x4040, ("the monitor calls it questionable", "it is an early estimate")),
        (0x00A3, ()),
    ],
)
def test_what_the_monitor_says_against_a_value_is_a_doubt(state: int, doubts: tuple[str, ...]) -> None:
    (one,) = said(Number(0x4182, 0x0AA0, 72, state=state)).observations
    assert one.doubts == doubts


@pytest.mark.parametrize(
    ("stamp", "doubts"),
    [
        ("2026112419480000", ("the monitor measured it 12 minutes earlier",)),
        ("2026112419590000", ()),
        ("2026112520000000", ()),
        ("1999123123595900", ()),
        ("2105010100000000", ()),
        ("ffffffffffffffff", ()),
        ("20261124", ()),
    ],
)
def test_how_old_a_value_is_that_stands_on_the_screen_is_a_doubt(stamp: str, doubts: tuple[str, ...]) -> None:
    room = Room(NUMBERS_ONLY)
    cuff = (Number(0x4A05, 0x0F20, 118), Number(0x4A06, 0x0F20, 76), Number(0x4A07, 0x0F20, 90))
    room.monitor.patient = (Numeric(1, "NBP", cuff, stamp=bytes.fromhex(stamp)),)
    found = room.run(3).reading().observations
    assert [(one.value, one.doubts) for one in found] == [("118", doubts), ("76", doubts), ("90", doubts)]


def test_a_monitor_in_its_demonstration_mode_measures_no_patient() -> None:
    found = Room(mode=DEMO).run(4).reading()
    demonstration = "the monitor is in its demonstration mode: it is of no patient"
    doubts = [one.doubts for one in found.observations] + [one.doubts for one in found.traces]
    assert len(doubts) == 8 + 5
    assert all(demonstration in one for one in doubts)


@pytest.mark.parametrize(
    ("number", "doubts"),
    [
        (Number(0x4BB8, 0x0220, 130), ("it is above 100",)),
        (Number(0x4A15, 0x0F20, -90), ("it is below -50",)),
        (Number(0x4182, 0x0AA0, 2, 127), ("it is above 350",)),
        (Number(0x4BC4, 0x0220, -3), ()),
    ],
)
def test_an_implausible_value_is_kept_and_marked(number: Number, doubts: tuple[str, ...]) -> None:
    (one,) = said(number).observations
    assert one.doubts == doubts
    assert one.value


def test_what_is_the_makers_own_has_a_private_code_and_the_monitors_word_for_it() -> None:
    found = said(Number(0xF0A5, 0x0F20, 30), Number(0xF111, 0xF00B, 7), Number(0x4111, 0x1234, 8), label="Plébo\\\0x")
    assert [(one.concept.value, one.concept.scheme, one.concept.meaning) for one in found.observations] == [
        ("IVUE-2-61605", "99GATEWAY", "Pressure 1, systolic (Plébo)"),
        ("IVUE-2-61713", "99GATEWAY", "Plébo"),
        ("2:16657", "MDC", "Plébo"),
    ]
    units = [(one.unit.value, one.unit.scheme) for one in found.observations if one.unit]
    assert units == [("mm[Hg]", "UCUM"), ("IVUE-4-61451", "99GATEWAY"), ("4:4660", "MDC")]
    assert all(len(one.concept.value) <= 16 and len(one.concept.meaning) <= 64 for one in found.observations)


def test_a_setting_is_never_coded_as_what_was_measured() -> None:
    room = Room(NUMBERS_ONLY)
    peep = Number(0x51A8, 0x0F40, 5)
    room.monitor.patient = (
        Numeric(1, "PEEP", (peep,)),
        Numeric(2, "sPEEP", (peep,), partition=1026),
        Numeric(3, "sAF", (Number(0x500A, 0x0AE0, 12),), partition=1026),
        Numeric(4, "xy", (Number(0x500A, 0x0AE0, 11),), partition=1025),
    )
    found = room.run(3).reading().observations
    assert [(one.concept.value, one.concept.scheme, one.concept.meaning) for one in found] == [
        ("2:20904", "MDC", "PEEP"),
        ("IVUE-1026-20904", "99GATEWAY", "Setting (sPEEP)"),
        ("IVUE-1026-20490", "99GATEWAY", "Setting: respiration rate (sAF)"),
        ("IVUE-1025-20490", "99GATEWAY", "xy"),
    ]


def test_a_value_waits_for_its_name_but_not_for_ever() -> None:
    room = Room(NUMBERS_ONLY)
    room.monitor.has_names = False
    room.run(50)
    assert room.instrument.end() == []
    found = room.run(30).reading().observations
    assert found[0].concept.meaning == "Heart rate"
    assert found[0].doubts == ("the monitor did not say what it calls it: it may be a setting",)
    room.monitor.has_names = True
    assert value_of(room.run(70).reading(), "Heart rate (HR)").doubts == ()


# ---- curves ----


def test_every_sample_of_every_curve_is_read_with_its_scale() -> None:
    found = Room(noise=b"\xc1\x00\x7d").run(5).reading()
    traces = {one.channel.meaning: one for one in found.traces}
    lead = traces["Lead II"]
    assert (lead.kind, lead.channel.value, lead.unit.value, lead.hz) == (TraceKind.ECG, "2:2", "mV", 500.0)
    assert (lead.step, lead.zero) == ("0.005", "-40.96")
    pressure = traces["Arterial pressure waveform (ABP)"]
    assert (pressure.kind, pressure.unit.value, pressure.hz) == (TraceKind.HEMODYNAMIC, "mm[Hg]", 125.0)
    assert (pressure.step, pressure.zero) == ("0.0879120879121", "-40")
    pulse = traces["Arterial Pulse Waveform"]
    assert (pulse.kind, pulse.unit.value, pulse.step, pulse.zero) == (TraceKind.ARTERIAL_PULSE, "1", "1", "0")
    breath = traces["Respiration Waveform"]
    assert (breath.kind, breath.unit.value, breath.hz, breath.step) == (TraceKind.RESPIRATORY, "Ohm", 62.5, "0.0025")
    for wave, trace in ((LEAD_II, lead), (PRESSURE, pressure), (PLETH, pulse), (BREATH, breath)):
        samples = samples_of(trace)
        assert len(samples) > 10 * wave.count
        assert samples == expected(wave, len(samples))
    assert samples_of(lead).count(NO_SAMPLE) == len(samples_of(lead)) // 1000 + (len(samples_of(lead)) % 1000 > 777)
    assert all(one.doubts == () for one in found.traces)


def test_all_that_a_monitor_sends_at_once_is_read_from_linked_results() -> None:
    curves = ("I", "II", "V", "ABP", "ART", "CVP", "Pleth", "Resp", "CO2", "AWF", "AWP")
    room = Room(structs.replace(PROFILE, curves=curves)).run(6)
    found = room.reading()
    assert len({one.channel for one in found.traces}) == len(curves)
    for trace in found.traces:
        (wave,) = [one for one in simulated.WAVES if terms.CURVES[one.identifier].channel == trace.channel]
        samples = samples_of(trace)
        assert len(samples) > 10 * wave.count
        assert samples == expected(wave, len(samples))
    assert {one.unit.value for one in found.traces} == {"mV", "mm[Hg]", "1", "Ohm", "L/min", "cm[H2O]"}


def test_curves_of_one_moment_begin_together_though_they_come_one_after_the_other() -> None:
    instrument = Instrument(PROFILE)
    for frame in WHOLE[1:3]:
        instrument.receive_data(frame, SECOND)
    for number, wave in enumerate((LEAD_II, PRESSURE, PLETH)):
        objects = [simulated.item(wave.handle, [(0x096E, simulated.block(wave, 0))])]
        message = simulated.result(1, 1, 1, 9, 0, objects, 0, link=(number + 1) % 3)
        instrument.receive_data(simulated.framed(message), 2 * SECOND + number * 20_000_000)
    (found,) = instrument.end()
    assert [one.received_ns for one in found.traces] == [2 * SECOND] * 3


def test_a_block_that_was_damaged_leaves_a_gap_and_the_curve_keeps_its_time() -> None:
    room = Room(structs.replace(PROFILE, curves=("II",)), damaged=frozenset({20}))
    found = room.run(8).reading()
    (trace,) = found.traces
    samples = samples_of(trace)
    gap = next(number for number in range(len(samples)) if samples[number : number + 128] == [NO_SAMPLE] * 128)
    assert gap % 128 == 0
    whole = expected(LEAD_II, len(samples))
    assert samples == [*whole[:gap], *[NO_SAMPLE] * 128, *whole[gap + 128 :]]
    assert [str(one).endswith("its checksum is wrong.") for one in room.instrument.errors()] == [True]


def test_a_curve_goes_on_after_a_new_association_with_what_was_lost_between() -> None:
    room = Room(structs.replace(PROFILE, curves=("ABP",))).run(5)
    before = samples_of(room.reading().traces[0])
    room.monitor.abort()
    found = room.run(12).reading()
    after = samples_of(found.traces[0])
    assert len(after) > 5 * PRESSURE.count
    assert before == expected(PRESSURE, len(before))
    assert [one for one in after if one != NO_SAMPLE][:5] == expected(PRESSURE, 5, len(before))


@pytest.mark.parametrize(
    ("state", "doubts", "is_kept"),
    [
        (0x4000, ("the monitor calls it questionable",), True),
        (0x8000, (), False),
        (0x2400, (), False),
        (0x0002, (), True),
    ],
)
def test_a_block_that_is_held_against_does_not_tear_its_curve(
    state: int, doubts: tuple[str, ...], is_kept: bool
) -> None:
    room = Room(structs.replace(PROFILE, curves=("ABP",))).run(5)
    room.reading()
    room.monitor.states = {PRESSURE.identifier: state}
    room.run(0.3)
    room.monitor.states = {}
    (trace,) = room.run(5).reading().traces
    samples = samples_of(trace)
    assert trace.doubts == doubts
    assert (samples[: PRESSURE.count] == [NO_SAMPLE] * PRESSURE.count) is not is_kept
    assert samples.count(NO_SAMPLE) < 2 * PRESSURE.count + 5
    room.run(70)
    assert room.reading().traces[0].doubts == ()


def test_the_compound_electrocardiogram_is_three_leads() -> None:
    instrument = Instrument(PROFILE)
    context = [
        (0x098D, struct.pack(">I", 32)),
        (0x096D, struct.pack(">HBBH", 64, 16, 16, 0)),
        (0x096F, struct.pack(">IIHH", 0xFDFFE000, 0xFD00DFFF, 0, 65535)),
    ]
    leads = [
        struct.pack(">HHH4H", identifier, 0, 8, 0, 1, 0x8000 + number, 65535)
        for number, identifier in enumerate((0x101, 0x102, 0x13D))
    ]
    objects = [simulated.item(5, [*context, (0x0967, simulated.listed(leads))])]
    for number in range(2):
        message = simulated.result(1, 1, number, 9, 0, objects, number * 4 * 32)
        assert instrument.receive_data(simulated.framed(message), SECOND) == []
    (found,) = instrument.end()
    assert [(one.channel.meaning, one.hz) for one in found.traces] == [
        (name, 250.0) for name in ("Lead I", "Lead II", "Lead III")
    ]
    for number, one in enumerate(found.traces):
        assert (one.step, one.zero) == ("0.001", "24.576")
        assert samples_of(one) == [NO_SAMPLE, -32767, number, 32767] * 2


@pytest.mark.parametrize(
    ("period", "spec", "scale"),
    [
        (0, (32, 16, 12, 0x1000), (0, 100, 0, 4095)),
        (64, (32, 12, 12, 0x1000), (0, 100, 0, 4095)),
        (64, (32, 16, 0, 0x1000), (0, 100, 0, 4095)),
        (64, (32, 16, 12, 0x1000), (0, 100, 9, 9)),
        (64, (32, 16, 12, 0x1000), (100, 0, 0, 4095)),
        (64, (32, 16, 12, 0x1000), (100, 100, 0, 4095)),
    ],
)
def test_a_curve_whose_scale_makes_no_sense_is_not_read(
    period: int, spec: tuple[int, ...], scale: tuple[int, ...]
) -> None:
    instrument = Instrument(PROFILE)
    attributes = [
        (0x098D, struct.pack(">I", period)),
        (0x096D, struct.pack(">HBBH", *spec)),
        (0x096F, struct.pack(">IIHH", *scale)),
        (0x096E, simulated.block(PRESSURE, 0)),
    ]
    value = [(0x0924, b"\x00\x02\x41\x82"), (0x0950, Number(0x4182, 0x0AA0, 72).packed())]
    objects = [simulated.item(1, attributes), simulated.item(2, value)]
    instrument.receive_data(simulated.framed(simulated.result(1, 1, 1, 9, 0, objects, 0)), SECOND)
    (found,) = instrument.end()
    assert (found.traces, found.unread, len(found.observations)) == ((), 1, 1)


def test_curves_under_ever_new_handles_need_no_endless_memory() -> None:
    curves, block = Curves(), simulated.block(PRESSURE, 0)
    described = {
        wire.SAMPLE_PERIOD: struct.pack(">I", 64),
        wire.SAMPLE_SPEC: struct.pack(">HBBH", 32, 16, 12, 0x1000),
        wire.SCALE: struct.pack(">IIHH", 0, 100, 0, 4095),
    }
    for number in range(5000):
        curves.learn((1, number), described)
        assert len(curves.traces((1, number), {wire.SAMPLES: block}, number, SECOND)[0]) == (number % 1025 != 1024)
        curves.traces((2, number), {wire.SAMPLES: block}, number, SECOND)
    assert max(len(kept) for kept in vars(curves).values()) <= 1025


def test_curves_that_no_monitor_sends_are_a_mistake_in_the_profile() -> None:
    for curves in (("II", "Flux"), ("I", "II", "III", "V1"), ("ABP",) * 9):
        with pytest.raises(ProfileError, match="curves"):
            Instrument(structs.replace(PROFILE, curves=curves))
    Instrument(structs.replace(PROFILE, curves=("I", "II", "V5", "ABP", "CVP")))


# ---- the conversation ----


def test_everything_is_asked_for_in_order_and_asked_again_in_time() -> None:
    room = Room().run(28)
    assert room.monitor.requests[:8] == [
        "association",
        "confirmed",
        "choice 00020102 00024a14 00024bb4 00025000 000250ac",
        "values 0810",
        "curves 0811",
        "curves 0810",
        "periodic values 0803",
        "periodic curves 0000",
    ]
    assert room.monitor.requests.count("periodic curves 0000") == 2
    assert "alerts 0811" in room.monitor.requests
    assert all(sent.count(b"\xc0") == 1 for sent in room.sent)


def test_a_monitor_that_hears_nothing_hangs_up_so_it_hears_something() -> None:
    room = Room().run(70)
    assert room.monitor.requests.count("association") == 1
    assert room.instrument.errors() == []


def test_a_monitor_without_the_optional_package_is_asked_each_second() -> None:
    room = Room(has_periods=False, has_curves=False).run(6)
    assert room.monitor.requests.count("values 0803") in {4, 5, 6}
    found = room.reading()
    assert value_of(found, "Heart rate (HR)").value == "72"
    assert found.traces == ()


def test_a_request_for_periods_that_is_refused_is_made_each_second_instead() -> None:
    room = Room(NUMBERS_ONLY).run(1)
    room.monitor._has_periods = False
    room.run(30)
    assert room.monitor.requests.count("values 0803") >= 3
    assert "refused a request" in str(room.instrument.errors()[0])


def test_a_monitor_that_sends_no_curves_is_said_to_send_none() -> None:
    room = Room(has_curves=False).run(3)
    assert ["sends no curves" in str(one) for one in room.instrument.errors()] == [True]
    assert value_of(room.reading(), "Heart rate (HR)").value == "72"


def test_a_refusal_is_said_and_the_association_asked_for_again() -> None:
    room = Room(NUMBERS_ONLY, refusals=2).run(14)
    assert room.monitor.requests.count("association") == 3
    assert ["refuses to talk" in str(one) for one in room.instrument.errors()] == [True, True]
    assert value_of(room.reading(), "Heart rate (HR)").value == "72"


@pytest.mark.parametrize("what", ["abort", "restart", "silence"])
def test_after_an_end_of_any_kind_the_conversation_begins_anew(what: str) -> None:
    room = Room(NUMBERS_ONLY).run(3)
    room.reading()
    if what == "silence":
        room.monitor.is_mute = True
        room.run(25)
        room.monitor.is_mute = False
    else:
        getattr(room.monitor, what)()
    room.monitor.patient = (Numeric(1, "HR", (Number(0x4182, 0x0AA0, 81),)),)
    room.run(25)
    assert [one.value for one in room.reading().observations] == ["81"]


@pytest.mark.parametrize("cut_at", [0, 1, 5, 40, 300])
def test_a_monitor_whose_power_goes_within_a_frame_is_asked_anew_and_nothing_of_the_frame_is_believed(
    cut_at: int,
) -> None:
    room = Room().run(5)
    room.monitor.switch_off(cut_at)
    room.run(0.4)
    room.monitor.patient = (Numeric(1, "HR", (Number(0x4182, 0x0AA0, 81),)),)
    room.run(25)
    assert room.monitor.requests.count("association") == 2
    found = room.reading()
    assert value_of(found, "Heart rate (HR)").value == "81"
    lead = samples_of(next(one for one in found.traces if one.kind is TraceKind.ECG))
    gap = max(len(list(run)) for is_gap, run in groupby(one == NO_SAMPLE for one in lead) if is_gap)
    assert 10 * 500 < gap < 11.5 * 500


def test_an_event_whose_answer_was_lost_is_answered_when_it_comes_again() -> None:
    room = Room(NUMBERS_ONLY, damaged=frozenset({2})).run(8)
    assert room.monitor.requests[:2] == ["association", "confirmed"]
    assert value_of(room.reading(), "Heart rate (HR)").value == "72"


def test_a_minute_is_a_set_with_the_last_values_and_the_curves_of_the_whole_time() -> None:
    room = Room(structs.replace(PROFILE, collect_s=60)).run(130)
    assert len(room.sets) == 2
    lead = samples_of(next(one for one in room.sets[1].traces if one.kind is TraceKind.ECG))
    assert len(lead) == pytest.approx(60 * 500, rel=0.02)
    assert len(room.sets[1].observations) == 8


# ---- anything else ----

WHOLE = [
    simulated.framed(simulated.accepted(0x88000000)),
    simulated.framed(
        simulated.result(
            1, 1, 1, 9, 0, [simulated.item(w.handle, simulated.context(w, 0x0811)) for w in simulated.WAVES], 0
        )
    ),
    simulated.framed(
        simulated.result(
            1, 1, 1, 9, 0, [simulated.item(w.handle, simulated.context(w, 0x0810)) for w in simulated.WAVES], 0
        )
    ),
    simulated.framed(
        simulated.result(
            1,
            1,
            1,
            9,
            0,
            [simulated.item(w.handle, [(0x096E, simulated.block(w, 0))]) for w in simulated.WAVES],
            2048,
        )
    ),
    simulated.framed(simulated.result(1, 1, 1, 6, 0x0803, [simulated.observed(one) for one in PATIENT], 0)),
    simulated.framed(simulated.result(1, 1, 1, 6, 0x0810, [simulated.named(one) for one in PATIENT], 0)),
    simulated.framed(simulated.event(0x4000, 0xFFFFFFFF)),
    simulated.framed(simulated.ABORT),
    simulated.framed(b"\x0c\x02\x00\x00"),
]


def spoilt(frame: bytes, at: int, byte: int) -> bytes:
    """A frame with one byte of its message changed, and a check that is right: only its structure lies."""
    message = bytearray(simulated.unstuffed(frame[1:-1])[4:-2])
    message[at % len(message)] = byte
    return simulated.framed(bytes(message))


parts = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(WHOLE),
    st.sampled_from(WHOLE).map(lambda frame: frame[:-3]),
    st.builds(spoilt, st.sampled_from(WHOLE), st.integers(0, 400), st.integers(0, 255)),
    st.binary(max_size=60).map(lambda body: simulated.framed(b"\xe1\x00\x00\x02" + body)),
    st.sampled_from([b"\xc0", b"\xc1", b"\x7d\xc1", b"\xc0\xc1"]),
)


def hear(pieces: list[bytes]) -> tuple[list[ReadingSet], list[str], bytes]:
    instrument = Instrument(PROFILE)
    sets = [one for piece in pieces for one in instrument.receive_data(piece, SECOND)]
    sets += instrument.tick(99 * SECOND) + instrument.end()
    return sets, [str(error) for error in instrument.errors()], instrument.answer()


@given(st.lists(parts, max_size=6).map(b"".join), st.lists(st.integers(0, 2000), max_size=5))
def test_any_stream_whole_or_in_pieces_gives_the_same_sets_errors_and_answers(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected_ = hear([data])
    assert hear([data[a:b] for a, b in pairwise(edges)]) == expected_
    assert hear([data[i : i + 1] for i in range(len(data))]) == expected_


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = struct.pack(">HH", 1, len(body)) + body
    return body


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xe1", id="one byte"),
        pytest.param(b"\x0e" + b"\xff" * 40, id="a response without user data"),
        pytest.param(bytes.fromhex("e100000200020006000100070010"), id="a length that is too long"),
        pytest.param(simulated.result(1, 1, 1, 9, 0, [], 0)[:-2] + b"\xff\xff", id="more contexts than there are"),
        pytest.param(simulated.remote(2, 1, 7, bytes(6) + b"\x0c\x16\x03\xe8" + nested(200)), id="nested for ever"),
        pytest.param(simulated.result(1, 1, 1, 6, 0, [simulated.item(1, [(0x0950, b"\x41")])], 0), id="half a value"),
        pytest.param(
            simulated.result(1, 1, 1, 9, 0, [simulated.item(1, [(0x096E, b"\x01\x02\x00\x00\xff\xff")])], 0),
            id="more samples than there are",
        ),
        pytest.param(
            simulated.result(
                1,
                1,
                1,
                6,
                0,
                [simulated.item(1, [(0x0924, b"\x00\x02\x41\x82"), (0x0927, b"\x00\x63A"), (0x0950, bytes(10))])],
                0,
            ),
            id="a label that is too long",
        ),
    ],
)
def test_an_awkward_message_is_a_named_error(message: bytes) -> None:
    sets, errors, _ = hear([wire.framed(message)])
    assert sets == []
    assert len(errors) == 1
    assert "cannot be read" in errors[0]


def test_a_stuck_line_and_an_endless_frame_need_no_endless_memory() -> None:
    instrument = Instrument(PROFILE)
    for number in range(200):
        assert instrument.receive_data((b"\xc0" if number == 0 else b"") + b"\x55" * 1000, number) == []
    assert "it has no end" in str(instrument.errors()[0])
    (found,) = hear([b"\x00" * 5000 + WHOLE[5] + WHOLE[4]])[0]
    assert value_of(found, "Heart rate (HR)").value == "72"
