"""Frames, turns and peers that the benchmarks of pixels share.

OpenCV and we take turns in one process; the best of each is compared: what is slower than that was somebody else's work.
ffmpeg runs the same frames through its graph in a process of its own, with few and with many: the difference is free of its
start. Of its wall clock and its processor's time the shorter counts, and the best run of five. Its times hold reading the frame and repacking it to planes, as a chain of separate steps must.
The ratio is how many times as fast as the peer.
"""

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gateway.model import Field, FrameFormat, Matrix

TURNS = 60
FEW, MANY = 20, 140
RUNS = 5


def source(width: int, height: int, field: Field) -> tuple[FrameFormat, list[np.ndarray]]:
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


def in_turns(ours: Callable[[], object], peer: Callable[[], object], turns: int) -> tuple[float, float]:
    """Milliseconds of the best turn of each."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(turns + 1):
        for number, work in enumerate((ours, peer)):
            started = time.perf_counter()
            work()
            if turn:
                times[number].append(time.perf_counter() - started)
    return min(times[0]) * 1e3, min(times[1]) * 1e3


def best(work: Callable[[], object], turns: int) -> float:
    """Milliseconds of the best turn."""
    return in_turns(work, lambda: None, turns)[0]


def ffmpeg(raws: list[np.ndarray], width: int, height: int, graph: str) -> float:
    """Milliseconds a frame of a filter graph in one thread."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        source = Path(folder) / "frames.yuv"
        source.write_bytes(b"".join(raw.tobytes() for raw in raws))
        took = {
            frames: min(_seconds(source, width, height, graph, frames) for _ in range(RUNS)) for frames in (FEW, MANY)
        }
    return (took[MANY] - took[FEW]) / (MANY - FEW) * 1e3


def _seconds(source: Path, width: int, height: int, graph: str, frames: int) -> float:
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1", "-stream_loop", "-1", "-f", "rawvideo"]
    command += ["-pix_fmt", "yuyv422", "-s", f"{width}x{height}", "-i", str(source)]
    command += ["-vf", graph, "-frames:v", str(frames), "-f", "null", "-"]
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    took, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return min(took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)


def row(name: str, ours: float, peer: float, peer_name: str, goal: float, note: str = "") -> dict[str, object]:
    """A row of the table, as `__main__` wants it."""
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": peer_name,
        "unit": "ms a frame, one thread; lower is better" + note,
        "ratio": round(peer / ours, 2),
        "goal": goal,
        "met": peer / ours >= goal,
    }
