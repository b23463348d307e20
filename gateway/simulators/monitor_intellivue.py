"""A Philips IntelliVue monitor on a simulated line: it associates, says what it is, and sends values and curves at their real pace.

Written apart from the parser, from VSCaptureMP (Class1.cs, Class3.cs: offsets and headers) and from the structures of the guide as a C
header of others has them; how a monitor behaves that nobody answers was observed by others on an MX800: the event three times, then an
abort. Every sample is computed from its number, so that a test knows each one.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    import threading

    from gateway.simulators.instrument import SimulatedInstrument

BLOCK_S: Final = 0.256
REPEAT_S: Final = 3.1
HANG_UP_S: Final = 10.0
EVENT, ACTION, SET = 1, 7, 5
DEMO: Final = 0x2000
INVALID, QUESTIONABLE, UNAVAILABLE, IN_ALARM = 0x8000, 0x4000, 0x2000, 0x0002
NAN: Final = 0x007FFFFF


class Number(Struct, frozen=True):
    """One value: identifier, unit, mantissa, exponent, state."""

    identifier: int
    unit: int
    mantissa: int
    exponent: int = 0
    state: int = 0

    def packed(self) -> bytes:
        """As the monitor sends it: ten bytes."""
        value = (self.exponent & 0xFF) << 24 | self.mantissa & 0xFFFFFF
        return struct.pack(">HHHI", self.identifier, self.state, self.unit, value)


class Numeric(Struct, frozen=True):
    """One object of values, with what stands beside them on the screen."""

    handle: int
    label: str
    numbers: tuple[Number, ...]


class Wave(Struct, frozen=True):
    """One curve."""

    handle: int
    identifier: int
    unit: int
    period: int
    """Eighths of a millisecond."""
    bits: int
    low: int
    high: int
    """FLOATs, packed."""
    top: int
    """The sample that `high` means; 0 means `low`."""

    @property
    def count(self) -> int:
        """How many samples 256 ms are."""
        return 2048 // self.period


PATIENT: Final = (
    Numeric(0x1001, "HR", (Number(0x4182, 0x0AA0, 72),)),
    Numeric(0x1002, "SpO₂", (Number(0x4BB8, 0x0220, 975, -1),)),
    Numeric(
        0x1003,
        "ABP",
        (
            Number(0x4A15, 0x0F20, 121, state=IN_ALARM),
            Number(0x4A16, 0x0F20, 78),
            Number(0x4A17, 0x0F20, 93),
        ),
    ),
    Numeric(0x1004, "NBP", (Number(0x4A05, 0x0F20, 0x7FFFFF, state=INVALID),)),
    Numeric(0x1005, "T1", (Number(0x4B48, 0x17A0, 3681, -2),)),
    Numeric(0x1006, "T2", (Number(0x4B48, 0x17A0, 3390, -2, QUESTIONABLE),)),
    Numeric(0x1007, "AF", (Number(0x500A, 0x0AE0, 14),)),
    Numeric(0x1008, "etCO₂", (Number(0x50B0, 0x0F20, 0x7FFFFF, state=UNAVAILABLE),)),
)
"""A made-up patient: what stands on the screen."""
LEAD_II: Final = Wave(0x2001, 0x0102, 0x10B2, 16, 14, 0xFDFF6000, 0xFD009FFB, 16383)
"""500 in a second, -40.960 to 40.955 mV."""
PRESSURE: Final = Wave(0x2002, 0x4A14, 0x0F20, 64, 12, 0x00FFFFD8, 0x00000140, 4095)
"""125 in a second, -40 to 320 mmHg."""
PLETH: Final = Wave(0x2003, 0x4BB4, 0x0200, 64, 12, NAN, NAN, 4095)
BREATH: Final = Wave(0x2004, 0x5000, 0x10C0, 128, 12, 0xFF000000, 0xFF000064, 4000)
"""62.5 in a second, 0.0 to 10.0 ohm."""
WAVES: Final = (LEAD_II, PRESSURE, PLETH, BREATH)


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
        self._block = 0
        self.patient = PATIENT
        self.waves: tuple[Wave, ...] = ()
        """What was chosen of WAVES."""
        self.is_mute = False
        self.requests: list[str] = []
        """What it was asked, in words."""

    def serve(self, stop: threading.Event) -> None:
        """Listen and send until told to stop."""
        while not stop.is_set():
            self.step(time.monotonic())
            time.sleep(0.005)

    def step(self, now: float) -> None:
        """Do what is due at `now`, in seconds of some clock."""
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
        self._is_associated = self._is_confirmed = False
        self._values_until = self._curves_until = 0.0
        self._send(ABORT)

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
            content = _unstuffed(frame)
            if len(content) > 6 and check(content[:-2]) == content[-2:] and content[:2] == b"\x11\x01":
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
        self._send(accepted(granted))
        self._is_associated, self._is_confirmed, self._events = True, False, 0
        self._create(now)

    def _create(self, now: float) -> None:
        self._events += 1
        if self._events > 3:
            self.abort()
            return
        self._said_s = now
        model = b"\x00\x08Philips\x00\x00\x06M8000\x00"
        attributes = [(0x0928, model), (0x0946, struct.pack(">H", self._mode)), (0x091E, _text("SIM1"))]
        body = MDS + _listed([_attribute(*each) for each in attributes])
        event = MDS + struct.pack(">IHH", round(now * 8000) & 0xFFFFFFFF, 0x0D06, len(body)) + body
        self._send(_remote(1, 1, EVENT, event))

    def _action(self, invoke: int, argument: bytes, now: float) -> None:
        action, _, number, _, kind, group = struct.unpack_from(">6H", argument, 10)
        is_periodic = action == 0xF13B
        words = {0x06: "values", 0x09: "curves", 0x36: "alerts"}
        self.requests.append(f"{'periodic ' if is_periodic else ''}{words.get(kind, hex(kind))} {group:04x}")
        if not is_periodic:
            self._send(_result(invoke, number, None, kind, group, self._objects(kind, group), self._ticks()))
            return
        if not self._has_periods:
            self._send(struct.pack(">7H", 0xE100, 2, 3, 6, invoke, 9, 0))
            return
        (ticks,) = struct.unpack_from(">I", argument, 30)
        self._poll[kind], self._sequence[kind] = (invoke, number), 0
        self._send(_result(invoke, number, 0, kind, group, [], self._ticks()))
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
        self._send(_remote(2, invoke, SET, MDS + bytes(4)))

    def _ticks(self) -> int:
        return self._block * 2048

    def _objects(self, kind: int, group: int) -> list[bytes]:
        """What a single poll of a class of objects returns: their context, or what is observed."""
        if kind == 0x06:
            if group == 0x0803:
                return [_observed(each) for each in self.patient]
            return [_object(each.handle, [(0x0927, _text(each.label))]) for each in self.patient]
        if kind == 0x09:
            return [_object(wave.handle, _context(wave, group)) for wave in self.waves]
        return []

    def _send_due(self, now: float) -> None:
        while self._next_values <= now < self._values_until:
            self._next_values += 1.0
            self._periodic(0x06, 0x0803, [_observed(each) for each in self.patient])
        while self._next_curves <= now < self._curves_until:
            self._next_curves += BLOCK_S
            self._periodic(0x09, 0, [_object(wave.handle, [(0x096E, block(wave, self._block))]) for wave in self.waves])
            self._block += 1

    def _periodic(self, kind: int, group: int, objects: list[bytes]) -> None:
        self._sequence[kind] += 1
        invoke, number = self._poll[kind]
        self._send(_result(invoke, number, self._sequence[kind], kind, group, objects, self._ticks()))

    def _send(self, message: bytes) -> None:
        self._frames += 1
        if self.is_mute:
            return
        sent = framed(message)
        if self._frames in self._damaged:
            sent = sent[:12] + bytes([sent[12] ^ 0x01]) + sent[13:]
        self._line.print(sent, noise=self._noise)


def sample(wave: Wave, index: int) -> int:
    """Return one sample as the monitor encodes it: 15 is set where there is none."""
    if index % 1000 == 777:
        return 0x8000
    turn = index % (4 * wave.count)
    return wave.top // 2 + (turn * 7 if turn < 2 * wave.count else (4 * wave.count - turn) * 7)


def block(wave: Wave, number: int) -> bytes:
    """Return 256 ms of a curve, with its identifier and state."""
    samples = [sample(wave, number * wave.count + each) for each in range(wave.count)]
    return struct.pack(f">HHH{wave.count}H", wave.identifier, 0, 2 * wave.count, *samples)


def accepted(options: int) -> bytes:
    """Return an association response that grants `options`."""
    profile = struct.pack(">6I", 0x80000000, 8000, 1000, 1456, 0xFFFFFFFF, 0x60000000)
    profile += _listed([_attribute(0xF001, struct.pack(">IHH", options, 0, 0))])
    user = struct.pack(">5IHH", 0x80000000, 0x40000000, 0, 0x00800000, 0x20000000, 0, 0)
    user += _listed([_attribute(0x0001, profile)])
    inner = PRESENTATION + bytes([len(user)]) + user + bytes(16)
    body = bytes.fromhex("0508130100160102800014020002c1") + bytes([len(inner)]) + inner
    return bytes([0x0E, len(body)]) + body


def framed(message: bytes) -> bytes:
    """Return a message as it goes over the line."""
    content = b"\x11\x01" + struct.pack(">H", len(message)) + message
    sent = bytearray([0xC0])
    for byte in content + check(content):
        if byte in {0x7D, 0xC0, 0xC1}:
            sent += bytes([0x7D, byte ^ 0x20])
        else:
            sent.append(byte)
    return bytes([*sent, 0xC1])


def check(content: bytes) -> bytes:
    """Return the FCS of PPP, bit by bit."""
    fcs = 0xFFFF
    for byte in content:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ (0x8408 if fcs & 1 else 0)
    return struct.pack("<H", fcs ^ 0xFFFF)


def _unstuffed(frame: bytes) -> bytes:
    found, is_escaped = bytearray(), False
    for byte in frame:
        if byte == 0x7D and not is_escaped:
            is_escaped = True
        else:
            found.append(byte ^ 0x20 if is_escaped else byte)
            is_escaped = False
    return bytes(found)


def _result(
    invoke: int, number: int, sequence: int | None, kind: int, group: int, objects: list[bytes], ticks: int
) -> bytes:
    head = struct.pack(">H", number) + (b"" if sequence is None else struct.pack(">H", sequence))
    head += struct.pack(">I8sHHH", ticks & 0xFFFFFFFF, b"\xff" * 8, 1, kind, group)
    inner = struct.pack(">HHH", 0, len(objects), sum(map(len, objects))) + b"".join(objects)
    reply = head + (struct.pack(">HH", 1, len(inner)) + inner if objects else bytes(4))
    action = 0x0C16 if sequence is None else 0xF13B
    return _remote(2, invoke, ACTION, MDS + struct.pack(">HH", action, len(reply)) + reply)


def _remote(kind: int, invoke: int, command: int, body: bytes) -> bytes:
    return struct.pack(">7H", 0xE100, 2, kind, 6 + len(body), invoke, command, len(body)) + body


def _observed(numeric: Numeric) -> bytes:
    packed = [each.packed() for each in numeric.numbers]
    if len(packed) == 1:
        return _object(numeric.handle, [(0x0950, packed[0])])
    return _object(numeric.handle, [(0x094B, _listed(packed))])


def _context(wave: Wave, group: int) -> list[tuple[int, bytes]]:
    if group == 0x0811:
        return [
            (0x098D, struct.pack(">I", wave.period)),
            (0x096D, struct.pack(">HBBH", wave.count, 16, wave.bits, 0x1000)),
            (0x0A16, _listed([struct.pack(">HH", 1, 0x8000), struct.pack(">HH", 2, 0x4000)])),
        ]
    return [
        (0x0924, struct.pack(">I", 0x20000 | wave.identifier)),
        (0x0996, struct.pack(">H", wave.unit)),
        (0x096F, struct.pack(">IIHH", wave.low, wave.high, 0, wave.top)),
    ]


def _object(handle: int, attributes: list[tuple[int, bytes]]) -> bytes:
    return struct.pack(">H", handle) + _listed([_attribute(*each) for each in attributes])


def _attribute(key: int, value: bytes) -> bytes:
    return struct.pack(">HH", key, len(value)) + value


def _listed(items: list[bytes]) -> bytes:
    return struct.pack(">HH", len(items), sum(map(len, items))) + b"".join(items)


def _text(text: str) -> bytes:
    raw = f"{text}\0".encode("utf-16-be")
    return struct.pack(">H", len(raw)) + raw


MDS: Final = struct.pack(">3H", 0x0021, 0, 0)
ABORT: Final = bytes.fromhex(
    "192e110103c129a080a0803080020101060251010000000061803080020101a08064808001010000000000000000"
)
PRESENTATION: Final = bytes.fromhex(
    "3180a0808001010000a280a003000001a58030808001008102510100003080800100810c2a8648ce1402010000000201000000006180"
    "3080020101a0806180a180060c2a8648ce14020100000003010000a203020100a305a103020100be80288002010281"
)
