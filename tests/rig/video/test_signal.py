"""What becomes of the signal, of buffers and of the driver itself is told once, counted, and never mixed with good pictures."""

import time

import pytest

from gateway.clock import SystemClock
from gateway.device import grabber
from gateway.errors import DeviceError, DeviceGone, NoSignal
from gateway.model import Signal
from gateway.source.ring import Ended, Shot
from gateway.source.video import FormatEdge, FrameLost, NewFrame, SignalEdge, Source
from tests.rig.video.conftest import DEVICE, HDMI, SVIDEO, WEBCAM, wanted

SELECTED = 4
CURRENT, NO_SIGNAL, NO_LOCK, OUT_OF_RANGE = 0, 1, 2, 3
"""vivid's menus of signal modes; without a signal, HDMI has no 5 V either."""


class Watched:
    """A source on the driver, and all it has said."""

    def __init__(self, profile_input):
        self.source = Source(lambda: grabber.open(DEVICE, profile_input), SystemClock(), name="ROOM", reopen_s=0.5)
        self.said = []

    def until(self, is_so, seconds: float = 60.0) -> list:
        """Step until something is so; return what was said meanwhile."""
        began, end = len(self.said), time.monotonic() + seconds
        while not is_so(self.said[began:]):
            assert time.monotonic() < end, (self.source.signal, self.said[-5:])
            self.said += self.source.step(0.2)
            time.sleep(min(0.1, self.source.pause_s))
        return self.said[began:]

    def until_signal(self, signal: Signal) -> list:
        return self.until(lambda _: self.source.signal is signal)

    def until_pictures(self, count: int) -> list:
        return self.until(lambda said: sum(isinstance(each, NewFrame) for each in said) >= count)


@pytest.fixture
def watch():
    opened = []

    def one(profile_input) -> Watched:
        opened.append(Watched(profile_input))
        return opened[-1]

    yield one
    for each in opened:
        each.source.close()


@pytest.mark.parametrize(
    ("input_name", "control", "mode", "signal"),
    [
        (HDMI, "dv_timings_signal_mode", NO_SIGNAL, Signal.NO_CABLE),
        (HDMI, "dv_timings_signal_mode", NO_LOCK, Signal.NO_LOCK),
        (HDMI, "dv_timings_signal_mode", OUT_OF_RANGE, Signal.OUT_OF_RANGE),
        (SVIDEO, "standard_signal_mode", NO_SIGNAL, Signal.NO_SIGNAL),
        (SVIDEO, "standard_signal_mode", NO_LOCK, Signal.NO_LOCK),
    ],
)
def test_what_stands_on_an_input_is_said_when_it_is_opened(vivid, input_name, control, mode, signal):
    vivid.choose(input_name)
    vivid.set(**{control: mode})
    with pytest.raises(NoSignal) as said:
        grabber.open(DEVICE, wanted(input_name)).close()
    assert said.value.facts["signal"] == signal


@pytest.mark.parametrize(
    ("input_name", "control", "mode", "signal"),
    [
        (HDMI, "dv_timings_signal_mode", NO_SIGNAL, Signal.NO_CABLE),
        (HDMI, "dv_timings_signal_mode", OUT_OF_RANGE, Signal.OUT_OF_RANGE),
        (SVIDEO, "standard_signal_mode", NO_LOCK, Signal.NO_LOCK),
    ],
)
def test_a_signal_that_goes_is_one_edge_and_comes_back_by_itself(vivid, watch, input_name, control, mode, signal):
    vivid.choose(input_name)
    room = watch(wanted(input_name))
    room.until_pictures(3)
    reader = room.source.subscribe()
    room.until_pictures(3)
    vivid.set(**{control: mode})
    edges = [each for each in room.until_signal(signal) if isinstance(each, SignalEdge)]
    assert [(each.was, each.now) for each in edges] == [(Signal.STREAMING, signal)]
    assert edges[0].last >= 2
    taken = _all(reader)
    assert isinstance(taken[-1], Ended)
    assert taken[-2].number == edges[0].last
    vivid.set(**{control: CURRENT})
    room.until_signal(Signal.STREAMING)
    assert room.source.edges[signal] == 1


def test_other_timings_are_a_new_ring_of_another_format(vivid, watch):
    vivid.choose(HDMI)
    vivid.set(dv_timings_signal_mode=SELECTED, dv_timings=0)
    room = watch(wanted(HDMI))
    room.until_pictures(2)
    before = room.source.ring
    vivid.set(dv_timings=9)
    said = room.until(lambda said: any(isinstance(each, FormatEdge) for each in said))
    edge = next(each for each in said if isinstance(each, FormatEdge))
    assert (edge.was.standard, edge.now.standard) == ("640x480p60", "1280x720p60")
    assert before.ended is not None
    assert room.source.ring is not before


def test_every_dropped_picture_is_missing_from_the_ring_and_counted(vivid, watch):
    vivid.set(percentage_of_dropped_buffers=30)
    room = watch(wanted(WEBCAM))
    frames = [each for each in room.until_pictures(60) if isinstance(each, NewFrame)]
    lost = sum(each.count for each in room.said if isinstance(each, FrameLost) and each.why == "dropped")
    assert lost == room.source.dropped > 5
    missing = sum(each.missing for each in frames)
    interval_ns = room.source.ring.format.frame_interval_ns
    span = round((frames[-1].captured_ns - frames[0].captured_ns) / interval_ns)
    assert len(frames) - 1 + missing == pytest.approx(span, abs=2)


def test_a_buffer_with_the_error_flag_is_counted_and_never_kept(vivid, watch):
    room = watch(wanted(WEBCAM))
    room.until_pictures(3)
    vivid.press("inject_v4l2_buf_flag_error")
    room.until(lambda said: any(isinstance(each, FrameLost) and each.why == "error" for each in said))
    room.until_pictures(3)
    assert room.source.faulty == 1
    at = next(at for at, each in enumerate(room.said) if isinstance(each, FrameLost) and each.why == "error")
    after = next(each for each in room.said[at:] if isinstance(each, NewFrame))
    assert after.missing >= 1


def test_a_stream_that_the_driver_stops_is_opened_again(vivid, watch):
    room = watch(wanted(WEBCAM))
    room.until_pictures(3)
    vivid.press("inject_fatal_streaming_error")
    edge = next(
        each
        for each in room.until(lambda said: any(isinstance(e, SignalEdge) for e in said))
        if isinstance(each, SignalEdge)
    )
    assert isinstance(edge.error, DeviceError)
    room.until_signal(Signal.STREAMING)


@pytest.mark.parametrize("ioctl", ["reqbufs", "qbuf", "streamon"])
def test_a_driver_that_fails_once_is_told_by_name_and_opens_the_next_time(vivid, ioctl):
    vivid.press(f"inject_vidioc_{ioctl}_error")
    with pytest.raises(DeviceError):
        grabber.open(DEVICE, wanted(WEBCAM)).close()
    opened = grabber.open(DEVICE, wanted(WEBCAM))
    assert len(list(grabber.take(opened, 1, timeout_s=20))) == 1
    opened.close()


def test_a_grabber_that_is_pulled_out_is_gone_and_its_pictures_stay(load, loaded, watch):
    vivid = load()
    room = watch(wanted(WEBCAM))
    room.until_pictures(5)
    count = room.source.ring.count
    reader = room.source.frames_between(0, time.monotonic_ns() + 1_000_000_000)
    vivid.press("disconnect")
    loaded.clear()  # it is gone: the next test loads it anew
    edge = room.until_signal(Signal.ABSENT)[-1]
    assert isinstance(edge.error, DeviceGone)
    shots = [each for each in _all(reader) if isinstance(each, Shot)]
    assert len(shots) >= min(5, count)


def test_the_kernels_time_is_monotonic_and_ours(vivid):
    opened = grabber.open(DEVICE, wanted(WEBCAM))
    before = time.monotonic_ns()
    frames = list(grabber.take(opened, 5, timeout_s=20))
    opened.close()
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(times)
    assert (
        before - 10_000_000_000 < times[0] <= times[-1] <= time.monotonic_ns() + 2_000_000_000
    )  # vivid states when a frame was due


def _all(reader) -> list:
    """What a reader has to give, up to the end of its ring."""
    taken = []
    while isinstance(each := reader.take(), Shot):
        taken.append(each)
    return [*taken, each]
