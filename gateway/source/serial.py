"""Bytes of a serial line to sets of Observations: framing, the profile's dialect, and where one set ends.

A set is what the instrument printed in one go: its dialect says where it ends, or a pause does. What cannot be read is
handed on as an error with a name, beside the sets. Pure: time is handed in (CLOCK_MONOTONIC, ns), so that a journal replays
exactly as it was heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from gateway.errors import UnreadableRecord
from gateway.model import ReadingSet
from gateway.source.dialects.astm import Astm
from gateway.source.dialects.nidek import Nidek
from gateway.source.dialects.plain_line import PlainLine
from gateway.wire.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.model import Observation, Trace
    from gateway.profile import InstrumentProfile
    from gateway.source.dialects.said import Dialect


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
        self._collect_ns = profile.collect_s * 1_000_000_000
        self.heard_ns = 0
        """When something arrived last."""
        self._observations: list[Observation] = []
        self._traces: list[Trace] = []
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
        """Return the set that a pause has ended, or the interval of a stream, if any."""
        if self._collect_ns and self._began_ns and now_ns - self._began_ns >= self._collect_ns:
            return self.end()
        if now_ns - self.heard_ns < self._idle_ns:
            return []
        ended = []
        while isinstance(record := self._dialect.framing.flush(), Record):
            ended += self._record(record, self.heard_ns)
        return ended + self.end()

    def answer(self) -> bytes:
        """Return what must be sent to the instrument, once."""
        return self._dialect.answer()

    def due(self, now_ns: int) -> bytes:
        """Return what must be sent by now without having been asked for: a request, a keep-alive."""
        return self._dialect.due(now_ns)

    def errors(self) -> list[UnreadableRecord]:
        """Return what could not be read since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def end(self) -> list[ReadingSet]:
        """Return what was stated since the last set as a set of its own, if anything was."""
        if not self._began_ns:
            self._unread = 0
            return []
        observations = _latest(self._observations) if self._collect_ns else self._observations
        ended = ReadingSet(
            observations=tuple(observations),
            traces=tuple(_joined(self._traces)),
            received_ns=self._began_ns,
            model_name=self._model_name,
            unread=self._unread,
        )
        self._observations, self._traces, self._unread = [], [], 0
        return [ended]

    @property
    def _began_ns(self) -> int:
        """When the first value of the set arrived; 0: there is none."""
        return min((one[0].received_ns for one in (self._observations, self._traces) if one), default=0)

    def _record(self, record: Record, now_ns: int) -> list[ReadingSet]:
        try:
            said = self._dialect.hear(record, now_ns)
        except UnreadableRecord as error:
            self._errors.append(error)
            return []
        self._observations += said.observations
        self._traces += said.traces
        self._unread += said.unread
        self._model_name = said.model_name or self._model_name
        return self.end() if said.is_end else []


def _latest(observations: Iterable[Observation]) -> Iterable[Observation]:
    """The last value of each concept and side: a stream repeats itself."""
    return {(one.concept, one.laterality, one.part_of): one for one in observations}.values()


def _joined(pieces: Iterable[Trace]) -> Iterable[Trace]:
    """The pieces of each channel as one trace; a channel whose scale or rate changed is another one from there on."""
    channels: dict[Trace, list[Trace]] = {}
    for piece in pieces:
        channels.setdefault(structs.replace(piece, samples=b"", received_ns=0), []).append(piece)
    return (structs.replace(parts[0], samples=b"".join(part.samples for part in parts)) for parts in channels.values())
