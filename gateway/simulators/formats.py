"""A packed 4:2:2 picture, which is what every simulated scanner draws, to each pixel format that a grabber may deliver.

And back to RGB by float64 arithmetic on exactly what was delivered: the reference for pixels. 4:2:0 takes its chroma from
two lines of one field; 10, 12 and 16 bits repeat the high bits below; RGB and JPEG are full range, the rest limited.
Follows the V4L2 documentation, "Image Formats", and ITU-R BT.601 and BT.709.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import imagecodecs
import numpy as np
import numpy.typing as npt

from gateway.model import Field, FrameFormat, Matrix

Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

LUMA_WEIGHTS: Final = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722), Matrix.BT2020: (0.2627, 0.0593)}
"""Kr and Kb."""
WORDS: Final = {
    "yuyv": "YUYV",
    "uyvy": "UYVY",
    "yvyu": "YVYU",
    "vyuy": "VYUY",
    "nv12": "NV12",
    "nv21": "NV21",
    "yu12": "YU12",
    "yv12": "YV12",
    "grey": "GREY",
    "y10": "Y10",
    "y12": "Y12",
    "y16": "Y16",
    "rgb24": "RGB3",
    "bgr24": "BGR3",
    "mjpeg": "MJPG",
}
"""What a script calls each pixel format."""
PACKED: Final = ("YUYV", "UYVY")
"""What a scanner draws; anything else is made from UYVY."""
BITS: Final = {"GREY": 8, "Y10": 10, "Y12": 12, "Y16": 16}
QUALITY: Final = 90
_ORDER: Final = {"YUYV": (0, 1, 2, 3), "YVYU": (0, 3, 2, 1), "UYVY": (1, 0, 3, 2), "VYUY": (3, 0, 1, 2)}
"""Where the bytes of Y U Y V stand: of YUYV's bytes, which one comes first, second, ..."""


def stride_of(pixel_format: str, width_px: int) -> int:
    """Return the bytes a row of the first plane; 0 for JPEG."""
    if pixel_format == "MJPG":
        return 0
    if pixel_format in {"RGB3", "BGR3"}:
        return 3 * width_px
    return width_px if pixel_format in {"NV12", "NV21", "YU12", "YV12", "GREY"} else 2 * width_px


def delivered(packed: Bytes, fmt: FrameFormat, *, is_two_fields: bool) -> Bytes:
    """Turn (height, 2 * width) YUYV (where `fmt` says YUYV) or else UYVY into what a grabber delivers, 1-D."""
    name = fmt.pixel_format
    if name in PACKED:
        return np.ascontiguousarray(packed).reshape(-1)
    luma, u, v = packed[:, 1::2], packed[:, 0::4], packed[:, 2::4]
    match name:
        case "YVYU" | "VYUY":
            quads = np.stack((luma[:, 0::2], u, luma[:, 1::2], v), axis=2)
            return np.ascontiguousarray(quads[:, :, _ORDER[name]]).reshape(-1)
        case "NV12" | "NV21":
            pair = [_halved(u, is_two_fields=is_two_fields), _halved(v, is_two_fields=is_two_fields)]
            chroma = np.stack(pair if name == "NV12" else pair[::-1], axis=2)
            return np.concatenate((luma.reshape(-1), chroma.reshape(-1)))
        case "YU12" | "YV12":
            pair = [_halved(u, is_two_fields=is_two_fields), _halved(v, is_two_fields=is_two_fields)]
            return np.concatenate(
                [luma.reshape(-1), *(each.reshape(-1) for each in pair[:: 1 if name == "YU12" else -1])]
            )
        case "RGB3" | "BGR3" | "MJPG":
            rgb = rgb_quickly(packed, fmt.matrix)
            if name == "MJPG":
                return np.frombuffer(imagecodecs.jpeg8_encode(rgb, level=QUALITY), np.uint8)
            return np.ascontiguousarray(rgb if name == "RGB3" else rgb[:, :, ::-1]).reshape(-1)
        case _:
            return _deep(luma, BITS[name])


def luma_of(raw: Bytes, fmt: FrameFormat) -> Bytes:
    """Return the luma, or the green, of what was delivered, (rows, columns): 8 bits are enough to read a number from."""
    name = fmt.pixel_format
    if name == "MJPG":
        return np.asarray(imagecodecs.jpeg8_decode(raw.tobytes()))[:, :, 1]
    rows = raw[: fmt.height_px * fmt.stride_bytes].reshape(fmt.height_px, fmt.stride_bytes)
    if name in _ORDER:
        return rows[:, 1 if name in {"UYVY", "VYUY"} else 0 :: 2]
    if name in {"RGB3", "BGR3"}:
        return rows[:, 1::3]
    return rows if stride_of(name, 1) == 1 else (rows.view("<u2") >> (BITS[name] - 8)).astype(np.uint8)


def truth(raw: Bytes, fmt: FrameFormat) -> Bytes:
    """Turn what was delivered, its fields woven, into (height, width, 3) RGB by float64 arithmetic, chroma replicated."""
    name = fmt.pixel_format
    if name == "MJPG":
        return np.asarray(imagecodecs.jpeg8_decode(raw.tobytes()))
    if name in {"RGB3", "BGR3"}:
        return raw.reshape(fmt.height_px, fmt.width_px, 3)[:, :, :: 1 if name == "RGB3" else -1]
    return rgb_of(*_samples(raw, fmt), fmt.matrix)


def rgb_of(luma: Floats, cb: Floats, cr: Floats, matrix: Matrix) -> Bytes:
    """Turn limited-range samples on the scale of 8 bits, all (rows, columns), into (rows, columns, 3) RGB."""
    kr, kb = LUMA_WEIGHTS[matrix]
    luma, cb, cr = (luma - 16) * (255 / 219), (cb - 128) * (255 / 224), (cr - 128) * (255 / 224)
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.rint(np.stack((red, green, blue), axis=2)), 0, 255).astype(np.uint8)


def rgb_quickly(packed: Bytes, matrix: Matrix) -> Bytes:
    """Turn UYVY into RGB in 16.16 integers, as a grabber's own converter does."""
    kr, kb = LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    luma = (packed[:, 1::2].astype(np.int32) - 16) * round(65536 * 255 / 219) + 32768
    cb, cr = (packed[:, at::4].astype(np.int32).repeat(2, axis=1) - 128 for at in (0, 2))
    of_cr, of_cb = 2 * (1 - kr) * 255 / 224, 2 * (1 - kb) * 255 / 224
    rgb = np.empty((*luma.shape, 3), np.uint8)
    channels = (
        luma + round(65536 * of_cr) * cr,
        luma - round(65536 * of_cr * kr / kg) * cr - round(65536 * of_cb * kb / kg) * cb,
        luma + round(65536 * of_cb) * cb,
    )
    for at, channel in enumerate(channels):
        rgb[:, :, at] = np.clip(channel >> 16, 0, 255)
    return rgb


def _samples(raw: Bytes, fmt: FrameFormat) -> tuple[Floats, Floats, Floats]:
    name, width, height = fmt.pixel_format, fmt.width_px, fmt.height_px
    first = raw[: height * fmt.stride_bytes].reshape(height, fmt.stride_bytes)
    if name in BITS:
        whole = first if name == "GREY" else first.view("<u2")
        luma = whole.astype(np.float64) / (1 << (BITS[name] - 8))
        return luma, np.full_like(luma, 128), np.full_like(luma, 128)
    if name in _ORDER:
        quads = first.reshape(height, width // 2, 4)
        y0, u, y1, v = (quads[:, :, _ORDER[name].index(at)].astype(np.float64) for at in range(4))
        return np.stack((y0, y1), axis=2).reshape(height, width), u.repeat(2, axis=1), v.repeat(2, axis=1)
    rest = raw[height * fmt.stride_bytes :]
    half = (height + 1) // 2, width // 2
    if name in {"NV12", "NV21"}:
        pair = [rest.reshape(*half, 2)[:, :, at] for at in (0, 1)]
    else:
        pair = [each.reshape(half) for each in np.split(rest, 2)]
    u, v = (_doubled(each.astype(np.float64), fmt) for each in (pair if name in {"NV12", "YU12"} else pair[::-1]))
    return first.astype(np.float64), u, v


def _halved(chroma: Bytes, *, is_two_fields: bool) -> Bytes:
    """Average the chroma of two lines of one field."""
    if is_two_fields:
        whole = np.empty((chroma.shape[0] // 2, chroma.shape[1]), np.uint8)
        for parity in (0, 1):
            whole[parity::2] = _halved(chroma[parity::2], is_two_fields=False)
        return whole
    return ((chroma[0::2].astype(np.uint16) + chroma[1::2] + 1) // 2).astype(np.uint8)


def _doubled(chroma: Floats, fmt: FrameFormat) -> Floats:
    """Give each line its chroma: two lines of the frame, or of one field, share theirs."""
    rows = np.arange(fmt.height_px)
    is_woven = fmt.field in {Field.INTERLACED, Field.INTERLACED_TB, Field.INTERLACED_BT}
    shared = rows // 4 * 2 + rows % 2 if is_woven else rows // 2
    return chroma[shared].repeat(2, axis=1)


def _deep(luma: Bytes, bits: int) -> Bytes:
    if bits == 8:
        return np.ascontiguousarray(luma).reshape(-1)
    wide = luma.astype("<u2")
    return (wide << (bits - 8) | wide >> (16 - bits)).astype("<u2").view(np.uint8).reshape(-1)
