"""Instruments on serial lines, end to end: simulator, pseudo-terminal, service, spool, DCMTK's storescp; value by value."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydicom.dataset import Dataset

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.model import InboxState, PerformedStep
from gateway.service.bell import ring
from gateway.simulators import nidek
from gateway.simulators.analyser import Analyser
from tests.flow import clinic as clinics
from tests.flow.clinic import PAUSE_S, Clinic, check_validity, numbers, until

INSTRUMENTS = {"RT": "nidek-rt-chart", "LM": "nidek-lm", "ARK": "nidek-ark", "NT": "nidek-nt"}
LINES = INSTRUMENTS | {"LAB": "astm-analyser"}
PRINTS = {
    "RT": nidek.refractor(),
    "LM": nidek.lensmeter(),
    "ARK": nidek.autorefractor(),
    "NT": nidek.tonometer(),
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, free_ports) -> Iterator[Clinic]:
    """The refractor's profile is this site's own: it states the chart that acuities are tested with."""
    folder = tmp_path_factory.mktemp("clinic")
    own = folder / "data" / "profiles" / "instruments"
    own.mkdir(parents=True)
    shipped = profiles.path_of("instruments", "nidek-rt").read_text(encoding="utf-8")
    chart = '[chart]\noptotype = "LETTERS"\ndefinition = "Sloan letters"\n'
    (own / "nidek-rt-chart.toml").write_text(f"{shipped}\n{chart}", encoding="utf-8")
    with clinics.clinic(folder, free_ports(3), LINES) as found:
        yield found


def number_of_objects(clinic: Clinic, step: PerformedStep) -> int:
    return sum(
        len(clinic.spool.instances.of_capture(step.exam_id, one.number))
        for one in clinic.spool.captures.of_exam(step.exam_id)
    )


@pytest.mark.timeout(180)
def test_four_instruments_of_one_exam_arrive_at_the_pacs_value_by_value(clinic: Clinic) -> None:
    step = clinic.start()
    printing = [
        threading.Thread(target=clinic.instruments[name].print, args=(PRINTS[name],), kwargs={"noise": b"\xff\x17?"})
        for name in INSTRUMENTS
    ]
    for each in printing:
        each.start()
    for each in printing:
        each.join()
    until(lambda: clinic.readings(step) == len(INSTRUMENTS), 20.0, "not every reading was kept")
    assert number_of_objects(clinic, step) == 12
    clinic.instruments["NT"].print(nidek.tonometer())
    until(lambda: "a reprint came" in clinic.events("NT"), 20.0, "the reprint was not recognised")
    assert number_of_objects(clinic, step) == 12
    exam.complete(clinic.spool, SystemClock(), step.exam_id)

    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    found = clinic.objects()
    assert {modality: len(objects) for modality, objects in found.items()} == {
        "LEN": 2,
        "AR": 2,
        "KER": 2,
        "SRF": 2,
        "VA": 2,
        "SR": 2,
    }
    for objects in found.values():
        for ds in objects:
            assert (ds.PatientID, ds.StudyInstanceUID) == ("E-1", step.study_instance_uid)
    check_values(found)
    check_validity(clinic.received)


def of_model(objects: list[Dataset], model: str) -> Dataset:
    return next(ds for ds in objects if ds.get("ManufacturerModelName") == model)


def check_values(found: dict[str, list[Dataset]]) -> None:
    lens = of_model(found["LEN"], "LM-1000P")
    left = lens.LeftLensSequence[0]
    cylinder, prism = left.CylinderSequence[0], left.PrismSequence[0]
    assert (left.SpherePower, cylinder.CylinderPower, cylinder.CylinderAxis) == (-2.0, -0.5, 180)
    assert left.AddNearSequence[0].AddPower == 2.25
    assert (prism.HorizontalPrismPower, prism.HorizontalPrismBase) == (1.25, "OUT")
    assert (prism.VerticalPrismPower, prism.VerticalPrismBase) == (2.0, "UP")
    objective = of_model(found["AR"], "ARK-530A")
    right = objective.AutorefractionRightEyeSequence[0]
    assert (right.SpherePower, right.CylinderSequence[0].CylinderPower, right.CylinderSequence[0].CylinderAxis) == (
        -5.25,
        -0.75,
        109,
    )
    assert (objective.DistancePupillaryDistance, objective.NearPupillaryDistance) == (64, 60)
    assert "this is the first" in objective.ImageComments
    cornea = of_model(found["KER"], "ARK-530A").KeratometryRightEyeSequence[0]
    flat, steep = cornea.FlatKeratometricAxisSequence[0], cornea.SteepKeratometricAxisSequence[0]
    assert (flat.RadiusOfCurvature, flat.KeratometricPower, flat.KeratometricAxis) == (7.86, 42.94, 175)
    assert (steep.RadiusOfCurvature, steep.KeratometricPower, steep.KeratometricAxis) == (7.53, 44.82, 85)
    spheres = {
        (ds.SubjectiveRefractionRightEyeSequence[0].SpherePower, ds.SubjectiveRefractionLeftEyeSequence[0].SpherePower)
        for ds in found["SRF"]
    }
    assert spheres == {(1.0, 1.25), (1.25, 1.5)}
    final = next(ds for ds in found["SRF"] if "AddNearSequence" in ds.SubjectiveRefractionRightEyeSequence[0])
    assert final.SubjectiveRefractionRightEyeSequence[0].AddNearSequence[0].AddPower == 1.5
    assert (final.DistancePupillaryDistance, final.NearPupillaryDistance) == (64.0, 59.5)
    reports = [sorted(numbers(ds)) for ds in found["SR"]]
    assert [
        ("Intraocular pressure of Eye", "Left", "13.0", "mm[Hg]"),
        ("Intraocular pressure of Eye", "Right", "18.7", "mm[Hg]"),
    ] in reports
    assert ("Intraocular pressure of Eye", "Left", "16.5", "mm[Hg]") in [one for report in reports for one in report]
    acuities = {ds.VisualAcuityTypeCodeSequence[0].CodeMeaning: ds for ds in found["VA"]}
    prescribed, habitual = acuities["Prescription Visual Acuity"], acuities["Habitual Visual Acuity"]
    assert (prescribed.Optotype, prescribed.OptotypeDetailedDefinition) == ("LETTERS", "Sloan letters")
    assert prescribed.VisualAcuityRightEyeSequence[0].DecimalVisualAcuity == 1.0
    assert prescribed.VisualAcuityLeftEyeSequence[0].DecimalVisualAcuity == 0.8
    assert habitual.VisualAcuityRightEyeSequence[0].DecimalVisualAcuity == 0.32


@pytest.mark.timeout(120)
def test_a_damaged_message_makes_no_object_and_an_instrument_that_asks_is_answered(clinic: Clinic) -> None:
    step = clinic.start()
    instrument = clinic.instruments["LM"]
    instrument.heard()
    instrument.print(nidek.damaged(nidek.lensmeter()))
    until(lambda: "a record could not be read" in clinic.events("LM"), 20.0, "the damage was not said")
    instrument.print(nidek.request_to_send())
    answers: list[bytes] = []
    until(lambda: bool(answers.append(instrument.heard()) or b"".join(answers)), 20.0, "it was not answered")
    assert b"".join(answers) == b"\x01CLM\x02SD\x17\x04\r"
    instrument.print(nidek.lensmeter()[:40], cut_at=40)
    time.sleep(1.0)
    assert clinic.readings(step) == 0
    instrument.print(nidek.lensmeter())
    until(lambda: clinic.readings(step) == 1, 20.0, "what came after was not kept")
    exam.discontinue(clinic.spool, SystemClock(), step.exam_id, reason="test")


@pytest.mark.timeout(120)
def test_an_analyser_has_every_frame_acknowledged_and_its_results_arrive(clinic: Clinic) -> None:
    step = clinic.start()
    analyser = Analyser(clinic.instruments["LAB"], damaged=frozenset({4}))
    analyser.send()
    assert analyser.answers == b"\x06" * 4 + b"\x15" + b"\x06" * 3
    until(lambda: clinic.readings(step) == 1, 20.0, "its results were not kept")
    exam.complete(clinic.spool, SystemClock(), step.exam_id)
    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    report = next(ds for ds in clinic.objects()["SR"] if ds.StudyInstanceUID == step.study_instance_uid)
    assert sorted(numbers(report)) == [
        ("Glucose [Mass/volume] in Serum or Plasma", "", "98.3", "mg/dL"),
        ("Potassium [Moles/volume] in Serum or Plasma", "", "4.2", "mmol/L"),
    ]
    assert report.ManufacturerModelName == "Example"
    check_validity(clinic.received)


@pytest.mark.timeout(120)
def test_a_reading_without_an_exam_waits_in_the_inbox_until_a_person_says_whose_it_is(clinic: Clinic) -> None:
    clinic.instruments["NT"].print(nidek.tonometer())
    until(lambda: "a reading came without an exam" in clinic.events("NT"), 20.0, "it was not said")
    (entry,) = clinic.spool.inbox.waiting()
    assert [one.value for one in entry.readings.observations] == ["18.7", "13.0"]
    step = clinic.start()
    time.sleep(PAUSE_S)
    assert clinic.readings(step) == 0
    clinic.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    ring(config.load(clinic.file).run, "serial@NT")
    until(lambda: clinic.readings(step) == 1, 20.0, "it was not kept")
    assert clinic.spool.inbox.get(entry.entry_id).state is InboxState.KEPT
    (capture,) = clinic.spool.captures.of_exam(step.exam_id)
    assert abs(capture.started_at - entry.received_at) < timedelta(milliseconds=10)
    exam.complete(clinic.spool, SystemClock(), step.exam_id)
    until(lambda: clinic.is_sent(step), 60.0, "not everything was delivered")
    report = next(ds for ds in clinic.objects()["SR"] if ds.StudyInstanceUID == step.study_instance_uid)
    assert [value for _, _, value, _ in numbers(report)] == ["18.7", "13.0"]
