"""What an object says beside its pixels: the words handed to `image`, `sr` and `revise`, and what they hand back.

Law 6: dates and times in objects are local time of the station, with the offset beside them; a time before this
software was made is never written. PS3.3 C.12.1.1.8 (TimezoneOffsetFromUTC).
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from gateway.clock import BUILT_AT
from gateway.config import Station
from gateway.errors import ClockUntrusted, ObjectInvalid
from gateway.model import Equipment, Patient, PerformedStep
from gateway.profile import ObjectKind


class Words(Struct, frozen=True, kw_only=True):
    """Everything an object says that is not read off its pixels."""

    exam: PerformedStep
    equipment: Equipment
    """The modality or instrument that showed it, not the gateway."""
    object: ObjectKind
    station: Station
    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    captured_at: datetime
    """Of the first frame; for readings, of the last one."""

    def __repr__(self) -> str:
        """Show the UID only."""
        return f"Words({self.sop_instance_uid})"


class Sink(Protocol):
    """Where the bytes of an object go, once and in order: a file, a blob's part, a hash."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes, or raise."""


class Written(Struct, frozen=True, kw_only=True):
    """What was written to a sink."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_digest: str
    """SHA-256 of the encoded data set, as written, without the preamble and group 0002; hex."""


def patient(words: Words) -> Patient:
    """Return who is examined; for an emergency exam, a stand-in that nobody takes for a real identity.

    PatientID `EMERGENCY-` and the first eight hex digits of the exam's UUID; PatientName `EMERGENCY^` and the local start
    of the exam. Such an object stays HELD until `revise` has given it the patient's identity.
    """
    if words.exam.patient is not None:
        return words.exam.patient
    started = local(words, words.exam.started_at)
    return Patient(
        patient_id=f"{EMERGENCY}-{words.exam.exam_id.hex[:8].upper()}", name=f"{EMERGENCY}^{started:%Y-%m-%d %H.%M}"
    )


EMERGENCY = "EMERGENCY"
"""How the stand-in identity of an emergency exam begins."""


def local(words: Words, at: datetime) -> datetime:
    """Return an instant as local time of the station. Raises ObjectInvalid for a time zone that does not exist."""
    try:
        return at.astimezone(ZoneInfo(words.station.timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ObjectInvalid(problem=f"the time zone {words.station.timezone!r} is not known") from error


def da(words: Words, at: datetime) -> str:
    """Return the local date as DA."""
    return f"{local(words, at):%Y%m%d}"


def tm(words: Words, at: datetime) -> str:
    """Return the local time as TM, to the millisecond."""
    return f"{local(words, at):%H%M%S.%f}"[:-3]


def dt(words: Words, at: datetime) -> str:
    """Return an instant as DT, with its offset from UTC."""
    return f"{local(words, at):%Y%m%d%H%M%S.%f}{offset(words, at)}"


def offset(words: Words, at: datetime) -> str:
    """Return the station's offset from UTC at an instant, as `&ZZXX` ("+0530")."""
    return f"{local(words, at):%z}"[:5]


def check_times(words: Words) -> None:
    """Raise ClockUntrusted when a date would be written that this box cannot have seen (law 6)."""
    for at in (words.captured_at, words.exam.started_at):
        if at < BUILT_AT:
            raise ClockUntrusted(problem=f"it showed {at:%Y-%m-%d %H:%M}, and the true time is not known yet")


def clock_note(words: Words) -> str:
    """Return what a reader must know of the dates and times, as a sentence; empty when the clock was trusted."""
    if words.exam.clock_doubt:
        return f"{CLOCK}the date and time are not certain: {words.exam.clock_doubt}."
    return f"{CLOCK}{words.exam.clock_note}" if words.exam.clock_note else ""


CLOCK = "Clock: "
"""How the line of ImageComments on the clock begins; `revise` finds it by this."""
