"""The spool against a dictionary: any order of what can happen to objects, and both always agree."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import ExamAlreadyRunning, GatewayError, WrongState
from gateway.model import CaptureKind, CaptureState, Patient, StepStatus
from gateway.spool.spool import Spool
from gateway.spool.states import TABLE, Event
from tests.spool.world import ACCEPTED, LATER, NEVER, SECOND_NS, FakeClock, admit, instance, step

DESTINATIONS = ("a", "b")
RETENTION = timedelta(days=1)
RELEASE_S = 30
OWED = {"HELD", "QUEUED", "SENDING", "RELAYED", "FAILED"}
PATIENT = Patient(patient_id="1", name="A^B")
OTHERS = [event for event in Event if event not in {Event.CLAIM, Event.RELEASE, Event.CANCEL, Event.HOLD}]


class Object:
    """What the dictionary knows of one object."""

    def __init__(self, data, destinations, *, committed=(), capture=None, revision=0, release_at=0):
        self.data = data
        self.release_at = release_at
        self.owed = dict.fromkeys(destinations, "HELD" if capture else "QUEUED")
        self.held_for = dict.fromkeys(destinations, "RELEASE" if capture else "")
        self.settled_at = dict.fromkeys(destinations)
        self.committed = set(committed)
        self.capture = capture
        self.revision = revision
        self.is_here = True

    def is_owed(self):
        return any(state in OWED or (state == "SENT" and name in self.committed) for name, state in self.owed.items())

    def is_unsent(self):
        return all(state in {"HELD", "CANCELLED"} for state in self.owed.values())


class Exam:
    """What the dictionary knows of one exam."""

    def __init__(self, exam_id, *, has_patient):
        self.exam_id, self.has_patient = exam_id, has_patient
        self.revision, self.is_running = 0, True
        self.captures = {}


class Machine(RuleBasedStateMachine):
    objects = Bundle("objects")

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.clock = FakeClock()
        self.spool = Spool.open(self.folder / "data", self.clock)
        self.known: dict[str, Object] = {}
        self.exams: list[Exam] = []
        self.number = 0

    def teardown(self):
        if hasattr(self, "spool"):
            assert self.spool.integrity() == []
            assert self.spool.recover().flagged == 0
            self.spool.close()
            shutil.rmtree(self.folder)

    @property
    def running(self):
        return next((exam for exam in self.exams if exam.is_running), None)

    # ---- objects ----

    @rule(
        target=objects, destinations=st.sets(st.sampled_from(DESTINATIONS)), commits=st.booleans(), shares=st.booleans()
    )
    def receive(self, destinations, commits, shares):
        uid = self._next("1")
        committed = sorted(destinations) if commits else ()
        data = b"shared" if shares else uid.encode()
        admit(self.spool, uid, sorted(destinations), data=data, commitment=committed)
        self.known[uid] = Object(data, sorted(destinations), committed=committed)
        return uid

    @rule(uid=objects)
    def receive_again(self, uid):
        before = self.known[uid]
        if not before.is_here or before.capture:
            return
        admit(self.spool, uid, list(before.owed), data=before.data)

    @rule(uid=objects)
    def receive_other_content(self, uid):
        with pytest.raises(WrongState):
            admit(self.spool, uid, ["a"], data=b"other content of " + uid.encode())

    @rule(
        destination=st.sampled_from(DESTINATIONS),
        limit=st.integers(1, 4),
        outcome=st.sampled_from([ACCEPTED, LATER, NEVER]),
    )
    def send(self, destination, limit, outcome):
        claimed = self.spool.deliveries.claim(destination, limit)
        due = [uid for uid, known in self.known.items() if known.owed.get(destination) == "QUEUED"]
        assert len({delivery.payload for delivery in claimed}) == len(claimed) <= limit
        assert {delivery.payload for delivery in claimed} <= set(due)
        assert self.spool.deliveries.settle([(delivery.delivery_id, outcome) for delivery in claimed]) == []
        for delivery in claimed:
            self._move(
                delivery.payload,
                destination,
                {"accepted": "SENT", "later": "QUEUED", "never": "FAILED"}[outcome.verdict],
            )

    @rule(destination=st.sampled_from(DESTINATIONS))
    def answer(self, destination):
        """The peer answers a probe: everything QUEUED is due."""
        self.spool.deliveries.probe_now(destination)
        waiting = [uid for uid, known in self.known.items() if known.owed.get(destination) == "QUEUED"]
        assert (self.spool.deliveries.next_due_s(destination) == 0) is bool(waiting)

    @rule(uid=objects, destination=st.sampled_from(DESTINATIONS), event=st.sampled_from(OTHERS))
    def happen(self, uid, destination, event):
        known = self.known[uid]
        if destination in known.owed:
            after = TABLE.get((known.owed[destination], event))
            self._try(uid, destination, event, after if known.is_here or after not in OWED else None)

    @rule(uid=objects, destination=st.sampled_from(DESTINATIONS))
    def hold(self, uid, destination):
        known = self.known[uid]
        after = "HELD" if known.owed.get(destination) == "QUEUED" else None
        if destination in known.owed:
            self._try(uid, destination, "hold", after)
            if after:
                known.held_for[destination] = "PERSON"

    @rule(uid=objects, destination=st.sampled_from(DESTINATIONS))
    def release(self, uid, destination):
        known = self.known[uid]
        if destination in known.owed:
            is_free = known.owed[destination] == "HELD" and self._may_leave(known)
            self._try(uid, destination, "release", "QUEUED" if is_free else None)
            if is_free:
                self._mark_released(known)

    @rule(uid=objects, destination=st.sampled_from(DESTINATIONS))
    def cancel(self, uid, destination):
        known = self.known[uid]
        if destination in known.owed:
            self._try(uid, destination, "cancel", TABLE.get((known.owed[destination], Event.CANCEL)))

    # ---- exams ----

    @rule(has_patient=st.booleans())
    def start(self, has_patient):
        made = step(self.clock, patient=PATIENT if has_patient else None)
        if self.running:
            with pytest.raises(ExamAlreadyRunning):
                self.spool.exams.start(made)
        else:
            self.spool.exams.start(made)
            self.exams.append(Exam(made.exam_id, has_patient=has_patient))

    @precondition(lambda self: self.running)
    @rule(target=objects, destinations=st.sets(st.sampled_from(DESTINATIONS), min_size=1))
    def capture(self, destinations):
        exam = self.running
        made = self.spool.captures.begin(exam.exam_id, CaptureKind.STILL, "us", self.clock.now(), self.clock.mono_ns)
        assert made.number == len(exam.captures) + 1
        uid = self._next("2")
        release_at = self.clock.mono_ns + RELEASE_S * SECOND_NS
        admit(
            self.spool,
            uid,
            sorted(destinations),
            hold=True,
            release_at_ns=release_at,
            exam_id=exam.exam_id,
            capture=made.number,
            revision=exam.revision,
        )
        self.spool.captures.set_state(exam.exam_id, made.number, CaptureState.HELD)
        exam.captures[made.number] = "HELD"
        self.known[uid] = Object(
            b"", sorted(destinations), capture=(exam, made.number), revision=exam.revision, release_at=release_at
        )
        return uid

    @precondition(lambda self: self.exams)
    @rule(data=st.data())
    def identify(self, data):
        exam = data.draw(st.sampled_from(self.exams))
        if "RELEASED" in exam.captures.values():
            return  # gateway.exam refuses that
        self.spool.exams.identify(exam.exam_id, PATIENT, None)
        exam.has_patient = True
        exam.revision += 1

    @rule()
    def rewrite(self):
        behind = {uid for uid, known in self.known.items() if self._is_behind(known)}
        assert {made.sop_instance_uid for made in self.spool.instances.behind_identity()} == behind
        for uid in sorted(behind)[:2]:
            exam = self.known[uid].capture[0]
            data = f"{uid} revision {exam.revision}".encode()
            fresh = instance(uid, data)
            with self.spool.blobs.part() as part:
                part.write(data)
                part.commit()
                self.spool.instances.revise(
                    uid,
                    revision=exam.revision,
                    blob=fresh.blob,
                    size_bytes=len(data),
                    data_digest=fresh.data_digest,
                    what="",
                )
            self.known[uid].revision = exam.revision

    @precondition(lambda self: self.exams)
    @rule(data=st.data())
    def discard_or_undo(self, data):
        exam = data.draw(st.sampled_from(self.exams))
        if not exam.captures:
            return
        number = data.draw(st.sampled_from(sorted(exam.captures)))
        swapped = {"HELD": "DISCARDED", "DISCARDED": "HELD"}.get(exam.captures[number])
        if swapped:
            self.spool.captures.set_state(exam.exam_id, number, CaptureState(swapped))
            exam.captures[number] = swapped

    @precondition(lambda self: self.running)
    @rule()
    def complete(self):
        exam = self.running
        self.spool.exams.end(exam.exam_id, StepStatus.COMPLETED, self.clock.now(), "")
        self.spool.instances.release_exam(exam.exam_id)
        exam.is_running = False
        for known in self.known.values():
            if known.capture and known.capture[0] is exam:
                known.release_at = 0
        self._release_in_the_model(exam)

    @rule()
    def release_due(self):
        self.spool.deliveries.release_due()
        self._release_in_the_model(None)

    # ---- time, crashes, room ----

    @rule(seconds=st.sampled_from([1, 10, 40, 1000, 90000]))
    def wait(self, seconds):
        self.clock.sleep(seconds)

    @rule(reboots=st.booleans())
    def power_cut(self, reboots):
        """Claim, begin an object, and be gone; the next life recovers."""
        self.spool.deliveries.claim("a", 2)
        (self.spool.data / "parts" / "dead.part").write_bytes(b"half")
        self._forge_dead_leases()
        self.spool.close()
        if reboots:
            self.clock.reboot()
            for known in self.known.values():
                known.release_at = 0
        self.spool = Spool.open(self.folder / "data", self.clock)
        assert self.spool.recover().parts == 1
        assert "SENDING" not in {state for states in self.spool.deliveries.counts().values() for state in states}

    @rule()
    def purge(self):
        may = {uid for uid, known in self.known.items() if self._may_go(known)}
        purgeable = {made.sop_instance_uid for made in self.spool.instances.purgeable(self.clock.now(), RETENTION)}
        assert purgeable == may
        for uid in sorted(may):
            self.spool.instances.purge(uid)
            self.known[uid].is_here = False

    @rule(uid=objects)
    def purge_what_is_owed(self, uid):
        if self.known[uid].is_owed() and self.known[uid].is_here:
            with pytest.raises(WrongState):
                self.spool.instances.purge(uid)

    # ---- what must always hold ----

    @invariant()
    def both_agree(self):
        for uid, known in getattr(self, "known", {}).items():
            owed = {delivery.destination: delivery.state.value for delivery in self.spool.deliveries.of_payload(uid)}
            assert owed == known.owed, uid
            assert self.spool.instances.is_here(uid) is known.is_here
            blob = self.spool.blobs.path(self.spool.instances.get(uid).blob)
            assert blob.exists() or not known.is_here
            assert known.is_here or not known.is_owed()
        for exam in getattr(self, "exams", []):
            rows = {made.number: made.state.value for made in self.spool.captures.of_exam(exam.exam_id)}
            assert rows == exam.captures

    # ---- the dictionary's own rules ----

    def _next(self, kind):
        self.number += 1
        return f"{kind}.{self.number}"

    def _try(self, uid, destination, event, after):
        (delivery,) = [made for made in self.spool.deliveries.of_payload(uid) if made.destination == destination]
        if after is None:
            with pytest.raises(GatewayError) as caught:
                self.spool.deliveries.apply(delivery.delivery_id, event, by="eve")
            assert caught.value.code in {"G405", "G604"}
        else:
            assert self.spool.deliveries.apply(delivery.delivery_id, event, by="eve") == after
            self._move(uid, destination, after)

    def _move(self, uid, destination, state):
        known = self.known[uid]
        known.owed[destination] = state
        if state in {"SENT", "COMMITTED", "CANCELLED"}:
            known.settled_at[destination] = self.clock.now()

    def _is_behind(self, known):
        return (
            known.capture is not None
            and known.is_here
            and known.is_unsent()
            and known.revision < known.capture[0].revision
        )

    def _may_leave(self, known):
        if known.capture is None:
            return True
        exam, number = known.capture
        siblings = [other for other in self.known.values() if other.capture and other.capture[0] is exam]
        is_current = not any(self._is_behind(other) for other in siblings)
        return exam.has_patient and is_current and exam.captures[number] in {"HELD", "RELEASED"}

    def _mark_released(self, known):
        if known.capture:
            exam, number = known.capture
            if exam.captures[number] == "HELD":
                exam.captures[number] = "RELEASED"

    def _release_in_the_model(self, exam):
        free = [
            (known, name)
            for known in self.known.values()
            for name, state in known.owed.items()
            if state == "HELD"
            and known.held_for[name] == "RELEASE"
            and known.capture
            and (exam is None or known.capture[0] is exam)
            and known.release_at <= self.clock.mono_ns
            and self._may_leave(known)
        ]
        for known, name in free:
            known.owed[name] = "QUEUED"
            known.held_for[name] = ""
            self._mark_released(known)

    def _may_go(self, known):
        if not known.is_here or not known.owed or known.is_owed():
            return False
        if known.capture and known.capture[0].is_running:
            return False
        if known.capture and known.capture[0].captures[known.capture[1]] == "DISCARDED":
            return True
        return all(at is not None and at <= self.clock.now() - RETENTION for at in known.settled_at.values())

    def _forge_dead_leases(self):
        """What this process has claimed looks as a dead process leaves it: its id came again."""
        with self.spool.transaction():
            self.spool._store.run("UPDATE delivery SET lease_started = 1 WHERE state = 'SENDING'")


TestMachine = Machine.TestCase


@pytest.fixture(autouse=True)
def _size(campaign):
    TestMachine.settings = settings(
        max_examples=campaign(25, 1500),
        stateful_step_count=campaign(40, 60),
        deadline=None,
        derandomize=campaign(True, False),
    )
