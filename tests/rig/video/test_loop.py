"""Our own pictures through the driver, in at its output and out at its input: byte for byte."""

import re
import subprocess

import numpy as np
import pytest

from gateway.device import grabber
from gateway.profile import VideoInput
from tests.rig.video.conftest import DEVICE, run

OUTPUT = "/dev/video1"
ROWS, COLUMNS = 576, 720


@pytest.fixture
def played(load, tmp_path):
    """A picture of noise with legal levels, played on the output that is wired to the S-Video input."""
    load("node_types=0x101", "num_inputs=2", "input_types=0xe", "num_outputs=2", "output_types=0x2")
    frame = np.random.default_rng(5).integers(16, 236, ROWS * COLUMNS * 2, dtype=np.uint8)
    (tmp_path / "frame.uyvy").write_bytes(frame.tobytes() * 4)
    run("v4l2-ctl", "-d", OUTPUT, "-o", "0")
    run("v4l2-ctl", "-d", OUTPUT, "-s", "pal")
    size = f"width={COLUMNS},height={ROWS}"
    run("v4l2-ctl", "-d", OUTPUT, f"--set-fmt-video-out={size},pixelformat=UYVY,field=interlaced")
    connect()
    play = [
        "v4l2-ctl",
        "-d",
        OUTPUT,
        "--stream-out-mmap=4",
        f"--stream-from={tmp_path / 'frame.uyvy'}",
        "--stream-loop",
    ]
    player = subprocess.Popen(play, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield frame
    player.kill()
    player.wait()


def connect() -> None:
    """Lead the output into the input: one control for all of them, and since Linux 6.10 one for each input."""
    controls = run("v4l2-ctl", "-d", DEVICE, "-L")
    if "loop_video" in controls:
        run("v4l2-ctl", "-d", DEVICE, "-c", "loop_video=1")
        return
    name, menu = re.search(r"(s_video\S*is_connected_to)[^\n]*\n((?:\s+\d+: [^\n]*\n)+)", controls).groups()
    place = re.search(r"(\d+): Output S-Video", menu)[1]
    run("v4l2-ctl", "-d", DEVICE, "-c", f"{name}={place}")


def test_a_picture_of_our_own_arrives_byte_for_byte(played):
    run("v4l2-ctl", "-d", DEVICE, "-i", "0", "-s", "pal")
    names = [each.name for each in grabber.describe(DEVICE).inputs]
    svideo = next(name for name in names if name.startswith("S-Video"))
    opened = grabber.open(
        DEVICE, VideoInput(connector="s-video", input_name=svideo, standards=("PAL 625/50i",), pixel_formats=("UYVY",))
    )
    try:
        frames = list(grabber.take(opened, 15, timeout_s=30))
    finally:
        opened.close()
    assert (opened.format.width_px, opened.format.height_px) == (COLUMNS, ROWS)
    assert any(np.array_equal(frame.data, played) for frame in frames[5:])
