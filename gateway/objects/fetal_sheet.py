"""A cardiotocogram to sheets: 1 cm is a minute and 20 beats a minute, 25 minutes a sheet.

Heart rates from 30 to 240 stand above, the activity of the uterus from 0 to 100 below; where the pen was lifted is a gap.
Marks that the mother or the staff set are arrows between the two, movements short bars. Paper of 1 cm/min with 20 beats a
minute to the centimetre is the European form: FIGO consensus guidelines on intrapartum fetal monitoring (2015).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway import codes
from gateway.model import NO_SAMPLE, ReadingSet, Trace
from gateway.objects import curves, drawn
from gateway.objects import words as words_
from gateway.objects.paper import BLACK, GREY, Anchor, Colour, Paper, Points
from gateway.objects.words import Words

MM_PER_MIN = 10.0
MINUTES = 25
MOST_SHEETS = 1000
"""More than any page has room for."""
LEFT_MM, RIGHT_MM = 26.0, 276.0
RATE_TOP_MM, RATE_BOTTOM_MM = 42.0, 147.0
ACTIVITY_TOP_MM, ACTIVITY_BOTTOM_MM = 154.5, 194.5
LOWEST_RATE, HIGHEST_RATE = 30, 240
HIGHEST_ACTIVITY = 100
_NORMAL = (110, 160)
_PEN_MM = 0.3
_FINE: Colour = (0.87, 0.89, 0.87)
_BROAD: Colour = (0.68, 0.74, 0.69)
_SHADE: Colour = (0.945, 0.968, 0.94)
_RATES: tuple[Colour, ...] = (BLACK, (0.05, 0.2, 0.75), (0.6, 0.25, 0.0))
_RATE_UNITS = frozenset({"/min", "{beats}/min", "{beat}/min"})


class Sheet(Struct, frozen=True):
    """Twenty-five minutes of a set of readings."""

    words: Words
    readings: ReadingSet
    from_min: float


def sheets(words: Words, readings: ReadingSet) -> list[Sheet]:
    """Return the sheets that a set becomes; none, when nothing of it can be drawn."""
    ends = [_start_min(readings, trace) + curves.seconds(trace) / 60 for trace in _drawn(readings)]
    count = math.ceil(max(ends, default=0.0) / MINUTES - 1e-9)
    return [Sheet(words, readings, float(number * MINUTES)) for number in range(min(count, MOST_SHEETS))]


def foot(readings: ReadingSet) -> tuple[str, ...]:
    """Return what the drawing means, and what is not on it."""
    missing = [trace.channel.meaning for trace in readings.traces if not drawn.is_drawn(trace)]
    scale = "1 cm/min   20 beats per minute to the centimetre   activity 25 to the centimetre"
    signs = "Shaded: 110 to 160.   Gap: the monitor had no value.   Arrow: a mark or a remark.   Bar: a movement."
    lines = [
        f"Cardiotocogram, unconfirmed.   {scale}",
        f"Printed at its own size, a small square is 5 mm.   {signs}",
    ]
    if missing:
        lines[1] += f"   Not drawn: {', '.join(missing)}."
    return tuple(lines)


def draw(paper: Paper, sheet: Sheet) -> None:
    """Draw both grids and every curve and mark of these minutes."""
    _grids(paper)
    _times(paper, sheet)
    rates = [trace for trace in _drawn(sheet.readings) if _is_rate(trace)]
    for trace, colour in zip(rates, _RATES * len(rates), strict=False):
        y = RATE_BOTTOM_MM - (_values(trace) - LOWEST_RATE) / 2
        _curve(paper, sheet, trace, y, colour, (RATE_TOP_MM, RATE_BOTTOM_MM))
    for trace in _drawn(sheet.readings):
        if trace.channel in {codes.EVENT_MARK, codes.FETAL_MOVEMENT}:
            _marks(paper, sheet, trace)
        elif trace not in rates:
            y = ACTIVITY_BOTTOM_MM - _values(trace) * 0.4
            _curve(paper, sheet, trace, y, BLACK, (ACTIVITY_TOP_MM, ACTIVITY_BOTTOM_MM))
    for remark in sheet.readings.observations:
        if remark.unit is None and remark.received_ns and remark.concept != codes.MONITOR_MODES:
            _arrow(paper, sheet, (remark.received_ns - sheet.readings.received_ns) / 60e9)
    _names(paper, sheet, rates)


def _drawn(readings: ReadingSet) -> list[Trace]:
    return [trace for trace in readings.traces if drawn.is_drawn(trace)]


def _is_rate(trace: Trace) -> bool:
    return trace.unit.value in _RATE_UNITS


def _start_min(readings: ReadingSet, trace: Trace) -> float:
    """Minutes from the beginning of the set to that of a trace."""
    return max(0, trace.received_ns - readings.received_ns) / 60e9 if trace.received_ns else 0.0


def _values(trace: Trace) -> npt.NDArray[np.float64]:
    raw = curves.samples(trace)
    values = raw.astype(np.float64) * float(trace.step) + float(trace.zero)
    values[raw == NO_SAMPLE] = np.nan
    return values


def _x(sheet: Sheet, trace: Trace) -> npt.NDArray[np.float64]:
    count = len(trace.samples) // curves.SAMPLE_BYTES
    minutes = _start_min(sheet.readings, trace) + np.arange(count) / trace.hz / 60
    return LEFT_MM + MM_PER_MIN * (minutes - sheet.from_min)


def _curve(
    paper: Paper,
    sheet: Sheet,
    trace: Trace,
    y: npt.NDArray[np.float64],
    colour: Colour,
    panel: tuple[float, float],
) -> None:
    x = _x(sheet, trace)
    seen = (x >= LEFT_MM - 1) & (x <= RIGHT_MM + 1)
    paper.curve(x[seen], y[seen], _PEN_MM, colour, within=(LEFT_MM, panel[0], RIGHT_MM, panel[1]))


def _marks(paper: Paper, sheet: Sheet, trace: Trace) -> None:
    """An arrow for each mark that was set, a bar for each sample with a movement."""
    values = _values(trace)
    for x in _x(sheet, trace)[np.isfinite(values) & (values > 0)].tolist():
        if not LEFT_MM <= x <= RIGHT_MM:
            continue
        if trace.channel == codes.EVENT_MARK:
            paper.arrow(x, RATE_BOTTOM_MM + 0.3, 2.2)
        else:
            paper.line([(x, ACTIVITY_TOP_MM), (x, ACTIVITY_TOP_MM + 2)], 0.35)


def _arrow(paper: Paper, sheet: Sheet, at_min: float) -> None:
    x = LEFT_MM + MM_PER_MIN * (at_min - sheet.from_min)
    if at_min > 0 and LEFT_MM <= x <= RIGHT_MM:
        paper.arrow(x, RATE_BOTTOM_MM + 0.3, 2.2)


def _grids(paper: Paper) -> None:
    low, high = (RATE_BOTTOM_MM - (rate - LOWEST_RATE) / 2 for rate in _NORMAL)
    paper.area(LEFT_MM, high, RIGHT_MM, low, _SHADE)
    fine: list[Points] = []
    broad: list[Points] = []
    for half in range(2 * MINUTES + 1):
        for top, bottom in ((RATE_TOP_MM, RATE_BOTTOM_MM), (ACTIVITY_TOP_MM, ACTIVITY_BOTTOM_MM)):
            x = LEFT_MM + half * MM_PER_MIN / 2
            (fine if half % 2 else broad).append([(x, top), (x, bottom)])
    for rate in range(LOWEST_RATE, HIGHEST_RATE + 1, 10):
        y = RATE_BOTTOM_MM - (rate - LOWEST_RATE) / 2
        (fine if rate % 30 else broad).append([(LEFT_MM, y), (RIGHT_MM, y)])
    for activity in range(0, HIGHEST_ACTIVITY + 1, 10):
        y = ACTIVITY_BOTTOM_MM - activity * 0.4
        (fine if activity % 20 else broad).append([(LEFT_MM, y), (RIGHT_MM, y)])
    paper.lines(fine, 0.1, _FINE)
    paper.lines(broad, 0.18, _BROAD)
    for rate in range(LOWEST_RATE, HIGHEST_RATE + 1, 30):
        _scale(paper, RATE_BOTTOM_MM - (rate - LOWEST_RATE) / 2, str(rate))
    for activity in range(0, HIGHEST_ACTIVITY + 1, 20):
        _scale(paper, ACTIVITY_BOTTOM_MM - activity * 0.4, str(activity))


def _scale(paper: Paper, y: float, text: str) -> None:
    paper.text(LEFT_MM - 1.5, y + 1.0, text, 2.9, anchor="right", colour=GREY)
    paper.text(RIGHT_MM + 1.2, y + 1.0, text, 2.9, colour=GREY)


def _times(paper: Paper, sheet: Sheet) -> None:
    """The time of day, each five minutes."""
    for minute in range(0, MINUTES + 1, 5):
        at = words_.local(sheet.words, sheet.words.captured_at + timedelta(minutes=sheet.from_min + minute))
        x = LEFT_MM + MM_PER_MIN * minute
        anchor: Anchor = "left" if minute == 0 else "right" if minute == MINUTES else "middle"
        paper.text(x, ACTIVITY_TOP_MM - 1.6, f"{at:%H:%M:%S}", 2.9, anchor=anchor, colour=GREY)


def _names(paper: Paper, sheet: Sheet, rates: Sequence[Trace]) -> None:
    """What each curve is, in its colour."""
    x = LEFT_MM + 2
    for trace, colour in zip(rates, _RATES * len(rates), strict=False):
        name = f"{trace.channel.meaning} ({trace.unit.meaning})"
        x += paper.text(x, RATE_TOP_MM + 4.5, name, 3.2, is_bold=True, colour=colour) + 6
    below = ", ".join(_below(sheet.readings, rates))
    paper.text(LEFT_MM + 2, ACTIVITY_TOP_MM + 5.2, below, 3.2, is_bold=True, most_mm=RIGHT_MM - LEFT_MM - 4)


def _below(readings: ReadingSet, rates: Sequence[Trace]) -> Iterator[str]:
    for trace in _drawn(readings):
        if trace not in rates and trace.channel not in {codes.EVENT_MARK, codes.FETAL_MOVEMENT}:
            unit = "" if trace.unit.value == "1" else f" ({trace.unit.meaning})"
            yield f"{trace.channel.meaning}{unit}"
