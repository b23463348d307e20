"""hw/**/*.toml to frozen profiles: how one modality or instrument behaves, and what is done with what it puts out.

A site's own folder (`paths.profiles`) is looked at first, then the shipped `hw/`; the file's name is the profile's name.
"""

from __future__ import annotations

import re
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from gateway.errors import ProfileError
from gateway.model import Code, Equipment

Rectangle = tuple[int, int, int, int]
"""x, y, width, height in source pixels, origin top left."""


class VideoInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[input]: what the modality puts out."""

    connector: Literal["composite", "s-video", "component", "vga", "dvi", "hdmi", "sdi"]
    standards: tuple[str, ...]
    """In words, best first: "PAL 625/50i", "NTSC 525/60i", "1280x720p60", "any"."""
    input_name: str = ""
    """Name of the grabber's input, where it has several (VIDIOC_ENUMINPUT)."""
    pixel_formats: tuple[str, ...] = ("UYVY", "YUYV")
    """Fourccs to ask for, best first."""
    top_field_first: bool | None = None
    """Only where the installer has confirmed it; None: by the standard (PAL top, NTSC bottom)."""


class PixelChain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[chain]: what is done to the pixels, in this order; every step is written in the object."""

    crop: Rectangle | None = None
    deinterlace: Literal["auto", "none", "weave", "bob", "motion_adaptive"] = "auto"
    """auto: none for progressive video, motion_adaptive for interlaced."""
    grey: Literal["auto", "always", "never"] = "auto"
    """auto: MONOCHROME2 when the whole capture is truly grey."""
    mask: tuple[Rectangle, ...] = ()
    """Filled with black, after the crop but in source coordinates: burned-in names."""
    mask_covers_all_text: bool = False
    """The installer states that nothing that identifies the patient is visible outside the mask."""


class ObjectKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[object]: which DICOM objects its pictures become."""

    modality: str
    still: Literal["us", "sc"] = "sc"
    """us: Ultrasound Image; sc: Secondary Capture."""
    cine: Literal["us", "sc"] = "sc"
    """us: Ultrasound Multi-frame; sc: Multi-frame Grayscale Byte or True Color SC by content."""
    conversion_type: Literal["DV", "DI"] = "DV"
    """DV digitised (analogue) video, DI digital interface."""
    compression: Literal["none", "rle", "jpeg-ls", "jpeg2000", "htj2k"] = "htj2k"
    """All lossless. The stored form; a destination that refuses it gets another lossless one."""
    body_part_examined: str = ""
    series_description: str = ""


class ModalityProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hw/modalities/NAME.toml"""

    name: str
    title: str
    sources: tuple[str, ...]
    """Where what is stated here comes from: manuals by title and page; or "to be confirmed on site"."""
    confirm: tuple[str, ...] = ()
    """What the installer must confirm, in words."""
    equipment: Equipment = Equipment()
    input: VideoInput
    chain: PixelChain = PixelChain()
    object: ObjectKind


class SerialSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[line]: RS-232 parameters."""

    baud: int = 9600
    data_bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    handshake: Literal["none", "rts/cts", "dtr/dsr", "xon/xoff"] = "none"


class Reading(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[reading]]: one regular expression over a line, and what its groups mean."""

    pattern: str
    """Python `re`, on the decoded line; named group `value`, optional `unit`."""
    concept: Code
    unit: Code | None = None
    decimal_separator: Literal[".", ","] = "."
    units: dict[str, Code] = {}
    """What the text of group `unit` means, where the instrument states it."""
    low: float | None = None
    high: float | None = None
    """Outside these the value is kept, marked and shown."""


class InstrumentProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hw/instruments/NAME.toml"""

    name: str
    title: str
    sources: tuple[str, ...]
    confirm: tuple[str, ...] = ()
    kind: Literal["plain_line"]
    equipment: Equipment = Equipment()
    line: SerialSettings = SerialSettings()
    encoding: str = "ascii"
    terminator: str = "\r\n"
    record_end: str = ""
    """A line that ends one set of readings; empty: only a pause ends it."""
    idle_ends_record_ms: int = 500
    """A pause this long ends a set of readings."""
    reading: tuple[Reading, ...]


READINGS = ObjectKind(modality="SR", series_description="Measurements")
"""What the readings of an instrument become."""

P = TypeVar("P", ModalityProfile, InstrumentProfile)


def modality(name: str, own: str = "") -> ModalityProfile:
    """Return a profile of hw/modalities; `own` is the site's folder (`paths.profiles`). Raises ProfileError, which names the file's mistake."""
    return _load("modalities", name, own, ModalityProfile)


def instrument(name: str, own: str = "") -> InstrumentProfile:
    """Return a profile of hw/instruments; `own` as above. Raises ProfileError, which names the file's mistake."""
    return _load("instruments", name, own, InstrumentProfile)


def names(kind: Literal["modalities", "instruments"], own: str = "") -> list[str]:
    """Return the names of every profile of a kind, the site's own among them."""
    return sorted({path.stem for folder in _folders(own) for path in (folder / kind).glob("*.toml")})


def shipped() -> Path:
    """Return the hw/ folder that came with this program: beside the package in a checkout, else where it was installed."""
    beside = Path(__file__).resolve().parent.parent / "hw"
    return beside if beside.is_dir() else Path(sysconfig.get_path("data")) / "share" / "modality-gateway" / "hw"


def _folders(own: str) -> Iterator[Path]:
    if own:
        yield Path(own)
    yield shipped()


def _load(kind: str, name: str, own: str, cls: type[P]) -> P:
    for folder in _folders(own):
        path = folder / kind / f"{name}.toml"
        if re.fullmatch(r"[A-Za-z0-9._-]+", name) and path.is_file():
            return _parsed(path, cls)
    raise ProfileError(name=name, problem=f"there is no hw/{kind}/{name}.toml")


def _parsed(path: Path, cls: type[P]) -> P:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        found = msgspec.convert({"name": path.stem, **table}, cls)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ProfileError(name=path.stem, problem=f"{path.name}: {error}") from error
    if problem := _problem(found, path.stem):
        raise ProfileError(name=path.stem, problem=f"{path.name}: {problem}")
    return found


def _problem(found: ModalityProfile | InstrumentProfile, stem: str) -> str:
    """Say what the types cannot: a name that is another, no source, an area without pixels."""
    if found.name != stem:
        return f"it calls itself {found.name}"
    if not found.sources:
        return "it names no source"
    if isinstance(found, ModalityProfile):
        areas = [*found.chain.mask, *([found.chain.crop] if found.chain.crop else [])]
        if any(x < 0 or y < 0 or width < 1 or height < 1 for x, y, width, height in areas):
            return "crop and mask are [x, y, width, height] in pixels, with width and height of at least 1"
    return ""
