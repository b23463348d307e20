"""Curves and their page in an exam: kept together, identified late, corrected after they left, and named in the note as what they are."""

import subprocess

from gateway import exam
from gateway import profile as profiles
from gateway.config import SerialPort
from gateway.model import CaptureState
from gateway.objects import page
from gateway.service import readings
from tests.objects import hearts
from tests.objects.test_dciodvfy import unexplained
from tests.service.test_correction import TRUE, copies, correct, notes, of_kind, read, release, send, work
from tests.service.world import WHO, still

PORT = "LINE"


def keep(box, step, stated, instrument):
    box.site.serial[PORT] = SerialPort(device="simulator:line", instrument=instrument)
    said = readings.in_this_boot(box, box.clock.now(), stated)
    return readings.keep(box, PORT, profiles.instrument(instrument), step, said)


def exam_of(box, stated, instrument, patient=WHO):
    """An exam with one picture, and the objects of a set."""
    step, _ = still(box, patient=patient)
    keep(box, step, stated, instrument)
    return step


def text(ds, folder):
    (folder / "page.pdf").write_bytes(ds.EncapsulatedDocument)
    said = ["pdftotext", "-layout", folder / "page.pdf", "-"]
    return subprocess.run(said, check=True, capture_output=True, text=True).stdout


def test_an_electrocardiogram_is_a_waveform_a_page_and_a_report_of_one_capture_and_three_series(box):
    step = exam_of(box, hearts.ELECTROCARDIOGRAM, "scp-ecg")
    found = [one for one in box.spool.instances.of_exam(step.exam_id) if one.kind != "image"]
    assert [(one.kind, one.modality, one.segment) for one in found] == [
        ("ecg", "ECG", 0),
        ("doc", "DOC", 1),
        ("sr", "SR", 2),
    ]
    assert len({one.series_instance_uid for one in found}) == 3
    (_, capture) = box.spool.captures.of_exam(step.exam_id)
    assert (capture.state, capture.note) == (CaptureState.HELD, "it is outside -180 to 180")
    assert [str(read(box, one).SeriesNumber) for one in found] == ["9", "12", "2"]


def test_curves_that_began_later_say_so(box):
    late = hearts.pressure(received_ns=hearts.pressure().received_ns + 4_000_000_000)
    stated = hearts.ReadingSet(traces=(hearts.pressure(), late), received_ns=5_000_000_000)
    step = exam_of(box, stated, "ge-s5-monitor")
    one, other = (read(box, each) for each in of_kind(box, step, "hd"))
    assert int(other.AcquisitionDateTime[12:14]) - int(one.AcquisitionDateTime[12:14]) in {4, -56}


def test_an_emergency_that_is_identified_has_the_same_samples_and_the_true_name_on_its_page(box, tmp_path):
    step = exam_of(box, hearts.ELECTROCARDIOGRAM, "scp-ecg", patient=None)
    (ecg,), (doc,) = of_kind(box, step, "ecg"), of_kind(box, step, "doc")
    before = read(box, ecg)
    assert "EMERGENCY" in text(read(box, doc), tmp_path)
    exam.identify(box.spool, step.exam_id, patient=TRUE)
    work(box)
    after, drawn = read(box, ecg), read(box, doc)
    assert (after.PatientID, drawn.PatientID) == ("42", "42")
    assert after.WaveformSequence == before.WaveformSequence
    assert "True, Patient" in text(drawn, tmp_path)
    assert "EMERGENCY" not in text(drawn, tmp_path)
    for one in (ecg, doc):
        assert unexplained(box.spool.blobs.path(box.spool.instances.get(one.sop_instance_uid).blob)) == []


def test_a_fetal_strip_keeps_its_samples_through_a_correction_and_the_wrong_name_is_gone(box, tmp_path):
    step = exam_of(box, hearts.STRIP, "ge-corometrics")
    release(box)
    send(box)
    (former,) = of_kind(box, step, "doc")
    before = read(box, former)
    assert "Phiname, Sentinel" in text(before, tmp_path)
    correct(box, step)
    work(box)
    (copy,) = (one for one in copies(box, step) if one.kind == "doc")
    after = read(box, copy)
    assert (after.PatientID, after.SOPInstanceUID != before.SOPInstanceUID) == ("42", True)
    assert "True, Patient" in text(after, tmp_path)
    assert b"Phiname" not in after.EncapsulatedDocument
    one, other = (page.readings_of(ds.EncapsulatedDocument) for ds in (before, after))
    assert one == other
    assert [trace.samples for trace in other.traces] == [trace.samples for trace in hearts.STRIP.traces]


def test_corrected_curves_are_copies_with_the_same_samples_and_the_note_names_a_waveform_and_a_document(box):
    step = exam_of(box, hearts.ELECTROCARDIOGRAM, "scp-ecg")
    release(box)
    send(box)
    (former,) = of_kind(box, step, "ecg")
    correct(box, step)
    work(box)
    (copy,) = (one for one in copies(box, step) if one.kind == "ecg")
    before, after = read(box, former), read(box, copy)
    assert after.WaveformSequence == before.WaveformSequence
    assert (after.PatientID, after.StudyInstanceUID != before.StudyInstanceUID) == ("42", True)
    send(box)
    work(box)
    (note,) = (read(box, one) for one in notes(box, step))
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPClassUID: item.ValueType
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert named["1.2.840.10008.5.1.4.1.1.9.1.1"] == "WAVEFORM"
    assert named["1.2.840.10008.5.1.4.1.1.104.1"] == "COMPOSITE"
    for one in (*copies(box, step), *notes(box, step)):
        assert unexplained(box.spool.blobs.path(box.spool.instances.get(one.sop_instance_uid).blob)) == []
