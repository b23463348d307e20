"""The pictures of the docs are all there, all shown, and small; `python -m tests.pictures` makes them."""

import re
from pathlib import Path

import imagecodecs
import pytest

from tests.pictures.__main__ import FOLDER
from tests.pictures.pages import PAGES as DRAWN
from tests.pictures.screens import SCREENS
from tests.pictures.steps import STEPS

PAGES = sorted(FOLDER.parent.glob("*.md"))
LARGEST_BYTES = 160 * 1024


def shown(page: Path) -> set[str]:
    return set(re.findall(r"!\[[^\]]+\]\((?:docs/)?pictures/([\w.-]+)\)", page.read_text(encoding="utf-8")))


def test_every_picture_that_is_shown_is_there_and_every_one_that_is_there_is_shown():
    pages = [*PAGES, FOLDER.parent.parent / "README.md"]
    assert set.union(*map(shown, pages)) == {path.name for path in FOLDER.iterdir()}


def test_each_step_of_the_chain_is_shown_on_the_page_of_pixels():
    assert {f"{name}.jpg" for name in STEPS} == shown(FOLDER.parent / "pixels.md")


def test_each_state_of_the_exam_screen_is_shown_on_the_page_of_the_panel():
    assert {f"{name}.jpg" for name in SCREENS} <= shown(FOLDER.parent / "panel.md")


def test_each_page_that_is_drawn_is_shown_on_the_page_of_pages():
    assert {f"{name}.png" for name in DRAWN} == shown(FOLDER.parent / "pages.md")


@pytest.mark.parametrize("name", [*(f"{name}.jpg" for name in (*STEPS, *SCREENS)), *(f"{name}.png" for name in DRAWN)])
def test_a_picture_is_small_and_can_be_looked_at(name):
    data = (FOLDER / name).read_bytes()
    assert len(data) < LARGEST_BYTES
    picture = imagecodecs.imread(FOLDER / name)
    assert picture.shape[1] <= 1024
    assert picture.std() > 15


def test_a_step_changes_its_picture():
    """The quickest of them, made now: its two halves are not the same."""
    made = STEPS["pixels-levels"]()
    half = made.shape[1] // 2
    assert abs(made[60:, :half].mean() - made[60:, half:].mean()) > 20
