"""The worklist from a RIS: the right question, every name in its script, one bad item costs itself only."""

import contextlib
import socket
import subprocess
import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from gateway import config
from gateway.errors import NoPresentationContext, PeerError, PeerSilent, PeerUnreachable
from gateway.model import Code, Patient, ScheduledStep
from gateway.simulators.pacs import SimulatedPACS
from gateway.simulators.ris import SimulatedRIS, item
from gateway.source import worklist
from gateway.wire.dimse import scu
from gateway.wire.dimse import worklist as wire
from gateway.wire.dimse.peer import Peer
from tests import dcmtk
from tests.dicom_files import encoded

TODAY = date(2026, 11, 24)
NAMES = {
    "ISO_IR 192": "Иванов^Пётр=王^小明",
    "ISO_IR 100": "Müller^Jérôme",
    "GB18030": "Wang^XiaoDong=王^小东",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO_IR 144": "Люкceмбypг",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 166": "ทดสอบ^ผู้ป่วย",
}


def step(number=1, *, day="20261124", name="Doe^Jane", station="US1", modality="US", **facts):
    patient = Patient(patient_id=f"P{number}", name=name, birth_date="19700131", sex="F", issuer_of_patient_id="HOSP")
    return ScheduledStep(
        **{
            "patient": patient,
            "scheduled_procedure_step_id": f"SPS{number}",
            "study_instance_uid": f"1.2.826.0.1.{number}",
            "accession_number": f"A{number}",
            "requested_procedure_id": f"RP{number}",
            "requested_procedure_description": "Abdomen",
            "requested_procedure_code": Code("ABD", "LOCAL", "Abdomen"),
            "scheduled_procedure_step_description": "Liver",
            "scheduled_protocol_codes": (Code("P1", "LOCAL", "Liver protocol"), Code("P2", "LOCAL", "Doppler")),
            "scheduled_start_date": day,
            "scheduled_start_time": f"{8 + number % 10:02}0000",
            "scheduled_station_ae_title": station,
            "scheduled_station_name": "ROOM1",
            "modality": modality,
            "referring_physician_name": "Ref^Erring",
            "requesting_physician_name": "Re^Questing",
            "performing_physician_name": "Per^Forming",
            "admission_id": "ADM1",
            "patient_weight_kg": "71.5",
            "medical_alerts": "pacemaker",
            "allergies": "latex",
        }
        | facts
    )


@pytest.fixture
def settings(free_port):
    return config.Worklist(host="127.0.0.1", port=free_port, called_ae="RIS")


@pytest.fixture
def peer(settings):
    return Peer(name="The RIS", host="127.0.0.1", port=settings.port, called_ae="RIS", calling_ae="BOX", timeout_s=2.0)


# ---- the question ----


def test_it_asks_around_today_for_this_station_and_modality(settings):
    asked = config.Worklist(
        host="127.0.0.1", port=settings.port, called_ae="RIS", calling_ae="LEGACY", station_ae_title="US1",
        modality="US", days_before=2, days_after=5,
    )  # fmt: skip
    with SimulatedRIS(settings.port) as ris:
        assert worklist.fetch(asked, "BOX", TODAY) == []
    [query] = ris.queries
    [wanted] = query.ScheduledProcedureStepSequence
    assert wanted.ScheduledProcedureStepStartDate == "20261122-20261129"
    assert (wanted.ScheduledStationAETitle, wanted.Modality) == ("US1", "US")


def test_one_day_is_asked_for_as_a_single_value(settings):
    today_only = config.Worklist(host="h", called_ae="RIS", days_before=0, days_after=0)
    assert worklist.keys(today_only, TODAY) == wire.Keys(first_date="20261124", last_date="20261124")
    with SimulatedRIS(settings.port) as ris:
        one_day = config.Worklist(host="127.0.0.1", port=settings.port, called_ae="RIS", days_before=0, days_after=0)
        worklist.fetch(one_day, "BOX", TODAY)
    assert ris.queries[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate == "20261124"


def test_it_asks_for_every_key_that_a_scheduled_step_holds(settings):
    with SimulatedRIS(settings.port) as ris:
        worklist.fetch(settings, "BOX", TODAY)
    [query] = ris.queries
    served = item(step())
    assert set(served.dir()) - {"SpecificCharacterSet"} <= set(query.dir())
    for keyword in ("ScheduledProcedureStepSequence", "RequestedProcedureCodeSequence"):
        assert set(served[keyword].value[0].dir()) <= set(query[keyword].value[0].dir())
    assert query.PatientName == ""


def test_only_what_was_asked_for_comes_in_the_order_of_its_start(settings):
    steps = [
        step(3),
        step(1),
        step(2, day="20261123"),
        step(4, day="20261120"),
        step(5, modality="CT"),
        step(6, station="X"),
    ]
    asked = config.Worklist(
        host="127.0.0.1", port=settings.port, called_ae="RIS", station_ae_title="US1", modality="US"
    )
    with SimulatedRIS(settings.port, steps):
        found = worklist.fetch(asked, "BOX", TODAY)
    assert [one.scheduled_procedure_step_id for one in found] == ["SPS2", "SPS1", "SPS3"]


# ---- the answer ----


@pytest.mark.parametrize(("character_set", "name"), NAMES.items())
def test_every_value_survives_in_every_character_set(settings, character_set, name):
    sent = step(name=name, referring_physician_name=name)
    with SimulatedRIS(settings.port, [sent], character_set=character_set):
        assert worklist.fetch(settings, "BOX", TODAY) == [sent]


@pytest.mark.peers
def test_dcmtks_worklist_server_gives_names_in_every_script(settings, tmp_path):
    sent = {}
    for number, (character_set, name) in enumerate(NAMES.items(), 1):
        sent[f"SPS{number}"] = step(number, name=name, pregnancy_status="4")  # DCMTK fills it in
        _save(item(sent[f"SPS{number}"], character_set), tmp_path / "RIS" / f"{number}.wl")
    (tmp_path / "RIS" / "lockfile").touch()
    with _wlmscpfs(settings.port, tmp_path):
        found = worklist.fetch(settings, "BOX", TODAY)
        only = scu.find_worklist(worklist.peer_of(settings, "BOX"), wire.Keys(patient_id="P3"))
    assert {one.scheduled_procedure_step_id: one for one in found} == sent
    assert [one.patient.name for one in only.steps] == [NAMES["GB18030"]]


@pytest.mark.parametrize(("text", "encoding"), [("王^小明", "utf-8"), ("Müller^Jérôme", "latin-1"), ("Doe^J", "ascii")])
def test_a_name_without_a_character_set_is_read_as_it_was_meant(text, encoding):
    ds = item(step(), "ISO_IR 192")
    del ds.SpecificCharacterSet
    ds.PatientName = text.encode(encoding)
    assert wire.read(encoded(ds), is_implicit=False).patient.name == text


def test_a_ris_that_never_names_its_character_set_can_be_configured(settings):
    ds = item(step(name="王^小东"), "GB18030")
    data = encoded(ds).replace(encoded(_only(ds, "SpecificCharacterSet")), b"")
    assert wire.read(data, is_implicit=False, character_set="GB18030").patient.name == "王^小东"
    told = config.Worklist(host="h", called_ae="RIS", character_set="GB18030")
    assert worklist.keys(told, TODAY).character_set == "GB18030"


@pytest.mark.parametrize(
    ("keyword", "value", "field", "read"),
    [
        ("PatientSex", "W", "sex", ""),
        ("PatientSex", "m", "sex", "M"),
        ("PatientBirthDate", "1970.01.31", "birth_date", "19700131"),
        ("PatientBirthDate", "unknown", "birth_date", ""),
        ("PatientName", "Doe^Jane^^^", "name", "Doe^Jane"),
        ("PatientName", "", "name", ""),
    ],
)
def test_small_sins_are_forgiven(keyword, value, field, read):
    ds = item(step())
    ds[keyword]._value = (
        PersonName(value) if keyword == "PatientName" else value
    )  # past pydicom's checks, as a RIS would
    assert getattr(wire.read(encoded(ds), is_implicit=False).patient, field) == read


def test_a_bad_item_is_passed_over_and_counted(settings):
    steps = [step(number) for number in range(1, 6)]
    with SimulatedRIS(settings.port, steps, faults="ausa"):
        found = worklist.ask(settings, "BOX", TODAY)
    assert [one.scheduled_procedure_step_id for one in found.steps] == ["SPS1", "SPS4", "SPS5"]
    assert (found.skipped, found.is_cut) == (2, False)


def test_an_item_without_its_optional_values_is_a_step(settings):
    bare = ScheduledStep(
        patient=Patient(patient_id="P", name=""), scheduled_procedure_step_id="S", study_instance_uid="1.2.3",
        scheduled_start_date="20261124",
    )  # fmt: skip
    with SimulatedRIS(settings.port, [bare]):
        assert worklist.fetch(settings, "BOX", TODAY) == [bare]


def test_beyond_the_limit_the_ris_is_told_to_stop(peer):
    steps = [step(number) for number in range(1, 31)]
    with SimulatedRIS(peer.port, steps, faults="a" * 20 + "w") as ris:
        found = scu.find_worklist(peer, wire.Keys(), limit=10)
    assert (len(found.steps), found.is_cut) == (10, True)
    assert ris.cancels == 1


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_step_or_a_value_error(data, is_implicit):
    with contextlib.suppress(ValueError):
        wire.read(data, is_implicit=is_implicit)


@given(st.data())
def test_a_damaged_item_is_a_step_or_a_value_error(data):
    whole = bytearray(encoded(item(step(), "\\ISO 2022 IR 87")))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        wire.read(bytes(whole[: data.draw(st.integers(1, len(whole)))]), is_implicit=False)


# ---- a RIS in trouble ----


def test_a_ris_that_is_down_is_unreachable_and_comes_back(settings):
    ris = SimulatedRIS(settings.port, [step()])
    with pytest.raises(PeerUnreachable, match="The RIS cannot be reached"):
        worklist.fetch(settings, "BOX", TODAY)
    with ris:
        assert len(worklist.fetch(settings, "BOX", TODAY)) == 1
    with pytest.raises(PeerUnreachable):
        worklist.fetch(settings, "BOX", TODAY)


def test_a_ris_that_hangs_in_the_middle_is_silent_after_the_timeout(peer):
    with SimulatedRIS(peer.port, [step(1), step(2)], faults="ah"), pytest.raises(PeerSilent):
        scu.find_worklist(peer, wire.Keys())


def test_a_ris_that_fails_says_its_status(peer):
    with SimulatedRIS(peer.port, [step()], final_status=0xA700), pytest.raises(PeerError, match="status A700"):
        scu.find_worklist(peer, wire.Keys())


def test_a_peer_without_a_worklist_is_named(peer):
    with SimulatedPACS(peer.port, ae_title="RIS"), pytest.raises(NoPresentationContext, match="Modality Worklist"):
        scu.find_worklist(peer, wire.Keys())


def _only(ds, keyword):
    one = Dataset()
    one.add(ds[keyword])
    return one


def _save(ds, path):
    path.parent.mkdir(exist_ok=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"  # DCMTK's own for worklist files
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dcmwrite(path, ds, enforce_file_format=True)


@contextlib.contextmanager
def _wlmscpfs(port, folder):
    with (folder / "wlmscpfs.log").open("wb") as log:
        process = subprocess.Popen(
            [dcmtk.program("wlmscpfs"), "-csk", "-dfp", folder, str(port)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait()
