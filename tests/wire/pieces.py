"""What a framing finds in pieces of bytes that arrive one after the other, and then silence."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.wire.records import Framing, Record


def records_of(framing: Framing, pieces: Iterable[bytes]) -> list[Record]:
    """Return all it finds, the unfinished too."""
    records = []
    for piece in pieces:
        framing.receive_data(piece)
        while isinstance(record := framing.next_record(), Record):
            records.append(record)
    while isinstance(record := framing.flush(), Record):
        records.append(record)
    return records
