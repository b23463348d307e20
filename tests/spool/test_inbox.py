"""Readings without an exam wait for a person, are kept once, and are known again when they are printed again."""

from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec import structs

from gateway.errors import NoSuchRow, WrongState
from gateway.model import CaptureKind, CaptureState, Code, InboxState, Observation, ReadingSet, Trace, TraceKind
from gateway.spool.heard import Kept, Mark, digest
from gateway.spool.spool import Spool
from tests.spool.world import SECOND_NS, FakeClock, step

PRESSURE = Code(value="41633001", scheme="SCT", meaning="Intraocular pressure")
MINUTES = timedelta(minutes=5)


def readings(clock, value="18.7", **fields):
    one = Observation(concept=PRESSURE, value=value, raw=b"\xff18.7", laterality="R", received_ns=clock.monotonic_ns())
    return ReadingSet(observations=(one,), received_ns=clock.monotonic_ns(), **fields)


@pytest.fixture
def exam(spool, clock):
    made = step(clock)
    spool.exams.start(made)
    return made.exam_id


def test_what_came_without_an_exam_waits_as_it_came_with_the_time_at_which_it_came(spool, clock):
    trace = Trace(kind=TraceKind.ECG, channel=PRESSURE, unit=PRESSURE, hz=500, step="5", samples=b"\x00\x80")
    came, said = clock.now(), readings(clock, traces=(trace,))
    clock.sleep(30)
    entry = spool.inbox.add("NT", "Tonometer", said, problem="no exam was in progress")
    assert entry.received_at == came
    assert (entry.state, entry.exam_id, entry.problem) == (InboxState.WAITING, None, "no exam was in progress")
    assert spool.inbox.waiting() == [entry] == [spool.inbox.get(entry.entry_id)]
    assert entry.readings == said


def test_it_waits_for_ever_across_restarts(data, clock):
    with Spool.open(data, clock) as spool:
        entry = spool.inbox.add("NT", "Tonometer", readings(clock))
    clock.reboot()
    clock.wall += timedelta(days=4000)
    with Spool.open(data, clock) as spool:
        assert spool.inbox.prune(clock.now()) == 0
        assert spool.inbox.waiting() == [entry]


def test_a_person_assigns_it_and_the_service_of_its_port_keeps_it_once(spool, clock, exam):
    entry = spool.inbox.add("NT", "Tonometer", readings(clock))
    assert spool.inbox.assigned("NT") == []
    spool.inbox.assign(entry.entry_id, exam, by="Ada")
    (taken,) = spool.inbox.assigned("NT")
    assert (taken.exam_id, taken.by, taken.state) == (exam, "Ada", InboxState.ASSIGNED)
    assert spool.inbox.assigned("LM") == []
    assert spool.inbox.keep(entry.entry_id, exam).state is InboxState.KEPT
    assert spool.inbox.waiting() == spool.inbox.assigned("NT") == []
    assert [one.entry_id for one in spool.inbox.recent(5)] == [entry.entry_id]
    for again in (
        lambda: spool.inbox.keep(entry.entry_id, exam),
        lambda: spool.inbox.assign(entry.entry_id, exam, by="Ada"),
        lambda: spool.inbox.discard(entry.entry_id, by="Ada"),
    ):
        with pytest.raises(WrongState):
            again()
    events = [(one.event, one.by) for one in spool.history.of(f"inbox {entry.entry_id}, port NT")]
    assert events == [("a reading waits in the inbox", ""), ("assigned", "Ada"), ("kept", "")]


def test_who_changes_their_mind_before_it_is_kept_is_obeyed(spool, clock, exam):
    entry = spool.inbox.add("NT", "Tonometer", readings(clock))
    other = step(clock, station="us-2")
    spool.exams.start(other)
    spool.inbox.assign(entry.entry_id, exam, by="Ada")
    spool.inbox.assign(entry.entry_id, other.exam_id, by="Ada")
    with pytest.raises(WrongState):
        spool.inbox.keep(entry.entry_id, exam)
    spool.inbox.discard(entry.entry_id, by="Ada")
    with pytest.raises(WrongState):
        spool.inbox.keep(entry.entry_id, other.exam_id)
    assert spool.inbox.waiting() == []


def test_what_could_not_be_kept_says_why_and_waits_again(spool, clock, exam):
    entry = spool.inbox.add("NT", "Tonometer", readings(clock))
    spool.inbox.assign(entry.entry_id, exam, by="Ada")
    refused = spool.inbox.refuse(entry.entry_id, exam, "there is no room")
    assert (refused.state, refused.exam_id, refused.problem) == (InboxState.WAITING, None, "there is no room")
    assert spool.inbox.assigned("NT") == []
    assert spool.inbox.assign(entry.entry_id, exam, by="Ada").problem == ""


def test_an_exam_or_an_entry_that_does_not_exist_is_named(spool, clock, exam):
    entry = spool.inbox.add("NT", "Tonometer", readings(clock))
    with pytest.raises(NoSuchRow):
        spool.inbox.assign(entry.entry_id, uuid4(), by="Ada")
    for call in (
        lambda: spool.inbox.assign(entry.entry_id + 1, exam, by="Ada"),
        lambda: spool.inbox.discard(entry.entry_id + 1, by="Ada"),
        lambda: spool.inbox.get(entry.entry_id + 1),
    ):
        with pytest.raises(NoSuchRow):
            call()
    assert spool.inbox.get(entry.entry_id).state is InboxState.WAITING


def test_what_was_decided_is_forgotten_after_the_retention_and_what_waits_is_not(spool, clock, exam):
    kept, discarded, waits = (spool.inbox.add("NT", "Tonometer", readings(clock, value)) for value in "123")
    spool.inbox.assign(kept.entry_id, exam, by="Ada")
    spool.inbox.keep(kept.entry_id, exam)
    spool.inbox.discard(discarded.entry_id, by="Ada")
    assert spool.inbox.prune(clock.now() - MINUTES) == 0
    clock.sleep(3600)
    assert spool.inbox.prune(clock.now() - MINUTES) == 2
    assert spool.inbox.recent(5) == []
    assert spool.inbox.waiting() == [waits]


def test_the_same_content_that_waits_already_is_known(spool, clock):
    said = readings(clock)
    entry = spool.inbox.add("NT", "Tonometer", said)
    clock.sleep(60)
    again = digest(readings(clock))
    assert spool.inbox.has("NT", again, clock.now() - MINUTES)
    assert not spool.inbox.has("NT", again, clock.now())
    assert not spool.inbox.has("LM", again, clock.now() - MINUTES)
    assert not spool.inbox.has("NT", digest(readings(clock, "18.8")), clock.now() - MINUTES)
    spool.inbox.discard(entry.entry_id, by="Ada")
    assert not spool.inbox.has("NT", again, clock.now() - MINUTES)


def test_content_is_what_was_said_and_not_when_nor_what_we_doubt(clock):
    said = readings(clock)
    clock.sleep(1)
    later = readings(clock)
    (one,) = later.observations
    doubted = structs.replace(later, observations=(structs.replace(one, doubts=("implausible",)),))
    assert digest(said) == digest(later) == digest(doubted)
    trace = Trace(kind=TraceKind.ECG, channel=PRESSURE, unit=PRESSURE, hz=500, step="5", samples=b"\x01\x00")
    other = structs.replace(trace, samples=b"\x02\x00")
    assert len({digest(structs.replace(said, traces=given)) for given in ((), (trace,), (other,))}) == 3


def test_a_reprint_is_known_after_a_restart_until_its_capture_is_discarded(data, clock):
    with Spool.open(data, clock) as spool:
        made = step(clock)
        spool.exams.start(made)
        capture = spool.captures.begin(made.exam_id, CaptureKind.READING, "NT", clock.now(), clock.monotonic_ns())
        spool.captures.set_state(made.exam_id, capture.number, CaptureState.HELD)
        spool.heard.remember("NT", "content", Kept(exam_id=made.exam_id, capture=capture.number), clock.now())
    clock.sleep(60)
    with Spool.open(data, clock) as spool:
        now = clock.now()
        assert spool.heard.same("NT", "content", made.exam_id, now, MINUTES) == Kept(exam_id=made.exam_id, capture=1)
        assert spool.heard.same("NT", "content", made.exam_id, now, timedelta(seconds=59)) is None
        assert spool.heard.same("NT", "other", made.exam_id, now, MINUTES) is None
        assert spool.heard.same("LM", "content", made.exam_id, now, MINUTES) is None
        assert spool.heard.same("NT", "content", uuid4(), now, MINUTES) is None
        spool.captures.set_state(made.exam_id, capture.number, CaptureState.DISCARDED)
        assert spool.heard.same("NT", "content", made.exam_id, now, MINUTES) is None
        spool.heard.prune(now)
        spool.captures.set_state(made.exam_id, capture.number, CaptureState.HELD)
        assert spool.heard.same("NT", "content", made.exam_id, now, MINUTES) is None


def test_a_mark_moves_with_its_transaction_or_not_at_all(spool):
    first, second = (Mark(file="2026-11-24.journal", offset=at, sets=1, boot_id="b") for at in (10, 20))
    assert spool.heard.mark("NT") == Mark()
    spool.heard.turned("NT", first)
    with pytest.raises(ZeroDivisionError), spool.transaction():
        spool.heard.turned("NT", second)
        raise ZeroDivisionError
    assert spool.heard.mark("NT") == first
    spool.heard.turned("NT", second)
    assert (spool.heard.mark("NT"), spool.heard.mark("LM")) == (second, Mark())


def test_a_set_of_another_boot_is_timed_by_the_clock_alone(spool):
    clock: FakeClock = spool.clock
    said = structs.replace(readings(clock), received_ns=999_999 * SECOND_NS)
    at = clock.now() - timedelta(hours=3)
    here, there = spool.inbox.add("NT", "T", readings(clock)), spool.inbox.add("NT", "T", said, received_at=at)
    assert there.received_at == at
    assert (spool.inbox.boot_of(here.entry_id), spool.inbox.boot_of(there.entry_id)) == (clock.boot_id(), "")


def test_only_what_waits_for_a_person_is_counted(spool, clock, exam):
    first, second, third = (spool.inbox.add("NT", "T", readings(clock, value)).entry_id for value in "123")
    spool.inbox.assign(second, exam, "Kofi")
    spool.inbox.discard(third, "Kofi")
    assert spool.inbox.count() == 1
    spool.inbox.refuse(second, exam, "the disk is full")
    assert spool.inbox.count() == 2
    spool.inbox.discard(first, "Kofi")
    assert spool.inbox.count() == 1
