"""From a press to a PACS that knows what it must hide: a capture leaves, is discarded, and its rejection note arrives after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from msgspec import structs

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.forward.probes import Probes
from gateway.model import DeliveryState
from gateway.service import forward, keeper
from gateway.service.bell import Bell, ring
from gateway.service.compose import Box
from gateway.simulators.pacs import SimulatedPACS
from gateway.spool.spool import Spool
from tests.objects.test_dciodvfy import unexplained
from tests.service.world import site_file, still

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
# pynetdicom's acceptor may meet our close (Evt15) in its own thread after it has refused: its race, and not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def box(tmp_path: Path, free_port: int) -> Iterator[Box]:
    pacs = {"host": "127.0.0.1", "port": free_port, "called_ae": "PACS", "timeout_s": 2}
    site = config.load(site_file(tmp_path, destination={"pacs": pacs}))
    site = structs.replace(site, release=config.Release(after_s=0))
    clock = SystemClock()
    with Spool.open(site.data, clock) as spool:
        yield Box(site=site, spool=spool, clock=clock)


@pytest.fixture
def forwarding(box: Box, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Probes, "FIRST_S", 0.1)
    stop = threading.Event()
    with Bell(box.site.run, "forward") as bell:
        thread = threading.Thread(target=forward.serve, args=(box.site, box.spool, box.clock, stop, bell))
        thread.start()
        yield
        stop.set()
        bell.ring_self()
        thread.join(20)
    assert not thread.is_alive()


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def sent(box: Box) -> list[DeliveryState]:
    return [each.state for each in box.spool.deliveries.recent(10)]


@pytest.mark.usefixtures("forwarding")
def test_a_pacs_receives_the_capture_and_then_the_note_that_rejects_it(
    box: Box, free_port: int, tmp_path: Path
) -> None:
    with SimulatedPACS(free_port, keep=tmp_path) as pacs:
        step, instance = still(box)
        keeper.release(box)
        until(lambda: sent(box) == [DeliveryState.SENT])
        assert exam.discard(box.spool, step.exam_id, 1, by="Ada")
        keeper.reject(box)
        until(lambda: sent(box) == [DeliveryState.SENT] * 2)
    first, second = pacs.received
    assert (first.sop_instance_uid, second.sop_class_uid) == (instance.sop_instance_uid, KEY_OBJECT_SELECTION)
    path = tmp_path / f"{second.sop_instance_uid}.dcm"
    assert unexplained(path) == []
    named = [
        item.ReferencedSOPSequence[0]
        for item in pydicom.dcmread(path).ContentSequence
        if "ReferencedSOPSequence" in item
    ]
    assert [each.ReferencedSOPInstanceUID for each in named] == [first.sop_instance_uid]


@pytest.mark.usefixtures("forwarding")
def test_what_waited_for_a_dead_link_when_it_was_discarded_never_arrives(box: Box, free_port: int) -> None:
    """It was tried, so a note goes: whether the link broke before or after the last byte nobody knows."""
    step, instance = still(box)
    keeper.release(box)
    until(lambda: any(each.attempts and each.state is DeliveryState.QUEUED for each in box.spool.deliveries.recent(1)))
    exam.discard(box.spool, step.exam_id, 1)
    with SimulatedPACS(free_port) as pacs:
        keeper.reject(box)
        ring(box.site.run, "forward")
        until(lambda: len(pacs.received) == 1)
        until(lambda: sorted(sent(box)) == [DeliveryState.CANCELLED, DeliveryState.SENT])
    assert [each.sop_class_uid for each in pacs.received] == [KEY_OBJECT_SELECTION]
    assert instance.sop_instance_uid not in {each.sop_instance_uid for each in pacs.received}
