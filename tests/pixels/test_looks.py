"""What pictures show: the numbers as their twins have them, and the meaning on scenes where it is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PixelError
from gateway.model import Field, Range, Shown
from gateway.pixels import chain, looks
from gateway.profile import PixelChain
from tests.pixels import frames, naive

RNG = np.random.default_rng


def noisy(plane, seed, sigma=1.5):
    return np.clip(plane + RNG(seed).normal(0, sigma, plane.shape), 0, 255).astype(np.uint8)


def scene(shift=0, rows=96, columns=128):
    y, x = np.mgrid[:rows, :columns]
    return np.clip(128 + 80 * np.sin((x - shift) / 7.0) * np.cos(y / 11.0), 0, 255).astype(np.uint8)


@given(st.data())
def test_change_is_what_the_twin_says(data):
    shape = data.draw(st.integers(1, 50)), data.draw(st.integers(1, 50))
    rng = RNG(data.draw(st.integers(0, 99)))
    before, now = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
    levels = naive.block_change(before, now)
    found = looks.change(before, now)
    assert looks.block_change(before, now) == pytest.approx(levels)
    assert found.blocks == levels.size
    assert found.noise == pytest.approx(np.percentile(levels, 25))
    assert found.moving == (levels > 1.5 * min(np.percentile(levels, 25), 3) + 0.75).sum()


@given(st.data())
def test_combing_is_what_the_twin_says(data):
    shape = data.draw(st.integers(3, 40)), data.draw(st.integers(1, 40))
    rng = RNG(data.draw(st.integers(0, 99)))
    low = data.draw(st.sampled_from([0, 90]))
    three = [rng.integers(low, 256 - low, shape, dtype=np.uint8) for _ in range(3)]
    if data.draw(st.booleans()):
        three[0][::2], three[2][::2] = three[1][::2], three[1][::2]
    assert looks.comb(*three).combed == (naive.combed(*three, 10, 10) > 32).sum()
    assert looks.comb(None, three[1], None).combed == (naive.combed(*[three[1]] * 3, 10, 0) > 32).sum()


def test_noise_alone_is_frozen_and_a_small_thing_that_moves_is_not():
    still, later = noisy(scene(), 1), noisy(scene(), 2)
    assert looks.change(still, later).moving == 0
    assert looks.change(still, still).moving == 0
    later[40:46, 60:66] = 255 - later[40:46, 60:66] // 2
    assert looks.change(still, later).moving > 0
    assert looks.change(noisy(scene(), 1), noisy(scene(3), 2)).moving > 0


def test_a_picture_that_moves_everywhere_alike_is_not_frozen():
    assert looks.change(noisy(scene(), 1), noisy(np.clip(scene().astype(int) + 20, 0, 255), 2)).moving > 0


def woven(first, second):
    """Top field of one moment, bottom field of the next."""
    frame = first.copy()
    frame[1::2] = second[1::2]
    return frame


def test_fields_of_two_moments_are_combed_and_fine_still_lines_are_not():
    moving = [woven(scene(8 * n), scene(8 * n + 4)) for n in range(3)]
    assert looks.comb(*moving).is_combed
    assert looks.comb(None, moving[1], None).is_combed
    lines = np.zeros((96, 128), np.uint8)
    lines[::2] = 200
    assert not looks.comb(noisy(lines, 1), noisy(lines, 2), noisy(lines, 3)).is_combed
    assert looks.comb(None, lines, None).is_combed  # nothing tells it from motion


def test_a_freeze_between_two_fields_is_combed():
    """The top field is of the old picture, the bottom field already of the one that stays."""
    old, new = scene(), scene(6)
    assert looks.comb(old, woven(old, new), new).is_combed


def test_a_still_of_a_frozen_modality_keeps_all_its_lines_and_says_so():
    fmt = frames.make("GREY", 128, 96, field=Field.INTERLACED_TB, range=Range.FULL)
    raw = noisy(scene(), 1).reshape(-1)
    built = chain.build(fmt, PixelChain())
    chosen = built.for_still(raw, raw, raw)
    assert np.array_equal(chosen.run(raw, raw, raw)[..., 0].reshape(-1), raw)
    assert chosen.steps == ("fields woven together (top field first; they show the same)",)
    moving = [woven(scene(8 * n), scene(8 * n + 4)).reshape(-1) for n in range(3)]
    chosen = built.for_still(*moving)
    assert np.array_equal(chosen.run(*moving), built.run(*moving))
    assert chosen.steps == ("de-interlaced (motion adaptive, top field first; the fields differ)",)


@pytest.mark.parametrize(
    ("field", "recipe"),
    [
        (Field.NONE, PixelChain()),
        (Field.INTERLACED, PixelChain(still_deinterlace="as_cine")),
        (Field.INTERLACED, PixelChain(deinterlace="weave")),
    ],
)
def test_where_there_is_nothing_to_choose_a_still_is_made_as_a_film_is(field, recipe):
    fmt = frames.make("YUYV", 32, 16, field=field)
    raws = frames.noise(fmt, 1)
    built = chain.build(fmt, recipe)
    assert built.for_still(*raws) is built


@pytest.mark.parametrize("kind", frames.ALL)
def test_luma_is_the_sources_own(kind):
    fmt = frames.make(kind, 22, 10, 3)
    raw = frames.noise(fmt, 1, 1)[0]
    planes = naive.planes(fmt, raw)
    built = chain.build(fmt, PixelChain(crop=(3, 2, 15, 7)))
    assert np.array_equal(built.luma(raw), planes[1 if kind in ("RGB3", "BGR3", "XR24", "BGR4") else 0][2:9, 3:18])


def flat(colour, seed=0):
    return noisy(np.broadcast_to(np.array(colour, float), (48, 80, 3)), seed)


def test_black_and_blue_are_known_with_noise_and_a_picture_is_neither():
    assert looks.tone(flat((8, 8, 8))).is_black
    assert looks.tone(flat((10, 12, 200))).is_blue
    assert not looks.tone(flat((10, 12, 200))).is_black
    assert not looks.tone(flat((120, 120, 120))).is_blue
    dark = flat((8, 8, 8))
    dark[20:30, 20:40] = 180
    assert not looks.tone(dark).is_black
    assert looks.tone(flat((100, 100, 100))).is_flat


def bars(count, level=191, rows=60, columns=112):
    picture = np.zeros((rows, columns, 3), np.uint8)
    for n in range(count):
        bits = (7, 6, 3, 2, 5, 4, 1, 0)[n]
        colour = [level if bits & bit else 8 for bit in (4, 2, 1)]
        picture[:, n * columns // count : (n + 1) * columns // count] = colour
    return picture


@pytest.mark.parametrize("count", [7, 8])
@pytest.mark.parametrize("level", [191, 255])
def test_colour_bars_are_known(count, level):
    assert looks.bars(noisy(bars(count, level), 1)).is_colour_bars
    assert not looks.bars(bars(count, level)[:, ::-1]).is_colour_bars


def test_what_a_picture_shows_is_told_from_a_few_of_its_rows():
    assert looks.shows(flat((8, 8, 8))[::8, ::8]) is Shown.BLACK
    assert looks.shows(flat((10, 12, 200))[::8, ::8]) is Shown.BLUE
    assert looks.shows(bars(8, rows=480, columns=640)[::8, ::8]) is Shown.COLOUR_BARS
    assert looks.shows(np.repeat(scene()[..., None], 3, axis=2)[::8, ::8]) is Shown.PICTURE


def test_a_scene_is_no_colour_bars():
    assert not looks.bars(np.repeat(scene()[..., None], 3, axis=2)).is_colour_bars
    assert not looks.bars(flat((200, 200, 200))).is_colour_bars
    assert not looks.bars(flat((0, 0, 0))).is_colour_bars


def test_a_crop_is_proposed_around_what_is_used():
    planes = []
    for n in range(5):
        frame = np.full((120, 200), 16, np.uint8)
        frame[20:100, 30:171] = RNG(n).integers(16, 236, (80, 141))
        planes.append(noisy(frame, 10 + n, 0.8))
    assert looks.propose_crop(planes) == (30, 20, 142, 80)


def test_nothing_is_proposed_for_a_full_or_an_empty_frame():
    full = [RNG(n).integers(16, 236, (60, 80), dtype=np.uint8) for n in range(3)]
    assert looks.propose_crop(full) is None
    assert looks.propose_crop([np.full((60, 80), 16, np.uint8)] * 3) is None
    assert looks.propose_crop([]) is None


def test_what_flashes_once_proposes_nothing():
    quiet = np.full((60, 80), 16, np.uint8)
    quiet[20:40, 20:60] = RNG(0).integers(16, 236, (20, 40))
    flash = RNG(1).integers(0, 256, (60, 80), dtype=np.uint8)
    assert looks.propose_crop([quiet, flash, quiet]) == (20, 20, 40, 20)


def test_planes_of_two_sizes_are_refused():
    with pytest.raises(PixelError, match="one size"):
        looks.change(scene(), scene(rows=95))
