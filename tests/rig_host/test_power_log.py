"""A log of writes is read as the kernel and QEMU write it, and a cut leaves what a disk with a volatile cache may have kept."""

import random
import struct

import pytest

from hw.rig import power
from hw.rig.power import DISCARD, FLUSH, FUA, MAGIC, SECTOR, BadLog, Disk, Fate, Log

SECTORS = 16
MANY = 80


def log_of(path, *requests, counted=None, block=SECTOR):
    """Write a log: each request is (sector, data, flags), after drivers/md/dm-log-writes.c."""
    body = b"".join(
        struct.pack("<QQQQ", sector, len(data) // block, flags, 0).ljust(block, b"\0") + data
        for sector, data, flags in requests
    )
    head = struct.pack("<QQQI", MAGIC, 1, len(requests) if counted is None else counted, block)
    path.write_bytes(head.ljust(block, b"\0") + body)
    return path


def sectors(letters):
    return b"".join(bytes([ord(letter)]) * SECTOR for letter in letters)


FLUSHED = (0, b"", FLUSH)


@pytest.fixture
def left(tmp_path):
    """`left(requests, cut, fate, seed)`: the sectors on the disk after a cut, as letters; "." was never written."""

    def look(requests, cut, fate=Fate.MIXED, seed=0):
        image = tmp_path / "image"
        image.write_bytes(b"." * SECTOR * SECTORS)
        with Log(log_of(tmp_path / "log", *requests)) as log, Disk(log, image) as disk:
            cached = disk.forward(cut)
            with image.open("r+b") as cut_image:
                power.write(cut_image.fileno(), power.survivors(log, cached, fate, random.Random(seed)))
        return image.read_bytes()[::SECTOR].decode().rstrip(".")

    return look


def outcomes(left, requests, cut, fate):
    return {left(requests, cut, fate, seed) for seed in range(MANY)}


def test_what_was_flushed_is_on_the_disk_whatever_happens(left):
    requests = [(0, sectors("ab"), 0), (2, sectors("c"), 0), FLUSHED, (3, sectors("d"), 0)]
    for fate in Fate:
        assert all(found.startswith("abc") for found in outcomes(left, requests, 4, fate))


def test_what_was_written_after_the_last_flush_is_there_or_not_whatever_became_of_its_neighbours(left):
    requests = [FLUSHED, (0, sectors("a"), 0), (1, sectors("b"), 0)]
    assert outcomes(left, requests, 3, Fate.MIXED) == {"", "a", ".b", "ab"}
    assert outcomes(left, requests, 3, Fate.LOST) == {""}
    assert outcomes(left, requests, 3, Fate.KEPT) == {"ab"}
    assert outcomes(left, requests, 3, Fate.LATEST) == {"", ".b", "ab"}


def test_nothing_after_the_cut_is_on_the_disk(left):
    requests = [(0, sectors("a"), 0), FLUSHED, (0, sectors("b"), 0), FLUSHED]
    assert [left(requests, cut, Fate.KEPT) for cut in range(1, 5)] == ["a", "a", "b", "b"]
    assert [left(requests, cut, Fate.LOST) for cut in range(1, 5)] == ["", "a", "a", "b"]


def test_the_later_of_two_writes_may_be_lost_and_the_earlier_kept(left):
    requests = [(0, sectors("a"), 0), FLUSHED, (0, sectors("b"), 0), (0, sectors("c"), 0)]
    assert outcomes(left, requests, 4, Fate.MIXED) == {"a", "b", "c"}


def test_a_forced_write_is_kept_and_flushes_nothing_else(left):
    requests = [FLUSHED, (0, sectors("a"), 0), (1, sectors("f"), FUA)]
    assert outcomes(left, requests, 3, Fate.MIXED) == {".f", "af"}
    assert outcomes(left, requests, 3, Fate.LOST) == {".f"}


def test_a_flush_that_carries_data_flushes_what_was_before_it_and_not_its_own(left):
    requests = [(0, sectors("a"), 0), (1, sectors("b"), FLUSH)]
    assert outcomes(left, requests, 2, Fate.MIXED) == {"a", "ab"}
    requests = [(0, sectors("a"), 0), (1, sectors("b"), FLUSH | FUA)]
    assert outcomes(left, requests, 2, Fate.LOST) == {"ab"}


def test_a_torn_write_is_whole_in_each_sector(left):
    found = outcomes(left, [FLUSHED, (0, sectors("abc"), 0)], 2, Fate.TORN)
    assert {"", "abc", "a.c", ".b"} <= found
    assert all(set(each) <= set("abc.") for each in found)


def test_what_must_stay_whole_is_lost_or_kept_and_never_torn(tmp_path):
    requests = [FLUSHED, (0, sectors("ab"), 0), (4, sectors("cd"), 0)]
    with Log(log_of(tmp_path / "log", *requests)) as log:
        found = {
            tuple(
                piece.at // SECTOR
                for piece in power.survivors(log, log.entries, Fate.TORN, random.Random(seed), whole_below=2 * SECTOR)
            )
            for seed in range(MANY)
        }
    assert {at for pieces in found for at in pieces} == {0, 4, 5}, "the first is one piece, the other may be two"


def test_going_forward_cut_by_cut_is_the_same_as_going_there_at_once(left, tmp_path):
    chance = random.Random(7)
    requests = [
        FLUSHED if chance.random() < 0.2 else (chance.randrange(8), sectors(chance.choice("xyz")), 0) for _ in range(60)
    ]
    image = tmp_path / "walked"
    image.write_bytes(b"." * SECTOR * SECTORS)
    with Log(log_of(tmp_path / "same", *requests)) as log, Disk(log, image) as disk:
        for cut in range(1, 61):
            disk.forward(cut)
            with image.open("rb") as reading:
                assert reading.read()[::SECTOR].decode().rstrip(".") == left(requests, cut, Fate.LOST)


def test_a_log_is_read_while_it_grows_and_never_behind_what_its_head_says(tmp_path):
    requests = [(0, sectors("a"), 0), FLUSHED, (1, sectors("b"), 0)]
    path = log_of(tmp_path / "log", *requests[:1])
    with Log(path) as log:
        assert log.look() == 1
        log_of(path, *requests, counted=2)
        assert log.look() == 3, "the head was behind"
        assert [entry.size for entry in log.entries] == [SECTOR, 0, SECTOR]
        log_of(path, *requests, counted=5)
        assert log.position() == 5, "entries that were not written down yet were counted"
        assert len(log.entries) == 3


def test_a_block_of_four_kilobytes_is_a_unit_of_everything_in_the_log(tmp_path):
    path = log_of(tmp_path / "log", (2, b"x" * 8192, 0), (0, b"", FLUSH), block=4096)
    with Log(path) as log:
        assert [(entry.at, entry.size, entry.is_flush) for entry in log.entries] == [(8192, 8192, False), (0, 0, True)]
        assert log.data(log.entries[0]) == b"x" * 8192


@pytest.mark.parametrize("bad", [b"", b"nothing" * 200, struct.pack("<QQQI", MAGIC, 2, 0, 512).ljust(512, b"\0")])
def test_what_is_no_log_is_refused(tmp_path, bad):
    (tmp_path / "log").write_bytes(bad)
    with pytest.raises(BadLog):
        Log(tmp_path / "log")


def test_a_discard_is_refused_since_nobody_knows_what_it_leaves(tmp_path):
    with pytest.raises(BadLog, match="discard"):
        Log(log_of(tmp_path / "log", (0, b"", DISCARD)))


def test_a_sparse_copy_is_the_same_and_still_has_its_holes(tmp_path):
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(5 << 20)
        file.write(b"data" * 1000)
    power.copy_sparse(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < 1 << 20


def test_cuts_are_in_order_inside_the_run_and_among_them_are_moments_right_after_an_answer():
    chosen = power.cuts(1000, [100, 500, 900], [90, 480, 890], 300, random.Random(1))
    assert chosen == sorted(chosen)
    assert len(chosen) == 300
    assert chosen[0] >= 1
    assert chosen[-1] <= 1000
    assert {100, 500, 900, 90, 91} <= set(chosen)
    assert chosen == power.cuts(1000, [100, 500, 900], [90, 480, 890], 300, random.Random(1))
