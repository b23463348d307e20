"""`gateway run` at rest with a live 25 Hz source: the memory of all its services, and how much of one core they take.

Memory is the sum of their proportional set sizes (`/proc/PID/smaps_rollup`, proc(5)): a page that several share counts once.
Time is user and system time of `/proc/PID/stat` over a quiet while, after the first. The simulated scanner is part of acquire's
process, where a real one would be in the camera and the kernel: what its pictures and their pacing take, in a process that does
nothing but hand its frames back, is measured beside and taken off both. Nobody looks at the panel.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway import config
from gateway.model import Signal
from gateway.service.run import Services, units
from gateway.simulators import ports
from gateway.simulators.pacs import SimulatedPACS
from gateway.simulators.ris import SimulatedRIS
from gateway.spool import live

LIMIT_MB, LIMIT_PERCENT = 400.0, 5.0
QUIET_S = float(os.environ.get("GATEWAY_IDLE_S", "20"))
SETTLE_S = 5.0
READY_S = 120.0
SCRIPT = "simulator:ybr_color,640x480,progressive,yuyv,25"
_TICKS = os.sysconf("SC_CLK_TCK")
_SOURCE = f"""
from gateway.clock import SystemClock
from gateway.simulators import grabber
print("imported", flush=True)
input()
opened = grabber.simulator({SCRIPT!r}, SystemClock()).open()
print("open", flush=True)
while True:
    frame = opened.poll(1.0)
    if frame is not None:
        opened.release(frame)
"""


def run() -> list[dict[str, object]]:
    """Measure both figures in one run."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        pss, percent = measure(Path(folder))
    source_mb, source_percent = _source()
    sizes = ", ".join(f"{name} {each:.0f}" for name, each in pss.items())
    shares = ", ".join(f"{name} {each:.1f}" for name, each in percent.items())
    return [
        _row(
            "idle, memory of all services (PSS)",
            sum(pss.values()) - source_mb,
            LIMIT_MB,
            f"limit ({sizes}; source {source_mb:.0f} taken off)",
            "MB",
        ),
        _row(
            "idle, share of one core",
            max(0.0, sum(percent.values()) - source_percent),
            LIMIT_PERCENT,
            f"limit ({shares}; source {source_percent:.1f} taken off)",
            "% of a core",
        ),
    ]


def measure(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return MB and percent of a core by service."""
    pacs, ris, listen, panel = ports.free(4)
    file = folder / "gateway.toml"
    file.write_text(config.toml(_settings(folder, pacs, ris, listen, panel)), encoding="utf-8")
    site = config.load(file)
    with SimulatedPACS(pacs, ae_title="PACS"), SimulatedRIS(ris, []):
        services = Services(units(site), file, lambda _: None)
        try:
            _wait_for_picture(site)
            time.sleep(SETTLE_S)
            percent = _percent(services.pids())
            pss = {name: _pss_mb(pid) for name, pid in services.pids().items()}
        finally:
            services.stop()
    return pss, percent


def _settings(folder: Path, pacs: int, ris: int, listen: int, panel: int) -> dict[str, object]:
    return {
        "paths": {"data": str(folder / "data"), "run": str(folder / "run"), "cache": str(config.own_cache())},
        "spool": {"ballast_mb": 1, "keep_free_mb": 16},
        "grabber": {"ROOM-1": {"device": SCRIPT, "profile": "simulator-ultrasound"}},
        "destination": {"pacs": {"host": "127.0.0.1", "port": pacs, "called_ae": "PACS"}},
        "worklist": {"host": "127.0.0.1", "port": ris, "called_ae": "RIS"},
        "listen": {"host": "127.0.0.1", "port": listen},
        "panel": {"host": "127.0.0.1", "port": panel},
    }


def _wait_for_picture(site: config.Site) -> None:
    until = time.monotonic() + READY_S
    while True:
        status = live.read_status(site.run, "ROOM-1")
        if status is not None and status.signal is Signal.STREAMING:
            return
        if time.monotonic() > until:
            raise TimeoutError("no picture came")
        time.sleep(0.1)


def _source() -> tuple[float, float]:
    """Return MB and percent of a core that the simulated scanner takes by itself."""
    command = [sys.executable, "-c", _SOURCE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        try:
            program.stdout.readline()
            before_mb = _pss_mb(program.pid)
            program.stdin.write("go\n")
            program.stdin.flush()
            program.stdout.readline()
            time.sleep(1.0)
            percent = _percent({"source": program.pid})["source"]
            return _pss_mb(program.pid) - before_mb, percent
        finally:
            program.terminate()


def _percent(pids: dict[str, int]) -> dict[str, float]:
    began_s, before = time.monotonic(), {name: _cpu_s(pid) for name, pid in pids.items()}
    time.sleep(QUIET_S)
    took_s = time.monotonic() - began_s
    return {name: 100 * (_cpu_s(pid) - before[name]) / took_s for name, pid in pids.items()}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def _row(name: str, ours: float, limit: float, note: str, unit: str) -> dict[str, object]:
    return {
        "name": name,
        "ours": round(ours, 1),
        "peer": limit,
        "peer_name": note,
        "unit": unit,
        "ratio": round(limit / ours, 2) if ours else 99.0,
        "goal": 1.0,
        "met": ours < limit,
    }
