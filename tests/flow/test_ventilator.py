"""A ventilator that must be asked, and a tonometer, end to end: doubles at their pace, services, DCMTK's storescp; value by value."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from gateway import exam
from gateway.clock import SystemClock
from gateway.model import NO_SAMPLE
from gateway.simulators.tonometer import printout
from gateway.simulators.ventilator import CHANNELS, Ventilator
from tests.flow import clinic as clinics
from tests.flow.clinic import Clinic, check_validity, numbers, until

LINES = {"VENT": "draeger-medibus-x", "NCT": "reichert-g3"}
SAMPLES = 60


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Clinic]:
    with clinics.clinic(tmp_path_factory.mktemp("clinic"), free_ports(3), LINES) as found:
        yield found


@pytest.mark.timeout(180)
def test_breathing_curves_and_both_reports_of_an_exam_arrive_at_the_pacs(clinic: Clinic) -> None:
    device, stop = Ventilator(clinic.instruments["VENT"]), threading.Event()
    device.power_off()
    thread = threading.Thread(target=device.run, args=(stop,))
    thread.start()
    try:
        step = clinic.start()
        clinic.instruments["NCT"].print(printout())
        until(lambda: clinic.readings(step) == 1, 20.0, "the printout was not kept")
        device.power_on()
        until(lambda: 0x2E in device.asked, 30.0, "the values were not asked for")
        until(lambda: len(device.sent[0]) > SAMPLES, 30.0, "the curves stand still")
        exam.complete(clinic.spool, SystemClock(), step.exam_id)
        until(lambda: clinic.readings(step) == len(LINES), 20.0, "the ventilator's interval was not kept")
    finally:
        stop.set()
        thread.join()
    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    assert device.lost_hosts == 0
    found = clinic.objects()
    check_reports(found["SR"])
    check_curves(found["RESP"], device)
    check_validity(clinic.received)


def check_reports(reports: list[Dataset]) -> None:
    by_maker = {ds.Manufacturer: ds for ds in reports}
    assert set(numbers(by_maker["Reichert"])) == {
        ("Corneal-compensated intraocular pressure", "Right", "16.2", "mm[Hg]"),
        ("Corneal-compensated intraocular pressure", "Left", "17.0", "mm[Hg]"),
        ("Hysteresis of the cornea", "Right", "9.8", "mm[Hg]"),
        ("Hysteresis of the cornea", "Left", "10.1", "mm[Hg]"),
        ("Intraocular pressure of Eye", "Right", "15.1", "mm[Hg]"),
        ("Intraocular pressure of Eye", "Left", "16.3", "mm[Hg]"),
        ("Score of the tonometer's curve, 0 to 10", "Right", "8.4", "1"),
        ("Score of the tonometer's curve, 0 to 10", "Left", "7.9", "1"),
    }
    ventilation = by_maker["Draeger"]
    assert ventilation.ManufacturerModelName == "Evita 4"
    assert {(meaning, value, unit) for meaning, _, value, unit in numbers(ventilation)} == {
        ("Dynamic lung compliance", "58", "L/bar"),
        ("Airway resistance", "9.5", "mbar.s/L"),
        ("Mean airway pressure", "11.2", "mbar"),
        ("Positive end-expiratory pressure", "4.9", "mbar"),
        ("Peak inspiratory pressure", "23.1", "mbar"),
        ("Tidal volume", "482", "mL"),
        ("Minute volume", "7.2", "L/min"),
        ("Respiratory rate", "15.0", "/min"),
        ("End-tidal carbon dioxide, partial pressure", "38.0", "mm[Hg]"),
        ("Oxygen saturation from the oximeter", "130", "%"),
        ("Inspired oxygen", "40", "%"),
        ("Elastance", "17.5", "mbar/L"),
        ("Time constant", "0.55", "s"),
        ("Setting: inspired oxygen", "40", "%"),
        ("Setting: positive end-expiratory pressure", "5.0", "mbar"),
    }
    assert {"BIPAP", "Adults", "MIN VOL HIGH (priority 31 of 31)", "it is above 100"} <= set(texts(ventilation))
    assert "SYNTHETIC" not in ventilation.to_json()


def texts(ds: Dataset) -> Iterator[str]:
    for item in ds.get("ContentSequence", []):
        if item.ValueType == "TEXT":
            yield item.TextValue
        yield from texts(item)


def check_curves(objects: list[Dataset], device: Ventilator) -> None:
    by_code = {}
    for ds in objects:
        (group,) = ds.WaveformSequence
        (channel,) = group.ChannelDefinitionSequence
        assert group.SamplingFrequency == 31.25
        by_code[channel.ChannelSourceSequence[0].CodeValue] = (group.WaveformData, channel)
    assert by_code.keys() == {"130426", "130421", "130443"}
    for channel, (code, step, unit) in zip(
        CHANNELS,
        (("130426", "0.03", "mbar"), ("130421", "0.0879120879121", "L/min"), ("130443", "0.02442002442", "mm[Hg]")),
        strict=True,
    ):
        data, described = by_code[code]
        found = [each for each in struct.unpack(f"<{len(data) // 2}h", data) if each != NO_SAMPLE]
        sent = device.sent[channel.code]
        assert len(found) > SAMPLES // 2
        assert any(sent[at : at + len(found)] == found for at in range(len(sent) - len(found) + 1))
        assert str(described.ChannelSensitivity) == step
        assert described.ChannelSensitivityUnitsSequence[0].CodeValue == unit
