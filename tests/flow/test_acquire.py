"""acquire with a simulated scanner: what is pressed becomes objects, and what goes wrong is said and loses nothing."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest

from gateway import exam
from gateway.model import (
    CaptureState,
    RequestKind,
    RequestState,
    Signal,
)
from gateway.pixels import chain
from gateway.profile import modality
from gateway.simulators.pictures import Playback, number_of, parse
from gateway.spool import live
from tests.flow.rooms import NAME, SCRIPT, SECOND, Room, numbers


def test_a_still_is_the_picture_that_was_on_the_screen_bit_for_bit(room: Room) -> None:
    step = room.start()
    request = room.press(step, RequestKind.STILL)
    assert (request.state, request.capture) == (RequestState.DONE, 1)
    (instance,) = room.objects(step, 1)
    (picture,) = room.pictures(instance)
    playback = Playback(parse(SCRIPT))
    pixels = chain.build(playback.format, modality("simulator-ultrasound").chain)
    assert np.array_equal(picture, pixels.run(None, playback.raw(number_of(picture)), None))


def test_a_press_gets_the_picture_of_its_own_moment_not_of_its_answer(room: Room) -> None:
    step = room.start()
    now_ns = room.clock.monotonic_ns()
    time.sleep(0.5)
    early = room.press(step, RequestKind.STILL, pressed_ns=now_ns)
    late = room.press(step, RequestKind.STILL)
    first, second = (numbers(room.pictures(room.objects(step, r.capture)[0]))[0] for r in (early, late))
    assert second - first >= 20


def test_a_cine_has_every_picture_between_its_two_presses_in_order(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.6)
    room.press(step, RequestKind.CINE_STOP)
    (instance,) = room.objects(step, 1)
    seen = numbers(room.pictures(instance))
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) == instance.frame_count >= 25
    assert room.capture(step, 1).note == ""


def test_the_last_seconds_lie_before_the_press(room: Room) -> None:
    step = room.start()
    time.sleep(1.2)
    room.press(step, RequestKind.RETROSPECTIVE)
    room.press(step, RequestKind.STILL)
    (past,) = room.objects(step, 1)
    (still,) = room.objects(step, 2)
    seen = numbers(room.pictures(past))
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert 45 <= len(seen) <= 55
    assert numbers(room.pictures(still))[0] - seen[-1] in {0, 1, 2, 3, 4, 5}


def test_dropped_pictures_are_said_and_never_padded(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.3)
    room.scanner("drop 3")
    time.sleep(0.5)
    room.press(step, RequestKind.CINE_STOP)
    (instance,) = room.objects(step, 1)
    seen = numbers(room.pictures(instance))
    assert sorted(set(np.diff(seen))) == [1, 4]
    assert room.capture(step, 1).note == "Pictures missed: 3."


@pytest.mark.parametrize(
    ("command", "undo", "signal"),
    [
        ("unplug", "replug", Signal.ABSENT),
        ("signal off", "signal on", Signal.NO_SIGNAL),
        ("cable off", "cable on", Signal.NO_CABLE),
    ],
)
def test_what_ends_the_picture_ends_the_cine_and_keeps_it(room: Room, command: str, undo: str, signal: Signal) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.4)
    room.scanner(command)
    room.until(lambda: room.signal() is signal)
    (instance,) = room.objects(step, 1)
    seen = numbers(room.pictures(instance))
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) >= 10
    assert room.capture(step, 1).note.startswith("It ended early: ")
    lost = room.press(step, RequestKind.STILL)
    assert lost.state is RequestState.MISSED
    assert lost.error_code.startswith("G2")
    room.scanner(undo)
    room.until(lambda: room.signal() is Signal.STREAMING)
    assert room.press(step, RequestKind.STILL).state is RequestState.DONE


def test_a_change_of_format_ends_the_cine_and_geometries_never_mix(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.4)
    room.scanner("format 640x480")
    room.until(lambda: (status := live.read_status(room.site.run, NAME)) is not None and "640x480" in status.picture)
    (before,) = room.objects(step, 1)
    assert room.pictures(before).shape[1:3] == (240, 320)
    assert "It ended early" in room.capture(step, 1).note
    request = room.press(step, RequestKind.STILL)
    assert room.pictures(room.objects(step, request.capture)[0]).shape[1:3] == (480, 640)


def test_the_end_of_the_exam_ends_its_cine(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.3)
    exam.complete(room.spool, room.clock, step.exam_id)
    other = room.start()
    assert room.capture(step, 1).state in {CaptureState.HELD, CaptureState.RELEASED}
    assert room.press(other, RequestKind.STILL).state is RequestState.DONE
    assert {i.exam_id for i in room.spool.instances.of_exam(step.exam_id)} == {step.exam_id}
    assert len(room.spool.instances.of_exam(other.exam_id)) == 1


def test_a_press_older_than_the_ring_is_missed_and_says_so(room: Room) -> None:
    step = room.start()
    request = exam.press(
        room.spool, room.clock, RequestKind.STILL, step.exam_id, NAME, pressed_ns=room.clock.monotonic_ns() - 4 * SECOND
    )
    time.sleep(0.1)
    room.until(lambda: room.spool.requests.get(request.request_id).state is RequestState.MISSED)
    assert room.spool.captures.of_exam(step.exam_id) == []


def test_a_press_for_another_exam_is_missed(room: Room) -> None:
    first = room.start()
    request = exam.press(room.spool, room.clock, RequestKind.STILL, first.exam_id, NAME)
    exam.complete(room.spool, room.clock, first.exam_id)
    room.start()
    room.acquire.turn()
    assert room.spool.requests.get(request.request_id).state is RequestState.MISSED


def test_stop_without_a_recording_is_missed(room: Room) -> None:
    step = room.start()
    assert room.press(step, RequestKind.CINE_STOP).state is RequestState.MISSED


def test_a_second_start_is_missed_and_the_first_goes_on(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    assert room.press(step, RequestKind.CINE_START).state is RequestState.MISSED
    time.sleep(0.2)
    assert room.press(step, RequestKind.CINE_STOP).state is RequestState.DONE
    assert room.capture(step, 1).state is CaptureState.HELD


def test_stopping_the_service_keeps_what_was_being_recorded(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.CINE_START)
    time.sleep(0.3)
    room.close()
    (instance,) = room.objects(step, 1)
    assert instance.frame_count >= 10
    room.open()


def test_a_capture_has_a_thumbnail(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.STILL)
    room.until(room.spool.thumbnail_path(step.exam_id, 1).exists)
    assert room.spool.thumbnail_path(step.exam_id, 1).read_bytes().startswith(b"\xff\xd8")


def test_the_live_picture_is_made_only_while_somebody_looks(room: Room) -> None:
    with room.at_work(room.acquire.preview):
        time.sleep(0.3)
        assert live.read_preview(room.site.run, NAME) is None
        live.want(room.site.run, NAME)
        room.until(lambda: live.read_preview(room.site.run, NAME) is not None)


def test_every_edge_of_the_signal_is_in_the_history(room: Room) -> None:
    room.scanner("signal off")
    room.until(lambda: any(event == "STREAMING to NO_SIGNAL" and text for event, text in _edges(room)))


def _edges(room: Room) -> list[tuple[str, str]]:
    return [(entry.event, entry.text) for entry in room.spool.history.of(f"grabber {NAME}")]


def test_an_interlaced_source_is_captured_with_both_neighbours(tmp_path: Path) -> None:
    with Room(tmp_path, "phantom,720x576,interlaced,uyvy,25") as room:
        step = room.start()
        time.sleep(0.2)
        room.press(step, RequestKind.STILL)
        (picture,) = room.pictures(room.objects(step, 1)[0])
        playback = Playback(parse(room.script))
        pixels = chain.build(playback.format, modality("simulator-ultrasound").chain)
        number = next(
            n
            for n in range(1, 200)
            if np.array_equal(
                picture, _grey(pixels, pixels.run(playback.raw(n - 1), playback.raw(n), playback.raw(n + 1)))
            )
        )
        assert number > 0


def _grey(pixels: chain.Chain, rgb: np.ndarray) -> np.ndarray:
    return np.repeat(pixels.to_grey(rgb)[..., None], 3, axis=2) if pixels.is_grey(rgb) else rgb


def test_a_film_says_what_became_of_each_picture_that_is_missing(tmp_path: Path) -> None:
    with Room(tmp_path, "ybr_color,320x240,progressive,yuyv,25,stamp") as room:
        step = room.start()
        time.sleep(0.2)
        room.press(step, RequestKind.CINE_START)
        time.sleep(0.3)
        for command in ("drop 2", "error 1", "twice 1", "short 3"):
            room.scanner(command)
        time.sleep(1.0)
        room.press(step, RequestKind.CINE_STOP)
        (instance,) = room.objects(step, 1)
        ds = pydicom.dcmread(room.spool.blobs.path(instance.blob))
        said = ds.ImageComments
        assert "6 frames were missed; the intervals between frames show where." in said
        assert "2 dropped by the grabber, 1 flagged as damaged by the grabber, 3 cut short" in said
        assert "Frames that came twice, and were stored once: 1." in said
        steps = np.array(ds.FrameTimeVector, float)
        assert len(steps) == ds.NumberOfFrames
        assert sum(np.rint(steps[1:] / 40).astype(int) - 1) == 6  # longer intervals, never a padded frame
        assert all(b > a for a, b in pairwise(numbers(room.pictures(instance))))
