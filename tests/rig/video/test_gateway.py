"""The whole gateway with a real driver as its grabber: an exam, a still and a cine reach DCMTK's PACS, valid, in the right colours.

Also `gateway capture`, which an installer types first.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.model import CaptureState, DeliveryState, Patient, RequestKind, RequestState, Signal
from gateway.service.bell import ring
from gateway.service.run import units
from gateway.simulators import viewer
from gateway.spool import live
from gateway.spool.spool import Spool
from tests.objects.test_dciodvfy import unexplained
from tests.pacs import PORT, storescp
from tests.rig.services import running
from tests.rig.video.conftest import BARS_75, BARS_100, DEVICE, HDMI, SVIDEO, TV, WEBCAM, bars_of
from tests.rig.video.test_acquire import PROFILE
from tests.rig.video.test_formats import TOLERANCE

ROOM = "ROOM"
CINE_S = 4.0
UNDECIDED = {RequestState.REQUESTED, RequestState.TAKEN}


def until(is_so: Callable[[], object], what: str, seconds: float = 300.0) -> None:
    """Wait for something, as long as emulation may take."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.2)


def gateway(*arguments: object) -> str:
    """Type it, and return what it prints."""
    command = [sys.executable, "-m", "gateway", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def site(load, tmp_path) -> config.Site:
    """A box whose grabber is vivid's webcam."""
    load().set(test_pattern=1)
    (tmp_path / "profiles" / "modalities").mkdir(parents=True)
    (tmp_path / "profiles" / "modalities" / "webcam.toml").write_text(PROFILE)
    paths = {name: str(tmp_path / name) for name in ("data", "run", "profiles")} | {"cache": str(config.own_cache())}
    settings = {
        "station": {"ae_title": "BOX", "timezone": "Africa/Nairobi"},
        "paths": paths,
        "spool": {"ballast_mb": 1, "keep_free_mb": 16},
        "release": {"after_s": 1.0},
        "grabber": {ROOM: {"device": DEVICE, "profile": "webcam", "ring_s": 3.0, "retrospective_s": 1.0}},
        "destination": {"pacs": {"host": "127.0.0.1", "port": PORT, "called_ae": "PACS", "timeout_s": 120.0}},
        "listen": {"is_enabled": False},
    }
    (tmp_path / "gateway.toml").write_text(config.toml(settings))
    return config.load(tmp_path / "gateway.toml")


def press(spool: Spool, site: config.Site, exam_id, kind: RequestKind) -> int:
    """Press as the panel does, and wait for the answer: the number of the capture."""
    request = exam.press(spool, SystemClock(), kind, exam_id, ROOM)
    ring(site.run, f"acquire@{ROOM}")
    until(lambda: spool.requests.get(request.request_id).state not in UNDECIDED, "an answer")
    answer = spool.requests.get(request.request_id)
    assert answer.state is RequestState.DONE, answer
    return answer.capture


def is_streaming(site: config.Site) -> bool:
    status = live.read_status(site.run, ROOM)
    return status is not None and status.signal is Signal.STREAMING


def panel_answers() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=60) as page:
            return page.status == HTTPStatus.OK
    except OSError:  # not yet
        return False


def examine(spool: Spool, site: config.Site) -> tuple[str, str]:
    """One exam with a still and a cine; the UIDs of their objects, once all that was owed is sent."""
    clock = SystemClock()
    who = Patient(patient_id="P1", name="Synthetic^Test")
    step = exam.start(spool, clock, station=ROOM, modality="US", profile="webcam", patient=who)
    captures = [press(spool, site, step.exam_id, kind) for kind in (RequestKind.STILL, RequestKind.CINE_START)]
    time.sleep(CINE_S)
    press(spool, site, step.exam_id, RequestKind.CINE_STOP)
    for number in captures:
        until(lambda n=number: spool.captures.get(step.exam_id, n).state is not CaptureState.RECORDING, "its end")
    exam.complete(spool, clock, step.exam_id)
    for service in ("keeper", "forward"):
        ring(site.run, service)
    until(lambda: {each.state for each in spool.deliveries.of_exam(step.exam_id)} == {DeliveryState.SENT}, "delivery")
    (still,), (cine,) = (spool.instances.of_capture(step.exam_id, number) for number in captures)
    return still.sop_instance_uid, cine.sop_instance_uid


def test_an_exam_on_a_real_driver_arrives_at_a_real_pacs(site, tmp_path):
    with (
        storescp(tmp_path / "pacs", "+xa") as pacs,
        running(units(site), site),
        Spool.open(site.data, SystemClock(), ballast_bytes=1 << 20, keep_free_bytes=16 << 20) as spool,
    ):
        until(lambda: is_streaming(site), "the picture")
        until(panel_answers, "the panel")
        still, cine = examine(spool, site)
    seen = {each.sop_instance_uid: each for each in map(viewer.look, pacs.iterdir())}
    assert len(list(pacs.iterdir())) == len(seen)
    assert set(seen) == {still, cine}
    assert len(seen[still].pictures) == 1
    assert len(seen[cine].pictures) >= 3
    for each in seen.values():
        assert (each.patient_name, each.modality) == ("Synthetic^Test", "US")
        assert all(np.abs(bars_of(picture) - BARS_100).max() <= TOLERANCE for picture in each.pictures)
    for path in pacs.iterdir():
        assert unexplained(path) == []


def test_gateway_capture_lists_what_a_device_offers(load):
    load()
    said = gateway("capture", "--device", DEVICE, "--list")
    assert all(name in said for name in (WEBCAM, TV, SVIDEO, HDMI))


def test_gateway_capture_looks_at_a_device_before_there_is_a_profile(load, tmp_path):
    load().set(test_pattern=0)
    output: Path = tmp_path / "first.png"
    told = json.loads(gateway("capture", "--device", DEVICE, "--output", output, "--json"))
    picture = imagecodecs.png_decode(output.read_bytes())
    assert picture.shape == (told["rows"], told["columns"], 3) == (told["height_px"], told["width_px"], 3)
    assert np.abs(bars_of(picture) - BARS_75).max() <= TOLERANCE
