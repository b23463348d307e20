"""What acquire sees now, to files on tmpfs that the panel reads: live, not state. Lost at a restart, and nobody minds.

`<run>/status/<station>.json`, `<run>/preview/<station>.jpg`, each replaced atomically (rename(2)), without fsync;
`<run>/preview/<station>.wanted` is touched while somebody looks, so that acquire makes pictures only then. An engineer who
draws on the picture looks at the whole of it: the same three in `<run>/whole/`, and what the picture is as `.json`.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.model import StationStatus, WholePicture

WANTED_S = 5.0
"""A look lasts so long."""
Kind = Literal["preview", "whole"]
PREVIEW: Final = "preview"
WHOLE: Final = "whole"


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
    _replace(run / PREVIEW / f"{_safe(station)}.jpg", jpeg)


def read_preview(run: Path, station: str) -> tuple[bytes, int] | None:
    """Return the live picture and when it was published (CLOCK_REALTIME ns: its identity, not its age)."""
    return _read(run / PREVIEW / f"{_safe(station)}.jpg")


def want(run: Path, station: str, kind: Kind = PREVIEW) -> None:
    """Say that somebody looks at the live picture, or at the whole of it."""
    path = run / kind / f"{_safe(station)}.wanted"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(time.monotonic_ns()), encoding="ascii")


def is_wanted(run: Path, station: str, kind: Kind = PREVIEW, *, within_s: float = WANTED_S) -> bool:
    """Say whether somebody has looked within the last seconds."""
    try:
        looked_ns = int((run / kind / f"{_safe(station)}.wanted").read_text(encoding="ascii") or 0)
    except FileNotFoundError:
        return False
    return 0 <= time.monotonic_ns() - looked_ns < within_s * 1e9


def write_whole(run: Path, station: str, jpeg: bytes | memoryview, facts: WholePicture) -> None:
    """Publish the uncropped picture, and before it what it is."""
    _replace(run / WHOLE / f"{_safe(station)}.json", msgspec.json.encode(facts))
    _replace(run / WHOLE / f"{_safe(station)}.jpg", jpeg)


def read_whole(run: Path, station: str) -> tuple[bytes, int, WholePicture] | None:
    """Return the uncropped picture, when it was published, and what it is; None while there has been none."""
    found = _read(run / WHOLE / f"{_safe(station)}.jpg")
    facts = _read(run / WHOLE / f"{_safe(station)}.json")
    return (*found, msgspec.json.decode(facts[0], type=WholePicture)) if found and facts else None


def _read(path: Path) -> tuple[bytes, int] | None:
    try:
        with path.open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _safe(station: str) -> str:
    """Keep a station's name inside its folder."""
    return station.replace("/", "_").replace("\0", "_").lstrip(".") or "_"


def _replace(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_bytes(data)
    fresh.replace(path)
