"""Who has locked a device is found in the kernel's own list."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.device.locks import Holder, holder


def listed(folder: Path, device: Path, pid: int) -> Path:
    """A /proc in which a process has locked `device`."""
    found = device.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    folder.mkdir()
    (folder / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 77 {place} 0 EOF\n"
        f"2: FLOCK  ADVISORY  WRITE 78 00:05:1 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE {pid} {place} 0 EOF\n",
        encoding="ascii",
    )
    return folder


def test_who_locks_is_named(tmp_path: Path) -> None:
    device = tmp_path / "line"
    device.touch()
    proc = listed(tmp_path / "proc", device, 4711)
    assert holder(str(device), proc) == Holder(4711, "a program")
    (proc / "4711").mkdir()
    (proc / "4711" / "comm").write_text("minicom\n", encoding="utf-8")
    assert holder(str(device), proc) == Holder(4711, "minicom")


def test_who_is_not_of_this_namespace_is_not_named(tmp_path: Path) -> None:
    device = tmp_path / "line"
    device.touch()
    assert holder(str(device), listed(tmp_path / "proc", device, -1)) is None


def test_nobody_locks_what_is_not_there(tmp_path: Path) -> None:
    assert holder(str(tmp_path / "gone")) is None


def test_the_kernel_lists_a_lock_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "line").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = Path("/proc/locks").read_text(encoding="ascii")
        found = holder(file.name)
        assert found == (Holder(os.getpid(), Path("/proc/self/comm").read_text().strip()) if "FLOCK" in text else None)
