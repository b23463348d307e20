"""An electrocardiogram to sheets: 25 mm are a second, 10 mm a millivolt, on a grid of millimetres.

Twelve leads of ten seconds stand in three rows of four, each for 2.5 s of the same ten, and lead II below as a rhythm strip;
anything else in rows of ten seconds. Every row begins with a pulse of 1 mV and 200 ms. The base line of a lead is the median
of its samples; nothing else is done to them. AHA/ACCF/HRS recommendations for the standardisation of the electrocardiogram, part I (2007).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway.model import NO_SAMPLE, Trace
from gateway.objects import curves, drawn
from gateway.objects.head import LEFT_MM, RIGHT_MM
from gateway.objects.paper import BLACK, GREY, Colour, Paper, Points

MM_PER_S, MM_PER_MV = 25.0, 10.0
TOP_MM, BOTTOM_MM = 44.0, 194.0
STRIP_S = 10.0
_CURVES_MM = LEFT_MM + 10
_END_MM = _CURVES_MM + STRIP_S * MM_PER_S
_COLUMNS = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))
"""Of the page of twelve leads, by their place in `codes.LEADS`."""
_RHYTHM = 1
_BASE_MM = (20.0, 55.0, 90.0, 125.0)
ROWS = 6
MOST_STRIPS = 1000
"""Of ten seconds: more than any page has room for."""
_SLACK_S = 0.1
"""So much more than ten seconds is no further strip, and so much less is ten seconds."""
_PITCH_MM = 25.0
_LABEL_MM, _HIGH_LABEL_MM = 12.0, 16.5
"""Of the name of a lead, above its base line: in six rows, in four."""
_PEN_MM = 0.28
_FINE: Colour = (0.98, 0.85, 0.83)
_BROAD: Colour = (0.93, 0.62, 0.58)


class Piece(Struct, frozen=True):
    """A part of one lead, and where it begins on its sheet."""

    trace: Trace
    from_s: float
    to_s: float
    x_mm: float
    base_mm: float
    label_mm: float
    """Of its name, above the base line."""
    label: str


Sheet = tuple[Piece, ...]


def sheets(traces: Sequence[Trace]) -> list[Sheet]:
    """Return the sheets that leads become: those of which it is known what a millivolt is."""
    leads = [trace for trace in traces if drawn.is_drawn(trace)]
    twelve = {at: trace for trace in leads if (at := curves.lead(trace.channel)) is not None}
    if len(leads) == len(twelve) == 12 and min(map(curves.seconds, leads)) >= STRIP_S - _SLACK_S:
        return [_three_by_four(twelve), *_rows(leads, from_s=STRIP_S)]
    return _rows(leads, from_s=0.0)


def foot(traces: Sequence[Trace]) -> tuple[str, ...]:
    """Return what the drawing means, and which leads are not on it."""
    filters = dict.fromkeys(_filters(trace) for trace in traces)
    missing = [curves.label(trace.channel) for trace in traces if not drawn.is_drawn(trace)]
    lines = [
        f"Electrocardiogram, unconfirmed.   25 mm/s   10 mm/mV   {'; '.join(filter(None, filters)) or 'filters not stated'}",
        "Printed at its own size, a small square is 1 mm. The base line of each lead is the median of its samples.",
    ]
    if missing:
        lines[1] += f" Not drawn, as nothing was measured or their unit is no voltage: {', '.join(missing)}."
    return tuple(lines)


def draw(paper: Paper, sheet: Sheet) -> None:
    """Draw the grid and every piece on it."""
    _grid(paper)
    for base_mm in dict.fromkeys(piece.base_mm for piece in sheet):
        _pulse(paper, base_mm)
    for piece in sheet:
        _curve(paper, piece)
    for piece in sheet:
        if piece.x_mm > _CURVES_MM:
            paper.line([(piece.x_mm, piece.base_mm - 3), (piece.x_mm, piece.base_mm + 3)], 0.2, GREY)
        paper.text(piece.x_mm + 1.2, piece.base_mm - piece.label_mm, piece.label, 3.6, is_bold=True)


def _three_by_four(twelve: dict[int, Trace]) -> Sheet:
    each_s = STRIP_S / len(_COLUMNS)
    pieces = [
        _piece(
            twelve[at], column * each_s, (column + 1) * each_s, column * each_s, TOP_MM + _BASE_MM[row], _HIGH_LABEL_MM
        )
        for column, leads in enumerate(_COLUMNS)
        for row, at in enumerate(leads)
    ]
    return (*pieces, _piece(twelve[_RHYTHM], 0, STRIP_S, 0, TOP_MM + _BASE_MM[3], _HIGH_LABEL_MM))


def _rows(traces: Sequence[Trace], from_s: float) -> list[Sheet]:
    """Every lead in rows of ten seconds, the rows of one time together where they have room; up to 6 rows on a sheet."""
    left_s = max(map(curves.seconds, traces), default=0.0) - from_s
    strips = math.ceil((left_s - _SLACK_S) / STRIP_S) if from_s or left_s > _SLACK_S else 1
    strips = min(strips, MOST_STRIPS)
    begins = [from_s + STRIP_S * strip for strip in range(strips)]
    wanted = [(trace, at_s) for at_s in begins for trace in traces if curves.seconds(trace) > at_s]
    most = ROWS // len(traces) * len(traces) if 0 < len(traces) <= ROWS else ROWS
    return [
        tuple(
            _piece(trace, at_s, at_s + STRIP_S, 0, TOP_MM + 15 + _PITCH_MM * row, _LABEL_MM)
            for row, (trace, at_s) in enumerate(wanted[first : first + most])
        )
        for first in range(0, len(wanted), most)
    ]


def _piece(trace: Trace, from_s: float, to_s: float, at_s: float, base_mm: float, label_mm: float) -> Piece:
    name = curves.label(trace.channel)
    label = f"{name}   {from_s:g} s" if at_s == 0 and from_s > 0 else name
    return Piece(trace, from_s, to_s, _CURVES_MM + at_s * MM_PER_S, base_mm, label_mm, label)


def _grid(paper: Paper) -> None:
    fine: list[Points] = []
    broad: list[Points] = []
    for at in range(round(RIGHT_MM - LEFT_MM) + 1):
        (fine if at % 5 else broad).append([(LEFT_MM + at, TOP_MM), (LEFT_MM + at, BOTTOM_MM)])
    for at in range(round(BOTTOM_MM - TOP_MM) + 1):
        (fine if at % 5 else broad).append([(LEFT_MM, TOP_MM + at), (RIGHT_MM, TOP_MM + at)])
    paper.lines(fine, 0.08, _FINE)
    paper.lines(broad, 0.16, _BROAD)


def _pulse(paper: Paper, base_mm: float) -> None:
    """1 mV for 200 ms."""
    x, top = LEFT_MM + 2, base_mm - MM_PER_MV
    paper.line([(x - 1, base_mm), (x, base_mm), (x, top), (x + 5, top), (x + 5, base_mm), (x + 6, base_mm)], _PEN_MM)


def _curve(paper: Paper, piece: Piece) -> None:
    first, last = round(piece.from_s * piece.trace.hz), round(piece.to_s * piece.trace.hz)
    y = piece.base_mm - MM_PER_MV * millivolts(piece.trace)[first : last + 1]
    x = piece.x_mm + MM_PER_S * np.arange(len(y)) / piece.trace.hz
    paper.curve(x, y, _PEN_MM, BLACK, within=(LEFT_MM, TOP_MM, RIGHT_MM, BOTTOM_MM))


def millivolts(trace: Trace) -> npt.NDArray[np.float64]:
    """Return the samples in millivolts from their median; NaN where there is none."""
    raw = curves.samples(trace)
    values = raw.astype(np.float64) * float(trace.step) * drawn.VOLTS[trace.unit.value]
    values[raw == NO_SAMPLE] = np.nan
    measured = values[np.isfinite(values)]
    return values - (np.median(measured) if measured.size else 0.0)


def _filters(trace: Trace) -> str:
    low = f"{trace.low_hz:g}" if trace.low_hz is not None else ""
    high = f"{trace.high_hz:g}" if trace.high_hz is not None else ""
    band = f"{low}–{high} Hz" if low and high else f"from {low} Hz" if low else f"to {high} Hz" if high else ""
    notch = f"without {trace.notch_hz:g} Hz" if trace.notch_hz is not None else ""
    return ", ".join(filter(None, (band, notch)))
