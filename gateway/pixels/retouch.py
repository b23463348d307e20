"""Pictures to other pictures: grey, smaller, resampled, black in parts, other levels; compiled by Numba.

The rule: as in `kernels`, every kernel is held to a float64 twin in tests/pixels/naive.py.
"""

from __future__ import annotations

import numpy as np
from numba import types

from gateway.pixels.compiled import (
    BYTES_OUT,
    COEFFICIENTS,
    PICTURE,
    PICTURE_OUT,
    PLANE_OUT,
    TABLE,
    WEIGHTS,
    Array,
    kernel,
    part,
)

u8, i16, i32, f32, usize = np.uint8, np.int16, np.int32, np.float32, np.uintp

# ---- rows ----


@kernel(types.boolean, PICTURE, types.int64)
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


@kernel(types.void, PICTURE, COEFFICIENTS, PLANE_OUT)
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


@kernel(types.void, PICTURE, PICTURE_OUT)
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


@kernel(types.void, PICTURE, TABLE, WEIGHTS, PICTURE_OUT)
def resample_rows(picture: Array, taps: Array, weights: Array, out: Array) -> None:
    """Each new row is a weighted sum of old ones: `taps` and `weights` (new rows, taps)."""
    rows, columns, samples = picture.shape
    new_rows, count = taps.shape
    flat, into = picture.reshape(rows, columns * samples), out.reshape(new_rows, columns * samples)
    sums = np.empty(columns * samples, f32)
    for line in range(new_rows):
        sums[:] = f32(0.5)
        for tap in range(count):
            source, weight = flat[taps[line, tap]], weights[line, tap]
            for i in range(usize(columns * samples)):
                sums[i] += weight * f32(source[i])
        target = into[line]
        for i in range(usize(columns * samples)):
            target[i] = u8(min(max(sums[i], f32(0)), f32(255)))


@kernel(types.void, PICTURE, TABLE, WEIGHTS, PICTURE_OUT)
def resample_columns(picture: Array, taps: Array, weights: Array, out: Array) -> None:
    """Each new column is a weighted sum of old ones: `taps` and `weights` (new columns, taps)."""
    rows, _, samples = picture.shape
    new_columns, count = taps.shape
    for row in range(rows):
        for column in range(new_columns):
            for sample in range(samples):
                total = f32(0.5)
                for tap in range(count):
                    total += weights[column, tap] * f32(picture[row, taps[column, tap], sample])
                out[row, column, sample] = u8(min(max(total, f32(0)), f32(255)))


@kernel(types.void, TABLE, types.int64, PLANE_OUT)
def blacken(spans: Array, pixel_bytes: int, out: Array) -> None:
    """Fill spans (row, first column, column after the last) of rows of bytes with zeros."""
    for span in range(spans.shape[0]):
        row = out[spans[span, 0]]
        for i in range(usize(spans[span, 1] * pixel_bytes), usize(spans[span, 2] * pixel_bytes)):
            row[i] = u8(0)


@kernel(types.void, types.int64, types.int64, BYTES_OUT)
def stretch(black: int, white: int, samples: Array) -> None:
    """Levels from black to white to 0 to 255, in place; gain in 65536ths."""
    low, span = i32(black), i32(white - black)
    gain = i32((255 * 65536 + (white - black) // 2) // (white - black))
    for i in range(usize(samples.size)):
        above = min(max(i32(i32(samples[i]) - low), i32(0)), span)
        samples[i] = u8(min(i32(i32(i32(above * gain) + i32(32768)) >> i32(16)), i32(255)))
