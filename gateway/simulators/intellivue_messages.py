"""What an IntelliVue monitor sends, as bytes: a made-up patient's values and curves, and the messages that carry them.

Written apart from the parser, from VSCaptureMP (Class1.cs, Class3.cs: offsets and headers) and from the structures of the guide as a C
header of others has them. Every sample is computed from its number, so that a test knows each one.
"""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct, structs

ACTION: Final = 7
LONGEST: Final = 1000
"""Bytes of a message, as negotiated."""
INVALID, QUESTIONABLE, UNAVAILABLE, IN_ALARM = 0x8000, 0x4000, 0x2000, 0x0002
NAN: Final = 0x007FFFFF


class Number(Struct, frozen=True):
    """One value: identifier, unit, mantissa, exponent, state."""

    identifier: int
    unit: int
    mantissa: int
    exponent: int = 0
    state: int = 0

    def packed(self) -> bytes:
        """As the monitor sends it: ten bytes."""
        value = (self.exponent & 0xFF) << 24 | self.mantissa & 0xFFFFFF
        return struct.pack(">HHHI", self.identifier, self.state, self.unit, value)


class Numeric(Struct, frozen=True):
    """One object of values, with what stands beside them on the screen."""

    handle: int
    label: str
    numbers: tuple[Number, ...]
    partition: int = 2
    """Of its label: 1026 is a setting."""
    stamp: bytes = b""
    """When it was measured, in two decimal digits a byte: of what is measured now and then."""


class Wave(Struct, frozen=True):
    """One curve."""

    handle: int
    identifier: int
    unit: int
    period: int
    """Eighths of a millisecond."""
    bits: int
    low: int
    high: int
    """FLOATs, packed."""
    top: int
    """The sample that `high` means; 0 means `low`."""

    @property
    def count(self) -> int:
        """How many samples 256 ms are."""
        return 2048 // self.period


PATIENT: Final = (
    Numeric(0x1001, "HR", (Number(0x4182, 0x0AA0, 72),)),
    Numeric(0x1002, "SpO₂", (Number(0x4BB8, 0x0220, 975, -1),)),
    Numeric(
        0x1003,
        "ABP",
        (
            Number(0x4A15, 0x0F20, 121, state=IN_ALARM),
            Number(0x4A16, 0x0F20, 78),
            Number(0x4A17, 0x0F20, 93),
        ),
    ),
    Numeric(0x1004, "NBP", (Number(0x4A05, 0x0F20, 0x7FFFFF, state=INVALID),)),
    Numeric(0x1005, "T1", (Number(0x4B48, 0x17A0, 3681, -2),)),
    Numeric(0x1006, "T2", (Number(0x4B48, 0x17A0, 3390, -2, QUESTIONABLE),)),
    Numeric(0x1007, "AF", (Number(0x500A, 0x0AE0, 14),)),
    Numeric(0x1008, "etCO₂", (Number(0x50B0, 0x0F20, 0x7FFFFF, state=UNAVAILABLE),)),
)
"""A made-up patient: what stands on the screen."""
LEAD_II: Final = Wave(0x2001, 0x0102, 0x10B2, 16, 14, 0xFDFF6000, 0xFD009FFB, 16383)
"""500 in a second, -40.960 to 40.955 mV."""
PRESSURE: Final = Wave(0x2002, 0x4A14, 0x0F20, 64, 12, 0x00FFFFD8, 0x00000140, 4095)
"""125 in a second, -40 to 320 mmHg."""
PLETH: Final = Wave(0x2003, 0x4BB4, 0x0200, 64, 12, NAN, NAN, 4095)
BREATH: Final = Wave(0x2004, 0x5000, 0x10C0, 128, 12, 0xFF000000, 0xFF000064, 4000)
"""62.5 in a second, 0.0 to 10.0 ohm."""
CARBON_DIOXIDE: Final = Wave(0x2005, 0x50AC, 0x0F20, 128, 12, 0x00000000, 0x00000064, 4000)
WAVES: Final = (
    LEAD_II,
    PRESSURE,
    PLETH,
    BREATH,
    CARBON_DIOXIDE,
    *(structs.replace(LEAD_II, handle=handle, identifier=one) for handle, one in ((0x2011, 0x0101), (0x2012, 0x0143))),
    *(structs.replace(PRESSURE, handle=handle, identifier=one) for handle, one in ((0x2021, 0x4A10), (0x2022, 0x4A44))),
    structs.replace(BREATH, handle=0x2031, identifier=0x50D4, unit=0x0C00),
    structs.replace(BREATH, handle=0x2032, identifier=0x50F0, unit=0x0F40),
)
"""All that it can send at once: three leads, and eight others."""


def sample(wave: Wave, index: int) -> int:
    """Return one sample as the monitor encodes it: 15 is set where there is none."""
    if index % 1000 == 777:
        return 0x8000
    turn = index % (4 * wave.count)
    return wave.top // 2 + (turn * 7 if turn < 2 * wave.count else (4 * wave.count - turn) * 7)


def block(wave: Wave, number: int, state: int = 0) -> bytes:
    """Return 256 ms of a curve, with its identifier and state."""
    samples = [sample(wave, number * wave.count + each) for each in range(wave.count)]
    return struct.pack(f">HHH{wave.count}H", wave.identifier, state, 2 * wave.count, *samples)


def event(mode: int, ticks: int) -> bytes:
    """Return the message with which the monitor says what it is; its clock says CLOCK."""
    attributes = [
        (0x0928, b"\x00\x08Philips\x00\x00\x06M8000\x00"),
        (0x0946, struct.pack(">H", mode)),
        (0x091E, text("SIM1")),
        (0x0987, CLOCK),
        (0x098F, struct.pack(">I", ticks & 0xFFFFFFFF)),
    ]
    body = MDS + listed([attribute(*each) for each in attributes])
    return remote(1, 1, 1, MDS + struct.pack(">IHH", ticks & 0xFFFFFFFF, 0x0D06, len(body)) + body)


def accepted(options: int) -> bytes:
    """Return an association response that grants `options`."""
    profile = struct.pack(">6I", 0x80000000, 8000, 1000, 1456, 0xFFFFFFFF, 0x60000000)
    profile += listed([attribute(0xF001, struct.pack(">IHH", options, 0, 0))])
    user = struct.pack(">5IHH", 0x80000000, 0x40000000, 0, 0x00800000, 0x20000000, 0, 0)
    user += listed([attribute(0x0001, profile)])
    inner = PRESENTATION + bytes([len(user)]) + user + bytes(16)
    body = bytes.fromhex("0508130100160102800014020002c1") + bytes([len(inner)]) + inner
    return bytes([0x0E, len(body)]) + body


def framed(message: bytes) -> bytes:
    """Return a message as it goes over the line."""
    content = b"\x11\x01" + struct.pack(">H", len(message)) + message
    sent = bytearray([0xC0])
    for byte in content + check(content):
        if byte in {0x7D, 0xC0, 0xC1}:
            sent += bytes([0x7D, byte ^ 0x20])
        else:
            sent.append(byte)
    return bytes([*sent, 0xC1])


def check(content: bytes) -> bytes:
    """Return the FCS of PPP, bit by bit."""
    fcs = 0xFFFF
    for byte in content:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ (0x8408 if fcs & 1 else 0)
    return struct.pack("<H", fcs ^ 0xFFFF)


def unstuffed(frame: bytes) -> bytes:
    """Undo the escapes of a frame."""
    found, is_escaped = bytearray(), False
    for byte in frame:
        if byte == 0x7D and not is_escaped:
            is_escaped = True
        else:
            found.append(byte ^ 0x20 if is_escaped else byte)
            is_escaped = False
    return bytes(found)


def results(
    invoke: int, number: int, sequence: int | None, kind: int, group: int, objects: list[bytes], ticks: int
) -> list[bytes]:
    """Return a poll result in as many messages as 1000 bytes each need: all but the last are linked ones."""
    parts: list[list[bytes]] = [[]]
    for each in objects:
        if parts[-1] and sum(map(len, parts[-1])) + len(each) > LONGEST - 60:
            parts.append([])
        parts[-1].append(each)
    last = len(parts) - 1
    return [
        result(invoke, number, sequence, kind, group, part, ticks, link=0 if at == last else at + 1)
        for at, part in enumerate(parts)
    ]


def result(
    invoke: int,
    number: int,
    sequence: int | None,
    kind: int,
    group: int,
    objects: list[bytes],
    ticks: int,
    *,
    link: int = 0,
) -> bytes:
    """Return a poll result; `sequence`: of one that came by itself, or of the first of them; `link`: which part it is, 0: the last."""
    head = struct.pack(">H", number) + (b"" if sequence is None else struct.pack(">H", sequence))
    head += struct.pack(">I8sHHH", ticks & 0xFFFFFFFF, b"\xff" * 8, 1, kind, group)
    inner = struct.pack(">HHH", 0, len(objects), sum(map(len, objects))) + b"".join(objects)
    reply = head + (struct.pack(">HH", 1, len(inner)) + inner if objects else bytes(4))
    action = 0x0C16 if sequence is None else 0xF13B
    body = MDS + struct.pack(">HH", action, len(reply)) + reply
    if not link:
        return remote(2, invoke, ACTION, body)
    linked = struct.pack(">BB3H", 1 if link == 1 else 2, link, invoke, ACTION, len(body)) + body
    return struct.pack(">4H", 0xE100, 2, 5, len(linked)) + linked


def remote(kind: int, invoke: int, command: int, body: bytes) -> bytes:
    """Return a message: 1 invokes, 2 is a result."""
    return struct.pack(">7H", 0xE100, 2, kind, 6 + len(body), invoke, command, len(body)) + body


def observed(numeric: Numeric) -> bytes:
    """Return an object with its value, or its values."""
    packed = [each.packed() for each in numeric.numbers]
    stamp = [(0x0990, numeric.stamp)] if numeric.stamp else []
    return item(numeric.handle, [(0x0950, packed[0]) if len(packed) == 1 else (0x094B, listed(packed)), *stamp])


def named(numeric: Numeric) -> bytes:
    """Return an object with its label, as a number and as a text."""
    label = struct.pack(">HH", numeric.partition, numeric.numbers[0].identifier)
    return item(numeric.handle, [(0x0924, label), (0x0927, text(numeric.label))])


def context(wave: Wave, group: int) -> list[tuple[int, bytes]]:
    """Return what is said of a curve: in group 0811 what never changes, else its label, unit and scale."""
    if group == 0x0811:
        return [
            (0x098D, struct.pack(">I", wave.period)),
            (0x096D, struct.pack(">HBBH", wave.count, 16, wave.bits, 0x1000)),
            (0x0A16, listed([struct.pack(">HH", 1, 0x8000), struct.pack(">HH", 2, 0x4000)])),
        ]
    return [
        (0x0924, struct.pack(">I", 0x20000 | wave.identifier)),
        (0x0996, struct.pack(">H", wave.unit)),
        (0x096F, struct.pack(">IIHH", wave.low, wave.high, 0, wave.top)),
    ]


def item(handle: int, attributes: list[tuple[int, bytes]]) -> bytes:
    """Return an object of a result."""
    return struct.pack(">H", handle) + listed([attribute(*each) for each in attributes])


def attribute(key: int, value: bytes) -> bytes:
    """Return an attribute."""
    return struct.pack(">HH", key, len(value)) + value


def listed(items: list[bytes]) -> bytes:
    """Return a list: how many, how long, and they."""
    return struct.pack(">HH", len(items), sum(map(len, items))) + b"".join(items)


def text(words: str) -> bytes:
    """Return a string as the monitor has it."""
    raw = f"{words}\0".encode("utf-16-be")
    return struct.pack(">H", len(raw)) + raw


CLOCK: Final = bytes.fromhex("2026112420000000")
MDS: Final = struct.pack(">3H", 0x0021, 0, 0)
ABORT: Final = bytes.fromhex(
    "192e110103c129a080a0803080020101060251010000000061803080020101a08064808001010000000000000000"
)
PRESENTATION: Final = bytes.fromhex(
    "3180a0808001010000a280a003000001a58030808001008102510100003080800100810c2a8648ce1402010000000201000000006180"
    "3080020101a0806180a180060c2a8648ce14020100000003010000a203020100a305a103020100be80288002010281"
)
