"""Pictures of a ring to the frame logs of one capture, while they come.

A recording reads its ring at its own pace; encoders work on several pictures at once, and what they make is appended in
order, and synced each second beside that. The memory it takes is that of a few pictures, however long it lasts. When it
loses ground on its ring, it stores pictures in a quicker form, still lossless; what the ring overwrites all the same is
counted, logged and told in the object (law 4). At 8,000 frames or 1 GiB, the log ends and the next segment begins; at its
end, `closing` makes the objects.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from gateway.errors import CodecError, DiskFull, GatewayError, PixelError
from gateway.model import CaptureKind
from gateway.service import closing, picture
from gateway.service.encoding import Encoder, Pixels
from gateway.source.ring import Ended, Shot, with_neighbours
from gateway.spool.framelog import FrameLogHeader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.clock import Clock
    from gateway.model import Capture, Frame, FrameFormat, PerformedStep
    from gateway.profile import ModalityProfile
    from gateway.service.closing import Station
    from gateway.service.encoding import Stored
    from gateway.source.ring import Reader
    from gateway.spool.framelog import FrameLog

SEGMENT_FRAMES: Final = 8000
SEGMENT_BYTES: Final = 1 << 30
SYNC_NS: Final = 1_000_000_000
ROWS_BYTES: Final = 2 << 20
"""What the rows of a capture, and those of a still or two beside it, may take."""
STUMBLED: Final = "the gateway stumbled"
LOOK_BACK: Final = 8
"""Over so many pictures a recording sees whether it loses ground."""


class Plan(Struct, frozen=True, kw_only=True):
    """How the pictures of one capture become its objects."""

    step: PerformedStep
    capture: Capture
    profile: ModalityProfile
    format: FrameFormat
    encoder: Encoder


class Turn(Struct, frozen=True):
    """One picture on its way to the log, with its neighbours."""

    before: Frame | None
    shot: Shot
    after: Frame | None
    is_quick: bool


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
        self._pace = Pace(reader)
        self._is_coloured = self._begins_coloured = plan.encoder.form.is_lossy and plan.profile.chain.grey != "always"
        self._overrun: list[str] = []
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
        plan = self.plan
        try:
            closing.finish(self._station, plan.step, plan.capture, plan.profile, ended_early=self._ended_early)
            self._is_kept = True
        except GatewayError as error:
            self._say(error)

    def join(self, timeout_s: float) -> None:
        """Wait until it is durable."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        """Record, then compose."""
        try:
            self._record()
        except GatewayError as error:
            self._ended_early = str(error)
            self._say(error)
        self.keep()

    def _record(self) -> None:
        """Fill the frame logs; the last one says what ended the stream before its time, if something did."""
        spool, plan = self._station.box.spool, self.plan
        stored = self._stored()
        segment, is_over = 0, False
        while not is_over:
            log = spool.new_frame_log(self._header(segment))
            try:
                is_over = self._fill(log, stored)
            except BaseException:
                log.abandon()
                raise
            if is_over:
                log.end(self._why())
            else:
                log.close()
                segment = spool.captures.next_segment(plan.step.exam_id, plan.capture.number)

    def _why(self) -> str:
        """Return what ended the stream before its time; empty when it was stopped."""
        ended = self._reader.take()
        return str(ended.error) if isinstance(ended, Ended) and ended.error is not None else ""

    def _stored(self) -> Iterator[tuple[Turn, Stored | None]]:
        """Encode several pictures at a time; of a time-lapse each at once, for the next is far away."""
        if self.plan.capture.kind is CaptureKind.TIME_LAPSE:
            return ((turn, self._store(turn)) for turn in (Turn(None, shot, None, False) for shot in self._shots))
        return self._station.encoders.in_order(self._store, self._turns())

    def _turns(self) -> Iterator[Turn]:
        for before, shot, after in with_neighbours(self._shots):
            yield Turn(before, shot, after, self._pace.is_losing())

    def _store(self, turn: Turn) -> Stored | None:
        """Encode one picture, in a thread of the pool; None: it came compressed, and damaged."""
        encoder = self.plan.encoder
        try:
            return encoder.store(
                turn.before, turn.shot.frame, turn.after, is_quick=turn.is_quick, is_coloured=self._is_coloured
            )
        except (CodecError, PixelError):
            if encoder.is_mjpeg:
                return None
            raise

    def _fill(self, log: FrameLog, pictures: Iterator[tuple[Turn, Stored | None]]) -> bool:
        """Fill one log; return whether the recording is over (rather than the segment)."""
        self._is_coloured = self._begins_coloured
        with Syncing(log, self._station.box.clock, self._tell_overrun) as syncing:
            for turn, stored in pictures:
                self._miss(log, turn.shot)
                captured_ns = turn.shot.frame.captured_ns
                if stored is None:
                    log.miss(captured_ns, why="broken")
                    continue
                log.append(stored.packed(), captured_ns)
                self._is_coloured = self._is_coloured or not stored.is_grey
                self._show_first(turn)
                self._need_room(log)
                syncing.turn()
                if log.frames >= SEGMENT_FRAMES or log.payload_bytes >= SEGMENT_BYTES:
                    return False
        return True

    def _miss(self, log: FrameLog, shot: Shot) -> None:
        """Record what was lost before a picture: dropped, faulty, or overwritten in the ring before its turn came."""
        for number, why in enumerate(shot.why or ("",) * shot.missing):
            log.miss(shot.frame.captured_ns, is_overrun=number < shot.overrun, why=why)
        for _ in range(shot.repeated):
            log.repeat(shot.frame.captured_ns)
        if shot.overrun:
            self._overrun.append(f"{shot.number - shot.overrun}-{shot.number - 1}")

    def _tell_overrun(self) -> None:
        """Say which pictures of the ring were overwritten before they were read: each second, not for each of them."""
        if self._overrun:
            self._station.logger.warning(
                "recording falls behind: pictures %s were overwritten before they were read",
                ", ".join(self._overrun),
                extra={"EXAM": str(self.plan.step.exam_id)},
            )
            self._overrun.clear()

    def _show_first(self, turn: Turn) -> None:
        if self._show is not _shown:
            self._show(self.plan, self.plan.encoder.pixels(turn.before, turn.shot.frame, turn.after))
            self._show = _shown

    def _need_room(self, log: FrameLog) -> None:
        """Raise DiskFull before the log grows so long that its object, as long again, would not fit beside it."""
        room = self._station.box.spool.quota.room()
        if room.free_bytes + room.ballast_bytes + log.reserved_bytes < log.payload_bytes + ROWS_BYTES:
            raise DiskFull

    def _header(self, segment: int) -> FrameLogHeader:
        plan, clock = self.plan, self._station.box.clock
        return FrameLogHeader(
            exam_id=plan.step.exam_id,
            capture=plan.capture.number,
            segment=segment,
            kind=plan.capture.kind,
            source=self._station.name,
            started_at=plan.capture.started_at,
            started_ns=plan.capture.started_ns,
            boot_id=clock.boot_id(),
            picture=picture.begun(plan.encoder, plan.format),
            grey_steps=plan.encoder.chain.steps_of(is_grey=True),
            format=plan.format,
        )

    def _say(self, error: GatewayError) -> None:
        self._station.logger.warning("%s", error, extra={"EXAM": str(self.plan.step.exam_id), "CODE": error.code})


class Pace:
    """Whether a recording loses ground on its ring."""

    def __init__(self, reader: Reader) -> None:
        """Asked once for each picture taken from `reader`."""
        self._reader = reader
        self._rooms: deque[int] = deque(maxlen=LOOK_BACK)

    def is_losing(self) -> bool:
        """Say whether half the ring has been lost and more is being lost now, or so much that it does not matter why."""
        room, capacity = self._reader.room, self._reader.capacity
        self._rooms.append(room)
        return room < capacity // 8 or (room < capacity // 2 and room < self._rooms[0])


class Syncing:
    """Makes a log durable each second, beside the thread that fills it: a slow disk keeps no encoder waiting."""

    def __init__(self, log: FrameLog, clock: Clock, tell: Callable[[], None]) -> None:
        """Begin the first second now; `tell` is called in the thread that fills it, each second and at the end."""
        self._tell = tell
        self._log = log
        self._clock = clock
        self._since_ns = clock.monotonic_ns()
        self._pending: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "sync")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the sync under way. Raises what it met: the kernel tells a lost write once, and never again (fsync(2))."""
        self._thread.shutdown()
        self._tell()
        if kind is None and self._pending is not None:
            self._pending.result()

    def turn(self) -> None:
        """Begin a sync when it is time and none is under way. Raises what the last one met: DiskFull and the like."""
        if self._pending is not None and self._pending.done():
            pending, self._pending = self._pending, None
            pending.result()
        now_ns = self._clock.monotonic_ns()
        if self._pending is None and now_ns - self._since_ns >= SYNC_NS:
            self._since_ns = now_ns
            self._tell()
            self._pending = self._thread.submit(self._log.sync)


def _shown(_plan: Plan, _pixels: Pixels) -> None:
    """The first picture has been shown; the others need not be."""
