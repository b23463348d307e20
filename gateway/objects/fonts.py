"""Any text to runs that one font draws, in the order in which they stand on paper: names in every script, never a wrong letter.

Latin, Greek and Cyrillic are text of the page's own font; every other script is shaped (letters joined, marks placed, Arabic
and Hebrew from right to left) and drawn as outlines, which no reader of the page can get wrong. A letter that no installed
font has becomes a box. Fonts are Debian's fonts-dejavu-core, fonts-noto-core and fonts-noto-cjk. Unicode UAX 9 (order), UAX 24 (script).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import uharfbuzz
from msgspec import Struct

FOLDER = Path("/usr/share/fonts")
DEJAVU = FOLDER / "truetype" / "dejavu"
SPARE = Path(str(files("reportlab"))) / "fonts"
"""What comes with the library that draws: a box without Debian's fonts still draws, of Latin letters only."""
OWN, OWN_BOLD = (
    (DEJAVU / "DejaVuSans.ttf", DEJAVU / "DejaVuSans-Bold.ttf")
    if DEJAVU.is_dir()
    else (SPARE / "Vera.ttf", SPARE / "VeraBd.ttf")
)
NOTO = FOLDER / "truetype" / "noto"
CJK = FOLDER / "opentype" / "noto" / "NotoSansCJK-Regular.ttc"
CJK_FACE = 2
"""Of its five: with the forms of letters that are used where most of those who use them live."""
PACKAGES = MappingProxyType(
    {"fonts-dejavu-core": DEJAVU, "fonts-noto-core": NOTO / "NotoSansArabic-Regular.ttf", "fonts-noto-cjk": CJK}
)
"""Of Debian, and what is there when they are installed."""
BOX = "\N{WHITE VERTICAL RECTANGLE}"
"""What stands for a letter that no font has."""
_SIMPLE = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN"})
_LEADS_NOWHERE = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_EM = 1000


class Run(Struct, frozen=True):
    """A part of a text that one font draws; `font` is OWN where it is text, else it is drawn as outlines."""

    text: str
    font: Path


Stroke = tuple[Literal["move", "line", "curve", "close"], tuple[float, ...]]
"""A piece of an outline; coordinates in thousandths of the size, y upwards; curves are cubic."""


def runs(text: str) -> Iterator[Run]:
    """Yield the runs of a text. What no font has, and what only steers the order of letters, is a BOX in its own run."""
    found: list[Run] = []
    for letter in unicodedata.normalize("NFC", text):
        font = _font_of(letter, found[-1].font if found else OWN)
        shown = BOX if font is None else letter
        font = font or OWN
        if found and found[-1].font == font:
            found[-1] = Run(found[-1].text + shown, font)
        else:
            found.append(Run(shown, font))
    for run in found:
        yield from _trimmed(run)


def outline(run: Run) -> tuple[tuple[Stroke, ...], float]:
    """Return the outlines of a run from its left end, and how far they reach, both in thousandths of the size."""
    font = _loaded(run.font)
    buffer = uharfbuzz.Buffer()
    buffer.add_str(run.text)
    buffer.guess_segment_properties()
    uharfbuzz.shape(font, buffer)
    scale = _EM / font.face.upem
    strokes: list[Stroke] = []
    at = 0.0
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        pen = _Pen(strokes, at + place.x_offset, float(place.y_offset), scale)
        font.draw_glyph_with_pen(info.codepoint, pen)
        at += place.x_advance
    return tuple(strokes), at * scale


class _Pen:
    """Takes a glyph as a pen of fontTools would; quadratic curves become cubic ones."""

    def __init__(self, strokes: list[Stroke], x: float, y: float, scale: float) -> None:
        self._strokes, self._x, self._y, self._scale = strokes, x, y, scale
        self._at = (0.0, 0.0)

    def moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802 (the pen's protocol is fontTools')
        self._add("move", point)

    def lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self._add("line", point)

    def curveTo(self, *points: tuple[float, float]) -> None:  # noqa: N802
        self._add("curve", *points)

    def qCurveTo(self, *points: tuple[float, float]) -> None:  # noqa: N802
        (x0, y0), (x1, y1), (x2, y2) = self._at, points[0], points[-1]
        first = (x0 + 2 * (x1 - x0) / 3, y0 + 2 * (y1 - y0) / 3)
        second = (x2 + 2 * (x1 - x2) / 3, y2 + 2 * (y1 - y2) / 3)
        self._add("curve", first, second, (x2, y2))

    def closePath(self) -> None:  # noqa: N802
        self._strokes.append(("close", ()))

    def endPath(self) -> None:  # noqa: N802
        self.closePath()

    def _add(self, kind: Literal["move", "line", "curve"], *points: tuple[float, float]) -> None:
        self._at = points[-1]
        placed = (value for x, y in points for value in ((self._x + x) * self._scale, (self._y + y) * self._scale))
        self._strokes.append((kind, tuple(placed)))


@lru_cache(maxsize=2048)
def _font_of(letter: str, before: Path) -> Path | None:
    """The font of a letter: a mark, a joiner and a space stay with what they follow; None where no font has it."""
    category = unicodedata.category(letter)
    if category in {"Cc", "Cf", "Co", "Cn", "Cs"} and letter not in _LEADS_NOWHERE:
        return None
    if before != OWN and (category.startswith("M") or letter in _LEADS_NOWHERE or letter == " "):
        return before if letter == " " or _has(before, letter) else None
    script = unicodedata.name(letter, "?").split()[0].removesuffix("-1")
    if letter in _LEADS_NOWHERE or (category.startswith("M") and script != "COMBINING"):
        return None
    is_simple = script in _SIMPLE or not category.startswith(("L", "M"))
    noto = NOTO / f"NotoSans{script.capitalize()}-Regular.ttf"
    for font in (OWN, noto, CJK) if is_simple else (noto, CJK):
        if _has(font, letter):
            return font
    return None


def _trimmed(run: Run) -> Iterator[Run]:
    """A space at the end of outlines is a space of the text that follows: right to left, it would stand at the other end."""
    body = run.text.rstrip(" ")
    if run.font == OWN or body == run.text:
        yield run
    else:
        yield Run(body, run.font)
        yield Run(run.text[len(body) :], OWN)


def _has(font: Path, letter: str) -> bool:
    return ord(letter) in _letters(font)


@lru_cache(maxsize=32)
def _letters(path: Path) -> frozenset[int]:
    return frozenset(_loaded(path).face.unicodes) if path.is_file() else frozenset()


@lru_cache(maxsize=32)
def _loaded(path: Path) -> uharfbuzz.Font:
    blob = uharfbuzz.Blob.from_file_path(str(path))
    return uharfbuzz.Font(uharfbuzz.Face(blob, CJK_FACE if path == CJK else 0))
