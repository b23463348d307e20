"""A grabber to the pictures of the last seconds, with every edge of the signal and every lost picture stated.

`Source.step` is called in a loop by the one thread that owns the device; it never sleeps and never raises for what the world
does: it returns what happened. When the signal, the format or the device goes, the recording in progress ends at the last
whole picture (law 5), and the device is opened again, at most once in `reopen_s`. Missing pictures are counted by
(sequence, field) and handed on as gaps, never padded (law 4). Faulty pictures (error flag, short, half) are never kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from gateway.clock import Clock
from gateway.device.grabber import Grabber
from gateway.errors import DeviceError, FormatChanged, NoSignal, UnknownPixelFormat, WrongStandard
from gateway.model import Field, Frame, FrameFormat, Signal, StationStatus
from gateway.source.fields import Continuity, Repeats, Weaver, is_jpeg
from gateway.source.ring import NOT_YET, Neighbours, Reader, Ring, Shot, Wait

MEMORY_LIMIT_BYTES: Final = 1 << 29
SIGNAL_CHECK_NS: Final = 1_000_000_000
"""How often a streaming device is asked whether its signal is still there: not every driver says so by itself."""
SILENCE_NS: Final = 1_000_000_000
"""A stream without a picture for so long, and for four of its intervals, has ended."""
_DRAIN: Final = 8
"""So many pictures one step takes at most: then the caller has its turn."""
_BACKWARD_LIMIT: Final = 8
"""So many pictures in a row from before the last one: the driver's clock has started afresh."""
_GOOD: Final = {Signal.LOCKED, Signal.STREAMING}


class SignalEdge(Struct, frozen=True, kw_only=True):
    """The signal changed. From STREAMING to anything else ends what is recording, at picture `last`."""

    was: Signal
    now: Signal
    at_ns: int
    error: DeviceError | None = None
    """Why, in words a person can act on; None for the better."""
    last: int = -1
    """Number of the last whole picture of the ring that ended; -1: none."""


class FormatEdge(Struct, frozen=True, kw_only=True):
    """Pictures of another format than before begin: a new ring."""

    was: FrameFormat | None
    now: FrameFormat
    at_ns: int
    memory_bytes: int
    kept_s: float


class NewFrame(Struct, frozen=True, kw_only=True):
    """A whole picture is in the ring."""

    number: int
    captured_ns: int
    missing: int
    """Pictures lost directly before it."""


class FrameLost(Struct, frozen=True, kw_only=True):
    """Pictures were lost: `dropped` by the kernel, or faulty: `error` flag, `short`, `half` (a field alone), a `time` before the last, `broken`."""

    why: str
    count: int
    at_ns: int
    sequence: int
    """The kernel's number: of what came faulty; of what came after those that were dropped."""
    field: Field


class FrameRepeated(Struct, frozen=True, kw_only=True):
    """A buffer came a second time under its (sequence, field), and was left out."""

    at_ns: int
    sequence: int
    field: Field


Event: TypeAlias = SignalEdge | FormatEdge | NewFrame | FrameLost | FrameRepeated


class Source:
    """One video source. `step` and `close` belong to one thread; the other methods may be called from any."""

    def __init__(
        self,
        open_grabber: Callable[[], Grabber],
        clock: Clock,
        *,
        name: str = "the video input",
        ring_s: float = 12.0,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        reopen_s: float = 1.0,
    ) -> None:
        """Open nothing yet: the first `step` does. `name` is what errors call the device."""
        self._open_grabber = open_grabber
        self._clock = clock
        self._name = name
        self._ring_s = ring_s
        self._limit_bytes = memory_limit_bytes
        self._reopen_ns = int(reopen_s * 1e9)
        self._attempt_ns = clock.monotonic_ns() - self._reopen_ns
        self._stream: _Stream | None = None
        self._ring: Ring | None = None
        self._events: list[Event] = []
        self.signal = Signal.ABSENT
        self.error: DeviceError | None = None
        self.input = ""
        self.signal_since_ns = clock.monotonic_ns()
        self.frames = self.dropped = self.duplicated = 0
        self.faults: dict[str, int] = {}
        self.edges: dict[Signal, int] = dict.fromkeys(Signal, 0)

    @property
    def faulty(self) -> int:
        """How many pictures came damaged."""
        return sum(self.faults.values())

    @property
    def pause_s(self) -> float:
        """How long the caller may wait before the next `step`: 0 while the device is open."""
        if self._stream is not None:
            return 0.0
        return max(0.0, (self._attempt_ns + self._reopen_ns - self._clock.monotonic_ns()) / 1e9)

    @property
    def ring(self) -> Ring:
        """The pictures of the newest stream, ended or not. Raises NoSignal before the first picture."""
        ring = self._ring
        if ring is None:
            raise NoSignal(device=self._name, signal=self.signal)
        return ring

    def step(self, timeout_s: float) -> tuple[Event, ...]:
        """Open the device if that is due, or wait up to `timeout_s` for pictures; return what happened, in order."""
        self._events = []
        try:
            if self._stream is not None:
                self._read(self._stream, timeout_s)
            elif not self.pause_s:
                self._open()
        except DeviceError as error:
            self._lose(error)
        return tuple(self._events)

    def close(self) -> tuple[Event, ...]:
        """Let go of the device; the ring ends and stays readable."""
        self._events = []
        if self._stream is not None:
            self._lose(NoSignal(device=self._name, signal=Signal.ABSENT))
        return tuple(self._events)

    def frame_at(self, ns: int) -> Shot | Wait:
        """Return the picture whose time covers `ns`; NOT_YET until that is certain. Raises NoSignal, StalePress, NoPictureThen."""
        ring = self._ring
        is_opening = (
            self.signal is Signal.LOCKED and (ring is None or ring.ended is not None) and ns >= self._attempt_ns
        )
        return NOT_YET if is_opening else self.ring.at(ns)

    def neighbours(self, shot: Shot) -> Neighbours | Wait:
        """Return the pictures directly before and after one of the newest ring; NOT_YET while its successor may still come."""
        return self.ring.neighbours(shot.number)

    def frames_between(self, from_ns: int, until_ns: int) -> Reader:
        """Read from the picture that covers `from_ns` (or the oldest kept) to the last one captured by `until_ns`. Raises NoSignal."""
        reader = self.ring.reader(from_ns)
        reader.stop(until_ns)
        return reader

    def subscribe(self, from_ns: int | None = None, *, every_s: float = 0.0) -> Reader:
        """Read on from the picture that covers `from_ns`, or from the next: each once, in order, gaps stated; or one each `every_s`.

        Raises NoSignal.
        """
        ring = self.ring
        if ring.ended is not None:
            raise NoSignal(device=self._name, signal=self.signal)
        return ring.reader(from_ns, every_ns=round(every_s * 1e9))

    def status(self, station: str, *, recording: int = 0, recording_since_ns: int = 0) -> StationStatus:
        """Say how it stands, for the panel."""
        error = self.error
        ring = self._ring
        fmt = ring.format if ring is not None and self.signal is Signal.STREAMING else None
        return StationStatus(
            station=station,
            signal=self.signal,
            boot_id=self._clock.boot_id(),
            updated_ns=self._clock.monotonic_ns(),
            picture=f"{fmt.width_px}x{fmt.height_px} {fmt.standard}".rstrip() if fmt else "",
            input=self.input,
            signal_since_ns=self.signal_since_ns,
            edges={state: count for state, count in self.edges.items() if count},
            frames=self.frames,
            dropped=self.dropped,
            faulty=self.faulty,
            faults=dict(self.faults),
            duplicated=self.duplicated,
            ring_bytes=ring.memory_bytes if ring is not None else 0,
            ring_s=ring.kept_s if ring is not None else 0.0,
            recording=recording,
            recording_since_ns=recording_since_ns,
            error_code=error.code if error else "",
            error_facts=error.facts if error else {},
        )

    # ---- the device ----

    def _open(self) -> None:
        self._attempt_ns = self._clock.monotonic_ns()
        self._stream = _Stream(self._open_grabber(), self._clock.monotonic_ns())
        self.input = self._stream.grabber.input
        self._edge(Signal.LOCKED, None)

    def _read(self, stream: _Stream, timeout_s: float) -> None:
        for turn in range(_DRAIN):
            frame = stream.grabber.poll(0.0 if turn else timeout_s)
            if frame is None:
                break
            try:
                self._take(stream, frame)
            finally:
                stream.grabber.release(frame)
        self._look(stream, self._clock.monotonic_ns())

    def _look(self, stream: _Stream, now_ns: int) -> None:
        """Ask for the signal now and then, and notice silence. Raises NoSignal."""
        if now_ns - stream.looked_ns < SIGNAL_CHECK_NS:
            return
        stream.looked_ns = now_ns
        state = stream.grabber.signal()
        if state not in _GOOD:
            raise NoSignal(device=self._name, signal=state)
        if now_ns - stream.heard_ns >= stream.silence_ns:
            raise NoSignal(device=self._name, signal=Signal.NO_SIGNAL)

    def _lose(self, error: DeviceError) -> None:
        """Close, end the ring at its last whole picture, and say so."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.grabber.close()
        last = -1
        if self._ring is not None and self._ring.ended is None:
            last = self._ring.count - 1
            self._ring.end(error)
        self._edge(_signal_after(error), error, last)

    def _edge(self, now: Signal, error: DeviceError | None, last: int = -1) -> None:
        was, before = self.signal, self.error
        self.signal, self.error = now, error
        at_ns = self._clock.monotonic_ns()
        if was is not now:
            self.signal_since_ns = at_ns
        is_new = was is not now or last >= 0 or (error is not None and type(error) is not type(before))
        if is_new:
            self.edges[now] += was is not now
            self._events.append(SignalEdge(was=was, now=now, at_ns=at_ns, error=error, last=last))

    # ---- the pictures ----

    def _take(self, stream: _Stream, frame: Frame) -> None:
        """Weave, judge, and keep what is whole. Raises DeviceError where the driver's clock has started afresh."""
        now_ns = stream.heard_ns = self._clock.monotonic_ns()
        if stream.repeats.is_repeated(frame):
            self.duplicated += 1
            stream.repeated += 1
            self._events.append(FrameRepeated(at_ns=now_ns, sequence=frame.sequence, field=frame.field))
            return
        halves = stream.weaver.orphans
        whole = stream.weaver.take(frame)
        if stream.weaver.orphans > halves:
            self._fault(stream, "half", frame, now_ns)
        if whole is None:
            return
        why = stream.fault_of(whole)
        if why:
            self._fault(stream, why, whole, now_ns)
        else:
            self._keep(stream, whole, now_ns)
        if stream.backward >= _BACKWARD_LIMIT:
            raise DeviceError(device=self._name, problem="its clock went back")

    def _fault(self, stream: _Stream, why: str, frame: Frame, now_ns: int) -> None:
        self.faults[why] = self.faults.get(why, 0) + 1
        stream.faults.append(why)
        self._events.append(FrameLost(why=why, count=1, at_ns=now_ns, sequence=frame.sequence, field=frame.field))

    def _keep(self, stream: _Stream, whole: Frame, now_ns: int) -> None:
        dropped = max(0, stream.continuity.missing_before(whole) - len(stream.faults))
        if dropped:
            self.dropped += dropped
            self._events.append(
                FrameLost(why="dropped", count=dropped, at_ns=now_ns, sequence=whole.sequence, field=whole.field)
            )
        why, stream.faults = (*stream.faults, *("dropped",) * dropped), []
        repeated, stream.repeated = stream.repeated, 0
        if self.signal is not Signal.STREAMING:
            self._edge(Signal.STREAMING, None)
        ring = self._ring_for(whole.format, now_ns)
        why = why if ring.count else ()  # what was lost before the first picture is missing from nothing
        number = ring.put(whole, why, repeated)
        self.frames += 1
        self._events.append(NewFrame(number=number, captured_ns=whole.captured_ns, missing=len(why)))

    def _ring_for(self, fmt: FrameFormat, now_ns: int) -> Ring:
        """Return the running ring, or begin one: a stream that was opened anew never continues an old ring."""
        was = self._ring
        if was is not None and was.ended is None:
            if was.format is fmt:
                return was
            was.end(FormatChanged(device=self._name, was=was.format.standard, now=fmt.standard))
        self._ring = None  # its memory goes before the next one's comes, unless a reader still holds it
        last, was = (was.format if was is not None else None), None
        ring = self._ring = Ring(fmt, self._ring_s, self._limit_bytes, self._name)
        if last != fmt:
            edge = FormatEdge(was=last, now=fmt, at_ns=now_ns, memory_bytes=ring.memory_bytes, kept_s=ring.kept_s)
            self._events.append(edge)
        return ring


class _Stream:
    """What is known of one opening of the device."""

    def __init__(self, grabber: Grabber, now_ns: int) -> None:
        self.grabber = grabber
        self.weaver = Weaver(grabber.format)
        self.repeats = Repeats()
        self.continuity = Continuity(grabber.format.frame_interval_ns)
        self.silence_ns = max(SILENCE_NS, 4 * grabber.format.frame_interval_ns)
        self.looked_ns = self.heard_ns = now_ns
        self.faults: list[str] = []
        """What was wrong with each of the faulty pictures since the last whole one."""
        self.repeated = 0
        """Buffers that came twice since then."""
        self.backward = 0

    def fault_of(self, whole: Frame) -> str:
        """Say why a picture cannot be kept; empty: it can."""
        if not whole.format.is_compressed and len(whole.data) < whole.format.frame_bytes:
            return "short"
        if whole.has_error:
            return "error"
        if whole.format.is_compressed and not is_jpeg(whole.data):
            return "broken"
        if self.continuity.is_going_back(whole):
            self.backward += 1
            return "time"
        self.backward = 0
        return ""


def _signal_after(error: DeviceError) -> Signal:
    """Say what an error means for the signal."""
    match error:
        case NoSignal():
            return Signal(error.facts.get("signal", Signal.NO_SIGNAL))
        case WrongStandard() | UnknownPixelFormat():
            return Signal.OUT_OF_RANGE
        case FormatChanged():
            return Signal.LOCKED
        case _:
            return Signal.ABSENT
