"""Words and readings to what stands around every drawing: whose it is, when, of what instrument, and what was measured.

A page is read apart from its header, so it names its patient on every sheet; a value that may be wrong is marked and its
doubt stands with it. What has no room at the top goes to a sheet of its own: nothing is left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta

from msgspec import Struct

from gateway.model import Observation, ReadingSet
from gateway.objects import modules
from gateway.objects import words as words_
from gateway.objects.paper import BLACK, GREY, Paper
from gateway.objects.words import Words

WIDTH_MM, HEIGHT_MM = 297.0, 210.0
LEFT_MM, RIGHT_MM = 16.0, 281.0
FOOT_MM = 200.5
_LINE_MM = 4.1
_SMALL_MM = 3.1
_FIRST_MM = 13.0
_NAME_MM, _LONG_NAME_MM = 5.2, 3.6
_ROWS = 8
_VALUES_MM = (102.0, 152.0)
_VALUE_MM = 48.5
_TEXTS_MM = 203.0
_UNITS = {"{beats}/min": " /min", "deg": "°", "ms": " ms", "mm[Hg]": " mmHg"}
"""Short, where what a unit means is long."""
_SPEAK_FOR_THEMSELVES = frozenset({"121106", "122147"})
"""DCM: Comment, Clinical Interpretation."""
_SEXES = {"F": "female", "M": "male", "O": "other"}


class Head(Struct, frozen=True, kw_only=True):
    """What is written above a drawing."""

    name: str
    lines: tuple[str, ...]
    values: tuple[str, ...]
    texts: tuple[str, ...]

    def __repr__(self) -> str:
        """Show nothing: a name must not reach a log by accident."""
        return "Head(…)"


def of(words: Words, readings: ReadingSet) -> Head:
    """Return the head of the page of a set of readings."""
    drawn = {trace.channel for trace in readings.traces}
    stated = [one for one in readings.observations if one.concept not in drawn]
    return Head(
        name=shown_name(words_.patient(words).name),
        lines=tuple(filter(None, _lines(words, readings.model_name))),
        values=tuple(_value(one) for one in stated if one.unit is not None),
        texts=tuple(_texts(words, readings, stated)),
    )


def draw(paper: Paper, head: Head, sheet: int, sheets: int, foot: Sequence[str], *, is_first: bool) -> None:
    """Draw whose the sheet is; on the first, as much as has room of what was measured; below, what the drawing means."""
    room = RIGHT_MM - LEFT_MM if not is_first else _VALUES_MM[0] - LEFT_MM - 4
    _draw_name(paper, head.name, room)
    for row, line in enumerate(head.lines):
        paper.text(LEFT_MM, _FIRST_MM + 5.4 + _LINE_MM * row, line, _SMALL_MM, most_mm=room)
    if is_first:
        values, texts = _placed(paper, head)
        if left_over(paper, head):
            texts[_ROWS - 1 :] = [MORE]
        for at, value in enumerate(values):
            x, y = _VALUES_MM[at // _ROWS], _FIRST_MM - 1 + _LINE_MM * (at % _ROWS)
            paper.text(x, y, value, _SMALL_MM, most_mm=_VALUE_MM)
        for row, line in enumerate(texts):
            paper.text(_TEXTS_MM, _FIRST_MM - 1 + _LINE_MM * row, line, _SMALL_MM, most_mm=RIGHT_MM - _TEXTS_MM)
    for row, line in enumerate(foot):
        paper.text(LEFT_MM, FOOT_MM + 4 * row, line, 2.9, colour=GREY, most_mm=RIGHT_MM - LEFT_MM - 20)
    paper.text(RIGHT_MM, FOOT_MM, f"{sheet} of {sheets}", 2.9, anchor="right", colour=GREY)


def _draw_name(paper: Paper, name: str, room: float) -> None:
    """A name on one line; one that is too long for it, smaller, on two."""
    if paper.length(name, _NAME_MM, is_bold=True) * 0.7 <= room:
        paper.text(LEFT_MM, _FIRST_MM, name, _NAME_MM, is_bold=True, most_mm=room)
        return
    first, *rest = _wrapped(paper, [name], room * _SMALL_MM / _LONG_NAME_MM * 0.9)
    paper.text(LEFT_MM, _FIRST_MM - 2.2, first, _LONG_NAME_MM, is_bold=True, most_mm=room)
    paper.text(LEFT_MM, _FIRST_MM + 1.7, " ".join(rest), _LONG_NAME_MM, is_bold=True, most_mm=room)


def left_over(paper: Paper, head: Head) -> list[str]:
    """Return, as lines, what has no room at the top of the first sheet."""
    values, texts = _placed(paper, head)
    if len(values) == len(head.values) and len(texts) == len(_wrapped(paper, head.texts, RIGHT_MM - _TEXTS_MM)):
        return []
    return [
        *_wrapped(paper, head.values, RIGHT_MM - LEFT_MM),
        *_wrapped(paper, head.texts, RIGHT_MM - LEFT_MM),
    ]


def draw_left_over(paper: Paper, lines: Sequence[str]) -> None:
    """Write a sheet of lines."""
    for row, line in enumerate(lines):
        paper.text(LEFT_MM, 48 + 4.6 * row, line, _SMALL_MM, colour=BLACK)


LINES_OF_A_SHEET = 32
MORE = "More of it on the last sheet."


def shown_name(name: str) -> str:
    """Return a PN as people read it: "Müller, Ana", "Yamada, Tarou (山田, 太郎 / やまだ, たろう)"."""
    groups = [", ".join(filter(None, (f, " ".join(filter(None, rest))))) for f, *rest in _components(name)]
    first, *others = [group for group in groups if group] or [""]
    return f"{first} ({' / '.join(others)})" if others else first


def _components(name: str) -> Iterator[list[str]]:
    for group in name.split("="):
        yield [part.strip() for part in group.split("^")]


def _lines(words: Words, model_name: str) -> Iterator[str]:
    who, step, equipment = words_.patient(words), words.exam.scheduled, words.equipment
    born = who.birth_date
    born = f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == 8 and born.isdigit() else born
    about = (f"ID {who.patient_id}", f"born {born}" if born else "", _SEXES.get(who.sex, ""))
    yield "     ".join(filter(None, about))
    at = words_.local(words, words.captured_at)
    yield f"Received {at:%Y-%m-%d  %H:%M:%S}  (UTC{at:%z})"
    institution = equipment.institution_name or words.station.institution_name
    yield ", ".join(filter(None, (institution, equipment.department_name or words.station.department_name)))
    made = " ".join(filter(None, (equipment.manufacturer, model_name or equipment.model_name)))
    yield ", ".join(filter(None, (made, equipment.serial_number and f"serial number {equipment.serial_number}")))
    if step is not None:
        yield "     ".join(filter(None, (step.accession_number, step.requested_procedure_description)))


def _value(one: Observation) -> str:
    unit = "" if one.unit is None or one.unit.value == "1" else _UNITS.get(one.unit.value, f" {one.unit.meaning}")
    return f"{one.concept.meaning}: {_plain(one.value)}{unit}{' (?)' if one.doubts else ''}"


def _texts(words: Words, readings: ReadingSet, stated: Sequence[Observation]) -> Iterator[str]:
    """What must be known of the clock, what is no number, and every doubt, once."""
    yield from modules.comments(words)
    for one in stated:
        if one.unit is None:
            what = "" if one.concept.value in _SPEAK_FOR_THEMSELVES else f"{one.concept.meaning}: "
            yield f"{_clock(words, readings, one.received_ns)}{what}{_plain(one.value)}"
    of_values = [(one.concept.meaning, doubt) for one in stated for doubt in one.doubts]
    of_curves = [(trace.channel.meaning, doubt) for trace in readings.traces for doubt in trace.doubts]
    yield from (f"(?) {what}: {_plain(doubt)}" for what, doubt in dict.fromkeys((*of_values, *of_curves)))
    if readings.unread:
        yield f"{readings.unread} parts of what the instrument sent are not read."


def _clock(words: Words, readings: ReadingSet, received_ns: int) -> str:
    """The time at which a remark came, where it came after the others."""
    after_s = (received_ns - readings.received_ns) / 1e9
    if received_ns == 0 or after_s < 1:
        return ""
    return f"{words_.local(words, words.captured_at + timedelta(seconds=after_s)):%H:%M:%S}  "


def _plain(text: str) -> str:
    return "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)


def _placed(paper: Paper, head: Head) -> tuple[tuple[str, ...], list[str]]:
    """What has room at the top: values of which each is readable in its column, and lines of text."""
    fits = [value for value in head.values if paper.length(value, _SMALL_MM) <= _VALUE_MM / 0.7]
    return tuple(fits[: _ROWS * len(_VALUES_MM)]), _wrapped(paper, head.texts, RIGHT_MM - _TEXTS_MM)[:_ROWS]


def _wrapped(paper: Paper, texts: Sequence[str], most_mm: float) -> list[str]:
    """Break texts into lines, between words where that can be done."""
    lines = []
    for text in texts:
        line = ""
        for word in text.split(" "):
            for piece in _broken(paper, word, most_mm):
                longer = f"{line} {piece}" if line else piece
                if line and paper.length(longer, _SMALL_MM) > most_mm:
                    lines.append(line)
                    longer = piece
                line = longer
        lines.append(line)
    return lines


def _broken(paper: Paper, word: str, most_mm: float) -> Iterator[str]:
    """Break a word that is longer than a line; its letters are measured one by one."""
    if len(word) * _SMALL_MM < most_mm or paper.length(word, _SMALL_MM) <= most_mm:
        yield word
        return
    piece, reach = "", 0.0
    for letter in word:
        length = paper.length(letter, _SMALL_MM)
        if piece and reach + length > most_mm:
            yield piece
            piece, reach = "", 0.0
        piece, reach = piece + letter, reach + length
    yield piece
