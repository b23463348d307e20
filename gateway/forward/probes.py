"""How often a peer was asked in vain to when it is asked again for a sign of life (C-ECHO). No clock, no I/O."""

from __future__ import annotations

import random
from collections.abc import Callable

from gateway.errors import PeerError, PeerRefused


class Probes:
    """When to ask a peer that is out of reach for a sign of life: sooner than its backoff, later and later.

    An answer that no delivery follows is a false hope, and the next one comes later still: a peer that answers C-ECHO and
    hangs at C-STORE is not stormed. A peer that refuses us wants its administrator, not us.
    """

    FIRST_S, LONGEST_S, LONGEST_REFUSED_S, LONGEST_FALSE_HOPE_S = 5.0, 60.0, 300.0, 900.0

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives numbers from [0, 1)."""
        self._draw = draw
        self._asked = self._hopes = 0
        self._is_refused = False

    def missed(self, error: PeerError) -> None:
        """No answer came."""
        self._asked += 1
        self._is_refused = isinstance(error, PeerRefused)

    def hoped(self) -> None:
        """It answered; what it is worth will show."""
        self._hopes += 1
        self._is_refused = False

    def delivered(self) -> None:
        """An object went through."""
        self._asked = self._hopes = 0
        self._is_refused = False

    def wait_s(self) -> float:
        """Return how long to wait before the next one, with jitter."""
        longest = self.LONGEST_REFUSED_S if self._is_refused else self.LONGEST_S
        waits = min(longest, self.FIRST_S * 2.0 ** min(self._asked, 10))
        hopes = min(self.LONGEST_FALSE_HOPE_S, self.FIRST_S * 2.0 ** min(self._hopes, 10)) if self._hopes else 0.0
        return max(waits, hopes) * (0.5 + self._draw() / 2)
