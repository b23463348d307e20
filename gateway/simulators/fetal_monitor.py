"""A GE Corometrics 170 series fetal monitor in "115 update" mode on a simulated line, at its real pace.

Written from the text of the 170 series service manual's pages (8-11, 8-13, 8-14), apart from the parser: a heart rate each
quarter of a second, the uterine activity each eighth, the modes each minute. Every sample is computed from its number.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading

    from gateway.simulators.instrument import SimulatedInstrument

MONITOR, ID, END_OF_TEXT = b"9", b"0", b"\x03"
HEART_RATE_1, UTERINE_ACTIVITY, MODES, EVENT_MARK, HEART_RATE_2, MOVEMENT = b"`", b"a", b"b", b"d", b"e", b"f"
PEN_LIFT_RATE, PEN_LIFT_ACTIVITY = b"00", b"128"
TICKS_A_SECOND: Final = 8
TICKS_A_MINUTE: Final = 480


class FetalMonitor:
    """One monitor. Faults: `noise` before each message; `switch_off` in the middle of one, and on again."""

    def __init__(self, line: SimulatedInstrument, *, is_twin: bool = True, noise: bytes = b"") -> None:
        """`is_twin`: it measures a second heart rate."""
        self._line = line
        self._is_twin = is_twin
        self._noise = noise
        self._is_marked = False
        self.is_lifted = False
        """The transducers are off: the pens are lifted."""
        self._is_on = True
        self._cut_at: int | None = None

    def press_mark(self) -> None:
        """Somebody presses Mark."""
        self._is_marked = True

    def switch_off(self, cut_at: int) -> None:
        """The power goes after so many bytes of what is sent next."""
        self._cut_at = cut_at

    def switch_on(self) -> None:
        """The power is back."""
        self._is_on = True

    def serve(self, stop: threading.Event) -> None:
        """Send until told to stop."""
        began, tick = time.monotonic(), 0
        while not stop.is_set():
            self._line.print(self.tick(tick))
            tick += 1
            time.sleep(max(0.0, began + tick / TICKS_A_SECOND - time.monotonic()))

    def tick(self, number: int) -> bytes:
        """Return what is sent in one eighth of a second."""
        if not self._is_on:
            return b""
        messages = []
        if self._is_marked:
            self._is_marked = False
            messages.append(message(EVENT_MARK, b""))
        if number % TICKS_A_MINUTE == 0:
            messages.append(message(MODES, b"AA"))
        activity = PEN_LIFT_ACTIVITY if self.is_lifted else b"%02d" % uterine_activity(number)
        messages.append(message(UTERINE_ACTIVITY, activity))
        if number % 2 == 0:
            rate = PEN_LIFT_RATE if self.is_lifted else b"%02d" % heart_rate(number // 2)
            messages.append(message(HEART_RATE_1, rate))
            messages.append(message(MOVEMENT, b"%d" % is_moving(number // 2)))
            if self._is_twin:
                messages.append(message(HEART_RATE_2, b"%02d" % (heart_rate(number // 2) - 12)))
        sent = b"".join(self._noise + each for each in messages)[: self._cut_at]
        if self._cut_at is not None:
            self._cut_at, self._is_on = None, False
        return sent


def message(kind: bytes, data: bytes) -> bytes:
    """Return one message: monitor type, response type, monitor ID, data, end of text."""
    return MONITOR + kind + ID + data + END_OF_TEXT


def heart_rate(index: int) -> int:
    """Return one sample of the first heart rate, in beats a minute: a base line that wanders and slows in contractions."""
    return round(140 + 6 * math.sin(index / 9) - 25 * max(0.0, math.sin(index / 180)) ** 8)


def uterine_activity(index: int) -> int:
    """Return one sample of the uterine activity, in relative units: a contraction every few minutes."""
    return round(12 + 55 * max(0.0, math.sin(index / 360)) ** 4)


def is_moving(index: int) -> bool:
    """Say whether the fetus moves at one sample of the heart rate: for a second, three times a minute."""
    return index % 80 < 4
