"""The unit `forward` with a real spool: whatever the peers do, every delivery ends where it should, and nobody waits for a
neighbour's trouble."""

import contextlib
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial

import pytest

from gateway import config
from gateway.clock import SystemClock
from gateway.forward.probes import Probes
from gateway.model import DeliveryState
from gateway.service import forward
from gateway.service.bell import Bell, ring
from gateway.simulators.link import BadLink
from gateway.simulators.pacs import SimulatedPACS
from gateway.spool.spool import Spool
from gateway.spool.states import Event
from tests.dicom_files import SR, US, admit, image, report
from tests.flow.orthanc import orthanc

# pynetdicom's acceptor may meet our close (Evt15) in its own thread after it has refused: its race, and not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

QUEUED, SENDING, SENT, FAILED = (
    DeliveryState.QUEUED,
    DeliveryState.SENDING,
    DeliveryState.SENT,
    DeliveryState.FAILED,
)
NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@pytest.fixture
def spool(tmp_path):
    with Spool.open(tmp_path / "data", SystemClock()) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch):
    monkeypatch.setattr(Probes, "FIRST_S", 0.1)


@pytest.fixture
def running(spool, tmp_path):
    """`with running(name=port, ...)`: the unit, delivering to these destinations."""

    @contextlib.contextmanager
    def serving(*, timeout_s=1.0, **ports):
        site = config.Site(
            paths=config.Paths(data=str(tmp_path / "data"), run=str(tmp_path / "run")),
            destination={
                name: config.Destination(host="127.0.0.1", port=port, called_ae="PACS", timeout_s=timeout_s)
                for name, port in ports.items()
            },
        )
        stop = threading.Event()
        with Bell(tmp_path / "run", "forward") as bell:
            thread = threading.Thread(target=forward.serve, args=(site, spool, SystemClock(), stop, bell))
            thread.start()
            try:
                yield lambda: ring(tmp_path / "run", "forward")
            finally:
                stop.set()
                bell.ring_self()
                thread.join(20)
        assert not thread.is_alive()

    return serving


def queue(spool, tmp_path, count, *destinations, side=64):
    uids = []
    for number in range(count):
        path = tmp_path / "made" / f"{time.monotonic_ns()}.dcm"
        uids.append(str(image(path, side=side, seed=number).SOPInstanceUID))
        admit(spool, path, destinations)
    return uids


def states(spool, uids, destination="pacs"):
    return [one.state for uid in uids for one in spool.deliveries.of_payload(uid) if one.destination == destination]


def wait(condition, what="it", seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come about"
        time.sleep(0.01)


# ---- one peer ----


def test_what_is_queued_arrives_and_is_sent(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 20, "pacs")
    with SimulatedPACS(free_port) as pacs, running(pacs=free_port):
        wait(lambda: states(spool, uids) == [SENT] * 20)
    assert sorted(one.sop_instance_uid for one in pacs.received) == sorted(uids)
    assert spool.deliveries.last_success("pacs") is not None


def test_a_ring_wakes_it_and_a_lost_ring_costs_a_second(spool, tmp_path, running, free_port):
    with SimulatedPACS(free_port), running(pacs=free_port) as bell:
        uids = queue(spool, tmp_path, 1, "pacs")
        bell()
        wait(lambda: states(spool, uids) == [SENT])
        uids = queue(spool, tmp_path, 1, "pacs")
        wait(lambda: states(spool, uids) == [SENT])


@pytest.mark.parametrize(
    ("faults", "state", "error_code", "words"),
    [
        ("x", QUEUED, "G502", "does not know our AE title"),
        ("t", QUEUED, "G500", "as many associations as it allows"),
        ("s", FAILED, "G504", "does not support CT Image Storage"),
        ("7", QUEUED, "G506", "no room at the moment"),
        ("B", SENT, "", "changed some elements"),
        ("1", SENT, "", "already had this object"),
        ("C", FAILED, "G505", "No such patient"),
        ("h", QUEUED, "G503", "stopped answering"),
        ("r", QUEUED, "G500", "the connection broke"),
    ],
)
def test_a_peer_in_trouble_leaves_the_delivery_where_it_belongs(
    spool, tmp_path, running, free_port, faults, state, error_code, words
):
    [uid] = queue(spool, tmp_path, 1, "pacs")
    with SimulatedPACS(free_port, faults=faults) as pacs, running(pacs=free_port):
        wait(lambda: pacs.called and (one := spool.deliveries.of_payload(uid)[0]).state is state and one.attempts)
        [delivery] = spool.deliveries.of_payload(uid)
    assert delivery.error_code == error_code
    assert words in (delivery.error_text or delivery.note)
    spool.blobs.verify(spool.instances.get(uid).blob)


def test_a_bad_object_does_not_hold_up_the_queue(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 8, "pacs")
    with SimulatedPACS(free_port, faults="aCaraa7a", transfer_syntaxes=NATIVE), running(pacs=free_port):
        wait(lambda: states(spool, uids).count(SENT) == 5)
    assert states(spool, uids).count(FAILED) == 1
    assert states(spool, uids).count(QUEUED) == 2


def test_a_peer_that_comes_back_gets_everything_without_anybody_asking(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 5, "pacs")
    pacs = SimulatedPACS(free_port)
    with running(pacs=free_port):
        wait(lambda: all(one.error_code == "G501" for uid in uids for one in spool.deliveries.of_payload(uid)))
        with pacs:
            wait(lambda: states(spool, uids) == [SENT] * 5)
    assert pacs.echoes >= 1
    events = [entry.event for entry in spool.history.of("destination pacs")]
    assert events == ["out of reach", "answers again"]


def test_a_peer_that_has_no_room_is_not_probed_but_waited_for(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 2, "pacs")
    with SimulatedPACS(free_port, faults="7") as pacs, running(pacs=free_port):
        wait(lambda: len(pacs.received) == 2)
        time.sleep(0.7)
    assert (pacs.echoes, len(pacs.received)) == (0, 2)
    assert spool.deliveries.next_due_s("pacs") > 0
    assert states(spool, uids) == [QUEUED] * 2


def test_after_a_restart_a_peer_in_backoff_is_asked_at_once(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 1, "pacs")
    with running(pacs=free_port):
        wait(lambda: spool.deliveries.of_payload(uids[0])[0].error_code == "G501")
    with SimulatedPACS(free_port), running(pacs=free_port):
        wait(lambda: states(spool, uids) == [SENT])


def test_a_cut_link_leaves_the_delivery_queued_and_the_next_try_delivers_it(spool, tmp_path, running, free_ports):
    port, link_port = free_ports(2)
    uids = queue(spool, tmp_path, 1, "pacs", side=700)
    with SimulatedPACS(port, transfer_syntaxes=NATIVE) as pacs, BadLink(link_port, port) as link:
        link.cut_after_bytes = 400_000
        with running(pacs=link_port):
            wait(lambda: spool.deliveries.of_payload(uids[0])[0].error_code == "G500")
            assert states(spool, uids) == [QUEUED]
            assert pacs.received == []
            link.cut_after_bytes = -1
            wait(lambda: states(spool, uids) == [SENT])
    assert len(pacs.received) == 1


def test_stopping_in_the_middle_hands_everything_back(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 4, "pacs")
    with SimulatedPACS(free_port, faults="ah") as pacs, running(pacs=free_port, timeout_s=60):
        wait(lambda: len(pacs.called) == 1 and states(spool, uids).count(SENT) == 1)
    assert sorted(states(spool, uids)) == [QUEUED] * 3 + [SENT]


def test_a_queue_of_large_objects_lets_a_small_one_in(spool, tmp_path, running, free_ports, monkeypatch):
    port, link_port = free_ports(2)
    large = queue(spool, tmp_path, 6, "pacs", side=300)
    monkeypatch.setattr(forward, "FIRST_BATCH", 1)
    monkeypatch.setattr(forward, "TURN_S", 0.15)
    with (
        SimulatedPACS(port, transfer_syntaxes=NATIVE) as pacs,
        BadLink(link_port, port, rate_bytes_s=600_000),
        running(pacs=link_port, timeout_s=5),
    ):
        wait(lambda: len(pacs.received) == 1)
        [small] = queue(spool, tmp_path, 1, "pacs", side=16)
        wait(lambda: states(spool, [small]) == [SENT])
        place = [one.sop_instance_uid for one in pacs.received].index(small)
        wait(lambda: states(spool, large) == [SENT] * 6)
    assert 1 <= place <= 3, "it waits for two turns at most"


@pytest.mark.parametrize(
    ("count", "took_s", "following"),
    [
        (8, 0.1, 16),
        (16, 0.1, 32),
        (64, 1.0, 64),
        (8, 20.0, 8),
        (8, 80.0, 2),
        (8, 4000.0, 1),
        (1, 25.0, 1),
        (1, 0.0, 16),
    ],
)
def test_a_batch_is_what_fits_into_a_turn(count, took_s, following):
    assert forward.next_batch(count, took_s) == following


# ---- several peers ----


def test_one_dead_and_one_hung_of_three_delay_nobody(spool, tmp_path, running, free_ports):
    good, dead, hung = free_ports(3)
    uids = queue(spool, tmp_path, 30, "dead", "hung", "good")
    with (
        SimulatedPACS(good) as pacs,
        SimulatedPACS(hung, faults="h"),
        running(good=good, dead=dead, hung=hung, timeout_s=10),
    ):
        wait(lambda: states(spool, uids, "good") == [SENT] * 30)
        assert SENDING in states(spool, uids, "hung"), "the hung peer was still on its first object"
        assert SENT not in states(spool, uids, "dead") + states(spool, uids, "hung")
    assert len(pacs.received) == 30
    assert {
        one.error_code for uid in uids for one in spool.deliveries.of_payload(uid) if one.destination == "dead"
    } == {"G501"}


def test_an_object_for_nobody_here_waits(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 1, "elsewhere", "pacs")
    with SimulatedPACS(free_port), running(pacs=free_port):
        wait(lambda: states(spool, uids) == [SENT])
    assert states(spool, uids, "elsewhere") == [QUEUED]


# ---- trouble in our own house ----


def test_a_corrupt_blob_is_parked_and_the_others_arrive(spool, tmp_path, running, free_port):
    uids = queue(spool, tmp_path, 3, "pacs")
    blob = spool.blobs.path(spool.instances.get(uids[1]).blob)
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\xff")
    with SimulatedPACS(free_port) as pacs, running(pacs=free_port):
        wait(lambda: states(spool, uids) == [SENT, FAILED, SENT])
    assert [delivery.error_code for delivery in spool.deliveries.failed(9)] == ["G402"]
    assert uids[1] not in {one.sop_instance_uid for one in pacs.received}


def test_a_courier_that_stumbles_hands_back_and_goes_on(spool, tmp_path, running, free_port, monkeypatch):
    uids = queue(spool, tmp_path, 3, "pacs")
    monkeypatch.setattr(forward, "TROUBLE_S", 0.1)
    settle, calls = spool.deliveries.settle, []

    def stumble(outcomes):
        calls.append(outcomes)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return settle(outcomes)

    monkeypatch.setattr(spool.deliveries, "settle", stumble)
    with SimulatedPACS(free_port) as pacs, running(pacs=free_port):
        wait(lambda: states(spool, uids) == [SENT] * 3)
    assert len(pacs.received) == 4


def test_kill_9_in_the_middle_loses_nothing(spool, tmp_path, free_ports, campaign):
    port, link_port = free_ports(2)
    uids = queue(spool, tmp_path, 40, "pacs")
    code = textwrap.dedent(f"""
        import threading
        from pathlib import Path
        from gateway import config
        from gateway.clock import SystemClock
        from gateway.service import forward
        from gateway.service.bell import Bell
        from gateway.spool.spool import Spool
        site = config.Site(destination={{"pacs": config.Destination(host="127.0.0.1", port={link_port}, called_ae="P")}})
        clock = SystemClock()
        with Spool.open(Path({str(tmp_path / "data")!r}), clock) as spool, Bell(Path({str(tmp_path / "run")!r}), "f") as bell:
            print("up", flush=True)
            forward.serve(site, spool, clock, threading.Event(), bell)
    """)
    with SimulatedPACS(port) as pacs, BadLink(link_port, port, rate_bytes_s=150_000):
        kills = 0
        while kills < campaign(4, 40) and states(spool, uids).count(SENT) < 36:
            enough = min(len(pacs.received) + 3, 40)
            with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
                process.stdout.readline()
                wait(partial(_has_received, pacs, enough))
                process.kill()
            kills += 1
            accepted = {one.sop_instance_uid for one in pacs.received}
            assert {uid for uid, state in zip(uids, states(spool, uids), strict=True) if state is SENT} <= accepted
        spool.deliveries.recover()
        spool.deliveries.probe_now("pacs")
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            wait(lambda: states(spool, uids) == [SENT] * 40)
            process.kill()
    assert {one.sop_instance_uid for one in pacs.received} == set(uids)
    assert kills >= 1
    assert spool.integrity() == []


def test_a_person_sends_again_what_was_refused(spool, tmp_path, running, free_port):
    [uid] = queue(spool, tmp_path, 1, "pacs")
    with SimulatedPACS(free_port, faults="Ca", transfer_syntaxes=NATIVE), running(pacs=free_port):
        wait(lambda: states(spool, [uid]) == [FAILED])
        spool.deliveries.apply(spool.deliveries.of_payload(uid)[0].delivery_id, Event.RETRY, by="anna")
        wait(lambda: states(spool, [uid]) == [SENT])


# ---- a real PACS ----


@pytest.mark.peers
def test_orthanc_stores_every_kind_of_object(spool, tmp_path, running, free_ports):
    port, http = free_ports(2)
    made = []
    for name, make in {
        "ct": image,
        "us": lambda path: image(path, sop_class=US, is_color=True),
        "rle": lambda path: image(path, syntax="1.2.840.10008.1.2.5"),
        "sr": report,
    }.items():
        made.append(str(make(tmp_path / f"{name}.dcm").SOPInstanceUID))
        admit(spool, tmp_path / f"{name}.dcm", ["pacs"])
    with orthanc(tmp_path / "orthanc", port, http) as get, running(pacs=port, timeout_s=20):
        wait(lambda: states(spool, made) == [SENT] * 4)
        stored = [get(f"/instances/{one}/simplified-tags") for one in get("/instances")]
    assert sorted(tags["SOPInstanceUID"] for tags in stored) == sorted(made)
    assert {tags["PatientName"] for tags in stored} == {"Test^Forward"}
    assert SR in {tags["SOPClassUID"] for tags in stored}


def _has_received(pacs, count):
    return len(pacs.received) >= count
