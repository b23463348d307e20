"""Printed lines of an instrument to Observations, by the regular expressions of its profile (hw/instruments/*.toml).

The declarative dialect: it claims no maker's protocol. Whatever matches no pattern is no error: instruments print
headings. A value that cannot be a number, or lies outside the profile's bounds, is kept with its doubt in words.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from gateway.errors import ProfileError, UnreadableRecord
from gateway.model import Observation
from gateway.source.dialects.said import Said
from gateway.wire.records import Lines

if TYPE_CHECKING:
    from gateway.model import Code
    from gateway.profile import InstrumentProfile, Reading
    from gateway.wire.records import Record


class PlainLine:
    """The patterns of one profile, compiled once."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raise ProfileError when a pattern is no regular expression or has no group `value`."""
        self._encoding = profile.encoding
        self.framing = Lines(profile.terminator.encode(profile.encoding))
        self._record_end = profile.record_end.encode(profile.encoding) if profile.record_end else b""
        self._readings = [(_compiled(profile.name, reading), reading) for reading in profile.reading]

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a line says, and whether it ends the set. Raises UnreadableRecord for a line that is too long to be one."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        is_end = bool(self._record_end) and record.data.strip() == self._record_end
        return Said(observations=self.parse(record.data, received_ns), is_end=is_end)

    def answer(self) -> bytes:
        """Nothing: a printer is not talked to."""
        return b""

    def due(self, now_ns: int) -> bytes:
        """Return nothing: it speaks unasked."""
        return b""

    def parse(self, line: bytes, received_ns: int) -> tuple[Observation, ...]:
        """Return what a line states: nothing, one value, or several when patterns match in several places."""
        text = line.decode(self._encoding, errors="replace")
        return tuple(
            _observation(match, reading, line, received_ns)
            for pattern, reading in self._readings
            for match in pattern.finditer(text)
        )


def _compiled(name: str, reading: Reading) -> re.Pattern[str]:
    try:
        pattern = re.compile(reading.pattern)
    except re.error as error:
        raise ProfileError(name=name, problem=f"pattern {reading.pattern!r}: {error}") from error
    if "value" not in pattern.groupindex:
        raise ProfileError(name=name, problem=f"pattern {reading.pattern!r} has no group (?P<value>...)")
    return pattern


def _observation(match: re.Match[str], reading: Reading, line: bytes, received_ns: int) -> Observation:
    unit, unit_doubts = _unit(match, reading)
    value, doubts = _value(match["value"], reading, is_number=unit is not None)
    return Observation(
        concept=reading.concept,
        value=value,
        unit=unit,
        raw=line,
        received_ns=received_ns,
        doubts=doubts + unit_doubts,
    )


def _unit(match: re.Match[str], reading: Reading) -> tuple[Code | None, tuple[str, ...]]:
    stated = (match.groupdict().get("unit") or "").strip()
    if not stated or not reading.units:
        return reading.unit, ()
    if stated in reading.units:
        return reading.units[stated], ()
    return reading.unit, (f"the instrument stated the unit {stated!r}, which its profile does not know",)


def _value(stated: str, reading: Reading, *, is_number: bool) -> tuple[str, tuple[str, ...]]:
    """Return the value with a decimal point, and why it may be wrong."""
    text = stated.strip()
    if not is_number:
        return text, ()
    plain = text.replace(reading.decimal_separator, ".").replace(" ", "")
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return text, ("it is not a number",)
    if not number.is_finite():
        return text, ("it is not a number",)
    return format(number, "f"), _bounds(number, reading)


def _bounds(number: Decimal, reading: Reading) -> tuple[str, ...]:
    if reading.low is not None and number < Decimal(str(reading.low)):
        return (f"it is below {reading.low:g}",)
    if reading.high is not None and number > Decimal(str(reading.high)):
        return (f"it is above {reading.high:g}",)
    return ()
