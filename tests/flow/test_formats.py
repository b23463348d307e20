"""What a grabber delivers in any pixel format becomes an object that shows it: the number in each picture is read back."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest

from gateway.model import CaptureState, RequestKind, RequestState
from gateway.simulators import viewer
from gateway.simulators.pictures import number_of
from tests.flow.rooms import Room


def numbers_in(room: Room, instance) -> list[int]:
    """Read the numbers in the pictures of an object, of whatever depth."""
    path = room.spool.blobs.path(instance.blob)
    seen = viewer.look(path).pictures
    depth = pydicom.dcmread(path, stop_before_pixels=True).BitsStored
    shown = (seen >> (depth - 8)).astype(np.uint8)
    return [number_of(each) for each in (shown if instance.frame_count > 1 or shown.ndim > 3 else [np.squeeze(shown)])]


@pytest.mark.parametrize("word", ["mjpeg", "nv12", "yu12", "grey", "y10", "y16", "bgr24"])
def test_a_still_and_a_film_show_what_was_delivered(tmp_path: Path, word: str) -> None:
    with Room(tmp_path, f"phantom,320x240,{word},25") as room:
        step = room.start()
        time.sleep(0.2)
        assert room.press(step, RequestKind.STILL).state is RequestState.DONE
        assert room.press(step, RequestKind.CINE_START).state is RequestState.DONE
        time.sleep(0.4)
        assert room.press(step, RequestKind.CINE_STOP).state is RequestState.DONE
        (still,), (film,) = room.objects(step, 1), room.objects(step, 2)
        assert room.capture(step, 2).state is CaptureState.HELD
        (first,) = numbers_in(room, still)
        shown = numbers_in(room, film)
        assert len(shown) >= 5
        assert all(b - a == 1 for a, b in pairwise(shown))
        assert abs(shown[0] - first) < 100
