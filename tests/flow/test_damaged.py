"""A file that the disk has damaged, met by the services as processes: it is said and shown, and keeps nobody from an exam."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.config import Site
from gateway.model import DeliveryState, RequestKind, RequestState, Signal
from gateway.service import run
from gateway.service.bell import ring
from gateway.simulators.pacs import SimulatedPACS
from gateway.spool import live
from gateway.spool.spool import Spool
from tests.dicom_files import admit, image
from tests.service.world import WHO, site_file

STATION = "ROOM-1"
PATIENCE_S = 30.0


@pytest.fixture
def started() -> Iterator[Callable[[Path, list[str]], tuple[run.Services, list[str]]]]:
    """`started(file, names)`: these services, and what they say."""
    running: list[run.Services] = []

    def start(file: Path, names: list[str]) -> tuple[run.Services, list[str]]:
        said: list[str] = []
        running.append(run.Services(names, file, said.append))
        return running[-1], said

    yield start
    for services in running:
        services.stop()


def until(is_so: Callable[[], bool], said: list[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, said
        time.sleep(0.02)


def damage(path: Path) -> None:
    """Change one byte, as a failing disk does."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_damaged_file_of_the_panel_is_shown_and_an_exam_begins_with_the_last_good_one(tmp_path, started) -> None:
    file = site_file(tmp_path)
    override = config.write_override(config.load(file), "panel", {"grabber": {STATION: {"ring_s": 7.0}}})
    override.write_bytes(b"\x00" * 40)
    _, said = started(file, ["keeper", f"acquire@{STATION}"])
    site, clock = config.load(file), SystemClock()
    assert site.grabber[STATION].ring_s == 7.0
    with Spool.open(site.data, clock) as spool:
        until(lambda: _is_streaming(site), said)
        until(lambda: bool(spool.troubles.all()), said)
        (trouble,) = spool.troubles.all()
        assert (trouble.subject, trouble.error_code) == ("configuration", "G101")
        assert override.name in trouble.text
        step = exam.start(
            spool, clock, station=STATION, modality="US", profile="simulator-ultrasound", patient=WHO, operator="eve"
        )
        request = exam.press(spool, clock, RequestKind.STILL, step.exam_id, STATION)
        ring(site.run, f"acquire@{STATION}")
        until(lambda: spool.requests.get(request.request_id).state is RequestState.DONE, said)


def test_a_configuration_damaged_under_way_stops_no_service_that_runs_and_one_that_comes_back_says_why(
    tmp_path, started, monkeypatch
) -> None:
    monkeypatch.setattr(run, "FIRST_PAUSE_S", 0.05)
    file = site_file(tmp_path)
    good = file.read_bytes()
    site = config.load(file)
    services, said = started(file, ["keeper", "forward"])
    until(lambda: _has_locks(site, "keeper", "forward"), said)
    forward = services.pids()["forward"]
    file.write_bytes(good[: len(good) // 2] + b"\xff\x00")
    services.kill("keeper")

    def says_why() -> bool:
        services.look()
        return any("keeper: " in line and file.name in line and "[G1" in line for line in said)

    until(says_why, said)
    assert services.pids().get("forward") == forward
    assert not any("Traceback" in line for line in said)
    file.write_bytes(good)

    def is_back() -> bool:
        services.look()
        pid = services.pids().get("keeper")
        return pid is not None and str(pid) in (site.data / "locks" / "keeper").read_text().split()

    until(is_back, said)
    assert services.pids()["forward"] == forward


def test_a_damaged_object_is_parked_and_shown_and_the_others_leave(tmp_path, free_port, started) -> None:
    file = site_file(
        tmp_path, destination={"pacs": {"host": "127.0.0.1", "port": free_port, "called_ae": "PACS", "timeout_s": 2}}
    )
    site = config.load(file)
    with Spool.open(site.data, SystemClock()) as spool, SimulatedPACS(free_port) as pacs:
        uids = []
        for number in range(3):
            path = tmp_path / f"{number}.dcm"
            uids.append(str(image(path, seed=number).SOPInstanceUID))
            admit(spool, path, ["pacs"])
        damage(spool.blobs.path(spool.instances.get(uids[1]).blob))
        _, said = started(file, ["keeper", "forward"])

        def states() -> list[DeliveryState]:
            return [one.state for uid in uids for one in spool.deliveries.of_payload(uid)]

        until(lambda: states() == [DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.SENT], said)
        assert {one.sop_instance_uid for one in pacs.accepted()} == {uids[0], uids[2]}
        assert [(one.subject, one.error_code) for one in spool.troubles.all()] == [(uids[1], "G402")]
        assert spool.blobs.path(spool.instances.get(uids[1]).blob).exists(), "it is there to be looked at"


def _is_streaming(site: Site) -> bool:
    status = live.read_status(site.run, STATION)
    return status is not None and status.signal is Signal.STREAMING


def _has_locks(site: Site, *names: str) -> bool:
    paths = [site.data / "locks" / name for name in names]
    return all(path.exists() and path.read_text().strip() for path in paths)
