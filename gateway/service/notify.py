"""What systemd is told: READY, WATCHDOG, STATUS and STOPPING (sd_notify(3)), through systemd-python. Without systemd: nothing."""

from __future__ import annotations

import os
import time

from systemd import daemon


class Watchdog:
    """Tells systemd that the loop turns, at half of WATCHDOG_USEC; call `alive` at every turn."""

    def __init__(self) -> None:
        """Read the interval that the unit asks for (sd_watchdog_enabled(3)): 0 when none is, or when it is not for us."""
        self._every_s = _interval_s() / 2
        self._told_at = 0.0

    def alive(self) -> None:
        """Say so, not more often than is asked."""
        now = time.monotonic()
        if self._every_s and now - self._told_at >= self._every_s:
            daemon.notify("WATCHDOG=1")
            self._told_at = now


def ready() -> None:
    """The service does its work from now on."""
    daemon.notify("READY=1")


def stopping() -> None:
    """The service ends in good order."""
    daemon.notify("STOPPING=1")


def status(words: str) -> None:
    """One line for `systemctl status`; no PHI."""
    daemon.notify(f"STATUS={' '.join(words.split())}")


def _interval_s() -> float:
    """Return the watchdog's interval; WATCHDOG_PID says whom it is for, where it is said at all."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(os.environ.get("WATCHDOG_USEC", "0"))) / 1e6
    except ValueError:
        return 0.0
