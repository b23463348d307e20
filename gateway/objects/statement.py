"""The objects' part of the DICOM conformance statement, computed from the tables that compose them: it cannot go stale.

Each module is made with sample words, once with everything known and once with as little as possible: what is there both
times is always there, what has no value in the second may be empty. PS3.2 annex A.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace
from pydicom.dataset import Dataset

from gateway import codes, uids
from gateway.clock import BUILT_AT
from gateway.config import Station
from gateway.model import (
    NO_SAMPLE,
    Code,
    Equipment,
    Instance,
    Observation,
    Patient,
    PerformedStep,
    Picture,
    ReadingSet,
    Region,
    ScheduledStep,
    StepStatus,
    Trace,
    TraceKind,
)
from gateway.objects import encode, iods, modules, note, pictures, sr, video
from gateway.objects.attributes import merged
from gateway.objects.iods import Iod
from gateway.objects.words import Words
from gateway.profile import ObjectKind

Module = tuple[str, Dataset, Dataset]
"""Name as in PS3.3, its attributes when everything is known, and when as little as possible is."""


def as_markdown() -> str:
    """Return the chapter: SOP classes created, attributes by module, and the rules that no table shows."""
    return "\n".join((*_classes(), *_modules(), *_rules()))


def _classes() -> Iterator[str]:
    yield "## Objects created"
    yield ""
    yield "| SOP class | UID | modules |"
    yield "|---|---|---|"
    for iod in iods.ALL:
        names = ", ".join(name for name, _, _ in _of(iod))
        yield f"| {iod.name} | `{iod.sop_class_uid}` | {names} |"
    yield ""


def _modules() -> Iterator[str]:
    found: dict[str, tuple[Dataset, Dataset]] = {}
    for iod in iods.ALL:
        for name, full, scant in _of(iod):
            found[name] = _both(found[name], (full, scant)) if name in found else (full, scant)
    for name, (full, scant) in found.items():
        yield from _table(name, full, scant)


def _both(one: tuple[Dataset, Dataset], other: tuple[Dataset, Dataset]) -> tuple[Dataset, Dataset]:
    """A module of two IODs: what is always there is so in both; what may be empty is so in one."""
    scant = Dataset()
    for element in one[1]:
        if element.tag in other[1]:
            scant.add(other[1][element.tag] if other[1][element.tag].is_empty else element)
    return merged((one[1], other[1], one[0], other[0])), scant


def _table(name: str, full: Dataset, scant: Dataset) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield "| attribute | tag | VR | presence |"
    yield "|---|---|---|---|"
    every = merged((scant, full))
    for element in every:
        tag = f"({element.tag.group:04X},{element.tag.element:04X})"
        yield f"| {element.keyword} | {tag} | {element.VR} | {_presence(full, scant, element.keyword)} |"
    yield ""


def _presence(full: Dataset, scant: Dataset, keyword: str) -> str:
    if keyword not in full or keyword not in scant:
        return "where it applies"
    return "always; may be empty" if scant[keyword].is_empty else "always"


def _rules() -> Iterator[str]:
    yield "### Rules"
    yield ""
    yield "- Character set: ISO_IR 192 (UTF-8), always. Dates and times are local; TimezoneOffsetFromUTC is always there."
    yield "- An emergency exam is written with the PatientID `EMERGENCY-<8 hex digits>` and is not sent before it is identified;"
    yield "  OriginalAttributesSequence then keeps what was replaced."
    yield "- What is discarded after it was sent is named in a Key Object Selection Document, (113001, DCM, Rejected for Quality"
    yield "  Reasons), in the same study; it goes to every destination to which the object may have gone, and after it."
    yield "- What was sent for a wrong patient is sent again as a copy with the same pixel bytes and another SOP Instance UID, in"
    yield "  another study and series; OriginalAttributesSequence keeps what was replaced, the former SOP Instance UID too. After the"
    yield "  copies have arrived, a Key Object Selection Document in the former study, under the former patient, names the former"
    yield "  objects: (113038, DCM, Incorrect Modality Worklist Entry), or where nothing had been ordered (113037, DCM, Rejected for"
    yield "  Patient Safety Reasons)."
    yield "- Which class: the profile says the kind (`object.still`, `object.cine`). More than 8 bits a sample, and recordings of"
    yield "  visible light that are not MPEG-4, are stored as Secondary Capture, and ImageComments says so."
    yield "- Video: an MP4 stream of H.264 High Profile in one fragment, transfer syntax by its level"
    yield f"  (`{video.HIGH_4_1}` to 1080p30, `{video.HIGH_4_2}` to 1080p60), square pixels; only where the profile's rule allows loss."
    yield "- Lengths: SequenceOfUltrasoundRegions from the profile's calibration; PixelSpacing is never written. Pixels that are not"
    yield "  square have a PixelAspectRatio."
    yield "- A specimen is named by the order's accession number, or where there is none by the exam's own number: no video output"
    yield "  tells the label of a slide."
    yield "- Curves: 16 bits a sample, as the instrument stated them; a value is sample x ChannelSensitivity + ChannelBaseline, the"
    yield "  correction factor is 1. Leads I, II and V1 to V6 together make a 12-lead ECG, up to 16,384 samples of each; any other"
    yield "  electrocardiogram is a General ECG. What has too many channels becomes several objects; curves that begin at different"
    yield "  times do, too. A curve that no class takes (an electrocardiogram of fewer than 200 samples in a second) is named in the report."
    yield "- Pages: an electrocardiogram at 25 mm/s and 10 mm/mV, a cardiotocogram at 1, 2 or 3 cm/min, as Encapsulated PDF, A4."
    yield "  The patient's name is drawn (BurnedInAnnotation YES): a new identity makes a new drawing of the same readings, which the"
    yield "  PDF keeps. No waveform class takes a cardiotocogram: its page and the report are what there is of it."
    yield "- Not created, as a video output does not tell what they require: Ophthalmic Photography, X-Ray Radiofluoroscopic and"
    yield "  Angiographic Image, Slide-Coordinates and Whole Slide Microscopy (use Secondary Capture or a VL class); Multi-frame Single"
    yield "  Bit Secondary Capture (no video has one bit). Of a dermatoscope's optics nothing is known: those attributes are empty."
    yield "- Private attributes are never created. A text too long for its VR is cut, and kept in full in PatientComments or"
    yield "  ImageComments."
    yield ""


def _of(iod: Iod) -> Iterator[Module]:
    """The modules of an IOD, named and sampled."""
    full = _words(_FULL)
    scant = _needed(iod, _words(_SCANT), full)
    shown, bare = _pictures(iod)
    for of_words in iod.of_words:
        yield _title(of_words), of_words(full), of_words(scant)
    for of_picture in iod.of_picture:
        yield _title(of_picture), of_picture(shown), of_picture(bare)
    for of_both in iod.of_both:
        yield _title(of_both), of_both(full, shown), of_both(scant, bare)
    for of_readings in iod.of_readings:
        yield _title(of_readings), of_readings(full, _EYES), of_readings(scant, _UNSIDED)
    for of_set in iod.of_set:
        yield _title(of_set), of_set(full, _CURVES), of_set(scant, _CURVE)
    if iod is iods.COMPREHENSIVE_SR:
        yield _title(sr.sr_document_general), sr.sr_document_general(full), sr.sr_document_general(scant)
        content = sr.sr_document_content
        yield _title(content), content(full, _READINGS), content(scant, _READINGS)
    if iod is iods.KEY_OBJECT_SELECTION:
        document = note.key_object_document
        yield _title(document), document(full, _REJECTED), document(scant, _REJECTED)
        tree = note.sr_document_content
        yield _title(tree), tree(full, _REJECTED, "G^H"), tree(scant, _REJECTED, "")
    common = (modules.sop_common(words, iod.sop_class_uid) for words in (full, scant))
    yield _title(modules.sop_common), next(common), next(common)


def _title(module: Callable[..., Dataset]) -> str:
    capitals = {name: name.upper() for name in ("sr", "sc", "us", "sop", "vl", "voi", "lut")}
    words = (capitals.get(word, word.capitalize()) for word in module.__name__.split("_"))
    return " ".join(words).replace("Multi Frame", "Multi-frame")


_EXAM = UUID(int=1)
_CODE = Code("45036003", "SCT", "Ultrasonography of abdomen")
_SOMEBODY = Patient(
    patient_id="1", name="A^B", birth_date="19700102", sex="O", issuer_of_patient_id="HOSPITAL", comments="known"
)
_ORDER = ScheduledStep(
    patient=_SOMEBODY,
    scheduled_procedure_step_id="1",
    study_instance_uid="2.25.1",
    accession_number="1",
    requested_procedure_id="1",
    requested_procedure_description="Abdomen",
    requested_procedure_code=_CODE,
    scheduled_procedure_step_description="Abdomen",
    scheduled_protocol_codes=(_CODE,),
    referring_physician_name="C^D",
    performing_physician_name="E^F",
    admission_id="1",
    patient_weight_kg="60",
    medical_alerts="known",
    allergies="known",
    pregnancy_status="1",
)
_FULL = PerformedStep(
    exam_id=_EXAM,
    station="room",
    status=StepStatus.IN_PROGRESS,
    study_instance_uid="2.25.1",
    modality="US",
    profile="sample",
    started_at=BUILT_AT + timedelta(days=1),
    started_ns=0,
    boot_id="boot",
    clock_note="A person confirmed the date and time.",
    patient=_SOMEBODY,
    scheduled=_ORDER,
    operator="G^H",
)
_SCANT = PerformedStep(
    exam_id=_EXAM,
    station="room",
    status=StepStatus.IN_PROGRESS,
    study_instance_uid="2.25.1",
    modality="US",
    profile="sample",
    started_at=BUILT_AT + timedelta(days=1),
    started_ns=0,
    boot_id="boot",
)
_READINGS = (Observation(concept=_CODE, value="1", unit=Code("1", "UCUM", "no units")),)
_EYE_VALUES = tuple(
    Observation(concept=concept, value=value, unit=codes.DIOPTRE, laterality=side)
    for side in ("R", "L", "")
    for concept, value in (
        (codes.SPHERE, "-1.25"),
        (codes.CYLINDER, "-0.75"),
        (codes.AXIS, "120"),
        (codes.ADD, "2.00"),
        (codes.HORIZONTAL_PRISM, "0.25"),
        (codes.HORIZONTAL_BASE, "IN"),
        (codes.VERTICAL_PRISM, "0.50"),
        (codes.VERTICAL_BASE, "UP"),
        (codes.RADIUS_1, "7.86"),
        (codes.RADIUS_2, "7.53"),
        (codes.MERIDIAN_1, "175"),
        (codes.VERTEX_DISTANCE, "12.00"),
        (codes.PRESCRIPTION_ACUITY, "1.0"),
    )
) + tuple(
    Observation(concept=concept, value="64.0", unit=codes.MILLIMETRE, laterality="B")
    for concept in (codes.DISTANCE_PD, codes.NEAR_PD)
)
_CHART = tuple(
    Observation(concept=concept, value=value)
    for concept, value in (
        (codes.OPTOTYPE, "LETTERS"),
        (codes.OPTOTYPE_DEFINITION, "Sloan letters"),
        (codes.OPTOTYPE_PRESENTATION, "MULTIPLE"),
        (codes.CHART_BACKGROUND, "WHITE"),
        (codes.VIEWING_DISTANCE, "DISTANCE"),
    )
)
_EYES = (*_EYE_VALUES, *_CHART)
_UNSIDED = tuple(one for one in _EYES if not one.laterality)
_CURVE = ReadingSet(
    traces=(
        Trace(
            kind=TraceKind.ECG,
            channel=codes.LEADS[0],
            unit=codes.MILLIVOLT,
            hz=500,
            step="0.001",
            samples=NO_SAMPLE.to_bytes(2, "little", signed=True) + bytes(2),
        ),
    ),
    received_ns=0,
)
_CURVES = replace(
    _CURVE,
    observations=_READINGS,
    traces=(replace(_CURVE.traces[0], doubts=("known",), low_hz=0.05, high_hz=150.0, notch_hz=50.0),),
)
_REJECTED = (
    Instance(
        sop_instance_uid="2.25.2",
        sop_class_uid=iods.US_IMAGE.sop_class_uid,
        transfer_syntax_uid=encode.EXPLICIT_LITTLE,
        study_instance_uid="2.25.1",
        series_instance_uid="2.25.3",
        blob="",
        size_bytes=0,
        data_digest="",
        stored_at=BUILT_AT,
    ),
)


def _words(exam: PerformedStep) -> Words:
    is_full = exam is _FULL
    known = dict.fromkeys(Equipment.__struct_fields__, "known") if is_full else {}
    return Words(
        exam=exam,
        equipment=Equipment(**known),
        object=ObjectKind(
            modality="US",
            body_part_examined="ABDOMEN" if is_full else "",
            series_description="known" if is_full else "",
            conversion_type="DV" if is_full else "DI",
            anatomic_region=_CODE if is_full else None,
            recognizable_visual_features=False if is_full else None,
            specimen=is_full,
        ),
        station=Station(institution_name="known" if is_full else ""),
        sop_instance_uid=uids.instance(_EXAM, "image", 1, 1),
        series_instance_uid=uids.series(_EXAM, "image"),
        series_number=1,
        instance_number=1,
        captured_at=BUILT_AT + timedelta(days=1),
    )


def _needed(iod: Iod, scant: Words, full: Words) -> Words:
    """As little as possible, and what the profile must say for this IOD."""
    said = scant.object
    if iod in iods.VIDEOS.values():
        return replace(scant, object=replace(said, anatomic_region=_CODE))
    if iod is iods.DERMOSCOPIC_PHOTOGRAPHY:
        return replace(scant, equipment=full.equipment, object=replace(said, recognizable_visual_features=False))
    return scant


def _pictures(iod: Iod) -> tuple[Picture, Picture]:
    """A picture of this IOD with everything to be said of it, and one with nothing."""
    is_multi_frame = pictures.cine in iod.of_picture
    grey = Picture(
        rows=4,
        columns=4,
        samples_per_pixel=1,
        transfer_syntax_uid=encode.EXPLICIT_LITTLE,
        photometric_interpretation="MONOCHROME2",
        bits_stored=10 if pictures.voi_lut in iod.of_picture else 8,
        frame_count=3 if is_multi_frame else 1,
        frame_times_ns=(0, 40_000_000, 120_000_000) if is_multi_frame else (),
        pixel_aspect=(12, 11),
        steps=("crop",),
        regions=(Region(x0=0, y0=0, x1=3, y1=3, delta_x=0.1, delta_y=0.1),),
        source_format="PAL 625/50i",
        lossy_method="ISO_10918_1",
        lossy_ratio=8.0,
        missing_frames=1,
    )
    colour = Picture(
        rows=1,
        columns=1,
        samples_per_pixel=3,
        transfer_syntax_uid=encode.EXPLICIT_LITTLE,
        photometric_interpretation="RGB",
        frame_count=2 if is_multi_frame else 1,
        frame_times_ns=(0, 40_000_000) if is_multi_frame else (),
    )
    if iod in iods.VIDEOS.values():
        lossy = replace(
            colour, lossy_method=video.METHOD, lossy_ratio=8.0, photometric_interpretation="YBR_PARTIAL_420"
        )
        full = replace(grey, pixel_aspect=(1, 1), samples_per_pixel=3, photometric_interpretation="YBR_PARTIAL_420")
        return full, lossy
    if iod is iods.SC_WORD_MULTI_FRAME:
        return grey, replace(colour, samples_per_pixel=1, photometric_interpretation="MONOCHROME2", bits_stored=16)
    if iod is iods.SC_GREY_MULTI_FRAME:
        return grey, replace(colour, samples_per_pixel=1, photometric_interpretation="MONOCHROME2")
    if iod is iods.SC_COLOUR_MULTI_FRAME:
        return replace(grey, samples_per_pixel=3, photometric_interpretation="RGB"), colour
    return grey, colour
