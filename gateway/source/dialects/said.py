"""What every dialect is to the serial source: a framing, and what one record says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from gateway.model import Observation, Trace
    from gateway.wire.records import Framing, Record


class Said(Struct, frozen=True, kw_only=True):
    """What one record stated."""

    observations: tuple[Observation, ...] = ()
    traces: tuple[Trace, ...] = ()
    """Whole curves, or the next pieces of a stream: those of one channel are joined in the order in which they come."""
    is_end: bool = False
    """The set of readings that it belongs to is complete."""
    model_name: str = ""
    """What the instrument calls itself; empty when it does not."""
    unread: int = 0
    """Parts of it that this dialect does not read: the journal has them."""


class Dialect(Protocol):
    """How one family of instruments speaks. Pure: bytes and times in, values out."""

    @property
    def framing(self) -> Framing:
        """What finds its records in the bytes of the line."""

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a record says. Raises UnreadableRecord, and nothing else, whatever its bytes are."""

    def answer(self) -> bytes:
        """Return what the instrument waits for, once: it is sent after the bytes that it answers are durable (law 1)."""

    def due(self, now_ns: int) -> bytes:
        """Return what is to be sent by now though nothing was asked: the first request, the next, a keep-alive; empty: nothing."""
