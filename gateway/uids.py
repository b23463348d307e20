"""Identities to UIDs: the same exam, kind, capture and segment give the same UID, whenever and wherever it is computed.

Law 2 of the house: identity is fixed once. UIDs are `2.25.` plus a UUID as a decimal integer (PS3.5 B.2).
"""

from __future__ import annotations

from uuid import UUID, uuid4, uuid5

IMPLEMENTATION_CLASS_UID = "2.25.275046293421768398112903402018497523218"
IMPLEMENTATION_VERSION_NAME = "MODGATEWAY_01"


def new_exam() -> UUID:
    """Make the identity of an exam; commit it before anything is derived from it."""
    return uuid4()


def study(exam: UUID, corrected: int = 0) -> str:
    """Return the Study Instance UID of an exam that no worklist gave one; of its own for each correction after release."""
    return _uid(exam, _corrected("study", corrected))


def series(exam: UUID, kind: str, corrected: int = 0) -> str:
    """Return the Series Instance UID for one kind of object (`image`, `sr`, ...) of an exam; as above."""
    return _uid(exam, _corrected(f"series/{kind}", corrected))


def instance(exam: UUID, kind: str, capture: int, segment: int) -> str:
    """Return the SOP Instance UID of one segment of one capture."""
    return _uid(exam, f"instance/{kind}/{capture}/{segment}")


def specimen(exam: UUID) -> str:
    """Return the Specimen UID of what was taken from the patient and is looked at in an exam."""
    return _uid(exam, "specimen")


def replacement(sop_instance_uid: str, revision: int) -> str:
    """Return the UID under which a corrected copy of an object that was already sent is delivered."""
    return f"2.25.{uuid5(UUID(int=0), f'{sop_instance_uid}/{revision}').int}"


def _corrected(words: str, revision: int) -> str:
    return f"{words}/corrected/{revision}" if revision else words


def _uid(exam: UUID, words: str) -> str:
    return f"2.25.{uuid5(exam, words).int}"
