"""A laboratory analyser that sends by ASTM E1381, and waits for the answers: the sender's side, written from the standard's words.

It asks (ENQ), sends one frame at a time, repeats what is refused up to six times, and ends with EOT. What it saw: `answers`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.simulators.instrument import SimulatedInstrument

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
ATTEMPTS: Final = 6
ANSWER_S: Final = 15.0
LONGEST_TEXT: Final = 240

MESSAGE: Final = (
    "H|\\^&|||Example^1.0^4711|||||||P|1",
    "P|1",
    "O|1|S-17||^^^GLU\\^^^K",
    "R|1|^^^GLU|98.3|mg/dL|70 to 110|N||F",
    "R|2|^^^K|4.2|mmol/L|3.5 to 5.1|N||F",
    "L|1|N",
)
"""A made-up sample with two results."""


class GaveUp(Exception):
    """The receiver did not acknowledge in time, or refused one frame six times."""


class Analyser:
    """One analyser on a simulated line. A fault script damages the first sending of the frames that it names."""

    def __init__(self, line: SimulatedInstrument, *, damaged: frozenset[int] = frozenset()) -> None:
        """`damaged`: numbers of frames, from 1, that are damaged on the way once."""
        self._line = line
        self._damaged = set(damaged)
        self.answers = b""

    def send(self, records: tuple[str, ...] = MESSAGE, *, longest_text: int = LONGEST_TEXT) -> None:
        """Send one message; return when every frame was acknowledged. Raises GaveUp."""
        self._say(ENQ)
        frames = [frame for record in records for frame in _cut(record, longest_text)]
        for index, (text, is_last) in enumerate(frames, start=1):
            self._say(_frame(index, text, is_last=is_last), number=index)
        self._line.print(EOT)

    def _say(self, data: bytes, number: int = 0) -> None:
        for _ in range(ATTEMPTS):
            is_hurt = number in self._damaged
            self._damaged.discard(number)
            self._line.print(data.replace(data[2:3], b"~", 1) if is_hurt else data)
            if self._answer() == ACK:
                return
        raise GaveUp

    def _answer(self) -> bytes:
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end:
            if heard := self._line.heard():
                self.answers += heard
                return heard[-1:]
            time.sleep(0.005)
        raise GaveUp


def _cut(record: str, longest: int) -> list[tuple[str, bool]]:
    """A record in pieces of at most `longest` characters, its CR at the end of the last one."""
    text = f"{record}\r"
    pieces = [text[start : start + longest] for start in range(0, len(text), longest)]
    return [(piece, index == len(pieces)) for index, piece in enumerate(pieces, start=1)]


def _frame(index: int, text: str, *, is_last: bool) -> bytes:
    body = f"{index % 8}{text}{chr(3) if is_last else chr(23)}"
    return f"\x02{body}{sum(body.encode()) % 256:02X}\r\n".encode("ascii")
