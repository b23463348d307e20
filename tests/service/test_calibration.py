"""What an installer measured on the whole picture is true in the object, whatever crop and resampling came between."""

import pytest
from msgspec import structs

from gateway.profile import Calibration
from tests.service.recordings import format_of, profile, yuyv

US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
DEPTH = Calibration(area=(10, 8, 40, 32), points=((60, 8), (60, 40)), length_cm=4.0)
ASIDE = Calibration(area=(0, 0, 5, 4), points=((60, 8), (60, 40)), length_cm=4.0)


def ultrasound(*calibrations, **chain):
    found = profile(**chain)
    kind = structs.replace(found.object, still="us", cine="us")
    return structs.replace(found, object=kind, region=calibrations)


def recorded(place, found, aspect=(1, 1)):
    fmt = structs.replace(format_of(), pixel_aspect=aspect)
    (ds,) = place.objects(place.record(place.ring([yuyv(number) for number in range(3)], fmt), found))
    assert ds.SOPClassUID == US_MULTI_FRAME
    return ds


def bounds(region):
    return (
        region.RegionLocationMinX0,
        region.RegionLocationMinY0,
        region.RegionLocationMaxX1,
        region.RegionLocationMaxY1,
    )


def test_a_whole_picture_has_its_region_where_it_was_drawn(place):
    (region,) = recorded(place, ultrasound(DEPTH)).SequenceOfUltrasoundRegions
    assert bounds(region) == (10, 8, 49, 39)
    assert (region.PhysicalDeltaX, region.PhysicalDeltaY) == (0.125, 0.125)


def test_a_crop_moves_the_region_and_says_which_one_is_outside(place):
    ds = recorded(place, ultrasound(DEPTH, ASIDE, crop=(20, 8, 40, 24)))
    (region,) = ds.SequenceOfUltrasoundRegions
    assert bounds(region) == (0, 0, 29, 23)
    assert (region.PhysicalDeltaX, region.PhysicalDeltaY) == (0.125, 0.125)
    assert "One calibrated region lies outside the stored picture and was left out." in ds.ImageComments


def test_pixels_kept_as_they_are_have_two_scales(place):
    ds = recorded(place, ultrasound(DEPTH), aspect=(2, 3))
    (region,) = ds.SequenceOfUltrasoundRegions
    assert list(ds.PixelAspectRatio) == [2, 3]
    assert region.PhysicalDeltaY == 0.125
    assert region.PhysicalDeltaX == pytest.approx(0.1875)


def test_pixels_made_square_have_one(place):
    ds = recorded(place, ultrasound(DEPTH, square_pixels="area"), aspect=(2, 3))
    (region,) = ds.SequenceOfUltrasoundRegions
    assert "PixelAspectRatio" not in ds
    assert region.PhysicalDeltaX == pytest.approx(region.PhysicalDeltaY, rel=0.02)
    height_cm = (region.RegionLocationMaxY1 - region.RegionLocationMinY0 + 1) * region.PhysicalDeltaY
    width_cm = (region.RegionLocationMaxX1 - region.RegionLocationMinX0 + 1) * region.PhysicalDeltaX
    assert height_cm == pytest.approx(32 * 0.125, abs=region.PhysicalDeltaY)
    assert width_cm == pytest.approx(40 * 0.1875, abs=region.PhysicalDeltaX)
    assert "113085" in [item.CodeValue for item in ds.DerivationCodeSequence]


def test_a_noise_filter_is_coded_as_one(place):
    ds = recorded(place, ultrasound(denoise="median3"))
    assert [item.CodeValue for item in ds.DerivationCodeSequence] == ["113087"]
