"""What a grabber promises, played by the simulated one and by our V4L2 layer on a driver's double alike."""

from itertools import pairwise

import numpy as np
import pytest

from gateway.device.grabber import BUFFERS, take
from gateway.errors import DeviceBusy, DeviceGone, FormatChanged, NoSignal
from gateway.model import Field, Signal
from gateway.simulators.pictures import number_of


def frames(grabber, count):
    return list(take(grabber, count))


def test_frames_come_in_order_with_the_kernels_numbers_and_times(world):
    stream = world().open()
    shots = frames(stream, 12)
    assert [shot.sequence for shot in shots] == list(range(12))
    assert {after.captured_ns - before.captured_ns for before, after in pairwise(shots)} == {40_000_000}
    assert {shot.format for shot in shots} == {stream.format}
    assert not any(shot.has_error for shot in shots)


@pytest.mark.parametrize(
    "script", ["phantom,128x96,yuyv", "phantom,128x96,interlaced", "phantom,128x96,sequential", "ybr_color"]
)
def test_the_bytes_are_those_on_the_wire(world, script):
    here = world(script)
    for shot in frames(here.open(), 5):
        assert shot.data.tobytes() == here.scanner.playback.raw(shot.sequence).tobytes()


def test_a_frame_carries_its_own_number_in_its_picture(world):
    here = world("phantom,128x96,uyvy,faults=..dd")
    for shot in frames(here.open(), 5):
        luma = shot.data.reshape(96, 256)[:, 1::2]
        assert number_of(luma) == shot.sequence


def test_the_time_is_the_clocks_and_not_later_than_the_reader_sees_the_frame(world):
    here = world()
    before_ns = here.clock.monotonic_ns()
    stream = here.open()
    frame = stream.poll(1.0)
    assert before_ns < frame.captured_ns <= here.clock.monotonic_ns()


def test_a_frame_is_a_view_that_the_driver_refills_after_its_release(world):
    stream = world().open()
    first = stream.poll(1.0)
    kept = first.data.copy()
    assert not first.data.flags.owndata
    assert not first.data.flags.writeable
    stream.release(first)
    for _ in range(BUFFERS):
        stream.release(stream.poll(1.0))
    assert not np.array_equal(first.data, kept)


def test_a_reader_that_keeps_every_buffer_loses_frames_and_sees_it_in_the_sequence(world):
    here = world()
    stream = here.open()
    held = [stream.poll(1.0) for _ in range(BUFFERS)]
    assert stream.poll(0.2) is None
    for frame in held:
        stream.release(frame)
    assert stream.poll(1.0).sequence > BUFFERS


def test_a_frame_is_released_once(world):
    stream = world().open()
    frame = stream.poll(1.0)
    stream.release(frame)
    with pytest.raises(ValueError, match="not lent"):
        stream.release(frame)


def test_nothing_comes_before_its_time(world):
    here = world()
    stream = here.open()
    started_ns = here.clock.monotonic_ns()
    assert stream.poll(0.010) is None
    assert here.clock.monotonic_ns() - started_ns >= 10_000_000
    assert stream.poll(0.0) is None


def test_a_dropped_frame_leaves_a_hole_in_the_sequence(world):
    assert [shot.sequence for shot in frames(world("phantom,128x96,faults=..d.dd").open(), 5)] == [0, 1, 3, 6, 7]


def test_a_corrupt_frame_is_flagged_and_a_short_one_is_short(world):
    stream = world("phantom,128x96,faults=.es").open()
    whole, flagged, short, after = frames(stream, 4)
    assert [shot.has_error for shot in (whole, flagged, short, after)] == [False, True, False, False]
    assert len(short.data) < stream.format.frame_bytes == len(after.data)


def test_alternate_fields_share_their_sequence(world):
    stream = world("phantom,720x576,alternate").open()
    shots = frames(stream, 4)
    assert [(shot.sequence, shot.field) for shot in shots] == [
        (0, Field.TOP),
        (0, Field.BOTTOM),
        (1, Field.TOP),
        (1, Field.BOTTOM),
    ]
    assert stream.format.field is Field.ALTERNATE
    assert stream.format.height_px == 288
    assert shots[1].captured_ns - shots[0].captured_ns == 20_000_000


def test_a_stream_says_that_it_streams_once_a_frame_has_come(world):
    stream = world().open()
    assert stream.signal() is Signal.LOCKED
    stream.release(stream.poll(1.0))
    assert stream.signal() is Signal.STREAMING


def test_a_device_that_is_pulled_out_is_gone_and_comes_back(world):
    here = world()
    stream = here.open()
    frame = stream.poll(1.0)
    kept = frame.data.copy()
    here.do("unplug")
    with pytest.raises(DeviceGone):
        stream.poll(1.0)
    with pytest.raises(DeviceGone):
        stream.signal()
    stream.close()
    assert np.array_equal(frame.data, kept)
    with pytest.raises(DeviceGone):
        here.open()
    here.do("replug")
    assert frames(here.open(), 1)[0].sequence == 0


def test_a_device_that_another_program_holds_is_busy(world):
    here = world()
    here.do("busy on")
    with pytest.raises(DeviceBusy):
        here.open()
    here.do("busy off")
    assert frames(here.open(), 1)


@pytest.mark.parametrize("kind", ["simulator", "driver", "multi-planar driver"], indirect=True)
@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("signal off", Signal.NO_SIGNAL),
        ("signal unlocked", Signal.NO_LOCK),
        ("signal wild", Signal.OUT_OF_RANGE),
        ("cable off", Signal.NO_CABLE),
    ],
)
def test_a_signal_that_goes_says_how(world, command, state):
    here = world()
    stream = here.open()
    frames(stream, 2)
    here.do(command)
    with pytest.raises(NoSignal) as lost:
        frames(stream, 8)
    assert Signal(lost.value.facts["signal"]) is state
    assert stream.signal() is state
    stream.close()
    with pytest.raises(NoSignal) as still:
        here.open()
    assert Signal(still.value.facts["signal"]) is state
    here.do("signal on")
    assert frames(here.open(), 1)


@pytest.mark.parametrize("kind", ["simulator", "driver", "multi-planar driver"], indirect=True)
def test_a_format_that_changes_ends_the_stream(world):
    here = world()
    stream = here.open()
    frames(stream, 2)
    here.do("format 160x96")
    with pytest.raises(FormatChanged):
        frames(stream, 8)
    stream.close()
    again = here.open()
    assert (again.format.width_px, again.format.height_px) == (160, 96)
    assert frames(again, 1)[0].sequence == 0


def test_a_stream_that_falls_silent_is_no_signal_to_one_who_takes_frames(world):
    here = world("phantom,128x96,faults=" + "d" * 200)
    with pytest.raises(NoSignal):
        frames(here.open(), 1)


def test_two_grabbers_state_the_same_format(world, kind):
    here = world("phantom,720x576,interlaced")
    stated = here.open().format
    assert stated.stride_bytes * stated.height_px == stated.frame_bytes
    if kind != "camera driver":  # a camera knows nothing of standards
        assert stated == here.scanner.playback.format
