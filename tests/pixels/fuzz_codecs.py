"""Feeds one decoder broken streams: `python -m tests.pixels.fuzz_codecs UID COUNT SEED`. In a process of its own, which may die.

Streams that are cut, overwritten, changed in a few bytes (most often in the header), or never were one. Prints the counts; a
crash leaves the exit status of its signal, and anything but an array or CodecError a traceback.
"""

import resource
import sys

import imagecodecs
import numpy as np

from gateway.errors import CodecError
from gateway.pixels import codecs

ROWS, COLUMNS = 24, 31


def pictures():
    y, x = np.mgrid[:ROWS, :COLUMNS]
    for dtype, scale in ((np.uint8, 1), (np.uint16, 257)):
        grey = ((x * 7 + y * 5) % 256 * scale).astype(dtype)
        yield grey
        yield np.ascontiguousarray(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1))


def streams(uid, array):
    """What a peer could send under this UID."""
    bits = array.dtype.itemsize * 8
    if uid in codecs.JPEG_DCT:
        deep = {} if bits == 8 else {"bitspersample": 12}
        return [imagecodecs.jpeg8_encode(array if bits == 8 else array >> 4, quality, **deep) for quality in (40, 90)]
    if uid in codecs.JPEG_LOSSLESS:
        return [imagecodecs.jpeg8_encode(array, lossless=True, bitspersample=bits)]
    if uid in codecs.JPEG_LS:
        return [imagecodecs.jpegls_encode(array, level, out=100_000) for level in (0, 3)]
    if uid in codecs.JPEG_2000:
        return [imagecodecs.jpeg2k_encode(array, codecformat=box, level=level, reversible=not level)
                for box in ("j2k", "jp2") for level in (0, 30)]  # fmt: skip
    if uid in codecs.HTJ2K:
        return [imagecodecs.htj2k_encode(array, reversible=True), imagecodecs.htj2k_encode(array, level=0.01)]
    if uid in codecs.JPEG_XL:
        return [imagecodecs.jpegxl_encode(array, lossless=True, usecontainer=box) for box in (False, True)]
    return [codecs.encode(array, "rle")] if uid == codecs.RLE else [array.tobytes()]


def broken(data, rng):
    match rng.integers(6):
        case 0:
            return data[: rng.integers(len(data) + 1)]
        case 1:
            return rng.integers(0, 256, rng.integers(1, 200), dtype=np.uint8).tobytes()
        case 2:
            at = rng.integers(len(data))
            more = rng.integers(0, 256, rng.integers(0, 20), dtype=np.uint8).tobytes()
            return data[:at] + more + data[at + rng.integers(0, 20) :]
    changed = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        reach = min(len(data), 200) if rng.integers(2) else len(data)
        changed[rng.integers(reach)] = rng.integers(256)
    return bytes(changed)


def main(uid, count, seed):
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    rng = np.random.default_rng(seed)
    whole = [(array, data) for array in pictures() for data in streams(uid, array)]
    decoded = 0
    for _ in range(count):
        array, data = whole[rng.integers(len(whole))]
        samples, bits = (3 if array.ndim == 3 else 1), array.dtype.itemsize * 8
        try:
            picture = codecs.decode(broken(data, rng), uid, ROWS, COLUMNS, samples, bits, bool(rng.integers(2)))
        except CodecError:
            continue
        assert picture.shape == array.shape, picture.shape
        assert picture.dtype.itemsize == array.dtype.itemsize, picture.dtype
        decoded += 1
    print(f"{decoded} of {count} decoded")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
