"""A Picture to the modules that say what the pixels are and what was done to them (law 4): one function a module.

PS3.3 C.7.6.1 General Image, C.7.6.3 Image Pixel, C.7.6.5 Cine, C.7.6.6 Multi-frame, C.8.5.6 US Image, C.8.6.1 SC
Equipment, C.8.6.3 SC Multi-frame Image, C.11.2 VOI LUT. Our rule for ImageType value 1 (C.7.6.1.1.2): ORIGINAL pixels are as they came;
once anything was done to them, or they came lossy, the image is DERIVED, and DerivationDescription says how.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

import gateway
from gateway.errors import ObjectInvalid
from gateway.model import Code, Loss, Picture
from gateway.objects import coerce, modules
from gateway.objects import words as words_
from gateway.objects.attributes import code, dataset
from gateway.objects.words import Words

LOSSY_COMPRESSION = Code("113040", "DCM", "Lossy Compression")
DERIVATIONS = MappingProxyType(
    {
        "resampled to": Code("113085", "DCM", "Spatial resampling"),
        "noise filter": Code("113087", "DCM", "Smoothing"),
    }
)
"""Words of a step for which the standard has a code (PS3.16 CID 7203); the others are told in words only."""

FRAME_TIME, FRAME_TIME_VECTOR = 0x00181063, 0x00181065

_JITTER_NS = 1_000_000
_EXPLICIT_VR_LIMIT = 0xFFFE
"""Bytes of a DS in explicit VR: its length field has 16 bits (PS3.5 7.1.2)."""


def general_image(words: Words, picture: Picture) -> Dataset:
    """C.7.6.1. PatientOrientation and Laterality are there and empty where nobody can know them."""
    is_derived = bool(picture.steps or picture.lossy_method)
    return dataset(
        InstanceNumber=words.instance_number,
        PatientOrientation="",
        ContentDate=words_.da(words, words.captured_at),
        ContentTime=words_.tm(words, words.captured_at),
        ImageType=["DERIVED" if is_derived else "ORIGINAL", "PRIMARY"],
        DerivationDescription=derivation(picture) or None,
        DerivationCodeSequence=[code(one) for one in derivation_codes(picture)] or None,
        ImageComments="\r\n".join((*_remarks(words, picture), *modules.comments(words))) or None,
        BurnedInAnnotation="NO" if picture.is_text_masked else "YES",
        RecognizableVisualFeatures=_yes_or_no(words.object.recognizable_visual_features),
        **lossy(picture),
    )


def derivation(picture: Picture) -> str:
    """Return what was done to the pixels, in order, as one sentence; empty when nothing was."""
    done = [*(f"compressed with loss ({loss.method}, {loss.ratio:g} to 1)" for loss in picture.earlier_losses)]
    done.extend(picture.steps)
    if picture.lossy_rule:
        done.append(f"compressed with loss ({picture.lossy_method}), by rule: {picture.lossy_rule}")
    elif picture.lossy_method:
        done.insert(0, f"lossy at the source ({picture.lossy_method})")
    return "; ".join(done)


def derivation_codes(picture: Picture) -> tuple[Code, ...]:
    """Return the codes for what was done, where there are any; each once."""
    done = [meaning for words, meaning in DERIVATIONS.items() if any(words in step for step in picture.steps)]
    return (*done, *((LOSSY_COMPRESSION,) if picture.lossy_method else ()))


def lossy(picture: Picture) -> dict[str, str | list[str]]:
    """C.7.6.1.1.5: sticky; a lossy source stays lossy however it is stored, and each loss has its method and ratio, in order."""
    if not picture.lossy_method:
        return {"LossyImageCompression": "00"}
    losses = (*picture.earlier_losses, Loss(picture.lossy_method, picture.lossy_ratio))
    said: dict[str, str | list[str]] = {
        "LossyImageCompression": "01",
        "LossyImageCompressionMethod": [loss.method for loss in losses],
    }
    if all(loss.ratio > 0 for loss in losses):
        said["LossyImageCompressionRatio"] = [format_number_as_ds(round(loss.ratio, 2)) for loss in losses]
    return said


def image_pixel(picture: Picture) -> Dataset:
    """C.7.6.3: interleaved, 8 bits or, grey, up to 16. PixelAspectRatio only when pixels are not square (no PixelSpacing is ever written)."""
    is_colour = picture.samples_per_pixel == 3
    return dataset(
        SamplesPerPixel=picture.samples_per_pixel,
        PhotometricInterpretation=picture.photometric_interpretation,
        Rows=picture.rows,
        Columns=picture.columns,
        BitsAllocated=8 if picture.bits_stored == 8 else 16,
        BitsStored=picture.bits_stored,
        HighBit=picture.bits_stored - 1,
        PixelRepresentation=0,
        PlanarConfiguration=0 if is_colour else None,
        PixelAspectRatio=list(picture.pixel_aspect) if picture.pixel_aspect[0] != picture.pixel_aspect[1] else None,
    )


def multi_frame(picture: Picture) -> Dataset:
    """C.7.6.6: the frames follow each other in time; the pointer names the attribute that says how."""
    pointer = FRAME_TIME if is_regular(picture) else FRAME_TIME_VECTOR
    return dataset(NumberOfFrames=picture.frame_count, FrameIncrementPointer=pointer)


def cine(picture: Picture) -> Dataset:
    """C.7.6.5: FrameTime when the capture times lie within 1 ms of an even beat, else each frame's own interval.

    Rates are whole frames a second: a time-lapse has none.
    """
    interval_ns = _mean_interval_ns(picture)
    rate = round(1e9 / interval_ns) or None
    is_even = is_regular(picture)
    return dataset(
        FrameTime=f"{interval_ns / 1e6:.6f}".rstrip("0").rstrip(".") if is_even else None,
        FrameTimeVector=None if is_even else _intervals_ms(picture),
        CineRate=rate,
        RecommendedDisplayFrameRate=rate,
        PreferredPlaybackSequencing=0,
    )


def voi_lut(picture: Picture) -> Dataset:
    """C.11.2: of more than 8 bits, all are shown from black to white; without it a viewer would guess."""
    if picture.bits_stored == 8:
        return Dataset()
    return dataset(WindowCenter=str(1 << (picture.bits_stored - 1)), WindowWidth=str(1 << picture.bits_stored))


def us_image(picture: Picture) -> Dataset:
    """C.8.5.6: what it asks beyond General Image and Image Pixel. What a colour picture shows (flow, or a logo) is unknown."""
    return dataset(UltrasoundColorDataPresent=0 if picture.samples_per_pixel == 1 else None)


def sc_equipment(words: Words, picture: Picture) -> Dataset:
    """C.8.6.1: the gateway is the device that captured."""
    is_analogue = words.object.conversion_type == "DV"
    source = picture.source_format or None
    return dataset(
        ConversionType=words.object.conversion_type,
        Modality=words.object.modality,
        SecondaryCaptureDeviceID=words.station.ae_title,
        SecondaryCaptureDeviceManufacturer=modules.GATEWAY,
        SecondaryCaptureDeviceManufacturerModelName=modules.GATEWAY,
        SecondaryCaptureDeviceSoftwareVersions=gateway.__version__,
        VideoImageFormatAcquired=source if is_analogue else None,
        DigitalImageFormatAcquired=None if is_analogue else source,
    )


def sc_multi_frame_image(picture: Picture) -> Dataset:
    """C.8.6.3: grey values are shown as they are."""
    annotation = "NO" if picture.is_text_masked else "YES"
    if picture.samples_per_pixel == 3:
        return dataset(BurnedInAnnotation=annotation)
    return dataset(
        BurnedInAnnotation=annotation,
        PresentationLUTShape="IDENTITY",
        RescaleIntercept="0",
        RescaleSlope="1",
        RescaleType="US",
    )


def is_regular(picture: Picture) -> bool:
    """Whether every frame was captured within 1 ms of an even beat through the whole recording."""
    first, interval_ns = picture.frame_times_ns[0], _mean_interval_ns(picture)
    return all(abs(at - first - index * interval_ns) < _JITTER_NS for index, at in enumerate(picture.frame_times_ns))


def _mean_interval_ns(picture: Picture) -> float:
    times = picture.frame_times_ns
    return max(1.0, (times[-1] - times[0]) / (len(times) - 1))


def _intervals_ms(picture: Picture) -> list[str]:
    """Milliseconds since the frame before, the first 0; rounded without drift, as finely as explicit VR has room for."""
    times = [at - picture.frame_times_ns[0] for at in picture.frame_times_ns]
    for decimals in (3, 2, 1, 0):
        unit_ns = 10 ** (6 - decimals)
        marks = [round(at / unit_ns) for at in times]
        steps = [now - before for before, now in zip([0, *marks], marks, strict=False)]
        texts = [_decimal(step, decimals) for step in steps]
        if sum(map(len, texts)) + len(texts) <= _EXPLICIT_VR_LIMIT:
            return texts
    raise ObjectInvalid(problem=f"{picture.frame_count} frames are too many for one FrameTimeVector")


def _decimal(thousandths: int, decimals: int) -> str:
    if decimals == 0:
        return str(thousandths)
    return f"{thousandths / 10**decimals:.{decimals}f}".rstrip("0").rstrip(".")


def _yes_or_no(stated: bool | None) -> str | None:  # noqa: FBT001  as the profile says it
    return None if stated is None else "YES" if stated else "NO"


def _remarks(words: Words, picture: Picture) -> list[str]:
    """Sentences on what a reader cannot see in the pixels."""
    remarks = [*picture.notes, *_instead(words, picture)]
    if len(derivation(picture).encode()) > coerce.LIMITS["ST"]:
        remarks.append(f"What was done to the pixels, whole: {derivation(picture)}")
    if picture.missing_frames:
        noun = "frame was" if picture.missing_frames == 1 else "frames were"
        remarks.append(f"{picture.missing_frames} {noun} missed; the intervals between frames show where.")
    if picture.ended_early:
        remarks.append(f"The recording ended early: {picture.ended_early.rstrip('.')}.")
    return remarks


def _instead(words: Words, picture: Picture) -> Iterator[str]:
    """Why it is a Secondary Capture, where the profile asks for another kind; whoever makes no video says why in a note."""
    asked = words.object.still if picture.frame_count == 1 else words.object.cine
    if picture.bits_stored > 8 and asked != "sc":
        yield f"Stored as Secondary Capture: its {picture.bits_stored} bits are more than the {asked} kind can hold."
