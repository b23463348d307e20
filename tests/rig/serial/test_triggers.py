"""A foot on real drivers: a pedal of the input layer, and a contact that pulls a modem line."""

import fcntl
import os
import struct
import termios
import time

import pytest

from gateway.device import evdev, trigger
from gateway.errors import DeviceBusy, DeviceGone
from tests.rig.serial.conftest import ADAPTER, LONELY

TIOCM_LOOP = 0x8000
"""asm-generic/termios.h: the 16550 feeds its outputs to its own inputs, DTR to DSR and RTS to CTS."""
PULLS = {"dsr": termios.TIOCM_DTR, "cts": termios.TIOCM_RTS}


def next_press(device: trigger.Trigger, seconds: float = 10.0) -> trigger.Press | None:
    """The next press, waited for as under emulation."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (press := device.poll(0.2)) is not None:
            return press
    return None


def test_a_pedal_of_the_kernel_tells_a_press_once_with_the_kernels_time(foot):
    pedal = trigger.pedal(foot.path, ("KEY_B",))
    before = time.monotonic_ns()
    foot.move(1)
    after = time.monotonic_ns()
    press = next_press(pedal)
    assert press is not None
    assert before - 1_000_000 <= press.at_ns <= after + 1_000_000
    assert press.key == evdev.code_of("KEY_B")
    foot.move(0)
    assert pedal.poll(0.5) is None
    pedal.close()


def test_a_pedal_that_chatters_is_one_press(foot):
    pedal = trigger.pedal(foot.path, debounce_ms=400)
    for value in (1, 0, 1, 0, 1):
        foot.move(value)
    assert next_press(pedal) is not None
    assert pedal.poll(0.5) is None
    pedal.close()


def test_a_pedal_is_ours_alone(foot):
    pedal = trigger.pedal(foot.path)
    with pytest.raises(DeviceBusy):
        trigger.pedal(foot.path)
    pedal.close()


def test_a_pedal_pulled_out_is_gone_by_name(foot):
    pedal = trigger.pedal(foot.path)
    foot.unplug()
    with pytest.raises(DeviceGone):
        next_press(pedal)


def test_a_contact_on_a_usb_adapters_line_is_a_press(adapter):
    switch = trigger.switch(ADAPTER, "dsr")
    assert switch.poll(0.5) is None
    before = time.monotonic_ns()
    contact = os.open(adapter.far, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    press = next_press(switch)
    assert press is not None
    assert press.at_ns >= before
    os.close(contact)
    assert switch.poll(1.0) is None
    switch.close()


def test_an_adapter_pulled_out_under_a_switch_is_gone_by_name(adapter):
    switch = trigger.switch(ADAPTER, "dsr")
    adapter.unplug()
    with pytest.raises(DeviceGone):
        next_press(switch)


@pytest.mark.parametrize("line", PULLS)
def test_a_contact_on_a_16550s_line_is_a_press(line):
    other = os.open(LONELY, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def pull(bits: int) -> None:
        fcntl.ioctl(other, termios.TIOCMSET, struct.pack("@I", TIOCM_LOOP | bits))

    switch = trigger.switch(LONELY, line)
    pull(0)
    assert switch.poll(0.5) is None
    pull(PULLS[line])
    assert next_press(switch) is not None
    pull(0)
    assert switch.poll(0.5) is None
    pull(PULLS[line])
    assert next_press(switch) is not None
    switch.close()
    pull(0)
    os.close(other)
