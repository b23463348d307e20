"""What goes wrong with a simulated grabber goes wrong on command, from a test or from another process, and is remembered."""

import subprocess
import sys
import time

import pytest

from gateway.clock import SystemClock
from gateway.errors import DeviceGone, NoSignal
from gateway.simulators.grabber import open as open_grabber
from gateway.simulators.grabber import simulator
from gateway.simulators.scanner import ManualClock, pipe_of, tell

SMALL = "phantom,128x96"


@pytest.fixture
def clock():
    return ManualClock(SystemClock())


def take(grabber, count):
    sequences = []
    for _ in range(count):
        frame = grabber.poll(1.0)
        sequences.append(frame.sequence)
        grabber.release(frame)
    return sequences


def test_it_remembers_what_it_handed_out_and_got_back(clock):
    machine = simulator(SMALL, clock, wait=clock.advance)
    grabber = machine.open()
    take(grabber, 3)
    held = grabber.poll(1.0)
    assert [sequence for sequence, _, _ in machine.seen] == [0, 1, 2, 3]
    assert machine.seen[-1] == (3, held.field, held.captured_ns)
    assert list(machine.released) == [0, 1, 2]
    assert machine.opened == 1


@pytest.mark.parametrize(
    "command", ["drop", "drop x", "signal", "signal maybe", "format", "format heart", "explode", "drop -1", ""]
)
def test_a_command_nobody_knows_is_refused(clock, command):
    machine = simulator(SMALL, clock, wait=clock.advance)
    with pytest.raises(ValueError, match="no "):
        machine.do(command)
    assert machine.scanner.commands == []


def test_commands_are_obeyed_in_order(clock):
    machine = simulator(SMALL, clock, wait=clock.advance)
    grabber = machine.open()
    machine.do("drop 2")
    machine.do("jump 100")
    assert take(grabber, 2) == [102, 103]
    assert machine.scanner.commands == ["drop 2", "jump 100"]


def test_a_line_in_the_pipe_is_a_command(clock, tmp_path):
    machine = simulator(SMALL, clock, run=tmp_path, station="us1", wait=clock.advance)
    grabber = machine.open()
    tell(tmp_path, "us1", "drop 3")
    assert take(grabber, 2) == [3, 4]
    tell(tmp_path, "us1", "unplug")
    with pytest.raises(DeviceGone):
        grabber.poll(1.0)
    tell(tmp_path, "us1", "replug")
    tell(tmp_path, "us1", "signal off")
    with pytest.raises(NoSignal):
        machine.open()
    machine.scanner.close()
    assert not pipe_of(tmp_path, "us1").exists()


def test_a_shell_can_give_commands_too(clock, tmp_path):
    machine = simulator(SMALL, clock, run=tmp_path, station="us1", wait=clock.advance)
    subprocess.run(
        ["sh", "-c", f"echo drop 1 > {pipe_of(tmp_path, 'us1')}; echo nonsense > {pipe_of(tmp_path, 'us1')}"],
        check=True,
    )
    assert take(machine.open(), 1) == [1]
    assert machine.scanner.refused == ["nonsense"]


def test_nobody_to_tell_is_an_error_and_never_a_wait(clock, tmp_path):
    with pytest.raises(FileNotFoundError):
        tell(tmp_path, "us1", "drop 1")
    machine = simulator(SMALL, clock, run=tmp_path, station="us1")
    machine.scanner._pipe._path = tmp_path / "elsewhere"  # a simulator that was killed leaves its pipe
    machine.scanner.close()
    with pytest.raises(OSError, match="No such device"):
        tell(tmp_path, "us1", "drop 1")
    with pytest.raises(ValueError, match="no command"):
        tell(tmp_path, "us1", "explode")


def test_another_simulator_takes_over_a_pipe_that_was_left(clock, tmp_path):
    code = (
        "import sys; from pathlib import Path; from gateway.clock import SystemClock; from gateway.simulators.grabber import simulator;"
        f"simulator('{SMALL}', SystemClock(), run=Path(sys.argv[1]), station='us1')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    machine = simulator(SMALL, clock, run=tmp_path, station="us1", wait=clock.advance)
    tell(tmp_path, "us1", "drop 1")
    assert take(machine.open(), 1) == [1]


def test_at_a_real_clock_it_keeps_pace():
    grabber = open_grabber("phantom,128x96,50", SystemClock())
    first = grabber.poll(1.0)
    for _ in range(4):
        last = grabber.poll(1.0)
    assert last.captured_ns - first.captured_ns == 4 * 20_000_000
    assert first.captured_ns <= last.captured_ns <= time.monotonic_ns()
