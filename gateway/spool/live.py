"""What acquire sees and a serial port hears now, to files on tmpfs that the panel reads: live, not state. Lost at a restart, and nobody minds.

`<run>/status/<station>.json`, `<run>/preview/<station>.jpg`, each replaced atomically (rename(2)), without fsync;
`<run>/preview/<station>.wanted` is touched while somebody looks, so that acquire makes pictures only then. An engineer who
draws on the picture looks at the whole of it: the same three in `<run>/whole/`, and what the picture is as `.json`. Of a port,
`<run>/instrument/<port>.json` and `.wanted`; while its line settings are looked for, `<run>/detection/<port>.json`, and `.asked`
until the service has taken that up.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.model import Detection, InstrumentStatus, StationStatus, WholePicture

WANTED_S = 5.0
"""A look lasts so long."""
Kind = Literal["preview", "whole", "instrument"]
PREVIEW: Final = "preview"
WHOLE: Final = "whole"
INSTRUMENT: Final = "instrument"
DETECTION: Final = "detection"
LINES: Final = "lines.json"


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
    """Say that somebody looks at the live picture, at the whole of it, or at an instrument's values and curves."""
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


def write_instrument(run: Path, status: InstrumentStatus) -> None:
    """Publish what a serial service says of its port."""
    _replace(run / INSTRUMENT / f"{_safe(status.port)}.json", msgspec.json.encode(status))


def read_instrument(run: Path, port: str) -> InstrumentStatus | None:
    """Return the last published status of a port; None when its service has not run since the box started."""
    found = _read(run / INSTRUMENT / f"{_safe(port)}.json")
    return msgspec.json.decode(found[0], type=InstrumentStatus) if found else None


def ask_detection(run: Path, port: str) -> None:
    """Ask the service of a port to find out how its line is set; what an earlier detection found is forgotten."""
    path = run / DETECTION / f"{_safe(port)}.asked"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    path.touch()


def is_detection_asked(run: Path, port: str) -> bool:
    """Say whether a detection is asked for that its service has not taken up."""
    return (run / DETECTION / f"{_safe(port)}.asked").exists()


def take_detection(run: Path, port: str) -> bool:
    """Say whether somebody has asked for a detection, and take that up: once."""
    try:
        (run / DETECTION / f"{_safe(port)}.asked").unlink()
    except FileNotFoundError:
        return False
    return True


def write_detection(run: Path, found: Detection) -> None:
    """Publish what a detection has found so far."""
    _replace(run / DETECTION / f"{_safe(found.port)}.json", msgspec.json.encode(found))


def read_detection(run: Path, port: str) -> Detection | None:
    """Return what the last detection has found so far; None when there has been none, or it has not begun."""
    found = _read(run / DETECTION / f"{_safe(port)}.json")
    return msgspec.json.decode(found[0], type=Detection) if found else None


def write_lines(run: Path, names: Sequence[str]) -> None:
    """Publish the serial devices of this box, by the names that stay."""
    _replace(run / LINES, msgspec.json.encode(names))


def read_lines(run: Path) -> tuple[str, ...]:
    """Return the serial devices of this box; none when no serial service has looked."""
    found = _read(run / LINES)
    return msgspec.json.decode(found[0], type=tuple[str, ...]) if found else ()


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
