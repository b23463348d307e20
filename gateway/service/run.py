"""`gateway run`: every service of a site in one terminal, each as a process of its own, as systemd runs them.

One that dies is started again after a pause that grows; SIGINT and SIGTERM stop all of them in order.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from gateway.device.process import Program
from gateway.service.unit import EXIT_ALREADY_RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.config import Site

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""A service that has run so long starts again without a pause."""
LOOK_S: Final = 0.2


def units(site: Site) -> list[str]:
    """Return the names of a site's services, in the order of their start: recovery first, the panel last."""
    acquire = [f"acquire@{name}" for name in site.grabber]
    serial = [f"serial@{name}" for name, line in site.serial.items() if line.is_enabled]
    listen = ["listen"] if site.listen.is_enabled else []
    return ["keeper", "forward", *listen, *acquire, *serial, "panel"]


class Services:
    """The services of a site as child processes."""

    def __init__(self, names: Sequence[str], config: Path, say: Callable[[str], None] = print) -> None:
        """Start them all; `say` gets each of their lines."""
        self._say = say
        self._config = config
        self._children = {name: _Child(name, self._start(name)) for name in names}

    def pids(self) -> dict[str, int]:
        """Return the process id of each service that runs."""
        return {name: child.program.pid for name, child in self._children.items() if child.program.status() is None}

    def look(self) -> None:
        """Start again what has died, when its pause is over."""
        for name, child in self._children.items():
            status = child.program.status()
            if status is None or status == EXIT_ALREADY_RUNNING:
                continue
            if child.is_due(status, self._say):
                child.restarted(self._start(name))

    def kill(self, name: str) -> None:
        """Do to a service what a power cut does (tests and the demo)."""
        self._children[name].program.kill()
        self._children[name].program.wait()

    def stop(self) -> None:
        """Stop all of them, the last started first."""
        children = list(reversed(self._children.values()))
        for child in children:
            child.program.terminate()
        for child in children:
            child.program.wait()

    def _start(self, name: str) -> Program:
        arguments = [sys.executable, "-m", "gateway", "--config", str(self._config), "service", name]

        def hear(line: str) -> None:
            self._say(line if line.startswith(f"{name}: ") else f"{name}: {line}")

        return Program(arguments, hear, {**os.environ, "PYTHONUNBUFFERED": "1"})


class _Child:
    """One service, and when it may be started again."""

    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self.program = program
        self._started_s = time.monotonic()
        self._pause_s = FIRST_PAUSE_S
        self._due_s = 0.0

    def is_due(self, status: int, say: Callable[[str], None]) -> bool:
        """Say once that it ended; return whether it is time to start it again."""
        now_s = time.monotonic()
        if not self._due_s:
            is_steady = now_s - self._started_s > STEADY_S
            self._pause_s = FIRST_PAUSE_S if is_steady else min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._due_s = now_s + self._pause_s
            say(f"run: {self.name} ended with status {status}; it is started again in {self._pause_s:.0f} s")
        return now_s >= self._due_s

    def restarted(self, program: Program) -> None:
        """Begin anew."""
        self.program = program
        self._started_s = time.monotonic()
        self._due_s = 0.0


def run(site: Site, config: Path, stop: threading.Event, say: Callable[[str], None] = print) -> None:
    """Run every service of a site until `stop` is set."""
    services = Services(units(site), config, say)
    try:
        while not stop.wait(LOOK_S):
            services.look()
    finally:
        services.stop()
