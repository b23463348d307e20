"""What was lost, damaged or repeated is counted by (sequence, field) and kind; compressed pictures; one picture now and then."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FormatChanged
from gateway.model import Field, Frame, FrameFormat, Signal
from gateway.source.ring import NOT_YET, Ring, Shot, with_neighbours
from gateway.source.video import FrameLost, FrameRepeated, SignalEdge
from tests.source.conftest import SMALL, Bench, every, of

SECOND = 1_000_000_000


def test_every_kind_of_loss_is_counted_apart_and_named_by_its_number(bench):
    here = bench(f"{SMALL},faults=.....d.ee.s..t.dd..")
    here.run(1.0)
    status = here.source.status("us1")
    assert (status.dropped, status.faults, status.duplicated) == (3, {"error": 2, "short": 1}, 1)
    assert status.faulty == 3
    lost = [(each.why, each.count, each.sequence) for each in of(FrameLost, here.said)]
    assert lost == [("dropped", 1, 6), ("error", 1, 7), ("error", 1, 8), ("short", 1, 10), ("dropped", 2, 17)]
    assert [each.sequence for each in of(FrameRepeated, here.said)] == [13]
    shots = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    told = {shot.frame.sequence: shot.why for shot in shots if shot.missing}
    assert told == {6: ("dropped",), 9: ("error", "error"), 11: ("short",), 17: ("dropped", "dropped")}
    assert [shot.frame.sequence for shot in shots].count(13) == 1


def test_a_repeated_picture_leaves_no_gap_and_no_longer_interval(bench):
    here = bench(f"{SMALL},faults=....tt.t..")
    here.run(0.8)
    shots = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    assert {b.frame.captured_ns - a.frame.captured_ns for a, b in pairwise(shots)} == {40_000_000}
    assert not any(shot.missing for shot in shots)
    assert here.source.duplicated == 3


def test_repeated_and_lone_fields_are_told_apart(bench):
    here = bench("phantom,720x576,alternate,faults=....t..h...")
    here.run(0.6)
    status = here.source.status("us1")
    assert (status.duplicated, status.faults, status.dropped) == (2, {"half": 1}, 0)
    (lost,) = of(FrameLost, here.said)
    assert (lost.why, lost.sequence, lost.field) == ("half", 8, Field.TOP)  # seen when the next picture begins


def test_each_edge_is_counted_and_timed(bench):
    here = bench()
    here.run(0.5)
    streaming_ns = here.source.signal_since_ns
    here.do("signal off")
    here.run(1.5)
    status = here.source.status("us1")
    edge = of(SignalEdge, here.said)[-1]
    assert (status.signal, status.signal_since_ns) == (Signal.NO_SIGNAL, edge.at_ns)
    assert streaming_ns < edge.at_ns
    here.do("signal on")
    here.run(1.5)
    edges = here.source.status("us1").edges
    assert edges == {Signal.LOCKED: 2, Signal.STREAMING: 2, Signal.NO_SIGNAL: 1}


def test_what_is_missing_is_said_of_the_connector(playbacks):
    here = Bench("driver", SMALL, playbacks)
    here.run(0.3)
    assert here.source.status("us1").input == "HDMI 0"
    here.do("cable off")
    here.run(1.5)
    status = here.source.status("us1")
    assert (status.signal, status.error_facts["device"]) == (Signal.NO_CABLE, "HDMI 0")


def test_another_standard_is_noticed_without_an_event(playbacks):
    here = Bench("driver", SMALL, playbacks)
    here.kernel.front.has_events = False
    here.run(0.5)
    here.do("format 160x96")
    said = here.run(2.5)
    first = of(SignalEdge, said)[0]
    assert isinstance(first.error, FormatChanged)
    assert first.error.facts["now"] == "160x96p25"
    assert here.source.ring.format.width_px == 160


def test_a_slow_source_is_not_taken_for_a_silent_one(bench):
    here = bench(f"{SMALL},0.5")
    said = here.run(12.0)
    assert here.source.signal is Signal.STREAMING
    assert [edge.now for edge in of(SignalEdge, said)] == [Signal.LOCKED, Signal.STREAMING]


# ---- JPEG as it comes ----


def test_jpegs_are_kept_as_they_came_and_broken_ones_are_not(bench):
    here = bench(f"{SMALL},mjpeg,faults=...s..")
    here.run(0.6)
    shots = every(here.source.frames_between(0, here.clock.monotonic_ns()))
    assert here.source.status("us1").faults == {"broken": 1}
    for shot in shots:
        assert shot.frame.data.tobytes() == here.scanner.playback.raw(shot.frame.sequence).tobytes()
        assert here.scanner.playback.number(shot.frame.data) == shot.frame.sequence
    assert {shot.frame.sequence: shot.missing for shot in shots if shot.missing} == {4: 1}


JPEG = FrameFormat(
    pixel_format="MJPG", width_px=64, height_px=64, stride_bytes=0, largest_bytes=1000, frame_interval_ns=40
)


def picture(mark, size, fmt=JPEG):
    return Frame(data=np.full(size, mark, np.uint8), format=fmt, sequence=mark, field=Field.NONE, captured_ns=40 * mark)


@given(sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=60), limit=st.integers(1000, 5000))
def test_compressed_pictures_of_any_length_stay_within_the_stated_memory(sizes, limit):
    ring = Ring(JPEG, 12 * 40 / 1e9, limit)
    assert ring.memory_bytes <= limit
    for mark, size in enumerate(sizes):
        ring.put(picture(mark, size))
        shots = every(ring.reader(0))
        assert sum(len(shot.frame.data) for shot in shots) <= ring.memory_bytes
        assert [len(shot.frame.data) for shot in shots] == sizes[shots[0].number : mark + 1]
        assert all((shot.frame.data == shot.number).all() for shot in shots)
        would_fit = sum(sizes[max(0, shots[0].number - 1) : mark + 1]) <= limit
        assert len(shots) == min(mark + 1, ring.capacity) or not would_fit


# ---- one picture now and then ----


GREY = FrameFormat(pixel_format="GREY", width_px=4, height_px=2, stride_bytes=4, frame_interval_ns=40)


def filled(count, capacity=200, skip=()):
    ring = Ring(GREY, 1e3, capacity * GREY.frame_bytes)
    for mark in range(count):
        if mark not in skip:
            ring.put(picture(mark, GREY.frame_bytes, GREY))
    return ring


def test_one_picture_comes_each_interval_on_the_beat_of_the_first():
    shots = every(filled(60).reader(0, every_ns=400))
    assert [shot.frame.sequence for shot in shots] == [0, 10, 20, 30, 40, 50]


def test_an_interval_between_the_pictures_of_the_source_keeps_its_beat():
    shots = every(filled(30).reader(0, every_ns=100))
    assert [shot.frame.captured_ns for shot in shots] == [0, 120, 200, 320, 400, 520, 600, 720, 800, 920, 1000, 1120]


def test_where_none_came_in_time_the_next_one_is_taken_and_nothing_is_missing():
    shots = every(filled(60, skip=range(19, 33)).reader(0, every_ns=400))
    assert [shot.frame.sequence for shot in shots] == [0, 10, 33, 40, 50]
    assert not any(shot.missing for shot in shots)


def test_a_reader_that_waits_for_its_hour_is_not_overtaken():
    ring = filled(1, capacity=3)
    reader = ring.reader(0, every_ns=4000)
    assert isinstance(reader.take(), Shot)
    for mark in range(1, 100):
        assert reader.take() is NOT_YET
        ring.put(picture(mark, GREY.frame_bytes, GREY))
    late = ring.put(picture(100, GREY.frame_bytes, GREY))
    taken = reader.take()
    assert (taken.number, taken.missing, taken.overrun) == (late, 0, 0)


def test_pictures_far_apart_are_nobodys_neighbours():
    lapsed = list(with_neighbours(every(filled(40).reader(0, every_ns=400))))
    assert [(before, after) for before, _, after in lapsed] == [(None, None)] * 4
    assert lapsed[1][1].frame.sequence == 10


def test_it_ends_where_it_is_stopped(bench):
    here = bench()
    here.run(0.3)
    reader = here.source.subscribe(here.clock.monotonic_ns(), every_s=0.2)
    here.run(1.0)
    reader.stop(here.clock.monotonic_ns())
    here.run(0.2)
    times = [shot.frame.captured_ns for shot in every(reader)]
    assert {b - a for a, b in pairwise(times)} == {SECOND // 5}
    assert len(times) in {5, 6}
