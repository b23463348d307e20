"""One acquire at work in a process of its own, and what it took: `python -m tests.benchmarks._acquire FOLDER MODE SIGMA SECONDS`.

Live picture on, a cine recorded for the whole time (for more than two minutes: 30 s of each minute, removed once it is durable).
Prints one JSON line. Only the source is not the product's: `tests.benchmarks._paced`.
"""

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.config import Grabber, Paths, Site, Store
from gateway.model import CaptureState, Patient, RequestKind, RequestState, Signal
from gateway.pixels import unload, warm
from gateway.service import acquire, closing, recording
from gateway.service.compose import Box
from gateway.spool import live
from gateway.spool.instances import payload_of
from gateway.spool.spool import Spool
from tests.benchmarks import _paced

NAME, PROFILE, MIB = "ROOM", "simulator-ultrasound", 1 << 20
TURN_S = 0.05
ON_DEMAND_S, RECORDED_S, CYCLE_S = 120.0, 30.0, 60.0
DURABLE_S = 1800.0
TICKS = os.sysconf("SC_CLK_TCK")


class Bench:
    """The service's own loop, with somebody who looks and presses."""

    def __init__(self, folder: Path, mode: str, sigma: float) -> None:
        """Warm up as the service does, open the source and wait for its picture."""
        site = Site(
            paths=Paths(data=str(folder / "data"), run=str(folder / "run"), cache=str(config.own_cache())),
            grabber={NAME: Grabber(device="simulator:phantom", profile=PROFILE)},
            spool=Store(ballast_mb=16, keep_free_mb=64),
        )
        clock = SystemClock()
        opened = _paced.opener(mode, sigma, clock)
        acquire.opener = lambda *_: opened
        self._quick: list[bool] = []
        losing = recording.Pace.is_losing
        recording.Pace.is_losing = lambda pace: self._quick.append(losing(pace)) or self._quick[-1]
        warm.compile_all()
        unload.compiler()
        self.idle_mib = rss_mib()
        self.site = site
        self.spool = Spool.open(site.data, clock, ballast_bytes=16 * MIB, keep_free_bytes=64 * MIB)
        self.place = closing.Station(
            name=NAME, box=Box(site=site, spool=self.spool, clock=clock), logger=logging.getLogger("bench")
        )
        self.acquire = acquire.Acquire(self.place)
        self.stop = threading.Event()
        self.threads = {
            work.__name__: threading.Thread(target=work, args=(self.stop,), daemon=True) for work in self.acquire.works
        }
        for thread in self.threads.values():
            thread.start()
        self._until(lambda: self._status().signal is Signal.STREAMING, 10)
        self.step = exam.start(
            self.spool, clock, station=NAME, modality="US", profile=PROFILE, patient=Patient(patient_id="B", name="B^B")
        )

    def press(self, kind: RequestKind) -> int:
        """Press, and return the number of the capture."""
        request = exam.press(self.spool, self.spool.clock, kind, self.step.exam_id, NAME)
        self.acquire.turn()
        answered = self.spool.requests.get(request.request_id)
        if answered.state is not RequestState.DONE or answered.capture is None:
            raise RuntimeError(answered.error_text)
        return answered.capture

    def run_for(self, seconds: float) -> None:
        """Turn, and look at the live picture."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            live.want(self.site.run, NAME)
            self.acquire.turn()
            time.sleep(min(TURN_S, left))

    def durable(self, number: int) -> None:
        """Wait until a recording is one or more objects."""
        self._until(
            lambda: self.spool.captures.get(self.step.exam_id, number).state is not CaptureState.RECORDING, DURABLE_S
        )

    def take_quick(self) -> int:
        """Return how many pictures took the quick form since this was last asked."""
        quick, self._quick[:] = sum(self._quick), []
        return quick

    def remove(self, number: int) -> None:
        """Give a recording up, so that the disk holds the next."""
        for instance in self.spool.instances.of_capture(self.step.exam_id, number):
            self.spool.instances.discard(payload_of(instance), "bench")
            self.spool.instances.purge(payload_of(instance))

    def close(self) -> None:
        """Stop."""
        self.acquire.end()
        self.stop.set()
        for thread in self.threads.values():
            thread.join()

    def _status(self):
        self.acquire.turn()
        return live.read_status(self.site.run, NAME)

    def _until(self, is_so, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(TURN_S)


def measure(bench: Bench, mode: str, seconds: float) -> dict[str, object]:
    """Record, and return what it took."""
    is_on_demand = seconds > ON_DEMAND_S
    cycles = max(1, round(seconds / CYCLE_S)) if is_on_demand else 1
    recorded_s = RECORDED_S if is_on_demand else seconds
    said: dict[str, float] = dict.fromkeys(("frames", "bytes", "missed", "quick", "closing_s"), 0.0)
    began = time.monotonic()
    busy = thread_s(bench.threads["watch"]), thread_s(bench.threads["preview"])
    recorded_cpu = 0.0
    for _ in range(cycles):
        recorded_cpu += record(bench, recorded_s, said)
        if is_on_demand:
            bench.run_for(max(0.0, CYCLE_S - recorded_s - 1))
    took = time.monotonic() - began
    frame = _paced.format_of(mode)
    return {
        **said,
        "rate": 1e9 / frame.frame_interval_ns,
        "recorded_s": cycles * recorded_s,
        "ratio": frame.width_px * frame.height_px * 3 * said["frames"] / max(1, said["bytes"]),
        "dropped": bench.acquire._source.dropped + bench.acquire._source.faulty,
        "cores": recorded_cpu / (cycles * recorded_s),
        "watch": (thread_s(bench.threads["watch"]) - busy[0]) / took,
        "preview": (thread_s(bench.threads["preview"]) - busy[1]) / took,
        "ring_mib": bench.acquire._source.ring.memory_bytes / MIB,
        "peak_mib": peak_mib() - bench.idle_mib,
    }


def record(bench: Bench, seconds: float, said: dict[str, float]) -> float:
    """Record one cine, wait until it is durable, and add up what it came to; return the CPU time that recording took."""
    cpu = time.process_time()
    number = bench.press(RequestKind.CINE_START)
    bench.run_for(seconds)
    took = time.process_time() - cpu
    bench.press(RequestKind.CINE_STOP)
    stopped = time.monotonic()
    bench.durable(number)
    said["closing_s"] = max(said["closing_s"], time.monotonic() - stopped)
    made = bench.spool.instances.of_capture(bench.step.exam_id, number)
    said["frames"] += sum(each.frame_count for each in made)
    said["bytes"] += sum(each.size_bytes for each in made)
    note = bench.spool.captures.get(bench.step.exam_id, number).note
    said["missed"] += missed(note)
    said["quick"] += bench.take_quick()
    bench.remove(number)
    return took


def missed(note: str) -> int:
    """Return how many pictures a capture says it has missed."""
    words = note.partition("Pictures missed: ")[2]
    return int(words.partition(".")[0]) if words else 0


def thread_s(thread: threading.Thread) -> float:
    """Return the CPU time that a thread has taken (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib() -> float:
    """Return what is resident now."""
    return _status_mib("VmRSS")


def peak_mib() -> float:
    """Return the most that ever was."""
    return _status_mib("VmHWM")


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def main() -> None:
    """Measure, and say it."""
    folder, mode, sigma, seconds = sys.argv[1:]
    bench = Bench(Path(folder), mode, float(sigma))
    try:
        bench.run_for(2.0)
        said = measure(bench, mode, float(seconds))
    finally:
        bench.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
