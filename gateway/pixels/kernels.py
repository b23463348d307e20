"""Raw buffers to pictures: the one pass over the rows that touches every sample, compiled by Numba.

The rule: every kernel is held to a float64 twin in tests/pixels/naive.py. Colour follows ITU-R BT.601, BT.709 and BT.2020
with 5 fractional bits in 16-bit integers.

How the loops are written, and why. LLVM turns a loop into SIMD when it reads and writes with unit stride (a stride of 2 or
3 costs a shuffle), has no branch, and stores to few arrays: so each row is taken apart into planar rows once (`unpack`) and
every step is a short loop over planar rows that stay in the cache. Indices are unsigned (`usize`), because Numba tests a
signed one for being negative, and integers are narrowed after each operation, because Numba widens all to 64 bits.
`high(a, b)` is one SIMD instruction (the high half of a product), but only with both factors 16 bits wide inside the loop.
Pixels of 4:2:2 are made two at a time, as three 16-bit words (R G, B R, G B): half as much to interleave as bytes.
"""

from __future__ import annotations

import numpy as np
from numba import types

from gateway.pixels.compiled import (
    BYTES,
    BYTES_OUT,
    COEFFICIENTS,
    DEEP,
    DEEP_OUT,
    PICTURE_OUT,
    PLANE_OUT,
    TABLE,
    Array,
    kernel,
    part,
)

u8, i16, u16, i32, usize = np.uint8, np.int16, np.uint16, np.int32, np.uintp

YCC_HALF, YCC_FULL, RGB, LUMA = 0, 1, 2, 3
"""What the three planes are: Y'CbCr with one chroma sample for two luma samples, with one for each, R'G'B', or Y' alone."""

WEAVE, BOB, ADAPTIVE, BWDIF = 0, 1, 2, 3
"""What is done with the rows of the later field: kept, made from the earlier field, or made as motion asks in either way."""

WINDOW = 16
"""Rows of each frame that are held unpacked: a power of two, and more than BWDIF looks up and down."""


# ---- rows ----


@part
def whole_vectors(count: int) -> int:
    """Enough columns that no loop over work rows has a rest, which would be run one by one; their tails are garbage."""
    return count + 63 & ~63


@part
def take(raw: Array, at: int, step: int, count: int, spare: Array, into: Array) -> None:
    """Take every `step`-th byte from `at` on. `spare` holds 2 x count bytes."""
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
    else:  # 4, in two steps of 2, which LLVM has shuffles for
        for i in range(usize(2 * count - 1)):
            spare[i] = raw[begin + usize(2) * i]
        for i in range(usize(count)):
            into[i] = spare[usize(2) * i]


@part
def take_pairs(raw: Array, at: int, count: int, spare: Array, first: Array, second: Array) -> None:
    """Take bytes `at` and at + 2 of every four."""
    begin = usize(at)
    for i in range(usize(2 * count)):
        spare[i] = raw[begin + usize(2) * i]
    for i in range(usize(count)):
        first[i] = spare[usize(2) * i]
        second[i] = spare[usize(2) * i + usize(1)]


@part
def unpack(raw: Array, at: Array, row: int, steps: Array, counts: Array, spare: Array, into: Array) -> None:
    """One row of a frame to three planar rows; planes without samples (step 0) are left as they are."""
    take(raw, at[0, row], steps[0], counts[0], spare, into[0])
    first, second = at[1, row], at[2, row]
    if steps[1] == 4 and second - first == 2:
        take_pairs(raw, first, counts[1], spare, into[1], into[2])
    elif steps[1] == 4 and first - second == 2:
        take_pairs(raw, second, counts[1], spare, into[2], into[1])
    elif steps[1] != 0:
        take(raw, first, steps[1], counts[1], spare, into[1])
        take(raw, second, steps[1], counts[1], spare, into[2])


# ---- colour ----


@part
def high(a: np.int16, b: np.int16) -> np.int16:
    """The high half of a product."""
    return i16(i32(i32(a) * i32(b)) >> i32(16))


@part
def brightness(sample: np.uint8, black: np.int16, gain: np.int16) -> np.int16:
    """(Y' - black) x gain in 32nds of a level, plus half a level; gain is in 16384ths."""
    return i16(high(i16(i16(i16(sample) - black) << i16(7)), gain) + i16(16))


@part
def centred(sample: np.uint8) -> np.int16:
    """C - 128, times 256: what `high` with a gain in 8192nds makes 32nds of a level of."""
    return i16(i16(i16(sample) - i16(128)) << i16(8))


@part
def level(sum_: np.int16) -> np.int16:
    """32nds of a level to a level, 0 to 255."""
    return min(max(i16(sum_ >> i16(5)), i16(0)), i16(255))


@part
def word(first: np.int16, second: np.int16) -> np.uint16:
    """Two sums to two bytes, the first at the lower address."""
    return u16(u16(level(first)) | u16(u16(level(second)) << u16(8)))


@part
def pairs_of_pixels(y: Array, u: Array, v: Array, colour: Array, count: int, rg: Array, br: Array, gb: Array) -> None:
    """Planar Y'CbCr, half the chroma, to the three words of each two pixels."""
    black, gain = i16(colour[0]), i16(colour[1])
    v_red, u_green, v_green, u_blue = i16(colour[2]), i16(colour[3]), i16(colour[4]), i16(colour[5])
    for i in range(usize(count)):
        blueness, redness = centred(u[i]), centred(v[i])
        red, blue = high(redness, v_red), high(blueness, u_blue)
        green = i16(high(blueness, u_green) + high(redness, v_green))
        left, right = brightness(y[usize(2) * i], black, gain), brightness(y[usize(2) * i + usize(1)], black, gain)
        rg[i] = word(i16(left + red), i16(left + green))
        br[i] = word(i16(left + blue), i16(right + red))
        gb[i] = word(i16(right + green), i16(right + blue))


@part
def weave_words(rg: Array, br: Array, gb: Array, first: int, count: int, into: Array, at: int) -> None:
    """Words of two pixels each, from pair `first` on, to a row of pixels."""
    begin, target = usize(first), usize(at)
    for i in range(usize(count)):
        into[target + usize(3) * i] = rg[begin + i]
        into[target + usize(3) * i + usize(1)] = br[begin + i]
        into[target + usize(3) * i + usize(2)] = gb[begin + i]


@part
def pixels_of(y: Array, u: Array, v: Array, colour: Array, count: int, red: Array, green: Array, blue: Array) -> None:
    """Planar Y'CbCr, all the chroma, to planar R'G'B'."""
    black, gain = i16(colour[0]), i16(colour[1])
    v_red, u_green, v_green, u_blue = i16(colour[2]), i16(colour[3]), i16(colour[4]), i16(colour[5])
    for i in range(usize(count)):
        blueness, redness, luma = centred(u[i]), centred(v[i]), brightness(y[i], black, gain)
        red[i] = u8(level(i16(luma + high(redness, v_red))))
        green[i] = u8(level(i16(luma + i16(high(blueness, u_green) + high(redness, v_green)))))
        blue[i] = u8(level(i16(luma + high(blueness, u_blue))))


@part
def expand(plane: Array, colour: Array, count: int, into: Array) -> None:
    """One plane without chroma to full range."""
    black, gain = i16(colour[0]), i16(colour[1])
    for i in range(usize(count)):
        into[i] = u8(level(brightness(plane[i], black, gain)))


@part
def weave_rgb(red: Array, green: Array, blue: Array, first: int, count: int, into: Array) -> None:
    """Three planar rows, from `first` on, to one row of pixels."""
    begin = usize(first)
    for i in range(usize(count)):
        into[usize(3) * i] = red[begin + i]
        into[usize(3) * i + usize(1)] = green[begin + i]
        into[usize(3) * i + usize(2)] = blue[begin + i]


@part
def whole_row(
    kind: int, planes: Array, colour: Array, taken: int, first: int, columns: int, rgb: Array, into: Array
) -> None:
    """Three planar rows of the same length to one row of pixels."""
    run = whole_vectors(taken)
    if kind == YCC_FULL:
        pixels_of(planes[0], planes[1], planes[2], colour, run, rgb[0], rgb[1], rgb[2])
    else:
        for plane in range(1 if kind == LUMA else 3):
            expand(planes[plane], colour, run, rgb[plane])
    if kind == LUMA:
        weave_rgb(rgb[0], rgb[0], rgb[0], first, columns, into)
    else:
        weave_rgb(rgb[0], rgb[1], rgb[2], first, columns, into)


# ---- de-interlacing: one missing row of one plane ----


@part
def average(above: Array, below: Array, count: int, into: Array) -> None:
    """The middle of two rows, halves downwards."""
    for i in range(usize(count)):
        into[i] = u8(i16(i16(above[i]) + i16(below[i])) >> i16(1))


@part
def average_wide(above: Array, below: Array, count: int, into: Array) -> None:
    """The same, as a guess."""
    for i in range(usize(count)):
        into[i] = i16(i16(i16(above[i]) + i16(below[i])) >> i16(1))


@part
def apart(a: np.uint8, b: np.uint8) -> np.uint8:
    """How far two samples are apart, in a byte."""
    return u8(max(a, b) - min(a, b))


@part
def mean(a: np.uint8, b: np.uint8) -> np.uint8:
    """The middle of two samples, halves downwards, in a byte."""
    return u8(u8(a & b) + u8(u8(a ^ b) >> u8(1)))


@part
def reach_of_motion(
    above: Array, below: Array, was: Array, will: Array, above_was: Array, below_was: Array, above_will: Array,
    below_will: Array, count: int, into: Array,
) -> None:  # fmt: skip
    """How much the row, and its neighbours, changed from frame to frame: the most of half, and of two means."""
    for i in range(usize(count)):
        change = u8(apart(was[i], will[i]) >> u8(1))
        before = mean(apart(above_was[i], above[i]), apart(below_was[i], below[i]))
        after = mean(apart(above_will[i], above[i]), apart(below_will[i], below[i]))
        into[i] = max(change, before, after)


@part
def reach_of_lines(
    above: Array, below: Array, was: Array, will: Array, was_up: Array, will_up: Array, was_down: Array,
    will_down: Array, motion: Array, still_kept: int, count: int, into: Array,
) -> None:  # fmt: skip
    """Raise motion to what the lines beyond allow: where they rise and fall as the row between them does, nothing is combed.

    `still_kept` is 1: where nothing moved at all, nothing is raised.
    """
    raised = i16(0) if still_kept == 1 else i16(-1)
    for i in range(usize(count)):
        now = i16(i16(i16(was[i]) + i16(will[i])) >> i16(1))
        over, under = i16(now - i16(above[i])), i16(now - i16(below[i]))
        up = i16(i16(i16(i16(was_up[i]) + i16(will_up[i])) >> i16(1)) - i16(above[i]))
        down = i16(i16(i16(i16(was_down[i]) + i16(will_down[i])) >> i16(1)) - i16(below[i]))
        top, low = max(over, under, min(up, down)), min(over, under, max(up, down))
        moved = i16(motion[i])
        into[i] = max(moved, low, i16(-top)) if moved > raised else i16(0)


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
        into[i + usize(3)] = i16(total >> i16(1))
    for i in range(count):
        if i < 3 or i >= count - 3:
            into[i] = i16(i16(i16(above[i]) + i16(below[i])) >> i16(1))


@part
def clamp(guess: Array, was: Array, will: Array, reach: Array, count: int, into: Array) -> None:
    """Keep the guess within reach of what stood there in time, and of what a byte holds."""
    for i in range(usize(count)):
        now = i16(i16(i16(was[i]) + i16(will[i])) >> i16(1))
        kept = min(max(i16(guess[i]), i16(now - reach[i])), i16(now + reach[i]))
        into[i] = u8(min(max(kept, i16(0)), i16(255)))


@part
def widen(motion: Array, count: int, into: Array) -> None:
    """Take the reach of motion alone."""
    for i in range(usize(count)):
        into[i] = i16(motion[i])


@part
def sum_of_four(a: Array, b: Array, c: Array, d: Array, count: int, into: Array) -> None:
    """Add four rows."""
    for i in range(usize(count)):
        into[i] = i16(i16(i16(a[i]) + i16(b[i])) + i16(i16(c[i]) + i16(d[i])))


@part
def guess_by_filters(
    above: Array, below: Array, above_3: Array, below_3: Array, was: Array, will: Array, near: Array, far: Array,
    taps: Array, count: int, into: Array,
) -> None:  # fmt: skip
    """BBC's w3fdif filters as bwdif uses them: in space alone, or where the lines differ more than time does, with time.

    `near` and `far` are the sums of the past and the coming row two and four lines up and down. Taps are libavfilter's, in
    8192nds, scaled so that sums are 32nds of a level from the middle and 16 bits hold them: at most one level off.
    """
    near_t, near_l, far_l, moving_1 = taps[0], taps[1], taps[2], taps[3]
    moving_3, resting_1, resting_3 = taps[4], taps[5], taps[6]
    for i in range(usize(count)):
        lines = i16(i16(i16(i16(above[i]) + i16(below[i])) - i16(256)) << i16(6))
        beyond = i16(i16(i16(i16(above_3[i]) + i16(below_3[i])) - i16(256)) << i16(6))
        in_time = i16(i16(i16(i16(was[i]) + i16(will[i])) - i16(256)) << i16(6))
        moving = i16(high(in_time, near_t) - high(i16(i16(near[i] - i16(512)) << i16(5)), near_l))
        moving = i16(i16(moving + high(i16(i16(far[i] - i16(512)) << i16(5)), far_l)) >> i16(2))
        moving = i16(moving + i16(high(lines, moving_1) - high(beyond, moving_3)))
        resting = i16(high(lines, resting_1) - high(beyond, resting_3))
        is_sharp = apart(above[i], below[i]) > apart(was[i], will[i])
        into[i] = i16(i16((moving if is_sharp else resting) >> i16(5)) + i16(128))


@part
def beside(row: int, rows: int) -> tuple[int, int]:
    """The rows above and below; at the picture's edge the one row twice."""
    return (row - 1 if row > 0 else row + 1), (row + 1 if row + 1 < rows else row - 1)


@part
def bob_row(now: Array, row: int, rows: int, plane: int, count: int, into: Array) -> None:
    """A missing row from the rows above and below it in the same field; `now` is a window of unpacked rows."""
    up, down = beside(row, rows)
    average(now[up % WINDOW, plane], now[down % WINDOW, plane], whole_vectors(count), into)


@part
def moving_row(
    method: int, before: Array, now: Array, after: Array, row: int, rows: int, plane: int, count: int, work: Array,
    motion: Array, taps: Array, into: Array,
) -> None:  # fmt: skip
    """A missing row as yadif or bwdif fill it: a guess, but never further from past and future than motion allows.

    The row belongs to the later field, so that field of `before` came before the kept one, that of `now` after. The three
    are windows of unpacked rows.
    """
    reach, guess, near, far, run = work[0], work[1], work[2], work[3], whole_vectors(count)
    is_inside = 1 < row < rows - 2
    up, down = beside(row, rows)
    above, below = now[up % WINDOW, plane], now[down % WINDOW, plane]
    was, will = before[row % WINDOW, plane], now[row % WINDOW, plane]
    reach_of_motion(
        above, below, was, will, before[up % WINDOW, plane], before[down % WINDOW, plane], after[up % WINDOW, plane],
        after[down % WINDOW, plane], run, motion,
    )  # fmt: skip
    if is_inside or (method == ADAPTIVE and (row == 0 or row == rows - 1)):
        far_up, far_down = (row - 2 if row > 0 else 2), (row + 2 if row + 1 < rows else rows - 3)
        was_up, will_up = before[far_up % WINDOW, plane], now[far_up % WINDOW, plane]
        was_down, will_down = before[far_down % WINDOW, plane], now[far_down % WINDOW, plane]
        still_kept = int(method == BWDIF)
        reach_of_lines(above, below, was, will, was_up, will_up, was_down, will_down, motion, still_kept, run, reach)
        if method == BWDIF:
            sum_of_four(was_up, will_up, was_down, will_down, run, near)
    else:
        widen(motion, run, reach)
    if method == ADAPTIVE:
        guess_along_edges(above, below, count, run, guess)
    elif row < 4 or row + 5 > rows:
        average_wide(above, below, run, guess)
    else:
        top, bottom = row - 4, row + 4
        sum_of_four(
            before[top % WINDOW, plane], now[top % WINDOW, plane], before[bottom % WINDOW, plane],
            now[bottom % WINDOW, plane], run, far,
        )  # fmt: skip
        above_3, below_3 = now[(row - 3) % WINDOW, plane], now[(row + 3) % WINDOW, plane]
        guess_by_filters(above, below, above_3, below_3, was, will, near, far, taps, run, guess)
    clamp(guess, was, will, reach, run, into)


# ---- what Python calls ----


@kernel(
    types.void, BYTES, BYTES, BYTES, TABLE, types.int64, types.int64, types.int64, types.int64, types.int64, types.int64,
    types.int64, types.int64, COEFFICIENTS, PICTURE_OUT,
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
    steps, counts = np.array([luma_step, chroma_step]), np.array([taken, half])
    ahead = 0 if method == WEAVE else 1 if method == BOB else 2 if method == ADAPTIVE else 4
    held = 1 if method == WEAVE else WINDOW
    now = np.empty((held, 3, width), u8)
    before, after = (now, now) if method <= BOB else (np.empty_like(now), np.empty_like(now))
    made, rgb = np.empty((3, width), u8), np.empty((3, width), u8)
    spare, motion, work = np.empty(2 * width, u8), np.empty(width, u8), np.empty((4, width), i16)
    taps = np.array([22280, 30408, 8128, 17236, 852, 20308, 3924]).astype(i16)  # 5570 3801 1016, 4309 213, 5077 981
    words, woven = np.empty((3, width), u16), np.empty(3 * width, u16)
    woven_bytes = woven.view(u8)
    is_even = first % 2 == 0 and columns % 2 == 0
    flat_words = out.reshape(3 * rows * columns).view(u16) if is_even else woven
    coming, end = max(0, first_row - ahead), at.shape[1]
    for line in range(rows):
        row = first_row + line
        while coming < min(row + ahead + 1, end):
            unpack(current, at, coming, steps, counts, spare, now[coming % held])
            if method > BOB:
                unpack(previous, at, coming, steps, counts, spare, before[coming % held])
                if coming % 2 != missing:
                    unpack(following, at, coming, steps, counts, spare, after[coming % held])
            coming += 1
        planes = now[row % held]
        if method != WEAVE and row % 2 == missing:
            for plane in range(1 if chroma_step == 0 else 3):
                count = taken if plane == 0 else half
                if method == BOB:
                    bob_row(now, row, end, plane, count, made[plane])
                else:
                    moving_row(method, before, now, after, row, end, plane, count, work, motion, taps, made[plane])
            planes = made
        if kind != YCC_HALF:
            whole_row(kind, planes, colour, taken, first, columns, rgb, flat[line])
            continue
        pairs_of_pixels(planes[0], planes[1], planes[2], colour, whole_vectors(half), words[0], words[1], words[2])
        if is_even:
            weave_words(words[0], words[1], words[2], first // 2, columns // 2, flat_words, line * (3 * columns // 2))
        else:
            weave_words(words[0], words[1], words[2], 0, half, woven, 0)
            take(woven_bytes, 3 * first, 1, 3 * columns, spare, flat[line])


@kernel(
    types.void, BYTES, TABLE, types.int64, types.int64, types.int64, types.int64, types.float64, types.float64, DEEP_OUT
)  # fmt: skip
def to_deep(
    current: Array, at: Array, method: int, missing: int, first_row: int, most: int, black: float, white: float, out: Array,
) -> None:  # fmt: skip
    """Little-endian 16-bit grey to levels of 0 to `most`; black and white become 0 and `most`, what lies beyond is cut."""
    rows, columns = out.shape
    gain, end = most / (white - black), at.shape[1]
    for line in range(rows):
        row = first_row + line
        up, down = row, row
        if method != WEAVE and row % 2 == missing:
            up, down = beside(row, end)
        high_, low = usize(at[0, up]), usize(at[0, down])
        into = out[line]
        for i in range(usize(columns)):
            k = usize(2) * i
            above = min(i32(i32(current[high_ + k]) | i32(i32(current[high_ + k + usize(1)]) << i32(8))), i32(most))
            below = min(i32(i32(current[low + k]) | i32(i32(current[low + k + usize(1)]) << i32(8))), i32(most))
            found = i32(i32(above + below) >> i32(1))
            into[i] = u16(min(max((found - black) * gain + 0.5, 0.0), float(most)))


@kernel(types.void, BYTES, TABLE, types.int64, types.int64, types.int64, PLANE_OUT)
def to_luma(raw: Array, at: Array, step: int, first_row: int, first: int, out: Array) -> None:
    """The luma of a buffer (or the high bytes of deep grey, or green) as it came; `at` is of one plane."""
    rows, columns = out.shape
    spare = np.empty(2 * columns, u8)
    for line in range(rows):
        take(raw, at[0, first_row + line] + first * step, step, columns, spare, out[line])


@kernel(types.void, BYTES, BYTES, BYTES, BYTES_OUT)
def median(a: Array, b: Array, c: Array, out: Array) -> None:
    """Of each three bytes the one in the middle."""
    for i in range(usize(out.size)):
        out[i] = max(min(a[i], b[i]), min(max(a[i], b[i]), c[i]))


@kernel(types.void, DEEP, DEEP, DEEP, DEEP_OUT)
def median_deep(a: Array, b: Array, c: Array, out: Array) -> None:
    """Of each three levels the one in the middle."""
    rows, columns = out.shape
    for row in range(rows):
        first, second, third, into = a[row], b[row], c[row], out[row]
        for i in range(usize(columns)):
            into[i] = max(min(first[i], second[i]), min(max(first[i], second[i]), third[i]))
