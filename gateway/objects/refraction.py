"""Observations of an eye or of spectacles to the measurement objects of PS3.3 A.60: one for each thing that was measured.

`objects_of` says which: each measurement with at least one whole eye is an object of its own. PS3.3 A.60.1 Lensometry, A.60.2 Autorefraction, A.60.3 Keratometry, A.60.4 Subjective Refraction, A.60.5 Visual
Acuity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import structs
from pydicom.dataset import Dataset

from gateway import codes
from gateway.errors import ObjectInvalid
from gateway.model import MeasurementKind, Observation
from gateway.objects import encode, eye, iods, modules
from gateway.objects.attributes import merged
from gateway.objects.words import Sink, Words, Written, check_times
from gateway.profile import ObjectKind

KINDS: Final = MappingProxyType(
    {
        MeasurementKind.LENSOMETRY: (iods.LENSOMETRY, ObjectKind(modality="LEN", series_description="Lensometry")),
        MeasurementKind.AUTOREFRACTION: (
            iods.AUTOREFRACTION,
            ObjectKind(modality="AR", series_description="Autorefraction"),
        ),
        MeasurementKind.KERATOMETRY: (iods.KERATOMETRY, ObjectKind(modality="KER", series_description="Keratometry")),
        MeasurementKind.SUBJECTIVE: (
            iods.SUBJECTIVE_REFRACTION,
            ObjectKind(modality="SRF", series_description="Subjective refraction"),
        ),
        MeasurementKind.FINAL: (
            iods.SUBJECTIVE_REFRACTION,
            ObjectKind(modality="SRF", series_description="Subjective refraction"),
        ),
        MeasurementKind.ACUITY: (iods.VISUAL_ACUITY, ObjectKind(modality="VA", series_description="Visual acuity")),
    }
)
"""The IOD of each measurement, and what its series is called."""


def objects_of(observations: Sequence[Observation]) -> Iterator[tuple[ObjectKind, tuple[Observation, ...]]]:
    """Yield the measurement objects that readings become, each with all values of its measurement."""
    for measured, (_, kind) in KINDS.items():
        mine = tuple(one for one in observations if one.part_of is measured)
        groups = list(_groups(mine))
        if groups and all(eye.has_any(each) for each in groups):
            yield from ((kind, each) for each in groups)


def _groups(observations: Sequence[Observation]) -> Iterator[tuple[Observation, ...]]:
    """The values of one measurement, as one object; of visual acuity, one for each kind, each with the chart: without one, none."""
    if not observations or observations[0].part_of is not MeasurementKind.ACUITY:
        yield from filter(None, (tuple(observations),))
        return
    has_chart = any(one.concept == codes.OPTOTYPE for one in observations)
    acuities = dict.fromkeys(one.concept for one in observations if one.concept in codes.ACUITIES)
    for acuity in acuities if has_chart else ():
        yield tuple(one for one in observations if one.concept == acuity or one.concept not in acuities)


def write(sink: Sink, words: Words, observations: Sequence[Observation]) -> Written:
    """Write one measurement object, Explicit VR Little Endian: of the first observation's kind.

    Raises ClockUntrusted for a date before this software was made, ObjectInvalid when the values are not enough for it.
    """
    check_times(words)
    return encode.write(sink, compose(words, observations), encode.EXPLICIT_LITTLE)


def compose(words: Words, observations: Sequence[Observation]) -> Dataset:
    """Return the whole data set. Raises ObjectInvalid as `write` does."""
    measured = observations[0].part_of if observations else None
    if measured is None:
        raise ObjectInvalid(problem="there is no measurement of an eye among the readings")
    iod = KINDS[measured][0]
    if not eye.has_any(observations):
        raise ObjectInvalid(problem=f"the {measured} has no whole eye")
    said = _titled(words, measured)
    return merged(
        [
            *(module(said) for module in iod.of_words),
            *(module(said, observations) for module in iod.of_readings),
            modules.sop_common(said, iod.sop_class_uid),
        ]
    )


def _titled(words: Words, measured: MeasurementKind) -> Words:
    """The kind of object is the measurement's, whatever the profile says of pictures."""
    return structs.replace(words, object=KINDS[measured][1])
