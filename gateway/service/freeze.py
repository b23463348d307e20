"""A picture that freezes to a press: where the profile asks for it, freezing at the modality captures what stands there.

It counts once the picture has moved before, in this exam, and then stood for `HOLD_NS`; a clock that ticks or a cursor that
blinks beside it does not move a picture. Looked at ten times a second, and only while somebody is examined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from gateway.errors import GatewayError
from gateway.pixels import looks
from gateway.service import triggers

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from uuid import UUID

    from gateway.model import Frame, FrameFormat, PerformedStep
    from gateway.pixels.chain import Chain
    from gateway.profile import ModalityProfile
    from gateway.service.closing import Station

LOOK_S: Final = 0.1
IDLE_S: Final = 0.5
"""How often it is asked whether somebody is examined."""
MOVES: Final = 0.02
"""Share of the picture's blocks that must change for it to move."""
STANDS: Final = 0.005
"""Share that may change while it stands: a clock, a cursor."""
MOVED: Final = 3
"""So many looks in a row must have moved before a freeze counts."""
HOLD_NS: Final = 600_000_000
"""It must stand for so long: a heart that pauses, or a probe that is held still, moves sooner."""


class Freeze:
    """Looks at one stream during one exam."""

    def __init__(self) -> None:
        """Nothing has moved yet."""
        self._moved = 0
        self._stands_since_ns: int | None = None

    def seen(self, share: float, before_ns: int, at_ns: int) -> bool:
        """Take the share of blocks that changed between two pictures; say, once, that the picture froze."""
        if share >= MOVES:
            self._moved = min(self._moved, MOVED) + 1
        elif self._moved < MOVED:
            self._moved = 0
        if share > STANDS:
            self._stands_since_ns = None
            return False
        if self._stands_since_ns is None:
            self._stands_since_ns = before_ns
        if self._moved < MOVED or at_ns - self._stands_since_ns < HOLD_NS:
            return False
        self._moved = 0
        return True


class Watch:
    """Compares pictures while an exam whose profile asks for it is in progress."""

    def __init__(
        self,
        station: Station,
        newest: Callable[[], Frame | None],
        chain: Callable[[FrameFormat, str], Chain],
        profile_of: Callable[[str], ModalityProfile],
    ) -> None:
        """`newest` gives a picture of about now, `chain` what the profile makes of its format."""
        self._station = station
        self._newest = newest
        self._chain = chain
        self._profile_of = profile_of
        self._exam_id: UUID | None = None
        self._before: tuple[Frame, npt.NDArray[np.uint8]] | None = None
        self._freeze = Freeze()

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        wait_s = IDLE_S
        while not stop.wait(wait_s):
            try:
                step = self._station.box.spool.exams.running(self._station.name)
                is_asked = step is not None and self._profile_of(step.profile).trigger.freeze == "still"
                wait_s = LOOK_S if is_asked else IDLE_S
                if step is not None and is_asked:
                    self._look(step)
            except GatewayError as error:
                self._station.logger.warning("%s", error, extra={"CODE": error.code})
                wait_s = IDLE_S

    def _look(self, step: PerformedStep) -> None:
        frame = self._newest()
        if step.exam_id != self._exam_id or frame is None:
            self._exam_id, self._before, self._freeze = step.exam_id, None, Freeze()
        if frame is None:
            return
        luma = self._chain(frame.format, step.profile).luma(frame.data)
        before, self._before = self._before, (frame, luma)
        if before is None or before[0].format != frame.format or before[0].captured_ns >= frame.captured_ns:
            return
        change = looks.change(before[1], luma)
        share = change.moving / max(1, change.blocks)
        if self._freeze.seen(share, before[0].captured_ns, frame.captured_ns):
            triggers.press(self._station, "still", frame.captured_ns)
