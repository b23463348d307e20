"""All services in one terminal: each its own process, one that dies comes back, all of them end in order."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway import config
from gateway.device.process import Program
from gateway.service import run
from tests.service.world import site_file

PATIENCE_S = 40.0


def wait_for(happened, what):
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def is_alive(pid):
    return Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


# ---- programs ----


def test_a_programs_lines_are_heard_and_its_end_is_known():
    heard = []
    program = Program(
        [sys.executable, "-c", "import sys; print('one'); print('two', file=sys.stderr); sys.exit(7)"], heard.append
    )
    assert program.wait() == 7
    assert sorted(heard) == ["one", "two"]
    assert program.status() == 7


def test_a_program_that_does_not_listen_is_ended_all_the_same():
    heard = []
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    program = Program([sys.executable, "-c", code], heard.append)
    wait_for(lambda: heard == ["deaf"], "it never spoke")
    program.terminate()
    assert program.wait(0.2) == -signal.SIGKILL
    assert not is_alive(program.pid)


def test_bytes_that_are_no_text_are_heard_too():
    heard = []
    Program([sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'\xff\n')"], heard.append).wait()
    assert heard == ["\ufffd"]


# ---- services ----


@pytest.fixture
def box(tmp_path, free_ports):
    file = site_file(tmp_path, free_ports(2))
    return config.load(file), file


def test_the_services_of_a_site_start_with_recovery_and_end_with_the_panel(box):
    assert run.units(box[0]) == ["keeper", "forward", "listen", "acquire@ROOM-1", "panel"]


def test_one_that_dies_is_started_again_and_the_others_do_not_notice(box):
    site, file = box
    said = []
    services = run.Services(["keeper", "forward"], file, said.append)
    try:
        wait_for(lambda: _has_locks(site, "keeper", "forward"), said)
        before = services.pids()
        services.kill("forward")
        assert "forward" not in services.pids()

        def is_back():
            services.look()
            return "forward" in services.pids()

        wait_for(is_back, said)
        after = services.pids()
        assert after["keeper"] == before["keeper"]
        assert after["forward"] != before["forward"]
        assert any("forward ended with status -9; it is started again" in line for line in said)
    finally:
        services.stop()
    assert services.pids() == {}
    assert not any(is_alive(pid) for pid in after.values())


def test_one_that_keeps_dying_is_started_ever_more_rarely(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])
    child = run._Child("x", object())
    pauses = []
    for _ in range(8):
        assert not child.is_due(1, lambda _: None)
        began = now[0]
        while not child.is_due(1, lambda _: None):
            now[0] += 0.5
        pauses.append(now[0] - began)
        child.restarted(object())
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1.0
    assert pauses[-1] == run.LONGEST_PAUSE_S
    now[0] += run.STEADY_S + 1
    child.is_due(1, lambda _: None)
    now[0] += run.FIRST_PAUSE_S
    assert child.is_due(1, lambda _: None)


def test_gateway_run_says_where_to_look_and_stops_all_at_once_on_sigterm(box, tmp_path):
    site, file = box
    program = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--config", str(file), "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(program.stdout), daemon=True)
    reader.start()
    try:
        wait_for(lambda: any("pairing code" in line for line in lines), lines)
        assert any(f"http://127.0.0.1:{site.panel.port}/" in line for line in lines)
        children = _children(program.pid)
        assert len(children) == len(run.units(site))
    finally:
        program.send_signal(signal.SIGTERM)
        status = program.wait(PATIENCE_S)
    assert status == 0, lines
    assert not any(is_alive(pid) for pid in children)


def _has_locks(site, *names):
    return all(
        (site.data / "locks" / name).exists() and (site.data / "locks" / name).read_text().strip() for name in names
    )


def _children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
