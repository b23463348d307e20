"""Words and a Picture to a data set: which modules make which object (PS3.3 annex A), as tables.

The composer, the header's revision and the conformance statement all read the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from msgspec import Struct
from pydicom.dataset import Dataset

from gateway.errors import ObjectInvalid
from gateway.model import Observation, Picture, ReadingSet
from gateway.objects import curves, document, eye, modules, pictures, regions, visible
from gateway.objects.attributes import merged
from gateway.objects.words import Words


class Iod(Struct, frozen=True, kw_only=True):
    """One Information Object Definition: its modules, by what they are made of. SOP Common comes with each."""

    name: str
    sop_class_uid: str
    of_words: tuple[Callable[[Words], Dataset], ...]
    of_picture: tuple[Callable[[Picture], Dataset], ...] = ()
    of_both: tuple[Callable[[Words, Picture], Dataset], ...] = ()
    of_readings: tuple[Callable[[Words, Sequence[Observation]], Dataset], ...] = ()
    of_set: tuple[Callable[[Words, ReadingSet], Dataset], ...] = ()
    remarks: str = "ImageComments"
    """The attribute that says what a reader must know of the clock, and what was too long for its place; empty where none does."""


_SUBJECT = (modules.patient, modules.general_study, modules.patient_study)
_IMAGE = (*_SUBJECT, modules.general_series, modules.general_equipment, modules.general_acquisition)
_MULTI_FRAME = (pictures.image_pixel, pictures.cine, pictures.multi_frame)
_SKIN = (
    *_SUBJECT,
    visible.general_series,
    modules.general_equipment,
    modules.general_acquisition,
    visible.acquisition_context,
    visible.vl_image,
)


def _visible(name: str, sop_class_uid: str, *of_picture: Callable[[Picture], Dataset]) -> Iod:
    """Stills and videos of visible light differ in their pixels only, and are named by what looked (A.32.1 to A.32.7)."""
    return Iod(
        name=name,
        sop_class_uid=sop_class_uid,
        of_words=(*_SKIN, visible.specimen),
        of_picture=of_picture,
        of_both=(pictures.general_image,),
    )


US_IMAGE = Iod(
    name="Ultrasound Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1",
    of_words=_IMAGE,
    of_picture=(pictures.image_pixel, regions.us_region_calibration, pictures.us_image),
    of_both=(pictures.general_image,),
)
US_MULTI_FRAME = Iod(
    name="Ultrasound Multi-frame Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.3.1",
    of_words=_IMAGE,
    of_picture=(*_MULTI_FRAME, regions.us_region_calibration, pictures.us_image),
    of_both=(pictures.general_image,),
)
SC_IMAGE = Iod(
    name="Secondary Capture Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
    of_words=(*_IMAGE, modules.sc_image),
    of_picture=(pictures.image_pixel, pictures.voi_lut),
    of_both=(pictures.sc_equipment, pictures.general_image),
)
SC_GREY_MULTI_FRAME = Iod(
    name="Multi-frame Grayscale Byte Secondary Capture Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.7.2",
    of_words=(*_IMAGE, modules.sc_image),
    of_picture=(*_MULTI_FRAME, pictures.sc_multi_frame_image),
    of_both=(pictures.sc_equipment, pictures.general_image),
)
SC_WORD_MULTI_FRAME = Iod(
    name="Multi-frame Grayscale Word Secondary Capture Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.7.3",
    of_words=(*_IMAGE, modules.sc_image),
    of_picture=(*_MULTI_FRAME, pictures.sc_multi_frame_image, pictures.voi_lut),
    of_both=(pictures.sc_equipment, pictures.general_image),
)
SC_COLOUR_MULTI_FRAME = Iod(
    name="Multi-frame True Color Secondary Capture Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.7.4",
    of_words=(*_IMAGE, modules.sc_image),
    of_picture=(*_MULTI_FRAME, pictures.sc_multi_frame_image),
    of_both=(pictures.sc_equipment, pictures.general_image),
)
VL_ENDOSCOPIC = _visible("VL Endoscopic Image", "1.2.840.10008.5.1.4.1.1.77.1.1", pictures.image_pixel)
VL_MICROSCOPIC = _visible("VL Microscopic Image", "1.2.840.10008.5.1.4.1.1.77.1.2", pictures.image_pixel)
VL_PHOTOGRAPHIC = _visible("VL Photographic Image", "1.2.840.10008.5.1.4.1.1.77.1.4", pictures.image_pixel)
DERMOSCOPIC_PHOTOGRAPHY = Iod(
    name="Dermoscopic Photography Image",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7",
    of_words=(*_SKIN, visible.enhanced_general_equipment, visible.dermoscopic_image),
    of_picture=(pictures.image_pixel,),
    of_both=(pictures.general_image,),
)
VIDEO_ENDOSCOPIC = _visible("Video Endoscopic Image", "1.2.840.10008.5.1.4.1.1.77.1.1.1", *_MULTI_FRAME)
VIDEO_MICROSCOPIC = _visible("Video Microscopic Image", "1.2.840.10008.5.1.4.1.1.77.1.2.1", *_MULTI_FRAME)
VIDEO_PHOTOGRAPHIC = _visible("Video Photographic Image", "1.2.840.10008.5.1.4.1.1.77.1.4.1", *_MULTI_FRAME)
COMPREHENSIVE_SR = Iod(
    name="Comprehensive SR",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
    of_words=(*_SUBJECT, modules.sr_document_series, modules.general_equipment),
    remarks="",
)
KEY_OBJECT_SELECTION = Iod(
    name="Key Object Selection Document",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.59",
    of_words=(*_SUBJECT, modules.key_object_document_series, modules.general_equipment),
)

_EYE = (*_SUBJECT, eye.general_series, modules.general_equipment, eye.enhanced_general_equipment)
LENSOMETRY = Iod(
    name="Lensometry Measurements",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.78.1",
    of_words=(*_EYE, eye.lensometry_measurements_series),
    of_readings=(eye.general_ophthalmic_refractive_measurements, eye.lensometry_measurements),
)
AUTOREFRACTION = Iod(
    name="Autorefraction Measurements",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.78.2",
    of_words=(*_EYE, eye.autorefraction_measurements_series),
    of_readings=(eye.general_ophthalmic_refractive_measurements, eye.autorefraction_measurements),
)
KERATOMETRY = Iod(
    name="Keratometry Measurements",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.78.3",
    of_words=(*_EYE, eye.keratometry_measurements_series),
    of_readings=(eye.general_ophthalmic_refractive_measurements, eye.keratometry_measurements),
)
SUBJECTIVE_REFRACTION = Iod(
    name="Subjective Refraction Measurements",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.78.4",
    of_words=(*_EYE, eye.subjective_refraction_measurements_series),
    of_readings=(eye.general_ophthalmic_refractive_measurements, eye.subjective_refraction_measurements),
)
VISUAL_ACUITY = Iod(
    name="Visual Acuity Measurements",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.78.5",
    of_words=(*_EYE, eye.visual_acuity_measurements_series),
    of_readings=(eye.general_ophthalmic_refractive_measurements, eye.visual_acuity_measurements),
)


def _waveform(
    name: str,
    sop_class_uid: str,
    *of_words: Callable[[Words], Dataset],
    series: Callable[[Words], Dataset] = modules.general_series,
) -> Iod:
    """Curves differ in what they may hold (`waveform.LIMITS`), and in what must be said of their clock and their equipment."""
    return Iod(
        name=name,
        sop_class_uid=sop_class_uid,
        of_words=(
            *_SUBJECT,
            series,
            curves.synchronization,
            modules.general_equipment,
            *of_words,
            curves.waveform_identification,
            curves.acquisition_context,
        ),
        of_set=(curves.waveform, curves.waveform_annotation),
        remarks="AcquisitionContextDescription",
    )


TWELVE_LEAD_ECG = _waveform("12-lead ECG Waveform", "1.2.840.10008.5.1.4.1.1.9.1.1", series=curves.general_series)
GENERAL_ECG = _waveform("General ECG Waveform", "1.2.840.10008.5.1.4.1.1.9.1.2", series=curves.general_series)
HEMODYNAMIC = _waveform("Hemodynamic Waveform", "1.2.840.10008.5.1.4.1.1.9.2.1")
ARTERIAL_PULSE = _waveform("Arterial Pulse Waveform", "1.2.840.10008.5.1.4.1.1.9.5.1", eye.enhanced_general_equipment)
RESPIRATORY = _waveform("Respiratory Waveform", "1.2.840.10008.5.1.4.1.1.9.6.1", eye.enhanced_general_equipment)

ENCAPSULATED_PDF = Iod(
    name="Encapsulated PDF",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.104.1",
    of_words=(*_SUBJECT, document.encapsulated_document_series, modules.general_equipment, document.sc_equipment),
    of_set=(document.encapsulated_document,),
    remarks="",
)

STILLS = MappingProxyType(
    {
        "us": US_IMAGE,
        "sc": SC_IMAGE,
        "endoscopic": VL_ENDOSCOPIC,
        "microscopic": VL_MICROSCOPIC,
        "photographic": VL_PHOTOGRAPHIC,
        "dermoscopic": DERMOSCOPIC_PHOTOGRAPHY,
    }
)
"""By `ObjectKind.still`."""
VIDEOS = MappingProxyType(
    {"endoscopic": VIDEO_ENDOSCOPIC, "microscopic": VIDEO_MICROSCOPIC, "photographic": VIDEO_PHOTOGRAPHIC}
)
"""By `ObjectKind.cine`, as MPEG-4."""
ALL = (
    US_IMAGE,
    US_MULTI_FRAME,
    SC_IMAGE,
    SC_GREY_MULTI_FRAME,
    SC_WORD_MULTI_FRAME,
    SC_COLOUR_MULTI_FRAME,
    VL_ENDOSCOPIC,
    VL_MICROSCOPIC,
    VL_PHOTOGRAPHIC,
    DERMOSCOPIC_PHOTOGRAPHY,
    VIDEO_ENDOSCOPIC,
    VIDEO_MICROSCOPIC,
    VIDEO_PHOTOGRAPHIC,
    COMPREHENSIVE_SR,
    KEY_OBJECT_SELECTION,
    LENSOMETRY,
    AUTOREFRACTION,
    KERATOMETRY,
    SUBJECTIVE_REFRACTION,
    VISUAL_ACUITY,
    TWELVE_LEAD_ECG,
    GENERAL_ECG,
    HEMODYNAMIC,
    ARTERIAL_PULSE,
    RESPIRATORY,
    ENCAPSULATED_PDF,
)


def for_picture(words: Words, picture: Picture) -> Iod:
    """Choose the IOD of frames: the profile says the kind, the picture says the rest. A recording of a single frame is an image.

    Secondary Capture takes what the kind cannot hold: more than 8 bits a sample (C.8.5.6.1, C.8.12.1.1.2), and recordings
    of visible light that are not video.
    """
    is_deep = picture.bits_stored > 8
    if picture.frame_count == 1:
        return SC_IMAGE if is_deep else STILLS[words.object.still]
    if is_deep:
        return SC_WORD_MULTI_FRAME
    if words.object.cine == "us":
        return US_MULTI_FRAME
    return SC_COLOUR_MULTI_FRAME if picture.samples_per_pixel == 3 else SC_GREY_MULTI_FRAME


def for_video(words: Words) -> Iod:
    """Choose the IOD of an MPEG-4 stream. Raises ObjectInvalid for a profile whose recordings are no video."""
    iod = VIDEOS.get(words.object.cine)
    if iod is None:
        raise ObjectInvalid(problem=f'a profile with object.cine = "{words.object.cine}" has no video')
    return iod


def by_uid(sop_class_uid: str) -> Iod:
    """Return one of ours. Raises ObjectInvalid for a SOP class that the gateway does not create."""
    for iod in ALL:
        if iod.sop_class_uid == sop_class_uid:
            return iod
    raise ObjectInvalid(problem=f"the gateway does not create objects of class {sop_class_uid}")


def compose(iod: Iod, words: Words, picture: Picture) -> Dataset:
    """Return the data set of an image, without its pixel data."""
    return merged(
        [
            *(module(words) for module in iod.of_words),
            *(module(picture) for module in iod.of_picture),
            *(module(words, picture) for module in iod.of_both),
            modules.sop_common(words, iod.sop_class_uid),
        ]
    )


def compose_set(iod: Iod, words: Words, readings: ReadingSet) -> Dataset:
    """Return the data set of curves, or of a page drawn of them."""
    return merged(
        [
            *(module(words) for module in iod.of_words),
            *(module(words, readings) for module in iod.of_set),
            modules.sop_common(words, iod.sop_class_uid),
        ]
    )
