"""Draeger ventilators and anaesthesia machines on MEDIBUS: what they measure, how they are set, what they alarm, their curves.

The host asks. A session begins with ICC and the device's identification; then curves are configured and switched on, and each
round asks for measured values of both code pages, settings, texts and alarms. A command waits for the reply to the one
before it, for ten seconds at most; two seconds of silence are filled with NOP; a device that does not answer, that stops, or
that begins by itself, is begun with afresh. What the device asks of us is answered by an empty reply, what came damaged by NAK.

Sources: VSCaptureDrgVent (Class1.cs) for the commands, the widths of every reply and the real-time data; xenon (medibus.Rmd, after
the MEDIBUS definition 6.00) for the rules of time, NAK and the examples; OpenICE (RTMedibus.java) for real-time data above stream 4.
Not read, as no meaning could be verified: trends, infusion pumps, incubators, code page 3, limits of alarms, the device's clock.
Texts that are no state of the device (the patient's name among them) are counted and not kept.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from gateway.errors import UnreadableRecord
from gateway.model import Code, Observation
from gateway.source.dialects import medibus_codes as codes
from gateway.source.dialects import medibus_curves as curves
from gateway.source.dialects.said import Said
from gateway.wire.frames import MedibusFrames, sum8
from gateway.wire.records import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.profile import InstrumentProfile
    from gateway.wire.records import Record

ESC, SOH, ETX = 0x1B, 0x01, 0x03


class Command(IntEnum):
    """What one end asks of the other, and the reply begins with."""

    NAK = 0x15
    MEASURED_1 = 0x24
    ALARMS_1 = 0x27
    SETTINGS = 0x29
    TEXTS = 0x2A
    MEASURED_2 = 0x2B
    ALARMS_2 = 0x2E
    NOP = 0x30
    ICC = 0x51
    """Initialise communication."""
    IDENTIFY = 0x52
    OFFER = 0x53
    """Which curves there are."""
    CONFIGURE = 0x54
    """Which of them are to be sent."""
    STOP = 0x55
    OFFER_CHANGED = 0x56


ROUND: Final = (
    Command.MEASURED_1,
    Command.MEASURED_2,
    Command.SETTINGS,
    Command.TEXTS,
    Command.ALARMS_1,
    Command.ALARMS_2,
)

SECOND_NS: Final = 1_000_000_000
REPLY_NS: Final = 10 * SECOND_NS
"""So long a reply may take; so long after a stop nothing is asked."""
AGAIN_NS: Final = SECOND_NS
"""What came damaged is asked for again after so long."""
SILENCE_NS: Final = 2 * SECOND_NS
"""The session ends when nothing is said for three seconds."""
ROUND_NS: Final = 5 * SECOND_NS
MOST_UNANSWERED: Final = 2
"""A command that had no reply so often is left out, until the device begins by itself, or answers nothing at all for a while."""
MOST_REFUSED: Final = 5
"""So is one that was answered by NAK so often in a row."""
OFFER_ROUNDS: Final = 12
"""Each so many rounds the curves are asked for once more, so that a journal that begins in the middle can be read."""
SHARE: Final = 0.6
"""Of the line, for curves; the rest is for replies."""


class Medibus:
    """One device, and where the session with it stands."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """`profile` says how fast the line is: curves take a part of it only."""
        self.framing = MedibusFrames()
        self._bytes_per_s = profile.line.baud / _BITS_IN_BYTE
        self._answer = b""
        self._streams: tuple[curves.Stream, ...] = ()
        """As the device sends them now."""
        self._chosen: tuple[curves.Stream, ...] = ()
        """As it is to send them."""
        self._is_streaming = False
        self._enabling = b""
        self._to_ask: deque[bytes] = deque()
        self._asked = b""
        """The command whose reply is awaited."""
        self._asked_ns = 0
        self._unanswered: Counter[int] = Counter()
        """How often each command had no reply since it had one: a device may not know it, and not say so."""
        self._refusals = 0
        """How often what is asked was answered by NAK."""
        self._round_ns = 0
        self._rounds = 0
        self._not_before_ns = 0
        self._begin(Command.ICC)

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a record says. Raises UnreadableRecord for a damaged one, and for a reply whose fields do not fit."""
        if record.fault:
            self._repair(record, received_ns)
            raise UnreadableRecord(problem=record.fault)
        if record.data[0] >= _REAL_TIME:
            found = curves.traces(self._streams, record.data, received_ns)
            return Said(traces=found, unread=0 if self._streams else 1)
        kind, code, body = record.data[0], record.data[1], record.data[2:]
        if kind == ESC:
            return self._commanded(code, received_ns)
        if code == Command.NAK:
            self._refused(received_ns)
            return Said()
        if code == self._asked_code:
            self._asked, self._refusals = b"", 0
            del self._unanswered[code]
        return self._replied(code, body, received_ns)

    def answer(self) -> bytes:
        """Return the replies to what the device asked, once."""
        answer, self._answer = self._answer, b""
        return answer

    def due(self, now_ns: int) -> bytes:
        """Return the next command of the session, or a NOP when there was none for two seconds."""
        if now_ns < self._not_before_ns or (self._asked and now_ns - self._asked_ns < REPLY_NS):
            return b""
        if self._asked:
            if self._asked_code == Command.ICC:
                self._unanswered.clear()  # nobody is there: what had no reply for that reason is asked again
            else:
                self._unanswered[self._asked_code] += 1
            self._begin(Command.ICC)
        enabling, self._enabling = self._enabling, b""
        if not self._to_ask:
            self._plan(now_ns)
        while self._to_ask and not self._asked:
            command = self._to_ask.popleft()
            if self._unanswered[command[0]] < MOST_UNANSWERED:
                self._asked, self._asked_ns = command, now_ns
        return enabling + (_framed(ESC, self._asked) if self._asked else b"")

    # ---- the session ----

    def _begin(self, *commands: int) -> None:
        """Start afresh: what was asked before is forgotten, but not what had no reply."""
        self._to_ask = deque(bytes([each]) for each in commands)
        self._asked, self._asked_ns = b"", 0
        self._enabling = b""
        self._is_streaming = False
        self._round_ns = 0

    @property
    def _asked_code(self) -> int:
        return self._asked[0] if self._asked else -1

    def _plan(self, now_ns: int) -> None:
        """Append what comes next when all was answered: a round, or a NOP."""
        if now_ns >= self._round_ns:
            self._round_ns = now_ns + ROUND_NS
            self._rounds += 1
            asks = ROUND if self._rounds % OFFER_ROUNDS else (*ROUND, Command.OFFER)
            self._to_ask.extend(bytes([each]) for each in asks)
        elif now_ns - self._asked_ns >= SILENCE_NS:
            self._to_ask.append(bytes([Command.NOP]))

    def _commanded(self, code: int, received_ns: int) -> Said:
        """Answer a command of the device: every one by its echo."""
        if code == Command.ICC:
            self._unanswered.clear()
            self._begin(Command.IDENTIFY, Command.OFFER)
        elif code == Command.STOP:
            self._begin(Command.ICC)
            self._not_before_ns = received_ns + REPLY_NS
        elif code == Command.OFFER_CHANGED:
            self._is_streaming = False
            self._to_ask.appendleft(bytes([Command.OFFER]))
        self._answer += _framed(SOH, bytes([code]))
        return Said()

    def _repair(self, record: Record, received_ns: int) -> None:
        """Have a damaged record sent again: ours by asking once more, the device's own by NAK, unless it never ended."""
        if record.data[:1] == bytes([ESC]) and record.fault is Fault.CHECKSUM:
            self._answer += _framed(SOH, bytes([Command.NAK]))
        elif record.data[:1] == bytes([SOH]) and record.data[1:2] == self._asked[:1]:
            self._ask_again(received_ns)

    def _refused(self, received_ns: int) -> None:
        """Ask once more what came damaged; a command that is refused again and again is not known, and keeps up no other."""
        self._refusals += 1
        if self._refusals >= MOST_REFUSED and self._asked_code != Command.ICC:
            self._unanswered[self._asked_code] = MOST_UNANSWERED
            self._asked, self._refusals = b"", 0
        self._ask_again(received_ns)

    def _ask_again(self, received_ns: int) -> None:
        if self._asked:
            self._to_ask.appendleft(self._asked)
            self._asked = b""
            self._not_before_ns = received_ns + AGAIN_NS

    # ---- replies ----

    def _replied(self, code: int, body: bytes, received_ns: int) -> Said:
        match code:
            case Command.ICC:
                self._begin(Command.IDENTIFY, Command.OFFER)
            case Command.IDENTIFY:
                return Said(model_name=_model(body))
            case Command.OFFER:
                self._choose(body)
            case Command.CONFIGURE:
                self._streams, self._is_streaming = self._chosen or self._streams, True
                self._enabling = curves.enabled(len(self._streams))
            case Command.MEASURED_1 | Command.MEASURED_2:
                return _values(code, body, 4, received_ns)
            case Command.SETTINGS:
                return _values(code, body, 5, received_ns)
            case Command.TEXTS:
                return _texts(body, received_ns)
            case Command.ALARMS_1 | Command.ALARMS_2:
                return _alarms(code, body, received_ns)
            case Command.NOP:
                pass
            case _:
                return Said(unread=1)
        return Said()

    def _choose(self, offer: bytes) -> None:
        """Take from the curves that the device offers those that are wanted, and have it send them.

        Where none is known, they are what it sends: a recording that begins in the middle has seen no configuration.
        """
        chosen = curves.chosen(offer, self._bytes_per_s * SHARE)
        if not chosen or not self._streams:
            self._streams = chosen
        if chosen and not (chosen == self._streams and self._is_streaming):
            self._is_streaming = False
            self._to_ask.appendleft(bytes([Command.CONFIGURE]) + curves.configuration(chosen))
        self._chosen = chosen


# ---- records ----

_BITS_IN_BYTE: Final = 11
"""Start, eight bits, parity, stop."""
_REAL_TIME: Final = 0x80
_ALARM_BYTES: Final = 15
_HEX: Final = re.compile(rb"[0-9A-F ]{2}")
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)", re.ASCII)


def _framed(kind: int, content: bytes) -> bytes:
    body = bytes([kind]) + content
    return body + sum8(sum(body)) + b"\r"


def _model(body: bytes) -> str:
    """What stands between apostrophes, after four characters of the device's number."""
    parts = body.decode("ascii", errors="replace").split("'")
    return parts[1].strip() if len(parts) > 2 else ""


def _fields(body: bytes, width: int) -> Iterator[bytes]:
    if len(body) % width:
        raise UnreadableRecord(problem=f"its fields are not {width} bytes long")
    return (body[at : at + width] for at in range(0, len(body), width))


def _hex(digits: bytes) -> int:
    if not _HEX.fullmatch(digits):
        raise UnreadableRecord(problem="a data code is no hexadecimal number")
    return int(digits.replace(b" ", b"0"), 16)


# ---- values, texts, alarms ----


def _values(page: int, body: bytes, width: int, received_ns: int) -> Said:
    """Two digits of a data code and `width` characters of its value, again and again."""
    observations, unread = [], 0
    for field in _fields(body, width + 2):
        quantity = codes.QUANTITIES[page].get(_hex(field[:2]))
        stated = field[2:].decode("ascii", errors="replace").replace(" ", "")
        if quantity is None:
            unread += 1
        elif any(character.isdigit() for character in stated):
            value, doubts = _number(stated, quantity)
            observations.append(
                Observation(
                    concept=quantity.concept,
                    value=value,
                    unit=quantity.unit,
                    raw=field,
                    received_ns=received_ns,
                    doubts=doubts,
                )
            )
    return Said(observations=tuple(observations), unread=unread)


def _number(stated: str, quantity: codes.Quantity) -> tuple[str, tuple[str, ...]]:
    """Return the value, and why it may be wrong."""
    plain = stated.replace(",", ".")
    if not _NUMBER.fullmatch(plain):
        return stated, ("it is not a number",)
    number = Decimal(plain)
    if number < Decimal(quantity.low):
        return format(number, "f"), (f"it is below {quantity.low}",)
    if number > Decimal(quantity.high):
        return format(number, "f"), (f"it is above {quantity.high}",)
    return format(number, "f"), ()


def _texts(body: bytes, received_ns: int) -> Said:
    """A code of two digits, one character that says how long the text is (0 is 30h), the text, ETX."""
    observations, unread, at = [], 0, 0
    while at < len(body):
        end = at + 3 + max(0, body[at + 2] - 0x30) if at + 2 < len(body) else len(body)
        if end >= len(body) or body[end] != ETX:
            raise UnreadableRecord(problem="a text does not end where it says")
        code, text = _hex(body[at : at + 2]), body[at + 3 : end].decode("ascii", errors="replace").strip()
        if code in codes.STATES and text:
            concept = Code(f"MEDIBUS-2A-{code:02X}", "99GATEWAY", "State of the device, in its own words")
            observations.append(
                Observation(concept=concept, value=text, raw=body[at : end + 1], received_ns=received_ns)
            )
        else:
            unread += 1
        at = end + 1
    return Said(observations=tuple(observations), unread=unread)


def _alarms(page: int, body: bytes, received_ns: int) -> Said:
    """A character of priority (1 is 31h, 31 the highest), a code of two digits, a phrase of twelve characters."""
    observations = []
    for field in _fields(body, _ALARM_BYTES):
        code, phrase = _hex(field[1:3]), field[3:].decode("ascii", errors="replace").strip()
        concept = Code(f"MEDIBUS-{page:02X}-{code:02X}", "99GATEWAY", "Alarm of the device, in its own words")
        text = f"{phrase or '(no text)'} (priority {field[0] - 0x30} of 31)"
        observations.append(Observation(concept=concept, value=text, raw=field, received_ns=received_ns))
    return Said(observations=tuple(observations))
