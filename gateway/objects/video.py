"""A Picture and its MPEG-4 file to the question whether they may stand in one object (PS3.5 8.2.7, 8.2.8; H.264 annex A).

Square pixels, 4:2:0, an MP4 or MPEG transport stream, and no larger or faster than the level that the transfer syntax names.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from gateway.errors import ObjectInvalid
from gateway.model import Picture

METHOD = "ISO_14496_10"
"""LossyImageCompressionMethod of H.264."""


class Level(Struct, frozen=True):
    """What a level of H.264 holds (table A-1): macroblocks of 16 x 16 pixels in a frame, and in a second."""

    frame: int
    second: int


HIGH_4_1 = "1.2.840.10008.1.2.4.102"
HIGH_4_2 = "1.2.840.10008.1.2.4.104"
SYNTAXES = MappingProxyType(
    {
        HIGH_4_1: Level(8192, 245_760),
        f"{HIGH_4_1}.1": Level(8192, 245_760),
        HIGH_4_2: Level(8704, 522_240),
        f"{HIGH_4_2}.1": Level(8704, 522_240),
    }
)
"""Transfer syntaxes that the gateway writes video in: High Profile, level 4.1 (to 1080p30) and 4.2 (to 1080p60); `.1` are
the fragmentable ones."""

_MACROBLOCK = 16
_TRANSPORT_PACKET, _SYNC = 188, b"\x47"


def syntax_for(rows: int, columns: int, frames_per_second: float) -> str:
    """Return the transfer syntax with the lowest level that holds such a video. Raises ObjectInvalid when none does."""
    for uid in (HIGH_4_1, HIGH_4_2):
        if _fits(SYNTAXES[uid], rows, columns, frames_per_second):
            return uid
    raise ObjectInvalid(problem=f"no level holds video of {columns}x{rows} at {frames_per_second:.4g} a second")


def check(picture: Picture, stream: Path) -> None:
    """Raise ObjectInvalid when a picture cannot be video, or the file is no container that DICOM knows."""
    level = SYNTAXES.get(picture.transfer_syntax_uid)
    if level is None:
        raise ObjectInvalid(problem=f"{picture.transfer_syntax_uid} is not a transfer syntax of video")
    if picture.frame_count < 2:
        raise ObjectInvalid(problem="a single frame is an image, not a video")
    if picture.photometric_interpretation != "YBR_PARTIAL_420" or picture.rows % 2 or picture.columns % 2:
        raise ObjectInvalid(problem="video has YBR_PARTIAL_420, and even numbers of rows and columns")
    if picture.pixel_aspect[0] != picture.pixel_aspect[1]:
        raise ObjectInvalid(problem="the pixels of a video must be square: resample them before they are encoded")
    if picture.lossy_method != METHOD or picture.lossy_ratio <= 0:
        raise ObjectInvalid(problem=f"a video must say how it lost: {METHOD}, and the ratio")
    if not _fits(level, picture.rows, picture.columns, _rate(picture)):
        raise ObjectInvalid(problem="its pictures are more, or larger, than the level of its transfer syntax holds")
    if not _is_container(stream):
        raise ObjectInvalid(problem="the stream is neither an MP4 file nor an MPEG transport stream")


def _fits(level: Level, rows: int, columns: int, frames_per_second: float) -> bool:
    blocks = ceil(rows / _MACROBLOCK) * ceil(columns / _MACROBLOCK)
    return blocks <= level.frame and blocks * frames_per_second <= level.second


def _rate(picture: Picture) -> float:
    """Frames a second by the mean interval: one late frame does not change the level."""
    times = picture.frame_times_ns
    return (len(times) - 1) * 1e9 / max(1, times[-1] - times[0])


def _is_container(stream: Path) -> bool:
    with stream.open("rb") as file:
        head = file.read(_TRANSPORT_PACKET + 1)
    is_mp4 = head[4:8] == b"ftyp"
    return is_mp4 or (head[:1] == _SYNC and head[_TRANSPORT_PACKET : _TRANSPORT_PACKET + 1] == _SYNC)
