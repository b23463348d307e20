"""What a restart finds behind the mark of a journal: of which boot it is, whatever died in between, and what joins nothing."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec import structs

from gateway import profile as profiles
from gateway.service import detecting, settling
from gateway.service.hearing import Hearing
from gateway.service.serial import Port
from gateway.simulators import nidek
from gateway.simulators.instrument import dose_report
from gateway.spool import live
from gateway.spool.heard import Mark
from gateway.spool.inbox import Inbox
from gateway.spool.journal import Chunk, Journal
from tests.service.port import LENSMETER, PAUSE, PORT, Line, PortAtWork

MESSAGE, OTHER = nidek.lensmeter(), nidek.tonometer()
SECOND_NS = 1_000_000_000


@pytest.fixture
def at(tmp_path):
    made = PortAtWork(tmp_path)
    yield made
    made.spool.close()


def chunks(*heard: tuple[float, bytes]) -> list[Chunk]:
    """Chunks at these seconds of CLOCK_MONOTONIC, each a hundred bytes long in the journal."""
    return [
        Chunk(10**18 + number * SECOND_NS, int(second * SECOND_NS), data, end=100 * number)
        for number, (second, data) in enumerate(heard, start=1)
    ]


@dataclass
class Power(BaseException):
    """It fails."""


def test_what_a_catch_up_that_died_has_left_is_still_of_the_boot_before(at, monkeypatch):
    at.play(PAUSE)
    journal = Journal(at.site.data / "serial" / PORT)
    for message in (MESSAGE, OTHER):
        at.clock.sleep(2)
        journal.append(message, at.clock.now(), at.clock.monotonic_ns())
    journal.close()
    at.clock.sleep(60)
    at.clock.reboot()
    step = at.start()
    add, added = Inbox.add, []

    def add_one(inbox, *args, **kwargs):
        if added:
            raise Power
        added.append(add(inbox, *args, **kwargs))

    with monkeypatch.context() as patched, pytest.raises(Power):
        patched.setattr(Inbox, "add", add_one)
        at.play(PAUSE)
    assert len(at.waiting()) == 1
    at.play(PAUSE)
    assert at.captures(step) == []
    assert [one.problem for one in at.waiting()] == [settling.BEFORE_THE_RESTART] * 2


def test_what_came_before_a_restart_is_of_no_exam_that_began_after_it_whatever_the_clock_said_then(at):
    at.play(PAUSE)
    journal = Journal(at.site.data / "serial" / PORT)
    journal.append(MESSAGE, at.clock.now() + timedelta(minutes=10), at.clock.monotonic_ns())
    journal.close()
    at.clock.reboot()
    step = at.start()
    at.clock.sleep(3600)
    at.play(PAUSE)
    assert at.captures(step) == []
    assert [one.problem for one in at.waiting()] == [settling.BEFORE_THE_RESTART]


def test_what_is_heard_while_settings_are_looked_for_makes_no_set_though_the_power_fails_meanwhile(at, monkeypatch):
    def power_fails(_tty, _listener, _clock, hear):
        hear(MESSAGE)
        at.mark = at.spool.heard.mark(PORT)
        return iter(())

    monkeypatch.setattr(detecting, "detect", power_fails)
    step = at.start()
    at.clock.sleep(1)
    port, line = Port(PORT, at.box, LENSMETER), Line(at.clock, [PAUSE])
    line.change = lambda _settings: None
    live.ask_detection(at.site.run, PORT)
    port.listen(line, line.stop)
    at.spool.heard.turned(PORT, at.mark)
    at.play(PAUSE)
    assert at.captures(step) == at.waiting() == []


def test_a_mark_says_of_which_boot_it_is_that_follows_it():
    hearing, mark = Hearing(LENSMETER, "new"), Mark(file="day", boot_id="old")
    first, second = hearing.catch_up(chunks((50, MESSAGE), (60, OTHER)), mark)
    assert [first.mark.boot_id, second.mark.boot_id] == ["old", "old"]
    assert hearing.mark == Mark(file="day", offset=200, boot_id="new")
    again = list(hearing.catch_up(chunks((50, MESSAGE), (60, OTHER)), first.mark))
    assert [one.readings for one in again] == [second.readings]
    assert again[0].began_at is not None


def test_what_came_before_a_reboot_and_what_came_after_it_are_not_one_set():
    hearing = Hearing(LENSMETER, "newest")
    (whole,) = hearing.catch_up(
        chunks((50, MESSAGE[:50]), (3, MESSAGE[50:]), (9, MESSAGE)), Mark(file="day", boot_id="old")
    )
    assert whole.readings.received_ns == 9 * SECOND_NS


def test_the_interval_of_a_stream_does_not_go_on_in_another_boot():
    stream = structs.replace(profiles.instrument("plain-line-dose"), collect_s=60)
    heard = chunks((50, dose_report()), (3, dose_report()))
    found = list(Hearing(stream, "newest").catch_up(heard, Mark(file="day", boot_id="old")))
    assert [one.readings.received_ns for one in found] == [50 * SECOND_NS, 3 * SECOND_NS]
