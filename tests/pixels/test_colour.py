"""Colour: within one level of float64 for every format, and of what OpenCV and swscale make of the same bytes."""

import subprocess

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PixelError, UnknownPixelFormat
from gateway.model import Field, Matrix, Range
from gateway.pixels import chain
from gateway.profile import PixelChain
from tests.pixels import frames, naive


def off_by(picture, twin):
    """The largest difference in levels between a picture and a twin that is not rounded."""
    return int(np.abs(picture.astype(int) - np.floor(twin + 0.5).astype(int)).max(initial=0))


@given(st.data())
def test_every_format_size_stride_and_crop_is_within_one_level_of_float64(data):
    fmt = data.draw(frames.formats())
    crop = data.draw(st.none() | frames.rectangles(fmt))
    raw = frames.noise(fmt, data.draw(st.integers(0, 99)), 1)[0]
    picture = chain.build(fmt, PixelChain(crop=crop)).run(None, raw, None)
    assert off_by(picture, naive.picture(fmt, [raw] * 3, crop=crop)) <= 1


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("range_", Range)
def test_every_triple_of_samples_is_within_one_level(matrix, range_, campaign):
    fmt = frames.make("YUV3", 256, 256, matrix=matrix, range=range_)
    built = chain.build(fmt, PixelChain())
    y, u = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    worst, total = 0, 0.0
    levels = [*range(0, 256, campaign(15, 1)), 255]
    for v in levels:
        three = (y, u, np.full_like(y, v))
        picture = built.run(None, np.stack(three, axis=-1).reshape(-1), None)
        exact = np.floor(naive.colour(fmt, three) + 0.5)
        difference = np.abs(picture - exact)
        worst, total = max(worst, int(difference.max())), total + difference.mean()
    assert worst <= 1
    assert total / len(levels) < 0.05


@pytest.mark.parametrize("kind", frames.YCC)
@pytest.mark.parametrize("range_", Range)
def test_a_pixel_without_chroma_is_exactly_grey_and_exactly_rounded(kind, range_):
    fmt = frames.make(kind, 256, 4, range=range_)
    raw = np.full(frames.size(fmt), 128, np.uint8)
    levels = np.tile(np.arange(256, dtype=np.uint8), 4)
    at = chain.build(fmt, PixelChain())._at[0]
    step = {"GREY": 1, "YUV3": 3}.get(kind, 2 if kind.startswith(("YUYV", "UYVY", "YVYU", "VYUY")) else 1)
    raw[(at[:, None] + np.arange(256) * step).reshape(-1)] = levels
    picture = chain.build(fmt, PixelChain()).run(None, raw, None)
    exact = (np.arange(256) - 16) * 255 / 219 if range_ == "limited" else np.arange(256)
    assert np.array_equal(picture[0], np.repeat(np.clip(np.floor(exact + 0.5), 0, 255)[:, None], 3, axis=1))


def test_rgb_in_full_range_passes_untouched():
    fmt = frames.make("RGB3", 17, 5, pad=3, range=Range.FULL)
    raw = frames.noise(fmt, 1, 1)[0]
    built = chain.build(fmt, PixelChain())
    assert np.array_equal(built.run(None, raw, None), raw.reshape(5, -1)[:, :51].reshape(5, 17, 3))
    assert built.steps == ()


OPENCV = {
    "YUYV": (cv2.COLOR_YUV2RGB_YUYV, 2),
    "UYVY": (cv2.COLOR_YUV2RGB_UYVY, 2),
    "YVYU": (cv2.COLOR_YUV2RGB_YVYU, 2),
    "NV12": (cv2.COLOR_YUV2RGB_NV12, 0),
    "NV21": (cv2.COLOR_YUV2RGB_NV21, 0),
    "YU12": (cv2.COLOR_YUV2RGB_I420, 0),
    "YV12": (cv2.COLOR_YUV2RGB_YV12, 0),
}


@pytest.mark.parametrize("kind", OPENCV)
def test_601_limited_is_within_one_level_of_opencv(kind):
    fmt = frames.make(kind, 318, 242)
    raw = frames.noise(fmt, 2, 1, 16, 240)[0]  # OpenCV clips luma below black before it converts
    code, channels = OPENCV[kind]
    shaped = raw.reshape(242, 318, 2) if channels else raw.reshape(363, 318)
    theirs = cv2.cvtColor(shaped, code).astype(int)
    ours = chain.build(fmt, PixelChain()).run(None, raw, None).astype(int)
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours - theirs).mean() < 0.05


@pytest.mark.parametrize("kind", ["YUYV", "UYVY"])
@pytest.mark.parametrize(("matrix", "name"), [("601", "bt601"), ("709", "bt709"), ("2020", "bt2020")])
@pytest.mark.parametrize("range_", Range)
def test_every_matrix_and_range_is_within_one_level_of_swscale(kind, matrix, name, range_):
    fmt = frames.make(kind, 320, 240, matrix=Matrix(matrix), range=range_)
    raw = frames.noise(fmt, 3, 1, *((16, 235) if range_ is Range.LIMITED else (0, 255)))[0]  # else swscale wraps round
    graph = (
        f"scale=in_color_matrix={name}:in_range={range_}:out_range=full"
        ":flags=neighbor+accurate_rnd+full_chroma_int,format=rgb24"
    )
    source = {"YUYV": "yuyv422", "UYVY": "uyvy422"}[kind]
    theirs = ffmpeg(raw.tobytes(), source, 320, 240, graph, "rgb24").reshape(240, 320, 3).astype(int)
    ours = chain.build(fmt, PixelChain()).run(None, raw, None).astype(int)
    assert np.abs(ours - theirs).max() <= 1


def ffmpeg(raw, pixel_format, width, height, graph, out_format):
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        pixel_format,
        "-s",
        f"{width}x{height}",
        "-i",
        "-",
    ]
    command += ["-vf", graph, "-f", "rawvideo", "-pix_fmt", out_format, "-"]
    return np.frombuffer(subprocess.run(command, input=raw, capture_output=True, check=True).stdout, np.uint8)


@given(st.data())
def test_grey_is_within_one_level_of_float64_and_exact_where_there_is_no_colour(data):
    matrix = data.draw(st.sampled_from(Matrix))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    rgb = rng.integers(0, 256, (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40)), 3), dtype=np.uint8)
    built = chain.build(frames.make(matrix=matrix), PixelChain())
    assert off_by(built.to_grey(rgb), naive.luma(rgb, matrix)) <= 1
    neutral = np.repeat(rgb[..., :1], 3, axis=2)
    assert np.array_equal(built.to_grey(neutral), rgb[..., 0])


def test_a_format_nobody_reads_is_named():
    with pytest.raises(UnknownPixelFormat) as raised:
        chain.build(frames.make("H264"), PixelChain())
    assert raised.value.facts["fourcc"] == "H264"


def test_rows_that_overlap_are_refused():
    fmt = frames.make("YUYV", 16, 8, pad=-1)
    with pytest.raises(PixelError, match="do not fit into rows of 31 bytes"):
        chain.build(fmt, PixelChain())


@given(st.data())
def test_a_buffer_may_end_with_its_last_sample_and_no_byte_before(data):
    fmt = data.draw(frames.formats())
    built = chain.build(fmt, PixelChain())
    assert built.buffer_bytes <= frames.size(fmt)
    raw = frames.noise(fmt, 4, 1)[0]
    whole = built.run(None, raw, None)
    assert np.array_equal(built.run(None, raw[: built.buffer_bytes].copy(), None), whole)
    with pytest.raises(PixelError, match=f"{built.buffer_bytes - 1} bytes instead of {built.buffer_bytes}"):
        built.run(None, raw[: built.buffer_bytes - 1].copy(), None)


def test_the_least_buffer_is_the_largest_address_any_kernel_reads():
    """The kernels check no bounds: so this does, from the tables that they are given."""
    for kind in frames.ALL:
        for width in range(1, 8):
            for height in range(1, 6):
                for pad in (0, 1, 5):
                    fmt = frames.make(kind, width, height, pad)
                    built = chain.build(fmt, PixelChain())
                    pack, at = built._packing, built._at
                    pairs = (width + 1) // 2 if pack.is_half else width
                    reached = int(at[0].max()) + (width - 1) * pack.luma_step
                    if pack.chroma_step:
                        reached = max(reached, int(at[1:].max()) + (pairs - 1) * pack.chroma_step)
                    assert reached < built.buffer_bytes, fmt


def test_fields_that_lie_apart_are_refused():
    for field in (Field.ALTERNATE, Field.SEQ_TB, Field.SEQ_BT):
        with pytest.raises(PixelError, match="not woven"):
            chain.build(frames.make(field=field), PixelChain())
