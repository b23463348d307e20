"""One scanner behind each grabber: the simulated one, and our own V4L2 layer on a driver's double in three shapes."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.clock import SystemClock
from gateway.device import grabber
from gateway.device.grabber import Grabber
from gateway.profile import VideoInput
from gateway.simulators.grabber import Simulator
from gateway.simulators.kernel import Kernel
from gateway.simulators.scanner import ManualClock, Scanner

ANY = VideoInput(connector="s-video", standards=("any",))
HDMI = VideoInput(connector="hdmi", standards=("any",))
KINDS = ("simulator", "driver", "multi-planar driver", "camera driver")


@dataclass
class World:
    """A grabber that can be opened, and what stands before it. Time passes only when somebody waits."""

    scanner: Scanner
    open: Callable[[], Grabber]

    @property
    def clock(self):
        return self.scanner.clock

    def do(self, command: str) -> None:
        self.scanner.do(command)


@pytest.fixture(scope="session")
def scanner():
    """`scanner(script)`: pictures are drawn once for all tests."""
    playbacks = {}

    def make(script: str) -> Scanner:
        clock = ManualClock(SystemClock())
        return Scanner(script, clock, wait=clock.advance, playbacks=playbacks)

    return make


def make_world(kind: str, scanner: Scanner) -> World:
    if kind == "simulator":
        return World(scanner, Simulator(scanner).open)
    kernel = Kernel(scanner, is_multi_planar=kind.startswith("multi"), is_camera=kind.startswith("camera"))
    wanted = ANY if "/" in scanner.playback.format.standard else HDMI
    return World(scanner, lambda: grabber.open("/dev/video0", wanted, open_node=kernel.open))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def world(kind, scanner):
    """`world(script)`"""
    return lambda script="phantom,128x96": make_world(kind, scanner(script))
