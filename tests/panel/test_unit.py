"""The unit as it runs: gunicorn in this process, on a real port, told to stop by its unit."""

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.config import Destination, Panel
from gateway.errors import ServiceError
from gateway.service import panel
from gateway.service.bell import Bell, ring
from tests.panel.world import World


@pytest.fixture
def world(tmp_path, free_port):
    made = World(tmp_path, panel=Panel(port=free_port))
    yield made
    made.close()


@pytest.fixture
def unit(world):
    """The panel, served in a thread as `run_unit` serves it in the main one."""
    stop = threading.Event()
    with Bell(world.site.run, "panel") as bell:
        thread = threading.Thread(target=panel.serve, args=(world.site, world.spool, world.clock, stop, bell))
        thread.start()
        yield world
        stop.set()
        bell.ring_self()
        thread.join(15)
        assert not thread.is_alive()


def _ask(world, method="GET", path="/", body=None, headers=None):
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", world.site.panel.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode("utf-8", "replace")
        except ConnectionRefusedError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise AssertionError("the panel does not listen")


def test_the_first_start_prints_a_code_that_makes_the_first_engineer(unit, caplog):
    status, headers, page = _ask(unit, path="/pair")
    assert status == 200
    code = re.search(r"pairing code for the first engineer is (\S+)", caplog.text)[1]
    token = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    body = f"csrf={token}&code={code}&name=Awa&password=a+long+and+quiet+word&again=a+long+and+quiet+word"
    sent = {"Cookie": headers["Set-Cookie"].split(";")[0], "Content-Type": "application/x-www-form-urlencoded"}
    status, headers, _ = _ask(unit, "POST", "/pair", body, sent)
    assert (status, headers["Location"]) == (303, "/setup/destinations")


def test_it_listens_on_loopback_unless_it_is_told_otherwise(unit):
    _ask(unit)
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert f"0100007F:{unit.site.panel.port:04X}" in listening
    assert f"00000000:{unit.site.panel.port:04X}" not in listening


def test_a_port_that_is_taken_is_an_error_with_a_name(unit):
    _ask(unit)
    with Bell(unit.site.run, "panel2") as bell, pytest.raises(ServiceError) as raised:
        panel.serve(unit.site, unit.spool, unit.clock, threading.Event(), bell)
    assert "cannot be opened" in str(raised.value)


def test_a_ring_wakes_whoever_waits_for_an_answer(unit):
    answers = panel.Answers()
    began = threading.Event()
    woken = threading.Event()

    def wait():
        began.set()
        answers.wait(30)
        woken.set()

    threading.Thread(target=wait, daemon=True).start()
    began.wait(5)
    for _ in range(100):
        answers.ring()
        if woken.wait(0.05):
            break
    assert woken.is_set()
    ring(unit.site.run, "panel")  # the unit's own bell takes it and goes on
    assert _ask(unit, path="/pair")[0] == 200


def test_an_echo_of_a_port_where_nobody_listens_is_an_answer(tmp_path, free_port):
    world = World(tmp_path, destination={"PACS": Destination(host="127.0.0.1", port=free_port, called_ae="PACS")})
    answer = panel.echo(world.site, "PACS")
    assert (answer.is_ok, answer.error_code, answer.facts["peer"]) == (False, "G501", "PACS")
    world.close()


def test_the_key_of_the_sessions_is_made_once_and_kept_from_others(tmp_path):
    first = panel.secret_of(tmp_path)
    assert len(first) == 32
    assert panel.secret_of(tmp_path) == first
    assert (tmp_path / "panel.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["panel.key"]


def test_the_panel_starts_without_pixels_and_without_the_wire():
    code = "import sys, gateway.service.panel; print(*({'numba', 'pydicom', 'pynetdicom'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert loaded.stdout.strip() == ""
