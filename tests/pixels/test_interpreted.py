"""The kernels as plain Python: the same results, every line of them run, and no index outside its array.

Compiled without bounds checks, a kernel that reads beyond a row would go unseen; numpy sees it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHOSEN = (
    "test_luma_is_exactly_the_twin and not (33 or 64)",
    "test_a_mask_blackens",
    "test_every_format_size",
    "test_grey_is_within",
    "test_one_coloured_pixel",
    "test_shrinking_is_within",
    "test_luma_of_bwdif_is_within and not (33 or 64)",
    "test_a_masked_shape_is_filled",
    "test_levels_are_spread",
    "test_square_pixels_are_within",
    "test_the_noise_filter_takes",
    "test_deep_grey_keeps",
    "test_deep_grey_is_masked",
    "test_deep_grey_of_two",
    "test_luma_is_the_sources_own",
    "test_change_is_what",
    "test_combing_is_what",
)


def test_interpreted_kernels_keep_to_their_twins_and_their_arrays(tmp_path):
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "COVERAGE_FILE": str(tmp_path / "coverage")}
    env.pop("GATEWAY_CAMPAIGN", None)  # every line once: more of it would take days
    python = [sys.executable, "-B", "-m", "coverage"]
    tests = [f"tests/pixels/test_{name}.py" for name in ("chain", "deinterlace", "colour", "retouch", "deep", "looks")]
    pytest = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=few",
        "-k",
        " or ".join(f"({each})" for each in CHOSEN),
        *tests,
    ]
    run = [
        "run",
        "--rcfile=/dev/null",
        "--source=gateway.pixels",
    ]  # pyproject.toml asks for branches, and all of gateway
    ran = subprocess.run([*python, *run, *pytest], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    out = tmp_path / "coverage.json"
    paths = [f"gateway/pixels/{name}.py" for name in ("kernels", "retouch", "measures")]
    subprocess.run([*python, "json", "-q", "--include", ",".join(paths), "-o", out], cwd=ROOT, env=env, check=True)
    files = json.loads(out.read_text())["files"]
    for path in paths:
        loops = (ROOT / path).read_text().splitlines().index("# ---- rows ----")
        assert [line for line in files[path]["missing_lines"] if line > loops] == [], path
