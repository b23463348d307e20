"""A Reichert G3 tonometer that prints: the layout written from annex A of its user's guide, not from the parser.

The annex shows no example: date, spaces and headings are this double's own, within what it says.
"""

from __future__ import annotations

RIGHT = ("16.2", "9.8", "15.1", "8.4")
LEFT = ("17.0", "10.1", "16.3", "7.9")
"""IOPcc, CH, IOPg and the score of the curve."""


def printout(
    right: tuple[str, ...] = RIGHT, left: tuple[str, ...] = LEFT, *, date: str = "11/24/2026 10:15 AM"
) -> bytes:
    """Return what it sends when its printer key is touched; an eye without values was not measured."""
    lines = ["", "", date, "", "     IOPcc   CH    IOPg   WS"]
    for side, values in (("R", right), ("L", left)):
        if values:
            lines.append(f"({side})  " + "  ".join(f"{value:>5}" for value in values))
    return "\r".join([*lines, "", ""]).encode("ascii") + b"\x04"
