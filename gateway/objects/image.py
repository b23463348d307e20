"""Words, a Picture and its frames to one Part 10 image, streamed: header first, then frame after frame.

Nothing but one frame is ever held, so a cine of a gigabyte costs the memory of one picture. What the frames will come to
(how many, how long) is known from the Picture; frames that break the promise raise, and the sink's owner throws the torn
object away. PS3.3 annex A.6, A.7, A.8; PS3.5 A.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from gateway.errors import ObjectInvalid
from gateway.model import Picture
from gateway.objects import encode, iods
from gateway.objects.attributes import dataset
from gateway.objects.words import Sink, Words, Written, check_times


def write(sink: Sink, words: Words, picture: Picture, frames: Iterable[bytes]) -> Written:
    """Write one image: US, US Multi-frame, SC, or one of the two Multi-frame SC (`iods.for_picture`).

    `frames` are encoded frames of `picture.transfer_syntax_uid`, or native ones (rows x columns x samples bytes each,
    interleaved). Raises ClockUntrusted for a date before this software was made; ObjectInvalid when words, picture and
    frames do not agree; DiskFull and the like come from the sink. Follows PS3.3 A.6, A.7, A.8.
    """
    check_times(words)
    _check(picture)
    ds = iods.compose(iods.for_picture(words, picture), words, picture)
    syntax = picture.transfer_syntax_uid
    if syntax in encode.NATIVE:
        return encode.write(sink, ds, syntax, encode.native(_sized(picture, frames), _native_bytes(picture), syntax))
    lengths, frames = _lengths(picture, frames)
    tables = encode.extended(lengths)
    if tables is not None:
        ds.update(dataset(ExtendedOffsetTable=tables[0], ExtendedOffsetTableLengths=tables[1]))
    return encode.write(sink, ds, syntax, encode.encapsulated(_counted(picture, frames), lengths))


def _check(picture: Picture) -> None:
    """Raise ObjectInvalid for a picture that contradicts itself."""
    is_grey = picture.photometric_interpretation.startswith("MONOCHROME")
    if is_grey != (picture.samples_per_pixel == 1):
        raise ObjectInvalid(
            problem=f"{picture.photometric_interpretation} does not have {picture.samples_per_pixel} samples a pixel"
        )
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


def _native_bytes(picture: Picture) -> int:
    return _frame_bytes(picture) * picture.frame_count


def _frame_bytes(picture: Picture) -> int:
    return picture.rows * picture.columns * picture.samples_per_pixel


def _sized(picture: Picture, frames: Iterable[bytes]) -> Iterator[bytes]:
    for number, frame in enumerate(frames, 1):
        if len(frame) != _frame_bytes(picture):
            raise ObjectInvalid(problem=f"frame {number} holds {len(frame)} bytes, not {_frame_bytes(picture)}")
        yield frame


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
