"""The Reichert G3 tonometer and its kin: the printout of both eyes to Observations.

A printout is text: two CR, a line with date and time, an empty line, a line of headings, a line `(R)` and a line `(L)`, each
where that eye was measured, with the corneal-compensated pressure, the hysteresis of the cornea, the Goldmann-correlated pressure and the
score of the curve; every line ends with CR, the message with EOT. There is no checksum: what does not end with EOT was cut off.
The columns are taken from the headings; without any that is known, in the order that the manual gives, and each value says so.

Source: Reichert G3 user's guide 16170-101-GER rev. A, annex A, page 50 (a description; it shows no example). Not read: the
date, as the exam in progress says when; single measurements and curves, of which nothing public says how they are sent.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from msgspec import structs

from gateway import codes
from gateway.errors import UnreadableRecord
from gateway.model import Code, Observation
from gateway.source.dialects.said import Said
from gateway.wire.records import MAX_RECORD_BYTES, NEED_DATA, Fault, Lines, Need, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.profile import InstrumentProfile

EOT: Final = b"\x04"
COLUMNS: Final[tuple[str, ...]] = ("IOPCC", "CH", "IOPG", "WS")
"""In the manual's order."""

_MEANINGS: Final[dict[str, tuple[Code, Code, str, str]]] = {
    "IOPCC": (codes.COMPENSATED_PRESSURE, codes.MMHG, "1", "80"),
    "CH": (codes.HYSTERESIS, codes.MMHG, "1", "30"),
    "IOPG": (codes.PRESSURE, codes.MMHG, "1", "80"),
    "WS": (codes.CURVE_SCORE, codes.NO_UNITS, "0", "10"),
}
"""Concept, unit, and what is plausible."""
_EYE: Final = re.compile(r"\((R|L)\)(.*)")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_FEWEST_HEADINGS: Final = 2
_UNNAMED: Final[tuple[str, ...]] = ("its column was not named: it is taken to be where the manual says",)


class Reichert:
    """One tonometer."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """`profile` says what encoding its text has; all that is read is ASCII."""
        self.framing = Printouts()
        self._encoding = profile.encoding

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a printout says. Raises UnreadableRecord for one that was cut off, and for one without any value."""
        if record.fault is Fault.CUT and b"\r" not in record.data:
            return Said()
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        found = tuple(
            structs.replace(one, raw=record.data, received_ns=received_ns)
            for one in _observations(record.data.decode(self._encoding, errors="replace"))
        )
        if not found:
            raise UnreadableRecord(problem="no value was found in it")
        return Said(observations=found, is_end=True)

    def answer(self) -> bytes:
        """Return nothing: it waits for nobody."""
        return b""

    def due(self, now_ns: int) -> bytes:
        """Return nothing: it prints when a person presses its key."""
        return b""


class Printouts:
    """Frames messages that EOT ends; what a silence ends was cut off."""

    def __init__(self, limit_bytes: int = MAX_RECORD_BYTES) -> None:
        """Keep at most `limit_bytes` of an unfinished message."""
        self._messages = Lines(EOT, limit_bytes)

    def receive_data(self, data: bytes) -> None:
        """Take what arrived."""
        self._messages.receive_data(data)

    def next_record(self) -> Record | Need:
        """Return the next message, or NEED_DATA."""
        return self._messages.next_record()

    def flush(self) -> Record | Need:
        """Return what is pending as a message that was cut off."""
        record = self._messages.flush()
        return structs.replace(record, fault=record.fault or Fault.CUT) if isinstance(record, Record) else NEED_DATA


def _observations(text: str) -> Iterator[Observation]:
    columns, doubts = COLUMNS, _UNNAMED
    for line in re.split(r"[\r\n]", text):
        named = tuple(word for word in line.upper().split() if word in _MEANINGS)
        if len(named) >= _FEWEST_HEADINGS:
            columns, doubts = named, ()
        elif match := _EYE.search(line):
            for one in _eye("R" if match[1] == "R" else "L", columns, match[2].split()):
                yield structs.replace(one, doubts=doubts + one.doubts)


def _eye(side: Literal["R", "L"], columns: tuple[str, ...], stated: list[str]) -> Iterator[Observation]:
    """The values of one eye. What holds no digit was not measured."""
    if len(stated) != len(columns):
        raise UnreadableRecord(problem=f"an eye has {len(stated)} values under {len(columns)} headings")
    for column, value in zip(columns, stated, strict=True):
        if any(character.isdigit() for character in value):
            concept, unit, low, high = _MEANINGS[column]
            plain, doubts = _number(value, low, high)
            yield Observation(concept=concept, value=plain, unit=unit, laterality=side, doubts=doubts)


def _number(stated: str, low: str, high: str) -> tuple[str, tuple[str, ...]]:
    """Return the value with a decimal point, and why it may be wrong."""
    plain = stated.replace(",", ".")
    if not _NUMBER.fullmatch(plain):
        return stated, ("it is not a number",)
    if Decimal(plain) < Decimal(low):
        return plain, (f"it is below {low}",)
    if Decimal(plain) > Decimal(high):
        return plain, (f"it is above {high}",)
    return plain, ()
