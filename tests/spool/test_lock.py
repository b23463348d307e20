"""Locks and leases tell the living from the dead."""

import os
import subprocess
import sys

import pytest

from gateway.errors import AlreadyRunning
from gateway.spool import lease, lock


def test_a_service_runs_once_and_the_second_names_the_first(tmp_path):
    with lock.ServiceLock(tmp_path / "locks", "forward"):
        with pytest.raises(AlreadyRunning) as caught:
            lock.ServiceLock(tmp_path / "locks", "forward")
        assert caught.value.facts == {"service": "forward", "pid": str(os.getpid())}
        lock.ServiceLock(tmp_path / "locks", "listen").close()
    lock.ServiceLock(tmp_path / "locks", "forward").close()


def test_a_killed_service_leaves_no_lock(tmp_path):
    code = f"""
import os
from pathlib import Path
from gateway.spool.lock import ServiceLock
held = ServiceLock(Path({str(tmp_path)!r}), "forward")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    lock.ServiceLock(tmp_path, "forward").close()


def test_a_lease_lives_as_long_as_its_process():
    me = lease.myself("boot")
    assert lease.is_alive(me, "boot")
    assert not lease.is_alive(me, "another boot")
    assert not lease.is_alive(lease.Owner("boot", me.pid, me.started - 1), "boot"), "the id came again"


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    owner = lease.Owner("boot", child.pid, lease.started_at(child.pid))
    assert owner.is_alive
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has reaped it
    assert not owner.is_alive
    child.communicate()
    assert lease.started_at(child.pid) is None


def test_a_name_with_brackets_and_spaces_hides_no_field():
    code = """
import os
open("/proc/self/comm", "w").write(") R 1 (x")
from gateway.spool import lease
print(lease.started_at(os.getpid()) > 1000)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "True\n"
