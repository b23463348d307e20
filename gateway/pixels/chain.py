"""Raw buffers of a grabber to pictures, as a profile asks, and in words what was done to them.

The rule: pixels are never silently altered (law 4); each step that changes the picture is in `steps`. A Chain is
immutable and has no state: threads may share it, and a new picture is newly allocated unless the caller brings one.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import PixelError
from gateway.model import FrameFormat, Matrix, Range
from gateway.pixels import kernels, looks, mjpeg, resampling, retouch, steps, words
from gateway.pixels.compiled import read_only
from gateway.pixels.resampling import Resampling
from gateway.pixels.steps import Cut, Packing
from gateway.profile import PixelChain, Rectangle

Bytes = npt.NDArray[np.uint8]
Pixels = npt.NDArray[Any]
"""(rows, columns, 3) uint8; of deep grey (rows, columns) uint16."""

EDGE_COLUMNS = 8
"""Columns beside the crop that motion-adaptive de-interlacing looks at: three samples of chroma are six pixels."""

GREY_TOLERANCE = 8
"""Levels by which a grey pixel's red and blue may differ from its green: what two steps of chroma, the noise of a good
converter, become in any matrix."""

GREY_AFTER = 25
"""Frames that must be grey, one after the other, before a coloured source is believed to be grey."""

MJPEG = "MJPG"


class Chain(Struct, frozen=True, kw_only=True, eq=False):
    """What `build` made of one format and one profile."""

    rows: int
    columns: int
    steps: tuple[str, ...]
    """What `run` does to the pixels, in words, in order."""
    is_cropped: bool
    is_interlaced: bool
    """The source is."""
    buffer_bytes: int
    """The least that a raw buffer must hold."""
    pixel_aspect: tuple[int, int]
    """Height to width of one pixel of the picture: what an object says, and what a screen needs."""
    bits_stored: int = 8
    """8; else the picture is grey, (rows, columns) uint16, and this many of the bits are used."""
    needs_neighbours: bool
    """`run` wants the frames before and after: to de-interlace, or to take noise away."""
    _format: FrameFormat
    """Of what the kernels see: JPEG frames once they are decoded."""
    _source_aspect: tuple[int, int]
    _recipe: PixelChain
    _at: npt.NDArray[np.int64]
    _packing: Packing
    _cut: Cut
    _kind: int
    _method: int
    _missing: int
    _colour: npt.NDArray[np.int16]
    _masked: tuple[Rectangle, ...]
    _spans: npt.NDArray[np.int64]
    _square: Resampling | None
    _is_jpeg: bool
    _still: tuple[Chain, Chain] | None
    """Of a chain that chooses: with the fields woven, and with one made anew."""

    def run(
        self, previous: Bytes | None, current: Bytes, following: Bytes | None, *, out: Pixels | None = None
    ) -> Pixels:
        """Return the picture (rows, columns, 3) uint8, R'G'B' full range; or deep grey, where `bits_stored` is more than 8.

        The arguments are raw 1-D buffers; a neighbour that is not there is taken to look like `current`.
        Raises PixelError when a buffer is too short, or `out` has another shape; CodecError for a JPEG that is none.
        """
        if out is not None:
            self._check_out(out)
        now = self._checked(current)
        before, after = now, now
        if self.needs_neighbours:
            before = now if previous is None else self._checked(previous)
            after = now if following is None else self._checked(following)
        picture = self._picture(before, now, after, out if self._square is None else None)
        for x, y, width, height in self._masked:
            picture[y : y + height, x : x + width] = 0
        if len(self._spans):
            flat = picture.reshape(self._cut.rows, -1).view(np.uint8)
            retouch.blacken(self._spans, flat.shape[1] // self._cut.columns, flat)
        return picture if self._square is None else self._square.run(picture, (1 << self.bits_stored) - 1, out)

    def for_still(self, previous: Bytes | None, current: Bytes, following: Bytes | None) -> Chain:
        """Return the chain for a still of these frames: its fields woven where they show the same, else as a film's.

        The chain itself, where the profile or the source leaves nothing to choose. Raises as `run` does.
        """
        if self._still is None:
            return self
        near = [None if raw is None else self.luma(raw) for raw in (previous, following)]
        woven, made = self._still
        return made if looks.comb(near[0], self.luma(current), near[1]).is_combed else woven

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the whole source picture lies in the stored one: through crop and resampling.

        Both count from the outer corner of the top left pixel; a point outside the crop lies outside the picture.
        """
        return (x - self._cut.left) * self.columns / self._cut.columns, (y - self._cut.top) * self.rows / self._cut.rows

    def luma(self, raw: Bytes) -> Bytes:
        """Return (rows, columns) uint8 of the crop as the source has it, for `looks`: luma, or green; fields woven."""
        data = self._checked(raw)
        if self.bits_stored > 8:
            return (self._deep(data, kernels.WEAVE) >> (self.bits_stored - 8)).astype(np.uint8)
        plane = np.empty((self._cut.rows, self._cut.columns), np.uint8)
        at = self._at[1:] if self._packing.is_rgb else self._at
        kernels.to_luma(data, at, self._packing.luma_step, self._cut.top, self._cut.first, plane)
        return plane

    def preview(self, raw: Bytes, max_width: int) -> Bytes:
        """Return a small picture (rows, columns, 3) for the screen: one field, cropped, masked, averaged.

        At most `max_width` columns of square pixels.
        """
        picture = self._quick().run(None, raw, None)
        if self.bits_stored > 8:
            grey = (picture >> (self.bits_stored - 8)).astype(np.uint8)[..., None]
            return np.repeat(shrink(grey, max_width, self._source_aspect), 3, axis=2)
        return shrink(picture, max_width, self._source_aspect)

    def is_grey(self, picture: Pixels) -> bool:
        """Tell whether a picture is to be MONOCHROME2: as the profile says, else when no pixel has any colour."""
        if picture.ndim == 2:
            return True
        match self._recipe.grey:
            case "always":
                return True
            case "never":
                return False
            case "auto":
                return bool(retouch.is_colourless(read_only(picture), GREY_TOLERANCE))

    def to_grey(self, picture: Pixels) -> Pixels:
        """Return the luma (rows, columns) of a picture; a pixel without colour keeps its level exactly."""
        if picture.ndim == 2:
            return picture
        grey = np.empty(picture.shape[:2], np.uint8)
        retouch.to_grey(read_only(picture), steps.grey_weights(self._matrix), grey)
        return grey

    def steps_of(self, *, is_grey: bool) -> tuple[str, ...]:
        """Return `steps`, with the one to grey where it was taken."""
        return (*self.steps, words.grey(self._matrix)) if is_grey and self.bits_stored == 8 else self.steps

    @property
    def _matrix(self) -> Matrix:
        return self._format.matrix

    def _picture(self, before: Bytes, now: Bytes, after: Bytes, room: Pixels | None) -> Pixels:
        """Return the crop, in colour and at its levels; nothing is hidden yet."""
        is_denoised = self._recipe.denoise == "median3"
        if self.bits_stored > 8:
            if not is_denoised:
                return self._deep(now, self._method, room)
            first, middle, last = (read_only(self._deep(raw, self._method)) for raw in (before, now, after))
            picture = np.empty((self._cut.rows, self._cut.columns), np.uint16) if room is None else room
            kernels.median_deep(first, middle, last, picture)
            return picture
        if is_denoised:
            now = self._middle(before, now, after)
        picture = np.empty((self._cut.rows, self._cut.columns, 3), np.uint8) if room is None else room
        kernels.to_rgb(
            before,
            now,
            after,
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
        if self._recipe.levels != words.WHOLE_LEVELS:
            retouch.stretch(*self._recipe.levels, picture.reshape(-1))
        return picture

    def _middle(self, before: Bytes, now: Bytes, after: Bytes) -> Bytes:
        """Return a frame of which each sample is the median of three in time."""
        size = min(before.size, now.size, after.size)
        made = np.empty(size, np.uint8)
        kernels.median(before[:size], now[:size], after[:size], made)
        return read_only(made)

    def _deep(self, raw: Bytes, method: int, room: Pixels | None = None) -> Pixels:
        """Return grey of more than 8 bits."""
        picture = np.empty((self._cut.rows, self._cut.columns), np.uint16) if room is None else room
        most, shift = (1 << self.bits_stored) - 1, self.bits_stored - 8
        black, white = (16 << shift, 235 << shift) if self._format.range is Range.LIMITED else (0, most)
        low, high = (black + (white - black) * level / 255 for level in self._recipe.levels)
        kernels.to_deep(raw, self._at, method, self._missing, self._cut.top, most, low, high, picture)
        return picture

    def _quick(self) -> Chain:
        """Return the chain without what the screen needs not."""
        method = kernels.BOB if self.is_interlaced else kernels.WEAVE
        shape = {"rows": self._cut.rows, "columns": self._cut.columns}
        plain = replace(self._recipe, denoise="off")
        return replace(self, _method=method, _recipe=plain, _square=None, needs_neighbours=False, **shape)

    def _checked(self, raw: Bytes) -> Bytes:
        if raw.dtype != np.uint8 or raw.ndim != 1 or not raw.flags.c_contiguous:
            raise PixelError(problem="a raw buffer is a contiguous row of bytes")
        if self._is_jpeg:
            return self._decoded(raw)
        if raw.size < self.buffer_bytes:
            raise PixelError(problem=f"a frame has {raw.size} bytes instead of {self.buffer_bytes}")
        return read_only(raw)

    def _decoded(self, raw: Bytes) -> Bytes:
        picture = mjpeg.decode(raw.tobytes())
        rows, columns, _ = picture.shape
        if (rows, columns) != (self._format.height_px, self._format.width_px):
            said = f"{self._format.width_px}x{self._format.height_px}"
            raise PixelError(problem=f"a JPEG frame has {columns}x{rows} pixels instead of {said}")
        return read_only(picture.reshape(-1))

    def _check_out(self, out: Pixels) -> None:
        shape, kind = (
            ((self.rows, self.columns, 3), np.uint8)
            if self.bits_stored == 8
            else ((self.rows, self.columns), np.uint16)
        )
        if out.shape != shape or out.dtype != kind or not out.flags.c_contiguous:
            raise PixelError(problem=f"the picture has {self.rows}x{self.columns} pixels, the room given has not")


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
    seen = steps.decoded(fmt) if fmt.pixel_format == MJPEG else fmt
    method = steps.method(seen, recipe)
    built = _built(fmt, seen, recipe, method, "", confirmed=top_field_first)
    if method == kernels.WEAVE or recipe.still_deinterlace == "as_cine":
        return built
    woven = _built(fmt, seen, recipe, kernels.WEAVE, "they show the same", confirmed=top_field_first)
    made = _built(fmt, seen, recipe, method, "the fields differ", confirmed=top_field_first)
    return replace(built, _still=(woven, made))


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
    retouch.shrink(read_only(picture), out)
    return out


def _built(
    fmt: FrameFormat, seen: FrameFormat, recipe: PixelChain, method: int, why: str, *, confirmed: bool | None
) -> Chain:
    """Return the chain with one way to treat fields; `seen` is what the kernels see, `why` what chose the way."""
    is_interlaced, is_top_first = steps.is_interlaced(seen), steps.is_top_first(seen, confirmed=confirmed)
    pack, is_jpeg = steps.packing(seen), fmt.pixel_format == MJPEG
    cut = steps.cut(seen, recipe.crop, margin=EDGE_COLUMNS if method == kernels.ADAPTIVE else 0)
    steps.check(seen, recipe)
    resampled = None
    if recipe.square_pixels != "keep":
        resampled = resampling.to_square(cut.rows, cut.columns, fmt.pixel_aspect, recipe.square_pixels)
    shape = [cut.rows, cut.columns]
    if resampled is not None:
        shape[resampled.axis] = resampled.length
    said = (
        *words.before_colour(fmt, recipe, cut, is_jpeg=is_jpeg),
        *words.fields(seen, method, why, is_top_first=is_top_first),
        *words.colour(seen),
        *words.after_colour(fmt, recipe, cut, (shape[0], shape[1])),
    )
    return Chain(
        rows=shape[0],
        columns=shape[1],
        steps=said,
        is_cropped=(cut.columns, cut.rows) != (fmt.width_px, fmt.height_px),
        is_interlaced=is_interlaced,
        buffer_bytes=steps.SMALLEST_JPEG if is_jpeg else steps.buffer_bytes(seen),
        pixel_aspect=fmt.pixel_aspect if resampled is None else (1, 1),
        bits_stored=pack.bits,
        needs_neighbours=method in {kernels.ADAPTIVE, kernels.BWDIF} or recipe.denoise != "off",
        _format=seen,
        _source_aspect=fmt.pixel_aspect,
        _recipe=recipe,
        _at=read_only(steps.offsets(seen, cut.start)),
        _packing=pack,
        _cut=cut,
        _kind=steps.kind(pack),
        _method=method,
        _missing=1 if is_top_first else 0,
        _colour=read_only(steps.coefficients(seen)),
        _masked=steps.visible(recipe.mask, cut),
        _spans=read_only(steps.spans(recipe.mask_polygons, cut)),
        _square=resampled,
        _is_jpeg=is_jpeg,
        _still=None,
    )
