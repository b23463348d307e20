"""A small file system that is really full: a scenario runs in a mount namespace of its own (unshare(1)), as root or not.

ext4 on a loop device where that is possible, else tmpfs; where a box lets nobody mount at all, the test is skipped.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNCHANGED = ["unshare", "--mount", "--propagation", "unchanged"]
"""In a chroot `/` is no mount point, and cannot be made private: what is mounted is taken down again by hand."""
NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
MOUNTS = {
    "tmpfs": "mount -t tmpfs -o size=24m none {folder}",
    "ext4": "truncate -s 32M {image} && mkfs.ext4 -q -F -m 0 {image} && mount -o loop {image} {folder}",
}
NOT_MOUNTED = {1, 77}


def run(kind: str, tmp_path: Path, module: str, *arguments: str) -> None:
    """Run `python -m module ARGUMENTS... FOLDER`, whose folder is the root of a small file system; fail when it does."""
    command = [sys.executable, "-m", module, *arguments]
    ran = _mounted(kind, tmp_path, command)
    if kind != "tmpfs" and _is_refused(ran):
        ran = _mounted("tmpfs", tmp_path, command)
    if _is_refused(ran) and "propagation" in ran.stderr:
        ran = _mounted("tmpfs", tmp_path, command, UNCHANGED)
    if _is_refused(ran):
        pytest.skip(f"nobody may mount here ({ran.stderr.strip()})")
    assert ran.returncode == 0, ran.stderr


def _is_refused(ran: subprocess.CompletedProcess[str]) -> bool:
    return ran.returncode in NOT_MOUNTED and "Traceback" not in ran.stderr


def _mounted(
    kind: str, tmp_path: Path, command: list[str], namespace: Sequence[str] = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / "small"
    folder.mkdir(exist_ok=True)
    at = shlex.quote(str(folder))
    mount = MOUNTS[kind].format(folder=at, image=shlex.quote(str(tmp_path / "image")))
    script = f"PATH=$PATH:/sbin:/usr/sbin; {mount} || exit 77; {shlex.join(command)} {at}; status=$?; umount {at}; exit $status"
    return subprocess.run(
        [*namespace, "sh", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT, timeout=100
    )
