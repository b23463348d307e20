"""Observations to a Comprehensive SR in the shape of TID 1500: every value with its code, its unit and its doubts.

What an instrument stated is kept as stated: a number that DS cannot hold exactly stands beside a floating point value, a
"number" that is none becomes text, and why a value may be wrong is a comment below it. PS3.3 A.35.3, C.17; PS3.16 TID 1500,
1204, 1001, 1501, 300.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from pydicom.dataset import Dataset

from gateway import uids
from gateway.errors import ObjectInvalid
from gateway.model import Code, Observation
from gateway.objects import coerce, content, encode, iods, modules
from gateway.objects import words as words_
from gateway.objects.attributes import code, dataset, merged
from gateway.objects.words import Sink, Words, Written, check_times

COMMENT = Code("121106", "DCM", "Comment")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
"""Procedure reported, when the worklist gave no code (CID 100)."""

LATERALITY = Code("272741003", "SCT", "Laterality")
SIDES = {
    "R": Code("24028007", "SCT", "Right"),
    "L": Code("7771000", "SCT", "Left"),
    "B": Code("51440002", "SCT", "Right and left"),
}


def write(sink: Sink, words: Words, observations: Sequence[Observation]) -> Written:
    """Write one measurement report (1.2.840.10008.5.1.4.1.1.88.33), Explicit VR Little Endian.

    Raises ClockUntrusted for a date before this software was made, ObjectInvalid when there is nothing to report or a
    code breaks its VR. Follows PS3.3 A.35.3 and PS3.16 TID 1500.
    """
    check_times(words)
    return encode.write(sink, compose(words, observations), encode.EXPLICIT_LITTLE)


def compose(words: Words, observations: Sequence[Observation]) -> Dataset:
    """Return the whole data set of the report."""
    if not observations:
        raise ObjectInvalid(problem="there is no observation to report")
    iod = iods.COMPREHENSIVE_SR
    return merged(
        [
            *(module(words) for module in iod.of_words),
            sr_document_general(words),
            sr_document_content(words, observations),
            modules.sop_common(words, iod.sop_class_uid),
        ]
    )


def sr_document_general(words: Words) -> Dataset:
    """C.17.2: complete as far as the instrument stated it, verified by nobody."""
    return dataset(
        InstanceNumber=words.instance_number,
        CompletionFlag="COMPLETE",
        VerificationFlag="UNVERIFIED",
        ContentDate=words_.da(words, words.captured_at),
        ContentTime=words_.tm(words, words.captured_at),
        ReferencedRequestSequence=modules.referenced_request(words),
        PerformedProcedureCodeSequence=[],
    )


def sr_document_content(words: Words, observations: Sequence[Observation]) -> Dataset:
    """C.17.3: the tree. TID 1500 > language (1204), device observer (1001), procedure, measurements (1501)."""
    return merged(
        [
            content.container(Code("126000", "DCM", "Imaging Measurement Report"), _report(words, observations)),
            dataset(
                ContentTemplateSequence=dataset(MappingResource="DCMR", TemplateIdentifier="1500"),
                ObservationDateTime=words_.dt(words, words.captured_at),
            ),
        ]
    )


def _report(words: Words, observations: Sequence[Observation]) -> list[Dataset]:
    step = words.exam.scheduled
    procedure = (step.requested_procedure_code if step else None) or IMAGING_PROCEDURE
    remarks = [content.text("CONTAINS", COMMENT, line) for line in modules.comments(words)]
    return [
        content.language(),
        *_observer(words),
        content.coded("HAS CONCEPT MOD", Code("121058", "DCM", "Procedure reported"), procedure),
        content.related(
            "CONTAINS", content.container(Code("126010", "DCM", "Imaging Measurements"), [_group(words, observations)])
        ),
        *remarks,
    ]


def _observer(words: Words) -> list[Dataset]:
    """TID 1001, 1004: a device, not a person, observed it."""
    equipment = words.equipment
    texts = (
        (Code("121013", "DCM", "Device Observer Name"), equipment.station_name or words.exam.station),
        (Code("121014", "DCM", "Device Observer Manufacturer"), equipment.manufacturer),
        (Code("121015", "DCM", "Device Observer Model Name"), equipment.model_name),
        (Code("121016", "DCM", "Device Observer Serial Number"), equipment.serial_number),
    )
    context = "HAS OBS CONTEXT"
    return [
        content.coded(context, Code("121005", "DCM", "Observer Type"), Code("121007", "DCM", "Device")),
        content.uid(
            context, Code("121012", "DCM", "Device Observer UID"), uids.series(words.exam.exam_id, "device observer")
        ),
        *(content.text(context, concept, text) for concept, text in texts if text),
    ]


def _group(words: Words, observations: Sequence[Observation]) -> Dataset:
    """TID 1501: what was read together."""
    tracking = uids.instance(words.exam.exam_id, "tracking", words.series_number, words.instance_number)
    identifier = f"Reading {words.instance_number}"
    times = _observed(words, observations)
    items = [
        content.text("HAS OBS CONTEXT", Code("112039", "DCM", "Tracking Identifier"), identifier),
        content.uid("HAS OBS CONTEXT", Code("112040", "DCM", "Tracking Unique Identifier"), tracking),
        *(_observation(words, one, at) for one, at in zip(observations, times, strict=True)),
    ]
    return content.related("CONTAINS", content.container(Code("125007", "DCM", "Measurement Group"), items))


def _observed(words: Words, observations: Sequence[Observation]) -> list[datetime]:
    """When each value came: the last at `captured_at`, the others as much earlier as the monotonic clock says."""
    last_ns = max(one.received_ns for one in observations)
    return [
        words.captured_at - timedelta(microseconds=(last_ns - one.received_ns) // 1000 if one.received_ns else 0)
        for one in observations
    ]


def _observation(words: Words, observation: Observation, at: datetime) -> Dataset:
    number = _number(observation)
    item = (
        content.text("CONTAINS", observation.concept, observation.value or "(nothing)")
        if number is None
        else _measured(observation, number)
    )
    item.update(dataset(ObservationDateTime=words_.dt(words, at)))
    comments = [*observation.doubts, *_lost(observation, number)]
    below = [
        *_laterality(observation),
        *(content.text("HAS PROPERTIES", COMMENT, comment) for comment in comments),
    ]
    if below:
        item.update(dataset(ContentSequence=below))
    return item


def _laterality(observation: Observation) -> list[Dataset]:
    """CID 244: of which eye or side, where it was stated."""
    side = SIDES.get(observation.laterality)
    return [] if side is None else [content.coded("HAS CONCEPT MOD", LATERALITY, side)]


def _number(observation: Observation) -> Decimal | None:
    """The value as a number; None for text, and for what was announced with a unit but is no number."""
    if observation.unit is None:
        return None
    try:
        number = Decimal(observation.value.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and coerce.ds(observation.value) else None


def _lost(observation: Observation, number: Decimal | None) -> list[str]:
    """What the content item cannot say by itself."""
    if number is None and observation.unit is not None:
        return [f"The instrument stated this with the unit {observation.unit.meaning}; it is not a number."]
    if number is not None and Decimal(coerce.ds(observation.value)) != number:
        return [f"Stated as {observation.value.strip()}."]
    return []


def _measured(observation: Observation, number: Decimal) -> Dataset:
    """NUM, C.18.1: DS, and beside it a floating point value where DS had to round."""
    unit = observation.unit or Code("1", "UCUM", "no units")
    text = coerce.ds(observation.value)
    value = dataset(
        MeasurementUnitsCodeSequence=code(unit),
        NumericValue=text,
        FloatingPointValue=float(number) if Decimal(text) != number else None,
    )
    return content.item("CONTAINS", "NUM", observation.concept, MeasuredValueSequence=value)
