"""Sets of readings to where they belong: the exam in progress at their station, the inbox, or nobody.

A set is of an exam when that was in progress as its first byte came and still is: law 5. Without one, what was printed waits in
the inbox, durable before it is said; a stream is only shown, the journal has it. The mark of the journal moves in the very
transaction that keeps a set, so that it is kept once, whatever dies. While the disk is full sets wait here, in their order.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.errors import DiskFull, GatewayError
from gateway.service import giving, log, readings
from gateway.spool import journal
from gateway.spool.heard import Kept, digest

if TYPE_CHECKING:
    from gateway.model import Capture, PerformedStep, ReadingSet
    from gateway.profile import InstrumentProfile
    from gateway.service.compose import Box
    from gateway.service.hearing import Ended
    from gateway.spool.heard import Mark

AGAIN_NS: Final = 5_000_000_000
"""What found no room is tried again after so long."""
MOST_OWED: Final = 200
MOST_OWED_BYTES: Final = 64 << 20
"""So many sets, or so much of their curves, wait for room in memory; then the line waits."""
ROOM_BYTES: Final = 1 << 20
NO_EXAM: Final = "No exam was in progress."
BEFORE_THE_EXAM: Final = "It began before the exam did."
BEFORE_THE_RESTART: Final = "It came before the box was restarted."
MB: Final = 1 << 20


class _Owed(Struct, frozen=True):
    """A set that is to be kept, and in which exam; None: it waits for a person, and why."""

    ended: Ended
    step: PerformedStep | None
    why: str = ""


class Settling:
    """What becomes of the sets of one port."""

    def __init__(self, name: str, box: Box, profile: InstrumentProfile) -> None:
        """Nothing is owed."""
        self._name = name
        self._box = box
        self._profile = profile
        self._station = box.site.serial[name].station or name
        self._logger = log.of(f"serial@{name}")
        self._owed: deque[_Owed] = deque()
        self._version = -1
        self._step: PerformedStep | None = None
        self._again_ns = 0
        self.marked = box.spool.heard.mark(name)
        """How far the journal is turned into sets, as the spool has it."""

    @property
    def is_even(self) -> bool:
        """Whether nothing waits to be kept."""
        return not self._owed

    @property
    def has_enough(self) -> bool:
        """Whether so many sets, or such long ones, wait for room that the line must wait too."""
        curves = (len(trace.samples) for owed in self._owed for trace in owed.ended.readings.traces)
        return len(self._owed) >= MOST_OWED or sum(curves) >= MOST_OWED_BYTES

    def look(self) -> bool:
        """Look which exam is in progress; say whether it is another one than at the last look."""
        version = self._box.spool.data_version()
        if version == self._version:
            return False
        self._version = version
        step, before = self._box.spool.exams.running(self._station), self._step
        self._step = step
        return (step and step.exam_id) != (before and before.exam_id)

    def settle(self, ended: Ended) -> None:
        """Keep a set in the exam that it belongs to, or where it waits for a person."""
        if not self._profile.collect_s:  # a stream is told of a change by whoever calls `look`
            self.look()
        why = self._why_not(self._step, ended)
        self._owe(_Owed(ended, None if why else self._step, why))

    def settle_in(self, step: PerformedStep | None, ended: Ended) -> None:
        """Keep the interval of a stream in the exam in which it was measured, which may just have ended."""
        self._owe(_Owed(ended, step, "" if step else NO_EXAM))

    @property
    def step(self) -> PerformedStep | None:
        """The exam in progress, as of the last look."""
        return self._step

    def try_again(self, now_ns: int) -> None:
        """Keep what found no room, if there is some now."""
        if self._owed and now_ns >= self._again_ns:
            self._pay(now_ns)

    def move_mark(self, mark: Mark) -> None:
        """Write down how far the journal is turned into sets, unless some of them still wait to be kept."""
        if self.is_even and mark != self.marked:
            self._box.spool.heard.turned(self._name, mark)
            self.marked = mark

    def take_assigned(self) -> None:
        """Keep what a person has assigned to this port, or say why not."""
        giving.take(self._box, self._name, [self._profile])

    def tidy(self) -> None:
        """Forget what is older than this site keeps it; while the clock is in doubt nothing is old."""
        if self._box.clock.doubt():
            return
        now, keeps = self._box.clock.now(), self._box.site.spool
        before = now - timedelta(days=keeps.retention_days)
        self._box.spool.inbox.prune(before)
        self._box.spool.heard.prune(before)
        removed = journal.prune(
            self._box.site.data / "serial" / self._name,
            journal.file_of(now - timedelta(days=keeps.journal_days)),
            keeps.journal_mb * MB,
            self.marked.file,
        )
        if removed:
            self.say("journals were removed", f"{removed[0]} to {removed[-1]}, {len(removed)} days")

    def say(self, what: str, text: str) -> None:
        """Write into the history of the port; without room, into the log."""
        try:
            self._note(what, text)
        except DiskFull:
            self._logger.warning("%s: %s", what, text)

    # ---- whose it is ----

    def _why_not(self, step: PerformedStep | None, ended: Ended) -> str:
        """Say why a set is not of an exam; empty: it is."""
        if step is None:
            return NO_EXAM
        is_of_this_boot = step.boot_id == self._box.clock.boot_id()
        if ended.began_at is None:
            return BEFORE_THE_EXAM if is_of_this_boot and ended.began_ns < step.started_ns else ""
        is_doubtful = bool(step.clock_doubt or self._box.clock.doubt())
        if is_of_this_boot or is_doubtful or not step.started_at <= ended.began_at <= self._box.clock.now():
            return BEFORE_THE_RESTART
        return ""

    def _note(self, what: str, text: str) -> None:
        self._box.spool.history.add(f"port {self._name}", what, text=text)

    def _owe(self, owed: _Owed) -> None:
        self._owed.append(owed)
        if len(self._owed) == 1:
            self._pay(self._box.clock.monotonic_ns())

    def _pay(self, now_ns: int) -> None:
        is_again = self._again_ns > 0
        if is_again and self._box.spool.quota.room().free_bytes < ROOM_BYTES:
            self._again_ns = now_ns + AGAIN_NS
            return
        while self._owed:
            try:
                self._keep(self._owed[0])
            except DiskFull as error:
                self._again_ns = now_ns + AGAIN_NS
                if not is_again:
                    self._logger.error("%s", error, extra={"CODE": error.code})  # noqa: TRY400  the sentence says it
                return
            self.marked = self._owed.popleft().ended.mark
        if is_again:
            self._again_ns = 0
            self.say("there is room again", "what had waited for it is kept")

    def _keep(self, owed: _Owed) -> None:
        """Keep one set. Raises DiskFull when not even the inbox has room."""
        ended = owed.ended
        if owed.step is None:
            self._let_wait(ended, owed.why)
            return
        said = self._timed(ended)
        if self._is_reprint(owed.step, said, self._came_at(ended)):
            with self._box.spool.transaction():
                self._box.spool.heard.turned(self._name, ended.mark)
                self._note("a reprint came", f"{len(said.observations)} values, the same as before: no second object")
            return
        try:
            readings.keep(self._box, self._name, self._profile, owed.step, said, also=partial(self._kept, ended))
        except DiskFull:
            raise
        except GatewayError as error:
            self._logger.error("%s", error, extra={"EXAM": str(owed.step.exam_id), "CODE": error.code})  # noqa: TRY400
            self.say("a reading could not be kept", str(error))
            self._let_wait(ended, str(error))

    def _kept(self, ended: Ended, capture: Capture) -> None:
        """What belongs to a kept set, in its transaction."""
        kept = Kept(exam_id=capture.exam_id, capture=capture.number)
        self._box.spool.heard.turned(self._name, ended.mark)
        self._box.spool.heard.remember(self._name, digest(ended.readings), kept, self._came_at(ended))

    def _let_wait(self, ended: Ended, why: str) -> None:
        """Let a set wait for a person; of a stream there is nothing to decide, the journal has it."""
        said = ended.readings
        with self._box.spool.transaction():
            self._box.spool.heard.turned(self._name, ended.mark)
            if self._profile.collect_s:
                return
            since = self._came_at(ended) - self._reprints
            if self._reprints and self._box.spool.inbox.has(self._name, digest(said), since):
                self._note("a reprint came", f"{len(said.observations)} values, the same wait in the inbox already")
                return
            self._box.spool.inbox.add(self._name, self._profile.title, said, received_at=ended.received_at, problem=why)
            self._note("a reading came without an exam", f"{len(said.observations)} values wait in the inbox: {why}")

    # ---- when, and whether it came before ----

    @property
    def _reprints(self) -> timedelta:
        return timedelta(minutes=self._profile.reprint_minutes)

    def _is_reprint(self, step: PerformedStep, said: ReadingSet, came_at: datetime) -> bool:
        """Say whether the same was printed for this exam some minutes before or after, and is still a part of it."""
        if not self._reprints:
            return False
        found = self._box.spool.heard.same(self._name, digest(said), step.exam_id, came_at, self._reprints)
        return found is not None

    def _timed(self, ended: Ended) -> ReadingSet:
        """The readings of a set, timed by this boot's clock."""
        if ended.received_at is None:
            return ended.readings
        return readings.in_this_boot(self._box, ended.received_at, ended.readings)

    def _came_at(self, ended: Ended) -> datetime:
        if ended.received_at is not None:
            return ended.received_at
        clock = self._box.clock
        return clock.now() - timedelta(microseconds=(clock.monotonic_ns() - ended.readings.received_ns) // 1000)
