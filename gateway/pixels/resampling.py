"""A picture of oblong pixels to one of square pixels: along one axis, as the profile asks.

The rule: `area` only averages (it makes the longer side shorter), `lanczos` only adds (it makes the shorter side longer), so
neither throws a line away. Lanczos has three lobes; samples beyond the edge repeat it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway.pixels import retouch
from gateway.pixels.compiled import read_only

Pixels = npt.NDArray[Any]
LOBES = 3


class Resampling(Struct, frozen=True, kw_only=True, eq=False):
    """How one axis gets another length: each new sample is a sum of `taps` with `weights`, both (length, n)."""

    axis: int
    length: int
    taps: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    def run(self, picture: Pixels, most: int, out: Pixels | None = None) -> Pixels:
        """Return the picture, (rows, columns, 3) uint8 or (rows, columns) uint16 of levels to `most`, with the new length."""
        shape = tuple(self.length if axis == self.axis else size for axis, size in enumerate(picture.shape))
        made = np.empty(shape, picture.dtype) if out is None else out
        if picture.dtype != np.uint8:
            self._deep(picture, most, made)
            return made
        kernel = retouch.resample_columns if self.axis else retouch.resample_rows
        kernel(read_only(picture), self.taps, self.weights, made)
        return made

    def _deep(self, picture: Pixels, most: int, made: Pixels) -> None:
        sums = np.zeros(made.shape)
        for tap in range(self.taps.shape[1]):
            weight = self.weights[:, tap].astype(np.float64)
            sums += np.take(picture, self.taps[:, tap], axis=self.axis) * (weight if self.axis else weight[:, None])
        made[...] = np.clip(np.floor(sums + 0.5), 0, most)


def to_square(
    rows: int, columns: int, pixel_aspect: tuple[int, int], how: Literal["area", "lanczos"]
) -> Resampling | None:
    """Return what makes pixels of this height to width square; None when they are, or there is nothing to gain."""
    tall, wide = pixel_aspect
    is_enlarged = how == "lanczos"
    axis = int((wide > tall) == is_enlarged)
    old = columns if axis else rows
    new = max(
        1, round(old * max(tall, wide) / min(tall, wide) if is_enlarged else old * min(tall, wide) / max(tall, wide))
    )
    if new == old:
        return None
    taps, weights = _lanczos(old, new) if is_enlarged else _area(old, new)
    return Resampling(axis=axis, length=new, taps=read_only(taps), weights=read_only(weights.astype(np.float32)))


def _lanczos(old: int, new: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    middle = (np.arange(new) + 0.5) * old / new - 0.5
    near = np.floor(middle).astype(np.int64)[:, None] + np.arange(1 - LOBES, LOBES + 1)
    distance = near - middle[:, None]
    weights = np.sinc(distance) * np.sinc(distance / LOBES)
    return np.clip(near, 0, old - 1), weights / weights.sum(axis=1, keepdims=True)


def _area(old: int, new: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    begin, end = np.arange(new) * old / new, np.minimum((np.arange(new) + 1) * old / new, old)
    near = np.floor(begin).astype(np.int64)[:, None] + np.arange(int(np.ceil(old / new)) + 1)
    covered = np.minimum(end[:, None], near + 1) - np.maximum(begin[:, None], near)
    return np.clip(near, 0, old - 1), np.maximum(covered, 0) * new / old
