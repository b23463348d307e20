"""Admission and purging: what is here is here, and leaves when nobody waits for it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import BlobMissing, NoSuchRow, SpoolError, WrongState
from gateway.model import CaptureKind, CaptureState, Patient, ReadingSet, StepStatus
from gateway.spool import readings
from gateway.spool.spool import Spool
from tests.spool.world import LATER, NEVER, admit, instance, send, states, step

MONTH = timedelta(days=30)


def test_an_object_without_a_durable_blob_is_not_acknowledged(spool):
    with pytest.raises(BlobMissing):
        spool.instances.admit(instance("1.1", b"never written"), ["pacs"])
    assert spool.instances.same_uid("1.1") == []
    assert spool.deliveries.of_payload("1.1") == []


def test_what_was_admitted_comes_back_as_it_was(spool, clock):
    made = admit(spool, "1.1", ["a", "b"], modality="US", frame_count=7, received_from="CT1", transfer_syntax_uid="1.9")
    assert spool.instances.get("1.1") == made
    assert [(owed.destination, owed.payload) for owed in spool.deliveries.of_payload("1.1")] == [
        ("a", "1.1"),
        ("b", "1.1"),
    ]
    assert spool.instances.is_here("1.1")
    assert spool.instances.received(5) == [made]
    with pytest.raises(NoSuchRow):
        spool.instances.get("1.9")


def test_the_same_object_again_is_one_object(spool):
    admit(spool, "1.1", ["a"])
    send(spool, "a")
    admit(spool, "1.1", ["a"])
    assert states(spool, "1.1") == ["SENT"]
    admit(spool, "1.1", ["a", "b", "b"])
    assert states(spool, "1.1") == ["SENT", "QUEUED"]


def test_the_same_object_in_another_wrapping_keeps_the_first_blob_and_leaves_no_second(spool):
    first = admit(spool, "1.1", data=b"meta 1 + data", data_digest="same")
    admit(spool, "1.1", data=b"meta 2 + data", data_digest="same")
    assert spool.instances.get("1.1").blob == first.blob
    assert spool.recover().quarantined == 0
    assert list(spool.blobs.all()) == [first.blob]


def test_other_content_never_overwrites(spool):
    first = admit(spool, "1.1", data=b"first")
    with pytest.raises(WrongState):
        admit(spool, "1.1", data=b"other")
    assert spool.instances.get("1.1") == first
    assert list(spool.blobs.all()) == [first.blob], "what was refused leaves nothing behind"


def test_a_refused_admission_leaves_neither_row_nor_blob(spool):
    with pytest.raises(ZeroDivisionError), spool.transaction():
        admit(spool, "1.1")
        raise ZeroDivisionError
    assert spool.instances.same_uid("1.1") == []
    assert spool.recover().quarantined == 1, "the file had been acknowledged to nobody; it is kept and shown"


@pytest.mark.parametrize(
    ("outcomes", "commitment", "leaves"),
    [
        ([], (), False),
        ([LATER], (), False),
        ([NEVER], (), False),
        (["claim"], (), False),
        (["accept"], (), True),
        (["accept"], ("pacs",), False),
        (["accept", "committed"], ("pacs",), True),
        (["accept", "commit_failed"], ("pacs",), False),
        (["accept", "lost"], (), False),
        (["relayed"], (), False),
        (["relayed", "accept"], (), True),
        (["hold"], (), False),
        (["cancel"], (), True),
    ],
)
def test_nothing_owed_is_ever_deleted(spool, clock, outcomes, commitment, leaves):
    admit(spool, "1.1", commitment=commitment)
    for outcome in outcomes:
        if outcome in (LATER, NEVER):
            send(spool, outcome=outcome)
        elif outcome == "claim":
            spool.deliveries.claim("pacs", 1)
        else:
            if outcome in {"accept", "relayed"}:
                spool.deliveries.claim("pacs", 1)
            spool.deliveries.apply(1, outcome, by="eve")
    assert spool.instances.purgeable(clock.now(), MONTH) == []
    clock.sleep(40 * 86400)
    assert bool(spool.instances.purgeable(clock.now(), MONTH)) is leaves
    if leaves:
        spool.instances.purge("1.1")
        assert list(spool.blobs.all()) == []
        assert not spool.instances.is_here("1.1")
    else:
        with pytest.raises(WrongState):
            spool.instances.purge("1.1")
        assert len(list(spool.blobs.all())) == 1


def test_an_object_that_nobody_was_ever_owed_stays_until_a_named_person_discards_it(spool, clock):
    admit(spool, "1.1", [])
    clock.sleep(400 * 86400)
    assert spool.instances.purgeable(clock.now(), MONTH) == []
    with pytest.raises(WrongState):
        spool.instances.set_purging("1.1")
    with pytest.raises(SpoolError):
        spool.instances.discard("1.1", "")
    spool.instances.discard("1.1", "eve")
    assert len(spool.instances.purgeable(clock.now(), MONTH)) == 1


def test_retention_counts_from_the_last_destination(spool, clock):
    admit(spool, "1.1", ["a", "b"])
    send(spool, "a")
    clock.sleep(29 * 86400)
    send(spool, "b")
    clock.sleep(29 * 86400)
    assert spool.instances.purgeable(clock.now(), MONTH) == []
    clock.sleep(2 * 86400)
    assert len(spool.instances.purgeable(clock.now(), MONTH)) == 1


def test_a_clock_that_lies_ends_no_retention(spool, clock):
    admit(spool, "1.1")
    clock.why, clock.wall = "it shows 1970", clock.wall.replace(year=1970)
    send(spool)
    clock.sleep(90 * 86400)
    assert spool.instances.purgeable(clock.now(), MONTH) == [], "no retention is over by a clock in doubt"
    clock.why, clock.wall = "", clock.wall.replace(year=2026)
    assert spool.instances.purgeable(clock.now(), MONTH) == [], "it was sent now at the latest"
    clock.sleep(31 * 86400)
    assert len(spool.instances.purgeable(clock.now(), MONTH)) == 1


def test_nothing_of_an_exam_in_progress_leaves_the_disk(spool, clock):
    running = step(clock, patient=Patient(patient_id="1", name="A"))
    spool.exams.start(running)
    admit(spool, "1.1", exam_id=running.exam_id)
    send(spool)
    clock.sleep(40 * 86400)
    assert spool.instances.purgeable(clock.now(), MONTH) == []
    spool.exams.end(running.exam_id, StepStatus.COMPLETED, clock.now(), "")
    assert len(spool.instances.purgeable(clock.now(), MONTH)) == 1


def test_a_discarded_capture_leaves_once_its_exam_has_ended(spool, clock):
    running = step(clock, patient=Patient(patient_id="1", name="A"))
    spool.exams.start(running)
    capture = spool.captures.begin(running.exam_id, CaptureKind.STILL, "us", clock.now(), clock.monotonic_ns())
    admit(spool, "1.1", hold=True, exam_id=running.exam_id, capture=capture.number)
    spool.captures.set_state(running.exam_id, 1, CaptureState.HELD)
    spool.captures.set_state(running.exam_id, 1, CaptureState.DISCARDED)
    assert spool.instances.purgeable(clock.now(), MONTH) == [], "it can be brought back"
    spool.exams.end(running.exam_id, StepStatus.COMPLETED, clock.now(), "")
    spool.deliveries.apply(1, "cancel", by="eve")
    thumbnail = spool.thumbnail_path(running.exam_id, 1)
    thumbnail.parent.mkdir()
    thumbnail.write_bytes(b"a small picture of the patient")
    readings.write(spool.data, running.exam_id, 1, ReadingSet(received_ns=1))
    assert len(spool.instances.purgeable(clock.now(), MONTH)) == 1
    spool.instances.purge("1.1")
    assert not thumbnail.exists()
    assert readings.read(spool.data, running.exam_id, 1) is None


def test_a_blob_that_two_rows_share_stays_until_the_last(spool, clock):
    for uid in ("1.1", "1.2"):
        made = admit(spool, uid, data=b"the same bytes")
    (claimed, other) = spool.deliveries.claim("pacs", 2)
    spool.deliveries.apply(claimed.delivery_id, "accept")
    clock.sleep(40 * 86400)
    spool.instances.purge("1.1")
    spool.blobs.verify(made.blob)
    spool.deliveries.apply(other.delivery_id, "accept")
    spool.instances.purge("1.2")
    assert list(spool.blobs.all()) == []


def test_an_object_that_became_owed_meanwhile_is_not_purged(spool, clock):
    admit(spool, "1.1")
    send(spool)
    clock.sleep(40 * 86400)
    (going,) = spool.instances.purgeable(clock.now(), MONTH)
    spool.deliveries.apply(1, "retry", by="eve")
    with pytest.raises(WrongState):
        spool.instances.purge(going.sop_instance_uid)
    assert send(spool) == ["1.1"]


def test_an_object_that_comes_again_after_its_purge_is_here_again_and_owed_again(spool, clock):
    made = admit(spool, "1.1")
    send(spool)
    clock.sleep(40 * 86400)
    spool.instances.purge("1.1")
    admit(spool, "1.1")
    spool.blobs.verify(made.blob)
    assert states(spool, "1.1") == ["SENT", "QUEUED"]
    assert send(spool) == ["1.1"]


@pytest.mark.parametrize("stop", ["before unlink", "after unlink", "after fsync"])
def test_an_interrupted_purge_goes_on_where_it_stopped(data, clock, monkeypatch, stop):
    with Spool.open(data, clock) as spool:
        admit(spool, "1.1")
        send(spool)
        spool.instances.set_purging("1.1")
        real = Path.unlink

        def interrupted(path, **kwargs):
            if stop != "before unlink":
                real(path, **kwargs)
            raise KeyboardInterrupt

        if stop == "after fsync":
            real_fsync = os.fsync
            monkeypatch.setattr(os, "fsync", lambda fd: (real_fsync(fd), _interrupt()))
        else:
            monkeypatch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            spool.instances.set_purged("1.1")
        monkeypatch.undo()
    with Spool.open(data, clock) as spool:
        assert spool.recover().purged == 1
        assert list(spool.blobs.all()) == []
        assert not spool.instances.is_here("1.1")
        assert spool.recover().purged == 0


def test_a_row_without_a_file_is_shown_held_and_kept(spool, clock):
    made = admit(spool, "1.1")
    spool.blobs.remove(made.blob)
    assert spool.recover().flagged == 1
    assert states(spool, "1.1") == ["HELD"]
    assert [(trouble.subject, trouble.error_code) for trouble in spool.troubles.all()] == [("1.1", "G407")]
    with pytest.raises(WrongState):
        spool.deliveries.apply(1, "release", by="eve")
    assert spool.recover().flagged == 0, "it is shown once"
    spool.troubles.clear(1, "eve")
    assert spool.troubles.all() == []
    with pytest.raises(NoSuchRow):
        spool.troubles.clear(1, "eve")
    assert [entry.event for entry in spool.history.of("1.1")] == ["trouble", "cleared"]


def test_a_damaged_file_is_found_held_and_never_deleted_and_let_go_when_it_is_whole(spool):
    made = admit(spool, "1.1", data=b"whole bytes")
    spool.blobs.path(made.blob).write_bytes(b"wh0le bytes")
    assert spool.recover().flagged == 0, "recovery looks at names and sizes only"
    assert not spool.instances.verify("1.1")
    assert states(spool, "1.1") == ["HELD"]
    assert spool.troubles.all()[0].error_code == "G402"
    assert spool.blobs.path(made.blob).exists()
    spool.blobs.path(made.blob).write_bytes(b"whole bytes")
    assert spool.instances.verify("1.1")
    assert send(spool) == ["1.1"]


def test_a_file_of_another_size_is_found_by_recovery(spool):
    made = admit(spool, "1.1", data=b"whole bytes")
    os.truncate(spool.blobs.path(made.blob), 3)
    assert spool.recover().flagged == 1
    assert states(spool, "1.1") == ["HELD"]


def test_a_file_without_a_row_is_quarantined_and_shown(spool, data):
    with spool.blobs.part() as part:
        part.write(b"nobody's")
        digest, _ = part.commit()
    recovered = spool.recover()
    assert recovered.quarantined == 1
    assert (data / "quarantine" / digest).read_bytes() == b"nobody's"
    assert [trouble.subject for trouble in spool.troubles.all()] == [digest]
    assert list(spool.blobs.all()) == []
    assert spool.recover().quarantined == 0


def test_a_part_of_a_dead_writer_is_removed(spool, data):
    (data / "parts" / "dead.part").write_bytes(b"half")
    (data / "parts" / "empty.part").write_bytes(b"")
    assert spool.recover().parts == 2
    assert list((data / "parts").iterdir()) == []


def _interrupt():
    raise KeyboardInterrupt
