"""Small pictures beside OpenCV, one thread each: the thumbnail of a capture, and the live picture."""

import cv2
import numpy as np

from gateway.model import Field
from gateway.pixels import chain
from gateway.profile import PixelChain
from tests.benchmarks._pixels import TURNS, in_turns, row, source


def run(turns: int = TURNS) -> list[dict[str, object]]:
    """Measure; one row for each piece of work."""
    cv2.setNumThreads(1)
    return [_shrink(turns), _preview(turns)]


def _shrink(turns: int) -> dict[str, object]:
    picture = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    ours, peer = in_turns(
        lambda: chain.shrink(picture, 240),
        lambda: cv2.resize(picture, (240, 135), interpolation=cv2.INTER_AREA),
        turns,
    )
    return row("pixels, thumbnail of 1920x1080", ours, peer, "OpenCV INTER_AREA", 0)


def _preview(turns: int) -> dict[str, object]:
    fmt, (raw, *_) = source(720, 576, Field.INTERLACED)
    built = chain.build(fmt, PixelChain())
    packed = raw.reshape(576, 720, 2)

    def peer() -> None:
        cv2.resize(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUYV), (480, 384), interpolation=cv2.INTER_AREA)

    ours_ms, peer_ms = in_turns(lambda: built.preview(raw, 480), peer, turns)
    return row("pixels, live picture of 720x576", ours_ms, peer_ms, "OpenCV, without the de-interlacing", 0)
