"""A scanner, its cable and a capture chip: what a driver would find when it looks, and what goes wrong with it on demand.

Both doubles stand on it: `gateway.simulators.grabber` at the Grabber's methods, `gateway.simulators.kernel` at the syscalls.
A fault is a command, given by a test (`Scanner.do`) or written as a line into the named pipe `<run>/sim/<station>`:

    drop N | error N | short N      the next N frames are lost, flagged as corrupt, or cut off
    half N                          the next N frames lose their second field (alternate only)
    twice N                         the next N frames are delivered twice, under one sequence and time
    freeze on | off                 somebody freezes the picture at the scanner, or lets it run
    jump N | back MS                the sequence skips N with no time passing; the clock goes back, once and for good
    signal on | off | unlocked | wild        there, gone, without lock, out of range
    cable on | off                  is one plugged in
    format WORD[,WORD]...           another mode of the scanner: words of its script
    unplug | replug                 the grabber itself
    busy on | off                   another program holds it
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from gateway.clock import Clock
from gateway.model import Field, Signal
from gateway.simulators.pictures import Playback, parse, with_word

REMEMBERED: Final = 10_000
"""How many frames and buffers a double remembers having handed out."""
_LOOK_S: Final = 0.05
"""How often a double that waits looks at its commands."""
_SIGNALS: Final = {
    "signal on": Signal.LOCKED,
    "signal off": Signal.NO_SIGNAL,
    "signal unlocked": Signal.NO_LOCK,
    "signal wild": Signal.OUT_OF_RANGE,
    "cable on": Signal.LOCKED,
    "cable off": Signal.NO_CABLE,
}
_COUNTED: Final = {"drop": "d", "error": "e", "short": "s", "half": "h", "twice": "t"}


class Exposure(Struct, frozen=True, kw_only=True):
    """One buffer that a capture chip would fill."""

    sequence: int
    field: Field
    captured_ns: int
    fault: str = "."
    shows: int = 0
    """Which picture of the loop it holds: that of its number, unless the scanner is frozen."""


class Scanner:
    """The world in front of the driver. It outlives every opening of the device."""

    def __init__(
        self,
        script: str,
        clock: Clock,
        *,
        wait: Callable[[float], None] = time.sleep,
        pipe: Path | None = None,
        playbacks: dict[str, Playback] | None = None,
    ) -> None:
        """`wait` lets time pass: `time.sleep`, or a manual clock's own; `playbacks` may be shared, they never change.

        Raises ValueError for a script it cannot read.
        """
        self.clock = clock
        self.wait = wait
        self._playbacks = {} if playbacks is None else playbacks
        self._script = parse(script)
        self._pipe = _Pipe(pipe) if pipe else None
        self._waiting: deque[str] = deque()
        self._faults: deque[str] = deque(self._script.faults)
        self.playback = self._play()
        self.signal = Signal.LOCKED
        self.is_plugged = True
        self.is_busy = False
        self.changes = 0
        """How often the source changed: a driver compares it with what it saw last."""
        self.is_frozen = False
        self.frozen_at: int | None = None
        """The picture that stands, from the first one after the key on."""
        self.jump = 0
        self.back_ns = 0
        self.refused: list[str] = []
        """Lines from the pipe that no command matched."""
        self.commands: list[str] = []
        """What was done, in order."""

    def do(self, command: str) -> None:
        """Obey at the driver's next look. Raises ValueError for a command it does not know."""
        _check(command)
        self._waiting.append(command)

    def look(self) -> None:
        """Obey what was asked meanwhile."""
        if self._pipe is not None:
            for line in self._pipe.lines():
                try:
                    self.do(line)
                except ValueError:
                    self.refused.append(line)
        while self._waiting:
            self._obey(self._waiting.popleft())

    def next_fault(self) -> str:
        """Return the next frame's letter."""
        return self._faults.popleft() if self._faults else "."

    def close(self) -> None:
        """Remove the pipe."""
        if self._pipe is not None:
            self._pipe.close()

    def _obey(self, command: str) -> None:
        self.commands.append(command)
        word, _, rest = command.partition(" ")
        if command in _SIGNALS:
            self.signal = _SIGNALS[command]
            self.changes += 1
        elif word in _COUNTED:
            self._faults.extend(_COUNTED[word] * int(rest))
        elif word == "format":
            for each in rest.split(","):
                self._script = with_word(self._script, each)
            self.playback = self._play()
            self.changes += 1
        else:
            self._obey_rest(word, rest)

    def _obey_rest(self, word: str, rest: str) -> None:
        match word:
            case "unplug" | "replug":
                self.is_plugged = word == "replug"
            case "busy":
                self.is_busy = rest == "on"
            case "freeze":
                self.is_frozen, self.frozen_at = rest == "on", None
            case "jump":
                self.jump += int(rest)
            case _:
                self.back_ns += int(rest) * 1_000_000

    def _play(self) -> Playback:
        key = repr(replace(self._script, faults=""))
        if key not in self._playbacks:
            self._playbacks[key] = Playback(self._script)
        return self._playbacks[key]


class Stream:
    """What a driver does between STREAMON and STREAMOFF: at each frame's end it fills the buffer that waits longest, or drops."""

    def __init__(self, scanner: Scanner, memories: list[npt.NDArray[np.uint8]]) -> None:
        """Begin now, with every buffer still at the reader's side."""
        self.scanner = scanner
        self.playback = scanner.playback
        self._memories = memories
        self._start_ns = scanner.clock.monotonic_ns()
        self._changes = scanner.changes
        self._fields = 2 if self.playback.format.field is Field.ALTERNATE else 1
        self._step = 0
        self._letter = "."
        self._queued: deque[int] = deque()
        self._filled: deque[tuple[int, Exposure]] = deque()

    @property
    def has_changed(self) -> bool:
        """Is the source another than when the stream began?"""
        return self.scanner.changes != self._changes

    @property
    def is_ready(self) -> bool:
        """Does a filled buffer wait?"""
        return bool(self._filled)

    def queue(self, index: int) -> None:
        """Take a buffer to be filled."""
        self.advance()
        self._queued.append(index)

    def take(self) -> tuple[int, Exposure, int] | None:
        """Return the oldest filled buffer, what is in it and how many bytes; None when there is none."""
        if not self._filled:
            return None
        index, exposure = self._filled.popleft()
        size = self.playback.fill(self._memories[index], exposure.shows, exposure.field)
        return index, exposure, size // 2 if exposure.fault == "s" else size

    def advance(self) -> None:
        """Let everything happen that was due until now."""
        now_ns = self.scanner.clock.monotonic_ns()
        while self._due_ns() <= now_ns and not self.has_changed and self.scanner.is_plugged:
            self._expose()

    def wait(self, until_ns: int) -> None:
        """Let time pass until the next frame is due, or a command may have come, or `until_ns`."""
        now_ns = self.scanner.clock.monotonic_ns()
        will_come = self.scanner.signal is Signal.LOCKED and not self.has_changed
        soonest_ns = min(self._due_ns(), until_ns) if will_come else until_ns
        self.scanner.wait(min(_LOOK_S, max(0.0, (soonest_ns - now_ns) / 1e9)))

    def _due_ns(self) -> int:
        """When the field (or frame) that runs now ends."""
        return self._start_ns + (self._step + 1) * self.playback.format.frame_interval_ns // self._fields

    def _expose(self) -> None:
        frame, field = divmod(self._step, self._fields)
        if field == 0:
            self._letter = self.scanner.next_fault()
        due_ns = self._due_ns()
        self._step += 1
        is_lost = self._letter == "d" or (self._letter == "h" and field == 1)
        if is_lost or not self._queued or self.scanner.signal is not Signal.LOCKED:
            return
        if self.scanner.is_frozen and self.scanner.frozen_at is None:
            self.scanner.frozen_at = frame + self.scanner.jump
        exposure = Exposure(
            sequence=frame + self.scanner.jump,
            shows=frame + self.scanner.jump if self.scanner.frozen_at is None else self.scanner.frozen_at,
            field=self._field(field),
            captured_ns=due_ns - self.scanner.back_ns,
            fault=self._letter,
        )
        for _ in range(2 if self._letter == "t" and len(self._queued) > 1 else 1):
            self._filled.append((self._queued.popleft(), exposure))

    def _field(self, field: int) -> Field:
        fmt = self.playback.format
        if fmt.field is not Field.ALTERNATE:
            return fmt.field
        is_bottom = (field == 0) == self.playback.is_bottom_first
        return Field.BOTTOM if is_bottom else Field.TOP


class ManualClock:
    """Time that passes when it is asked to: with `wait=clock.advance`, a double plays as fast as anybody reads."""

    def __init__(self, clock: Clock, start_ns: int = 1_000_000_000) -> None:
        """`clock` says everything but the time."""
        self._clock = clock
        self._ns = start_ns
        self.now = clock.now
        self.boot_id = clock.boot_id
        self.doubt = clock.doubt

    def monotonic_ns(self) -> int:
        """Return the time so far."""
        return self._ns

    def advance(self, seconds: float) -> None:
        """Let time pass; at least a nanosecond, so that whoever waits gets there."""
        self._ns += max(1, round(seconds * 1e9))


def tell(run: Path, station: str, command: str) -> None:
    """Give the simulator of `station`, in whatever process, a command. Raises ValueError; OSError where none listens."""
    _check(command)
    pipe = os.open(pipe_of(run, station), os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(pipe, f"{command}\n".encode())
    finally:
        os.close(pipe)


def pipe_of(run: Path, station: str) -> Path:
    """Return where the simulator of a station takes its commands."""
    return run / "sim" / station


def _check(command: str) -> None:
    """Refuse what is no command. Raises ValueError."""
    word, _, rest = command.partition(" ")
    if command in _SIGNALS or command in {"unplug", "replug", "busy on", "busy off", "freeze on", "freeze off"}:
        return
    if word in {*_COUNTED, "jump", "back"} and rest.isdecimal():
        return
    if word != "format" or not rest:
        raise ValueError(f"no command {command!r}")
    script = parse("phantom")
    for each in rest.split(","):
        script = with_word(script, each)


class _Pipe:
    """A named pipe that is never at its end: it is held open for writing too."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.exists() and stat.S_ISFIFO(path.stat().st_mode)):
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o660)
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""

    def lines(self) -> list[str]:
        """Return the whole lines that came."""
        try:
            self._rest += os.read(self._fd, 4096)
        except BlockingIOError:
            return []
        *whole, self._rest = self._rest.split(b"\n")
        return [line.decode("utf-8", "replace").strip() for line in whole if line.strip()]

    def close(self) -> None:
        os.close(self._fd)
        self._path.unlink(missing_ok=True)


_the_manual_clock: type[Clock] = ManualClock
