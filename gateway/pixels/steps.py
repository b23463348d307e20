"""A grabber's format and a profile's wishes to tables and numbers that a kernel can follow, and to words.

The rule: geometry is decided and checked here once, so that the kernels need neither branch nor bounds check.
Pixel formats are V4L2's (linux/videodev2.h, "Packed YUV", "Semi-planar", "Planar", "RGB"); field order follows
enum v4l2_field; the colour equations ITU-R BT.601-7 2.5, BT.709-6 3 and BT.2020-2 table 4.

Chroma of 4:2:2 and 4:2:0 is replicated: both pixels (all four) that a chroma sample covers get it unchanged, as
OpenCV's cvtColor and swscale's `neighbor` do. No chroma is ever invented between two samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import PixelError, UnknownPixelFormat
from gateway.model import Field, FrameFormat, Matrix, Range
from gateway.pixels import kernels
from gateway.profile import PixelChain, Polygon, Rectangle

SMALLEST_INTERLACED = 4
"""Rows that de-interlacing needs."""

SMALLEST_JPEG = 4
"""Bytes: a beginning and an end."""

SMALLEST_POLYGON = 3


class Packing(NamedTuple):
    """How the samples of one pixel format lie: in one plane, or in several."""

    luma_at: int
    luma_step: int
    chroma_at: tuple[int, int]
    """Of U and V, or of green and blue: in the packed row; or (0, 1) within the pairs of a semi-planar plane."""
    chroma_step: int
    """0: there is no chroma."""
    is_half: bool
    """One chroma sample for two pixels of a row."""
    planes: int = 1
    """1 packed, 2 semi-planar, 3 planar; more than one is 4:2:0."""
    is_rgb: bool = False
    bits: int = 8
    """More than 8: grey, each sample in the low bits of a little-endian word of 16."""


PACKINGS = {
    "YUYV": Packing(0, 2, (1, 3), 4, is_half=True),
    "UYVY": Packing(1, 2, (0, 2), 4, is_half=True),
    "YVYU": Packing(0, 2, (3, 1), 4, is_half=True),
    "VYUY": Packing(1, 2, (2, 0), 4, is_half=True),
    "GREY": Packing(0, 1, (0, 0), 0, is_half=False),
    "NV12": Packing(0, 1, (0, 1), 2, is_half=True, planes=2),
    "NV21": Packing(0, 1, (1, 0), 2, is_half=True, planes=2),
    "YU12": Packing(0, 1, (0, 1), 1, is_half=True, planes=3),
    "YV12": Packing(0, 1, (1, 0), 1, is_half=True, planes=3),
    "RGB3": Packing(0, 3, (1, 2), 3, is_half=False, is_rgb=True),
    "BGR3": Packing(2, 3, (1, 0), 3, is_half=False, is_rgb=True),
    "XR24": Packing(2, 4, (1, 0), 4, is_half=False, is_rgb=True),
    "BGR4": Packing(2, 4, (1, 0), 4, is_half=False, is_rgb=True),
    "YUV3": Packing(0, 3, (1, 2), 3, is_half=False),
    "Y10": Packing(0, 2, (0, 0), 0, is_half=False, bits=10),
    "Y12": Packing(0, 2, (0, 0), 0, is_half=False, bits=12),
    "Y16": Packing(0, 2, (0, 0), 0, is_half=False, bits=16),
}
"""By V4L2 fourcc. RGB3 is red first in memory, BGR3, XR24 and BGR4 blue first."""

LUMA_WEIGHTS = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722), Matrix.BT2020: (0.2627, 0.0593)}
"""Kr and Kb."""


class Cut(Struct, frozen=True):
    """Which part of the frame is taken: `taken` columns from an even one on, of which `first` are then dropped."""

    left: int
    top: int
    columns: int
    rows: int
    start: int
    first: int
    taken: int


def packing(fmt: FrameFormat) -> Packing:
    """Return how the format's samples lie; raises UnknownPixelFormat."""
    if fmt.pixel_format not in PACKINGS:
        raise UnknownPixelFormat(device="The grabber", fourcc=fmt.pixel_format)
    return PACKINGS[fmt.pixel_format]


def cut(fmt: FrameFormat, crop: Rectangle | None, *, margin: int) -> Cut:
    """Check the crop against the frame, and take `margin` columns more at each side, where the frame has them.

    Chroma pairs are never split: an odd left edge takes one column more.
    """
    left, top, columns, rows = crop or (0, 0, fmt.width_px, fmt.height_px)
    is_within = left >= 0 and top >= 0 and left + columns <= fmt.width_px and top + rows <= fmt.height_px
    if columns < 1 or rows < 1 or not is_within:
        raise PixelError(
            problem=f"the crop {in_words((left, top, columns, rows))} does not fit into {fmt.width_px}x{fmt.height_px}"
        )
    start = max(0, left - margin)
    start -= start % 2 if packing(fmt).is_half else 0
    taken = min(fmt.width_px, left + columns + margin) - start
    return Cut(left, top, columns, rows, start, left - start, taken)


def decoded(fmt: FrameFormat) -> FrameFormat:
    """Return the format of a grabber's JPEG frames once they are decoded: R'G'B' full range (JFIF)."""
    return replace(
        fmt,
        pixel_format="RGB3",
        stride_bytes=3 * fmt.width_px,
        largest_bytes=0,
        matrix=Matrix.BT601,
        range=Range.FULL,
    )


def method(fmt: FrameFormat, recipe: PixelChain) -> int:
    """Return what is done with the fields; deep grey has none but weaving and bob.

    Raises PixelError for a frame with too few lines for two fields.
    """
    if not is_interlaced(fmt):
        return kernels.WEAVE
    if fmt.height_px < SMALLEST_INTERLACED:
        raise PixelError(problem=f"{fmt.height_px} lines are too few for two fields")
    asked = _METHODS[recipe.deinterlace]
    return asked if packing(fmt).bits == 8 else min(asked, kernels.BOB)


def kind(pack: Packing) -> int:
    """Return which planes the kernel meets."""
    if pack.is_rgb:
        return kernels.RGB
    if pack.chroma_step == 0:
        return kernels.LUMA
    return kernels.YCC_HALF if pack.is_half else kernels.YCC_FULL


def check(fmt: FrameFormat, recipe: PixelChain) -> None:
    """Refuse what no picture can be made of; raises PixelError."""
    black, white = recipe.levels
    if not 0 <= black < white <= 255:
        raise PixelError(problem=f"the levels {black} to {white} are no range within 0 to 255")
    if any(len(polygon) < SMALLEST_POLYGON for polygon in recipe.mask_polygons):
        raise PixelError(problem="a masked shape has fewer than three corners")
    if min(fmt.pixel_aspect) < 1:
        raise PixelError(problem="the shape of the pixels is not known")


def offsets(fmt: FrameFormat, start: int) -> npt.NDArray[np.int64]:
    """Return (3, rows): where in a buffer each row of each plane begins, from column `start` on.

    Raises PixelError when the stride is too short for the width.
    """
    pack = packing(fmt)
    if fmt.stride_bytes < row_bytes(fmt) or fmt.width_px < 1 or fmt.height_px < 1:
        raise PixelError(
            problem=f"{fmt.width_px} pixels of {fmt.pixel_format} do not fit into rows of {fmt.stride_bytes} bytes"
        )
    rows = np.arange(fmt.height_px, dtype=np.int64)
    pair = start // 2 if pack.is_half else start
    luma = rows * fmt.stride_bytes + pack.luma_at + start * pack.luma_step
    if pack.planes == 1:
        base = rows * fmt.stride_bytes + pair * pack.chroma_step
        return np.stack([luma, base + pack.chroma_at[0], base + pack.chroma_at[1]])
    return np.stack([luma, *_chroma_planes(fmt, pack, rows, pair)])


def row_bytes(fmt: FrameFormat) -> int:
    """Return how many bytes of a luma (or packed) row the width needs."""
    pack = packing(fmt)
    pairs = (fmt.width_px + 1) // 2
    return 2 * pack.luma_step * pairs if pack.is_half and pack.planes == 1 else fmt.width_px * pack.luma_step


def buffer_bytes(fmt: FrameFormat) -> int:
    """Return the least that a buffer of this format holds; the padding after the last row may be missing."""
    pack = packing(fmt)
    if pack.planes == 1:
        return (fmt.height_px - 1) * fmt.stride_bytes + row_bytes(fmt)
    pairs, chroma_rows = (fmt.width_px + 1) // 2, (fmt.height_px + 1) // 2
    stride = _chroma_stride(fmt, pack)
    whole = fmt.height_px * fmt.stride_bytes
    if pack.planes == 2:
        return whole + (chroma_rows - 1) * stride + 2 * pairs
    return whole + chroma_rows * stride + (chroma_rows - 1) * stride + pairs


def is_interlaced(fmt: FrameFormat) -> bool:
    """Tell whether a buffer holds two fields, line by line; raises PixelError when they lie any other way."""
    if fmt.field in {Field.ALTERNATE, Field.SEQ_TB, Field.SEQ_BT}:
        raise PixelError(problem="its two fields were not woven together")
    return fmt.field in _LINE_BY_LINE


def is_top_first(fmt: FrameFormat, *, confirmed: bool | None) -> bool:
    """Tell which field is the older: as the driver says, else as confirmed, else by standard (525 lines: bottom)."""
    if fmt.field is not Field.INTERLACED:
        return fmt.field is Field.INTERLACED_TB
    return confirmed if confirmed is not None else fmt.height_px not in {480, 486}


def coefficients(fmt: FrameFormat) -> npt.NDArray[np.int16]:
    """Return (luma offset, luma gain in 16384ths; V to R, U to G, V to G, U to B in 8192nds)."""
    red, blue = LUMA_WEIGHTS[fmt.matrix]
    green = 1 - red - blue
    is_limited = fmt.range is Range.LIMITED
    luma, chroma = (255 / 219, 255 / 224) if is_limited else (1.0, 1.0)
    gains = (
        2 * (1 - red),
        -2 * blue * (1 - blue) / green,
        -2 * red * (1 - red) / green,
        2 * (1 - blue),
    )
    numbers = [16 if is_limited else 0, luma * 16384, *(gain * chroma * 8192 for gain in gains)]
    return np.round(numbers).astype(np.int16)


def grey_weights(matrix: Matrix) -> npt.NDArray[np.int16]:
    """Return red's, green's and blue's share of the luma in 16384ths; they sum to 16384."""
    red, blue = (round(weight * 16384) for weight in LUMA_WEIGHTS[matrix])
    return np.array([red, 16384 - red - blue, blue], np.int16)


def visible(mask: tuple[Rectangle, ...], cropped: Cut) -> tuple[Rectangle, ...]:
    """Return what of each mask, given in source coordinates, lies inside the crop, in the crop's coordinates."""
    clipped = (_clip(rectangle, cropped) for rectangle in mask)
    return tuple(rectangle for rectangle in clipped if rectangle[2] > 0 and rectangle[3] > 0)


def spans(polygons: tuple[Polygon, ...], cropped: Cut) -> npt.NDArray[np.int64]:
    """Return (n, 3): row, first column and column after the last of what polygons cover inside the crop, in its coordinates.

    A pixel is covered when its centre is: when a ray to the right crosses the outline an odd number of times (even-odd
    rule). Corners are corners of pixels, and all of it is integers: a centre on the outline belongs to the right side of it.
    """
    found = [
        (row, max(begin - cropped.left, 0), min(end - cropped.left, cropped.columns))
        for polygon in polygons
        for row in range(cropped.rows)
        for begin, end in _runs(polygon, row + cropped.top)
    ]
    covered = [span for span in found if span[1] < span[2]]
    return np.array(covered, np.int64).reshape(-1, 3)


def around(polygon: Polygon) -> Rectangle:
    """Return the rectangle around a polygon."""
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def in_words(rectangle: Rectangle) -> str:
    """Return "640x480+40+20"."""
    left, top, columns, rows = rectangle
    return f"{columns}x{rows}+{left}+{top}"


def _runs(polygon: Polygon, row: int) -> list[tuple[int, int]]:
    """Return which columns of a row lie inside: from each odd crossing to the next."""
    middle, crossings = 2 * row + 1, list[int]()
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (2 * y0 > middle) != (2 * y1 > middle):
            height = 2 * (y1 - y0)
            across = x0 * height + (middle - 2 * y0) * (x1 - x0)
            if height < 0:
                height, across = -height, -across
            crossings.append(-((height - 2 * across) // (2 * height)))  # ceil(across / height - 1/2)
    crossings.sort()
    return list(zip(crossings[::2], crossings[1::2], strict=True))


def _clip(rectangle: Rectangle, cropped: Cut) -> Rectangle:
    left, top, columns, rows = rectangle
    x, y = max(left - cropped.left, 0), max(top - cropped.top, 0)
    right, bottom = (
        min(left + columns - cropped.left, cropped.columns),
        min(top + rows - cropped.top, cropped.rows),
    )
    return x, y, right - x, bottom - y


def _chroma_planes(
    fmt: FrameFormat, pack: Packing, rows: npt.NDArray[np.int64], pair: int
) -> list[npt.NDArray[np.int64]]:
    """Return the two chroma rows' offsets of 4:2:0: two rows (of one field, when there are two) share one."""
    shared = rows // 4 * 2 + rows % 2 if fmt.field in _LINE_BY_LINE else rows // 2
    stride = _chroma_stride(fmt, pack)
    base = fmt.height_px * fmt.stride_bytes + np.minimum(shared, (fmt.height_px + 1) // 2 - 1) * stride
    if pack.planes == 2:
        return [base + at + pair * pack.chroma_step for at in pack.chroma_at]
    plane_bytes = (fmt.height_px + 1) // 2 * stride
    return [base + at * plane_bytes + pair for at in pack.chroma_at]


def _chroma_stride(fmt: FrameFormat, pack: Packing) -> int:
    return fmt.stride_bytes + fmt.stride_bytes % 2 if pack.planes == 2 else (fmt.stride_bytes + 1) // 2


_LINE_BY_LINE = {Field.INTERLACED, Field.INTERLACED_TB, Field.INTERLACED_BT}
_METHODS = {
    "none": kernels.WEAVE,
    "weave": kernels.WEAVE,
    "bob": kernels.BOB,
    "auto": kernels.ADAPTIVE,
    "motion_adaptive": kernels.ADAPTIVE,
    "bwdif": kernels.BWDIF,
}
