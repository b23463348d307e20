"""serial@PORT: what an instrument says to the journal, and from there to readings of the exam in progress, or to the inbox.

Bytes are in the port's journal, with their arrival times, before anyone parses them, and durable before anything is answered or
kept (law 1). What a service that died had heard and not kept is found behind the journal's mark at the next start. A set without
an exam is never guessed to be someone's: it waits in the inbox. An exam that begins, ends or changes ends the interval of a
stream (law 5). While the disk is full, what arrives waits in memory, and then on the line; nothing is answered.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway import exam as exams
from gateway import profile as profiles
from gateway.device.tty import Tty
from gateway.errors import DeviceError, DiskFull, LineSwitchedOff, NotReady
from gateway.model import Detection, InstrumentStatus
from gateway.service import compose, detecting, log, notify
from gateway.service.complaints import Complaints
from gateway.service.hearing import Hearing
from gateway.service.settling import Settling
from gateway.service.shown import Shown
from gateway.source.detect import Listener
from gateway.source.serial import Instrument
from gateway.spool import journal, live
from gateway.spool.journal import Journal

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.device.tty import LineErrors
    from gateway.profile import InstrumentProfile
    from gateway.service.bell import Bell
    from gateway.service.hearing import Ended
    from gateway.spool.heard import Mark
    from gateway.spool.journal import Place
    from gateway.spool.spool import Spool

LISTEN_S: Final = 0.1
PACE_S: Final = 0.03
"""A stream is read at most so often: a chunk and a turn for each few characters would be many."""
MINUTE_NS: Final = 60_000_000_000
HOUR_NS: Final = 60 * MINUTE_NS
ASSIGNED_NS: Final = 2_000_000_000
"""What was assigned is looked for so often, if nobody rings."""
PUBLISH_NS: Final = 300_000_000
REOPEN_S: Final = 2.0
MOST_UNHEARD_BYTES: Final = 1 << 20
BEHIND_BYTES: Final = 1 << 18
"""The mark is moved on without a set once it is so far behind."""


def serve(name: str, site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Serve one port until told to stop; an adapter that is unplugged is opened again when it is back."""
    line = site.serial[name]
    if not line.is_enabled:
        _rest(name, site, clock, stop, bell)
        return
    box = compose.Box(site=site, spool=spool, clock=clock)
    port = Port(name, box, profiles.instrument(line.instrument, site.own_profiles), bell)
    notify.ready()
    while not stop.is_set():
        try:
            with Tty(line.device, port.profile.line) as tty:
                port.plugged()
                port.listen(tty, stop)
        except DeviceError as error:
            port.unplugged(error)
            bell.wait(REOPEN_S)
    port.close()


def _rest(name: str, site: Site, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Open nothing of a port that is switched off, whose unit somebody left on: say so, until told to stop."""
    line, watchdog = site.serial[name], notify.Watchdog()
    problem = str(LineSwitchedOff(device=line.device))
    notify.ready()
    while not stop.is_set():
        watchdog.alive()
        live.write_instrument(
            site.run,
            InstrumentStatus(
                port=name,
                instrument=line.instrument,
                boot_id=clock.boot_id(),
                updated_ns=clock.monotonic_ns(),
                is_open=False,
                problem=problem,
            ),
        )
        bell.wait(REOPEN_S)


class _Heard(Struct, frozen=True):
    """What arrived, while the journal has no room for it."""

    data: bytes
    at: datetime
    now_ns: int
    is_damaged: bool


class Port:
    """One serial port at work."""

    def __init__(self, name: str, box: compose.Box, profile: InstrumentProfile, bell: Bell | None = None) -> None:
        """Open the journal of the port, and keep what a service that died had heard."""
        self.profile = profile
        self._name = name
        self._box = box
        self._bell = bell
        self._run = box.site.run
        self._journal = Journal(box.site.data / "serial" / name)
        self._hearing = Hearing(profile, box.clock.boot_id())
        self._settling = Settling(name, box, profile)
        self._shown = Shown(self._run, name, profile, box.clock.boot_id())
        self._complaints = Complaints(box.clock.monotonic_ns())
        self._watchdog = notify.Watchdog()
        self._logger = log.of(f"serial@{name}")
        self._unheard: deque[_Heard] = deque()
        self._is_hit = False
        """The line had errors since the last byte."""
        self._is_gone = self._is_full = False
        self._is_between = False
        """The exam has changed: what a stream says until it is heard is nobody's."""
        self._marked_ns = self._tidied_ns = self._assigned_ns = -HOUR_NS
        self._finish_abandoned()
        self._catch_up()

    def listen(self, tty: Tty, stop: threading.Event) -> None:
        """Serve the line; raises DeviceGone when it is unplugged."""
        while not stop.is_set():
            if live.take_detection(self._run, self._name):
                self._detect(tty, stop)
            self._turn(tty, tty.read(LISTEN_S))
            if self._has_enough:
                self._hold(tty, stop)
            elif self._hearing.is_stream:
                stop.wait(PACE_S)

    def _hold(self, tty: Tty, stop: threading.Event) -> None:
        """Let the instrument wait until there is room again, where its handshake knows how to say so."""
        tty.hold()
        while self._has_enough and not stop.is_set():
            self._turn(tty, b"")
            stop.wait(LISTEN_S)
        tty.resume()

    def plugged(self) -> None:
        """The line is open (again)."""
        if self._is_gone:
            self._settling.say("plugged in", "")
        self._is_gone, self._shown.is_open, self._shown.problem = False, True, ""

    def unplugged(self, error: DeviceError) -> None:
        """Say once that the line is gone; what a stream had said until then is kept."""
        now_ns = self._box.clock.monotonic_ns()
        if not self._is_gone:
            self._settling.say("unplugged", str(error))
            self._logger.warning("%s", error, extra={"CODE": error.code})
            self._finish_stream()
        self._is_gone, self._shown.is_open, self._shown.problem = True, False, str(error)
        if live.take_detection(self._run, self._name):
            live.write_detection(self._run, Detection(port=self._name, is_over=True))
        self._watchdog.alive()
        try:
            self._settle(self._hearing.tick(now_ns))
            self._keep_house(now_ns)
        except DiskFull as full:
            self._full(full)
        self._shown.publish(self._hearing.instrument.recent, now_ns, at_once=True)

    def close(self) -> None:
        """Keep what a stream has said, make the journal durable, and close it."""
        self._finish_stream()
        self._journal.close()
        self._move_mark(self._hearing.mark)

    # ---- one turn ----

    @property
    def _has_enough(self) -> bool:
        """Whether so much waits for room that the line must wait too."""
        is_brimful = self._is_full and sum(len(one.data) for one in self._unheard) > MOST_UNHEARD_BYTES
        return is_brimful or self._settling.has_enough

    def _turn(self, tty: Tty, data: bytes) -> None:
        """Journal what arrived, read it, keep what it ended, answer, and see to what is due."""
        self._watchdog.alive()
        now_ns = self._box.clock.monotonic_ns()
        errors = tty.errors()
        self._count(data, errors, now_ns)
        try:
            self._change_exam()
            self._hear()
            self._settle(self._hearing.tick(now_ns))
            self._journal.sync_by(now_ns)
            if not self._unheard:
                self._answer(tty, now_ns)
            self._keep_house(now_ns)
        except DiskFull as error:
            self._full(error)
        self._complain(now_ns)
        self._shown.publish(self._hearing.instrument.recent, now_ns)

    def _count(self, data: bytes, errors: LineErrors, now_ns: int) -> None:
        """Let what arrived wait for its place in the journal, and count the errors of the line."""
        is_hit = bool(errors.damaged or errors.overruns or errors.unplaced)
        if is_hit:
            self._shown.hit(errors)
            self._complaints.hit(errors)
        self._is_hit |= is_hit
        if data:
            self._unheard.append(_Heard(data, self._box.clock.now(), now_ns, self._is_hit))
            self._is_hit = False
            self._shown.heard(data, now_ns)

    def _change_exam(self) -> None:
        """End the interval of a stream where an exam has begun or ended: what has just arrived came before or after that."""
        former = self._settling.step
        if self._settling.look() and self._hearing.is_stream:
            for each in self._hearing.end():
                self._journal.sync()
                self._settling.settle_in(former, each)
            self._is_between = True

    def _hear(self) -> None:
        """Journal and read what waits. Raises DiskFull, and then the rest still waits."""
        while self._unheard:
            first = self._unheard[0]
            end = self._append(first)
            self._unheard.popleft()
            self._settle(self._hearing.receive(first.data, first.now_ns, end, is_damaged=first.is_damaged))
        if self._is_between:
            self._hearing.drop()
            self._move_mark(self._hearing.mark)
            self._is_between = False
        if self._is_full:
            self._is_full, self._shown.problem = False, ""
            self._settling.say("there is room again", "the journal goes on")

    def _append(self, heard: _Heard) -> Place:
        """Write a chunk. A new day is a new file while nothing is under way; its mark comes before its first byte."""
        file = journal.file_of(heard.at)
        is_new_day = self._journal.place.file != file and self._hearing.is_quiet
        if is_new_day and self._settling.is_even:
            self._finish_stream()  # an interval in two files would be lost with the service: only the marked one is read again
        if is_new_day and self._settling.is_even:
            self._journal.open(file)
            self._hearing.moved(self._journal.place)
        if self._journal.place.file != self._settling.marked.file:
            self._move_mark(self._hearing.mark)
        append = partial(
            self._journal.append, heard.data, heard.at, heard.now_ns, is_damaged=heard.is_damaged, stays=True
        )
        try:
            return append()
        except DiskFull:
            if self._settling.step is None:
                raise
            self._box.spool.quota.make_way()  # the running exam may use the ballast
            return append()

    def _settle(self, ended: Iterable[Ended]) -> None:
        """Keep sets, after the bytes they are made of are durable."""
        for each in ended:
            self._journal.sync()
            self._shown.sets += 1
            self._settling.settle(each)

    def _finish_stream(self) -> None:
        for each in self._hearing.end():
            self._journal.sync()
            self._settling.settle_in(self._settling.step, each)

    def _answer(self, tty: Tty, now_ns: int) -> None:
        """Send what the instrument waits for, after what it sent is durable."""
        instrument = self._hearing.instrument
        if sent := instrument.answer() + instrument.due(now_ns):
            self._journal.sync()
            try:
                tty.write(sent)
            except NotReady as error:
                self._complaints.refused(error)

    # ---- what is due ----

    def _keep_house(self, now_ns: int) -> None:
        self._settling.try_again(now_ns)
        is_rung = self._bell is not None and not self._is_gone and self._bell.wait(0.0)
        if is_rung or now_ns - self._assigned_ns >= ASSIGNED_NS:
            self._assigned_ns = now_ns
            self._settling.take_assigned()
        mark = self._hearing.mark
        if now_ns - self._marked_ns >= MINUTE_NS and _is_behind(self._settling.marked, mark):
            self._move_mark(mark)
        if now_ns - self._tidied_ns >= HOUR_NS:
            self._tidied_ns = now_ns
            self._settling.tidy()

    def _move_mark(self, mark: Mark) -> None:
        """Say how far the journal is turned into sets; what lies before a mark is durable."""
        self._journal.sync()
        self._marked_ns = self._box.clock.monotonic_ns()
        self._settling.move_mark(mark)

    def _full(self, error: DiskFull) -> None:
        """Say once that there is no room; what is unheard waits, and when that is much, the line does."""
        if not self._is_full:
            self._logger.error("%s", error, extra={"CODE": error.code})
            self._shown.problem = str(error)
        self._is_full = True

    def _complain(self, now_ns: int) -> None:
        """Write into the history what could not be read, once a minute, with how often."""
        unreadable = self._hearing.instrument.errors()
        self._shown.unreadable += len(unreadable)
        self._complaints.unread(unreadable)
        for what, text in self._complaints.due(now_ns):
            self._settling.say(what, text)

    # ---- finding out how the line is set ----

    def _detect(self, tty: Tty, stop: threading.Event) -> None:
        """Listen at one setting after another, and say what was found; what is heard goes to the journal and makes no sets.

        Something is sent only where the instrument of this port waits to be asked anyhow.
        """
        self._finish_stream()
        asks = bool(Instrument(self.profile).due(self._box.clock.monotonic_ns()))
        known, _ = detecting.known(self._box.site.own_profiles)
        listener, published_ns = Listener(self._name, known, may_ask=asks), 0
        self._settling.say("looking for its settings", "")
        try:
            for found in detecting.detect(tty, listener, self._box.clock, self._overhear):
                self._watchdog.alive()
                now_ns = self._box.clock.monotonic_ns()
                if now_ns - published_ns >= PUBLISH_NS:
                    live.write_detection(self._run, found)
                    published_ns = now_ns
                self._shown.publish(self._hearing.instrument.recent, now_ns)
                if stop.is_set():
                    break
            tty.change(self.profile.line)
        finally:
            live.write_detection(self._run, structs.replace(listener.found(), is_over=True, trying=""))
            self._hearing.begin(self._journal.place)
            with suppress(DiskFull):
                self._move_mark(self._hearing.mark)

    def _overhear(self, data: bytes) -> None:
        """Journal what is heard meanwhile, if there is room; who dies now makes no sets of it either."""
        clock = self._box.clock
        self._shown.heard(data, clock.monotonic_ns())
        with suppress(DiskFull):
            self._hearing.moved(self._append(_Heard(data, clock.now(), clock.monotonic_ns(), is_damaged=False)))
            self._move_mark(self._hearing.mark)

    # ---- at the start ----

    def _finish_abandoned(self) -> None:
        """Close what this port was storing when its process died: nothing is there yet, and the journal has it."""
        for capture in self._box.spool.captures.abandoned(self._name):
            exams.finish_capture(self._box.spool, capture, note="not kept: the power failed; the journal has it")

    def _catch_up(self) -> None:
        """Keep what stands in the journal behind its mark, and go on behind that; a port without a mark begins at the end."""
        folder = self._box.site.data / "serial" / self._name
        self._settling.look()
        mark = self._settling.marked
        if not mark.file or not (folder / mark.file).exists():
            self._hearing.begin(self._journal.open(journal.file_of(self._box.clock.now())))
        else:
            place = self._journal.open(mark.file, mark.offset)
            self._settle(self._hearing.catch_up(journal.read(folder / mark.file, min(mark.offset, place.offset)), mark))
        self._move_mark(self._hearing.mark)


def _is_behind(marked: Mark, mark: Mark) -> bool:
    return marked.file != mark.file or mark.offset - marked.offset >= BEHIND_BYTES
