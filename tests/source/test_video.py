"""A source through everything that happens to a grabber: each edge is stated once, and no ring mixes what does not belong together.

Played on the simulated grabber and on our V4L2 layer over a driver's double.
"""

import tracemalloc

import numpy as np
import pytest

from gateway.errors import DeviceBusy, DeviceError, DeviceGone, FormatChanged, NoPictureThen, NoSignal, StalePress
from gateway.model import Field, Signal
from gateway.simulators.pictures import number_of
from gateway.source.ring import NOT_YET, Ended
from gateway.source.video import FormatEdge, FrameLost, NewFrame, SignalEdge
from tests.source.conftest import SMALL, Bench, every, of


def mark_of(shot) -> int:
    fmt = shot.frame.format
    return number_of(shot.frame.data.reshape(fmt.height_px, fmt.stride_bytes)[:, 1::2])


def test_a_source_locks_then_streams_and_says_each_once(bench):
    here = bench()
    said = here.run(1.0)
    assert here.edges() == [(Signal.ABSENT, Signal.LOCKED), (Signal.LOCKED, Signal.STREAMING)]
    (edge,) = of(FormatEdge, said)
    assert (edge.was, edge.now.width_px, edge.memory_bytes) == (None, 128, here.source.ring.memory_bytes)
    assert [new.number for new in of(NewFrame, said)] == list(range(len(of(NewFrame, said))))
    assert here.source.edges[Signal.STREAMING] == 1
    assert len(of(NewFrame, said)) in {24, 25}


def test_every_picture_in_the_ring_is_the_one_that_was_sent(bench):
    here = bench()
    here.run(1.0)
    for shot in every(here.source.frames_between(0, here.clock.monotonic_ns())):
        assert shot.frame.data.tobytes() == here.simulator.raw(shot.frame.sequence)
        assert mark_of(shot) == shot.frame.sequence


def test_a_press_gets_the_picture_whose_time_covers_it(bench):
    here = bench()
    here.run(0.5)
    pressed_ns = here.clock.monotonic_ns() + 5_000_000
    here.run(0.2)
    shot = here.source.frame_at(pressed_ns)
    assert shot.frame.captured_ns <= pressed_ns < shot.frame.captured_ns + 40_000_000


def test_a_press_older_than_the_ring_is_stale(bench):
    here = bench(ring_s=0.5)
    pressed_ns = here.clock.monotonic_ns() + 200_000_000
    here.run(3.0)
    with pytest.raises(StalePress):
        here.source.frame_at(pressed_ns)
    with pytest.raises(StalePress):
        here.source.frame_at(0)


def test_a_press_before_the_picture_began_finds_none(bench):
    here = bench()
    here.run(0.5)
    with pytest.raises(NoPictureThen):
        here.source.frame_at(0)


def test_a_press_before_anything_was_opened_finds_no_signal(bench):
    here = bench()
    here.do("signal off")
    here.run(0.5)
    with pytest.raises(NoSignal):
        here.source.frame_at(here.clock.monotonic_ns())
    with pytest.raises(NoSignal):
        here.source.subscribe()


def test_a_cine_has_every_picture_once_with_its_gaps(bench):
    here = bench(SMALL + ",faults=" + "." * 12 + "d..dd.e.s..")
    here.run(0.3)
    cine = here.source.subscribe()
    here.run(1.0)
    shots = every(cine)
    lost = {12, 15, 16, 18, 20}
    first, last = shots[0].frame.sequence, shots[-1].frame.sequence
    assert [shot.frame.sequence for shot in shots] == [n for n in range(first, last + 1) if n not in lost]
    assert {shot.frame.sequence: shot.missing for shot in shots if shot.missing} == {13: 1, 17: 2, 19: 1, 21: 1}
    assert all(mark_of(shot) == shot.frame.sequence for shot in shots)
    assert (here.source.dropped, here.source.faulty) == (3, 2)
    assert {(each.why, each.count) for each in of(FrameLost, here.said)} == {
        ("dropped", 1),
        ("dropped", 2),
        ("error", 1),
        ("short", 1),
    }


def test_what_was_faulty_before_the_first_picture_is_not_missing_from_it(bench):
    here = bench(SMALL + ",faults=ees")
    first = of(NewFrame, here.run(0.5))[0]
    assert (first.number, first.missing) == (0, 0)
    assert here.source.faulty == 3


def test_a_cine_that_starts_with_a_press_starts_with_the_picture_of_that_moment(bench):
    here = bench()
    here.run(0.5)
    pressed_ns = here.clock.monotonic_ns() - 100_000_000
    shot = here.source.subscribe(pressed_ns).take()
    assert shot.frame.captured_ns <= pressed_ns < shot.frame.captured_ns + 40_000_000


@pytest.mark.parametrize(
    ("command", "now", "code"),
    [
        ("signal off", Signal.NO_SIGNAL, NoSignal),
        ("signal unlocked", Signal.NO_LOCK, NoSignal),
        ("signal wild", Signal.OUT_OF_RANGE, NoSignal),
        ("cable off", Signal.NO_CABLE, NoSignal),
        ("unplug", Signal.ABSENT, DeviceGone),
    ],
)
def test_what_is_lost_ends_the_recording_at_its_last_whole_picture(bench, command, now, code):
    here = bench()
    here.run(0.5)
    cine = here.source.subscribe()
    here.run(0.3)
    here.do(command)
    said = here.run(3.0)
    (edge,) = of(SignalEdge, said)
    assert (edge.was, edge.now, type(edge.error)) == (Signal.STREAMING, now, code)
    shots = every(cine)
    assert shots[-1].number == edge.last
    ended = cine.take()
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, code)
    status = here.source.status("us1", recording=2)
    assert (status.signal, status.error_code, status.picture, status.recording) == (now, code.code, "", 2)
    with pytest.raises(code):
        here.source.frame_at(here.clock.monotonic_ns())


def test_a_picture_that_was_seen_before_the_loss_can_still_be_pressed_for(bench):
    here = bench()
    here.run(0.5)
    pressed_ns = here.clock.monotonic_ns() - 60_000_000
    here.do("signal off")
    here.run(1.0)
    assert here.source.frame_at(pressed_ns).frame.captured_ns <= pressed_ns


@pytest.mark.parametrize(
    ("lose", "restore"), [("unplug", "replug"), ("signal off", "signal on"), ("cable off", "cable on")]
)
def test_a_source_comes_back_by_itself_in_a_ring_of_its_own(bench, lose, restore):
    here = bench(reopen_s=0.5)
    here.run(0.5)
    before = here.source.ring
    here.do(lose)
    here.run(2.0)
    here.do(restore)
    said = here.run(2.0)
    assert [edge.now for edge in of(SignalEdge, said)] == [Signal.LOCKED, Signal.STREAMING]
    assert of(FormatEdge, said) == []
    assert here.source.ring is not before
    assert before.ended is not None
    assert here.source.error is None
    assert here.source.frames > here.source.ring.count
    reader = here.source.frames_between(0, here.clock.monotonic_ns())
    assert reader.take().frame.sequence == 0  # nothing from before the loss
    assert here.source.dropped == 0


def test_a_device_is_tried_again_no_more_often_than_was_said(bench):
    here = bench(reopen_s=0.5)
    tries = []
    opener = here.source._open_grabber
    here.source._open_grabber = lambda: (tries.append(here.clock.monotonic_ns()), opener())[1]
    here.do("unplug")
    said = here.run(3.0)
    assert len(tries) in {6, 7}
    assert min(np.diff(tries)) >= 500_000_000
    assert len(said) == 1  # it says once that there is no device, not each time
    assert here.source.step(5.0) == ()


def test_a_busy_device_is_absent_and_says_who_holds_it(bench):
    here = bench()
    here.do("busy on")
    (edge,) = here.run(3.0)
    assert (edge.now, type(edge.error)) == (Signal.ABSENT, DeviceBusy)


def test_a_format_change_ends_the_ring_and_begins_another(bench):
    here = bench()
    here.run(0.5)
    cine = here.source.subscribe()
    here.run(0.2)
    here.do("format 160x96")
    said = here.run(2.0)
    first, *rest = of(SignalEdge, said)
    assert isinstance(first.error, FormatChanged)
    assert [edge.now for edge in rest] == [Signal.STREAMING]
    (edge,) = of(FormatEdge, said)
    assert (edge.was.width_px, edge.now.width_px) == (128, 160)
    assert {shot.frame.format.width_px for shot in every(cine)} == {128}
    assert isinstance(cine.take().error, FormatChanged)
    fresh = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    assert {(shot.frame.format.width_px, len(shot.frame.data)) for shot in fresh} == {(160, 160 * 2 * 96)}


def test_a_standard_that_the_profile_does_not_expect_is_out_of_range(playbacks):
    here = Bench("driver", SMALL, playbacks, standards=("128x96p25",))
    here.run(0.5)
    here.do("format 160x96")
    here.run(2.0)
    assert here.source.signal is Signal.OUT_OF_RANGE
    assert here.source.status("us1").error_facts["found"] == "160x96p25"
    here.do("format 128x96")
    here.run(2.0)
    assert here.source.signal is Signal.STREAMING


def test_alternate_fields_are_one_interlaced_picture(bench):
    here = bench("phantom,720x576,alternate,faults=..........h...d")
    here.run(1.0)
    shots = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    fmt = here.source.ring.format
    assert (fmt.field, fmt.height_px) == (Field.INTERLACED_TB, 576)
    assert not {10, 14} & {shot.frame.sequence for shot in shots}
    for shot in shots[:3]:
        assert shot.frame.data.tobytes() == here.scanner.playback.whole(shot.frame.sequence).tobytes()
    assert (here.source.faulty, here.source.dropped) == (1, 1)
    assert here.source.status("us1").picture == "720x576 PAL 625/50i"


def test_fields_one_below_the_other_are_unfolded(bench):
    here = bench("phantom,720x480,sequential,30")
    here.run(0.3)
    shot = here.source.frames_between(0, here.clock.monotonic_ns()).take()
    assert shot.frame.format.field is Field.INTERLACED_BT
    assert shot.frame.data.tobytes() == here.scanner.playback.whole(shot.frame.sequence).tobytes()


def test_a_sequence_that_leaps_without_time_is_not_a_loss(bench):
    here = bench()
    here.run(0.5)
    here.do("jump 500")
    here.run(0.5)
    assert here.source.dropped == 0
    shots = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    assert max(np.diff([shot.frame.sequence for shot in shots])) == 501


def test_a_clock_that_goes_back_ends_the_stream_and_is_lived_with(bench):
    here = bench()
    here.run(1.0)
    here.do("back 700")
    said = here.run(0.6)
    assert {each.why for each in of(FrameLost, said)} == {"time"}
    (edge,) = [each for each in of(SignalEdge, said) if each.was is Signal.STREAMING]
    assert isinstance(edge.error, DeviceError)
    here.run(2.0)
    shots = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    assert len(shots) > 20
    assert min(np.diff([shot.frame.captured_ns for shot in shots])) == 40_000_000


def test_a_stream_that_falls_silent_is_lost(bench):
    here = bench(SMALL + ",faults=" + "." * 10 + "d" * 300)
    said = here.run(4.0)
    ended = [edge for edge in of(SignalEdge, said) if edge.was is Signal.STREAMING]
    assert [(edge.now, edge.last) for edge in ended] == [(Signal.NO_SIGNAL, 9)]


def test_a_signal_that_goes_without_an_event_is_noticed_within_two_seconds(playbacks):
    here = Bench("driver", SMALL, playbacks)
    here.run(0.5)
    here.kernel.front.has_events = False
    here.do("signal off")
    said = here.run(2.0)
    assert [edge.now for edge in of(SignalEdge, said)] == [Signal.NO_SIGNAL]


def test_a_step_that_comes_late_takes_all_that_waits(bench):
    here = bench()
    here.run(0.3)
    here.clock.advance(0.16)
    assert len(of(NewFrame, here.source.step(0.0))) == 4
    assert here.source.dropped == 0


def test_a_service_that_sleeps_too_long_sees_what_the_kernel_dropped(bench):
    here = bench()
    here.run(0.3)
    here.clock.advance(0.8)
    here.run(0.3)
    assert here.source.dropped > 5
    here.run(0.1)
    last = (
        here.simulator.seen[-1][0]
        if here.simulator.seen
        else here.source.ring._frames[here.source.ring.count - 1].sequence
    )
    assert here.source.frames + here.source.dropped == last + 1


def test_closing_ends_the_ring_and_lets_the_device_go(bench):
    here = bench()
    here.run(0.3)
    (edge,) = here.source.close()
    assert (edge.now, edge.last) == (Signal.ABSENT, here.source.ring.count - 1)
    assert here.source.close() == ()
    assert here.kernel.nodes == 0
    assert here.source.frames_between(0, here.clock.monotonic_ns()).take().number == 0


def test_a_stills_neighbours_come_with_the_next_picture(bench):
    here = bench()
    here.run(0.3)
    shot = here.source.frame_at(here.source.ring._captured_ns(here.source.ring.count - 1))
    assert here.source.neighbours(shot) is NOT_YET
    here.run(0.08)
    beside = here.source.neighbours(shot)
    assert (beside.previous.sequence, beside.following.sequence) == (shot.frame.sequence - 1, shot.frame.sequence + 1)


def test_the_ring_takes_the_memory_it_states_and_no_more(playbacks):
    here = Bench("simulator", SMALL, playbacks, ring_s=1.0)
    here.run(0.5)
    stated = here.source.ring.memory_bytes
    assert stated == 27 * 128 * 2 * 96
    tracemalloc.start()
    here.run(4.0)
    here.said.clear()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < stated / 2
