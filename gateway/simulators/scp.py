"""A pynetdicom AE to a server on loopback that also stops at once: its own start_server polls twice a second."""

from __future__ import annotations

import socket
import threading
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

_POLL_S = 0.02


def listen(ae: AE, port: int, handlers: list[Any]) -> None:
    """Serve `ae` on a port of 127.0.0.1 until `ae.shutdown()`; answers leave at once (TCP_NODELAY). OSError: in use."""
    handlers = [(evt.EVT_CONN_OPEN, _send_at_once), *handlers]
    server = ae.make_server(("127.0.0.1", port), evt_handlers=handlers, server_class=ThreadedAssociationServer)
    ae._servers.append(server)  # noqa: SLF001  where shutdown() looks for it
    threading.Thread(target=server.serve_forever, args=(_POLL_S,), name=f"SCP {port}", daemon=True).start()


def _send_at_once(event: Any) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
