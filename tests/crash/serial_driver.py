"""A serial port that is killed at each durable step, or at any moment, and started again.

What stands in the journal is in one object, or waits in the inbox, or was discarded by a person: each report once, and in no exam
but the one during which it was printed, or the one to which a person assigned it.
"""

import json
import os
import random
import re
import sys
import time
from functools import cache, partial
from pathlib import Path
from uuid import UUID

import pydicom
from msgspec import structs

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.marks import LineErrors
from gateway.model import CaptureState, InboxState, Patient
from gateway.service.bell import Bell, ring
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.spool import journal
from gateway.spool.spool import Spool
from tests.crash.killing import Say, life, step_for, steps_of, watch_steps
from tests.flow.clinic import numbers
from tests.service.world import site_file

PORT = "DOSE"
DOSE = structs.replace(profiles.instrument("plain-line-dose"), record_end="END", idle_ends_record_ms=10)
REPORT = re.compile(rb"DAP\s+(\d+)")


class Told:
    """What was said by whoever died since."""

    def __init__(self) -> None:
        self.printed: dict[str, str] = {}
        """Report to the exam that was in progress when it was about to be printed."""
        self.assigned: dict[str, set[str]] = {}
        self.discarded: set[str] = set()

    def hear(self, word: str, *facts: str) -> None:
        match word:
            case "prints":
                self.printed[facts[0]] = facts[1]
            case "assigns":
                self.assigned.setdefault(facts[0], set()).add(facts[1])
            case "discards":
                self.discarded.add(facts[0])
            case _:
                raise AssertionError(word)


class Line:
    """A line on which a child prints."""

    def errors(self) -> LineErrors:
        return LineErrors()

    def write(self, data: bytes) -> None:
        raise AssertionError(data)


# ---- what the children do ----


@cache
def site_of(folder: Path) -> config.Site:
    folder.mkdir(parents=True, exist_ok=True)
    serial = {PORT: {"device": "/dev/null-dose", "instrument": "plain-line-dose", "station": "ROOM-1"}}
    return config.load(site_file(folder, serial=serial))


def box_of(folder: Path) -> Box:
    site, clock = site_of(folder), SystemClock()
    return Box(site=site, spool=Spool.open(site.data, clock), clock=clock)


def work(folder: Path, say: Say, *, rounds: int = 1, at: str = "", nth: int = 0) -> None:
    box, line = box_of(folder), Line()
    passed = watch_steps(at, nth)
    with Bell(box.site.run, f"serial@{PORT}") as bell:
        port = Port(PORT, box, DOSE, bell)
        for _ in range(rounds):
            one_exam(box, port, line, say)
    for each in passed:
        say("step", each)


def one_exam(box: Box, port: Port, line: Line, say: Say) -> None:
    """Readings before, in and after an exam, in pieces that end anywhere; what waits is assigned, or discarded, or left."""
    turn = partial(port._turn, line)
    first, second, third, fourth, fifth = (report() for _ in range(5))
    (running,) = box.spool.exams.all_running() or [None]
    say("prints", first, running.exam_id if running else "-")
    turn(text(first))
    step = running or exam.start(
        box.spool, box.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound", patient=WHO
    )
    pause(turn)
    for each in (second, third, fourth):
        say("prints", each, step.exam_id)
    both = text(second) + text(third)
    cut = both.index(b"\r\n", len(text(second))) + 2
    turn(both[:cut])
    turn(both[cut:])
    for entry in box.spool.inbox.waiting():
        (one, *_) = [value.value for value in entry.readings.observations]
        if random.random() < 0.8:
            say("assigns", one, step.exam_id)
            box.spool.inbox.assign(entry.entry_id, step.exam_id, by="Ada")
            ring(box.site.run, f"serial@{PORT}")
        else:
            say("discards", one)
            box.spool.inbox.discard(entry.entry_id, by="Ada")
    turn(text(fourth))
    pause(turn)
    exam.complete(box.spool, box.clock, step.exam_id)
    say("prints", fifth, "-")
    turn(text(fifth))
    pause(turn)


WHO = Patient(patient_id="E-1", name="Synthetic^Dose")


def report() -> str:
    """A number that no other report has."""
    return str(10**8 + int.from_bytes(os.urandom(6), "big") % (9 * 10**8))


def text(number: str) -> bytes:
    return f"DAP {number} cGy.cm2\r\nTIME 42 s\r\nEND\r\n".encode()


def pause(turn) -> None:
    time.sleep(0.012)
    turn(b"")


# ---- what must be so ----


def look(folder: Path, told: Told, read: dict[str, list[str]]) -> None:
    """Start the port once more, and count each report that the journal has."""
    box = box_of(folder)
    box.spool.recover()
    port = Port(PORT, box, DOSE)
    pause(partial(port._turn, Line()))
    port.close()
    kept = in_objects(box, read)
    waiting: list[str] = []
    for entry in (*box.spool.inbox.waiting(), *box.spool.inbox.recent(10_000)):
        if entry.state is not InboxState.KEPT:
            waiting += [one.value for one in entry.readings.observations if len(one.value) == 9]
        if entry.state is InboxState.DISCARDED:
            assert entry.readings.observations[0].value in told.discarded
    found = [number for number, _ in kept] + waiting
    for number in in_journal(box):
        assert found.count(number) == 1, f"{number} is there {found.count(number)} times"
    for number, exam_id in kept:
        allowed = {told.printed[number]} | told.assigned.get(number, set())
        assert str(exam_id) in allowed, "it is in an exam during which it was not printed"
    for step in box.spool.exams.recent(1000):
        states = {one.state for one in box.spool.captures.of_exam(step.exam_id)}
        assert CaptureState.RECORDING not in states
    box.spool.close()


def in_journal(box: Box) -> list[str]:
    """The reports of which the journal has the end of the line that says their number."""
    paths = sorted((box.site.data / "serial" / PORT).glob("*.journal"))
    heard = b"".join(chunk.data for path in paths for chunk in journal.read(path))
    return [found[1].decode() for found in REPORT.finditer(heard)]


def in_objects(box: Box, read: dict[str, list[str]]) -> list[tuple[str, UUID]]:
    """Each report in an object, and the exam of that."""
    found = []
    for step in box.spool.exams.recent(10_000):
        for one in box.spool.instances.of_exam(step.exam_id):
            if one.sop_instance_uid not in read:
                ds = pydicom.dcmread(box.spool.blobs.path(one.blob))
                read[one.sop_instance_uid] = [value for _, _, value, _ in numbers(ds) if len(value) == 9]
            found += [(number, step.exam_id) for number in read[one.sop_instance_uid]]
    return found


def main(folder: Path, how: str, kills: int, seed: int) -> dict[str, int]:
    chance = random.Random(seed)
    random.seed(seed)
    told, read, died = Told(), {}, 0
    steps = steps_of(partial(work, folder), told.hear)
    look(folder, told, read)
    for kill in range(kills):
        random.seed(seed + kill)
        if how == "steps":
            at, often = step_for(kill, kills, steps)
            once = partial(work, folder, at=at, nth=chance.randint(1, min(often, 4)))
            died += life(once, told.hear).is_killed
        else:
            died += life(partial(work, folder, rounds=60), told.hear, after_s=chance.uniform(0.03, 0.5)).is_killed
        look(folder, told, read)
    box = box_of(folder)
    assert box.spool.integrity() == []
    kept = in_objects(box, read)
    return {
        "died": died,
        "steps": len(steps),
        "reports": len(in_journal(box)),
        "kept": len(kept),
        "assigned": sum(one.state is InboxState.KEPT for one in box.spool.inbox.recent(10_000)),
        "waiting": len(box.spool.inbox.waiting()),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
