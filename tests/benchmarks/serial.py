"""Serial instruments: each parser beside the fastest line that its instrument has, a reading from its last byte to the disk, all at once.

The bytes come 64 at a time, as a busy line gives them. The time of a reading is what a person waits after the instrument has
printed: journal, parser, the objects of PS3.3 A.60, their files and rows, on the disk of this machine; the slowest of all.
"""

import tempfile
import threading
import time
from pathlib import Path

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.tty import Tty
from gateway.model import CaptureState, Patient
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.simulators import electrocardiograph, intellivue_messages, monitor_dri, nidek, tonometer, ventilator
from gateway.simulators.analyser import ACK, Analyser
from gateway.simulators.fetal_monitor import TICKS_A_MINUTE, FetalMonitor
from gateway.simulators.instrument import SimulatedInstrument, dose_report
from gateway.source.serial import Instrument
from gateway.spool.spool import Spool
from tests.benchmarks import _eight
from tests.service.world import site_file

BYTES = 500_000
PIECE = 64
FASTEST_BAUD = 9600
BITS_A_BYTE = 10
TIMES_LINE_RATE = 100.0
READINGS = 20
GOAL_MS = 200.0
LOST_S = 10.0
BETWEEN_S = 0.7
"""A pause that parts one reading from the next."""
CURVES = (1, 4, 8, 9, 13, 14)


def _monitor_second() -> bytes:
    """A second of a theatre's monitor: its values and six curves."""
    curves = {n: [monitor_dri.sample(n, at) for at in range(monitor_dri.RATES_HZ[n])] for n in CURVES}
    records = monitor_dri.values_record(monitor_dri.PATIENT, 0), monitor_dri.curves_record(curves, 0)
    return b"".join(map(monitor_dri.framed, records))


def _fetal_minute() -> bytes:
    with SimulatedInstrument(baud=0) as line:
        return b"".join(map(FetalMonitor(line).tick, range(TICKS_A_MINUTE)))


def _bedside_second() -> bytes:
    """A second of a bedside monitor: what its eleven curves mean, its values, and the curves."""
    say, waves = intellivue_messages, intellivue_messages.WAVES
    sent = [
        part
        for group in (0x0811, 0x0810)
        for part in say.results(
            1, 1, None, 9, group, [say.item(one.handle, say.context(one, group)) for one in waves], 0
        )
    ]
    sent += say.results(1, 1, 1, 6, 0x0803, [say.observed(one) for one in say.PATIENT], 0)
    for block in range(4):
        objects = [say.item(one.handle, [(0x096E, say.block(one, block))]) for one in waves]
        sent += say.results(1, 1, block, 9, 0, objects, block * 2048)
    return b"".join(map(say.framed, sent))


class _Yes:
    """A line on which everything is acknowledged, and kept."""

    def __init__(self) -> None:
        self.printed = b""

    def print(self, text: bytes) -> None:
        self.printed += text

    def heard(self) -> bytes:
        return ACK


def _analysis() -> bytes:
    line = _Yes()
    Analyser(line).send()  # type: ignore[arg-type]  # a line: print and heard
    return line.printed


MESSAGES = {
    "philips-intellivue": _bedside_second(),
    "astm-analyser": _analysis(),
    "ge-s5-monitor": _monitor_second(),
    "ge-corometrics": _fetal_minute(),
    "draeger-medibus-x": ventilator.recording(),
    "scp-ecg": electrocardiograph.session("ECG.SCP", electrocardiograph.record(electrocardiograph.recording())),
    "reichert-g3": tonometer.printout(),
    "nidek-rt": nidek.refractor(),
    "nidek-lm": nidek.lensmeter(),
    "nidek-ark": nidek.autorefractor(),
    "nidek-nt": nidek.tonometer(),
    "plain-line-dose": dose_report(),
}


def run(size: int = BYTES, readings: int = READINGS) -> list[dict[str, object]]:
    """Measure; one row for each parser, one for the time of a reading, and one for all at once."""
    return [*(_parser(name, message, size) for name, message in MESSAGES.items()), _reading(readings), _eight.run()]


def _parser(name: str, message: bytes, size: int) -> dict[str, object]:
    """Its rate in processor time: what else the machine does is not the parser's."""
    data = message * (size // len(message))
    profile = profiles.instrument(name)
    instrument, baud = Instrument(profile), max(FASTEST_BAUD, profile.line.baud)
    began = time.process_time()
    for start in range(0, len(data), PIECE):
        instrument.receive_data(data[start : start + PIECE], 1)
    ours = len(data) / (time.process_time() - began)
    peer = baud / BITS_A_BYTE
    return {
        "name": f"serial, parser of {name}",
        "ours": round(ours / 1e6, 3),
        "peer": round(peer / 1e6, 6),
        "peer_name": f"the line at {baud} baud",
        "unit": "MB/s",
        "ratio": round(ours / peer, 1),
        "goal": TIMES_LINE_RATE,
        "met": ours / peer >= TIMES_LINE_RATE,
    }


def _reading(count: int) -> dict[str, object]:
    profile = profiles.instrument("nidek-ark")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="serial") as folder:
        table = {"ARK": {"device": "/dev/null-ark", "instrument": profile.name, "station": "ROOM-1"}}
        site = config.load(site_file(Path(folder), serial=table))
        with (
            Spool.open(site.data, SystemClock()) as panel,
            Spool.open(site.data, SystemClock()) as spool,
            SimulatedInstrument(baud=0) as instrument,
        ):
            port = Port("ARK", Box(site=site, spool=spool, clock=spool.clock), profile)
            slowest = max(_times(panel, port, instrument, count))
    return {
        "name": "serial, from the last byte of an autorefractor to two durable objects, slowest",
        "ours": round(slowest * 1e3, 1),
        "peer": GOAL_MS,
        "peer_name": "what is promised",
        "unit": "ms; lower is better",
        "ratio": round(GOAL_MS / (slowest * 1e3), 2),
        "goal": 1.0,
        "met": slowest * 1e3 <= GOAL_MS,
    }


def _times(panel: Spool, port: Port, instrument: SimulatedInstrument, count: int) -> list[float]:
    """How long each of several readings took, in seconds; each in an exam of its own, which the port sees begin and end."""
    stop, times = threading.Event(), []
    with Tty(instrument.path, port.profile.line) as tty:
        thread = threading.Thread(target=port.listen, args=(tty, stop))
        thread.start()
        for number in range(count):
            who = Patient(patient_id=f"B-{number}", name="Synthetic^Bench")
            step = exam.start(
                panel, panel.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound", patient=who
            )
            instrument.print(nidek.autorefractor())
            began = time.perf_counter()
            while not any(each.state is CaptureState.HELD for each in panel.captures.of_exam(step.exam_id)):
                assert time.perf_counter() < began + LOST_S, "a reading did not become a capture"
                time.sleep(0.001)
            times.append(time.perf_counter() - began)
            exam.complete(panel, panel.clock, step.exam_id)
            time.sleep(BETWEEN_S)
        stop.set()
        thread.join()
    port.close()
    return times
