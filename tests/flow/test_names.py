"""A name in any script, from the RIS's worklist through the spool to the object that a PACS reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pydicom
import pytest

from gateway import exam
from gateway.config import Worklist
from gateway.model import Patient, RequestKind, RequestState, ScheduledStep
from gateway.simulators.ris import SimulatedRIS
from gateway.source import worklist
from tests.flow.rooms import NAME, Room


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 192", "Ağaoğlu^Şule"),
        ("ISO_IR 192", "سليمان^نور"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 100", "Lefèvre^Zoé"),
        ("ISO_IR 126", "Διονυσιος"),
    ],
)
def test_a_name_survives_from_the_worklist_to_the_object(
    room: Room, free_port: int, character_set: str, name: str
) -> None:
    today = datetime.now(tz=UTC)
    order = ScheduledStep(
        patient=Patient(patient_id="P1", name=name, birth_date="19800508", sex="F"),
        scheduled_procedure_step_id="SPS1",
        study_instance_uid="1.2.3.4",
        scheduled_start_date=f"{today:%Y%m%d}",
        scheduled_start_time="080000",
        modality="US",
    )
    with SimulatedRIS(free_port, [order], character_set=character_set):
        settings = Worklist(host="127.0.0.1", port=free_port, called_ae="RIS")
        room.spool.worklist.replace(worklist.fetch(settings, "GATEWAY", today.date()), today)
    (kept,) = room.spool.worklist.all()
    step = exam.start(
        room.spool, room.clock, station=NAME, modality="US", profile="simulator-ultrasound", scheduled=kept
    )
    assert room.press(step, RequestKind.STILL).state is RequestState.DONE
    (instance,) = room.objects(step, 1)
    ds = pydicom.dcmread(room.spool.blobs.path(instance.blob))
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == name
