"""kill -9 at each durable step and at random moments: nothing acknowledged is lost, nothing settled is sent again.

Killing a process does not empty the page cache, so where the bytes lie makes no difference to what is tested: the small
size runs in memory where it can, the full size on the disk. That each sync stands before the next step is held by
tests/spool/test_blobs.py, and what a power cut leaves of a file by tests/spool/test_framelog.py.
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
            yield Path(made) / "data"
    else:
        yield tmp_path / "data"


def _drive(folder, how, kills, seed):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.crash.spool_driver", str(folder), how, str(kills), str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_killed_at_each_durable_step_nothing_acknowledged_is_lost_or_doubled(folder, campaign):
    kills = campaign(44, 900)
    said = _drive(folder, "steps", kills, seed=1)
    assert said["died"] > kills * 0.8
    assert said["steps"] > 200, "the steps of one round are counted"
    assert min(said["admitted"], said["settled"], said["frames"], said["purged"], said["revised"]) > 10


def test_killed_at_any_moment_nothing_acknowledged_is_lost_or_doubled(folder, campaign):
    kills = campaign(16, 400)
    said = _drive(folder, "moments", kills, seed=2)
    assert said["died"] > kills * 0.8
    assert min(said["admitted"], said["settled"]) > 10
