"""The appliance's root filesystem, judged by systemd's own tools on a copy of it with a stub at /usr/bin/gateway."""

import configparser
import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware-config"
UNITS = FIRMWARE / "usr/lib/systemd/system"
SERVICES = ["keeper", "forward", "listen", "panel", "acquire@ROOM-1", "serial@DOSE"]
NETWORKED = ["keeper", "forward", "listen", "panel"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A copy of the root, with what Debian provides as empty stubs."""
    copy = tmp_path_factory.mktemp("root")
    shutil.copytree(FIRMWARE, copy, dirs_exist_ok=True)
    _stub(copy)
    return copy


@pytest.mark.parametrize("unit", ["gateway.target", *(f"gateway-{name}.service" for name in SERVICES)])
def test_systemd_finds_nothing_wrong_with_a_unit(root, unit):
    said = _run("systemd-analyze", "verify", "--man=no", f"--root={root}", unit)
    assert said == ""


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("gateway-keeper.service", "ExecStart=/usr/bin/getaway service keeper"),
        ("gateway-keeper.service", "WatchdogSecs=60"),
        ("gateway-.service.d/10-every-service.conf", "[Service]\nRestart=now-and-then"),
    ],
)
def test_a_broken_unit_is_seen(root, tmp_path, file, wrong):
    """The oracle itself: each kind of mistake makes `verify` speak."""
    copy = tmp_path / "root"
    shutil.copytree(root, copy)
    with (copy / "usr/lib/systemd/system" / file).open("a", encoding="utf-8") as unit:
        unit.write(f"\n{'' if wrong.startswith('[') else '[Service]'}\n{wrong}\n")
    assert _run("systemd-analyze", "verify", "--man=no", f"--root={copy}", "gateway-keeper.service") != ""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_no_more_than_it_must(root, name):
    said = _run(
        "systemd-analyze", "security", f"--root={root}", "--offline=true", "--threshold=20", f"gateway-{name}.service"
    )
    assert float(re.search(r"exposure level for .*: ([0-9.]+)", said)[1]) <= 2.0


@pytest.mark.parametrize("name", SERVICES)
def test_the_sandbox_that_counts_is_the_one_that_is_meant(root, name):
    """What systemd makes of unit and drop-in together, not what either says."""
    is_set = _security(root, name)
    for each in (
        "ProtectSystem",
        "ProtectHome",
        "PrivateTmp",
        "NoNewPrivileges",
        "ProtectKernelModules",
        "RestrictSUIDSGID",
    ):
        assert is_set[each], each
    assert is_set["PrivateNetwork"] is (name not in NETWORKED)
    assert is_set["PrivateDevices"] is (name in NETWORKED)
    assert is_set["MemoryDenyWriteExecute"] is (not name.startswith("acquire"))
    assert is_set["RestrictAddressFamilies_AF_INET_INET6"] is (name not in NETWORKED)


def test_only_acquire_sees_video_and_pedals_and_nobody_else_a_port():
    allowed = {
        path.name: re.findall(r"^DeviceAllow=(.*)$", path.read_text(), re.MULTILINE) for path in UNITS.glob("*.service")
    }
    ports = ["char-ttyS rw", "char-ttyUSB rw", "char-ttyACM rw"]
    assert allowed.pop("gateway-acquire@.service") == ["char-video4linux rw", "char-input r", *ports]
    assert allowed.pop("gateway-serial@.service") == ports
    assert not any(allowed.values())


@pytest.mark.parametrize("name", ["keeper", "forward", "listen", "panel", "serial"])
def test_a_service_starts_without_writing_code_to_memory(name):
    """The kernel itself refuses it here, as MemoryDenyWriteExecute= does there (PR_SET_MDWE, linux/prctl.h)."""
    code = (
        "import ctypes, importlib, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)\n"
        f"importlib.import_module('gateway.service.{name}')\n"
        "from gateway.clock import kernel_is_synchronised; kernel_is_synchronised()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr


def test_every_service_may_ask_whether_the_clock_is_set():
    """adjtimex(2) is in systemd's @clock: ProtectClock= would make every clock look wrong for ever."""
    shared = (UNITS / "gateway-.service.d/10-every-service.conf").read_text()
    assert re.search(r"^SystemCallFilter=adjtimex$", shared, re.MULTILINE)
    for path in UNITS.rglob("*"):
        assert path.is_dir() or not re.search(r"^ProtectClock=", path.read_text(), re.MULTILINE)


def test_no_value_of_a_unit_is_overruled_by_what_all_share():
    """The drop-in is read after the unit: a single value in both would be the drop-in's, silently."""
    lists = {"RestrictAddressFamilies", "SystemCallFilter", "DeviceAllow"}
    shared = _keys(UNITS / "gateway-.service.d/10-every-service.conf")
    for path in UNITS.glob("*.service"):
        assert not (_keys(path) & shared) - lists, path.name


def test_the_user_and_the_folders_are_made(root, tmp_path):
    copy = tmp_path / "root"
    shutil.copytree(root, copy)
    (copy / "etc").mkdir(exist_ok=True)
    _run("systemd-sysusers", f"--root={copy}")
    assert re.search(
        r"^gateway:.*:/var/lib/gateway:/usr/sbin/nologin$", (copy / "etc/passwd").read_text(), re.MULTILINE
    )
    assert _run("systemd-tmpfiles", "--create", f"--root={copy}", "gateway.conf") == ""
    for folder in ("etc/gateway/conf.d", "var/lib/gateway", "var/cache/gateway", "run/gateway"):
        assert (copy / folder).is_dir()
    assert (copy / "var/lib/gateway").stat().st_mode & 0o777 == 0o750


MATCHES = {"ACTION", "KERNEL", "SUBSYSTEM", "ATTR", "ENV", "TEST"}
ASSIGNMENTS = {"SYMLINK", "GROUP", "MODE", "ENV", "ATTR", "GOTO", "LABEL"}
USB_KEYS = {"SUBSYSTEM": "input", "ID_BUS": "usb", "ID_INPUT_KEY": "1"}
PAIR = re.compile(r'([A-Z]+)(?:\{([^}]+)\})?\s*(==|!=|\+=|=)\s*"([^"]*)"')


@pytest.mark.parametrize("path", sorted(FIRMWARE.rglob("*.rules")), ids=lambda path: path.name)
def test_every_udev_rule_is_a_list_of_known_pairs(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    wanted, labels = set(), set()
    for line in lines:
        pairs = PAIR.findall(line)
        assert PAIR.sub("", line).replace(",", "").strip() == "", line
        for key, _, operator, value in pairs:
            assert key in (MATCHES if operator in {"==", "!="} else ASSIGNMENTS) | (
                {"TEST"} if operator == "==" else set()
            ), line
            wanted |= {value} if key == "GOTO" else set()
            labels |= {value} if key == "LABEL" else set()
    assert wanted <= labels


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ({"SUBSYSTEM": "video4linux", "KERNEL": "video0", "ID_V4L_CAPABILITIES": ":capture:"}, "video-PATH"),
        ({"SUBSYSTEM": "video4linux", "KERNEL": "video1", "ID_V4L_CAPABILITIES": ":"}, ""),
        ({"SUBSYSTEM": "tty", "KERNEL": "ttyUSB0"}, "serial-PATH"),
        ({"SUBSYSTEM": "tty", "KERNEL": "ttyUSB0", ".ID_PORT": "0"}, "serial-PATH"),
        ({"SUBSYSTEM": "tty", "KERNEL": "ttyUSB1", ".ID_PORT": "1"}, "serial-PATH-port1"),
        ({"SUBSYSTEM": "tty", "KERNEL": "ttyS1"}, "serial-ttyS1"),
        (USB_KEYS | {"KERNEL": "event3", "ID_INPUT_KEYBOARD": "1"}, "pedal-PATH"),
        (USB_KEYS | {"KERNEL": "event4", "ID_INPUT_MOUSE": "1"}, ""),
        (USB_KEYS | {"KERNEL": "mouse0"}, ""),
        (USB_KEYS | {"KERNEL": "event5", "ID_INPUT_TOUCHSCREEN": "1"}, ""),
        (USB_KEYS | {"KERNEL": "event0", "ID_BUS": ""}, ""),  # a power button
        (USB_KEYS | {"KERNEL": "event1", "ID_BUS": "i8042"}, ""),  # the keyboard of a laptop
    ],
)
def test_a_device_gets_the_name_that_the_configuration_speaks_of(device, name):
    """The rules played on a device, as udev(7) says: every match of a line must hold for its assignments to count."""
    facts = {"ACTION": "add", "ID_PATH": "PATH", **device}
    rules = (FIRMWARE / "usr/lib/udev/rules.d/70-gateway.rules").read_text()
    assert _symlinks(rules, facts) == ([f"gateway/{name}"] if name else [])
    assert _symlinks(rules, {**facts, "ACTION": "remove"}) == []


def test_udev_finds_nothing_wrong_with_a_rule():
    if int(re.match(r"\d+", _run("udevadm", "--version"))[0]) < 254:
        pytest.skip("this udevadm has no verify: the parser above stands in for it")
    for path in FIRMWARE.rglob("*.rules"):
        done = subprocess.run(["udevadm", "verify", path], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_journald_knows_every_setting():
    known = Path("/usr/lib/systemd/systemd-journald").read_bytes()
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str
    parser.read(FIRMWARE / "usr/lib/systemd/journald.conf.d/10-gateway.conf")
    assert parser.sections() == ["Journal"]
    assert all(f"Journal.{key}".encode() in known for key in parser["Journal"])


def test_nothing_of_the_root_is_unknown_to_its_readme():
    readme = (FIRMWARE / "README.md").read_text()
    stated = re.findall(r"`((?:etc|usr)/[^`]+)`", readme)
    for path in (path for path in FIRMWARE.rglob("*") if path.is_file() and path.name != "README.md"):
        name = str(path.relative_to(FIRMWARE))
        assert any(Path(name).match(each) or name.startswith(each) for each in stated), name


def _symlinks(rules, facts):
    """What a udev would call a device by these rules; `ACTION==remove` jumps to the end."""
    found = []
    for line in (line for line in rules.splitlines() if line and not line.startswith("#")):
        pairs = PAIR.findall(line)
        holds = all(_holds(facts.get(inner or key, ""), operator, value) for key, inner, operator, value in pairs)
        if not holds:
            continue
        if any(key == "GOTO" for key, *_ in pairs):
            return found
        found += [
            re.sub(r"\$env{(.*?)}", lambda name: facts[name[1]], value).replace("%k", facts["KERNEL"])
            for key, _, operator, value in pairs
            if key == "SYMLINK"
        ]
    return found


def _holds(is_so, operator, wanted):
    if operator not in {"==", "!="}:
        return True
    matches = any(fnmatch.fnmatchcase(is_so, each) for each in wanted.split("|"))
    return matches == (operator == "==")


def _stub(root):
    (root / "usr/bin").mkdir(parents=True)
    program = root / "usr/bin/gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for target in ("sysinit.target", "basic.target", "shutdown.target", "multi-user.target", "time-set.target"):
        (root / "usr/lib/systemd/system" / target).write_text(f"[Unit]\nDescription={target}\n")


def _security(root, name):
    said = _run(
        "systemd-analyze", "security", f"--root={root}", "--offline=true", "--json=short", f"gateway-{name}.service"
    )
    return {row["json_field"]: bool(row["set"]) for row in json.loads(said)}


def _keys(path):
    return {line.partition("=")[0] for line in path.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)}


def _run(*command):
    """What a tool prints; it must be installed, and may end as it likes."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr
