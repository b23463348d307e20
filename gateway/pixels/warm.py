"""An empty cache to compiled kernels: at install and at every service's start, before the first exam needs them.

The rule: nothing is compiled while an exam runs. Numba decides where its cache lies when it is imported, so `prepare`
comes before anything that imports `kernels` or `chain`; the program's own folder may be read-only.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

from gateway.errors import PixelError


def prepare(cache: Path) -> None:
    """Let Numba keep its compiled kernels in `cache`, and nowhere else; raises PixelError when it was imported with another one."""
    if "numba" in sys.modules and os.environ.get("NUMBA_CACHE_DIR") != str(cache):
        raise PixelError(problem="the folder of compiled kernels was chosen too late")
    os.environ |= {"NUMBA_CACHE_DIR": str(cache), "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}


def compile_all() -> float:
    """Compile every kernel, or load it from the cache, and load every codec; return how many seconds it took.

    Each kernel has one signature for all pixel formats, written beside it: one that Python calls later is compiled
    now, and none can be compiled later.
    """
    began = time.monotonic()
    for kernels in ("kernels", "retouch", "measures"):
        importlib.import_module(f"gateway.pixels.{kernels}")
    importlib.import_module("gateway.pixels.codecs").load_all()
    if cache := os.environ.get("NUMBA_CACHE_DIR"):
        _sync(Path(cache))
    return time.monotonic() - began


def _sync(cache: Path) -> None:
    """Make the cache outlive a power cut: torn machine code would be loaded as if it were whole."""
    for path in (each for each in cache.rglob("*") if each.suffix in {".nbi", ".nbc"} or each.is_dir()):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
