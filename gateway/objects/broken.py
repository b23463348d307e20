"""What pydicom raises on broken input to NotDicom, in our own words and without its text: that may hold a name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.errors import BytesLengthException, InvalidDicomError

from gateway.errors import NotDicom

BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""OSError is not among them: a failing disk is not a broken object. (pydicom raises it too, but without an errno.)"""


@contextmanager
def named() -> Iterator[None]:
    """Raise NotDicom for whatever a broken object makes pydicom raise."""
    try:
        yield
    except BROKEN as error:
        raise NotDicom(problem=f"it cannot be parsed ({type(error).__name__})") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise NotDicom(problem="it cannot be parsed (OSError)") from None
