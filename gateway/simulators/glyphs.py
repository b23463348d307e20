"""Text to pixels, in the 5 by 7 letters that scanners burnt into their pictures for thirty years."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

ROWS: Final = 7
COLUMNS: Final = 6
"""Five of the letter and one of space."""

_BITS: Final = {
    " ": "00000000000000", "A": "0E11111F111111", "B": "1E11111E11111E", "C": "0E11101010110E", "D": "1E11111111111E",
    "E": "1F10101E10101F", "F": "1F10101E101010", "G": "0E11101711110F", "H": "1111111F111111", "I": "0E04040404040E",
    "J": "0702020202120C", "K": "11121418141211", "L": "1010101010101F", "M": "111B1515111111", "N": "11111915131111",
    "O": "0E11111111110E", "P": "1E11111E101010", "Q": "0E11111115120D", "R": "1E11111E141211", "S": "0F10100E01011E",
    "T": "1F040404040404", "U": "1111111111110E", "V": "11111111110A04", "W": "11111115151B11", "X": "11110A040A1111",
    "Y": "11110A04040404", "Z": "1F01020408101F", "0": "0E11131519110E", "1": "040C040404040E", "2": "0E11010204081F",
    "3": "1F02040201110E", "4": "02060A121F0202", "5": "1F101E0101110E", "6": "0608101E11110E", "7": "1F010204080808",
    "8": "0E11110E11110E", "9": "0E11110F01020C", ":": "000C0C000C0C00", ".": "00000000000C0C", "-": "0000001F000000",
    "/": "00010204081000", "%": "18190204081303", "c": "00000E1010110E", "m": "00001A15151111", "z": "00001F0204081F",
    "d": "01010D1311110F", "+": "0004041F040400",
}  # fmt: skip


def text(words: str, scale: int = 1) -> npt.NDArray[np.bool_]:
    """Return a mask, (7 * scale, 6 * scale * len(words)), true where there is ink. Raises KeyError for a letter it has not."""
    letters = [_letter(each) for each in words]
    drawn = np.concatenate(letters, axis=1) if letters else np.zeros((ROWS, 0), bool)
    return drawn.repeat(scale, 0).repeat(scale, 1)


def _letter(character: str) -> npt.NDArray[np.bool_]:
    rows = np.frombuffer(bytes.fromhex(_BITS[character]), np.uint8)
    bits: npt.NDArray[np.bool_] = np.unpackbits(rows[:, None], axis=1)[:, 3:].astype(bool)
    return np.pad(bits, ((0, 0), (0, COLUMNS - 5)))
