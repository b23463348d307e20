"""The samples of a stream and the clock: how many have gone missing on the way, so that a curve stays true to its time.

A monitor numbers neither its samples nor its seconds. What is lost is known only because the clock has gone on: the gap is
filled with NO_SAMPLE (model.py), never closed. Pure: CLOCK_MONOTONIC in ns is handed in.
"""

from __future__ import annotations

from typing import Final

SECOND_NS: Final = 1_000_000_000
SLACK_S: Final = 1.0
"""A shorter delay is no loss: a monitor sends in bursts, and a line is read in pieces."""
SUSPECT_SLACK_S: Final = 0.5
"""The same where something is known to have been damaged."""


class Pace:
    """One channel of a stream."""

    def __init__(self, hz: float, longest_gap_s: float) -> None:
        """`hz`: samples in a second. After a silence longer than `longest_gap_s` the curve begins anew."""
        self._hz = hz
        self._longest_gap_ns = longest_gap_s * SECOND_NS
        self._began_ns = 0
        self._last_ns = 0
        self._have = 0
        self._is_suspect = False

    def suspect(self) -> None:
        """Something was damaged on the way, and may have been a piece of this channel."""
        self._is_suspect = True

    def missing(self, count: int, now_ns: int) -> int:
        """Return how many samples were lost before the `count` that have arrived at `now_ns`."""
        if not self._have or now_ns - self._last_ns > self._longest_gap_ns:
            return self._restart(count, now_ns)
        expected = (now_ns - self._began_ns) * self._hz / SECOND_NS
        behind = int(expected - self._have - count)
        if behind < 0:  # the monitor's clock is the faster one
            return self._restart(self._have + count, now_ns)
        slack_s = SUSPECT_SLACK_S if self._is_suspect else SLACK_S
        self._is_suspect = False
        lost = behind if behind >= slack_s * self._hz else 0
        self._have += lost + count
        self._last_ns = now_ns
        return lost

    def _restart(self, have: int, now_ns: int) -> int:
        self._have = have
        self._began_ns = now_ns - round(have / self._hz * SECOND_NS)
        self._last_ns = now_ns
        return 0
