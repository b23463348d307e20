"""A number of failed attempts to the seconds until the next one: exponential, with full jitter, and no last attempt.

After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): the whole wait is drawn at random, so that a hundred
boxes do not call a PACS that has just come back in the same second.
"""

from __future__ import annotations

from collections.abc import Callable

SHORTEST_S = 5.0
LONGEST_S = 900.0
_DOUBLINGS = 20
"""Beyond this, doubling changes nothing and the number only grows."""


def delay_s(attempts: int, random: Callable[[], float]) -> float:
    """Return how long to wait after the n-th failure in a row; `random` draws from [0, 1)."""
    ceiling = min(LONGEST_S, SHORTEST_S * 2.0 ** min(attempts, _DOUBLINGS))
    return SHORTEST_S + random() * (ceiling - SHORTEST_S)
