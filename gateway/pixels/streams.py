"""The first bytes of a code stream to what it claims to hold, and its last to whether it is whole.

The rule: any bytes give a Header or CodecError, and nothing is allocated. JPEG: ITU-T T.81 B.2, JPEG-LS: T.87 C;
JPEG 2000 and HTJ2K: T.800 A.5.1; JPEG XL: ISO/IEC 18181-1 (SizeHeader) and 18181-2 (boxes).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gateway.errors import CodecError


class Header(NamedTuple):
    """The shape of one frame."""

    rows: int
    columns: int
    samples: int
    bits: int
    """Of a stream: its precision. Of an object: Bits Allocated."""

    @property
    def size_bytes(self) -> int:
        """Return how many bytes the decoded frame has."""
        return self.rows * self.columns * self.samples * self.bits // 8


def checked(data: bytes, name: str, wanted: Header) -> Header:
    """Return what the stream claims; raises CodecError unless that is what the object claims and the end is there."""
    try:
        stated = _READERS[name](data, wanted)
    except (IndexError, struct.error) as cut:
        raise CodecError(codec=name, problem="it ends within its header") from cut
    except _NotThis as other:
        raise CodecError(codec=name, problem=str(other)) from other
    if stated[:3] != wanted[:3] or not 0 < stated.bits <= wanted.bits:
        raise CodecError(
            codec=name,
            problem=f"the stream says {_in_words(stated)}, the object {_in_words(wanted)}",
        )
    if name != "JPEG XL" and not data.rstrip(b"\0\xff").endswith(b"\xff\xd9"):
        raise CodecError(codec=name, problem="its end is missing")
    return stated


class _NotThis(Exception):
    """The bytes are something else."""


def _in_words(header: Header) -> str:
    return f"{header.columns}x{header.rows}, {header.samples} samples of {header.bits} bits"


def _jpeg(data: bytes, _: Header) -> Header:
    """Walk the marker segments to the frame header: SOFn, or SOF55 of JPEG-LS."""
    at = 2
    if data[:2] != b"\xff\xd8":
        raise _NotThis("it does not begin with SOI")
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        mark, code = data[at], data[at + 1]
        if mark != 0xFF or code in _NO_FRAME_HEADER_AFTER:
            raise _NotThis("it has no frame header")
        if code in _FRAME_HEADERS:
            bits, rows, columns, samples = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return Header(rows, columns, samples, bits)
        at += 2 if code == 0xD8 else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]


def _jpeg_2000(data: bytes, _: Header) -> Header:
    """Read SIZ; a stream may lie in JP2 boxes, which DICOM forbids and some senders write."""
    at = 0 if data[:4] == _SOC_SIZ else data.find(_SOC_SIZ, 0, 4096)
    if at < 0:
        raise _NotThis("it does not begin with SOC and SIZ")
    right, bottom, left, top = struct.unpack(">4L", data[at + 8 : at + 24])
    (samples,) = struct.unpack(">H", data[at + 40 : at + 42])
    components = [tuple(data[at + 42 + 3 * n : at + 45 + 3 * n]) for n in range(min(samples, 3))]
    if len(set(components)) != 1 or components[0][1:] != (1, 1):
        raise _NotThis("its samples differ in size")
    return Header(bottom - top, right - left, samples, (components[0][0] & 0x7F) + 1)


def _jpeg_xl(data: bytes, wanted: Header) -> Header:
    """Read SizeHeader, in the bare stream or in its box; samples and bits are checked after decoding."""
    at = data.find(b"jxlc", 0, 4096) + 4 if data[:12] == _JXL_BOX else 0
    if data[at : at + 2] != b"\xff\x0a":
        raise _NotThis("it does not begin as JPEG XL")
    bits = _Bits(data[at + 2 : at + 14])
    is_small = bits.take(1)
    rows = _jxl_side(bits, is_small)
    ratio = bits.take(3)
    over, under = _JXL_RATIOS[ratio]
    columns = rows * over // under if ratio else _jxl_side(bits, is_small)
    return Header(rows, columns, wanted.samples, wanted.bits)


def _jxl_side(bits: _Bits, is_small: int) -> int:
    return (bits.take(5) + 1) * 8 if is_small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


class _Bits:
    """The bits of a few bytes, least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """Return the next `count` bits; raises IndexError when there are fewer."""
        self._left -= count
        if self._left < 0:
            raise IndexError
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value


_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_NO_FRAME_HEADER_AFTER = frozenset({0x00, 0x01, *range(0xD0, 0xD8), 0xD9, 0xDA})
_SOC_SIZ = b"\xff\x4f\xff\x51"
_JXL_BOX = b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_RATIOS = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_READERS = {
    "JPEG": _jpeg,
    "JPEG lossless": _jpeg,
    "JPEG-LS": _jpeg,
    "JPEG 2000": _jpeg_2000,
    "HTJ2K": _jpeg_2000,
    "JPEG XL": _jpeg_xl,
}
