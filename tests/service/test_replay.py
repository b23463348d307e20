"""A journal read once more: what a mended parser finds in it, when it was heard, and that it is kept once and where a person says."""

import threading
from datetime import UTC, datetime, timedelta

import pydicom
import pytest
from msgspec.structs import replace

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.tty import Tty
from gateway.errors import ExamError, NoSuchRow
from gateway.model import CaptureState, Patient
from gateway.service import replay
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.simulators import nidek
from gateway.simulators.instrument import SimulatedInstrument, dose_report
from gateway.spool.journal import Journal
from gateway.spool.spool import Spool
from tests.service.world import site_file

SECOND = 1_000_000_000
LENSMETER = profiles.instrument("nidek-lm")
WHO = Patient(patient_id="E-1", name="Synthetic^Eye")


@pytest.fixture
def box(tmp_path):
    serial = {
        name: {"device": f"/dev/null-{name}", "instrument": "nidek-lm", "station": "ROOM-1"} for name in ("LM", "LM2")
    }
    site = config.load(site_file(tmp_path, serial=serial))
    with Spool.open(site.data, SystemClock()) as spool:
        yield Box(site=site, spool=spool, clock=spool.clock)


def start(box):
    return exam.start(
        box.spool, box.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound", patient=WHO
    )


def write(box, *chunks, name="LM"):
    """Chunks of (time, monotonic ns, bytes) in the journal of a port; return its files."""
    folder = box.site.data / "serial" / name
    journal = Journal(folder)
    for at, ns, data in chunks:
        journal.append(data, at, ns)
    journal.close()
    return replay.journals(folder)


def values(found):
    return [[value.value for value in one.values] for one in found if one.number]


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_message_that_came_in_pieces_is_one_set_with_the_time_at_which_it_was_heard(box):
    message = nidek.lensmeter()
    paths = write(box, (NOON, SECOND, message[:50]), (NOON + timedelta(seconds=0.1), int(1.1 * SECOND), message[50:]))
    (one,) = replay.play(paths, LENSMETER)
    assert (one.number, one.model_name, one.error) == (1, "LM-1000P", "")
    assert one.received_at == NOON + timedelta(seconds=0.1)
    assert one.values[0] == replay.Value(
        concept="Power of sphere", value="-1.25", unit="dioptre", laterality="R", measurement="lensometry", doubts=()
    )


def test_a_message_across_midnight_is_whole(box):
    message, late = nidek.lensmeter(), NOON.replace(hour=23, minute=59, second=59)
    paths = write(box, (late, SECOND, message[:50]), (late + timedelta(seconds=1), int(1.2 * SECOND), message[50:]))
    assert len(paths) == 2
    assert len(values(replay.play(paths, LENSMETER))) == 1


def test_another_boot_ends_what_the_last_one_left_half(box):
    paths = write(
        box,
        (NOON, 50 * SECOND, nidek.lensmeter()[:50]),
        (NOON + timedelta(minutes=1), SECOND, nidek.lensmeter()),
    )
    damaged, whole = replay.play(paths, LENSMETER)
    assert (damaged.number, "it was cut off" in damaged.error, damaged.received_at) == (0, True, NOON)
    assert whole.number == 1


def test_the_interval_of_a_stream_ends_with_its_boot_and_with_its_journal(box):
    stream = replace(profiles.instrument("plain-line-dose"), collect_s=60)
    later = NOON + timedelta(minutes=1)
    paths = write(box, (NOON, 50 * SECOND, dose_report("1.50")), (later, SECOND, dose_report("2.50")))
    found = list(replay.play(paths, stream))
    assert [value.value for one in found for value in one.values[:1]] == ["1.50", "2.50"]
    assert [one.received_at for one in found] == [NOON, later]


def test_what_a_mended_parser_finds_is_kept_in_the_exam_that_a_person_names_and_only_once(box):
    unmended = replace(profiles.instrument("plain-line-dose"), terminator=";")
    before = box.clock.now() - timedelta(minutes=20)
    paths = write(box, (before, 7 * SECOND, nidek.lensmeter()), (before, 9 * SECOND, b"?"))
    assert list(replay.play(paths, unmended)) == []
    step = start(box)
    replay.keep(box, "LM", paths, LENSMETER, step.exam_id, 1)
    (capture,) = box.spool.captures.of_exam(step.exam_id)
    assert (capture.state, capture.source) == (CaptureState.HELD, "LM")
    assert abs(capture.started_at - before) < timedelta(seconds=1)
    (instance,) = box.spool.instances.of_capture(step.exam_id, capture.number)
    ds = pydicom.dcmread(box.spool.blobs.path(instance.blob))
    assert (ds.PatientID, ds.RightLensSequence[0].SpherePower) == ("E-1", -1.25)
    with pytest.raises(ExamError):
        replay.keep(box, "LM", paths, LENSMETER, step.exam_id, 1)
    with pytest.raises(NoSuchRow):
        replay.keep(box, "LM", paths, LENSMETER, step.exam_id, 2)


def test_what_the_service_kept_as_it_came_is_the_same_set_and_is_not_kept_again(box):
    step = start(box)
    with SimulatedInstrument(baud=0) as instrument:
        port, stop = Port("LM2", box, LENSMETER), threading.Event()
        with Tty(instrument.path, LENSMETER.line) as tty:
            thread = threading.Thread(target=port.listen, args=(tty, stop))
            thread.start()
            instrument.print(nidek.lensmeter())
            for _ in range(200):
                if any(one.state is CaptureState.HELD for one in box.spool.captures.of_exam(step.exam_id)):
                    break
                stop.wait(0.05)
            stop.set()
            thread.join()
        port.close()
    paths = replay.journals(box.site.data / "serial" / "LM2")
    assert len(values(replay.play(paths, LENSMETER))) == 1
    with pytest.raises(ExamError):
        replay.keep(box, "LM2", paths, LENSMETER, step.exam_id, 1)


def test_a_port_without_a_journal_is_named(box):
    with pytest.raises(NoSuchRow):
        replay.journals(box.site.data / "serial" / "LM")


def test_a_plain_line_meter_replays_too(box):
    paths = write(box, (NOON, SECOND, dose_report()), (NOON + timedelta(minutes=1), 61 * SECOND, dose_report("7.5")))
    assert values(replay.play(paths, profiles.instrument("plain-line-dose"))) == [["12.50", "42"], ["7.5", "42"]]
