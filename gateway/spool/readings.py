"""What an instrument said in one go, to a file that the panel shows beside the pictures, and back.

One file a capture, beside its thumbnail and for as long: the object is what is kept and sent, this is only a look at it, so
that the panel opens no DICOM. It is replaced atomically (rename(2)) and not synced: one that a crash took is not missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.model import ReadingSet

if TYPE_CHECKING:
    from uuid import UUID


def write(data: Path, exam_id: UUID, capture: int, readings: ReadingSet) -> None:
    """Keep what a capture says. Raises OSError."""
    path = _path(data, exam_id, capture)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(readings))
    fresh.replace(path)


def read(data: Path, exam_id: UUID, capture: int) -> ReadingSet | None:
    """Return what a capture says; None when nothing was kept of it, or it cannot be read."""
    try:
        return msgspec.json.decode(_path(data, exam_id, capture).read_bytes(), type=ReadingSet)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def remove(data: Path, exam_id: UUID, capture: int) -> None:
    """Forget what a capture says."""
    _path(data, exam_id, capture).unlink(missing_ok=True)


def _path(data: Path, exam_id: UUID, capture: int) -> Path:
    return data / "thumbnails" / str(exam_id) / f"{capture}.json"
