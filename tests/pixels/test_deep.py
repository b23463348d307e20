"""Grey of more than eight bits, and frames that come as JPEG."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.errors import CodecError, PixelError
from gateway.model import Field, FrameFormat, Range
from gateway.pixels import chain, mjpeg
from gateway.profile import PixelChain
from tests.pixels import frames, naive

BITS = {"Y10": 10, "Y12": 12, "Y16": 16}


def deep(kind, width=16, height=8, pad=0, **more):
    return FrameFormat(pixel_format=kind, width_px=width, height_px=height, stride_bytes=2 * width + pad, **more)


@given(st.data())
def test_deep_grey_keeps_its_levels_or_is_expanded_exactly(data):
    kind = data.draw(st.sampled_from(list(BITS)))
    fmt = deep(
        kind,
        data.draw(st.integers(1, 24)),
        data.draw(st.integers(1, 12)),
        data.draw(st.sampled_from([0, 1, 2, 7])),
        range=data.draw(st.sampled_from(list(Range))),
    )
    crop = data.draw(st.none() | frames.rectangles(fmt))
    levels = data.draw(st.sampled_from([(0, 255), (20, 200)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    raw = rng.integers(0, 256, fmt.height_px * fmt.stride_bytes, dtype=np.uint8)
    built = chain.build(fmt, PixelChain(crop=crop, levels=levels))
    picture = built.run(None, raw, None)
    assert (picture.dtype, picture.shape, built.bits_stored) == (np.uint16, (built.rows, built.columns), BITS[kind])
    twin = naive.deep(fmt, raw, BITS[kind], crop, levels)
    assert np.abs(picture - np.floor(twin + 0.5)).max() <= (1 if levels != (0, 255) else 0)
    assert picture.max(initial=0) < 1 << BITS[kind]


@pytest.mark.parametrize("kind", BITS)
def test_full_range_is_unchanged_and_nothing_is_said(kind):
    fmt = deep(kind, range=Range.FULL)
    samples = np.random.default_rng(0).integers(0, 1 << BITS[kind], (8, 16), dtype=np.uint16)
    built = chain.build(fmt, PixelChain())
    picture = built.run(None, samples.astype("<u2").view(np.uint8).reshape(-1), None)
    assert np.array_equal(picture, samples)
    assert built.steps == ()
    assert built.is_grey(picture)
    assert built.to_grey(picture) is picture
    assert built.steps_of(is_grey=True) == ()
    limited = chain.build(deep(kind), PixelChain())
    assert limited.steps == ("luma limited range to full range",)


def test_deep_grey_is_masked_resampled_filtered_and_seen():
    fmt = deep("Y12", 40, 20, range=Range.FULL, pixel_aspect=(1, 2))
    raws = [np.random.default_rng(n).integers(0, 4096, (20, 40), dtype=np.uint16) for n in range(3)]
    raw = [each.view(np.uint8).reshape(-1) for each in raws]
    recipe = PixelChain(mask=((0, 0, 10, 5),), mask_polygons=(((20, 10), (30, 10), (30, 20)),), denoise="median3")
    picture = chain.build(fmt, recipe).run(*raw)
    expected = np.sort(np.stack(raws), axis=0)[1]
    expected[:5, :10] = 0
    expected[naive.covered(recipe.mask_polygons, 0, 0, 20, 40)] = 0
    assert np.array_equal(picture, expected)
    square = chain.build(fmt, PixelChain(square_pixels="area"))
    assert np.abs(square.run(None, raw[0], None) - naive.square(raws[0][..., None], (1, 2), "area")[..., 0]).max() <= 1
    seen = square.preview(raw[0], 20)
    assert (seen.dtype, seen.shape) == (np.uint8, (5, 20, 3))
    assert np.array_equal(chain.build(fmt, PixelChain()).luma(raw[0]), raws[0] >> 4)


@pytest.mark.parametrize("how", ["area", "lanczos"])
@pytest.mark.parametrize("aspect", [(1, 2), (3, 2)])
def test_deep_grey_becomes_square_within_one_level(how, aspect):
    fmt = deep("Y10", 20, 12, range=Range.FULL, pixel_aspect=aspect)
    samples = np.random.default_rng(3).integers(0, 2, (12, 20)).astype(np.uint16) * 1023
    built = chain.build(fmt, PixelChain(square_pixels=how))
    out = np.empty((built.rows, built.columns), np.uint16)
    assert built.run(None, samples.view(np.uint8).reshape(-1), None, out=out) is out
    exact = np.clip(naive.square(samples[..., None], aspect, how)[..., 0], 0, 1023)
    assert np.abs(out - exact).max() <= 1


def test_deep_grey_of_two_fields_is_averaged_from_one():
    fmt = deep("Y10", 8, 6, range=Range.FULL, field=Field.INTERLACED_TB)
    samples = np.random.default_rng(1).integers(0, 1024, (6, 8), dtype=np.uint16)
    built = chain.build(fmt, PixelChain())
    assert np.array_equal(
        built.run(None, samples.view(np.uint8).reshape(-1), None), naive.bob(None, samples, None, True)
    )
    assert "one field, lines averaged" in built.steps[0]


# ---- JPEG frames ----


def jpeg(picture, **options):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=90, **options)
    return np.frombuffer(out.getvalue(), np.uint8)


def compressed(width=48, height=32, **more):
    return FrameFormat(
        pixel_format="MJPG", width_px=width, height_px=height, stride_bytes=0, largest_bytes=width * height * 2, **more
    )


def scene(seed=0, height=32, width=48):
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 3)


def test_jpeg_frames_are_decoded_then_treated_as_any_others():
    raw = jpeg(scene())
    decoded = cv2.cvtColor(cv2.imdecode(raw, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    plain = chain.build(compressed(), PixelChain())
    assert np.abs(plain.run(None, raw, None).astype(int) - decoded).max() <= 1
    assert plain.steps == ("decoded from the grabber's JPEG frames (lossy source)",)
    recipe = PixelChain(crop=(5, 3, 30, 20), mask=((5, 3, 4, 4),))
    cut = chain.build(compressed(), recipe)
    expected = plain.run(None, raw, None)[3:23, 5:35].copy()
    expected[:4, :4] = 0
    assert np.array_equal(cut.run(None, raw, None), expected)
    assert cut.preview(raw, 15).shape == (10, 15, 3)
    assert np.array_equal(cut.luma(raw), plain.run(None, raw, None)[3:23, 5:35, 1])


def test_a_grey_jpeg_is_a_grey_picture():
    built = chain.build(compressed(), PixelChain())
    picture = built.run(None, jpeg(scene()[..., 0]), None)
    assert built.is_grey(picture)


def test_jpeg_without_huffman_tables_is_read():
    whole = bytes(jpeg(scene()))
    tables = mjpeg.standard_tables()
    assert whole.count(b"\xff\xc4")
    stripped = whole
    while (at := stripped.find(b"\xff\xc4")) >= 0:
        stripped = stripped[:at] + stripped[at + 2 + int.from_bytes(stripped[at + 2 : at + 4], "big") :]
    assert tables
    assert np.array_equal(mjpeg.decode(stripped), mjpeg.decode(whole))


def test_jpeg_frames_of_two_fields_are_deinterlaced():
    fmt = compressed(field=Field.INTERLACED_TB)
    raws = [jpeg(scene(seed)) for seed in range(3)]
    pictures = [mjpeg.decode(bytes(raw)) for raw in raws]
    made = chain.build(fmt, PixelChain()).run(*raws)
    for plane in range(3):
        assert np.array_equal(made[..., plane], naive.yadif(*(picture[..., plane] for picture in pictures), True))


def test_a_jpeg_of_another_size_is_refused_in_words():
    with pytest.raises(PixelError, match="48x32 pixels instead of 64x32"):
        chain.build(compressed(64), PixelChain()).run(None, jpeg(scene()), None)


@given(st.binary(max_size=300) | st.tuples(st.integers(0, 400), st.binary(max_size=6)))
def test_any_bytes_are_a_picture_or_a_named_error(data):
    if isinstance(data, tuple):
        at, change = data
        whole = bytes(jpeg(scene()))
        data = whole[:at] + change + whole[at + len(change) :]
    try:
        picture = chain.build(compressed(), PixelChain()).run(None, np.frombuffer(data, np.uint8), None)
    except (CodecError, PixelError):
        return
    assert picture.shape == (32, 48, 3)
