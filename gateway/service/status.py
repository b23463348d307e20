"""One box to what it does now: its services, exams, queue, room and clock, for `gateway status`. No PHI.

Law 7: what a destination last received is what counts, not whether a connection is up.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.model import Signal
from gateway.service.run import units
from gateway.spool import live

if TYPE_CHECKING:
    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.spool.spool import Spool


class Station(Struct, frozen=True, kw_only=True):
    """One grabber."""

    name: str
    signal: str
    """As acquire published it last; "UNKNOWN" when it has not run since the box started."""
    exam_id: str = ""
    """Of the exam in progress."""


class Destination(Struct, frozen=True, kw_only=True):
    """One destination."""

    name: str
    counts: dict[str, int]
    """Deliveries by state."""
    last_success_at: datetime | None


class Status(Struct, frozen=True, kw_only=True):
    """How a box stands."""

    services: dict[str, bool]
    stations: list[Station]
    destinations: list[Destination]
    held_objects: int
    """Received under a UID that another object has: a person must decide."""
    troubles: list[str]
    worklist_fetched_at: datetime | None
    worklist_steps: int
    free_bytes: int
    is_room_low: bool
    clock_doubt: str


def now(site: Site, spool: Spool, clock: Clock) -> Status:
    """Look at everything once."""
    from gateway.panel.health import is_running

    counts, room = spool.deliveries.counts(), spool.quota.room()
    return Status(
        services={name: is_running(site.data, name) for name in units(site)},
        stations=[_station(site, spool, name) for name in site.grabber],
        destinations=[
            Destination(
                name=name,
                counts={str(state): count for state, count in counts.get(name, {}).items()},
                last_success_at=spool.deliveries.last_success(name),
            )
            for name in dict.fromkeys((*site.destination, *counts))
        ],
        held_objects=len(spool.instances.held()),
        troubles=[f"{each.error_code} {each.text}" for each in spool.troubles.all()],
        worklist_fetched_at=spool.worklist.fetched(),
        worklist_steps=len(spool.worklist.all()),
        free_bytes=room.free_bytes,
        is_room_low=room.is_low,
        clock_doubt=clock.doubt(),
    )


def _station(site: Site, spool: Spool, name: str) -> Station:
    seen, running = live.read_status(site.run, name), spool.exams.running(name)
    signal: Signal | str = seen.signal if seen else "UNKNOWN"
    return Station(name=name, signal=str(signal), exam_id=str(running.exam_id) if running else "")
