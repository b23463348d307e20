"""Messages of the Philips IntelliVue Data Export protocol: bytes to values and values to bytes; no I/O, no time, no policy.

What is built is what a computer sends to a monitor; what is read is what a monitor answers. Every length is checked against
the bytes there are, so that no length can lie; lists nest as deep as the protocol's do, and no deeper.

Sources: Data Export Interface Programming Guide 4535 642 59271 (Rev. G.0), as open implementations quote it page by page: frames
(30, 31), FLOAT (40, 41), ROSE headers (43 to 45), commands (47 to 51), polls (55 to 62), priority list (63, 64), association (65 to
74, 298 to 304), values (76, 77), curves (83 to 88). The fixed blocks of the association are those of page 298.
"""

from __future__ import annotations

import struct
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.errors import UnreadableRecord
from gateway.wire.frames import fcs16

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Classes of objects, groups of attributes, and attributes (pages 111, 243 to 246).
MONITOR, VALUES, CURVES, ALERTS = 0x21, 0x06, 0x09, 0x36
OBSERVED, DYNAMIC, STATIC, EVERYTHING = 0x0803, 0x0810, 0x0811, 0
LABEL, LABEL_TEXT, MODEL, MODE, UNIT, SAMPLE_PERIOD = 0x0924, 0x0927, 0x0928, 0x0946, 0x0996, 0x098D
CLOCK, TICKS, STAMP = 0x0987, 0x098F, 0x0990
VALUE, COMPOUND_VALUE, SAMPLES, COMPOUND_SAMPLES = 0x0950, 0x094B, 0x096E, 0x0967
SAMPLE_SPEC, SCALE, FIXED_VALUES = 0x096D, 0x096F, 0x0A16
TICKS_A_SECOND: Final = 8000
"""RelativeTime counts eighths of a millisecond (page 38)."""
SHORTEST_POLL_TICKS: Final = TICKS_A_SECOND
"""It is polled each second at most; below 3.3 s the monitor waits 10 s for a sign of life (page 70)."""
DEMONSTRATION: Final = 0x2000
"""In the attribute MODE (page 96): what is shown is made up."""
INVALID_SAMPLE: Final = 1
"""Which of the FIXED_VALUES is the mask of samples that are none (page 83)."""


class Accepted(Struct, frozen=True):
    """The monitor answered the association request."""

    has_periods: bool
    """It sends values each second by itself, once asked (the optional package was accepted)."""
    has_curves: bool


class Refused(Struct, frozen=True):
    """It did not want the association."""


class Ended(Struct, frozen=True):
    """It ended the association."""


class Created(Struct, frozen=True):
    """It says what it is, and waits for the answer that `created` builds."""

    invoke: int
    object: bytes
    time: bytes
    attributes: dict[int, bytes]


class Polled(Struct, frozen=True):
    """One result, or a part of one."""

    ticks: int
    """When, by the clock of the monitor; of curves, when their first sample was taken."""
    objects: tuple[PolledObject, ...]


class PolledObject(Struct, frozen=True):
    """One object of a result: a value or a curve, or what is said of it."""

    handle: tuple[int, int]
    """Context and handle: who it is, within one association."""
    attributes: dict[int, bytes]


class Failed(Struct, frozen=True):
    """It refused a request."""

    invoke: int
    reason: int


class Other(Struct, frozen=True):
    """Well formed, and of no use here."""


Message = Accepted | Refused | Ended | Created | Polled | Failed | Other


# ---- what is sent ----


def framed(message: bytes) -> bytes:
    """Return a message as a frame of the RS-232 interface: C0, header, message, FCS, C1, with escapes (pages 30 and 31)."""
    content = struct.pack(">BBH", _PROTOCOL, _USER_DATA, len(message)) + message
    content += fcs16(content).to_bytes(2, "little")
    for byte in (0x7D, 0xC0, 0xC1):
        content = content.replace(bytes([byte]), bytes([0x7D, byte ^ 0x20]))
    return b"\xc0" + content + b"\xc1"


def association(*, with_curves: bool) -> bytes:
    """Return the association request: values each second, and curves if wanted (pages 67 to 72, 298, 304)."""
    options = _EACH_SECOND | (_REAL_TIME_CURVES if with_curves else 0)
    extension = struct.pack(">IHH", options, 0, 0)
    profile = struct.pack(">6I", 0x80000000, SHORTEST_POLL_TICKS, _MTU, _MTU, 0xFFFFFFFF, 0x60000000)
    profile += _listed({_POLL_EXTENSION: extension})
    user = struct.pack(">5I", 0x80000000, 0x40000000, 0, 0x80000000, 0x20000000) + struct.pack(">HH", 0, 0)
    user += _listed({_POLL_PROFILE: profile})
    inner = _PRESENTATION + bytes([len(user)]) + user + bytes(16)
    body = _SESSION + bytes([0xC1, len(inner)]) + inner
    return bytes([_CONNECT, len(body)]) + body


def created(event: Created) -> bytes:
    """Return the answer to a Created: without it the monitor repeats the event, and then ends the association (page 55)."""
    return _message(
        _RESULT, event.invoke, _EVENT_REPORT, event.object + event.time + struct.pack(">HH", _MDS_CREATED, 0)
    )


def poll(invoke: int, object_class: int, group: int) -> bytes:
    """Return a single poll: one result comes (page 55)."""
    return _action(invoke, _POLL, struct.pack(">4H", invoke, 1, object_class, group))


def periodic_poll(invoke: int, object_class: int, group: int, seconds: int) -> bytes:
    """Return an extended poll: results come by themselves for so many seconds, of curves each 256 ms (page 59)."""
    period = _listed({_ACTIVE_PERIOD: struct.pack(">I", seconds * TICKS_A_SECOND)})
    return _action(invoke, _PERIODIC_POLL, struct.pack(">4H", invoke, 1, object_class, group) + period)


def choose_curves(invoke: int, labels: Iterable[int]) -> bytes:
    """Return the request that names the curves to be sent, by their labels, in order of importance (page 64)."""
    texts = b"".join(struct.pack(">I", label) for label in labels)
    value = struct.pack(">HH", len(texts) // 4, len(texts)) + texts
    change = struct.pack(">3H", 0, _PRIORITY_LIST, len(value)) + value
    body = _MONITOR_ITSELF + bytes(4) + struct.pack(">HH", 1, len(change)) + change
    return _message(_INVOKE, invoke, _SET, body)


def _action(invoke: int, action: int, argument: bytes) -> bytes:
    """An ActionArgument (page 49): the scope, four bytes of zero, stands before the type."""
    body = _MONITOR_ITSELF + bytes(4) + struct.pack(">HH", action, len(argument)) + argument
    return _message(_INVOKE, invoke, _ACTION, body)


def _message(kind: int, invoke: int, command: int, body: bytes) -> bytes:
    inner = struct.pack(">3H", invoke, command, len(body)) + body
    return struct.pack(">4H", _DATA, 2, kind, len(inner)) + inner


def _listed(attributes: Mapping[int, bytes]) -> bytes:
    items = b"".join(struct.pack(">HH", key, len(value)) + value for key, value in attributes.items())
    return struct.pack(">HH", len(attributes), len(items)) + items


# ---- what is received ----


class Taken:
    """Bytes that are taken from the front; whoever takes more than there is gets UnreadableRecord."""

    def __init__(self, data: bytes) -> None:
        """`data`: all of it."""
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """How many are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """Return the next so many."""
        end = self._at + count
        if end > len(self._data):
            raise UnreadableRecord(problem="a length in it is wrong")
        found, self._at = self._data[self._at : end], end
        return found

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return the next numbers, of a `struct` layout, the high byte first."""
        layout = f">{layout}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def listed(self) -> Iterator[Taken]:
        """Yield the front of each item of a list: two bytes say how many there are, two how long they are together."""
        count, length = self.numbers("HH")
        items = Taken(self.take(length))
        for _ in range(count):
            yield items

    def attributes(self) -> dict[int, bytes]:
        """Return an attribute list."""
        found = {}
        for item in self.listed():
            key, length = item.numbers("HH")
            found[key] = item.take(length)
        return found


def unframed(content: bytes) -> bytes:
    """Return the message in a frame whose FCS is right. Raises UnreadableRecord for another header, or a length that is not its own."""
    protocol, kind, length = Taken(content).numbers("BBH")
    if (protocol, kind) != (_PROTOCOL, _USER_DATA) or length != len(content) - _HEADER:
        raise UnreadableRecord(problem="it is no frame of the Data Export protocol")
    return content[_HEADER:]


def read(message: bytes) -> Message:
    """Return what a message of the monitor says. Raises UnreadableRecord, and nothing else."""
    match message[:1]:
        case b"\x0e":
            return _accepted(message)
        case b"\x0c":
            return Refused()
        case b"\x09" | b"\x0a" | b"\x19":
            return Ended()
        case b"\xe1":
            return _data(Taken(message))
        case _:
            raise UnreadableRecord(problem="it is no message of the Data Export protocol")


def decimal(number: int) -> Decimal | None:
    """Return a FLOAT exactly: mantissa (24 bits) times ten to the exponent (8 bits), both signed; None where it says that it is no number."""
    mantissa, exponent = number & 0xFFFFFF, number >> 24
    if mantissa in _NO_NUMBERS:
        return None
    mantissa -= (mantissa & 0x800000) << 1
    return Decimal(mantissa).scaleb(exponent - ((exponent & 0x80) << 1))


def texts(value: bytes) -> list[str]:
    """Return the strings in an attribute, each behind its length: UTF-16 where every second byte can be a high one, else Latin-1."""
    front, found = Taken(value), []
    while front.left:
        (length,) = front.numbers("H")
        raw = front.take(length)
        is_wide = length % 2 == 0 and 0 in raw.rstrip(b"\0")
        found.append(raw.decode("utf-16-be" if is_wide else "latin-1", errors="replace").split("\0")[0].strip())
    return found


def time_of(stated: bytes) -> datetime | None:
    """Return an AbsoluteTime, eight bytes of two decimal digits each, by the monitor's clock; None where it states none (page 62)."""
    digits = stated.hex()[:14]
    try:
        found = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007  its zone is nowhere stated
    except ValueError:
        return None
    return found if len(digits) == len("YYYYMMDDhhmmss") and found.year in _YEARS else None


def _accepted(message: bytes) -> Accepted:
    """Find the user data as page 73 says: behind BE 80 28 80, with or without 02 01 02, then 81 and their length."""
    start = next((message.index(mark) + len(mark) for mark in _USER_DATA_MARKS if mark in message), len(message))
    front = Taken(message[start:])
    (length,) = front.numbers("B")
    if length & 0x80:
        front.take(length & 0x7F)
    front.numbers("5I")
    front.attributes()
    profile = Taken(front.attributes().get(_POLL_PROFILE, b""))
    profile.numbers("6I")
    extension = profile.attributes().get(_POLL_EXTENSION, bytes(4))
    (options,) = Taken(extension).numbers("I")
    return Accepted(has_periods=bool(options & _EACH_SECOND), has_curves=bool(options & _REAL_TIME_CURVES))


def _data(front: Taken) -> Message:
    _, _, kind, length = front.numbers("4H")
    front = Taken(front.take(length))
    if kind == _ERROR:
        invoke, reason, _ = front.numbers("3H")
        return Failed(invoke, reason)
    if kind == _LINKED_RESULT:
        front.numbers("BB")
    invoke, command, length = front.numbers("3H")
    body = Taken(front.take(length))
    if (kind, command) == (_INVOKE, _EVENT_REPORT):
        return _event(invoke, body)
    if kind in {_RESULT, _LINKED_RESULT} and command == _ACTION:
        return _result(body)
    return Other()


def _event(invoke: int, front: Taken) -> Message:
    item, time = front.take(6), front.take(4)
    kind, length = front.numbers("HH")
    if kind != _MDS_CREATED:
        return Other()
    front = Taken(front.take(length))
    front.take(6)
    return Created(invoke, item, time, front.attributes())


def _result(front: Taken) -> Message:
    """A PollMdibDataReply, or the extended one, which has a sequence number more (pages 56 to 58, 62)."""
    front.take(6)
    action, length = front.numbers("HH")
    if action not in {_POLL, _PERIODIC_POLL}:
        return Other()
    front = Taken(front.take(length))
    front.numbers("H" if action == _POLL else "HH")
    (ticks,) = front.numbers("I")
    front.take(14)
    objects = []
    for context in front.listed() if front.left else ():
        (number,) = context.numbers("H")
        for item in context.listed():
            (handle,) = item.numbers("H")
            objects.append(PolledObject((number, handle), item.attributes()))
    return Polled(ticks, tuple(objects))


_PROTOCOL, _USER_DATA, _HEADER = 0x11, 0x01, 4
_CONNECT, _DATA = 0x0D, 0xE100
_INVOKE, _RESULT, _ERROR, _LINKED_RESULT = 1, 2, 3, 5
_EVENT_REPORT, _SET, _ACTION = 1, 5, 7
_MDS_CREATED, _POLL, _PERIODIC_POLL = 0x0D06, 0x0C16, 0xF13B
_POLL_PROFILE, _POLL_EXTENSION, _ACTIVE_PERIOD, _PRIORITY_LIST = 0x0001, 0xF001, 0xF13E, 0xF23A
_EACH_SECOND, _REAL_TIME_CURVES = 0x80000000, 0x08000000
_MONITOR_ITSELF: Final = struct.pack(">3H", MONITOR, 0, 0)
_MTU: Final = 1000
_NO_NUMBERS: Final = frozenset({0x7FFFFF, 0x800000, 0x7FFFFE, 0x800002})
"""Not a number, not at this resolution, and the two infinities (page 41)."""
_YEARS: Final = range(1970, 2200)
_USER_DATA_MARKS: Final = (bytes.fromhex("be80288002010281"), bytes.fromhex("be80288081"))
_SESSION: Final = bytes.fromhex("0508130100160102800014020002")
_PRESENTATION: Final = bytes.fromhex(
    "3180a0808001010000a280a003000001a4803080020101060452010001308006025101000000003080020102060c2a8648ce"
    "14020100000001013080060c2a8648ce140201000000020100000000000061803080020101a0806080a180060c2a8648ce14"
    "020100000003010000be802880060c2a8648ce140201000000010102010281"
)
