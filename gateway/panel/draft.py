"""What an engineer typed or drew over a picture to the keys of a profile, and back: crop, mask, calibration.

The rule: what was typed stays as it was typed until it is right; a mistake is a sentence, and nothing is rounded or moved in
silence. Lengths are pixels of the source, origin top left, as `profile.PixelChain` and `profile.Calibration` count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct
from werkzeug.datastructures import MultiDict

from gateway.panel.language import gettext
from gateway.profile import Calibration, ModalityProfile, Points, Polygon, Rectangle
from gateway.tables import Table

Typed = tuple[str, str, str, str]
NOTHING: Final[Typed] = ("", "", "", "")
CORNERS: Final = 3
"""The least of a slanted area."""


class Scale(Struct, frozen=True):
    """A calibration as it was typed: the area, two points, and the centimetres between them."""

    area: Typed = NOTHING
    points: Typed = NOTHING
    length: str = ""


class Sheet(Struct, frozen=True, kw_only=True):
    """What stands in the form."""

    crop: Typed = NOTHING
    masks: tuple[Typed, ...] = ()
    polygons: str = ""
    """One slanted area a line: `x,y x,y x,y`."""
    is_covering: bool = False
    scales: tuple[Scale, ...] = ()
    name: str = ""
    is_only: bool = True
    """The profile is then for the mode that arrives now, and no other."""


class Drawn(Struct, frozen=True, kw_only=True):
    """What of it makes sense."""

    crop: Rectangle | None = None
    masks: tuple[Rectangle | None, ...] = ()
    """As in the sheet, one by one; None where what was typed is no area."""
    polygons: tuple[Polygon, ...] = ()
    scales: tuple[Calibration | None, ...] = ()
    """As in the sheet. One without a length is drawn, and is a problem."""
    problems: tuple[str, ...] = ()
    """Each a sentence; with one, nothing is saved."""
    doubts: tuple[str, ...] = ()
    """Sentences on what may be saved, and is probably not meant."""


def sheet_of(found: ModalityProfile, name: str) -> Sheet:
    """Return the form as the profile fills it; `name` is what it would be saved as."""
    return Sheet(
        crop=_typed(found.chain.crop) if found.chain.crop else NOTHING,
        masks=tuple(_typed(area) for area in found.chain.mask),
        polygons="\n".join(" ".join(f"{x},{y}" for x, y in polygon) for polygon in found.chain.mask_polygons),
        is_covering=found.chain.mask_covers_all_text,
        scales=tuple(
            Scale(_typed(each.area), _typed((*each.points[0], *each.points[1])), f"{each.length_cm:g}")
            for each in found.region
            if is_simple(each)
        ),
        name=name,
    )


def sheet_from(form: MultiDict[str, str]) -> Sheet:
    """Return the form as it was sent."""
    areas, points = _fours(form.getlist("area")), _fours(form.getlist("points"))
    lengths = [each.strip() for each in form.getlist("length")]
    return Sheet(
        crop=next(iter(_fours(form.getlist("crop"))), NOTHING),
        masks=tuple(_fours(form.getlist("mask"))),
        polygons=form.get("polygons", "").replace("\r", "").strip(),
        is_covering="covers" in form,
        scales=tuple(Scale(*each) for each in zip(areas, points, lengths, strict=False)),
        name=form.get("name", "").strip(),
        is_only="only" in form,
    )


def drawn(sheet: Sheet, size: tuple[int, int] | None) -> Drawn:
    """Read what was typed; `size` is the picture's, (columns, rows), where one has been seen."""
    reading = _Reading(size)
    crop = reading.area(gettext("Crop"), sheet.crop)
    masks = [
        reading.area(gettext("Mask %(number)d", number=number), typed) for number, typed in enumerate(sheet.masks, 1)
    ]
    polygons = [
        polygon
        for number, line in enumerate(filter(None, map(str.strip, sheet.polygons.split("\n"))), 1)
        if (polygon := reading.polygon(gettext("Slanted area %(number)d", number=number), line))
    ]
    scales = [
        reading.scale(gettext("Scale %(number)d", number=number), each) for number, each in enumerate(sheet.scales, 1)
    ]
    return Drawn(
        crop=crop,
        masks=tuple(masks),
        polygons=tuple(polygons),
        scales=tuple(scales),
        problems=tuple(reading.problems),
        doubts=tuple(_doubts(crop, masks, is_covering=sheet.is_covering, is_masked=any(masks) or bool(polygons))),
    )


def table_of(base: Mapping[str, object], made: Drawn, *, is_covering: bool, standard: str) -> Table:
    """Return the profile's table with what was drawn in it; `standard` is the only one it is for, empty for as before."""
    table = dict(base)
    chain, said = _table(base, "chain"), _table(base, "input")
    chain |= {
        "crop": list(made.crop) if made.crop else None,
        "mask": [list(area) for area in made.masks if area],
        "mask_polygons": [[list(point) for point in polygon] for polygon in made.polygons],
        "mask_covers_all_text": is_covering,
    }
    table["chain"] = {key: value for key, value in chain.items() if value not in (None, [], False)}
    table["input"] = said | ({"standards": [standard]} if standard else {})
    regions = base.get("region", [])
    kept = [each for each in regions if not _is_simple(each)] if isinstance(regions, list) else []
    table["region"] = [*(_calibration(each) for each in made.scales if each), *kept]
    if not table["region"]:
        del table["region"]
    return table


def is_simple(calibration: Calibration) -> bool:
    """Say whether it is of the kind that is drawn here; any other stays as it is in the file."""
    is_plain = calibration.spatial_format == "2d" and calibration.data_type == "tissue"
    return is_plain and calibration.vertical_points is None


class _Reading:
    """What has been read so far, and what was wrong with it."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.problems: list[str] = []
        self._size = size

    def area(self, what: str, typed: Typed) -> Rectangle | None:
        numbers = self._numbers(what, typed)
        if numbers is None:
            return None
        x, y, width, height = numbers
        if width < 1 or height < 1:
            self.problems.append(gettext("%(what)s: width and height must be at least 1.", what=what))
            return None
        return (x, y, width, height) if self._is_inside(what, [(x, y), (x + width, y + height)]) else None

    def polygon(self, what: str, line: str) -> Polygon | None:
        try:
            points = tuple((int(x), int(y)) for x, y in (each.split(",") for each in line.split()))
        except ValueError:
            points = ()
        if len(points) < CORNERS:
            self.problems.append(gettext("%(what)s: write three points or more, as 10,20 200,20 10,90.", what=what))
            return None
        return points if self._is_inside(what, points) else None

    def scale(self, what: str, typed: Scale) -> Calibration | None:
        if (typed.area, typed.points, typed.length) == (NOTHING, NOTHING, ""):
            return None
        area, ends = self.area(what, typed.area), self._numbers(what, typed.points)
        try:
            length_cm = float(typed.length.replace(",", "."))
        except ValueError:
            length_cm = 0.0
        if NOTHING in {typed.area, typed.points}:
            self.problems.append(gettext("%(what)s: fill in the area and both points.", what=what))
            return None
        if not 0 < length_cm < float("inf"):
            self.problems.append(gettext("%(what)s: how many centimetres lie between the two points?", what=what))
            length_cm = 0.0
        if area is None or ends is None:
            return None
        points: Points = ((ends[0], ends[1]), (ends[2], ends[3]))
        if points[0] == points[1]:
            self.problems.append(gettext("%(what)s: the two points are the same.", what=what))
            return None
        return Calibration(area=area, points=points, length_cm=length_cm) if self._is_inside(what, points) else None

    def _numbers(self, what: str, typed: Typed) -> tuple[int, int, int, int] | None:
        if typed == NOTHING:
            return None
        try:
            first, second, third, fourth = (int(each) for each in typed)
        except ValueError:
            self.problems.append(gettext("%(what)s: fill in all four numbers, or none.", what=what))
            return None
        return first, second, third, fourth

    def _is_inside(self, what: str, points: Iterable[tuple[int, int]]) -> bool:
        columns, rows = self._size or (1 << 16, 1 << 16)
        if all(0 <= x <= columns and 0 <= y <= rows for x, y in points):
            return True
        self.problems.append(
            gettext(
                "%(what)s reaches outside the picture, which has %(width)d × %(height)d pixels.",
                what=what,
                width=columns,
                height=rows,
            )
        )
        return False


def _doubts(
    crop: Rectangle | None, masks: Iterable[Rectangle | None], *, is_covering: bool, is_masked: bool
) -> Iterator[str]:
    for number, area in enumerate(masks, 1):
        if area and crop and not _meets(area, crop):
            yield gettext("Mask %(number)d lies outside the crop: it covers nothing.", number=number)
    if is_covering and not (crop or is_masked):
        yield gettext("Nothing is cropped and nothing is masked: is there really no text in this picture?")


def _meets(one: Rectangle, other: Rectangle) -> bool:
    ax, ay, aw, ah = one
    bx, by, bw, bh = other
    return ax < bx + bw and bx < ax + aw and ay < by + bh and by < ay + ah


def _typed(numbers: tuple[int, int, int, int]) -> Typed:
    first, second, third, fourth = (str(each) for each in numbers)
    return first, second, third, fourth


def _fours(values: list[str]) -> list[Typed]:
    stripped = [each.strip() for each in values]
    return [
        (stripped[at], stripped[at + 1], stripped[at + 2], stripped[at + 3]) for at in range(0, len(stripped) - 3, 4)
    ]


def _table(base: Mapping[str, object], key: str) -> Table:
    found = base.get(key, {})
    return dict(found) if isinstance(found, dict) else {}


def _calibration(made: Calibration) -> Table:
    return {
        "area": list(made.area),
        "points": [list(point) for point in made.points],
        "length_cm": made.length_cm,
    }


def _is_simple(region: object) -> bool:
    return isinstance(region, dict) and is_simple(msgspec.convert(region, Calibration))
