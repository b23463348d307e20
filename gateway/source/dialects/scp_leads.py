"""Sections 2 to 6 of an SCP-ECG record to its leads: which there are, and all their samples at one rate and in one unit.

The high compression of EN 1064 subtracts a reference beat, and outside the protected areas around each QRS keeps one value for
several samples (bimodal compression). That value then stands for all of them, and the leads say so: nothing is interpolated.

Sources: PixelMed (SCPECG.java) for the areas and the rate of what is thinned out; that the fiducial sample of the reference beat
counts from 1, and where it is added: ecgdatakit, ECGToolkit and Cervesato's scp-decode agree (PixelMed counts it from 0). What
is left over where an area between two beats is no multiple of the rate: the three differ, so such a record is refused.
"""

from __future__ import annotations

from itertools import chain
from struct import unpack_from
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.errors import UnreadableRecord
from gateway.source.dialects import scp_signal
from gateway.source.dialects.scp_signal import Beat, Block, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLES, LEADS, BEATS, REFERENCE, RHYTHM = 2, 3, 4, 5, 6
"""The numbers of the sections."""
_MOST_THINNED: Final = 4
_MOST_BEATS: Final = 5000
_THINNED: Final = "its samples are thinned out between the beats (bimodal compression) in a way that is not known"


class Lead(Struct, frozen=True):
    """One lead of section 3: samples `first` to `last` of the recording, from 1."""

    first: int
    last: int
    number: int

    @property
    def count(self) -> int:
        """How many samples it has."""
        return self.last - self.first + 1


class Recording(Struct, frozen=True, kw_only=True):
    """All leads of a record."""

    leads: tuple[Lead, ...]
    samples: tuple[list[int], ...]
    """Of each lead, in their order; signed 16 bits."""
    interval_us: int
    step_nv: int
    thinned: int
    """So many samples between the beats are one value; 1: every sample is its own."""


class Beats(Struct, frozen=True, kw_only=True):
    """Section 4: the reference beat's length and fiducial sample, and where beats and their protected areas are."""

    length_ms: int
    middle: int
    beats: tuple[Beat, ...]
    areas: tuple[tuple[int, int], ...]
    """First and last sample of each protected area; as many as there are beats, or none."""


def decode(sections: Mapping[int, bytes]) -> Recording:
    """Return the leads of a record, whose sections come without their headers. Raises UnreadableRecord and struct.error."""
    leads, is_subtracted = _leads(sections[LEADS])
    codes = scp_signal.tables(sections[TABLES]) if TABLES in sections else ()
    rhythm = scp_signal.block(sections[RHYTHM], len(leads))
    reference = scp_signal.block(sections[REFERENCE], len(leads)) if REFERENCE in sections else None
    beats = _beats(sections[BEATS]) if BEATS in sections else None
    thinned = _thinned(rhythm, reference, beats)
    decoded = [_decoded(rhythm, at, lead, codes, thinned, beats) for at, lead in enumerate(leads)]
    step_nv = rhythm.step_nv
    if is_subtracted:
        if reference is None or beats is None:
            raise UnreadableRecord(problem="its reference beat (sections 4 and 5) is missing")
        if reference.interval_us * thinned != rhythm.interval_us:
            raise UnreadableRecord(problem="its reference beat has another sampling rate than its rhythm")
        decoded, step_nv = _with_beats(rhythm.step_nv, reference, beats, leads, decoded, codes)
    for values in decoded:
        scp_signal.check(values)
    return Recording(
        leads=tuple(leads),
        samples=tuple(decoded),
        interval_us=rhythm.interval_us // thinned,
        step_nv=step_nv,
        thinned=thinned,
    )


def _leads(section: bytes) -> tuple[list[Lead], bool]:
    """Return the leads, and whether a reference beat was subtracted from them."""
    count, flags = unpack_from("<BB", section)
    leads = [Lead(*unpack_from("<IIB", section, 2 + 9 * at)) for at in range(count)]
    if not leads or any(not 1 <= lead.first <= lead.last for lead in leads):
        raise UnreadableRecord(problem="it does not say which samples a lead has")
    span = max(lead.last for lead in leads) - min(lead.first for lead in leads) + 1
    if span * count > scp_signal.MAX_SAMPLES:
        raise UnreadableRecord(problem="it says that it has more samples than an ECG can have")
    return leads, bool(flags & 1)


def _beats(section: bytes) -> Beats:
    length_ms, middle, count = unpack_from("<HHH", section)
    if count > _MOST_BEATS:
        raise UnreadableRecord(problem="it says that it has more beats than an ECG can have")
    after = 6 + 14 * count
    has_areas = len(section) >= after + 8 * count
    return Beats(
        length_ms=length_ms,
        middle=middle,
        beats=tuple(Beat(*unpack_from("<HIII", section, 6 + 14 * at)) for at in range(count)),
        areas=tuple(unpack_from("<II", section, after + 8 * at) for at in range(count)) if has_areas else (),
    )


# ---- what is thinned out between the beats ----


def _thinned(rhythm: Block, reference: Block | None, beats: Beats | None) -> int:
    """Return how many samples outside the protected areas are one value: as many as the reference beat has in its place."""
    if not rhythm.is_thinned or (reference is not None and reference.interval_us == rhythm.interval_us):
        return 1
    if reference is None or beats is None or not beats.areas:
        raise UnreadableRecord(problem=_THINNED)
    factor, left = divmod(rhythm.interval_us, reference.interval_us)
    if left or not 1 < factor <= _MOST_THINNED:
        raise UnreadableRecord(problem=_THINNED)
    return factor


def _decoded(
    rhythm: Block, at: int, lead: Lead, codes: Sequence[Table], thinned: int, beats: Beats | None
) -> list[int]:
    """Return the samples of a lead, each value as often as it stands for a sample."""
    if thinned == 1 or beats is None:
        return scp_signal.samples(rhythm.leads[at], lead.count, rhythm.differences, codes)
    times = _times(lead, beats.areas, thinned)
    values = scp_signal.samples(rhythm.leads[at], len(times), rhythm.differences, codes)
    return list(chain.from_iterable([value] * count for value, count in zip(values, times, strict=True)))


def _times(lead: Lead, areas: Iterable[tuple[int, int]], thinned: int) -> list[int]:
    """How many samples each stored value stands for: one within the protected areas."""
    times: list[int] = []
    at = lead.first
    for first, last in sorted(areas):
        begin, end = max(first, at), min(last, lead.last)
        if begin <= end:
            times += [*_between(begin - at, thinned), *([1] * (end - begin + 1))]
            at = end + 1
    return times + _between(lead.last - at + 1, thinned)


def _between(count: int, thinned: int) -> list[int]:
    if count % thinned:
        raise UnreadableRecord(problem=_THINNED)
    return [thinned] * (count // thinned)


# ---- the reference beat ----


def _with_beats(
    step_nv: int,
    reference: Block,
    beats: Beats,
    leads: Sequence[Lead],
    residuals: Sequence[list[int]],
    codes: Sequence[Table],
) -> tuple[list[list[int]], int]:
    """Return the leads with their reference beats added, and their step in nV."""
    size = round(beats.length_ms * 1000 / reference.interval_us)
    step_nv, of_rhythm, of_beat = scp_signal.in_one_unit(step_nv, reference.step_nv)
    whole = []
    for lead, residual, data in zip(leads, residuals, reference.leads, strict=True):
        beat = [value * of_beat for value in scp_signal.samples(data, size, reference.differences, codes)]
        rhythm = [value * of_rhythm for value in residual]
        whole.append(scp_signal.with_beats(rhythm, lead.first, beat, beats.middle, beats.beats))
    return whole, step_nv
