"""The chain as a whole: what a profile asks is done, said, and nothing else."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PixelError
from gateway.model import Field, Matrix, Range
from gateway.pixels import chain
from gateway.profile import PixelChain
from tests.pixels import frames, naive
from tests.pixels.test_colour import off_by


@given(st.data())
def test_a_mask_blackens_its_part_of_the_crop_and_no_other_pixel(data):
    fmt = data.draw(frames.formats(interlaced=data.draw(st.booleans())))
    crop = data.draw(st.none() | frames.rectangles(fmt))
    mask = data.draw(frames.masks())
    raws = frames.noise(fmt, 1)
    masked = chain.build(fmt, PixelChain(crop=crop, mask=mask, deinterlace="weave")).run(*raws)
    plain = chain.build(fmt, PixelChain(crop=crop, deinterlace="weave")).run(*raws)
    x0, y0 = (crop or (0, 0))[:2]
    for row in range(plain.shape[0]):
        for column in range(plain.shape[1]):
            x, y = x0 + column, y0 + row
            is_hidden = any(mx <= x < mx + mw and my <= y < my + mh for mx, my, mw, mh in mask)
            expected = [0, 0, 0] if is_hidden else plain[row, column]
            assert np.array_equal(masked[row, column], expected)


@pytest.mark.parametrize(
    "crop", [(-1, 0, 4, 4), (0, -1, 4, 4), (14, 0, 3, 4), (0, 6, 4, 3), (0, 0, 0, 4), (0, 0, 4, 0)]
)
def test_a_crop_outside_the_frame_is_refused_in_words(crop):
    with pytest.raises(PixelError, match="does not fit into 16x8"):
        chain.build(frames.make(), PixelChain(crop=crop))


def test_an_odd_crop_splits_no_chroma_pair():
    fmt = frames.make("YUYV", 8, 1)
    raw = np.array([100, 90, 100, 200] + [100, 200, 100, 60] + [100, 128, 100, 128] * 2, np.uint8)
    whole = chain.build(fmt, PixelChain()).run(None, raw, None)
    assert np.array_equal(whole[0, 0], whole[0, 1])
    assert not np.array_equal(whole[0, 1], whole[0, 2])
    assert np.array_equal(chain.build(fmt, PixelChain(crop=(1, 0, 3, 1))).run(None, raw, None)[0], whole[0, 1:4])


def test_steps_say_what_was_done_in_order():
    fmt = frames.make("UYVY", 720, 576, field=Field.INTERLACED)
    recipe = PixelChain(crop=(40, 20, 640, 480), mask=((40, 20, 100, 16), (0, 0, 10, 10)))
    built = chain.build(fmt, recipe)
    assert built.steps == (
        "crop 640x480+40+20",
        "de-interlaced (motion adaptive, top field first)",
        "Y'CbCr BT.601 limited range to RGB full range (chroma replicated)",
        "masked 100x16+40+20 with black",  # the other mask lies outside the crop: it did nothing
    )
    assert (built.rows, built.columns, built.is_cropped, built.is_interlaced) == (480, 640, True, True)
    assert built.steps_of(is_grey=True) == (*built.steps, "reduced to luma BT.601")
    assert built.steps_of(is_grey=False) == built.steps


def test_a_crop_of_the_whole_is_no_crop():
    built = chain.build(frames.make("GREY", range=Range.FULL), PixelChain(crop=(0, 0, 16, 8)))
    assert built.steps == ()
    assert not built.is_cropped


def test_one_field_alone_is_said_to_be_one():
    assert chain.build(frames.make("GREY", field=Field.TOP, range=Range.FULL), PixelChain()).steps == (
        "one field only (top)",
    )


def test_buffers_are_read_only_and_never_written(tmp_path):
    fmt = frames.make("YUYV", 32, 16, field=Field.INTERLACED)
    raws = frames.noise(fmt, 2)
    before = [raw.copy() for raw in raws]
    frozen = [np.frombuffer(raw.tobytes(), np.uint8) for raw in raws]
    built = chain.build(fmt, PixelChain(mask=((0, 0, 4, 4),)))
    picture = built.run(*raws)
    assert np.array_equal(built.run(*frozen), picture)
    assert all(np.array_equal(a, b) and a.flags.writeable for a, b in zip(raws, before, strict=True))


def test_the_picture_is_new_or_goes_where_the_caller_says():
    fmt = frames.make()
    raw = frames.noise(fmt, 3, 1)[0]
    built = chain.build(fmt, PixelChain())
    out = np.empty((8, 16, 3), np.uint8)
    assert built.run(None, raw, None, out=out) is out
    assert not np.shares_memory(built.run(None, raw, None), built.run(None, raw, None))
    for wrong in (
        np.empty((8, 15, 3), np.uint8),
        np.empty((8, 16, 3), np.int8),
        np.empty((8, 16, 6), np.uint8)[:, :, ::2],
    ):
        with pytest.raises(PixelError):
            built.run(None, raw, None, out=wrong)


@pytest.mark.parametrize("raw", [np.zeros(256, np.int8), np.zeros((2, 128), np.uint8), np.zeros(512, np.uint8)[::2]])
def test_what_is_not_a_row_of_bytes_is_refused(raw):
    with pytest.raises(PixelError, match="contiguous row of bytes"):
        chain.build(frames.make(), PixelChain()).run(None, raw, None)


def test_a_short_neighbour_is_refused_too():
    fmt = frames.make(field=Field.INTERLACED)
    raw = frames.noise(fmt, 4, 1)[0]
    with pytest.raises(PixelError, match="255 bytes instead of 256"):
        chain.build(fmt, PixelChain()).run(raw[:-1].copy(), raw, raw)


def test_a_chain_cannot_be_changed():
    built = chain.build(frames.make(), PixelChain())
    with pytest.raises(AttributeError):
        built.rows = 4
    with pytest.raises(ValueError, match="read-only"):
        built._at[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        built._colour[0] = 1


def test_threads_share_a_chain():
    fmt = frames.make("YUYV", 64, 48, field=Field.INTERLACED)
    built = chain.build(fmt, PixelChain(crop=(3, 3, 50, 40), mask=((10, 10, 9, 9),)))
    raws = frames.picture_like(fmt, 5, 40)
    alone = [built.run(raws[n - 1], raws[n], raws[(n + 1) % 40]) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: built.run(raws[n - 1], raws[n], raws[(n + 1) % 40]), range(40)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


# ---- grey ----


@pytest.mark.parametrize("deviation", [(0, 0), (1, -1), (2, 2), (2, -2), (-2, -2)])
@pytest.mark.parametrize("matrix", Matrix)
def test_two_steps_of_chroma_are_still_grey(deviation, matrix):
    assert looks_grey(deviation, matrix)


@pytest.mark.parametrize("deviation", [(4, 4), (5, 0), (0, -5), (30, 0)])
@pytest.mark.parametrize("matrix", Matrix)
def test_more_chroma_is_colour(deviation, matrix):
    assert not looks_grey(deviation, matrix)


def looks_grey(deviation, matrix):
    fmt = frames.make("YUYV", 16, 8, matrix=matrix)
    raw = frames.noise(fmt, 6, 1, 60, 190)[0]
    raw[1::4], raw[3::4] = 128 + deviation[0], 128 + deviation[1]
    built = chain.build(fmt, PixelChain())
    return built.is_grey(built.run(None, raw, None))


def test_one_coloured_pixel_makes_a_picture_coloured():
    for at in ((0, 0), (3, 9), (7, 15)):
        for sample in range(3):
            rgb = np.full((8, 16, 3), 100, np.uint8)
            built = chain.build(frames.make(), PixelChain())
            assert built.is_grey(rgb)
            rgb[*at, sample] += chain.GREY_TOLERANCE
            assert built.is_grey(rgb)
            rgb[*at, sample] += 1
            assert not built.is_grey(rgb)


def test_a_profile_may_decide_what_is_grey():
    coloured, plain = np.zeros((8, 16, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)
    coloured[0, 0] = (200, 0, 0)
    assert chain.build(frames.make(), PixelChain(grey="always")).is_grey(coloured)
    assert not chain.build(frames.make(), PixelChain(grey="never")).is_grey(plain)


def test_a_source_is_grey_after_a_second_and_coloured_at_once():
    watch = chain.GreyWatch()
    for _ in range(chain.GREY_AFTER - 1):
        watch = watch.seen(is_grey=True)
        assert not watch.is_grey
    watch = watch.seen(is_grey=True)
    assert watch.is_grey
    assert watch.seen(is_grey=True).is_grey
    watch = watch.seen(is_grey=False)
    assert not watch.is_grey
    assert not watch.seen(is_grey=True).is_grey


# ---- the live picture and thumbnails ----


@given(st.data())
def test_shrinking_is_within_one_level_of_the_exact_area_average(data):
    rows, columns = data.draw(st.integers(1, 30)), data.draw(st.integers(2, 40))
    width = data.draw(st.integers(1, columns - 1))
    samples = data.draw(st.sampled_from([1, 3]))
    source = np.random.default_rng(data.draw(st.integers(0, 99))).integers(
        0, 256, (rows, columns, samples), dtype=np.uint8
    )
    small = chain.shrink(source, width)
    assert small.shape == (max(1, round(rows * width / columns)), width, samples)
    assert off_by(small, naive.shrink(source, *small.shape[:2])) <= 1


def test_a_flat_picture_stays_flat_when_shrunk():
    for level in (0, 1, 127, 254, 255):
        flat = np.full((97, 211, 3), level, np.uint8)
        assert (chain.shrink(flat, 53) == level).all()


def test_a_small_picture_is_not_enlarged():
    picture = np.zeros((4, 6, 3), np.uint8)
    assert chain.shrink(picture, 6) is picture


@pytest.mark.parametrize("field", [Field.NONE, Field.INTERLACED_TB, Field.INTERLACED_BT])
def test_the_preview_shows_the_picture_cropped_masked_and_small(field):
    fmt = frames.make("YUYV", 128, 96, field=field, matrix=Matrix.BT709)
    raw = frames.picture_like(fmt, 7, 1)[0]
    recipe = PixelChain(crop=(8, 4, 100, 80), mask=((8, 4, 40, 20),))
    small = chain.build(fmt, recipe).preview(raw, 50)
    assert small.shape == (40, 50, 3)
    method = "none" if field is Field.NONE else "bob"
    twin = naive.picture(fmt, [raw] * 3, crop=recipe.crop, mask=recipe.mask, deinterlace=method,
                         top_first=field is Field.INTERLACED_TB)  # fmt: skip
    assert np.abs(small - naive.shrink(twin, 40, 50)).max() <= 2  # two roundings
    assert (small[:10, :20] == 0).all()


def test_the_preview_is_never_wider_than_asked_nor_than_the_picture():
    fmt = frames.make("GREY", 100, 50)
    raw = frames.noise(fmt, 8, 1)[0]
    built = chain.build(fmt, PixelChain())
    assert [built.preview(raw, width).shape[1] for width in (1, 33, 100, 640)] == [1, 33, 100, 100]


@pytest.mark.parametrize(
    ("pixel_aspect", "size"),
    [((54, 59), (527, 720)), ((11, 10), (576, 655)), ((1, 1), (576, 720))],
)
def test_a_picture_for_the_screen_has_square_pixels(pixel_aspect, size):
    picture = np.zeros((576, 720, 3), np.uint8)
    assert chain.shrink(picture, 800, pixel_aspect).shape[:2] == size


def test_a_small_picture_of_pal_keeps_its_shape():
    small = chain.shrink(np.zeros((576, 720, 1), np.uint8), 240, (54, 59))
    assert small.shape == (176, 240, 1)
