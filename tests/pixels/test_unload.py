"""Letting go of the compiler gives memory back, and takes nothing away: kernels run, and it even compiles again."""

import subprocess
import sys

_CODE = """
import numpy as np
from gateway.pixels import unload, warm

def text_kb():
    held, is_text = 0, False
    for line in open("/proc/self/smaps"):
        if "-" in line.split()[0]:
            is_text = " r-xp " in line and line.rstrip().endswith("libllvmlite.so")
        elif is_text and line.startswith("Rss:"):
            held += int(line.split()[1])
    return held

warm.compile_all()
before, freed, after = text_kb(), unload.compiler(), text_kb()
assert freed > 20_000_000, freed
assert after < before / 4, (before, after)

from gateway.model import FrameFormat
from gateway.pixels import chain
from gateway.profile import PixelChain
built = chain.build(FrameFormat(pixel_format="YUYV", width_px=64, height_px=48, stride_bytes=128), PixelChain())
assert built.run(None, np.full(64 * 48 * 2, 128, np.uint8), None).shape == (48, 64, 3)
assert text_kb() < before / 2
import numba
assert numba.njit(lambda x: x + 1)(3) == 4
"""


def test_the_compiler_is_let_go_and_nothing_is_lost():
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
