"""Readings to the bytes of a PDF that a physician reads: an electrocardiogram or a fetal strip, on A4.

The patient's name is drawn, as a page is read apart from its header; so a new identity makes a new drawing of the same
readings, which the file keeps. The same words and readings give the same bytes. Only this module and what it imports
know the library that draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from gateway.errors import ObjectInvalid
from gateway.model import ReadingSet, TraceKind
from gateway.objects import drawn, ecg_sheet, fetal_sheet, head, paper
from gateway.objects.paper import Paper
from gateway.objects.words import Words

MOST_SHEETS = 100


def draw(words: Words, readings: ReadingSet) -> bytes:
    """Return the PDF of a set of curves of one kind. Raises ObjectInvalid when there is nothing to draw."""
    kind = readings.traces[0].kind if readings.traces else None
    sheets: list[Callable[[Paper], None]]
    match kind:
        case TraceKind.ECG:
            sheets = [partial(ecg_sheet.draw, sheet=sheet) for sheet in ecg_sheet.sheets(readings.traces)]
            foot = ecg_sheet.foot(readings.traces)
        case TraceKind.CARDIOTOCOGRAM:
            sheets = [partial(fetal_sheet.draw, sheet=sheet) for sheet in fetal_sheet.sheets(words, readings)]
            foot = fetal_sheet.foot(readings)
        case _:
            raise ObjectInvalid(problem="there are no curves of which a page is drawn")
    if not sheets:
        raise ObjectInvalid(problem="no curve can be drawn to scale")
    if len(sheets) > MOST_SHEETS:
        sheets = sheets[:MOST_SHEETS]
        foot = (*foot[:-1], f"{foot[-1]} Only the first {MOST_SHEETS} sheets are drawn.")
    pdf = Paper(drawn.TITLES[kind], head.WIDTH_MM, head.HEIGHT_MM)
    above = head.of(words, readings)
    lines = head.left_over(pdf, above)
    for first in range(0, len(lines), head.LINES_OF_A_SHEET):
        sheets.append(partial(head.draw_left_over, lines=lines[first : first + head.LINES_OF_A_SHEET]))
    for number, sheet in enumerate(sheets, 1):
        if number > 1:
            pdf.next_page()
        sheet(pdf)
        head.draw(pdf, above, number, len(sheets), foot, is_first=number == 1)
    return pdf.finish(_kept(readings), words.captured_at)


def readings_of(pdf: bytes) -> ReadingSet:
    """Return what a page was drawn from. Raises ObjectInvalid for a PDF that is not one of ours."""
    try:
        return msgspec.msgpack.decode(paper.source_of(pdf), type=ReadingSet)
    except msgspec.MsgspecError as error:
        raise ObjectInvalid(problem="what the page was drawn from is damaged") from error


def _kept(readings: ReadingSet) -> bytes:
    """The readings as the file keeps them; half a letter (a lone surrogate), which no file can hold, is U+FFFD."""
    try:
        return msgspec.msgpack.encode(readings)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(_whole(msgspec.to_builtins(readings, builtin_types=(bytes,))))


def _whole(found: object) -> object:
    match found:
        case str():
            return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {key: _whole(value) for key, value in found.items()}
        case list() | tuple():
            return [_whole(value) for value in found]
        case _:
            return found
