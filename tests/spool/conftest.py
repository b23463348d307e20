import pytest

from gateway.spool.spool import Spool
from tests.spool.world import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def spool(data, clock):
    with Spool.open(data, clock) as opened:
        yield opened
