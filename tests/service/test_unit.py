"""What every service shares, with real processes, real signals and a real notification socket."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from gateway import config
from gateway.errors import DeviceGone, ServiceError
from gateway.service import log, notify, unit
from gateway.service.bell import Bell, ring
from tests.service.world import SENTINELS, site_file

PATIENCE_S = 30.0


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """What systemd would hear: a datagram socket as NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield heard


def start(file, name, **environment):
    command = [sys.executable, "-m", "gateway", "--config", str(file), "service", name]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


def wait_for(happened, what):
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until, what
        time.sleep(0.05)


# ---- one of each ----


@pytest.mark.parametrize("name", ["keeper", "forward", "listen", "panel", "acquire@ROOM-1", "serial@DOSE"])
def test_a_service_that_is_started_twice_says_so_and_ends(tmp_path, free_ports, name):
    pty, tty = os.openpty()
    serial = {"serial": {"DOSE": {"device": os.ttyname(tty), "instrument": "plain-line-dose", "station": "ROOM-1"}}}
    file = site_file(tmp_path, free_ports(2), **serial)
    with _listening(tmp_path) as heard:
        first = start(file, name, NOTIFY_SOCKET=str(tmp_path / "systemd"))
        try:
            _hear(heard, b"READY=1")
            second = start(file, name)
            _, said = second.communicate(timeout=PATIENCE_S)
            assert second.returncode == unit.EXIT_ALREADY_RUNNING
            assert f"The service {name} already runs (process {first.pid})." in said
            assert "[CODE=G701]" in said
            assert first.poll() is None
        finally:
            first.send_signal(signal.SIGTERM)
            _, said = first.communicate(timeout=PATIENCE_S)
            os.close(pty)
            os.close(tty)
    assert first.returncode == 0, said


def test_a_service_that_is_not_in_the_configuration_says_so(tmp_path):
    done = start(site_file(tmp_path), "acquire@ROOM-9")
    _, said = done.communicate(timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "[grabber.ROOM-9] is not in it" in said


def test_a_configuration_that_cannot_be_read_is_said_in_words(tmp_path):
    file = site_file(tmp_path)
    file.write_text("[station\n")
    done = start(file, "keeper")
    _, said = done.communicate(timeout=PATIENCE_S)
    assert done.returncode == 1
    assert f"{file} is not valid TOML" in said
    assert "[G101]" in said
    assert "Traceback" not in said


# ---- how it ends ----


def run_unit(tmp_path, serve):
    """Run a unit in this process; its signal handlers are taken back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return unit.run_unit("test", config.load(site_file(tmp_path)), serve)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        logging.captureWarnings(capture=False)


def test_sigterm_sets_stop_and_wakes_whoever_waits(tmp_path):
    woken = []

    def serve(_site, _spool, _clock, stop, bell):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        while not stop.is_set():
            bell.wait(20)
        woken.append(time.monotonic() - began)

    assert run_unit(tmp_path, serve) == 0
    assert woken[0] < 15


def test_an_error_with_a_name_ends_it_with_its_sentence(tmp_path, capfd):
    def serve(*_):
        raise ServiceError(service="test", problem="port 80 cannot be opened")

    assert run_unit(tmp_path, serve) == unit.EXIT_FAILED
    said = capfd.readouterr().err
    assert (
        said
        == "test: The service test cannot run: port 80 cannot be opened. Look at the log of the service. [CODE=G700]\n"
    )


def test_a_mistake_of_ours_is_told_by_type_and_place_without_anybodys_values(tmp_path, capfd):
    def serve(*_):
        try:
            raise KeyError(SENTINELS[0])
        except KeyError as error:
            raise ValueError(f"bad name {SENTINELS[1]}") from error

    assert run_unit(tmp_path, serve) == unit.EXIT_OUR_MISTAKE
    said = capfd.readouterr().err
    assert "builtins.ValueError" in said
    assert "builtins.KeyError" in said
    assert "test_unit.py" in said
    assert not any(word in said for word in SENTINELS)


# ---- bell ----


def test_a_ring_wakes_and_several_count_as_one(tmp_path):
    with Bell(tmp_path, "here") as bell:
        assert not bell.wait(0)
        for _ in range(500):
            ring(tmp_path, "here")
        assert bell.wait(5)
        assert not bell.wait(0)


def test_ringing_where_nobody_listens_is_no_error(tmp_path):
    ring(tmp_path, "nobody")
    with Bell(tmp_path, "gone"):
        pass
    ring(tmp_path, "gone")


def test_a_bell_that_a_dead_process_left_is_replaced(tmp_path):
    if (pid := os.fork()) == 0:
        Bell(tmp_path, "here")
        os._exit(0)
    os.waitpid(pid, 0)
    with Bell(tmp_path, "here") as bell:
        ring(tmp_path, "here")
        assert bell.wait(5)


# ---- notify ----


def test_systemd_hears_ready_status_and_stopping(systemd):
    notify.ready()
    notify.status("port 104, 2 associations")
    notify.stopping()
    assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"STATUS=port 104, 2 associations", b"STOPPING=1"]


def test_the_watchdog_is_fed_at_half_its_interval_and_not_more_often(systemd, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(notify.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    dog = notify.Watchdog()
    for _ in range(80):
        dog.alive()
        now[0] += 0.1
    systemd.settimeout(0.2)
    fed = 0
    while True:
        try:
            assert systemd.recv(100) == b"WATCHDOG=1"
        except TimeoutError:
            break
        fed += 1
    assert fed == 4


@pytest.mark.parametrize("other", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "often"}, {"WATCHDOG_USEC": "0"}])
def test_a_watchdog_that_is_not_meant_for_us_is_not_fed(systemd, monkeypatch, other):
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    for name, value in other.items():
        monkeypatch.setenv(name, value)
    notify.Watchdog().alive()
    systemd.settimeout(0.1)
    with pytest.raises(TimeoutError):
        systemd.recv(100)


def test_without_systemd_nothing_is_told_and_nothing_fails(monkeypatch):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)
    notify.ready()
    notify.Watchdog().alive()
    notify.status("well")
    notify.stopping()


# ---- log ----


def test_a_line_carries_its_fields_behind_the_sentence():
    record = logging.makeLogRecord(
        {"name": "forward", "msg": "%s answers", "args": ("pacs",), "DESTINATION": "pacs", "EXAM": "e"}
    )
    assert log.OneLine().format(record) == "forward: pacs answers [EXAM=e DESTINATION=pacs]"


def test_the_journal_gets_fields_and_never_an_exceptions_words():
    sent = []
    handler = log.JournalFields("forward", lambda message, **fields: sent.append((message, fields)))
    try:
        raise ValueError(SENTINELS[0])
    except ValueError:
        record = logging.LogRecord("forward", logging.ERROR, "f.py", 1, "%s stumbled", ("it",), sys.exc_info())
    record.EXAM = "e"
    handler.emit(record)
    ((message, fields),) = sent
    assert fields["SERVICE"] == "forward"
    assert fields["EXAM"] == "e"
    assert all(name.isupper() for name in fields)
    assert "builtins.ValueError" in message
    assert SENTINELS[0] not in repr(sent)


def test_our_own_errors_keep_their_words():
    assert any("was unplugged" in line for line in log.where(DeviceGone(device="/dev/video0")))


@pytest.mark.parametrize("library", log.QUIET)
def test_a_library_that_quotes_values_is_not_heard(capfd, library):
    before = logging.root.handlers[:]
    log.setup("test")
    logging.getLogger(library).error("value %s is not valid", SENTINELS[0])
    logging.root.handlers[:] = before
    logging.captureWarnings(capture=False)
    assert capfd.readouterr().err == ""


def _listening(tmp_path):
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "systemd"))
    heard.settimeout(PATIENCE_S)
    return heard


def _hear(heard, wanted):
    while wanted not in heard.recv(1000):
        pass
