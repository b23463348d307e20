"""A calibration in source pixels measures the same length in the stored picture, whatever crop and resampling did to it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.objects import iods, regions
from gateway.profile import Calibration
from tests.objects import samples

DEPTH = Calibration(area=(100, 50, 400, 400), points=((520, 100), (520, 300)), length_cm=5.0)
M_MODE = Calibration(
    area=(100, 300, 400, 200),
    points=((100, 480), (300, 480)),
    length_s=2.0,
    vertical_points=((90, 300), (90, 500)),
    vertical_length_cm=10.0,
    spatial_format="m-mode",
)


def as_it_came(x, y):
    return x, y


def shown(**changes):
    return samples.picture(rows=576, columns=720, **changes)


def test_two_marks_of_the_depth_scale_give_both_directions():
    (region,) = regions.calibrate(shown(), [DEPTH], as_it_came).regions
    assert (region.x0, region.y0, region.x1, region.y1) == (100, 50, 499, 449)
    assert (region.delta_x, region.delta_y) == (0.025, 0.025)


def test_pixels_that_are_not_square_have_two_scales():
    (region,) = regions.calibrate(shown(pixel_aspect=(54, 59)), [DEPTH], as_it_came).regions
    assert region.delta_y == pytest.approx(0.025)
    assert region.delta_x == pytest.approx(0.025 * 59 / 54)


def test_a_vertical_pair_of_its_own_overrules_the_shape_of_the_pixels():
    both = replace(
        DEPTH,
        points=((100, 100), (300, 110)),
        length_cm=8.0,
        vertical_points=((520, 100), (525, 300)),
        vertical_length_cm=5.0,
    )
    (region,) = regions.calibrate(shown(pixel_aspect=(54, 59)), [both], as_it_came).regions
    assert (region.delta_x, region.delta_y) == (0.04, 0.025)


def test_m_mode_measures_time_to_the_right(read):
    (region,) = regions.calibrate(shown(), [M_MODE], as_it_came).regions
    assert (region.delta_x, region.delta_y) == (0.01, 0.05)
    ds = read(samples.composed("us", shown(regions=(region,)))[0])
    (item,) = ds.SequenceOfUltrasoundRegions
    assert (item.RegionSpatialFormat, item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection) == (2, 4, 3)


def test_a_crop_moves_the_area_and_cuts_it_off_but_not_the_scale():
    cropped = regions.calibrate(
        samples.picture(rows=300, columns=300), [DEPTH], lambda x, y: (x - 300.0, y - 100.0)
    ).regions
    assert [(r.x0, r.y0, r.x1, r.y1, r.delta_x) for r in cropped] == [(0, 0, 199, 299, 0.025)]


def test_a_region_outside_the_crop_is_left_out_and_said(read):
    aside = samples.picture(rows=100, columns=100, notes=("Before.",))
    one = regions.calibrate(aside, [DEPTH], lambda x, y: (x - 600.0, y))
    assert one.regions == ()
    assert read(samples.composed("us", one)[0]).ImageComments == (
        "Before.\r\nOne calibrated region lies outside the stored picture and was left out."
    )
    two = regions.calibrate(aside, [DEPTH, DEPTH], lambda x, y: (x - 600.0, y))
    assert two.notes[-1] == "2 calibrated regions lie outside the stored picture and were left out."


def test_a_resampled_picture_keeps_the_centimetres():
    square = regions.calibrate(samples.picture(rows=576, columns=768), [DEPTH], lambda x, y: (x * 768 / 720, y)).regions
    assert [(r.x0, r.x1, r.delta_x, r.delta_y) for r in square] == [(107, 532, 0.025, 0.025)]


@given(
    ax=st.integers(0, 719),
    ay=st.integers(0, 575),
    bx=st.integers(0, 719),
    by=st.integers(0, 575),
    scale=st.floats(0.5, 3),
    aspect=st.sampled_from([(1, 1), (54, 59), (11, 10)]),
)
def test_the_distance_of_the_two_points_is_what_the_profile_says(ax, ay, bx, by, scale, aspect):
    if (ax, ay) == (bx, by):
        return

    def to_picture(x, y):
        return (x - 40) * scale, (y - 20) * scale

    said = replace(DEPTH, points=((ax, ay), (bx, by)), length_cm=7.0)
    (region,) = regions.calibrate(
        samples.picture(rows=2000, columns=2500, pixel_aspect=aspect), [said], to_picture
    ).regions
    across, down = abs(bx - ax) * scale * region.delta_x, abs(by - ay) * scale * region.delta_y
    assert math.hypot(across, down) == pytest.approx(7.0)
    assert region.delta_y / region.delta_x == pytest.approx(aspect[0] / aspect[1])


@pytest.mark.parametrize(("frames", "iod"), [(1, iods.US_IMAGE), (3, iods.US_MULTI_FRAME)])
def test_both_kinds_of_ultrasound_say_where_to_measure(read, frames, iod):
    ds = read(samples.composed("us", regions.calibrate(shown(frames=frames), [DEPTH], as_it_came))[0])
    assert ds.SOPClassUID == iod.sop_class_uid
    (item,) = ds.SequenceOfUltrasoundRegions
    assert (item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags) == (1, 1, 0)
    assert (item.RegionLocationMinX0, item.RegionLocationMaxX1) == (100, 499)
    assert (item.RegionLocationMinY0, item.RegionLocationMaxY1) == (50, 449)
    assert (item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection) == (3, 3)
    assert (item.PhysicalDeltaX, item.PhysicalDeltaY) == (0.025, 0.025)
    assert "PixelSpacing" not in ds


def test_colour_flow_is_told_from_tissue(read):
    flow = regions.calibrate(shown(samples=3), [replace(DEPTH, data_type="colour_flow")], as_it_came)
    assert read(samples.composed("us", flow)[0]).SequenceOfUltrasoundRegions[0].RegionDataType == 2


def test_without_calibration_there_is_no_sequence(read):
    assert "SequenceOfUltrasoundRegions" not in read(samples.composed("us", samples.picture())[0])
