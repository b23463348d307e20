"""What a tty reads in marked mode to data and damage: a damaged character keeps its place in the data, as DAMAGED.

With INPCK and PARMRK, and without IGNPAR, the kernel hands on a character with a parity or framing error as FF 00 and the
character, a break as FF 00 00, and a true FF as FF FF (termios(3)). DAMAGED is 1Ah, SUB: "used in the place of a character
that has been found to be invalid or in error" (ECMA-48, 8.3.148). So no number loses a digit without a trace: what is in the
journal says that something was damaged, and where. Struct serial_icounter_struct: linux/serial.h.
"""

from __future__ import annotations

import re
import struct
from typing import Final, Self

from msgspec import Struct

DAMAGED: Final = 0x1A
"""What a damaged character reads as."""


class LineErrors(Struct, frozen=True, kw_only=True):
    """What went wrong on a line, since one was asked last."""

    framing: int = 0
    """Characters without a stop bit: the baud rate differs, or noise."""
    parity: int = 0
    overruns: int = 0
    """Characters that were lost, because nobody took them in time."""
    breaks: int = 0
    """The line was held down for longer than a character: an instrument that is switched on, or a plug that is pulled."""
    unplaced: int = 0
    """So many were lost or damaged, and the driver did not say which: they have no DAMAGED in the data."""

    @property
    def damaged(self) -> int:
        """Characters that did not arrive as they were sent, as far as that was noticed."""
        return self.framing + self.parity + self.breaks


class Counts(Struct, frozen=True):
    """What the driver has counted since it was loaded."""

    framing: int
    parity: int
    overruns: int
    breaks: int

    @classmethod
    def of(cls, answer: bytes) -> Self:
        """Return the counts in what TIOCGICOUNT answers."""
        _, _, _, _, _, _, frame, overrun, parity, breaks, buffer_overrun = _ICOUNTER.unpack_from(answer)
        return cls(frame, parity, overrun + buffer_overrun, breaks)


ICOUNTER_BYTES: Final = 80
"""Of struct serial_icounter_struct: eleven counters and nine reserved."""


class Marks:
    """Takes the marks out of what was read, in pieces of any size."""

    def __init__(self) -> None:
        """Begin at the beginning of a line."""
        self._rest = b""
        self.characters = 0
        """Damaged characters so far."""
        self.breaks = 0
        """FF 00 00 so far: breaks, and characters of only zeros without a stop bit."""

    def take(self, raw: bytes) -> bytes:
        """Return the data in `raw`, each damaged character in its place as DAMAGED; a mark that is not whole waits for the rest."""
        raw, self._rest = self._rest + raw, b""
        return _MARK.sub(self._one, raw)

    def forget(self) -> None:
        """Drop a mark that is not whole: the line was set anew."""
        self._rest = b""

    def _one(self, found: re.Match[bytes]) -> bytes:
        mark = found[0]
        if mark == b"\xff\xff":
            return b"\xff"
        if len(mark) < _WHOLE:
            self._rest = mark
            return b""
        self.characters += mark[-1] != 0
        self.breaks += mark[-1] == 0
        return bytes([DAMAGED])


class Tally:
    """Marks and the driver's counts to LineErrors.

    Some drivers count and mark (8250, ftdi_sio, which marks all that came in one packet), some only mark (pl2303), some only count
    (cdc_acm, but for breaks): the greater of both is believed.
    """

    def __init__(self, *, has_parity: bool, counts: Counts | None) -> None:
        """`counts`: what the driver has counted so far, None: it does not count, and the marks say it all."""
        self._has_parity = has_parity
        self._counts = counts or _NONE
        self._seen = _Pair(0, 0)
        self._broken = _Pair(0, 0)
        self._characters = self._breaks = 0
        """In marks, when asked last."""

    def since(self, marks: Marks, counts: Counts | None) -> LineErrors:
        """Return what is new."""
        counts, before = counts or self._counts, self._counts
        framing, parity = counts.framing - before.framing, counts.parity - before.parity
        overruns, breaks = counts.overruns - before.overruns, counts.breaks - before.breaks
        damaged = self._seen.more(marks.characters - self._characters, framing + parity)
        broken = self._broken.more(marks.breaks - self._breaks, breaks)
        self._counts, self._characters, self._breaks = counts, marks.characters, marks.breaks
        framing = damaged if not self._has_parity or (framing and not parity) else min(framing, damaged)
        return LineErrors(
            framing=framing,
            parity=damaged - framing,
            overruns=overruns,
            breaks=broken,
            unplaced=overruns + self._seen.unplaced(damaged) + self._broken.unplaced(broken),
        )


class _Pair:
    """How many of one kind were marked, and how many counted: a mark may be read later than it is counted."""

    def __init__(self, marked: int, counted: int) -> None:
        self._marked = marked
        self._counted = counted

    def more(self, marked: int, counted: int) -> int:
        """Return by how much the greater of both has grown."""
        before = max(self._marked, self._counted)
        self._marked += marked
        self._counted += counted
        return max(self._marked, self._counted) - before

    def unplaced(self, new: int) -> int:
        """Return how many of the new ones have no place: all, where this driver has never marked one."""
        return 0 if self._marked else new


_ICOUNTER: Final = struct.Struct("@11i")
_MARK: Final = re.compile(rb"\xff(?:\xff|\x00.|\x00?\Z)", re.DOTALL)
"""The last form is the beginning of a mark, at the end of what was read."""
_WHOLE: Final = 3
_NONE: Final = Counts(0, 0, 0, 0)
