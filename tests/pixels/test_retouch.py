"""What is done to a picture once it is there: shapes masked, levels spread, square pixels, noise in time; held to twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PixelError
from gateway.model import Field, Range
from gateway.pixels import chain
from gateway.profile import PixelChain
from tests.pixels import frames, naive
from tests.pixels.test_colour import off_by

ASPECTS = ((54, 59), (11, 10), (1, 1), (1, 2), (3, 1))


def polygons():
    corner = st.tuples(st.integers(-4, 28), st.integers(-4, 17))
    return st.lists(st.lists(corner, min_size=3, max_size=6).map(tuple), max_size=2).map(tuple)


@given(st.data())
def test_a_masked_shape_is_filled_by_the_even_odd_rule_and_nothing_else_is(data):
    fmt = data.draw(frames.formats())
    crop, shapes = data.draw(st.none() | frames.rectangles(fmt)), data.draw(polygons())
    raw = frames.noise(fmt, 1, 1, 60, 200)[0]
    plain = chain.build(fmt, PixelChain(crop=crop)).run(None, raw, None)
    masked = chain.build(fmt, PixelChain(crop=crop, mask_polygons=shapes))
    picture = masked.run(None, raw, None)
    x0, y0 = (crop or (0, 0))[:2]
    covered = naive.covered(shapes, x0, y0, *plain.shape[:2])
    assert np.array_equal(picture, np.where(covered[..., None], 0, plain))
    assert covered.any() == any("masked a shape" in step for step in masked.steps)


@given(st.data())
def test_levels_are_spread_to_within_one_level(data):
    fmt = data.draw(frames.formats())
    black = data.draw(st.integers(0, 254))
    white = data.draw(st.integers(black + 1, 255))
    raw = frames.noise(fmt, 2, 1)[0]
    plain = chain.build(fmt, PixelChain()).run(None, raw, None)
    built = chain.build(fmt, PixelChain(levels=(black, white)))
    assert off_by(built.run(None, raw, None), naive.levels(plain, black, white)) <= 1
    assert any("levels" in step for step in built.steps) == ((black, white) != (0, 255))


@pytest.mark.parametrize("levels", [(-1, 255), (0, 256), (9, 9), (200, 100)])
def test_levels_that_are_no_range_are_refused(levels):
    with pytest.raises(PixelError, match="no range"):
        chain.build(frames.make(), PixelChain(levels=levels))


def test_a_shape_of_two_corners_is_refused():
    with pytest.raises(PixelError, match="three corners"):
        chain.build(frames.make(), PixelChain(mask_polygons=(((0, 0), (4, 4)),)))


@given(st.data())
def test_square_pixels_are_within_one_level_of_the_exact_sums(data):
    aspect, how = data.draw(st.sampled_from(ASPECTS)), data.draw(st.sampled_from(["area", "lanczos"]))
    fmt = frames.make("YUYV", data.draw(st.integers(2, 24)), data.draw(st.integers(2, 13)), pixel_aspect=aspect)
    raw = data.draw(st.sampled_from([frames.noise, frames.picture_like]))(fmt, 3, 1)[0]
    plain = chain.build(fmt, PixelChain()).run(None, raw, None)
    built = chain.build(fmt, PixelChain(square_pixels=how))
    picture = built.run(None, raw, None)
    assert off_by(picture, naive.square(plain, aspect, how)) <= 1
    assert picture.shape == (built.rows, built.columns, 3)
    assert np.array_equal(built.run(None, raw, None, out=np.empty_like(picture)), picture)


@pytest.mark.parametrize(
    ("aspect", "how", "size"),
    [((54, 59), "lanczos", (576, 787)), ((54, 59), "area", (527, 720)), ((11, 10), "lanczos", (634, 720))],
)
def test_square_pixels_are_said_and_their_shape_is_no_longer(aspect, how, size):
    fmt = frames.make("UYVY", 720, 576, pixel_aspect=aspect)
    built = chain.build(fmt, PixelChain(square_pixels=how))
    assert ((built.rows, built.columns), built.pixel_aspect) == (size, (1, 1))
    assert any("resampled to square" in step and how in step for step in built.steps)
    kept = chain.build(fmt, PixelChain())
    assert ((kept.rows, kept.columns), kept.pixel_aspect) == ((576, 720), aspect)


def test_a_mask_reaches_no_sample_beside_it_through_the_resampling():
    """It is laid first: what is hidden cannot ring into what is not."""
    fmt = frames.make("GREY", 40, 8, pixel_aspect=(1, 2), range=Range.FULL)
    quiet, loud = np.full(320, 100, np.uint8), np.full((8, 40), 100, np.uint8)
    loud[:, 10:20] = 255
    built = chain.build(fmt, PixelChain(square_pixels="lanczos", mask=((10, 0, 10, 8),)))
    assert np.array_equal(built.run(None, loud.reshape(-1), None), built.run(None, quiet, None))


@given(st.data())
def test_the_noise_filter_takes_the_median_of_three_frames(data):
    fmt = data.draw(frames.formats())
    raws = frames.noise(fmt, 4)
    built = chain.build(fmt, PixelChain(denoise="median3"))
    middle = np.sort(np.stack(raws), axis=0)[1]
    plain = chain.build(fmt, PixelChain())
    assert np.array_equal(built.run(*raws), plain.run(None, middle, None))
    assert np.array_equal(built.run(None, raws[1], None), plain.run(None, raws[1], None))
    assert any("noise filter" in step for step in built.steps)
    assert (built.needs_neighbours, plain.needs_neighbours) == (True, False)


def test_the_noise_filter_is_off_unless_asked():
    fmt = frames.make()
    a, b, c = frames.noise(fmt, 5)
    built = chain.build(fmt, PixelChain())
    assert np.array_equal(built.run(a, b, c), built.run(None, b, None))


@given(st.data())
def test_a_point_of_the_source_is_found_in_the_picture(data):
    """Where the source has its one bright pixel, the picture has its own."""
    fmt = frames.make("GREY", 40, 30, pixel_aspect=data.draw(st.sampled_from(ASPECTS)), range=Range.FULL)
    left, top, columns, rows = data.draw(frames.rectangles(fmt))
    x, y = left + data.draw(st.integers(0, columns - 1)), top + data.draw(st.integers(0, rows - 1))
    raw = np.zeros((30, 40), np.uint8)
    raw[y, x] = 255
    how = data.draw(st.sampled_from(["keep", "area", "lanczos"]))
    built = chain.build(fmt, PixelChain(crop=(left, top, columns, rows), square_pixels=how))
    picture = built.run(None, raw.reshape(-1), None)[..., 0]
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    near_x, near_y = built.to_picture(x + 0.5, y + 0.5)
    assert (abs(near_x - column - 0.5), abs(near_y - row - 0.5)) <= (1.5, 1.5)
    assert built.to_picture(left, top) == (0, 0)
    assert built.to_picture(left + columns, top + rows) == pytest.approx((built.columns, built.rows))


def test_every_step_is_said_in_its_order():
    fmt = frames.make("UYVY", 720, 576, field=Field.INTERLACED, pixel_aspect=(54, 59))
    recipe = PixelChain(
        crop=(40, 20, 640, 480),
        denoise="median3",
        deinterlace="bwdif",
        levels=(16, 240),
        mask=((40, 20, 100, 16),),
        mask_polygons=(((50, 50), (150, 50), (100, 90)), ((0, 0), (9, 0), (0, 9))),
        square_pixels="area",
    )
    assert chain.build(fmt, recipe).steps == (
        "crop 640x480+40+20",
        "noise filter in time (median of three frames)",
        "de-interlaced (motion adaptive with bwdif's filters, top field first)",
        "Y'CbCr BT.601 limited range to RGB full range (chroma replicated)",
        "levels 16 to 240 spread to 0 to 255",
        "masked 100x16+40+20 with black",
        "masked a shape of 3 corners within 100x40+50+50 with black",  # the other lies outside the crop
        "pixels of 54:59 resampled to square ones (area, 640x439)",
    )
