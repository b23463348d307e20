"""Kills whoever corrects a wrong patient at a durable step, or at a random moment, and looks what is left. Prints one JSON line.

`python -m tests.crash.correction_driver FOLDER (steps|moments) KILLS SEED`. One store lives through all kills. Each child is a
whole exam: pictures leave under the wrong patient, are corrected, the keeper works and a sender sends, and they are corrected
once more; it tells its parent through a pipe whatever a destination has received. Then the parent recovers, lets the work be
finished, and holds the store to the law: each object that left for somebody else is rejected once, in its own study and under
its own patient, and not before its copy has arrived; each picture stands once for the true patient, with its very pixels.
"""

import json
import random
import sys
from collections import defaultdict
from functools import cache, partial
from itertools import count
from pathlib import Path
from uuid import UUID

import pydicom
from msgspec import structs

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.model import Instance, Patient, PerformedStep, StepStatus, StoreOutcome
from gateway.service import keeper
from gateway.service.compose import Box
from gateway.spool.spool import Spool
from tests.crash.killing import Say, life, step_for, steps_of, watch_steps
from tests.objects.test_dciodvfy import unexplained
from tests.service.world import another, site_file, still

DESTINATIONS = ("pacs", "archive")
SECOND, THIRD = (Patient(patient_id="42", name="Second^Name"), Patient(patient_id="43", name="Third^Name"))
PICTURES = 2
ACCEPTED = StoreOutcome(verdict="accepted")
LATER = StoreOutcome(verdict="later", error_code="G500", text="the connection broke")
SAMPLE = 6


class Told:
    """What each destination has received, in order, by whoever died since."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], int] = {}
        self.last: dict[tuple[str, str], int] = {}
        self.corrected: set[str] = set()
        self.looked_at: set[UUID] = set()
        self._count = count()

    def hear(self, word: str, *facts: str) -> None:
        match word:
            case "sent":
                self.last[facts[0], facts[1]] = number = next(self._count)
                self.first.setdefault((facts[0], facts[1]), number)
            case "corrected":
                self.corrected.add(facts[0])
            case _:
                raise AssertionError(word)

    def had(self, destination: str, payload: str, before: int) -> bool:
        return self.first.get((destination, payload), before) < before


# ---- what the children do ----


@cache
def site_of(folder: Path) -> config.Site:
    folder.mkdir(parents=True, exist_ok=True)
    to = {name: {"host": "127.0.0.1", "port": 1, "called_ae": "PACS", "timeout_s": 2} for name in DESTINATIONS}
    return structs.replace(config.load(site_file(folder, destination=to)), release=config.Release(after_s=0))


def box_of(folder: Path) -> Box:
    site, clock = site_of(folder), SystemClock()
    return Box(site=site, spool=Spool.open(site.data, clock), clock=clock)


def correct_twice(folder: Path, say: Say, *, rounds: int = 1, at: str = "", nth: int = 0) -> None:
    box = box_of(folder)
    passed: list[str] = []
    for _ in range(rounds):
        step, _first = still(box)
        for _ in range(PICTURES - 1):
            another(box, step)
        exam.complete(box.spool, box.clock, step.exam_id)
        work(box)
        send(box, "pacs", ACCEPTED, say)
        send(box, "archive", random.choice([ACCEPTED, LATER, None]), say)
        passed = passed or watch_steps(at, nth)
        for patient in (SECOND, THIRD):
            exam.correct(box.spool, step.exam_id, patient=patient, operator="Ada")
            say("corrected", step.exam_id)
            for _ in range(2):
                work(box)
                send(box, "pacs", random.choice([ACCEPTED, ACCEPTED, LATER]), say)
                send(box, "archive", random.choice([ACCEPTED, LATER, None]), say)
    for each in passed:
        say("step", each)


def work(box: Box) -> None:
    """What the keeper does in a second."""
    for task in (
        keeper.take_back,
        keeper.release,
        keeper.bring_up_to_date,
        keeper.correct,
        keeper.reject,
        keeper.purge,
    ):
        task(box)
    keeper.release(box)


def send(box: Box, destination: str, outcome: StoreOutcome | None, say) -> None:
    """Send what is due, if the link is there: what came through is received, whatever the sender learns of it."""
    if outcome is None:
        return
    box.spool.deliveries.probe_now(destination)
    claimed = box.spool.deliveries.claim(destination, 50)
    for delivery in claimed:
        box.spool.blobs.verify(box.spool.instances.get(delivery.payload).blob)
        say("sent", destination, delivery.payload)
    box.spool.deliveries.settle([(delivery.delivery_id, outcome) for delivery in claimed])


# ---- what must be so ----


def look(folder: Path, told: Told) -> None:
    """Recover, finish, and hold the store to the law."""
    box = box_of(folder)
    keeper.recover(box)
    fresh = [step for step in box.spool.exams.recent(1000) if step.exam_id not in told.looked_at]
    for step in fresh:
        acknowledged = str(step.exam_id) in told.corrected
        assert step.corrected or not acknowledged, "a correction was acknowledged, and forgotten"
        if step.status is StepStatus.IN_PROGRESS:
            exam.complete(box.spool, box.clock, step.exam_id)
        if step.patient != THIRD:
            exam.correct(box.spool, step.exam_id, patient=THIRD, operator="Eve")
    for _ in range(4):
        work(box)
        for destination in DESTINATIONS:
            send(box, destination, ACCEPTED, told.hear)
    assert box.spool.exams.corrections_owed() == []
    troubles = {(each.error_code, each.text) for each in box.spool.troubles.all()}
    assert {code for code, _ in troubles} <= {"G409"}, troubles
    assert list(box.spool.blobs.orphans()) == []
    assert {state for states in box.spool.deliveries.counts().values() for state in states} <= {"SENT", "CANCELLED"}
    for step in fresh:
        check(box, box.spool.exams.get(step.exam_id), told)
        told.looked_at.add(step.exam_id)
    box.spool.close()


def check(box: Box, step: PerformedStep, told: Told) -> None:
    every = box.spool.instances.of_exam(step.exam_id)
    pictures = [each for each in every if each.kind == "image"]
    notes = [each for each in every if each.kind == "note"]
    by_uid = {each.sop_instance_uid: each for each in pictures}
    live = [each for each in pictures if not each.is_rejected]
    captures = {each.capture for each in pictures}
    assert sorted(each.capture for each in live) == sorted(captures), "each picture stands once for the true patient"
    for each in live:
        assert header(box, each).PatientID == THIRD.patient_id
        assert each.study_instance_uid == step.study_instance_uid
        for destination in DESTINATIONS:
            assert (destination, each.sop_instance_uid) in told.first, f"{each} never came to {destination}"
    for each in pictures:
        if each.replaces:
            assert pixels(box, each) == pixels(box, by_uid[each.replaces])
    named = [uid for note in notes for uid in check_note(box, note, by_uid, told)]
    assert sorted(named) == sorted(each.sop_instance_uid for each in pictures if each.is_rejected), "each is named once"


def check_note(box: Box, note: Instance, by_uid: dict[str, Instance], told: Told) -> list[str]:
    """A note stands in the study of what it names, under the patient that stood there, and came after a copy of each."""
    ds = header(box, note)
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    named = [
        sop.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    ]
    for uid in named:
        assert (
            by_uid[uid].study_instance_uid == study.StudyInstanceUID == ds.StudyInstanceUID == note.study_instance_uid
        )
        assert header(box, by_uid[uid]).PatientID == ds.PatientID
    later = defaultdict(list)
    for each in by_uid.values():
        later[each.replaces].append(each.sop_instance_uid)
    for delivery in box.spool.deliveries.of_payload(note.sop_instance_uid):
        at = told.first[delivery.destination, note.sop_instance_uid]
        for uid in named:
            assert any(told.had(delivery.destination, copy, at) for copy in copies_of(uid, later)), (
                "rejected before its copy came"
            )
            assert told.last.get((delivery.destination, uid), -1) < at, "sent again after it was rejected"
    return named


def copies_of(uid: str, later: dict[str, list[str]]) -> list[str]:
    """Every copy of an object, and the copies of those."""
    return [each for copy in later[uid] for each in (copy, *copies_of(copy, later))]


def header(box: Box, instance: Instance) -> pydicom.Dataset:
    return pydicom.dcmread(box.spool.blobs.path(instance.blob), stop_before_pixels=True)


def pixels(box: Box, instance: Instance) -> bytes:
    return pydicom.dcmread(box.spool.blobs.path(instance.blob)).PixelData


def main(folder: Path, how: str, kills: int, seed: int) -> dict[str, int]:
    chance = random.Random(seed)
    random.seed(seed)
    told = Told()
    steps = steps_of(partial(correct_twice, folder), told.hear)
    look(folder, told)
    died = 0
    for kill in range(kills):
        random.seed(seed + kill)
        if how == "steps":
            at, often = step_for(kill, kills, steps)
            once = partial(correct_twice, folder, at=at, nth=chance.randint(1, min(often, 6)))
            died += life(once, told.hear).is_killed
        else:
            after_s = chance.uniform(0.05, 0.6)
            died += life(partial(correct_twice, folder, rounds=30), told.hear, after_s=after_s).is_killed
        look(folder, told)
    box = box_of(folder)
    assert box.spool.integrity() == []
    made = [each for step in box.spool.exams.recent(1000) for each in box.spool.instances.of_exam(step.exam_id)]
    for each in chance.sample(made, SAMPLE):
        assert unexplained(box.spool.blobs.path(each.blob)) == []
    return {
        "died": died,
        "steps": len(steps),
        "copies": sum(bool(each.replaces) for each in made),
        "notes": sum(each.kind == "note" for each in made),
        "corrected": len(told.corrected),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
