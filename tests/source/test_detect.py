"""Which setting a line has, and who speaks: found behind a receiver that makes of a wrong baud or parity what a UART does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import islice

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import profile as profiles
from gateway.device.marks import DAMAGED, LineErrors
from gateway.model import Detection, LineGuess
from gateway.profile import SerialSettings
from gateway.simulators import nidek
from gateway.simulators.instrument import dose_report
from gateway.simulators.uart import Fault, Uart, Wire
from gateway.source.detect import BAUDS, FORMATS, LIMIT_S, Listener
from gateway.source.serial import dialect_of

PIECE_S = 0.016
PRINTS = {
    "nidek-rt": nidek.refractor(),
    "nidek-lm": nidek.lensmeter(),
    "nidek-ark": nidek.autorefractor(),
    "nidek-nt": nidek.tonometer(),
    "plain-line-dose": dose_report(),
}
KNOWN = [profiles.instrument(name) for name in profiles.names("instruments")]
UNKNOWN = b"T=36.6 C; BP 120/80 mmHg; SPO2 98 %\r\n"


def detected(
    listener: Listener, sender: Callable[[SerialSettings, float], tuple[bytes, LineErrors]]
) -> tuple[Detection, float]:
    """Let it listen to its end, in pieces of 16 ms; return what it found, and after how many seconds."""
    step = 0
    while not listener.is_over:
        data, errors = sender(listener.settings, step * PIECE_S)
        step += 1
        listener.receive(data, errors, round(step * PIECE_S * 1e9))
        assert step * PIECE_S < LIMIT_S + 1
    return listener.found(), step * PIECE_S


class Receiver:
    """A UART that is set anew now and then, on a wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._settings: SerialSettings | None = None
        self._uart = Uart(wire, SerialSettings())

    def __call__(self, settings: SerialSettings, now_s: float) -> tuple[bytes, LineErrors]:
        """Return what it hands on within 16 ms, and what was damaged of it."""
        if settings != self._settings:
            self._settings, self._uart = settings, Uart(self._wire, settings, now_s)
        found = self._uart.until(now_s + PIECE_S)
        faults = Counter(one.fault for one in found)
        errors = LineErrors(framing=faults[Fault.FRAMING], parity=faults[Fault.PARITY], breaks=faults[Fault.BREAK])
        return bytes(DAMAGED if one.fault else one.byte for one in found), errors


def line_of(guess: LineGuess) -> tuple[int, int, str]:
    return guess.baud, guess.data_bits, guess.parity


@pytest.mark.parametrize("name", PRINTS)
def test_a_known_instrument_as_its_profile_says_is_found_at_once(name: str) -> None:
    line = profiles.instrument(name).line
    found, seconds = detected(Listener("P", KNOWN), Receiver(Wire(PRINTS[name], line, pause_s=2.0)))
    best = found.guesses[0]
    assert name in best.instruments
    assert line_of(best) == (line.baud, line.data_bits, line.parity)
    assert best.errors == 0
    assert seconds < 20


MENUS = [(19200, 8, "O", 1), (1200, 7, "E", 2), (4800, 8, "N", 1), (57600, 7, "O", 1)]


@pytest.mark.parametrize(("baud", "data_bits", "parity", "stop_bits"), MENUS)
def test_a_known_instrument_whose_menu_was_changed_is_found(
    baud: int, data_bits: int, parity: str, stop_bits: int
) -> None:
    line = SerialSettings(baud=baud, data_bits=data_bits, parity=parity, stop_bits=stop_bits)
    found, _ = detected(Listener("P", KNOWN), Receiver(Wire(nidek.lensmeter(), line, pause_s=0.5)))
    assert line_of(found.guesses[0]) == (baud, data_bits, parity)
    assert found.guesses[0].instruments[0].startswith("nidek-")


ALL = [(baud, bits, parity) for baud in BAUDS for bits, parity in FORMATS]


def test_every_usual_setting_of_an_unknown_instrument_is_found_within_a_minute(
    campaign: Callable[[int, int], int],
) -> None:
    for baud, bits, parity in islice(ALL, 0, None, campaign(7, 1)):
        line = SerialSettings(baud=baud, data_bits=bits, parity=parity)
        found, seconds = detected(Listener("P", KNOWN), Receiver(Wire(UNKNOWN * 3, line, pause_s=0.2)))
        assert line_of(found.guesses[0]) == (baud, bits, parity), (line, found)
        assert found.guesses[0].instruments == ()
        assert seconds < LIMIT_S + 1, (line, seconds)


def test_what_is_certain_is_true(campaign: Callable[[int, int], int]) -> None:
    """Whatever prints, however it is set and however often: who ends before the time is over is right."""
    choose = random.Random(campaign(4, 5))  # the tries, not a secret
    certain = 0
    for _ in range(campaign(12, 400)):
        baud, bits, parity = choose.choice(ALL)
        data = choose.choice([UNKNOWN * 3, *PRINTS.values()])
        line = SerialSettings(baud=baud, data_bits=bits, parity=parity, stop_bits=choose.choice([1, 2]))
        wire = Wire(data, line, pause_s=choose.choice([0.0, 0.05, 0.5, 1.0, 3.0]))
        found, seconds = detected(Listener("P", KNOWN), Receiver(wire))
        if seconds < LIMIT_S:
            certain += 1
            assert line_of(found.guesses[0]) == (baud, bits, parity), (line, found)
    assert certain > 0


def test_an_instrument_that_never_pauses_is_found_too() -> None:
    line = SerialSettings(baud=4800, data_bits=7, parity="E")
    found, _ = detected(Listener("P", KNOWN), Receiver(Wire(UNKNOWN * 3, line)))
    assert line_of(found.guesses[0]) == (4800, 7, "E")


def test_who_is_read_with_checksums_is_certain_before_its_print_ends() -> None:
    line = profiles.instrument("nidek-lm").line
    wire = Wire(nidek.lensmeter() + b"\r" * 5000, line)
    found, seconds = detected(Listener("P", [profiles.instrument("nidek-lm")]), Receiver(wire))
    assert found.guesses[0].instruments == ("nidek-lm",)
    assert seconds < 0.5


def silent(_settings: SerialSettings, _now_s: float) -> tuple[bytes, LineErrors]:
    return b"", LineErrors()


def test_a_silent_line_is_listened_to_for_a_minute_and_nothing_is_ever_said_to_it() -> None:
    listener = Listener("P", KNOWN)
    for step in range(1, 601):
        listener.receive(b"", LineErrors(), step * 100_000_000)
        assert listener.due(step * 100_000_000) == b""
        assert not listener.is_over
    listener.receive(b"", LineErrors(), 61_000_000_000)
    assert listener.found() == Detection(port="P", is_over=True)


def test_an_analyser_that_only_asks_is_not_answered_unless_that_is_allowed() -> None:
    analyser = profiles.instrument("astm-analyser")
    for may_ask, answer in ((False, b""), (True, b"\x06")):
        listener = Listener("P", [analyser], may_ask=may_ask)
        listener.receive(b"\x05", LineErrors(), 0)
        assert listener.due(0) == answer
        assert listener.found().guesses[0].seen == r"\x05"


def test_who_waits_to_be_asked_is_asked_at_its_own_line_and_never_twice() -> None:
    listener, asked, now_ns = Listener("P", KNOWN, may_ask=True), [], 0
    while not listener.is_over:
        if sent := listener.due(now_ns):
            asked.append((listener.found().trying, listener.settings, sent))
        now_ns += 100_000_000
        listener.receive(b"", LineErrors(), now_ns)
    hosts = [each for each in KNOWN if dialect_of(each).due(0)]
    assert len(hosts) >= 3
    titles = {each.title: each for each in hosts}
    found = [trying.partition(", asking: ")[2] for trying, _, _ in asked]
    assert list(dict.fromkeys(found)) == list(titles)
    assert all(settings == titles[name].line for name, (_, settings, _) in zip(found, asked, strict=True))
    assert "asking" not in listener.found().trying
    assert now_ns / 1e9 < LIMIT_S + 1


def test_an_adapter_that_cannot_be_set_so_is_tried_otherwise() -> None:
    listener = Listener("P", KNOWN)
    first = listener.settings
    listener.refuse(0)
    assert listener.settings != first
    assert listener.found().guesses == ()


def test_a_record_with_a_damaged_figure_is_no_record() -> None:
    listener = Listener("P", [profiles.instrument("plain-line-dose")])
    damaged = dose_report().replace(b"12.50", b"1\x1a.50").replace(b"42", b"4\x1a")
    listener.receive(damaged, LineErrors(parity=2), 0)
    assert listener.found().guesses[0].records == 0


def test_a_second_stop_bit_is_told_by_the_profile_alone() -> None:
    refractor = profiles.instrument("nidek-rt")
    listener = Listener("P", [refractor])
    listener.receive(nidek.refractor(), LineErrors(), 0)
    listener.receive(b"", LineErrors(), 2_000_000_000)
    assert listener.found().guesses[0] == LineGuess(
        baud=2400,
        data_bits=7,
        parity="E",
        stop_bits=2,
        instruments=("nidek-rt",),
        records=1,
        seen=repr(nidek.refractor()[:48])[2:-1],
    )


@given(
    st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 80), st.integers(0, 4_000_000_000)), max_size=30),
    st.booleans(),
)
@settings(max_examples=25)
def test_any_bytes_are_a_detection(pieces: list[tuple[bytes, int, int]], may_ask: bool) -> None:
    listener, now_ns = Listener("P", KNOWN, may_ask=may_ask), 0
    for data, errors, wait_ns in pieces:
        now_ns += wait_ns
        listener.receive(data, LineErrors(framing=errors), now_ns)
        listener.due(now_ns)
        found = listener.found()
        assert all(guess.seen.isprintable() for guess in found.guesses)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Detection) == found
    assert listener.found().received_bytes == sum(len(data) for data, _, _ in pieces)
