"""The compressed leads of an SCP-ECG record to plain samples: Huffman codes, differences, reference beats.

What is decoded are the samples that the instrument encoded, bit for bit; what could only be guessed (samples thinned out
between the beats) is refused by name. Sources: EN 1064 sections 2 to 6 as the default table and the decoder of PixelMed
(com.pixelmed.scpecg) have them, and the adding of reference beats and their units as ecgdatakit's parser describes it. The
worked example of the standard (C.2.7.4), as PixelMed corrects it, is a test.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from math import gcd
from struct import iter_unpack, unpack_from
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.errors import UnreadableRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_TABLE: Final = 19999
"""Written instead of how many tables there are: the one of the standard is meant."""
MAX_SAMPLES: Final = 2_000_000
"""Of all leads together: twelve leads of five minutes at 500 Hz."""
_LARGEST: Final = 32767
_ROW_BYTES: Final = 9
_LONGEST_CODE: Final = 32
_SIMPLE_ROWS: Final = 64
_TOO_FEW: Final = "its samples end too early, or have an unknown code"


class Row(Struct, frozen=True):
    """One code: its first bits, how many bits of a value follow, and what it means."""

    extra_bits: int
    value: int
    is_switch: bool = False
    """The value is the number, from 1, of the table that the next codes are from."""


class Table:
    """One Huffman table: the bits of a code, as text, and its row."""

    def __init__(self, rows: Iterable[tuple[str, Row]]) -> None:
        """`rows`: the bits of each code, first bit first."""
        self.rows = dict(rows)
        self.lengths = tuple(sorted({len(code) for code in self.rows}))
        is_simple = 0 < len(self.rows) <= _SIMPLE_ROWS and not any(row.is_switch for row in self.rows.values())
        self.pattern = _pattern(self.rows) if is_simple else None
        """Finds its codes one after the other, of a table that never switches; None for the others."""


class Beat(Struct, frozen=True):
    """One beat of the rhythm, in samples from 1 of the whole recording."""

    kind: int
    """0: reference beat 0 was subtracted there."""
    first: int
    middle: int
    """Its fiducial point."""
    last: int


class Block(Struct, frozen=True):
    """Section 5 or 6: how its leads are encoded, and their bytes."""

    step_nv: int
    """Nanovolts of one unit (amplitude value multiplier)."""
    interval_us: int
    differences: int
    """0, 1 or 2: which difference is stored."""
    is_thinned: bool
    """Bimodal compression: samples between the beats are left out."""
    leads: tuple[bytes, ...]


def tables(section: bytes) -> tuple[Table, ...]:
    """Return the tables of section 2, without its header; none when samples are stored as they are.

    Raises UnreadableRecord when it is cut off or a code is longer than 32 bits.
    """
    if len(section) < 2:
        raise UnreadableRecord(problem="its table of codes is cut off")
    (count,) = unpack_from("<H", section)
    if count == DEFAULT_TABLE:
        return (_default(),)
    found, at = [], 2
    for _ in range(count):
        if at + 2 > len(section):
            raise UnreadableRecord(problem="its table of codes is cut off")
        (rows,) = unpack_from("<H", section, at)
        end = at + 2 + rows * _ROW_BYTES
        if end > len(section):
            raise UnreadableRecord(problem="its table of codes is cut off")
        found.append(Table(_row(*row) for row in iter_unpack("<BBBhI", section[at + 2 : end])))
        at = end
    return tuple(found)


def block(section: bytes, leads: int) -> Block:
    """Return section 5 or 6, without its header, of so many leads. Raises UnreadableRecord."""
    start = 6 + 2 * leads
    if len(section) < start:
        raise UnreadableRecord(problem="its samples are cut off")
    step_nv, interval_us, differences, is_thinned = unpack_from("<HHBB", section)
    sizes = unpack_from(f"<{leads}H", section, 6)
    if start + sum(sizes) > len(section):
        raise UnreadableRecord(problem="its samples are cut off")
    if differences > 2:
        raise UnreadableRecord(problem=f"its differences are of an unknown kind, {differences}")
    if not step_nv or not interval_us:
        raise UnreadableRecord(problem="it does not say what a sample is")
    pieces = (section[begin:end] for begin, end in pairwise(accumulate(sizes, initial=start)))
    return Block(step_nv, interval_us, differences, bool(is_thinned), tuple(pieces))


def samples(data: bytes, count: int, differences: int, codes: Sequence[Table]) -> list[int]:
    """Return `count` samples of one lead, signed 16 bits. Raises UnreadableRecord when there are fewer."""
    values = _decoded(data, count, codes) if codes else _plain(data, count)
    return [(value + 32768 & 0xFFFF) - 32768 for value in _summed(values, differences)]


def with_beats(residual: list[int], start: int, reference: list[int], middle: int, beats: Iterable[Beat]) -> list[int]:
    """Return a lead with its reference beat added again where it was subtracted.

    `residual` begins with sample `start` of the recording; `middle` is the fiducial sample, from 1, of the reference beat;
    both are in the same unit. Raises UnreadableRecord when the beats overlap more than beats can.
    """
    whole = list(residual)
    most = 2 * len(whole)
    for beat in beats:
        before = beat.middle - middle
        """Sample 1 of the reference beat is sample `before + 1` of the recording."""
        first = max(beat.first, start, before + 1)
        last = min(beat.last, start + len(whole) - 1, before + len(reference))
        most -= max(0, last - first + 1)
        if most < 0:
            raise UnreadableRecord(problem="its beats lie one upon the other")
        for at in range(first, last + 1) if beat.kind == 0 else ():
            whole[at - start] += reference[at - before - 1]
    return whole


def in_one_unit(rhythm: int, reference: int) -> tuple[int, int, int]:
    """Return the largest step, in nV, that both are a multiple of, and how many of it each is."""
    step = gcd(rhythm, reference)
    return step, rhythm // step, reference // step


def check(values: Sequence[int]) -> None:
    """Raise UnreadableRecord when a sample needs more than the 16 bits that a trace has."""
    if values and (max(values) > _LARGEST or min(values) < -_LARGEST - 1):
        raise UnreadableRecord(problem="a sample is too large for 16 bits")


def _default() -> Table:
    """The table of the standard: as many ones as the value is large, a zero, the sign; above 8, 8 or 16 bits as they are."""
    rows = [("0", Row(0, 0))]
    for size in range(1, 9):
        rows += [("1" * size + "00", Row(0, size)), ("1" * size + "01", Row(0, -size))]
    return Table([*rows, ("1111111110", Row(8, 0)), ("1111111111", Row(16, 0))])


def _row(prefix: int, whole: int, mode: int, value: int, code: int) -> tuple[str, Row]:
    """One code of a table in the record; its bits are stored last bit first. Some writers state the longer length first."""
    prefix, whole = sorted((prefix, whole))
    if not 1 <= prefix <= _LONGEST_CODE or not prefix <= whole <= prefix + _LONGEST_CODE:
        raise UnreadableRecord(problem=f"its table of codes has one of {prefix} and {whole} bits")
    bits = f"{code:032b}"[::-1][:prefix]
    return bits, Row(whole - prefix, value, is_switch=mode == 0)


def _pattern(rows: dict[str, Row]) -> re.Pattern[str]:
    codes = sorted(rows, key=len)
    return re.compile(
        "|".join(code + f"[01]{{{rows[code].extra_bits}}}" * bool(rows[code].extra_bits) for code in codes)
    )


def _decoded(data: bytes, count: int, codes: Sequence[Table]) -> list[int]:
    bits = f"{int.from_bytes(data, 'big'):0{len(data) * 8}b}" if data else ""
    if codes[0].pattern is None:
        return _one_by_one(bits, count, codes)
    found = codes[0].pattern.findall(bits)[:count]
    if len(found) < count or not bits.startswith("".join(found)):
        raise UnreadableRecord(problem=_TOO_FEW)
    meanings = {each: _meaning(each, codes[0]) for each in set(found)}
    return [meanings[each] for each in found]


def _meaning(bits: str, table: Table) -> int:
    """What one code means, with the bits that follow it."""
    length = next(length for length in table.lengths if bits[:length] in table.rows)
    row = table.rows[bits[:length]]
    return row.value + (_signed(bits[length:], row.extra_bits) if row.extra_bits else 0)


def _one_by_one(bits: str, count: int, codes: Sequence[Table]) -> list[int]:
    """Decode with tables of any size, which may switch to one another."""
    table, at = codes[0], 0
    values: list[int] = []
    while len(values) < count:
        for length in table.lengths:
            row = table.rows.get(bits[at : at + length])
            if row is not None:
                break
        else:
            raise UnreadableRecord(problem=_TOO_FEW)
        at += length + row.extra_bits
        if row.is_switch:
            table = _switched(codes, row.value)
        elif row.extra_bits:
            values.append(row.value + _signed(bits[at - row.extra_bits : at], row.extra_bits))
        else:
            values.append(row.value)
    return values


def _switched(codes: Sequence[Table], number: int) -> Table:
    if not 1 <= number <= len(codes):
        raise UnreadableRecord(problem=f"its samples need table {number}, which it does not have")
    return codes[number - 1]


def _signed(bits: str, size: int) -> int:
    if len(bits) < size:
        raise UnreadableRecord(problem=_TOO_FEW)
    return int(bits, 2) - (1 << size if bits[0] == "1" else 0)


def _plain(data: bytes, count: int) -> list[int]:
    if len(data) < 2 * count:
        raise UnreadableRecord(problem=_TOO_FEW)
    return list(unpack_from(f"<{count}h", data))


def _summed(values: list[int], differences: int) -> Iterable[int]:
    """Undo differences; the first value of each lead, or the first two, are stored as they are."""
    if differences == 0 or len(values) <= differences:
        return accumulate(values) if differences == 1 else values
    if differences == 1:
        return accumulate(values)
    slopes = accumulate([values[1] - values[0], *values[2:]])
    return accumulate(slopes, initial=values[0])
