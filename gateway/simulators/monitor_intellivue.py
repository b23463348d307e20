"""A Philips IntelliVue monitor on a simulated line: it associates, says what it is, and sends values and curves at their real pace.

Its bytes are those of `intellivue_messages`. How a monitor behaves that nobody answers was observed by others on an MX800: the event three
times, then an abort; an association that hears nothing for 10 s ends.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

from gateway.simulators import intellivue_messages as messages
from gateway.simulators.intellivue_messages import ABORT, ACTION, MDS, PATIENT, WAVES, Numeric, Wave

if TYPE_CHECKING:
    import threading

    from gateway.simulators.instrument import SimulatedInstrument

BLOCK_S: Final = 0.256
REPEAT_S: Final = 3.1
HANG_UP_S: Final = 10.0
EVENT, SET = 1, 5
DEMO: Final = 0x2000


class Monitor:
    """One monitor. Faults: `refusals` of the association, `is_mute`, `has_curves` off, frames `damaged` by number from 1, `noise`."""

    def __init__(
        self,
        line: SimulatedInstrument,
        *,
        refusals: int = 0,
        has_curves: bool = True,
        has_periods: bool = True,
        mode: int = 0x4000,
        damaged: frozenset[int] = frozenset(),
        noise: bytes = b"",
    ) -> None:
        """`noise` is sent before each frame."""
        self._line = line
        self._refusals = refusals
        self._has_curves = has_curves
        self._has_periods = has_periods
        self._mode = mode
        self._damaged = damaged
        self._noise = noise
        self._frames = 0
        self._received = bytearray()
        self._is_associated = self._is_confirmed = False
        self._heard_s = self._said_s = 0.0
        self._events = 0
        self._values_until = self._curves_until = 0.0
        self._next_values = self._next_curves = 0.0
        self._sequence = {0x0006: 0, 0x0009: 0}
        self._poll: dict[int, tuple[int, int]] = {}
        self.blocks = 0
        """How many pieces of curves, of 256 ms, were sent."""
        self.patient: tuple[Numeric, ...] = PATIENT
        self.waves: tuple[Wave, ...] = ()
        """What was chosen of WAVES."""
        self.states: dict[int, int] = {}
        """What it says against curves, by identifier."""
        self.has_names = True
        """It says what it calls its values."""
        self.is_mute = False
        self._cut_at: int | None = None
        self._is_on = True
        self.requests: list[str] = []
        """What it was asked, in words."""

    def serve(self, stop: threading.Event) -> None:
        """Listen and send until told to stop."""
        while not stop.is_set():
            self.step(time.monotonic())
            time.sleep(0.005)

    def step(self, now: float) -> None:
        """Do what is due at `now`, in seconds of some clock."""
        self._is_on = True
        for message in self._messages():
            self._heard_s = now
            self._take(message, now)
        if not self._is_associated:
            return
        if now - self._heard_s > HANG_UP_S:
            self.abort()
        elif not self._is_confirmed and now - self._said_s > REPEAT_S:
            self._create(now)
        self._send_due(now)

    def abort(self) -> None:
        """End the association at once."""
        self.restart()
        self._send(ABORT)

    def switch_off(self, cut_at: int) -> None:
        """The power goes after so many bytes of the next frame; then it is back, and knows nothing of what was said."""
        self._cut_at = cut_at

    def restart(self) -> None:
        """Forget everything, as when it is switched off and on."""
        self._is_associated = self._is_confirmed = False
        self._values_until = self._curves_until = 0.0

    def _messages(self) -> list[bytes]:
        self._received += self._line.heard()
        found = []
        while (end := self._received.find(0xC1)) >= 0:
            frame = bytes(self._received[self._received.find(0xC0) + 1 : end])
            del self._received[: end + 1]
            content = messages.unstuffed(frame)
            if len(content) > 6 and messages.check(content[:-2]) == content[-2:] and content[:2] == b"\x11\x01":
                found.append(content[4:-2])
        return found

    def _take(self, message: bytes, now: float) -> None:
        if message[0] == 0x0D:
            self._associate(message, now)
        elif message[:2] == b"\xe1\x00" and self._is_associated:
            kind, _, invoke, command = struct.unpack_from(">4H", message, 4)
            if (kind, command) == (2, EVENT):
                self.requests.append("confirmed")
                self._is_confirmed = True
            elif (kind, command) == (1, ACTION):
                self._action(invoke, message[14:], now)
            elif (kind, command) == (1, SET):
                self._choose(invoke, message[14:])

    def _associate(self, message: bytes, now: float) -> None:
        self.requests.append("association")
        if self._refusals:
            self._refusals -= 1
            self._send(b"\x0c\x02\x00\x00")
            return
        (asked,) = struct.unpack_from(">I", message, message.find(b"\xf0\x01\x00\x08") + 4)
        granted = (0x80000000 if self._has_periods else 0) | (asked & 0x08000000 if self._has_curves else 0)
        self._send(messages.accepted(granted))
        self.restart()
        self._is_associated, self._events = True, 0
        self._create(now)

    def _create(self, now: float) -> None:
        self._events += 1
        if self._events > 3:
            self.abort()
            return
        self._said_s = now
        self._send(messages.event(self._mode, self._ticks()))

    def _action(self, invoke: int, argument: bytes, now: float) -> None:
        action, _, number, _, kind, group = struct.unpack_from(">6H", argument, 10)
        is_periodic = action == 0xF13B
        words = {0x06: "values", 0x09: "curves", 0x36: "alerts"}
        self.requests.append(f"{'periodic ' if is_periodic else ''}{words.get(kind, hex(kind))} {group:04x}")
        if not is_periodic:
            for each in messages.results(invoke, number, None, kind, group, self._objects(kind, group), self._ticks()):
                self._send(each)
            return
        if not self._has_periods:
            self._send(struct.pack(">7H", 0xE100, 2, 3, 6, invoke, 9, 0))
            return
        (ticks,) = struct.unpack_from(">I", argument, 30)
        self._poll[kind], self._sequence[kind] = (invoke, number), 0
        self._send(messages.result(invoke, number, 0, kind, group, [], self._ticks()))
        if kind == 0x06:
            self._next_values = max(self._next_values, now) if self._values_until > now else now
            self._values_until = now + ticks / 8000
        else:
            self._next_curves = max(self._next_curves, now) if self._curves_until > now else now
            self._curves_until = now + ticks / 8000

    def _choose(self, invoke: int, argument: bytes) -> None:
        count = struct.unpack_from(">H", argument, 20)[0]
        labels = struct.unpack_from(f">{count}I", argument, 24)
        self.requests.append("choice " + " ".join(f"{label:08x}" for label in labels))
        self.waves = tuple(wave for label in labels for wave in WAVES if label == 0x20000 | wave.identifier)
        self._send(messages.remote(2, invoke, SET, MDS + bytes(4)))

    def _ticks(self) -> int:
        return self.blocks * 2048

    def _objects(self, kind: int, group: int) -> list[bytes]:
        """What a single poll of a class of objects returns: their context, or what is observed."""
        if kind == 0x06:
            if group == 0x0803:
                return [messages.observed(each) for each in self.patient]
            return [messages.named(each) for each in self.patient if self.has_names]
        if kind == 0x09:
            return [messages.item(wave.handle, messages.context(wave, group)) for wave in self.waves]
        return []

    def _send_due(self, now: float) -> None:
        while self._next_values <= now < self._values_until:
            self._next_values += 1.0
            self._periodic(0x06, 0x0803, [messages.observed(each) for each in self.patient])
        while self._next_curves <= now < self._curves_until:
            self._next_curves += BLOCK_S
            self._periodic(
                0x09,
                0,
                [
                    messages.item(
                        wave.handle, [(0x096E, messages.block(wave, self.blocks, self.states.get(wave.identifier, 0)))]
                    )
                    for wave in self.waves
                ],
            )
            self.blocks += 1

    def _periodic(self, kind: int, group: int, objects: list[bytes]) -> None:
        self._sequence[kind] += 1
        invoke, number = self._poll[kind]
        for each in messages.results(invoke, number, self._sequence[kind], kind, group, objects, self._ticks()):
            self._send(each)

    def _send(self, message: bytes) -> None:
        self._frames += 1
        if self.is_mute or not self._is_on:
            return
        sent = messages.framed(message)
        if self._frames in self._damaged:
            sent = sent[:12] + bytes([sent[12] ^ 0x01]) + sent[13:]
        self._line.print(sent, noise=self._noise, cut_at=self._cut_at)
        if self._cut_at is not None:
            self._cut_at, self._is_on = None, False
            self.restart()
