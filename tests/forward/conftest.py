"""A spool with objects, and a peer to send them to."""

import contextlib
import shutil
import socket
import subprocess
import time

import pytest

from gateway.clock import SystemClock
from gateway.spool.spool import Spool
from gateway.wire.dimse.peer import Peer

STORESCP = shutil.which("storescp", path="/usr/bin:/usr/local/bin")  # DCMTK's: pynetdicom has one of that name


@pytest.fixture
def spool(tmp_path):
    with Spool.open(tmp_path / "data", SystemClock()) as opened:
        yield opened


@pytest.fixture
def peer(free_port):
    return Peer(name="pacs", host="127.0.0.1", port=free_port, called_ae="PACS", calling_ae="BOX", timeout_s=1)


@pytest.fixture
def storescp(tmp_path):
    """`with storescp(port, "+xi") as folder`: DCMTK's receiver, and where it puts what comes."""
    if not STORESCP:
        pytest.skip("DCMTK is not installed")

    @contextlib.contextmanager
    def running(port, *options):
        folder = tmp_path / f"storescp-{port}"
        folder.mkdir()
        with (tmp_path / f"storescp-{port}.log").open("wb") as log:
            command = [STORESCP, *options, "--output-directory", folder, str(port)]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                wait_for_port(port)
                yield folder
            finally:
                process.terminate()
                process.wait()

    return running


def wait_for_port(port, tries=250):
    for _ in range(tries):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens on port {port}")
