"""What an engineer draws: the whole picture is there to draw on, and what was saved counts from the next exam."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import pytest

from gateway import exam, profile, tables
from gateway.model import RequestKind, Signal
from gateway.spool import live
from tests.flow.rooms import NAME, SECOND, Room

DRAWN = {
    "title": "Drawn",
    "sources": ["drawn in a test"],
    "input": {"connector": "hdmi", "standards": ["any"]},
    "object": {"modality": "US", "still": "us", "cine": "us"},
}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()
    made.spool.close()


def save(room: Room, crop: list[int]) -> None:
    """Save the profile in use as the site's own."""
    path = Path(room.site.own_profiles) / "modalities" / "simulator-ultrasound.toml"
    tables.save(path, DRAWN | {"chain": {"crop": crop}})
    assert profile.modality("simulator-ultrasound", room.site.own_profiles).chain.crop == tuple(crop)


def test_a_profile_that_was_saved_counts_from_the_next_exam_and_not_in_the_middle_of_one(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.STILL)
    save(room, [16, 8, 160, 120])
    room.press(step, RequestKind.STILL)
    sizes = [room.pictures(room.objects(step, number)[0]).shape[1:3] for number in (1, 2)]
    assert sizes == [(240, 320), (240, 320)]
    exam.complete(room.spool, room.clock, step.exam_id)
    later = room.start()
    room.press(later, RequestKind.STILL)
    assert room.pictures(room.objects(later, 1)[0]).shape[1:3] == (120, 160)


def test_the_whole_picture_is_published_while_somebody_draws_on_it_and_says_what_it_is(room: Room) -> None:
    save(room, [16, 8, 160, 120])
    stop = threading.Event()
    looking = threading.Thread(target=room.acquire.preview, args=(stop,))
    looking.start()
    room.start()
    try:
        live.want(room.site.run, NAME)
        room.until(lambda: live.read_preview(room.site.run, NAME) is not None)
        assert live.read_whole(room.site.run, NAME) is None, "nobody draws"
        live.want(room.site.run, NAME, live.WHOLE)
        room.until(lambda: live.read_whole(room.site.run, NAME) is not None)
    finally:
        stop.set()
        looking.join()
    jpeg, _version, facts = live.read_whole(room.site.run, NAME) or pytest.fail("it went away")
    assert imagecodecs.jpeg8_decode(jpeg).shape == (240, 320, 3)
    assert (facts.width_px, facts.height_px, facts.pixel_aspect) == (320, 240, (1, 1))
    assert facts.proposal is None or facts.proposal[2] <= 320
    assert 0 <= room.clock.monotonic_ns() - facts.captured_ns < 10 * SECOND
    assert imagecodecs.jpeg8_decode(live.read_preview(room.site.run, NAME)[0]).shape == (120, 160, 3)  # type: ignore[index]


def test_a_crop_that_does_not_fit_stops_no_live_picture_for_good(room: Room) -> None:
    save(room, [0, 0, 640, 480])
    step = room.start()
    stop = threading.Event()
    looking = threading.Thread(target=room.acquire.preview, args=(stop,))
    looking.start()
    try:
        live.want(room.site.run, NAME)
        live.want(room.site.run, NAME, live.WHOLE)
        room.until(lambda: live.read_whole(room.site.run, NAME) is not None)
        assert live.read_preview(room.site.run, NAME) is None
        save(room, [0, 0, 320, 200])
        exam.complete(room.spool, room.clock, step.exam_id)
        room.start()
        live.want(room.site.run, NAME)
        room.until(lambda: live.read_preview(room.site.run, NAME) is not None)
    finally:
        stop.set()
        looking.join()
    assert room.signal() is Signal.STREAMING


def test_a_dark_border_is_proposed_as_a_crop_and_not_applied(tmp_path: Path) -> None:
    room = Room(tmp_path, "jpeg2k,1024x768,progressive,yuyv,25")
    stop = threading.Event()
    looking = threading.Thread(target=room.acquire.preview, args=(stop,))
    looking.start()
    try:
        live.want(room.site.run, NAME, live.WHOLE)
        room.until(lambda: (live.read_whole(room.site.run, NAME) or (0, 0, None))[2] is not None)
    finally:
        stop.set()
        looking.join()
        room.close()
        room.spool.close()
    _jpeg, _version, facts = live.read_whole(room.site.run, NAME) or pytest.fail("it went away")
    assert (facts.width_px, facts.height_px) == (1024, 768)
    assert facts.proposal is not None
    x, y, width, height = facts.proposal
    assert 150 <= x < x + width <= 1024 - 150
    assert 100 <= y < y + height <= 768 - 100
