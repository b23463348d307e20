"""What a person types: facts on stdout (also as JSON), failures in words on stderr, an exit status that tells."""

import json
import os
import struct
import subprocess
import sys
import threading
import time
import zlib

import click
import pytest
from click.testing import CliRunner

from gateway import config, exam
from gateway import profile as profiles
from gateway.cli import main
from gateway.clock import SystemClock
from gateway.model import StoreOutcome
from gateway.service.bell import Bell
from gateway.service.compose import Box
from gateway.simulators import nidek
from gateway.simulators.instrument import SimulatedInstrument
from gateway.simulators.pacs import SimulatedPACS
from gateway.source.serial import Instrument
from gateway.spool.journal import Journal
from gateway.spool.spool import Spool
from tests.flow.arrivals import write
from tests.service.world import SENTINELS, WHO, site_file, still

SCRIPT = "simulator:phantom,320x240,progressive,yuyv,25"


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """`gateway("check", ...)` types a command on a box of its own; `gateway.file` is its configuration."""
    file = site_file(tmp_path)
    monkeypatch.setenv(config.VARIABLE, str(file))

    def type_(*arguments):
        return CliRunner().invoke(main, list(arguments), catch_exceptions=False)

    type_.file = file
    type_.site = config.load(file)
    return type_


@pytest.fixture
def queued(gateway):
    """A box with one released capture, QUEUED for its one destination."""
    clock = SystemClock()
    with Spool.open(gateway.site.data, clock) as spool:
        step, instance = still(Box(site=gateway.site, spool=spool, clock=clock))
        exam.complete(spool, clock, step.exam_id)
    return instance


def typed(*arguments, **environment):
    """Type a command in a process of its own."""
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment}
    )


def test_help_is_there_for_every_command_and_loads_no_room():
    code = (
        "import sys; from click.testing import CliRunner; from gateway.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "print([name for name in ('numba', 'numpy', 'pydicom', 'flask', 'sqlite3', 'pynetdicom') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    for path, command in _commands(main, ()):
        shown = CliRunner().invoke(main, [*path, "--help"])
        assert shown.exit_code == 0
        assert command.help.splitlines()[0] in " ".join(shown.output.split())


def test_a_failure_is_a_sentence_a_code_and_what_to_do_on_stderr(tmp_path):
    done = typed("--config", str(tmp_path / "no.toml"), "config")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no file" in done.stderr
    assert "[G100]" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_tells_by_its_status(gateway):
    found = gateway("check", "--json")
    assert found.exit_code == 1  # nobody listens at port 1
    told = json.loads(found.stdout)
    assert [each["subject"] for each in told if each["verdict"] == "bad"] == ["destination pacs"]
    lines = gateway("check").stdout
    assert "BAD  destination pacs" in lines
    assert "[G501]" in lines


def test_config_prints_what_counts_and_what_this_site_changed(gateway):
    assert config.toml(config.changes(gateway.site)) == gateway("config", "--changes").stdout
    whole = gateway("config").stdout
    assert "session_minutes = 30" in whole
    assert json.loads(gateway("config", "--json").stdout)["panel"]["session_minutes"] == 30


def test_status_says_how_the_box_stands_without_naming_anybody(gateway, queued):
    now = json.loads(gateway("status", "--json").stdout)
    assert now["services"] == dict.fromkeys(["keeper", "forward", "listen", "acquire@ROOM-1", "panel"], False)
    assert now["destinations"][0]["counts"] == {"QUEUED": 1}
    text = gateway("status").stdout
    assert "destination pacs: 1 QUEUED; last received never" in text
    assert not any(word in text for word in SENTINELS)


def test_status_names_the_exam_in_progress(gateway):
    clock = SystemClock()
    with Spool.open(gateway.site.data, clock) as spool:
        step, _ = still(Box(site=gateway.site, spool=spool, clock=clock))
    assert f"ROOM-1: UNKNOWN, exam {step.exam_id} in progress" in gateway("status").stdout


def test_echo_says_who_answers(gateway, free_port):
    file = site_file(
        gateway.file.parent, destination={"pacs": {"host": "127.0.0.1", "port": free_port, "called_ae": "PACS"}}
    )
    assert file == gateway.file
    with SimulatedPACS(free_port, ae_title="PACS"):
        found = gateway("echo", "pacs")
    assert (found.exit_code, found.stdout) == (0, f"PACS at 127.0.0.1:{free_port} answers\n")
    found = gateway("echo", "pacs", "--json")
    assert (found.exit_code, json.loads(found.stdout)["code"]) == (1, "G501")
    assert gateway("echo", "nobody").exit_code == 2


def test_a_file_that_is_sent_is_durable_once_and_owed_to_everyone(gateway, tmp_path):
    path = write(tmp_path / "ct.dcm", "1.2.3.4")
    for _ in range(2):
        assert gateway("send", str(path)).stdout == f"1.2.3.4  {path}\n"
    (delivery,) = json.loads(gateway("queue", "list", "--json").stdout)
    assert (delivery["payload"], delivery["state"], delivery["destination"]) == ("1.2.3.4", "QUEUED", "pacs")
    with Spool.open(gateway.site.data, SystemClock()) as spool:
        instance = spool.instances.get("1.2.3.4")
        assert instance.received_from == "gateway send"
        data = spool.blobs.path(instance.blob).read_bytes()
    import pydicom

    assert pydicom.dcmread(path).PixelData in data


@pytest.mark.parametrize("content", [b"", b"no dicom at all" * 50, b"\0" * 128 + b"DICM" + b"\0" * 40])
def test_what_is_no_dicom_file_is_refused_and_leaves_nothing(gateway, tmp_path, content):
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    found = gateway("send", str(path))
    assert found.exit_code == 1
    assert "G312" in found.stderr
    assert list((gateway.site.data / "parts").glob("*.part")) == []
    assert gateway("send", str(tmp_path / "nothing.dcm")).exit_code == 1


def test_the_queue_is_listed_retried_and_given_up(gateway, queued):
    with Spool.open(gateway.site.data, SystemClock()) as spool:
        (delivery,) = spool.deliveries.claim("pacs", 1)
        spool.deliveries.settle(
            [(delivery.delivery_id, StoreOutcome(verdict="never", error_code="G505", text="not wanted"))]
        )
    number = str(delivery.delivery_id)
    assert "FAILED" in gateway("queue", "list", "--failed").stdout
    assert "not wanted" in gateway("queue", "list").stdout
    assert gateway("queue", "retry", number).stdout == f"{number} QUEUED\n"
    assert gateway("queue", "list", "--failed").stdout == ""
    again = gateway("queue", "retry", number)
    assert (again.exit_code, "G405" in again.stderr) == (1, True)
    assert gateway("queue", "cancel", number).exit_code == 2  # it wants a reason
    assert gateway("queue", "cancel", number, "--because", "sent by hand").stdout == f"{number} CANCELLED\n"
    with Spool.open(gateway.site.data, SystemClock()) as spool:
        assert any("sent by hand" in entry.text for entry in spool.history.recent(20))


def test_a_delivery_that_is_not_there_is_named(gateway, queued):
    found = gateway("queue", "retry", "4711")
    assert (found.exit_code, "4711" in found.stderr) == (1, True)


def test_pair_prints_a_code_until_there_is_an_engineer(gateway):
    first, second = (json.loads(gateway("pair", "--json").stdout)["code"] for _ in range(2))
    assert first != second
    with Spool.open(gateway.site.data, SystemClock()) as spool:
        spool.accounts.pair(second, "eng", "a-long-enough-password")
    done = gateway("pair")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "There is an engineer already" in done.stderr


def test_one_picture_is_taken_whole_without_a_profile(gateway, tmp_path):
    done = typed("capture", "--device", SCRIPT, "--output", str(tmp_path / "one.png"), "--json")
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert (taken["columns"], taken["rows"], taken["pixel_format"]) == (320, 240, "YUYV")
    columns, rows, pixels = _read_png((tmp_path / "one.png").read_bytes())
    assert (columns, rows) == (320, 240)
    assert len(set(pixels)) > 10
    assert not gateway.site.data.exists()


def test_a_picture_is_taken_as_its_profile_has_it(gateway, tmp_path):
    own = tmp_path / "hw" / "modalities"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text(
        'title = "t"\nsources = ["s"]\n[input]\nconnector = "hdmi"\nstandards = ["any"]\n'
        '[chain]\ncrop = [8, 8, 32, 16]\n[object]\nmodality = "US"\n'
    )
    settings = config.toml(
        config.changes(gateway.site)
        | {"paths": config.changes(gateway.site)["paths"] | {"profiles": str(tmp_path / "hw")}}
    )
    gateway.file.write_text(settings)
    done = typed("capture", "--device", SCRIPT, "--profile", "mine", "--output", str(tmp_path / "two.png"))
    assert done.returncode == 0, done.stderr
    assert "32x16" in done.stdout
    assert _read_png((tmp_path / "two.png").read_bytes())[:2] == (32, 16)


def test_a_device_that_is_not_there_is_named(gateway):
    for more in ([], ["--list"]):
        found = gateway("capture", "--device", "/dev/video-none", *more)
        assert found.exit_code == 1
        assert "/dev/video-none" in found.stderr
    assert gateway("capture").exit_code == 2
    assert gateway("capture", "--device", "a", "--serial", "b").exit_code == 2


def test_a_serial_line_is_heard_byte_by_byte(gateway, tmp_path):
    pty, tty = os.openpty()
    heard = tmp_path / "heard"
    try:
        with heard.open("w") as out:
            command = [sys.executable, "-m", "gateway", "capture", "--serial", os.ttyname(tty), "--seconds", "20"]
            program = subprocess.Popen(command, stdout=out)
        until = time.monotonic() + 20
        while "\\xff" not in heard.read_text() and time.monotonic() < until:
            os.write(pty, b"\xff")  # again and again: what is written before the line is open is lost
            time.sleep(0.05)
        program.terminate()
        assert program.wait(30) == 0
        assert "b'\\xff" in heard.read_text()
    finally:
        os.close(pty)
        os.close(tty)


def test_warm_compiles_into_the_sites_cache(gateway):
    assert "compiled in" in typed("warm").stdout


def _read_png(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + body)
        chunks[name] = body
        at += 12 + length
    columns, rows = struct.unpack(">II", chunks[b"IHDR"][:8])
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == rows * (1 + 3 * columns)
    return columns, rows, pixels


def _commands(group, before):
    for name, command in group.commands.items():
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*before, name))


# ---- serial ----


def test_a_replay_prints_what_a_port_has_heard_and_keeps_a_set_where_it_is_told(tmp_path, monkeypatch):
    serial = {"LM": {"device": "/dev/null-lm", "instrument": "nidek-lm"}}
    file = site_file(tmp_path, serial=serial)
    monkeypatch.setenv(config.VARIABLE, str(file))
    site, clock = config.load(file), SystemClock()
    journal = Journal(site.data / "serial" / "LM")
    journal.append(nidek.lensmeter() + nidek.damaged(nidek.lensmeter()), clock.now(), clock.monotonic_ns())
    journal.close()
    heard = CliRunner().invoke(main, ["serial", "replay", "LM", "--json"])
    one, damaged = json.loads(heard.stdout)
    assert (one["number"], one["model_name"], one["values"][0]["value"]) == (1, "LM-1000P", "-1.25")
    assert "its checksum is wrong" in damaged["error"]
    with Spool.open(site.data, clock) as spool:
        step = exam.start(spool, clock, station="LM", modality="OT", profile="simulator-ultrasound", patient=WHO)
    kept = CliRunner().invoke(main, ["serial", "replay", "LM", "--keep", "1", "--exam", str(step.exam_id)])
    assert kept.exit_code == 0, kept.output
    assert "lensometry" in kept.stdout
    with Spool.open(site.data, clock) as spool:
        assert [each.source for each in spool.captures.of_exam(step.exam_id)] == ["LM"]
    assert CliRunner().invoke(main, ["serial", "replay", "LM", "--keep", "1"]).exit_code == 2
    assert CliRunner().invoke(main, ["serial", "replay", "NOWHERE"]).exit_code == 2


def test_the_inbox_is_printed_assigned_and_discarded(tmp_path, monkeypatch):
    file = site_file(tmp_path, serial={"LM": {"device": "/dev/null-lm", "instrument": "nidek-lm"}})
    monkeypatch.setenv(config.VARIABLE, str(file))
    site, clock = config.load(file), SystemClock()
    (readings,) = Instrument(profiles.instrument("nidek-lm")).receive_data(nidek.lensmeter(), clock.monotonic_ns())
    with Spool.open(site.data, clock) as spool:
        first, second = (spool.inbox.add("LM", "Lensmeter", readings, problem="No exam.") for _ in range(2))
        step = exam.start(spool, clock, station="LM", modality="OT", profile="simulator-ultrasound", patient=WHO)
    listed = CliRunner().invoke(main, ["serial", "inbox"])
    assert listed.stdout.count("LM, Lensmeter: No exam.") == 2
    assert "R  Power of sphere: -1.25 dioptre" in listed.stdout
    for refused in (["--assign", "1"], ["--exam", str(step.exam_id)]):
        assert CliRunner().invoke(main, ["serial", "inbox", *refused]).exit_code == 2
    assigned = ["serial", "inbox", "--assign", str(first.entry_id), "--exam", str(step.exam_id)]
    with Bell(site.run, "serial@LM") as bell:
        assert CliRunner().invoke(main, assigned).exit_code == 0
        assert bell.wait(1.0)
    left = CliRunner().invoke(main, ["serial", "inbox", "--discard", str(second.entry_id), "--json"])
    assert [(one["entry_id"], one["state"]) for one in json.loads(left.stdout)] == [(first.entry_id, "ASSIGNED")]
    assert CliRunner().invoke(main, ["serial", "inbox", "--discard", "99"]).exit_code == 1


def test_detect_says_how_a_line_is_set_and_who_speaks(tmp_path, monkeypatch):
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "none.toml"))
    stop = threading.Event()
    with SimulatedInstrument(baud=0) as line:

        def print_again() -> None:
            while not stop.wait(0.1):
                line.print(nidek.lensmeter())

        printing = threading.Thread(target=print_again)
        printing.start()
        try:
            said = CliRunner().invoke(main, ["serial", "detect", line.path])
            facts = CliRunner().invoke(main, ["serial", "detect", line.path, "--json"])
        finally:
            stop.set()
            printing.join()
        assert said.exit_code == facts.exit_code == 0, said.output
        assert "nidek-lm" in said.stdout
        assert "listening: " in said.stderr
        best = json.loads(facts.stdout)["guesses"][0]
        assert (best["instruments"][0].startswith("nidek"), best["errors"]) == (True, 0)
        while line.heard():
            pass
        silent = CliRunner().invoke(main, ["serial", "detect", line.path, "--seconds", "1"])
        assert silent.exit_code == 1
        assert "nothing arrived" in silent.stderr
        assert line.heard() == b""
