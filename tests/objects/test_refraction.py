"""Measurements of eyes and spectacles: each value where the standard wants it, nothing guessed, and what is doubtful said."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import codes, uids
from gateway.errors import ObjectInvalid
from gateway.model import Code, Equipment, MeasurementKind, Observation, ReadingSet
from gateway.objects import revise, stated
from gateway.profile import READINGS
from tests.objects import samples


def objects_of(observations):
    return [
        (kind, held.observations)
        for kind, held in stated.objects_of(ReadingSet(observations=observations, received_ns=0))
    ]


def made(read, observations, **changes):
    return read(samples.measured(observations, **changes)[0])


def test_a_lens_keeps_sphere_cylinder_axis_addition_and_prism_of_each_side(read):
    ds = made(read, samples.EYES["lensometry"])
    right, left = ds.RightLensSequence[0], ds.LeftLensSequence[0]
    assert (right.SpherePower, right.CylinderSequence[0].CylinderPower, right.CylinderSequence[0].CylinderAxis) == (
        -1.25,
        -0.75,
        120,
    )
    assert (right.AddNearSequence[0].AddPower, left.AddNearSequence[0].AddPower) == (2.0, 2.25)
    prism = right.PrismSequence[0]
    assert (prism.HorizontalPrismPower, prism.HorizontalPrismBase) == (2.5, "IN")
    assert (prism.VerticalPrismPower, prism.VerticalPrismBase) == (2.0, "DOWN")
    assert left.SpherePower == -2.0
    assert "CylinderSequence" not in left, "a cylinder of 0.00 is none"
    assert (ds.Modality, ds.MeasurementLaterality) == ("LEN", "B")


def test_a_lens_of_neither_side_is_not_given_one(read):
    ds = made(read, samples.EYES["single-lens"])
    assert "RightLensSequence" not in ds
    lens = ds.UnspecifiedLateralityLensSequence[0]
    assert (lens.AddIntermediateSequence[0].AddPower, lens.AddNearSequence[0].AddPower) == (1.75, 3.0)
    assert "two additions were stated, 1.75 and 3.00: the greater is the near one" in ds.ImageComments


def test_a_lens_of_neither_side_beside_others_is_said_and_has_no_item(read):
    ds = made(read, samples.EYES["lensometry"] + samples.EYES["single-lens"])
    assert "UnspecifiedLateralityLensSequence" not in ds
    assert "Of neither side: Power of sphere -1.25" in ds.ImageComments


def test_one_eye_and_the_distance_of_both_pupils_are_a_measurement_of_one_eye(read):
    one = tuple(each for each in samples.EYES["autorefraction"] if each.laterality != "L")
    assert made(read, one).MeasurementLaterality == "R"


def test_an_autorefraction_keeps_the_distance_of_the_pupils(read):
    ds = made(read, samples.EYES["autorefraction"])
    assert ds.AutorefractionRightEyeSequence[0].SpherePower == -1.25
    assert ds.DistancePupillaryDistance == 64.0
    assert "Right: Vertex distance: 12.00." in ds.ImageComments
    assert "Both: " not in ds.ImageComments


def test_the_distance_of_the_pupils_that_a_lensmeter_states_is_said(read):
    distance = Observation(concept=codes.DISTANCE_PD, value="64.0", unit=codes.MILLIMETRE, laterality="B")
    ds = made(read, (*samples.EYES["lensometry"], replace(distance, part_of=MeasurementKind.LENSOMETRY)))
    assert "DistancePupillaryDistance" not in ds
    assert ds.ImageComments == "Both: Distance Pupillary Distance: 64.0."


def test_an_eye_of_neither_side_goes_into_the_report():
    """Autorefraction has no place for one: an object without an eye would lose it."""
    lost = tuple(replace(one, laterality="") for one in samples.EYES["autorefraction"] if one.laterality == "R")
    assert objects_of(lost) == [(READINGS, lost)]


def test_the_meridian_of_the_greater_radius_is_the_flat_one_and_what_was_computed_is_said(read):
    ds = made(read, samples.EYES["keratometry"])
    steep = ds.KeratometryLeftEyeSequence[0].SteepKeratometricAxisSequence[0]
    flat = ds.KeratometryLeftEyeSequence[0].FlatKeratometricAxisSequence[0]
    assert (flat.RadiusOfCurvature, flat.KeratometricPower, flat.KeratometricAxis) == (7.95, 42.45, 176)
    assert (steep.RadiusOfCurvature, steep.KeratometricPower, steep.KeratometricAxis) == (7.71, 43.77, 86)
    assert "Left: the keratometric powers were computed from the radii with the index 1.3375." in ds.ImageComments


VERTICAL = ["Vertical Prism Power: 2.00.", "Vertical Prism Base: DOWN."]
RADII = [
    "Radius of curvature of the first meridian: 7.86.",
    "Radius of curvature of the second meridian: 7.53.",
]


@pytest.mark.parametrize(
    ("kind", "missing", "said"),
    [
        ("lensometry", codes.AXIS, ["Power of cylinder: -0.75."]),
        ("lensometry", codes.HORIZONTAL_PRISM, ["Horizontal Prism Base: IN.", *VERTICAL]),
        ("keratometry", codes.MERIDIAN_1, RADII),
    ],
)
def test_what_is_too_little_for_an_item_of_an_eye_is_said_and_nothing_is_computed_from_it(read, kind, missing, said):
    """The other eye is whole, so that there is an object, which must lose nothing that the instrument stated."""
    rest = tuple(one for one in samples.EYES[kind] if (one.concept, one.laterality) != (missing, "R"))
    lines = made(read, rest).ImageComments.split("\r\n")
    assert [line for line in lines if line.startswith("Right: ")] == [f"Right: {each}" for each in said]


def test_a_doubt_is_kept_with_the_value_and_said(read):
    observations = tuple(
        replace(one, value="181", doubts=("it is above 180",)) if one.concept == codes.AXIS else one
        for one in samples.EYES["lensometry"]
    )
    ds = made(read, observations)
    assert ds.RightLensSequence[0].CylinderSequence[0].CylinderAxis == 181
    assert "Right: Axis of cylinder, 181: it is above 180." in ds.ImageComments


def test_what_nobody_told_of_the_maker_is_said_to_be_unknown(read):
    ds = made(read, samples.EYES["lensometry"], equipment=Equipment(manufacturer="NIDEK", model_name="LM-1000P"))
    assert (ds.Manufacturer, ds.DeviceSerialNumber, ds.SoftwareVersions) == ("NIDEK", "UNKNOWN", "UNKNOWN")


def test_an_eye_without_a_sphere_has_no_item_and_a_measurement_without_an_eye_goes_into_the_report():
    lost = tuple(replace(one, value="ERR") for one in samples.EYES["lensometry"] if one.concept == codes.SPHERE)
    assert objects_of(lost) == [(READINGS, lost)]
    with pytest.raises(ObjectInvalid):
        samples.measured(lost)


def test_each_measurement_of_a_set_becomes_its_own_object_and_the_rest_the_report():
    pressure = Observation(concept=codes.PRESSURE, value="15.0", unit=codes.MMHG, laterality="R")
    everything = (pressure, *samples.EYES["keratometry"], *samples.EYES["final-prescription"])
    found = objects_of(everything)
    assert [kind.modality for kind, _ in found] == ["KER", "SRF", "SR"]
    assert found[-1][1] == (pressure,)
    assert sum(len(values) for _, values in found) == len(everything)


@pytest.mark.parametrize("name", samples.EYES)
def test_an_identity_given_later_changes_no_value(read, saved, name):
    emergency = samples.measured(samples.EYES[name], exam_changes={"patient": None, "scheduled": None})[0]
    sink = io.BytesIO()
    words = samples.words(sop_instance_uid=uids.instance(samples.EXAM, "ar", 2, 0))
    revise.write(saved(emergency), sink, words, modified_at=samples.AT)
    before, after = read(emergency), read(sink.getvalue())
    assert (before.PatientID, after.PatientID) == (f"EMERGENCY-{samples.EXAM.hex[:8].upper()}", "P-0042")
    assert after.Modality == before.Modality
    for element in before:
        if element.VR == "SQ" and element.keyword.endswith(("EyeSequence", "LensSequence")):
            assert after[element.tag] == element
    for line in str(before.get("ImageComments", "")).split("\r\n"):
        assert line in str(after.get("ImageComments", ""))


concepts = st.sampled_from([one for one in vars(codes).values() if isinstance(one, Code)])
observations = st.lists(
    st.builds(
        Observation,
        concept=concepts,
        value=st.one_of(st.text(max_size=8), st.decimals(allow_nan=True, allow_infinity=True).map(str)),
        unit=st.sampled_from([None, codes.DIOPTRE]),
        laterality=st.sampled_from(["", "R", "L", "B"]),
        part_of=st.sampled_from([None, *MeasurementKind]),
    ),
    min_size=1,
    max_size=12,
)


@given(observations)
def test_any_observations_become_objects_or_a_named_error_and_none_is_lost(found):
    objects = objects_of(tuple(found))
    assert [one for one in found if not any(one in values for _, values in objects)] == []
    twice = [one for one in found if one.part_of is not MeasurementKind.ACUITY]  # each acuity has the chart
    assert sum(one in twice for _, values in objects for one in values) == len(twice)
    for kind, values in objects:
        if kind is not READINGS:
            try:
                samples.measured(values)
            except ObjectInvalid:
                continue


def test_an_acuity_is_an_object_of_its_own_with_the_chart_it_was_tested_with(read):
    habitual = tuple(
        replace(one, concept=codes.HABITUAL_ACUITY) if one.concept == codes.PRESCRIPTION_ACUITY else one
        for one in samples.EYES["visual-acuity"]
    )
    both = tuple(one for one in samples.EYES["visual-acuity"] if one.laterality) + habitual
    found = objects_of(both)
    assert [kind.modality for kind, _ in found] == ["VA", "VA"]
    prescribed, worn = (made(read, observations) for _, observations in found)
    assert prescribed.VisualAcuityTypeCodeSequence[0].CodeValue == "111687"
    assert worn.VisualAcuityTypeCodeSequence[0].CodeValue == "111686"
    assert prescribed.VisualAcuityRightEyeSequence[0].DecimalVisualAcuity == 1.0
    assert prescribed.VisualAcuityLeftEyeSequence[0].DecimalVisualAcuity == 0.8
    assert (prescribed.Optotype, prescribed.OptotypeDetailedDefinition, prescribed.OptotypePresentation) == (
        "LETTERS",
        "Sloan letters",
        "MULTIPLE",
    )
    assert (prescribed.BackgroundColor, prescribed.ViewingDistanceType) == ("WHITE", "DISTANCE")
    assert "ImageComments" not in prescribed


def test_the_acuity_of_both_eyes_open_has_an_item_of_its_own(read):
    one = replace(samples.EYES["visual-acuity"][0], laterality="B", value="1.25")
    ds = made(read, (one, *(each for each in samples.EYES["visual-acuity"] if not each.laterality)))
    assert ds.VisualAcuityBothEyesOpenSequence[0].DecimalVisualAcuity == 1.25
    assert "VisualAcuityRightEyeSequence" not in ds


def test_without_a_chart_an_acuity_goes_into_the_report():
    told = tuple(replace(one, part_of=None) for one in samples.EYES["visual-acuity"] if one.laterality)
    assert objects_of(told) == [(READINGS, told)]
