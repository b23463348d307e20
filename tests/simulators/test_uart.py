"""The model of a UART: what is sent comes out as it was where both ends agree, and as the arithmetic of the bits says where they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.profile import SerialSettings
from gateway.simulators.uart import Character, Fault, Uart, Wire, frame

LINES = [
    SerialSettings(baud=baud, data_bits=bits, parity=parity, stop_bits=stop)
    for baud in (300, 9600, 115200)
    for bits in (7, 8)
    for parity in ("N", "E", "O")
    for stop in (1, 2)
]


def heard(wire: Wire, settings: SerialSettings, from_s: float = 0.0, count: float = 1.0) -> list[Character]:
    return Uart(wire, settings, from_s).until(from_s + count * wire.period_s)


@pytest.mark.parametrize("line", LINES, ids=repr)
def test_what_is_sent_is_what_is_heard(line: SerialSettings) -> None:
    data = bytes(range(1 << line.data_bits))
    found = heard(Wire(data, line, pause_s=20 / line.baud), line)
    assert bytes(each.byte for each in found) == data
    assert {each.fault for each in found} == {Fault.NONE}


@given(st.binary(min_size=1, max_size=40), st.sampled_from(LINES), st.sampled_from(LINES))
def test_any_two_settings_end(data: bytes, sent: SerialSettings, heard_as: SerialSettings) -> None:
    wire = Wire(bytes(byte % (1 << sent.data_bits) for byte in data), sent, pause_s=0.05)
    found = heard(wire, heard_as, count=2.0)
    assert all(0 <= each.byte < 1 << heard_as.data_bits for each in found)
    assert [each.at_s for each in found] == sorted(each.at_s for each in found)


def test_a_frame_is_its_start_its_bits_from_the_lowest_its_parity_and_its_stop() -> None:
    assert frame(0x41, SerialSettings(data_bits=7, parity="E")) == bytes([0, 1, 0, 0, 0, 0, 0, 1, 0, 1])
    assert frame(0x43, SerialSettings(parity="O", stop_bits=2)) == bytes([0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1])


def test_seven_bits_and_even_parity_are_eight_bits_whose_highest_is_the_parity() -> None:
    found = heard(Wire(b"AC", SerialSettings(data_bits=7, parity="E"), pause_s=0.1), SerialSettings())
    assert found[0].byte == 0x41
    assert found[1].byte == 0xC3
    assert {each.fault for each in found} == {Fault.NONE}


def test_the_other_parity_is_wrong_in_every_character() -> None:
    wire = Wire(b"12.50", SerialSettings(parity="E"), pause_s=0.1)
    assert {each.fault for each in heard(wire, SerialSettings(parity="O"))} == {Fault.PARITY}


def test_at_half_the_baud_most_characters_are_damaged() -> None:
    found = heard(Wire(b"DAP 12.50 cGycm2\r\n" * 10, SerialSettings(baud=9600)), SerialSettings(baud=4800))
    damaged = sum(each.fault is not Fault.NONE for each in found)
    assert damaged > 0.3 * len(found), (damaged, len(found))


def test_zeros_at_a_far_lower_baud_are_a_break() -> None:
    found = heard(Wire(b"\0", SerialSettings(baud=300), pause_s=1.0), SerialSettings(baud=9600))
    assert found[0] == Character(0, Fault.BREAK, found[0].at_s)


def test_a_parity_bit_that_was_turned_around_damages_that_character_alone() -> None:
    line = SerialSettings(data_bits=7, parity="E")
    found = heard(Wire(b"12.50", line, pause_s=0.1, wrong=frozenset({3})), line)
    assert [each.fault for each in found] == [Fault.NONE] * 3 + [Fault.PARITY, Fault.NONE]
    assert bytes(each.byte for each in found) == b"12.50"


def test_who_begins_to_listen_in_the_middle_of_a_print_is_in_step_after_its_next_pause() -> None:
    line = SerialSettings()
    wire = Wire(b"DAP 12.50\r\n", line, pause_s=0.01)
    found = heard(wire, line, from_s=0.0034, count=3.0)
    assert bytes(each.byte for each in found).endswith(b"DAP 12.50\r\nDAP 12.50\r\n"[:18]) or b"DAP 12.50\r\n" in bytes(
        each.byte for each in found
    )


def test_pulses_that_are_shorter_than_half_a_bit_are_no_character() -> None:
    assert heard(Wire(b"\xff", SerialSettings(baud=9600)), SerialSettings(baud=600), count=1000.0) == []


def test_what_is_asked_for_in_pieces_is_the_same() -> None:
    line = SerialSettings(baud=4800)
    wire = Wire(b"DAP 12.50\r\n", SerialSettings(baud=9600, parity="E"), pause_s=0.01)
    pieces = Uart(wire, line)
    found = [one for step in range(1, 101) for one in pieces.until(step * 0.0007)]
    assert found == Uart(wire, line).until(0.07)
