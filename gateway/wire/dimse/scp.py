"""Sockets to associations: the Storage SCP (and C-ECHO) that a modality calls.

One thread accepts, and one blocking thread reads each association: nothing polls, nothing sleeps; a slow disk is back-pressure
on the socket. Rule: whatever a peer does, its association ends with the answer that the standard names, nothing of an
unfinished object is left, and the others do not notice. PS3.8 7.1 and 9.2 (the acceptor's side of the state machine), PS3.4 A and B.
"""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath

from gateway.errors import CallerRefused, GatewayError, LinkCut, PeerSilent, ProtocolBroken, ServiceError
from gateway.wire.dimse import negotiation
from gateway.wire.dimse.acceptor import Acceptor
from gateway.wire.dimse.pdu import HEADER, PDUType
from gateway.wire.dimse.sink import Receiver
from gateway.wire.dimse.stream import (
    NOT_SPECIFIED,
    SERVICE_PROVIDER,
    SERVICE_USER,
    UNEXPECTED_PDU,
    Breach,
    PDUStream,
    Whole,
)

ARTIM_S = 15.0
"""An association must be requested within this time (PS3.8 9.1.5)."""
HANG_UP_S = 2.0
"""How long the peer may take to read our last words and to close."""
SLOWEST_BYTES = 1024
"""Less than this in the idle time is as good as nothing: a peer that feeds single bytes holds an association up."""
MAX_HANDSHAKES, MAX_HANDSHAKES_EACH = 32, 8
"""Connections that have not become associations, in all and from one address; more are closed at once."""

IsAllowed = Callable[[str, str], bool]
"""(calling AE title, address) -> may it send to us?"""


class Listener:
    """The SCP on one port. `start` binds and returns; `stop` ends every association, unfinished objects unacknowledged."""

    def __init__(
        self,
        bind: tuple[str, int],
        ae_title: str,
        is_allowed: IsAllowed,
        receiver: Receiver,
        *,
        max_associations: int = 10,
        idle_s: float = 60.0,
    ) -> None:
        """`bind` is (host, port), port 0 for any; `receiver` is shared by all associations."""
        self._bind = bind
        self.ae_title = ae_title
        self.is_allowed = is_allowed
        self.receiver = receiver
        self.max_associations = max_associations
        self.idle_s = idle_s
        self.is_stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[_Connection, threading.Thread] = {}
        self._associations = 0

    def start(self) -> None:
        """Listen. Raises OSError when the port cannot be had."""
        host, port = self._bind
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=64)
        self._thread = threading.Thread(target=self._accept_all, name="listen", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that we listen on."""
        return int(self._socket.getsockname()[1])

    @property
    def associations(self) -> int:
        """How many associations are established."""
        return self._associations

    def stop(self, wait_s: float = 10.0) -> None:
        """Take no more; let commits under way finish and be answered, cut what has not come whole."""
        self.is_stopping.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(wait_s)
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.interrupt()
        until = time.monotonic() + wait_s
        for thread in connections.values():
            thread.join(max(0.0, until - time.monotonic()))

    def admit(self) -> bool:
        """Count one more association, if there is room for it."""
        with self._lock:
            if self._associations >= self.max_associations:
                return False
            self._associations += 1
            return True

    def dismiss(self) -> None:
        """Count one association less."""
        with self._lock:
            self._associations -= 1

    def forget(self, connection: _Connection) -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.pop(connection, None)

    def _accept_all(self) -> None:
        while not self.is_stopping.is_set():
            try:
                sock, address = self._socket.accept()
            except OSError as error:
                if not self.is_stopping.wait(1.0):  # out of file descriptors: the others go on
                    self.receiver.notice(
                        ServiceError(service="listen", problem=f"no connection can be accepted: {error}")
                    )
                continue
            self._take(sock, str(address[0]))

    def _take(self, sock: socket.socket, address: str) -> None:
        connection = _Connection(self, sock, address)
        thread = threading.Thread(target=connection.run, name=f"association {address}", daemon=True)
        with self._lock:
            is_crowded = self._is_crowded(address)
            if not is_crowded:
                self._connections[connection] = thread
        if is_crowded:
            sock.close()
            self.receiver.notice(
                CallerRefused(peer="a caller", address=address, problem="too many connections at once")
            )
        else:
            thread.start()

    def _is_crowded(self, address: str) -> bool:
        waiting = [one.address for one in self._connections if not one.is_association]
        return len(waiting) >= MAX_HANDSHAKES or waiting.count(address) >= MAX_HANDSHAKES_EACH


class _Connection:
    """One connection, from accept to close, in a thread of its own."""

    def __init__(self, listener: Listener, sock: socket.socket, address: str) -> None:
        self._listener = listener
        self._socket = sock
        self.address = address
        self.is_association = False
        self._peer = address
        self._stream = PDUStream()
        self._is_amid = False
        """The association ended while something had begun that was not whole."""

    def run(self) -> None:
        """Serve the connection; whatever happens, it is closed and the listener lives."""
        try:
            self._prepare()
            self._serve()
        except Breach as breach:
            self._say_last(_abort(breach.source, breach.reason))
            self._notice(ProtocolBroken(peer=self._peer, problem=breach.problem))
        except TimeoutError:
            self._say_last(_abort(SERVICE_PROVIDER, NOT_SPECIFIED))
            self._notice(PeerSilent(peer=self._peer))
        except OSError as error:
            if self._is_amid:
                self._notice(LinkCut(peer=self._peer, problem=error.strerror or type(error).__name__))
        except Exception as error:  # noqa: BLE001  the top of this thread: the association ends, the service does not
            self._say_last(_abort(SERVICE_PROVIDER, NOT_SPECIFIED))
            self._notice(ServiceError(service="listen", problem=f"{type(error).__name__} {_where(error)}"))
        finally:
            self._socket.close()
            self._listener.forget(self)

    def interrupt(self) -> None:
        """Let the thread find the end of the stream; what it still has to say goes out."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def _prepare(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _serve(self) -> None:
        body = self._requested()
        if not body:
            return
        request = negotiation.read(body)
        self._peer = f"{request.calling_ae} ({self.address})"
        refusal, problem = self._refusal(request)
        if refusal or not self._listener.admit():
            refusal, problem = (
                (refusal, problem) if refusal else (negotiation.LOCAL_LIMIT_EXCEEDED, "too many associations")
            )
            self._say_last(negotiation.reject(*refusal))
            self._notice(CallerRefused(peer=request.calling_ae, address=self.address, problem=problem))
            return
        self.is_association = True
        try:
            self._talk(request)
        finally:
            self._listener.dismiss()

    def _requested(self) -> bytes:
        """Wait for the A-ASSOCIATE-RQ; nothing when the peer hangs up before. Raises Breach, TimeoutError."""
        until = time.monotonic() + ARTIM_S
        while self._receive(until - time.monotonic()):
            for event in self._stream.events():
                if not isinstance(event, Whole) or event.type not in {PDUType.ASSOCIATE_RQ, PDUType.ABORT}:
                    raise Breach("something else than an association request", UNEXPECTED_PDU, SERVICE_USER)
                return event.body if event.type is PDUType.ASSOCIATE_RQ else b""
        if not self._stream.is_between:
            raise Breach("half an association request", UNEXPECTED_PDU, SERVICE_USER)
        return b""

    def _refusal(self, request: negotiation.Request) -> tuple[tuple[int, int, int] | tuple[()], str]:
        """Result, source and reason of a rejection, with the sentence for the history; empty when the caller may come in."""
        if reasons := negotiation.refusal(request):
            return reasons, "it does not ask for a DICOM association"
        if not self._listener.is_allowed(request.calling_ae, self.address):
            return negotiation.CALLING_AE_NOT_RECOGNIZED, "its AE title and address are not on the list"
        if request.called_ae != self._listener.ae_title:
            return negotiation.CALLED_AE_NOT_RECOGNIZED, f"it called the AE title {request.called_ae}"
        return (), ""

    def _talk(self, request: negotiation.Request) -> None:
        answer, contexts = negotiation.accept(request)
        acceptor = Acceptor(
            contexts,
            self._listener.receiver,
            calling_ae=request.calling_ae,
            called_ae=request.called_ae,
            address=self.address,
        )
        try:
            self._socket.sendall(answer)
            self._hear_out(acceptor)
        finally:
            self._is_amid = not (acceptor.is_idle and self._stream.is_between)
            acceptor.lost()

    def _hear_out(self, acceptor: Acceptor) -> None:
        patience = _Patience(self._listener.idle_s)
        while True:
            for event in self._stream.events():
                if answer := acceptor.hear(event):
                    self._socket.sendall(answer)
                if acceptor.is_over:
                    self._hang_up()
                    return
            count = self._receive(self._listener.idle_s)
            if not count:
                self._end_of_stream(acceptor)
                return
            patience.spend(count, acceptor.messages)

    def _end_of_stream(self, acceptor: Acceptor) -> None:
        if self._listener.is_stopping.is_set():
            self._say_last(_abort(SERVICE_USER, NOT_SPECIFIED))  # we end it, not the peer
        if not (acceptor.is_idle and self._stream.is_between):
            self._notice(LinkCut(peer=self._peer, problem="the connection was closed"))

    def _receive(self, timeout_s: float) -> int:
        """Wait for bytes; 0 is the end of the stream. The acknowledgement goes out at once: see docs/decisions.md, Nagle."""
        self._socket.settimeout(max(timeout_s, 0.001))
        count = self._socket.recv_into(self._stream.space())
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._stream.took(count)
        return count

    def _say_last(self, data: bytes) -> None:
        """Send our last words, and wait a little for the peer to read them (PS3.8 9.2, Sta13)."""
        with suppress(OSError):
            self._socket.settimeout(HANG_UP_S)
            self._socket.sendall(data)
            self._hang_up()

    def _hang_up(self) -> None:
        """Say that nothing more comes, and read until the peer has closed too: else the kernel would reset what is under way."""
        until = time.monotonic() + HANG_UP_S
        drain = bytearray(65536)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv_into(drain):
                    return

    def _notice(self, error: GatewayError) -> None:
        self._listener.receiver.notice(error)


class _Patience:
    """How long a peer may keep an association while next to nothing comes."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._start(0)

    def spend(self, count: int, messages: int) -> None:
        """`count` bytes came, `messages` were answered so far. Raises TimeoutError."""
        self._bytes += count
        if self._bytes >= SLOWEST_BYTES or messages != self._messages:
            self._start(messages)
        elif time.monotonic() > self._until:
            raise TimeoutError

    def _start(self, messages: int) -> None:
        self._until = time.monotonic() + self._idle_s
        self._bytes = 0
        self._messages = messages


def _where(error: BaseException) -> str:
    """Which line of ours a mistake of ours shows in; never a value, which might identify a patient."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {last.name} ({PurePath(last.filename).name}:{last.lineno})"


def _abort(source: int, reason: int) -> bytes:
    """A-ABORT (PS3.8 9.3.8)."""
    return HEADER.pack(PDUType.ABORT, 4) + bytes((0, 0, source, reason))
