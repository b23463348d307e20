"""A grabber's newest frame to the uncropped picture that an engineer draws on, while one does.

The rule: nothing is cut and nothing is masked here, so it is for an engineer's eyes alone (`panel.guard`); it stands on tmpfs
and is never kept. Lengths count in pixels of the source: the picture that is shown may be smaller. What crop the pictures of the
last seconds suggest is said with it, and applied by nobody but a person.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from gateway.model import WholePicture
from gateway.pixels import chain as chains
from gateway.pixels import codecs, looks
from gateway.profile import PixelChain
from gateway.spool import live

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.model import Frame, FrameFormat
    from gateway.pixels.chain import Bytes, Chain
    from gateway.profile import Rectangle

LARGEST_COLUMNS: Final = 1920
QUALITY: Final = 88
EVERY: Final = 4
"""Only each fourth look makes one: nobody draws on a picture that changes twelve times a second."""
PROPOSED_EVERY: Final = 5
"""And each fifth of these is looked at for a dark border."""
PLANES: Final = 4


class Whole:
    """The uncropped picture of one station."""

    def __init__(self, run: Path, station: str) -> None:
        """`run` is the tmpfs folder."""
        self._run, self._station = run, station
        self._chain: tuple[FrameFormat, Chain] | None = None
        self._planes: deque[Bytes] = deque(maxlen=PLANES)
        self._proposal: Rectangle | None = None
        self._looks = self._pictures = 0

    def is_due(self) -> bool:
        """Say whether somebody draws, and it is time for another picture."""
        if not live.is_wanted(self._run, self._station, live.WHOLE):
            return False
        self._looks += 1
        return self._looks % EVERY == 1

    def publish(self, frame: Frame) -> None:
        """Publish a frame whole."""
        fmt = frame.format
        if self._chain is None or self._chain[0] != fmt:
            self._chain = fmt, chains.build(fmt, PixelChain())
            self._planes.clear()
            self._pictures = 0
        chain = self._chain[1]
        if self._pictures % PROPOSED_EVERY == 0:
            self._planes.append(chain.luma(frame.data))
            self._proposal = looks.propose_crop(self._planes)
        self._pictures += 1
        picture = chain.preview(frame.data, LARGEST_COLUMNS)
        facts = WholePicture(
            width_px=fmt.width_px,
            height_px=fmt.height_px,
            pixel_aspect=fmt.pixel_aspect,
            standard=fmt.standard,
            captured_ns=frame.captured_ns,
            proposal=self._proposal,
        )
        live.write_whole(self._run, self._station, codecs.jpeg(picture, QUALITY), facts)
