"""A rejection note names what was discarded after it had left, in its study, and is what a PACS knows as one."""

import pytest
from pydicom.sr._concepts_dict import concepts

from gateway.errors import ClockUntrusted, ObjectInvalid
from gateway.objects import note
from tests.objects import samples

IMAGE, REPORT = samples.REJECTED


@pytest.fixture
def ds(read):
    return read(samples.rejection()[0])


def test_its_title_says_that_what_it_names_is_rejected(ds):
    title = ds.ConceptNameCodeSequence[0]
    assert (ds.SOPClassUID, ds.Modality) == ("1.2.840.10008.5.1.4.1.1.88.59", "KO")
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113001", "DCM")
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"


def test_it_names_each_object_in_its_tree_and_in_its_evidence(ds):
    named = [(item.ValueType, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in _named(ds)]
    assert named == [("IMAGE", IMAGE.sop_instance_uid), ("COMPOSITE", REPORT.sop_instance_uid)]
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == ds.StudyInstanceUID == samples.STEP.study_instance_uid
    evidence = {
        series.SeriesInstanceUID: [(sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID) for sop in sops]
        for series in study.ReferencedSeriesSequence
        for sops in [series.ReferencedSOPSequence]
    }
    assert evidence == {
        one.series_instance_uid: [(one.sop_class_uid, one.sop_instance_uid)] for one in samples.REJECTED
    }


@pytest.mark.parametrize("why", [note.DISCARDED, note.WRONG_ENTRY, note.WRONG_PATIENT])
def test_a_reason_is_a_title_of_the_standard_and_a_sentence(read, why):
    """CID 7010, as pydicom has it from PS3.16."""
    ds = read(samples.rejection(why=why)[0])
    title = ds.ConceptNameCodeSequence[0]
    meanings = {meaning: names for meaning, names in concepts["DCM"].items() if why.title.value in names}
    assert [(names[why.title.value][0], 7010 in names[why.title.value][1]) for names in meanings.values()] == [
        (title.CodeMeaning, True)
    ]
    assert why.description in [item.TextValue for item in ds.ContentSequence if item.ValueType == "TEXT"]


def test_segments_of_one_film_stand_in_one_series(read):
    segments = [samples.rejected("cine", number, IMAGE.sop_class_uid) for number in (3, 4)]
    (study,) = read(samples.rejection(segments)[0]).CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert [sop.ReferencedSOPInstanceUID for sop in series.ReferencedSOPSequence] == [
        one.sop_instance_uid for one in segments
    ]


def test_it_says_who_discarded_and_for_which_order(ds, read):
    said = {item.ConceptNameCodeSequence[0].CodeValue: item for item in ds.ContentSequence[:4]}
    assert said["121008"].PersonName == "Lee^Kim"
    assert said["113012"].TextValue == "Discarded at the modality after it had been sent."
    assert ds.ReferencedRequestSequence[0].AccessionNumber == "A-17"
    codes = [item.get("ConceptNameCodeSequence", [{}])[0] for item in read(samples.rejection(by="")[0]).ContentSequence]
    assert "121008" not in [each.CodeValue for each in codes if each]


def test_it_keeps_what_is_known_of_the_clock(read):
    ds = read(samples.rejection(exam_changes={"clock_note": "A person confirmed the time."})[0])
    said = [item.TextValue for item in ds.ContentSequence if item.ValueType == "TEXT"]
    assert said == ["Discarded at the modality after it had been sent.\r\nClock: A person confirmed the time."]


def test_a_note_about_nothing_or_of_1970_is_never_written():
    with pytest.raises(ObjectInvalid):
        samples.rejection(())
    with pytest.raises(ClockUntrusted):
        samples.rejection(captured_at=samples.AT.replace(year=1970))


def _named(ds):
    return [item for item in ds.ContentSequence if "ReferencedSOPSequence" in item]
