"""Services as processes of their own, looked after as `gateway run` does: what dies is started again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.service.run import Services

LOOK_S = 0.1


@contextmanager
def looked_after(names: Sequence[str], file: Path) -> Iterator[tuple[Services, list[str]]]:
    """Run these services of the site in `file`, and give the lines they say; all of them are stopped at the end."""
    lines: list[str] = []
    services = Services(names, file, lines.append)
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_S):
            services.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield services, lines
    finally:
        done.set()
        thread.join()
        services.stop()
