"""One object of gigabytes: it goes to the disk, not through the memory."""

from gateway.clock import SystemClock
from gateway.spool.spool import Spool
from tests.flow.arrivals import answers, peak_rss_mb, unit, write_large


def test_a_large_object_does_not_live_in_memory(tmp_path, free_port, campaign):
    size = campaign(200 << 20, 2 << 30)
    path = write_large(tmp_path / "large.dcm", "1.2.3", size)
    with unit(tmp_path, free_port) as process:
        before = peak_rss_mb(process.pid)
        assert answers(("127.0.0.1", free_port), path, pdu_bytes=131072) == ["0000"]
        assert peak_rss_mb(process.pid) < 150
        assert peak_rss_mb(process.pid) - before < 20
    with Spool.open(tmp_path / "data", SystemClock()) as spool:
        assert spool.instances.get("1.2.3").size_bytes > size
