"""Wall clocks lie (law 6): a box that boots in 1970 makes exams, and nothing leaves with a date that nobody believes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest

from gateway import exam
from gateway.clock import SystemClock
from gateway.model import DeliveryState, PerformedStep, RequestKind, RequestState
from gateway.objects import verify
from gateway.service import keeper
from gateway.service.compose import Box
from gateway.spool import exams
from tests.flow.rooms import Room


class LyingClock(SystemClock):
    """The kernel's monotonic clock, and a wall clock that is off until somebody sets it."""

    def __init__(self, off: timedelta) -> None:
        super().__init__()
        self.off = off

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + self.off


SINCE_1970 = timedelta(days=-20_500)


@pytest.fixture
def clock() -> LyingClock:
    return LyingClock(SINCE_1970)


def box(room: Room) -> Box:
    return Box(site=room.site, spool=room.spool, clock=room.clock)


def states(room: Room, step: PerformedStep) -> set[DeliveryState]:
    return {delivery.state for delivery in room.spool.deliveries.of_exam(step.exam_id)}


def header(room: Room, step: PerformedStep) -> pydicom.Dataset:
    (instance,) = room.spool.instances.of_capture(step.exam_id, 1)
    path = room.spool.blobs.path(instance.blob)
    assert [problem for problem in verify.check(path) if "1970" in problem] == []
    return pydicom.dcmread(path)


def test_an_exam_of_1970_is_kept_and_waits(room: Room) -> None:
    step = room.start()
    assert step.clock_doubt
    assert room.press(step, RequestKind.STILL).state is RequestState.DONE
    exam.complete(room.spool, room.clock, step.exam_id)
    keeper.release(box(room))
    keeper.watch_clock(box(room))
    keeper.bring_up_to_date(box(room))
    keeper.release(box(room))
    assert states(room, step) == {DeliveryState.HELD}


def test_the_true_time_of_the_same_boot_dates_the_exam_and_lets_it_leave(room: Room, clock: LyingClock) -> None:
    step = room.start()
    room.press(step, RequestKind.STILL)
    before = room.pictures(room.objects(step, 1)[0])
    exam.complete(room.spool, room.clock, step.exam_id)
    clock.off = timedelta(0)
    keeper.watch_clock(box(room))
    keeper.release(box(room))
    assert states(room, step) == {DeliveryState.HELD}, "its header still counts from no true day"
    keeper.bring_up_to_date(box(room))
    keeper.release(box(room))
    assert states(room, step) == {DeliveryState.QUEUED}
    ds = header(room, step)
    today = datetime.now(tz=UTC) + timedelta(hours=3)
    assert ds.StudyDate == f"{today:%Y%m%d}"
    assert "AcquisitionDateTime" not in ds or str(ds.AcquisitionDateTime).startswith(f"{today:%Y}")
    assert (room.pictures(room.objects(step, 1)[0]) == before).all()
    assert f"Clock: {exams.COMPUTED}" in ds.ImageComments.splitlines()
    assert "not certain" not in ds.ImageComments


def test_the_time_that_a_person_confirmed_is_said_in_the_object(room: Room) -> None:
    step = room.start()
    room.press(step, RequestKind.STILL)
    (instance,) = room.objects(step, 1)
    exam.complete(room.spool, room.clock, step.exam_id)
    assert "Clock: the date and time are not certain" in header(room, step).ImageComments
    room.spool.exams.confirm_time(step.exam_id, datetime(2026, 12, 24, 9, 30, tzinfo=UTC))
    keeper.bring_up_to_date(box(room))
    keeper.release(box(room))
    ds = header(room, step)
    assert states(room, step) == {DeliveryState.QUEUED}
    assert (ds.SOPInstanceUID, ds.StudyDate, ds.StudyTime) == (instance.sop_instance_uid, "20261224", "123000.000")
    assert [line for line in ds.ImageComments.splitlines() if line.startswith("Clock: ")] == [
        f"Clock: {exams.CONFIRMED}"
    ]


def test_a_clock_that_jumps_back_in_mid_exam_changes_neither_the_order_nor_the_day(tmp_path: Path) -> None:
    clock = LyingClock(timedelta(0))
    with Room(tmp_path, clock=clock) as room:
        step = room.start()
        room.press(step, RequestKind.CINE_START)
        clock.off = timedelta(hours=-5)
        room.until(lambda: room.clock.monotonic_ns() > step.started_ns + 500_000_000)
        room.press(step, RequestKind.CINE_STOP)
        (instance,) = room.objects(step, 1)
        exam.complete(room.spool, room.clock, step.exam_id)
        keeper.release(box(room))
        assert states(room, step) == {DeliveryState.QUEUED}
        ds = header(room, step)
        assert (
            float(ds.FrameTime) == pytest.approx(20.0, abs=1.0)
            if "FrameTime" in ds
            else min(ds.FrameTimeVector[1:]) > 0
        )
        assert ds.StudyDate == f"{step.started_at + timedelta(hours=3):%Y%m%d}"
        assert instance.frame_count > 10
