"""What goes wrong on a serial line to events of its history: once a minute, with how often, for a line may do nothing but make noise."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.device.tty import LineErrors
    from gateway.errors import NotReady, UnreadableRecord

MINUTE_NS: Final = 60_000_000_000


class Complaints:
    """Of one port, since they were said last."""

    def __init__(self, now_ns: int) -> None:
        """Nothing went wrong, and the first thing that does is said at once."""
        self._said_ns = now_ns - MINUTE_NS
        self._errors: Counter[str] = Counter()
        self._unreadable: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()

    def unread(self, errors: list[UnreadableRecord]) -> None:
        """Take what could not be read."""
        self._unreadable.update(str(error) for error in errors)

    def hit(self, errors: LineErrors) -> None:
        """Take the errors of the line."""
        self._errors.update(
            {
                "without a stop bit": errors.framing,
                "of wrong parity": errors.parity,
                "lost": errors.overruns,
                "breaks": errors.breaks,
            }
        )

    def refused(self, error: NotReady) -> None:
        """Take that the instrument does not let us send."""
        self._refusals[str(error)] += 1

    def due(self, now_ns: int) -> list[tuple[str, str]]:
        """Return the events to be written now, each with its text, and forget them."""
        if now_ns - self._said_ns < MINUTE_NS:
            return []
        said = []
        if self._unreadable:
            said.append(("a record could not be read", _in_words(self._unreadable)))
        if counts := ", ".join(f"{count} {what}" for what, count in self._errors.items() if count):
            said.append(("the line has errors", f"characters: {counts}"))
        if self._refusals:
            said.append(("the instrument does not listen", _in_words(self._refusals)))
        if said:
            self._said_ns = now_ns
            for each in (self._errors, self._unreadable, self._refusals):
                each.clear()
        return said


def _in_words(found: Counter[str]) -> str:
    """The most frequent of them, and how many there were in all."""
    ((text, _),) = found.most_common(1)
    return f"{text} ({found.total()} of them)" if found.total() > 1 else text
