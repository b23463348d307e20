"""Tests collected on the host to a guest that runs them, and what it reports back to the host's pytest, test by test.

The same files are collected here and there: here a test is never run, its reports are awaited. A test without a report is a
failure and says what the guest said last; so is a skipped one, since nobody would notice what the bench cannot play.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hw.rig.bed import CACHE, CHECKOUT, Bed, BenchError
from hw.rig.machine import SHARE, GuestDied, Machine, Share

NUMBA: Final = CACHE / "numba"
"""Kernels compiled on the host for any x86-64: the guest would compile them for minutes."""
GENERIC: Final = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_CACHE_DIR": str(NUMBA),
}
TEST_TIMEOUT_S: Final = 420
SILENCE_S: Final = TEST_TIMEOUT_S + 180


@dataclass(frozen=True)
class Group:
    """A folder of `tests/rig` whose tests run in one guest."""

    memory_mib: int = 1536
    qemu: tuple[str, ...] = ()
    """Further hardware, as QEMU arguments."""
    needs_kernels: bool = True
    """Its tests run the pixel chain."""


@dataclass
class _Told:
    """What the guest has reported of one test."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    has_ended: bool = False


class GuestTests:
    """One guest that runs tests, in the order given."""

    def __init__(self, bed: Bed, group: Group, nodes: Sequence[str]) -> None:
        """Switch it on. `nodes`: pytest's names of the tests. Raises BenchError."""
        refuse_foreign_python()
        self._told: dict[str, _Told] = {node: _Told() for node in nodes}
        self._broken: list[str] = []
        self._running = self._death = ""
        self._read_bytes = 0
        self._folder = CACHE / f"guest-{os.getpid()}-{id(self):x}"
        self._folder.mkdir(parents=True)
        (self._folder / "nodes").write_text("".join(f"{node}\n" for node in nodes), encoding="utf-8")
        NUMBA.mkdir(parents=True, exist_ok=True)
        self._machine = Machine(
            bed,
            _command(),
            qemu=group.qemu,
            memory_mib=group.memory_mib,
            shares=[Share("numba", NUMBA, str(NUMBA), is_writable=True)],
            folder=self._folder,
        )

    def reports_of(self, node: str) -> list[dict[str, Any]]:
        """Wait for one test and return its reports as pytest serialised them. Raises GuestDied when there will be none."""
        told = self._told[node]
        for _ in self._news():
            if told.has_ended:
                return told.reports
        raise GuestDied(self._why(node))

    def close(self) -> None:
        """Let it switch off by itself, but not for long. What it said stays in `build/rig/console.log`."""
        try:
            self._machine.wait(silence_s=60)
        except GuestDied:
            pass  # every test it did not answer for has failed already
        finally:
            self._machine.kill()
            (CACHE / "console.log").write_text("\n".join(self.console), encoding="utf-8")
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def console(self) -> list[str]:
        """What the guest has said."""
        return self._machine.console

    def _news(self) -> Iterator[None]:
        """Take in what the file of reports has gained, again and again, until the guest is off or silent."""
        heard = time.monotonic()
        while True:
            is_off = self._machine.is_off
            if self._take_in():
                heard = time.monotonic()
            yield
            if is_off:
                self._death = self._death or "the guest switched off without a report of this test"
                return
            if time.monotonic() - heard > SILENCE_S:
                self._death = f"the guest has reported nothing for {SILENCE_S} s"
                self._machine.kill()
            time.sleep(0.1)

    def _take_in(self) -> bool:
        path = self._folder / "reports"
        if not path.exists():
            return False
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read_bytes += len(whole) + len(newline)
        for line in whole.splitlines():
            self._understand(json.loads(line))
        return bool(whole)

    def _understand(self, news: dict[str, Any]) -> None:
        told = self._told.setdefault(news["node"], _Told())
        match news["event"]:
            case "report":
                told.reports.append(news["data"])
            case "start":
                self._running = news["node"]
            case "end":
                told.has_ended, self._running = True, ""
            case "broken":
                self._broken.append(f"{news['node']} could not be collected in the guest:\n{news['text']}")

    def _why(self, node: str) -> str:
        if self._running and self._running != node:
            return f"never run: the guest died in {self._running}"
        return "\n".join([self._death, *self._broken, *(f"  | {line}" for line in self.console[-60:])])


def compile_kernels() -> None:
    """Fill the guest's cache of compiled kernels, on the host."""
    NUMBA.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [Path(sys.executable).parent / "gateway", "warm"],
        cwd=CHECKOUT,
        env={**os.environ, **GENERIC},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def refuse_foreign_python() -> None:
    """Raise BenchError unless this interpreter is also in the guest, at the same path."""
    if Path(sys.executable).resolve().parent != Path("/usr/bin"):
        raise BenchError(f"the guest runs Debian's own Python, and the .venv is of {Path(sys.executable).resolve()}")


def _command() -> str:
    python = Path(sys.executable)
    environment = {
        **GENERIC,
        "RIG_REPORTS": f"{SHARE}/reports",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{python.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    exported = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    pytest = f"-m pytest -m rig -p hw.rig.reports -p no:cacheprovider --timeout={TEST_TIMEOUT_S} @{SHARE}/nodes"
    return f"cd {shlex.quote(str(CHECKOUT))}\n{exported}exec {shlex.quote(str(python))} {pytest}\n"
