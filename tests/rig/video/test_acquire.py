"""Acquire, with its ring, its recordings and its spool, on a real driver: what goes wrong ends the object at its last good picture."""

import time

import numpy as np
import pytest

from gateway.config import Destination, Grabber, Paths, Site, Station, Store
from gateway.model import CaptureState, RequestKind, RequestState, Signal
from tests.flow.rooms import NAME, Room
from tests.rig.video.conftest import BARS_100, DEVICE, bars_of
from tests.rig.video.test_formats import TOLERANCE

PROFILE = """
title = "The kernel's own webcam"
sources = ["vivid"]
confirm = ["Nothing: it is no modality."]
[input]
connector = "hdmi"
input_name = "Webcam 0"
standards = ["320x180p25", "any"]
pixel_formats = ["YUYV"]
[object]
modality = "US"
still = "us"
cine = "us"
conversion_type = "DI"
compression = "rle"
"""


@pytest.fixture
def room(load, tmp_path):
    vivid = load()
    vivid.set(test_pattern=1)
    (tmp_path / "profiles" / "modalities").mkdir(parents=True)
    (tmp_path / "profiles" / "modalities" / "webcam.toml").write_text(PROFILE)
    site = Site(
        paths=Paths(data=str(tmp_path / "data"), run=str(tmp_path / "run"), profiles=str(tmp_path / "profiles")),
        station=Station(timezone="Africa/Nairobi"),
        grabber={NAME: Grabber(device=DEVICE, profile="webcam", ring_s=3, retrospective_s=1)},
        destination={"pacs": Destination(host="127.0.0.1", called_ae="PACS")},
        spool=Store(ballast_mb=1, keep_free_mb=1),
    )
    with SlowRoom(tmp_path, site=site) as made:
        yield made


class SlowRoom(Room):
    """A room under emulation: everything takes ten times as long. Open once the first picture covers the moment.

    vivid hands a picture out up to a frame before the time that it stamps as its end (vivid-kthread-cap.c, cap_frame_eof_offset).
    """

    def open(self) -> None:
        super().open()
        self.until(lambda: self.acquire._newest() is not None)

    def until(self, is_so, seconds: float = 200.0) -> None:
        super().until(is_so, seconds)

    def answered(self, step, kind: RequestKind):
        """Press, and wait for the answer."""
        request = self.press(step, kind)
        self.until(
            lambda: self.spool.requests.get(request.request_id).state in {RequestState.DONE, RequestState.MISSED}
        )
        return self.spool.requests.get(request.request_id)

    def cine_of(self, seconds: float):
        """Begin an exam and a cine, which goes on when so much of it was recorded; return the exam and the cine's number."""
        step = self.start()
        answer = self.answered(step, RequestKind.CINE_START)
        began = time.monotonic()
        self.until(lambda: time.monotonic() - began > seconds)
        return step, answer.capture


def test_a_still_of_a_real_driver_becomes_an_object_with_its_colours(room):
    step = room.start()
    answer = room.answered(step, RequestKind.STILL)
    assert answer.state is RequestState.DONE
    (instance,) = room.objects(step, answer.capture)
    (picture,) = room.pictures(instance)
    assert np.abs(bars_of(picture) - BARS_100).max() <= TOLERANCE


def test_a_grabber_pulled_out_mid_cine_leaves_the_cine_up_to_its_last_good_picture(room, load, loaded):
    vivid = load()
    step, number = room.cine_of(3)
    vivid.press("disconnect")
    loaded.clear()
    room.until(lambda: room.signal() is Signal.ABSENT)
    (instance,) = room.objects(step, number)
    pictures = room.pictures(instance)
    assert len(pictures) == instance.frame_count >= 2
    assert all(np.abs(bars_of(picture) - BARS_100).max() <= TOLERANCE for picture in pictures)
    capture = room.capture(step, number)
    assert capture.state is CaptureState.HELD
    assert "ended early" in capture.note
    assert room.answered(step, RequestKind.STILL).state is RequestState.MISSED


def test_a_signal_lost_mid_cine_ends_it_and_the_next_still_is_of_the_new_signal(room, load):
    vivid = load()
    step, number = room.cine_of(2)
    vivid.press("inject_fatal_streaming_error")
    room.until(lambda: room.spool.captures.get(step.exam_id, number).state is not CaptureState.RECORDING)
    (instance,) = room.objects(step, number)
    assert instance.frame_count >= 1
    room.until(lambda: room.signal() is Signal.STREAMING)
    assert room.answered(step, RequestKind.STILL).state is RequestState.DONE
