"""A press is told once, with its own time: however the switch chatters, and whatever bytes come."""

import os
import re
import socket
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.device import evdev, trigger
from gateway.device.evdev import EV_KEY, EV_SYN, SYN_DROPPED, SYN_REPORT, Event
from gateway.device.trigger import Contact, Pedal, Press, Switch
from gateway.errors import DeviceError, DeviceGone
from gateway.simulators.pedal import SimulatedLines, SimulatedPedal

MS = 1_000_000
KEY_B = evdev.code_of("b")


@pytest.fixture
def foot():
    """`foot(keys)`: a pedal of ours, and a foot on it."""
    made = []

    def make(codes=None, **options):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        made.append(Pedal("/dev/input/event7", ours.detach(), codes, **options))
        return made[-1], SimulatedPedal(theirs.detach())

    yield make
    for each in made:
        each.close()


def presses(pedal):
    found = []
    while (press := pedal.poll(0.02)) is not None:
        found.append(press.at_ns)
    return found


def test_a_press_has_the_time_that_the_kernel_gave_it(foot):
    pedal, person = foot()
    at_ns = person.press(at_ns=time.monotonic_ns() - 300 * MS)
    assert presses(pedal) == [at_ns]


def test_nobody_presses_and_the_wait_ends(foot):
    pedal, _ = foot()
    started = time.monotonic()
    assert pedal.poll(0.03) is None
    assert 0.02 < time.monotonic() - started < 1.0


def test_a_chattering_pedal_gives_one_press(foot):
    pedal, person = foot()
    at_ns = person.press(at_ns=time.monotonic_ns() - 900 * MS, bounces=8)
    again_ns = person.press(at_ns=at_ns + 400 * MS, bounces=3)
    assert presses(pedal) == [at_ns, again_ns]


def test_a_key_that_repeats_itself_is_pressed_once(foot):
    pedal, person = foot()
    start_ns = time.monotonic_ns() - 900 * MS
    for n, value in enumerate([1, 2, 2, 2, 0]):
        person.move(value, start_ns + n * 50 * MS)
    assert len(presses(pedal)) == 1


def test_only_the_key_that_is_meant_counts(foot):
    pedal, person = foot(frozenset({evdev.code_of("KEY_C")}))
    person.press()
    assert presses(pedal) == []


def test_a_board_of_three_pedals_says_which_one(foot):
    pedal, person = foot()
    now_ns = time.monotonic_ns() - 500 * MS
    for n, key in enumerate(("A", "B", "C")):
        code = evdev.code_of(key)
        person.send(Event(EV_KEY, code, 1, now_ns + n * MS), Event(EV_KEY, code, 0, now_ns + (90 + n) * MS))
    assert [pedal.poll(0.1).key for _ in range(3)] == [evdev.code_of(key) for key in ("A", "B", "C")]


@pytest.mark.parametrize("off_ns", [10**15, -(10**15), 10 * 10**9])
def test_a_stamp_of_another_clock_counts_as_the_time_of_arrival(foot, off_ns):
    pedal, person = foot()
    before_ns = time.monotonic_ns()
    person.press(at_ns=max(0, before_ns + off_ns))
    (at_ns,) = presses(pedal)
    assert before_ns <= at_ns <= time.monotonic_ns()


def test_what_the_kernel_dropped_makes_no_press_up(foot):
    pedal, person = foot()
    now_ns = time.monotonic_ns()
    person.send(
        Event(EV_SYN, SYN_DROPPED, 0, now_ns), Event(EV_KEY, KEY_B, 1, now_ns), Event(EV_SYN, SYN_REPORT, 0, now_ns)
    )
    assert presses(pedal) == []
    person.press()
    assert len(presses(pedal)) == 1


def test_a_pedal_that_is_pulled_out_is_gone(foot):
    pedal, person = foot()
    person.press()
    assert pedal.poll(0.1) is not None
    person.unplug()
    with pytest.raises(DeviceGone):
        pedal.poll(0.5)


def test_a_named_pipe_stands_in_for_a_device(tmp_path):
    path = tmp_path / "pedal"
    os.mkfifo(path)
    pedal = trigger.pedal(str(path), ("B",), is_exclusive=False)
    person = SimulatedPedal(os.open(path, os.O_WRONLY))
    at_ns = person.press()
    assert pedal.poll(1.0) == Press(at_ns, KEY_B)
    person.unplug()
    pedal.close()


@pytest.mark.parametrize(
    ("device", "error", "words"),
    [("/dev/no-such-pedal", DeviceGone, "unplugged"), ("/dev/null", DeviceError, "neither a pedal")],
)
def test_what_is_no_pedal_and_no_port_says_so(device, error, words):
    with pytest.raises(error, match=words):
        trigger.pedal(device)
    with pytest.raises(error, match=words):
        trigger.switch(device, "cts")


def test_a_key_nobody_knows_is_named():
    with pytest.raises(DeviceError, match="KEY_HEART"):
        trigger.pedal("/dev/null", ("KEY_HEART",))


def test_a_pseudo_terminal_has_no_lines_to_pull():
    ours, theirs = os.openpty()
    with pytest.raises(DeviceError, match="neither a pedal nor a port with modem lines"):
        trigger.switch(os.ttyname(theirs), "cts")
    os.close(ours)
    os.close(theirs)


# ---- a switch on a modem line ----


@pytest.fixture
def switched():
    """`switched(lines)`: a switch of ours on lines that are played."""
    return lambda lines, **options: Switch("/dev/ttyS0", lines, "cts", **{"debounce_ms": 12, **options})


def test_a_contact_is_told_with_the_time_of_its_first_touch(switched):
    lines = SimulatedLines().then(is_closed=False, samples=3)
    for is_closed in (True, False, True, False, True):
        lines.then(is_closed=is_closed)
    switch = switched(lines.then(is_closed=True, samples=20))
    before_ns = time.monotonic_ns()
    at_ns = switch.poll(2.0).at_ns
    assert before_ns < at_ns < time.monotonic_ns() - 12 * MS
    assert switch.poll(0.05) is None


def test_a_spike_on_a_long_cable_is_no_press(switched):
    lines = SimulatedLines().then(is_closed=False).then(is_closed=True).then(is_closed=False, samples=9)
    assert switched(lines).poll(0.08) is None


def test_a_switch_that_opens_when_pressed_is_turned_round(switched):
    lines = SimulatedLines().then(is_closed=True, samples=5).then(is_closed=False, samples=20)
    switch = switched(lines, is_closed_at_rest=True)
    assert switch.poll(1.0) is not None
    assert switch.poll(0.05) is None


def test_a_port_that_is_pulled_out_is_gone(switched):
    lines = SimulatedLines()
    switch = switched(lines)
    assert switch.poll(0.01) is None
    lines.is_plugged = False
    with pytest.raises(DeviceGone):
        switch.poll(0.1)


# ---- any edges, any bytes ----


@given(
    presses=st.lists(st.tuples(st.integers(40, 400), st.integers(40, 400)), max_size=6),
    bounces=st.lists(st.integers(1, 9), max_size=5),
    hold=st.sampled_from([0, 30]),
)
def test_however_it_chatters_each_press_is_told_once_with_its_first_touch(presses, bounces, hold):
    contact = Contact(30 * MS, hold * MS)
    begun, told, now_ns = [], [], 0

    def settle(span_ms, *, is_closed):
        nonlocal now_ns
        now_ns += MS
        if is_closed:
            begun.append(now_ns)
        for gap in bounces:
            contact.seen(now_ns, is_closed=is_closed)
            told.extend(filter(None, [contact.due(now_ns)]))
            contact.seen(now_ns + MS // 2, is_closed=not is_closed)
            now_ns += gap * MS
        contact.seen(now_ns, is_closed=is_closed)
        told.extend(filter(None, [contact.due(now_ns)]))
        now_ns += span_ms * MS
        told.extend(filter(None, [contact.due(now_ns)]))

    for down_ms, up_ms in presses:
        settle(down_ms, is_closed=True)
        settle(up_ms, is_closed=False)
    assert told == begun


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_any_bytes_are_events_however_they_are_cut(data, cuts):
    whole, cut = evdev.EventBytes(), evdev.EventBytes()
    edges = sorted({0, len(data), *(min(each, len(data)) for each in cuts)})
    events = whole.take(data)
    assert [event for a, b in pairwise(edges) for event in cut.take(data[a:b])] == events
    assert len(events) == len(data) // evdev.EVENT_BYTES


@settings(max_examples=60)
@given(data=st.binary(min_size=1, max_size=240))
def test_any_bytes_are_presses_or_nothing(data):
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        pedal = Pedal("/dev/input/event7", ours.detach(), None)
        theirs.sendall(data)
        before_ns = time.monotonic_ns() - 2_100 * MS
        told = [pedal.poll(0.0) for _ in range(12)]
        assert all(each is None or before_ns < each.at_ns <= time.monotonic_ns() for each in told)
        assert sum(each is not None for each in told) <= len(data) // evdev.EVENT_BYTES
        pedal.close()


@given(
    event=st.builds(
        Event,
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 2**62).map(lambda ns: ns // 1000 * 1000),
    )
)
def test_an_event_survives_the_way_there_and_back(event):
    assert evdev.EventBytes().take(evdev.packed(event)) == [event]


def test_every_key_has_the_code_of_this_machines_header():
    header = Path("/usr/include/linux/input-event-codes.h").read_text()
    stated = dict(re.findall(r"^#define\s+((?:KEY|BTN)_\w+)\s+(0x[0-9a-f]+|\d+)", header, re.MULTILINE))
    assert {name: int(stated[name], 0) for name in evdev.KEYS} == dict(evdev.KEYS)


def test_every_number_has_the_value_of_this_machines_header(tmp_path):
    names = ["EVIOCSCLOCKID", "EVIOCGRAB", f"EVIOCGKEY({evdev.KEY_BYTES})", "KEY_MAX", "sizeof(struct input_event)"]
    lines = "".join(f'printf("%lu\\n", (unsigned long)({name}));' for name in names)
    source = tmp_path / "abi.c"
    source.write_text(f"#include <stdio.h>\n#include <linux/input.h>\nint main(void) {{ {lines} return 0; }}\n")
    subprocess.run(["gcc", "-o", tmp_path / "abi", source], check=True)
    said = subprocess.run([tmp_path / "abi"], check=True, capture_output=True, text=True).stdout
    ours = [evdev.EVIOCSCLOCKID, evdev.EVIOCGRAB, evdev.EVIOCGKEY, evdev.KEY_MAX, evdev.EVENT_BYTES]
    assert [int(each) for each in said.split()] == ours
