"""Words to the modules that say who, what, when and by whom: one function a module, named as in PS3.3.

Type 1 attributes are always there, type 2 may be empty, type 3 are absent when nothing is known. Paragraphs: C.7.1.1
Patient, C.7.2.1 General Study, C.7.2.2 Patient Study, C.7.3.1 General Series, C.7.5.1 General Equipment, C.7.10.1 General
Acquisition, C.8.6.1 SC Equipment, C.8.6.2 SC Image, C.12.1 SOP Common, C.17.1 SR Document Series, C.17.6.1 Key Object
Document Series.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

import gateway
from gateway.model import Code, ScheduledStep
from gateway.objects import coerce
from gateway.objects import words as words_
from gateway.objects.attributes import code, dataset
from gateway.objects.words import Words

GATEWAY = "Modality gateway"
"""The manufacturer under which the gateway names itself."""

PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")

# fmt: off
_PAIRED = frozenset({
    "ADRENAL", "ANKLE", "ARM", "AXILLA", "BREAST", "BRONCHUS", "CALF", "CAROTID", "CLAVICLE", "EAR", "ELBOW", "EXTREMITY", "EYE",
    "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HIP", "HUMERUS", "KIDNEY", "KNEE", "LEG", "LUNG", "OVARY", "PAROTID", "RENAL",
    "SCAPULA", "SHOULDER", "TESTIS", "THIGH", "THUMB", "TOE", "WRIST", "ZYGOMA",
})
# fmt: on
"""Body parts of which there are two (PS3.16 annex L): Laterality is required, and nobody told us which."""


def patient(words: Words) -> Dataset:
    """C.7.1.1."""
    who = words_.patient(words)
    return dataset(
        PatientName=who.name,
        PatientID=who.patient_id,
        IssuerOfPatientID=who.issuer_of_patient_id or None,
        PatientBirthDate=who.birth_date,
        PatientSex=who.sex,
        PatientComments=_lines(
            who.comments, *_in_full(PatientName=who.name, PatientID=who.patient_id, PatientBirthDate=who.birth_date)
        )
        or None,
    )


def general_study(words: Words) -> Dataset:
    """C.7.2.1: the study is the ordered one, or the exam's own. A StudyID is always given: a DICOMDIR cannot do without."""
    step = words.exam.scheduled
    return dataset(
        StudyInstanceUID=words.exam.study_instance_uid,
        StudyDate=words_.da(words, words.exam.started_at),
        StudyTime=words_.tm(words, words.exam.started_at),
        AccessionNumber=step.accession_number if step else "",
        ReferringPhysicianName=step.referring_physician_name if step else "",
        StudyID=(step.requested_procedure_id if step else "") or words.exam.exam_id.hex[:8].upper(),
        StudyDescription=(step.requested_procedure_description or None) if step else None,
        ProcedureCodeSequence=_codes(step.requested_procedure_code) if step else None,
    )


def patient_study(words: Words) -> Dataset:
    """C.7.2.2: what the worklist said of the patient's state."""
    step = words.exam.scheduled
    if step is None:
        return Dataset()
    return dataset(
        PatientWeight=coerce.ds(step.patient_weight_kg) or None,
        MedicalAlerts=step.medical_alerts or None,
        Allergies=step.allergies or None,
        PregnancyStatus=int(step.pregnancy_status) if step.pregnancy_status in {"1", "2", "3", "4"} else None,
        AdmissionID=step.admission_id or None,
    )


def general_series(words: Words, *, has_sides: bool = True) -> Dataset:
    """C.7.3.1; without Laterality where it has no sides, or the body part has none."""
    body_part = words.object.body_part_examined
    is_single = bool(body_part) and body_part.upper() not in _PAIRED
    return dataset(
        Modality=words.object.modality,
        SeriesInstanceUID=words.series_instance_uid,
        SeriesNumber=words.series_number,
        Laterality="" if has_sides and not is_single else None,
        BodyPartExamined=body_part or None,
        SeriesDescription=words.object.series_description or None,
        **_performed(words),
    )


def sr_document_series(words: Words) -> Dataset:
    """C.17.1: the series of a measurement document."""
    return dataset(
        Modality="SR",
        SeriesInstanceUID=words.series_instance_uid,
        SeriesNumber=words.series_number,
        SeriesDescription=words.object.series_description or None,
        ReferencedPerformedProcedureStepSequence=[],
    )


def key_object_document_series(words: Words) -> Dataset:
    """C.17.6.1: the series of a rejection note."""
    return dataset(
        Modality="KO",
        SeriesInstanceUID=words.series_instance_uid,
        SeriesNumber=words.series_number,
        SeriesDescription=words.object.series_description or None,
        ReferencedPerformedProcedureStepSequence=[],
    )


def general_equipment(words: Words) -> Dataset:
    """C.7.5.1: the modality, as the installer states it; the institution may be the station's."""
    equipment, station = words.equipment, words.station
    return dataset(
        Manufacturer=equipment.manufacturer,
        InstitutionName=equipment.institution_name or station.institution_name or None,
        InstitutionAddress=equipment.institution_address or station.institution_address or None,
        InstitutionalDepartmentName=equipment.department_name or station.department_name or None,
        StationName=equipment.station_name or None,
        ManufacturerModelName=equipment.model_name or None,
        DeviceSerialNumber=equipment.serial_number or None,
        SoftwareVersions=equipment.software_versions or None,
    )


def general_acquisition(words: Words) -> Dataset:
    """C.7.10.1."""
    return dataset(
        AcquisitionDate=words_.da(words, words.captured_at), AcquisitionTime=words_.tm(words, words.captured_at)
    )


def sc_image(words: Words) -> Dataset:
    """C.8.6.2: when the picture was digitised."""
    return dataset(
        DateOfSecondaryCapture=words_.da(words, words.captured_at),
        TimeOfSecondaryCapture=words_.tm(words, words.captured_at),
    )


def sop_common(words: Words, sop_class_uid: str) -> Dataset:
    """C.12.1: identity, character set, time zone, and the gateway as the equipment that processed it (law 4)."""
    return dataset(
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=words.sop_instance_uid,
        TimezoneOffsetFromUTC=words_.offset(words, words.captured_at),
        ContributingEquipmentSequence=_gateway(words),
    )


def referenced_request(words: Words) -> list[Dataset] | None:
    """Table C.17-2: the request that a report answers; None where nothing was ordered."""
    step = words.exam.scheduled
    if step is None:
        return None
    item = dataset(
        StudyInstanceUID=step.study_instance_uid,
        ReferencedStudySequence=[],
        AccessionNumber=step.accession_number,
        PlacerOrderNumberImagingServiceRequest="",
        FillerOrderNumberImagingServiceRequest="",
        RequestedProcedureID=step.requested_procedure_id,
        RequestedProcedureDescription=step.requested_procedure_description,
        RequestedProcedureCodeSequence=_codes(step.requested_procedure_code) or [],
    )
    return [item]


def comments(words: Words) -> tuple[str, ...]:
    """Return the lines that ImageComments gets from the words: doubts about the clock, and texts too long for their VR."""
    step = words.exam.scheduled
    texts = {"SeriesDescription": words.object.series_description}
    if step is not None:
        texts |= {
            "AccessionNumber": step.accession_number,
            "StudyID": step.requested_procedure_id,
            "StudyDescription": step.requested_procedure_description,
            "ReferringPhysicianName": step.referring_physician_name,
        }
    return tuple(filter(None, (words_.clock_note(words), *_in_full(**texts))))


IN_FULL = "In full: "
"""How the line of a comment begins that keeps a text which was too long for its attribute."""


def _in_full(**texts: str) -> list[str]:
    """The texts that their attributes had to cut or leave out, whole."""
    vrs = {
        "PatientName": "PN",
        "ReferringPhysicianName": "PN",
        "AccessionNumber": "SH",
        "StudyID": "SH",
        "PatientBirthDate": "DA",
    }
    return [
        f"{IN_FULL}{keyword}: {coerce.clean(text)}"
        for keyword, text in texts.items()
        if coerce.fit(vrs.get(keyword, "LO"), text).doubt in {coerce.CUT, coerce.LEFT_OUT}
    ]


def _lines(*texts: str) -> str:
    return "\r\n".join(text for text in texts if text)


def _codes(concept: Code | None) -> list[Dataset] | None:
    return [code(concept)] if concept is not None else None


def _performed(words: Words) -> dict[str, str | list[Dataset] | None]:
    """Tables 10-16 and 10-9: the Performed Procedure Step summary and the request it answers."""
    exam, step = words.exam, words.exam.scheduled
    return {
        "PerformedProcedureStepID": exam.exam_id.hex[:16].upper(),
        "PerformedProcedureStepStartDate": words_.da(words, exam.started_at),
        "PerformedProcedureStepStartTime": words_.tm(words, exam.started_at),
        "PerformedProcedureStepDescription": (step.scheduled_procedure_step_description or None) if step else None,
        "PerformingPhysicianName": (step.performing_physician_name or None) if step else None,
        "OperatorsName": exam.operator or None,
        "RequestAttributesSequence": [_request(step)] if step is not None and _is_complete(step) else None,
    }


def _is_complete(step: ScheduledStep) -> bool:
    return bool(step.requested_procedure_id and step.scheduled_procedure_step_id)


def _request(step: ScheduledStep) -> Dataset:
    """Table 10-9, Request Attributes."""
    return dataset(
        StudyInstanceUID=step.study_instance_uid,
        AccessionNumber=step.accession_number,
        RequestedProcedureID=step.requested_procedure_id,
        RequestedProcedureDescription=step.requested_procedure_description or None,
        RequestedProcedureCodeSequence=_codes(step.requested_procedure_code),
        ScheduledProcedureStepID=step.scheduled_procedure_step_id,
        ScheduledProcedureStepDescription=step.scheduled_procedure_step_description or None,
        ScheduledProtocolCodeSequence=[code(one) for one in step.scheduled_protocol_codes] or None,
    )


def _gateway(words: Words) -> Dataset:
    """Table C.12-1, Contributing Equipment."""
    return dataset(
        PurposeOfReferenceCodeSequence=code(PROCESSING_EQUIPMENT),
        Manufacturer=GATEWAY,
        InstitutionName=words.station.institution_name or None,
        StationName=words.station.ae_title,
        ManufacturerModelName=GATEWAY,
        SoftwareVersions=gateway.__version__,
        ContributionDateTime=words_.dt(words, words.captured_at),
        ContributionDescription="Acquired the output of the equipment, processed it and composed this object",
    )
