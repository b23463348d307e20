"""Objects of ours that were discarded, or replaced, after they had left to a rejection note: a Key Object Selection of them.

A PACS that follows IHE Imaging Object Change Management hides what the note names; nothing is deleted by it. The note
stands in the study of what it names, and says why, and by whom. PS3.3 A.35.4, C.17.6; PS3.16 TID 2010, CID 7010.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from pydicom.dataset import Dataset

from gateway.errors import ObjectInvalid
from gateway.model import Code, Instance
from gateway.objects import content, encode, iods, modules
from gateway.objects import words as words_
from gateway.objects.attributes import dataset, merged
from gateway.objects.words import Sink, Words, Written, check_times

_CONTEXT = "HAS OBS CONTEXT"


class Reason(Struct, frozen=True):
    """Why something is rejected: the title of the note (CID 7010), and a sentence for whoever reads it."""

    title: Code
    description: str


DISCARDED = Reason(
    Code("113001", "DCM", "Rejected for Quality Reasons"), "Discarded at the modality after it had been sent."
)
WRONG_ENTRY = Reason(
    Code("113038", "DCM", "Incorrect Modality Worklist Entry"),
    "Sent under a wrong worklist entry. Corrected copies have been sent.",
)
WRONG_PATIENT = Reason(
    Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
    "Sent under a wrong patient identity. Corrected copies have been sent.",
)


def write(sink: Sink, words: Words, rejected: Sequence[Instance], *, by: str = "", why: Reason = DISCARDED) -> Written:
    """Write one note (1.2.840.10008.5.1.4.1.1.88.59), Explicit VR Little Endian; `by` is who rejected, where known.

    Raises ClockUntrusted for a date before this software was made, ObjectInvalid when nothing is rejected. Follows PS3.3
    A.35.4.
    """
    check_times(words)
    return encode.write(sink, compose(words, rejected, by, why), encode.EXPLICIT_LITTLE)


def compose(words: Words, rejected: Sequence[Instance], by: str = "", why: Reason = DISCARDED) -> Dataset:
    """Return the whole data set of the note."""
    if not rejected:
        raise ObjectInvalid(problem="there is no object to reject")
    iod = iods.KEY_OBJECT_SELECTION
    return merged(
        [
            *(module(words) for module in iod.of_words),
            key_object_document(words, rejected),
            sr_document_content(words, rejected, by, why),
            modules.sop_common(words, iod.sop_class_uid),
        ]
    )


def key_object_document(words: Words, rejected: Sequence[Instance]) -> Dataset:
    """C.17.6.2: when the note was made, and every object it names, by study and series."""
    return dataset(
        InstanceNumber=words.instance_number,
        ContentDate=words_.da(words, words.captured_at),
        ContentTime=words_.tm(words, words.captured_at),
        ReferencedRequestSequence=modules.referenced_request(words),
        CurrentRequestedProcedureEvidenceSequence=[_study(words, rejected)],
    )


def sr_document_content(words: Words, rejected: Sequence[Instance], by: str, why: Reason = DISCARDED) -> Dataset:
    """C.17.3: the tree. TID 2010 > language (1204), person observer (1003), description, what is rejected."""
    items = [
        content.language(),
        *_observer(by),
        content.text("CONTAINS", Code("113012", "DCM", "Key Object Description"), _description(words, why)),
        *(_reference(instance) for instance in rejected),
    ]
    template = dataset(MappingResource="DCMR", TemplateIdentifier="2010")
    return merged([content.container(why.title, items), dataset(ContentTemplateSequence=template)])


def _study(words: Words, rejected: Sequence[Instance]) -> Dataset:
    """Table C.17-3, Hierarchical SOP Instance Reference: all of them are of one study, the exam's as it was."""
    series = dict.fromkeys(instance.series_instance_uid for instance in rejected)
    return dataset(
        StudyInstanceUID=words.exam.study_instance_uid,
        ReferencedSeriesSequence=[
            dataset(
                SeriesInstanceUID=uid,
                ReferencedSOPSequence=[_sop(one) for one in rejected if one.series_instance_uid == uid],
            )
            for uid in series
        ],
    )


def _sop(instance: Instance) -> Dataset:
    return dataset(ReferencedSOPClassUID=instance.sop_class_uid, ReferencedSOPInstanceUID=instance.sop_instance_uid)


def _observer(by: str) -> list[Dataset]:
    if not by:
        return []
    return [
        content.coded(_CONTEXT, Code("121005", "DCM", "Observer Type"), Code("121006", "DCM", "Person")),
        content.person(_CONTEXT, Code("121008", "DCM", "Person Observer Name"), by),
    ]


def _description(words: Words, why: Reason) -> str:
    return "\r\n".join((why.description, *modules.comments(words)))


def _reference(instance: Instance) -> Dataset:
    """A picture is an IMAGE, curves are a WAVEFORM; measurements, pages and the report are a COMPOSITE."""
    kinds = {"image": "IMAGE", "cine": "IMAGE", "ecg": "WAVEFORM", "hd": "WAVEFORM", "resp": "WAVEFORM"}
    value_type = kinds.get(instance.kind, "COMPOSITE")
    return content.reference(value_type, instance.sop_class_uid, instance.sop_instance_uid)
