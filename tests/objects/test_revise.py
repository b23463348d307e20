"""An identity comes late: the header is new, the pixels are the same bytes, and the object says what it said before."""

import io
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.errors import ClockUntrusted, NotDicom, ObjectInvalid
from gateway.model import Patient
from gateway.objects import modules, revise, verify
from gateway.objects import words as words_
from tests.objects import samples

EMERGENCY = {"exam_changes": {"patient": None, "scheduled": None}}
LATER = samples.AT + timedelta(hours=2)


@pytest.mark.parametrize("syntax", [samples.EXPLICIT, samples.JPEG_LS])
@pytest.mark.parametrize("of", ["us", "sc"])
def test_an_emergency_is_identified_without_touching_the_pixels(saved, read, of, syntax):
    shown = samples.picture(frames=4, transfer_syntax_uid=syntax)
    frames = [f.tobytes() if syntax == samples.EXPLICIT else samples.encode(f, syntax) for f in samples.pixels(shown)]
    before = samples.composed(of, shown, frames, **EMERGENCY)[0]
    after, written = _revised(saved(before), samples.words(of))
    assert _pixels(after) == _pixels(before)
    old, new = read(before), read(after)
    assert written.sop_instance_uid == new.SOPInstanceUID == old.SOPInstanceUID
    assert (new.PatientID, new.PatientName, new.AccessionNumber) == ("P-0042", "Müller^Ana", "A-17")
    original = new.OriginalAttributesSequence[0]
    assert original.ReasonForTheAttributeModification == "COERCE"
    assert original.AttributeModificationDateTime.startswith("20261201143015")
    assert original.ModifiedAttributesSequence[0].PatientID == old.PatientID
    assert verify.check(saved(after)) == []


def test_the_revised_object_is_the_one_that_would_have_been_written(saved, read, kind):
    of, shown = samples.KINDS[kind]
    after = read(_revised(saved(samples.composed(of, shown, **EMERGENCY)[0]), samples.words(of))[0])
    del after.OriginalAttributesSequence
    assert after == read(samples.composed(of, shown)[0])


def test_a_report_is_identified_too(saved, read):
    before = samples.report(**EMERGENCY)[0].getvalue()
    words = samples.words(
        sop_instance_uid=str(read(before).SOPInstanceUID), series_instance_uid=str(read(before).SeriesInstanceUID)
    )
    after = read(_revised(saved(before), words)[0])
    assert after.PatientID == "P-0042"
    assert after.ReferencedRequestSequence[0].AccessionNumber == "A-17"
    assert after.ContentSequence == read(before).ContentSequence


def test_a_second_correction_keeps_the_first(saved, read):
    once = _revised(saved(samples.composed("us", samples.picture(), **EMERGENCY)[0]), samples.words())[0]
    other = Patient(patient_id="P-0043", name="Other^Name")
    twice = read(_revised(saved(once), samples.words(exam_changes={"patient": other, "scheduled": None}))[0])
    assert [item.ReasonForTheAttributeModification for item in twice.OriginalAttributesSequence] == [
        "COERCE",
        "CORRECT",
    ]
    assert twice.OriginalAttributesSequence[1].ModifiedAttributesSequence[0].PatientID == "P-0042"
    assert "RequestAttributesSequence" not in twice
    assert twice.AccessionNumber == ""


def test_an_unchanged_identity_changes_nothing(saved, kind):
    of, shown = samples.KINDS[kind]
    before, written = samples.composed(of, shown)
    assert _revised(saved(before), samples.words(of)) == (before, written)


def test_a_confirmed_time_moves_every_date_and_is_said_in_place_of_the_doubt(saved, read):
    shown = samples.picture(ended_early="the power failed")
    before = samples.composed("us", shown, exam_changes={"clock_doubt": "no time server"})[0]
    moved = timedelta(days=3)
    words = samples.words(
        exam_changes={"clock_note": "A person confirmed the time.", "started_at": samples.AT + moved},
        captured_at=samples.AT + moved,
    )
    after = read(_revised(saved(before), words)[0])
    assert {after.StudyDate, after.ContentDate, after.AcquisitionDate, after.PerformedProcedureStepStartDate} == {
        "20261204"
    }
    assert after.ImageComments == "The recording ended early: the power failed.\r\nClock: A person confirmed the time."


def test_words_of_another_object_are_refused(saved):
    with pytest.raises(ObjectInvalid):
        _revised(saved(samples.composed("us", samples.picture())[0]), samples.words(sop_instance_uid="2.25.1"))


def test_a_time_of_1970_is_refused(saved):
    path = saved(samples.composed("us", samples.picture())[0])
    with pytest.raises(ClockUntrusted):
        _revised(path, samples.words(captured_at=samples.AT.replace(year=1970)))


def test_a_file_that_is_no_dicom_is_refused(saved):
    with pytest.raises(NotDicom):
        _revised(saved(b"nothing"), samples.words())


def test_the_list_of_what_a_revision_may_change_is_complete():
    """Whatever differs between two sets of words for one object is in IDENTITY, or cannot change in an exam."""
    one = samples.words()
    other = samples.words(
        exam_changes={
            "patient": Patient(
                patient_id="1", name="X", birth_date="20000101", sex="M", issuer_of_patient_id="I", comments="C"
            ),
            "scheduled": None,
            "started_at": samples.AT + timedelta(days=40),
            "study_instance_uid": "2.25.9",
            "operator": "",
        },
        captured_at=samples.AT + timedelta(days=40),
        station=replace(samples.words().station, timezone="Asia/Tokyo"),
    )
    of_words = (
        modules.patient,
        modules.general_study,
        modules.patient_study,
        modules.general_series,
        modules.general_acquisition,
    )
    for module in (*of_words, modules.sc_image):
        a, b = module(one), module(other)
        changed = {
            e.keyword for ds in (a, b) for e in ds if e.keyword not in a or e.keyword not in b or a[e.tag] != b[e.tag]
        }
        assert changed <= set(revise.IDENTITY), module.__name__
    assert words_.offset(one, one.captured_at) != words_.offset(other, other.captured_at)


def test_a_corrected_copy_has_other_uids_and_the_same_pixel_bytes_and_says_whose_copy_it_is(saved, read, kind):
    of, shown = samples.KINDS[kind]
    before = samples.composed(of, shown)[0]
    other = {
        "patient": Patient(patient_id="P-0043", name="Other^Name"),
        "scheduled": None,
        "study_instance_uid": "2.25.9",
    }
    said = samples.words(of, sop_instance_uid="2.25.7", series_instance_uid="2.25.8", exam_changes=other)
    old = read(before)
    after, written = _revised(saved(before), said, replaces=str(old.SOPInstanceUID))
    new = read(after)
    assert written.sop_instance_uid == new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID == "2.25.7"
    assert (new.StudyInstanceUID, new.SeriesInstanceUID, new.PatientID) == ("2.25.9", "2.25.8", "P-0043")
    assert new.PixelData == old.PixelData
    original = new.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert original[keyword] == old[keyword]
    assert verify.check(saved(after)) == []


def test_a_copy_is_made_of_the_object_that_it_is_said_to_replace(saved):
    with pytest.raises(ObjectInvalid):
        _revised(saved(samples.composed("us", samples.picture())[0]), samples.words(), replaces="2.25.1")


def _revised(path, words, **options):
    sink = io.BytesIO()
    written = revise.write(path, sink, words, modified_at=LATER, **options)
    return sink.getvalue(), written


def _pixels(data):
    return data[data.index(b"\xe0\x7f\x10\x00O") :]
