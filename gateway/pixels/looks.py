"""A picture, or a few that follow one another, to what they show: stillness, combing, black, blue, colour bars, a used area.

The rule: pure functions that return a small frozen value with the numbers and what they mean; nothing is changed and nothing
is remembered. Planes are (rows, columns) uint8 as `chain.luma` gives them, pictures (rows, columns, 3) uint8 as `chain.run`
and `chain.preview` do. The comb test is that of decombing filters (both neighbours of a line on one side of it), held to
where something moved, so that fine lines of a still picture are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway.errors import PixelError
from gateway.model import Shown
from gateway.pixels import measures
from gateway.pixels.compiled import read_only

Plane = npt.NDArray[np.uint8]
Picture = npt.NDArray[Any]
Area = tuple[int, int, int, int]

BLOCK = measures.BLOCK

NOISE_CAP = 3.0
"""Levels a pixel: what more than that does between two frames is no noise, even where it does it everywhere."""
NOISE_FACTOR, NOISE_REST = 1.5, 0.75
"""A block moves when it changed by more than 1.5 times the noise and three quarters of a level a pixel."""

COMB_LEVELS = 10
"""A line stands out when it differs from both its neighbours by more."""
COMB_MOTION = 10
"""Levels between frames that are motion."""
COMB_PIXELS = 32
"""Of the 256 of a block: one block with more makes a picture combed."""

BLACK_LEVEL, FLAT_DEVIATION = 24, 4.0
BLUE_LEVEL, BLUE_REST = 80, 60
"""Blue at least so bright, red and green at most: the blue screen of a grabber or a recorder without a signal."""

BARS = (7, 6, 3, 2, 5, 4, 1, 0)
"""White, yellow, cyan, green, magenta, red, blue, black: bits red, green, blue (ITU-R BT.471; SMPTE EG 1 has the first seven)."""
BARS_WHITE, BARS_DEVIATION = 90, 12.0

USED_DEVIATION = 6.0
"""Levels by which a row or a column must vary to belong to the picture and not to its border."""
LEAST_CUT = 0.02
"""A border narrower than this share of the side is not worth a proposal: its edge wanders with the picture's content."""


class Change(Struct, frozen=True):
    """What differs between two frames, in levels a pixel of a block of 16 x 16."""

    blocks: int
    moving: int
    """Blocks that changed by more than noise does."""
    noise: float
    """What a quiet quarter of the picture changed by."""


class Comb(Struct, frozen=True):
    """How far two fields show different moments."""

    blocks: int
    combed: int
    """Blocks with lines that stand out and have moved."""

    @property
    def is_combed(self) -> bool:
        """The fields must not be woven."""
        return self.combed > 0


class Tone(Struct, frozen=True):
    """How bright a picture is, and how even: of red, green and blue."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @property
    def is_flat(self) -> bool:
        """It has one colour."""
        return max(self.deviation) < FLAT_DEVIATION

    @property
    def is_black(self) -> bool:
        """It is black all over, but for noise."""
        return self.is_flat and max(self.mean) < BLACK_LEVEL

    @property
    def is_blue(self) -> bool:
        """It is a blue screen."""
        red, green, blue = self.mean
        return self.is_flat and blue >= BLUE_LEVEL and max(red, green) <= BLUE_REST


class Bars(Struct, frozen=True):
    """How much of a picture is colour bars."""

    matching: int
    """How many bars, from the left, have the right colour and are even."""
    expected: int

    @property
    def is_colour_bars(self) -> bool:
        """It is a test pattern, not a patient."""
        return self.matching == self.expected


def block_change(before: Plane, now: Plane) -> npt.NDArray[np.float64]:
    """Return the mean absolute difference of each block of two planes of one size, in levels a pixel; raises PixelError."""
    _check(before, now)
    sums = np.empty(_blocks(now), np.int32)
    measures.changes(read_only(before), read_only(now), sums)
    levels: npt.NDArray[np.float64] = sums / _sizes(now)
    return levels


def change(before: Plane, now: Plane) -> Change:
    """Return what changed between two planes of one size; raises PixelError."""
    levels = block_change(before, now)
    noise = float(np.percentile(levels, 25))
    limit = NOISE_FACTOR * min(noise, NOISE_CAP) + NOISE_REST
    return Change(levels.size, int((levels > limit).sum()), noise)


def comb(before: Plane | None, now: Plane, after: Plane | None) -> Comb:
    """Return how combed a frame of two woven fields is; raises PixelError when the planes have several sizes.

    Without neighbours fine still lines count as well: nothing tells them from motion.
    """
    near = [plane for plane in (before, after) if plane is not None] or [now]
    _check(*near, now)
    counts = np.zeros(_blocks(now), np.int32)
    if min(now.shape) < 3:
        return Comb(counts.size, 0)
    motion = 0 if near[0] is now else COMB_MOTION
    measures.combed(read_only(near[0]), read_only(now), read_only(near[-1]), COMB_LEVELS, motion, counts)
    return Comb(counts.size, int((counts > COMB_PIXELS).sum()))


def tone(picture: Picture) -> Tone:
    """Return how bright and how even a picture is; a small one will do."""
    samples = picture.reshape(-1, 3)
    mean, deviation = samples.mean(axis=0), samples.std(axis=0)
    return Tone(
        (float(mean[0]), float(mean[1]), float(mean[2])),
        (float(deviation[0]), float(deviation[1]), float(deviation[2])),
    )


def bars(picture: Picture) -> Bars:
    """Return how far the upper half of a picture is colour bars, seven or eight; a small one will do, of 32 columns or more."""
    return max((_bars(picture, BARS[:count]) for count in (7, 8)), key=lambda found: found.matching / found.expected)


def shows(picture: Picture) -> Shown:
    """Return what a picture shows that is no patient; every so many rows and columns of it are enough."""
    seen = tone(picture)
    if seen.is_black:
        return Shown.BLACK
    if seen.is_blue:
        return Shown.BLUE
    return Shown.COLOUR_BARS if bars(picture).is_colour_bars else Shown.PICTURE


def propose_crop(planes: Sequence[Plane]) -> Area | None:
    """Return x, y, width, height of what a source uses of its frames, over some seconds; None: all of it, or nothing.

    A proposal for a person: it is never applied by itself. Even numbers, so that no pair of chroma is split; what is
    bright in one frame alone does not count (the median over the frames decides).
    """
    if not planes:
        return None
    _check(*planes)
    rows, columns = planes[0].shape
    top, bottom = _used(np.median([plane.std(axis=1) for plane in planes], axis=0))
    left, right = _used(np.median([plane.std(axis=0) for plane in planes], axis=0))
    if top >= bottom or left >= right:
        return None
    left, right = _kept(left, right, columns)
    top, bottom = _kept(top, bottom, rows)
    area = (left, top, right - left, bottom - top)
    return None if area == (0, 0, columns, rows) else area


def _bars(picture: Picture, wanted: tuple[int, ...]) -> Bars:
    rows, columns, _ = picture.shape
    upper, matching, white = picture[rows // 10 : max(rows // 2, 1)].astype(np.float64), 0, 0.0
    for number, bits in enumerate(wanted):
        third = columns / len(wanted) / 3
        first = int(3 * third * number + third)
        bar = upper[:, first : max(first + int(third), first + 1)].reshape(-1, 3)
        mean = bar.mean(axis=0)
        white = float(mean.min()) if number == 0 else white
        shown = sum(weight for weight, level in zip((4, 2, 1), mean, strict=True) if level > white / 2)
        if white < BARS_WHITE or shown != bits or bar.std(axis=0).max() > BARS_DEVIATION:
            break
        matching += 1
    return Bars(matching, len(wanted))


def _used(deviations: npt.NDArray[np.float64]) -> tuple[int, int]:
    found = np.flatnonzero(deviations > USED_DEVIATION)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def _kept(begin: int, end: int, size: int) -> tuple[int, int]:
    begin = begin // 2 * 2 if begin > LEAST_CUT * size else 0
    end = min(size, (end + 1) // 2 * 2)
    return begin, end if size - end > LEAST_CUT * size else size


def _blocks(plane: Plane) -> tuple[int, int]:
    return -(-plane.shape[0] // BLOCK), -(-plane.shape[1] // BLOCK)


def _sizes(plane: Plane) -> npt.NDArray[np.int64]:
    """Return how many pixels each block has."""
    tall, wide = (np.minimum(BLOCK, size - np.arange(0, size, BLOCK)) for size in plane.shape)
    sizes: npt.NDArray[np.int64] = tall[:, None] * wide
    return sizes


def _check(*planes: Plane) -> None:
    if any(
        plane.ndim != 2 or plane.dtype != np.uint8 or plane.shape != planes[0].shape or not plane.size
        for plane in planes
    ):
        raise PixelError(problem="planes that are compared have one size, and a byte for each pixel")
    if not all(plane.flags.c_contiguous for plane in planes):
        raise PixelError(problem="a plane is contiguous")
