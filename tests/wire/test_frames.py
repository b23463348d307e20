"""Frames with checks: the published examples to the letter, damage named and answered, and the same in any pieces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.frames import AstmFrames, ChecksumFrames, EscapedFrames, MedibusFrames, fcs16
from gateway.wire.records import Fault, Framing, Record
from tests.wire.pieces import records_of

LIMIT = 300
ICC = b"\x1b\x51\x36\x43\x0d"
"""MEDIBUS: initialise communication, sum 6C."""
ASTM = b"\x021A|B|C|D\r\x03BF\r\n"


def intellivue(content: bytes) -> bytes:
    raw = content + fcs16(content).to_bytes(2, "little")
    return (
        b"\xc0" + b"".join(b"\x7d" + bytes([c ^ 0x20]) if c in b"\xc0\xc1\x7d" else bytes([c]) for c in raw) + b"\xc1"
    )


def dri(content: bytes) -> bytes:
    raw = content + bytes([sum(content) & 0xFF])
    return b"\x7e" + raw.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e") + b"\x7e"


def stx(text: bytes) -> bytes:
    return b"\x02" + text + b"\x03" + b"%02X" % ((sum(text) + 3) & 0xFF)


def frame_of(number: int, text: bytes, *, is_last: bool = True) -> bytes:
    body = b"%d" % number + text + (b"\r\x03" if is_last else b"\x17")
    return b"\x02" + body + b"%02X" % (sum(body) & 0xFF) + b"\r\n"


MAKERS: dict[str, tuple[Callable[[], Framing], bytes, bytes]] = {
    "stx": (lambda: ChecksumFrames(limit_bytes=LIMIT), stx(b"KV,80"), b"KV,80"),
    "dri": (lambda: EscapedFrames("dri", limit_bytes=LIMIT), dri(b"\x7e\x7d1"), b"\x7e\x7d1"),
    "intellivue": (
        lambda: EscapedFrames("intellivue", limit_bytes=LIMIT),
        intellivue(b"\x11\x01\x00\x02\xc0\xc1"),
        b"\x11\x01\x00\x02\xc0\xc1",
    ),
    "medibus": (lambda: MedibusFrames(limit_bytes=LIMIT), ICC, ICC[:2]),
    "astm": (lambda: AstmFrames(limit_bytes=LIMIT), b"\x05" + ASTM + b"\x04", b"A|B|C|D"),
}


def held_bytes(framing: Framing) -> int:
    """Return how long the longest of its buffers is, whether it stands alone or in a list."""
    values = [value if isinstance(value, list) else [value] for value in vars(framing).values()]
    return max(len(value) for each in values for value in each if isinstance(value, bytearray))


@pytest.mark.parametrize("name", MAKERS)
def test_a_whole_frame_is_found_and_checked(name: str) -> None:
    make, frame, content = MAKERS[name]
    assert records_of(make(), [frame]) == [Record(content, is_checked=True)]


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_frame_is_a_fault_and_the_next_is_whole(name: str) -> None:
    make, frame, content = MAKERS[name]
    at = frame.index(content[1:2], 1)
    damaged = frame[:at] + bytes([frame[at] ^ 0x08]) + frame[at + 1 :]
    records = records_of(make(), [damaged + frame])
    assert records[0].fault is Fault.CHECKSUM
    assert records[-1] == Record(content, is_checked=True)


@pytest.mark.parametrize("name", MAKERS)
def test_noise_before_a_frame_loses_nothing_of_it(name: str) -> None:
    make, frame, content = MAKERS[name]
    assert records_of(make(), [b"ab\xff\x80 9" + frame])[-1] == Record(content, is_checked=True)


@pytest.mark.parametrize("name", MAKERS)
def test_after_a_power_cut_and_silence_the_next_frame_is_whole(name: str) -> None:
    make, frame, content = MAKERS[name]
    framing = make()
    cut = records_of(framing, [frame[: len(frame) // 2 + 1]])
    assert {record.fault for record in cut} <= {Fault.CUT, Fault.CHECKSUM}
    assert records_of(framing, [frame]) == [Record(content, is_checked=True)]


@pytest.mark.parametrize("begins_again", [True, False])
@pytest.mark.parametrize("name", MAKERS)
def test_a_frame_without_an_end_needs_no_endless_memory(name: str, begins_again: bool) -> None:
    make, frame, _ = MAKERS[name]
    framing, held = make(), []
    for number in range(50):
        beginning = frame[:4] if begins_again or not number else b""
        framing.receive_data(beginning + b"x" * 80 + b"\xd1" * 20)
        while isinstance(framing.next_record(), Record):
            pass
        held.append(held_bytes(framing))
    assert 80 < max(held) <= LIMIT + 200


parts = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([frame for _, frame, _ in MAKERS.values()]),
    st.sampled_from([frame[:-2] for _, frame, _ in MAKERS.values()]),
    st.sampled_from(
        [b"\x05", b"\x02", b"\x03", b"\x04", b"\r\n", b"\x7e", b"\x7d", b"\xc0", b"\xc1", b"\x1b", b"\x01", b"y" * 320]
    ),
)


@pytest.mark.parametrize("name", MAKERS)
@given(data=st.lists(parts, max_size=12).map(b"".join), cuts=st.lists(st.integers(0, 900), max_size=6))
def test_any_bytes_in_any_pieces_give_the_same_records(name: str, data: bytes, cuts: list[int]) -> None:
    make = MAKERS[name][0]
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    whole = records_of(make(), [data])
    assert records_of(make(), [data[a:b] for a, b in pairwise(edges)]) == whole
    assert records_of(make(), [data[i : i + 1] for i in range(len(data))]) == whole


# ---- ASTM E1381 ----


def test_enq_and_each_frame_are_acknowledged_and_a_record_over_two_frames_is_one() -> None:
    framing = AstmFrames()
    found = records_of(
        framing, [b"\x05" + frame_of(1, b"R|1|^^^GLU|", is_last=False) + frame_of(2, b"98.3|mg/dL") + b"\x04"]
    )
    assert found == [Record(b"R|1|^^^GLU|98.3|mg/dL", is_checked=True)]
    assert framing.answer() == b"\x06\x06\x06"
    assert framing.answer() == b""


def test_a_damaged_frame_is_refused_and_taken_when_it_comes_again() -> None:
    framing, good = AstmFrames(), frame_of(1, b"H|x")
    found = records_of(framing, [b"\x05" + good.replace(b"x", b"y") + good + b"\x04"])
    assert [record.fault for record in found] == [Fault.CHECKSUM, Fault.NONE]
    assert framing.answer() == b"\x06\x15\x06"


def test_a_frame_that_comes_twice_is_acknowledged_and_not_doubled() -> None:
    framing, good = AstmFrames(), frame_of(1, b"H|x")
    assert records_of(framing, [b"\x05" + good + good + frame_of(2, b"L|1") + b"\x04"]) == [
        Record(b"H|x", is_checked=True),
        Record(b"L|1", is_checked=True),
    ]
    assert framing.answer() == b"\x06\x06\x06\x06"


def test_frame_numbers_go_round_at_8_and_a_wrong_one_is_refused() -> None:
    framing = AstmFrames()
    frames = b"".join(frame_of(number % 8, b"R|%d" % number) for number in range(1, 11))
    assert len(records_of(framing, [b"\x05" + frames + b"\x04"])) == 10
    framing = AstmFrames()
    assert records_of(framing, [b"\x05" + frame_of(3, b"R|3")])[0].fault is Fault.CHECKSUM
    assert framing.answer() == b"\x06\x15"


def test_outside_a_session_nothing_is_read_or_answered() -> None:
    framing = AstmFrames()
    assert records_of(framing, [ASTM]) == []
    assert framing.answer() == b""


def test_a_record_that_eot_ends_too_early_is_cut() -> None:
    assert records_of(AstmFrames(), [b"\x05" + frame_of(1, b"R|1", is_last=False) + b"\x04"]) == [
        Record(b"R|1", Fault.CUT)
    ]


# ---- MEDIBUS ----


def test_a_command_inside_a_reply_is_read_and_the_reply_goes_on() -> None:
    reply = b"\x01\x24" + b"0612 3"
    whole = reply + b"%02X" % (sum(reply) & 0xFF) + b"\r"
    found = records_of(MedibusFrames(), [whole[:5] + ICC + whole[5:]])
    assert found == [Record(ICC[:2], is_checked=True), Record(reply, is_checked=True)]


def test_real_time_bytes_are_a_record_of_their_own_wherever_they_stand() -> None:
    found = records_of(MedibusFrames(), [b"\x85\xd1\x81" + ICC[:2] + b"\xbf" + ICC[2:] + b"\xc6\xc0\xd2\x80"])
    assert found == [Record(ICC[:2], is_checked=True), Record(b"\xd1\x81\xbf\xc6\xc0\xd2\x80")]


def test_eight_cycles_of_real_time_are_one_record() -> None:
    cycles = [b"\xd1" + bytes([0x80 + number, 0x81]) for number in range(17)]
    found = records_of(MedibusFrames(), [b"".join(cycles)])
    assert [record.data for record in found] == [b"".join(cycles[at : at + 8]) for at in (0, 8, 16)]


def test_cycles_that_ended_before_a_reply_come_before_it() -> None:
    found = records_of(MedibusFrames(), [b"\xd1\x81\x82\xd1\x83" + ICC + b"\x84"])
    assert [record.data for record in found] == [b"\xd1\x81\x82", ICC[:2], b"\xd1\x83\x84"]


def test_a_cycle_without_an_end_is_given_up_and_the_next_is_whole() -> None:
    found = records_of(MedibusFrames(), [b"\xd1\x81\x82\xd1" + b"\xbf" * 200 + b"\xd1\x83\x84"])
    assert [record.fault for record in found] == [Fault.NONE, Fault.OVERLONG, Fault.NONE]
    assert (found[0].data, found[2].data) == (b"\xd1\x81\x82", b"\xd1\x83\x84")


def test_software_handshaking_is_no_part_of_a_reply() -> None:
    assert records_of(MedibusFrames(), [ICC[:2] + b"\x13\x11" + ICC[2:]]) == [Record(ICC[:2], is_checked=True)]


# ---- checks ----


def test_the_fcs_is_that_of_rfc_1662() -> None:
    assert fcs16(b"123456789") == 0x906E


def test_dri_frames_may_share_a_flag_after_damage() -> None:
    good = dri(b"\x31\x00")
    found = records_of(EscapedFrames("dri"), [b"\x7e\x01\x02" + good])
    assert found == [Record(b"\x01\x02", Fault.CHECKSUM), Record(b"\x31\x00", is_checked=True)]
