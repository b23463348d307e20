"""Kills a spool's process at a durable step, or at a random moment, and looks what is left. Prints one JSON line.

`python -m tests.crash.spool_driver FOLDER (steps|moments) KILLS SEED`. One store lives through all kills. Each child does a
round of everything a box does and tells its parent what it acknowledged, through a pipe, after it was acknowledged; the
parent recovers, and holds the store to every word. Only `gateway.spool` is imported, and children are forked.
"""

import json
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from gateway.errors import SpoolError
from gateway.model import CaptureKind, CaptureState, Patient, StepStatus
from gateway.spool.framelog import FrameLog, FrameLogHeader, is_recording
from gateway.spool.spool import Spool
from tests.crash.killing import Say, life, watch_steps
from tests.spool.world import ACCEPTED, LATER, NEVER, FakeClock, instance, step

WHOLE_LIFE_EVERY = 4


class Told:
    """Everything that was ever acknowledged, by whoever died since."""

    def __init__(self) -> None:
        self.admitted: dict[str, set[str]] = {}
        self.settled: set[int] = set()
        self.received: Counter[int] = Counter()
        self.captures: set[tuple[str, int]] = set()
        self.frames: dict[str, int] = {}
        self.revised: dict[str, int] = {}
        self.purged: set[str] = set()
        self.ended: set[str] = set()

    def hear(self, word: str, *facts: str) -> None:
        match word:
            case "admitted":
                self.admitted[facts[0]] = set(facts[1:])
            case "received":
                assert int(facts[0]) not in self.settled, f"delivery {facts[0]} was sent again after it was settled"
                self.received[int(facts[0])] += 1
            case "settled":
                self.settled.add(int(facts[0]))
            case "capture":
                assert (facts[0], int(facts[1])) not in self.captures, "a number was given twice"
                self.captures.add((facts[0], int(facts[1])))
            case "frame":
                self.frames[facts[0]] = int(facts[1])
            case "revised":
                self.revised[facts[0]] = int(facts[1])
            case "purged":
                self.purged.add(facts[0])
            case "ended":
                self.ended.add(facts[0])
            case _:
                raise AssertionError(word)


def one_round(spool: Spool, clock: FakeClock, number: int, say) -> None:
    """Do a little of everything, and say each thing once it is acknowledged."""
    for kind in range(2):
        admit(spool, f"1.{number}.{kind}", ("a", "b"), say)
    running = spool.exams.running("us")
    if running is None:
        running = step(clock, patient=Patient(patient_id="1", name="A") if number % 2 else None)
        spool.exams.start(running)
    still(spool, clock, running, number, say)
    cine(spool, clock, running, number, say)
    if running.patient is None:
        running = spool.exams.identify(running.exam_id, Patient(patient_id="2", name="B"), None)
    rewrite(spool, say)
    clock.sleep(60)
    spool.deliveries.release_due()
    send(spool, "a", ACCEPTED, say)
    send(spool, "b", random.choice([ACCEPTED, ACCEPTED, LATER, NEVER]), say)
    if number % 3 == 0:
        spool.exams.end(running.exam_id, StepStatus.COMPLETED, clock.now(), "")
        spool.instances.release_exam(running.exam_id)
        say("ended", running.exam_id)
    for failed in spool.deliveries.failed(2):
        spool.deliveries.apply(failed.delivery_id, "retry", by="eve")
    clock.sleep(86400)
    for gone in spool.instances.purgeable(clock.now(), timedelta(hours=1), limit=3):
        spool.instances.purge(gone.sop_instance_uid)
        say("purged", gone.sop_instance_uid)
    if number % 4 == 0:
        spool.checkpoint()


def admit(spool, uid, destinations, say, *, hold=False, data=b"", **fields):
    data = data or f"{uid} ".encode() * 3000
    with spool.blobs.part() as part:
        for at in range(0, len(data), 16384):
            part.write(data[at : at + 16384])
        part.commit()
        made = instance(uid, data, **fields)
        release_at_ns = spool.clock.monotonic_ns() + 1 if hold else None
        spool.instances.admit(made, destinations, hold=hold, release_at_ns=release_at_ns)
    say("admitted", uid, *destinations)


def still(spool, clock, running, number, say):
    capture = spool.captures.begin(running.exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
    say("capture", running.exam_id, capture.number)
    fields = {"exam_id": running.exam_id, "capture": capture.number}
    admit(spool, f"2.{number}", ("a",), say, hold=True, **fields)
    spool.captures.set_state(running.exam_id, capture.number, CaptureState.HELD)


def cine(spool, clock, running, number, say):
    capture = spool.captures.begin(running.exam_id, CaptureKind.CINE, "us", clock.now(), clock.monotonic_ns())
    say("capture", running.exam_id, capture.number)
    header = FrameLogHeader(
        exam_id=running.exam_id,
        capture=capture.number,
        started_at=clock.now(),
        started_ns=1,
        boot_id="b",
        notes={"uid": f"3.{number}"},
    )
    log = spool.new_frame_log(header)
    for frame in range(3):
        log.append(bytes([frame]) * 5000, frame)
        log.sync()
        say("frame", f"3.{number}", frame + 1)
    log.close()
    compose(spool, spool.frame_log_path(running.exam_id, capture.number, 0), say)


def compose(spool, path, say):
    """Make an object of a closed or broken recording; what acquire does after a crash too."""
    header, frames = FrameLog.read(path)
    uid = header.notes["uid"]
    if not spool.instances.same_uid(uid):
        fields = {"exam_id": header.exam_id, "capture": header.capture}
        whole = b"".join(frame for _, frame in frames)
        admit(spool, uid, ("a", "b"), say, hold=True, data=b"cine" + whole, frame_count=len(whole) // 5000, **fields)
    spool.captures.set_state(header.exam_id, header.capture, CaptureState.HELD)
    spool.remove_frame_log(path)


def rewrite(spool, say):
    for behind in spool.instances.behind_identity():
        revision = behind.revision + 1
        data = f"{behind.sop_instance_uid} revision {revision}".encode()
        fresh = instance(behind.sop_instance_uid, data)
        with spool.blobs.part() as part:
            part.write(data)
            part.commit()
            spool.instances.revise(
                behind.sop_instance_uid,
                revision=revision,
                blob=fresh.blob,
                size_bytes=len(data),
                data_digest=fresh.data_digest,
                what="identity",
            )
        say("revised", behind.sop_instance_uid, revision)


def send(spool, destination, outcome, say):
    claimed = spool.deliveries.claim(destination, 8)
    for delivery in claimed:
        spool.blobs.verify(spool.instances.get(delivery.payload).blob)
        if outcome is ACCEPTED:
            say("received", delivery.delivery_id)
    assert spool.deliveries.settle([(delivery.delivery_id, outcome) for delivery in claimed]) == []
    if outcome is ACCEPTED:
        for delivery in claimed:
            say("settled", delivery.delivery_id)


# ---- the killing ----


def child(folder: Path, number: int, say: Say, *, rounds: int = 1, at: int = 0) -> None:
    passed = watch_steps(nth=at)
    random.seed(number)
    clock = clock_of(number)
    with Spool.open(folder, clock) as spool:
        for extra in range(rounds):
            one_round(spool, clock, number + extra, say)
    for each in passed:
        say("step", each)


def look(folder: Path, number: int, told: Told) -> None:
    """Recover, and hold the store to every word."""
    clock = clock_of(number)
    with Spool.open(folder, clock) as spool:
        recovered = spool.recover()
        assert recovered.flagged == 0, "a row has lost its file"
        for path in spool.frame_logs():
            recover_recording(spool, path, told)
        for capture in spool.captures.abandoned("us"):
            ours = spool.instances.of_capture(capture.exam_id, capture.number)
            spool.captures.set_state(capture.exam_id, capture.number, CaptureState.HELD if ours else CaptureState.LOST)
        check(spool, told)
    assert list((folder / "parts").iterdir()) == []


def recover_recording(spool: Spool, path: Path, told: Told) -> None:
    """What acquire does at its start: keep the whole frames; without a header there was none."""
    assert not is_recording(path)
    try:
        header, frames = FrameLog.read(path)
    except SpoolError:
        spool.remove_frame_log(path)
        return
    uid = header.notes["uid"]
    kept = len(list(frames))
    assert kept >= told.frames.get(uid, 0), f"{uid} kept {kept} frames of {told.frames.get(uid)} that were synced"
    compose(spool, path, told.hear)


def check(spool: Spool, told: Told) -> None:
    assert {trouble.error_code for trouble in spool.troubles.all()} <= {"G409"}, "only what was never acknowledged"
    nobody = "SELECT payload FROM instance WHERE payload NOT IN (SELECT payload FROM delivery)"
    assert spool._store.rows(nobody) == [], "an object came without what is owed for it"
    for uid, destinations in told.admitted.items():
        (made,) = spool.instances.same_uid(uid)
        deliveries = spool.deliveries.of_payload(uid)
        assert sorted(owed.destination for owed in deliveries) == sorted(destinations), f"{uid} is owed as {deliveries}"
        if spool.instances.is_here(uid):
            spool.blobs.verify(made.blob)
        else:
            assert {owed.state for owed in deliveries} == {"SENT"}, f"{uid} left while it was owed"
            assert spool.blobs.path(made.blob).exists() is spool.instances.is_owned(made.blob), (
                "recordings share a blob"
            )
        assert made.revision >= told.revised.get(uid, 0)
    for delivery_id in told.settled:
        assert spool.deliveries.get(delivery_id).state == "SENT", f"delivery {delivery_id} forgot that it was taken"
    for uid in told.purged:
        assert not spool.instances.is_here(uid)
    for uid, frames in told.frames.items():
        assert spool.instances.get(uid).frame_count >= frames or spool.instances.get(uid).revision
    for exam_id, number in told.captures:
        spool.captures.get(UUID(exam_id), number)
    for exam_id in told.ended:
        assert spool.exams.get(UUID(exam_id)).status == "COMPLETED"
    states = Counter(state for states in spool.deliveries.counts().values() for state in states)
    assert "SENDING" not in states
    assert list(spool.blobs.orphans()) == []
    rows = spool._store.rows("SELECT 1 FROM instance WHERE state = 'PURGING' UNION ALL SELECT 1 FROM leaving")
    assert rows == []


def clock_of(number: int) -> FakeClock:
    """A number is a day: each life is weeks after the last, in the same boot, for its process is what died."""
    clock = FakeClock()
    clock.wall = datetime(2026, 12, 1, tzinfo=UTC)
    clock.sleep(number * 86400)
    return clock


def main(folder: Path, how: str, kills: int, seed: int) -> dict[str, int]:
    told, chance = Told(), random.Random(seed)
    Spool.open(folder, clock_of(0)).close()
    died = steps = 0
    life_s = 0.2
    for kill in range(kills):
        number = 80 * (kill + 1)
        if (
            kill % WHOLE_LIFE_EVERY == 0
        ):  # a life that nobody ends clears the backlog, and says how many steps there are
            began = time.monotonic()
            steps = len(life(partial(child, folder, number - 40), told.hear).steps)
            life_s = time.monotonic() - began
            look(folder, number - 1, told)
        if how == "steps":
            at = 1 + (kill * steps // kills + chance.randrange(-20, 20)) % steps
            died += life(partial(child, folder, number, at=at), told.hear).is_killed
        else:
            after_s = life_s * chance.uniform(0.05, 0.8)
            died += life(partial(child, folder, number, rounds=30), told.hear, after_s=after_s).is_killed
        look(folder, number + 39, told)
    with Spool.open(folder, clock_of(80 * kills + 120)) as spool:
        assert spool.integrity() == []
    return {
        "died": died,
        "steps": steps,
        "admitted": len(told.admitted),
        "settled": len(told.settled),
        "frames": sum(told.frames.values()),
        "purged": len(told.purged),
        "revised": len(told.revised),
        "sent_twice": sum(1 for times in told.received.values() if times > 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
