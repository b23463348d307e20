"""Colour alone: YUYV to RGB, one thread, beside OpenCV."""

import cv2
import numpy as np

from gateway.model import Field
from gateway.pixels import chain
from gateway.profile import PixelChain
from tests.benchmarks._pixels import TURNS, in_turns, row, source

GOAL = 1.0


def run(turns: int = 3 * TURNS) -> list[dict[str, object]]:
    """Measure; one row for each size."""
    cv2.setNumThreads(1)
    return [_colour(1920, 1080, turns), _colour(720, 576, turns)]


def _colour(width: int, height: int, turns: int) -> dict[str, object]:
    fmt, (raw, *_) = source(width, height, Field.NONE)
    built = chain.build(fmt, PixelChain())
    packed, out = raw.reshape(height, width, 2), np.empty((height, width, 3), np.uint8)
    ours, peer = in_turns(
        lambda: built.run(None, raw, None, out=out),
        lambda: cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUYV, dst=out),
        turns,
    )
    return row(f"colour, {width}x{height} YUYV to RGB", ours, peer, "OpenCV cvtColor", GOAL)
