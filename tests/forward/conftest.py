"""A spool with objects, and a peer to send them to."""

import pytest

from gateway.clock import SystemClock
from gateway.spool.spool import Spool
from gateway.wire.dimse.peer import Peer


@pytest.fixture
def spool(tmp_path):
    with Spool.open(tmp_path / "data", SystemClock()) as opened:
        yield opened


@pytest.fixture
def peer(free_port):
    return Peer(name="pacs", host="127.0.0.1", port=free_port, called_ae="PACS", calling_ae="BOX", timeout_s=1)
