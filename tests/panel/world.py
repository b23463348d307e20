"""A box in the middle of a working day: people, a worklist, an exam in progress, exams before it in every state.

Patients are invented; the only picture is the simulator's phantom.
"""

import fcntl
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO

from argon2 import PasswordHasher

from gateway import exam
from gateway.config import Destination, Grabber, Panel, Paths, Site, Station, Worklist
from gateway.model import (
    Capture,
    CaptureKind,
    Patient,
    PerformedStep,
    ScheduledStep,
    Signal,
    StationStatus,
    StoreOutcome,
    WholePicture,
)
from gateway.panel import EchoAnswer, create_app, health
from gateway.pixels import codecs
from gateway.simulators.phantom import Phantom
from gateway.spool import live
from gateway.spool.accounts import Role
from gateway.spool.spool import Spool
from tests.spool.world import ACCEPTED, FakeClock, instance

STATION = "HDMI-1"
ENGINEER, TECHNOLOGIST = "Awa Diallo", "Kofi"
PASSWORD, PIN = "a long and quiet word", "246813"
LATER = StoreOutcome(verdict="later", error_code="G501", text="connection refused")
NEVER = StoreOutcome(verdict="never", error_code="G505", text="SOP class not supported (status 0122)")


class World:
    """One box, and short words for what happens on it."""

    def __init__(self, root: Path, *, language: str = "en", **site) -> None:
        self.clock = FakeClock()
        given = {
            "grabber": {STATION: Grabber(device="simulator:phantom", profile="simulator-ultrasound")},
            "destination": {
                "PACS": Destination(host="127.0.0.1", port=11112, called_ae="PACS"),
                "Archive": Destination(host="127.0.0.1", port=11113, called_ae="ARCHIVE", is_commitment_required=True),
            },
            "worklist": Worklist(host="127.0.0.1", called_ae="RIS"),
            "panel": Panel(session_minutes=30),
        }
        given["paths"] = Paths(data=str(root / "data"), run=str(root / "run"))
        given["station"] = Station(timezone="Africa/Nairobi", language=language)
        self.site = Site(**(given | site))
        self.spool = Spool.open(self.site.data, self.clock)
        self.spool.accounts._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # as sure, and quick
        self.rung: list[str] = []
        self.echo = EchoAnswer(is_ok=True, took_ms=12.4)
        self.on_wait = lambda: self.clock.sleep(0.5)
        self.app = create_app(
            self.site,
            self.spool,
            self.clock,
            secret=b"s" * 32,
            ring=self.rung.append,
            wait=lambda _seconds: self.on_wait(),
            echo=lambda _name: self.echo,
        )
        self._uids = count(1)
        self._locks: list[IO[str]] = []

    def close(self) -> None:
        for lock in self._locks:
            lock.close()
        self.spool.close()

    # ---- people ----

    def people(self) -> None:
        self.spool.accounts.pair(self.spool.accounts.open_pairing(), ENGINEER, PASSWORD)
        self.spool.accounts.add(TECHNOLOGIST, Role.TECHNOLOGIST, PASSWORD, by=ENGINEER)
        self.spool.accounts.set_pin(TECHNOLOGIST, PIN, by=ENGINEER)

    # ---- services ----

    def run_services(self) -> None:
        """Hold their locks, as they do while they live."""
        for name in health.services(self.site):
            lock = (self.site.data / "locks" / name).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._locks.append(lock)

    # ---- the source ----

    def signal(self, signal: Signal = Signal.STREAMING, **fields) -> None:
        live.write_status(
            self.site.run,
            StationStatus(
                station=STATION,
                signal=signal,
                boot_id=self.clock.boot_id(),
                updated_ns=self.clock.monotonic_ns(),
                picture="1280x720p60" if signal is Signal.STREAMING else "",
                **fields,
            ),
        )

    def picture(self) -> None:
        live.write_preview(self.site.run, STATION, phantom(800, 600, 0.55, 85))

    def whole(self, width: int = 800, height: int = 600, **facts) -> None:
        """Publish the uncropped picture, as acquire does while an engineer draws on it."""
        known = {"standard": f"{width}x{height}p60", "captured_ns": self.clock.monotonic_ns()} | facts
        live.write_whole(
            self.site.run,
            STATION,
            phantom(width, height, 0.55, 85),
            WholePicture(width_px=width, height_px=height, **known),
        )

    # ---- exams ----

    def worklist(self) -> None:
        self.spool.worklist.replace(steps(), self.clock.now())

    def start(self, patient: Patient | None = None, scheduled: ScheduledStep | None = None) -> PerformedStep:
        return exam.start(
            self.spool,
            self.clock,
            station=STATION,
            modality="US",
            profile="simulator-ultrasound",
            patient=patient,
            scheduled=scheduled,
            operator=TECHNOLOGIST,
        )

    def capture(self, step: PerformedStep, kind: CaptureKind = CaptureKind.STILL, *, is_done: bool = True) -> Capture:
        begun = exam.begin_capture(self.spool, self.clock, step.exam_id, kind, STATION)
        path = self.spool.thumbnail_path(step.exam_id, begun.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(phantom(240, 180, begun.number * 0.13, 80))
        if is_done:
            self.finish(step, begun)
        return begun

    def finish(self, step: PerformedStep, capture: Capture, note: str = "") -> None:
        kind = "image" if capture.kind is CaptureKind.STILL else "cine"
        self._keep(step, capture.number, kind, 1 if kind == "image" else 125)
        exam.finish_capture(self.spool, capture, note=note)

    def measure(self, step: PerformedStep, *kinds: str) -> Capture:
        """Keep one reading of an instrument with an object of each kind."""
        begun = exam.begin_capture(self.spool, self.clock, step.exam_id, CaptureKind.READING, STATION)
        for kind in kinds:
            self._keep(step, begun.number, kind, 1)
        exam.finish_capture(self.spool, begun)
        return begun

    def release(self) -> None:
        self.clock.sleep(31)
        self.spool.deliveries.release_due()

    def receive(self, sender: str = "CT_ROOM_2", uid: str = "", data: bytes = b"", variant: int = 0) -> None:
        uid = uid or f"2.25.9{next(self._uids)}"
        data = data or uid.encode()
        with self.spool.blobs.part() as part:
            part.write(data)
            part.commit()
            made = instance(
                uid, data, kind="received", modality="CT", received_from=sender, variant=variant, is_held=variant > 0
            )
            self.spool.instances.admit(made, list(self.site.destination))

    def send(self, destination: str, outcome: StoreOutcome = ACCEPTED, limit: int = 1000, *, committed=False) -> None:
        claimed = self.spool.deliveries.claim(destination, limit)
        self.spool.deliveries.settle([(delivery.delivery_id, outcome) for delivery in claimed])
        if committed:
            for delivery in claimed:
                self.spool.deliveries.apply(delivery.delivery_id, "committed")

    def _keep(self, step: PerformedStep, number: int, kind: str, frames: int) -> None:
        uid = f"2.25.{next(self._uids)}"
        with self.spool.blobs.part() as part:
            part.write(uid.encode())
            part.commit()
            made = instance(
                uid, uid.encode(), exam_id=step.exam_id, capture=number, kind=kind, modality="US", frame_count=frames
            )
            exam.keep(self.spool, self.clock, made, self.site)

    # ---- a whole day ----

    def busy_day(self) -> PerformedStep:
        """Everything a screen can show; return the exam in progress."""
        self.people()
        self.worklist()
        self.signal()
        self.picture()
        self._past_exams()
        self.receive()
        self.receive(uid="2.25.777", data=b"first")
        self.receive(uid="2.25.777", data=b"other", variant=1)
        step = self.start(scheduled=steps()[1])
        for _ in range(2):
            self.capture(step)
        self.release()
        self.send("PACS")
        for _ in range(3):
            self.capture(step)
        exam.discard(self.spool, step.exam_id, 4, by=TECHNOLOGIST)
        self.capture(step, CaptureKind.CINE)
        self.signal()
        return step

    def _past_exams(self) -> None:
        safe = self.start(patient=Patient(patient_id="P-1001", name="Moreau^Camille", birth_date="19870214", sex="F"))
        for _ in range(4):
            self.capture(safe)
        self._complete(safe)
        self.send("PACS")
        self.send("Archive", committed=True)
        self.clock.sleep(1800)
        refused = self.start(patient=Patient(patient_id="P-1002", name="Okafor^Chidi", birth_date="19610930", sex="M"))
        for _ in range(3):
            self.capture(refused)
        self.capture(refused, CaptureKind.CINE)
        self._complete(refused)
        self.send("PACS")
        self.send("Archive", NEVER, limit=2)
        self.send("Archive", LATER)
        self.clock.sleep(1200)
        unknown = self.start()
        self.capture(unknown)
        self._complete(unknown)
        self.clock.sleep(600)

    def _complete(self, step: PerformedStep) -> None:
        exam.complete(self.spool, self.clock, step.exam_id, operator=TECHNOLOGIST)


def steps() -> list[ScheduledStep]:
    """Invented people, in the scripts of several countries."""
    rows = [
        ("Mwangi^Grace", "KE-20418", "19921103", "F", "074500", "Abdominal ultrasound", ""),
        ("Wang^Xiaodong=王^小东", "CN-77123", "19800508", "M", "083000", "Liver and gallbladder ultrasound", ""),
        ("Nguyễn^Thị Hoa", "VN-00912", "19750122", "F", "091500", "Thyroid ultrasound", "Latex allergy"),
        ("Lefèvre^Jean-Baptiste", "FR-55210", "19480717", "M", "100000", "Carotid Doppler", ""),
        ("O'Brien^Siobhán", "IE-30077", "20010228", "F", "104500", "Obstetric ultrasound, second trimester", ""),
        ("عبد الله^ليلى", "EG-10933", "19690610", "F", "113000", "Renal ultrasound", ""),
    ]
    today = [_step(number, "20261201", *row) for number, row in enumerate(rows, 1)]
    tomorrow = _step(7, "20261202", "Banda^Thoko", "MW-40001", "19830303", "M", "080000", "Echocardiography", "")
    return [*today, tomorrow]


def _step(number, day, name, patient_id, born, sex, at, procedure, allergies) -> ScheduledStep:
    return ScheduledStep(
        patient=Patient(patient_id=patient_id, name=name, birth_date=born, sex=sex),
        scheduled_procedure_step_id=f"SPS{number}",
        study_instance_uid=f"2.25.50{number}",
        accession_number=f"A{number:04d}",
        scheduled_start_date=day,
        scheduled_start_time=at,
        scheduled_procedure_step_description=procedure,
        modality="US",
        allergies=allergies,
    )


@cache
def phantom(width: int, height: int, phase: float, quality: int) -> bytes:
    """The simulator's picture as a JPEG."""
    return codecs.jpeg(_phantom(width, height).draw(phase), quality)


@cache
def _phantom(width: int, height: int) -> Phantom:
    return Phantom(width, height)


def recording(world: World, step: PerformedStep) -> Capture:
    """Begin a recording that goes on."""
    return world.capture(step, CaptureKind.CINE, is_done=False)
