"""In the guest: the whole gateway at work on the disk whose power will be cut, and everybody around it.

`python -m tests.rig.power.work DATA LACKING SERVICE ...`. A modality sends objects, a person presses, a PACS receives. Each
acknowledgement is said on the console after it was given (`stored`, `still`, `cine`, `exam`, `ended`, `sent`, `received`;
`synced` by `unit.py`), so that whatever the disk holds then must be there after any later cut. It goes on until the power fails.
"""

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.model import CaptureState, DeliveryState, Patient, RequestKind, RequestState, Signal
from gateway.service.bell import ring
from gateway.simulators.modality import Modality
from gateway.simulators.pacs import SimulatedPACS
from gateway.spool import live
from gateway.spool.instances import payload_of
from gateway.spool.spool import Spool
from tests.flow.arrivals import write
from tests.rig.power import say

STATION = "ROOM"
GRABBER = f"acquire@{STATION}"
SCRIPT = "simulator:ybr_color,160x120,progressive,yuyv,4,stamp"
LISTEN, PACS = 10400, 10401
PLACE = Path("/run/power")
STILLS = 3
CINE_S = 4.0
PAUSE_S = 0.2


def settings(data: Path) -> dict[str, object]:
    return {
        "station": {"timezone": "Africa/Nairobi"},
        "paths": {"data": str(data), "run": str(PLACE / "run"), "cache": str(config.own_cache())},
        "spool": {"ballast_mb": 1, "keep_free_mb": 1},
        "release": {"after_s": 3.0},
        "grabber": {
            STATION: {"device": SCRIPT, "profile": "simulator-ultrasound", "ring_s": 5.0, "retrospective_s": 2.0}
        },
        "destination": {"pacs": {"host": "127.0.0.1", "port": PACS, "called_ae": "PACS"}},
        "listen": {"host": "127.0.0.1", "port": LISTEN, "is_open_to_all": True},
    }


class PACSThatSays(SimulatedPACS):
    """Says what it has, before it answers."""

    def _on_store(self, event):
        answer = super()._on_store(event)
        say("received", event.request.AffectedSOPInstanceUID)
        return answer


def send(spool: Spool) -> None:
    """A modality that sends one object after the other."""
    path, modality = PLACE / "object.dcm", Modality(("127.0.0.1", LISTEN), timeout_s=120)
    for number in itertools.count(1):
        uid = f"1.2.3.{number}"
        write(path, uid, seed=number, rows=16 + 8 * (number % 11))
        if modality.send([path])[-1].answer == "0000":
            (made,) = spool.instances.same_uid(uid)
            say("stored", payload_of(made), made.blob)
        time.sleep(PAUSE_S)


def press(spool: Spool, kind: RequestKind, exam_id: UUID) -> int | None:
    """Press as the panel does, and wait for the answer."""
    request = exam.press(spool, SystemClock(), kind, exam_id, STATION)
    ring(PLACE / "run", GRABBER)
    while (answer := spool.requests.get(request.request_id)).state in {RequestState.REQUESTED, RequestState.TAKEN}:
        time.sleep(0.02)
    return answer.capture if answer.state is RequestState.DONE else None


def examine(spool: Spool) -> None:
    """One exam after the other: stills, a recording, the last seconds."""
    for number in itertools.count(1):
        who = Patient(patient_id=f"P{number}", name="Synthetic^Test")
        step = exam.start(
            spool, SystemClock(), station=STATION, modality="US", profile="simulator-ultrasound", patient=who
        )
        say("exam", step.exam_id)
        for _ in range(STILLS):
            say_capture(spool, "still", step.exam_id, press(spool, RequestKind.STILL, step.exam_id))
        if press(spool, RequestKind.CINE_START, step.exam_id) is not None:
            time.sleep(CINE_S)
            say_capture(spool, "cine", step.exam_id, press(spool, RequestKind.CINE_STOP, step.exam_id))
        say_capture(spool, "cine", step.exam_id, press(spool, RequestKind.RETROSPECTIVE, step.exam_id))
        exam.complete(spool, SystemClock(), step.exam_id)
        ring(PLACE / "run", "keeper")
        say("ended", step.exam_id)


def say_capture(spool: Spool, word: str, exam_id: UUID, number: int | None) -> None:
    """Wait until a capture is kept, and say it with its objects."""
    if number is None:
        return
    while spool.captures.get(exam_id, number).state is CaptureState.RECORDING:
        time.sleep(0.02)
    if spool.captures.get(exam_id, number).state in {CaptureState.HELD, CaptureState.RELEASED}:
        for made in spool.instances.of_capture(exam_id, number):
            say(word, exam_id, number, payload_of(made), made.blob)


def watch(spool: Spool) -> None:
    """Say what the gateway has settled: it must never be owed again."""
    told: set[int] = set()
    while True:
        for delivery in spool.deliveries.recent(50):
            if delivery.state is DeliveryState.SENT and delivery.delivery_id not in told:
                told.add(delivery.delivery_id)
                say("sent", delivery.payload, delivery.destination)
        time.sleep(0.5)


def is_ready(services: list[str]) -> bool:
    """Whether everybody is there."""
    if "listen" in services and _echo() != "0000":
        return False
    status = live.read_status(PLACE / "run", STATION) if GRABBER in services else None
    return GRABBER not in services or (status is not None and status.signal is Signal.STREAMING)


def _echo() -> str:
    try:
        return Modality(("127.0.0.1", LISTEN), timeout_s=30).echo()
    except OSError:
        return ""


def main(data: Path, lacking: str, services: list[str]) -> None:
    PLACE.mkdir(exist_ok=True)
    file = PLACE / "gateway.toml"
    file.write_text(config.toml(settings(data)), encoding="utf-8")
    for name in services:
        subprocess.Popen([sys.executable, "-m", "tests.rig.power.unit", file, name, lacking])
    with PACSThatSays(PACS), Spool.open(data, SystemClock()) as spool:
        while not is_ready(services):
            time.sleep(0.2)
        say("ready", time.clock_gettime(time.CLOCK_BOOTTIME))
        if "listen" in services:
            threading.Thread(target=send, args=(spool,), daemon=True).start()
        if GRABBER in services:
            threading.Thread(target=examine, args=(spool,), daemon=True).start()
        watch(spool)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
