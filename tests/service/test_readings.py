"""A set of readings in the spool: all of its objects or none, whatever fails; and what a dead process left is said."""

import os
import threading
from datetime import timedelta

import pydicom
import pytest
from msgspec import structs

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.tty import Tty
from gateway.errors import DiskFull
from gateway.model import CaptureKind, CaptureState
from gateway.objects import refraction
from gateway.service import keeper, readings, replay
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.simulators import nidek
from gateway.simulators.instrument import SimulatedInstrument
from gateway.source.serial import Instrument
from gateway.spool import readings as shown
from gateway.spool.journal import Journal
from gateway.spool.spool import Spool
from tests.service.world import WHO, site_file

ARK = profiles.instrument("nidek-ark")
PORT = "ARK"


@pytest.fixture
def box(tmp_path):
    serial = {PORT: {"device": "/dev/null-ark", "instrument": "nidek-ark", "station": "ROOM-1"}}
    site = config.load(site_file(tmp_path, serial=serial))
    with Spool.open(site.data, SystemClock()) as spool:
        yield Box(site=site, spool=spool, clock=spool.clock)


@pytest.fixture
def step(box):
    return exam.start(
        box.spool, box.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound", patient=WHO
    )


def reading(box):
    (one,) = Instrument(ARK).receive_data(nidek.autorefractor(), box.clock.monotonic_ns())
    return one


def instances(box, step):
    captures = box.spool.captures.of_exam(step.exam_id)
    return [one for each in captures for one in box.spool.instances.of_capture(step.exam_id, each.number)]


def test_each_measurement_of_a_set_is_an_object_of_a_series_of_its_own(box, step):
    readings.keep(box, PORT, ARK, step, reading(box))
    found = instances(box, step)
    assert [(one.kind, one.modality, one.segment) for one in found] == [("ar", "AR", 0), ("ker", "KER", 1)]
    assert len({one.series_instance_uid for one in found}) == len({one.sop_instance_uid for one in found}) == 2
    (capture,) = box.spool.captures.of_exam(step.exam_id)
    assert (capture.kind, capture.state) == (CaptureKind.READING, CaptureState.HELD)
    assert "this is the first" in capture.note


def test_what_a_set_says_lies_beside_the_pictures_and_a_full_disk_there_stops_nothing(box, step, monkeypatch):
    said = reading(box)
    capture = readings.keep(box, PORT, ARK, step, said)
    assert shown.read(box.spool.data, step.exam_id, capture.number) == said
    full = os.strerror(28)
    monkeypatch.setattr(shown, "write", lambda *_: (_ for _ in ()).throw(OSError(28, full)))
    again = readings.keep(box, PORT, ARK, step, said)
    assert box.spool.captures.get(step.exam_id, again.number).state is CaptureState.HELD


def test_when_one_object_of_a_set_cannot_be_stored_none_is_and_the_journal_gives_them_back(box, step, monkeypatch):
    journal = Journal(box.site.data / "serial" / PORT)
    journal.append(nidek.autorefractor(), box.clock.now(), box.clock.monotonic_ns())
    journal.close()
    write, made = refraction.write, []

    def fails_at_the_second(sink, words, observations):
        made.append(words)
        if len(made) == 2:
            raise DiskFull
        return write(sink, words, observations)

    with monkeypatch.context() as patch:
        patch.setattr(refraction, "write", fails_at_the_second)
        with pytest.raises(DiskFull):
            readings.keep(box, PORT, ARK, step, reading(box))
    (capture,) = box.spool.captures.of_exam(step.exam_id)
    assert capture.state is CaptureState.LOST
    assert instances(box, step) == []
    assert list(box.spool.blobs.orphans()) == []
    replay.keep(box, PORT, replay.journals(box.site.data / "serial" / PORT), ARK, step.exam_id, 1)
    assert [one.modality for one in instances(box, step)] == ["AR", "KER"]


def test_a_set_whose_service_died_is_lost_and_said_to_be_in_the_journal(box, step):
    if (pid := os.fork()) == 0:
        try:
            with Spool.open(box.site.data, SystemClock()) as spool:
                exam.begin_capture(spool, spool.clock, step.exam_id, CaptureKind.READING, PORT)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert [one.state for one in box.spool.captures.of_exam(step.exam_id)] == [CaptureState.RECORDING]
    Port(PORT, box, ARK).close()
    (capture,) = box.spool.captures.of_exam(step.exam_id)
    assert (capture.state, capture.note) == (CaptureState.LOST, "not kept: the power failed; the journal has it")


def test_the_objects_of_a_set_carry_the_model_that_the_instrument_names(box, step):
    readings.keep(box, PORT, ARK, step, reading(box))
    for one in instances(box, step):
        ds = pydicom.dcmread(box.spool.blobs.path(one.blob))
        assert (ds.Manufacturer, ds.ManufacturerModelName) == ("NIDEK", "ARK-530A")
        assert abs(one.stored_at - box.clock.now()) < timedelta(minutes=1)


def play(box, profile, *messages):
    """Print messages to one port, one after the other; a function among them is called in its turn."""
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, profile.line) as tty:
        port, stop = Port(PORT, box, profile), threading.Event()
        thread = threading.Thread(target=port.listen, args=(tty, stop))
        thread.start()
        for message in messages:
            before = tail(box)
            message() if callable(message) else instrument.print(message)
            for _ in range(100):
                if callable(message) or tail(box) != before:
                    break
                stop.wait(0.05)
        stop.set()
        thread.join()
        port.close()


def tail(box):
    """Something that changes with each reading, kept or not."""
    captures = [each for one in box.spool.exams.recent(9) for each in box.spool.captures.of_exam(one.exam_id)]
    settled = [each.number for each in captures if each.state is not CaptureState.RECORDING]
    return settled, len(box.spool.history.of(f"port {PORT}"))


def test_a_reprint_makes_no_second_capture_until_the_first_is_discarded(box, step):
    message = nidek.autorefractor()
    play(box, ARK, message, message, lambda: exam.discard(box.spool, step.exam_id, 1), message)
    states = [one.state for one in box.spool.captures.of_exam(step.exam_id)]
    assert states == [CaptureState.DISCARDED, CaptureState.HELD]
    assert [entry.event for entry in box.spool.history.of(f"port {PORT}")] == ["a reprint came"]


def test_an_instrument_whose_profile_knows_no_reprints_states_each_reading_anew(box, step):
    message = nidek.autorefractor()
    play(box, structs.replace(ARK, reprint_minutes=0), message, message)
    assert len(box.spool.captures.of_exam(step.exam_id)) == 2


def test_readings_of_a_port_that_is_gone_are_identified_like_any_other(box):
    emergency = exam.start(box.spool, box.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound")
    readings.keep(box, PORT, ARK, emergency, reading(box))
    later = Box(site=structs.replace(box.site, serial={}), spool=box.spool, clock=box.clock)
    exam.identify(box.spool, emergency.exam_id, patient=WHO)
    keeper.bring_up_to_date(later)
    headers = [pydicom.dcmread(box.spool.blobs.path(one.blob)) for one in instances(box, emergency)]
    assert [(ds.PatientID, ds.ManufacturerModelName) for ds in headers] == [(WHO.patient_id, "ARK-530A")] * 2
