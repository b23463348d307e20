"""A count to TCP ports of loopback that nobody listens on: what simulated peers and a box beside them are told to use.

The ports are free when they are given, and are not kept: whoever starts first has them (bind(2), port 0).
"""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free(count: int) -> list[int]:
    """Return so many ports, none of them twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
