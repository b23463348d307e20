import pytest

from gateway import config
from gateway.clock import SystemClock
from gateway.service.compose import Box
from gateway.service.encoding import Encoders
from gateway.spool.spool import Spool
from tests.service.recordings import Place
from tests.service.world import site_file
from tests.spool.world import FakeClock


@pytest.fixture
def site(tmp_path):
    return config.load(site_file(tmp_path))


@pytest.fixture
def box(site):
    clock = FakeClock()
    with Spool.open(site.data, clock, ballast_bytes=1 << 20, keep_free_bytes=1 << 20) as spool:
        yield Box(site=site, spool=spool, clock=clock)


@pytest.fixture
def place(site):
    with Spool.open(site.data, SystemClock(), ballast_bytes=1 << 20, keep_free_bytes=1 << 20) as spool:
        yield Place(site, spool, Encoders(3))
