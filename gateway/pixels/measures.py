"""Planes of luma to counts and sums for each block of 16 x 16 pixels; compiled by Numba, for `looks`.

The rule: integers only, so that the twins in tests/pixels/naive.py give the very same numbers.
"""

from __future__ import annotations

import numpy as np
from numba import types

from gateway.pixels.compiled import COUNTS_OUT, PLANE, Array, kernel, part

i16, u16, i32, usize = np.int16, np.uint16, np.int32, np.uintp

BLOCK = 16

# ---- rows ----


@part
def gather(sums: Array, into: Array) -> None:
    """Add up the columns of each block of a row of blocks, and begin anew."""
    columns = sums.shape[0]
    for block in range(into.shape[0]):
        total = i32(0)
        for i in range(block * BLOCK, min(columns, (block + 1) * BLOCK)):
            total += i32(sums[i])
        into[block] = total
    sums[:] = 0


@kernel(types.void, PLANE, PLANE, COUNTS_OUT)
def changes(before: Array, now: Array, out: Array) -> None:
    """The sum of absolute differences of each block; blocks at the right and below may be smaller."""
    rows, columns = now.shape
    sums = np.zeros(columns, u16)
    for row in range(rows):
        old, new = before[row], now[row]
        for i in range(usize(columns)):
            sums[i] = u16(sums[i] + u16(abs(i16(i16(old[i]) - i16(new[i])))))
        if row % BLOCK == BLOCK - 1 or row == rows - 1:
            gather(sums, out[row // BLOCK])


@kernel(types.void, PLANE, PLANE, PLANE, types.int64, types.int64, COUNTS_OUT)
def combed(before: Array, now: Array, after: Array, least: int, least_motion: int, out: Array) -> None:
    """How many pixels of each block lie above, or below, both their upper and lower neighbour by more than `least`.

    Counted only where the pixel or one of the two differs by `least_motion` or more from the frame before or after.
    """
    rows, columns = now.shape
    sums, moved = np.zeros(columns, u16), np.zeros(columns, i16)
    step, motion = i16(least), i16(least_motion)
    for row in range(1, rows - 1):
        moved[:] = 0
        for near in range(row - 1, row + 2):
            was, here, will = before[near], now[near], after[near]
            for i in range(usize(columns)):
                past = i16(abs(i16(i16(was[i]) - i16(here[i]))))
                moved[i] = max(moved[i], past, i16(abs(i16(i16(will[i]) - i16(here[i])))))
        up, here, down = now[row - 1], now[row], now[row + 1]
        for i in range(usize(columns)):
            over, under = i16(i16(here[i]) - i16(up[i])), i16(i16(here[i]) - i16(down[i]))
            is_comb = (min(over, under) > step) | (max(over, under) < i16(-step))
            sums[i] = u16(sums[i] + u16(is_comb & (moved[i] >= motion)))
        if row % BLOCK == BLOCK - 1:
            gather(sums, out[row // BLOCK])
    gather(sums, out[(rows - 1) // BLOCK])
