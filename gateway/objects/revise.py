"""An object of ours and the true identity of its patient to the same object with a new header: pixels and samples are copied.

Law 2: pixel data stays byte for byte, and the object says what its header said before: OriginalAttributesSequence, PS3.3
C.12.1.1.9. A drawn page names its patient: it is drawn again. The SOP Instance UID stays too, until something has left: then
a corrected copy has another.
"""

from __future__ import annotations

import copy
from datetime import datetime
from pathlib import Path

from msgspec import structs
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from gateway.errors import ObjectInvalid
from gateway.objects import broken, document, encode, iods, modules, part10
from gateway.objects import words as words_
from gateway.objects.attributes import dataset, merged
from gateway.objects.words import Sink, Words, Written, check_times

# fmt: off
IDENTITY = (
    # SOP Common: of a corrected copy
    "SOPInstanceUID",
    # Patient, Patient Study
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientComments", "PatientWeight",
    "MedicalAlerts", "Allergies", "PregnancyStatus", "AdmissionID",
    # General Study
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "StudyDescription",
    "ProcedureCodeSequence",
    # General Series, SR Document General
    "SeriesInstanceUID", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "PerformedProcedureStepDescription", "PerformingPhysicianName", "OperatorsName", "RequestAttributesSequence",
    "ReferencedRequestSequence",
    # when it was captured, where the clock was wrong
    "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentDate", "ContentTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture",
    "TimezoneOffsetFromUTC", "ImageComments", "AcquisitionContextDescription",
    # Specimen: named by the order
    "ContainerIdentifier", "SpecimenDescriptionSequence",
)
# fmt: on
"""The attributes that a revision may change: which object, who, for which order, and when."""


def write(source: Path, sink: Sink, words: Words, *, modified_at: datetime, replaces: str = "") -> Written:
    """Write the object at `source` again, with the identity and times of `words`; all else as it was.

    `modified_at` is when the identity was given or corrected. `replaces` is the SOP Instance UID of `source` when that has
    left, and `words` give its corrected copy another. Raises ObjectInvalid when `words` are another object's or it
    is not one of ours, ClockUntrusted for a date before this software was made, NotDicom. Follows PS3.3 C.12.1.1.9.
    """
    check_times(words)
    with part10.open_file(source) as file:
        ds = file.header
        with broken.named():
            if str(ds.get("SOPInstanceUID")) != (replaces or words.sop_instance_uid):
                raise ObjectInvalid(problem="a header can only be rewritten for the same SOP Instance UID")
            _apply(ds, _identity(ds, words), words, modified_at)
            if "EncapsulatedDocument" in ds:
                ds.update(document.redrawn(ds, words))
        return encode.write(sink, ds, file.transfer_syntax_uid, file.tail())


def _identity(ds: Dataset, words: Words) -> Dataset:
    """What the words say of the attributes of IDENTITY, as this kind of object has them."""
    iod = iods.by_uid(str(ds.SOPClassUID))
    is_specimen = "ContainerIdentifier" in ds  # as when it was made, whatever the profile says today
    words = structs.replace(words, object=structs.replace(words.object, specimen=is_specimen))
    said = merged([*(module(words) for module in iod.of_words), modules.sop_common(words, iod.sop_class_uid)])
    times = dataset(ContentDate=words_.da(words, words.captured_at), ContentTime=words_.tm(words, words.captured_at))
    if iod is iods.COMPREHENSIVE_SR:
        times.update(dataset(ReferencedRequestSequence=modules.referenced_request(words)))
    if "AcquisitionDateTime" in ds:
        times.update(dataset(AcquisitionDateTime=words_.dt(words, words.captured_at)))
    if iod.remarks:
        times.update(dataset(**{iod.remarks: _comments(ds, words, iod.remarks) or None}))
    said.update(times)
    kept = Dataset()
    for keyword in IDENTITY:
        if keyword in said:
            kept.add(said[keyword])
    return kept


def _comments(ds: Dataset, words: Words, remarks: str) -> str:
    """What was said of the pixels stays, what was said of the identity and the clock is said anew."""
    ours = (words_.CLOCK, modules.IN_FULL)
    before = [line for line in str(ds.get(remarks) or "").split("\r\n") if line and not line.startswith(ours)]
    return "\r\n".join((*before, *modules.comments(words)))


def _apply(ds: Dataset, said: Dataset, words: Words, modified_at: datetime) -> None:
    """Put the new identity into the data set, and what it replaces into OriginalAttributesSequence."""
    is_stand_in = str(ds.get("PatientID") or "").startswith(words_.EMERGENCY)
    before = _replaced(ds, said)
    for keyword in IDENTITY:
        if keyword in ds and keyword not in said:
            del ds[keyword]
    ds.update(said)
    if before:
        item = dataset(
            ModifiedAttributesSequence=[before],
            AttributeModificationDateTime=words_.dt(words, modified_at),
            ModifyingSystem=modules.GATEWAY,
            SourceOfPreviousValues="",
            ReasonForTheAttributeModification="COERCE" if is_stand_in else "CORRECT",
        )
        ds.update(dataset(OriginalAttributesSequence=[*(ds.get("OriginalAttributesSequence") or []), item]))


def _replaced(ds: Dataset, said: Dataset) -> Dataset:
    """The attributes that get another value, with the one they had; those that had none are there, empty."""
    before = Dataset()
    for keyword in IDENTITY:
        if keyword in ds and (keyword not in said or ds[keyword] != said[keyword]):
            before[keyword] = copy.deepcopy(ds[keyword])
        elif keyword in said and keyword not in ds:
            before[keyword] = DataElement(said[keyword].tag, said[keyword].VR, None)
    return before
