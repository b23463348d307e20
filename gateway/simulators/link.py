"""A bad link: a TCP relay on loopback that delays, narrows and cuts what passes, as a satellite does, on demand.

It stands between the gateway and a peer: call its `port` instead of the peer's. It relays bytes and knows no protocol; it
cannot lose packets inside TCP. What passed is counted.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from functools import partial
from types import TracebackType
from typing import Self

Flight = queue.Queue[tuple[float, bytes]]
"""When each piece arrives, and the piece; an empty one is the end."""

_STEP_BYTES = 4096
_MAX_IN_FLIGHT = 1 << 18


class BadLink:
    """A relay from `port` to a peer on loopback. `delay_s` one way, `rate_bytes_s` each way (0: as fast as it goes)."""

    def __init__(
        self, port: int, peer_port: int, *, delay_s: float = 0.0, rate_bytes_s: float = 0.0, cut_after_bytes: int = -1
    ) -> None:
        """`cut_after_bytes`: reset the connection once so many bytes went towards the peer; -1: never."""
        self.port, self._peer_port = port, peer_port
        self.delay_s, self.rate_bytes_s, self.cut_after_bytes = delay_s, rate_bytes_s, cut_after_bytes
        self.swallow_after_bytes = -1
        """Set it: what goes beyond so many bytes towards the peer never arrives, and nobody is told; -1: all arrives."""
        self.sent_bytes = self.returned_bytes = self.connections = 0
        self._server = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_gone = threading.Event()
        threading.Thread(target=self._accept, name=f"link {port}", daemon=True).start()

    def cut(self) -> None:
        """Reset every connection; new ones are possible at once."""
        with self._lock:
            doomed, self._open = self._open, []
        for sock in doomed:
            _reset(sock)

    def close(self) -> None:
        """Be no more: connections are reset and new ones refused."""
        self._is_gone.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def __enter__(self) -> Self:
        """Keep it for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be no more."""
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            try:
                far = socket.create_connection(("127.0.0.1", self._peer_port), timeout=5)
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            with self._lock:
                self._open += [near, far]
            self._carry(near, far, is_outward=True)
            self._carry(far, near, is_outward=False)

    def _carry(self, source: socket.socket, target: socket.socket, *, is_outward: bool) -> None:
        """Relay one way, in threads that end with the connection."""
        flight: Flight = queue.Queue(self._pieces_in_flight())
        write = partial(self._write, flight, source, target, is_outward=is_outward)
        threading.Thread(target=self._read, args=(source, target, flight), daemon=True).start()
        threading.Thread(target=write, daemon=True).start()

    def _pieces_in_flight(self) -> int:
        """As many as a link of this rate and delay holds, and a little: a router with a short queue."""
        if not self.rate_bytes_s:
            return _MAX_IN_FLIGHT // _STEP_BYTES
        return 4 + int(2 * self.rate_bytes_s * self.delay_s / _STEP_BYTES)

    def _read(self, source: socket.socket, target: socket.socket, flight: Flight) -> None:
        """Take in bytes as fast as the link's rate allows, and say when each of them arrives."""
        is_free_at = time.monotonic()
        try:
            while data := source.recv(_STEP_BYTES):
                taken_s = len(data) / self.rate_bytes_s if self.rate_bytes_s else 0.0
                is_free_at = max(is_free_at, time.monotonic()) + taken_s
                flight.put((is_free_at + self.delay_s, data))
        except OSError:
            self._drop(source, target)
        flight.put((0.0, b""))

    def _write(self, flight: Flight, source: socket.socket, target: socket.socket, *, is_outward: bool) -> None:
        """Hand on each piece when it has arrived."""
        try:
            while (piece := flight.get())[1]:
                time.sleep(max(0.0, piece[0] - time.monotonic()))
                self._hand_on(piece[1], target, is_outward=is_outward)
            with self._lock:
                if target in self._open:  # else it is being reset, and an orderly end must not come before that
                    target.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(source, target)

    def _hand_on(self, data: bytes, target: socket.socket, *, is_outward: bool) -> None:
        if not is_outward:
            self.returned_bytes += len(data)
            target.sendall(data)
        elif _is_beyond(self.cut_after_bytes, self.sent_bytes + len(data)):
            self.cut()
        elif _is_beyond(self.swallow_after_bytes, self.sent_bytes + len(data)):
            self._is_gone.wait()
        else:
            self.sent_bytes += len(data)
            target.sendall(data)

    def _drop(self, *ends: socket.socket) -> None:
        """Reset one connection: what broke at one end is broken at the other."""
        with self._lock:
            self._open = [sock for sock in self._open if sock not in ends]
        for sock in ends:
            _reset(sock)


def _is_beyond(limit_bytes: int, count: int) -> bool:
    return 0 <= limit_bytes < count


def _reset(sock: socket.socket) -> None:
    """Close with an RST, and wake whoever reads from it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    sock.close()
