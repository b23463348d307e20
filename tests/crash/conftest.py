"""What the tests that kill a process share: a driver is run on a folder, and says in one line of JSON what it killed and found."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, campaign) -> Iterator[Path]:
    """Killing a process does not empty the page cache, so where the bytes lie makes no difference to what is tested.

    The small size runs in memory where it can, the full one on the disk.
    """
    shared = Path("/dev/shm")
    if campaign(True, False) and os.access(shared, os.W_OK):
        with tempfile.TemporaryDirectory(dir=shared) as made:
            yield Path(made)
    else:
        yield tmp_path


@pytest.fixture
def drive(folder: Path) -> Callable[..., dict[str, int]]:
    """`drive(driver, "steps" | "moments", kills, seed=n)`: run `tests.crash.DRIVER`; what it says at its end."""

    def run(driver: str, how: str, kills: int, *, seed: int) -> dict[str, int]:
        command = [sys.executable, "-m", f"tests.crash.{driver}", str(folder / "data"), how, str(kills), str(seed)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run
