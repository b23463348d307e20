"""Arrays and scalars to arrays: the loops that touch every sample, compiled by Numba.

The rule: every kernel is held to a float64 twin in tests/pixels/naive.py, and every one that Python calls has its
signature written here, so that nothing is ever compiled while an exam runs: importing this module compiles them, or
loads them from the cache. Colour follows ITU-R BT.601, BT.709 and BT.2020 with 5 fractional bits in 16-bit integers.

How the loops are written, and why. LLVM turns a loop into SIMD when it reads and writes with unit stride, has no
branch, and stores to one array: so each row is taken apart into planar rows (`take`), every step is a short loop over
planar rows, and one last loop (`weave_rgb`) interleaves them. Indices are unsigned (`usize`), because Numba tests a
signed one for being negative, and integers are narrowed after each operation, because Numba widens all to 64 bits.
`i16(i32(a) * i32(b) >> 16)` is one SIMD instruction (the high half of a product).

All of it stands in one file, because Numba's cache looks only at the file of the kernel itself: a loop changed in
another one would leave old machine code in use.
"""

from __future__ import annotations

from collections.abc import Callable
from pickle import PickleError
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit, types

Function = TypeVar("Function", bound=Callable[..., Any])
Array = npt.NDArray[Any]
"""A row of bytes, or of 16-bit numbers; the signatures of what Python calls say exactly."""

Rows = tuple[Array, ...]
"""Rows to work in; Numba knows how many."""

FLAGS: dict[str, Any] = {"nogil": True, "fastmath": False, "boundscheck": False, "error_model": "numpy"}
"""How every kernel is compiled; never `parallel`: the threads belong to the service."""

u8, i16, i32, f32, usize = np.uint8, np.int16, np.int32, np.float32, np.uintp

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_PICTURE = types.Array(types.uint8, 3, "C", readonly=True)
_PICTURE_OUT = types.Array(types.uint8, 3, "C")
_GREY_OUT = types.Array(types.uint8, 2, "C")
_OFFSETS = types.Array(types.int64, 2, "C", readonly=True)
_COEFFICIENTS = types.Array(types.int16, 1, "C", readonly=True)

YCC_HALF, YCC_FULL, RGB = 0, 1, 2
"""What the three planes are: Y'CbCr with one chroma sample for two luma samples, with one for each, or R'G'B'."""

part = njit(**FLAGS)
"""A loop that kernels are made of: compiled into each of them."""


def kernel(result: Any, *arguments: Any) -> Callable[[Function], Function]:
    """Compile now, for these argument types only, or load from the cache.

    A cache that cannot be written or read (a full disk, a file that a power cut tore) costs seconds, never the picture.
    """

    def compiled(function: Function) -> Function:
        try:
            found: Function = njit(result(*arguments), cache=True, **FLAGS)(function)
        except _CACHE_TROUBLE:
            found = njit(result(*arguments), **FLAGS)(function)
        return found

    return compiled


_CACHE_TROUBLE = (
    OSError, RuntimeError, EOFError, PickleError, ValueError, LookupError, TypeError, AttributeError, ImportError,
)  # fmt: skip
"""What Numba lets through when it meets a broken cache; an error in a kernel is a NumbaError."""


# ---- rows ----


@part
def whole_vectors(count: int) -> int:
    """Enough columns that no loop over work rows has a rest, which would be run one by one; their tails are garbage."""
    return count + 63 & ~63


@part
def take(raw: Array, at: int, step: int, count: int, spare: Array, into: Array) -> None:
    """Take every `step`-th byte from `at` on; step 0 leaves `into` as it is. `spare` holds 2 x count bytes."""
    begin = usize(at)
    if step == 1:
        for i in range(usize(count)):
            into[i] = raw[begin + i]
    elif step == 2:
        for i in range(usize(count)):
            into[i] = raw[begin + usize(2) * i]
    elif step == 3:
        for i in range(usize(count)):
            into[i] = raw[begin + usize(3) * i]
    elif step == 4:  # in two steps of 2, which LLVM has shuffles for
        for i in range(usize(2 * count - 1)):
            spare[i] = raw[begin + usize(2) * i]
        for i in range(usize(count)):
            into[i] = spare[usize(2) * i]


@part
def scale_luma(plane: Array, offset: int, gain: int, count: int, into: Array) -> None:
    """(Y' - offset) x gain, in 32nds of a level, plus half a level; gain is in 16384ths."""
    black, factor = i16(offset), i32(i16(gain))
    for i in range(usize(count)):
        level = i16(i16(i16(plane[i]) - black) << i16(7))
        into[i] = i16(i16(i32(i32(level) * factor) >> i32(16)) + i16(16))


@part
def scale_chroma(plane: Array, gain: int, count: int, into: Array) -> None:
    """(C - 128) x gain, in 32nds of a level; gain is in 8192nds."""
    factor = i32(i16(gain))
    for i in range(usize(count)):
        level = i16(i16(i16(plane[i]) - i16(128)) << i16(8))
        into[i] = i16(i32(i32(level) * factor) >> i32(16))


@part
def add(more: Array, count: int, into: Array) -> None:
    """Add one row to another."""
    for i in range(usize(count)):
        into[i] = i16(into[i] + more[i])


@part
def replicate(half: Array, count: int, into: Array) -> None:
    """Give each chroma sample to the two pixels it covers."""
    for i in range(usize(count)):
        into[usize(2) * i] = half[i]
        into[usize(2) * i + usize(1)] = half[i]


@part
def to_level(luma: Array, chroma: Array, count: int, into: Array) -> None:
    """Sum in 32nds of a level to a level, 0 to 255."""
    for i in range(usize(count)):
        level = i16(i16(luma[i] + chroma[i]) >> i16(5))
        into[i] = u8(min(max(level, i16(0)), i16(255)))


@part
def weave_rgb(red: Array, green: Array, blue: Array, first: int, count: int, into: Array) -> None:
    """Three planar rows, from `first` on, to one row of pixels."""
    begin = usize(first)
    for i in range(usize(count)):
        into[usize(3) * i] = red[begin + i]
        into[usize(3) * i + usize(1)] = green[begin + i]
        into[usize(3) * i + usize(2)] = blue[begin + i]


@part
def colour_row(
    kind: int, planes: Array, colour: Array, count: int, luma: Array, chroma: Array, wide: Array, rgb: Array
) -> None:
    """Three planar rows to planar R'G'B'; `colour` is (offset, gain, V to red, U to green, V to green, U to blue)."""
    run = whole_vectors(count)
    if kind == RGB:
        wide[:] = 0
        for plane in range(3):
            scale_luma(planes[plane], colour[0], colour[1], run, luma)
            to_level(luma, wide, run, rgb[plane])
        return
    half = whole_vectors((count + 1) // 2) if kind == YCC_HALF else run
    scale_luma(planes[0], colour[0], colour[1], run, luma)
    for plane in range(3):
        if plane == 0:
            scale_chroma(planes[2], colour[2], half, chroma[0])
        elif plane == 1:
            scale_chroma(planes[1], colour[3], half, chroma[0])
            scale_chroma(planes[2], colour[4], half, chroma[1])
            add(chroma[1], half, chroma[0])
        else:
            scale_chroma(planes[1], colour[5], half, chroma[0])
        if kind == YCC_HALF:
            replicate(chroma[0], half, wide)
            to_level(luma, wide, run, rgb[plane])
        else:
            to_level(luma, chroma[0], run, rgb[plane])


# ---- de-interlacing: one missing row of one plane ----


@part
def average(above: Array, below: Array, count: int, into: Array) -> None:
    """The middle of two rows, halves downwards."""
    for i in range(usize(count)):
        into[i] = u8(i16(i16(above[i]) + i16(below[i])) >> i16(1))


@part
def reach_of_motion(
    above: Array, below: Array, was: Array, will: Array, above_was: Array, below_was: Array, above_will: Array,
    below_will: Array, count: int, into: Array,
) -> None:  # fmt: skip
    """How much the row, and its neighbours, changed from frame to frame: the most of half, and of two means."""
    for i in range(usize(count)):
        change = i16(abs(i16(i16(was[i]) - i16(will[i]))))
        over, under = i16(above[i]), i16(below[i])
        before = i16(i16(abs(i16(i16(above_was[i]) - over))) + i16(abs(i16(i16(below_was[i]) - under))))
        after = i16(i16(abs(i16(i16(above_will[i]) - over))) + i16(abs(i16(i16(below_will[i]) - under))))
        into[i] = i16(max(change, before, after) >> i16(1))


@part
def reach_of_lines(
    above: Array, below: Array, was: Array, will: Array, was_up: Array, will_up: Array, was_down: Array,
    will_down: Array, count: int, into: Array,
) -> None:  # fmt: skip
    """Raise to what the lines beyond allow: where they rise and fall as the row between them does, nothing is combed."""
    for i in range(usize(count)):
        now = i16(i16(i16(was[i]) + i16(will[i])) >> i16(1))
        over, under = i16(now - i16(above[i])), i16(now - i16(below[i]))
        up = i16(i16(i16(i16(was_up[i]) + i16(will_up[i])) >> i16(1)) - i16(above[i]))
        down = i16(i16(i16(i16(was_down[i]) + i16(will_down[i])) >> i16(1)) - i16(below[i]))
        high, low = max(over, under, min(up, down)), min(over, under, max(up, down))
        into[i] = max(into[i], low, i16(-high))


@part
def mismatch(a: np.int16, b: np.int16, c: np.int16, d: np.int16, e: np.int16, f: np.int16) -> np.int16:
    """How badly three pixels above match three below."""
    return i16(i16(i16(abs(i16(a - d))) + i16(abs(i16(b - e)))) + i16(abs(i16(c - f))))


@part
def guess_along_edges(above: Array, below: Array, count: int, run: int, into: Array) -> None:
    """Average across the missing row along the best of five directions; the three pixels at each side straight.

    A direction is taken where it matches better than straight, and the one beyond it only where that again is better.
    """
    for i in range(usize(run)):
        a0, a1, a2, a3 = i16(above[i]), i16(above[i + usize(1)]), i16(above[i + usize(2)]), i16(above[i + usize(3)])
        a4, a5, a6 = i16(above[i + usize(4)]), i16(above[i + usize(5)]), i16(above[i + usize(6)])
        b0, b1, b2, b3 = i16(below[i]), i16(below[i + usize(1)]), i16(below[i + usize(2)]), i16(below[i + usize(3)])
        b4, b5, b6 = i16(below[i + usize(4)]), i16(below[i + usize(5)]), i16(below[i + usize(6)])
        best, total = i16(mismatch(a2, a3, a4, b2, b3, b4) - i16(1)), i16(a3 + b3)
        near, far = mismatch(a1, a2, a3, b3, b4, b5), mismatch(a0, a1, a2, b4, b5, b6)
        is_near = near < best
        is_far = is_near & (far < near)
        best = far if is_far else (near if is_near else best)
        total = i16(a1 + b5) if is_far else (i16(a2 + b4) if is_near else total)
        near, far = mismatch(a3, a4, a5, b1, b2, b3), mismatch(a4, a5, a6, b0, b1, b2)
        is_near = near < best
        is_far = is_near & (far < near)
        total = i16(a5 + b1) if is_far else (i16(a4 + b2) if is_near else total)
        into[i + usize(3)] = u8(total >> i16(1))
    for i in range(count):
        if i < 3 or i >= count - 3:
            into[i] = u8(i16(i16(above[i]) + i16(below[i])) >> i16(1))


@part
def clamp(guess: Array, was: Array, will: Array, reach: Array, count: int, into: Array) -> None:
    """Keep the guess within reach of what stood there in time."""
    for i in range(usize(count)):
        now = i16(i16(i16(was[i]) + i16(will[i])) >> i16(1))
        into[i] = u8(min(max(i16(guess[i]), i16(now - reach[i])), i16(now + reach[i])))


@part
def bob_row(current: Array, at: Array, row: int, step: int, count: int, spare: Array, lines: Rows, into: Array) -> None:
    """A missing row from the rows above and below it in the same field."""
    up, down = beside(row, at.shape[0])
    take(current, at[up], step, count, spare, lines[0])
    take(current, at[down], step, count, spare, lines[1])
    average(lines[0], lines[1], whole_vectors(count), into)


@part
def beside(row: int, rows: int) -> tuple[int, int]:
    """The rows above and below; at the picture's edge the one row twice."""
    return (row - 1 if row > 0 else row + 1), (row + 1 if row + 1 < rows else row - 1)


@part
def adaptive_row(
    previous: Array, current: Array, following: Array, at: Array, row: int, step: int, count: int, spare: Array,
    lines: Rows, reach: Array, into: Array,
) -> None:  # fmt: skip
    """A missing row as yadif fills it: along edges, but never further from the past and the future than motion allows.

    The row belongs to the later field, so that field of `previous` came before the kept one, that of `current` after.
    """
    above, below, above_was, below_was, above_will, below_will, was, will, guess = lines
    rows, run = at.shape[0], whole_vectors(count)
    up, down = beside(row, rows)
    take(current, at[up], step, count, spare, above)
    take(current, at[down], step, count, spare, below)
    take(previous, at[up], step, count, spare, above_was)
    take(previous, at[down], step, count, spare, below_was)
    take(following, at[up], step, count, spare, above_will)
    take(following, at[down], step, count, spare, below_will)
    take(previous, at[row], step, count, spare, was)
    take(current, at[row], step, count, spare, will)
    reach_of_motion(above, below, was, will, above_was, below_was, above_will, below_will, run, reach)
    if row != 1 and row != rows - 2:  # there the row two away is outside the picture
        far_up, far_down = (row - 2 if row > 0 else 2), (row + 2 if row + 1 < rows else rows - 3)
        was_up, will_up, was_down, will_down = above_was, above_will, below_was, below_will
        take(previous, at[far_up], step, count, spare, was_up)
        take(current, at[far_up], step, count, spare, will_up)
        take(previous, at[far_down], step, count, spare, was_down)
        take(current, at[far_down], step, count, spare, will_down)
        reach_of_lines(above, below, was, will, was_up, will_up, was_down, will_down, run, reach)
    guess_along_edges(above, below, count, run, guess)
    clamp(guess, was, will, reach, run, into)


# ---- what Python calls ----

WEAVE, BOB, ADAPTIVE = 0, 1, 2
"""What is done with the rows of the later field: kept, made from the earlier field, or made as motion asks."""


@kernel(
    types.void, _BYTES, _BYTES, _BYTES, _OFFSETS, types.int64, types.int64, types.int64, types.int64, types.int64,
    types.int64, types.int64, types.int64, _COEFFICIENTS, _PICTURE_OUT,
)  # fmt: skip
def to_rgb(
    previous: Array, current: Array, following: Array, at: Array, luma_step: int, chroma_step: int, kind: int,
    method: int, missing: int, first_row: int, taken: int, first: int, colour: Array, out: Array,
) -> None:  # fmt: skip
    """Raw buffers to R'G'B', in one pass over the rows.

    `at` (3, rows of the frame): where in a buffer each row of each plane begins, for the first column that is taken.
    `taken` columns are processed, of which `first` are dropped on the left. `missing` is the parity of the rows to make.
    """
    rows, columns, _ = out.shape
    flat = out.reshape(rows, 3 * columns)
    half = (taken + 1) // 2 if kind == YCC_HALF else taken
    width = 2 * whole_vectors(half) + 8 if kind == YCC_HALF else whole_vectors(taken) + 8
    planes = np.full((3, width), 128, u8)
    rgb = np.empty((3, width), u8)
    spare, reach = np.empty(2 * width, u8), np.empty(width, i16)
    luma, wide, chroma = np.empty(width, i16), np.empty(width, i16), np.empty((2, width), i16)
    b = np.zeros((9, width), u8)
    lines = (b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8])
    for line in range(rows):
        row = first_row + line
        for plane in range(3):
            step = luma_step if plane == 0 else chroma_step
            count = taken if plane == 0 else half
            if step == 0:
                continue
            if method == WEAVE or row % 2 != missing:
                take(current, at[plane, row], step, count, spare, planes[plane])
            elif method == BOB:
                bob_row(current, at[plane], row, step, count, spare, lines, planes[plane])
            else:
                adaptive_row(
                    previous, current, following, at[plane], row, step, count, spare, lines, reach, planes[plane]
                )
        colour_row(kind, planes, colour, taken, luma, chroma, wide, rgb)
        weave_rgb(rgb[0], rgb[1], rgb[2], first, columns, flat[line])


@kernel(types.boolean, _PICTURE, types.int64)
def is_colourless(picture: Array, tolerance: int) -> bool:
    """Whether green differs by no more than `tolerance` from red and from blue, in every pixel."""
    rows, columns, _ = picture.shape
    count = 3 * columns - 1
    flat = picture.reshape(rows, 3 * columns)
    within_pixel = np.empty(count, i16)
    for i in range(count):
        within_pixel[i] = 0 if i % 3 == 2 else -1
    for row in range(rows):
        line = flat[row]
        worst = i16(0)
        for i in range(usize(count)):
            difference = i16(abs(i16(i16(line[i]) - i16(line[i + usize(1)]))))
            worst = max(worst, i16(difference & within_pixel[i]))
        if worst > tolerance:
            return False
    return True


@kernel(types.void, _PICTURE, _COEFFICIENTS, _GREY_OUT)
def to_grey(picture: Array, weights: Array, out: Array) -> None:
    """R'G'B' to luma; the weights are in 16384ths and sum to that, so that a grey pixel keeps its level exactly."""
    rows, columns, _ = picture.shape
    flat = picture.reshape(rows, 3 * columns)
    red, green, blue = i32(weights[0]), i32(weights[1]), i32(weights[2])
    for row in range(rows):
        line, into = flat[row], out[row]
        for i in range(usize(columns)):
            at = usize(3) * i
            level = i32(red * i32(line[at])) + i32(green * i32(line[at + usize(1)]))
            level = i32(i32(level) + i32(blue * i32(line[at + usize(2)])))
            into[i] = u8(i32(level + i32(8192)) >> i32(14))


@part
def shares(old: int, new: int) -> tuple[Array, Array]:
    """For each of `new` equal parts of `old` samples: its first sample, and the share that each it covers has."""
    ratio = old / new
    starts = np.empty(new, np.int64)
    weights = np.zeros((new, int(np.ceil(ratio)) + 1), f32)
    for part_ in range(new):
        begin, end = part_ * ratio, min((part_ + 1) * ratio, float(old))
        starts[part_] = int(begin)
        for tap in range(weights.shape[1]):
            at = starts[part_] + tap
            weights[part_, tap] = f32(max(0.0, min(end, at + 1.0) - max(begin, float(at))) / ratio)
    return starts, weights


@kernel(types.void, _PICTURE, _PICTURE_OUT)
def shrink(picture: Array, out: Array) -> None:
    """Area average: each pixel is the mean of the part of the source that it covers, in any ratio from 1 down."""
    rows, columns, samples = picture.shape
    new_rows, new_columns, _ = out.shape
    flat = picture.reshape(rows, columns * samples)
    tops, tall = shares(rows, new_rows)
    lefts, wide = shares(columns, new_columns)
    sums = np.zeros((columns + wide.shape[1]) * samples, f32)  # weights of samples beyond the edge are 0
    for line in range(new_rows):
        sums[:] = f32(0)
        for tap in range(tall.shape[1]):
            row = tops[line] + tap
            weight = tall[line, tap]
            if row < rows and weight > 0:
                source = flat[row]
                for i in range(usize(columns * samples)):
                    sums[i] += weight * f32(source[i])
        for column in range(new_columns):
            for sample in range(samples):
                total = f32(0.5)
                at = usize(lefts[column] * samples + sample)
                for tap in range(wide.shape[1]):
                    total += wide[column, tap] * sums[at]
                    at += usize(samples)
                out[line, column, sample] = u8(min(total, f32(255)))
