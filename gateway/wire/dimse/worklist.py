"""A worklist query to a C-FIND identifier, and each answer back to a ScheduledStep, names in any script.

Matching and return keys are those of PS3.4 table K.6-1 (K.6.1.2.2). An item that cannot be read, or that does not say
which step of which study it is, is a ValueError: the caller passes over it and counts it.
"""

from __future__ import annotations

import re
import struct
import warnings
from io import BytesIO
from typing import Literal, cast

from msgspec import Struct
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.valuerep import PersonName
from pynetdicom import dsutils

from gateway.model import Code, Patient, ScheduledStep

MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"


class Keys(Struct, frozen=True, kw_only=True):
    """What is asked for; an empty one matches everything."""

    first_date: str = ""
    """YYYYMMDD, of the scheduled start."""
    last_date: str = ""
    station_ae_title: str = ""
    modality: str = ""
    patient_id: str = ""
    character_set: str = ""
    """Not asked for: in what to read an answer that does not say it. Empty: UTF-8, or else Latin-1."""


class Found(Struct, frozen=True, kw_only=True):
    """What a RIS answered."""

    steps: tuple[ScheduledStep, ...]
    skipped: int = 0
    """Items that could not be read."""
    is_cut: bool = False
    """It had more than we take, and was told to stop."""


def identifier(keys: Keys, *, is_implicit: bool) -> bytes:
    """Write the identifier of a query, in Implicit or Explicit VR Little Endian."""
    step = _empty(_STEP_KEYS)
    step.ScheduledStationAETitle = keys.station_ae_title
    step.ScheduledProcedureStepStartDate = _range(keys.first_date, keys.last_date)
    step.Modality = keys.modality
    step.ScheduledProtocolCodeSequence = Items([_empty(_CODE_KEYS)])
    query = _empty(_KEYS)
    query.PatientID = keys.patient_id
    query.RequestedProcedureCodeSequence = Items([_empty(_CODE_KEYS)])
    query.ScheduledProcedureStepSequence = Items([step])
    written = dsutils.encode(query, is_implicit, True)
    if written is None:
        raise ValueError("a worklist query that cannot be written")
    return written


def read(data: bytes, *, is_implicit: bool, character_set: str = "") -> ScheduledStep:
    """Read one answer; `character_set` is what its text is in when it does not say. ValueError: it is no worklist item."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a RIS that breaks a rule about values is read all the same
            return _step(_decoded(data, is_implicit=is_implicit, character_set=character_set))
    except ValueError:
        raise
    except _UNREADABLE as error:
        raise ValueError(f"not a data set ({type(error).__name__})") from error


_STEP_KEYS = (
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "ScheduledProcedureStepID",
)
_CODE_KEYS = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_KEYS = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "PregnancyStatus",
    "PatientComments",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestedProcedureDescription",
    "AdmissionID",
    "RequestedProcedureID",
)
# What pydicom's readers raise over bytes that are not a data set.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    struct.error,
)
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


def _empty(keywords: tuple[str, ...]) -> Dataset:
    ds = Dataset()
    for keyword in keywords:
        setattr(ds, keyword, None)
    return ds


def _range(first: str, last: str) -> str:
    """Range matching (PS3.4 C.2.2.2.5): one day is a single value."""
    return first if first == last else f"{first}-{last}"


def _decoded(data: bytes, *, is_implicit: bool, character_set: str) -> Dataset:
    ds = dsutils.decode(BytesIO(data), is_implicit, True)
    if not ds.get("SpecificCharacterSet"):
        # Not ASCII and yet no character set breaks PS3.3 C.12.1.1.2; a RIS that was not asked means UTF-8, or else Latin-1.
        ds.SpecificCharacterSet = character_set or ("ISO_IR 192" if _is_utf8(_raw_text(ds)) else "ISO_IR 100")
    ds.decode()
    return ds


def _raw_text(ds: Dataset) -> bytes:
    """Return the bytes of the text values, as they came."""
    values = (ds.get_item(keyword) for keyword in _KEYS if keyword != "PregnancyStatus" and keyword in ds)
    return b"\n".join(item.value for item in values if isinstance(item.value, bytes))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _step(ds: Dataset) -> ScheduledStep:
    step = _first(ds, "ScheduledProcedureStepSequence")
    found = ScheduledStep(
        patient=_patient(ds),
        scheduled_procedure_step_id=_text(step, "ScheduledProcedureStepID"),
        study_instance_uid=_text(ds, "StudyInstanceUID"),
        accession_number=_text(ds, "AccessionNumber"),
        requested_procedure_id=_text(ds, "RequestedProcedureID"),
        requested_procedure_description=_text(ds, "RequestedProcedureDescription"),
        requested_procedure_code=next(iter(_codes(ds, "RequestedProcedureCodeSequence")), None),
        scheduled_procedure_step_description=_text(step, "ScheduledProcedureStepDescription"),
        scheduled_protocol_codes=_codes(step, "ScheduledProtocolCodeSequence"),
        scheduled_start_date=_date(_text(step, "ScheduledProcedureStepStartDate")),
        scheduled_start_time=_text(step, "ScheduledProcedureStepStartTime"),
        scheduled_station_ae_title=_text(step, "ScheduledStationAETitle"),
        scheduled_station_name=_text(step, "ScheduledStationName"),
        modality=_text(step, "Modality"),
        referring_physician_name=_name(ds, "ReferringPhysicianName"),
        requesting_physician_name=_name(ds, "RequestingPhysician"),
        performing_physician_name=_name(step, "ScheduledPerformingPhysicianName"),
        admission_id=_text(ds, "AdmissionID"),
        patient_weight_kg=_text(ds, "PatientWeight"),
        medical_alerts=_text(ds, "MedicalAlerts"),
        allergies=_text(ds, "Allergies"),
        pregnancy_status=_text(ds, "PregnancyStatus"),
    )
    if not (_UID.fullmatch(found.study_instance_uid) and len(found.study_instance_uid) <= 64):
        raise ValueError("an item without a valid Study Instance UID")
    if not found.scheduled_procedure_step_id:
        raise ValueError("an item without a Scheduled Procedure Step ID")
    if not (found.patient.patient_id or found.patient.name):
        raise ValueError("an item without a patient")
    return found


def _patient(ds: Dataset) -> Patient:
    sex = _text(ds, "PatientSex").upper()
    return Patient(
        patient_id=_text(ds, "PatientID"),
        name=_name(ds, "PatientName"),
        birth_date=_date(_text(ds, "PatientBirthDate")),
        sex=cast("Literal['', 'M', 'F', 'O']", sex if sex in {"M", "F", "O"} else ""),
        issuer_of_patient_id=_text(ds, "IssuerOfPatientID"),
        comments=_text(ds, "PatientComments"),
    )


def _first(ds: Dataset, keyword: str) -> Dataset:
    """Return the one item of a sequence. Raises ValueError when there is none."""
    items = ds.get(keyword)
    if not items:
        raise ValueError(f"an item without {keyword}")
    return cast("Dataset", items[0])


def _codes(ds: Dataset, keyword: str) -> tuple[Code, ...]:
    codes = (Code(*(_text(item, key) for key in _CODE_KEYS)) for item in ds.get(keyword) or ())
    return tuple(code for code in codes if code.value)


def _text(ds: Dataset, keyword: str) -> str:
    """Return a value as text, several as the standard joins them; absent and empty are the same."""
    value = ds.get(keyword)
    if value is None or isinstance(value, DataElement):
        return ""
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return "\\".join(str(item).strip() for item in values)


def _name(ds: Dataset, keyword: str) -> str:
    """Return a person's name, all its component groups, without the delimiters at its end (PS3.5 6.2.1)."""
    value = ds.get(keyword)
    name = value if isinstance(value, PersonName) else PersonName(_text(ds, keyword))
    return "=".join(group.strip().rstrip("^ ") for group in str(name).split("=")).rstrip("=")


def _date(value: str) -> str:
    """Return a DA, the old form with dots too; what is not a date is left out."""
    digits = value.replace(".", "")
    return digits if re.fullmatch(r"[0-9]{8}", digits) else ""
