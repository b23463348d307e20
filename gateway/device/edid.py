"""What a receiver tells a source that it is, as EDID bytes: one preferred mode, a few it also takes, RGB only, no sound.

A scanner sends what the receiver asks for, so the EDID decides what is captured: the mode that the profile expects, never
interlaced, never a colour sampling that halves the chroma. Built from the words below; `gateway docs` writes each as text
into firmware-config/, and the driver is told at every opening. Follows VESA E-EDID A.2 (EDID 1.4; 1.3 for HDMI, as HDMI 1.4 8.3.1 asks) and CTA-861-G 7.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from gateway.errors import DeviceError

BLOCK_BYTES: Final = 128
FOLDER: Final = Path("/usr/share/gateway/edid")
"""Where the appliance keeps them, one `NAME.hex` each."""
_HEADER: Final = bytes.fromhex("00ffffffffffff00")
_SRGB: Final = bytes.fromhex("ee91a3544c99260f5054")
"""Chromaticities of sRGB, as table 3.7 packs them."""


class Timing(Struct, frozen=True, kw_only=True):
    """One mode, as a Detailed Timing Descriptor states it (E-EDID 3.10.2); pixels and lines."""

    clock_khz: int
    columns: int
    columns_blank: int
    columns_front: int
    columns_sync: int
    rows: int
    rows_blank: int
    rows_front: int
    rows_sync: int
    is_positive: bool = True
    """Polarity of both syncs."""


class Sink(Struct, frozen=True, kw_only=True):
    """What one EDID says."""

    title: str
    """The monitor's name that a scanner may show: 13 characters at most."""
    timings: tuple[Timing, ...]
    """The preferred one first."""
    is_hdmi: bool
    """Else DVI: the base block alone, since older consoles stumble over a second one."""
    codes: tuple[int, ...] = ()
    """Video identification codes of CTA-861 that are also taken, of HDMI."""
    established: tuple[int, int] = (0x20, 0x00)
    """Established Timings I and II (E-EDID 3.8): 640x480 at 60 Hz is bit 5 of the first."""
    clock_limit_mhz: int = 165


_P1080_60: Final = Timing(
    clock_khz=148_500, columns=1920, columns_blank=280, columns_front=88, columns_sync=44,
    rows=1080, rows_blank=45, rows_front=4, rows_sync=5,
)  # fmt: skip
_P1080_50: Final = Timing(
    clock_khz=148_500, columns=1920, columns_blank=720, columns_front=528, columns_sync=44,
    rows=1080, rows_blank=45, rows_front=4, rows_sync=5,
)  # fmt: skip
_P720_60: Final = Timing(
    clock_khz=74_250, columns=1280, columns_blank=370, columns_front=110, columns_sync=40,
    rows=720, rows_blank=30, rows_front=5, rows_sync=5,
)  # fmt: skip
_XGA_60: Final = Timing(
    clock_khz=65_000, columns=1024, columns_blank=320, columns_front=24, columns_sync=136,
    rows=768, rows_blank=38, rows_front=3, rows_sync=6, is_positive=False,
)  # fmt: skip
_SXGA_60: Final = Timing(
    clock_khz=108_000, columns=1280, columns_blank=408, columns_front=48, columns_sync=112,
    rows=1024, rows_blank=42, rows_front=1, rows_sync=3,
)  # fmt: skip

SINKS: Final = MappingProxyType(
    {
        "hdmi-1920x1080p60": Sink(
            title="Gateway 1080p", timings=(_P1080_60, _P720_60), is_hdmi=True, codes=(16, 31, 4, 19, 1)
        ),
        "hdmi-1920x1080p50": Sink(
            title="Gateway 50 Hz", timings=(_P1080_50, _P720_60), is_hdmi=True, codes=(31, 34, 4, 19, 1)
        ),
        "hdmi-1280x720p60": Sink(
            title="Gateway 720p", timings=(_P720_60,), is_hdmi=True, codes=(4, 19, 1), clock_limit_mhz=80
        ),
        "dvi-1024x768": Sink(title="Gateway XGA", timings=(_XGA_60,), is_hdmi=False, established=(0x21, 0x08)),
        "dvi-1280x1024": Sink(
            title="Gateway SXGA", timings=(_SXGA_60, _XGA_60), is_hdmi=False, established=(0x21, 0x08)
        ),
    }
)
"""By the name of their files. hdmi-1920x1080p50 is for CSI-2 bridges of two lanes (TC358743), which cannot carry 60 Hz."""


def build(sink: Sink) -> bytes:
    """Return one block, or two for HDMI, each with its checksum."""
    base = _base(sink)
    return _summed(base) + _summed(_extension(sink)) if sink.is_hdmi else _summed(base)


def as_hex(name: str) -> str:
    """Return a shipped EDID as its file holds it: lines of 16 bytes, which v4l2-ctl and edid-decode read too."""
    data = build(SINKS[name])
    return "".join(f"{data[at : at + 16].hex(' ')}\n" for at in range(0, len(data), 16))


def load(name: str, folder: Path = FOLDER) -> bytes:
    """Read an EDID by its name, or any file by its path, as text or binary. Raises DeviceError for what is none."""
    path = Path(name) if "/" in name else folder / f"{name}.hex"
    try:
        data = path.read_bytes()
    except OSError as error:
        if name in SINKS:
            return build(SINKS[name])
        raise DeviceError(device=f"The EDID {name}", problem=error.strerror or "it cannot be read") from error
    if not data.startswith(_HEADER):
        data = _of_text(data, name)
    if problem := fault_of(data):
        raise DeviceError(device=f"The EDID {name}", problem=problem)
    return data


def fault_of(data: bytes) -> str:
    """Say what is wrong with the bytes of an EDID; empty: nothing that a checksum or a header tells."""
    if not data or len(data) % BLOCK_BYTES:
        return f"{len(data)} bytes are no whole blocks of {BLOCK_BYTES}"
    if not data.startswith(_HEADER):
        return "it does not begin as one does"
    blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
    if blocks[0][126] != len(blocks) - 1:
        return f"it names {blocks[0][126]} extensions and has {len(blocks) - 1}"
    wrong = [str(number) for number, block in enumerate(blocks) if sum(block) % 256]
    return f"the checksum of block {', '.join(wrong)} is wrong" if wrong else ""


def _of_text(data: bytes, name: str) -> bytes:
    try:
        return bytes.fromhex(data.decode("ascii"))
    except (UnicodeDecodeError, ValueError) as error:
        raise DeviceError(device=f"The EDID {name}", problem="it is neither binary nor hexadecimal") from error


def _summed(block: bytes) -> bytes:
    return block + bytes([-sum(block) % 256])


def _base(sink: Sink) -> bytes:
    """The base block: EDID 1.3 where HDMI asks for that, with range limits; else 1.4."""
    product = list(SINKS.values()).index(sink) + 1 if sink in SINKS.values() else 0
    name = b"\0\0\0\xfc\0" + f"{sink.title[:13]}\n".encode("ascii").ljust(13, b" ")[:13]
    descriptors = [*(_detailed(timing) for timing in sink.timings[:2]), name]
    if sink.is_hdmi:
        descriptors.append(b"\0\0\0\xfd\0" + bytes((23, 61, 15, 70, -(-sink.clock_limit_mhz // 10), 0)) + b"\n      ")
    descriptors += [b"\0\0\0\x10" + bytes(14)] * (4 - len(descriptors))
    version, features = ((1, 3), (0x80, 0, 0, 120, 0x0E)) if sink.is_hdmi else ((1, 4), (0xA1, 0, 0, 120, 0x06))
    return b"".join(
        (
            _HEADER,
            _letters("LNX"),
            product.to_bytes(2, "little"),
            bytes(4),
            bytes(
                (1, 2026 - 1990, *version, *features)
            ),  # digital, no size, gamma 2.2, RGB, sRGB, the first is preferred
            _SRGB,
            bytes((*sink.established, 0)),
            b"\x01\x01" * 8,
            *descriptors,
            bytes([sink.is_hdmi]),
        )
    )


def _letters(name: str) -> bytes:
    """Pack a PNP id into five bits a letter (E-EDID 3.4.1)."""
    packed = 0
    for letter in name:
        packed = packed << 5 | (ord(letter) - ord("A") + 1)
    return packed.to_bytes(2, "big")


def _detailed(timing: Timing) -> bytes:
    """Pack a Detailed Timing Descriptor: 18 bytes, digital separate syncs."""
    t = timing
    return bytes(
        (
            *(t.clock_khz // 10).to_bytes(2, "little"),
            t.columns & 0xFF,
            t.columns_blank & 0xFF,
            t.columns >> 8 << 4 | t.columns_blank >> 8,
            t.rows & 0xFF,
            t.rows_blank & 0xFF,
            t.rows >> 8 << 4 | t.rows_blank >> 8,
            t.columns_front & 0xFF,
            t.columns_sync & 0xFF,
            (t.rows_front & 0xF) << 4 | t.rows_sync & 0xF,
            t.columns_front >> 8 << 6 | t.columns_sync >> 8 << 4 | t.rows_front >> 4 << 2 | t.rows_sync >> 4,
            *(0, 0, 0, 0, 0),
            0x1E if t.is_positive else 0x18,
        )
    )


def _extension(sink: Sink) -> bytes:
    """The CTA-861 block: which codes are taken, that this is HDMI, and that a source may say which range its RGB has."""
    video = bytes((0x40 | len(sink.codes), *sink.codes))
    limit = -(-sink.clock_limit_mhz // 5)
    vendor = bytes((0x67, 0x03, 0x0C, 0x00, 0x10, 0x00, 0x00, limit))  # HDMI 1.x, address 1.0.0.0, TMDS limit in 5 MHz
    capability = bytes((0xE2, 0x00, 0x4A))  # RGB range selectable; nothing is overscanned
    blocks = video + vendor + capability
    head = bytes((0x02, 0x03, 4 + len(blocks), 0x81))  # underscans; no audio, no Y'CbCr; one native timing
    return (head + blocks).ljust(BLOCK_BYTES - 1, b"\0")
