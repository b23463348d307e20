"""All eight families of instruments at once, as their services: what they cost of one core, from the wire to durable objects.

Four stream with every curve that they have, at their real pace and on lines as fast as theirs: IntelliVue (eleven curves), Datex-Ohmeda
(600 samples a second), MEDIBUS, Corometrics. Four measure and print: an electrocardiograph one record after another by XMODEM, which
fills its line; an autorefractor, a tonometer and an analyser each PRINT_S, faster than anybody examines. One exam takes all of it, and ends
at the end: journal, parsers, answers, and the objects of the whole time are in the figure; starting Python is not.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.model import CaptureState, Patient, PerformedStep
from gateway.service.run import Services
from gateway.simulators import monitor_dri, nidek, tonometer
from gateway.simulators.analyser import Analyser, GaveUp
from gateway.simulators.electrocardiograph import Electrocardiograph, Refused, record, recording
from gateway.simulators.fetal_monitor import FetalMonitor
from gateway.simulators.instrument import SimulatedInstrument
from gateway.simulators.monitor_intellivue import Monitor
from gateway.simulators.ventilator import Ventilator
from gateway.spool.spool import Spool
from tests.flow.services import looked_after
from tests.service.world import site_file

PORTS = {
    "IV": "philips-intellivue",
    "DRI": "ge-s5-monitor",
    "VENT": "draeger-medibus-x",
    "CTG": "ge-corometrics",
    "ECG": "scp-ecg",
    "AR": "nidek-ark",
    "NT": "reichert-g3",
    "LAB": "astm-analyser",
}
EVERY_CURVE = {
    "IV": ["I", "II", "V", "ABP", "ART", "CVP", "Pleth", "Resp", "CO2", "AWF", "AWP"],
    "DRI": ["ECG1", "INVP1", "PLETH", "CO2", "AWP", "FLOW", "RESP"],
}
PRINT_S = 10.0
WARM_S = 8.0
SECONDS = 30.0
GOAL_PERCENT = 10.0
LOST_S = 30.0
PIECE = 64


class Line(SimulatedInstrument):
    """One that sends in pieces, so that eight doubles do not take the core that is measured."""

    def print(self, text: bytes, *, noise: bytes = b"", cut_at: int | None = None) -> None:
        """Print at the pace of the line."""
        data = noise + text[:cut_at]
        for start in range(0, len(data), PIECE):
            os.write(self._ours, data[start : start + PIECE])
            time.sleep(self._pause_s * len(data[start : start + PIECE]))


def run(seconds: float = SECONDS) -> dict[str, object]:
    """Measure; one row."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="eight") as folder:
        percent = _measured(Path(folder), seconds)
    return {
        "name": "serial, all eight families at once, from the wire to durable objects",
        "ours": round(percent, 2),
        "peer": GOAL_PERCENT,
        "peer_name": "what is promised",
        "unit": "% of one core; lower is better",
        "ratio": round(GOAL_PERCENT / percent, 2),
        "goal": 1.0,
        "met": percent <= GOAL_PERCENT,
    }


def _measured(folder: Path, seconds: float) -> float:
    """How much of a core the eight services took, in percent of `seconds`."""
    with ExitStack() as stack:
        lines = {
            port: stack.enter_context(Line(baud=profiles.instrument(name).line.baud)) for port, name in PORTS.items()
        }
        file = _site(folder, lines)
        spool = stack.enter_context(Spool.open(config.load(file).data, SystemClock()))
        services, _ = stack.enter_context(looked_after([f"serial@{port}" for port in PORTS], file))
        step = exam.start(
            spool,
            SystemClock(),
            station="ROOM-1",
            modality="OT",
            profile="simulator-ultrasound",
            patient=Patient(patient_id="B-8", name="Synthetic^Bench"),
        )
        stack.enter_context(_at_work(lines))
        time.sleep(WARM_S)
        before, began = _cpu_s(services), time.monotonic()
        time.sleep(seconds)
        exam.complete(spool, SystemClock(), step.exam_id)
        _await_kept(spool, step)
        return 100 * (_cpu_s(services) - before) / (time.monotonic() - began)


def _site(folder: Path, lines: dict[str, Line]) -> Path:
    """Write a box with a port for each, whose streams send every curve."""
    own = folder / "data" / "profiles" / "instruments"
    own.mkdir(parents=True)
    for port, curves in EVERY_CURVE.items():
        shipped = profiles.path_of("instruments", PORTS[port]).read_text(encoding="utf-8")
        written = [f"curves = {curves}" if line.startswith("curves") else line for line in shipped.splitlines()]
        (own / f"{PORTS[port]}.toml").write_text("\n".join(written), encoding="utf-8")
    table = {
        port: {"device": lines[port].path, "instrument": name, "station": "ROOM-1"} for port, name in PORTS.items()
    }
    return site_file(folder, serial=table)


@contextmanager
def _at_work(lines: dict[str, Line]) -> Iterator[None]:
    """All eight, each in a thread of its own."""
    stop = threading.Event()
    works: list[Callable[[], None]] = [
        lambda: Monitor(lines["IV"]).serve(stop),
        lambda: monitor_dri.Monitor(lines["DRI"]).serve(stop),
        lambda: Ventilator(lines["VENT"], interval_ms=16).run(stop),
        lambda: FetalMonitor(lines["CTG"]).serve(stop),
        lambda: _again(stop, 0.0, lambda: Electrocardiograph(lines["ECG"]).xmodem(record(recording()))),
        lambda: _again(stop, PRINT_S, lambda: lines["AR"].print(nidek.autorefractor())),
        lambda: _again(stop, PRINT_S, lambda: lines["NT"].print(tonometer.printout())),
        lambda: _again(stop, PRINT_S, lambda: Analyser(lines["LAB"]).send()),
    ]
    threads = [threading.Thread(target=_until_unplugged, args=(work,), daemon=True) for work in works]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()


def _until_unplugged(work: Callable[[], None]) -> None:
    """Whoever waits for an answer that does not come any more ends with its line."""
    with suppress(OSError):
        work()


def _again(stop: threading.Event, pause_s: float, act: Callable[[], None]) -> None:
    while not stop.wait(pause_s):
        try:
            act()
        except (GaveUp, Refused):
            stop.wait(1.0)


def _await_kept(spool: Spool, step: PerformedStep) -> None:
    """Wait until what the streams said in the exam is objects: a moment is enough for the services to see that it has ended."""
    end = time.monotonic() + LOST_S
    time.sleep(2.0)
    while any(one.state is CaptureState.RECORDING for one in spool.captures.of_exam(step.exam_id)):
        assert time.monotonic() < end, "a set did not become objects"
        time.sleep(0.1)
    kept = {one.source for one in spool.captures.of_exam(step.exam_id)}
    assert kept == PORTS.keys(), f"nothing was kept of {', '.join(PORTS.keys() - kept)}"


def _cpu_s(services: Services) -> float:
    """Processor time of all services until now."""
    return sum(_of_process(pid) for pid in services.pids().values())


def _of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
