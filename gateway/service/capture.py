"""One look at a device to a picture file or to lines on a terminal: what an installer needs before there is a profile.

Nothing here touches the spool: no exam, no patient, no object. PNG: W3C Portable Network Graphics, 8-bit truecolour.
"""

from __future__ import annotations

import struct
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device import grabber
from gateway.errors import DeviceError, NoSignal
from gateway.model import Frame, Signal
from gateway.profile import PixelChain, VideoInput
from gateway.simulators import grabber as simulated
from gateway.source.fields import Weaver

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.device.grabber import Grabber
    from gateway.profile import SerialSettings

ANYTHING: Final = VideoInput(
    connector="hdmi", standards=("any",), pixel_formats=("UYVY", "YUYV", "RGB3", "BGR3", "NV12")
)
SIMULATOR: Final = "simulator:"
AROUND: Final = 3
"""A picture and its neighbours: what a motion-adaptive de-interlacer looks at."""
FIELDS: Final = 25 * AROUND
"""So many buffers at most until that many pictures are whole: half a second of fields."""


class Captured(Struct, frozen=True, kw_only=True):
    """What was seen."""

    file: str
    standard: str
    pixel_format: str
    width_px: int
    height_px: int
    rows: int
    columns: int
    steps: list[str]


def still(device: str, output: Path, profile: str = "", own: str = "") -> Captured:
    """Take one picture, as the profile has it (without one: whole, as it comes), and write it as PNG.

    `own` is the site's folder of profiles. Raises ProfileError, DeviceError and its kin, PixelError.
    """
    from gateway.pixels import chain

    found = profiles.modality(profile, own) if profile else None
    opened = _open(device, found.input if found else ANYTHING)
    try:
        before, at, after = _pictures(opened)
        recipe = found.chain if found else PixelChain()
        built = chain.build(at.format, recipe, top_field_first=found.input.top_field_first if found else None)
        picture = built.run(before.data, at.data, after.data)
        output.write_bytes(png(picture.tobytes(), built.columns, built.rows))
        return Captured(
            file=str(output),
            standard=opened.format.standard,
            pixel_format=opened.format.pixel_format,
            width_px=at.format.width_px,
            height_px=at.format.height_px,
            rows=built.rows,
            columns=built.columns,
            steps=list(built.steps),
        )
    finally:
        opened.close()


def listen(
    device: str,
    settings: SerialSettings,
    say: Callable[[str], None],
    stop: threading.Event,
    seconds: float | None = None,
) -> int:
    """Say what arrives on a serial line, byte by byte, until `stop` is set or the time is over; return how many bytes came."""
    from gateway.device.tty import Tty

    until = time.monotonic() + seconds if seconds is not None else None
    count = 0
    with Tty(device, settings) as tty:
        while not stop.is_set() and (until is None or time.monotonic() < until):
            if data := tty.read(0.2):
                count += len(data)
                say(repr(data))
    return count


def png(rgb: bytes, columns: int, rows: int) -> bytes:
    """Return a picture of rows x columns x 3 bytes as PNG."""
    lines = b"".join(b"\0" + rgb[row * columns * 3 : (row + 1) * columns * 3] for row in range(rows))
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _pictures(opened: Grabber) -> list[Frame]:
    """Take whole pictures: fields that come apart are woven. Raises NoSignal."""
    weaver, whole = Weaver(opened.format), list[Frame]()
    for frame in grabber.take(opened, FIELDS):
        if (woven := weaver.take(frame)) is not None:
            whole.append(replace(woven, data=woven.data.copy()))
        if len(whole) == AROUND:
            return whole
    raise NoSignal(device=opened.format.standard, signal=Signal.NO_LOCK)


def _open(device: str, wanted: VideoInput) -> Grabber:
    if not device.startswith(SIMULATOR):
        return grabber.open(device, wanted)
    try:
        return simulated.simulator(device, SystemClock()).open()
    except ValueError as error:
        raise DeviceError(device=device, problem=str(error)) from error
