"""The Storage SCP on a socket: other people's senders, and a modality that breaks every rule; nothing half-done stays."""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
from pynetdicom.sop_class import _STORAGE_CLASSES, Verification

from gateway.errors import DataSetMismatch, DiskFull, NotDicom
from gateway.simulators.modality import ABORT, FAULTS, RELEASE_RQ, Line, Modality, Seen, associate_rq, fragment
from gateway.wire.dimse import negotiation, scp
from gateway.wire.dimse.pdu import HEADER, Command, Field, PDUType, encode
from gateway.wire.dimse.scp import Listener
from gateway.wire.dimse.sink import Arrival, file_head
from tests import dcmtk

CT = "1.2.840.10008.5.1.4.1.1.2"


class Kept:
    """A receiver in memory that says what it saw; `error` is raised once, where `fails_at` says."""

    def __init__(self):
        self.objects, self.begun, self.committed, self.aborted, self.notices = {}, 0, 0, 0, []
        self.fails_at, self.error = "", DiskFull()
        self.gate = threading.Event()
        self.gate.set()

    def begin(self, arrival):
        self.begun += 1
        self.check("begin")
        return KeptSink(self, arrival)

    def notice(self, error):
        self.notices.append(error)

    def check(self, step):
        if step == self.fails_at:
            self.fails_at = ""
            raise self.error

    @property
    def codes(self):
        return [error.code for error in self.notices]


class KeptSink:
    def __init__(self, kept, arrival):
        self.kept, self.arrival, self.data = kept, arrival, bytearray()

    def write(self, data):
        self.kept.check("write")
        self.data += data

    def commit(self):
        self.kept.gate.wait(10)
        self.kept.check("commit")
        self.kept.committed += 1
        self.kept.objects[self.arrival.sop_instance_uid] = (self.arrival, bytes(self.data))

    def abort(self):
        self.kept.aborted += 1


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def listener(kept):
    listener = Listener(("127.0.0.1", 0), "GATEWAY", lambda ae, _address: ae != "STRANGER", kept, idle_s=5)
    listener.start()
    yield listener
    listener.stop()


@pytest.fixture
def address(listener):
    return ("127.0.0.1", listener.port)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five CT of 128 KiB, and the data set of each by UID."""
    folder = tmp_path_factory.mktemp("ct")
    return [_ct(folder / f"{number}.dcm", f"1.2.3.{number}") for number in range(5)]


def test_objects_come_whole_and_in_order(address, kept, files):
    seen = Modality(address).send(files)
    assert [one.answer for one in seen] == ["0000"] * 5
    assert [data for _, data in kept.objects.values()] == [_data(path) for path in files]
    assert kept.notices == []


def test_echo_is_answered(address):
    assert Modality(address).echo() == "0000"


@pytest.mark.peers
@pytest.mark.parametrize("is_nagling", [True, False])
def test_dcmtk_sends_and_every_byte_arrives(address, kept, files, is_nagling):
    _run("dcmsend", address, *files, is_nagling=is_nagling)
    assert {uid: data for uid, (_, data) in kept.objects.items()} == {
        f"1.2.3.{n}": _data(p) for n, p in enumerate(files)
    }


@pytest.mark.peers
def test_dcmtk_storescu_and_echoscu_are_served(address, kept, files):
    _run("storescu", address, *files, options=["--max-pdu", "4096"])
    _run("echoscu", address)
    assert len(kept.objects) == 5


@pytest.mark.peers
def test_a_sender_with_nagle_does_not_wait_for_delayed_acknowledgements(address, kept, files):
    """Nagle's algorithm and delayed ACKs cost up to 40 ms an object; the kernel counts the ACKs that it delayed.

    It counts those of the whole machine, so the best of three counts.
    """
    delayed = []
    for _ in range(3):
        before = _delayed_acks()
        _run("dcmsend", address, *files * 6, options=["--no-uid-checks"], is_nagling=True)
        delayed.append(_delayed_acks() - before)
    assert min(delayed) < 10


def test_pynetdicom_sends_several_sop_classes(address, kept):
    ae = AE("CT")
    ae.add_requested_context(CTImageStorage, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    ae.add_requested_context("1.2.840.113619.4.30", ExplicitVRLittleEndian)
    ae.add_requested_context(Verification)
    assoc = ae.associate(*address, ae_title="GATEWAY")
    assert assoc.is_established
    assert {str(cx.transfer_syntax[0]) for cx in assoc.accepted_contexts if cx.abstract_syntax == CTImageStorage} == {
        "1.2.840.10008.1.2.1"
    }
    assert assoc.acceptor.implementation_class_uid == "2.25.275046293421768398112903402018497523218"
    for sop_class in (CTImageStorage, "1.2.840.113619.4.30"):
        assert assoc.send_c_store(_dataset(f"1.2.3.{len(kept.objects)}", sop_class)).Status == 0x0000
    assert assoc.send_c_echo().Status == 0x0000
    assoc.release()
    assert assoc.is_released
    assert [arrival.sop_class_uid for arrival, _ in kept.objects.values()] == [CTImageStorage, "1.2.840.113619.4.30"]


def test_every_storage_class_and_every_transfer_syntax_is_accepted():
    kinds = [(uid, syntax) for uid in sorted(_STORAGE_CLASSES.values()) for syntax in ALL_TRANSFER_SYNTAXES]
    for start in range(0, len(kinds), 128):
        request = negotiation.read(associate_rq(kinds[start : start + 128], "CT", "GATEWAY")[6:])
        _, accepted = negotiation.accept(request)
        wanted = [(cx.abstract_syntax, cx.transfer_syntax) for _, cx in sorted(accepted.items())]
        assert wanted == [(str(uid), str(syntax)) for uid, syntax in kinds[start : start + 128]]


@pytest.mark.parametrize(
    ("abstract_syntax", "is_accepted"),
    [
        ("1.2.840.10008.1.1", True),
        ("1.2.840.10008.5.1.4.1.1.2", True),
        ("1.2.840.10008.5.1.4.1.1.9999.7", True),
        ("1.3.12.2.1107.5.9.1", True),
        ("1.2.840.10008.5.1.4.31", False),
        ("1.2.840.10008.5.1.4.1.2.1.1", False),
        ("1.2.840.10008.1.20.1", False),
        ("1.2.840.10008.1.3.10", False),
        ("1.2.840.10008.3.1.2.3.3", False),
        ("not a uid", False),
        ("", False),
    ],
)
def test_storage_is_accepted_known_or_not_and_nothing_else(abstract_syntax, is_accepted):
    request = negotiation.read(associate_rq([(abstract_syntax, "1.2.840.10008.1.2")], "CT", "GATEWAY")[6:])
    answer, accepted = negotiation.accept(request)
    assert bool(accepted) == is_accepted
    assert answer[0] == PDUType.ASSOCIATE_AC


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2"], "1.2.840.10008.1.2"),
        (["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"], "1.2.840.10008.1.2.1"),
        (["1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.90"], "1.2.840.10008.1.2.4.90"),
        (["1.2.840.10008.1.2.4.91"], "1.2.840.10008.1.2.4.91"),
        (["1.2.3.4.5", "1.2.840.10008.1.2.5"], "1.2.840.10008.1.2.5"),
    ],
)
def test_no_sender_is_asked_to_compress_with_loss(address, offered, taken):
    with Line(address) as line:
        line.associate(associate_rq([(CT, offered)], "CT", "GATEWAY"))
        assert line.accepted == {1: taken}


def test_items_that_nobody_knows_are_passed_over(address):
    with Line(address) as line:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY", user_items=b"\x7e\0\0\x04abcd"))
        assert line.accepted == {1: "1.2.840.10008.1.2"}


@pytest.mark.parametrize(
    ("calling", "called", "answer"),
    [("STRANGER", "GATEWAY", "reject 1/1/3"), ("CT", "OTHER", "reject 1/1/7"), ("STRANGER", "OTHER", "reject 1/1/3")],
)
def test_who_is_not_on_the_list_is_turned_away(address, kept, calling, called, answer):
    assert Modality(address, calling_ae=calling, called_ae=called).echo() == answer
    _until(lambda: kept.codes == ["G512"])


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda rq: rq.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.2"), "reject 1/1/2"),
        (lambda rq: rq[:6] + b"\0\2" + rq[8:], "reject 1/2/2"),
        (lambda rq: rq.replace(b"\x30\0\0\x11", b"\x30\0\xff\x11"), "abort 2/6"),
        (lambda rq: HEADER.pack(1, 10) + bytes(10), "abort 2/6"),
        (lambda rq: b"GET / HTTP/1.1\r\n\r\n", "abort 2/1"),
        (lambda rq: HEADER.pack(1, 0xFFFFFFFF), "abort 2/6"),
        (lambda rq: RELEASE_RQ, "abort 0/2"),
        (lambda rq: fragment(1, b"x", is_command=True, is_last=True), "abort 0/2"),
        (lambda rq: ABORT, "closed"),
    ],
)
def test_a_strange_beginning_has_its_answer(address, change, answer):
    with Line(address) as line:
        line.associate(change(associate_rq([("1.2.840.10008.1.1", "1.2.840.10008.1.2")], "CT", "GATEWAY")))
        assert line.answer == answer
    assert Modality(address).echo() == "0000"


def test_half_a_request_is_answered(address):
    with Line(address) as line:
        line.send(associate_rq([("1.2.840.10008.1.1", "1.2.840.10008.1.2")], "CT", "GATEWAY")[:50])
        line._socket.shutdown(socket.SHUT_WR)
        assert line.hear() == "abort 0/2"


def test_one_association_too_many_is_refused_for_the_moment(address, listener, kept):
    listener.max_associations = 2
    lines = [Line(address) for _ in range(3)]
    for line in lines:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
    assert [line.answer for line in lines] == ["", "", "reject 2/3/2"]
    assert lines[0].release() == "released"
    _until(lambda: listener.associations == 1)
    assert Modality(address).echo() == "0000"
    for line in lines:
        line.close()


def test_one_address_cannot_take_every_place_before_it_has_said_who_it_is(address, listener, kept):
    lines = [Line(address) for _ in range(scp.MAX_HANDSHAKES_EACH + 3)]
    assert [line.hear() for line in lines[-3:]] == ["closed"] * 3
    _until(lambda: kept.codes == ["G512"] * 3)
    lines[0].associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
    assert lines[0].answer == ""
    assert Modality(address).echo() == "0000"
    for line in lines:
        line.close()


def test_many_associations_at_once_do_not_mix(address, kept, files):
    many = [Modality(address, calling_ae=f"CT{number}", pdu_bytes=4096 + number) for number in range(8)]
    threads = [threading.Thread(target=one.send, args=(files,)) for one in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.answer for modality in many for one in modality.seen] == ["0000"] * 40
    assert {uid: data for uid, (_, data) in kept.objects.items()} == {
        f"1.2.3.{n}": _data(p) for n, p in enumerate(files)
    }


BREACHES = {
    "g": "abort 2/1", "u": "abort 2/1", "l": "abort 2/6", "n": "abort 2/6", "d": "abort 0/2", "m": "abort 0/2",
    "o": "abort 0/6", "e": "abort 0/6", "z": "abort 2/6",
}  # fmt: skip
ENDINGS = {"c": "closed", "r": "reset", "h": "closed", "b": "closed", "q": "released"}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ".s"])
def test_a_broken_rule_is_answered_by_name_and_leaves_nothing(address, listener, kept, files, fault):
    modality = Modality(address, script=f".{fault}.")
    modality.send(files[:3])
    assert [one.answer for one in modality.seen] == ["0000", (BREACHES | ENDINGS)[fault], "0000"]
    _until(lambda: listener.associations == 0)
    assert list(kept.objects) == ["1.2.3.0", "1.2.3.2"]
    assert kept.begun == 2 + (fault not in "ndoe")
    assert kept.aborted == (fault not in "ndoe")
    _until(lambda: kept.codes == (["G511"] if fault in BREACHES else [] if fault in "bq" else ["G513"]))


@pytest.mark.parametrize("step", ["begin", "write", "commit"])
def test_a_full_disk_is_answered_a700_after_the_data_set_and_the_association_lives_on(address, kept, files, step):
    kept.fails_at = step
    modality = Modality(address)
    assert [one.answer for one in modality.send(files[:2])] == ["A700", "0000"]
    assert list(kept.objects) == ["1.2.3.1"]
    assert kept.aborted == (step == "write"), (
        "a sink that refused to write is told so; one that refused to commit knows"
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [(DataSetMismatch(peer="CT", problem="x"), "A900"), (NotDicom(problem="x"), "C000"), (DiskFull(), "A700")],
)
def test_only_what_the_sender_must_correct_is_refused_for_good(address, kept, files, error, status):
    kept.fails_at, kept.error = "commit", error
    assert [one.answer for one in Modality(address).send(files[:1])] == [status]


def test_an_unforeseen_error_ends_one_association_and_not_the_listener(address, kept, files):
    kept.fails_at, kept.error = "commit", ZeroDivisionError()
    assert [one.answer for one in Modality(address).send(files[:1])] == ["abort 2/0"]
    assert [one.answer for one in Modality(address).send(files[:1])] == ["0000"]
    _until(lambda: kept.codes == ["G700"])
    assert "ZeroDivisionError in check (test_scp.py:" in str(kept.notices[0])


def test_a_link_that_is_reset_between_objects_is_no_trouble(address, listener, kept, files):
    with Line(address) as line:
        line.reset()
    with Line(address) as line:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
        line.reset()
    _until(lambda: listener.associations == 0 and not listener._connections)
    assert kept.notices == []


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (Command(field=Field.C_FIND_RQ, message_id=3, sop_class_uid=CT), "0211"),
        (Command(field=0x0140, message_id=3, sop_class_uid=CT), "0211"),
        (Command(field=Field.C_STORE_RQ, message_id=3, sop_class_uid=CT, sop_instance_uid="1.2"), "C000"),
        (Command(field=Field.C_STORE_RSP, responding_to=3), "abort 0/2"),
        (Command(field=Field.C_ECHO_RQ), "abort 0/6"),
        (Command(field=Field.C_ECHO_RQ, message_id=3), "0000"),
    ],
)
def test_a_command_that_is_not_ours_has_its_answer(address, command, answer):
    with Line(address) as line:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
        assert line.ask(1, command) == answer


@pytest.mark.parametrize("uid", ["", "../../etc/passwd", "1" * 65, "1.2.3\\4"])
def test_a_uid_that_is_none_is_refused(address, kept, uid):
    with Line(address) as line:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
        line.send(fragment(1, encode(_store(uid, 1)), is_command=True, is_last=True))
        line.send(fragment(1, b"data", is_command=False, is_last=True))
        assert line.hear() == "0117"
    assert kept.begun == 0


def test_a_cancel_is_passed_over(address):
    with Line(address) as line:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
        cancel = encode(Command(field=Field.C_CANCEL_RQ, responding_to=1))
        line.send(fragment(1, cancel, is_command=True, is_last=True))
        assert line.ask(1, Command(field=Field.C_ECHO_RQ, message_id=3)) == "0000"


def test_a_silent_peer_is_aborted_and_a_slow_one_served(kept, files):
    listener = Listener(("127.0.0.1", 0), "GATEWAY", lambda *_: True, kept, idle_s=0.4)
    listener.start()
    try:
        address = ("127.0.0.1", listener.port)
        assert Modality(address, script="s", pause_s=0.03).send(files[:1])[0].answer == "0000"
        with Line(address) as line:
            line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
            assert line.hear() == "abort 2/0"
        _until(lambda: kept.codes == ["G503"])
    finally:
        listener.stop()


def test_a_peer_that_feeds_single_bytes_is_aborted(kept):
    listener = Listener(("127.0.0.1", 0), "GATEWAY", lambda *_: True, kept, idle_s=0.4)
    listener.start()
    try:
        with Line(("127.0.0.1", listener.port)) as line:
            line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
            line.send(fragment(1, encode(_store("1.2.9", 1)), is_command=True, is_last=True))
            line.send(fragment(1, bytes(5000), is_command=False, is_last=True)[:100])
            assert _dribbled(line) < 200
        _until(lambda: listener.associations == 0)
        _until(lambda: kept.codes == ["G503"])
    finally:
        listener.stop()


def test_a_caller_who_says_nothing_is_not_waited_for(address, kept, monkeypatch):
    monkeypatch.setattr(scp, "ARTIM_S", 0.2)
    with Line(address) as line:
        assert line.hear() == "abort 2/0"
    _until(lambda: kept.codes == ["G503"])


def test_stopping_answers_what_is_being_committed_and_cuts_the_rest(kept, files):
    listener = Listener(("127.0.0.1", 0), "GATEWAY", lambda *_: True, kept)
    listener.start()
    kept.gate.clear()
    address = ("127.0.0.1", listener.port)
    committing, halfway = Modality(address), Line(address)
    sender = threading.Thread(target=committing.send, args=(files[:1],))
    sender.start()
    halfway.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
    halfway.send(fragment(1, encode(_store("1.2.9", 1)), is_command=True, is_last=True))
    halfway.send(fragment(1, b"half", is_command=False, is_last=False))
    _until(lambda: kept.begun == 2)
    stopper = threading.Thread(target=listener.stop)
    stopper.start()
    assert halfway.hear() == "abort 0/0"
    kept.gate.set()
    stopper.join()
    sender.join()
    assert committing.seen == [Seen("1.2.3.0", ".", "0000")]
    assert list(kept.objects) == ["1.2.3.0"]
    assert kept.aborted == 1


def test_the_file_head_is_read_back_by_pydicom():
    for uid in ("1.2.3", "1.2.34"):
        arrival = Arrival(
            sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid="1.2.840.10008.1.2", calling_ae="CT1"
        )
        meta = pydicom.dcmread(BytesIO(file_head(arrival))).file_meta
        assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT, uid)
        assert (meta.TransferSyntaxUID, meta.SourceApplicationEntityTitle) == ("1.2.840.10008.1.2", "CT1")
        assert len(file_head(arrival)) == 132 + 12 + meta.FileMetaInformationGroupLength


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(lambda data, cid, flags: HEADER.pack(4, len(data) + 6) + struct.pack(">IBB", len(data) + 2, cid, flags) + data,
                      st.binary(max_size=60), st.sampled_from([1, 3, 5]), st.integers(0, 3)),
            st.sampled_from([RELEASE_RQ, ABORT, fragment(1, encode(Command(field=1, message_id=1, sop_class_uid=CT, sop_instance_uid="1.2", has_data_set=True)), is_command=True, is_last=True)]),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_whatever_comes_the_association_ends_with_an_answer_and_no_sink_stays_open(address, listener, kept, sent):
    with Line(address) as line:
        line.associate(associate_rq([(CT, "1.2.840.10008.1.2")], "CT", "GATEWAY"))
        try:
            for data in sent:
                line.send(data)
            line._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while line.hear() not in {"closed", "reset"}:
            pass
    _until(lambda: listener.associations == 0)
    _until(lambda: kept.begun == kept.aborted + kept.committed)
    assert all(error.code in {"G511", "G513"} for error in kept.notices)


def _dribbled(line):
    """Feed single bytes until the peer has had enough; return how many it took."""
    with contextlib.suppress(OSError):
        for count in range(200):
            line.send(b"\0")
            fed = count + 1
            time.sleep(0.02)
    return fed


def _store(uid, message_id):
    return Command(
        field=Field.C_STORE_RQ, message_id=message_id, sop_class_uid=CT, sop_instance_uid=uid, has_data_set=True
    )


def _dataset(uid, sop_class):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.1", "1.2.2", "CT"
    return ds


def _ct(path, uid):
    ds = _dataset(uid, CTImageStorage)
    ds.Rows = ds.Columns = 256
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelData = np.random.default_rng(len(uid) + int(uid[-1])).bytes(256 * 256 * 2)
    ds.save_as(path, enforce_file_format=True)
    return path


def _data(path):
    return path.read_bytes()[144 + int(read_file_meta_info(path).FileMetaInformationGroupLength) :]


def _run(program, address, *paths, is_nagling=False, options=()):
    names = ["-aet", "CT", "-aec", "GATEWAY"]
    line = [dcmtk.program(program), *names, *options, *map(str, address), *map(str, paths)]
    done = subprocess.run(
        line,
        env={"TCP_NODELAY": "0" if is_nagling else "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _delayed_acks():
    """TcpExt DelayedACKs of this network namespace (netstat -s)."""
    text = Path("/proc/net/netstat").read_text(encoding="ascii")
    lines = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    return int(dict(zip(*lines, strict=True))["DelayedACKs"])


def _until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.02)
    assert condition()
