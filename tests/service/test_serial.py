"""A port at work: whose a set is, what waits in the inbox, what a restart finds in the journal, and what is said of a bad line.

The line is a script (what is read, or what happens in between) and the clock stands until the script moves it.
"""

import errno
from datetime import timedelta

import pytest
from msgspec import structs

from gateway.device.tty import LineErrors
from gateway.errors import DeviceGone, DiskFull
from gateway.model import Code, InboxState, ReadingSet
from gateway.profile import InstrumentProfile, Reading
from gateway.service import hearing, keeper, readings, replay, serial, settling
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.simulators import nidek
from gateway.source.serial import DOUBT
from gateway.spool import heard, journal, live
from gateway.spool.lock import ServiceLock
from tests import small_disk
from tests.flow.clinic import numbers
from tests.objects import hearts
from tests.service import full_disk
from tests.service.port import LENSMETER, PAUSE, PORT, Line, PortAtWork
from tests.service.world import WHO

MESSAGE = nidek.lensmeter()
OTHER = nidek.tonometer()
MONITOR = InstrumentProfile(
    name="monitor",
    title="Monitor",
    sources=("test",),
    kind="plain_line",
    collect_s=60,
    reading=(
        Reading(
            pattern=r"DAP (?P<value>\S+)",
            concept=Code("113722", "DCM", "Dose Area Product Total"),
            unit=Code("cGy.cm2", "UCUM", "cGy.cm2"),
        ),
    ),
)


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.setattr(serial, "PACE_S", 0.0)
    made = PortAtWork(tmp_path)
    yield made
    made.spool.close()


def doses(ds) -> list[str]:
    return [value for _, _, value, _ in numbers(ds)]


# ---- whose it is ----


def test_a_set_is_of_the_exam_that_was_in_progress_from_its_first_byte_to_its_last(at):
    step = at.start()
    at.play(1.0, MESSAGE, PAUSE)
    assert len(at.captures(step)) == 1
    assert at.waiting() == []


def test_a_set_without_an_exam_waits_and_says_why(at):
    at.play(MESSAGE, PAUSE)
    (entry,) = at.waiting()
    assert (entry.port, entry.instrument, entry.problem) == (PORT, LENSMETER.title, settling.NO_EXAM)
    assert entry.readings.observations[0].value == "-1.25"
    assert at.events() == ["a reading came without an exam"]


def test_a_set_that_began_before_the_exam_waits(at):
    steps = []
    at.play(MESSAGE[:60], lambda: steps.append(at.start()), MESSAGE[60:], PAUSE)
    assert at.captures(steps[0]) == []
    assert [one.problem for one in at.waiting()] == [settling.BEFORE_THE_EXAM]


def test_a_set_that_began_in_one_exam_and_ended_in_another_is_nobodys_until_a_person_says(at):
    first, after = at.start(), []
    at.play(1.0, MESSAGE[:60], lambda: at.complete(first), lambda: after.append(at.start()), MESSAGE[60:], PAUSE)
    assert at.captures(first) == at.captures(after[0]) == []
    assert len(at.waiting()) == 1


def test_an_exam_goes_on_after_a_reboot_and_has_what_is_printed_then(at):
    step = at.start()
    at.clock.sleep(60)
    at.clock.reboot()
    at.play(MESSAGE, PAUSE)
    assert len(at.captures(step)) == 1


def test_noise_before_an_exam_does_not_keep_its_first_reading_from_it(at):
    steps = []
    at.play(b"\x00\xff", PAUSE, lambda: steps.append(at.start()), MESSAGE, PAUSE)
    assert len(at.captures(steps[0])) == 1


# ---- the inbox ----


def test_what_is_assigned_is_kept_with_its_time_in_an_exam_in_progress_or_one_that_ended(at):
    at.play(MESSAGE, PAUSE, OTHER, PAUSE)
    at.clock.sleep(600)
    running, ended = at.start(), None
    at.complete(running)
    ended, running = running, at.start()
    first, second = at.waiting()[0], at.waiting()[-1]
    at.spool.inbox.assign(first.entry_id, ended.exam_id, by="Ada")
    at.spool.inbox.assign(second.entry_id, running.exam_id, by="Ada")
    at.play(PAUSE)
    for step, entry in ((ended, first), (running, second)):
        (capture,) = at.captures(step)
        assert capture.started_at == entry.received_at
        assert at.spool.inbox.get(entry.entry_id).state is InboxState.KEPT
        assert {ds.PatientID for ds in at.objects(step)} == {WHO.patient_id}
    assert at.events().count("a reading was assigned") == 2


def test_what_waited_across_a_reboot_keeps_the_time_at_which_it_came(at):
    at.play(MESSAGE, PAUSE)
    (entry,) = at.waiting()
    at.clock.sleep(3600)
    at.clock.reboot()
    step = at.start()
    at.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    at.play(PAUSE)
    (capture,) = at.captures(step)
    assert abs(capture.started_at - entry.received_at) < timedelta(milliseconds=1)


def test_what_is_assigned_of_a_port_that_is_gone_is_kept_by_the_keeper(at):
    at.play(MESSAGE, PAUSE)
    step, (entry,) = at.start(), at.waiting()
    at.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    keeper.give(at.box)
    assert at.captures(step) == [], "its port has a service"
    gone = Box(site=structs.replace(at.site, serial={}), spool=at.spool, clock=at.clock)
    with ServiceLock(at.site.data / "locks", f"serial@{PORT}"):
        keeper.give(gone)
    assert at.captures(step) == [], "its service still runs, until it is stopped"
    keeper.give(gone)
    (ds,) = at.objects(step)
    assert (ds.Modality, ds.Manufacturer) == ("LEN", LENSMETER.equipment.manufacturer)
    assert at.waiting() == []


def test_what_came_by_a_clock_that_was_wrong_says_so(at):
    now, at.clock.wall = at.clock.wall, at.clock.wall.replace(year=1970)
    at.play(MESSAGE, PAUSE)
    at.clock.reboot()
    at.clock.wall = now
    step = at.start()
    at.spool.inbox.assign(at.waiting()[0].entry_id, step.exam_id, by="Ada")
    at.play(PAUSE)
    (capture,) = at.captures(step)
    assert capture.started_at.year == now.year
    assert "the clock was wrong" in capture.note


def test_what_cannot_be_kept_says_why_and_waits_again(at, monkeypatch):
    at.play(MESSAGE, PAUSE)
    step, (entry,) = at.start(), at.waiting()
    at.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    with monkeypatch.context() as patch:
        patch.setattr(readings, "keep", refuse)
        at.play(PAUSE)
    (again,) = at.waiting()
    assert (again.state, again.problem) == (InboxState.WAITING, str(DeviceGone(device="x")))
    assert at.captures(step) == []
    at.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    at.play(PAUSE)
    assert len(at.captures(step)) == 1


def refuse(*_args, **_kwargs):
    raise DeviceGone(device="x")


def test_a_set_whose_objects_cannot_be_made_waits_in_the_inbox_with_the_reason(at, monkeypatch):
    at.start()
    with monkeypatch.context() as patch:
        patch.setattr(readings, "keep", refuse)
        at.play(MESSAGE, PAUSE)
    assert [one.problem for one in at.waiting()] == [str(DeviceGone(device="x"))]
    at.play(PAUSE)
    assert len(at.waiting()) == 1, "it is not heard again at the next start"


# ---- reprints ----


def test_a_reprint_is_known_after_a_restart(at):
    step = at.start()
    at.play(1.0, MESSAGE, PAUSE)
    at.clock.sleep(60)
    at.play(MESSAGE, PAUSE)
    assert len(at.captures(step)) == 1
    assert at.events() == ["a reprint came"]
    at.clock.sleep(LENSMETER.reprint_minutes * 60)
    at.play(MESSAGE, PAUSE)
    assert len(at.captures(step)) == 2


def test_a_reprint_of_what_waits_waits_once(at):
    at.play(MESSAGE, PAUSE, MESSAGE, PAUSE)
    assert len(at.waiting()) == 1
    assert at.events() == ["a reading came without an exam", "a reprint came"]


def test_a_reprint_that_is_assigned_is_refused_and_said(at):
    step = at.start()
    at.play(1.0, MESSAGE, PAUSE, lambda: at.complete(step), MESSAGE, PAUSE)
    (entry,) = at.waiting()
    at.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    at.play(PAUSE)
    assert len(at.captures(step)) == 1
    assert "reprint" in at.waiting()[0].problem


def test_what_a_replay_has_kept_already_is_not_kept_again_from_the_inbox(at):
    profile = structs.replace(LENSMETER, reprint_minutes=0)
    at.play(MESSAGE, PAUSE, profile=profile)
    step, (entry,) = at.start(), at.waiting()
    paths = replay.journals(at.site.data / "serial" / PORT)
    replay.keep(at.box, PORT, paths, profile, step.exam_id, 1)
    at.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
    at.play(PAUSE, profile=profile)
    assert len(at.captures(step)) == 1
    assert "already" in at.waiting()[0].problem


def test_what_was_assigned_is_known_when_it_is_printed_again(at):
    at.play(MESSAGE, PAUSE)
    step = at.start()
    at.spool.inbox.assign(at.waiting()[0].entry_id, step.exam_id, by="Ada")
    at.play(PAUSE, MESSAGE, PAUSE)
    assert len(at.captures(step)) == 1
    assert at.events()[-1] == "a reprint came"


# ---- streams ----


def lines(*numbers):
    return [part for number in numbers for part in (b"DAP %d\r\n" % number, 1.0)]


def test_an_exam_that_begins_or_ends_ends_the_interval_of_a_stream(at):
    steps = []
    at.play(
        *lines(1, 2),
        lambda: steps.append(at.start()),
        *lines(3, 4, 5),
        lambda: at.complete(steps[0]),
        *lines(6, 7),
        lambda: steps.append(at.start()),
        *lines(8, 9),
        profile=MONITOR,
    )
    assert [doses(ds) for step in steps for ds in at.objects(step)] == [["5"], ["9"]]
    assert at.waiting() == [], "a stream is never put into the inbox"


def test_a_stream_becomes_an_object_for_each_interval(at):
    step = at.start()
    at.play(1.0, *lines(*range(150)), profile=MONITOR)
    assert [doses(ds) for ds in at.objects(step)] == [["59"], ["119"], ["149"]]


def test_what_a_stream_said_until_it_was_unplugged_is_kept(at):
    step = at.start()
    at.clock.sleep(1)
    port, line = Port(PORT, at.box, MONITOR), Line(at.clock, lines(1, 2))
    port.listen(line, line.stop)
    port.unplugged(DeviceGone(device="line"))
    assert [doses(ds) for ds in at.objects(step)] == [["2"]]
    assert live.read_instrument(at.site.run, PORT).problem == str(DeviceGone(device="line"))
    port.plugged()
    port.close()
    assert at.events() == ["unplugged", "plugged in"]


def test_a_stream_that_died_with_its_service_is_kept_in_the_exam_that_still_runs(at):
    step = at.start()
    at.play(1.0, *lines(*range(70)), profile=MONITOR, is_killed=True)
    assert [doses(ds) for ds in at.objects(step)] == [["59"]]
    at.play(60.0, profile=MONITOR)
    assert [doses(ds) for ds in at.objects(step)] == [["59"], ["69"]]
    at.play(60.0, profile=MONITOR)
    assert len(at.captures(step)) == 2


def test_the_mark_never_passes_what_a_stream_has_said_and_nobody_has_kept(at, monkeypatch):
    monkeypatch.setattr(serial, "BEHIND_BYTES", 1)
    monkeypatch.setattr(hearing, "NOISE_BYTES", 1)
    monitor = structs.replace(MONITOR, collect_s=300)
    step = at.start()
    at.play(1.0, *lines(1, 2, 3), 70.0, 70.0, profile=monitor, is_killed=True)
    assert at.objects(step) == []
    at.play(300.0, profile=monitor)
    assert [doses(ds) for ds in at.objects(step)] == [["3"]]


def test_a_new_day_ends_the_interval_of_a_stream_as_a_service_that_dies_is_read_again_from_one_file(at):
    step = at.start()
    at.play(1.0, *lines(1, 2), lambda: at.clock.sleep(1), *lines(3), profile=MONITOR, is_killed=True)
    assert at.objects(step) == []
    day = timedelta(days=1)

    def midnight():
        at.clock.wall += day

    at.play(*lines(4), midnight, *lines(5, 6), profile=MONITOR, is_killed=True)
    assert [doses(ds) for ds in at.objects(step)] == [["4"]]
    at.play(60.0, profile=MONITOR)
    assert [doses(ds) for ds in at.objects(step)] == [["4"], ["6"]]


# ---- what a service that died had heard ----


def append(at, *chunks, days=0):
    """Put chunks behind the mark, as a service that died before it kept them."""
    found = journal.Journal(at.site.data / "serial" / PORT)
    for chunk in chunks:
        at.clock.sleep(0.01)
        found.append(chunk, at.clock.now() + timedelta(days=days), at.clock.monotonic_ns())
    found.close()


def test_what_was_heard_and_not_kept_is_kept_at_the_next_start_and_only_once(at):
    at.play(PAUSE)
    step = at.start()
    append(at, MESSAGE[:50], MESSAGE[50:])
    at.clock.sleep(5)
    for _ in range(2):
        at.play(PAUSE)
        (capture,) = at.captures(step)
    assert at.clock.now() - capture.started_at > timedelta(seconds=5)
    assert at.waiting() == []


def test_what_was_heard_in_an_exam_that_has_ended_since_waits(at):
    at.play(PAUSE)
    step = at.start()
    append(at, MESSAGE)
    at.complete(step)
    at.clock.sleep(0.01)
    after = at.start()
    for _ in range(2):
        at.play(PAUSE)
    assert at.captures(step) == at.captures(after) == []
    assert [one.problem for one in at.waiting()] == [settling.BEFORE_THE_EXAM]


def test_after_a_reboot_it_is_of_the_exam_that_still_runs_if_the_clock_was_right(at):
    at.play(PAUSE)
    step = at.start()
    at.clock.sleep(10)
    append(at, MESSAGE)
    before = at.clock.now()
    at.clock.sleep(120)
    at.clock.reboot()
    at.play(PAUSE)
    (capture,) = at.captures(step)
    assert abs(capture.started_at - before) < timedelta(milliseconds=50)


@pytest.mark.parametrize("why", ["the clock is not trusted", "it came before the exam"])
def test_after_a_reboot_nothing_is_guessed(at, why):
    at.play(PAUSE)
    if why == "the clock is not trusted":
        at.clock.why = why
        at.start()
    append(at, MESSAGE)
    came = at.clock.now()
    at.clock.sleep(120)
    at.clock.reboot()
    if why == "it came before the exam":
        at.start()
    at.play(PAUSE)
    (entry,) = at.waiting()
    assert entry.problem == settling.BEFORE_THE_RESTART
    assert abs(entry.received_at - came) < timedelta(milliseconds=50)


def test_a_message_that_the_restart_cut_in_two_goes_on_where_it_was(at):
    at.play(PAUSE)
    step = at.start()
    append(at, MESSAGE[:50])
    at.play(MESSAGE[50:], PAUSE)
    assert len(at.captures(step)) == 1


def test_sets_that_are_done_are_not_made_again_though_nothing_was_ever_quiet(at):
    step = at.start()
    at.play(1.0, MESSAGE, OTHER, b"\x01half", is_killed=True)
    assert len(at.captures(step)) == 2
    at.play(PAUSE)
    assert len(at.captures(step)) == 2
    assert at.spool.heard.mark(PORT).sets == 0


def test_a_port_that_never_had_a_mark_begins_at_the_end(at):
    append(at, MESSAGE)
    at.play(PAUSE)
    assert at.waiting() == []


def test_a_new_day_is_a_new_file_when_nothing_is_under_way_and_the_mark_goes_with_it(at):
    at.clock.wall = at.clock.wall.replace(hour=23, minute=59, second=58, microsecond=900_000)
    day = at.clock.wall.date()
    step = at.start()
    at.play(1.0, MESSAGE[:50], 0.3, MESSAGE[50:], PAUSE)
    at.play(OTHER, is_killed=True)
    files = sorted(path.stem for path in (at.site.data / "serial" / PORT).glob("*.journal"))
    assert files == [f"{day}", f"{day + timedelta(days=1)}"]
    assert at.spool.heard.mark(PORT).file == f"{files[1]}.journal"
    kept = len(at.captures(step))
    at.play(PAUSE)
    assert len(at.captures(step)) == kept == 2


# ---- the line, the disk, and what is said ----


def test_nothing_is_answered_before_it_is_durable(at, monkeypatch):
    done = []
    sync = journal.os.fdatasync
    monkeypatch.setattr(journal.os, "fdatasync", lambda file: (done.append("durable"), sync(file)))
    profile = structs.replace(LENSMETER, clear_to_send="CLM")

    class Noted(Line):
        def write(self, data):
            done.append("answered")
            super().write(data)

    line = Noted(at.clock, [nidek.request_to_send(), PAUSE])
    port = Port(PORT, at.box, profile)
    port.listen(line, line.stop)
    port.close()
    assert b"CLM" in line.wrote
    assert done.index("durable") < done.index("answered")


def test_a_mark_never_names_what_is_not_durable(at, monkeypatch):
    sync, turned, durable, marks = journal.os.fdatasync, heard.Heard.turned, [0], []

    def synced(file):
        sync(file)
        durable.append(journal.os.fstat(file).st_size)

    def noted(rows, port, mark):
        marks.append((mark.offset, durable[-1]))
        turned(rows, port, mark)

    monkeypatch.setattr(journal.os, "fdatasync", synced)
    monkeypatch.setattr(heard.Heard, "turned", noted)
    at.play(b"DAP", at.start, b"DAP 2\r\n", PAUSE, profile=MONITOR)
    assert max(offset for offset, _ in marks) > 0
    assert all(offset <= size for offset, size in marks)


def test_an_instrument_that_does_not_listen_is_said(at):
    at.play(nidek.request_to_send(), PAUSE, profile=structs.replace(LENSMETER, clear_to_send="CLM"), is_refusing=True)
    assert at.events() == ["the instrument does not listen"]


def test_while_the_disk_is_full_nothing_is_lost_nor_answered_and_it_goes_on_when_there_is_room(at, monkeypatch):
    write, has_room = journal._write_all, []

    def full_at_first(file, data):
        if not has_room:
            raise OSError(errno.ENOSPC, "full")
        write(file, data)

    monkeypatch.setattr(journal, "_write_all", full_at_first)
    profile = structs.replace(LENSMETER, clear_to_send="CLM")
    line = at.play(
        nidek.request_to_send(), PAUSE, MESSAGE[:50], lambda: has_room.append(1), MESSAGE[50:], PAUSE, profile=profile
    )
    assert at.events() == ["there is room again", "a reading came without an exam"]
    assert len(at.waiting()) == 1
    assert line.wrote, "who asked is answered once it is stored"


def test_sets_wait_in_their_order_until_the_spool_has_room(at, monkeypatch):
    step, keep, has_room = at.start(), readings.keep, []

    def full_at_first(*args, **kwargs):
        if not has_room:
            raise DiskFull
        return keep(*args, **kwargs)

    monkeypatch.setattr(readings, "keep", full_at_first)
    at.play(1.0, MESSAGE, PAUSE, OTHER, PAUSE, lambda: has_room.append(1), 10.0, PAUSE)
    assert len(at.captures(step)) == 2
    assert at.spool.inbox.waiting() == []
    assert at.events() == ["there is room again"]
    at.play(PAUSE)
    assert len(at.captures(step)) == 2


def test_when_much_waits_for_room_the_line_waits_and_nothing_is_left_out(at, monkeypatch):
    step, keep, refused = at.start(), readings.keep, []

    def full_for_a_while(*args, **kwargs):
        if len(refused) < 3:
            refused.append(1)
            raise DiskFull
        return keep(*args, **kwargs)

    monkeypatch.setattr(readings, "keep", full_for_a_while)
    monkeypatch.setattr(settling, "MOST_OWED", 1)
    monkeypatch.setattr(settling, "AGAIN_NS", 0)
    monkeypatch.setattr(serial, "LISTEN_S", 0.001)
    line = at.play(1.0, MESSAGE, PAUSE, OTHER, PAUSE)
    assert len(at.captures(step)) == 2
    assert line.held == [True, False] * (len(line.held) // 2) != []


def test_a_few_sets_of_long_curves_are_enough_too(at, monkeypatch):
    def full(*_args, **_kwargs):
        raise DiskFull

    curve = hearts.breathing()
    monkeypatch.setattr(readings, "keep", full)
    monkeypatch.setattr(settling, "MOST_OWED_BYTES", 2 * len(curve.samples))
    waiting, step = settling.Settling(PORT, at.box, MONITOR), at.start()
    said = ReadingSet(traces=(curve,), received_ns=at.clock.monotonic_ns())
    each = hearing.Ended(readings=said, began_ns=said.received_ns, mark=heard.Mark())
    found = []
    for _ in range(2):
        waiting.settle_in(step, each)
        found.append(waiting.has_enough)
    assert found == [False, True]


def test_errors_of_the_line_are_counted_said_and_marked_at_the_values(at):
    profile = structs.replace(MONITOR, collect_s=0)
    hit = LineErrors(framing=2, parity=1, overruns=3, unplaced=3)
    at.play(hit, b"DAP 1\r\n", PAUSE, b"DAP 2\r\n", PAUSE, hit, b"DAP \x1a\r\n", PAUSE, 5.0, profile=profile)
    first, second = at.waiting()
    assert [one.readings.observations[0].doubts for one in (first, second)] == [(DOUBT,), ()]
    status = live.read_instrument(at.site.run, PORT)
    assert (status.framing_errors, status.parity_errors, status.overruns) == (4, 2, 6)
    said = {entry.event: entry.text for entry in at.spool.history.of(f"port {PORT}")}
    assert said["the line has errors"] == "characters: 2 without a stop bit, 1 of wrong parity, 3 lost"
    chunks = list(journal.read(next((at.site.data / "serial" / PORT).glob("*.journal"))))
    assert [one.is_damaged for one in chunks] == [True, False, True]


def test_a_line_that_only_makes_noise_fills_neither_the_history_nor_the_start(at):
    noise = b"\x01" + b"x" * 4000
    at.play(*[noise] * 400)
    assert len(at.events()) <= 2
    mark = at.spool.heard.mark(PORT)
    size = sum(path.stat().st_size for path in (at.site.data / "serial" / PORT).glob("*.journal"))
    assert size - mark.offset <= 1 << 20


def test_what_a_port_does_is_published_and_its_last_values(at):
    at.play(MESSAGE, PAUSE, 5.0)
    status = live.read_instrument(at.site.run, PORT)
    assert (status.port, status.instrument, status.sets, status.received_bytes) == (
        PORT,
        LENSMETER.title,
        1,
        len(MESSAGE),
    )
    assert status.values[0].value == "-1.25"
    assert status.boot_id == at.clock.boot_id()


def test_old_journals_go_and_what_was_decided_is_forgotten(at):
    folder = at.site.data / "serial" / PORT
    at.play(MESSAGE, PAUSE)
    (entry,) = at.waiting()
    at.spool.inbox.discard(entry.entry_id, by="Ada")
    at.clock.wall += timedelta(days=29)
    at.play(OTHER, PAUSE)
    assert len(list(folder.iterdir())) == 2
    at.clock.why = "not trusted"
    at.clock.wall += timedelta(days=5)
    at.play(PAUSE, OTHER)
    assert len(list(folder.iterdir())) == 3, "while the clock is in doubt nothing is old"
    at.clock.why = ""
    at.play(PAUSE)
    assert len(list(folder.iterdir())) == 2
    assert at.spool.inbox.recent(9) == []
    assert "journals were removed" in at.events()


SCENARIOS = (
    full_disk.without_an_exam_what_arrives_waits_and_the_port_goes_on_when_there_is_room,
    full_disk.the_running_exam_has_its_readings_from_the_ballast,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_on_a_disk_that_is_really_full(scenario, tmp_path):
    small_disk.run("ext4", tmp_path, "tests.service.full_disk", scenario.__name__)
