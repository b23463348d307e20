"""The last seconds of one unbroken stream, as they came, in a stated amount of memory, and the readers of them.

A ring holds one geometry: when the source ends or changes, the ring ends, stays readable, and another begins (law 5).
One thread puts; any thread reads, and what it gets is a copy. A reader that the ring overtakes is told how many pictures it
lost, never handed a stream that merely looks whole (law 4). A picture covers the time from its own capture to the next one's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from enum import Enum
from threading import Condition
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import DeviceError, NoPictureThen, StalePress
from gateway.model import Frame, FrameFormat


class Wait(Enum):
    """What a reader is told while the answer lies in the future."""

    NOT_YET = "NOT_YET"


NOT_YET: Final = Wait.NOT_YET


class Shot(Struct, frozen=True, kw_only=True):
    """One whole picture of a ring, as a copy."""

    number: int
    """Counts the pictures of a ring from 0."""
    frame: Frame
    missing: int = 0
    """Pictures lost between the one before and this one: dropped, faulty, or overrun."""
    overrun: int = 0
    """How many of those were overwritten because this reader was too slow."""
    lost: int = 0
    """Pictures dropped or faulty since the ring began."""
    why: tuple[str, ...] = ()
    """What became of each of the missing: "dropped", "error", "short", "half", "time", "broken"; "overrun" first. Empty: not known."""
    repeated: int = 0
    """Buffers directly before it that came a second time, and were left out."""


class Ended(Struct, frozen=True, kw_only=True):
    """No more pictures come: the reader has had the last whole one."""

    error: DeviceError | None = None
    """What ended the stream; None: the reader's own `stop`."""


class Neighbours(Struct, frozen=True, kw_only=True):
    """The pictures directly before and after one; None where a gap, the beginning or the end stands there."""

    previous: Frame | None
    following: Frame | None


COVER_INTERVALS: Final = 5
"""A picture covers the moments until the next one, but no longer than this: what came later was never seen."""
_SURE: Final = 0.75
"""A moment within this part of the interval belongs to the newest picture for sure, whatever its successor's jitter."""


class Ring:
    """Memory for `seconds` of one format, at most `limit_bytes`; `memory_bytes` says what it takes at most.

    Compressed pictures take what they are long; the oldest make way before the limit is passed.
    """

    def __init__(self, fmt: FrameFormat, seconds: float, limit_bytes: int, name: str = "the video input") -> None:
        """Reserve the memory at once; its pages come into use during the first `seconds`."""
        wanted = math.ceil(seconds * 1e9 / fmt.frame_interval_ns) + 2
        self.format = fmt
        self.capacity = wanted if fmt.is_compressed else max(2, min(wanted, limit_bytes // fmt.frame_bytes))
        self.ended: Ended | None = None
        self._name = name
        self._limit_bytes = limit_bytes
        self._slots = np.empty((0 if fmt.is_compressed else self.capacity, fmt.frame_bytes), np.uint8)
        self._frames: list[Frame] = []
        self._kept_bytes = 0
        self._first = 0
        self._lost = [0] * self.capacity
        self._why: list[tuple[str, ...]] = [()] * self.capacity
        self._repeated = [0] * self.capacity
        self._lost_so_far = 0
        self._count = 0
        self._changed = Condition()

    @property
    def memory_bytes(self) -> int:
        """How much memory the pictures take; compressed ones, at most."""
        most = self.capacity * self.format.frame_bytes
        return min(most, self._limit_bytes) if self.format.is_compressed else self._slots.nbytes

    @property
    def kept_s(self) -> float:
        """How far back the ring reaches when it is full; with compressed pictures, at most."""
        return self.capacity * self.format.frame_interval_ns / 1e9

    @property
    def count(self) -> int:
        """How many pictures were ever put."""
        return self._count

    def put(self, frame: Frame, why: tuple[str, ...] = (), repeated: int = 0) -> int:
        """Copy a whole picture in, over the oldest; return its number. `why`: what became of each of those missing before it."""
        with self._changed:
            number = self._count
            slot = number % self.capacity
            kept = Frame(
                data=self._copied(frame.data, slot),
                format=self.format,
                sequence=frame.sequence,
                field=frame.field,
                captured_ns=frame.captured_ns,
            )
            if number < self.capacity:
                self._frames.append(kept)
            else:
                self._frames[slot] = kept
            self._lost_so_far += len(why)
            self._lost[slot] = self._lost_so_far
            self._why[slot], self._repeated[slot] = why, repeated
            self._count = number + 1
            self._changed.notify_all()
            return number

    def end(self, error: DeviceError | None) -> None:
        """Say that nothing follows; what is kept stays readable."""
        with self._changed:
            self.ended = self.ended or Ended(error=error)
            self._changed.notify_all()

    def at(self, ns: int) -> Shot | Wait:
        """Return the picture whose time covers `ns`; NOT_YET until that is certain. Raises StalePress, NoPictureThen."""
        with self._changed:
            number = self._number_at(ns)
            return number if isinstance(number, Wait) else self._shot(number)

    def neighbours(self, number: int) -> Neighbours | Wait:
        """Return what stands directly before and after a picture; NOT_YET while its successor may still come."""
        with self._changed:
            if number + 1 >= self._count and self.ended is None:
                return NOT_YET
            return Neighbours(
                previous=self._adjacent(number - 1, number), following=self._adjacent(number + 1, number + 1)
            )

    def reader(self, from_ns: int | None = None, *, every_ns: int = 0) -> Reader:
        """Read on from the picture that covers `from_ns`, from the oldest where that is gone; None: from the next to come.

        `every_ns`: only one picture in so much time, the first that is due.
        """
        with self._changed:
            return Reader(self, self._count if from_ns is None else self._first_from(from_ns), every_ns)

    def take(self, wanted: int, until_ns: int | None, timeout_s: float, due_ns: int = 0) -> Shot | Wait | Ended:
        """Return picture `wanted`, or the first after it that is left and not before `due_ns`; for `Reader`."""
        with self._changed:
            number = self._first_due(wanted, due_ns)
            if timeout_s and number >= self._count and self.ended is None:
                self._changed.wait_for(
                    lambda: self._first_due(number, due_ns) < self._count or self.ended is not None, timeout_s
                )
                number = self._first_due(number, due_ns)
            if until_ns is not None and self._is_past(number, until_ns):
                return Ended()
            if number >= self._count:
                return self.ended or NOT_YET
            return self._shot(number)

    # ---- under the lock ----

    def _oldest(self) -> int:
        return max(self._first, self._count - self.capacity)

    def _first_due(self, wanted: int, due_ns: int) -> int:
        """Return the first picture from `wanted` on that is kept and not before `due_ns`, or the next to come."""
        number = max(wanted, self._oldest())
        while number < self._count and self._captured_ns(number) < due_ns:
            number += 1
        return number

    def _copied(self, data: npt.NDArray[np.uint8], slot: int) -> npt.NDArray[np.uint8]:
        """Copy into the slot; a compressed picture into memory of its own, for which the oldest make way."""
        if not self.format.is_compressed:
            kept: npt.NDArray[np.uint8] = self._slots[slot]
            kept[:] = data[: self.format.frame_bytes]
            return kept
        if self._count >= self.capacity and self._oldest() <= self._count - self.capacity:
            self._let_go(self._count - self.capacity)
        while self._kept_bytes + len(data) > self._limit_bytes and self._first < self._count:
            self._let_go(self._first)
        self._kept_bytes += len(data)
        return data.copy()

    def _let_go(self, number: int) -> None:
        """Forget the bytes of the oldest picture."""
        slot = number % self.capacity
        self._kept_bytes -= len(self._frames[slot].data)
        self._frames[slot] = replace(self._frames[slot], data=np.empty(0, np.uint8))
        self._first = number + 1

    def _captured_ns(self, number: int) -> int:
        return self._frames[number % self.capacity].captured_ns

    def _shot(self, number: int) -> Shot:
        slot = number % self.capacity
        kept = self._frames[slot]
        return Shot(
            number=number,
            frame=replace(kept, data=kept.data.copy()),
            missing=self._gap_before(number),
            lost=self._lost[slot],
            why=self._why[slot] if self._gap_before(number) else (),
            repeated=self._repeated[slot],
        )

    def _gap_before(self, number: int) -> int:
        """Pictures lost directly before `number`: 0 for the oldest, whose forerunner is gone."""
        if number <= self._oldest():
            return 0
        return self._lost[number % self.capacity] - self._lost[(number - 1) % self.capacity]

    def _first_from(self, ns: int) -> int:
        oldest = self._oldest()
        for number in range(self._count - 1, oldest - 1, -1):
            if self._captured_ns(number) <= ns:
                return number
        return oldest

    def _number_at(self, ns: int) -> int | Wait:
        oldest, newest = self._oldest(), self._count - 1
        if newest >= 0 and self._captured_ns(newest) <= ns:
            return self._newest_at(ns, newest)
        if newest < 0 and self.ended is None:
            return NOT_YET
        if newest < 0 or (ns < self._captured_ns(oldest) and oldest == 0):
            raise NoPictureThen(device=self._name, problem="the picture began later")
        if ns < self._captured_ns(oldest):
            raise StalePress(problem=f"only the last {self.kept_s:.0f} seconds are kept")
        return self._within_cover(self._first_from(ns), ns)

    def _newest_at(self, ns: int, newest: int) -> int | Wait:
        age = (ns - self._captured_ns(newest)) / self.format.frame_interval_ns
        if age <= _SURE or (self.ended is not None and age < 1):
            return newest
        if self.ended is None:
            return NOT_YET
        why = self.ended.error
        raise type(why)(**why.facts) if why else NoPictureThen(device=self._name, problem="the picture had ended")

    def _within_cover(self, number: int, ns: int) -> int:
        if ns - self._captured_ns(number) > COVER_INTERVALS * self.format.frame_interval_ns:
            raise NoPictureThen(device=self._name, problem="pictures were missing")
        return number

    def _is_past(self, number: int, until_ns: int) -> bool:
        """Say whether picture `number`, which may be the next to come, lies after `until_ns`."""
        if number < self._count:
            return self._captured_ns(number) > until_ns
        sure_ns = int(_SURE * self.format.frame_interval_ns)
        return self._count > 0 and self._captured_ns(self._count - 1) + sure_ns >= until_ns

    def _adjacent(self, number: int, later: int) -> Frame | None:
        """Return a copy of picture `number` unless it is gone, to come, or a gap stands before `later` of the pair."""
        if not self._oldest() <= number < self._count or self._gap_before(later):
            return None
        return self._shot(number).frame


class Reader:
    """Every picture of one ring once, or one each `every_ns`, in order, until the ring ends or `stop`. For one thread."""

    def __init__(self, ring: Ring, first: int, every_ns: int = 0) -> None:
        """Made by `Ring.reader`."""
        self._ring = ring
        self._next = first
        self._every_ns = every_ns
        self._due_ns = 0
        self._lost = 0
        self._is_first = True
        self._until_ns: int | None = None

    @property
    def format(self) -> FrameFormat:
        """What its pictures hold."""
        return self._ring.format

    @property
    def capacity(self) -> int:
        """How many pictures its ring holds."""
        return self._ring.capacity

    @property
    def room(self) -> int:
        """How many pictures may still come before the next to be read is overwritten; 0 or less: it is gone."""
        return self._ring.capacity - (0 if self._every_ns else self._ring.count - self._next)

    def stop(self, until_ns: int) -> None:
        """End with the last picture captured at or before `until_ns`; callable from any thread."""
        self._until_ns = until_ns

    def take(self, timeout_s: float = 0.0) -> Shot | Wait | Ended:
        """Return the next picture, NOT_YET when none came in time, or, from then on, Ended."""
        taken = self._ring.take(self._next, self._until_ns, timeout_s, self._due_ns)
        if not isinstance(taken, Shot):
            return taken
        if self._every_ns:
            return self._lapsed(taken)
        overrun = taken.number - self._next
        missing = 0 if self._is_first else taken.lost - self._lost + overrun
        self._next, self._lost, self._is_first = taken.number + 1, taken.lost, False
        if missing == taken.missing and not overrun:
            return taken
        why = ("overrun",) * overrun + taken.why if missing == overrun + taken.missing else ()
        return replace(taken, missing=missing, overrun=overrun, why=why)

    def _lapsed(self, taken: Shot) -> Shot:
        """Set when the next one is due, on the beat of the first; none is missing between two, their times tell the rest."""
        captured_ns = taken.frame.captured_ns
        first_ns = self._due_ns or captured_ns
        self._due_ns = first_ns + ((captured_ns - first_ns) // self._every_ns + 1) * self._every_ns
        self._next = taken.number + 1
        return replace(taken, missing=0, why=(), repeated=0)

    def __iter__(self) -> Iterator[Shot]:
        """Wait for and yield each picture until the stream ends or is stopped; never in the thread that calls `Source.step`."""
        while not isinstance(taken := self.take(1.0), Ended):
            if isinstance(taken, Shot):
                yield taken


def with_neighbours(shots: Iterable[Shot]) -> Iterator[tuple[Frame | None, Shot, Frame | None]]:
    """Give each picture its direct neighbours, None across a gap: what a temporal de-interlacer may look at."""
    before: Frame | None = None
    current: Shot | None = None
    for after in shots:
        if current is not None:
            is_next = not after.missing and after.number == current.number + 1
            yield before, current, after.frame if is_next else None
            before = current.frame if is_next else None
        current = after
    if current is not None:
        yield before, current, None
