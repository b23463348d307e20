"""A disk whose every write and flush QEMU records beside it, and a place on the host where what a cut left of it is mounted.

Mounting needs root and a loop device; it happens in a mount namespace of its own, so that nothing stays behind. The file
system under test is ext4, as on the appliance's data partition: mounting it replays its journal, as the box does at its start.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hw.rig import power
from hw.rig.bed import BenchError

MIB: Final = 1 << 20
SUPERBLOCK_BYTES: Final = 4096
"""The first block of ext4 holds its superblock, which is written without the journal and has a checksum over two sectors: a
disk that tears it leaves a file system that only `e2fsck -b` opens. No program in it can help that."""


@dataclass(frozen=True)
class RecordedDisk:
    """An image, the same as it was at first, and the log of what was done to it."""

    folder: Path
    name: str

    @property
    def first(self) -> Path:
        """The disk as it was when the recording began."""
        return self.folder / f"{self.name}.first"

    @property
    def log(self) -> Path:
        """What was done to it."""
        return self.folder / f"{self.name}.log"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What QEMU must be told; the disk is the node `name`."""
        quick = "driver=file,cache.no-flush=on,discard=unmap"  # QEMU is killed, never the host: its page cache will do
        log = "log-sector-size=512,log-super-update-interval=1"
        nodes = (
            f"{quick},node-name={self.name}-disk,filename={_escaped(self.image)}",
            f"{quick},node-name={self.name}-log,filename={_escaped(self.log)}",
            f"driver=blklogwrites,node-name={self.name},file={self.name}-disk,log={self.name}-log,{log}",
        )
        return tuple(part for node in nodes for part in ("-blockdev", node))

    @property
    def image(self) -> Path:
        """What the guest writes to."""
        return self.folder / f"{self.name}.disk"


def make(folder: Path, name: str, size_mib: int = 192) -> RecordedDisk:
    """Make an empty ext4 disk to record. Sparse: it costs what is written."""
    disk = RecordedDisk(folder, name)
    for path, size in ((disk.first, size_mib * MIB), (disk.image, size_mib * MIB), (disk.log, 4096 * MIB)):
        with path.open("wb") as file:
            file.truncate(size)
    subprocess.run(
        [
            "mkfs.ext4",
            "-q",
            "-F",
            "-b",
            f"{SUPERBLOCK_BYTES}",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
            str(disk.first),
        ],
        check=True,
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
    )
    power.copy_sparse(disk.first, disk.image)
    return disk


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """Mount an image for a block, its journal replayed. Raises subprocess.CalledProcessError with what mount(8) said."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", "-o", "loop,errors=remount-ro", image, at], check=True, capture_output=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True, capture_output=True)


def in_own_namespace(command: list[str]) -> list[str]:
    """Return a command that may mount what it likes: as root, seen by nobody else, and gone with it. Raises BenchError."""
    if not Path("/dev/loop-control").exists():
        raise BenchError("this host has no loop devices (modprobe loop): a disk cannot be looked at after a cut")
    root = [] if os.geteuid() == 0 else ["sudo", "-E"]
    return [*root, "unshare", "--mount", "--propagation", "private", *command]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
