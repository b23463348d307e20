"""Chunks of a port's journal to sets, each with the mark that says how far the journal is turned into sets once it is kept.

The same for what is heard now and for what a service that died had heard: the parser is pure, and time is handed in, so that it
finds the same sets in the same places. A quiet point is a place at which nothing was under way; a mark names one, and how many
of the sets behind it are done. A stream has no quiet points: its marks are the ends of its intervals, and any place at which
nothing is collected.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway.source.serial import Instrument
from gateway.spool.heard import Mark
from gateway.spool.journal import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.model import ReadingSet
    from gateway.profile import InstrumentProfile
    from gateway.spool.journal import Chunk

NOISE_BYTES: Final = 1 << 20
"""A line that never falls silent is taken to be quiet after so much."""
SECOND_NS: Final = 1_000_000_000


class Ended(Struct, frozen=True, kw_only=True):
    """A set, and what must be known to keep it once."""

    readings: ReadingSet
    began_ns: int
    """When its first byte arrived, by CLOCK_MONOTONIC of its boot."""
    mark: Mark
    """How far the journal is turned into sets with this one."""
    began_at: datetime | None = None
    """The same by the wall clock, for a set of another boot."""
    received_at: datetime | None = None
    """When its first value arrived, by the wall clock, for a set of another boot."""


class Hearing:
    """One port's parser, and where in the journal it is."""

    def __init__(self, profile: InstrumentProfile, boot_id: str) -> None:
        """Raises ProfileError when the profile's patterns cannot work."""
        self._profile = profile
        self._boot_id = self._heard_in = boot_id
        """This boot, and the one in which what is read now was heard: a mark says that of what follows it."""
        self._quiet = self._place = Place()
        self._sets = 0
        self.instrument = Instrument(profile)
        self.is_stream = profile.collect_s > 0

    def begin(self, place: Place) -> None:
        """Go on at another place in the journal, at which nothing is under way."""
        self.instrument = Instrument(self._profile)
        self._heard_in = self._boot_id
        self.moved(place)

    def moved(self, place: Place) -> None:
        """Go on in another file, while nothing is under way."""
        self._quiet = self._place = place
        self._sets = 0

    @property
    def mark(self) -> Mark:
        """How far the journal is turned into sets when all that has ended is kept."""
        at = self._place if self.is_stream and not self.instrument.is_collecting else self._quiet
        return Mark(file=at.file, offset=at.offset, sets=self._sets, boot_id=self._heard_in)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way; of a stream, always: a part of a record may be missing between two files."""
        return self.is_stream or not self.instrument.began_ns

    def receive(self, data: bytes, now_ns: int, end: Place, *, is_damaged: bool = False) -> list[Ended]:
        """Take a chunk that is in the journal and ends there; return the sets that it ended."""
        ended = self.tick(now_ns)
        began_ns = self.instrument.began_ns or now_ns
        self._place = end
        for readings in self.instrument.receive_data(data, now_ns, is_damaged=is_damaged):
            ended.append(self._ended(readings, began_ns))
            began_ns = now_ns
        if not self.is_stream and end.offset - self._quiet.offset > NOISE_BYTES:
            self._quiet, self._sets = end, 0
        return ended

    def tick(self, now_ns: int) -> list[Ended]:
        """Return the sets that a pause has ended, or the interval of a stream."""
        began_ns = self.instrument.began_ns
        ended = [self._ended(readings, began_ns) for readings in self.instrument.tick(now_ns)]
        if not self.instrument.began_ns:
            self._quiet, self._sets = self._place, 0
        return ended

    def end(self) -> list[Ended]:
        """End the interval of a stream here and now; of an instrument that prints, nothing."""
        began_ns = self.instrument.began_ns
        return [self._ended(readings, began_ns) for readings in self.instrument.end()] if self.is_stream else []

    def drop(self) -> None:
        """Begin the interval of a stream anew; what it has said since the last one is nobody's."""
        self.instrument.end()
        self.instrument.began_ns = 0

    def catch_up(self, chunks: Iterable[Chunk], mark: Mark) -> Iterator[Ended]:
        """Yield the sets in what stands behind a mark that are not done; what was heard in this boot may go on.

        Nothing is answered: whoever waited for an answer has given up long ago.
        """
        self.begin(Place(mark.file, mark.offset))
        self._heard_in = mark.boot_id
        last: Chunk | None = None
        for chunk in chunks:
            if last is not None:
                yield from self._undone(self._before(chunk.received_ns, last.received_ns), mark, last)
            last = chunk
            ended = self.receive(last.data, last.received_ns, Place(mark.file, last.end), is_damaged=last.is_damaged)
            yield from self._undone(ended, mark, last)
            self.instrument.answer()
            self.instrument.due(last.received_ns)
        if mark.boot_id != self._boot_id:
            if last is not None:
                yield from self._undone(self._rest(last.received_ns), mark, last)
            self.begin(self._place)

    def _before(self, now_ns: int, last_ns: int) -> list[Ended]:
        """What ended before a chunk came; one of a clock that went back is of another boot, and joins nothing."""
        if now_ns >= last_ns:
            return self.tick(now_ns)
        ended = self._rest(last_ns)
        self.instrument = Instrument(self._profile)
        return ended

    def _rest(self, last_ns: int) -> list[Ended]:
        """What a pause would have ended after the last chunk of a boot, and the interval of a stream."""
        return [*self.tick(last_ns + self._profile.idle_ends_record_ms * 1_000_000 + SECOND_NS), *self.end()]

    def _ended(self, readings: ReadingSet, began_ns: int) -> Ended:
        if self.is_stream:
            self._quiet = self._place
        else:
            self._sets += 1
        return Ended(readings=readings, began_ns=began_ns, mark=self.mark)

    def _undone(self, ended: Iterable[Ended], mark: Mark, last: Chunk) -> Iterator[Ended]:
        """Those that the mark does not count; with their time by the wall clock, if they are of another boot."""
        ahead_ns = last.received_at_ns - last.received_ns
        for one in ended:
            if one.mark.offset == mark.offset and one.mark.sets <= mark.sets:
                continue
            if mark.boot_id == self._boot_id:
                yield one
            else:
                yield structs.replace(
                    one,
                    began_at=at(one.began_ns + ahead_ns),
                    received_at=at(one.readings.received_ns + ahead_ns),
                )


def at(wall_ns: int) -> datetime:
    """Return a wall clock's nanoseconds since 1970 as a time."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=wall_ns // 1000)
