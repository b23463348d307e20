"""Serial ports of the kernel: 16550s on a null-modem cable, one with nothing at its end, a USB adapter that can be pulled out, a pedal.

QEMU plays the 16550s; dummy_hcd and configfs play the USB device (Linux, Documentation/usb/gadget_configfs.rst), or we do (`ftdi.py`); uinput
the pedal.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.device import evdev
from gateway.profile import SerialSettings
from hw.rig.bed import CHECKOUT
from tests.rig.serial.ftdi import Ftdi

LONELY = "/dev/ttyS1"
ADAPTER = "/dev/ttyACM0"
_CONFIGFS = Path("/sys/kernel/config/usb_gadget")
UI_SET_EVBIT, UI_SET_KEYBIT, UI_DEV_CREATE, UI_DEV_DESTROY = 0x40045564, 0x40045565, 0x5501, 0x5502
"""linux/uinput.h."""


def until(is_so, what: str, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def cable() -> tuple[str, str]:
    """The two ends of a null-modem cable: the 16550s on the PCI bus."""
    ports = sorted(
        path.name
        for path in Path("/sys/class/tty").glob("ttyS*")
        if "pci" in str(path.readlink()) and "pnp" not in str(path.readlink())
    )
    assert len(ports) == 2, ports
    return f"/dev/{ports[0]}", f"/dev/{ports[1]}"


class Adapter:
    """A USB serial adapter, and the instrument behind it: its DSR and DCD are on while the instrument's port is open."""

    far = "/dev/ttyGS0"

    def __init__(self) -> None:
        for module in ("libcomposite", "usb_f_acm", "cdc_acm"):
            subprocess.run(["modprobe", module], check=True)
        self._gadget = _CONFIGFS / "meter"
        self._gadget.mkdir()
        for name, value in (("idVendor", "0x0525"), ("idProduct", "0xa4a7")):
            (self._gadget / name).write_text(value)
        (self._gadget / "strings" / "0x409").mkdir()
        (self._gadget / "strings" / "0x409" / "serialnumber").write_text("METER-1")
        (self._gadget / "configs" / "c.1").mkdir()
        (self._gadget / "functions" / "acm.0").mkdir()
        (self._gadget / "configs" / "c.1" / "acm.0").symlink_to(self._gadget / "functions" / "acm.0")

    def plug(self) -> None:
        """Put it into its socket."""
        (self._gadget / "UDC").write_text("dummy_udc.0")
        until(lambda: Path(ADAPTER).exists(), "plugging in")
        subprocess.run(["udevadm", "settle"], check=True)

    def unplug(self) -> None:
        """Pull it out."""
        (self._gadget / "UDC").write_text("\n")
        until(lambda: not Path(ADAPTER).exists(), "pulling out")

    def dispose(self) -> None:
        """Make the next test's adapter a new one."""
        if (self._gadget / "UDC").read_text().strip():
            self.unplug()
        (self._gadget / "configs" / "c.1" / "acm.0").unlink()
        for part in ("configs/c.1", "functions/acm.0", "strings/0x409", ""):
            (self._gadget / part).rmdir()


@pytest.fixture(scope="session", autouse=True)
def sockets() -> None:
    """Four USB controllers, each with one socket, and the gateway's own names for what is plugged in."""
    subprocess.run(["modprobe", "dummy_hcd", "num=4"], check=True)
    Path("/run/udev/rules.d").mkdir(parents=True, exist_ok=True)
    shutil.copy(CHECKOUT / "firmware-config/usr/lib/udev/rules.d/70-gateway.rules", "/run/udev/rules.d/")
    subprocess.run(["udevadm", "control", "--reload"], check=True)


@pytest.fixture(scope="session")
def two_ftdi(sockets: None) -> tuple[Ftdi, Ftdi]:
    """Two FT232s, which stay until the guest is switched off."""
    return Ftdi(1), Ftdi(2)


@pytest.fixture
def ftdi(two_ftdi: tuple[Ftdi, Ftdi]) -> Iterator[Ftdi]:
    """An FT232 with a fresh instrument behind it, not yet in its socket."""
    yield from _fresh(two_ftdi[0])


@pytest.fixture
def other_ftdi(two_ftdi: tuple[Ftdi, Ftdi]) -> Iterator[Ftdi]:
    """Another one."""
    yield from _fresh(two_ftdi[1])


def _fresh(adapter: Ftdi) -> Iterator[Ftdi]:
    adapter.line = SerialSettings()
    adapter.ready()
    yield adapter
    if adapter.is_plugged:
        adapter.unplug()
    adapter.heard()


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    """A USB serial adapter, in its socket."""
    made = Adapter()
    made.plug()
    yield made
    made.dispose()


class UinputPedal:
    """A HID foot pedal, as the kernel's input layer has it."""

    def __init__(self, key: str) -> None:
        subprocess.run(["modprobe", "-a", "uinput", "evdev"], check=True)
        self._code = evdev.code_of(key)
        before = set(Path("/dev/input").glob("event*"))
        self._fd = os.open("/dev/uinput", os.O_WRONLY | os.O_NONBLOCK)
        fcntl.ioctl(self._fd, UI_SET_EVBIT, evdev.EV_KEY)
        fcntl.ioctl(self._fd, UI_SET_KEYBIT, self._code)
        os.write(self._fd, struct.pack("80sHHHHi256i", b"foot pedal", 3, 0x05F3, 0x00FF, 1, 0, *[0] * 256))
        fcntl.ioctl(self._fd, UI_DEV_CREATE)
        until(lambda: set(Path("/dev/input").glob("event*")) - before, "the pedal")
        subprocess.run(["udevadm", "settle"], check=True)
        (self.path,) = map(str, set(Path("/dev/input").glob("event*")) - before)

    def move(self, value: int) -> None:
        """Press (1) or let go (0)."""
        event = struct.Struct("@llHHi")
        os.write(self._fd, event.pack(0, 0, evdev.EV_KEY, self._code, value) + event.pack(0, 0, 0, 0, 0))

    def unplug(self) -> None:
        """Pull it out."""
        fcntl.ioctl(self._fd, UI_DEV_DESTROY)


@pytest.fixture
def foot() -> Iterator[UinputPedal]:
    """A pedal with the key B."""
    made = UinputPedal("KEY_B")
    yield made
    os.close(made._fd)
