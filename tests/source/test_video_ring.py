"""The ring against a plain list: whatever is put, every reader gets exactly what the list says, or is told what it lost."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import DeviceGone, NoPictureThen, StalePress
from gateway.model import Field, Frame, FrameFormat
from gateway.source.ring import COVER_INTERVALS, NOT_YET, Ended, Ring, Shot, with_neighbours

INTERVAL = 40
FORMAT = FrameFormat(pixel_format="GREY", width_px=4, height_px=2, stride_bytes=4, frame_interval_ns=INTERVAL)
DROPPED = ("dropped",)


def frame(mark: int, at_ns: int) -> Frame:
    data = np.full(FORMAT.frame_bytes, mark % 251, np.uint8)
    return Frame(data=data, format=FORMAT, sequence=mark, field=Field.NONE, captured_ns=at_ns)


def make_ring(capacity: int) -> Ring:
    return Ring(FORMAT, 1e3, capacity * FORMAT.frame_bytes)


def filled(times: list[int], capacity: int = 100, missing: int = 0) -> Ring:
    ring = make_ring(capacity)
    for mark, at_ns in enumerate(times):
        ring.put(frame(mark, at_ns), DROPPED * missing)
    return ring


def every(reader) -> list[Shot]:
    shots = []
    while isinstance(taken := reader.take(), Shot):
        shots.append(taken)
    return shots


class AgainstAList(RuleBasedStateMachine):
    """Puts and readers in any order; the model is the list of everything ever put."""

    @initialize(capacity=st.integers(2, 6))
    def begin(self, capacity):
        self.ring = make_ring(capacity)
        self.put_so_far: list[tuple[int, int]] = []  # (captured_ns, missing before it)
        self.readers: list[tuple[object, list[int], int]] = []
        self.now = 1000

    @rule(step=st.integers(1, 3 * INTERVAL), missing=st.integers(0, 3))
    def put(self, step, missing):
        self.now += step
        number = self.ring.put(frame(len(self.put_so_far), self.now), DROPPED * missing)
        assert number == len(self.put_so_far)
        self.put_so_far.append((self.now, missing))

    @rule()
    def subscribe(self):
        self.readers.append([self.ring.reader(), len(self.put_so_far), None])

    @rule(back=st.integers(0, 400))
    def subscribe_from_the_past(self, back):
        from_ns = self.now - back
        oldest = max(0, len(self.put_so_far) - self.ring.capacity)
        covering = [n for n, (at_ns, _) in enumerate(self.put_so_far) if at_ns <= from_ns and n >= oldest]
        first = covering[-1] if covering else oldest
        self.readers.append([self.ring.reader(from_ns), first, None])

    @rule(data=st.data())
    def read(self, data):
        if not self.readers:
            return
        reader = data.draw(st.sampled_from(self.readers))
        taken, due, last = reader[0].take(), reader[1], reader[2]
        if due >= len(self.put_so_far):
            assert taken is NOT_YET
            return
        oldest = max(0, len(self.put_so_far) - self.ring.capacity)
        number = max(due, oldest)
        assert taken.number == number
        assert taken.frame.captured_ns == self.put_so_far[number][0]
        assert (taken.frame.data == number % 251).all()
        assert taken.overrun == number - due
        lost = sum(missing for _, missing in self.put_so_far[due : number + 1]) + number - due
        assert taken.missing == (0 if last is None else lost)
        reader[1], reader[2] = number + 1, number

    @rule(back=st.integers(-50, 400))
    def look_up(self, back):
        ns = self.now - back
        kept = list(enumerate(self.put_so_far))[-self.ring.capacity :]
        covering = [(n, at_ns) for n, (at_ns, _) in kept if at_ns <= ns]
        try:
            shot = self.ring.at(ns)
        except StalePress:
            assert not covering
            assert len(self.put_so_far) > self.ring.capacity
        except NoPictureThen:
            assert not covering or ns - covering[-1][1] > COVER_INTERVALS * INTERVAL
        else:
            if shot is NOT_YET:
                assert not self.put_so_far or ns - self.put_so_far[-1][0] > 0.75 * INTERVAL
            else:
                assert (shot.number, shot.frame.captured_ns) == covering[-1]

    @invariant()
    def memory_is_bounded(self):
        if hasattr(self, "ring"):
            assert self.ring.memory_bytes == self.ring.capacity * FORMAT.frame_bytes


TestAgainstAList = AgainstAList.TestCase


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30), st.integers(-20, 3000))
def test_a_picture_covers_the_time_until_the_next_one(steps, ns):
    times = [int(at_ns) for at_ns in np.cumsum(steps)]
    ring = filled(times)
    covering = [n for n, at_ns in enumerate(times) if at_ns <= ns]
    if not covering:
        with pytest.raises(NoPictureThen):
            ring.at(ns)
    elif covering[-1] < len(times) - 1:
        assert ring.at(ns).number == covering[-1]


def test_a_moment_after_the_newest_picture_is_not_decided_before_the_next_one():
    ring = filled([0, 40])
    assert ring.at(69).number == 1
    assert ring.at(75) is NOT_YET
    ring.put(frame(2, 72))  # a picture that came early
    assert ring.at(75).number == 2


def test_an_empty_ring_waits():
    assert make_ring(3).at(5) is NOT_YET


def test_a_moment_older_than_the_ring_is_stale():
    ring = filled([40 * n for n in range(10)], capacity=4)
    assert ring.at(6 * 40).number == 6
    with pytest.raises(StalePress):
        ring.at(5 * 40 + 39)


def test_a_moment_in_a_long_gap_has_no_picture():
    ring = filled([0, 40, 1000])
    assert ring.at(40 + COVER_INTERVALS * INTERVAL).number == 1
    with pytest.raises(NoPictureThen):
        ring.at(500)


def test_a_moment_after_the_end_says_why_it_ended():
    ring = filled([0, 40])
    ring.end(DeviceGone(device="grabber 1"))
    assert ring.at(79).number == 1
    with pytest.raises(DeviceGone, match="grabber 1"):
        ring.at(80)


def test_what_is_handed_out_is_a_copy():
    ring = filled([0, 40])
    kept = ring.at(0)
    kept.frame.data[:] = 99
    assert (ring.at(0).frame.data == 0).all()


def test_a_reader_stops_at_the_moment_it_was_told():
    ring = filled([40 * n for n in range(6)])
    reader = ring.reader(80)
    reader.stop(130)
    assert [shot.number for shot in every(reader)] == [2, 3]
    assert reader.take() == Ended()


def test_a_reader_that_stops_in_the_present_need_not_wait_for_the_next_picture():
    reader = (ring := filled([0, 40])).reader(0)
    reader.stop(60)
    assert len(every(reader)) == 2
    assert reader.take() == Ended()
    late = ring.reader(0)
    late.stop(79)
    assert len(every(late)) == 2
    assert late.take() is NOT_YET  # a picture may come at 79 still


def test_a_reader_gets_every_picture_that_was_there_before_it_hears_of_the_end():
    ring = filled([0, 40, 80])
    reader = ring.reader(0)
    error = DeviceGone(device="x")
    ring.end(error)
    assert [shot.number for shot in every(reader)] == [0, 1, 2]
    assert reader.take().error is error
    assert reader.take().error is error


def test_gaps_before_the_first_picture_of_a_reader_are_not_its_gaps():
    ring = filled([0, 40, 80], missing=2)
    assert [shot.missing for shot in every(ring.reader(40))] == [0, 2]


def test_a_reader_that_was_overtaken_is_told_how_many_pictures_it_lost():
    ring = filled([0], capacity=3)
    reader = ring.reader(0)
    reader.take()
    for mark in range(1, 8):
        ring.put(frame(mark, 40 * mark), DROPPED if mark == 2 else ())
    shot = reader.take()
    assert (shot.number, shot.overrun, shot.missing) == (5, 4, 5)
    assert reader.take().missing == 0


def test_a_waiting_reader_wakes_for_a_picture_and_for_the_end():
    ring = make_ring(4)
    reader = ring.reader()
    got = []
    thread = threading.Thread(target=lambda: got.extend(shot.number for shot in reader))
    thread.start()
    for mark in range(3):
        ring.put(frame(mark, 40 * mark))
    ring.end(None)
    thread.join(10)
    assert not thread.is_alive()
    assert got == [0, 1, 2]


def test_readers_in_other_threads_see_whole_pictures_only(campaign):
    count = campaign(3000, 100_000)
    ring = make_ring(8)
    torn, totals = [], []

    def read():
        lost = seen = 0
        for shot in ring.reader(0):
            seen += 1
            lost += shot.overrun
            if (shot.frame.data != shot.number % 251).any() or shot.frame.sequence != shot.number:
                torn.append(shot.number)
        totals.append(seen + lost)

    ring.put(frame(0, 0))
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for mark in range(1, count):
        ring.put(frame(mark, 40 * mark))
    ring.end(None)
    for thread in threads:
        thread.join(30)
    assert torn == []
    assert [total for total in totals if total > count] == []
    assert len(totals) == 2


def test_neighbours_stand_directly_beside_a_picture_or_not_at_all():
    ring = filled([0, 40, 80])
    ring.put(frame(3, 160), DROPPED)
    beside = ring.neighbours(1)
    assert (beside.previous.sequence, beside.following.sequence) == (0, 2)
    assert ring.neighbours(0).previous is None
    assert ring.neighbours(2).following is None  # a picture is missing in between
    assert ring.neighbours(3) is NOT_YET
    ring.end(None)
    assert ring.neighbours(3).previous is None
    assert ring.neighbours(3).following is None


def test_with_neighbours_gives_each_picture_once_and_looks_across_no_gap():
    ring = filled([0, 40, 80])
    ring.put(frame(3, 160), DROPPED)
    ring.put(frame(4, 200))
    triples = [
        (before and before.sequence, shot.number, after and after.sequence)
        for before, shot, after in with_neighbours(every(ring.reader(0)))
    ]
    assert triples == [(None, 0, 1), (0, 1, 2), (1, 2, None), (None, 3, 4), (3, 4, None)]
    assert list(with_neighbours([])) == []


def test_memory_is_what_was_asked_for_or_the_limit():
    asked = Ring(FORMAT, 1e-6, 1 << 30)
    assert asked.capacity == 1000 // INTERVAL + 2
    assert asked.memory_bytes == asked.capacity * FORMAT.frame_bytes
    limited = Ring(FORMAT, 1e3, 10 * FORMAT.frame_bytes + 3)
    assert limited.memory_bytes == 10 * FORMAT.frame_bytes
    assert limited.kept_s == pytest.approx(10 * INTERVAL / 1e9)
