"""A drawn page to the modules that hold it: one function a module, named as in PS3.3.

The page is drawn when its object is written, and again when its identity changes: from what it was drawn from, which it
keeps. C.8.6.1 SC Equipment, C.24.1 Encapsulated Document Series, C.24.2 Encapsulated Document.
"""

from __future__ import annotations

from msgspec import structs
from pydicom.dataset import Dataset

from gateway.model import Code, ReadingSet, TraceKind
from gateway.objects import drawn, modules
from gateway.objects import words as words_
from gateway.objects.attributes import code, dataset
from gateway.objects.words import Words

EKG_STUDY = Code("11524-6", "LN", "EKG study")


def encapsulated_document_series(words: Words) -> Dataset:
    """C.24.1: a general series that says nothing of body parts and of who was there."""
    ds = modules.general_series(words, has_sides=False)
    for keyword in ("BodyPartExamined", "OperatorsName", "PerformingPhysicianName"):
        if keyword in ds:
            del ds[keyword]
    return ds


def sc_equipment(_words: Words) -> Dataset:
    """C.8.6.1: drawn by this software from what it was told over a line."""
    return dataset(ConversionType="SYN", SecondaryCaptureDeviceManufacturer=modules.GATEWAY)


def encapsulated_document(words: Words, readings: ReadingSet) -> Dataset:
    """C.24.2: the page, which names its patient."""
    from gateway.objects import page  # noqa: PLC0415  (what draws takes memory that a service which never draws must not spend)

    data = page.draw(words, readings)
    kind = readings.traces[0].kind
    return dataset(
        InstanceNumber=words.instance_number,
        ContentDate=words_.da(words, words.captured_at),
        ContentTime=words_.tm(words, words.captured_at),
        AcquisitionDateTime=words_.dt(words, words.captured_at),
        BurnedInAnnotation="YES",
        DocumentTitle=drawn.TITLES[kind],
        ConceptNameCodeSequence=[code(EKG_STUDY)] if kind is TraceKind.ECG else [],
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=data + bytes(len(data) % 2),
        EncapsulatedDocumentLength=len(data),
    )


def redrawn(ds: Dataset, words: Words) -> Dataset:
    """Return the same page with the identity and the times of `words`; what drew it stays, as in its header.

    Raises ObjectInvalid for a page that is not one of ours.
    """
    from gateway.objects import page  # noqa: PLC0415  (as above)

    again = encapsulated_document(_of_its_instrument(ds, words), page.readings_of(ds.EncapsulatedDocument))
    return dataset(
        **{keyword: again[keyword].value for keyword in ("EncapsulatedDocument", "EncapsulatedDocumentLength")}
    )


def _of_its_instrument(ds: Dataset, words: Words) -> Words:
    """The words with the equipment of the header, which no identity changes: the port may have another instrument by now, or be gone."""
    equipment = structs.replace(
        words.equipment,
        manufacturer=_said(ds, "Manufacturer"),
        model_name=_said(ds, "ManufacturerModelName"),
        serial_number=_said(ds, "DeviceSerialNumber"),
        institution_name=_said(ds, "InstitutionName"),
        department_name=_said(ds, "InstitutionalDepartmentName"),
    )
    station = structs.replace(words.station, institution_name="", department_name="")
    return structs.replace(words, equipment=equipment, station=station)


def _said(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "")
