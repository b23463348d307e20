"""What acquire sees now, to files on tmpfs that the panel reads: live, not state. Lost at a restart, and nobody minds.

`<run>/status/<station>.json`, `<run>/preview/<station>.jpg`, each replaced atomically (rename(2)), without fsync;
`<run>/preview/<station>.wanted` is touched while somebody looks, so that acquire makes pictures only then.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec

from gateway.model import StationStatus

WANTED_S = 5.0
"""A look lasts so long."""


def write_status(run: Path, status: StationStatus) -> None:
    """Publish what acquire says of one station."""
    _replace(run / "status" / f"{_safe(status.station)}.json", msgspec.json.encode(status))


def read_status(run: Path, station: str) -> StationStatus | None:
    """Return the last published status; None when acquire has not run since the box started."""
    try:
        return msgspec.json.decode((run / "status" / f"{_safe(station)}.json").read_bytes(), type=StationStatus)
    except FileNotFoundError:
        return None


def write_preview(run: Path, station: str, jpeg: bytes | memoryview) -> None:
    """Publish the live picture."""
    _replace(_preview(run, station), jpeg)


def read_preview(run: Path, station: str) -> tuple[bytes, int] | None:
    """Return the live picture and when it was published (CLOCK_REALTIME ns: its identity, not its age)."""
    try:
        with _preview(run, station).open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def want(run: Path, station: str) -> None:
    """Say that somebody looks at the live picture."""
    path = _wanted(run, station)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(time.monotonic_ns()), encoding="ascii")


def is_wanted(run: Path, station: str, within_s: float = WANTED_S) -> bool:
    """Say whether somebody has looked within the last seconds."""
    try:
        looked_ns = int(_wanted(run, station).read_text(encoding="ascii") or 0)
    except FileNotFoundError:
        return False
    return 0 <= time.monotonic_ns() - looked_ns < within_s * 1e9


def _preview(run: Path, station: str) -> Path:
    return run / "preview" / f"{_safe(station)}.jpg"


def _wanted(run: Path, station: str) -> Path:
    return run / "preview" / f"{_safe(station)}.wanted"


def _safe(station: str) -> str:
    """Keep a station's name inside its folder."""
    return station.replace("/", "_").replace("\0", "_").lstrip(".") or "_"


def _replace(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_bytes(data)
    fresh.replace(path)
