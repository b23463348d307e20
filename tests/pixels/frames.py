"""Formats and raw buffers for the tests of pixels: random, padded, odd, tiny."""

import numpy as np
from hypothesis import strategies as st

from gateway.model import Field, FrameFormat, Matrix, Range

YCC = ("YUYV", "UYVY", "YVYU", "VYUY", "NV12", "NV21", "YU12", "YV12", "YUV3", "GREY")
ALL = (*YCC, "RGB3", "BGR3", "XR24", "BGR4")
_BYTES = {"YUYV": 2, "UYVY": 2, "YVYU": 2, "VYUY": 2, "YUV3": 3, "RGB3": 3, "BGR3": 3, "XR24": 4, "BGR4": 4}


def make(kind="YUYV", width=16, height=8, pad=0, **more):
    pixels = (width + 1) // 2 * 2 if kind in ("YUYV", "UYVY", "YVYU", "VYUY") else width
    return FrameFormat(
        pixel_format=kind, width_px=width, height_px=height, stride_bytes=pixels * _BYTES.get(kind, 1) + pad, **more
    )


def size(fmt):
    """What V4L2's sizeimage would be."""
    h, stride = fmt.height_px, fmt.stride_bytes
    if fmt.pixel_format in ("NV12", "NV21"):
        return h * stride + (h + 1) // 2 * (stride + stride % 2)
    if fmt.pixel_format in ("YU12", "YV12"):
        return h * stride + 2 * ((h + 1) // 2) * ((stride + 1) // 2)
    return h * stride


def noise(fmt, seed, count=3, low=0, high=255):
    rng = np.random.default_rng(seed)
    return [rng.integers(low, high + 1, size(fmt), dtype=np.uint8) for _ in range(count)]


def picture_like(fmt, seed, count=3):
    """Smooth shapes that move: frames on which a de-interlacer decides, rather than noise, on which it gives up."""
    rng = np.random.default_rng(seed)
    x = np.arange(size(fmt))
    return [
        np.clip(128 + 90 * np.sin(x / rng.uniform(5, 60) + 2 * n) + rng.normal(0, 4, x.size), 0, 255).astype(np.uint8)
        for n in range(count)
    ]


@st.composite
def formats(draw, kinds=ALL, interlaced=False):
    width, height = draw(st.integers(1, 24)), draw(st.integers(4 if interlaced else 1, 13))
    field = (
        st.sampled_from([Field.INTERLACED, Field.INTERLACED_TB, Field.INTERLACED_BT])
        if interlaced
        else st.just(Field.NONE)
    )
    return make(
        draw(st.sampled_from(kinds)),
        width,
        height,
        draw(st.sampled_from([0, 1, 2, 7, 32])),
        field=draw(field),
        matrix=draw(st.sampled_from(list(Matrix))),
        range=draw(st.sampled_from(list(Range))),
    )


@st.composite
def rectangles(draw, fmt):
    """A crop: inside the frame, at any column."""
    left, top = draw(st.integers(0, fmt.width_px - 1)), draw(st.integers(0, fmt.height_px - 1))
    return left, top, draw(st.integers(1, fmt.width_px - left)), draw(st.integers(1, fmt.height_px - top))


@st.composite
def masks(draw):
    """Anywhere: inside, across an edge, outside."""
    side = st.integers(-6, 26)
    return tuple(draw(st.lists(st.tuples(side, side, st.integers(0, 12), st.integers(0, 12)), max_size=3)))
