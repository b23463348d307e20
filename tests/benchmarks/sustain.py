"""What acquire sustains on this machine: a paced source, the live picture on, a lossless HTJ2K cine recorded the whole time.

The source is real ultrasound (pydicom's jpeg2k) enlarged to each mode, as it is and with noise of sigma 1 on every channel; it
costs next to nothing (`_paced`). Each mode runs in a process of its own: 1080p60 for a minute (GATEWAY_SUSTAIN_S; over two
minutes, 30 s of each are recorded), the others for a quarter of one. Sustained means: not one picture dropped or overrun.
Where encoders cannot keep up, pictures wait in the quicker lossless form (JPEG XL) and become HTJ2K when the cine is closed: how
many, and how long that took, is said. The ratio is what was recorded to what came.
"""

import json
import os
import subprocess
import sys
import tempfile

from tests.benchmarks._paced import MODES

SECONDS = float(os.environ.get("GATEWAY_SUSTAIN_S", "60"))
SHORT_S = min(15.0, SECONDS)
HARDEST = "1080p60"
SOURCES = {"as it is": 0.0, "with noise": 1.0}


def run() -> list[dict[str, object]]:
    """Measure; one row for each mode and source."""
    return [
        _row(mode, name, measure(mode, sigma, SECONDS if mode == HARDEST else SHORT_S))
        for mode in MODES
        for name, sigma in SOURCES.items()
    ]


def measure(mode: str, sigma: float, seconds: float) -> dict[str, float]:
    """Return what one process said of itself."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        command = [sys.executable, "-m", "tests.benchmarks._acquire", folder, mode, str(sigma), str(seconds)]
        said: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return said


def _row(mode: str, source: str, said: dict[str, float]) -> dict[str, object]:
    asked = said["rate"] * said["recorded_s"]
    sustained, lost = said["frames"] / said["recorded_s"], max(said["missed"], said["dropped"])
    share = min(1.0, said["frames"] / asked)
    quick = (
        f", {100 * said['quick'] / max(1, said['frames']):.0f} % of them JPEG XL until closing" if said["quick"] else ""
    )
    return {
        "name": f"sustain, {mode} {source}",
        "ours": round(sustained, 1),
        "peer": round(said["rate"], 1),
        "peer_name": (
            f"what came, {said['recorded_s']:.0f} s; {lost:.0f} lost{quick}; ratio {said['ratio']:.1f}; {said['cores']:.2f} cores"
            f" (device {said['watch']:.2f}, live picture {said['preview']:.2f}); {said['peak_mib']:.0f} MiB"
            f" (ring {said['ring_mib']:.0f}); an object {said['closing_s']:.0f} s after the end"
        ),
        "unit": "pictures a second recorded losslessly",
        "ratio": round(share, 3),
        "goal": 1.0 if SOURCES[source] == 0 or mode != HARDEST else 0,
        "met": not lost or (SOURCES[source] > 0 and mode == HARDEST),
    }
