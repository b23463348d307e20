"""A Part 10 file to the few facts that decide where it goes, without loading its pixels.

Any bytes give a Peeked, NotDicom or ObjectError, in memory that does not grow with the file.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from gateway.errors import NotDicom
from gateway.objects import broken, part10


class Peeked(Struct, frozen=True, kw_only=True):
    """What an object is; nothing that identifies the patient."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 1
    samples_per_pixel: int = 0
    bits_allocated: int = 0
    photometric_interpretation: str = ""
    is_lossy: bool = False
    """It says so (LossyImageCompression 01)."""
    has_pixels: bool = False


# fmt: off
_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "LossyImageCompression",
)
# fmt: on
_TAGS = tuple(tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None)


def read(path: Path) -> Peeked:
    """Return the facts of one file. Raises NotDicom when it is none, or lacks its identity; OSError from the disk."""
    with part10.open_file(path, _TAGS) as file:
        ds = file.header
        with broken.named():
            return Peeked(
                sop_class_uid=_uid(ds, "SOPClassUID"),
                sop_instance_uid=_uid(ds, "SOPInstanceUID"),
                study_instance_uid=_uid(ds, "StudyInstanceUID"),
                series_instance_uid=_uid(ds, "SeriesInstanceUID"),
                transfer_syntax_uid=file.transfer_syntax_uid,
                modality=_text(ds, "Modality"),
                rows=_number(ds, "Rows"),
                columns=_number(ds, "Columns"),
                frames=file.frame_count,
                samples_per_pixel=_number(ds, "SamplesPerPixel"),
                bits_allocated=_number(ds, "BitsAllocated"),
                photometric_interpretation=_text(ds, "PhotometricInterpretation"),
                is_lossy=_text(ds, "LossyImageCompression") == "01",
                has_pixels=file.pixels is not None,
            )


def _text(ds: Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value).strip()


def _uid(ds: Dataset, keyword: str) -> str:
    uid = _text(ds, keyword)
    if not uid:
        raise NotDicom(problem=f"it has no {keyword}")
    return uid


def _number(ds: Dataset, keyword: str) -> int:
    return int(ds.get(keyword) or 0)
