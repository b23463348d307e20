"""UIDs to the names the standard gives them, for sentences a person reads (PS3.6 annex A)."""

from __future__ import annotations

from pydicom.uid import UID


def name(uid: str) -> str:
    """Return the standard's name of a SOP class or transfer syntax, or the UID itself when it has none."""
    return UID(uid).name


def is_image(sop_class_uid: str) -> bool:
    """Say whether objects of a SOP class are pictures (their pixels may be compressed), by its name in the standard."""
    return "Image Storage" in name(sop_class_uid)
