"""A cardiotocogram to sheets, as its department reads strips: 1, 2 or 3 centimetres are a minute.

Heart rates from 30 to 240 stand above, 20 beats a minute to the centimetre, or 30 on the paper of 3 cm/min; the activity of the
uterus from 0 to 100 stands below. Where the pen was lifted is a gap. Marks that the mother or the staff set are arrows between
the two, movements short bars. FIGO consensus guidelines on intrapartum fetal monitoring (2015): paper speeds and scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway import codes
from gateway.model import NO_SAMPLE, ReadingSet, Trace
from gateway.objects import curves, drawn
from gateway.objects import words as words_
from gateway.objects.paper import BLACK, GREY, Anchor, Colour, Paper, Points
from gateway.objects.words import Words

MOST_SHEETS = 1000
"""More than any page has room for."""
LEFT_MM, TOP_MM = 26.0, 42.0
LOWEST_RATE, HIGHEST_RATE = 30, 240
HIGHEST_ACTIVITY = 100
_NORMAL = (110, 160)
_PEN_MM = 0.3
_FINE: Colour = (0.87, 0.89, 0.87)
_BROAD: Colour = (0.68, 0.74, 0.69)
_SHADE: Colour = (0.945, 0.968, 0.94)
_RATES: tuple[Colour, ...] = (BLACK, (0.05, 0.2, 0.75), (0.6, 0.25, 0.0))
_STEP_MM = 5.0
_MM_PER_ACTIVITY = 0.4
_MARKS = frozenset({codes.EVENT_MARK, codes.FETAL_MOVEMENT})
_RATE_UNITS = frozenset({"/min", "{beats}/min", "{beat}/min"})

Curve = TypeVar("Curve", float, npt.NDArray[np.float64])


class Form(Struct, frozen=True):
    """A kind of paper: how a minute and a beat a minute are drawn."""

    mm_per_min: float
    minutes: int
    """On a sheet."""
    beats_per_mm: int
    label_min: int
    """From one time of day to the next."""

    @property
    def right_mm(self) -> float:
        """Where the curves end."""
        return LEFT_MM + self.minutes * self.mm_per_min

    @property
    def rate_mm(self) -> float:
        """The lower edge of the heart rates."""
        return TOP_MM + (HIGHEST_RATE - LOWEST_RATE) / self.beats_per_mm

    @property
    def activity_mm(self) -> tuple[float, float]:
        """The upper and the lower edge of the activity."""
        return self.rate_mm + 7.5, self.rate_mm + 7.5 + HIGHEST_ACTIVITY * _MM_PER_ACTIVITY

    def rate_y(self, rate: Curve) -> Curve:
        """Where a heart rate stands."""
        return self.rate_mm - (rate - LOWEST_RATE) / self.beats_per_mm

    def activity_y(self, activity: Curve) -> Curve:
        """Where an activity stands."""
        return self.activity_mm[1] - activity * _MM_PER_ACTIVITY


FORMS = MappingProxyType({1: Form(10, 25, 2, 5), 2: Form(20, 12, 2, 2), 3: Form(30, 8, 3, 1)})
"""By the centimetres of a minute."""


class Sheet(Struct, frozen=True):
    """Some minutes of a set of readings."""

    words: Words
    readings: ReadingSet
    form: Form
    from_min: float


def sheets(words: Words, readings: ReadingSet) -> list[Sheet]:
    """Return the sheets that a set becomes; none, when nothing of it can be drawn."""
    form = form_of(readings)
    ends = [_start_min(readings, trace) + curves.seconds(trace) / 60 for trace in _drawn(readings)]
    count = min(math.ceil(max(ends, default=0.0) / form.minutes - 1e-9), MOST_SHEETS)
    return [Sheet(words, readings, form, float(number * form.minutes)) for number in range(count)]


def form_of(readings: ReadingSet) -> Form:
    """Return the paper on which a set is drawn."""
    return FORMS.get(readings.paper_cm_min, FORMS[1])


def foot(readings: ReadingSet) -> tuple[str, ...]:
    """Return what the drawing means, and what is not on it."""
    form = form_of(readings)
    missing = [trace.channel.meaning for trace in readings.traces if not drawn.is_drawn(trace)]
    beats = f"{form.beats_per_mm * 10} beats per minute to the centimetre"
    signs = (
        "Shaded: 110 to 160.   Gap: no value, or one off this scale.   Arrow: a mark or a remark.   Bar: a movement."
    )
    lines = [
        f"Cardiotocogram, unconfirmed.   {form.mm_per_min / 10:g} cm/min   {beats}   activity 25 to the centimetre",
        f"To scale where it is printed at its own size.   {signs}",
    ]
    if missing:
        lines[1] += f"   Not drawn: {', '.join(missing)}."
    return tuple(lines)


def draw(paper: Paper, sheet: Sheet) -> None:
    """Draw both grids and every curve and mark of these minutes."""
    form = sheet.form
    _grids(paper, form)
    _times(paper, sheet)
    rates = [trace for trace in _drawn(sheet.readings) if _is_rate(trace)]
    for trace, colour in zip(rates, _RATES * len(rates), strict=False):
        _curve(paper, sheet, trace, form.rate_y(_values(trace)), colour, (TOP_MM, form.rate_mm))
    for trace in _drawn(sheet.readings):
        if trace.channel in _MARKS:
            _marks(paper, sheet, trace)
        elif trace not in rates:
            _curve(paper, sheet, trace, form.activity_y(_values(trace)), BLACK, form.activity_mm)
    for remark in sheet.readings.observations:
        is_of_a_moment = remark.unit is None and remark.concept != codes.MONITOR_MODES
        if is_of_a_moment and remark.received_ns:
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
    return LEFT_MM + sheet.form.mm_per_min * (minutes - sheet.from_min)


def _curve(
    paper: Paper,
    sheet: Sheet,
    trace: Trace,
    y: npt.NDArray[np.float64],
    colour: Colour,
    panel: tuple[float, float],
) -> None:
    x = _x(sheet, trace)
    right = sheet.form.right_mm
    seen = (x >= LEFT_MM - 1) & (x <= right + 1)
    paper.curve(x[seen], y[seen], _PEN_MM, colour, within=(LEFT_MM, panel[0], right, panel[1]))


def _marks(paper: Paper, sheet: Sheet, trace: Trace) -> None:
    """An arrow for each mark that was set, a bar for each sample with a movement."""
    values, form = _values(trace), sheet.form
    for x in _x(sheet, trace)[np.isfinite(values) & (values > 0)].tolist():
        if not LEFT_MM <= x <= form.right_mm:
            continue
        if trace.channel == codes.EVENT_MARK:
            paper.arrow(x, form.rate_mm + 0.3, 2.2)
        else:
            top = form.activity_mm[0]
            paper.line([(x, top), (x, top + 2)], 0.35)


def _arrow(paper: Paper, sheet: Sheet, at_min: float) -> None:
    x = LEFT_MM + sheet.form.mm_per_min * (at_min - sheet.from_min)
    if at_min > 0 and LEFT_MM <= x <= sheet.form.right_mm:
        paper.arrow(x, sheet.form.rate_mm + 0.3, 2.2)


def _grids(paper: Paper, form: Form) -> None:
    """A line each 5 mm and each 10 beats; broad ones each minute, each 30 beats and each 20 of activity."""
    paper.area(LEFT_MM, form.rate_y(_NORMAL[1]), form.right_mm, form.rate_y(_NORMAL[0]), _SHADE)
    fine: list[Points] = []
    broad: list[Points] = []
    steps = round(form.mm_per_min / _STEP_MM)
    for step in range(steps * form.minutes + 1):
        for top, bottom in ((TOP_MM, form.rate_mm), form.activity_mm):
            x = LEFT_MM + step * _STEP_MM
            (fine if step % steps else broad).append([(x, top), (x, bottom)])
    for rate in range(LOWEST_RATE, HIGHEST_RATE + 1, 10):
        (fine if rate % 30 else broad).append([(LEFT_MM, form.rate_y(rate)), (form.right_mm, form.rate_y(rate))])
    for activity in range(0, HIGHEST_ACTIVITY + 1, 10):
        y = form.activity_y(activity)
        (fine if activity % 20 else broad).append([(LEFT_MM, y), (form.right_mm, y)])
    paper.lines(fine, 0.1, _FINE)
    paper.lines(broad, 0.18, _BROAD)
    for rate in range(LOWEST_RATE, HIGHEST_RATE + 1, 30):
        _scale(paper, form, form.rate_y(rate), str(rate))
    for activity in range(0, HIGHEST_ACTIVITY + 1, 20):
        _scale(paper, form, form.activity_y(activity), str(activity))


def _scale(paper: Paper, form: Form, y: float, text: str) -> None:
    paper.text(LEFT_MM - 1.5, y + 1.0, text, 2.9, anchor="right", colour=GREY)
    paper.text(form.right_mm + 1.2, y + 1.0, text, 2.9, colour=GREY)


def _times(paper: Paper, sheet: Sheet) -> None:
    """The time of day, each few minutes."""
    form = sheet.form
    for minute in range(0, form.minutes + 1, form.label_min):
        at = words_.local(sheet.words, sheet.words.captured_at + timedelta(minutes=sheet.from_min + minute))
        x = LEFT_MM + form.mm_per_min * minute
        anchor: Anchor = "left" if minute == 0 else "right" if minute == form.minutes else "middle"
        paper.text(x, form.activity_mm[0] - 1.6, f"{at:%H:%M:%S}", 2.9, anchor=anchor, colour=GREY)


def _names(paper: Paper, sheet: Sheet, rates: Sequence[Trace]) -> None:
    """What each curve is, in its colour."""
    x = LEFT_MM + 2
    for trace, colour in zip(rates, _RATES * len(rates), strict=False):
        name = f"{trace.channel.meaning} ({trace.unit.meaning})"
        x += paper.text(x, TOP_MM + 4.5, name, 3.2, is_bold=True, colour=colour) + 6
    below, top = ", ".join(_below(sheet.readings, rates)), sheet.form.activity_mm[0]
    paper.text(LEFT_MM + 2, top + 5.2, below, 3.2, is_bold=True, most_mm=sheet.form.right_mm - LEFT_MM - 4)


def _below(readings: ReadingSet, rates: Sequence[Trace]) -> Iterator[str]:
    for trace in _drawn(readings):
        if trace not in rates and trace.channel not in _MARKS:
            unit = "" if trace.unit.value == "1" else f" ({trace.unit.meaning})"
            yield f"{trace.channel.meaning}{unit}"
