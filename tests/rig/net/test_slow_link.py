"""A link of 128 kbit/s, 300 ms each way, that loses one packet in a hundred, and is cut: what is owed arrives to its last byte.

Two network name spaces on a veth pair inside the guest, sch_netem at both ends (Linux, tc-netem(8)), which sees each packet, not bundles of them. The PACS is DCMTK's.
"""

import ctypes
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import config
from gateway.clock import SystemClock
from gateway.model import Delivery, DeliveryState
from gateway.service.bell import ring
from gateway.spool.spool import Spool
from tests.dicom_files import admit, data_set_bytes, image
from tests.pacs import PORT, storescp
from tests.rig.services import running

HERE, THERE = "10.9.0.1", "10.9.0.2"
RATE_BIT_S = 128_000
ROUND_MS = 600
NETEM = ("netem", "rate", f"{RATE_BIT_S}bit", "delay", f"{ROUND_MS // 2}ms", "loss", "1%", "limit", "100")
TIMEOUT_S = 20.0
CLONE_NEWNET = 0x40000000
"""linux/sched.h."""
MIB = 1 << 20
QUEUED, SENDING, SENT = DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def until(is_so: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.1)


@pytest.fixture
def link() -> Iterator[Callable[[str], str]]:
    """`link("up" | "down")`: the slow link between the box and the PACS."""
    run("modprobe", "-a", "veth", "sch_netem")
    for space in ("box", "pacs"):
        run("ip", "netns", "add", space)
    run("ip", "link", "add", "near", "netns", "box", "type", "veth", "peer", "name", "far", "netns", "pacs")
    for space, name, address in (("box", "near", HERE), ("pacs", "far", THERE)):
        run("ip", "-n", space, "address", "add", f"{address}/24", "dev", name)
        run("ip", "-n", space, "link", "set", name, "gso_max_segs", "1", "up")
        run("tc", "-n", space, "qdisc", "add", "dev", name, "root", *NETEM)
    yield lambda state: run("ip", "-n", "pacs", "link", "set", "far", state)
    for space in ("box", "pacs"):
        run("ip", "netns", "delete", space)


@pytest.fixture
def pacs(link, tmp_path) -> Iterator[Path]:
    with storescp(tmp_path / "pacs", "-td", "60", inside=("ip", "netns", "exec", "pacs")) as folder:
        yield folder


@pytest.fixture
def box(link, tmp_path) -> Iterator[Spool]:
    """A spool, and the forwarder that serves it from behind the link."""
    settings = {
        "station": {"ae_title": "BOX", "timezone": "Africa/Nairobi"},
        "paths": {"data": str(tmp_path / "data"), "run": str(tmp_path / "run")},
        "destination": {"pacs": {"host": THERE, "port": PORT, "called_ae": "PACS", "timeout_s": TIMEOUT_S}},
        "spool": {"ballast_mb": 1, "keep_free_mb": 16},
    }
    (tmp_path / "gateway.toml").write_text(config.toml(settings))
    with (
        running(["forward"], config.load(tmp_path / "gateway.toml"), go_behind_the_link),
        Spool.open(tmp_path / "data", SystemClock(), ballast_bytes=MIB, keep_free_bytes=16 * MIB) as spool,
    ):
        yield spool


def go_behind_the_link() -> None:
    """Enter the box's network name space: setns(2), which Python has since 3.12 only."""
    with Path("/run/netns/box").open() as space:
        assert ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET) == 0, ctypes.get_errno()


def queue(spool: Spool, folder: Path, *sides: int) -> list[Delivery]:
    """Owe pictures of so many pixels a side, two bytes each, to the PACS: one delivery for each, in that order."""
    owed = []
    for side in sides:
        uid = image(folder / f"{side}.dcm", side=side, seed=side).SOPInstanceUID
        admit(spool, folder / f"{side}.dcm", ["pacs"])
        owed += spool.deliveries.of_payload(str(uid))
    ring(folder.parent / "run", "forward")
    return owed


def contents(folder: Path) -> Counter[bytes]:
    """The data sets of the files there, and how often each is there."""
    return Counter(data_set_bytes(path) for path in folder.glob("*"))


def whole(pacs: Path, made: Path) -> Counter[bytes]:
    """The objects that are at the PACS to their last byte, and how often; what broke off is DCMTK's to clear away."""
    wanted = contents(made)
    return Counter(each for each in contents(pacs).elements() if each in wanted)


def test_the_link_is_as_slow_as_it_is_said_to_be(link):
    said = run("ip", "netns", "exec", "box", "ping", "-c", "2", "-w", "60", THERE)
    assert float(said.rsplit("= ", 1)[1].split("/")[0]) >= ROUND_MS


def test_what_is_owed_arrives_over_a_slow_lossy_link(box, pacs, tmp_path):
    made = tmp_path / "made"
    began = time.monotonic()
    owed = queue(box, made, 80, 96, 112)
    until(lambda: all(box.deliveries.get(each.delivery_id).state is SENT for each in owed), "delivery")
    took_s = time.monotonic() - began
    assert whole(pacs, made) == contents(made)
    assert took_s > 8 * sum(path.stat().st_size for path in made.iterdir()) / RATE_BIT_S


def test_a_link_cut_in_mid_object_leaves_the_delivery_queued_and_it_resumes_when_the_link_is_back(
    box, pacs, link, tmp_path
):
    made = tmp_path / "made"
    owed = [each.delivery_id for each in queue(box, made, 40, 240, 248)]

    def states() -> list[DeliveryState]:
        return [box.deliveries.get(number).state for number in owed]

    def is_in_mid_object() -> bool:
        some = (made / "240.dcm").stat().st_size / 4
        return states()[:2] == [SENT, SENDING] and max(path.stat().st_size for path in pacs.iterdir()) > some

    until(is_in_mid_object, "a part of an object")
    link("down")
    until(lambda: states()[1] is QUEUED, "giving up")
    assert states()[0] is SENT
    assert list(whole(pacs, made)) == [data_set_bytes(made / "40.dcm")]
    link("up")
    until(lambda: set(states()) == {SENT}, "delivery")
    # Each once: what our kernel held of the cut object was discarded with its connection.
    assert whole(pacs, made) == contents(made)
