"""What guest and host of the power group share: the box's configuration, and how a fact is said on the console and heard."""

import os
import re
from pathlib import Path

NOTHING = "nothing"
STATION = "ROOM"
PROFILE = "simulator-ultrasound"
SCRIPT = "ybr_color,160x120,progressive,yuyv,4,stamp"
_LINE = re.compile(r"power! (\S.*)$")
_RUN = "POWER_RUN"


def settings(data: Path, run: Path, ports: tuple[int, int] = (10400, 10401)) -> dict[str, object]:
    """The configuration of the box whose power is cut; `ports`: its own, and the PACS's."""
    listen, pacs = ports
    cache = os.environ.get("NUMBA_CACHE_DIR", str(run))
    grabber = {"device": f"simulator:{SCRIPT}", "profile": PROFILE, "ring_s": 5.0, "retrospective_s": 2.0}
    return {
        "station": {"timezone": "Africa/Nairobi"},
        "paths": {"data": str(data), "run": str(run), "cache": cache},
        "spool": {"ballast_mb": 1, "keep_free_mb": 16},
        "release": {"after_s": 3.0},
        "grabber": {STATION: grabber},
        "destination": {"pacs": {"host": "127.0.0.1", "port": pacs, "called_ae": "PACS"}},
        "listen": {"host": "127.0.0.1", "port": listen, "is_open_to_all": True},
    }


def run_is(name: str) -> None:
    """From now on this process, and those it forks, speak of this run."""
    os.environ[_RUN] = name


def say(*words: object) -> None:
    """Print a line in one piece, whoever else prints."""
    os.write(1, f"\npower! {os.environ.get(_RUN, '-')} {' '.join(map(str, words))}\n".encode())


def heard(line: str) -> list[str]:
    """Return the words of a line, the run first; none when it is somebody else's."""
    found = _LINE.search(line)
    return found[1].split() if found else []
