"""The measurement report says each value as the instrument stated it, with its unit, its time and its doubts."""

import pytest
from highdicom.sr import srread

from gateway.errors import ClockUntrusted, ObjectInvalid
from gateway.model import Code, Observation
from tests.objects import samples

MMHG = Code("mm[Hg]", "UCUM", "mmHg")
PRESSURE = Code("56844-4", "LN", "Intraocular pressure of Eye")


def test_every_value_arrives_with_unit_and_time(read):
    values = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in _values(samples.READINGS, read)}
    rate = values["Heart rate"]
    assert rate.MeasuredValueSequence[0].NumericValue == 72
    assert rate.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "/min"
    assert str(rate.ObservationDateTime) == "20261201123014.750000+0300"
    assert values["Comment"].TextValue == "Messung ok 中"
    assert str(values["Comment"].ObservationDateTime) == "20261201123015.250000+0300"


def test_a_doubt_is_a_comment_below_its_value(read):
    item = _values(samples.READINGS, read)[1]
    assert [child.TextValue for child in item.ContentSequence] == ["it is outside 0 to 10"]
    assert item.ContentSequence[0].RelationshipType == "HAS PROPERTIES"


@pytest.mark.parametrize(
    ("stated", "written", "exact"),
    [
        ("12.50", "12.50", None),
        ("-0.00", "-0.00", None),
        ("1E2", "1E2", None),
        ("3.14159265358979323", "3.14159265358979", 3.141592653589793),
    ],
)
def test_a_number_is_written_as_stated_or_says_how_it_was(read, stated, written, exact):
    item = _values([Observation(concept=PRESSURE, value=stated, unit=MMHG)], read)[0]
    value = item.MeasuredValueSequence[0]
    assert value["NumericValue"].value.original_string == written
    assert value.get("FloatingPointValue") == exact
    assert ("ContentSequence" in item) is (exact is not None)


@pytest.mark.parametrize("stated", ["----", "OVER", "", "NaN", "1e999", "12,5"])
def test_what_is_no_number_is_kept_as_text_and_said(read, stated):
    item = _values([Observation(concept=PRESSURE, value=stated, unit=MMHG)], read)[0]
    assert (item.ValueType, item.TextValue) == ("TEXT", stated or "(nothing)")
    assert "not a number" in item.ContentSequence[0].TextValue


def test_a_unit_or_concept_with_a_long_code_is_a_long_code_value(read):
    long = Code("1234567890123456789", "99LAB", "Something long")
    item = _values([Observation(concept=long, value="1", unit=MMHG)], read)[0]
    assert item.ConceptNameCodeSequence[0].LongCodeValue == long.value
    assert "CodeValue" not in item.ConceptNameCodeSequence[0]


def test_a_report_of_nothing_is_refused():
    with pytest.raises(ObjectInvalid):
        samples.report(())


def test_a_report_of_1970_is_never_written():
    with pytest.raises(ClockUntrusted):
        samples.report(captured_at=samples.AT.replace(year=1970))


def test_highdicom_reads_it_as_a_measurement_report(saved):
    report = srread(saved(samples.report()[0].getvalue()))
    groups = report.content.get_planar_roi_measurement_groups(), report.content.get_image_measurement_groups()
    measured = [value for found in groups for group in found for value in group.get_measurements()]
    assert sorted(str(value.value) for value in measured) == ["12.5", "72.0"]


def test_the_request_and_the_clock_note_are_said(read):
    ds = read(samples.report(exam_changes={"clock_note": "A person confirmed the time."})[0].getvalue())
    assert ds.ReferencedRequestSequence[0].AccessionNumber == "A-17"
    assert ds.ContentSequence[-1].TextValue == "Clock: A person confirmed the time."
    assert "ReferencedRequestSequence" not in read(samples.report(exam_changes={"scheduled": None})[0].getvalue())


def _values(observations, read):
    """The content items of the measurement group, without its tracking."""
    ds = read(samples.report(observations)[0].getvalue())
    measurements = next(item for item in ds.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    return measurements.ContentSequence[0].ContentSequence[2:]
