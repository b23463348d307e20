"""A queue of 100,000 deliveries beside an empty one: claiming and settling 16 of them, in turns.

Four shapes of a long queue: all due, all waiting for their backoff, all sent long ago, all held. Both lie in memory where
there is room, because a disk's sync takes longer than the work and would hide what grows with the queue. Medians are compared.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from gateway.clock import SystemClock
from gateway.model import PayloadKind, StoreOutcome
from gateway.spool.spool import Spool

ROWS = 100_000
TURNS = 150
BATCH = 16
GOAL = 2.0
_ACCEPTED = StoreOutcome(verdict="accepted")
_FILL = """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    INSERT INTO delivery (kind, payload, destination, state, due_boot, due_ns, held_for, attempts, settled_at)
    SELECT 'STORE', '2.25.' || i, 'pacs', ?, ?, ?, ?, 1, ? FROM n"""


def run(rows: int = ROWS, turns: int = TURNS) -> list[dict[str, object]]:
    """Measure; one row for each shape of the queue."""
    clock = SystemClock()
    later_ns = clock.monotonic_ns() + 10**15
    shapes = {
        "all due": ("QUEUED", "", 0, "", None),
        "all waiting": ("QUEUED", clock.boot_id(), later_ns, "", None),
        "all sent": ("SENT", "", 0, "", "2026-01-01T00:00:00.000000+00:00"),
        "all held": ("HELD", "", 0, "RELEASE", None),
    }
    return [_compare(name, shape, clock, rows, turns) for name, shape in shapes.items()]


def _compare(name: str, shape: tuple[object, ...], clock: SystemClock, rows: int, turns: int) -> dict[str, object]:
    with (
        tempfile.TemporaryDirectory(
            dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None, prefix="queue"
        ) as folder,
        Spool.open(Path(folder) / "long", clock) as long,
        Spool.open(Path(folder) / "empty", clock) as empty,
    ):
        with long.transaction():
            long._store.run(_FILL, (rows, *shape))
        long.checkpoint()
        times: dict[Spool, list[float]] = {long: [], empty: []}
        for turn in range(turns):
            for spool in (long, empty) if turn % 2 else (empty, long):
                times[spool].append(_turn(spool))
                if turn % 50 == 49:
                    spool.checkpoint()
        ours, peer = (statistics.median(times[spool]) * 1e3 for spool in (long, empty))
    return {
        "name": f"queue, {rows:,} deliveries, {name}",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": "an empty queue",
        "unit": f"ms to claim and settle {BATCH}; lower is better",
        "ratio": round(ours / peer, 2),
        "goal": GOAL,
        "met": ours / peer <= GOAL,
    }


def _turn(spool: Spool) -> float:
    """Owe a batch (not measured), then claim and settle one."""
    with spool.transaction():
        for number in range(BATCH):
            spool.deliveries.add(PayloadKind.MPPS, str(number), "pacs")
    started = time.perf_counter()
    claimed = spool.deliveries.claim("pacs", BATCH)
    lost = spool.deliveries.settle([(delivery.delivery_id, _ACCEPTED) for delivery in claimed])
    took = time.perf_counter() - started
    assert len(claimed) == BATCH
    assert not lost
    return took
