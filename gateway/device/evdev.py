"""linux/input.h: what a key, a button or a pedal sends, as bytes to events, and the few ioctls that we ask of it.

Everything bears the kernel's own names; nothing here decides anything. Any bytes are events of some type: what is cut off
waits for its rest. Layout of 64-bit Linux (x86-64, arm64). Follows linux/input.h and linux/input-event-codes.h.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final

from msgspec import Struct

EV_SYN: Final = 0
EV_KEY: Final = 1
SYN_REPORT: Final = 0
SYN_DROPPED: Final = 3
KEY_MAX: Final = 0x2FF

_EVENT: Final = struct.Struct("@llHHi")
EVENT_BYTES: Final = _EVENT.size


def _ioc(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("E") << 8 | number


EVIOCSCLOCKID: Final = _ioc(1, 0xA0, 4)
EVIOCGRAB: Final = _ioc(1, 0x90, 4)
KEY_BYTES: Final = KEY_MAX // 8 + 1
EVIOCGKEY: Final = _ioc(2, 0x18, KEY_BYTES)
"""EVIOCGKEY(KEY_BYTES): one bit a key, set while it is down."""


class Event(Struct, frozen=True):
    """struct input_event."""

    type: int
    code: int
    value: int
    """Of a key: 0 up, 1 down, 2 repeated."""
    at_ns: int
    """By the clock that EVIOCSCLOCKID chose."""


class EventBytes:
    """Bytes, however they are cut, to events."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._rest = b""

    def take(self, data: bytes) -> list[Event]:
        """Return the events that are whole now."""
        whole = self._rest + data
        end = len(whole) // EVENT_BYTES * EVENT_BYTES
        self._rest = whole[end:]
        return [
            Event(kind, code, value, seconds * 1_000_000_000 + micros * 1_000)
            for seconds, micros, kind, code, value in _EVENT.iter_unpack(whole[:end])
        ]


def packed(event: Event) -> bytes:
    """Return the bytes of an event, as the kernel writes them."""
    seconds, rest_ns = divmod(event.at_ns, 1_000_000_000)
    return _EVENT.pack(seconds, rest_ns // 1_000, event.type, event.code, event.value)


def code_of(name: str) -> int | None:
    """Return the code of a key by its name in the header ("KEY_B", "BTN_0"), in any case, `KEY_` left out or not."""
    upper = name.upper()
    return KEYS.get(upper, KEYS.get(f"KEY_{upper}"))


_ROWS: Final = (
    (2, "1 2 3 4 5 6 7 8 9 0 MINUS EQUAL BACKSPACE TAB Q W E R T Y U I O P LEFTBRACE RIGHTBRACE ENTER LEFTCTRL"),
    (30, "A S D F G H J K L SEMICOLON APOSTROPHE GRAVE LEFTSHIFT BACKSLASH Z X C V B N M COMMA DOT SLASH RIGHTSHIFT"),
    (55, "KPASTERISK LEFTALT SPACE CAPSLOCK F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NUMLOCK SCROLLLOCK KP7 KP8 KP9 KPMINUS"),
    (75, "KP4 KP5 KP6 KPPLUS KP1 KP2 KP3 KP0 KPDOT"),
    (86, "102ND F11 F12"),
    (96, "KPENTER RIGHTCTRL KPSLASH SYSRQ RIGHTALT"),
    (102, "HOME UP PAGEUP LEFT RIGHT END DOWN PAGEDOWN INSERT DELETE"),
    (113, "MUTE VOLUMEDOWN VOLUMEUP"),
    (163, "NEXTSONG PLAYPAUSE PREVIOUSSONG"),
    (167, "RECORD"),
    (183, "F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24"),
    (210, "PRINT"),
    (212, "CAMERA"),
)
_BUTTONS: Final = (
    (0x100, "0 1 2 3 4 5 6 7 8 9"),
    (0x110, "LEFT RIGHT MIDDLE SIDE EXTRA FORWARD BACK"),
    (0x120, "TRIGGER THUMB THUMB2 TOP TOP2 PINKIE"),
    (0x130, "SOUTH EAST C NORTH WEST Z"),
)


def _named(prefix: str, rows: tuple[tuple[int, str], ...]) -> dict[str, int]:
    return {f"{prefix}_{name}": first + n for first, row in rows for n, name in enumerate(row.split())}


KEYS: Final = MappingProxyType({"KEY_ESC": 1, **_named("KEY", _ROWS), **_named("BTN", _BUTTONS)})
"""Names of keys that pedals and switches send, to their codes."""
