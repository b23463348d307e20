"""What an engineer draws: the whole picture is there to draw on, and what was saved counts from the next exam."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import pytest
from msgspec.structs import replace

from gateway import exam, profile, tables
from gateway.config import Store
from gateway.model import RequestKind, Signal
from gateway.panel import create_app
from gateway.spool import live
from tests.flow.rooms import NAME, SECOND, Room, site_of

DRAWN = {
    "title": "Drawn",
    "sources": ["drawn in a test"],
    "input": {"connector": "hdmi", "standards": ["any"]},
    "object": {"modality": "US", "still": "us", "cine": "us"},
}


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
    with room.at_work(room.acquire.preview):
        room.start()
        live.want(room.site.run, NAME)
        room.until(lambda: live.read_preview(room.site.run, NAME) is not None)
        assert live.read_whole(room.site.run, NAME) is None, "nobody draws"
        live.want(room.site.run, NAME, live.WHOLE)
        room.until(lambda: live.read_whole(room.site.run, NAME) is not None)
    jpeg, _version, facts = live.read_whole(room.site.run, NAME) or pytest.fail("it went away")
    assert imagecodecs.jpeg8_decode(jpeg).shape == (240, 320, 3)
    assert (facts.width_px, facts.height_px, facts.pixel_aspect) == (320, 240, (1, 1))
    assert facts.proposal is None or facts.proposal[2] <= 320
    assert 0 <= room.clock.monotonic_ns() - facts.captured_ns < 10 * SECOND
    assert imagecodecs.jpeg8_decode(live.read_preview(room.site.run, NAME)[0]).shape == (120, 160, 3)  # type: ignore[index]


def test_a_crop_that_does_not_fit_stops_no_live_picture_for_good(room: Room) -> None:
    save(room, [0, 0, 640, 480])
    step = room.start()
    with room.at_work(room.acquire.preview):
        live.want(room.site.run, NAME)
        live.want(room.site.run, NAME, live.WHOLE)
        room.until(lambda: live.read_whole(room.site.run, NAME) is not None)
        assert live.read_preview(room.site.run, NAME) is None
        save(room, [0, 0, 320, 200])
        exam.complete(room.spool, room.clock, step.exam_id)
        room.start()
        live.want(room.site.run, NAME)
        room.until(lambda: live.read_preview(room.site.run, NAME) is not None)
    assert room.signal() is Signal.STREAMING


def test_a_dark_border_is_proposed_as_a_crop_and_not_applied(tmp_path: Path) -> None:
    with Room(tmp_path, "jpeg2k,1024x768,progressive,yuyv,25") as room, room.at_work(room.acquire.preview):
        live.want(room.site.run, NAME, live.WHOLE)
        room.until(lambda: (live.read_whole(room.site.run, NAME) or (0, 0, None))[2] is not None)
    _jpeg, _version, facts = live.read_whole(room.site.run, NAME) or pytest.fail("it went away")
    assert (facts.width_px, facts.height_px) == (1024, 768)
    assert facts.proposal is not None
    x, y, width, height = facts.proposal
    assert 150 <= x < x + width <= 1024 - 150
    assert 100 <= y < y + height <= 768 - 100


def test_from_the_picture_on_the_panel_to_the_pixels_of_the_next_exam(tmp_path: Path) -> None:
    """An engineer takes the crop that the live picture suggests, saves it, and the next exam's still has that size."""
    site = replace(
        site_of(tmp_path, "jpeg2k,1024x768,progressive,yuyv,25"), spool=Store(ballast_mb=16, keep_free_mb=16)
    )
    with Room(tmp_path, site=site) as room:
        room.spool.accounts.pair(room.spool.accounts.open_pairing(), "Awa", "a long and quiet word")
        app = create_app(room.site, room.spool, room.clock, secret=b"s" * 32, wait=time.sleep)
        with room.at_work(room.acquire.preview), room.at_work(_turning(room)):
            browser = app.test_client()
            token = _token(browser.get("/sign-in").text)
            browser.post("/sign-in", data={"csrf": token, "name": "Awa", "password": "a long and quiet word"})
            page = browser.get(f"/setup/modality/{NAME}/picture").text
            assert "1024 × 768" in page
            form = {"csrf": _token(page), "do": "propose", "name": "ours", "only": "on"}
            page = browser.post(f"/setup/modality/{NAME}/picture", data=form).text
            crop = re.findall(r'name="crop" value="(\d+)"', page)
            assert len(crop) == 4
            saved = browser.post(f"/setup/modality/{NAME}/picture", data=form | {"do": "save", "crop": crop})
            assert saved.status_code == 303, re.findall("<strong>(.*?)</strong>", saved.text)
            browser.post("/exams", data={"csrf": form["csrf"], "how": "emergency", "station": NAME})
        step = room.spool.exams.running(NAME)
        assert step is not None
        assert step.profile == "ours"
        room.press(step, RequestKind.STILL)
        assert room.pictures(room.objects(step, 1)[0]).shape[1:3] == (int(crop[3]), int(crop[2]))


def _turning(room: Room) -> Callable[[threading.Event], None]:
    def turn(stop: threading.Event) -> None:
        while not stop.wait(0.1):
            room.acquire.turn()

    return turn


def _token(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    return found[1] if found else ""
