"""Frames drawn beforehand to a grabber that costs next to nothing: what is measured behind it is the gateway.

A buffer is a view of a frame that stays; six are lent at most, as a driver's: a reader that comes later than that loses frames,
and the sequence says so.
"""

import time

import cv2
import numpy as np
import pydicom.examples

from gateway.clock import Clock
from gateway.device.grabber import BUFFERS
from gateway.model import Field, Frame, FrameFormat, Matrix, Signal
from gateway.simulators.pictures import pack

FRAMES = 12
MODES = {
    "576i50": (720, 576, 25.0, Field.INTERLACED_TB),
    "720p60": (1280, 720, 60.0, Field.NONE),
    "1080p30": (1920, 1080, 30.0, Field.NONE),
    "1080p60": (1920, 1080, 60.0, Field.NONE),
}
"""Columns, rows, whole frames a second, field order."""


def format_of(mode: str) -> FrameFormat:
    """Return what a grabber says of a mode."""
    width, height, rate, field = MODES[mode]
    return FrameFormat(
        pixel_format="YUYV",
        width_px=width,
        height_px=height,
        stride_bytes=2 * width,
        field=field,
        matrix=Matrix.BT709 if height >= 720 else Matrix.BT601,
        frame_interval_ns=round(1e9 / rate),
        standard="PAL 625/50i" if field is not Field.NONE else f"{width}x{height}p{rate:g}",
    )


def frames(mode: str, sigma: float) -> list[np.ndarray]:
    """Return raw frames of real ultrasound (pydicom's jpeg2k), enlarged to a mode, each with noise of its own."""
    width, height, _, _ = MODES[mode]
    fmt, rng = format_of(mode), np.random.default_rng(1)
    large = cv2.resize(pydicom.examples.jpeg2k.pixel_array, (width, height), interpolation=cv2.INTER_CUBIC)
    drawn = []
    for _ in range(FRAMES if sigma else 1):
        noise = rng.normal(0, sigma, large.shape).astype(np.float32) if sigma else np.float32(0)
        picture = np.clip(np.rint(large + noise), 0, 255).astype(np.uint8)
        drawn.append(pack(picture, fmt).reshape(-1))
        drawn[-1].flags.writeable = False
    return drawn


class Paced:
    """A grabber that has been opened, with frames that are due at an even beat."""

    def __init__(self, fmt: FrameFormat, drawn: list[np.ndarray], clock: Clock) -> None:
        """Begin now."""
        self._format = fmt
        self._drawn = drawn
        self._clock = clock
        self._began_ns = clock.monotonic_ns()
        self._due = 0
        """Number of the next frame that the camera has not yet put into a buffer, or lost."""
        self._ready: list[int] = []
        self._lent = 0

    @property
    def format(self) -> FrameFormat:
        """What its buffers hold."""
        return self._format

    @property
    def input(self) -> str:
        """It has one."""
        return ""

    def signal(self) -> Signal:
        """It never goes."""
        return Signal.STREAMING

    def poll(self, timeout_s: float) -> Frame | None:
        """Return the next frame, None when none came in time."""
        until_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            self._advance()
            if self._ready:
                return self._lend(self._ready.pop(0))
            left_ns = min(until_ns, self._at(self._due)) - self._clock.monotonic_ns()
            if self._clock.monotonic_ns() >= until_ns:
                return None
            time.sleep(max(0.0, left_ns / 1e9))

    def release(self, _frame: Frame) -> None:
        """Take a buffer back."""
        self._lent -= 1

    def close(self) -> None:
        """Nothing to do."""

    def _at(self, number: int) -> int:
        return self._began_ns + (number + 1) * self._format.frame_interval_ns

    def _advance(self) -> None:
        while self._at(self._due) <= self._clock.monotonic_ns():
            if len(self._ready) + self._lent < BUFFERS:
                self._ready.append(self._due)
            self._due += 1

    def _lend(self, number: int) -> Frame:
        self._lent += 1
        return Frame(
            data=self._drawn[number % len(self._drawn)],
            format=self._format,
            sequence=number,
            field=self._format.field,
            captured_ns=self._at(number),
            buffer=number % BUFFERS,
        )


def opener(mode: str, sigma: float, clock: Clock):
    """Return what opens such a grabber; its frames are drawn now."""
    drawn = frames(mode, sigma)

    def opened() -> Paced:
        return Paced(format_of(mode), drawn, clock)

    return opened
