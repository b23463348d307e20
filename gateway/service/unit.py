"""What every service shares: its lock, its signals, its bell, and the spool opened for it.

A service is a function `serve(site, spool, clock, stop, bell)` that reads like a recipe; `run_unit` gives it these and
sees to the rest: one instance only (`<data>/locks/<name>`), SIGTERM and SIGINT set `stop` and ring the bell, an error
with a name ends the process with a sentence in the log and status 1, and AlreadyRunning with status 3.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.clock import Clock, SystemClock
from gateway.errors import AlreadyRunning, GatewayError
from gateway.service import log, notify
from gateway.service.bell import Bell
from gateway.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.config import Site

EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 3
_MB = 1 << 20


def run_unit(name: str, site: Site, serve: Callable[[Site, Spool, Clock, threading.Event, Bell], None]) -> int:
    """Run one service until it is told to stop; return the exit status of the process."""
    logger = log.setup(name)
    try:
        with only_one(site.data, name), opened(site) as (spool, clock), Bell(site.run, name) as bell:
            serve(site, spool, clock, stop_on_signals(bell), bell)
            notify.stopping()
    except AlreadyRunning as error:
        logger.error("%s %s", error, error.hint, extra={"CODE": error.code})
        return EXIT_ALREADY_RUNNING
    except GatewayError as error:
        logger.error("%s %s", error, error.hint, extra={"CODE": error.code})
        return EXIT_FAILED
    return 0


@contextmanager
def only_one(data: Path, name: str) -> Iterator[None]:
    """Hold the lock of a service. Raises AlreadyRunning, which names the process that holds it."""
    path = data / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _take(descriptor, name)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def opened(site: Site) -> Iterator[tuple[Spool, Clock]]:
    """Open the spool of a site, with the clock that its configuration trusts."""
    clock = SystemClock(needs_ntp=site.clock.trust == "ntp")
    spool = Spool.open(
        site.data, clock, ballast_bytes=site.spool.ballast_mb * _MB, keep_free_bytes=site.spool.keep_free_mb * _MB
    )
    try:
        yield spool, clock
    finally:
        spool.close()


def stop_on_signals(bell: Bell) -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; the bell rings too, so that nobody sleeps on."""
    stop = threading.Event()

    def _stop(_number: int, _frame: object) -> None:
        stop.set()
        bell.ring_self()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    return stop


def _take(descriptor: int, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(descriptor, 20).decode("ascii", errors="replace").strip() or "?"
        raise AlreadyRunning(service=name, pid=owner) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
