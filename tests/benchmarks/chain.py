"""The whole chain of an interlaced frame, one thread, beside an ffmpeg filter graph that does the same.

De-interlace as motion asks, colour, crop, mask, and the freeze metric against the frame before.
"""

import cv2
import numpy as np

from gateway.model import Field
from gateway.pixels import chain, looks
from gateway.profile import PixelChain
from tests.benchmarks._pixels import TURNS, best, ffmpeg, row, source

GOAL = 1.0
SIZES = {"576i": (720, 576, (40, 20, 640, 480)), "1080i": (1920, 1080, (160, 90, 1600, 900))}
FILTERS = {"yadif": "motion_adaptive", "bwdif": "bwdif"}


def run(turns: int = TURNS) -> list[dict[str, object]]:
    """Measure; one row for each size and filter."""
    cv2.setNumThreads(1)
    return [_chain(name, theirs, turns) for name in SIZES for theirs in FILTERS]


def _chain(name: str, theirs: str, turns: int) -> dict[str, object]:
    width, height, crop = SIZES[name]
    fmt, raws = source(width, height, Field.INTERLACED_TB)
    recipe = PixelChain(crop=crop, mask=((crop[0], crop[1], 200, 30),), deinterlace=FILTERS[theirs])
    built = chain.build(fmt, recipe)
    out, copy = (np.empty((built.rows, built.columns, 3), np.uint8) for _ in range(2))
    before = built.luma(raws[0])

    def work() -> None:
        built.run(*raws, out=out)
        looks.change(before, built.luma(raws[1]))

    ours, copying = best(work, turns), best(lambda: np.copyto(copy, out), turns)
    x, y, w, h = crop
    graph = f"{theirs}=send_frame:tff:all,crop={w}:{h}:{x}:{y}:exact=1,freezedetect,drawbox=0:0:200:30:black:fill,format=rgb24"
    note = f"; {ours / copying:.0f} times a copy of the picture"
    return row(f"chain, {name} {theirs}", ours, ffmpeg(raws, width, height, graph), f"ffmpeg {graph}", GOAL, note)
