"""Files by XMODEM and YMODEM: what a sender of other people sends arrives byte by byte, and no damage gets through."""

from __future__ import annotations

import os
import pty
import random
import shutil
import subprocess
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.records import Fault, Record
from gateway.wire.xmodem import ACK, CAN, EOT, NAK, SizedRecords, Xmodem
from tests.wire.pieces import records_of

SECOND = 1_000_000_000
C = ord("C")
CONTENT = bytes(random.Random(5).randbytes(3000))


def sum_block(number: int, payload: bytes) -> bytes:
    return bytes([1, number, 255 - number]) + payload + bytes([sum(payload) % 256])


def crc(payload: bytes) -> bytes:
    """Bit by bit, as section 8 of the reference says it."""
    value = 0
    for byte in payload:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value.to_bytes(2, "big")


def crc_block(number: int, payload: bytes) -> bytes:
    return bytes([2 if len(payload) == 1024 else 1, number, 255 - number]) + payload + crc(payload)


def blocks(content: bytes, size: int, make: Callable[[int, bytes], bytes]) -> list[bytes]:
    pieces = [content[at : at + size].ljust(size, b"\x1a") for at in range(0, len(content), size)]
    return [make(number & 0xFF, piece) for number, piece in enumerate(pieces, start=1)]


def header(name: bytes, length: bytes = b"") -> bytes:
    return crc_block(0, (name + b"\0" + length).ljust(128, b"\0"))


ENDS = bytes([EOT, EOT])
BY_SUM = b"".join(blocks(CONTENT, 128, sum_block)) + ENDS
BY_CRC = b"".join(blocks(CONTENT, 128, crc_block)) + ENDS
BY_1K = b"".join(blocks(CONTENT, 1024, crc_block)) + ENDS
BATCH = header(b"ecg.scp", b"3000 0 0") + BY_1K + header(b"")


def heard(data: bytes) -> list[Record]:
    return records_of(Xmodem(), [data])


def answers(*pieces: bytes) -> bytes:
    framing = Xmodem()
    for piece in pieces:
        framing.receive_data(piece)
        while isinstance(framing.next_record(), Record):
            pass
    return framing.answer()


# ---- what is published ----


def test_the_name_block_of_the_reference_has_its_published_crc() -> None:
    name = b"bbcsched.txt\x006347 3314742513 100644".ljust(128, b"\0")
    assert crc_block(0, name)[-2:] == bytes.fromhex("CA56")
    framing = Xmodem()
    framing.receive_data(crc_block(0, name))
    assert not isinstance(framing.next_record(), Record)
    assert framing.answer() == bytes([ACK, C])


def test_a_session_of_the_reference_is_answered_as_there() -> None:
    three = blocks(CONTENT[:356], 128, crc_block)
    assert answers(header(b"foo.c"), *three, bytes([EOT]), bytes([EOT]), header(b"")) == (
        bytes([ACK, C, ACK, ACK, ACK, NAK, ACK, C, ACK])
    )


# ---- what arrives ----


@pytest.mark.parametrize("sent", [BY_SUM, BY_CRC, BY_1K])
def test_xmodem_gives_the_file_with_its_padding(sent: bytes) -> None:
    (record,) = heard(sent)
    assert (record.data.rstrip(b"\x1a"), record.fault, record.is_checked) == (CONTENT.rstrip(b"\x1a"), Fault.NONE, True)


def test_ymodem_gives_the_file_as_long_as_it_was() -> None:
    assert [record.data for record in heard(BATCH)] == [CONTENT]
    two = header(b"a", b"3000") + BY_1K + header(b"b", b"3000") + BY_CRC + header(b"")
    assert [record.data for record in heard(two)] == [CONTENT, CONTENT]


def test_a_file_of_more_than_255_blocks_arrives() -> None:
    long = CONTENT * 14
    (record,) = heard(b"".join(blocks(long, 128, sum_block)) + ENDS)
    assert record.data[: len(long)] == long


@pytest.mark.parametrize("sent", [BY_SUM, BY_CRC, BATCH])
def test_whole_and_byte_by_byte_are_the_same(sent: bytes) -> None:
    noisy = b"\x00\x01garbage\x02" + sent
    assert records_of(Xmodem(), [noisy[at : at + 1] for at in range(len(noisy))]) == heard(noisy)


def test_the_files_of_a_batch_are_numbered() -> None:
    framing = Xmodem()
    numbers = []
    for piece in (header(b"a") + BY_1K, header(b"b") + BY_1K, header(b""), BY_CRC, header(b"c") + BY_1K):
        framing.receive_data(piece)
        numbers += [framing.file_number for _ in drained(framing)]
    assert numbers == [1, 2, 1, 2]


def test_an_end_that_ended_nothing_is_not_answered() -> None:
    assert answers(bytes([EOT])) == b""


# ---- damage ----


def test_a_damaged_block_is_refused_once_the_line_is_quiet_and_comes_again() -> None:
    first, second, *_ = blocks(CONTENT, 128, crc_block)
    hurt = second[:50] + bytes([second[50] ^ 1]) + second[51:]
    framing = Xmodem()
    framing.receive_data(first + hurt)
    faults = drained(framing)
    assert [record.fault for record in faults] == [Fault.CHECKSUM]
    assert framing.answer() == bytes([ACK])
    assert framing.due(SECOND) == b""
    assert framing.due(2 * SECOND) == bytes([NAK])
    framing.receive_data(second + bytes([EOT, EOT]))
    assert [record.data for record in drained(framing)] == [CONTENT[:256]]
    assert framing.answer() == bytes([ACK, NAK, ACK])


def drained(framing: Xmodem) -> list[Record]:
    found = []
    while isinstance(record := framing.next_record(), Record):
        found.append(record)
    return found


def test_a_block_that_lost_a_byte_does_not_spoil_the_next() -> None:
    first, second, third, *_ = blocks(CONTENT, 128, crc_block)
    sent = first + second[:60] + second[61:] + second + third + ENDS
    assert [record.data for record in heard(sent) if not record.fault] == [CONTENT[:384]]


def test_a_block_that_came_before_is_acknowledged_and_not_doubled() -> None:
    first, second, *_ = blocks(CONTENT, 128, crc_block)
    assert answers(first, first, second, second) == bytes([ACK] * 4)
    assert [record.data for record in heard(first + first + second + second + ENDS)] == [CONTENT[:256]]


def test_what_looks_like_an_end_inside_damage_ends_nothing() -> None:
    ends = bytes([EOT, EOT, CAN, CAN]) * 32
    first, second, third = blocks(CONTENT[:128] + ends + CONTENT[:128], 128, crc_block)
    hurt = bytes([7]) + second[1:]
    (record,) = [one for one in heard(first + hurt + second + third + ENDS) if not one.fault]
    assert record.data == CONTENT[:128] + ends + CONTENT[:128]


def test_a_sender_that_begins_again_is_heard_from_its_beginning() -> None:
    sent = b"".join(blocks(CONTENT, 128, crc_block)[:5]) + BATCH
    cut, whole = heard(sent)
    assert (cut.fault, cut.data) == (Fault.CUT, CONTENT[:640])
    assert (whole.fault, whole.data) == (Fault.NONE, CONTENT)


def test_a_cancelled_file_and_one_whose_sender_died_are_cut() -> None:
    begun = b"".join(blocks(CONTENT, 128, crc_block)[:3])
    assert [record.fault for record in heard(begun + bytes([CAN, CAN]))] == [Fault.CUT]
    assert [record.fault for record in heard(begun)] == [Fault.CUT]


def test_an_endless_file_is_cancelled() -> None:
    framing = Xmodem(limit_bytes=1000)
    found = records_of(framing, blocks(CONTENT, 128, crc_block))
    assert found[0].fault is Fault.OVERLONG
    assert len(found[0].data) == 1000
    assert bytes([CAN, CAN]) in framing.answer()


def test_a_sender_that_falls_silent_is_asked_ten_times_and_then_given_up() -> None:
    framing, said, now = Xmodem(), b"", 0
    framing.receive_data(crc_block(1, CONTENT[:128]))
    assert drained(framing) == []
    framing.answer()
    while CAN not in said:
        now += SECOND
        said += framing.due(now)
    assert said == bytes([NAK] * 10 + [CAN, CAN])
    assert now > 100 * SECOND
    assert [record.fault for record in drained(framing)] == [Fault.CUT]


def test_the_receiver_asks_every_three_seconds_and_for_a_sum_now_and_then() -> None:
    framing = Xmodem()
    said = [framing.due(now * SECOND // 10) for now in range(240)]
    assert b"".join(said) == b"CCC\x15CCC\x15"


def test_a_last_acknowledgement_that_was_lost_is_given_once_more() -> None:
    assert answers(BY_CRC, bytes([EOT]))[-2:] == bytes([ACK, ACK])
    assert answers(BATCH, header(b""))[-2:] == bytes([ACK, ACK])


# ---- records with their own length ----


def scp_like(size: int, fill: int = 7) -> bytes:
    body = size.to_bytes(4, "little") + bytes(10) + b"SCPECG" + bytes([fill]) * (size - 22)
    value = 0xFFFF
    for byte in body:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value.to_bytes(2, "little") + body


def test_sized_records_are_found_in_noise_and_after_a_damaged_one() -> None:
    good, other = scp_like(300), scp_like(90, 9)
    hurt = good[:200] + b"\xff" + good[201:]
    stream = b"noise SCPECG" + good + b"\0\0" + hurt + other
    found = records_of(SizedRecords(), [stream])
    assert [(one.data, one.fault) for one in found] == [
        (good, Fault.NONE),
        (hurt, Fault.CHECKSUM),
        (other, Fault.NONE),
    ]
    assert records_of(SizedRecords(), [stream[at : at + 1] for at in range(len(stream))]) == found


def test_a_sized_record_that_does_not_end_is_cut_and_what_is_in_it_is_found() -> None:
    good = scp_like(90)
    lying = scp_like(60)[:2] + (5000).to_bytes(4, "little") + scp_like(60)[6:]
    found = records_of(SizedRecords(), [lying + good])
    assert [one.fault for one in found] == [Fault.CUT, Fault.NONE]
    assert found[1].data == good


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.binary(max_size=200) | st.sampled_from([BATCH, BY_SUM[:600], scp_like(90), b"\x01\x01\xfe"]), max_size=5
    )
)
def test_any_bytes_give_records_whole_or_in_pieces(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for framing in (Xmodem, SizedRecords):
        assert records_of(framing(), pieces) == records_of(framing(), [data])


# ---- a sender of other people ----


@contextmanager
def sender(command: list[str]) -> Iterator[int]:
    """Run a program of lrzsz on a pseudo-terminal; yield our end."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        yield ours
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def received(ours: int, hurt: Callable[[bytes], bytes] = lambda data: data) -> bytes:
    """Play the gateway until a file has come: read, hear, answer, be due; its clock runs five times as fast."""
    framing = Xmodem()
    os.set_blocking(ours, False)
    end = time.monotonic() + 20
    found: list[Record] = []
    quiet = 0
    while time.monotonic() < end and quiet < 3:
        try:
            framing.receive_data(hurt(os.read(ours, 4096)))
        except BlockingIOError:
            quiet += bool(found)
            time.sleep(0.02)
        except OSError:
            break
        found += [one for one in drained(framing) if not one.fault]
        if said := framing.answer() + framing.due(5 * time.monotonic_ns()):
            os.write(ours, said)
    (record,) = found
    return record.data


@pytest.mark.peers
@pytest.mark.parametrize("options", [["sx"], ["sx", "-k"], ["sb"], ["sb", "-k"]], ids=" ".join)
def test_what_lrzsz_sends_arrives(options: list[str], tmp_path: Path) -> None:
    program = shutil.which(options[0])
    assert program, "lrzsz is missing: apt-get install lrzsz"
    file = tmp_path / "ecg.scp"
    file.write_bytes(CONTENT)
    with sender([program, *options[1:], str(file)]) as ours:
        data = received(ours)
    assert data[: len(CONTENT)] == CONTENT
    assert len(data) == len(CONTENT) or "sx" in options


@pytest.mark.peers
def test_what_lrzsz_sends_over_a_bad_line_arrives(tmp_path: Path) -> None:
    file = tmp_path / "ecg.scp"
    file.write_bytes(CONTENT)
    left = [2]

    def hurt(data: bytes) -> bytes:
        if left[0] and len(data) > 100:
            left[0] -= 1
            return data[:50] + bytes([data[50] ^ 0x20]) + data[51:]
        return data

    with sender(["sb", str(file)]) as ours:
        assert received(ours, hurt) == CONTENT
    assert not left[0]
