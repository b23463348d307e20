"""Pixels beside their peers, one thread each: colour and shrinking beside OpenCV, the whole chain beside an ffmpeg filter graph.

OpenCV and we take turns in one process; the best of each is compared: what is slower than that was somebody else's work.
ffmpeg runs the same frames through its graph in a process of its own, twice, with few and with many: the difference is free
of its start. Its times hold reading the frame and repacking it to planes, as a chain of separate steps must.
The ratio is how many times as fast as the peer.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gateway.model import Field, FrameFormat, Matrix
from gateway.pixels import chain
from gateway.profile import PixelChain

TURNS = 60
FEW, MANY = 20, 220
COLOUR_GOAL = 0.6
CHAIN_GOAL = 1.0


def run(turns: int = TURNS) -> list[dict[str, object]]:
    """Measure; one row for each piece of work."""
    cv2.setNumThreads(1)
    rows = [_colour(1920, 1080, turns), _colour(720, 576, turns), _shrink(turns), _preview(turns)]
    if shutil.which("ffmpeg"):
        rows += [
            _chain("576i", 720, 576, (40, 20, 640, 480), turns),
            _chain("1080i", 1920, 1080, (160, 90, 1600, 900), turns),
        ]
    return rows


def _colour(width: int, height: int, turns: int) -> dict[str, object]:
    fmt, (raw, *_) = _source(width, height, Field.NONE)
    built = chain.build(fmt, PixelChain())
    packed, out = raw.reshape(height, width, 2), np.empty((height, width, 3), np.uint8)
    ours, peer = _in_turns(
        lambda: built.run(None, raw, None, out=out),
        lambda: cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUYV, dst=out),
        turns,
    )
    return _row(f"pixels, {width}x{height} YUYV to RGB", ours, peer, "OpenCV cvtColor", COLOUR_GOAL)


def _shrink(turns: int) -> dict[str, object]:
    picture = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    ours, peer = _in_turns(
        lambda: chain.shrink(picture, 240),
        lambda: cv2.resize(picture, (240, 135), interpolation=cv2.INTER_AREA),
        turns,
    )
    return _row("pixels, thumbnail of 1920x1080", ours, peer, "OpenCV INTER_AREA", 0)


def _preview(turns: int) -> dict[str, object]:
    fmt, (raw, *_) = _source(720, 576, Field.INTERLACED)
    built = chain.build(fmt, PixelChain())
    packed = raw.reshape(576, 720, 2)

    def peer() -> None:
        cv2.resize(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUYV), (480, 384), interpolation=cv2.INTER_AREA)

    ours_ms, peer_ms = _in_turns(lambda: built.preview(raw, 480), peer, turns)
    return _row("pixels, live picture of 720x576", ours_ms, peer_ms, "OpenCV, without the de-interlacing", 0)


def _chain(name: str, width: int, height: int, crop: tuple[int, int, int, int], turns: int) -> dict[str, object]:
    fmt, raws = _source(width, height, Field.INTERLACED_TB)
    built = chain.build(fmt, PixelChain(crop=crop, mask=((crop[0], crop[1], 200, 30),)))
    out = np.empty((built.rows, built.columns, 3), np.uint8)
    ours = _best(lambda: built.run(*raws, out=out), turns)
    x, y, w, h = crop
    graph = f"yadif=send_frame:tff:all,crop={w}:{h}:{x}:{y}:exact=1,drawbox=0:0:200:30:black:fill,format=rgb24"
    return _row(
        f"pixels, whole chain of {name}", ours, _ffmpeg(raws, width, height, graph), f"ffmpeg {graph}", CHAIN_GOAL
    )


def _source(width: int, height: int, field: Field) -> tuple[FrameFormat, list[np.ndarray]]:
    """Three frames like a picture that moves, in legal levels."""
    fmt = FrameFormat(
        pixel_format="YUYV", width_px=width, height_px=height, stride_bytes=2 * width, field=field, matrix=Matrix.BT601
    )
    rng = np.random.default_rng(0)
    blurred = cv2.GaussianBlur(rng.normal(128, 900, (height, 2 * width)), (0, 0), 9) + rng.normal(
        0, 3, (height, 2 * width)
    )
    frame = np.clip(blurred, 16, 235).astype(np.uint8)
    return fmt, [np.roll(frame, 8 * n, axis=1).reshape(-1) for n in range(3)]


def _in_turns(ours: Callable[[], object], peer: Callable[[], object], turns: int) -> tuple[float, float]:
    times: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(turns + 1):
        for number, work in enumerate((ours, peer)):
            started = time.perf_counter()
            work()
            if turn:
                times[number].append(time.perf_counter() - started)
    return min(times[0]) * 1e3, min(times[1]) * 1e3


def _best(work: Callable[[], object], turns: int) -> float:
    return _in_turns(work, lambda: None, turns)[0]


def _ffmpeg(raws: list[np.ndarray], width: int, height: int, graph: str) -> float:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        source = Path(folder) / "frames.yuv"
        source.write_bytes(b"".join(raw.tobytes() for raw in raws))
        took = {frames: min(_seconds(source, width, height, graph, frames) for _ in range(2)) for frames in (FEW, MANY)}
    return (took[MANY] - took[FEW]) / (MANY - FEW) * 1e3


def _seconds(source: Path, width: int, height: int, graph: str, frames: int) -> float:
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1", "-stream_loop", "-1", "-f", "rawvideo"]
    command += ["-pix_fmt", "yuyv422", "-s", f"{width}x{height}", "-i", str(source)]
    command += ["-vf", graph, "-frames:v", str(frames), "-f", "null", "-"]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _row(name: str, ours: float, peer: float, peer_name: str, goal: float) -> dict[str, object]:
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": peer_name,
        "unit": "ms a frame, one thread; lower is better",
        "ratio": round(peer / ours, 2),
        "goal": goal,
        "met": peer / ours >= goal,
    }
