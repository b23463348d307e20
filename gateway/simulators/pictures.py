"""A script's words to raw frames: a loop of pictures, in the pixel format that a grabber makes of them.

    simulator:PICTURE[,WORD]...

    PICTURE      phantom     drawn heart, any size (720x576 when none is given), a clock and a counter in the picture
                 ybr_color   SonoSite, 30 pictures, 320x240    real ultrasound that ships with pydicom; in a larger frame
                 jpeg2k      GE, one picture, 640x480          it is enlarged by a whole number and stands in the middle
                 rgb_color   GE, one picture, 320x240
                 black | blue | bars    what a scanner that sleeps, a converter without a signal and a test show; any size
    WORD         WIDTHxHEIGHT
                 progressive | interlaced | alternate | sequential    how lines are delivered (enum v4l2_field)
                 yuyv | uyvy | yvyu | vyuy | nv12 | nv21 | yu12 | yv12 | grey | y10 | y12 | y16 | rgb24 | bgr24 | mjpeg
                 NUMBER                                               frames a second
                 bt601 | bt709                                        matrix; by the height when not given
                 stamp                                                write the frame's number into pictures that have none
                 faults=LETTERS                                       one letter a frame from the first on: `.` whole, `d` dropped,
                                                                      `e` error flag, `s` short, `h` second field missing,
                                                                      `t` delivered twice

Interlaced video samples its two fields at two times. The frame's number stands, as 32 black or white blocks, in the lowest
lines: `number_of` reads it back, so that a test knows which frame it holds. RGB becomes Y'CbCr by Rec. 601 or 709, limited.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom.encaps
import pydicom.examples
from msgspec import Struct
from msgspec.structs import replace

from gateway.model import Field, FrameFormat, Matrix, Range
from gateway.simulators import formats
from gateway.simulators.formats import LUMA_WEIGHTS
from gateway.simulators.glyphs import COLUMNS, ROWS, text
from gateway.simulators.phantom import Phantom

Bytes: TypeAlias = npt.NDArray[np.uint8]

NATIVE: Final = {
    **dict.fromkeys(("phantom", "black", "blue", "bars"), (720, 576)),
    "ybr_color": (320, 240),
    "jpeg2k": (640, 480),
    "rgb_color": (320, 240),
}
BITS: Final = 32
_NTSC_NS: Final = 33_366_667
_BEAT_S: Final = 0.8
"""The phantom's loop is one beat."""
_DRAWN: Final = {
    "black": ((0, 0, 0),),
    "blue": ((0, 0, 191),),
    "bars": tuple(tuple(191 * (bits >> bit & 1) for bit in (2, 1, 0)) for bits in (7, 6, 3, 2, 5, 4, 1, 0)),
}
"""Colours of the columns from left to right; the bars of ITU-R BT.471, 75 %."""
_BLACK, _WHITE, _NO_COLOUR = 16, 235, 128
_WOVEN: Final = {Field.INTERLACED, Field.INTERLACED_TB, Field.INTERLACED_BT}
_LINE_BY_LINE: Final = {Field.NONE, *_WOVEN}


class Script(Struct, frozen=True, kw_only=True):
    """What to play, read from its words."""

    picture: str = "phantom"
    width_px: int = 720
    height_px: int = 576
    scan: Literal["progressive", "interlaced", "alternate", "sequential"] = "progressive"
    pixel_format: str = "UYVY"
    rate: float = 25.0
    matrix: Matrix | None = None
    has_stamp: bool = True
    faults: str = ""


def parse(words: str) -> Script:
    """Read a script, with or without `simulator:`. Raises ValueError that names the word it does not know."""
    picture, *rest = words.removeprefix("simulator:").split(",")
    if picture not in NATIVE:
        raise ValueError(f"no picture named {picture!r}: there are {', '.join(NATIVE)}")
    width, height = NATIVE[picture]
    script = Script(picture=picture, width_px=width, height_px=height, has_stamp=picture == "phantom")
    for word in rest:
        script = with_word(script, word)
    return script


def with_word(script: Script, word: str) -> Script:
    """Return the script with one more word. Raises ValueError for a word it does not know."""
    size = re.fullmatch(r"(\d+)x(\d+)", word)
    if size and not (int(size[1]) % 2 or int(size[2]) % 2 or int(size[1]) < BITS * 4 or int(size[2]) < 8):
        return replace(script, width_px=int(size[1]), height_px=int(size[2]))
    if word in {"progressive", "interlaced", "alternate", "sequential"}:
        return replace(script, scan=word)
    if word in formats.WORDS:
        return replace(script, pixel_format=formats.WORDS[word])
    if word in {"bt601", "bt709"}:
        return replace(script, matrix=Matrix(word[2:]))
    if word == "stamp":
        return replace(script, has_stamp=True)
    if re.fullmatch(r"faults=[.desht]*", word):
        return replace(script, faults=word.removeprefix("faults="))
    if re.fullmatch(r"\d+(\.\d+)?", word) and float(word):
        return replace(script, rate=float(word))
    raise ValueError(f"no word {word!r} in a simulator's script")


def frame_format(script: Script) -> FrameFormat:
    """Say what the simulated grabber delivers."""
    is_interlaced = script.scan != "progressive"
    standard = {576: "PAL 625/50i", 480: "NTSC 525/60i"}.get(script.height_px, "") if is_interlaced else ""
    is_bottom_first = standard.startswith("NTSC")
    interval_ns = _NTSC_NS if is_bottom_first and script.rate in {25.0, 30.0} else round(1e9 / script.rate)
    mode = f"{script.width_px}x{script.height_px}{'i' if is_interlaced else 'p'}{script.rate * (1 + is_interlaced):g}"
    fields = {
        "progressive": Field.NONE,
        "interlaced": Field.INTERLACED_BT if is_bottom_first else Field.INTERLACED_TB,
        "sequential": Field.SEQ_BT if is_bottom_first else Field.SEQ_TB,
        "alternate": Field.ALTERNATE,
    }
    height = script.height_px // 2 if script.scan == "alternate" else script.height_px
    return FrameFormat(
        pixel_format=script.pixel_format,
        width_px=script.width_px,
        height_px=height,
        stride_bytes=formats.stride_of(script.pixel_format, script.width_px),
        range=Range.FULL if script.pixel_format in {"RGB3", "BGR3", "MJPG"} else Range.LIMITED,
        largest_bytes=2 * script.width_px * height if script.pixel_format == "MJPG" else 0,
        field=fields[script.scan],
        matrix=script.matrix or (Matrix.BT709 if script.height_px >= 720 else Matrix.BT601),
        frame_interval_ns=interval_ns,
        pixel_aspect={"PAL 625/50i": (54, 59), "NTSC 525/60i": (11, 10)}.get(standard, (1, 1)),
        standard=standard or mode,
    )


class Playback:
    """A loop of raw frames in memory, and each frame of the endless stream by its number."""

    def __init__(self, script: Script) -> None:
        """Draw or decode, convert and weave: half a second for a 720x576 phantom."""
        self.script = script
        self.format = frame_format(script)
        self.is_bottom_first = self.format.standard.startswith("NTSC")
        self._chroma = chroma_at(self.format)
        self._frames = self._loop()
        self._letters = {each: self._packed_text(each) for each in "0123456789:"}

    def whole(self, sequence: int) -> Bytes:
        """Return frame `sequence` as the scanner sends it, all lines in their places, (height, 2 * width) UYVY or YUYV, as a copy."""
        frame = np.empty_like(self._frames[0])
        self._draw(frame, sequence)
        return frame

    def fill(self, memory: Bytes, sequence: int, field: Field) -> int:
        """Write what the grabber delivers into a buffer, as `raw` would give it; return how many bytes that is."""
        if self.format.field in _LINE_BY_LINE and self.format.pixel_format in formats.PACKED:
            size = self.format.frame_bytes
            self._draw(memory[:size].reshape(self._frames[0].shape), sequence)
            return size
        raw = self.raw(sequence, field)
        memory[: len(raw)] = raw
        return len(raw)

    def raw(self, sequence: int, field: Field = Field.NONE) -> Bytes:
        """Return the bytes the grabber delivers for a frame, or for its `field` when it delivers them apart."""
        frame = self.whole(sequence)
        top, bottom = frame[0::2], frame[1::2]
        match self.format.field:
            case Field.ALTERNATE:
                return self._delivered(bottom if field is Field.BOTTOM else top)
            case Field.SEQ_TB:
                return self._one_below_the_other(top, bottom)
            case Field.SEQ_BT:
                return self._one_below_the_other(bottom, top)
            case _:
                return self._delivered(frame)

    def truth(self, sequence: int) -> Bytes:
        """Return a frame, woven, as (height, width, 3) RGB by float64 arithmetic, each chroma sample for all its pixels."""
        frame = self.whole(sequence)
        is_interlaced = self.script.scan != "progressive"
        field = Field.INTERLACED if is_interlaced else Field.NONE
        woven = replace(self.format, height_px=len(frame), field=field)
        return formats.truth(formats.delivered(frame, woven, is_two_fields=is_interlaced), woven)

    def number(self, raw: Bytes) -> int:
        """Read the number of a frame from its bytes as they were delivered, fields woven or one."""
        fmt = self.format
        if self.format.field is Field.ALTERNATE and len(raw) == 2 * fmt.frame_bytes:
            fmt = replace(fmt, height_px=2 * fmt.height_px)
        return number_of(formats.luma_of(raw, fmt))

    def _delivered(self, frame: Bytes) -> Bytes:
        return formats.delivered(frame, self.format, is_two_fields=self.format.field in _WOVEN)

    def _one_below_the_other(self, first: Bytes, second: Bytes) -> Bytes:
        """Both fields of a frame in one buffer: in each plane, all lines of the first, then those of the second."""
        fields = [self._delivered(each) for each in (first, second)]
        if self.format.pixel_format == "MJPG":
            raise ValueError("no JPEG holds two fields one below the other")
        sizes = [rows * row_bytes // 2 for rows, row_bytes in self.format.planes]
        ends = np.cumsum(sizes)[:-1]
        parts = [np.split(each, ends) for each in fields]
        return np.concatenate([part for plane in zip(*parts, strict=True) for part in plane])

    def _draw(self, frame: Bytes, sequence: int) -> None:
        frame[:] = self._frames[sequence % len(self._frames)]
        if self.script.has_stamp:
            self._stamp(frame, sequence)

    def _loop(self) -> list[Bytes]:
        script = self.script
        is_interlaced = script.scan != "progressive"
        pictures = _pictures(script)
        packed = [pack(each, self.format) for each in pictures]
        if not is_interlaced or len(packed) == 1:
            return packed
        length = len(packed) // 2 if len(packed) % 2 == 0 else len(packed)
        frames = []
        for n in range(length):
            older, younger = packed[2 * n % len(packed)], packed[(2 * n + 1) % len(packed)]
            top, bottom = (younger, older) if self.is_bottom_first else (older, younger)
            frame = top.copy()
            frame[1::2] = bottom[1::2]
            frames.append(frame)
        return frames

    def _stamp(self, frame: Bytes, sequence: int) -> None:
        """Write the number as blocks into the lowest lines and, on the phantom, as a running clock."""
        block = block_px(self.script.width_px)
        bits = np.unpackbits(np.array([sequence], ">u4").view(np.uint8))
        strip = frame[-block:, : 2 * BITS * block]
        strip[:, self._chroma :: 2] = _NO_COLOUR
        strip[:, 1 - self._chroma :: 2] = np.repeat(_BLACK + (_WHITE - _BLACK) * bits, block)
        if self.script.picture == "phantom" and self.script.width_px >= 320:
            self._write_clock(frame, sequence)

    def _write_clock(self, frame: Bytes, sequence: int) -> None:
        seconds, part = divmod(sequence, max(1, round(self.script.rate)))
        words = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{part:02}"
        tiles = [self._letters[each] for each in words]
        top, left = round(0.022 * self.script.height_px), round(0.3 * self.script.width_px) // 2 * 4
        line = np.concatenate(tiles, axis=1)
        frame[top : top + line.shape[0], left : left + line.shape[1]] = line

    def _packed_text(self, character: str) -> Bytes:
        scale = max(1, round(self.script.height_px / 288))
        ink = text(character, scale)
        packed = np.full((ROWS * scale, 2 * COLUMNS * scale), _NO_COLOUR, np.uint8)
        packed[:, 1 - self._chroma :: 2] = np.where(ink, 200, _BLACK)
        return packed


def chroma_at(fmt: FrameFormat) -> int:
    """Return where the chroma stands in each pair of bytes of what the scanner sends: YUYV 1, else UYVY 0."""
    return 1 if fmt.pixel_format == "YUYV" else 0


def block_px(width_px: int) -> int:
    """Return the size of a block of the frame's number."""
    return 8 if width_px >= 320 else 4


def number_of(picture: Bytes, width_px: int = 0) -> int:
    """Read a frame's number from a picture, (rows, columns) or (rows, columns, 3), whose lowest left corner was not cropped."""
    luma = picture if picture.ndim == 2 else picture[:, :, 1]
    block = block_px(width_px or luma.shape[1])
    sampled = luma[-(block // 2), block // 2 : BITS * block : block]
    return int.from_bytes(np.packbits(sampled > 127).tobytes(), "big")


def pack(rgb: Bytes, fmt: FrameFormat) -> Bytes:
    """Turn (height, width, 3) RGB into (height, 2 * width) YUYV or UYVY, limited range, chroma averaged over pixel pairs."""
    kr, kb = LUMA_WEIGHTS[fmt.matrix]
    red, green, blue = (rgb[:, :, channel].astype(np.float32) for channel in range(3))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb = _paired(blue - luma) * np.float32(224 / 255 / 2 / (1 - kb)) + 128
    cr = _paired(red - luma) * np.float32(224 / 255 / 2 / (1 - kr)) + 128
    packed = np.empty((rgb.shape[0], 2 * rgb.shape[1]), np.uint8)
    chroma = chroma_at(fmt)
    packed[:, 1 - chroma :: 2] = np.rint(luma * np.float32(219 / 255) + 16)
    packed[:, chroma::4] = np.rint(cb)
    packed[:, chroma + 2 :: 4] = np.rint(cr)
    return packed


def _paired(chroma: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray((chroma[:, 0::2] + chroma[:, 1::2]) / 2, np.float32)


def _pictures(script: Script) -> list[Bytes]:
    """Return the loop as RGB pictures of the script's size."""
    if script.picture == "phantom":
        phantom = Phantom(script.width_px, script.height_px)
        count = max(2, round(_BEAT_S * script.rate) * (1 if script.scan == "progressive" else 2))
        return [phantom.draw(n / count) for n in range(count)]
    if script.picture in _DRAWN:
        colours = np.array(_DRAWN[script.picture], np.uint8)
        row = colours[np.arange(script.width_px) * len(colours) // script.width_px]
        return [np.broadcast_to(row, (script.height_px, script.width_px, 3)).copy()]
    return [_placed(each, script.width_px, script.height_px) for each in _from_pydicom(script.picture)]


def _from_pydicom(name: str) -> list[Bytes]:
    """Decode the real ultrasound that ships with pydicom to RGB."""
    ds = getattr(pydicom.examples, name)
    if name == "rgb_color":
        return [np.frombuffer(ds.PixelData, np.uint8, ds.Rows * ds.Columns * 3).reshape(ds.Rows, ds.Columns, 3)]
    frames = pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1)))
    if name == "jpeg2k":
        return [imagecodecs.jpeg2k_decode(each) for each in frames]
    return [imagecodecs.jpeg8_decode(each, colorspace="ycbcr", outcolorspace="rgb") for each in frames]


def _placed(picture: Bytes, width_px: int, height_px: int) -> Bytes:
    """Enlarge by a whole number and stand in the middle of black; what is larger than the frame is cut."""
    times = max(1, min(height_px // picture.shape[0], width_px // picture.shape[1]))
    large = picture.repeat(times, 0).repeat(times, 1)[:height_px, :width_px]
    top, left = (height_px - large.shape[0]) // 2, (width_px - large.shape[1]) // 2
    placed = np.zeros((height_px, width_px, 3), np.uint8)
    placed[top : top + large.shape[0], left : left + large.shape[1]] = large
    return placed
