"""What a PACS received, read by other code than wrote it: pixels and curves by pydicom or OpenJPEG, values by their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pydicom
from msgspec import Struct
from pydicom.encaps import generate_frames
from pydicom.waveforms.numpy_handler import multiplex_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    from pydicom.dataset import Dataset

_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201")


class Curve(Struct, frozen=True):
    """One channel of a waveform."""

    code: str
    """Of what is measured."""
    unit: str
    step: float
    """What a difference of 1 between samples is."""
    hz: float
    samples: tuple[int, ...]


class Seen(Struct, frozen=True, kw_only=True):
    """One object as a viewer shows it."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    patient_name: str
    modality: str
    pictures: npt.NDArray[np.uint8]
    """(frames, rows, columns) or (frames, rows, columns, 3); no frames when it is a report."""
    values: tuple[tuple[str, str, str], ...]
    """(meaning, value, unit) of each number of a report, or of the sphere of each lens of spectacles."""
    curves: tuple[Curve, ...] = ()
    """Of a waveform object, in their order."""
    document: bytes = b""
    """Of an encapsulated one."""


def look(path: Path) -> Seen:
    """Read an object whole."""
    ds = pydicom.dcmread(path)
    return Seen(
        sop_instance_uid=str(ds.SOPInstanceUID),
        sop_class_uid=str(ds.SOPClassUID),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        patient_name=str(ds.PatientName),
        modality=str(ds.Modality),
        pictures=_pictures(ds) if "PixelData" in ds else np.zeros((0, 0, 0), np.uint8),
        values=(*_values(ds), *_spheres(ds)),
        curves=tuple(_curves(ds)) if "WaveformSequence" in ds else (),
        document=bytes(ds.get("EncapsulatedDocument") or b""),
    )


def _pictures(ds: Dataset) -> npt.NDArray[np.uint8]:
    count = int(ds.get("NumberOfFrames") or 1)
    if str(ds.file_meta.TransferSyntaxUID) in _JPEG_2000:
        return np.stack(
            [imagecodecs.jpeg2k_decode(frame) for frame in generate_frames(ds.PixelData, number_of_frames=count)]
        )
    pixels = ds.pixel_array
    return pixels if count > 1 else pixels[None]


def _values(ds: Dataset) -> list[tuple[str, str, str]]:
    """Walk the content tree for its numbers (PS3.3 C.17.3)."""
    found = []
    for item in ds.get("ContentSequence") or []:
        if item.get("ValueType") == "NUM":
            measured = item.MeasuredValueSequence[0]
            unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
            found.append((item.ConceptNameCodeSequence[0].CodeMeaning, str(measured.NumericValue), unit))
        found += _values(item)
    return found


def _spheres(ds: Dataset) -> list[tuple[str, str, str]]:
    """Read Lensometry Measurements (PS3.3 C.8.25.8)."""
    sides = [keyword for keyword in ("RightLensSequence", "LeftLensSequence") if keyword in ds]
    return [(keyword, str(ds[keyword].value[0].SpherePower), "[diop]") for keyword in sides]


def _curves(ds: Dataset) -> Iterator[Curve]:
    """Read each channel of each multiplex group (PS3.3 C.10.9)."""
    for number, group in enumerate(ds.WaveformSequence):
        samples = multiplex_array(ds, number, as_raw=True)
        for at, channel in enumerate(group.ChannelDefinitionSequence):
            yield Curve(
                code=str(channel.ChannelSourceSequence[0].CodeValue),
                unit=str(channel.ChannelSensitivityUnitsSequence[0].CodeValue),
                step=float(channel.ChannelSensitivity) * float(channel.ChannelSensitivityCorrectionFactor),
                hz=float(group.SamplingFrequency),
                samples=tuple(samples[:, at].tolist()),
            )
