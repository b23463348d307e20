"""A box with instruments on its serial lines, as real services over pseudo-terminals, whose PACS is DCMTK's storescp."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.model import CaptureKind, CaptureState, DeliveryState, Patient, PerformedStep
from gateway.simulators.instrument import SimulatedInstrument
from gateway.spool.spool import Spool
from tests.flow.services import looked_after
from tests.objects.test_dciodvfy import unexplained
from tests.pacs import storescp
from tests.service.world import site_file

STATION = "ROOM-1"
PAUSE_S = 0.7
WHO = Patient(patient_id="E-1", name="Synthetic^Eye", birth_date="19700102", sex="F")


class Clinic:
    """Instruments beside a box at work, by the names of their ports."""

    def __init__(self, file: Path, received: Path, instruments: dict[str, SimulatedInstrument], spool: Spool) -> None:
        self.file, self.received, self.instruments, self.spool = file, received, instruments, spool

    def start(self) -> PerformedStep:
        return exam.start(
            self.spool, SystemClock(), station=STATION, modality="OT", profile="simulator-ultrasound", patient=WHO
        )

    def readings(self, step: PerformedStep) -> int:
        found = self.spool.captures.of_exam(step.exam_id)
        return sum(one.kind is CaptureKind.READING and one.state is not CaptureState.RECORDING for one in found)

    def is_sent(self, step: PerformedStep) -> bool:
        """Say whether the PACS has every object of an exam."""
        states = [one.state for one in self.spool.deliveries.of_exam(step.exam_id) if "STORE" in one.kind]
        return bool(states) and set(states) == {DeliveryState.SENT}

    def events(self, name: str) -> list[str]:
        return [entry.event for entry in self.spool.history.of(f"port {name}")]

    def objects(self) -> dict[str, list[Dataset]]:
        """What the PACS has, by Modality."""
        found: dict[str, list[Dataset]] = {}
        for path in sorted(self.received.iterdir()):
            ds = pydicom.dcmread(path)
            found.setdefault(str(ds.Modality), []).append(ds)
        return found


def until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


@contextmanager
def clinic(folder: Path, ports: tuple[int, int, int], lines: Mapping[str, str]) -> Iterator[Clinic]:
    """Open one, with an instrument (by its profile) on each line; `ports`: of the PACS, of our own SCP, of the panel."""
    dicom, listen, panel = ports
    instruments = {
        name: SimulatedInstrument(
            baud=max(9600, profiles.instrument(profile, str(folder / "data" / "profiles")).line.baud)
        )
        for name, profile in lines.items()
    }
    file = site_file(
        folder,
        (listen, panel),
        release={"after_s": 0.5},
        destination={"pacs": {"host": "127.0.0.1", "port": dicom, "called_ae": "PACS"}},
        serial={
            name: {"device": instruments[name].path, "instrument": profile, "station": STATION}
            for name, profile in lines.items()
        },
    )
    data = config.load(file).data
    names = ["keeper", "forward", *(f"serial@{name}" for name in lines)]
    with ExitStack() as stack:
        stack.enter_context(storescp(folder / "pacs", port=dicom))
        for each in instruments.values():
            stack.enter_context(each)
        spool = stack.enter_context(Spool.open(data, SystemClock()))
        stack.enter_context(looked_after(names, file))
        for name, each in instruments.items():
            until(
                lambda each=each, journal=data / "serial" / name: is_heard(each, journal), 60.0, "a port did not open"
            )
        time.sleep(PAUSE_S)  # the noise is over: what is printed from now on begins now, and not before the exam does
        yield Clinic(file, folder / "pacs", instruments, spool)


def is_heard(instrument: SimulatedInstrument, journal: Path) -> bool:
    """Make a noise that means nothing in any protocol: what came before a port was open is thrown away."""
    instrument.print(b"\x00")
    return any(journal.glob("*.journal"))


def numbers(ds: Dataset) -> Iterator[tuple[str, str, str, str]]:
    """Concept, side, value and unit of every number in a report."""
    for item in ds.get("ContentSequence", []):
        if item.ValueType == "NUM":
            value = item.MeasuredValueSequence[0]
            sides = [
                one.ConceptCodeSequence[0].CodeMeaning
                for one in item.get("ContentSequence", [])
                if one.ValueType == "CODE"
            ]
            yield (
                item.ConceptNameCodeSequence[0].CodeMeaning,
                sides[0] if sides else "",
                str(value.NumericValue),
                value.MeasurementUnitsCodeSequence[0].CodeValue,
            )
        yield from numbers(item)


def check_validity(folder: Path) -> None:
    assert {path.name: problems for path in folder.iterdir() if (problems := unexplained(path))} == {}
