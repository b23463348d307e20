"""A grabber's newest frame to the uncropped picture that an engineer draws on, while one does.

The rule: nothing is cut and nothing is masked here, so it is for an engineer's eyes alone (`panel.guard`); it stands on tmpfs
and is never kept. Lengths count in pixels of the source: the picture that is shown may be smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model import WholePicture
from gateway.pixels import chain as chains
from gateway.pixels import codecs
from gateway.profile import PixelChain
from gateway.spool import live

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.model import Frame, FrameFormat
    from gateway.pixels.chain import Chain

LARGEST_COLUMNS: Final = 1920
QUALITY: Final = 88
EVERY: Final = 4
"""Only each fourth look makes one: nobody draws on a picture that changes twelve times a second."""


class Whole:
    """The uncropped picture of one station."""

    def __init__(self, run: Path, station: str) -> None:
        """`run` is the tmpfs folder."""
        self._run, self._station = run, station
        self._chain: tuple[FrameFormat, Chain] | None = None
        self._looks = 0

    def is_due(self) -> bool:
        """Say whether somebody draws, and it is time for another picture."""
        if not live.is_wanted(self._run, self._station, live.WHOLE):
            return False
        self._looks += 1
        return self._looks % EVERY == 1

    def publish(self, frame: Frame, *, top_field_first: bool | None = None) -> None:
        """Publish a frame whole."""
        fmt = frame.format
        if self._chain is None or self._chain[0] != fmt:
            self._chain = fmt, chains.build(fmt, PixelChain(), top_field_first=top_field_first)
        picture = self._chain[1].preview(frame.data, LARGEST_COLUMNS)
        facts = WholePicture(
            width_px=fmt.width_px,
            height_px=fmt.height_px,
            pixel_aspect=fmt.pixel_aspect,
            standard=fmt.standard,
            captured_ns=frame.captured_ns,
        )
        live.write_whole(self._run, self._station, codecs.jpeg(picture, QUALITY), facts)
