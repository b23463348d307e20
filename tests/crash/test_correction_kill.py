"""kill -9 of a correction after release: every copy and every note is made once, in the right order, and nothing is lost.

As in test_spool_kills.py, killing leaves the page cache: the small size runs in memory where it can, the full one on the disk.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, campaign):
    shared = Path("/dev/shm")
    if campaign(True, False) and os.access(shared, os.W_OK):
        with tempfile.TemporaryDirectory(dir=shared) as made:
            yield Path(made)
    else:
        yield tmp_path


def _drive(folder, how, kills, seed):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.crash.correction_driver", str(folder), how, str(kills), str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_killed_at_each_durable_step_a_correction_is_made_once_and_in_order(folder, campaign):
    kills = campaign(16, 500)
    said = _drive(folder, "steps", kills, seed=1)
    assert said["died"] > kills * 0.8
    assert said["steps"] > 100, "the steps of copies, notes and their release are told apart"
    assert min(said["copies"], said["notes"]) > kills


def test_killed_at_any_moment_a_correction_is_made_once_and_in_order(folder, campaign):
    kills = campaign(5, 200)
    said = _drive(folder, "moments", kills, seed=2)
    assert said["died"] > kills // 2
    assert min(said["copies"], said["notes"]) > kills
