"""A Python loop to machine code, once: how every kernel of this room is compiled, and under which flags.

The rule: what Python calls has its signature written beside it and is compiled, or loaded from the cache, when its module
is imported; nothing can be compiled later, so never during an exam.

Numba's cache looks only at the file of the kernel itself. A loop (`part`) is therefore used only in the file it stands in:
changed in another one, it would leave old machine code in use.
"""

from __future__ import annotations

from collections.abc import Callable
from pickle import PickleError
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit, types

Function = TypeVar("Function", bound=Callable[..., Any])
Sample = TypeVar("Sample", bound=np.generic)
Array = npt.NDArray[Any]
"""A row of bytes, or of other numbers; the signatures of what Python calls say exactly."""

FLAGS: dict[str, Any] = {"nogil": True, "fastmath": False, "boundscheck": False, "error_model": "numpy"}
"""How every kernel is compiled; never `parallel`: the threads belong to the service."""

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
BYTES_OUT = types.Array(types.uint8, 1, "C")
PLANE = types.Array(types.uint8, 2, "C", readonly=True)
PLANE_OUT = types.Array(types.uint8, 2, "C")
PICTURE = types.Array(types.uint8, 3, "C", readonly=True)
PICTURE_OUT = types.Array(types.uint8, 3, "C")
DEEP = types.Array(types.uint16, 2, "C", readonly=True)
DEEP_OUT = types.Array(types.uint16, 2, "C")
COUNTS_OUT = types.Array(types.int32, 2, "C")
TABLE = types.Array(types.int64, 2, "C", readonly=True)
WEIGHTS = types.Array(types.float32, 2, "C", readonly=True)
COEFFICIENTS = types.Array(types.int16, 1, "C", readonly=True)

part = njit(**FLAGS)
"""A loop that kernels of the same file are made of: compiled into each of them."""


def kernel(result: Any, *arguments: Any) -> Callable[[Function], Function]:
    """Compile now, for these argument types only, or load from the cache.

    A cache that cannot be written or read (a full disk, a file that a power cut tore) costs seconds, never the picture.
    """

    def compiled(function: Function) -> Function:
        try:
            found: Function = njit(result(*arguments), cache=True, **FLAGS)(function)
        except _CACHE_TROUBLE:
            found = njit(result(*arguments), **FLAGS)(function)
        return found

    return compiled


def read_only(array: npt.NDArray[Sample]) -> npt.NDArray[Sample]:
    """Return a view that cannot be written: what the kernels' signatures ask for, whoever owns the bytes."""
    view = array.view()
    view.flags.writeable = False
    return view


_CACHE_TROUBLE = (
    OSError, RuntimeError, EOFError, PickleError, ValueError, LookupError, TypeError, AttributeError, ImportError,
)  # fmt: skip
"""What Numba lets through when it meets a broken cache; an error in a kernel is a NumbaError."""
