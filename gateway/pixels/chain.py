"""Raw buffers of a grabber to pictures, as a profile asks, and in words what was done to them.

The rule: pixels are never silently altered (law 4); each step that changes the picture is in `steps`. A Chain is
immutable and has no state: threads may share it, and a new picture is newly allocated unless the caller brings one.
"""

from __future__ import annotations

from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import PixelError
from gateway.model import Field, FrameFormat, Matrix, Range
from gateway.pixels import kernels, steps
from gateway.pixels.steps import Cut, Packing
from gateway.profile import PixelChain, Rectangle

Bytes = npt.NDArray[np.uint8]
Sample = TypeVar("Sample", bound=np.generic)

EDGE_COLUMNS = 8
"""Columns beside the crop that motion-adaptive de-interlacing looks at: three samples of chroma are six pixels."""

GREY_TOLERANCE = 8
"""Levels by which a grey pixel's red and blue may differ from its green: what two steps of chroma, the noise of a good
converter, become in any matrix."""

GREY_AFTER = 25
"""Frames that must be grey, one after the other, before a coloured source is believed to be grey."""


class Chain(Struct, frozen=True, kw_only=True, eq=False):
    """What `build` made of one format and one profile."""

    rows: int
    columns: int
    steps: tuple[str, ...]
    """What `run` does to the pixels, in words, in order."""
    is_cropped: bool
    is_interlaced: bool
    """The source is; `run` then wants the neighbouring frames."""
    buffer_bytes: int
    """The least that a raw buffer must hold."""
    pixel_aspect: tuple[int, int]
    """Height to width of one pixel: what an object says, and what a screen needs."""
    bits_stored: int = 8
    """8; else the picture is grey, (rows, columns) uint16, and this many of the bits are used."""
    _recipe: PixelChain
    _matrix: Matrix
    _at: npt.NDArray[np.int64]
    _packing: Packing
    _cut: Cut
    _kind: int
    _method: int
    _missing: int
    _colour: npt.NDArray[np.int16]
    _masked: tuple[Rectangle, ...]

    def run(
        self, previous: Bytes | None, current: Bytes, following: Bytes | None, *, out: Bytes | None = None
    ) -> Bytes:
        """Return the picture (rows, columns, 3) uint8, R'G'B' full range.

        The arguments are raw 1-D buffers; a neighbour that is not there is taken to look like `current`.
        Raises PixelError when a buffer is too short, or `out` has another shape.
        """
        picture = np.empty((self.rows, self.columns, 3), np.uint8) if out is None else self._checked_out(out)
        now = self._checked(current)
        kernels.to_rgb(
            now if previous is None else self._checked(previous),
            now,
            now if following is None else self._checked(following),
            self._at,
            self._packing.luma_step,
            self._packing.chroma_step,
            self._kind,
            self._method,
            self._missing,
            self._cut.top,
            self._cut.taken,
            self._cut.first,
            self._colour,
            picture,
        )
        for x, y, width, height in self._masked:
            picture[y : y + height, x : x + width] = 0
        return picture

    def preview(self, raw: Bytes, max_width: int) -> Bytes:
        """Return a small picture for the screen, at most `max_width` columns of square pixels: one field, cropped, masked, averaged."""
        picture = self._quick().run(None, raw, None)
        return shrink(picture, max_width, self.pixel_aspect)

    def is_grey(self, rgb: Bytes) -> bool:
        """Tell whether a picture is to be MONOCHROME2: as the profile says, else when no pixel has any colour."""
        match self._recipe.grey:
            case "always":
                return True
            case "never":
                return False
            case "auto":
                return bool(kernels.is_colourless(_read_only(rgb), GREY_TOLERANCE))

    def to_grey(self, rgb: Bytes) -> Bytes:
        """Return the luma (rows, columns) uint8 of a picture; a pixel without colour keeps its level exactly."""
        grey = np.empty(rgb.shape[:2], np.uint8)
        kernels.to_grey(_read_only(rgb), steps.grey_weights(self._matrix), grey)
        return grey

    def steps_of(self, *, is_grey: bool) -> tuple[str, ...]:
        """Return `steps`, with the one to grey where it was taken."""
        return (*self.steps, f"reduced to luma BT.{self._matrix}") if is_grey else self.steps

    def _quick(self) -> Chain:
        return replace(self, _method=kernels.BOB) if self.is_interlaced else self

    def _checked(self, raw: Bytes) -> Bytes:
        if raw.dtype != np.uint8 or raw.ndim != 1 or not raw.flags.c_contiguous:
            raise PixelError(problem="a raw buffer is a contiguous row of bytes")
        if raw.size < self.buffer_bytes:
            raise PixelError(problem=f"a frame has {raw.size} bytes instead of {self.buffer_bytes}")
        return _read_only(raw)

    def _checked_out(self, out: Bytes) -> Bytes:
        if out.shape != (self.rows, self.columns, 3) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise PixelError(problem=f"the picture has {self.rows}x{self.columns} pixels, the room given has not")
        return out


class GreyWatch(Struct, frozen=True):
    """Whether a source is believed to be grey: slowly yes, at once no. A value: `seen` returns the next one.

    A capture keeps the answer it began with: a coloured picture in a grey capture ends its segment, so that nothing
    flips inside a series and no colour is lost.
    """

    is_grey: bool = False
    grey_frames: int = 0

    def seen(self, *, is_grey: bool) -> Self:
        """Return what is believed after one more frame."""
        frames = self.grey_frames + 1 if is_grey else 0
        return replace(self, grey_frames=frames, is_grey=is_grey and (self.is_grey or frames >= GREY_AFTER))


def build(fmt: FrameFormat, recipe: PixelChain, *, top_field_first: bool | None = None) -> Chain:
    """Return the chain for a grabber's format and a profile's wishes.

    `top_field_first` is what an installer confirmed; the driver's word goes first, the standard's rule last.
    Raises UnknownPixelFormat, or PixelError for a crop outside the frame, rows that are too short, or single fields.
    """
    is_interlaced, method = steps.is_interlaced(fmt), _method(fmt, recipe)
    if is_interlaced and fmt.height_px < steps.SMALLEST_INTERLACED:
        raise PixelError(problem=f"{fmt.height_px} lines are too few for two fields")
    pack = steps.packing(fmt)
    cut = steps.cut(fmt, recipe.crop, margin=EDGE_COLUMNS if method == kernels.ADAPTIVE else 0)
    is_top_first = steps.is_top_first(fmt, confirmed=top_field_first)
    return Chain(
        rows=cut.rows,
        columns=cut.columns,
        steps=_words(fmt, recipe, method, cut, is_top_first=is_top_first),
        is_cropped=_is_cropped(fmt, cut),
        is_interlaced=is_interlaced,
        buffer_bytes=steps.buffer_bytes(fmt),
        pixel_aspect=fmt.pixel_aspect,
        _recipe=recipe,
        _matrix=fmt.matrix,
        _at=_read_only(steps.offsets(fmt, cut.start)),
        _packing=pack,
        _cut=cut,
        _kind=kernels.RGB if pack.is_rgb else kernels.YCC_HALF if pack.is_half else kernels.YCC_FULL,
        _method=method,
        _missing=1 if is_top_first else 0,
        _colour=_read_only(steps.coefficients(fmt)),
        _masked=steps.visible(recipe.mask, cut),
    )


def shrink(picture: Bytes, max_width: int, pixel_aspect: tuple[int, int] = (1, 1)) -> Bytes:
    """Return the picture (rows, columns, samples) for a screen: square pixels, at most `max_width` columns, by area average.

    `pixel_aspect` is the height to the width of one of its pixels; nothing is ever enlarged.
    """
    rows, columns, samples = picture.shape
    tall, wide = pixel_aspect
    square_rows, square_columns = rows * min(1.0, tall / wide), columns * min(1.0, wide / tall)
    scale = min(1.0, max_width / square_columns)
    shape = (max(1, round(square_rows * scale)), max(1, round(square_columns * scale)), samples)
    if shape == picture.shape:
        return picture
    out = np.empty(shape, np.uint8)
    kernels.shrink(_read_only(picture), out)
    return out


def _is_cropped(fmt: FrameFormat, cut: Cut) -> bool:
    return (cut.columns, cut.rows) != (fmt.width_px, fmt.height_px)


def _method(fmt: FrameFormat, recipe: PixelChain) -> int:
    if not steps.is_interlaced(fmt):
        return kernels.WEAVE
    match recipe.deinterlace:
        case "none" | "weave":
            return kernels.WEAVE
        case "bob":
            return kernels.BOB
        case "auto" | "motion_adaptive":
            return kernels.ADAPTIVE


def _words(fmt: FrameFormat, recipe: PixelChain, method: int, cut: Cut, *, is_top_first: bool) -> tuple[str, ...]:
    """Say what the chain does, in the order of the profile."""
    words = []
    if _is_cropped(fmt, cut):
        words.append(f"crop {steps.in_words((cut.left, cut.top, cut.columns, cut.rows))}")
    if fmt.field in {Field.TOP, Field.BOTTOM}:
        words.append(f"one field only ({fmt.field.name.lower()})")
    if steps.is_interlaced(fmt):
        words.append(f"{_METHODS[method]} {'top' if is_top_first else 'bottom'} field first)")
    words.extend(_colour_words(fmt))
    words.extend(
        f"masked {steps.in_words(rectangle)} with black"
        for rectangle in recipe.mask
        if steps.visible((rectangle,), cut)
    )
    return tuple(words)


def _colour_words(fmt: FrameFormat) -> tuple[str, ...]:
    """Say how colour was computed; nothing when every sample keeps its level."""
    pack = steps.packing(fmt)
    has_chroma = pack.chroma_step > 0 and not pack.is_rgb
    if fmt.range is Range.FULL and not has_chroma:
        return ()
    source = f"Y'CbCr BT.{fmt.matrix}" if has_chroma else "R'G'B'" if pack.is_rgb else "luma"
    return (f"{source} {fmt.range} range to RGB full range{' (chroma replicated)' if pack.is_half else ''}",)


def _read_only(array: npt.NDArray[Sample]) -> npt.NDArray[Sample]:
    """Return a view that cannot be written: what the kernels' signatures ask for, whoever owns the bytes."""
    view = array.view()
    view.flags.writeable = False
    return view


_METHODS = {
    kernels.WEAVE: "fields woven together (",
    kernels.BOB: "de-interlaced (one field, lines averaged,",
    kernels.ADAPTIVE: "de-interlaced (motion adaptive,",
}
