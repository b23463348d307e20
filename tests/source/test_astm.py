"""Results of an analyser: each test by its pattern, damage refused, and any bytes values or a named error."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import profile as profiles
from gateway.device.tty import Tty
from gateway.model import ReadingSet
from gateway.simulators.analyser import MESSAGE, Analyser
from gateway.simulators.instrument import SimulatedInstrument
from gateway.source.serial import Instrument

SECOND = 1_000_000_000
PROFILE = profiles.instrument("astm-analyser")


def frame(number: int, text: bytes) -> bytes:
    body = b"%d" % (number % 8) + text + b"\r\x03"
    return b"\x02" + body + b"%02X" % (sum(body) & 0xFF) + b"\r\n"


def message(*records: str) -> bytes:
    return b"\x05" + b"".join(frame(n, r.encode()) for n, r in enumerate(records, 1)) + b"\x04"


def values(sets: list[ReadingSet]) -> list[list[tuple[str, str]]]:
    return [[(one.concept.value, one.value) for one in each.observations] for each in sets]


def test_a_message_is_one_set_with_each_result_and_the_name_of_its_analyser() -> None:
    instrument = Instrument(PROFILE)
    (one,) = instrument.receive_data(message(*MESSAGE), SECOND)
    assert values([one]) == [[("2345-7", "98.3"), ("2823-3", "4.2")]]
    assert (one.model_name, one.unread) == ("Example", 0)
    assert instrument.answer() == b"\x06" * (len(MESSAGE) + 1)


def test_a_test_without_a_pattern_is_counted_and_a_value_out_of_bounds_is_kept() -> None:
    records = ("H|\\^&", "R|1|^^^XYZ|1", "R|2|^^^GLU|9999|mg/dL", "L|1")
    (one,) = Instrument(PROFILE).receive_data(message(*records), SECOND)
    assert one.unread == 1
    assert [(o.value, o.doubts) for o in one.observations] == [("9999", ("it is above 1000",))]


def test_what_is_no_record_is_named() -> None:
    instrument = Instrument(PROFILE)
    assert instrument.receive_data(message("~|1"), SECOND) == []
    (error,) = instrument.errors()
    assert "no record of ASTM E1394" in str(error)


@pytest.mark.parametrize("longest", [240, 11])
def test_an_analyser_repeats_what_is_refused_until_every_frame_is_acknowledged(longest: int) -> None:
    found: list[ReadingSet] = []
    stop = threading.Event()
    instrument = Instrument(PROFILE)
    with SimulatedInstrument(baud=0) as line, Tty(line.path, PROFILE.line) as tty:

        def gateway() -> None:
            while not stop.is_set():
                found.extend(instrument.receive_data(tty.read(0.05), SECOND))
                if answer := instrument.answer():
                    tty.write(answer)

        thread = threading.Thread(target=gateway)
        thread.start()
        analyser = Analyser(line, damaged=frozenset({2, 4}))
        analyser.send(longest_text=longest)
        for _ in range(100):
            if found:
                break
            stop.wait(0.02)
        stop.set()
        thread.join()
    assert values(found) == [[("2345-7", "98.3"), ("2823-3", "4.2")]]
    assert analyser.answers.count(b"\x15") == 2
    assert len(instrument.errors()) == 2


parts = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([message(*MESSAGE), message("L|1"), b"\x05", frame(1, b"R|1|^^^K|4,2|mmol/L"), frame(1, b"\xff|")]),
)


@given(st.lists(parts, max_size=6).map(b"".join), st.lists(st.integers(0, 600), max_size=5))
def test_any_stream_whole_or_in_pieces_gives_the_same_sets_errors_and_answers(data: bytes, cuts: list[int]) -> None:
    def hear(pieces: list[bytes]) -> tuple[list[ReadingSet], list[str], bytes]:
        instrument = Instrument(PROFILE)
        sets = [one for piece in pieces for one in instrument.receive_data(piece, SECOND)]
        sets += instrument.tick(99 * SECOND)
        return sets, [str(error) for error in instrument.errors()], instrument.answer()

    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = hear([data])
    assert hear([data[a:b] for a, b in pairwise(edges)]) == expected
    assert hear([data[i : i + 1] for i in range(len(data))]) == expected
