"""`gateway check`: each thing that would keep a box from its work is found, named, and told with what to do."""

import os
from datetime import UTC, datetime

import pytest

from gateway import config, profile
from gateway.config import SerialPort
from gateway.objects import fonts
from gateway.service import check, movie
from gateway.simulators.pacs import SimulatedPACS
from gateway.spool import library
from tests.service.world import site_file


def of(findings, subject):
    return [each for each in findings if each.subject == subject]


def test_a_good_box_is_good(tmp_path, free_ports):
    pacs, listen, panel = free_ports(3)
    file = site_file(
        tmp_path, (listen, panel), destination={"pacs": {"host": "127.0.0.1", "port": pacs, "called_ae": "PACS"}}
    )
    with SimulatedPACS(pacs, ae_title="PACS"):
        found = list(check.everything(file))
    assert check.is_good(found), found
    subjects = [each.subject for each in found]
    assert {
        "configuration",
        "grabber ROOM-1",
        "SQLite",
        "clock",
        "disk",
        "kernels",
        "listen",
        "destination pacs",
    } <= set(subjects)
    assert not (tmp_path / "data").exists()  # it looks, and changes nothing


def test_a_configuration_that_cannot_be_used_is_all_that_is_told(tmp_path):
    file = site_file(tmp_path)
    file.write_text("[panel]\nprot = 1\n[destination.b]\nhost = 'b'\n")
    found = list(check.everything(file))
    assert [(each.subject, each.code) for each in found] == [("configuration", "G102"), ("configuration", "G103")]
    assert all(each.hint and str(file) in each.text for each in found)
    assert not check.is_good(found)


def test_a_damaged_file_of_the_panel_is_bad_and_the_rest_is_looked_at(tmp_path):
    file = site_file(tmp_path)
    config.write_override(config.load(file), "panel", {"station": {"ae_title": "X"}}).write_bytes(b"[")
    found = list(check.everything(file))
    assert [each.code for each in of(found, "configuration")] == ["G101"]
    assert of(found, "disk")


@pytest.mark.parametrize(("has_encoder", "verdicts"), [(True, ["good"]), (False, ["good", "care"])])
def test_video_that_nothing_here_can_make_is_said(tmp_path, monkeypatch, has_encoder, verdicts):
    monkeypatch.setattr(movie, "has_encoder", lambda: has_encoder)
    text = (profile.shipped() / "modalities" / "endoscopy-tower.toml").read_text(encoding="utf-8")
    asked = 'cine = "endoscopic"\nlossy_rule = "Dr A: for teaching."\n'
    region = 'anatomic_region = { value = "71854001", scheme = "SCT", meaning = "Colon" }\n'
    (tmp_path / "own" / "modalities").mkdir(parents=True)
    own = tmp_path / "own" / "modalities" / "tower.toml"
    own.write_text(text.replace('cine = "sc"\n', asked + region), encoding="utf-8")
    file = site_file(
        tmp_path,
        grabber={"R": {"device": "simulator:phantom", "profile": "tower"}},
        paths={"data": str(tmp_path / "data"), "run": str(tmp_path / "run"), "profiles": str(tmp_path / "own")},
    )
    found = list(check.profiles(config.load(file)))
    assert [finding.verdict for finding in found] == verdicts


def test_a_profile_that_is_not_there_is_named(tmp_path):
    file = site_file(tmp_path, grabber={"R": {"device": "simulator:phantom", "profile": "no-such"}})
    found = list(check.profiles(config.load(file)))
    assert [(each.subject, each.verdict, each.code) for each in found] == [("grabber R", "bad", "G110")]
    assert "hw/modalities/no-such.toml" in found[0].text


@pytest.mark.parametrize(
    ("version", "has_bug"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.46.1", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.0", True),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
    ],
)
def test_the_wal_reset_bug_is_known_by_version(version, has_bug):
    assert library.has_wal_reset_bug(version) is has_bug
    assert ("WAL-reset bug" in check.sqlite(version).text) is has_bug


def test_the_sqlite_in_this_process_is_the_one_that_is_told():
    assert library.version() in check.sqlite(library.version()).text


def test_a_clock_that_is_doubted_is_told_with_its_reason(tmp_path):
    class Early:
        def now(self):
            return datetime(1970, 1, 1, tzinfo=UTC)

        def doubt(self):
            return "it shows 1970-01-01 00:00"

    site = config.load(site_file(tmp_path))
    finding = check.time(site, Early())
    assert (finding.verdict, finding.code) == ("care", "G120")
    assert "1970" in finding.text
    assert finding.hint


def test_a_disk_with_too_little_room_is_bad(tmp_path):
    disk = os.statvfs(tmp_path)
    too_much = disk.f_blocks * disk.f_frsize // (1 << 20) + 1
    site = config.load(site_file(tmp_path, spool={"keep_free_mb": too_much, "ballast_mb": 1}))
    assert (check.room(site).verdict, check.room(site).code) == ("bad", "G401")


def test_devices_that_are_not_there_are_named(tmp_path):
    file = site_file(
        tmp_path,
        grabber={"A": {"device": "/dev/video-none", "profile": "ultrasound-hdmi"}},
        serial={"B": {"device": "/dev/tty-none", "instrument": "plain-line-dose"}},
        trigger={
            "foot": {"kind": "pedal", "device": "/dev/pedal-none", "grabber": "A"},
            "hand": {"kind": "pedal", "device": "/dev/null", "grabber": "A", "keys": ["HEART"]},
            "knee": {"kind": "pedal", "device": "/dev/null", "grabber": "A", "keys": ["KEY_B"]},
        },
    )
    found = list(check.devices(config.load(file)))
    verdicts = {each.subject: each.verdict for each in found}
    triggers = {"trigger foot": "bad", "trigger hand": "bad", "trigger knee": "good"}
    assert verdicts == {"grabber A": "bad", "serial B": "bad", **triggers}
    assert "/dev/video-none" in found[0].text
    assert "no key of the kernel: HEART" in found[3].text
    found.pop()
    assert all(each.hint for each in found)


def test_kernels_that_are_not_compiled_are_told(tmp_path):
    assert check.kernels(tmp_path).verdict == "care"
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "kernels.run-1.py311.1.nbi").touch()
    assert check.kernels(tmp_path).verdict == "good"


@pytest.mark.parametrize(
    ("listen", "verdict", "says"),
    [
        ({}, "care", "nobody may send"),
        ({"is_open_to_all": True}, "care", "anybody"),
        ({"allow": {"ct": {"ae_title": "CT1", "address": "10.0.0.1"}}}, "good", "CT1 from 10.0.0.1"),
    ],
)
def test_who_may_send_is_told(tmp_path, listen, verdict, says):
    (found,) = check.callers(config.load(site_file(tmp_path, listen=listen)))
    assert (found.verdict, says in found.text) == (verdict, True)


def test_each_peer_is_asked_and_the_dead_ones_are_named(tmp_path, free_ports):
    alive, dead, ris = free_ports(3)
    peer = {"host": "127.0.0.1", "called_ae": "PACS", "timeout_s": 2}
    file = site_file(
        tmp_path,
        destination={"near": peer | {"port": alive}, "far": peer | {"port": dead}},
        worklist={"host": "127.0.0.1", "port": ris, "called_ae": "RIS"},
    )
    with SimulatedPACS(alive, ae_title="PACS"):
        found = {each.subject: each for each in check.peers(config.load(file))}
    assert found["destination near"].verdict == "good"
    assert (found["destination far"].verdict, found["destination far"].code) == ("bad", "G501")
    assert (found["worklist"].verdict, found["worklist"].code) == ("bad", "G501")


def test_a_box_without_a_destination_is_told(tmp_path):
    found = list(check.peers(config.load(site_file(tmp_path, destination={}))))
    assert [(each.subject, each.verdict) for each in found] == [("destination", "care")]


def test_fonts_that_are_missing_are_told_where_pages_may_be_drawn(tmp_path, monkeypatch):
    site = config.load(site_file(tmp_path))
    monkeypatch.setattr(fonts, "PACKAGES", {"fonts-noto-cjk": tmp_path / "none", "fonts-dejavu-core": tmp_path})
    assert list(check.letters(site)) == []
    site.serial["LINE"] = SerialPort(device="/dev/null", instrument="scp-ecg")
    (found,) = check.letters(site)
    assert (found.verdict, found.text) == ("care", "fonts-noto-cjk not installed")
