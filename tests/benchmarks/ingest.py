"""Durable ingest beside its peers: 300 CT of 0.5 MB by DCMTK's dcmsend, one association, one disk, all in one run.

The sender has TCP_NODELAY=1 throughout, unless a row says otherwise. Ours syncs the file, its directory and its row before each
answer; Orthanc syncs the file; storescp syncs nothing. Fast ones run five times, slow ones twice, in turns; medians count.
The memory is the highest resident size of our listener while one object of 2 GB comes in.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from gateway.clock import SystemClock
from gateway.spool.spool import Spool
from tests import dcmtk
from tests.flow.arrivals import answers, echo, files, peak_rss_mb, unit, until, write, write_large

OBJECTS = 300
LARGE_BYTES = 2 << 30
FAST_ROUNDS, SLOW_ROUNDS = 5, 2
MAX_RSS_MB = 150
_PORT = 19117  # below the range that tests draw theirs from


def run(objects: int = OBJECTS, large_bytes: int = LARGE_BYTES) -> list[dict[str, object]]:
    """Measure; one row for each comparison."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"), prefix="ingest") as name:
        folder = Path(name)
        (folder / "ct").mkdir()
        paths = [write(folder / "ct" / f"{n:03}.dcm", f"2.25.{10**20 + n}", rows=512, seed=n) for n in range(objects)]
        rates = _rates(folder, paths)
        rss = _rss(folder / "large", large_bytes)
    ours, nagle = rates["gateway"], rates["gateway, sender with Nagle"]
    return [
        _row("ingest / Orthanc default", ours, rates["Orthanc"], "Orthanc", 8.0),
        _row("ingest / Orthanc TCP_NODELAY=1", ours, rates["Orthanc TCP_NODELAY=1"], "Orthanc TCP_NODELAY=1", 1.0),
        _row("ingest / storescp TCP_NODELAY=1", ours, rates["storescp TCP_NODELAY=1"], "storescp, syncs nothing", 0.0),
        _row("ingest / storescp default", ours, rates["storescp"], "storescp default", 0.0),
        _row("ingest, sender with Nagle", nagle, rates["storescp, sender with Nagle"], "storescp TCP_NODELAY=1", 0.0),
        {
            "name": f"ingest, memory for {large_bytes / 1e9:.1f} GB",
            "ours": round(rss, 1),
            "peer": MAX_RSS_MB,
            "peer_name": "limit",
            "unit": "MB resident",
            "ratio": round(MAX_RSS_MB / rss, 2),
            "goal": 1.0,
            "met": rss < MAX_RSS_MB,
        },
    ]


def _row(name, ours, peer, peer_name, goal):
    """Objects a second; a goal of 0 means that the row is only reported."""
    ratio = ours / peer
    return {
        "name": name,
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "peer_name": peer_name,
        "unit": "objects/s",
        "ratio": round(ratio, 2),
        "goal": goal,
        "met": ratio >= goal,
    }


def _rates(folder, paths):
    """Objects a second of every contestant, in turns."""
    contestants = {
        "gateway": (FAST_ROUNDS, _gateway, "", "1"),
        "storescp TCP_NODELAY=1": (FAST_ROUNDS, _storescp, "1", "1"),
        "Orthanc TCP_NODELAY=1": (FAST_ROUNDS, _orthanc, "1", "1"),
        "gateway, sender with Nagle": (SLOW_ROUNDS, _gateway, "", "0"),
        "storescp, sender with Nagle": (SLOW_ROUNDS, _storescp, "1", "0"),
        "storescp": (SLOW_ROUNDS, _storescp, "", "1"),
        "Orthanc": (SLOW_ROUNDS, _orthanc, "", "1"),
    }
    seconds = {name: [] for name in contestants}
    for turn in range(FAST_ROUNDS):
        for name, (rounds, start, no_delay, sender_no_delay) in contestants.items():
            if turn < rounds:
                seconds[name].append(_once(start, folder / "run", paths, no_delay, sender_no_delay))
    return {name: len(paths) / statistics.median(taken) for name, taken in seconds.items()}


def _once(start, folder, paths, no_delay, sender_no_delay):
    """One fresh receiver, one association; seconds from dcmsend's start to its end. Everything must have arrived."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    with start(folder, {"TCP_NODELAY": no_delay} if no_delay else {}) as count:
        line = [dcmtk.program("dcmsend"), "-aet", "CT", "-aec", "GATEWAY", "127.0.0.1", str(_PORT), *map(str, paths)]
        began = time.perf_counter()
        subprocess.run(line, env=os.environ | {"TCP_NODELAY": sender_no_delay}, check=True, capture_output=True)
        taken = time.perf_counter() - began
        assert count() == len(paths)
    return taken


@contextmanager
def _gateway(folder, _env):
    with unit(folder, _PORT) as process:

        def count():
            with Spool.open(folder / "data", SystemClock()) as spool:
                return len(spool.instances.received(10_000))

        yield count
        process.send_signal(signal.SIGTERM)


@contextmanager
def _storescp(folder, env):
    (folder / "received").mkdir()
    with _process([dcmtk.program("storescp"), "-aet", "GATEWAY", "-od", folder / "received", str(_PORT)], env):
        yield lambda: len(files(folder / "received"))


@contextmanager
def _orthanc(folder, env):
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": "GATEWAY",
        "DicomPort": _PORT,
        "HttpServerEnabled": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _process(["Orthanc", folder / "orthanc.json"], env):
        # One attachment for each object; those of its own index beside them.
        yield lambda: sum(path.stat().st_size > 500_000 and len(path.name) == 36 for path in files(folder / "storage"))


@contextmanager
def _process(line, env):
    process = subprocess.Popen(
        list(map(str, line)), env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: echo(_PORT) == "0000", 30)
        yield
    finally:
        process.terminate()
        process.wait()


def _rss(folder, size):
    folder.mkdir()
    path = write_large(folder / "large.dcm", "1.2.3", size)
    with unit(folder, _PORT) as process:
        assert answers(("127.0.0.1", _PORT), path, pdu_bytes=131072, timeout_s=300.0) == ["0000"]
        return peak_rss_mb(process.pid)


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=2)
