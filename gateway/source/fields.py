"""Buffers as the kernel gives them to whole pictures: fields that come apart are woven into one interlaced frame.

`V4L2_FIELD_ALTERNATE` delivers two buffers with the same sequence; SEQ_TB and SEQ_BT hold both fields of one picture one
below the other. Lines are only rearranged, never computed. A field whose partner did not come is an orphan: half a picture
is not a picture. Everything else passes untouched. Follows the V4L2 documentation, "Field Order".
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from gateway.model import Field, Frame, FrameFormat

_SEQUENTIAL: Final = {Field.SEQ_TB: Field.INTERLACED_TB, Field.SEQ_BT: Field.INTERLACED_BT}
_FIRST: Final = {Field.TOP: Field.INTERLACED_TB, Field.BOTTOM: Field.INTERLACED_BT}


class Weaver:
    """Takes the buffers of one stream in order. `orphans` counts fields that stayed alone."""

    def __init__(self, fmt: FrameFormat) -> None:
        """`fmt` is the grabber's: with ALTERNATE, of one field."""
        self.orphans = 0
        self._format = fmt
        self._woven: dict[Field, FrameFormat] = {}
        self._first: Frame | None = None
        self._has_begun = False
        self._whole: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    def take(self, frame: Frame) -> Frame | None:
        """Return a whole picture, or None after its first field. What is woven is overwritten by the next call."""
        if self._format.field is Field.ALTERNATE:
            return self._pair(frame)
        if self._format.field in _SEQUENTIAL:
            return self._unfold(frame)
        return frame

    def _pair(self, frame: Frame) -> Frame | None:
        first = self._first
        if first is None or first.sequence != frame.sequence or first.field is frame.field:
            self.orphans += first is not None and self._has_begun  # a stream may begin in the middle of a picture
            self._has_begun = self._has_begun or first is not None
            self._first = replace(frame, data=frame.data.copy(), buffer=-1)
            return None
        self._first, self._has_begun = None, True
        is_top_first = first.field is Field.TOP
        top, bottom = (first, frame) if is_top_first else (frame, first)
        return self._weave(
            first, top.data, bottom.data, _FIRST[first.field], has_error=first.has_error or frame.has_error
        )

    def _unfold(self, frame: Frame) -> Frame:
        half = len(frame.data) // 2
        top, bottom = frame.data[:half], frame.data[half:]
        order = _SEQUENTIAL[self._format.field]
        if order is Field.INTERLACED_BT:
            top, bottom = bottom, top
        return self._weave(frame, top, bottom, order, has_error=frame.has_error)

    def _weave(
        self,
        older: Frame,
        top: npt.NDArray[np.uint8],
        bottom: npt.NDArray[np.uint8],
        order: Field,
        *,
        has_error: bool,
    ) -> Frame:
        fmt = self._format_of(order)
        lines = fmt.height_px // 2
        half = lines * fmt.stride_bytes
        if len(top) != half or len(bottom) != half:
            return replace(older, format=fmt, field=order, has_error=True, buffer=-1)
        if not len(self._whole):
            self._whole = np.empty(2 * half, np.uint8)
        both = self._whole.reshape(lines, 2, fmt.stride_bytes)
        both[:, 0] = top.reshape(lines, fmt.stride_bytes)
        both[:, 1] = bottom.reshape(lines, fmt.stride_bytes)
        return replace(older, data=self._whole, format=fmt, field=order, has_error=has_error, buffer=-1)

    def _format_of(self, order: Field) -> FrameFormat:
        """Return the woven format: the same value each time, so that a ring can tell it by identity."""
        if order not in self._woven:
            height_px = self._format.height_px * (2 if self._format.field is Field.ALTERNATE else 1)
            self._woven[order] = replace(self._format, field=order, height_px=height_px)
        return self._woven[order]


class Continuity:
    """Tells how many pictures are missing before each one, by the kernel's sequence, and by time where the sequence lies."""

    def __init__(self, frame_interval_ns: int) -> None:
        """One stream: made anew when the device is opened."""
        self._interval_ns = max(frame_interval_ns, 1)
        self._sequence = -1
        self._captured_ns = 0

    def missing_before(self, frame: Frame) -> int:
        """Return how many pictures came between the last one stated and this one. The first has none before it."""
        is_first = self._sequence < 0
        step = (frame.sequence - self._sequence) & 0xFFFF_FFFF
        by_time = max(0, round((frame.captured_ns - self._captured_ns) / self._interval_ns) - 1)
        self._sequence, self._captured_ns = frame.sequence, frame.captured_ns
        if is_first:
            return 0
        is_believable = 1 <= step <= by_time + _SLACK
        return step - 1 if is_believable else by_time

    def is_going_back(self, frame: Frame) -> bool:
        """Say whether the frame claims to be no younger than the last one: then its time cannot be believed."""
        return self._sequence >= 0 and frame.captured_ns <= self._captured_ns


_SLACK: Final = 3
"""A sequence may run ahead of the time by a late or early time stamp or two, not by more."""
