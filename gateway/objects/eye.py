"""Observations of an eye or of spectacles to the modules that hold them: one function a module, named as in PS3.3.

A value is written as it was stated; an eye without a sphere, or a cornea without both meridians, has no item, and a note
says what was stated of it. Of a cornea the standard asks both radius and power: the one that was not stated is computed with
the keratometric index 1.3375, and a note says so. PS3.3 C.8.25.7 (General Ophthalmic Refractive Measurements) and the modules of A.60.1 to A.60.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

from pydicom.dataset import Dataset

from gateway import codes
from gateway.model import Code, MeasurementKind, Observation
from gateway.objects import modules
from gateway.objects import words as words_
from gateway.objects.attributes import code, dataset
from gateway.objects.words import Words

INDEX = Decimal("337.5")
"""Power in dioptres times radius in millimetres, for the keratometric index 1.3375."""
UNKNOWN = "UNKNOWN"
"""What stands for a name or number of the instrument that nobody told the gateway: the standard wants a value there."""

Readings = Sequence[Observation]


class Eye:
    """What was observed of one eye (or lens): the last value of each concept."""

    def __init__(self, readings: Readings, laterality: str) -> None:
        """`laterality`: R, L, or empty for a lens of neither."""
        self._values = {one.concept: one.value for one in readings if one.laterality == laterality}

    def number(self, concept: Code) -> Decimal | None:
        """Return a value; None when there is none, or what was stated is no number."""
        return number(self._values.get(concept, ""))

    def text(self, concept: Code) -> str:
        """Return a value as text; empty when there is none."""
        return self._values.get(concept, "")


def number(stated: str) -> Decimal | None:
    """Return a finite decimal number; None for anything else."""
    try:
        found = Decimal(stated)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) < 300 else None


def general_series(words: Words) -> Dataset:
    """C.7.3.1: without Laterality, as MeasurementLaterality says it."""
    return modules.general_series(words, has_sides=False)


def enhanced_general_equipment(words: Words) -> Dataset:
    """C.7.5.2: all of it must have a value."""
    equipment = words.equipment
    return dataset(
        Manufacturer=equipment.manufacturer or UNKNOWN,
        ManufacturerModelName=equipment.model_name or UNKNOWN,
        DeviceSerialNumber=equipment.serial_number or UNKNOWN,
        SoftwareVersions=equipment.software_versions or UNKNOWN,
    )


def lensometry_measurements_series(_words: Words) -> Dataset:
    """C.8.25.1."""
    return dataset(Modality="LEN")


def autorefraction_measurements_series(_words: Words) -> Dataset:
    """C.8.25.2."""
    return dataset(Modality="AR")


def keratometry_measurements_series(_words: Words) -> Dataset:
    """C.8.25.3."""
    return dataset(Modality="KER")


def subjective_refraction_measurements_series(_words: Words) -> Dataset:
    """C.8.25.4."""
    return dataset(Modality="SRF")


def general_ophthalmic_refractive_measurements(words: Words, readings: Readings) -> Dataset:
    """C.8.25.7: when, of which eyes, and why a value may be wrong."""
    sides = {one.laterality for one in readings} & {"R", "L"}
    side = "B" if len(sides) > 1 else next(iter(sides), None)
    return dataset(
        ContentDate=words_.da(words, words.captured_at),
        ContentTime=words_.tm(words, words.captured_at),
        InstanceNumber=words.instance_number,
        MeasurementLaterality=side,
        Laterality="" if side is None else None,
        ImageComments="\r\n".join((*notes(readings), *modules.comments(words))) or None,
    )


def lensometry_measurements(_words: Words, readings: Readings) -> Dataset:
    """C.8.25.8: the lenses of spectacles; one of unknown side only where no other is."""
    right, left = _item(readings, "R", _lens), _item(readings, "L", _lens)
    return dataset(
        LensDescription="",
        RightLensSequence=right,
        LeftLensSequence=left,
        UnspecifiedLateralityLensSequence=None if right or left else _item(readings, "", _lens),
    )


def autorefraction_measurements(_words: Words, readings: Readings) -> Dataset:
    """C.8.25.9."""
    return dataset(
        AutorefractionRightEyeSequence=_item(readings, "R", _refraction),
        AutorefractionLeftEyeSequence=_item(readings, "L", _refraction),
        **_distances(readings),
    )


def keratometry_measurements(_words: Words, readings: Readings) -> Dataset:
    """C.8.25.10: both meridians of each cornea."""
    return dataset(
        KeratometryRightEyeSequence=_item(readings, "R", _cornea),
        KeratometryLeftEyeSequence=_item(readings, "L", _cornea),
    )


def subjective_refraction_measurements(_words: Words, readings: Readings) -> Dataset:
    """C.8.25.11."""
    return dataset(
        SubjectiveRefractionRightEyeSequence=_item(readings, "R", _lens),
        SubjectiveRefractionLeftEyeSequence=_item(readings, "L", _lens),
        **_distances(readings),
    )


def visual_acuity_measurements_series(_words: Words) -> Dataset:
    """C.8.25.5."""
    return dataset(Modality="VA")


def visual_acuity_measurements(_words: Words, readings: Readings) -> Dataset:
    """C.8.25.12: of one kind of acuity, with the chart that it was tested with.

    The refraction that corrected it is an object of the same capture; it is not referred to, as none may be there.
    """
    chart = Eye(readings, "")
    return dataset(
        ViewingDistanceType=chart.text(codes.VIEWING_DISTANCE),
        VisualAcuityTypeCodeSequence=[code(one.concept) for one in readings if one.concept in codes.ACUITIES][:1],
        BackgroundColor=chart.text(codes.CHART_BACKGROUND),
        Optotype=chart.text(codes.OPTOTYPE),
        OptotypeDetailedDefinition=chart.text(codes.OPTOTYPE_DEFINITION) or None,
        OptotypePresentation=chart.text(codes.OPTOTYPE_PRESENTATION),
        VisualAcuityRightEyeSequence=_item(readings, "R", _acuity),
        VisualAcuityLeftEyeSequence=_item(readings, "L", _acuity),
        VisualAcuityBothEyesOpenSequence=_item(readings, "B", _acuity),
        ReferencedRefractiveMeasurementsSequence=[],
    )


def notes(readings: Readings) -> Iterator[str]:
    """Yield, as sentences, what the attributes do not say: doubts, what was computed, and what has no attribute."""
    attributes = {side: _attributes(readings, side) for side in _SIDES}
    for one in readings:
        if one.concept in _CHART:
            continue
        what = f"{_SIDES[one.laterality]}{one.concept.meaning}"
        yield from (f"{what}, {one.value}: {doubt}." for doubt in one.doubts)
        if one.concept not in _HELD:
            yield f"{what}: {one.value}."
        elif one.unit is not None and number(one.value) is None:
            yield f"{what}: the instrument stated {one.value!r}, which is no number."
        elif one.laterality and _HELD[one.concept] not in attributes[one.laterality] and not _is_none(one, readings):
            yield f"{what}: {one.value}."
    for side in ("R", "L", ""):
        if attributes[side]:
            yield from _derived(Eye(readings, side), _SIDES[side])
    unsided = [f"{one.concept.meaning} {one.value}" for one in readings if not one.laterality and one.concept in _HELD]
    if unsided and any(one.laterality in {"R", "L"} for one in readings):
        yield f"Of neither side: {', '.join(unsided)}."


def has_any(readings: Readings) -> bool:
    """Say whether these values, all of one measurement, are enough for an item of at least one eye."""
    return any(_content(readings, side) is not None for side in ("R", "L", "B", ""))


_SIDES = {"R": "Right: ", "L": "Left: ", "B": "Both: ", "": ""}
_HELD = MappingProxyType(
    {
        codes.SPHERE: "SpherePower",
        codes.CYLINDER: "CylinderPower",
        codes.AXIS: "CylinderAxis",
        codes.ADD: "AddPower",
        codes.SECOND_ADD: "AddPower",
        codes.DISTANCE_PD: "DistancePupillaryDistance",
        codes.NEAR_PD: "NearPupillaryDistance",
        codes.HORIZONTAL_PRISM: "HorizontalPrismPower",
        codes.HORIZONTAL_BASE: "HorizontalPrismBase",
        codes.VERTICAL_PRISM: "VerticalPrismPower",
        codes.VERTICAL_BASE: "VerticalPrismBase",
        codes.RADIUS_1: "RadiusOfCurvature",
        codes.RADIUS_2: "RadiusOfCurvature",
        codes.POWER_1: "KeratometricPower",
        codes.POWER_2: "KeratometricPower",
        codes.MERIDIAN_1: "KeratometricAxis",
        **dict.fromkeys(codes.ACUITIES, "DecimalVisualAcuity"),
    }
)
"""Concepts that have an attribute. VertexDistance (0022,000F) has one too, younger than dciodvfy, which calls it an error: a note says it."""
_CHART = frozenset(
    {
        codes.OPTOTYPE,
        codes.OPTOTYPE_DEFINITION,
        codes.OPTOTYPE_PRESENTATION,
        codes.CHART_BACKGROUND,
        codes.VIEWING_DISTANCE,
    }
)
"""What an acuity was tested with: attributes of their own, of neither eye."""
_AMOUNT = MappingProxyType(
    {
        codes.AXIS: codes.CYLINDER,
        codes.HORIZONTAL_BASE: codes.HORIZONTAL_PRISM,
        codes.VERTICAL_BASE: codes.VERTICAL_PRISM,
    }
)
"""What a direction is of."""


def _is_none(one: Observation, readings: Readings) -> bool:
    """A cylinder or a prism of 0.00 is none, and neither is its direction."""
    return Eye(readings, one.laterality).number(_AMOUNT.get(one.concept, one.concept)) == 0


def _attributes(readings: Readings, side: str) -> frozenset[str]:
    """Return which attributes the item of a side has: none where too little was stated for an item."""
    kind = readings[0].part_of if readings else None
    if side == "B" and kind is not MeasurementKind.ACUITY:
        has_distances = kind in {MeasurementKind.AUTOREFRACTION, MeasurementKind.SUBJECTIVE, MeasurementKind.FINAL}
        item: Dataset | None = dataset(**_distances(readings)) if has_distances else None
    else:
        item = _content(readings, side)
    return frozenset() if item is None else frozenset(element.keyword for element in item.iterall())


def _content(readings: Readings, side: str) -> Dataset | None:
    """Return what an item of a side holds; of neither side there is only a lens, of both eyes open only acuity."""
    kind = readings[0].part_of if readings else None
    has_side = {"": kind is MeasurementKind.LENSOMETRY, "B": kind is MeasurementKind.ACUITY}.get(side, True)
    content = _CONTENT.get(kind) if has_side else None
    return None if content is None else content(Eye(readings, side))


def _derived(eye: Eye, side: str) -> Iterator[str]:
    """Say what was computed or chosen rather than stated."""
    radii = eye.number(codes.RADIUS_1), eye.number(codes.RADIUS_2)
    powers = eye.number(codes.POWER_1), eye.number(codes.POWER_2)
    if all(radii) and not all(powers):
        yield f"{side}the keratometric powers were computed from the radii with the index 1.3375."
    if all(powers) and not all(radii):
        yield f"{side}the radii were computed from the keratometric powers with the index 1.3375."
    add, second = eye.number(codes.ADD), eye.number(codes.SECOND_ADD)
    if add is not None and second is not None:
        yield f"{side}two additions were stated, {add} and {second}: the greater is the near one."


def _item(readings: Readings, side: str, content: Callable[[Eye], Dataset | None]) -> list[Dataset] | None:
    item = content(Eye(readings, side))
    return None if item is None else [item]


def _distances(readings: Readings) -> dict[str, float | None]:
    both = Eye(readings, "B")
    return {
        "DistancePupillaryDistance": _float(both.number(codes.DISTANCE_PD)),
        "NearPupillaryDistance": _float(both.number(codes.NEAR_PD)),
    }


def _refraction(eye: Eye) -> Dataset | None:
    """Sphere, and cylinder with axis where there is one."""
    sphere, cylinder, axis = eye.number(codes.SPHERE), eye.number(codes.CYLINDER), eye.number(codes.AXIS)
    if sphere is None:
        return None
    return dataset(
        SpherePower=float(sphere),
        CylinderSequence=dataset(CylinderAxis=float(axis), CylinderPower=float(cylinder))
        if cylinder and axis is not None
        else None,
    )


def _lens(eye: Eye) -> Dataset | None:
    """Sphere, cylinder, prism, additions."""
    ds = _refraction(eye)
    if ds is None:
        return None
    near, intermediate = _additions(eye)
    ds.update(
        dataset(
            PrismSequence=_prism(eye),
            AddNearSequence=None if near is None else dataset(AddPower=float(near)),
            AddIntermediateSequence=None if intermediate is None else dataset(AddPower=float(intermediate)),
        )
    )
    return ds


def _additions(eye: Eye) -> tuple[Decimal | None, Decimal | None]:
    """The near one, and the intermediate one of a trifocal lens, which is the weaker of both."""
    add, second = eye.number(codes.ADD), eye.number(codes.SECOND_ADD)
    if add is None or second is None:
        return (second if add is None else add), None
    return max(add, second), min(add, second)


def _prism(eye: Eye) -> Dataset | None:
    """Both directions, or nothing: the standard wants four values."""
    across, upright = eye.number(codes.HORIZONTAL_PRISM), eye.number(codes.VERTICAL_PRISM)
    if across is None or upright is None or not (across or upright):
        return None
    return dataset(
        HorizontalPrismPower=float(across),
        HorizontalPrismBase=eye.text(codes.HORIZONTAL_BASE),
        VerticalPrismPower=float(upright),
        VerticalPrismBase=eye.text(codes.VERTICAL_BASE),
    )


def _cornea(eye: Eye) -> Dataset | None:
    """The meridian of the greater radius is the flat one; the other stands at a right angle to it."""
    first = _meridian(eye, codes.RADIUS_1, codes.POWER_1)
    second = _meridian(eye, codes.RADIUS_2, codes.POWER_2)
    axis = eye.number(codes.MERIDIAN_1)
    if first is None or second is None or axis is None:
        return None
    axes = float(axis), float(axis + 90 if axis <= 90 else axis - 90)
    flat, steep = (first, axes[0]), (second, axes[1])
    if first[0] < second[0]:
        flat, steep = steep, flat
    return dataset(SteepKeratometricAxisSequence=_curve(*steep), FlatKeratometricAxisSequence=_curve(*flat))


def _meridian(eye: Eye, radius_concept: Code, power_concept: Code) -> tuple[Decimal, Decimal] | None:
    """Radius in mm and power in dioptres, one of them computed where it was not stated."""
    radius, power = eye.number(radius_concept), eye.number(power_concept)
    if not radius and not power:
        return None
    if not power:
        power = (INDEX / radius).quantize(Decimal("0.01")) if radius else None
    if not radius:
        radius = (INDEX / power).quantize(Decimal("0.01")) if power else None
    return None if radius is None or power is None else (radius, power)


def _curve(meridian: tuple[Decimal, Decimal], axis: float) -> Dataset:
    radius, power = meridian
    return dataset(RadiusOfCurvature=float(radius), KeratometricPower=float(power), KeratometricAxis=axis)


def _acuity(eye: Eye) -> Dataset | None:
    found = next((value for concept in codes.ACUITIES if (value := eye.number(concept)) is not None), None)
    return None if found is None else dataset(DecimalVisualAcuity=float(found))


def _float(found: Decimal | None) -> float | None:
    return None if found is None else float(found)


_CONTENT: Mapping[MeasurementKind | None, Callable[[Eye], Dataset | None]] = MappingProxyType(
    {
        MeasurementKind.LENSOMETRY: _lens,
        MeasurementKind.AUTOREFRACTION: _refraction,
        MeasurementKind.KERATOMETRY: _cornea,
        MeasurementKind.SUBJECTIVE: _lens,
        MeasurementKind.FINAL: _lens,
        MeasurementKind.ACUITY: _acuity,
    }
)
"""What one item of each measurement is made of."""
