"""The frames of a recording to an MPEG-4 file, by ffmpeg, where a profile's rule allows that loss.

H.264, High Profile, level 4.1 or 4.2 as the size needs, closed groups of pictures of a second, no B frames, so that what is
decoded in order is shown in order; square pixels, BT.709, and the rate at which the frames were captured. The rule: only a
recording whose frames came at an even beat, none missing, becomes video, since a video player knows one rate; every other is
kept losslessly as it was recorded, and its object says why. PS3.5 8.2.7 and 8.2.8; ISO/IEC 14496-10 annex A.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway.device import process
from gateway.errors import ObjectInvalid
from gateway.model import Loss
from gateway.objects import pictures, video
from gateway.profile import VIDEO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gateway.model import Picture
    from gateway.profile import ObjectKind

ENCODER: Final = "libx264"
QUALITY: Final = "18"
"""x264's constant rate factor: visually lossless at the bit rates that the level holds."""
LARGEST_BITS: Final = "50000k"
"""In a second: both levels hold it (ISO/IEC 14496-10 table A-1)."""
LEVELS: Final = {video.HIGH_4_1: "4.1", video.HIGH_4_2: "4.2"}
NICENESS: Final = "5"
"""The exam that goes on has the right of way."""
SECOND_NS: Final = 1_000_000_000


def is_wanted(kind: ObjectKind) -> bool:
    """Say whether a profile wants its recordings as video, by a rule that allows the loss."""
    return kind.cine in VIDEO and bool(kind.lossy_rule)


def obstacle(picture: Picture) -> str:
    """Say why the frames of a recording cannot become a video; empty when they can."""
    if picture.frame_count < 2:
        return "it has a single picture"
    if picture.missing_frames or not pictures.is_regular(picture):
        return "its pictures did not come at an even beat"
    if not has_encoder():
        return "this box has no encoder for it"
    try:
        _syntax(picture)
    except ObjectInvalid as error:
        return str(error.facts.get("problem", error)).rstrip(".")
    return ""


def has_encoder() -> bool:
    """Say whether this box can make video at all."""
    return shutil.which("ffmpeg") is not None and ENCODER in process.feed(["ffmpeg", "-v", "error", "-encoders"]).text


def shape(picture: Picture) -> tuple[int, int]:
    """Return the columns and rows of the video: square pixels (wider, never fewer lines), even in both directions."""
    tall, wide = picture.pixel_aspect
    return round(picture.columns * wide / tall / 2) * 2, picture.rows // 2 * 2


def encode(picture: Picture, frames: Iterable[bytes], target: Path) -> bool:
    """Write an MP4 file of the frames of a picture (native R'G'B' or grey, rows x columns x samples bytes each).

    Returns whether the encoder was content; a file that is not whole is removed.
    """
    said = process.feed(_command(picture, target), frames)
    if said.status:
        target.unlink(missing_ok=True)
    return not said.status


def made(picture: Picture, kind: ObjectKind, stream: Path) -> Picture:
    """Return what the video of a picture is, once it is encoded."""
    columns, rows = shape(picture)
    raw_bytes = picture.rows * picture.columns * picture.samples_per_pixel * picture.frame_count
    return structs.replace(
        picture,
        rows=rows,
        columns=columns,
        samples_per_pixel=3,
        photometric_interpretation="YBR_PARTIAL_420",
        transfer_syntax_uid=_syntax(picture),
        pixel_aspect=(1, 1),
        frame_lengths=(),
        steps=(*picture.steps, *_resampled(picture)),
        earlier_losses=_losses(picture),
        lossy_method=video.METHOD,
        lossy_ratio=round(raw_bytes / stream.stat().st_size, 2),
        lossy_rule=kind.lossy_rule,
        regions=(),
    )


def _losses(picture: Picture) -> tuple[Loss, ...]:
    """What the pictures had lost before they became a video: at the source, or in their own form."""
    last = (Loss(picture.lossy_method, picture.lossy_ratio),) if picture.lossy_method else ()
    return (*picture.earlier_losses, *last)


def _resampled(picture: Picture) -> tuple[str, ...]:
    columns, rows = shape(picture)
    is_same = (columns, rows) == (picture.columns, picture.rows)
    return () if is_same else (f"resampled to {columns}x{rows} square pixels (Lanczos)",)


def _syntax(picture: Picture) -> str:
    columns, rows = shape(picture)
    return video.syntax_for(rows, columns, 1e9 / _interval_ns(picture))


def _interval_ns(picture: Picture) -> int:
    times = picture.frame_times_ns
    return round((times[-1] - times[0]) / (len(times) - 1))


def _command(picture: Picture, target: Path) -> list[str]:
    columns, rows = shape(picture)
    rate = f"{SECOND_NS}/{_interval_ns(picture)}"
    scale = f"scale={columns}:{rows}:flags=lanczos+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv,setsar=1"
    group = str(max(1, round(SECOND_NS / _interval_ns(picture))))
    raw = ["-f", "rawvideo", "-pix_fmt", "gray" if picture.samples_per_pixel == 1 else "rgb24"]
    colour = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    return [
        *("nice", "-n", NICENESS, "ffmpeg", "-v", "error", "-y"),
        *(*raw, "-s", f"{picture.columns}x{picture.rows}", "-framerate", rate, "-i", "-"),
        *("-vf", scale, "-pix_fmt", "yuv420p", *colour),
        *("-c:v", ENCODER, "-profile:v", "high", "-level:v", LEVELS[_syntax(picture)], "-crf", QUALITY, "-bf", "0"),
        *("-maxrate", LARGEST_BITS, "-bufsize", LARGEST_BITS),
        *("-g", group, "-flags", "+cgop", "-movflags", "+faststart", "-f", "mp4", str(target)),
    ]
