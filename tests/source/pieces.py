"""What an instrument says when its bytes arrive whole, in pieces, and one by one: it must be the same."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gateway.source.serial import Instrument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.model import ReadingSet
    from gateway.profile import InstrumentProfile

SECOND = 1_000_000_000


def check_pieces(profile: InstrumentProfile, data: bytes, cuts: Iterable[int]) -> None:
    """Hold the sets and errors of bytes cut at `cuts`, and of each byte alone, against those of all at once."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = _heard(profile, [data])
    assert _heard(profile, [data[a:b] for a, b in pairwise(edges)]) == expected
    assert _heard(profile, [data[i : i + 1] for i in range(len(data))]) == expected


def _heard(profile: InstrumentProfile, pieces: Iterable[bytes]) -> tuple[list[ReadingSet], list[str]]:
    instrument = Instrument(profile)
    sets = [one for piece in pieces for one in instrument.receive_data(piece, SECOND)]
    sets += instrument.tick(99 * SECOND) + instrument.end()
    return sets, [str(error) for error in instrument.errors()]
