"""A Draeger device on MEDIBUS: asked in the right order and at the right time, read value by value and sample by sample."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway import profile as profiles
from gateway.device.tty import Tty
from gateway.model import NO_SAMPLE, Observation, ReadingSet, Trace, TraceKind
from gateway.simulators import ventilator
from gateway.simulators.instrument import SimulatedInstrument
from gateway.simulators.ventilator import Ventilator
from gateway.source.serial import Instrument

SECOND = 1_000_000_000
PROFILE = profiles.instrument("draeger-medibus-x")
PUBLISHED = {
    "ICC": b"\x1b\x51\x36\x43\x0d",
    "ID": b"\x1b\x52\x36\x44\x0d",
    "NOP": b"\x1b\x30\x34\x42\x0d",
    "STOP": b"\x1b\x55\x37\x30\x0d",
    "ICC heard": b"\x01\x51\x35\x32\x0d",
    "ID heard": b"\x01\x52\x35\x33\x0d",
    "NAK": b"\x01\x15\x31\x36\x0d",
}
"""Of the MEDIBUS Protocol Definition 6.00, as xenon's notes have them."""
ROUND = (0x24, 0x2B, 0x29, 0x2A, 0x27, 0x2E)


def framed(kind: int, content: bytes) -> bytes:
    body = bytes([kind]) + content
    return body + b"%02X" % (sum(body) & 0xFF) + b"\r"


def command(code: int, argument: bytes = b"") -> bytes:
    return framed(0x1B, bytes([code]) + argument)


def reply(code: int, data: bytes = b"") -> bytes:
    return framed(0x01, bytes([code]) + data)


def offer(code: int, interval_us: int, low: str, high: str, highest: int) -> bytes:
    return b"%02X%8d%5s%5s%03X" % (code, interval_us, low.encode(), high.encode(), highest)


OFFER = offer(0, 16000, "-20", "100", 4000) + offer(1, 16000, "-180", "180", 4095) + offer(6, 32000, "0", "100", 4095)
"""Pressure, flow, and carbon dioxide half as often."""


class Line:
    """A device that a test plays: what it says arrives at once, what it is told is taken apart."""

    def __init__(self, profile: profiles.InstrumentProfile = PROFILE) -> None:
        self.instrument = Instrument(profile)
        self.now_ns = SECOND
        self.sets: list[ReadingSet] = []

    def says(self, data: bytes) -> bytes:
        """Say something; return what is sent at once."""
        self.sets += self.instrument.receive_data(data, self.now_ns)
        return self.instrument.answer() + self.instrument.due(self.now_ns)

    def waits(self, seconds: float) -> bytes:
        """Say nothing for so long; return what is sent then."""
        self.now_ns += round(seconds * SECOND)
        self.sets += self.instrument.tick(self.now_ns)
        return self.instrument.answer() + self.instrument.due(self.now_ns)

    def opens(self, curves: bytes = OFFER) -> None:
        """Go through the beginning of a session, up to the first request of a round."""
        assert self.waits(0) == PUBLISHED["ICC"]
        assert self.says(PUBLISHED["ICC heard"]) == PUBLISHED["ID"]
        sent = self.says(reply(0x52, b"8210'Evita 4'04.00:04.03"))
        assert sent == command(0x53)
        sent = self.says(reply(0x53, curves))
        self.configured = sent
        if sent[1] == 0x54:
            self.enabled = self.says(reply(0x54)).partition(b"\x1b")[0]

    def ends(self) -> ReadingSet:
        (found,) = self.instrument.end()
        return found


def stated(observations: tuple[Observation, ...]) -> dict[str, str]:
    return {one.concept.value: one.value for one in observations}


def samples(trace: Trace) -> list[int]:
    return list(struct.unpack(f"<{len(trace.samples) // 2}h", trace.samples))


def coded(*numbers: int) -> bytes:
    return b"".join(bytes([0x80 | each & 0x3F, 0x80 | each >> 6]) for each in numbers)


# ---- the session ----


def test_a_session_begins_with_the_published_bytes_and_switches_the_curves_on() -> None:
    line = Line()
    line.opens()
    assert line.configured == command(0x54, b"000101010601")
    assert line.enabled == b"\xd0\xc1\xc7\xc0\xc0"


def test_a_round_asks_one_after_another_each_when_the_one_before_was_answered() -> None:
    line, asked = Line(), []
    line.opens(b"")
    assert line.configured == command(0x24)
    for code in ROUND:
        asked.append(code)
        assert line.waits(0.1) == b""
        sent = line.says(reply(code))
        assert sent == (command(ROUND[len(asked)]) if len(asked) < len(ROUND) else b"")


def test_silence_is_filled_until_the_next_round_is_due() -> None:
    line = Line()
    line.opens(b"")
    for code in ROUND:
        line.says(reply(code))
    assert line.waits(1.9) == b""
    assert line.waits(0.1) == PUBLISHED["NOP"]
    assert line.says(reply(0x30)) == b""
    assert line.waits(2.0) == PUBLISHED["NOP"]
    assert line.says(reply(0x30)) == b""
    assert line.waits(1.0) == command(0x24)


def test_a_device_that_does_not_answer_is_begun_with_afresh_after_ten_seconds() -> None:
    line = Line()
    line.opens(b"")
    assert line.waits(9.9) == b""
    assert line.waits(0.1) == PUBLISHED["ICC"]
    assert line.waits(9.9) == b""
    assert line.waits(0.1) == PUBLISHED["ICC"]


def test_a_command_that_a_device_never_answers_is_left_out_and_the_others_go_on() -> None:
    line, asked = Line(), []
    sent = line.waits(0)
    for _ in range(200):
        asked += [sent[1]] if sent else []
        is_silent = not sent or sent[1] in {0x2B, 0x53}
        sent = line.waits(10 if sent else 1) if is_silent else line.says(reply(sent[1]))
    assert (asked.count(0x2B), asked.count(0x53)) == (2, 2)
    assert asked.count(0x24) > asked.count(0x2B)
    assert asked.count(0x2E) > 5
    line.says(PUBLISHED["ICC"])
    assert line.says(reply(0x52)) == command(0x53)


def test_a_device_that_begins_by_itself_is_answered_and_asked_who_it_is() -> None:
    line = Line()
    line.opens(b"")
    assert line.says(PUBLISHED["ICC"]) == PUBLISHED["ICC heard"] + PUBLISHED["ID"]


def test_what_the_device_asks_is_answered_by_its_echo() -> None:
    line = Line()
    line.opens(b"")
    assert line.says(PUBLISHED["ID"]) == PUBLISHED["ID heard"]
    for code in (0x30, 0x49, 0x24, 0x7A):
        assert line.says(command(code)) == reply(code)


def test_after_a_stop_nothing_is_asked_for_ten_seconds() -> None:
    line = Line()
    line.opens(b"")
    assert line.says(PUBLISHED["STOP"]) == reply(0x55)
    assert line.waits(9.9) == b""
    assert line.waits(0.1) == PUBLISHED["ICC"]


def test_curves_that_changed_are_asked_for_and_configured_again() -> None:
    line = Line()
    line.opens()
    line.says(reply(0x24))
    assert line.says(command(0x56)) == reply(0x56)
    assert line.says(reply(0x2B)) == command(0x53)
    assert line.says(reply(0x53, OFFER[:46])) == command(0x54, b"00010101")


def test_what_came_before_a_new_configuration_was_acknowledged_has_the_old_scale() -> None:
    line = Line()
    line.opens()
    line.says(command(0x56) + reply(0x24))
    other = offer(0, 16000, "0", "50", 1000)
    assert line.says(reply(0x53, other)) == command(0x54, b"0001")
    line.says(b"\xd1" + coded(5) + b"\xd1" + coded(6) + b"\xd0" + reply(0x54))
    line.says(b"\xd1" + coded(7) + b"\xd0")
    line.waits(9)
    assert [(trace.zero, samples(trace)) for trace in line.ends().traces] == [("-20", [5, 6]), ("0", [7])]


def test_a_damaged_reply_is_asked_for_again_a_second_later() -> None:
    line = Line()
    line.opens(b"")
    assert line.says(reply(0x24, b"F0  40").replace(b"40", b"41")) == b""
    assert "checksum" in str(line.instrument.errors()[0])
    assert line.waits(1.0) == command(0x24)
    assert line.says(PUBLISHED["NAK"]) == b""
    assert line.waits(1.0) == command(0x24)


def test_a_command_that_is_always_refused_keeps_up_no_other() -> None:
    line = Line()
    line.opens(b"")
    for _ in range(4):
        assert line.says(PUBLISHED["NAK"]) == b""
        assert line.waits(1.0) == command(0x24)
    assert line.says(PUBLISHED["NAK"]) == command(0x2B)
    for code in ROUND[1:]:
        line.says(reply(code))
    assert command(0x24) not in [line.waits(1.0) for _ in range(6)]


def test_what_a_line_that_was_dead_did_not_answer_is_asked_again() -> None:
    line = Line()
    for _ in range(2):
        line.opens(b"")
        line.now_ns += 10 * SECOND
    assert line.waits(0) == PUBLISHED["ICC"]
    line.now_ns += 10 * SECOND
    line.opens(b"")
    assert line.says(reply(0x24)) == command(0x2B)


def test_a_damaged_command_is_refused() -> None:
    assert Line().says(b"\x1b\x30\x34\x43\x0d").startswith(PUBLISHED["NAK"])


def test_a_command_that_never_ended_is_not_refused() -> None:
    assert Line().says(b"\x1b" * 50) == PUBLISHED["ICC"]


def test_a_command_inside_a_reply_is_answered_and_the_reply_is_read() -> None:
    line = Line()
    line.opens(b"")
    whole = reply(0x24, b"F0  40D6  15")
    assert line.says(whole[:7] + PUBLISHED["NOP"] + whole[7:]).startswith(reply(0x30))
    assert stated(line.ends().observations) == {"2:21124": "40", "2:20490": "15"}


# ---- what it says ----


def test_values_have_their_codes_and_units_and_settings_are_not_measured_values() -> None:
    line = Line()
    line.opens(b"")
    line.says(reply(0x24, b"88 48278-4.9E638,0F0  40"))
    line.says(reply(0x2B, b"21 470"))
    line.says(reply(0x29, b"01   400B  5.0"))
    found = line.ends()
    assert [
        (one.concept.scheme, one.concept.value, one.value, one.unit and one.unit.value) for one in found.observations
    ] == [
        ("MDC", "2:20796", "482", "mL"),
        ("MDC", "2:20904", "-4.9", "mbar"),
        ("MDC", "2:20656", "38.0", "mm[Hg]"),
        ("MDC", "2:21124", "40", "%"),
        ("MDC", "2:21592", "470", "mL"),
        ("99GATEWAY", "MEDIBUS-29-01", "40", "%"),
        ("99GATEWAY", "MEDIBUS-29-0B", "5.0", "mbar"),
    ]
    assert found.observations[0].raw == b"88 482"
    assert (found.model_name, found.unread) == ("Evita 4", 0)


def test_what_is_implausible_is_kept_and_marked_and_what_was_not_measured_is_not_there() -> None:
    line = Line()
    line.opens(b"")
    line.says(reply(0x24, b"EB 130F0--.-D6    73-1507D2.3."))
    assert [(one.value, one.doubts) for one in line.ends().observations] == [
        ("130", ("it is above 100",)),
        ("-150", ("it is below -100",)),
        ("2.3.", ("it is not a number",)),
    ]


def test_a_code_that_means_different_things_on_different_devices_is_counted_and_not_read() -> None:
    line = Line()
    line.opens(b"")
    line.says(reply(0x24, b"820.48060.51F0  40"))
    found = line.ends()
    assert (stated(found.observations), found.unread) == ({"2:21124": "40"}, 2)


def test_states_and_alarms_are_in_the_words_of_the_device_and_the_name_of_the_patient_is_nowhere() -> None:
    line = Line()
    line.opens(b"")
    line.says(reply(0x2A, b"0E5BIPAP\x03619SYNTHETIC\x0320" + b"6Adults\x03"))
    line.says(reply(0x27, b"O9BMIN VOL HIGH"))
    found = line.ends()
    assert stated(found.observations) == {
        "MEDIBUS-2A-0E": "BIPAP",
        "MEDIBUS-2A-20": "Adults",
        "MEDIBUS-27-9B": "MIN VOL HIGH (priority 31 of 31)",
    }
    assert found.unread == 1
    assert b"SYNTHETIC" not in b"".join(one.raw for one in found.observations)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (reply(0x24, b"F0  4"), "not 6 bytes"),
        (reply(0x24, b"XY  40"), "no hexadecimal"),
        (reply(0x29, b"0B  5."), "not 7 bytes"),
        (reply(0x2A, b"0E9BIPAP\x03"), "does not end where"),
        (reply(0x2A, b"0E"), "does not end where"),
        (reply(0x27, b"O9BMIN VOL"), "not 15 bytes"),
        (reply(0x53, OFFER[:-1]), "not 23 bytes"),
        (reply(0x53, OFFER.replace(b"  -20", b"  -2x")), "not described"),
        (reply(0x53, OFFER.replace(b"  -20", b" -2-0")), "not a number"),
    ],
)
def test_a_reply_that_does_not_fit_has_a_name(data: bytes, problem: str) -> None:
    line = Line()
    line.opens(b"")
    line.says(data)
    assert problem in str(line.instrument.errors()[0])


# ---- curves ----


def test_samples_are_scaled_as_the_device_says_and_each_curve_has_its_rate() -> None:
    line = Line()
    line.opens()
    line.says(b"\xd7" + coded(1000, 0, 4095) + b"\xd3" + coded(2000, 4095) + b"\xd7" + coded(4000, 2048, 1) + b"\xd0")
    line.waits(9)
    pressure, flow, gas = line.ends().traces
    assert (pressure.kind, pressure.channel.value, pressure.unit.value) == (TraceKind.RESPIRATORY, "130426", "mbar")
    assert (pressure.zero, pressure.step, pressure.hz) == ("-20", "0.03", 62.5)
    assert (flow.zero, flow.step, flow.hz) == ("-180", "0.0879120879121", 62.5)
    assert (gas.unit.value, gas.hz) == ("mm[Hg]", 31.25)
    assert [samples(each) for each in (pressure, flow, gas)] == [[1000, 2000, 4000], [0, 4095, 2048], [4095, 1]]


def test_a_corrupt_cycle_is_no_sample_of_each_curve_that_it_should_have() -> None:
    line = Line()
    line.opens()
    cycles = [
        b"\xd3" + coded(1, 2),
        b"\xd3\xcf\xc0" + coded(3, 4),
        b"\xd3" + coded(5, 6)[:3],
        b"\xd3" + coded(7),
        b"\xd3" + coded(7, 8, 9),
        b"\xd3\xe0" + coded(7, 8) + b"\xe0",
        b"\xd3" + coded(4001, 9),
        b"\xd3\xc6\xc1" + coded(10, 11),
    ]
    line.says(b"".join(cycles))
    line.waits(9)
    pressure, flow = line.ends().traces
    assert samples(pressure) == [1, *[NO_SAMPLE] * 6, 10]
    assert samples(flow) == [2, *[NO_SAMPLE] * 5, 9, 11]


def test_what_the_line_damaged_is_no_sample_and_moves_nothing_in_time() -> None:
    line = Line()
    line.opens()
    whole = b"".join(b"\xd3" + coded(n, n) for n in range(1, 9))
    line.instrument.receive_data(
        whole[:11] + b"\x1a" + whole[12:20] + b"\x1a" + whole[21:] + b"\xd0", SECOND, is_damaged=True
    )
    line.waits(9)
    pressure, flow = line.ends().traces
    assert samples(pressure) == samples(flow) == [1, 2, NO_SAMPLE, NO_SAMPLE, NO_SAMPLE, 6, 7, 8]
    assert pressure.doubts == ("the line had errors while it arrived",)


def test_streams_above_the_fourth_do_not_shift_the_others() -> None:
    line = Line()
    line.opens()
    line.says(b"\xd1\xc4\xc2" + coded(100, 7))
    line.waits(9)
    (pressure,) = line.ends().traces
    assert samples(pressure) == [100]


def test_curves_without_an_offer_are_counted_and_not_guessed() -> None:
    line = Line()
    line.says(b"\xd1" + coded(5) + PUBLISHED["ID"])
    line.waits(9)
    line.says(reply(0x24, b"F0  40"))
    assert line.ends().unread == 1


def test_a_recording_that_begins_in_the_middle_has_its_curves_from_the_next_offer_on() -> None:
    line = Line()
    line.says(b"\xd1" + coded(5) + b"\xd1")
    line.says(reply(0x53, OFFER) + coded(6) + b"\xd1" + coded(7))
    line.waits(9)
    assert samples(line.ends().traces[0]) == [6, 7]


def test_every_minute_the_curves_are_asked_for_once_more_and_not_configured_again() -> None:
    line, asked = Line(), []
    line.opens()
    sent = command(0x24)
    for _ in range(300):
        asked += [part[1] for part in sent.split(b"\r") if part]
        code = asked[-1] if sent else 0
        sent = line.says(reply(code, OFFER if code == 0x53 else b"")) if sent else line.waits(0.5)
    assert (asked.count(0x53), asked.count(0x54)) == (1, 0)


def test_a_fast_curve_is_thinned_to_what_an_object_may_hold_and_a_slow_line_carries() -> None:
    fast = offer(0, 8000, "-20", "100", 4000) + offer(1, 8000, "-180", "180", 4095) + offer(3, 8000, "0", "999", 4095)
    line = Line()
    line.opens(fast)
    assert line.configured == command(0x54, b"000201020302")
    slow = Line(structs.replace(PROFILE, line=structs.replace(PROFILE.line, baud=1200)))
    slow.opens(fast)
    multipliers = [int(slow.configured[at : at + 2], 16) for at in (4, 8, 12)]
    assert 7 * 125 / multipliers[0] < 0.6 * 1200 / 11 <= 7 * 125 / (multipliers[0] // 4)
    assert len(set(multipliers)) == 1


def test_four_curves_at_most_are_asked_for_and_of_three_units_of_a_gas_one() -> None:
    every = b"".join(offer(code, 32000, "0", "100", 4095) for code in (0, 1, 2, 3, 5, 6, 7, 8, 0x0A, 0x20, 0x30))
    line = Line()
    line.opens(every)
    assert line.configured == command(0x54, b"0001010106010301")
    assert line.enabled == b"\xd0\xc1\xcf\xc0\xc0"


def test_a_scale_that_is_none_is_not_asked_for() -> None:
    line = Line()
    line.opens(offer(0, 0, "0", "100", 4095) + offer(1, 16000, "5", "5", 4095) + offer(6, 16000, "0", "100", 0))
    assert line.configured == command(0x24)


# ---- any bytes ----

AWKWARD = (
    b"",
    b"\x00" * 300,
    b"\xff" * 300,
    b"\xd1" * 300,
    b"\x01" * 50,
    b"\x1b" * 50,
    b"\x01\x24" + b"F0  40" * 4000,
    b"\x01\r\x1b\r\r",
    reply(0x24, b"\x02\x03    "),
    reply(0x24, b"F09E99"),
    reply(0x29, b"01\xc2\xb0   "),
    reply(0x2A, b"0E\x2f\x03"),
    reply(0x2A, b"0EP" + b"\x82" * 32 + b"\x03"),
    reply(0x28, b"09:33:00 7-OKT-05"),
    reply(0x28, b"23:59:59 31-DEC-99"),
    reply(0x53, OFFER) + b"\xd7\xc4\xcf\xc5\xcf" + coded(*range(11)),
    reply(0x53, OFFER)[:30],
    command(0x55) + command(0x51) + reply(0x15),
)
parts = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(AWKWARD),
    st.sampled_from([*PUBLISHED.values(), reply(0x24, b"F0  40"), reply(0x53, OFFER), b"\xd7" + coded(1, 2, 3)]),
    st.tuples(st.sampled_from([*ROUND, 0x52, 0x53, 0x54]), st.binary(max_size=50)).map(lambda pair: reply(*pair)),
)


@given(st.lists(parts, max_size=6).map(b"".join), st.lists(st.integers(0, 600), max_size=5))
def test_any_stream_whole_or_in_pieces_gives_the_same_sets_errors_and_answers(data: bytes, cuts: list[int]) -> None:
    def hear(pieces: list[bytes]) -> tuple[list[ReadingSet], list[str], bytes, bytes]:
        instrument = Instrument(PROFILE)
        sets = [one for piece in pieces for one in instrument.receive_data(piece, SECOND)]
        sets += instrument.tick(30 * SECOND) + instrument.end()
        return sets, [str(error) for error in instrument.errors()], instrument.answer(), instrument.due(30 * SECOND)

    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = hear([data])
    assert hear([data[a:b] for a, b in pairwise(edges)]) == expected
    assert hear([data[i : i + 1] for i in range(len(data))]) == expected


# ---- the double, over a pseudo-terminal ----


@contextmanager
def at_work() -> Iterator[tuple[Ventilator, Instrument]]:
    """A ventilator and the gateway's side of its line, both at work."""
    off, stop = threading.Event(), threading.Event()
    instrument = Instrument(PROFILE)
    with SimulatedInstrument(baud=0) as line, Tty(line.path, PROFILE.line) as tty:
        device = Ventilator(line, interval_ms=8)

        def gateway() -> None:
            data = b""
            while data or not stop.is_set():
                data, now_ns = tty.read(0.05), time.monotonic_ns()
                if data:
                    instrument.receive_data(data, now_ns)
                if sent := instrument.answer() + instrument.due(now_ns):
                    tty.write(sent)

        ours, theirs = threading.Thread(target=gateway), threading.Thread(target=device.run, args=(off,))
        ours.start()
        theirs.start()
        try:
            yield device, instrument
        finally:
            off.set()
            theirs.join()
            stop.set()
            ours.join()


def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_ventilator_is_read_to_every_sample_and_every_value_through_damage_and_a_power_cut() -> None:
    with at_work() as (device, instrument):
        device.damage(noise=b"\x00\x1b\x7f")
        device.interrupt(3)
        until(lambda: device.asked[-6:] == list(ROUND))
        device.corrupt(3)
        until(lambda: len(device.sent[0]) > 60)
        device.power_off()
        time.sleep(0.1)
        before = len(device.sent[0])
        device.power_on()
        until(lambda: len(device.sent[0]) > before + 40)
        assert (device.lost_hosts, device.answered.count(0x30)) == (0, 3)
    found = instrument.end()[0]
    assert stated(found.observations)["2:20796"] == "482"
    assert len(found.observations) == 11 + len(ventilator.MEASURED_2) + 2 + 2 + 1
    assert found.model_name == "Evita 4"
    for trace, channel in zip(found.traces, ventilator.CHANNELS, strict=True):
        sent, known = device.sent[channel.code], [each for each in samples(trace) if each != NO_SAMPLE]
        assert len(samples(trace)) - len(known) >= 3
        assert len(known) > before + 20
        assert any((sent[:at] + sent[at + 3 :])[: len(known)] == known for at in range(before)), "three are corrupt"
