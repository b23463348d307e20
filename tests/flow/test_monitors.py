"""Monitors that stream, end to end: simulator at its real pace, pseudo-terminal, service, spool, DCMTK's storescp; sample by sample."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset

from gateway import codes, exam
from gateway.clock import SystemClock
from gateway.model import NO_SAMPLE
from gateway.objects.page import readings_of
from gateway.simulators.fetal_monitor import FetalMonitor, heart_rate
from gateway.simulators.monitor_dri import RATES_HZ, Monitor, sample
from tests.flow import clinic as clinics
from tests.flow.clinic import Clinic, check_validity, numbers, until

LINES = {"THEATRE": "ge-s5-monitor", "LABOUR": "ge-corometrics"}
RECORDED_S = 3


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Clinic]:
    with clinics.clinic(tmp_path_factory.mktemp("clinic"), free_ports(3), LINES) as found:
        yield found


@contextmanager
def at_work(*monitors: Monitor | FetalMonitor) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=each.serve, args=(stop,)) for each in monitors]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join()


def curves_of(ds: Dataset) -> dict[str, list[int]]:
    """The samples of each channel, by its code."""
    found = {}
    for group in ds.WaveformSequence:
        channels = [one.ChannelSourceSequence[0].CodeValue for one in group.ChannelDefinitionSequence]
        every = struct.unpack(f"<{len(group.WaveformData) // 2}h", group.WaveformData)
        found |= {code: list(every[at :: len(channels)]) for at, code in enumerate(channels)}
    return found


def is_piece_of(found: list[int], number: int) -> bool:
    """Say whether samples are what the monitor sent, one after another from some second on; a machine that stands still leaves a gap."""
    hz = RATES_HZ[number]
    sent = [one for one in found if one != NO_SAMPLE]
    return any(sent == [sample(number, n) for n in range(first * hz, first * hz + len(sent))] for first in range(120))


@pytest.mark.timeout(180)
def test_values_and_curves_of_an_exam_arrive_at_the_pacs_sample_by_sample(clinic: Clinic) -> None:
    theatre = Monitor(clinic.instruments["THEATRE"], noise=b"\x00")
    labour = FetalMonitor(clinic.instruments["LABOUR"])
    with at_work(theatre, labour):
        until(lambda: bool(theatre.asked.curves), 30.0, "no curves were asked for")
        until(lambda: theatre.seconds > 0, 30.0, "no curves came")
        step = clinic.start()
        labour.press_mark()
        values, seconds = theatre.values, theatre.seconds
        until(lambda: theatre.values > values, 30.0, "no values came")
        until(lambda: theatre.seconds > seconds + RECORDED_S, 30.0, "the monitor stands still")
        exam.complete(clinic.spool, SystemClock(), step.exam_id)
        until(lambda: clinic.readings(step) == len(LINES), 20.0, "not every monitor's interval was kept")
    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    found = clinic.objects()
    check_values(found["SR"])
    check_curves(found)
    check_strip(found["DOC"])
    check_validity(clinic.received)


def check_values(reports: list[Dataset]) -> None:
    stated = {(meaning, value, unit) for ds in reports for meaning, _, value, unit in numbers(ds)}
    assert {
        ("Heart rate", "72", "/min"),
        ("Arterial pressure, systolic (P1)", "121.50", "mm[Hg]"),
        ("Oxygen saturation, by pulse oximetry", "97.80", "%"),
        ("Esophageal temperature (T1)", "36.72", "Cel"),
        ("Expired tidal volume", "506.0", "mL"),
        ("Peak airway pressure", "22.40", "cm[H2O]"),
    } <= stated
    fetal = [int(value) for meaning, value, _ in stated if meaning == "Fetal Heart rate"]
    assert len(fetal) == 1
    assert fetal[0] in {heart_rate(n) for n in range(400)}


def check_curves(found: dict[str, list[Dataset]]) -> None:
    for modality, expected in (
        ("ECG", {"2:2": 1}),
        ("HD", {"128446002": 4, "109116": 8}),
        ("RESP", {"130443": 9, "130426": 13, "130421": 14}),
    ):
        curves = {code: samples for ds in found[modality] for code, samples in curves_of(ds).items()}
        assert curves.keys() == expected.keys()
        for code, number in expected.items():
            assert len(curves[code]) >= 25 * (RECORDED_S - 2)
            assert is_piece_of(curves[code], number), f"{modality} {code}"
    (ecg,) = found["ECG"]
    group = ecg.WaveformSequence[0]
    channel = group.ChannelDefinitionSequence[0]
    assert (group.SamplingFrequency, channel.ChannelSensitivity) == (300, 1)
    assert channel.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"


def check_strip(pages: list[Dataset]) -> None:
    """The curves of the fetal monitor are one drawn page, which keeps every sample of them."""
    (page,) = pages
    assert page.MIMETypeOfEncapsulatedDocument == "application/pdf"
    pdf = bytes(page.EncapsulatedDocument)[: page.EncapsulatedDocumentLength]
    curves = {
        trace.channel: struct.unpack(f"<{len(trace.samples) // 2}h", trace.samples) for trace in readings_of(pdf).traces
    }
    assert curves.keys() == {
        codes.FETAL_HEART_RATE,
        codes.SECOND_HEART_RATE,
        codes.UTERINE_ACTIVITY,
        codes.FETAL_MOVEMENT,
        codes.EVENT_MARK,
    }
    rates = tuple(one for one in curves[codes.FETAL_HEART_RATE] if one != NO_SAMPLE)
    assert any(rates == tuple(heart_rate(n) for n in range(first, first + len(rates))) for first in range(400))
    assert sum(curves[codes.EVENT_MARK]) == 1
