"""The sender against peers that behave, misbehave and lie: each object comes out once, with a verdict in words."""

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.errors import CodecError, NoPresentationContext, PeerError, PeerRefused, PeerSilent, PeerUnreachable
from gateway.simulators.link import BadLink
from gateway.simulators.pacs import SimulatedPACS
from gateway.wire.dimse import negotiation, pdu, proposal, scu
from gateway.wire.dimse.peer import Peer
from gateway.wire.net import Stopped
from tests import dcmtk
from tests.dicom_files import CT, data_set_bytes, image

# pynetdicom's acceptor may meet our close (Evt15) in its own thread after it has refused: its race, and not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
JPEG_LS, RLE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"


@pytest.fixture
def peer(free_port):
    return Peer(name="Main PACS", host="127.0.0.1", port=free_port, called_ae="PACS", calling_ae="BOX", timeout_s=2.0)


@pytest.fixture
def hasty(peer):
    """The same peer for tests in which the timeout passes."""
    return structs.replace(peer, timeout_s=0.7)


@pytest.fixture
def file(tmp_path):
    image(tmp_path / "one.dcm")
    return tmp_path / "one.dcm"


class Shelf:
    """Files to load by index; remembers what was accepted for each."""

    def __init__(self, *paths):
        self.paths, self.accepted = paths, []

    @contextlib.contextmanager
    def load(self, index, accepted):
        self.accepted.append(accepted)
        yield self.paths[index % len(self.paths)]

    def offers(self, count, *syntaxes):
        return [scu.Offer(CT, syntaxes or (EXPLICIT,))] * count


def verdicts(outcomes):
    return [(outcome.verdict, outcome.error_code) for _, outcome in outcomes]


# ---- one object, every answer ----


@pytest.mark.parametrize(
    ("faults", "verdict", "error_code", "words"),
    [
        ("a", "accepted", "", ""),
        ("B", "accepted", "", "it changed some elements [B000]"),
        ("1", "accepted", "", "it already had this object [0111]"),
        ("7", "later", "G506", "Main PACS has no room at the moment (status A700)."),
        ("C", "never", "G505", "Main PACS refused the object with status C000: it cannot understand the object (No such patient)."),
        ("s", "never", "G504", "Main PACS accepts no form in which this object can be sent: it does not support CT Image Storage."),
        ("x", "later", "G502", "it does not know our AE title (we call PACS, as BOX)"),
        ("t", "later", "G500", "it refuses for the moment: it has as many associations as it allows"),
        ("r", "later", "G500", "the connection broke (Connection reset by peer)"),
    ],
)  # fmt: skip
def test_an_answer_becomes_a_verdict_in_words(peer, file, faults, verdict, error_code, words):
    shelf = Shelf(file)
    with SimulatedPACS(peer.port, faults=faults):
        [(_, outcome)] = scu.store(peer, shelf.offers(1), shelf.load)
    assert (outcome.verdict, outcome.error_code) == (verdict, error_code)
    assert words in outcome.text


def test_no_answer_becomes_a_verdict_in_words(hasty, file):
    shelf = Shelf(file)
    with SimulatedPACS(hasty.port, faults="h"):
        [(_, outcome)] = scu.store(hasty, shelf.offers(1), shelf.load)
    assert (outcome.verdict, outcome.error_code) == ("later", "G503")
    assert "Main PACS stopped answering." in outcome.text


def test_a_batch_goes_over_one_association(peer, file):
    shelf = Shelf(file)
    with SimulatedPACS(peer.port) as pacs:
        outcomes = list(scu.store(peer, shelf.offers(20), shelf.load))
    assert [index for index, _ in outcomes] == list(range(20))
    assert {outcome.verdict for _, outcome in outcomes} == {"accepted"}
    assert (len(pacs.called), len(pacs.received)) == (1, 20)


def test_the_data_set_is_sent_as_it_is(peer, tmp_path):
    files = [tmp_path / "one.dcm", tmp_path / "odd.dcm"]
    uids = [image(path, side=side, is_color=True).SOPInstanceUID for path, side in zip(files, (300, 33), strict=True)]
    shelf = Shelf(*files)
    with SimulatedPACS(peer.port, keep=tmp_path / "kept"):
        list(scu.store(peer, shelf.offers(2), shelf.load))
    for path, uid in zip(files, uids, strict=True):
        assert data_set_bytes(tmp_path / "kept" / f"{uid}.dcm") == data_set_bytes(path)


@pytest.mark.parametrize("max_pdu_bytes", [4096, 4097, 16384, 100_000])
def test_no_pdu_is_longer_than_the_peer_takes(peer, tmp_path, max_pdu_bytes):
    image(tmp_path / "big.dcm", side=512)
    shelf = Shelf(tmp_path / "big.dcm")
    with SimulatedPACS(peer.port, max_pdu_bytes=max_pdu_bytes) as pacs:
        [(_, outcome)] = scu.store(peer, shelf.offers(1), shelf.load)
    assert outcome.verdict == "accepted"
    assert 0 < pacs.longest_pdu_bytes <= max_pdu_bytes


# ---- a batch in trouble ----


def test_an_object_that_breaks_the_association_does_not_stop_the_others(peer, file):
    shelf = Shelf(file)
    with SimulatedPACS(peer.port, faults="ara") as pacs:
        outcomes = list(scu.store(peer, shelf.offers(5), shelf.load))
    assert [outcome.verdict for _, outcome in outcomes] == ["accepted", "later", "accepted", "accepted", "accepted"]
    assert len(pacs.called) == 2


def test_a_refused_object_does_not_even_cost_an_association(peer, file):
    shelf = Shelf(file)
    with SimulatedPACS(peer.port, faults="aC7a") as pacs:
        outcomes = list(scu.store(peer, shelf.offers(5), shelf.load))
    assert [outcome.verdict for _, outcome in outcomes] == ["accepted", "never", "later", "accepted", "accepted"]
    assert len(pacs.called) == 1


def test_two_hangs_in_a_row_are_the_peer_and_end_the_batch(hasty, file):
    shelf = Shelf(file)
    with SimulatedPACS(hasty.port, faults="ah") as pacs:
        outcomes = list(scu.store(hasty, shelf.offers(30), shelf.load))
    assert verdicts(outcomes) == [("accepted", "")] + [("later", "G503")] * 29
    assert [index for index, _ in outcomes] == list(range(30))
    assert len(pacs.called) == 2


def test_a_dead_peer_is_asked_once_for_the_whole_batch(peer, file):
    shelf = Shelf(file)
    outcomes = list(scu.store(peer, shelf.offers(9), shelf.load))
    assert verdicts(outcomes) == [("later", "G501")] * 9
    assert "Connection refused" in outcomes[0][1].text
    assert shelf.accepted == []


def test_an_object_that_cannot_be_loaded_says_why_and_the_others_go_on(peer, file, tmp_path):
    (tmp_path / "junk").write_bytes(b"not a DICOM file" * 50)

    @contextlib.contextmanager
    def load(index, accepted):
        if index == 1:
            raise CodecError(codec="JPEG-LS", problem="it is cut off")
        yield {2: tmp_path / "junk", 3: tmp_path / "gone"}.get(index, file)

    with SimulatedPACS(peer.port) as pacs:
        outcomes = list(scu.store(peer, [scu.Offer(CT, (EXPLICIT,))] * 5, load))
    assert verdicts(outcomes) == [
        ("accepted", ""),
        ("never", "G301"),
        ("never", "G312"),
        ("later", "G400"),
        ("accepted", ""),
    ]
    assert len(pacs.called) == 1


def test_a_file_that_shrinks_while_it_is_sent_breaks_off_and_the_others_go_on(peer, tmp_path):
    image(tmp_path / "shrinking.dcm", side=1500)
    image(tmp_path / "good.dcm")
    size = (tmp_path / "shrinking.dcm").stat().st_size

    @contextlib.contextmanager
    def load(index, accepted):
        path = tmp_path / ("shrinking.dcm" if index == 0 else "good.dcm")
        if index == 0:
            threading.Timer(0.2, os.truncate, (path, size - 200_000)).start()
        yield path

    with (
        SimulatedPACS(peer.port) as pacs,
        BadLink(peer.port + 1, peer.port, rate_bytes_s=4_000_000),
    ):
        slow = Peer(name="P", host="127.0.0.1", port=peer.port + 1, called_ae="PACS", calling_ae="BOX", timeout_s=2)
        outcomes = list(scu.store(slow, [scu.Offer(CT, (EXPLICIT,))] * 2, load))
    assert verdicts(outcomes) == [("later", "G400"), ("accepted", "")]
    assert len(pacs.received) == 1


# ---- transfer syntaxes ----


def test_each_syntax_is_proposed_alone_so_that_the_peer_may_accept_several(peer, file):
    shelf = Shelf(file)
    with SimulatedPACS(peer.port, transfer_syntaxes=(IMPLICIT, EXPLICIT, RLE)) as pacs:
        list(scu.store(peer, shelf.offers(1, EXPLICIT, JPEG_LS, RLE, IMPLICIT), shelf.load))
    assert pacs.called[0].proposed == ((CT, EXPLICIT), (CT, JPEG_LS), (CT, RLE), (CT, IMPLICIT))
    assert shelf.accepted == [(EXPLICIT, RLE, IMPLICIT)]


def test_a_peer_that_takes_none_of_them_is_told_apart_from_one_that_does_not_know_the_class(peer, file):
    shelf = Shelf(file)
    with SimulatedPACS(peer.port, transfer_syntaxes=(IMPLICIT,)):
        [(_, outcome)] = scu.store(peer, shelf.offers(1, EXPLICIT, RLE), shelf.load)
    assert (outcome.verdict, outcome.error_code) == ("never", "G504")
    assert "CT Image Storage as Explicit VR Little Endian, RLE Lossless" in outcome.text


def test_a_compressed_form_that_is_refused_is_sent_once_more_uncompressed(peer, file, tmp_path):
    image(tmp_path / "claims-rle.dcm", syntax=RLE)
    by_syntax = {RLE: tmp_path / "claims-rle.dcm", EXPLICIT: file}

    @contextlib.contextmanager
    def load(index, accepted):
        yield by_syntax[accepted[0]]

    with SimulatedPACS(peer.port, faults="CaC") as pacs:
        outcomes = list(scu.store(peer, [scu.Offer(CT, (RLE, EXPLICIT))] * 2, load))
    assert verdicts(outcomes) == [("accepted", ""), ("never", "G505")]
    assert [one.transfer_syntax_uid for one in pacs.received] == [RLE, EXPLICIT, RLE, EXPLICIT]


def test_more_classes_than_fit_go_over_several_associations(peer, tmp_path):
    classes = [f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("1", "2", "4", "6.1", "7", "12.1", "12.2", "20")]
    classes += [f"1.2.840.10008.5.1.4.1.1.77.1.{n}" for n in (1, 2, 4)] + ["1.2.840.10008.5.1.4.1.1.128"]
    for number, sop_class in enumerate(classes):
        image(tmp_path / f"{number}.dcm", sop_class=sop_class, side=16)
    syntaxes = (EXPLICIT, IMPLICIT, *(f"1.2.840.10008.1.2.4.{n}" for n in range(50, 62)))
    shelf = Shelf(*(tmp_path / f"{number}.dcm" for number in range(len(classes))))
    with SimulatedPACS(peer.port) as pacs:
        outcomes = list(scu.store(peer, [scu.Offer(uid, syntaxes) for uid in classes], shelf.load))
    assert sorted(index for index, _ in outcomes) == list(range(len(classes)))
    assert {outcome.verdict for _, outcome in outcomes} == {"accepted"}
    assert [len(call.proposed) for call in pacs.called] == [126, 42]


@pytest.mark.peers
@pytest.mark.parametrize(
    ("option", "accepted"),
    [
        ("+x=", (EXPLICIT, IMPLICIT)),
        ("+xi", (IMPLICIT,)),
        ("+xt", (EXPLICIT, JPEG_LS, IMPLICIT)),
        ("+xr", (EXPLICIT, RLE, IMPLICIT)),
    ],
)
def test_dcmtk_takes_what_it_is_set_to_prefer(peer, file, tmp_path, option, accepted):
    image(tmp_path / "implicit.dcm", syntax=IMPLICIT)
    seen = []

    @contextlib.contextmanager
    def load(index, syntaxes):
        seen.append(syntaxes)
        yield file if EXPLICIT in syntaxes else tmp_path / "implicit.dcm"

    with storescp(peer.port, tmp_path / "in", option):
        [(_, outcome)] = scu.store(peer, [scu.Offer(CT, (EXPLICIT, JPEG_LS, RLE, IMPLICIT))], load)
    assert outcome.verdict == "accepted"
    assert seen == [accepted]
    assert len(list((tmp_path / "in").iterdir())) == 1


# ---- slow and silent links ----


def test_a_slow_link_is_not_taken_for_a_silent_peer(peer, tmp_path, free_ports):
    # 180 kB: nearly three seconds. TCP itself falls silent for more than 0.7 s now and then while its window is closed.
    image(tmp_path / "big.dcm", side=300)
    shelf = Shelf(tmp_path / "big.dcm")
    port = free_ports(1)[0]
    slow = Peer(name="P", host="127.0.0.1", port=port, called_ae="PACS", calling_ae="BOX", timeout_s=1.5)
    with SimulatedPACS(peer.port), BadLink(port, peer.port, delay_s=0.15, rate_bytes_s=100_000):
        begun = time.monotonic()
        [(_, outcome)] = scu.store(slow, shelf.offers(1), shelf.load)
        took_s = time.monotonic() - begun
    assert outcome.verdict == "accepted", outcome
    assert took_s > slow.timeout_s, "the link was not slow enough to prove anything"


def test_a_link_that_swallows_everything_is_silent_after_the_timeout(peer, tmp_path, free_ports):
    image(tmp_path / "big.dcm", side=2000)
    shelf = Shelf(tmp_path / "big.dcm")
    port = free_ports(1)[0]
    with SimulatedPACS(peer.port), BadLink(port, peer.port) as link:
        through = Peer(name="P", host="127.0.0.1", port=port, called_ae="PACS", calling_ae="BOX", timeout_s=0.5)
        link.swallow_after_bytes = 500_000
        [(_, outcome)] = scu.store(through, shelf.offers(1), shelf.load)
    assert (outcome.verdict, outcome.error_code) == ("later", "G503")


def test_a_cut_link_is_later(peer, tmp_path, free_ports):
    image(tmp_path / "big.dcm", side=600)
    shelf = Shelf(tmp_path / "big.dcm")
    port = free_ports(1)[0]
    through = Peer(name="P", host="127.0.0.1", port=port, called_ae="PACS", calling_ae="BOX", timeout_s=2)
    with SimulatedPACS(peer.port) as pacs, BadLink(port, peer.port, cut_after_bytes=300_000):
        [(_, outcome)] = scu.store(through, shelf.offers(1), shelf.load)
    assert (outcome.verdict, outcome.error_code) == ("later", "G500")
    assert pacs.received == []


def test_it_stops_when_told_even_while_the_peer_hangs(peer, file):
    shelf, stop = Shelf(file), threading.Event()
    patient = Peer(name="P", host="127.0.0.1", port=peer.port, called_ae="PACS", calling_ae="BOX", timeout_s=60)
    with SimulatedPACS(peer.port, faults="ah") as pacs:
        outcomes = scu.store(patient, shelf.offers(3), shelf.load, is_stopped=stop.is_set)
        assert next(outcomes)[1].verdict == "accepted"
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(Stopped):
            next(outcomes)
    assert len(pacs.called) == 1


def test_what_a_silent_peer_has_not_taken_never_arrives_once_it_is_given_up(peer, tmp_path):
    image(tmp_path / "big.dcm", side=500)
    shelf, size = Shelf(tmp_path / "big.dcm"), (tmp_path / "big.dcm").stat().st_size
    stalled = Stalled(peer.port)
    [(_, outcome)] = scu.store(structs.replace(peer, timeout_s=0.5), shelf.offers(1), shelf.load)
    assert (outcome.verdict, outcome.error_code) == ("later", "G503")
    stalled.wakes.set()
    stalled.join(10)
    assert stalled.is_reset
    assert stalled.read_bytes < size


# ---- C-ECHO ----


def test_a_living_peer_answers_the_echo(peer):
    with SimulatedPACS(peer.port) as pacs:
        scu.echo(peer)
    assert pacs.echoes == 1


@pytest.mark.parametrize(("faults", "error"), [("x", PeerRefused), ("t", PeerError), ("s", NoPresentationContext)])
def test_an_echo_that_is_refused_is_named(peer, faults, error):
    with SimulatedPACS(peer.port, faults=faults), pytest.raises(error):
        scu.echo(peer)


def test_nobody_there_is_unreachable(peer):
    with pytest.raises(PeerUnreachable, match="Connection refused"):
        scu.echo(peer)


def test_a_name_that_nobody_knows_is_unreachable():
    with pytest.raises(PeerUnreachable):
        scu.echo(Peer(name="P", host="no.such.host.invalid", port=104, called_ae="A", calling_ae="B", timeout_s=1))


@pytest.mark.parametrize("ae_title", ["PÄCS", "A\\B", "   ", "SEVENTEEN-LETTERS"])
def test_an_ae_title_that_is_none_is_named(ae_title):
    with pytest.raises(PeerError, match="AE Title"):
        scu.echo(Peer(name="P", host="127.0.0.1", port=1, called_ae=ae_title, calling_ae="BOX", timeout_s=1))


def test_somebody_who_never_answers_is_silent(hasty):
    with socket.create_server(("127.0.0.1", hasty.port)), pytest.raises(PeerSilent):
        scu.echo(hasty)


# ---- peers that lie ----


class Scripted(threading.Thread):
    """A peer of raw bytes: accepts the association as it should, then answers each message with what it is told."""

    def __init__(self, port, *answers, greeting=b""):
        super().__init__(daemon=True)
        self.server, self.answers, self.greeting = socket.create_server(("127.0.0.1", port)), answers, greeting
        self.start()

    def run(self):
        with self.server, contextlib.suppress(OSError):
            while True:
                sock, _ = self.server.accept()
                with sock, contextlib.suppress(OSError, TypeError):
                    self.talk(sock.makefile("rwb", buffering=0))

    def talk(self, line):
        kind, body = self.pdu(line)
        line.write(self.greeting or negotiation.accept(negotiation.read(body))[0])
        for answer in self.answers:
            while kind != pdu.PDUType.P_DATA or not body[5] & 2 or body[5] & 1:
                kind, body = self.pdu(line)
            kind = 0
            line.write(answer)
        while line.read(1):
            pass

    def pdu(self, line):
        kind, length = pdu.HEADER.unpack(line.read(6))
        body = b""
        while len(body) < length:
            body += line.read(length - len(body))
        return kind, body


class Stalled(Scripted):
    """A peer that reads nothing of what follows its acceptance before it wakes; then to the end."""

    def __init__(self, port):
        self.wakes, self.read_bytes, self.is_reset = threading.Event(), 0, False
        super().__init__(port)

    def run(self):
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with self.server, self.server.accept()[0] as sock:
            line = sock.makefile("rwb", buffering=0)
            line.write(negotiation.accept(negotiation.read(self.pdu(line)[1]))[0])
            self.wakes.wait()
            try:
                while data := line.read(65536):
                    self.read_bytes += len(data)
            except ConnectionResetError:
                self.is_reset = True


def message(context_id=1, **facts):
    words = pdu.encode(pdu.Command(**{"field": pdu.Field.C_STORE_RSP, "responding_to": 1, "status": 0} | facts))
    return pdu.data_header(context_id, len(words), is_command=True, is_last=True) + words


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (message(responding_to=7), "an answer to something else"),
        (message(field=pdu.Field.C_ECHO_RSP), "an answer to something else"),
        (message(status=None), "an answer without a status"),
        (b"\x04\0\0\0\0\x08" + b"\xff" * 8, "a PDV says that it has"),
        (b"\x07\0\0\0\0\x04\0\0\0\0", "it aborted the association (by its own decision)"),
        (b"\x07\0\0\0\0\x04\0\0\2\6", "it aborted the association (reason 6)"),
        (b"\x05\0\0\0\0\x04\0\0\0\0", "it ended the association"),
        (b"\x02\0\0\0\0\x04\0\0\0\0", "a PDU of type 2"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak DICOM"),
        (b"\x04\0\xff\xff\xff\xff", "does not speak DICOM"),
        (message()[:20], "stopped answering"),
    ],
)
def test_an_answer_that_is_none_is_never_an_acceptance(hasty, file, answer, words):
    Scripted(hasty.port, answer)
    shelf = Shelf(file)
    [(_, outcome)] = scu.store(hasty, shelf.offers(1), shelf.load)
    assert outcome.verdict == "later"
    assert words in outcome.text


def test_the_scripted_peer_can_also_tell_the_truth(hasty, file):
    Scripted(hasty.port, message(), message(responding_to=2, status=0xB000))
    shelf = Shelf(file)
    assert verdicts(scu.store(hasty, shelf.offers(2), shelf.load)) == [("accepted", "")] * 2


def test_an_answer_in_many_fragments_is_one_answer(hasty, file):
    words = pdu.encode(pdu.Command(field=pdu.Field.C_STORE_RSP, responding_to=1, status=0xB000))
    pieces = [words[at : at + 6] for at in range(0, len(words), 6)]
    data = b"".join(
        pdu.data_header(1, len(piece), is_command=True, is_last=piece is pieces[-1]) + piece for piece in pieces
    )
    Scripted(hasty.port, data)
    shelf = Shelf(file)
    [(_, outcome)] = scu.store(hasty, shelf.offers(1), shelf.load)
    assert outcome.status == 0xB000


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9\r\n", b"\x02\0\0\0\0\x02\0\1", b"\x03\0\0\0\0\x04\0\1\1\7"])
def test_whatever_answers_the_request_is_named(peer, greeting):
    Scripted(peer.port, greeting=greeting)
    with pytest.raises(PeerError):
        scu.echo(peer)


@given(st.binary(max_size=400))
def test_any_bytes_in_an_acceptance_are_an_answer_or_a_named_error(data):
    asked = [(CT, EXPLICIT), (CT, IMPLICIT)]
    peer = Peer(name="P", host="h", port=1, called_ae="A", calling_ae="B")
    with contextlib.suppress(PeerError):
        contexts, longest = proposal.answer(peer, bytes(68) + data, asked)
        assert [(context.sop_class_uid, context.transfer_syntax_uid) for context in contexts] == asked
        assert longest >= 0
    assert isinstance(proposal.rejection(peer, data), PeerError)
    assert isinstance(proposal.abort_words(data), str)


@given(st.binary(max_size=400))
def test_any_bytes_are_fragments_and_a_command_or_a_value_error(data):
    with contextlib.suppress(ValueError):
        list(pdu.pdvs(data))
    with contextlib.suppress(ValueError):
        pdu.decode(data)


@given(
    st.builds(
        pdu.Command,
        field=st.sampled_from(list(pdu.Field)),
        sop_class_uid=st.from_regex(r"[1-9](\.[1-9]){0,9}", fullmatch=True),
        sop_instance_uid=st.from_regex(r"[1-9](\.[1-9]){0,9}", fullmatch=True),
        message_id=st.none() | st.integers(0, 0xFFFF),
        responding_to=st.none() | st.integers(0, 0xFFFF),
        priority=st.none() | st.integers(0, 2),
        has_data_set=st.booleans(),
        status=st.none() | st.integers(0, 0xFFFF),
        error_comment=st.from_regex(r"[A-Za-z]{0,64}", fullmatch=True),
    )
)
def test_a_command_reads_back_as_it_was_written(command):
    assert pdu.decode(pdu.encode(command)) == command


# ---- size ----


def test_memory_does_not_grow_with_the_object(peer, tmp_path, campaign):
    size = campaign(96 << 20, (2 << 30) - 1024)
    ds = image(tmp_path / "small.dcm", side=16, is_color=True)
    ds.PixelData = b""
    path = tmp_path / "huge.dcm"
    ds.save_as(path, enforce_file_format=True)
    with path.open("r+b") as file:  # PixelData is last: its length is the last four bytes; the rest is a hole
        file.seek(-4, os.SEEK_END)
        file.write(size.to_bytes(4, "little"))
        file.truncate(file.tell() + size)
    code = textwrap.dedent(f"""
        import contextlib, resource
        from pathlib import Path
        from gateway.wire.dimse import scu
        from gateway.wire.dimse.peer import Peer
        peer = Peer(name="P", host="127.0.0.1", port={peer.port}, called_ae="A", calling_ae="B", timeout_s=30)
        load = lambda index, accepted: contextlib.nullcontext(Path({str(path)!r}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        [(_, outcome)] = scu.store(peer, [scu.Offer({CT!r}, ({EXPLICIT!r},))], load)
        print(outcome.verdict, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    with storescp(peer.port, tmp_path / "in", "--ignore"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verdict, grown_kib = done.stdout.split()
    assert verdict == "accepted"
    assert int(grown_kib) < 32 * 1024


@contextlib.contextmanager
def storescp(port, folder: Path, *options):
    folder.mkdir()
    log = (folder.parent / "storescp.log").open("wb")
    process = subprocess.Popen(
        [dcmtk.program("storescp"), *options, "--output-directory", folder, str(port)],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait()
        log.close()
