"""Whom we call: a DICOM application entity and how long we wait for it (PS3.8 9.1.1)."""

from __future__ import annotations

from msgspec import Struct


class Peer(Struct, frozen=True, kw_only=True):
    """One application entity to call, and the name it knows us by."""

    name: str
    """What people call it; it opens every sentence about it."""
    host: str
    port: int
    called_ae: str
    calling_ae: str
    timeout_s: float = 30.0
    """It is hung when, for so long, it neither answers nor acknowledges one more byte of what we send."""
