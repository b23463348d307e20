"""Frame logs of a capture to its objects: right after the recording, or after a crash.

What a log holds in the form of its object goes as it is. Where one object would hold several kinds of pictures (grey ones
among coloured ones, the quick form of a recorder that was hard pressed, JPEGs that could not all pass through), those that
differ are encoded again, losslessly: an object is grey only when every frame of it is, so that a colour that appears late
is never lost (law 4).
"""

from __future__ import annotations

from logging import Logger
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct, field, structs

from gateway import exam as exams
from gateway.errors import GatewayError, ObjectInvalid
from gateway.model import CaptureState, Picture
from gateway.pixels import codecs
from gateway.service import compose, encoding, movie, picture
from gateway.service.encoding import COLOUR, COLOURS, GREY, JPEGS, QUICKS, Encoders, Stored
from gateway.service.picture import JPEG_BASELINE, Sums
from gateway.spool import framelog
from gateway.spool.framelog import FrameLog, FrameLogHeader, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.model import Capture, PerformedStep
    from gateway.profile import ModalityProfile
    from gateway.service.encoding import Pixels
    from gateway.spool.spool import Spool

FAILED: Final = "the power failed, or the gateway was stopped"
LOSSES: Final = MappingProxyType(
    {
        "dropped": "dropped by the grabber",
        "error": "flagged as damaged by the grabber",
        "short": "cut short",
        "half": "with one field only",
        "time": "with a time before the last",
        "broken": "broken in compression",
        "overrun": "overwritten before their turn",
    }
)
"""What became of a frame that is missing, in words for the object."""
PLAIN: Final = frozenset({GREY, COLOUR})


class Station(Struct, frozen=True, kw_only=True):
    """What every recording of one grabber needs."""

    name: str
    box: compose.Box
    logger: Logger
    encoders: Encoders = field(default_factory=Encoders)


class Log(Struct, frozen=True, kw_only=True):
    """What one frame log holds, but for its frames."""

    path: Path
    header: FrameLogHeader
    counted: Tally
    times: tuple[int, ...]
    lengths: tuple[int, ...]
    sums: Sums


def finish(
    station: Station, step: PerformedStep, capture: Capture, profile: ModalityProfile, *, ended_early: str = ""
) -> None:
    """Compose every frame log of a capture into its object, and say that the capture is complete.

    The same right after the recording and after a crash: what is already admitted is not made again. `ended_early`: why the
    recording ended before its time, where it never came to its end; else its last log says it.
    """
    spool = station.box.spool
    logs = [_read(path) for path in _logs_of(spool, capture)]
    if logs and logs[-1].counted.is_over:
        ended_early = logs[-1].counted.ended_early
    _note(spool, capture, logs, ended_early)
    for log in logs:
        _compose(station, step, capture, profile, log, ended_early)
        spool.remove_frame_log(log.path)
    if not spool.instances.of_capture(capture.exam_id, capture.number):
        spool.thumbnail_path(capture.exam_id, capture.number).unlink(missing_ok=True)
    exams.finish_capture(spool, capture)


def rescue(station: Station, profile_of: Callable[[str], ModalityProfile]) -> int:
    """Bring every recording that a dead process left to its end; return how many there were.

    One that cannot be (the disk is full) stays for later, and is said: it keeps nobody from the next picture.
    """
    spool = station.box.spool
    abandoned = spool.captures.abandoned(station.name)
    for capture in abandoned:
        step = spool.exams.get(capture.exam_id)
        is_all_kept = not _logs_of(spool, capture) and spool.instances.of_capture(capture.exam_id, capture.number)
        try:
            finish(station, step, capture, profile_of(step.profile), ended_early="" if is_all_kept else FAILED)
        except GatewayError as error:
            station.logger.warning("%s", error, extra={"EXAM": str(step.exam_id), "CODE": error.code})
    return len(abandoned)


def _note(spool: Spool, capture: Capture, logs: list[Log], ended_early: str) -> None:
    """Say what became of a recording while its logs still tell it; a crash further on does not change that."""
    missing = sum(log.counted.faulty for log in logs)
    overrun = sum(log.counted.overrun for log in logs)
    early = f"It ended early: {ended_early.rstrip('.')}." if ended_early else ""
    missed = f"Pictures missed: {missing}." if missing else ""
    slow = f"This box was too slow for {overrun} of them." if overrun else ""
    notes = (early, missed, slow)
    if any(notes) and not spool.captures.get(capture.exam_id, capture.number).note:
        spool.captures.set_state(capture.exam_id, capture.number, CaptureState.RECORDING, " ".join(filter(None, notes)))


def _logs_of(spool: Spool, capture: Capture) -> list[Path]:
    """Return the frame logs of a capture that can be read, in the order of their segments; what cannot is set aside."""
    mine = f"{capture.exam_id}-{capture.number}-"
    found = [path for path in spool.frame_logs() if path.name.startswith(mine) and spool.check_frame_log(path)]
    return sorted(found, key=lambda path: int(path.stem.rpartition("-")[2]))


def _read(path: Path) -> Log:
    """Go through a log once, and keep no frame."""
    header = framelog.read_header(path)
    is_mjpeg = picture.is_mjpeg(header.format)
    times, lengths, kinds, source_bytes = [], [], set(), [0]

    def look(captured_ns: int, frame: bytes) -> None:
        stored = encoding.unpacked(frame, is_mjpeg=is_mjpeg)
        times.append(captured_ns)
        lengths.append(len(stored.data))
        kinds.add(stored.kind)
        source_bytes[0] += stored.source_bytes

    counted = framelog.tally(path, look)
    sums = Sums(kinds=frozenset(kinds), frames=len(times), data_bytes=sum(lengths), source_bytes=source_bytes[0])
    return Log(path=path, header=header, counted=counted, times=tuple(times), lengths=tuple(lengths), sums=sums)


def _compose(
    station: Station, step: PerformedStep, capture: Capture, profile: ModalityProfile, log: Log, ended_early: str
) -> None:
    """Make one log's object, unless it holds nothing, or a crash came between its object's row and its own end."""
    if not log.counted.frames:
        return
    segment = compose.Segment(
        step=step,
        capture=capture,
        equipment=profile.equipment,
        object=profile.object,
        captured_ns=log.counted.first_ns,
        number=log.header.segment,
    )
    uid = compose.words(station.box.site, segment).sop_instance_uid
    if log.header.picture is None or station.box.spool.instances.same_uid(uid):
        return
    made = _picture(log, log.header.picture, profile, ended_early)
    if movie.is_wanted(profile.object):
        why_not = _compose_video(station, segment, log, made)
        if not why_not:
            return
        made = structs.replace(made, notes=(*made.notes, f"Kept as it was recorded, not as video: {why_not}."))
    frames = _frames(station.encoders, log, made)
    compose.store_picture(station.box, segment, made, frames, reserve_bytes=log.counted.payload_bytes)


def _compose_video(station: Station, segment: compose.Segment, log: Log, made: Picture) -> str:
    """Make one log's object an MPEG-4 video; return why that cannot be, empty when it is done."""
    why_not = movie.obstacle(made)
    if why_not:
        return why_not
    stream, is_mjpeg = log.path.with_suffix(".mp4"), picture.is_mjpeg(log.header.format)
    stored = (encoding.unpacked(frame, is_mjpeg=is_mjpeg) for _, frame in FrameLog.read(log.path)[1])
    raw = (data for _, data in station.encoders.in_order(lambda each: _pixels(each, made).tobytes(), stored))
    try:
        if not movie.encode(made, raw, stream):
            return "its encoder failed"
        video = movie.made(made, segment.object, stream)
        compose.store_video(station.box, segment, video, stream)
    except ObjectInvalid as error:
        return str(error).rstrip(".")
    finally:
        stream.unlink(missing_ok=True)
    return ""


def _picture(log: Log, blank: Picture, profile: ModalityProfile, ended_early: str) -> Picture:
    made = picture.settled(blank, log.header.format, log.sums, profile, log.header.grey_steps)
    return structs.replace(
        made,
        frame_count=len(log.times),
        frame_times_ns=log.times if len(log.times) > 1 else (),
        frame_lengths=log.lengths if _is_as_recorded(log, made) else (),
        missing_frames=log.counted.faulty,
        notes=(*made.notes, *_losses(log.counted)),
        ended_early=ended_early,
    )


def _losses(counted: Tally) -> Iterator[str]:
    """Say in sentences what became of the missing frames, and that some came twice."""
    if counted.why:
        told = (f"{number} {LOSSES.get(why, why)}" for why, number in sorted(counted.why.items()))
        yield f"Of the frames missed: {', '.join(told)}."
    if counted.repeated:
        yield f"Frames that came twice, and were stored once: {counted.repeated}."


def _is_as_recorded(log: Log, made: Picture) -> bool:
    """Say whether every frame of a log is what its object stores."""
    return all(_is_as_stored(kind, made) for kind in log.sums.kinds)


def _is_as_stored(kind: bytes, made: Picture) -> bool:
    """Say whether a frame of this kind is what the object stores."""
    if made.transfer_syntax_uid == JPEG_BASELINE and not made.lossy_rule:
        return kind in JPEGS
    is_in_samples = kind == (GREY if made.samples_per_pixel == 1 else COLOUR)
    return kind in PLAIN and is_in_samples


def _frames(encoders: Encoders, log: Log, made: Picture) -> Iterator[bytes]:
    """Yield every frame of a log as its object stores it: what differs is encoded again, several at a time."""
    is_mjpeg = picture.is_mjpeg(log.header.format)
    stored = (encoding.unpacked(frame, is_mjpeg=is_mjpeg) for _, frame in FrameLog.read(log.path)[1])
    if _is_as_recorded(log, made):
        return (each.data for each in stored)
    return (data for _, data in encoders.in_order(lambda each: _again(each, made), stored))


def _again(stored: Stored, made: Picture) -> bytes:
    if _is_as_stored(stored.kind, made):
        return stored.data
    return codecs.encode_as(_pixels(stored, made), made.transfer_syntax_uid, made.bits_stored)


def _pixels(stored: Stored, made: Picture) -> Pixels:
    """Return a stored picture with as many samples as its object has."""
    pixels = _decoded(stored, made)
    is_grey_among_coloured = pixels.ndim != COLOURS and made.samples_per_pixel == COLOURS
    return np.repeat(pixels[..., None], COLOURS, axis=2) if is_grey_among_coloured else pixels


def _decoded(stored: Stored, made: Picture) -> Pixels:
    samples = 1 if stored.is_grey else COLOURS
    bits = 8 if made.bits_stored <= 8 else 16
    if stored.kind in JPEGS:
        photometric = codecs.photometric("passthrough", samples)
        return codecs.decode(
            stored.data, JPEG_BASELINE, made.rows, made.columns, samples, bits, photometric=photometric
        )
    uid = codecs.transfer_syntax(codecs.QUICK) if stored.kind in QUICKS else made.transfer_syntax_uid
    return codecs.decode(stored.data, uid, made.rows, made.columns, samples, bits)
