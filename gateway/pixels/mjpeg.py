"""A frame of an MJPEG grabber to a whole JPEG stream, as an object holds it: not one coefficient is touched.

USB grabbers leave out the Huffman tables (all frames use those of annex K, as in an AVI's MJPG) and pad the end. The rule:
what comes out is baseline JPEG that any decoder reads, with the very entropy-coded bytes that came in; anything else raises
CodecError. ITU-T T.81 B.2 (markers), K.3 (tables); PS3.5 A.4.1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway.errors import CodecError
from gateway.pixels import codecs

_SOI, _EOI, _SOF0, _DHT, _SOS, _TEM = 0xD8, 0xD9, 0xC0, 0xC4, 0xDA, 0x01
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_COLOURS = 3
_BARE = frozenset({_SOI, _TEM, *range(0xD0, 0xD8)})
"""Markers that have no length behind them."""


class Jpeg(Struct, frozen=True, kw_only=True):
    """A baseline JPEG of 8-bit samples, whole."""

    data: bytes
    rows: int
    columns: int
    samples: int


def whole(data: bytes) -> Jpeg:
    """Return a frame as it came, with the standard tables where it has none, and without what follows its end.

    Raises CodecError when it is not a baseline JPEG of one or three 8-bit samples, or its end is missing.
    """
    end = data.rfind(b"\xff\xd9") + 2
    if data[:2] != b"\xff\xd8" or end < 4:
        raise CodecError(codec="JPEG", problem="its beginning or its end is missing")
    frame, has_tables, scan_at = None, False, 0
    for code, at, length in _segments(data[:end]):
        if code in _FRAME_HEADERS:
            frame = _frame(code, data[at + 4 : at + 2 + length])
        has_tables = has_tables or code == _DHT
        if code == _SOS:
            scan_at = at
    if frame is None or not scan_at:
        raise CodecError(codec="JPEG", problem="it has no frame, or no scan")
    rows, columns, samples = frame
    tables = b"" if has_tables else standard_tables()
    return Jpeg(data=data[:scan_at] + tables + data[scan_at:end], rows=rows, columns=columns, samples=samples)


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    """Return the picture (rows, columns, 3) uint8 of a frame, R'G'B' full range (JFIF: Y'CbCr is BT.601 full range).

    Any bytes at all: a picture, or CodecError.
    """
    jpeg = whole(data)
    pixels = codecs.decode(jpeg.data, codecs.LOSSY["jpeg"], jpeg.rows, jpeg.columns, jpeg.samples, 8)
    return pixels if pixels.ndim == _COLOURS else np.repeat(pixels[..., None], _COLOURS, axis=2)


def standard_tables() -> bytes:
    """Return the DHT segments of annex K.3: those that the encoder writes of its own accord, cut out of a tiny picture."""
    made = codecs.jpeg_baseline(np.zeros((8, 8, 3), np.uint8), 90)
    return b"".join(made[at : at + 2 + length] for code, at, length in _segments(made) if code == _DHT)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker code, where it begins, its length field) up to the scan."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise CodecError(codec="JPEG", problem="a marker is missing")
        code = data[at + 1]
        if code == 0xFF:
            at += 1
        elif code in _BARE:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2 or at + 2 + length > len(data):
                raise CodecError(codec="JPEG", problem="it ends within a segment")
            yield code, at, length
            if code == _SOS:
                return
            at += 2 + length


def _frame(code: int, body: bytes) -> tuple[int, int, int]:
    """Return rows, columns and samples of a frame header (T.81 B.2.2)."""
    if code != _SOF0:
        raise CodecError(codec="JPEG", problem=f"it is of process {code - _SOF0}, not baseline")
    if len(body) < 6 or body[0] != 8 or body[5] not in {1, 3}:
        raise CodecError(codec="JPEG", problem="it does not hold one or three 8-bit samples")
    rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if not rows or not columns:
        raise CodecError(codec="JPEG", problem="its header does not say its size")
    return rows, columns, body[5]
