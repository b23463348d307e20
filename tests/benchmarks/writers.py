"""A capture's row beside three services that write as fast as they can, on one disk: how long its commit takes.

Beside them a keeper checkpoints every half second, and a thrower stops (SIGSTOP) one of the writers at a random moment for
20 to 200 ms, about once a second; now and then that is inside a transaction. A stopped process that has the writer lock
stalls every writer until it goes on: the design accepts that (waiting loses nothing, the watchdog ends a longer one), so both
figures are stated: every commit, and those whose time no stop touches. At the end `integrity_check` must be clean. The peer is
the same without the writer lock: SQLite's own busy handler decides who is next (and nobody checkpoints, for that would
risk the WAL-reset bug).
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from gateway.clock import SystemClock
from gateway.model import CaptureKind, PayloadKind, PerformedStep, StepStatus, StoreOutcome
from gateway.spool import lock
from gateway.spool.spool import Spool

WRITERS = 3
LIMIT_MS = 50.0
IS_FULL = os.environ.get("GATEWAY_CAMPAIGN") == "full"
_PAUSE_S = 0.02
_ACCEPTED = StoreOutcome(verdict="accepted")
_CHILD = [sys.executable, "-m", "tests.benchmarks.writers"]


def run(seconds: float = 600.0 if IS_FULL else 8.0) -> list[dict[str, object]]:
    """Measure; ours with and without the stops, and the peer."""
    ours = measure(seconds)
    peer = measure(min(seconds, 10.0), is_locked=False, stops=False)
    calm, every = ours["calm_p99_ms"], ours["p99_ms"]
    clean = not ours["integrity"]
    counted = f"{ours['commits']} commits, {ours['stops']} stops, worst {ours['worst_ms']:.0f} ms"
    note = f"{counted}, integrity_check {'ok' if clean else 'BAD'}"
    return [
        {
            "name": "writers, a capture's row outside the stops, 99th percentile",
            "ours": round(calm, 2),
            "peer": LIMIT_MS,
            "peer_name": f"limit ({note})",
            "unit": "ms; lower is better",
            "ratio": round(LIMIT_MS / calm, 2),
            "goal": 1.0,
            "met": calm < LIMIT_MS and clean,
        },
        {
            "name": "writers, every commit, 20-200 ms stops included, 99th percentile",
            "ours": round(every, 2),
            "peer": round(peer["p99_ms"], 2),
            "peer_name": "SQLite's busy handler alone, no stops",
            "unit": "ms; lower is better",
            "ratio": round(peer["p99_ms"] / every, 2),
            "goal": 0.0,
            "met": clean,
        },
        {
            "name": "writers, the lock beside the busy handler, no stop, 99th percentile",
            "ours": round(calm, 2),
            "peer": round(peer["p99_ms"], 2),
            "peer_name": "SQLite's busy handler alone",
            "unit": "ms; lower is better",
            "ratio": round(peer["p99_ms"] / calm, 2),
            "goal": 0.0,
            "met": True,
        },
    ]


def measure(seconds: float, *, is_locked: bool = True, stops: bool = True, seed: int = 1) -> dict[str, object]:
    """Commit a capture's row every 20 ms beside the others; return percentiles, stops and what the check found."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"), prefix="writers") as name:
        data = Path(name) / "data"
        Spool.open(data, SystemClock()).close()
        roles = [*(["write"] * WRITERS), *(["check"] if is_locked else [])]
        with _children(data, roles, is_locked=is_locked) as children, _mode(is_locked=is_locked):
            thrower = Thrower(children[:WRITERS], random.Random(seed))
            if stops:
                thrower.start()
            taken = _commit(data, seconds)
            thrower.is_over.set()
            if stops:
                thrower.join()
        with Spool.open(data, SystemClock()) as spool:
            integrity = spool.integrity()
            rows = len(spool.captures.of_exam(spool.exams.all_running()[0].exam_id))
    calm = [end - start for start, end in taken if not thrower.touched(start, end)]
    return {
        "commits": len(taken),
        "rows": rows,
        "stops": len(thrower.stops),
        "p99_ms": _percentile([end - start for start, end in taken]),
        "calm_p99_ms": _percentile(calm),
        "worst_ms": max(end - start for start, end in taken) * 1e3,
        "integrity": integrity,
    }


class Thrower(threading.Thread):
    """Stops a process at a random moment, wherever it is, for a moment."""

    def __init__(self, children: list[subprocess.Popen[bytes]], chance: random.Random) -> None:
        super().__init__()
        self.children, self.chance = children, chance
        self.is_over = threading.Event()
        self.stops: list[tuple[float, float]] = []

    def run(self) -> None:
        while not self.is_over.wait(self.chance.uniform(0.3, 1.7)):
            pid = self.chance.choice(self.children).pid
            start = time.perf_counter()
            os.kill(pid, signal.SIGSTOP)
            self.is_over.wait(self.chance.uniform(0.02, 0.2))
            os.kill(pid, signal.SIGCONT)
            self.stops.append((start, time.perf_counter()))

    def touched(self, start: float, end: float) -> bool:
        return any(start <= till and since <= end for since, till in self.stops)


def _commit(data: Path, seconds: float) -> list[tuple[float, float]]:
    clock, taken = SystemClock(), []
    with Spool.open(data, clock) as spool:
        exam_id = uuid4()
        spool.exams.start(
            PerformedStep(
                exam_id=exam_id,
                station="us",
                status=StepStatus.IN_PROGRESS,
                study_instance_uid="2.25.1",
                modality="US",
                profile="p",
                started_at=datetime.now(tz=UTC),
                started_ns=clock.monotonic_ns(),
                boot_id=clock.boot_id(),
            )
        )
        until = time.perf_counter() + seconds
        while (start := time.perf_counter()) < until:
            spool.captures.begin(exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
            taken.append((start, time.perf_counter()))
            time.sleep(_PAUSE_S)
    return taken


@contextmanager
def _children(data: Path, roles: list[str], *, is_locked: bool):
    children = [
        subprocess.Popen([*_CHILD, str(data), role, str(int(is_locked))], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for role in roles
    ]
    try:
        for child in children:
            assert child.stdout.readline() == b"ready\n"
        yield children
    finally:
        for child in children:
            os.kill(child.pid, signal.SIGCONT)
            child.stdin.close()
        for child in children:
            assert child.wait(60) == 0, "a writer failed"
            child.stdout.close()


@contextmanager
def _mode(*, is_locked: bool):
    """Without the lock, SQLite's busy handler alone decides who is next."""
    held = lock.WriterLock.held
    if not is_locked:
        lock.WriterLock.held = lambda self: nullcontext()
    try:
        yield
    finally:
        lock.WriterLock.held = held


def _write(spool: Spool) -> None:
    """What a busy service does: owe eight, claim and settle what is due, remember it."""
    name = str(os.getpid())
    with spool.transaction():
        for number in range(8):
            spool.deliveries.add(PayloadKind.MPPS, str(number), name)
    claimed = spool.deliveries.claim(name, 8)
    spool.deliveries.settle([(delivery.delivery_id, _ACCEPTED) for delivery in claimed])
    spool.history.add(name, "sent")


def _child(data: Path, role: str) -> None:
    """Work until the parent closes our standard input."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with Spool.open(data, SystemClock()) as spool:
        print("ready", flush=True)
        while not over.is_set():
            if role == "check":
                spool.checkpoint()
                over.wait(0.5)
            else:
                _write(spool)


def _percentile(taken: list[float], share: float = 0.99) -> float:
    return sorted(taken)[int(len(taken) * share)] * 1e3


if __name__ == "__main__":
    with _mode(is_locked=sys.argv[3] == "1"):
        _child(Path(sys.argv[1]), sys.argv[2])
