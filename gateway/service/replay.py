"""The journal of a serial port to the readings that are in it: the same bytes at the same pace, through today's parser.

What is printed is what the serial service would have made of them. A set that a mended parser reads at last, or that came
while no exam was in progress, is kept in an exam that a person names: never in one that is guessed, and never twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from gateway.errors import ExamError, NoSuchRow
from gateway.model import CaptureState, ReadingSet
from gateway.service import hearing, readings
from gateway.source.serial import Instrument
from gateway.spool import journal
from gateway.spool.heard import Kept, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from uuid import UUID

    from gateway.errors import UnreadableRecord
    from gateway.model import Capture, Trace
    from gateway.profile import InstrumentProfile
    from gateway.service.compose import Box

SAME: Final = timedelta(seconds=2)
"""A capture of this port so near in time is this very set: it was kept as it came."""
_SECOND_NS: Final = 1_000_000_000


class Value(Struct, frozen=True, kw_only=True):
    """One value of a set."""

    concept: str
    value: str
    unit: str
    laterality: Literal["", "R", "L", "B"]
    measurement: str
    """What it is a part of; empty for a value that stands by itself."""
    doubts: tuple[str, ...]


class Replayed(Struct, frozen=True, kw_only=True):
    """One set of readings, or one record that could not be read."""

    number: int
    """Of the sets, from 1 in each replay; 0 for what could not be read."""
    received_at: datetime
    """By the clock of the box at that time, UTC."""
    model_name: str = ""
    values: tuple[Value, ...] = ()
    curves: tuple[str, ...] = ()
    """Which there are, and how long."""
    unread: int = 0
    error: str = ""


def journals(folder: Path, day: str = "") -> list[Path]:
    """Return the journal files of a port, in order of their days, or the one of a day. Raises NoSuchRow when there is none."""
    found = sorted(folder.glob(f"{day or '*'}.journal"))
    if not found:
        raise NoSuchRow(what=f"journal of {folder.name}", key=day or "any day")
    return found


def play(paths: Iterable[Path], profile: InstrumentProfile) -> Iterator[Replayed]:
    """Yield what today's parser makes of journals, in order."""
    count = 0
    for at, one in _heard(paths, profile):
        if isinstance(one, ReadingSet):
            count += 1
            yield said(count, at, one)
        else:
            yield Replayed(number=0, received_at=at, error=str(one))


def keep(box: Box, port: str, paths: Iterable[Path], profile: InstrumentProfile, exam_id: UUID, number: int) -> None:
    """Keep one set, by its number in `play`, in an exam.

    Raises NoSuchRow when there is no such set or exam, ExamError when the exam has it already, and what `readings.keep` does.
    """
    step = box.spool.exams.get(exam_id)
    at, found = _numbered(paths, profile, number)
    kept = (one for one in box.spool.captures.of_exam(exam_id) if one.state is not CaptureState.LOST)
    if any(one.source == port and abs(one.started_at - at) < SAME for one in kept):
        raise ExamError(problem="this set of readings is in the exam already")

    def remember(capture: Capture) -> None:
        kept = Kept(exam_id=exam_id, capture=capture.number)
        box.spool.heard.remember(port, digest(found), kept, at)

    readings.keep(box, port, profile, step, readings.in_this_boot(box, at, found), also=remember)


def _numbered(paths: Iterable[Path], profile: InstrumentProfile, number: int) -> tuple[datetime, ReadingSet]:
    sets = ((at, one) for at, one in _heard(paths, profile) if isinstance(one, ReadingSet))
    for count, found in enumerate(sets, start=1):
        if count == number:
            return found
    raise NoSuchRow(what="set of readings", key=number)


def _heard(
    paths: Iterable[Path], profile: InstrumentProfile
) -> Iterator[tuple[datetime, ReadingSet | UnreadableRecord]]:
    """Feed the chunks to a fresh instrument; a clock that goes back is another boot, and ends what was pending, a stream's interval too."""
    instrument, last_ns, last_at_ns = Instrument(profile), 0, 0
    pause_ns = profile.idle_ends_record_ms * 1_000_000 + _SECOND_NS
    for chunk in chain.from_iterable(journal.read(path) for path in paths):
        if chunk.received_ns < last_ns:
            yield from _ended(instrument, instrument.tick(last_ns + pause_ns) + instrument.end(), last_at_ns - last_ns)
            instrument = Instrument(profile)
        else:
            yield from _ended(instrument, instrument.tick(chunk.received_ns), last_at_ns - last_ns)
        last_ns, last_at_ns = chunk.received_ns, chunk.received_at_ns
        yield from _ended(
            instrument, instrument.receive_data(chunk.data, last_ns, is_damaged=chunk.is_damaged), last_at_ns - last_ns
        )
        instrument.answer()
        instrument.due(last_ns)
    yield from _ended(instrument, instrument.tick(last_ns + pause_ns) + instrument.end(), last_at_ns - last_ns)


def _ended(
    instrument: Instrument, sets: list[ReadingSet], offset_ns: int
) -> Iterator[tuple[datetime, ReadingSet | UnreadableRecord]]:
    """Give each set its time by the wall clock, which is `offset_ns` ahead of the monotonic one."""
    yield from ((hearing.at(one.received_ns + offset_ns), one) for one in sets)
    yield from ((hearing.at(instrument.heard_ns + offset_ns), error) for error in instrument.errors())


def said(number: int, at: datetime, found: ReadingSet) -> Replayed:
    """Return what a set says, for a person to read."""
    values = (
        Value(
            concept=one.concept.meaning,
            value=one.value,
            unit=one.unit.meaning if one.unit else "",
            laterality=one.laterality,
            measurement=one.part_of or "",
            doubts=one.doubts,
        )
        for one in found.observations
    )
    return Replayed(
        number=number,
        received_at=at,
        model_name=found.model_name,
        values=tuple(values),
        curves=tuple(_curve(one) for one in found.traces),
        unread=found.unread,
    )


def _curve(trace: Trace) -> str:
    count = len(trace.samples) // 2
    return f"{trace.channel.meaning}, {count / trace.hz:g} s of {trace.hz:g} samples in a second"
