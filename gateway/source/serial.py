"""Bytes of a serial line to sets of Observations: framing, the profile's dialect, and where one set ends.

A set is what the instrument printed in one go: it ends with the profile's `record_end` line, or with a pause. Pure: time
is handed in (CLOCK_MONOTONIC, ns), so that a journal replays exactly as it was heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.source.dialects.plain_line import PlainLine
from gateway.wire.records import Lines, Record

if TYPE_CHECKING:
    from gateway.model import Observation
    from gateway.profile import InstrumentProfile


class ReadingSet(Struct, frozen=True):
    """What one instrument stated in one go."""

    observations: tuple[Observation, ...]
    received_ns: int
    """When its first value arrived."""
    unread_lines: int
    """Lines that were too long to be lines: the journal has them."""


class Instrument:
    """One instrument on one line."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raises ProfileError when the profile's patterns cannot work."""
        self._dialect = PlainLine(profile)
        self._lines = Lines(profile.terminator.encode(profile.encoding))
        self._record_end = profile.record_end.encode(profile.encoding) if profile.record_end else b""
        self._idle_ns = profile.idle_ends_record_ms * 1_000_000
        self._heard_ns = 0
        self._observations: list[Observation] = []
        self._unread_lines = 0

    def receive_data(self, data: bytes, now_ns: int) -> list[ReadingSet]:
        """Take what arrived at `now_ns`; return the sets that it ended."""
        ended = self.tick(now_ns)
        self._heard_ns = now_ns
        self._lines.receive_data(data)
        while isinstance(record := self._lines.next_record(), Record):
            ended += self._record(record, now_ns)
        return ended

    def tick(self, now_ns: int) -> list[ReadingSet]:
        """Return the set that a pause has ended, if any."""
        if now_ns - self._heard_ns < self._idle_ns:
            return []
        ended = []
        if isinstance(record := self._lines.flush(), Record):
            ended += self._record(record, self._heard_ns)
        return ended + self._end()

    def _record(self, record: Record, now_ns: int) -> list[ReadingSet]:
        if record.is_overlong:
            self._unread_lines += 1
            return []
        self._observations += self._dialect.parse(record.data, now_ns)
        is_end = bool(self._record_end) and record.data.strip() == self._record_end
        return self._end() if is_end else []

    def _end(self) -> list[ReadingSet]:
        if not self._observations:
            return []
        ended = ReadingSet(tuple(self._observations), self._observations[0].received_ns, self._unread_lines)
        self._observations, self._unread_lines = [], 0
        return [ended]
