"""A host and a port to a connection that either moves bytes or says, in words and in bounded time, why not.

A peer is silent when for `timeout_s` it neither sent a byte nor acknowledged one of ours: bytes that wait in our own
kernel for a slow link are progress as long as they get fewer (SIOCOUTQ, linux/sockios.h), so a satellite is not taken
for a dead PACS, nor a dead PACS for a satellite. What our kernel still holds of a message that failed can be discarded,
so that no slow link carries it for nothing (SO_LINGER of 0 s, socket(7)). No retry here: the Delivery's state table does that.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Self

from gateway.errors import PeerError, PeerSilent, PeerUnreachable

_SIOCOUTQ = 0x5411  # the same number as TIOCOUTQ (asm-generic/ioctls.h)
_STEP_S = 0.25
_DISCARD = struct.pack("@ii", 1, 0)
"""struct linger: on, 0 s."""


class Stopped(Exception):
    """The service is stopping: whatever was under way is left as it is."""


def _never() -> bool:
    return False


class Connection:
    """A TCP connection that we opened; use it as a context manager."""

    def __init__(self, sock: socket.socket, peer: str, timeout_s: float, is_stopped: Callable[[], bool]) -> None:
        """`peer` is the name that opens every sentence about it; the socket becomes non-blocking and sends at once."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._sock, self._peer, self._is_stopped = sock, peer, is_stopped
        self.timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Hand all of it to the kernel. Raises PeerSilent, PeerError when the connection is gone, or Stopped."""
        if self._is_stopped():
            raise Stopped
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError as error:
                raise self._broken(error) from error

    def receive(self, count: int) -> bytearray:
        """Wait for exactly `count` bytes. Raises PeerSilent, PeerError when the connection ends first, or Stopped."""
        found = bytearray(count)
        view = memoryview(found)
        while view:
            # A peer that writes an answer in two pieces with Nagle's algorithm on waits for our delayed ACK: 40 ms each time.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            try:
                got = self._sock.recv_into(view)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            except OSError as error:
                raise self._broken(error) from error
            if not got:
                raise PeerError(peer=self._peer, problem="it closed the connection")
            view = view[got:]
        return found

    def close(self) -> None:
        """Give up the connection; harmless when done twice."""
        self._sock.close()

    def discard(self) -> bool:
        """Say whether the peer's kernel has not acknowledged all; then closing resets the connection, and the rest is never sent."""
        is_held = bool(self._unacknowledged())
        if is_held:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        return is_held

    def _wait(self, event: int) -> None:
        """Return when the socket is ready for `event`."""
        poll = select.poll()
        poll.register(self._sock, event)
        waiting, since = self._unacknowledged(), time.monotonic()
        while not poll.poll(min(_STEP_S, self.timeout_s) * 1000):
            if self._is_stopped():
                raise Stopped
            if (now_waiting := self._unacknowledged()) != waiting:
                waiting, since = now_waiting, time.monotonic()
            elif time.monotonic() - since >= self.timeout_s:
                raise PeerSilent(peer=self._peer)

    def _unacknowledged(self) -> int:
        """How many of our bytes the peer's kernel has not acknowledged yet."""
        return int(struct.unpack("i", fcntl.ioctl(self._sock, _SIOCOUTQ, b"\0" * 4))[0])

    def _broken(self, error: OSError) -> PeerError:
        return PeerError(peer=self._peer, problem=f"the connection broke ({error.strerror or error})")


def connect(
    peer: str, host: str, port: int, timeout_s: float, *, is_stopped: Callable[[], bool] = _never
) -> Connection:
    """Open a connection to the peer of that name. Raises PeerUnreachable with the kernel's reason."""
    try:
        sock = socket.create_connection((host, port), timeout=timeout_s)
    except TimeoutError as error:
        raise PeerUnreachable(peer=peer, problem=f"{host}:{port} does not answer") from error
    except OSError as error:
        raise PeerUnreachable(peer=peer, problem=f"{host}:{port}: {error.strerror or error}") from error
    return Connection(sock, peer, timeout_s, is_stopped)
