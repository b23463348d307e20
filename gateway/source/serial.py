"""Bytes of a serial line to sets of Observations: framing, the profile's dialect, and where one set ends.

A set is what the instrument printed in one go: its dialect says where it ends, or a pause does. What cannot be read is
handed on as an error with a name, beside the sets. Pure: time is handed in (CLOCK_MONOTONIC, ns), so that a journal replays
exactly as it was heard. What the line damaged is never believed unmarked: `tty` reads a damaged character as DAMAGED, and a record
without a checksum that holds one while the line had errors is unreadable; one beside which characters were lost gets a doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway.errors import UnreadableRecord
from gateway.model import NO_SAMPLE, ReadingSet
from gateway.source.dialects.astm import Astm
from gateway.source.dialects.corometrics import Corometrics
from gateway.source.dialects.dri import Dri
from gateway.source.dialects.intellivue import IntelliVue
from gateway.source.dialects.medibus import Medibus
from gateway.source.dialects.nidek import Nidek
from gateway.source.dialects.plain_line import PlainLine
from gateway.source.dialects.reichert import Reichert
from gateway.source.dialects.scp_ecg import ScpEcg
from gateway.source.recent import Recent
from gateway.wire.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.model import Observation, Trace
    from gateway.profile import InstrumentProfile
    from gateway.source.dialects.said import Dialect, Said

DAMAGED: Final = 0x1A
"""What a character that the line damaged reads as (device.tty)."""
DOUBT: Final = "the line had errors while it arrived"
PAUSE_NS: Final = 500_000_000
MOST_PARTS: Final = 4096
"""Values, or pieces of curves: a set that has no end is ended here, and a stream's interval condensed."""


def dialect_of(profile: InstrumentProfile) -> Dialect:
    """Return how an instrument speaks. Raises ProfileError when its patterns cannot work."""
    match profile.kind:
        case "plain_line":
            return PlainLine(profile)
        case "nidek":
            return Nidek(profile)
        case "astm":
            return Astm(profile)
        case "scp_ecg":
            return ScpEcg(profile)
        case "dri":
            return Dri(profile)
        case "corometrics":
            return Corometrics(profile)
        case "medibus":
            return Medibus(profile)
        case "reichert":
            return Reichert(profile)
        case "intellivue":
            return IntelliVue(profile)


class Instrument:
    """One instrument on one line."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raises ProfileError when the profile's patterns cannot work."""
        self._dialect = dialect_of(profile)
        self._idle_ns = profile.idle_ends_record_ms * 1_000_000
        self._collect_ns = profile.collect_s * 1_000_000_000
        self.heard_ns = 0
        """When something arrived last."""
        self.began_ns = 0
        """Not later than the first byte of the set that is under way; 0: nothing is. A pause before its first value begins it anew."""
        self.recent = Recent()
        self._observations: list[Observation] = []
        self._traces: list[Trace] = []
        self._model_name = ""
        self._unread = 0
        self._since_ns = 0
        """When the first value of the set arrived; 0: there is none."""
        self._errors: list[UnreadableRecord] = []
        self._damaged_records = 0
        """So many of the records that end next may be damaged."""

    @property
    def is_collecting(self) -> bool:
        """Whether something was stated that no set has yet."""
        return self._since_ns > 0

    def receive_data(self, data: bytes, now_ns: int, *, is_damaged: bool = False) -> list[ReadingSet]:
        """Take what arrived at `now_ns`; return the sets that it ended. `is_damaged`: the line had errors just then."""
        ended = self.tick(now_ns)
        self.heard_ns = now_ns
        self.began_ns = self.began_ns or now_ns
        self._dialect.framing.receive_data(data)
        while isinstance(record := self._dialect.framing.next_record(), Record):
            ended += self._record(record, now_ns, is_damaged=is_damaged or self._damaged_records > 0)
            self._damaged_records = 0
        if is_damaged:
            self._damaged_records = 1
        return ended

    def tick(self, now_ns: int) -> list[ReadingSet]:
        """Return the set that a pause has ended, or the interval of a stream, if any."""
        if self._collect_ns and self._since_ns and now_ns - self._since_ns >= self._collect_ns:
            return self.end()
        if self.began_ns and not self._since_ns and now_ns - self.heard_ns >= PAUSE_NS:
            self.began_ns = now_ns
        if now_ns - self.heard_ns < self._idle_ns or not self.began_ns:
            return []
        ended = []
        while isinstance(record := self._dialect.framing.flush(), Record):
            ended += self._record(record, self.heard_ns, is_damaged=self._damaged_records > 0)
        self._damaged_records = 0
        if self._collect_ns:
            return ended
        ended += self.end()
        self.began_ns = 0
        return ended

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
        if not self._since_ns:
            self._unread = 0
            return []
        if self._collect_ns:
            self._condense()
        ended = ReadingSet(
            observations=tuple(self._observations),
            traces=tuple(_within(trace, self._since_ns) for trace in _joined(self._traces)),
            received_ns=self._since_ns,
            model_name=self._model_name,
            unread=self._unread,
        )
        self._observations, self._traces, self._unread, self._since_ns = [], [], 0, 0
        self.began_ns = self.heard_ns
        return [ended]

    def _record(self, record: Record, now_ns: int, *, is_damaged: bool) -> list[ReadingSet]:
        is_damaged &= not record.is_checked
        try:
            if is_damaged and DAMAGED in record.data:
                raise UnreadableRecord(problem="the line damaged a character of it")
            said = self._dialect.hear(record, now_ns)
        except UnreadableRecord as error:
            self._errors.append(error)
            return []
        if is_damaged:
            said = _doubted(said)
        self.recent.add(said.observations, said.traces)
        self._observations += said.observations
        self._traces += said.traces
        self._unread += said.unread
        self._model_name = said.model_name or self._model_name
        if said.observations or said.traces:
            self._since_ns = self._since_ns or now_ns
        is_full = max(len(self._observations), len(self._traces)) >= MOST_PARTS
        if is_full and self._collect_ns:
            self._condense()
            return []
        return self.end() if said.is_end or is_full else []

    def _condense(self) -> None:
        """Forget what a stream has said anew since, and join the pieces of its curves."""
        self._observations = list(_latest(self._observations))
        self._traces = list(_joined(self._traces))


def _doubted(said: Said) -> Said:
    return structs.replace(
        said,
        observations=tuple(structs.replace(one, doubts=(*one.doubts, DOUBT)) for one in said.observations),
        traces=tuple(structs.replace(one, doubts=(*one.doubts, DOUBT)) for one in said.traces),
    )


def _latest(observations: Iterable[Observation]) -> Iterable[Observation]:
    """The last value of each concept and side: a stream repeats itself."""
    return {(one.concept, one.laterality, one.part_of): one for one in observations}.values()


def _joined(pieces: Iterable[Trace]) -> Iterable[Trace]:
    """The pieces of each channel as one trace; a channel whose scale or rate changed is another one from there on.

    Where a piece comes late by more than a second, something is missing before it: NO_SAMPLE stands for it. What is doubtful in
    one piece is said of the whole: a piece taken out would move all that comes after it.
    """
    channels: dict[Trace, list[Trace]] = {}
    for piece in pieces:
        channels.setdefault(structs.replace(piece, samples=b"", received_ns=0, doubts=()), []).append(piece)
    return [
        structs.replace(
            parts[0],
            samples=_samples(parts),
            doubts=tuple(dict.fromkeys(doubt for part in parts for doubt in part.doubts)),
        )
        for parts in channels.values()
    ]


def _within(trace: Trace, since_ns: int) -> Trace:
    """A trace without the gap before the first value of its set: what was silent until then may have been of another exam."""
    early_ns = since_ns - trace.received_ns if trace.received_ns else 0
    early = round(early_ns / _SECOND_NS * trace.hz)
    gap = NO_SAMPLE.to_bytes(2, "little", signed=True) * early
    if early_ns < _SECOND_NS // 2 or not trace.samples.startswith(gap):
        return trace
    return structs.replace(trace, samples=trace.samples[len(gap) :], received_ns=since_ns)


def _samples(parts: list[Trace]) -> bytes:
    first, joined = parts[0], bytearray()
    for part in parts:
        late_ns = part.received_ns - first.received_ns - int(len(joined) // 2 / first.hz * _SECOND_NS)
        if late_ns > _SECOND_NS and part.received_ns and first.received_ns:
            joined += NO_SAMPLE.to_bytes(2, "little", signed=True) * round(late_ns / _SECOND_NS * first.hz)
        joined += part.samples
    return bytes(joined)


_SECOND_NS: Final = 1_000_000_000
