"""The whole box as processes: each service dies under the others' load, and nothing acknowledged is lost or doubled."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import exam
from gateway.clock import SystemClock
from gateway.model import CaptureKind, CaptureState, DeliveryState, PerformedStep, RequestKind, RequestState
from gateway.service import demo
from gateway.service.bell import ring
from gateway.service.compose import Box
from gateway.service.run import Services, units
from gateway.simulators.instrument import dose_report
from gateway.simulators.modality import Modality
from gateway.spool.spool import Spool
from tests.dicom_files import image
from tests.flow.services import looked_after

VICTIMS = (f"acquire@{demo.STATION}", "forward", "keeper", "listen", "serial@DOSE", "panel")
SUCCESS = "0000"
SECRETS = ("Nakato", "Grace", "19840212", "DEMO-1", "ACC-1", "王", "Lefèvre")
"""Of the demo's worklist: what must never be in a log."""


@contextmanager
def box_at_work() -> Iterator[tuple[demo.World, Services, Box]]:
    """Every service as a process of its own, looked after as `gateway run` does; both PACS are up.

    At the end, whatever they logged names no patient.
    """
    with demo.world_of(demo.REAL) as world:
        world.far.start()
        with (
            looked_after(units(world.site), world.file) as (services, lines),
            Spool.open(world.site.data, SystemClock()) as spool,
        ):
            yield world, services, Box(site=world.site, spool=spool, clock=spool.clock)
        said = "\n".join(lines)
        assert "acquire@" in said, "the services were not heard"
        assert [secret for secret in SECRETS if secret in said] == []


def press(box: Box, step: PerformedStep, seconds: float) -> int | None:
    """Press once; return the capture that was acknowledged, if one was."""
    request = exam.press(box.spool, box.clock, RequestKind.STILL, step.exam_id, demo.STATION)
    ring(box.site.run, f"acquire@{demo.STATION}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = box.spool.requests.get(request.request_id)
        if answer.state is RequestState.DONE:
            return answer.capture
        if answer.state is RequestState.MISSED:
            return None
        time.sleep(0.01)
    return None


def send(world: demo.World, paths: list[Path], stop: threading.Event, acknowledged: list[str]) -> None:
    """Send objects until told to stop; note each that was answered with success. A listener that is down is tried again."""
    waiting = list(paths)
    while waiting and not stop.is_set():
        batch, waiting = waiting[:2], waiting[2:]
        time.sleep(0.4)
        try:
            seen = Modality(("127.0.0.1", world.site.listen.port), calling_ae="MODALITY", called_ae="GATEWAY").send(
                batch
            )
        except OSError:
            time.sleep(0.3)
            continue
        acknowledged += [one.sop_instance_uid for one in seen if one.answer == SUCCESS]


@pytest.mark.timeout(400)
def test_each_service_killed_under_the_others_load_loses_and_doubles_nothing(tmp_path: Path, campaign) -> None:
    paths = []
    for number in range(campaign(60, 2000)):
        paths.append(tmp_path / f"{number}.dcm")
        image(paths[-1], seed=number)
    with box_at_work() as (world, services, box):
        order = demo.ready(box, lambda *_: None)
        step = exam.start(
            box.spool, box.clock, station=demo.STATION, modality="US", profile=demo.PROFILE, scheduled=order
        )
        stop, received, captured = threading.Event(), [], []
        sender = threading.Thread(target=send, args=(world, paths, stop, received), daemon=True)
        sender.start()
        for victim in VICTIMS * campaign(1, 10):
            captured += [number for _ in range(3) if (number := press(box, step, 6.0)) is not None]
            services.kill(victim)
        demo.until(lambda: press(box, step, 6.0) is not None, 60.0, "acquire did not come back")
        demo.until(lambda: _is_answered(world), 60.0, "the panel did not come back")
        _print_until_read(world, box, step)
        before = max(len(received), 10)
        demo.until(lambda: len(received) > before or not sender.is_alive(), 120.0, "listen did not come back")
        stop.set()
        sender.join(120.0)
        captures = box.spool.captures
        demo.until(
            lambda: all(c.state is not CaptureState.RECORDING for c in captures.of_exam(step.exam_id)),
            30.0,
            "still open",
        )
        exam.complete(box.spool, box.clock, step.exam_id)
        final = {DeliveryState.SENT, DeliveryState.CANCELLED}
        demo.until(lambda: _is_all(box, final), 120.0, "not everything was delivered")
        assert len(captured) >= len(VICTIMS)
        assert len(received) >= 10
        uids = {i.sop_instance_uid for n in captured for i in box.spool.instances.of_capture(step.exam_id, n)}
        assert len(uids) == len(captured) == len(set(captured))
        for pacs in (world.near, world.far):
            there = {path.stem for path in (pacs.keep or tmp_path).glob("*.dcm")}
            assert uids | set(received) <= there
        rows = Counter(i.sop_instance_uid for i in box.spool.instances.received(10_000))
        assert set(rows.values()) == {1}, "an object sent again is no second row"
        assert box.spool.troubles.all() == []


def _is_answered(world: demo.World) -> bool:
    """Ask the panel for its first page."""
    connection = http.client.HTTPConnection("127.0.0.1", world.site.panel.port, timeout=5.0)
    try:
        connection.request("GET", "/sign-in")
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False
    finally:
        connection.close()


def _print_until_read(world: demo.World, box: Box, step: PerformedStep) -> None:
    """Print until a reading is part of the exam: what was printed while nobody listened is lost on any serial line."""

    def is_read() -> bool:
        world.instrument.print(dose_report())
        time.sleep(1.0)
        return any(c.kind is CaptureKind.READING for c in box.spool.captures.of_exam(step.exam_id))

    demo.until(is_read, 60.0, "the instrument was not heard again")


def _is_all(box: Box, states: set[DeliveryState]) -> bool:
    return all(set(found) <= states for found in box.spool.deliveries.counts().values())
