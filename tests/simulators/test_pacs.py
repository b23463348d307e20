"""The PACS double, played by other people's senders: it answers as its script says, and records what it saw."""

import socket
import subprocess
import time

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from gateway.simulators.pacs import SimulatedPACS
from tests import dcmtk
from tests.dicom_files import CT, data_set_bytes, image

# pynetdicom's acceptor may meet our close (Evt15) in its own thread after it has refused: its race, and not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def ct(tmp_path):
    image(tmp_path / "ct.dcm")
    return tmp_path / "ct.dcm"


def send(port, path, count=1, *, patience_s=20.0):
    """What pynetdicom's sender is answered: a status for each object, None where the association broke."""
    ae = AE("SENDER")
    ae.add_requested_context(CT, ExplicitVRLittleEndian)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = patience_s
    assoc = ae.associate("127.0.0.1", port, ae_title="PACS")
    if not assoc.is_established:
        return "rejected" if assoc.is_rejected else "aborted"
    answers = []
    for _ in range(count):
        if answers and answers[-1] is None:
            break
        answers.append(assoc.send_c_store(dcmread(path)).get("Status"))
    assoc.release()
    return answers


@pytest.mark.parametrize(
    ("faults", "answers"),
    [
        ("a", [0x0000] * 6),
        ("B", [0xB000] * 6),
        ("aB17Ca", [0x0000, 0xB000, 0x0111, 0xA700, 0xC000, 0x0000]),
        ("a7", [0x0000] + [0xA700] * 5),
        ("aar", [0x0000, 0x0000, None]),
        ("ah", [0x0000, None]),
        ("x", "rejected"),
        ("t", "rejected"),
        ("s", "aborted"),
    ],
)
def test_it_answers_as_its_script_says(free_port, ct, faults, answers):
    with SimulatedPACS(free_port, faults=faults):
        assert send(free_port, ct, 6, patience_s=2.0 if "h" in faults else 20.0) == answers


def test_a_refused_association_uses_up_its_letter(free_port, ct):
    with SimulatedPACS(free_port, faults="xtsa") as pacs:
        assert [send(free_port, ct) for _ in range(5)] == ["rejected", "rejected", "aborted", [0], [0]]
    assert len(pacs.called) == 5


def test_a_letter_for_an_association_waits_for_the_next_one(free_port, ct):
    with SimulatedPACS(free_port, faults="Bxa"):
        assert send(free_port, ct, 3) == [0xB000, 0, 0]
        assert send(free_port, ct) == "rejected"
        assert send(free_port, ct) == [0]


def test_it_can_be_told_to_behave_otherwise(free_port, ct):
    with SimulatedPACS(free_port, faults="7") as pacs:
        assert send(free_port, ct) == [0xA700]
        pacs.misbehave("a")
        assert send(free_port, ct) == [0]
    assert [one.status for one in pacs.received] == [0xA700, 0]
    assert len(pacs.accepted()) == 1


def test_it_keeps_what_it_accepted_byte_for_byte(free_port, ct, tmp_path):
    with SimulatedPACS(free_port, faults="7Ca", keep=tmp_path / "kept"):
        send(free_port, ct, 2)
        assert not (tmp_path / "kept").exists()
        send(free_port, ct)
    [kept] = (tmp_path / "kept").iterdir()
    assert kept.name == f"{dcmread(ct).SOPInstanceUID}.dcm"
    assert data_set_bytes(kept) == data_set_bytes(ct)


@pytest.mark.peers
def test_it_records_who_called_and_what_came(free_port, ct):
    with SimulatedPACS(free_port) as pacs:
        subprocess.run(
            [dcmtk.program("storescu"), "-aet", "MODALITY", "-aec", "PACS", "127.0.0.1", str(free_port), ct], check=True
        )
    [one] = pacs.received
    ds = dcmread(ct)
    assert (one.calling_ae, one.sop_class_uid, one.sop_instance_uid) == ("MODALITY", CT, ds.SOPInstanceUID)
    assert one.size_bytes == len(data_set_bytes(ct))
    assert pacs.called[0].calling_ae == "MODALITY"
    assert (CT, ExplicitVRLittleEndian) in pacs.called[0].proposed


def test_it_takes_only_the_syntaxes_it_is_given(free_port, ct):
    with SimulatedPACS(free_port, transfer_syntaxes=("1.2.840.10008.1.2",)):
        assert send(free_port, ct) == "aborted"


def test_it_stops_at_once_even_while_it_hangs_and_starts_again(free_port, ct):
    pacs = SimulatedPACS(free_port, faults="h")
    for _ in range(2):
        begun = time.monotonic()
        with pacs:
            assert send(free_port, ct, patience_s=2.0) == [None]
        assert time.monotonic() - begun < 5
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", free_port), timeout=1)


def test_a_reset_is_a_reset(free_port, ct):
    with SimulatedPACS(free_port, faults="r") as pacs:
        assert send(free_port, ct) == [None]
    assert pacs.received == []
