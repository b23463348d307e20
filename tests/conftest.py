"""What every test gets: a place on a real disk, ports of its own, kernels compiled once, and one size for all campaigns.

`GATEWAY_CAMPAIGN=full` (make campaign) runs crash, fuzz and soak at full size; unset, they run small and always the same.
"""

import os
import random
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
IS_FULL = os.environ.get("GATEWAY_CAMPAIGN") == "full"

# /tmp is in memory on Debian 13, where fsync proves nothing; /var/tmp is a disk. It is also short: a unix socket's path has 107 characters.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", os.environ.get("TMPDIR", "/var/tmp"))
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "build" / "numba-cache"))
os.environ["PATH"] = (
    f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # dciodvfy and gateway, also without an activated .venv
)

# Two cores and other people's work beside us: a slow example is not a wrong one.
hypothesis.settings.register_profile("small", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.register_profile("few", deadline=None, max_examples=20, derandomize=True)  # kernels as plain Python
hypothesis.settings.register_profile("full", deadline=None, max_examples=3000, print_blob=True)
hypothesis.settings.load_profile("full" if IS_FULL else "small")


@pytest.fixture
def campaign():
    """`campaign(small, full)` is the size this run should have."""
    return lambda small, full: full if IS_FULL else small


@pytest.fixture(autouse=True)
def tmpdir_on_disk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$TMPDIR of this test and of every process it starts; never the data directory, which tests make in `tmp_path`."""
    path = tmp_path_factory.mktemp("tmpdir")
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """`free_ports(n)`: TCP ports nobody listens on, none given twice; below the range the kernel lends to outgoing connections."""
    share, shares = (
        int(os.environ.get(f"PYTEST_XDIST_WORKER{key}", default).removeprefix("gw"))
        for key, default in (("", "gw0"), ("_COUNT", "1"))
    )
    candidates = list(range(20000 + share, 32000, shares))  # side by side, each process has its own
    random.SystemRandom().shuffle(candidates)
    unused = (port for port in candidates if _is_free(port))
    return lambda n: [next(unused) for _ in range(n)]


@pytest.fixture
def free_port(free_ports: Callable[[int], list[int]]) -> int:
    """One TCP port nobody listens on."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
