"""Room: new work is refused in time, the exam goes on, and a disk that is really full loses nothing.

A small file system is mounted where that is possible (tests/small_disk.py); RLIMIT_FSIZE is a disk that ends everywhere.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gateway import config
from gateway.errors import DiskFull
from gateway.spool import lease
from gateway.spool.quota import _LOW_WATER_BYTES, STEP_BYTES, Quota, _allocate
from tests import small_disk
from tests.spool import full_disk

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = [
    full_disk.new_work_is_refused_and_nothing_is_lost,
    full_disk.on_the_last_byte_the_exam_settling_and_purging_go_on,
    full_disk.a_recording_ends_at_its_last_whole_frame,
    full_disk.without_a_ballast_the_last_byte_is_an_error_with_a_name,
    full_disk.many_writers_share_one_counter,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("kind", small_disk.MOUNTS)
def test_on_a_small_file_system(kind, scenario, tmp_path):
    small_disk.run(kind, tmp_path, "tests.spool.full_disk", scenario.__name__)


def test_at_a_limit_of_size_every_writer_says_that_the_disk_is_full(tmp_path):
    """The second road to a full disk, which works for everybody: write(2) answers EFBIG."""
    code = f"""
import os, resource
from pathlib import Path
from gateway.errors import DiskFull
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock, admit, states
spool = Spool.open(Path({str(tmp_path / "data")!r}), FakeClock())
admit(spool, "1.1")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
for attempt in range(3):
    try:
        admit(spool, "1.2", data=os.urandom(2 << 20))
    except DiskFull:
        continue
    raise SystemExit("2 MiB went into 1 MiB")
assert os.listdir({str(tmp_path / "data" / "parts")!r}) == []
assert len(list(spool.blobs.all())) == 1
try:
    for number in range(100000):
        spool.history.add("a", "x" * 5000)
except Exception as error:
    assert type(error).__name__ in ("DiskFull", "SpoolError"), error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert len(spool.history.recent(10**6)) == number
admit(spool, "1.3")
assert states(spool, "1.1") == states(spool, "1.3") == ["QUEUED"]
assert spool.integrity() == []
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr


# ---- the counter ----


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two processes' quotas on a disk with 100 MiB free, of which 20 must stay."""
    real = os.statvfs(tmp_path)
    fields = {"f_bavail": (100 << 20) // real.f_frsize, "f_frsize": real.f_frsize, "f_blocks": real.f_blocks}
    monkeypatch.setattr(os, "statvfs", lambda path: type("disk", (), fields)())
    quotas = [
        Quota(tmp_path, lease.Owner("boot", pid, started), ballast_bytes=0, keep_free_bytes=20 << 20)
        for pid, started in ((os.getpid(), lease.started_at(os.getpid())), (1, lease.started_at(1)))
    ]
    yield quotas
    for quota in quotas:
        quota.close()


def test_what_one_process_reserved_is_not_free_for_another(two):
    one, other = two
    held = one.reserve(50 << 20)
    assert other.room().free_bytes == 50 << 20
    with pytest.raises(DiskFull):
        other.reserve(31 << 20)
    other.reserve(30 << 20).close()
    held.close()
    other.reserve(80 << 20).close()
    assert one.room().free_bytes == 100 << 20


def test_the_running_exam_may_use_what_new_work_may_not(two):
    one, _ = two
    new = one.reserve(80 << 20)
    with pytest.raises(DiskFull):
        one.reserve(STEP_BYTES)
    one.reserve(20 << 20, is_urgent=True).close()
    with pytest.raises(DiskFull):
        one.reserve(21 << 20, is_urgent=True)
    new.close()


def test_what_a_dead_process_had_reserved_counts_for_nothing(two, tmp_path):
    one, _ = two
    dead = Quota(tmp_path, lease.Owner("boot", 2**22 - 1, 5), ballast_bytes=0, keep_free_bytes=20 << 20)
    dead.reserve(70 << 20)
    one.reserve(60 << 20).close()
    assert one.room().free_bytes == 100 << 20


def test_a_reservation_renews_step_by_step_and_at_the_end_by_what_is_needed(two):
    one, other = two
    held = one.reserve(0)
    assert other.room().free_bytes == (100 << 20) - STEP_BYTES
    held.use(STEP_BYTES)
    held.use(1)
    assert other.room().free_bytes == (100 << 20) - STEP_BYTES, "what was written is the file system's to count"
    rest = other.reserve(71 << 20)
    held.use(STEP_BYTES)
    with pytest.raises(DiskFull):
        held.use(10 << 20)
    rest.close()
    held.close()


def test_a_disk_that_is_low_says_so(two):
    one, _ = two
    assert not one.room().is_low
    held = one.reserve(80 << 20)
    assert not one.room().is_low
    with pytest.raises(DiskFull):
        one.reserve(1)
    held.close()


def test_a_ballast_that_does_not_fit_is_not_half_made(tmp_path):
    quota = Quota(tmp_path, lease.myself("boot"), ballast_bytes=1 << 60, keep_free_bytes=0)
    assert quota.room().ballast_bytes == 0
    assert not _allocate(tmp_path / "big", 1 << 50) or (tmp_path / "big").stat().st_size
    quota.close()


def test_the_ballast_goes_for_what_is_needed_and_not_for_a_step(tmp_path, monkeypatch):
    quota = Quota(tmp_path, lease.myself("boot"), ballast_bytes=1 << 20, keep_free_bytes=0)
    real = os.statvfs(tmp_path)
    free = {"f_bavail": (3 << 20) // real.f_frsize, "f_frsize": real.f_frsize, "f_blocks": real.f_blocks}
    monkeypatch.setattr(os, "statvfs", lambda path: type("disk", (), free)())
    held = quota.reserve(0, is_urgent=True)
    held.use(2 << 20)
    assert quota.room().ballast_bytes == 1 << 20
    with pytest.raises(DiskFull):  # nothing else changes what this statvfs says
        held.use(4 << 20)
    assert quota.room().ballast_bytes == 0
    held.close()
    quota.close()


def test_a_ballast_is_made_released_and_made_again(tmp_path):
    quota = Quota(tmp_path, lease.myself("boot"), ballast_bytes=1 << 20, keep_free_bytes=0)
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 1 << 20, "it holds real blocks"
    assert quota.release_ballast() == 1 << 20
    assert quota.release_ballast() == 0
    assert quota.restore_ballast()
    assert quota.room().ballast_bytes == 1 << 20
    quota.close()


def test_the_least_room_that_may_be_kept_free_is_out_of_reach_of_the_ballast():
    """New work stops above the mark at which the ballast is given up, with a writer's whole step between the two."""
    (bound,) = (field.type for field in msgspec.inspect.type_info(config.Store).fields if field.name == "keep_free_mb")
    assert bound.ge << 20 > _LOW_WATER_BYTES + STEP_BYTES
