"""`simulator:SCRIPT` to the frames a grabber would deliver: real ultrasound or a phantom, raw, paced, and faulty on demand.

The script's words stand in `gateway.simulators.pictures`, the faults in `gateway.simulators.scanner`. Sequence, field and
time stamps behave as V4L2's do: frames are numbered from the stream's start, the time is CLOCK_MONOTONIC at the end of the
frame, and a reader that keeps all buffers loses frames. It remembers what it handed out and got back, so that tests can ask.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.clock import Clock
from gateway.device.grabber import BUFFERS, Grabber
from gateway.errors import DeviceBusy, DeviceGone, FormatChanged, NoSignal
from gateway.model import Frame, FrameFormat, Signal
from gateway.simulators.scanner import REMEMBERED, Scanner, Stream, pipe_of


class Simulator:
    """One simulated grabber with a scanner behind it, to be opened again and again: `Source(simulator.open, clock)`."""

    def __init__(self, scanner: Scanner, name: str = "simulator") -> None:
        """`name` is what its errors call it."""
        self.scanner = scanner
        self.name = name
        self.seen: deque[tuple[int, int, int]] = deque(maxlen=REMEMBERED)
        """(sequence, field, captured_ns) of every frame handed out."""
        self.released: deque[int] = deque(maxlen=REMEMBERED)
        """Sequence of every frame handed back."""
        self.opened = 0

    def open(self) -> SimulatedGrabber:
        """Open it. Raises DeviceGone, DeviceBusy, NoSignal."""
        self.scanner.look()
        if not self.scanner.is_plugged:
            raise DeviceGone(device=self.name)
        if self.scanner.is_busy:
            raise DeviceBusy(device=self.name)
        if self.scanner.signal is not Signal.LOCKED:
            raise NoSignal(device=self.name, signal=self.scanner.signal)
        self.opened += 1
        return SimulatedGrabber(self)

    def do(self, command: str) -> None:
        """Give its scanner a command. Raises ValueError."""
        self.scanner.do(command)

    def raw(self, sequence: int) -> bytes:
        """Return what the grabber delivers as frame `sequence`, exactly."""
        return self.scanner.playback.raw(sequence).tobytes()

    def truth(self, sequence: int) -> npt.NDArray[np.uint8]:
        """Return frame `sequence`, woven, as RGB by float64 arithmetic, (height, width, 3)."""
        return self.scanner.playback.truth(sequence)


class SimulatedGrabber:
    """One opening of a Simulator: a stream. Used by one thread."""

    def __init__(self, simulator: Simulator) -> None:
        """Start streaming."""
        self._simulator = simulator
        self._scanner = simulator.scanner
        memory_bytes = self._scanner.playback.format.frame_bytes
        self._memories = [np.zeros(memory_bytes, np.uint8) for _ in range(BUFFERS)]
        self._stream = Stream(self._scanner, self._memories)
        self._lent: dict[int, int] = {}
        self._is_streaming = False
        for index in range(BUFFERS):
            self._stream.queue(index)

    @property
    def format(self) -> FrameFormat:
        """What its buffers hold."""
        return self._stream.playback.format

    @property
    def input(self) -> str:
        """It has one connector."""
        return ""

    def signal(self) -> Signal:
        """Say what stands on the cable. Raises DeviceGone."""
        self._look()
        is_streaming = self._is_streaming and self._scanner.signal is Signal.LOCKED
        return Signal.STREAMING if is_streaming else self._scanner.signal

    def poll(self, timeout_s: float) -> Frame | None:
        """Return the next frame in order, None when none came in time. Raises DeviceGone, NoSignal, FormatChanged."""
        clock = self._scanner.clock
        until_ns = clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            self._look()
            self._raise_change()
            self._stream.advance()
            if self._stream.is_ready:
                return self._take()
            if clock.monotonic_ns() >= until_ns:
                return None
            self._stream.wait(until_ns)

    def release(self, frame: Frame) -> None:
        """Take a buffer back. Raises ValueError for a frame that is not lent."""
        sequence = self._lent.pop(frame.buffer, None)
        if sequence is None:
            raise ValueError(f"buffer {frame.buffer} is not lent")
        self._simulator.released.append(sequence)
        self._stream.queue(frame.buffer)

    def close(self) -> None:
        """Stop; frames that were not handed back stay readable."""
        self._lent.clear()

    def _look(self) -> None:
        self._scanner.look()
        if not self._scanner.is_plugged:
            raise DeviceGone(device=self._simulator.name)

    def _raise_change(self) -> None:
        if not self._stream.has_changed:
            return
        if self._scanner.signal is not Signal.LOCKED:
            raise NoSignal(device=self._simulator.name, signal=self._scanner.signal)
        now = self._scanner.playback.format.standard
        raise FormatChanged(device=self._simulator.name, was=self.format.standard, now=now)

    def _take(self) -> Frame | None:
        taken = self._stream.take()
        if taken is None:
            return None
        index, exposure, used = taken
        self._is_streaming = True
        self._lent[index] = exposure.sequence
        self._simulator.seen.append((exposure.sequence, exposure.field, exposure.captured_ns))
        data = self._memories[index][:used]
        data.flags.writeable = False
        return Frame(
            data=data,
            format=self.format,
            sequence=exposure.sequence,
            field=exposure.field,
            captured_ns=exposure.captured_ns,
            has_error=exposure.fault == "e",
            buffer=index,
        )


def simulator(
    script: str,
    clock: Clock,
    *,
    run: Path | None = None,
    station: str = "simulator",
    wait: Callable[[float], None] = time.sleep,
) -> Simulator:
    """Make one from a script; with `run` it takes commands from `<run>/sim/<station>`. Raises ValueError for a bad script."""
    pipe = pipe_of(run, station) if run is not None else None
    return Simulator(Scanner(script, clock, wait=wait, pipe=pipe), station)


def open(script: str, clock: Clock) -> SimulatedGrabber:  # noqa: A001  `grabber.open()` is what it does, as in gateway.device
    """Open a simulated grabber once; to open it again after a fault, keep the `simulator`."""
    return simulator(script, clock).open()


_the_simulator: type[Grabber] = SimulatedGrabber
