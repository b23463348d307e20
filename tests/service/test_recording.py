"""A recording keeps every picture that it can, in order, in little memory, and says of each that it could not keep why."""

import itertools
import logging
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.clock import SystemClock
from gateway.errors import DiskFull
from gateway.pixels import codecs
from gateway.service import closing, encoding, recording
from gateway.service.encoding import Encoders
from gateway.service.recording import Recording
from gateway.spool.framelog import FrameLog
from tests.service.recordings import format_of, pixels_of, profile, truth, yuyv

# ---- several at a time, in order ----


def test_encoders_keep_the_order_whoever_is_ready_first():
    encoders = Encoders(4)
    waits = [0.03, 0.0, 0.02, 0.0, 0.0, 0.01] * 5

    def work(number):
        time.sleep(waits[number])
        return number * 10

    assert list(encoders.in_order(work, range(30))) == [(number, number * 10) for number in range(30)]


def test_whoever_takes_slowly_slows_down_what_is_encoded():
    encoders, begun = Encoders(2), []
    results = encoders.in_order(begun.append, iter(range(1000)))
    for _ in range(5):
        next(results)
    time.sleep(0.05)
    assert len(begun) <= 5 + encoders.threads + encoding.AHEAD


def test_a_failure_is_raised_in_its_turn():
    def work(number):
        if number == 3:
            raise ValueError(number)
        return number

    results = Encoders(2).in_order(work, range(9))
    assert [next(results)[1] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)


def test_encoders_stand_back_and_nobody_else_does():
    import os

    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    (_, theirs), *_ = Encoders(1).in_order(
        lambda _: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), range(2)
    )
    assert theirs == mine + encoding.NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine


# ---- every form, bit for bit ----


@pytest.mark.parametrize("compression", ["none", "rle", "jpeg-ls", "jpeg2000", "htj2k", "jpeg-xl"])
def test_every_lossless_form_keeps_every_picture_bit_for_bit(place, compression):
    raws = [yuyv(number) for number in range(7)]
    made = place.record(place.ring(raws), profile(compression))
    (ds,) = place.objects(made)
    assert ds.file_meta.TransferSyntaxUID == codecs.transfer_syntax(compression)
    assert ds.LossyImageCompression == "00"
    seen = list(ds.pixel_array) if compression == "none" else pixels_of(ds)
    assert np.array_equal(np.stack(seen), np.stack(truth(raws, profile())))
    assert place.note(made) == ""
    assert len(place.shown) == 1


def test_pictures_that_are_truly_grey_are_monochrome2_and_say_so(place):
    raws = [yuyv(number, is_grey=True) for number in range(5)]
    (ds,) = place.objects(place.record(place.ring(raws), profile()))
    assert (ds.SamplesPerPixel, ds.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert "reduced to luma" in ds.DerivationDescription
    assert np.array_equal(np.stack(pixels_of(ds)), np.stack(truth(raws, profile()))[..., 1])


def test_a_colour_that_appears_late_is_not_lost(place):
    raws = [yuyv(number, is_grey=number < 6) for number in range(9)]
    (ds,) = place.objects(place.record(place.ring(raws), profile()))
    assert ds.PhotometricInterpretation == "YBR_RCT"
    assert "reduced to luma" not in ds.get("DerivationDescription", "")
    assert np.array_equal(np.stack(pixels_of(ds)), np.stack(truth(raws, profile())))


# ---- a recording that is hard pressed ----


def test_what_was_stored_in_the_quick_form_becomes_what_its_object_is(place, monkeypatch):
    monkeypatch.setattr(recording.Pace, "is_losing", lambda pace: next(pace.turns) % 3 > 0)
    monkeypatch.setattr(recording.Pace, "turns", iter(range(100)), raising=False)
    raws = [yuyv(number, is_grey=number in {1, 2, 3}) for number in range(11)]
    for grey in ("auto", "never"):
        (ds,) = place.objects(place.record(place.ring(raws), profile(grey=grey)))
        assert ds.file_meta.TransferSyntaxUID == codecs.transfer_syntax("htj2k")
        assert np.array_equal(np.stack(pixels_of(ds)), np.stack(truth(raws, profile())))


def test_half_a_ring_lost_and_more_being_lost_is_losing_ground():
    class Reader:
        capacity, room = 80, 80

    reader = Reader()
    pace = recording.Pace(reader)
    said = {}
    for room in [80, 60, 41, *range(39, 20, -1), *range(20, 39), 39, 39, 9, 9, 9, 80]:
        reader.room = room
        said.setdefault(pace.is_losing(), []).append(room)
    assert min(said[False]) >= 20
    assert max(said[True]) < 40
    assert {9, 25} <= set(said[True])


def test_what_the_ring_overwrites_is_counted_logged_and_told_in_the_object(place, caplog):
    """The ring holds ten pictures; the encoders stand still until thirty have come."""
    ring, gate = place.ring([], capacity=10), threading.Event()
    made = place.recording(ring, profile())
    store = Recording._store
    made._store = lambda turn: gate.wait(20) and store(made, turn)
    made.start()
    for number in range(30):
        place.put(ring, number, yuyv(number))
        time.sleep(0.005)
    with caplog.at_level(logging.WARNING):
        gate.set()
        ring.end(None)
        made.join(60)
    (ds,) = place.objects(made)
    kept = int(ds.NumberOfFrames)
    missing = 30 - kept
    assert missing >= 30 - 10 - place.station.encoders.threads - encoding.AHEAD - 2
    assert place.note(made) == f"Pictures missed: {missing}. This box was too slow for {missing} of them."
    assert f"{missing} frames were missed" in ds.ImageComments
    (said,) = [record.getMessage() for record in caplog.records if "falls behind" in record.getMessage()]
    first, last = said.split("pictures ")[1].split(" were")[0].split("-")
    assert int(last) - int(first) + 1 == missing
    seen = np.stack(pixels_of(ds))
    numbers = [*range(int(first)), *range(int(last) + 1, 30)]
    assert np.array_equal(seen, np.stack(truth([yuyv(number) for number in numbers], profile())))
    steps = [round(float(each)) for each in ds.FrameTimeVector]
    assert steps == [0, *(round((b - a) * 40) for a, b in itertools.pairwise(numbers))]


def test_a_recording_is_cut_into_segments_and_none_is_lost_between(place, monkeypatch):
    monkeypatch.setattr(recording, "SEGMENT_FRAMES", 8)
    raws = [yuyv(number) for number in range(21)]
    objects = place.objects(place.record(place.ring(raws), profile()))
    assert [int(ds.NumberOfFrames) for ds in objects] == [8, 8, 5]
    assert np.array_equal(np.concatenate([np.stack(pixels_of(ds)) for ds in objects]), np.stack(truth(raws, profile())))


def test_a_segment_ends_before_it_is_too_long_for_its_object(place, monkeypatch):
    monkeypatch.setattr(recording, "SEGMENT_BYTES", 50_000)
    objects = place.objects(place.record(place.ring([yuyv(number) for number in range(21)]), profile()))
    assert len(objects) > 2
    assert sum(int(ds.get("NumberOfFrames", 1)) for ds in objects) == 21


def test_what_a_dead_process_left_in_the_quick_form_is_rescued_whole(place, monkeypatch):
    monkeypatch.setattr(recording.Pace, "is_losing", lambda _: True)
    raws, found = [yuyv(number) for number in range(6)], profile()
    ring = place.ring(raws)
    made = place.recording(ring, found)
    ring.end(None)
    monkeypatch.setattr(FrameLog, "end", lambda log, _why: log.abandon())  # here the power fails
    made._record()
    closing.finish(place.station, place.step, made.plan.capture, found, ended_early=closing.FAILED)  # as a rescue does
    (ds,) = place.objects(made)
    assert np.array_equal(np.stack(pixels_of(ds)), np.stack(truth(raws, found)))
    assert "ended early" in place.note(made)


def test_what_was_stopped_in_order_and_never_composed_did_not_end_early(place):
    raws, found = [yuyv(number) for number in range(6)], profile()
    ring = place.ring(raws)
    made = place.recording(ring, found)
    ring.end(None)
    made._record()
    closing.finish(place.station, place.step, made.plan.capture, found, ended_early=closing.FAILED)  # as a rescue does
    (ds,) = place.objects(made)
    assert int(ds.NumberOfFrames) == 6
    assert "ended early" not in place.note(made) + ds.get("ImageComments", "")


def test_what_the_last_sync_met_is_raised_even_when_no_picture_follows(tmp_path):
    class Broken:
        def sync(self):
            raise DiskFull

    clock = SystemClock()
    with pytest.raises(DiskFull), recording.Syncing(Broken(), clock, lambda: None) as syncing:
        syncing._since_ns -= 2 * recording.SYNC_NS
        syncing.turn()


# ---- memory ----


def test_a_long_cine_takes_the_memory_of_a_short_one(place, campaign):
    """The peak grows with the encoders' few pictures, not with the length: recorded, and closed into an object."""
    seconds, rate = campaign(8, 600), 25
    fmt = format_of(320, 240, round(1e9 / rate))
    drawn = [yuyv(number, columns=320, rows=240) for number in range(5)]
    ring = place.ring([], fmt, capacity=25)
    made = place.recording(ring, profile("none" if seconds < 60 else "htj2k"))
    made.start()
    peaks = []
    for number in range(seconds * rate):
        while made._reader.room < 5:
            time.sleep(0.001)
        place.put(ring, number, drawn[number % 5])
        if number in {seconds * rate // 4, seconds * rate - 1}:
            peaks.append(rss())
    ring.end(None)
    made.join(600)
    peaks.append(rss())
    payload = sum(each.size_bytes for each in place.spool.instances.of_capture(place.step.exam_id, 1))
    assert payload > 8 * max(1, peaks[-1] - peaks[0])
    assert payload > 40 << 20


def rss() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) << 10
