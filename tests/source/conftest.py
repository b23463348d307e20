"""A source on its bench: the simulated grabber, or our V4L2 layer over a driver's double; time passes only when somebody waits."""

import pytest

from gateway.clock import SystemClock
from gateway.device import grabber
from gateway.profile import VideoInput
from gateway.simulators.grabber import Simulator
from gateway.simulators.kernel import Kernel
from gateway.simulators.scanner import ManualClock, Scanner
from gateway.source.ring import Shot
from gateway.source.video import SignalEdge, Source

SMALL = "phantom,128x96"


class Bench:
    """A source, its scanner and everything it said."""

    def __init__(self, kind: str, script: str, playbacks: dict, **options):
        self.clock = ManualClock(SystemClock())
        self.scanner = Scanner(script, self.clock, wait=self.clock.advance, playbacks=playbacks)
        self.simulator = Simulator(self.scanner)
        kernel = Kernel(self.scanner)
        connector = "s-video" if "/" in self.scanner.playback.format.standard else "hdmi"
        wanted = VideoInput(connector=connector, standards=options.pop("standards", ("any",)))
        openers = {
            "simulator": self.simulator.open,
            "driver": lambda: grabber.open("/dev/video0", wanted, open_node=kernel.open),
        }
        self.kernel = kernel
        self.source = Source(openers[kind], self.clock, **{"ring_s": 2.0, **options})
        self.said = []

    def run(self, seconds: float) -> list:
        """Step as the service does, for so long; return what was said meanwhile."""
        until_ns = self.clock.monotonic_ns() + round(seconds * 1e9)
        said = []
        while self.clock.monotonic_ns() < until_ns:
            said += self.source.step(0.1)
            if self.source.pause_s:
                self.clock.advance(min(0.05, self.source.pause_s))
        self.said += said
        return said

    def do(self, command: str) -> None:
        self.scanner.do(command)

    def edges(self) -> list:
        return [(each.was, each.now) for each in self.said if isinstance(each, SignalEdge)]


@pytest.fixture(scope="session")
def playbacks():
    """Pictures are drawn once for all tests."""
    return {}


@pytest.fixture(params=["simulator", "driver"])
def bench(request, playbacks):
    """`bench(script, **options of Source)`"""
    return lambda script=SMALL, **options: Bench(request.param, script, playbacks, **options)


def of(kind, said):
    return [each for each in said if isinstance(each, kind)]


def every(reader):
    shots = []
    while isinstance(taken := reader.take(), Shot):
        shots.append(taken)
    return shots
