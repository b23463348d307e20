"""An electrocardiograph that does not exist: a made-up ECG as an SCP-ECG record, sent by XMODEM, by YMODEM or as it is.

The record is written from other sources than the parser is: ECGToolkit (SCPSection0 to 8, Thoraxcentrum Rotterdam, Apache
licence) for the layout, the Huffman codes and the subtraction of reference beats, biosig's writer for tag 14; the sender from
sections 7.3.3 and 8 of Forsberg's XMODEM/YMODEM Protocol Reference. No sample of a person is in it.
"""

from __future__ import annotations

import math
import random
import struct
import time
from binascii import crc_hqx
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.simulators.instrument import SimulatedInstrument

SOH, STX, EOT, ACK, NAK, CAN, PADDING = 0x01, 0x02, 0x04, 0x06, 0x15, 0x18, 0x1A
WANTS_CRC: Final = ord("C")
BEGIN_S: Final = 60.0
ANSWER_S: Final = 12.0
ATTEMPTS: Final = 10

ONE, TWO, V1, V2, V3, V4, V5, V6 = range(1, 9)
THREE, AVR, AVL, AVF = range(61, 65)
EIGHT: Final = (ONE, TWO, V1, V2, V3, V4, V5, V6)
TWELVE: Final = (*EIGHT, THREE, AVR, AVL, AVF)
DEFAULT_TABLE: Final = 19999
Coding = Literal["plain", "huffman", "table"]
"""Samples as they are; by the standard's table; by the same table written into the record."""

_WAVES: Final = ((-0.17, 0.025, "p"), (-0.03, 0.008, "q"), (0.0, 0.011, "r"), (0.03, 0.010, "s"), (0.27, 0.045, "t"))
"""Middle and width of each wave, in seconds from the peak of R."""
_HEIGHTS: Final = {
    ONE: (90, -60, 700, -120, 180),
    TWO: (140, -80, 1100, -180, 260),
    V1: (60, 0, 180, -900, -90),
    V2: (70, 0, 350, -1300, 350),
    V3: (70, -20, 700, -800, 400),
    V4: (80, -60, 1300, -500, 380),
    V5: (80, -80, 1200, -250, 300),
    V6: (80, -80, 900, -120, 220),
}
"""Of each lead, in microvolts."""
BEFORE_R_S: Final = 0.25
BEAT_S: Final = 0.65
STATEMENTS: Final = (b"SINUS RHYTHM", b"NORMAL ECG")


class Recording(Struct, frozen=True, kw_only=True):
    """Leads by their numbers in EN 1064, all of the same time."""

    hz: int
    step_nv: int
    """What 1 is, in nanovolts."""
    leads: dict[int, list[int]]
    peaks: tuple[int, ...]
    """Of the beats: the sample of R, from 0."""


class Refused(Exception):
    """The receiver did not take the file: it fell silent, cancelled, or refused one block ten times."""


def recording(
    *, seconds: float = 10.0, hz: int = 500, step_nv: int = 5000, leads: tuple[int, ...] = TWELVE, seed: int = 17
) -> Recording:
    """Return a regular rhythm of 75 beats a minute with a little noise; the same for the same `seed`."""
    rng = random.Random(seed)
    count = round(seconds * hz)
    peaks = tuple(range(round(0.4 * hz), count - round(0.45 * hz), round(0.8 * hz)))
    made = {number: _lead(_HEIGHTS[number], count, hz, step_nv, peaks, rng) for number in EIGHT}
    one, two = made[ONE], made[TWO]
    made[THREE] = [b - a for a, b in zip(one, two, strict=True)]
    made[AVR] = [-(a + b) // 2 for a, b in zip(one, two, strict=True)]
    made[AVL] = [(2 * a - b) // 2 for a, b in zip(one, two, strict=True)]
    made[AVF] = [(2 * b - a) // 2 for a, b in zip(one, two, strict=True)]
    return Recording(hz=hz, step_nv=step_nv, leads={number: made[number] for number in leads}, peaks=peaks)


def record(
    recorded: Recording,
    *,
    coding: Coding = "huffman",
    differences: int = 2,
    reference_step: int = 0,
    thinned: int = 1,
    statements: Sequence[bytes] = STATEMENTS,
    bodies: dict[int, bytes] | None = None,
) -> bytes:
    """Return the whole record. `reference_step` > 0: reference beats are subtracted, in units of so many steps.

    `thinned` > 1: of so many samples of the rest only their mean is kept, outside the protected areas around each QRS. `bodies`: sections to be written otherwise, without their headers; an empty one is left out.
    """
    reference = _reference(recorded, reference_step) if reference_step else {}
    rhythm = _subtracted(recorded, reference, reference_step) if reference_step else recorded.leads
    if thinned > 1:
        rhythm = {number: _means(lead, protected(recorded, thinned), thinned) for number, lead in rhythm.items()}
    interval_us = 1_000_000 // recorded.hz
    written = {
        1: _about(),
        2: {"plain": b"", "huffman": struct.pack("<H", DEFAULT_TABLE), "table": _table()}[coding],
        3: _leads(recorded, is_subtracted=bool(reference_step)),
        4: _beats(recorded, thinned) if reference_step else b"",
        5: _block(reference, recorded.step_nv * reference_step, interval_us, differences, coding, 1)
        if reference
        else b"",
        6: _block(rhythm, recorded.step_nv, interval_us * thinned, differences, coding, thinned),
        7: _measured(recorded),
        8: _stated(statements),
    }
    return _whole({**written, **(bodies or {})})


class Electrocardiograph:
    """One electrocardiograph on a simulated line; it records what it was answered."""

    def __init__(self, line: SimulatedInstrument, *, damaged: frozenset[int] = frozenset(), dies_at: int = 0) -> None:
        """`damaged`: numbers of blocks, from 1, that are damaged on the way once; `dies_at`: the power goes within that one."""
        self._line = line
        self._damaged = set(damaged)
        self._dies_at = dies_at
        self._heard = bytearray()
        self._sent_blocks = 0
        self.answers = b""

    def print(self, data: bytes) -> None:
        """Send a record as it is, waiting for nobody."""
        self._line.print(data)

    def xmodem(self, data: bytes, *, block_bytes: Literal[128, 1024] = 128) -> None:
        """Send a file by XMODEM, its check as the receiver wants it. Raises Refused."""
        with_crc = self._wait({WANTS_CRC, NAK}, BEGIN_S) == WANTS_CRC
        self._blocks(data, block_bytes, with_crc=with_crc)
        self._end()

    def ymodem(self, name: str, data: bytes, *, block_bytes: Literal[128, 1024] = 1024) -> None:
        """Send a batch of one file by YMODEM. Raises Refused."""
        self._wait({WANTS_CRC}, BEGIN_S)
        self._block(0, _name(name, data), with_crc=True)
        self._wait({WANTS_CRC}, ANSWER_S)
        self._blocks(data, block_bytes, with_crc=True)
        self._end()
        self._wait({WANTS_CRC}, ANSWER_S)
        self._block(0, bytes(128), with_crc=True)

    def _blocks(self, data: bytes, size: int, *, with_crc: bool) -> None:
        for number, start in enumerate(range(0, len(data), size), start=1):
            piece = data[start : start + size]
            self._block(number & 0xFF, piece.ljust(size, bytes([PADDING])), with_crc=with_crc)

    def _block(self, number: int, payload: bytes, *, with_crc: bool) -> None:
        self._sent_blocks += 1
        block = _framed(number, payload, with_crc=with_crc)
        for _ in range(ATTEMPTS):
            self._heard += self._line.heard()
            self._heard.clear()
            is_hurt = self._sent_blocks in self._damaged
            self._damaged.discard(self._sent_blocks)
            if self._sent_blocks == self._dies_at:
                self._line.print(block, cut_at=len(block) // 2)
                raise Refused
            self._line.print(block[:40] + bytes([block[40] ^ 0x11]) + block[41:] if is_hurt else block)
            if self._wait({ACK, NAK}, ANSWER_S) == ACK:
                return
        raise Refused

    def _end(self) -> None:
        for _ in range(ATTEMPTS):
            self._line.print(bytes([EOT]))
            if self._wait({ACK, NAK}, ANSWER_S) == ACK:
                return
        raise Refused

    def _wait(self, wanted: set[int], seconds: float) -> int:
        """Return the first of the wanted answers; what else comes is passed over, two CAN are the end."""
        end, last = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            heard = self._line.heard()
            self.answers += heard
            self._heard += heard
            while self._heard:
                now = self._heard.pop(0)
                if now in wanted:
                    return now
                if now == last == CAN:
                    raise Refused
                last = now
            time.sleep(0.002)
        raise Refused


def session(name: str, data: bytes) -> bytes:
    """Return all that `ymodem` sends when nothing is damaged."""
    pieces = [data[at : at + 1024].ljust(1024, bytes([PADDING])) for at in range(0, len(data), 1024)]
    blocks = (_framed(number & 0xFF, piece, with_crc=True) for number, piece in enumerate(pieces, start=1))
    first, last = (_framed(0, payload, with_crc=True) for payload in (_name(name, data), bytes(128)))
    return first + b"".join(blocks) + bytes([EOT, EOT]) + last


def _name(name: str, data: bytes) -> bytes:
    """Block 0: the name of the file, and its length."""
    return f"{name}\0{len(data)} 0".encode().ljust(128, b"\0")


def _framed(number: int, payload: bytes, *, with_crc: bool) -> bytes:
    check = crc_hqx(payload, 0).to_bytes(2, "big") if with_crc else bytes([sum(payload) % 256])
    return bytes([STX if len(payload) > 128 else SOH, number, 255 - number]) + payload + check


# ---- the rhythm ----


def _lead(
    heights: tuple[int, ...], count: int, hz: int, step_nv: int, peaks: tuple[int, ...], rng: random.Random
) -> list[int]:
    shape = [
        sum(
            height * math.exp(-(((at / hz - BEFORE_R_S - middle) / width) ** 2) / 2)
            for height, (middle, width, _name) in zip(heights, _WAVES, strict=True)
        )
        for at in range(round(BEAT_S * hz))
    ]
    microvolts = [rng.gauss(0.0, 4.0) for _ in range(count)]
    for peak in peaks:
        first = peak - round(BEFORE_R_S * hz)
        for at, height in enumerate(shape):
            if 0 <= first + at < count:
                microvolts[first + at] += height
    return [round(value * 1000 / step_nv) for value in microvolts]


def _window(recorded: Recording, peak: int) -> range:
    first = peak - round(BEFORE_R_S * recorded.hz)
    return range(first, first + round(BEAT_S * recorded.hz))


def _reference(recorded: Recording, step: int) -> dict[int, list[int]]:
    """Of each lead its mean beat, in units of `step` steps."""
    windows = [_window(recorded, peak) for peak in recorded.peaks]
    return {
        number: [
            round(sum(lead[window[at]] for window in windows) / len(windows) / step) for at in range(len(windows[0]))
        ]
        for number, lead in recorded.leads.items()
    }


def _subtracted(recorded: Recording, reference: dict[int, list[int]], step: int) -> dict[int, list[int]]:
    left = {number: list(lead) for number, lead in recorded.leads.items()}
    for number, lead in left.items():
        for peak in recorded.peaks:
            for at, height in zip(_window(recorded, peak), reference[number], strict=True):
                lead[at] -= height * step
    return left


# ---- the sections ----


def _whole(bodies: dict[int, bytes]) -> bytes:
    """Section 0 first, then the others in their order, each with its header, all even."""
    numbers = sorted({*range(1, 12), *bodies})
    at = 6 + 16 + 10 * (len(numbers) + 1)
    pointers = [struct.pack("<HII", 0, at - 6, 7)]
    sections = []
    for number in numbers:
        body = bodies.get(number, b"")
        section = _section(number, body + b"\0" * (len(body) % 2)) if body else b""
        pointers.append(struct.pack("<HII", number, len(section), at + 1 if section else 0))
        sections.append(section)
        at += len(section)
    inside = _section(0, b"".join(pointers), b"SCPECG") + b"".join(sections)
    sized = struct.pack("<I", 6 + len(inside)) + inside
    return struct.pack("<H", crc_hqx(sized, 0xFFFF)) + sized


def _section(number: int, body: bytes, reserved: bytes = bytes(6)) -> bytes:
    rest = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, reserved) + body
    return struct.pack("<H", crc_hqx(rest, 0xFFFF)) + rest


def _about() -> bytes:
    """Section 1: nobody, the instrument, when, and its filters."""
    device = struct.pack("<HHHBB6sBBBBB17s", 0, 0, 0, 0, 255, b"EXMPL", 20, 0xA0, 0, 0xD0, 1, bytes(17))
    names = b"\0".join((b"", b"4711", b"1.0", b"SCP 1.0", b"Example", b""))
    fields = (
        (0, b"Nobody\0"),
        (2, b"S-0001\0"),
        (14, device + names),
        (25, struct.pack("<HBB", 2026, 11, 24)),
        (26, bytes((9, 30, 5))),
        (27, struct.pack("<H", 5)),
        (28, struct.pack("<H", 150)),
        (29, bytes((2,))),
        (255, b""),
    )
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in fields)


def _table() -> bytes:
    """Section 2: one table, the default one spelled out; the first bit of a code is its lowest."""
    rows = [(1, 1, 0, "0")]
    for size in range(1, 9):
        rows += [(size + 2, size + 2, size, _code(size)), (size + 2, size + 2, -size, _code(-size))]
    rows += [(10, 18, 0, "1" * 9 + "0"), (10, 26, 0, "1" * 10)]
    packed = (struct.pack("<BBBhI", prefix, size, 1, value, int(code[::-1], 2)) for prefix, size, value, code in rows)
    return struct.pack("<HH", 1, len(rows)) + b"".join(packed)


def _leads(recorded: Recording, *, is_subtracted: bool) -> bytes:
    count = len(recorded.leads)
    flags = (count << 3 if count < 32 else 0) | 4 | is_subtracted
    rows = (struct.pack("<IIB", 1, len(lead), number) for number, lead in recorded.leads.items())
    return struct.pack("<BB", count, flags) + b"".join(rows)


def protected(recorded: Recording, thinned: int = 1) -> list[tuple[int, int]]:
    """Return the first and the last sample, from 1, of the area around each QRS; between two there are `thinned` times n."""
    areas = ((peak - recorded.hz // 25, peak + recorded.hz // 20) for peak in recorded.peaks)
    return [(first // thinned * thinned + 1, -(-last // thinned) * thinned) for first, last in areas]


def _means(lead: list[int], areas: list[tuple[int, int]], thinned: int) -> list[int]:
    kept: list[int] = []
    at = 0
    for first, last in areas:
        kept += [*_mean(lead[at : first - 1], thinned), *lead[first - 1 : last]]
        at = last
    return kept + _mean(lead[at:], thinned)


def _mean(values: list[int], thinned: int) -> list[int]:
    return [round(sum(values[at : at + thinned]) / thinned) for at in range(0, len(values), thinned)]


def _beats(recorded: Recording, thinned: int) -> bytes:
    """Section 4: the length and the fiducial point of reference beat 0; where it was subtracted; where QRS is."""
    length_ms = len(_window(recorded, 0)) * 1000 // recorded.hz
    rows = b""
    for peak in recorded.peaks:
        window = _window(recorded, peak)
        rows += struct.pack("<HIII", 0, window[0] + 1, peak + 1, window[-1] + 1)
    middle = round(BEFORE_R_S * recorded.hz) + 1
    areas = b"".join(struct.pack("<II", *area) for area in protected(recorded, thinned))
    return struct.pack("<HHH", length_ms, middle, len(recorded.peaks)) + rows + areas


def _block(
    leads: dict[int, list[int]], step_nv: int, interval_us: int, differences: int, coding: Coding, thinned: int
) -> bytes:
    """Section 5 or 6."""
    encoded = [_encoded(lead, differences, coding) for lead in leads.values()]
    sizes = struct.pack(f"<{len(encoded)}H", *(len(each) for each in encoded))
    return struct.pack("<HHBB", step_nv, interval_us, differences, thinned > 1) + sizes + b"".join(encoded)


def _encoded(lead: list[int], differences: int, coding: Coding) -> bytes:
    values = list(lead)
    for order in range(differences):
        values = [*values[: order + 1], *(after - before for before, after in pairwise(values[order:]))]
    if differences > 1:
        values[1] = lead[1]
    if coding == "plain":
        return struct.pack(f"<{len(values)}h", *values)
    bits = "".join(map(_code, values)) + "0"
    bits = bits.ljust(-(-len(bits) // 16) * 16, "0")
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _code(value: int) -> str:
    """One value: as many ones as it is large, a zero, and whether it is negative; larger ones whole, in 8 or 16 bits."""
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("1" if value < 0 else "0")
    if -128 <= value < 128:
        return "1111111110" + f"{value & 0xFF:08b}"
    return "1111111111" + f"{value & 0xFFFF:016b}"


def _measured(recorded: Recording) -> bytes:
    """Section 7: intervals in ms from the beginning of the reference beat, axes in degrees, the rate."""
    beat = struct.pack("<5H3h", 30, 120, 205, 295, 610, 52, 61, 38)
    beats = struct.pack("<H", len(recorded.peaks)) + bytes(len(recorded.peaks))
    return struct.pack("<BBHH", 1, 0, 800, 800) + beat + beats + struct.pack("<HHHBH", 75, 75, 453, 1, 0)


def _stated(statements: Sequence[bytes]) -> bytes:
    """Section 8: not confirmed; each statement ends with NUL."""
    rows = (struct.pack("<BH", number, len(text) + 1) + text + b"\0" for number, text in enumerate(statements, start=1))
    return struct.pack("<BHBBBBBB", 0, 2026, 11, 24, 9, 31, 0, len(statements)) + b"".join(rows)
