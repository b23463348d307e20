"""In the guest: the whole gateway at work on the disk whose power will be cut, and everybody around it.

`python -m tests.rig.power.work RUN=SECONDS ...`; the disk of each run is mounted at /mnt/RUN, and one sync of it is lacking
(`lacks.py`) unless it is "nothing". Services are processes of their own, forked when everything was imported once, for
importing takes longest under emulation. A modality sends, a person presses, a PACS receives. Each acknowledgement is said on
the console after it was given (`stored`, `still`, `cine`, `exam`, `ended`, `sent`, `received`, `synced`), so that it must be
kept by any cut that comes later.
"""

import faulthandler
import gc
import itertools
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from uuid import UUID

from gateway import cli, config, exam
from gateway.clock import SystemClock
from gateway.model import CaptureState, DeliveryState, Patient, RequestKind, RequestState, Signal, StepStatus
from gateway.pixels import chain
from gateway.profile import modality as profile
from gateway.service import acquire, forward, keeper, listen
from gateway.service.bell import ring
from gateway.service.unit import run_unit
from gateway.simulators.modality import Modality
from gateway.simulators.pacs import SimulatedPACS
from gateway.simulators.pictures import Playback, parse
from gateway.spool import live
from gateway.spool.framelog import FrameLog
from gateway.spool.instances import payload_of
from gateway.spool.spool import Spool
from tests.flow.arrivals import write
from tests.rig.power import PROFILE, SCRIPT, STATION, run_is, say, settings
from tests.rig.power.lacks import LACKS

IMPORTED = (acquire, forward, keeper, listen)
GRABBER = f"acquire@{STATION}"
SERVICES = ("keeper", "forward", "listen", GRABBER)
STILLS = 3
CINE_S = 4.0
PAUSE_S = 0.1
READY_S = 120.0
SLOW_S = 180.0
ENOUGH = 12


class World:
    """One run: its folders, its ports, its store."""

    def __init__(self, name: str, ports: tuple[int, int]) -> None:
        self.data, self.place = Path("/mnt") / name / "spool", Path("/run/power") / name
        self.listen, self.pacs = ports
        self.run = self.place / "run"
        self.place.mkdir(parents=True)
        self.file = self.place / "gateway.toml"
        self.file.write_text(config.toml(settings(self.data, self.run, ports)), encoding="utf-8")
        self.site = config.load(self.file)

    def open(self) -> Spool:
        return Spool.open(self.data, SystemClock())


class PACSThatSays(SimulatedPACS):
    """Says what it has, before it answers."""

    def _on_store(self, event):
        answer = super()._on_store(event)
        say("received", event.request.AffectedSOPInstanceUID)
        return answer


# ---- everybody around the box ----


def send(world: World, spool: Spool) -> None:
    """A modality that sends one object after the other."""
    path, modality = world.place / "object.dcm", Modality(("127.0.0.1", world.listen), timeout_s=120)
    for number in itertools.count(1):
        uid = f"1.2.3.{number}"
        write(path, uid, seed=number, rows=16 + 8 * (number % 11))
        if modality.send([path])[-1].answer == "0000":
            (made,) = spool.instances.same_uid(uid)
            say("stored", payload_of(made), made.blob)
        time.sleep(PAUSE_S)


def examine(world: World, spool: Spool) -> None:
    """One exam after the other: stills, a recording, the last seconds."""
    clock = SystemClock()
    for number in itertools.count(1):
        who = Patient(patient_id=f"P{number}", name="Synthetic^Test")
        step = exam.start(spool, clock, station=STATION, modality="US", profile=PROFILE, patient=who)
        say("exam", step.exam_id)
        for _ in range(STILLS):
            say_capture(spool, "still", step.exam_id, press(world, spool, RequestKind.STILL, step.exam_id))
        if press(world, spool, RequestKind.CINE_START, step.exam_id) is not None:
            time.sleep(CINE_S)
            say_capture(spool, "cine", step.exam_id, press(world, spool, RequestKind.CINE_STOP, step.exam_id))
        say_capture(spool, "cine", step.exam_id, press(world, spool, RequestKind.RETROSPECTIVE, step.exam_id))
        exam.complete(spool, clock, step.exam_id)
        ring(world.run, "keeper")
        say("ended", step.exam_id)


def press(world: World, spool: Spool, kind: RequestKind, exam_id: UUID) -> int | None:
    """Press as the panel does, and wait for the answer."""
    request = exam.press(spool, SystemClock(), kind, exam_id, STATION)
    ring(world.run, GRABBER)
    while (answer := spool.requests.get(request.request_id)).state in {RequestState.REQUESTED, RequestState.TAKEN}:
        time.sleep(0.02)
    return answer.capture if answer.state is RequestState.DONE else None


def say_capture(spool: Spool, word: str, exam_id: UUID, number: int | None) -> None:
    """Wait until a capture is kept, and say it with its objects."""
    if number is None:
        return
    while spool.captures.get(exam_id, number).state is CaptureState.RECORDING:
        time.sleep(0.02)
    if spool.captures.get(exam_id, number).state in {CaptureState.HELD, CaptureState.RELEASED}:
        for made in spool.instances.of_capture(exam_id, number):
            say(word, exam_id, number, payload_of(made), made.blob)


def watch(spool: Spool, seconds: float) -> None:
    """Say what the gateway has settled (it must never be owed again), for so long, and until enough has happened."""
    told: set[int] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end or not is_enough(spool):
        assert time.monotonic() < end + SLOW_S, "too little has happened"
        all_live()
        for delivery in spool.deliveries.recent(50):
            if delivery.state is DeliveryState.SENT and delivery.delivery_id not in told:
                told.add(delivery.delivery_id)
                say("sent", delivery.payload, delivery.destination)
        time.sleep(0.3)


def is_enough(spool: Spool) -> bool:
    """Whether an exam with its stills and recordings has ended, and objects came meanwhile, also on a slow machine."""
    return len(spool.instances.received(ENOUGH)) == ENOUGH and any(
        step.status is StepStatus.COMPLETED for step in spool.exams.recent(100)
    )


# ---- the box ----


def serve(world: World, name: str) -> None:
    """Be one service, in a process of its own."""
    if os.fork():
        return
    code = 9
    try:
        code = run_unit(name, world.site, cli._serve(name, world.site))
    except BaseException:  # noqa: BLE001  it is a process of its own: nobody else would say it
        traceback.print_exc()
    finally:
        os._exit(code)


def all_live() -> None:
    """Raise AssertionError when a service has ended: it has nobody here who would start it again."""
    pid, status = os.waitpid(-1, os.WNOHANG)
    assert not pid, f"a service ended: {os.waitstatus_to_exitcode(status)}"


def say_what_is_synced() -> None:
    """After each sync of a frame log: which one, and how many frames it had before."""
    begin, sync = Spool.new_frame_log, FrameLog.sync

    def begun(spool, header):
        log = begin(spool, header)
        log.name = spool.frame_log_path(header.exam_id, header.capture, header.segment).name
        return log

    def synced(log):
        frames = log.frames
        sync(log)
        say("synced", log.name, frames)

    Spool.new_frame_log, FrameLog.sync = begun, synced


def is_ready(world: World) -> bool:
    try:
        if Modality(("127.0.0.1", world.listen), timeout_s=30).echo() != "0000":
            return False
    except OSError:
        return False
    status = live.read_status(world.run, STATION)
    return status is not None and status.signal is Signal.STREAMING


def play(name: str, seconds: float, ports: tuple[int, int]) -> bool:
    """Let one box work for so long, in a session of its own, which ends with it; return whether it did."""
    pid = os.fork()
    if not pid:
        code = 9
        try:
            os.setsid()
            run_is(name)
            LACKS[name]()
            live_through(World(name, ports), seconds)
            code = 0
        except BaseException:  # noqa: BLE001  as above
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    os.killpg(pid, signal.SIGKILL)
    return status == 0


def live_through(world: World, seconds: float) -> None:
    say_what_is_synced()
    for name in SERVICES:
        serve(world, name)
    with PACSThatSays(world.pacs), world.open() as spool:
        end = time.monotonic() + READY_S
        while not is_ready(world):
            assert time.monotonic() < end, "the gateway did not start"
            all_live()
            time.sleep(0.2)
        say("ready")
        for work in (send, examine):
            threading.Thread(target=work, args=(world, spool), daemon=True).start()
        watch(spool, seconds)
        say("over")
        os._exit(0)  # as they stand: nobody closes anything


def warm() -> None:
    """Load the kernels before the forks, so that no service waits for them."""
    playback = Playback(parse(SCRIPT))
    pixels = chain.build(playback.format, profile(PROFILE).chain)
    pixels.to_grey(pixels.run(None, playback.raw(1), None))
    pixels.is_grey(pixels.run(None, playback.raw(1), None))


def main(runs: list[str]) -> None:
    began = time.monotonic()
    warm()
    gc.freeze()
    faulthandler.enable()
    say("imported", f"{time.clock_gettime(time.CLOCK_BOOTTIME):.1f}", f"{time.monotonic() - began:.1f}")
    for number, run in enumerate(runs):
        name, _, seconds = run.partition("=")
        if not play(name, float(seconds), (10400 + 2 * number, 10401 + 2 * number)):
            sys.exit(f"{name} did not come to its end")


if __name__ == "__main__":
    main(sys.argv[1:])
