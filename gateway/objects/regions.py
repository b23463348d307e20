"""The calibration of a profile to the regions of an ultrasound picture: from source pixels to those that are stored.

What a length on the screen is stays true through crop and resampling: the points are mapped as the picture is, and measured
there. A region of which nothing is left in the picture is left out, and the object says so (law 4). PS3.3 C.8.5.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from msgspec import structs
from pydicom.dataset import Dataset

from gateway.model import Picture, Region
from gateway.objects.attributes import dataset
from gateway.profile import Calibration, Points

ToPicture = Callable[[float, float], tuple[float, float]]
"""A point of the source to the stored picture, both measured from the top left corner of the top left pixel."""

_SPATIAL_FORMATS = {"2d": 1, "m-mode": 2}
_DATA_TYPES = {"tissue": 1, "colour_flow": 2}
_CENTIMETRES, _SECONDS = 3, 4
_HIGH_PRIORITY = 0
"""RegionFlags: nothing overlaps, nothing protects the scale, nothing is Doppler (C.8.5.5.1.3)."""


def calibrate(picture: Picture, calibrations: Sequence[Calibration], to_picture: ToPicture) -> Picture:
    """Return the picture with the regions that lie in it; those outside become a note. `picture.pixel_aspect` must stand."""
    regions = []
    left_out = 0
    for calibration in calibrations:
        area = _area(picture, calibration, to_picture)
        if area is None:
            left_out += 1
            continue
        delta_x, delta_y = _deltas(calibration, to_picture, picture.pixel_aspect)
        x0, y0, x1, y1 = area
        regions.append(
            Region(
                x0=x0,
                y0=y0,
                x1=x1,
                y1=y1,
                delta_x=delta_x,
                delta_y=delta_y,
                spatial_format=calibration.spatial_format,
                data_type=calibration.data_type,
            )
        )
    note = (_left_out(left_out),) if left_out else ()
    return structs.replace(picture, regions=tuple(regions), notes=(*picture.notes, *note))


def us_region_calibration(picture: Picture) -> Dataset:
    """C.8.5.5: the regions in which a length can be measured; nothing where none is known."""
    return dataset(SequenceOfUltrasoundRegions=[_item(region) for region in picture.regions] or None)


def _item(region: Region) -> Dataset:
    return dataset(
        RegionSpatialFormat=_SPATIAL_FORMATS[region.spatial_format],
        RegionDataType=_DATA_TYPES[region.data_type],
        RegionFlags=_HIGH_PRIORITY,
        RegionLocationMinX0=region.x0,
        RegionLocationMinY0=region.y0,
        RegionLocationMaxX1=region.x1,
        RegionLocationMaxY1=region.y1,
        PhysicalUnitsXDirection=_SECONDS if region.spatial_format == "m-mode" else _CENTIMETRES,
        PhysicalUnitsYDirection=_CENTIMETRES,
        PhysicalDeltaX=region.delta_x,
        PhysicalDeltaY=region.delta_y,
    )


def _area(picture: Picture, calibration: Calibration, to_picture: ToPicture) -> tuple[int, int, int, int] | None:
    """Return the whole stored pixels of an area: first and last column and row; None when fewer than two remain a side."""
    x, y, width, height = calibration.area
    left, top = to_picture(x, y)
    right, bottom = to_picture(x + width, y + height)
    x0, y0 = max(0, round(left)), max(0, round(top))
    x1, y1 = min(picture.columns, round(right)) - 1, min(picture.rows, round(bottom)) - 1
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _deltas(calibration: Calibration, to_picture: ToPicture, aspect: tuple[int, int]) -> tuple[float, float]:
    """Return what one stored pixel to the right and one down are.

    One pair of points gives both by the shape of the pixels (`aspect`: vertical, horizontal); with a vertical pair, the
    first gives the columns and the second the rows.
    """
    across, down = _between(calibration.points, to_picture)
    if calibration.vertical_points is not None:
        vertical = calibration.vertical_length_cm / _between(calibration.vertical_points, to_picture)[1]
        return (calibration.length_s or calibration.length_cm) / across, vertical
    height_to_width = aspect[0] / aspect[1]
    delta_x = calibration.length_cm / math.hypot(across, down * height_to_width)
    return delta_x, delta_x * height_to_width


def _between(points: Points, to_picture: ToPicture) -> tuple[float, float]:
    (ax, ay), (bx, by) = (to_picture(*point) for point in points)
    return abs(bx - ax), abs(by - ay)


def _left_out(count: int) -> str:
    if count == 1:
        return "One calibrated region lies outside the stored picture and was left out."
    return f"{count} calibrated regions lie outside the stored picture and were left out."
