"""An electrocardiograph end to end: by YMODEM over a pseudo-terminal to a 12-lead ECG in the PACS, sample by sample; and from a stick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset

from gateway import config, exam
from gateway import profile as profiles
from gateway.cli import main
from gateway.clock import SystemClock
from gateway.service.bell import ring
from gateway.simulators.electrocardiograph import EIGHT, Electrocardiograph, Recording, record, recording
from tests.flow import clinic as clinics
from tests.flow.clinic import Clinic, check_validity, numbers, until

TWELVE_LEAD = "1.2.840.10008.5.1.4.1.1.9.1.1"
SENT = recording(seconds=2.0, hz=250)
OTHER = recording(seconds=1.3, hz=250, leads=EIGHT, seed=3)
FROM_STICK = recording(seconds=2.0, hz=500, step_nv=2440, leads=EIGHT, seed=23)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Clinic]:
    """The shipped profile, but on a faster line, and soon quiet."""
    folder = tmp_path_factory.mktemp("clinic")
    own = folder / "data" / "profiles" / "instruments"
    own.mkdir(parents=True)
    shipped = profiles.path_of("instruments", "scp-ecg").read_text(encoding="utf-8")
    quick = shipped.replace("baud = 9600", "baud = 115200").replace("ms = 15000", "ms = 400")
    (own / "ecg-quick.toml").write_text(quick, encoding="utf-8")
    with clinics.clinic(folder, free_ports(3), {"ECG": "ecg-quick"}) as found:
        yield found


@pytest.mark.timeout(120)
def test_an_ecg_arrives_at_the_pacs_sample_by_sample_and_so_does_one_from_a_stick(
    clinic: Clinic, tmp_path: Path
) -> None:
    step = clinic.start()
    Electrocardiograph(clinic.instruments["ECG"]).ymodem("ECG001.SCP", record(SENT, reference_step=2))
    until(lambda: clinic.readings(step) == 1, 20.0, f"the ECG was not kept: {clinic.events('ECG')}")
    file = tmp_path / "ECG002.SCP"
    file.write_bytes(record(FROM_STICK))
    command = ["--config", str(clinic.file), "serial", "read", "ECG", str(file), "--exam", str(step.exam_id), "--json"]
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 0, ran.output
    (told,) = json.loads(ran.output)
    assert told["curves"][0] == "Lead I, 2 s of 500 samples in a second"
    assert "Nobody" not in ran.output
    assert clinic.readings(step) == 2
    exam.complete(clinic.spool, SystemClock(), step.exam_id)

    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    found = clinic.objects()
    by_leads = {int(ds.WaveformSequence[0].NumberOfWaveformChannels): ds for ds in found["ECG"]}
    assert set(by_leads) == {12, 8}
    check_curves(by_leads[12], SENT)
    check_curves(by_leads[8], FROM_STICK)
    for ds in (*found["ECG"], *found["SR"]):
        assert (ds.PatientID, ds.StudyInstanceUID) == ("E-1", step.study_instance_uid)
        assert "Nobody" not in str(ds)
    measured = {(meaning, value, unit) for ds in found["SR"] for meaning, _, value, unit in numbers(ds)}
    assert {
        ("Heart rate", "75", "/min"),
        ("PR interval global", "175", "ms"),
        ("QRS duration global", "90", "ms"),
        ("QT interval global", "405", "ms"),
        ("QRS axis", "61", "deg"),
    } <= measured
    assert "NORMAL ECG" in str(found["SR"][0])
    check_validity(clinic.received)


@pytest.mark.timeout(120)
def test_an_ecg_without_an_exam_waits_for_a_person(clinic: Clinic) -> None:
    data = record(OTHER)
    Electrocardiograph(clinic.instruments["ECG"]).xmodem(data, block_bytes=1024)
    until(lambda: bool(clinic.spool.inbox.waiting()), 20.0, f"nothing waits: {clinic.events('ECG')}")
    (entry,) = clinic.spool.inbox.waiting()
    assert len(entry.readings.traces) == len(OTHER.leads)
    step = clinic.start()
    clinic.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    ring(config.load(clinic.file).run, "serial@ECG")
    until(lambda: clinic.readings(step) == 1, 20.0, "it was not kept")


def check_curves(ds: Dataset, original: Recording) -> None:
    """Every sample is the one that the electrocardiograph encoded, in the unit that it stated."""
    assert ds.SOPClassUID == TWELVE_LEAD
    (group,) = ds.WaveformSequence
    channels = group.ChannelDefinitionSequence
    assert [item.ChannelSourceSequence[0].CodeValue for item in channels] == [
        f"2:{number}" for number in original.leads
    ]
    assert {item.ChannelSourceSequence[0].CodingSchemeDesignator for item in channels} == {"MDC"}
    assert float(group.SamplingFrequency) == original.hz
    samples = np.frombuffer(group.WaveformData, "<i2").reshape(-1, len(channels)).T
    assert samples.tolist() == list(original.leads.values())
    for item in channels:
        assert item.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"
        assert float(item.ChannelSensitivity) * float(item.ChannelSensitivityCorrectionFactor) == pytest.approx(
            original.step_nv / 1000
        )


def test_a_file_that_is_no_record_and_a_port_that_is_none_are_named(clinic: Clinic, tmp_path: Path) -> None:
    file = tmp_path / "holiday.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0" + bytes(4000))
    ran = CliRunner().invoke(main, ["--config", str(clinic.file), "serial", "read", "ECG", str(file)])
    assert ran.exit_code == 1
    assert "G220" in ran.output
    assert CliRunner().invoke(main, ["--config", str(clinic.file), "serial", "read", "NO", str(file)]).exit_code == 2
