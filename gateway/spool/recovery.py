"""What a crash left, to what it should have been: only what has no living owner is touched, and nothing is deleted unseen.

A SENDING whose lease owner is dead goes back; a TAKEN press is MISSED; a `.part` that nobody has locked is removed (it was
never acknowledged); a purge goes on where it stopped. A blob that no row has is quarantined and shown; a row whose blob is
missing, or not of its size, is held and shown. Objects are read whole by `Instances.verify`, a few at a time.
"""

from __future__ import annotations

from msgspec import Struct

from gateway.errors import SpoolOrphan
from gateway.spool.blobs import Blobs
from gateway.spool.deliveries import Deliveries
from gateway.spool.history import Troubles
from gateway.spool.instances import Instances
from gateway.spool.quota import Quota
from gateway.spool.requests import Requests
from gateway.spool.store import Store


class Recovered(Struct, frozen=True, kw_only=True):
    """What a recovery found."""

    deliveries: int
    """Given back by senders that died."""
    requests: int
    """Presses that a dead service had taken."""
    parts: int
    """Half-written objects, removed."""
    purged: int
    """Purges, and former revisions, that were finished."""
    quarantined: int
    """Blobs without a row."""
    flagged: int
    """Rows whose blob is missing or of another size."""


class Rooms(Struct, frozen=True):
    """What a recovery looks at."""

    store: Store
    quota: Quota
    blobs: Blobs
    deliveries: Deliveries
    instances: Instances
    requests: Requests
    troubles: Troubles


def recover(rooms: Rooms) -> Recovered:
    """Put right what the dead left. May run at any time, beside living services."""
    return Recovered(
        deliveries=rooms.deliveries.recover(),
        requests=rooms.requests.recover(),
        parts=len(rooms.blobs.remove_dead_parts()),
        purged=rooms.instances.resume_purging(),
        quarantined=sum(_quarantine(rooms, digest) for digest in list(rooms.blobs.orphans())),
        flagged=rooms.instances.flag_missing(),
    )


def _quarantine(rooms: Rooms, digest: str) -> bool:
    """Move a blob out of the way, unless its row came meanwhile: admission needs the same lock, and looks for the blob."""
    with rooms.store.transaction():
        if rooms.instances.is_owned(digest):
            return False
        rooms.blobs.quarantine(digest)
        rooms.troubles.add(digest, SpoolOrphan(blob=digest))
    return True
