"""An IntelliVue monitor, end to end: simulator at its real pace, pseudo-terminal, service, spool, DCMTK's storescp; sample by sample."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from gateway import exam
from gateway.clock import SystemClock
from gateway.simulators.intellivue_messages import BREATH, CARBON_DIOXIDE, LEAD_II, PLETH, PRESSURE, Wave, sample
from gateway.simulators.monitor_intellivue import Monitor
from tests.flow import clinic as clinics
from tests.flow.clinic import Clinic, check_validity, numbers, until

RECORDED_BLOCKS = 12
"""Of 256 ms."""
NO_SAMPLE = -32768


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Clinic]:
    with clinics.clinic(tmp_path_factory.mktemp("clinic"), free_ports(3), {"MONITOR": "philips-intellivue"}) as found:
        yield found


@pytest.fixture
def monitor(clinic: Clinic) -> Iterator[Monitor]:
    found, stop = Monitor(clinic.instruments["MONITOR"], noise=b"\x00"), threading.Event()
    thread = threading.Thread(target=found.serve, args=(stop,))
    thread.start()
    yield found
    stop.set()
    thread.join()


@pytest.mark.timeout(180)
def test_values_and_curves_of_an_exam_arrive_at_the_pacs_sample_by_sample(clinic: Clinic, monitor: Monitor) -> None:
    until(lambda: monitor.blocks > 1, 30.0, "no curves were asked for")
    assert monitor.requests[:2] == ["association", "confirmed"]
    step, begun = clinic.start(), monitor.blocks
    until(lambda: monitor.blocks > begun + RECORDED_BLOCKS, 30.0, "the monitor stands still")
    exam.complete(clinic.spool, SystemClock(), step.exam_id)
    until(lambda: clinic.readings(step) == 1, 20.0, "the interval of the exam was not kept")
    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    found = clinic.objects()
    assert {each.StudyInstanceUID for objects in found.values() for each in objects} == {step.study_instance_uid}
    check_values(found["SR"])
    check_curves(found)
    check_validity(clinic.received)


def check_values(reports: list[Dataset]) -> None:
    (report,) = reports
    assert sorted((meaning, value, unit) for meaning, _, value, unit in numbers(report)) == [
        ("Arterial blood pressure, diastolic (ABP)", "78", "mm[Hg]"),
        ("Arterial blood pressure, mean (ABP)", "93", "mm[Hg]"),
        ("Arterial blood pressure, systolic (ABP)", "121", "mm[Hg]"),
        ("Heart rate (HR)", "72", "/min"),
        ("Oxygen saturation by pulse oximetry (SpO₂)", "97.5", "%"),
        ("Respiration rate (AF)", "14", "/min"),
        ("Temperature (T1)", "36.81", "Cel"),
        ("Temperature (T2)", "33.90", "Cel"),
    ]
    said = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
    assert "M8000" in said
    assert any("the monitor calls it questionable" in text for text in said)


def check_curves(found: dict[str, list[Dataset]]) -> None:
    curves: dict[str, list[int]] = {}
    for modality in ("ECG", "HD", "RESP"):
        for ds in found[modality]:
            curves |= curves_of(ds)
    expected = {"2:2": LEAD_II, "128446002": PRESSURE, "109116": PLETH, "109117": BREATH, "130443": CARBON_DIOXIDE}
    assert curves.keys() == expected.keys()
    for code, wave in expected.items():
        assert len(curves[code]) >= (RECORDED_BLOCKS - 3) * wave.count
        assert is_piece_of(curves[code], wave), code
    group = found["ECG"][0].WaveformSequence[0]
    channel = group.ChannelDefinitionSequence[0]
    assert (group.SamplingFrequency, channel.ChannelSensitivityUnitsSequence[0].CodeValue) == (500, "mV")
    assert channel.ChannelSensitivity == pytest.approx(0.005)


def curves_of(ds: Dataset) -> dict[str, list[int]]:
    """The samples of each channel, by its code."""
    found: dict[str, list[int]] = {}
    for group in ds.WaveformSequence:
        channels = [one.ChannelSourceSequence[0].CodeValue for one in group.ChannelDefinitionSequence]
        every = struct.unpack(f"<{len(group.WaveformData) // 2}h", group.WaveformData)
        found |= {code: list(every[at :: len(channels)]) for at, code in enumerate(channels)}
    return found


def is_piece_of(found: list[int], wave: Wave) -> bool:
    """Say whether samples are what the monitor sent, one after another from some block on."""

    def stated(index: int) -> int:
        raw = sample(wave, index)
        return NO_SAMPLE if raw & 0x8000 else raw

    return any(
        found == [stated(n) for n in range(block * wave.count, block * wave.count + len(found))] for block in range(200)
    )
