"""Exams, captures, presses, worklist and history: rows that people see."""

import threading
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gateway.errors import DeviceGone, ExamAlreadyRunning, NoSuchRow, StalePress, WrongState
from gateway.model import (
    CaptureKind,
    CaptureState,
    Code,
    Patient,
    RequestKind,
    ScheduledStep,
    StepStatus,
)
from gateway.spool.spool import Spool
from tests.spool.world import SECOND_NS, step

PATIENT = Patient(patient_id="7", name="Wang^XiaoDong=王^小東", birth_date="19800101", sex="O")
SCHEDULED = ScheduledStep(
    patient=PATIENT,
    scheduled_procedure_step_id="S1",
    study_instance_uid="2.25.9",
    accession_number="A1",
    scheduled_protocol_codes=(Code("1", "99X", "Ελληνικά"),),
)


def test_an_exam_comes_back_as_it_started_and_ends_once(spool, clock):
    started = step(clock, patient=PATIENT, scheduled=SCHEDULED)
    spool.exams.start(started)
    assert spool.exams.get(started.exam_id) == spool.exams.running("us") == started
    assert spool.exams.running("us").patient.name == "Wang^XiaoDong=王^小東"
    assert spool.exams.all_running() == [started]
    ended = spool.exams.end(started.exam_id, StepStatus.DISCONTINUED, clock.now(), "equipment")
    assert (ended.status, ended.discontinuation_reason) == ("DISCONTINUED", "equipment")
    assert spool.exams.running("us") is None
    assert spool.exams.recent(3) == [ended]
    with pytest.raises(WrongState):
        spool.exams.end(started.exam_id, StepStatus.COMPLETED, clock.now(), "")
    with pytest.raises(NoSuchRow):
        spool.exams.get(uuid4())


def test_a_station_has_one_exam_in_progress_whoever_asks_at_once(spool, clock):
    outcomes = []

    def start():
        try:
            spool.exams.start(step(clock))
            outcomes.append("started")
        except ExamAlreadyRunning as error:
            outcomes.append(error.facts["station"])

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["started", "us", "us", "us", "us"]
    spool.exams.start(step(clock, station="endoscopy"))
    assert len(spool.exams.all_running()) == 2


def test_an_identification_typed_by_hand_takes_the_former_order_away(spool, clock):
    started = step(clock, patient=PATIENT, scheduled=SCHEDULED)
    spool.exams.start(started)
    corrected = spool.exams.identify(started.exam_id, Patient(patient_id="8", name="C"), None)
    assert (corrected.scheduled, corrected.identity_revision) == (None, 1)
    assert spool.exams.identify(started.exam_id, PATIENT, SCHEDULED).identity_revision == 2


def test_captures_are_numbered_from_one_without_a_gap(spool, clock):
    started = step(clock)
    spool.exams.start(started)
    other = step(clock, station="b")
    spool.exams.start(other)
    numbers = []

    def press():
        for _ in range(5):
            begun = spool.captures.begin(started.exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
            numbers.append(begun.number)

    threads = [threading.Thread(target=press) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 16))
    assert spool.captures.begin(other.exam_id, CaptureKind.CINE, "b", clock.now(), 1).number == 1
    assert [capture.number for capture in spool.captures.of_exam(started.exam_id)] == list(range(1, 16))
    with pytest.raises(NoSuchRow):
        spool.captures.begin(uuid4(), CaptureKind.STILL, "us", clock.now(), 1)


def test_segments_are_numbered_before_they_are_written(spool, clock):
    started = step(clock)
    spool.exams.start(started)
    spool.captures.begin(started.exam_id, CaptureKind.CINE, "us", clock.now(), 1)
    assert [spool.captures.next_segment(started.exam_id, 1) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(NoSuchRow):
        spool.captures.next_segment(started.exam_id, 2)


def test_a_capture_that_has_left_is_not_discarded_and_notes_add_up(spool, clock):
    started = step(clock)
    spool.exams.start(started)
    spool.captures.begin(started.exam_id, CaptureKind.CINE, "us", clock.now(), 1)
    spool.captures.set_state(started.exam_id, 1, CaptureState.HELD, "3 frames were missed")
    spool.captures.set_state(started.exam_id, 1, CaptureState.RELEASED, "ended early")
    assert spool.captures.get(started.exam_id, 1).note == "3 frames were missed; ended early"
    for state in (CaptureState.DISCARDED, CaptureState.LOST, CaptureState.RECORDING):
        with pytest.raises(WrongState):
            spool.captures.set_state(started.exam_id, 1, state)


def test_only_the_captures_of_a_dead_process_are_abandoned(data, clock):
    with Spool.open(data, clock) as spool:
        started = step(clock)
        spool.exams.start(started)
        spool.captures.begin(started.exam_id, CaptureKind.CINE, "us", clock.now(), 1)
        assert spool.captures.abandoned("us") == []
    clock.reboot()
    with Spool.open(data, clock) as spool:
        assert [capture.number for capture in spool.captures.abandoned("us")] == [1]
        assert spool.captures.abandoned("other") == []


# ---- presses ----


@pytest.fixture
def pressed(spool, clock):
    started = step(clock)
    spool.exams.start(started)
    now = clock.monotonic_ns()

    def ask(kind=RequestKind.STILL):
        return spool.requests.ask(kind, started.exam_id, "us", pressed_ns=now, expires_ns=now + 5 * SECOND_NS)

    return started, ask


def test_a_press_is_taken_once_in_order_and_answered_once(spool, pressed):
    started, ask = pressed
    first, second = ask(), ask(RequestKind.CINE_START)
    assert spool.requests.take("other") is None
    taken = spool.requests.take("us")
    assert (taken.request_id, taken.state) == (first.request_id, "TAKEN")
    assert spool.requests.done(first.request_id, 4).capture == 4
    with pytest.raises(WrongState):
        spool.requests.missed(first.request_id, DeviceGone(device="x"))
    assert spool.requests.take("us").request_id == second.request_id
    assert spool.requests.take("us") is None
    answered = spool.requests.missed(second.request_id, DeviceGone(device="the grabber"))
    assert (answered.state, answered.error_code) == ("MISSED", "G201")
    assert [press.state for press in spool.requests.of_exam(started.exam_id)] == ["DONE", "MISSED"]


def test_many_takers_share_the_presses(spool, pressed):
    asked = [pressed[1]().request_id for _ in range(20)]
    taken = []

    def take():
        while press := spool.requests.take("us"):
            taken.append(press.request_id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == asked


@pytest.mark.parametrize("why", ["late", "rebooted", "ended", "another exam"])
def test_a_stale_press_is_missed_and_says_why(spool, clock, pressed, why):
    started, ask = pressed
    stale = ask()
    if why == "late":
        clock.sleep(5.1)
    elif why == "rebooted":
        clock.boot = "boot-9"
    else:
        spool.exams.end(started.exam_id, StepStatus.COMPLETED, clock.now(), "")
        if why == "another exam":
            spool.exams.start(step(clock))
    assert spool.requests.take("us") is None
    answered = spool.requests.get(stale.request_id)
    assert (answered.state, answered.error_code) == ("MISSED", StalePress.code)
    assert "Nothing was captured" in answered.error_text


def test_a_stale_press_does_not_hide_a_good_one(spool, clock, pressed):
    _, ask = pressed
    stale = ask()
    clock.sleep(6)
    now = clock.monotonic_ns()
    good = spool.requests.ask(
        RequestKind.STILL, pressed[0].exam_id, "us", pressed_ns=now, expires_ns=now + 5 * SECOND_NS
    )
    assert spool.requests.take("us").request_id == good.request_id
    assert spool.requests.get(stale.request_id).state == "MISSED"


def test_a_press_that_a_dead_service_had_taken_is_missed(data, clock):
    with Spool.open(data, clock) as spool:
        started = step(clock)
        spool.exams.start(started)
        spool.requests.ask(RequestKind.STILL, started.exam_id, "us", pressed_ns=1, expires_ns=2 * clock.mono_ns)
        spool.requests.take("us")
        assert spool.requests.recover() == 0
    clock.boot = "boot-2"
    with Spool.open(data, clock) as spool:
        assert spool.recover().requests == 1
        assert spool.requests.get(1).state == "MISSED"


# ---- worklist ----


def test_the_worklist_is_kept_while_the_ris_is_down(data, clock):
    with Spool.open(data, clock) as spool:
        assert spool.worklist.fetched() is None
        spool.worklist.replace([SCHEDULED], datetime(2026, 12, 1, 8, tzinfo=UTC))
        spool.worklist.failure("no route to the RIS")
    with Spool.open(data, clock) as spool:
        assert spool.worklist.all() == [SCHEDULED]
        assert spool.worklist.get(SCHEDULED.key) == SCHEDULED
        assert spool.worklist.get(SCHEDULED.key).patient.name == "Wang^XiaoDong=王^小東"
        assert spool.worklist.fetched() == datetime(2026, 12, 1, 8, tzinfo=UTC)
        assert spool.worklist.last_failure().text == "no route to the RIS"
        spool.worklist.replace([], clock.now())
        assert spool.worklist.all() == []
        assert spool.worklist.last_failure() is None
        with pytest.raises(NoSuchRow):
            spool.worklist.get(SCHEDULED.key)


def test_a_worklist_is_replaced_as_a_whole_or_not_at_all(spool, clock):
    spool.worklist.replace([SCHEDULED], clock.now())
    with pytest.raises(AttributeError):
        spool.worklist.replace([SCHEDULED, "no step"], clock.now())
    with pytest.raises(ZeroDivisionError), spool.transaction():
        spool.worklist.replace([], clock.now())
        raise ZeroDivisionError
    assert spool.worklist.all() == [SCHEDULED]


def test_an_item_that_comes_twice_is_kept_once(spool, clock):
    spool.worklist.replace([SCHEDULED, SCHEDULED], clock.now())
    assert spool.worklist.all() == [SCHEDULED]


def test_nothing_printed_of_an_exam_names_the_patient(clock):
    for shown in (repr(step(clock, patient=PATIENT, scheduled=SCHEDULED)), repr(SCHEDULED), str(PATIENT)):
        assert "Wang" not in shown
        assert "A1" not in shown


def test_the_history_is_told_in_order(spool, clock):
    spool.history.add("exam 1", "started", by="eve")
    clock.sleep(1)
    spool.history.add("exam 1", "completed", text="3 images")
    assert [entry.event for entry in spool.history.of("exam 1")] == ["started", "completed"]
    latest = spool.history.recent(1)[0]
    assert (latest.at, latest.text, latest.by) == (clock.now(), "3 images", "")
