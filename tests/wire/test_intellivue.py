"""IntelliVue messages: ours are the published ones byte for byte, theirs are read or named, whatever their lengths say."""

from __future__ import annotations

import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UnreadableRecord
from gateway.wire import intellivue as wire
from gateway.wire.frames import EscapedFrames
from gateway.wire.records import Record
from tests.wire.pieces import records_of

ASSOCIATION_OF_PAGE_298 = (
    "0508130100160102800014020002 c1dc 3180a0808001010000a280a003000001a480308002010106045201000130800602510100"
    "0000003080020102060c2a8648ce14020100000001013080060c2a8648ce140201000000020100000000000061803080020101a080"
    "6080a180060c2a8648ce14020100000003010000be802880060c2a8648ce140201000000010102010281"
)
"""Session data and presentation header of the guide's example, with the length for 72 bytes of user data."""
RESULT_OF_CREATED = "e100000200020014000100010 00e002100000000000abd000d060000"
"""What an open implementation (VSCaptureMP) answers to the MDS create event of time 000ABD00."""
PERIODIC_POLL_OF_CURVES = (
    "e100000200010028000400070022002100000000000000 00f13b00140004000100090000000100 08f13e000400493e00"
)
"""The same: for 600 seconds, every attribute (with the poll number that its invocation has)."""
POLL_OF_THE_MONITOR = "e10000020001001c00010007001600210000000000000000 0c160008000100010021080c"
RESPONSE = (
    "0eec 0508130100160102800014020002 c1dc 3180a0808001010000a280a003000001a58030808001008102510100003080800100810c"
    "2a8648ce14020100000002010000000061803080020101a0806180a180060c2a8648ce14020100000003010000a203020100a305a1030201"
    "00be80288002010281"
)
"""Up to the length of the user data: page 299, as quoted by an open implementation."""


def hexed(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def user_data(options: int) -> bytes:
    extension = struct.pack(">HHHHIHH", 1, 12, 0xF001, 8, options, 0, 0)
    profile = struct.pack(">6I", 0x80000000, 8000, 1000, 1456, 0xFFFFFFFF, 0x60000000) + extension
    return (
        struct.pack(">5IHH", 0x80000000, 0x40000000, 0, 0x800000, 0x20000000, 0, 0)
        + struct.pack(">4H", 1, len(profile) + 4, 1, len(profile))
        + profile
    )


def response(options: int) -> bytes:
    user = user_data(options)
    return hexed(RESPONSE) + bytes([len(user)]) + user + bytes(16)


def test_the_association_request_is_that_of_the_guide() -> None:
    request = wire.association(with_curves=True)
    assert request.startswith(b"\x0d\xec" + hexed(ASSOCIATION_OF_PAGE_298) + b"\x48")
    assert request.endswith(bytes(16))
    assert b"\xf0\x01\x00\x08\x88\x00\x00\x00" in request
    assert b"\xf0\x01\x00\x08\x80\x00\x00\x00" in wire.association(with_curves=False)


def test_requests_and_answers_are_the_published_ones() -> None:
    event = wire.Created(1, hexed("002100000000"), hexed("000abd00"), {})
    assert wire.created(event) == hexed(RESULT_OF_CREATED)
    assert wire.periodic_poll(4, wire.CURVES, wire.EVERYTHING, 600) == hexed(PERIODIC_POLL_OF_CURVES)
    assert wire.poll(1, wire.MONITOR, 0x080C) == hexed(POLL_OF_THE_MONITOR)


def test_curves_are_chosen_by_their_labels_in_order() -> None:
    request = wire.choose_curves(7, [0x00020102, 0x00024BB4])
    assert request[8:14] == hexed("0007 0005 0020")
    assert request[-16:] == hexed("f23a 000c 0002 0008 00020102 00024bb4")


def test_a_frame_is_read_back_and_its_own_length_is_checked() -> None:
    message = bytes(range(0x70, 0xD0))
    (record,) = records_of(EscapedFrames("intellivue"), [wire.framed(message)])
    assert record == Record(b"\x11\x01\x00\x60" + message, is_checked=True)
    assert wire.unframed(record.data) == message
    for content in (record.data[:-1], b"\x11\x02" + record.data[2:], record.data[:3], b""):
        with pytest.raises(UnreadableRecord):
            wire.unframed(content)


def test_what_the_monitor_granted_is_read_from_its_response() -> None:
    assert wire.read(response(0x88000000)) == wire.Accepted(has_periods=True, has_curves=True)
    assert wire.read(response(0x80000000)) == wire.Accepted(has_periods=True, has_curves=False)
    assert wire.read(response(0)) == wire.Accepted(has_periods=False, has_curves=False)
    short_mark = response(0x80000000).replace(hexed("be80288002010281"), hexed("be80288081"))
    assert wire.read(short_mark) == wire.Accepted(has_periods=True, has_curves=False)
    long_length = hexed(RESPONSE) + b"\x81\x48" + user_data(0x80000000) + bytes(16)
    assert wire.read(long_length) == wire.Accepted(has_periods=True, has_curves=False)


def test_refusals_and_ends_are_told_by_their_first_byte() -> None:
    assert wire.read(hexed("0c020000")) == wire.Refused()
    released = hexed("0a18c11661803080020101a08063808001000000000000000000")
    aborted = hexed("192e110103c129a080a080308002010106025101000000006180308002 0101a08064808001010000000000000000")
    assert [wire.read(each) for each in (released, aborted)] == [wire.Ended(), wire.Ended()]
    assert wire.read(hexed("e1000002 0003 0006 0009 000a 0000")) == wire.Failed(9, 10)


@pytest.mark.parametrize(
    ("stated", "value"),
    [
        (0xFD007D00, "32.000"),
        (0xFF000140, "32.0"),
        (0x01000140, "3200"),
        (0x02000020, "3200"),
        (0x00FFFFFF, "-1"),
        (0x80000001, f"0.{'0' * 127}1"),
    ],
)
def test_a_float_is_the_decimal_number_that_it_states(stated: int, value: str) -> None:
    """The first four are the examples of page 41."""
    number = wire.decimal(stated)
    assert number is not None
    assert format(number, "f") == value


@pytest.mark.parametrize("mantissa", [0x7FFFFF, 0x800000, 0x7FFFFE, 0x800002])
@pytest.mark.parametrize("exponent", [0, 0x80, 0xFF])
def test_a_float_that_is_no_number_is_none(mantissa: int, exponent: int) -> None:
    assert wire.decimal(exponent << 24 | mantissa) is None


@given(st.integers(-(2**23) + 3, 2**23 - 3), st.integers(-128, 127))
def test_every_float_is_exact(mantissa: int, exponent: int) -> None:
    assert wire.decimal((exponent & 0xFF) << 24 | mantissa & 0xFFFFFF) == Decimal(mantissa) * Decimal(10) ** exponent


def test_strings_may_be_wide_or_narrow() -> None:
    wide = "SpO₂ l\0\0".encode("utf-16-be")
    assert wire.texts(struct.pack(">H", len(wide)) + wide) == ["SpO₂ l"]
    assert wire.texts(b"\x00\x08Philips\0\x00\x06M8000\0") == ["Philips", "M8000"]
    assert wire.texts(b"\x00\x04CO2 ") == ["CO2"]
    assert wire.texts(b"\x00\x00") == [""]
    with pytest.raises(UnreadableRecord):
        wire.texts(b"\x00\x08Phil")


messages = st.one_of(
    st.binary(max_size=80),
    st.binary(max_size=60).map(lambda body: b"\xe1\x00\x00\x02\x00\x02" + struct.pack(">H", len(body)) + body),
    st.builds(
        lambda at, byte, message: message[:at] + bytes([byte]) + message[at + 1 :],
        st.integers(0, 240),
        st.integers(0, 255),
        st.sampled_from([response(0x88000000), hexed(RESULT_OF_CREATED), hexed(PERIODIC_POLL_OF_CURVES)]),
    ),
)


@given(messages)
def test_any_bytes_are_a_message_or_a_named_error(message: bytes) -> None:
    with suppress(UnreadableRecord):
        wire.read(message)


def result(kind: int, body: bytes) -> bytes:
    return hexed("e1000002") + struct.pack(">HH", kind, len(body)) + body


def test_a_part_of_a_linked_result_is_read_as_a_whole_one_is() -> None:
    """ROLRS has two bytes more before its invocation; the extended result two more behind its poll number (pages 44, 62)."""
    listed = hexed("0001 0014 0000 0001 000e 1001 0001 0008 0924 0004 00024182")
    head = hexed("00002af8 ffffffffffffffff 0001 0006 0803")
    expected = wire.Polled(11000, (wire.PolledObject((0, 0x1001), {wire.LABEL: hexed("00024182")}),))
    for kind, link in ((2, b""), (5, b"\x01\x01")):
        for action, numbers in ((0x0C16, b"\x00\x01"), (0xF13B, b"\x00\x01\x00\x07")):
            reply = numbers + head + listed
            body = hexed("002100000000") + struct.pack(">HH", action, len(reply)) + reply
            message = result(kind, link + struct.pack(">3H", 9, 7, len(body)) + body)
            assert wire.read(message) == expected


@pytest.mark.parametrize(
    ("stated", "time"),
    [
        ("2026112420150512", "2026-11-24 20:15:05"),
        ("1999123123595900", "1999-12-31 23:59:59"),
        ("2105010100000000", "2105-01-01 00:00:00"),
        ("ffffffffffffffff", "None"),
        ("0001010100000000", "None"),
        ("2026132420150512", "None"),
        ("20261124", "None"),
        ("", "None"),
    ],
)
def test_the_monitors_clock_is_read_as_far_as_it_makes_sense(stated: str, time: str) -> None:
    assert str(wire.time_of(bytes.fromhex(stated))) == time
