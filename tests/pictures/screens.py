"""The panel in Chromium to the pictures of docs/panel.md: the exam screen in every state of the signal, the picture editor, and
the screens of instruments."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from imagecodecs import jpeg8_encode
from playwright.sync_api import Page, expect, sync_playwright

from gateway.errors import DeviceGone
from gateway.model import CaptureKind, PerformedStep, Shown, Signal
from gateway.spool import live
from tests.panel.test_screens import CHROMIUM, FLAGS, Served, _sign_in
from tests.panel.world import ENGINEER, EYES, HEART, STATION, eyes, guesses, live_traces, pressure, steps

SIZE = {"width": 1024, "height": 600}
INPUT = "HDMI 1"
QUALITY = 84
SCREENS = (
    "panel-signal",
    "panel-no-signal",
    "panel-out-of-range",
    "panel-blue-screen",
    "panel-mid-cine",
    "panel-unplugged",
    "panel-picture",
    "panel-readings",
    "panel-inbox",
    "panel-give",
    "panel-instrument",
    "panel-find",
)


def all_of_them() -> Iterator[tuple[str, bytes]]:
    """Yield (name of the file, JPEG)."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        served = Served(Path(folder))
        page = chromium.new_context(viewport=SIZE, base_url=served.url).new_page()
        try:
            yield from _gallery(served, page)
            yield from _editor(served, page)
            yield from _instruments(served, page)
        finally:
            chromium.close()
            served.close()


def _gallery(served: Served, page: Page) -> Iterator[tuple[str, bytes]]:
    """An exam from its first picture to a grabber that was pulled out in the middle of a film, and back again."""
    world = served.world
    world.people()
    world.worklist()
    world.signal(input=INPUT)
    world.picture()
    _sign_in(page, ENGINEER)
    exam = world.start(scheduled=steps()[0])
    for _ in range(2):
        world.capture(exam)
    yield "panel-signal", _exam(page, exam, "Live")
    world.signal(Signal.NO_SIGNAL, input=INPUT)
    yield "panel-no-signal", _exam(page, exam, f"No signal on {INPUT}: is the scanner on?")
    world.signal(Signal.OUT_OF_RANGE, input=INPUT)
    yield "panel-out-of-range", _exam(page, exam, "that the grabber cannot take")
    world.signal(input=INPUT, shows=Shown.BLUE)
    live.write_preview(world.site.run, STATION, jpeg8_encode(np.full((600, 800, 3), (10, 12, 191), np.uint8)))
    yield "panel-blue-screen", _exam(page, exam, "The picture is a blue screen")
    world.picture()
    film = world.capture(exam, CaptureKind.CINE, is_done=False)
    world.clock.sleep(14)
    world.signal(input=INPUT)
    yield "panel-mid-cine", _exam(page, exam, "Recording 0:14")
    gone = DeviceGone(device=STATION)
    world.finish(exam, film, note=f"It ended early: {str(gone).rstrip('.')}.")
    world.signal(Signal.ABSENT, error_code=gone.code, error_facts={"device": STATION})
    yield "panel-unplugged", _exam(page, exam, "is not there")


def _editor(served: Served, page: Page) -> Iterator[tuple[str, bytes]]:
    world = served.world
    world.signal(input=INPUT)
    world.whole(800, 600, proposal=(105, 62, 690, 478))
    page.goto(f"/setup/modality/{STATION}/picture")
    for does in ("propose", "mask", "scale"):
        with page.expect_response(lambda reply: reply.request.method == "POST"):
            page.locator(f'button[value="{does}"]').first.click()
        page.wait_for_timeout(200)
    _type(page, "mask-0", ("105", "62", "60", "180"))
    _type(page, "points-0", ("746", "185", "746", "455"))
    page.locator("[name=length]").fill("9")
    expect(page.locator(".pictures .notice")).to_have_count(0)
    page.evaluate("scrollTo(0, 130)")
    yield "panel-picture", _shot(page)


def _instruments(served: Served, page: Page) -> Iterator[tuple[str, bytes]]:
    """A reading that went into its exam by itself, two that wait for a person, and an instrument that is looked at."""
    world = served.world
    (exam,) = world.spool.exams.all_running()
    world.signal(input=INPUT)
    world.picture()
    world.measure(exam, "ar", "ker", said=world.eyes(model_name="ARK-530A"))
    yield "panel-readings", _exam(page, exam, "Live")
    entry = world.stray()
    world.stray(world.heart(), HEART, "Electrocardiograph")
    page.goto("/readings")
    yield "panel-inbox", _shot(page)
    page.goto(f"/readings/{entry.entry_id}/give/{exam.exam_id}")
    yield "panel-give", _shot(page)
    now_ns = world.clock.monotonic_ns()
    world.hear(HEART, values=(pressure(now_ns - 180_000_000_000),), traces=tuple(live_traces()), sets=3)
    world.hear(values=eyes(now_ns), sets=14, received_bytes=4182, parity_errors=3)
    page.goto("/readings/instruments")
    page.evaluate("scrollTo(0, 60)")
    yield "panel-instrument", _shot(page)
    world.run_services()
    world.find(received_bytes=611, guesses=guesses())
    page.goto(f"/setup/ports/{EYES}/find")
    page.evaluate("scrollTo(0, 190)")
    yield "panel-find", _shot(page)


def _type(page: Page, shape: str, numbers: tuple[str, ...]) -> None:
    for field, number in zip(page.locator(f'[data-shape="{shape}"] > .numbers input').all(), numbers, strict=True):
        field.fill(number)


def _exam(page: Page, exam: PerformedStep, says: str) -> bytes:
    page.goto(f"/exam/{exam.exam_id}")
    expect(page.get_by_text(says).first).to_be_visible()
    if says in {"Live", "Recording 0:14", "The picture is a blue screen"}:
        expect(page.locator("#live")).to_have_js_property("width", 800)
    return _shot(page)


def _shot(page: Page) -> bytes:
    return page.screenshot(type="jpeg", quality=QUALITY)
