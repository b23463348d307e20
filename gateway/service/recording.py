"""Pictures of a ring to the frame logs of one capture, and from there to its objects.

A recording reads its ring at its own pace, runs the pixel chain and encodes each picture losslessly into a frame log,
synced each second. At its end, or at 8,000 frames or 1 GiB, the log is composed into an object in one pass and goes. After
a crash, `rescue` does the same with what the log holds. Each stored frame begins with one byte: grey or colour; an object
is grey only when every frame of it is, so that a colour that appears late is never lost (law 4).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from msgspec import Struct, structs

from gateway import exam as exams
from gateway.errors import DiskFull, GatewayError
from gateway.model import CaptureState, Picture
from gateway.pixels import codecs
from gateway.service import compose
from gateway.source.ring import Ended, Shot, with_neighbours
from gateway.spool.framelog import FrameLog, FrameLogHeader, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from logging import Logger
    from pathlib import Path

    import numpy.typing as npt

    from gateway.model import Capture, Frame, FrameFormat, PerformedStep
    from gateway.pixels.chain import Chain
    from gateway.pixels.codecs import Compression
    from gateway.profile import ModalityProfile
    from gateway.source.ring import Reader
    from gateway.spool.spool import Spool

    Pixels = npt.NDArray[np.uint8]

SEGMENT_FRAMES: Final = 8000
SEGMENT_BYTES: Final = 1 << 30
SYNC_NS: Final = 1_000_000_000
ROWS_BYTES: Final = 2 << 20
"""What the rows of a capture, and those of a still or two beside it, may take."""
GREY, COLOUR, COLOURS = b"G", b"C", 3
FAILED: Final = "the power failed, or the gateway was stopped"
EARLY: Final = "It ended early: "
STUMBLED: Final = "the gateway stumbled"


class Station(Struct, frozen=True, kw_only=True):
    """What every recording of one grabber needs."""

    name: str
    box: compose.Box
    logger: Logger


class Plan(Struct, frozen=True, kw_only=True):
    """How the pictures of one capture become its objects."""

    step: PerformedStep
    capture: Capture
    profile: ModalityProfile
    format: FrameFormat
    pixels: Chain


class Recording:
    """One cine, or the last seconds, while it is written; runs in a thread of its own."""

    def __init__(
        self,
        station: Station,
        plan: Plan,
        shots: Iterator[Shot],
        reader: Reader,
        show: Callable[[Plan, Pixels], None],
    ) -> None:
        """`shots` are the pictures from the first on, of `reader`; `show` gets the first one, for a thumbnail."""
        self.plan = plan
        self._station = station
        self._shots = shots
        self._reader = reader
        self._show = show
        self._ended_early = STUMBLED
        self._is_kept = False
        self._thread = threading.Thread(target=self._run, name=f"capture {plan.capture.number}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, until_ns: int) -> None:
        """End with the last picture captured at or before `until_ns`."""
        self._reader.stop(until_ns)

    def is_alive(self) -> bool:
        """Whether it still records, or is not durable yet."""
        return self._thread.is_alive()

    def is_kept(self) -> bool:
        """Whether all of it is durable in objects, and said so."""
        return self._is_kept

    def keep(self) -> None:
        """Compose what was recorded; what fails (the disk is full) is said, and the frame logs stay for another time."""
        try:
            finish(self._station, self.plan.step, self.plan.capture, self.plan.profile, ended_early=self._ended_early)
            self._is_kept = True
        except GatewayError as error:
            self._say(error)

    def join(self, timeout_s: float) -> None:
        """Wait until it is durable."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        """Record, then compose."""
        try:
            self._ended_early = self._record()
        except GatewayError as error:
            self._ended_early = str(error)
            self._say(error)
        self.keep()

    def _record(self) -> str:
        """Fill the frame logs; return what ended the stream before its time, if something did."""
        pictures = with_neighbours(self._shots)
        segment, is_over = 0, False
        while not is_over:
            log = self._station.box.spool.new_frame_log(self._header(segment))
            try:
                is_over = self._fill(log, pictures)
            except BaseException:
                log.abandon()
                raise
            log.close()
            if not is_over:
                segment = self._station.box.spool.captures.next_segment(
                    self.plan.step.exam_id, self.plan.capture.number
                )
        ended = self._reader.take()
        return str(ended.error) if isinstance(ended, Ended) and ended.error is not None else ""

    def _fill(self, log: FrameLog, pictures: Iterator[tuple[Frame | None, Shot, Frame | None]]) -> bool:
        """Fill one log; return whether the recording is over (rather than the segment)."""
        synced_ns = self._station.box.clock.monotonic_ns()
        for before, shot, after in pictures:
            for _ in range(shot.missing):
                log.append(b"", shot.frame.captured_ns, is_whole=False)
            log.append(self._encoded(before, shot.frame, after), shot.frame.captured_ns)
            self._need_room(log)
            now_ns = self._station.box.clock.monotonic_ns()
            if now_ns - synced_ns >= SYNC_NS:
                log.sync()
                synced_ns = now_ns
            if log.frames >= SEGMENT_FRAMES or log.payload_bytes >= SEGMENT_BYTES:
                return False
        return True

    def _need_room(self, log: FrameLog) -> None:
        """Raise DiskFull before the log grows so long that its object, as long again, would not fit beside it."""
        room = self._station.box.spool.quota.room()
        if room.free_bytes + room.ballast_bytes + log.reserved_bytes < log.payload_bytes + ROWS_BYTES:
            raise DiskFull

    def _encoded(self, before: Frame | None, now: Frame, after: Frame | None) -> bytes:
        chain, compression = self.plan.pixels, self.plan.profile.object.compression
        pixels = chain.run(before.data if before else None, now.data, after.data if after else None)
        is_grey = chain.is_grey(pixels)
        stored = chain.to_grey(pixels) if is_grey else pixels
        self._show(self.plan, stored)
        self._show = _shown
        return (GREY if is_grey else COLOUR) + codecs.encode(stored, compression)

    def _header(self, segment: int) -> FrameLogHeader:
        plan = self.plan
        return FrameLogHeader(
            exam_id=plan.step.exam_id,
            capture=plan.capture.number,
            segment=segment,
            kind=plan.capture.kind,
            source=self._station.name,
            started_at=plan.capture.started_at,
            started_ns=plan.capture.started_ns,
            boot_id=self._station.box.clock.boot_id(),
            picture=picture_of(plan.pixels, plan.format, plan.profile, is_grey=False),
        )

    def _say(self, error: GatewayError) -> None:
        self._station.logger.warning("%s", error, extra={"EXAM": str(self.plan.step.exam_id), "CODE": error.code})


def picture_of(chain: Chain, fmt: FrameFormat, profile: ModalityProfile, *, is_grey: bool) -> Picture:
    """Return what one picture is once the chain has run and it is encoded as the profile says."""
    compression = profile.object.compression
    samples: Literal[1, 3] = 1 if is_grey else 3
    return Picture(
        rows=chain.rows,
        columns=chain.columns,
        samples_per_pixel=samples,
        transfer_syntax_uid=codecs.transfer_syntax(compression),
        photometric_interpretation=codecs.photometric(compression, samples),
        pixel_aspect=fmt.pixel_aspect,
        steps=chain.steps_of(is_grey=is_grey),
        is_cropped=chain.is_cropped,
        is_text_masked=profile.chain.mask_covers_all_text,
        source_format=fmt.standard,
    )


def finish(
    station: Station, step: PerformedStep, capture: Capture, profile: ModalityProfile, *, ended_early: str = ""
) -> None:
    """Compose every frame log of a capture into its object, and say that the capture is complete.

    The same right after the recording and after a crash: what is already admitted is not made again.
    """
    spool, logs = station.box.spool, _logs_of(station.box.spool, capture)
    _note(spool, capture, logs, ended_early)
    for path in logs:
        _compose(station, step, capture, profile, path, ended_early)
        spool.remove_frame_log(path)
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
            finish(station, step, capture, profile_of(step.profile), ended_early="" if is_all_kept else _why(capture))
        except GatewayError as error:
            station.logger.warning("%s", error, extra={"EXAM": str(step.exam_id), "CODE": error.code})
    return len(abandoned)


def _why(capture: Capture) -> str:
    """Say why a recording that nobody composed ended: as its note has it, which is written at its end; else it was cut off."""
    if not capture.note:
        return FAILED
    _, is_early, reason = capture.note.partition(EARLY)
    return reason.partition(". Pictures missed")[0].rstrip(".") if is_early else ""


def _note(spool: Spool, capture: Capture, logs: list[Path], ended_early: str) -> None:
    """Say what became of a recording while its logs still tell it; a crash further on does not change that."""
    missing = sum(tally(path).faulty for path in logs)
    early = f"{EARLY}{ended_early.rstrip('.')}." if ended_early else ""
    notes = (early, f"Pictures missed: {missing}." if missing else "")
    if any(notes) and not spool.captures.get(capture.exam_id, capture.number).note:
        spool.captures.set_state(capture.exam_id, capture.number, CaptureState.RECORDING, " ".join(filter(None, notes)))


def _logs_of(spool: Spool, capture: Capture) -> list[Path]:
    """Return the frame logs of a capture that can be read, in the order of their segments; what cannot is set aside."""
    mine = f"{capture.exam_id}-{capture.number}-"
    found = [path for path in spool.frame_logs() if path.name.startswith(mine) and spool.check_frame_log(path)]
    return sorted(found, key=lambda path: int(path.stem.rpartition("-")[2]))


def _compose(
    station: Station, step: PerformedStep, capture: Capture, profile: ModalityProfile, path: Path, ended_early: str
) -> None:
    """Make one log's object, unless it holds nothing, or a crash came between its object's row and its own end."""
    counted = tally(path)
    if not counted.frames:
        return
    header, _ = FrameLog.read(path)
    segment = compose.Segment(
        step=step,
        capture=capture,
        equipment=profile.equipment,
        object=profile.object,
        captured_ns=counted.first_ns,
        number=header.segment,
    )
    uid = compose.words(station.box.site, segment).sop_instance_uid
    if header.picture is None or station.box.spool.instances.same_uid(uid):
        return
    picture = _picture(path, header.picture, counted.faulty, profile, ended_early)
    frames = _stored(path, picture, profile.object.compression)
    compose.store_picture(station.box, segment, picture, frames, reserve_bytes=counted.payload_bytes)


def _picture(path: Path, blank: Picture, missing: int, profile: ModalityProfile, ended_early: str) -> Picture:
    times, lengths, kinds = _survey(path)
    samples: Literal[1, 3] = 1 if kinds == {GREY} else 3
    return structs.replace(
        blank,
        samples_per_pixel=samples,
        photometric_interpretation=codecs.photometric(profile.object.compression, samples),
        frame_count=len(times),
        frame_times_ns=tuple(times) if len(times) > 1 else (),
        frame_lengths=tuple(lengths) if len(kinds) == 1 else (),
        missing_frames=missing,
        ended_early=ended_early,
    )


def _survey(path: Path) -> tuple[list[int], list[int], set[bytes]]:
    """Return the times, encoded lengths and kinds of every frame of a log."""
    times, lengths, kinds = [], [], set()
    for captured_ns, frame in FrameLog.read(path)[1]:
        times.append(captured_ns)
        lengths.append(len(frame) - 1)
        kinds.add(frame[:1])
    return times, lengths, kinds


def _stored(path: Path, picture: Picture, compression: Compression) -> Iterator[bytes]:
    """Yield every frame of a log as its object stores it: a grey one among coloured ones is encoded again in colour."""
    for _, frame in FrameLog.read(path)[1]:
        if frame[:1] == GREY and picture.samples_per_pixel == COLOURS:
            yield _coloured(frame[1:], picture, compression)
        else:
            yield frame[1:]


def _coloured(frame: bytes, picture: Picture, compression: Compression) -> bytes:
    syntax = codecs.transfer_syntax(compression)
    grey = codecs.decode(frame, syntax, picture.rows, picture.columns, 1, 8, False)
    return codecs.encode(np.repeat(grey[..., None], COLOURS, axis=2), compression)


def _shown(_plan: Plan, _pixels: Pixels) -> None:
    """The first picture has been shown; the others need not be."""
