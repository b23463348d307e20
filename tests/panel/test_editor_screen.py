"""The picture editor in Chromium: dragged by mouse and by finger, typed, without JavaScript, on small screens, for axe."""

import re

import pytest
from playwright.sync_api import expect

from gateway import profile
from tests.panel.test_screens import (  # noqa: F401  fixtures
    _MISFITS,
    SCREENS,
    SIZES,
    TARGET_PX,
    _sign_in,
    _size,
    _violations,
    chromium,
    page,
    plain,
    served,
)
from tests.panel.world import ENGINEER, PASSWORD, STATION

pytestmark = pytest.mark.browser

PAGE = f"/setup/modality/{STATION}/picture"
OURS = "simulator-ultrasound-hdmi-1"


def _open(page, served):  # noqa: F811
    served.world.whole(800, 600, proposal=(40, 20, 700, 540))
    _sign_in(page, ENGINEER)
    page.goto(PAGE)
    expect(page.locator(".before .tag")).to_contain_text("Live")


def _numbers(page, shape):  # noqa: F811
    return [int(field.input_value()) for field in page.locator(f'[data-shape="{shape}"] > .numbers input').all()]


def _press(page, value):  # noqa: F811
    with page.expect_response(lambda reply: reply.request.method == "POST"):
        page.locator(f'button[value="{value}"]').first.click()


def _middle(shown):
    at = shown.bounding_box()
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def _drag(page, start, by):  # noqa: F811
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=4)
    with page.expect_response(lambda reply: reply.request.method == "POST"):
        page.mouse.up()


def test_a_mask_is_drawn_by_mouse_and_what_is_kept_follows(page, served):  # noqa: F811
    _open(page, served)
    _press(page, "mask")
    expect(page.locator('[data-draws="mask-0"]')).to_be_visible()
    before = _numbers(page, "mask-0")
    _drag(page, _middle(page.locator('[data-draws="mask-0"]')), (80, 40))
    after = _numbers(page, "mask-0")
    per_px = 800 / page.locator("#drawing image").bounding_box()["width"]
    assert after[0] - before[0] == pytest.approx(80 * per_px, abs=3)
    assert after[1] - before[1] == pytest.approx(40 * per_px, abs=3)
    assert after[2:] == before[2:]
    expect(page.locator(".after rect")).to_have_attribute("x", str(after[0]))


def test_a_corner_is_pulled_and_nothing_leaves_the_picture_or_turns_inside_out(page, served):  # noqa: F811
    _open(page, served)
    _press(page, "propose")
    expect(page.locator('[data-draws="crop"]')).to_have_attribute("width", "700")
    _drag(page, _middle(page.locator('.handle[data-corner="3"] .dot')), (-2000, 0))
    assert _numbers(page, "crop") == [40, 20, 1, 540]
    _drag(page, _middle(page.locator('.handle[data-corner="3"] .dot')), (2000, 2000))
    assert _numbers(page, "crop") == [40, 20, 760, 580]
    _drag(page, _middle(page.locator('.handle[data-corner="0"] .dot')), (-2000, -2000))
    assert _numbers(page, "crop") == [0, 0, 800, 600]


def test_a_finger_draws_too(served, chromium):  # noqa: F811
    context = chromium.new_context(viewport={"width": 1024, "height": 600}, base_url=served.url, has_touch=True)
    page = context.new_page()  # noqa: F811
    _open(page, served)
    page.locator('button[value="propose"]').tap()
    expect(page.locator('[data-draws="crop"]')).to_have_attribute("x", "40")
    x, y = _middle(page.locator('.handle[data-corner="3"] .dot'))
    touch = context.new_cdp_session(page)
    for kind, dx in (("touchStart", 0), ("touchMove", -20), ("touchMove", -60)):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x + dx, "y": y + dx / 2}]})
    with page.expect_response(lambda reply: reply.request.method == "POST"):
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    left, top, width, height = _numbers(page, "crop")
    assert (left, top) == (40, 20)
    assert 550 < width < 650
    assert 440 < height < 520
    context.close()


def test_with_a_keyboard_alone_a_crop_is_typed_seen_and_saved(page, served):  # noqa: F811
    _open(page, served)
    page.locator('[data-shape="crop"] input').first.focus()
    for number in ("100", "60", "600", "480"):
        page.keyboard.type(number)
        page.keyboard.press("Tab")
    expect(page.locator('[data-draws="crop"]')).to_have_attribute("height", "480")
    assert _numbers(page, "crop") == [100, 60, 600, 480], "what was typed stays"
    page.locator('button[value="save"]').focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Saved as {OURS}. It counts from the next exam.")).to_be_visible()
    assert profile.modality(OURS, served.world.site.own_profiles).chain.crop == (100, 60, 600, 480)


def test_a_mistake_is_said_while_one_types(page, served):  # noqa: F811
    _open(page, served)
    _press(page, "crop")
    page.locator('[data-shape="crop"] input').nth(2).fill("900")
    expect(page.get_by_text("Crop reaches outside the picture, which has 800 × 600 pixels.")).to_be_visible()
    page.locator('[data-shape="crop"] input').nth(2).fill("500")
    expect(page.get_by_text("Crop reaches outside")).to_be_hidden()


def test_the_picture_lives(page, served):  # noqa: F811
    _open(page, served)
    with page.expect_response(lambda reply: "whole.jpg?look=" in reply.url):
        pass
    expect(page.locator("#drawing image")).to_have_attribute("href", re.compile(r"\?look=\d+"))


def test_a_length_is_drawn_between_two_marks(page, served):  # noqa: F811
    _open(page, served)
    _press(page, "scale")
    expect(page.get_by_text("Scale 1: how many centimetres lie between the two points?")).to_be_visible()
    page.keyboard.type("10")
    expect(page.get_by_text("Scale 1: how many centimetres")).to_be_hidden()
    before = _numbers(page, "points-0")
    _drag(page, _middle(page.locator('.handle[data-corner="1"] .dot')), (0, 20))
    after = _numbers(page, "points-0")
    assert after[:3] == before[:3]
    assert after[3] > before[3]


def test_without_javascript_a_picture_is_drawn_on_by_numbers(plain, served):  # noqa: F811
    served.world.whole(800, 600)
    plain.goto("/sign-in")
    plain.get_by_text("With the password instead").click()
    plain.locator("#by-password [name=name]").fill(ENGINEER)
    plain.locator("#by-password [name=password]").fill(PASSWORD)
    plain.locator("#by-password button").click()
    plain.goto(PAGE)
    plain.locator('button[value="crop"]').click()
    plain.locator('button[value="mask"]').click()
    plain.locator('[data-shape="mask-0"] input').nth(0).fill("120")
    plain.keyboard.press("Enter")
    expect(plain.locator(".after rect")).to_have_attribute("x", "120")
    plain.locator('button[value="save"]').click()
    expect(plain.get_by_text(f"Saved as {OURS}.")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "fr", "zh"])
def test_it_fits_a_7_inch_screen_and_axe_finds_nothing(served, chromium, language):  # noqa: F811
    context = chromium.new_context(viewport={"width": 1024, "height": 600}, base_url=served.url)
    page = context.new_page()  # noqa: F811
    _open(page, served)
    context.add_cookies([{"name": "language", "value": language, "url": served.url}])
    page.goto(PAGE)
    for value in ("propose", "mask", "mask", "scale"):
        _press(page, value)
        page.wait_for_timeout(120)
    _drag(page, _middle(page.locator('[data-draws="mask-1"]')), (150, 0))
    page.locator("[name=length]").fill("10")
    expect(page.locator(".notice")).to_have_count(0)
    page.evaluate("scrollTo(0, 0)")
    assert _violations(page, "picture") == {}
    SCREENS.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        page.set_viewport_size(_size(size))
        assert page.evaluate(_MISFITS, [TARGET_PX, False]) == []
        page.screenshot(path=str(SCREENS / f"picture-{language}-{size}.png"))
    context.close()
