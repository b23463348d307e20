"""A file that an instrument wrote onto a stick to readings, and to the objects of an exam: the same way as the bytes of its line.

Whose it is, a person says: an exam is named, and never guessed from what the file says about itself. The box keeps no copy of
the file; what becomes of it are objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from gateway.errors import UnreadableRecord
from gateway.model import ReadingSet
from gateway.service import readings, replay
from gateway.source.dialects import scp_ecg
from gateway.source.serial import Instrument

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from gateway.clock import Clock
    from gateway.model import Capture
    from gateway.profile import InstrumentProfile
    from gateway.service.compose import Box


def read(path: Path, profile: InstrumentProfile, clock: Clock) -> list[ReadingSet]:
    """Return what is in a file. Raises UnreadableRecord when nothing is, or the first thing that cannot be read."""
    data, now_ns = path.read_bytes(), clock.monotonic_ns()
    if profile.kind == "scp_ecg":
        said = scp_ecg.read(data, now_ns)
        return [
            ReadingSet(
                observations=said.observations,
                traces=said.traces,
                received_ns=now_ns,
                model_name=said.model_name,
                unread=said.unread,
            )
        ]
    instrument = Instrument(structs.replace(profile, collect_s=0))
    found = instrument.receive_data(data, now_ns)
    found += instrument.tick(now_ns + (profile.idle_ends_record_ms + 1) * 1_000_000)
    for error in instrument.errors():
        raise error
    if not found:
        raise UnreadableRecord(problem="nothing that this instrument says is in it")
    return found


def keep(box: Box, port: str, profile: InstrumentProfile, exam_id: UUID, found: list[ReadingSet]) -> list[Capture]:
    """Keep sets in an exam, each a capture. Raises NoSuchRow when there is no such exam, and what `readings.keep` does."""
    step = box.spool.exams.get(exam_id)
    return [readings.keep(box, port, profile, step, each) for each in found]


def said(found: list[ReadingSet], clock: Clock) -> list[replay.Replayed]:
    """Return what sets say, for a person to read; they are heard now."""
    return [replay.said(number, clock.now(), each) for number, each in enumerate(found, start=1)]
