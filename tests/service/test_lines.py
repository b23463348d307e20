"""The serial lines of the box, as the panel offers them: by names that stay, and once each."""

import threading

from gateway import config
from gateway.service import check
from gateway.service.lines import LOOK_NS, Lines
from gateway.service.serial import serve
from gateway.spool import live
from gateway.spool.spool import Spool
from tests.service.world import site_file
from tests.spool.world import FakeClock


def _plug_in(devices, node, *links):
    (devices / node).touch()
    for link in links:
        path = devices / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(devices / node)


def test_a_line_is_listed_once_and_by_our_own_name_where_it_has_one(tmp_path):
    devices, run = tmp_path / "dev", tmp_path / "run"
    devices.mkdir()
    _plug_in(devices, "ttyUSB0", "serial/by-path/pci-usb-1", "gateway/serial-pci-usb-1")
    _plug_in(devices, "ttyUSB1", "serial/by-path/pci-usb-2")
    _plug_in(devices, "video0", "gateway/video-pci-usb-3")
    Lines(run, devices).publish(0)
    assert live.read_lines(run) == (f"{devices}/gateway/serial-pci-usb-1", f"{devices}/serial/by-path/pci-usb-2")


def test_what_is_plugged_in_later_is_there_at_the_next_look(tmp_path):
    devices, run = tmp_path / "dev", tmp_path / "run"
    devices.mkdir()
    lines = Lines(run, devices)
    lines.publish(0)
    assert live.read_lines(run) == ()
    _plug_in(devices, "ttyUSB0", "gateway/serial-pci-usb-1")
    lines.publish(LOOK_NS - 1)
    assert live.read_lines(run) == ()
    lines.publish(LOOK_NS)
    assert live.read_lines(run) == (f"{devices}/gateway/serial-pci-usb-1",)


def test_a_line_that_is_switched_off_is_not_opened_and_says_so(tmp_path):
    line = {"device": "/dev/null-lm", "instrument": "nidek-lm", "station": "ROOM-1", "is_enabled": False}
    site, clock, stop = config.load(site_file(tmp_path, serial={"LM": line})), FakeClock(), threading.Event()

    class Bell:
        def wait(self, _seconds: float) -> bool:
            stop.set()
            return False

    with Spool.open(site.data, clock) as spool:
        serve("LM", site, spool, clock, stop, Bell())
    said = live.read_instrument(site.run, "LM")
    assert (said.is_open, said.problem) == (False, "/dev/null-lm is switched off in the configuration.")
    (found,) = [each for each in check.devices(site) if each.subject == "serial LM"]
    assert (found.verdict, found.text) == ("good", "/dev/null-lm is switched off")
