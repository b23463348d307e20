"""Lines and words in millimetres to the bytes of a PDF: the same lines give the same bytes, whenever they are drawn.

The only door to reportlab. Lengths are millimetres from the upper left corner; a millimetre on the page is a millimetre on
paper when it is printed at its own size, which the page asks for. Fonts are embedded, nothing is loaded from elsewhere. What
the page was drawn from is kept in the file, for drawing it again. PDF 1.7 (ISO 32000-1) 12.2 (viewer preferences), 14.5 (PieceInfo).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from reportlab import rl_config
from reportlab.pdfbase import pdfdoc, pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from gateway.errors import ObjectInvalid
from gateway.objects import fonts

rl_config.useA85 = 0  # streams are bytes, as a PDF may hold them: a quarter smaller

POINTS = 72 / 25.4
"""In a millimetre."""
Colour = tuple[float, float, float]
BLACK: Colour = (0, 0, 0)
GREY: Colour = (0.42, 0.42, 0.42)
_TOLERANCE_MM = 0.01
_LEAST = 0.6
"""How much smaller a line becomes before it is cut."""
_LONGEST = 300
"""Letters of a line; no sheet is wide enough for more."""
_FAR_MM = 2000.0
"""What is farther off the page than this is drawn there: a PDF has no room for any number."""
Points = Sequence[tuple[float, float]]
_NAME, _BOLD = "gateway", "gateway-bold"
_PIECE = re.compile(rb"<<[^<>]*/GatewaySource[^<>]*>>\s*stream\r?\n")
_LENGTH = re.compile(rb"/Length (\d+)")
Anchor = Literal["left", "middle", "right"]


class Paper:
    """A document that is being drawn, page by page."""

    def __init__(self, title: str, width_mm: float, height_mm: float) -> None:
        """`title`: what the document is; it names nobody."""
        for name, path in ((_NAME, fonts.OWN), (_BOLD, fonts.OWN_BOLD)):
            if name not in pdfmetrics.getRegisteredFontNames():
                pdfmetrics.registerFont(TTFont(name, str(path), shapable=False))
        self.width_mm, self.height_mm = width_mm, height_mm
        self._bytes = io.BytesIO()
        size = (width_mm * POINTS, height_mm * POINTS)
        self._canvas = Canvas(
            self._bytes,
            pagesize=size,
            pageCompression=1,
            invariant=1,
            initialFontName=_NAME,
            lang="en",
            pdfVersion=(1, 7),
        )
        self._canvas.setTitle(title)
        self._canvas.setSubject(title)
        self._canvas.setAuthor("Modality gateway")
        self._canvas.setCreator("Modality gateway")
        self._canvas.setViewerPreference("PrintScaling", "None")
        self._canvas.setLineJoin(1)
        self._canvas.setLineCap(1)

    def next_page(self) -> None:
        """End this page and begin another."""
        self._canvas.showPage()
        self._canvas.setLineJoin(1)
        self._canvas.setLineCap(1)

    def line(self, points: Points, width_mm: float, colour: Colour = BLACK) -> None:
        """Draw a line through points."""
        self.lines([points], width_mm, colour)

    def lines(self, several: Iterable[Points], width_mm: float, colour: Colour = BLACK) -> None:
        """Draw several lines in one go."""
        self._canvas.setLineWidth(width_mm * POINTS)
        self._canvas.setStrokeColorRGB(*colour)
        for points in several:
            # The operators of a path as they stand (8.5.2): reportlab's own path takes ten times as long for each point.
            placed = [f"{x * POINTS:.2f} {(self.height_mm - y) * POINTS:.2f}" for x, y in points]
            self._canvas.addLiteral(f"{placed[0]} m {' l '.join(placed[1:])} l S")

    def curve(
        self,
        x: npt.NDArray[np.floating],
        y: npt.NDArray[np.floating],
        width_mm: float,
        colour: Colour = BLACK,
        *,
        within: tuple[float, float, float, float],
    ) -> None:
        """Draw a curve with a gap wherever `y` is not a number; nothing outside (left, top, right, bottom) is seen.

        A sample that stands alone between gaps is a dot.
        """
        left, top, right, bottom = within
        y = np.clip(y, -_FAR_MM, _FAR_MM)
        self._canvas.saveState()
        clip = self._canvas.beginPath()
        x0, y0 = self._at(left, bottom)
        clip.rect(x0, y0, (right - left) * POINTS, (bottom - top) * POINTS)
        self._canvas.clipPath(clip, stroke=0, fill=0)
        edges = np.flatnonzero(np.diff(np.concatenate(([0], np.isfinite(y).astype(np.int8), [0]))))
        pieces = [
            [*zip(x[a:b].tolist(), y[a:b].tolist(), strict=True)] for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        if pieces:
            self.lines([piece if len(piece) > 1 else piece * 2 for piece in pieces], width_mm, colour)
        self._canvas.restoreState()

    def area(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        self._canvas.setFillColorRGB(*colour)
        x0, y0 = self._at(left, bottom)
        self._canvas.rect(x0, y0, (right - left) * POINTS, (bottom - top) * POINTS, stroke=0, fill=1)

    def arrow(self, x: float, y: float, size_mm: float, colour: Colour = BLACK) -> None:
        """Draw a filled triangle whose tip, above, is at a point."""
        path = self._canvas.beginPath()
        path.moveTo(*self._at(x, y))
        path.lineTo(*self._at(x - size_mm / 2, y + size_mm))
        path.lineTo(*self._at(x + size_mm / 2, y + size_mm))
        path.close()
        self._canvas.setFillColorRGB(*colour)
        self._canvas.drawPath(path, stroke=0, fill=1)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size_mm: float,
        *,
        is_bold: bool = False,
        anchor: Anchor = "left",
        colour: Colour = BLACK,
        most_mm: float = 0.0,
    ) -> float:
        """Write a line on the base line `y` and return its length; with `most_mm`, no longer than that: smaller, then cut with "…".

        `size_mm` is the height of the letters' em.
        """
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        length = self.length(text, size_mm, is_bold=is_bold)
        if most_mm and length > most_mm:
            size_mm = max(size_mm * most_mm / length, _LEAST * size_mm)
            while text and self.length(text, size_mm, is_bold=is_bold) > most_mm + _TOLERANCE_MM:
                text = f"{text[:-2].rstrip()}…"
            length = self.length(text, size_mm, is_bold=is_bold)
        x -= {"left": 0.0, "middle": length / 2, "right": length}[anchor]
        self._canvas.setFillColorRGB(*colour)
        for run in fonts.runs(text):
            x += self._written(x, y, run, size_mm, is_bold=is_bold)
        return length

    def length(self, text: str, size_mm: float, *, is_bold: bool = False) -> float:
        """Return how long a line of text is."""
        return float(sum(self._reach(run, size_mm, is_bold=is_bold) for run in fonts.runs(text)))

    def finish(self, source: bytes, made_at: datetime) -> bytes:
        """End the last page and return the file; `source` is what it was drawn from, and when: it is kept in it."""
        made = f"D:{made_at.astimezone(UTC):%Y%m%d%H%M%SZ}"
        self._canvas.setDateFormatter(lambda *_now: made)
        document = self._canvas._doc  # noqa: SLF001  (reportlab has no other way to the catalogue)
        held = pdfdoc.PDFStream(
            pdfdoc.PDFDictionary({"Type": pdfdoc.PDFName("GatewaySource")}), zlib.compress(source, 9), []
        )
        piece = {
            "LastModified": pdfdoc.PDFString(made),
            "Private": document.Reference(held),
        }
        catalogue = document.Catalog
        catalogue.PieceInfo = pdfdoc.PDFDictionary({"ModalityGateway": pdfdoc.PDFDictionary(piece)})
        catalogue.__NoDefault__ = [*catalogue.__NoDefault__, "PieceInfo"]
        self._canvas.save()
        return self._bytes.getvalue()

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return x * POINTS, (self.height_mm - y) * POINTS

    def _written(self, x: float, y: float, run: fonts.Run, size_mm: float, *, is_bold: bool) -> float:
        x_pt, y_pt = self._at(x, y)
        if run.font == fonts.OWN:
            self._canvas.setFont(_BOLD if is_bold else _NAME, size_mm * POINTS)
            self._canvas.drawString(x_pt, y_pt, run.text)
            return self._reach(run, size_mm, is_bold=is_bold)
        scale = size_mm * POINTS / 1000
        path = self._canvas.beginPath()
        strokes, reach = fonts.outline(run)
        for kind, values in strokes:
            placed = [y_pt + scale * v if at % 2 else x_pt + scale * v for at, v in enumerate(values)]
            match kind:
                case "move":
                    path.moveTo(*placed)
                case "line":
                    path.lineTo(*placed)
                case "curve":
                    path.curveTo(*placed)
                case "close":
                    path.close()
        self._canvas.drawPath(path, stroke=0, fill=1, fillMode=1)
        return reach * size_mm / 1000

    @staticmethod
    def _reach(run: fonts.Run, size_mm: float, *, is_bold: bool) -> float:
        if run.font != fonts.OWN:
            return fonts.outline(run)[1] * size_mm / 1000
        return float(pdfmetrics.stringWidth(run.text, _BOLD if is_bold else _NAME, size_mm * POINTS) / POINTS)


def source_of(pdf: bytes) -> bytes:
    """Return what a page of ours was drawn from. Raises ObjectInvalid for any other PDF."""
    found = _PIECE.search(pdf)
    length = _LENGTH.search(found[0]) if found else None
    try:
        if found is None or length is None:
            raise ObjectInvalid(problem="the page does not hold what it was drawn from")
        return zlib.decompress(pdf[found.end() : found.end() + int(length[1])])
    except zlib.error as error:
        raise ObjectInvalid(problem="what the page was drawn from is damaged") from error
