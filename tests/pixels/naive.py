"""The twins: what gateway/pixels does, said once more as slowly and plainly as possible, in float64 and Python's integers.

Nothing here comes from gateway/pixels: addresses, equations and rules are written from V4L2's documentation, BT.601,
BT.709 and BT.2020, and the published description of yadif.
"""

import math
from fractions import Fraction

import numpy as np

KR_KB = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}


def picture(fmt, frames, *, crop=None, deinterlace="none", top_first=True, mask=()):
    """frames: previous, current, following as bytes. Returns (rows, columns, 3) of levels, not yet rounded."""
    stacks = [planes(fmt, raw) for raw in frames]
    if deinterlace != "none":
        fill = {"bob": bob, "bwdif": bwdif}.get(deinterlace, yadif)
        now = [fill(*(stack[p] for stack in stacks), top_first) for p in range(3)]
    else:
        now = stacks[1]
    rgb = colour(fmt, now)
    for x, y, w, h in mask:
        rgb[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = 0
    x, y, w, h = crop or (0, 0, fmt.width_px, fmt.height_px)
    return rgb[y : y + h, x : x + w]


def planes(fmt, raw):
    """Three planes: (rows, columns) of Y, or of R, G, B; chroma (rows, pairs of columns), rows repeated for 4:2:0."""
    w, h, stride, kind = fmt.width_px, fmt.height_px, fmt.stride_bytes, fmt.pixel_format
    pairs = (w + 1) // 2
    if kind in ("YUYV", "UYVY", "YVYU", "VYUY"):
        y, u, v = (kind.index("Y"), kind.index("U"), kind.index("V"))
        return (
            grid(h, w, lambda r, c: raw[r * stride + c // 2 * 4 + y + (c % 2) * 2]),
            grid(h, pairs, lambda r, c: raw[r * stride + c * 4 + u]),
            grid(h, pairs, lambda r, c: raw[r * stride + c * 4 + v]),
        )
    if kind == "GREY":
        none = grid(h, w, lambda r, c: 128)
        return grid(h, w, lambda r, c: raw[r * stride + c]), none, none
    if kind in ("NV12", "NV21"):
        chroma = h * stride
        wide = stride + stride % 2
        u = 0 if kind == "NV12" else 1
        return (
            grid(h, w, lambda r, c: raw[r * stride + c]),
            grid(h, pairs, lambda r, c: raw[chroma + shared(fmt, r) * wide + 2 * c + u]),
            grid(h, pairs, lambda r, c: raw[chroma + shared(fmt, r) * wide + 2 * c + 1 - u]),
        )
    if kind in ("YU12", "YV12"):
        half = (stride + 1) // 2
        first, second = h * stride, h * stride + (h + 1) // 2 * half
        u, v = (first, second) if kind == "YU12" else (second, first)
        return (
            grid(h, w, lambda r, c: raw[r * stride + c]),
            grid(h, pairs, lambda r, c: raw[u + shared(fmt, r) * half + c]),
            grid(h, pairs, lambda r, c: raw[v + shared(fmt, r) * half + c]),
        )
    order, size = {"RGB3": ((0, 1, 2), 3), "BGR3": ((2, 1, 0), 3), "XR24": ((2, 1, 0), 4), "BGR4": ((2, 1, 0), 4),
                   "YUV3": ((0, 1, 2), 3)}[kind]  # fmt: skip
    return tuple(grid(h, w, lambda r, c, at=at: raw[r * stride + c * size + at]) for at in order)


def shared(fmt, row):
    """4:2:0: which chroma row a luma row uses; in interlaced frames the rows of one field share theirs."""
    if fmt.field.name.startswith("INTERLACED"):
        return min(row // 4 * 2 + row % 2, (fmt.height_px + 1) // 2 - 1)
    return row // 2


def grid(rows, columns, at):
    return np.array([[int(at(r, c)) for c in range(columns)] for r in range(rows)], dtype=np.int64)


def colour(fmt, three):
    """Levels in float64, 0 to 255, not rounded."""
    first, second, third = (plane.astype(np.float64) for plane in three)
    offset, luma, chroma = (16.0, 255 / 219, 255 / 224) if fmt.range == "limited" else (0.0, 1.0, 1.0)
    if fmt.pixel_format in ("RGB3", "BGR3", "XR24", "BGR4"):
        return np.clip((np.stack([first, second, third], axis=-1) - offset) * luma, 0, 255)
    w = first.shape[1]
    if second.shape[1] != w:
        second, third = np.repeat(second, 2, axis=1)[:, :w], np.repeat(third, 2, axis=1)[:, :w]
    kr, kb = KR_KB[str(fmt.matrix)]
    kg = 1 - kr - kb
    y, u, v = (first - offset) * luma, (second - 128) * chroma, (third - 128) * chroma
    red = y + 2 * (1 - kr) * v
    green = y - 2 * kb * (1 - kb) / kg * u - 2 * kr * (1 - kr) / kg * v
    blue = y + 2 * (1 - kb) * u
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255)


def bob(_previous, current, _following, top_first):
    """The rows of the later field become the average of their neighbours in the earlier one."""
    out = current.copy()
    rows = current.shape[0]
    for r in range(1 if top_first else 0, rows, 2):
        up = r - 1 if r > 0 else r + 1
        down = r + 1 if r + 1 < rows else r - 1
        out[r] = (current[up].astype(int) + current[down]) // 2
    return out


def yadif(previous, current, following, top_first):
    """Yet another de-interlacing filter, one frame for each frame, as its description says."""
    return filled(yadif_pixel, previous, current, following, top_first)


def filled(pixel, previous, current, following, top_first):
    """The rows of the later field, each pixel made by `pixel(previous, current, following, row, column)`."""
    out = current.copy()
    rows, columns = current.shape
    for r in range(1 if top_first else 0, rows, 2):
        for x in range(columns):
            out[r, x] = pixel(previous, current, following, r, x)
    return out


def yadif_pixel(prev, cur, nxt, r, x):
    rows, columns = cur.shape
    up = r - 1 if r > 0 else r + 1
    down = r + 1 if r + 1 < rows else r - 1
    c, e = int(cur[up, x]), int(cur[down, x])
    was, will = int(prev[r, x]), int(cur[r, x])  # the later field: of the frame before, and of this one
    d = (was + will) >> 1
    change = abs(was - will)
    before = (abs(int(prev[up, x]) - c) + abs(int(prev[down, x]) - e)) >> 1
    after = (abs(int(nxt[up, x]) - c) + abs(int(nxt[down, x]) - e)) >> 1
    reach = max(change >> 1, before, after)
    guess = (c + e) >> 1
    if 3 <= x < columns - 3:
        best = score(cur, up, down, x, 0) - 1
        for side in (-1, 1):
            for shift in (side, 2 * side):
                if score(cur, up, down, x, shift) >= best:
                    break
                best = score(cur, up, down, x, shift)
                guess = (int(cur[up, x + shift]) + int(cur[down, x - shift])) >> 1
    if r != 1 and r != rows - 2:
        up2 = r - 2 if r > 0 else 2
        down2 = r + 2 if r + 1 < rows else rows - 3
        b = ((int(prev[up2, x]) + int(cur[up2, x])) >> 1) - c
        f = ((int(prev[down2, x]) + int(cur[down2, x])) >> 1) - e
        highest = max(d - e, d - c, min(b, f))
        lowest = min(d - e, d - c, max(b, f))
        reach = max(reach, lowest, -highest)
    return min(max(guess, d - reach), d + reach)


def score(cur, up, down, x, shift):
    return sum(abs(int(cur[up, x + k + shift]) - int(cur[down, x + k - shift])) for k in (-1, 0, 1))


def shrink(source, rows, columns):
    """Area average in float64: every output pixel is the integral of the source over the part it covers, over its area."""
    old_rows, old_columns, samples = source.shape
    across = coverage(old_columns, columns)
    down = coverage(old_rows, rows)
    return np.einsum("rR,cC,RCs->rcs", down, across, source.astype(np.float64)).reshape(rows, columns, samples)


def coverage(old, new):
    table = np.zeros((new, old))
    for n in range(new):
        begin, end = n * old / new, (n + 1) * old / new
        for o in range(math.floor(begin), min(math.ceil(end), old)):
            table[n, o] = (min(end, o + 1) - max(begin, o)) * new / old
    return table


def luma(rgb, matrix):
    kr, kb = KR_KB[str(matrix)]
    return rgb.astype(np.float64) @ np.array([kr, 1 - kr - kb, kb])


def packbits(segment):
    """PS3.5 G.3.2, byte by byte."""
    out, at = bytearray(), 0
    while at < len(segment):
        n = segment[at]
        if n < 128:
            out += segment[at + 1 : at + 2 + n]
            at += 2 + n
        elif n > 128:
            out += segment[at + 1 : at + 2] * (257 - n)
            at += 2
        else:
            at += 1
    return bytes(out)


def bwdif(previous, current, following, top_first):
    """Bob Weaver: yadif's limits on motion, and between them the filters of the BBC's w3fdif, in exact integers."""
    return filled(bwdif_pixel, previous, current, following, top_first)


def bwdif_pixel(prev, cur, nxt, r, x):
    rows = cur.shape[0]

    def at(frame, row):
        return int(frame[row, x])

    up = r - 1 if r > 0 else r + 1
    down = r + 1 if r + 1 < rows else r - 1
    c, e, was, will = at(cur, up), at(cur, down), at(prev, r), at(cur, r)
    d = (was + will) >> 1
    reach = max(
        abs(was - will) >> 1,
        (abs(at(prev, up) - c) + abs(at(prev, down) - e)) >> 1,
        (abs(at(nxt, up) - c) + abs(at(nxt, down) - e)) >> 1,
    )
    if reach == 0:
        return d
    if r >= 2 and r + 3 <= rows:
        b = ((at(prev, r - 2) + at(cur, r - 2)) >> 1) - c
        f = ((at(prev, r + 2) + at(cur, r + 2)) >> 1) - e
        reach = max(reach, min(d - e, d - c, max(b, f)), -max(d - e, d - c, min(b, f)))
    if r < 4 or r + 5 > rows:
        guess = (c + e) >> 1
    else:
        beyond = at(cur, r - 3) + at(cur, r + 3)
        near, far = (sum(at(frame, row) for frame in (prev, cur) for row in (r - k, r + k)) for k in (2, 4))
        if abs(c - e) > abs(was - will):
            guess = (((5570 * (was + will) - 3801 * near + 1016 * far) >> 2) + 4309 * (c + e) - 213 * beyond) >> 13
        else:
            guess = (5077 * (c + e) - 981 * beyond) >> 13
    return min(max(min(max(guess, d - reach), d + reach), 0), 255)


def levels(picture, black, white):
    return np.clip((picture.astype(np.float64) - black) * 255 / (white - black), 0, 255)


def covered(polygons, left, top, rows, columns):
    """Which pixels' centres lie in any of the polygons: by counting what a ray to the right crosses, in fractions."""
    return np.array(
        [[any(inside(p, left + c, top + r) for p in polygons) for c in range(columns)] for r in range(rows)]
    )


def inside(polygon, x, y):
    middle_x, middle_y = Fraction(2 * x + 1, 2), Fraction(2 * y + 1, 2)
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 > middle_y) != (y1 > middle_y):
            crossings += x0 + (middle_y - y0) * (x1 - x0) / (y1 - y0) > middle_x
    return crossings % 2 == 1


def deep(fmt, raw, bits, crop, levels):
    """Little-endian words, range and levels as floats."""
    x, y, w, h = crop or (0, 0, fmt.width_px, fmt.height_px)
    most = (1 << bits) - 1
    value = grid(
        h, w, lambda r, c: int.from_bytes(bytes(raw[(y + r) * fmt.stride_bytes + 2 * (x + c) :][:2]), "little")
    )
    value = np.minimum(value, most).astype(np.float64)
    if fmt.range == "limited":
        value = (value - 16 * 2 ** (bits - 8)) * most / (219 * 2 ** (bits - 8))
    low, high = (level / 255 * most for level in levels)
    return np.clip((value - low) * most / (high - low), 0, most)


def square(picture, pixel_aspect, how):
    """Along one axis: area averages over the shorter side's pitch, or Lanczos sums of three lobes over the longer's."""
    tall, wide = pixel_aspect
    rows, columns, _ = picture.shape
    if tall == wide:
        return picture.astype(np.float64)
    ratio = max(tall, wide) / min(tall, wide)
    is_across = (wide > tall) == (how == "lanczos")
    old = columns if is_across else rows
    new = max(1, round(old * ratio if how == "lanczos" else old / ratio))
    table = lanczos(old, new) if how == "lanczos" else coverage(old, new)
    summed = np.einsum("nC,RCs->Rns" if is_across else "nR,RCs->nCs", table, picture.astype(np.float64))
    return np.clip(summed, 0, 255) if picture.dtype == np.uint8 else summed


def lanczos(old, new):
    table = np.zeros((new, old))
    for n in range(new):
        middle = (n + 0.5) * old / new - 0.5
        for k in range(math.floor(middle) - 2, math.floor(middle) + 4):
            d = k - middle
            weight = 1.0 if d == 0 else 3 * math.sin(math.pi * d) * math.sin(math.pi * d / 3) / (math.pi * d) ** 2
            table[n, min(max(k, 0), old - 1)] += weight if abs(d) < 3 else 0
        table[n] /= table[n].sum()
    return table


def block_change(before, now):
    """Mean absolute difference of each block of 16 x 16."""
    difference = np.abs(before.astype(int) - now)
    rows, columns = now.shape
    return np.array(
        [[difference[y : y + 16, x : x + 16].mean() for x in range(0, columns, 16)] for y in range(0, rows, 16)]
    )


def combed(before, now, after, least, motion):
    """How many pixels of each block stand out from both neighbours where something moved."""
    before, now, after = (plane.astype(int) for plane in (before, now, after))
    rows, columns = now.shape
    counts = np.zeros((-(-rows // 16), -(-columns // 16)), int)
    for y in range(1, rows - 1):
        for x in range(columns):
            over, under = now[y, x] - now[y - 1, x], now[y, x] - now[y + 1, x]
            moved = max(abs(frame[r, x] - now[r, x]) for frame in (before, after) for r in (y - 1, y, y + 1))
            if (min(over, under) > least or max(over, under) < -least) and moved >= motion:
                counts[y // 16, x // 16] += 1
    return counts
