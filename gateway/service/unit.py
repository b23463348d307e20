"""What every service shares: its lock, its signals, its bell, and the spool opened for it.

A service is a function `serve(site, spool, clock, stop, bell)` that reads like a recipe; `run_unit` gives it these and
sees to the rest: one instance only (`<data>/locks/<name>`), SIGTERM and SIGINT set `stop` and ring the bell, an error
with a name ends the process with a sentence in the log and status 1, AlreadyRunning with status 3, and a mistake of ours
with status 4 and the place where it happened, without anybody's values.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.clock import Clock, SystemClock
from gateway.errors import AlreadyRunning, GatewayError
from gateway.service import log, notify
from gateway.service.bell import Bell
from gateway.spool.lock import ServiceLock
from gateway.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.config import Site

EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 3
EXIT_OUR_MISTAKE = 4
SEEN = "seen"
"""`<data>/seen`: the latest time that was certain. An engineer may remove it after a clock that was wrong ahead."""
_MB = 1 << 20


def run_unit(name: str, site: Site, serve: Callable[[Site, Spool, Clock, threading.Event, Bell], None]) -> int:
    """Run one service until it is told to stop; return the exit status of the process."""
    logger = log.setup(name)
    try:
        with ServiceLock(site.data / "locks", name), opened(site) as (spool, clock), Bell(site.run, name) as bell:
            serve(site, spool, clock, stop_on_signals(bell), bell)
            notify.stopping()
    except GatewayError as error:
        _say(logger, error)
        return EXIT_ALREADY_RUNNING if isinstance(error, AlreadyRunning) else EXIT_FAILED
    except Exception:
        logger.exception("the service stumbled, and is started again")
        return EXIT_OUR_MISTAKE
    return 0


@contextmanager
def opened(site: Site) -> Iterator[tuple[Spool, Clock]]:
    """Open the spool of a site, with the clock that its configuration trusts."""
    clock = clock_of(site)
    spool = Spool.open(
        site.data, clock, ballast_bytes=site.spool.ballast_mb * _MB, keep_free_bytes=site.spool.keep_free_mb * _MB
    )
    try:
        yield spool, clock
    finally:
        spool.close()


def clock_of(site: Site) -> Clock:
    """Return the clock that a site's configuration trusts: never one that shows less than what was noted before."""
    return SystemClock(needs_ntp=site.clock.trust == "ntp", seen_at=seen_at(site.data))


def seen_at(data: Path) -> datetime | None:
    """Return the latest time that was noted on this box; None when none was, or when the note cannot be read."""
    try:
        found = datetime.fromisoformat((data / SEEN).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
    return found if found.tzinfo else None


def note_time(data: Path, now: datetime) -> None:
    """Note how late it is; a note that a power cut tears counts as none."""
    path = data / SEEN
    fresh = path.with_name(f".{SEEN}")
    fresh.write_text(f"{now.isoformat(timespec='seconds')}\n", encoding="ascii")
    fresh.replace(path)


def stop_on_signals(bell: Bell) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; the bell rings too, so that nobody sleeps on."""
    stop = threading.Event()

    def _stop(_number: int, _frame: object) -> None:
        stop.set()
        bell.ring_self()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    return stop


def _say(logger: logging.Logger, error: GatewayError) -> None:
    logger.error("%s %s", error, error.hint, extra={"CODE": error.code})
    notify.status(str(error))
