"""The serial lines of the box, as the panel offers them: by names that stay, and once each."""

from gateway.service.lines import LOOK_NS, Lines
from gateway.spool import live


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
