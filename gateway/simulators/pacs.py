"""A PACS with nothing behind: it takes objects as a real one does, records what it saw, and fails as it is told.

A fault script is a string of letters, one for each object (or association) in order; the last one stays:

    a  accepts                                  x  refuses the association for good (our AE title is not known)
    B  accepts, and says it changed elements    t  refuses the association for the moment (too many)
    1  says it already has the object (0111)    s  refuses every presentation context
    7  is out of resources (A700)               h  hangs: takes the object and never answers
    C  cannot understand it (C000, in words)    r  resets the connection in the middle of the object

It is pynetdicom's SCP, so it shares no code with our sender. PS3.4 annex A and B.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct
from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from gateway.simulators import scp

VERIFICATION = "1.2.840.10008.1.1"
ACCEPTS, FAILS_ASSOCIATION = "aB17Chr", "xts"

_ANSWERS = {
    "a": (0x0000, ""),
    "B": (0xB000, ""),
    "1": (0x0111, ""),
    "7": (0xA700, ""),
    "C": (0xC000, "No such patient"),
}
_REJECTIONS = {"x": (1, 1, 3), "t": (2, 3, 2)}


class Received(Struct, frozen=True, kw_only=True):
    """One object that came in whole, and what was answered."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    status: int
    size_bytes: int
    """Of the data set."""
    received_at: datetime


class Called(Struct, frozen=True, kw_only=True):
    """One association request."""

    calling_ae: str
    proposed: tuple[tuple[str, str], ...]
    """(SOP class, transfer syntax) of each presentation context."""
    requested_at: datetime


class SimulatedPACS:
    """A Storage and Verification SCP on loopback. What it saw: `received`, `called`, `echoes`, `longest_pdu_bytes`."""

    def __init__(
        self,
        port: int,
        *,
        ae_title: str = "PACS",
        faults: str = "a",
        keep: Path | None = None,
        transfer_syntaxes: Sequence[str] = tuple(ALL_TRANSFER_SYNTAXES),
        max_pdu_bytes: int = 16382,
    ) -> None:
        """`keep`: a folder for what was accepted, as `<SOPInstanceUID>.dcm`."""
        self.port, self.ae_title, self.keep = port, ae_title, keep
        self.received: list[Received] = []
        self.called: list[Called] = []
        self.echoes = self.longest_pdu_bytes = 0
        self._faults, self._at, self._lock = faults, 0, threading.Lock()
        self._is_stopping = threading.Event()
        self._ae = AE(ae_title)
        self._ae.maximum_associations = 100
        self._ae.maximum_pdu_size = max_pdu_bytes
        for context in AllStoragePresentationContexts:
            self._ae.add_supported_context(str(context.abstract_syntax), list(transfer_syntaxes))
        self._ae.add_supported_context(VERIFICATION)

    def start(self) -> Self:
        """Listen; an address still in use is the caller's mistake (OSError)."""
        self._is_stopping.clear()
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_PDU_RECV, self._on_pdu),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_C_STORE, self._on_store),
        ]
        scp.listen(self._ae, self.port, handlers)
        return self

    def stop(self) -> None:
        """Go away: whoever is connected is cut off."""
        self._is_stopping.set()
        self._ae.shutdown()

    def misbehave(self, faults: str) -> None:
        """Follow another script from now on."""
        with self._lock:
            self._faults, self._at = faults, 0

    def accepted(self) -> list[Received]:
        """Return what it answered for: stored, with a remark or not, or had before."""
        return [one for one in self.received if one.status in {0x0000, 0xB000, 0x0111}]

    def __enter__(self) -> Self:
        """Listen for a block."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go away."""
        self.stop()

    def _next(self, letters: str, *, is_peek: bool = False) -> str:
        """Take the script's letter if it is one of these; a letter for something else waits for that."""
        with self._lock:
            letter = self._faults[self._at]
            if letter not in letters:
                return "a"
            if not is_peek:
                self._at = min(self._at + 1, len(self._faults) - 1)
            return letter

    def _on_requested(self, event: Any) -> None:
        requestor = event.assoc.requestor
        contexts = [
            (str(context.abstract_syntax), str(syntax))
            for context in requestor.primitive.presentation_context_definition_list
            for syntax in context.transfer_syntax
        ]
        self.called.append(
            Called(
                calling_ae=requestor.primitive.calling_ae_title.strip(),
                proposed=tuple(contexts),
                requested_at=datetime.now(UTC),
            )
        )
        letter = self._next(FAILS_ASSOCIATION)
        if letter in _REJECTIONS:
            event.assoc.acse.send_reject(*_REJECTIONS[letter])
            event.assoc.kill()  # returns once the rejection is sent
            event.assoc.is_rejected = True
        elif letter == "s":
            event.assoc.acceptor.supported_contexts = []

    def _on_pdu(self, event: Any) -> None:
        """Reset the connection as soon as the first bytes of a data set are there."""
        items = getattr(event.pdu, "presentation_data_value_items", [])
        if items:
            self.longest_pdu_bytes = max(self.longest_pdu_bytes, event.pdu.pdu_length)
        has_data = any(not item.message_control_header_byte.endswith("1") for item in items)
        if has_data and self._next("r", is_peek=True) == "r":
            self._next("r")
            _reset(event.assoc.dul.socket.socket)

    def _on_echo(self, event: Any) -> int:
        self.echoes += 1
        return 0x0000

    def _on_store(self, event: Any) -> int | Dataset:
        letter = self._next(ACCEPTS)
        if letter == "h":
            self._is_stopping.wait()
        status, comment = _ANSWERS.get(letter, _ANSWERS["a"])
        request = event.request
        if self.keep is not None and letter in "aB":
            _write(self.keep / f"{request.AffectedSOPInstanceUID}.dcm", event.encoded_dataset())
        self.received.append(
            Received(
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(event.context.transfer_syntax),
                calling_ae=event.assoc.requestor.ae_title.strip(),
                status=status,
                size_bytes=request.DataSet.getbuffer().nbytes,
                received_at=datetime.now(UTC),
            )
        )
        answer = Dataset()
        answer.Status = status
        if comment:
            answer.ErrorComment = comment
        return answer


def _reset(sock: socket.socket) -> None:
    """Close with an RST, as a router that forgot the connection does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.shutdown(socket.SHUT_RD)
    sock.close()


def _write(path: Path, data: bytes) -> None:
    """Keep a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
