"""Words, a Picture and its frames (or its MPEG-4 stream) to one Part 10 image, streamed: header first, then frame after frame.

Nothing but one frame is ever held, so a cine of a gigabyte costs the memory of one picture. What the frames will come to
(how many, how long) is known from the Picture; frames that break the promise raise, and the sink's owner throws the torn
object away. PS3.3 annex A.6, A.7, A.8, A.32; PS3.5 A.4, 8.2.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from gateway.errors import ObjectInvalid
from gateway.model import Picture, Region
from gateway.objects import encode, iods, video, visible
from gateway.objects.attributes import dataset
from gateway.objects.iods import Iod
from gateway.objects.words import Sink, Words, Written, check_times


def write(sink: Sink, words: Words, picture: Picture, frames: Iterable[bytes]) -> Written:
    """Write one image: US, VL, SC or the multi-frame kinds of US and SC (`iods.for_picture`).

    `frames` are encoded frames of `picture.transfer_syntax_uid`, or native ones (rows x columns x samples, interleaved; a
    byte each, or with more than 8 bits stored two, little endian). Raises ClockUntrusted for a date before this software was made; ObjectInvalid when words, picture and
    frames do not agree; DiskFull and the like come from the sink. Follows PS3.3 A.6, A.7, A.8, A.32.
    """
    check_times(words)
    _check(picture)
    iod = iods.for_picture(words, picture)
    _check_words(iod, words)
    ds = iods.compose(iod, words, picture)
    syntax = picture.transfer_syntax_uid
    if syntax in encode.NATIVE:
        vr = "OB" if picture.bits_stored == 8 else "OW"
        return encode.write(
            sink, ds, syntax, encode.native(_sized(picture, frames), _native_bytes(picture), syntax, vr)
        )
    lengths, frames = _lengths(picture, frames)
    tables = encode.extended(lengths)
    if tables is not None:
        ds.update(dataset(ExtendedOffsetTable=tables[0], ExtendedOffsetTableLengths=tables[1]))
    return encode.write(sink, ds, syntax, encode.encapsulated(_counted(picture, frames), lengths))


def write_video(sink: Sink, words: Words, picture: Picture, stream: Path) -> Written:
    """Write one MPEG-4 video: Video Endoscopic, Microscopic or Photographic, by `words.object.cine`.

    `stream` is an MP4 file or an MPEG transport stream with the frames of `picture` (PS3.5 8.2.7): `transfer_syntax_uid` one
    of `video.SYNTAXES`, YBR_PARTIAL_420, square pixels, at least two frames with their times, `lossy_method` and
    `lossy_ratio`. Raises ClockUntrusted, and ObjectInvalid when words, picture and stream do not agree. Follows PS3.3 A.32.5.
    """
    check_times(words)
    _check(picture)
    iod = iods.for_video(words)
    _check_words(iod, words)
    video.check(picture, stream)
    ds = iods.compose(iod, words, picture)
    return encode.write(sink, ds, picture.transfer_syntax_uid, encode.video(stream, picture.transfer_syntax_uid))


def _check_words(iod: Iod, words: Words) -> None:
    """Raise ObjectInvalid when the profile does not say what this kind of object cannot do without."""
    needs: list[str] = []
    if iod is iods.DERMOSCOPIC_PHOTOGRAPHY:
        needs.extend(visible.unknown_equipment(words))
        if words.object.recognizable_visual_features is None:
            needs.append("recognizable_visual_features")
    if iod in iods.VIDEOS.values() and words.object.anatomic_region is None:
        needs.append("anatomic_region")
    if needs:
        raise ObjectInvalid(problem=f"its profile must state {', '.join(needs)} for a {iod.name}")


def _check(picture: Picture) -> None:
    """Raise ObjectInvalid for a picture that contradicts itself."""
    is_grey = picture.photometric_interpretation.startswith("MONOCHROME")
    if is_grey != (picture.samples_per_pixel == 1):
        raise ObjectInvalid(
            problem=f"{picture.photometric_interpretation} does not have {picture.samples_per_pixel} samples a pixel"
        )
    if picture.bits_stored != 8 and not (8 < picture.bits_stored <= 16 and is_grey):
        raise ObjectInvalid(
            problem=f"{picture.bits_stored} bits of {picture.samples_per_pixel} samples cannot be written"
        )
    if any(not _holds(picture, region) for region in picture.regions):
        raise ObjectInvalid(problem="a calibrated region reaches outside the picture")
    if not (0 < picture.rows < 65536 and 0 < picture.columns < 65536 and picture.frame_count > 0):
        raise ObjectInvalid(
            problem=f"{picture.frame_count} frames of {picture.columns}x{picture.rows} cannot be written"
        )
    if picture.frame_count > 1 and len(picture.frame_times_ns) != picture.frame_count:
        raise ObjectInvalid(problem=f"{picture.frame_count} frames have {len(picture.frame_times_ns)} capture times")
    if any(later < earlier for earlier, later in zip(picture.frame_times_ns, picture.frame_times_ns[1:], strict=False)):
        raise ObjectInvalid(problem="the frames are not in the order of their capture times")
    if picture.frame_lengths and len(picture.frame_lengths) != picture.frame_count:
        raise ObjectInvalid(problem=f"{picture.frame_count} frames have {len(picture.frame_lengths)} lengths")


def _holds(picture: Picture, region: Region) -> bool:
    is_inside = 0 <= region.x0 < region.x1 < picture.columns and 0 <= region.y0 < region.y1 < picture.rows
    return is_inside and region.delta_x > 0 and region.delta_y > 0


def _native_bytes(picture: Picture) -> int:
    return _frame_bytes(picture) * picture.frame_count


def _frame_bytes(picture: Picture) -> int:
    return picture.rows * picture.columns * picture.samples_per_pixel * (1 if picture.bits_stored == 8 else 2)


def _sized(picture: Picture, frames: Iterable[bytes]) -> Iterator[bytes]:
    word_bytes = 1 if picture.bits_stored == 8 else 2
    for number, frame in enumerate(frames, 1):
        if len(frame) != _frame_bytes(picture):
            raise ObjectInvalid(problem=f"frame {number} holds {len(frame)} bytes, not {_frame_bytes(picture)}")
        yield frame if encode.is_little(picture.transfer_syntax_uid) else encode.swapped(frame, word_bytes)


def _lengths(picture: Picture, frames: Iterable[bytes]) -> tuple[Sequence[int], Iterable[bytes]]:
    """The frames' lengths, where they can be known before writing: a single frame is simply looked at."""
    if picture.frame_count > 1 or picture.frame_lengths:
        return picture.frame_lengths, frames
    rest = iter(frames)
    first = next(rest, b"")
    return (len(first),), chain((first,), rest)


def _counted(picture: Picture, frames: Iterable[bytes]) -> Iterator[bytes]:
    count = 0
    for frame in frames:
        count += 1
        if count > picture.frame_count:
            break
        yield frame
    if count != picture.frame_count:
        raise ObjectInvalid(problem=f"{count} frames came, and the picture has {picture.frame_count}")
