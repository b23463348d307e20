"""hw/**/*.toml to frozen profiles: how one modality, instrument or cable is, and what is done with what comes out of it.

A site's own folder (`paths.profiles`) is looked at first, then the shipped `hw/`; the file's name is the profile's name.
A profile says where its facts come from, and what nobody could know but the installer: both are part of the format. What
the types cannot say is checked here, at loading: an exam never finds out that a crop lies outside the picture.
"""

from __future__ import annotations

import codecs
import re
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from gateway.errors import ProfileError
from gateway.model import Code, Equipment
from gateway.structs import learn

Rectangle = tuple[int, int, int, int]
"""x, y, width, height in source pixels, origin top left."""
Points = tuple[tuple[int, int], tuple[int, int]]
"""Two points, each x, y in source pixels."""
Polygon = tuple[tuple[int, int], ...]
"""Corners, each x, y in source pixels, in order around the area."""


class VideoInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[input]: what the modality puts out."""

    connector: Literal["composite", "s-video", "component", "vga", "dvi", "hdmi", "sdi"]
    """The kind of cable: selects the input of a grabber whose name fits."""
    standards: tuple[str, ...]
    """In words, best first: "PAL 625/50i", "NTSC 525/60i", "1280x720p60", "any"."""
    input_name: str = ""
    """Name of the grabber's input, where it has several (VIDIOC_ENUMINPUT)."""
    pixel_formats: tuple[str, ...] = ("UYVY", "YUYV")
    """Fourccs to ask for, best first."""
    top_field_first: bool | None = None
    """Only where the installer has confirmed it; else by the standard (PAL top, NTSC bottom)."""
    matrix: Literal["driver", "601", "709", "2020"] = "driver"
    """Luma weights of Y'CbCr, where the installer has measured that the grabber states the wrong ones."""
    range: Literal["driver", "limited", "full"] = "driver"
    """Whether black is 16 or 0, where the installer has measured that the grabber states the wrong one."""


class PixelChain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[chain]: what is done to the pixels, in this order; every step is written in the object."""

    crop: Rectangle | None = None
    """[x, y, width, height] of what is kept, in pixels of the whole picture, origin top left."""
    denoise: Literal["off", "median3"] = "off"
    """median3: each sample becomes the median of itself, the one before and the one after in time; what moves fast may lose detail."""
    deinterlace: Literal["auto", "none", "weave", "bob", "motion_adaptive", "bwdif"] = "auto"
    """auto: none for progressive video, motion_adaptive (yadif's way) for interlaced; bwdif fills in sharper lines where something moves."""
    still_deinterlace: Literal["auto", "as_cine"] = "auto"
    """auto: a still whose two fields show the same (a frozen modality) keeps all its lines, woven; another is de-interlaced as a film is."""
    grey: Literal["auto", "always", "never"] = "auto"
    """auto: MONOCHROME2 when the whole capture is truly grey."""
    levels: tuple[int, int] = (0, 255)
    """[black, white]: the levels that become darkest and brightest, where the installer has measured that the modality uses only a part."""
    mask: tuple[Rectangle, ...] = ()
    """Areas filled with black, each as `crop` is, in pixels of the whole picture: burned-in names."""
    mask_polygons: tuple[Polygon, ...] = ()
    """The same for areas of any shape: [[x, y], [x, y], ...], three corners or more; where an outline crosses itself, its even parts stay."""
    square_pixels: Literal["keep", "area", "lanczos"] = "keep"
    """keep: the object states the shape of the pixels. area: resampled to square pixels by averaging lines or columns; lanczos: by
    adding some, nothing is averaged."""
    mask_covers_all_text: bool = False
    """The installer states that nothing that identifies the patient is visible outside the mask."""


class Watch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[trigger]: what in the picture itself counts as a press, while an exam is in progress."""

    freeze: Literal["off", "still"] = "off"
    """still: when the picture freezes after it has moved, one picture is captured, as if somebody had pressed."""


class ObjectKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[object]: which DICOM objects its pictures become."""

    modality: str
    """Modality (0008,0060): "US", "XA", "ES", ..."""
    still: Literal["us", "sc", "endoscopic", "microscopic", "photographic", "dermoscopic"] = "sc"
    """us: Ultrasound Image; sc: Secondary Capture; endoscopic, microscopic, photographic: VL Image of that kind; dermoscopic: Dermoscopic
    Photography, which needs everything about the maker and `recognizable_visual_features`."""
    cine: Literal["us", "sc", "endoscopic", "microscopic", "photographic"] = "sc"
    """us: Ultrasound Multi-frame; sc: Multi-frame Grayscale Byte or Word, or True Color SC, by content; endoscopic, microscopic, photographic:
    MPEG-4 video of that kind, where an encoder is installed (else as sc, and the object says so)."""
    conversion_type: Literal["DV", "DI"] = "DV"
    """DV digitised (analogue) video, DI digital interface."""
    compression: Literal["none", "rle", "jpeg-ls", "jpeg2000", "htj2k", "jpeg-xl", "jpeg", "passthrough"] = "htj2k"
    """The stored form; a destination that refuses it gets another one. All are lossless but two, which need `lossy_rule`: jpeg (JPEG
    baseline) and passthrough (what an MJPEG grabber sent, as it came, where nothing else is done to it)."""
    lossy_rule: str = ""
    """Who decided that this modality's pictures may lose something, and why: a sentence. Without it nothing is stored with loss."""
    jpeg_quality: int = 90
    """Of `jpeg`, 1 to 100, as libjpeg counts."""
    body_part_examined: str = ""
    """BodyPartExamined, where it is always the same (PS3.16 annex L)."""
    anatomic_region: Code | None = None
    """What is looked at, as a code (PS3.16 CID 4031 and its kin), where it is always the same: objects of visible light state it."""
    recognizable_visual_features: bool | None = None
    """Whether somebody could be recognised by what the pictures show: a face, a tattoo. Left out: not stated."""
    specimen: bool = False
    """What is looked at was taken from the patient (a slide under a microscope): objects of visible light name it by the order's
    accession number, or where there is none by the exam's own number."""
    series_description: str = ""
    """SeriesDescription."""


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[region]]: an area of an ultrasound picture in which a length can be measured, and what a length on the screen is."""

    area: Rectangle
    """[x, y, width, height] of the area, in pixels of the whole picture, origin top left."""
    points: Points
    """[[x, y], [x, y]]: two points whose distance is known, as the marks of the depth scale; they may lie outside the area. With
    `vertical_points`, or in M-mode, side by side; alone, they give both directions by the shape of the pixels."""
    length_cm: float = 0.0
    """The distance between the points, in centimetres."""
    length_s: float = 0.0
    """M-mode: the time between the points, in seconds."""
    vertical_points: Points | None = None
    """Two points one below the other, where the vertical scale is another one; M-mode needs them."""
    vertical_length_cm: float = 0.0
    """The distance between them, in centimetres."""
    spatial_format: Literal["2d", "m-mode"] = "2d"
    """2d: both directions are lengths; m-mode: time runs to the right."""
    data_type: Literal["tissue", "colour_flow"] = "tissue"
    """What the area shows."""


class ModalityProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hw/modalities/NAME.toml"""

    name: str
    """The file's name without .toml; need not be written."""
    title: str
    """What a person reads."""
    sources: tuple[str, ...]
    """Where what is stated here comes from: manuals by title and page; or "to be confirmed on site"."""
    confirm: tuple[str, ...] = ()
    """What the installer must confirm, in words."""
    equipment: Equipment = Equipment()
    """Who made the modality: from its plate. Every object states it."""
    input: VideoInput
    chain: PixelChain = PixelChain()
    trigger: Watch = Watch()
    region: tuple[Calibration, ...] = ()
    object: ObjectKind


class SerialSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[line]: RS-232 parameters."""

    baud: int = 9600
    """Bits in a second."""
    data_bits: Literal[7, 8] = 8
    """Bits of a character."""
    parity: Literal["N", "E", "O"] = "N"
    """None, even or odd."""
    stop_bits: Literal[1, 2] = 1
    """Bits between two characters."""
    handshake: Literal["none", "rts/cts", "dtr/dsr", "xon/xoff"] = "none"
    """How one end stops the other."""
    duplex: Literal["full", "half"] = "full"
    """half: the instrument cannot listen while it sends, so nothing is sent to it before a pause of its own."""


class Reading(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[reading]]: one regular expression over a line, and what its groups mean."""

    pattern: str
    """Python `re`, on the decoded line; named group `value`, optional `unit`."""
    concept: Code
    """What the value is: code, scheme and meaning (PS3.16)."""
    unit: Code | None = None
    """Its unit where the line states none (UCUM); without one the value is text."""
    decimal_separator: Literal[".", ","] = "."
    """What stands before the decimals."""
    units: dict[str, Code] = {}
    """What the text of group `unit` means, where the instrument states it."""
    low: float | None = None
    """The smallest plausible value."""
    high: float | None = None
    """The greatest. A value outside is kept, marked and shown."""


class Chart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[chart]: what an eye chart shows while visual acuity is tested. No refractor says so; the standard wants it (PS3.3 C.8.25.12)."""

    optotype: Literal["LETTERS", "NUMBERS", "PICTURES", "TUMBLING E", "LANDOLT C"]
    """What is to be recognised."""
    definition: str = ""
    """Which letters, numbers or pictures: the name of the chart."""
    presentation: Literal["SINGLE", "MULTIPLE"] = "MULTIPLE"
    """One at a time, or several."""
    background: Literal["WHITE", "RED", "GREEN"] = "WHITE"
    """Its colour."""
    viewing_distance: Literal["DISTANCE", "NEAR", "INTERMEDIATE", "OTHER"] = "DISTANCE"
    """How far away it stands."""


class InstrumentProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hw/instruments/NAME.toml"""

    name: str
    """The file's name without .toml; need not be written."""
    title: str
    """What a person reads."""
    sources: tuple[str, ...]
    """As in a modality."""
    confirm: tuple[str, ...] = ()
    """As in a modality."""
    kind: Literal["plain_line", "astm", "nidek", "scp_ecg", "dri", "corometrics", "medibus", "reichert", "intellivue"]
    """The dialect: plain_line reads printed lines by regular expressions; astm, the records of an analyser (ASTM E1381 and E1394) by the
    same; nidek, what NIDEK refractors, autorefractors, lensmeters and tonometers send; dri, the records of a Datex-Ohmeda S/5 or CARESCAPE
    monitor; corometrics, the messages of a GE Corometrics fetal monitor; scp_ecg,
    the records of an electrocardiograph (SCP-ECG, EN 1064); medibus, what a Draeger ventilator or anaesthesia machine answers; reichert, the
    printout of a Reichert tonometer; intellivue, what a Philips IntelliVue monitor exports."""
    cable: str = ""
    """Name of a file in hw/cables/ (without .toml): what goes between the box and the instrument."""
    equipment: Equipment = Equipment()
    """Who made the instrument: from its plate."""
    line: SerialSettings = SerialSettings()
    encoding: str = "ascii"
    """Character encoding of the lines, by Python's name for it."""
    terminator: str = "\r\n"
    """What ends a line."""
    record_end: str = ""
    """A line that ends one set of readings; empty: only a pause ends it."""
    idle_ends_record_ms: int = 500
    """A pause this long ends a set of readings."""
    collect_s: Annotated[int, msgspec.Meta(ge=0, le=600)] = 0
    """Of an instrument that streams: so many seconds become one set, with the last value of each kind and the curves of the whole time. 0: it
    prints, and says itself where a set ends."""
    paper_cm_min: Literal[1, 2, 3] = 1
    """Of corometrics: how fast the paper would run, in centimetres a minute, as this department reads strips; the page is drawn so. 1 and 2 with
    20 beats a minute to the centimetre, 3 with 30."""
    curves: tuple[str, ...] = ()
    """Of dri: the curves that are asked for, of ECG1 to ECG3 (300 samples in a second), INVP1 to INVP6, PLETH (100), CO2, AWP, FLOW and RESP
    (25): eight at most, and 600 samples in a second together, which is what 19200 baud carry. Of intellivue: three of ECG, I, II, III, aVR, aVL,
    aVF, V and V1 to V6, and eight of ABP, ART, Ao, PAP, CVP, RAP, LAP, UAP, FAP, BAP, P, P1 to P4, Pleth, Resp, CO2, AWF and AWP at most."""
    reading: tuple[Reading, ...] = ()
    """Of plain_line and astm, at least one."""
    checksum: Literal["none", "optional", "required"] = "none"
    """Of nidek: whether the four digits behind a message are looked at. A wrong one is never accepted; with required, a missing one
    neither."""
    clear_to_send: str = ""
    """Of nidek: the code of the command that answers an instrument that asks to send ("CLM"); empty: it sends unasked."""
    transfer: Literal["xmodem", "none"] = "xmodem"
    """Of scp_ecg: how its files come. xmodem: by XMODEM or YMODEM, which the box asks for every three seconds; none: as they are, unasked."""
    reprint_minutes: int = 0
    """The same message once more within so many minutes, in the same exam, is a reprint and makes no second object; 0: it is not."""
    chart: Chart | None = None
    """Of nidek: the chart that its acuities are tested with. Without it they are in the report only."""


class Wire(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[wire]]: one conductor, from a pin of one end to a pin of the other."""

    box: str
    """Pin at the gateway's end."""
    equipment: str
    """Pin at the other end."""
    signal: str
    """What it carries, as seen from the gateway."""


class Cable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hw/cables/NAME.toml"""

    name: str
    """The file's name without .toml; need not be written."""
    title: str
    """What a person reads."""
    sources: tuple[str, ...]
    """As in a modality."""
    confirm: tuple[str, ...] = ()
    """As in a modality."""
    box_connector: str
    """What it has at the gateway's end."""
    equipment_connector: str
    """What it has at the other end."""
    wire: tuple[Wire, ...]


DECLARED: Final = frozenset({"plain_line", "astm"})
"""Dialects that read only what [[reading]] says."""
READINGS = ObjectKind(modality="SR", series_description="Measurements")
"""What the readings of an instrument become."""

Kind = Literal["modalities", "instruments", "cables"]
Profile = ModalityProfile | InstrumentProfile | Cable
P = TypeVar("P", ModalityProfile, InstrumentProfile, Cable)


def modality(name: str, own: str = "") -> ModalityProfile:
    """Return a profile of hw/modalities; `own` is the site's folder (`paths.profiles`). Raises ProfileError, which names the file's mistake."""
    return _load("modalities", name, own, ModalityProfile)


def instrument(name: str, own: str = "") -> InstrumentProfile:
    """Return a profile of hw/instruments; `own` as above. Raises ProfileError, which names the file's mistake."""
    found = _load("instruments", name, own, InstrumentProfile)
    if found.cable:
        cable(found.cable, own)
    return found


def cable(name: str, own: str = "") -> Cable:
    """Return a file of hw/cables; `own` as above. Raises ProfileError, which names the file's mistake."""
    return _load("cables", name, own, Cable)


def modality_from(name: str, table: Mapping[str, object]) -> ModalityProfile:
    """Return the profile that a file of this name with this table would be. Raises ProfileError, which names the mistake."""
    return _made_as(name, table, ModalityProfile)


def instrument_from(name: str, table: Mapping[str, object]) -> InstrumentProfile:
    """Return the profile of an instrument that a file of this name with this table would be. Raises ProfileError, as above."""
    return _made_as(name, table, InstrumentProfile)


def path_of(kind: Kind, name: str, own: str = "") -> Path:
    """Return the file that a name means. Raises ProfileError when there is none."""
    for folder in _folders(own):
        path = folder / kind / f"{name}.toml"
        if _NAME.fullmatch(name) and path.is_file():
            return path
    raise ProfileError(name=name, problem=f"there is no hw/{kind}/{name}.toml")


def names(kind: Kind, own: str = "") -> list[str]:
    """Return the names of every profile of a kind, the site's own among them."""
    return sorted({path.stem for folder in _folders(own) for path in (folder / kind).glob("*.toml")})


def shipped() -> Path:
    """Return the hw/ folder that came with this program: beside the package in a checkout, else where the wheel put it."""
    beside = Path(__file__).resolve().parent.parent / "hw"
    return beside if beside.is_dir() else Path(sysconfig.get_path("data")) / "share" / "modality-gateway" / "hw"


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MODE = re.compile(r"(\d+)x(\d+)[ip]\d+")
_ANALOGUE = {
    "PAL 625/50i": (768, 576),
    "SECAM 625/50i": (768, 576),
    "PAL 525/60i": (720, 486),
    "NTSC 525/60i": (720, 486),
}
"""The largest picture that a decoder makes of each standard (ITU-R BT.601; square pixels for 625 lines)."""
_LARGEST = (4096, 2160)
_LOSSY = frozenset({"jpeg", "passthrough"})
VIDEO = frozenset({"endoscopic", "microscopic", "photographic"})
"""Kinds of `ObjectKind.cine` that become MPEG-4 when they are closed: until then they are kept without a loss of ours."""
_MODALITIES = {"endoscopic": "ES", "microscopic": "GM", "photographic": "XC", "dermoscopic": "DMS"}
"""What PS3.3 A.32 allows as Modality of each kind of visible light."""
_DEEP = frozenset({"Y10", "Y12", "Y16"})
_FEWEST_CORNERS = 3
_LONGEST_RULE = 300
"""Characters: DerivationDescription has 1024 (ST), and says more than the rule."""


def _folders(own: str) -> Iterator[Path]:
    if own:
        yield Path(own)
    yield shipped()


def _load(kind: Kind, name: str, own: str, cls: type[P]) -> P:
    path = path_of(kind, name, own)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(name=name, problem=f"{path}: {error}") from error
    return _made(table, name, cls, f"{path}: ")


def _made_as(name: str, table: Mapping[str, object], cls: type[P]) -> P:
    if not _NAME.fullmatch(name):
        raise ProfileError(
            name=name, problem="is no good name for a file: use letters, digits, and . _ - after the first"
        )
    return _made(table, name, cls, "")


def _made(table: Mapping[str, object], name: str, cls: type[P], where: str) -> P:
    try:
        found = msgspec.convert({"name": name, **table}, cls)
    except msgspec.ValidationError as error:
        raise ProfileError(name=name, problem=f"{where}{error}") from error
    if problem := next(_problems(found, name), ""):
        raise ProfileError(name=name, problem=f"{where}{problem}")
    return found


def _problems(found: Profile, stem: str) -> Iterator[str]:
    """Yield what the types cannot say."""
    if found.name != stem:
        yield f"it calls itself {found.name}"
    if not any(source.strip() for source in found.sources):
        yield "it names no source: say where its facts come from, or that they are to be confirmed on site"
    match found:
        case ModalityProfile():
            yield from _of_modality(found)
        case InstrumentProfile():
            yield from _of_instrument(found)
        case Cable():
            if not found.wire:
                yield "a cable without a wire carries nothing"


def _of_modality(found: ModalityProfile) -> Iterator[str]:
    if not found.input.standards:
        yield 'input.standards is empty: name what the modality sends, or write ["any"]'
    for standard in found.input.standards:
        if _picture(standard) is None:
            known = ", ".join(f'"{name}"' for name in _ANALOGUE)
            yield f'input.standards: "{standard}" is none of {known}, "any", or one like "1280x720p60"'
    for fourcc in found.input.pixel_formats:
        if not len("Y10") <= len(fourcc) <= len("YUYV"):
            yield f'input.pixel_formats: "{fourcc}" is no fourcc: it has four characters, as "YUYV" has, or three, as "Y10"'
    yield from _of_loss(found.object)
    yield from _of_kinds(found)
    for number, region in enumerate(found.region, start=1):
        yield from (f"region {number}: {problem}" for problem in _of_region(region, found.input.standards))
    yield from _of_chain(found.chain, found.input.standards)


def _of_chain(found: PixelChain, standards: tuple[str, ...]) -> Iterator[str]:
    areas = [("crop", found.crop)] if found.crop else []
    for key, area in [*areas, *(("mask", area) for area in found.mask)]:
        yield from _of_area(f"chain.{key}", area, standards)
    for polygon in found.mask_polygons:
        if len(polygon) < _FEWEST_CORNERS:
            yield "chain.mask_polygons: a shape has three corners or more"
        elif min(min(corner) for corner in polygon) < 0:
            yield "chain.mask_polygons: a corner lies outside the picture"
    black, white = found.levels
    if not 0 <= black < white <= 255:
        yield f"chain.levels: {black} to {white} is no range within 0 to 255"


def _of_loss(found: ObjectKind) -> Iterator[str]:
    """Check that what loses has a rule that somebody wrote, short enough for the object to say it (law 4)."""
    rule = found.lossy_rule.strip()
    if found.compression in _LOSSY and not rule:
        yield f'object.compression = "{found.compression}" loses: object.lossy_rule must say who decided that, and why'
    if found.cine in VIDEO and not rule:
        yield f'object.cine = "{found.cine}" is MPEG-4, which loses: object.lossy_rule must say who decided that, and why'
    if len(rule) > _LONGEST_RULE:
        yield f"object.lossy_rule has more than {_LONGEST_RULE} characters"
    if not 1 <= found.jpeg_quality <= 100:
        yield "object.jpeg_quality is 1 to 100"


def _of_kinds(found: ModalityProfile) -> Iterator[str]:
    """Check that the kinds of object can hold what comes, and say what their IODs cannot do without (PS3.3 A.32)."""
    said = found.object
    for key, kind in (("still", said.still), ("cine", said.cine)):
        wanted = _MODALITIES.get(kind, said.modality)
        if said.modality != wanted:
            yield f'object.{key} = "{kind}" needs object.modality = "{wanted}", and it is "{said.modality}"'
        if kind != "sc" and (deep := sorted(_DEEP & set(found.input.pixel_formats))):
            yield f'input.pixel_formats: {deep[0]} has more than the 8 bits that object.{key} = "{kind}" can hold; "sc" holds them'
    if said.still == "dermoscopic":
        for name in ("manufacturer", "model_name", "serial_number", "software_versions"):
            if not getattr(found.equipment, name):
                yield f'object.still = "dermoscopic" needs equipment.{name}'
        if said.recognizable_visual_features is None:
            yield 'object.still = "dermoscopic" needs object.recognizable_visual_features = true or false'
    if said.cine in VIDEO and said.anatomic_region is None:
        yield f'object.cine = "{said.cine}" needs object.anatomic_region: what is looked at, as a code'
    if found.region and "us" not in {said.still, said.cine}:
        yield '[[region]] is for ultrasound: object.still or object.cine must be "us"'


def _of_region(region: Calibration, standards: tuple[str, ...]) -> Iterator[str]:
    """Check that a calibration gives both directions, and lies in the picture."""
    yield from _of_area("area", region.area, standards)
    (ax, ay), (bx, by) = region.points
    if (ax, ay) == (bx, by):
        yield "points are two different points"
    if region.spatial_format == "m-mode":
        if region.length_s <= 0 or region.length_cm:
            yield 'spatial_format = "m-mode" needs length_s, the seconds between the points, and no length_cm'
        if region.vertical_points is None:
            yield 'spatial_format = "m-mode" needs vertical_points and vertical_length_cm for the depth'
    elif region.length_cm <= 0 or region.length_s:
        yield "length_cm is the distance between the points, more than 0 (length_s is for M-mode)"
    if region.vertical_points is not None:
        (_, upper), (_, lower) = region.vertical_points
        if ax == bx:
            yield "with vertical_points, points are side by side: their x differ"
        if upper == lower:
            yield "vertical_points are one below the other: their y differ"
        if region.vertical_length_cm <= 0:
            yield "vertical_length_cm is the distance between the vertical_points, more than 0"


def _of_area(key: str, area: Rectangle, standards: tuple[str, ...]) -> Iterator[str]:
    """Check that an area has pixels and lies inside the picture of every standard that the profile admits."""
    x, y, width, height = area
    if x < 0 or y < 0 or width < 1 or height < 1:
        yield f"{key} is [x, y, width, height] in pixels, with width and height of at least 1"
        return
    for standard in standards:
        columns, rows = _picture(standard) or _LARGEST
        if x + width > columns or y + height > rows:
            yield f"{key} {list(area)} reaches outside the picture of {standard}, {columns}x{rows}"


def _picture(standard: str) -> tuple[int, int] | None:
    """Return the largest picture of a standard, (columns, rows); None when it is not a standard's name."""
    if standard in _ANALOGUE:
        return _ANALOGUE[standard]
    if standard == "any":
        return _LARGEST
    mode = _MODE.fullmatch(standard)
    return (int(mode[1]), int(mode[2])) if mode else None


def _of_instrument(found: InstrumentProfile) -> Iterator[str]:
    try:
        codecs.lookup(found.encoding)
    except LookupError:
        yield f'encoding: Python knows none called "{found.encoding}"'
    if not found.terminator:
        yield "terminator is empty: name the characters that end a line"
    if found.kind in DECLARED and not found.reading:
        yield "it has no [[reading]]: nothing would ever be read"
    if found.kind not in DECLARED and found.reading:
        yield f'kind = "{found.kind}" knows what it reads: [[reading]] is for plain_line and astm'
    if found.kind == "nidek":
        yield from _of_nidek(found)
    for number, reading in enumerate(found.reading, start=1):
        yield from (f"reading {number}: {problem}" for problem in _of_reading(reading))


def _of_nidek(found: InstrumentProfile) -> Iterator[str]:
    if found.clear_to_send and not re.fullmatch(r"C[A-Z0-9]{2}", found.clear_to_send, re.ASCII):
        yield f'clear_to_send is a C and two letters, as in "CLM", and not "{found.clear_to_send}"'
    if found.reprint_minutes < 0:
        yield "reprint_minutes is 0 or more"
    if (
        found.chart
        and found.chart.optotype in {"LETTERS", "NUMBERS", "PICTURES"}
        and not found.chart.definition.strip()
    ):
        yield f"chart.definition must say which {found.chart.optotype.lower()} are shown"


def _of_reading(reading: Reading) -> Iterator[str]:
    try:
        groups = re.compile(reading.pattern).groupindex
    except re.error as error:
        yield f"pattern {reading.pattern!r} is no regular expression: {error}"
        return
    if "value" not in groups:
        yield f"pattern {reading.pattern!r} has no group (?P<value>...)"
    if reading.units and "unit" not in groups:
        yield f"it has units, but pattern {reading.pattern!r} has no group (?P<unit>...)"
    if reading.low is not None and reading.high is not None and reading.low > reading.high:
        yield f"low {reading.low:g} is above high {reading.high:g}"


learn(ModalityProfile, InstrumentProfile, Cable)
