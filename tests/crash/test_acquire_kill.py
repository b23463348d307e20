"""kill -9 of acquire: every still that was acknowledged is kept, and a recording that died keeps each frame it had.

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
        [sys.executable, "-m", "tests.crash.acquire_driver", str(folder), how, str(kills), str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_killed_at_each_durable_step_what_was_acknowledged_is_kept_once_and_whole(folder, campaign):
    kills = campaign(14, 600)
    said = _drive(folder, "steps", kills, seed=1)
    assert said["died"] > kills * 0.7, "some steps come only where an exam begins, or a picture was missed"
    assert said["steps"] > 100, "the steps of a still, a cine and the last seconds are told apart"
    assert min(said["stills"], said["early"]) > kills // 4
    assert said["synced"] > 10 * kills


def test_killed_at_any_moment_what_was_acknowledged_is_kept_once_and_whole(folder, campaign):
    kills = campaign(6, 300)
    said = _drive(folder, "moments", kills, seed=2)
    assert said["died"] == kills
    assert min(said["stills"], said["early"], said["synced"]) > 2
