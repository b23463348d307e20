"""`vivid`, the kernel's own grabber: webcam, TV, S-Video and HDMI inputs, every fault at the press of a control.

Linux, Documentation/admin-guide/media/vivid.rst; its pictures are those of the test pattern generator (v4l2-tpg).
"""

import gc
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from gateway.device import grabber
from gateway.model import Frame
from gateway.pixels import chain
from gateway.profile import PixelChain, VideoInput
from gateway.source.fields import Weaver

WEBCAM, TV, SVIDEO, HDMI = "Webcam 0", "TV 0", "S-Video 0", "HDMI 0"
DEVICE = "/dev/video0"
BARS = np.array([(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)])
"""White, yellow, cyan, green, magenta, red, blue, black: ITU-R's order, each an eighth of the width."""
BARS_75, BARS_100 = BARS * 191, BARS * 255
"""R'G'B' of the patterns "75% Colorbar" and "100% Colorbar" (tpg_colors in v4l2-tpg-colors.c): the same in every colour space."""
_STANDING = {"osd_text_mode": 2}
"""No text over the picture."""


class Vivid:
    """The loaded driver. What a test sets is set back after it."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self.options = options
        self._before: dict[str, int] = {}
        unload()
        run("modprobe", "vivid", "n_devs=1", *options)
        run("udevadm", "settle")
        self.set(**_STANDING)
        self._before.clear()

    def set(self, **controls: int) -> None:
        """Set controls of the capture node, in order."""
        for name, value in controls.items():
            if name not in self._before:
                self._before[name] = self.get(name)
            run("v4l2-ctl", "-d", DEVICE, "-c", f"{name}={value}")

    def get(self, name: str) -> int:
        """One control's value."""
        return int(re.search(r": (-?\d+)", run("v4l2-ctl", "-d", DEVICE, "-C", name))[1])

    def press(self, name: str) -> None:
        """Press a control that is a button."""
        run("v4l2-ctl", "-d", DEVICE, "-c", f"{name}=1")

    def choose(self, input_name: str) -> None:
        """Select an input: some controls belong to one only."""
        run("v4l2-ctl", "-d", DEVICE, "-i", str((WEBCAM, TV, SVIDEO, HDMI).index(input_name)))

    def set_back(self) -> None:
        """Undo what was set."""
        for name, value in reversed(self._before.items()):
            run("v4l2-ctl", "-d", DEVICE, "-c", f"{name}={value}")
        self._before.clear()


@pytest.fixture(scope="session")
def loaded() -> dict[str, Vivid]:
    """The driver as the last test left it: loading it anew for each test would take longer than most tests."""
    return {}


@pytest.fixture
def load(loaded: dict[str, Vivid]) -> Iterator[Callable[..., Vivid]]:
    """`load(option, ...)`: vivid with four inputs (`planes` 2: multi-planar), as new."""

    def one(*options: str, planes: int = 1) -> Vivid:
        options = (*(options or ("node_types=0x1", "num_inputs=4", "input_types=0xe4")), f"multiplanar={planes}")
        vivid = loaded.get("vivid")
        if vivid is None or vivid.options != options:
            loaded["vivid"] = vivid = Vivid(options)
        return vivid

    yield one
    if vivid := loaded.get("vivid"):
        try:
            vivid.set_back()
        except subprocess.CalledProcessError:  # it was disconnected, or belongs to another input now
            loaded.clear()


@pytest.fixture
def vivid(load: Callable[..., Vivid]) -> Vivid:
    """A single-planar vivid with webcam, TV, S-Video and HDMI."""
    return load()


@pytest.fixture
def picture() -> Callable[..., tuple[np.ndarray, chain.Chain]]:
    """`picture(wanted, recipe)`: what the gateway makes of one picture, and the chain that made it."""

    def one(wanted: VideoInput, recipe: PixelChain | None = None):
        opened = grabber.open(DEVICE, wanted)
        try:
            before, at, after = _whole(opened)
            built = chain.build(at.format, recipe or PixelChain(), top_field_first=wanted.top_field_first)
            return built.run(before.data, at.data, after.data), built, at.format
        finally:
            opened.close()

    return one


def _whole(opened: grabber.Grabber) -> list[Frame]:
    """Three pictures, woven where their fields come apart."""
    weaver, pictures = Weaver(opened.format), []
    for frame in grabber.take(opened, 50, timeout_s=20):
        if (whole := weaver.take(frame)) is not None:
            pictures.append(replace(whole, data=whole.data.copy()))
        if len(pictures) == 3:
            break
    return pictures


def wanted(input_name: str, pixel_format: str = "UYVY", standard: str = "any", **more) -> VideoInput:
    """What a profile would ask for."""
    connector = {WEBCAM: "hdmi", TV: "composite", SVIDEO: "s-video", HDMI: "hdmi"}[input_name]
    return VideoInput(
        connector=connector, input_name=input_name, standards=(standard,), pixel_formats=(pixel_format,), **more
    )


def bars_of(pixels: np.ndarray) -> np.ndarray:
    """The middle of each of the eight bars."""
    rows, columns = pixels.shape[:2]
    return pixels[rows // 2, [columns * (2 * bar + 1) // 16 for bar in range(8)]].astype(int)


def run(*command: str) -> str:
    """Do something to the kernel, and fail with what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def unload() -> None:
    """Take vivid away; a node that was just closed may be held for a moment."""
    for _ in range(50):
        gc.collect()  # an error that was kept holds the frames of its traceback, and these the driver's memory
        if subprocess.run(["rmmod", "vivid"], capture_output=True, check=False).returncode == 0:
            return
        if b"vivid" not in subprocess.run(["lsmod"], capture_output=True, check=True).stdout:
            return
        time.sleep(0.2)
    raise AssertionError("vivid is still in use")
