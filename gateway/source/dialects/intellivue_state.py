"""What an IntelliVue monitor says for or against a value or a curve, as doubts in words (MeasurementState).

A value is left out where there is none: INVALID and UNAVAILABLE. Source: Data Export Interface Programming Guide 4535 642 59271, pages 76
and 77, as open implementations quote it.
"""

from __future__ import annotations

from typing import Final

DEMONSTRATION: Final = 0x0400
DOUBTS: Final = {
    0x4000: "the monitor calls it questionable",
    0x1000: "it was being calibrated",
    0x0800: "it is a test signal of the monitor, of no patient",
    DEMONSTRATION: "the monitor is in its demonstration mode: it is of no patient",
    0x0300: "the monitor marked it in a way that this software does not know",
    0x0040: "it is an early estimate",
}
"""By the bits of a state. What is not here is nothing against it: it is validated, goes on, is in alarm, or its alarm is off."""
_NO_VALUE: Final = 0x8000 | 0x2000


def has_value(state: int) -> bool:
    """Say whether there is a value: it is neither invalid nor unavailable."""
    return not state & _NO_VALUE


def doubts(state: int) -> tuple[str, ...]:
    """Return what is said against it, in words."""
    return tuple(words for bits, words in DOUBTS.items() if state & bits)
