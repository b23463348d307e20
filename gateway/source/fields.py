"""Buffers as the kernel gives them to whole pictures: fields that come apart are woven into one interlaced frame.

What is said twice, what is missing and what is no JPEG is told here, by (sequence, field) and by the bytes' ends.
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
        order = _SEQUENTIAL[self._format.field]
        first, second = _apart(frame.data, self._format)
        top, bottom = (second, first) if order is Field.INTERLACED_BT else (first, second)
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
        """Lay the lines of two fields between one another, plane by plane."""
        fmt = self._format_of(order)
        if 2 * min(len(top), len(bottom)) < fmt.frame_bytes:
            return replace(older, data=top, format=fmt, field=order, has_error=has_error, buffer=-1)  # it is short
        if not len(self._whole):
            self._whole = np.empty(fmt.frame_bytes, np.uint8)
        begins = 0
        for rows, row_bytes in fmt.planes:
            half = rows // 2 * row_bytes
            both = self._whole[2 * begins : 2 * (begins + half)].reshape(rows // 2, 2, row_bytes)
            both[:, 0] = top[begins : begins + half].reshape(-1, row_bytes)
            both[:, 1] = bottom[begins : begins + half].reshape(-1, row_bytes)
            begins += half
        return replace(older, data=self._whole, format=fmt, field=order, has_error=has_error, buffer=-1)

    def _format_of(self, order: Field) -> FrameFormat:
        """Return the woven format: the same value each time, so that a ring can tell it by identity."""
        if order not in self._woven:
            height_px = self._format.height_px * (2 if self._format.field is Field.ALTERNATE else 1)
            self._woven[order] = replace(self._format, field=order, height_px=height_px)
        return self._woven[order]


def _apart(data: npt.NDArray[np.uint8], fmt: FrameFormat) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the two fields that lie one below the other in each plane, the upper one first."""
    if len(fmt.planes) == 1 or len(data) < fmt.frame_bytes:
        half = len(data) // 2
        return data[:half], data[half:]
    upper, lower, begins = [], [], 0
    for rows, row_bytes in fmt.planes:
        half = rows // 2 * row_bytes
        upper.append(data[begins : begins + half])
        lower.append(data[begins + half : begins + 2 * half])
        begins += 2 * half
    return np.concatenate(upper), np.concatenate(lower)


class Repeats:
    """Tells a buffer that came before under the same (sequence, field): V4L2 gives each its own.

    A picture that merely looks like the last one is none: that is what the modality showed. A driver whose sequence never
    counts is believed only where the time is the same too.
    """

    def __init__(self) -> None:
        """One stream: made anew when the device is opened."""
        self._sequence = -1
        self._seen: dict[Field, int] = {}
        self._does_count = False

    def is_repeated(self, frame: Frame) -> bool:
        """Say whether this buffer is one too many."""
        if frame.sequence != self._sequence:
            self._does_count = self._does_count or self._sequence >= 0
            self._sequence, self._seen = frame.sequence, {}
        before_ns = self._seen.get(frame.field)
        self._seen[frame.field] = frame.captured_ns
        return before_ns is not None and (self._does_count or before_ns == frame.captured_ns)


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


def is_jpeg(data: npt.NDArray[np.uint8]) -> bool:
    """Say whether bytes may be a whole JPEG: not tiny, SOI first, EOI last (ITU-T T.81 B.1.1.3), zeros behind it at most."""
    if len(data) < SMALLEST_JPEG or (data[0], data[1]) != (0xFF, 0xD8):
        return False
    tail = data[-_PADDING:]
    written = np.flatnonzero(tail)
    return len(written) > 1 and bytes(tail[written[-1] - 1 : written[-1] + 1]) == b"\xff\xd9"


SMALLEST_JPEG: Final = 128
"""Fewer bytes hold no picture: its tables alone take more."""
_PADDING: Final = 4096
"""So many zeros some grabbers add, to fill up a word or a packet."""
_SLACK: Final = 3
"""A sequence may run ahead of the time by a late or early time stamp or two, not by more."""
