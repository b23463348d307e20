"""What a PACS received, read by other code than wrote it: pixels by pydicom or OpenJPEG, values of an SR by their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pydicom
from msgspec import Struct
from pydicom.encaps import generate_frames

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from pydicom.dataset import Dataset

_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201")


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
