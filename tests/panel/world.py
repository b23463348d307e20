"""A box in the middle of a working day: people, a worklist, an exam in progress, exams before it in every state.

Patients are invented; the only picture is the simulator's phantom.
"""

import fcntl
from array import array
from functools import cache
from itertools import count
from math import exp
from pathlib import Path
from shutil import rmtree
from typing import IO

from argon2 import PasswordHasher

from gateway import exam
from gateway.codes import (
    AXIS,
    CYLINDER,
    DEGREE,
    DIOPTRE,
    LEADS,
    MICROVOLT,
    MILLIMETRE,
    MMHG,
    PRESSURE,
    RADIUS_1,
    RADIUS_2,
    SPHERE,
)
from gateway.config import Destination, Grabber, Panel, Paths, SerialPort, Site, Station, Worklist
from gateway.model import (
    Capture,
    CaptureKind,
    Detection,
    InboxEntry,
    InstrumentStatus,
    LineGuess,
    LiveTrace,
    MeasurementKind,
    Observation,
    Patient,
    PerformedStep,
    ReadingSet,
    ScheduledStep,
    Signal,
    StationStatus,
    StoreOutcome,
    Trace,
    TraceKind,
    WholePicture,
)
from gateway.panel import EchoAnswer, create_app, health
from gateway.pixels import codecs
from gateway.simulators.phantom import Phantom
from gateway.spool import live, readings
from gateway.spool.accounts import Role
from gateway.spool.spool import Spool
from tests.spool.world import ACCEPTED, FakeClock, instance

STATION = "HDMI-1"
EYES, HEART = "AUTOREF", "ECG"
BY_PATH = "/dev/gateway/serial-pci-0000:00:14.0-usb-0:"
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
            "serial": {
                EYES: SerialPort(device=f"{BY_PATH}1:1.0", instrument="nidek-ark", station=STATION),
                HEART: SerialPort(device=f"{BY_PATH}2:1.0", instrument="nidek-nt", station=STATION),
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

    def tidy(self) -> None:
        """Leave nothing behind of a test, for the next one in the same box: what was heard, saved, begun, and what waits."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()
        self.rung.clear()
        for folder in (self.site.run, self.site.data / "conf.d", Path(self.site.own_profiles)):
            rmtree(folder, ignore_errors=True)
        for entry in self.spool.inbox.waiting():
            self.spool.inbox.discard(entry.entry_id, ENGINEER)
        for step in self.spool.exams.all_running():
            self._complete(step)

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
        for name in self.site.serial:
            self.hear(name)

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

    def measure(self, step: PerformedStep, *kinds: str, said: ReadingSet | None = None) -> Capture:
        """Keep one reading of an instrument with an object of each kind."""
        begun = exam.begin_capture(self.spool, self.clock, step.exam_id, CaptureKind.READING, STATION)
        for kind in kinds:
            self._keep(step, begun.number, kind, 1)
        if said:
            readings.write(self.site.data, step.exam_id, begun.number, said)
        exam.finish_capture(self.spool, begun)
        return begun

    # ---- instruments ----

    def eyes(self, **fields) -> ReadingSet:
        """An autorefraction and a keratometry, one axis of which cannot be."""
        return ReadingSet(observations=eyes(self.clock.monotonic_ns()), received_ns=self.clock.monotonic_ns(), **fields)

    def heart(self) -> ReadingSet:
        """Twelve leads of ten seconds."""
        return ReadingSet(traces=heart(), received_ns=self.clock.monotonic_ns(), model_name="CARDIO 12")

    def stray(
        self, said: ReadingSet | None = None, port: str = EYES, instrument: str = "NIDEK autorefractor", **how
    ) -> InboxEntry:
        """Let a reading wait that came without an exam."""
        return self.spool.inbox.add(port, instrument, said or self.eyes(model_name="ARK-530A"), **how)

    def hear(self, port: str = EYES, **fields) -> None:
        """Say how a port is, as its service does."""
        now_ns = self.clock.monotonic_ns()
        known = {
            "instrument": "NIDEK autorefractor",
            "boot_id": self.clock.boot_id(),
            "updated_ns": now_ns,
            "is_open": True,
            "heard_ns": now_ns,
        }
        live.write_instrument(self.site.run, InstrumentStatus(port=port, **(known | fields)))

    def find(self, port: str = EYES, **fields) -> None:
        """Say what a detection has found so far, as the service of the port does."""
        live.write_detection(self.site.run, Detection(port=port, **({"is_over": True} | fields)))

    def _instruments(self, step: PerformedStep) -> None:
        """Everything that screens of instruments can show."""
        self.measure(step, "ar", "ker", said=self.eyes(model_name="ARK-530A"))
        self.measure(step, "ecg", said=self.heart())
        self.clock.sleep(240)
        self.stray()
        self.stray(self.heart(), HEART, "Electrocardiograph")
        self.spool.inbox.discard(self.stray().entry_id, TECHNOLOGIST)
        self.spool.inbox.assign(self.stray().entry_id, step.exam_id, TECHNOLOGIST)
        past_ns = self.clock.monotonic_ns() - 180_000_000_000
        self.hear(
            values=(*eyes(self.clock.monotonic_ns()), pressure(past_ns)), sets=14, received_bytes=4182, parity_errors=3
        )
        self.hear(HEART, values=(pressure(self.clock.monotonic_ns()),), traces=tuple(live_traces()), sets=3)
        live.write_lines(self.site.run, [f"{BY_PATH}{number}:1.0" for number in (1, 2, 3)])
        self.find(received_bytes=611, guesses=guesses())

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
        self._instruments(step)
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


def eyes(now_ns: int) -> tuple[Observation, ...]:
    """Two eyes; the axis of the left one is not possible."""
    found: list[Observation] = []
    for side, sphere, cylinder, axis in (("R", "-1.25", "-0.50", "180"), ("L", "0.75", "-1.00", "181")):
        for concept, value, unit in ((SPHERE, sphere, DIOPTRE), (CYLINDER, cylinder, DIOPTRE), (AXIS, axis, DEGREE)):
            doubts = ("it is above 180",) if value == "181" else ()
            found.append(
                Observation(
                    concept=concept,
                    value=value,
                    unit=unit,
                    laterality=side,
                    part_of=MeasurementKind.AUTOREFRACTION,
                    doubts=doubts,
                    received_ns=now_ns,
                )
            )
    for side, first, second in (("R", "7.80", "7.65"), ("L", "7.82", "7.70")):
        found += [
            Observation(
                concept=concept,
                value=value,
                unit=MILLIMETRE,
                laterality=side,
                part_of=MeasurementKind.KERATOMETRY,
                received_ns=now_ns,
            )
            for concept, value in ((RADIUS_1, first), (RADIUS_2, second))
        ]
    return tuple(found)


def pressure(now_ns: int, value: str = "16.5") -> Observation:
    """One value that belongs to no measurement of a refraction."""
    return Observation(concept=PRESSURE, value=value, unit=MMHG, laterality="R", received_ns=now_ns)


def heart(seconds: int = 10, hz: int = 500) -> tuple[Trace, ...]:
    """Drawn, of nobody: a beat a second."""
    beat = [0.0] * hz
    for at, width, height in ((90, 14, 120), (150, 3, -90), (158, 4, 1100), (167, 4, -220), (260, 26, 240)):
        for place in range(hz):
            beat[place] += height * exp(-(((place - at) / width) ** 2))
    return tuple(
        Trace(
            kind=TraceKind.ECG,
            channel=lead,
            unit=MICROVOLT,
            hz=hz,
            step="5",
            samples=array("h", [round(value * (0.4 + number * 0.05) / 5) for value in beat] * seconds).tobytes(),
        )
        for number, lead in enumerate(LEADS)
    )


def live_traces() -> list[LiveTrace]:
    """The last seconds of two leads."""
    return [
        LiveTrace(
            channel=each.channel, unit=each.unit, hz=each.hz, step=each.step, zero=each.zero, samples=each.samples
        )
        for each in heart(4)[:2]
    ]


def guesses() -> tuple[LineGuess, ...]:
    """What a detection has found on a line: one setting makes sense."""
    return (
        LineGuess(
            baud=2400,
            data_bits=7,
            parity="E",
            stop_bits=1,
            instruments=("nidek-ark", "nidek-rt"),
            records=4,
            seen=r"\x01DRM\x02OR- 1.25- 0.50180\x17OL+ 0.75 0.00  0\x17\x04",
        ),
        LineGuess(baud=9600, data_bits=8, parity="N", stop_bits=1, errors=212, seen=r"\xc1D\xd2M\x82O\xd2\xad 1\xae25"),
    )
