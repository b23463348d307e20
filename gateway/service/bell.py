"""Wake-ups between processes: a datagram that carries nothing; losing one costs latency only.

Each service listens on a Unix datagram socket `<run>/ring/<name>`; whoever committed work for it rings.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Bell:
    """The bell of one service: it may be rung from any process, and from any thread of its own (`ring_self`)."""

    def __init__(self, run: Path, name: str) -> None:
        """Make the socket; one that a dead process left behind is replaced."""
        self._path = run / "ring" / name
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(str(self._path))

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is rung, or for `timeout_s`; several rings in a row count as one."""
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
        return bool(ready)

    def ring_self(self) -> None:
        """Wake the thread that waits."""
        _ring(self._path)

    def close(self) -> None:
        """Take the socket away."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Keep it for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self.close()


def ring(run: Path, name: str) -> None:
    """Wake the service `name`, if it listens."""
    _ring(run / "ring" / name)


def _ring(path: Path) -> None:
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.sendto(b"!", str(path))
