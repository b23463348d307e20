"""Bytes of a serial line to sets of Observations: framing, the profile's dialect, and where one set ends.

A set is what the instrument printed in one go: its dialect says where it ends, or a pause does. What cannot be read is
handed on as an error with a name, beside the sets. Pure: time is handed in (CLOCK_MONOTONIC, ns), so that a journal replays
exactly as it was heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.errors import UnreadableRecord
from gateway.source.dialects.astm import Astm
from gateway.source.dialects.nidek import Nidek
from gateway.source.dialects.plain_line import PlainLine
from gateway.wire.records import Record

if TYPE_CHECKING:
    from gateway.model import Observation
    from gateway.profile import InstrumentProfile
    from gateway.source.dialects.said import Dialect


class ReadingSet(Struct, frozen=True):
    """What one instrument stated in one go."""

    observations: tuple[Observation, ...]
    received_ns: int
    """When its first value arrived."""
    model_name: str = ""
    """What the instrument calls itself."""
    unread: int = 0
    """Parts that its dialect does not read: the journal has them."""


def dialect_of(profile: InstrumentProfile) -> Dialect:
    """Return how an instrument speaks. Raises ProfileError when its patterns cannot work."""
    match profile.kind:
        case "plain_line":
            return PlainLine(profile)
        case "nidek":
            return Nidek(profile)
        case "astm":
            return Astm(profile)


class Instrument:
    """One instrument on one line."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raises ProfileError when the profile's patterns cannot work."""
        self._dialect = dialect_of(profile)
        self._idle_ns = profile.idle_ends_record_ms * 1_000_000
        self.heard_ns = 0
        """When something arrived last."""
        self._observations: list[Observation] = []
        self._model_name = ""
        self._unread = 0
        self._errors: list[UnreadableRecord] = []

    def receive_data(self, data: bytes, now_ns: int) -> list[ReadingSet]:
        """Take what arrived at `now_ns`; return the sets that it ended."""
        ended = self.tick(now_ns)
        self.heard_ns = now_ns
        self._dialect.framing.receive_data(data)
        while isinstance(record := self._dialect.framing.next_record(), Record):
            ended += self._record(record, now_ns)
        return ended

    def tick(self, now_ns: int) -> list[ReadingSet]:
        """Return the set that a pause has ended, if any."""
        if now_ns - self.heard_ns < self._idle_ns:
            return []
        ended = []
        while isinstance(record := self._dialect.framing.flush(), Record):
            ended += self._record(record, self.heard_ns)
        return ended + self._end()

    def answer(self) -> bytes:
        """Return what must be sent to the instrument, once."""
        return self._dialect.answer()

    def errors(self) -> list[UnreadableRecord]:
        """Return what could not be read since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def _record(self, record: Record, now_ns: int) -> list[ReadingSet]:
        try:
            said = self._dialect.hear(record, now_ns)
        except UnreadableRecord as error:
            self._errors.append(error)
            return []
        self._observations += said.observations
        self._unread += said.unread
        self._model_name = said.model_name or self._model_name
        return self._end() if said.is_end else []

    def _end(self) -> list[ReadingSet]:
        if not self._observations:
            self._unread = 0
            return []
        ended = ReadingSet(tuple(self._observations), self._observations[0].received_ns, self._model_name, self._unread)
        self._observations, self._unread = [], 0
        return [ended]
