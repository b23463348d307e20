"""The conversation with an IntelliVue monitor: which message is sent when, so that its values and curves keep coming.

It asks for an association until it gets one, answers the event that follows, asks for the labels and scales, then for values and curves,
which the monitor sends by itself for a while: that is asked again in time. A monitor that heard nothing for 10 s hangs up (page 70), so
it hears something each 4 s. After silence, a refusal or an end, it begins anew. Pure: time is handed in (CLOCK_MONOTONIC, ns).

Source: Data Export Interface Programming Guide 4535 642 59271, pages 25 to 28 and 55 to 73, as open implementations quote it; that a
message each 128 ms is never too many for the RS-232 interface: RS232Adapter of OpenICE.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final

from gateway.wire import intellivue as wire

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND_NS: Final = 1_000_000_000
ASK_AGAIN_NS: Final = 5 * SECOND_NS
SILENCE_NS: Final = 10 * SECOND_NS
SIGN_OF_LIFE_NS: Final = 4 * SECOND_NS
BETWEEN_NS: Final = 128_000_000
ACTIVE_S: Final = 60
"""How long the monitor goes on by itself."""
RENEWED_NS: Final = 25 * SECOND_NS
"""When that is asked again."""
CONTEXT_NS: Final = 60 * SECOND_NS


class Stage(Enum):
    """How far the conversation is."""

    ALONE = "not associated"
    ACCEPTED = "associated, the monitor is about to say what it is"
    TALKING = "associated"


class Dialogue:
    """One conversation: what was heard goes in, what is to be sent comes out."""

    def __init__(self, curves: tuple[int, ...]) -> None:
        """`curves`: the labels of those that are wanted."""
        self._curves = curves
        self._stage = Stage.ALONE
        self._granted = wire.Accepted(has_periods=False, has_curves=False)
        self._heard_ns = 0
        self._sent_ns = 0
        self._ask_ns = 0
        """When an association is asked for again."""
        self._answer = b""
        self._waiting: deque[bytes] = deque()
        self._invoke = 0
        self._values_ns = self._curves_ns = self._context_ns = 0
        """When each is asked for again."""
        self._periodic = 0
        """The request for values that come by themselves: a monitor that refuses it is asked each second."""

    def hear(self, message: wire.Message, now_ns: int) -> None:
        """Take what the monitor said at `now_ns`."""
        self._heard_ns = now_ns
        match message:
            case wire.Accepted():
                self._stage, self._granted = Stage.ACCEPTED, message
            case wire.Created():
                self._answer = wire.framed(wire.created(message))
                self._begin(now_ns)
            case wire.Refused() | wire.Ended():
                self._stage, self._ask_ns = Stage.ALONE, now_ns + ASK_AGAIN_NS
            case wire.Failed() if message.invoke == self._periodic:
                self._granted = wire.Accepted(has_periods=False, has_curves=self._granted.has_curves)
                self._values_ns = now_ns
            case _:
                pass

    def answer(self) -> bytes:
        """Return what the monitor waits for, once."""
        answer, self._answer = self._answer, b""
        return answer

    def due(self, now_ns: int) -> bytes:
        """Return what is to be sent by now: at most one message, and none within 128 ms of the last."""
        if self._stage is not Stage.ALONE and now_ns - self._heard_ns >= SILENCE_NS:
            self._stage, self._ask_ns = Stage.ALONE, now_ns
        if now_ns - self._sent_ns < BETWEEN_NS:
            return b""
        message = self._next(now_ns)
        if not message:
            return b""
        self._sent_ns = now_ns
        return wire.framed(message)

    def _next(self, now_ns: int) -> bytes:
        if self._stage is Stage.ALONE:
            if now_ns < self._ask_ns:
                return b""
            self._ask_ns = now_ns + ASK_AGAIN_NS
            return wire.association(with_curves=bool(self._curves))
        if self._stage is Stage.ACCEPTED:
            return b""
        self._plan(now_ns)
        if self._waiting:
            return self._waiting.popleft()
        if now_ns - self._sent_ns >= SIGN_OF_LIFE_NS:
            return wire.poll(self._number(), wire.ALERTS, wire.STATIC)
        return b""

    def _begin(self, now_ns: int) -> None:
        """The association stands: everything is asked for, what is said of things before the things."""
        self._stage = Stage.TALKING
        self._waiting.clear()
        self._context_ns = self._values_ns = self._curves_ns = now_ns
        if self._curves and self._granted.has_curves:
            self._waiting.append(wire.choose_curves(self._number(), self._curves))

    def _plan(self, now_ns: int) -> None:
        """Put what has become due into the queue."""
        wants_curves = self._curves and self._granted.has_curves
        if now_ns >= self._context_ns:
            self._context_ns = now_ns + CONTEXT_NS
            self._ask(wire.poll, wire.VALUES, wire.DYNAMIC)
            if wants_curves:
                self._ask(wire.poll, wire.CURVES, wire.STATIC)
                self._ask(wire.poll, wire.CURVES, wire.DYNAMIC)
        if now_ns >= self._values_ns:
            self._values_ns = now_ns + (RENEWED_NS if self._granted.has_periods else SECOND_NS)
            if self._granted.has_periods:
                self._ask(_for_a_while, wire.VALUES, wire.OBSERVED)
                self._periodic = self._invoke
            else:
                self._ask(wire.poll, wire.VALUES, wire.OBSERVED)
        if wants_curves and now_ns >= self._curves_ns:
            self._curves_ns = now_ns + RENEWED_NS
            self._ask(_for_a_while, wire.CURVES, wire.EVERYTHING)

    def _ask(self, build: Callable[[int, int, int], bytes], object_class: int, group: int) -> None:
        self._waiting.append(build(self._number(), object_class, group))

    def _number(self) -> int:
        self._invoke = self._invoke % 0xFFFE + 1
        return self._invoke


def _for_a_while(invoke: int, object_class: int, group: int) -> bytes:
    return wire.periodic_poll(invoke, object_class, group, ACTIVE_S)
