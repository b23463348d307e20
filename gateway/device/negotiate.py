"""What a profile wants and what a driver offers to one FrameFormat: input, standard or timings, pixel format, colour, aspect.

Nothing is believed because it was asked for: every value is read back from the driver. A standard that the profile does not
expect is refused: its crop and mask would fit by chance only. Follows the V4L2 documentation, "Digital Video (DV) Timings",
"Video Standards", "Image Cropping, Insertion and Scaling".
"""

from __future__ import annotations

import re
from ctypes import c_uint64
from typing import Final

from msgspec import Struct

from gateway.device import v4l2 as v
from gateway.device.formats import Layout, Memory, field_order, set_format
from gateway.device.inputs import Input, Standing, choose_input, is_offered, present_edid, standing
from gateway.errors import DeviceError, NoSignal, WrongStandard
from gateway.model import FrameFormat, Signal
from gateway.profile import VideoInput

ANALOGUE: Final = (
    ("PAL 625/50i", v.V4L2_STD_PAL_625),
    ("NTSC 525/60i", v.V4L2_STD_NTSC_525),
    ("PAL 525/60i", v.V4L2_STD_PAL_525),
    ("SECAM 625/50i", v.V4L2_STD_SECAM),
)
"""Analogue standards in words, as profiles write them."""

_MODE: Final = re.compile(r"(\d+)x(\d+)([pi])(\d+)$")


class Mode(Struct, frozen=True, kw_only=True):
    """What the source sends, before the driver has said how it delivers it. Zero: not known."""

    name: str = ""
    width_px: int = 0
    height_px: int = 0
    is_interlaced: bool = False
    is_analogue: bool = False
    frame_interval_ns: int = 0


class Negotiated(Struct, frozen=True, kw_only=True):
    """What was agreed."""

    format: FrameFormat
    input: Input | None
    buffer_type: int
    memories: tuple[Memory, ...]
    """Of each buffer: several, where the driver keeps the planes apart."""


def negotiate(node: v.Node, device: str, wanted: VideoInput, edid: bytes = b"") -> Negotiated:
    """Set the device up for `wanted`; a receiver presents `edid`. Raises NoSignal, WrongStandard, UnknownPixelFormat, DeviceError, OSError."""
    buffer_type = capture_type(node, device)
    chosen = choose_input(node, device, wanted)
    if edid:
        present_edid(node, chosen, edid)
    found = standing(node, chosen)
    if found.signal is not Signal.LOCKED:
        raise NoSignal(device=named(device, chosen), signal=found.signal)
    if chosen is not None and chosen.has_timings:
        mode = _follow_timings(node, device, wanted, found)
        layout = _layout(node, device, buffer_type, mode, wanted)
    elif chosen is not None and chosen.has_standards:
        mode = _follow_standard(node, device, wanted, found)
        layout = _layout(node, device, buffer_type, mode, wanted)
    else:
        mode, layout = _ask_for_size(node, device, buffer_type, wanted)
    return Negotiated(
        format=_read_back(node, buffer_type, mode, layout, wanted),
        input=chosen,
        buffer_type=buffer_type,
        memories=layout.memories,
    )


def capture_type(node: v.Node, device: str) -> int:
    """Return the type of its buffers, single- or multi-planar. Raises DeviceError for what captures nothing."""
    capability = v.v4l2_capability()
    if not is_offered(node, v.VIDIOC_QUERYCAP, capability):
        raise DeviceError(device=device, problem="it is not a video device")
    can = capability.device_caps if capability.capabilities & v.V4L2_CAP_DEVICE_CAPS else capability.capabilities
    if can & v.V4L2_CAP_STREAMING and can & v.V4L2_CAP_VIDEO_CAPTURE:
        return v.V4L2_BUF_TYPE_VIDEO_CAPTURE
    if can & v.V4L2_CAP_STREAMING and can & v.V4L2_CAP_VIDEO_CAPTURE_MPLANE:
        return v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    raise DeviceError(device=device, problem="it does not capture video into mapped buffers")


def arriving(found: Standing) -> str:
    """Return the name of what arrives, where the driver can tell one from another: "" else."""
    if found.timings is not None:
        return timings_mode(found.timings.bt).name
    present = [name for name, bits in ANALOGUE if bits & (found.standards or 0)]
    return present[0] if len(present) == 1 else ""


def named(device: str, chosen: Input | None) -> str:
    """Return what a person calls the input: the connector, where there are several, else the device."""
    return device if chosen is None or chosen.is_alone else chosen.name


def timings_mode(bt: v.v4l2_bt_timings) -> Mode:
    """Put digital timings in words; the frame interval is exact, the rate in the name is rounded (59.94 is p60)."""
    columns = bt.width + bt.hfrontporch + bt.hsync + bt.hbackporch
    lines = bt.height + bt.vfrontporch + bt.vsync + bt.vbackporch
    if bt.interlaced:
        lines += bt.il_vfrontporch + bt.il_vsync + bt.il_vbackporch
    interval_ns = round(1e9 * columns * lines / bt.pixelclock) if bt.pixelclock else 0
    rate = round((2e9 if bt.interlaced else 1e9) / interval_ns) if interval_ns else 0
    return Mode(
        name=f"{bt.width}x{bt.height}{'i' if bt.interlaced else 'p'}{rate}",
        width_px=bt.width,
        height_px=bt.height,
        is_interlaced=bool(bt.interlaced),
        frame_interval_ns=interval_ns,
    )


# ---- standards and timings ----


def _follow_timings(node: v.Node, device: str, wanted: VideoInput, found: Standing) -> Mode:
    """Take the timings that the source sends: a receiver can follow a source, never lead it."""
    if found.timings is None:
        raise DeviceError(device=device, problem="its driver does not say which timings arrive")
    mode = timings_mode(found.timings.bt)
    if not _is_expected(mode.name, wanted):
        raise WrongStandard(device=device, found=mode.name, expected=_expected(wanted))
    node.ioctl(v.VIDIOC_S_DV_TIMINGS, found.timings)
    return mode


def _follow_standard(node: v.Node, device: str, wanted: VideoInput, found: Standing) -> Mode:
    """Take the standard that the decoder detected, or the profile's first where it cannot tell."""
    detected = v.V4L2_STD_525_60 | v.V4L2_STD_625_50 if found.standards is None else found.standards
    present = [(name, bits & detected) for name, bits in ANALOGUE if bits & detected]
    expected = [each for word in wanted.standards for each in present if word in {"any", each[0]}]
    if not expected:
        names = " or ".join(name for name, _ in present) or f"standard {detected:#x}"
        raise WrongStandard(device=device, found=names, expected=_expected(wanted))
    name, bits = expected[0]
    node.ioctl(v.VIDIOC_S_STD, c_uint64(bits))
    return _analogue_mode(name)


def _analogue_mode(name: str) -> Mode:
    is_625 = "625" in name
    return Mode(
        name=name,
        width_px=720,
        height_px=576 if is_625 else 480,
        is_interlaced=True,
        is_analogue=True,
        frame_interval_ns=40_000_000 if is_625 else 33_366_667,
    )


def _is_expected(name: str, wanted: VideoInput) -> bool:
    return "any" in wanted.standards or name in wanted.standards


def _expected(wanted: VideoInput) -> str:
    return " or ".join(wanted.standards)


# ---- a grabber that converts to what it is asked for ----


def _ask_for_size(node: v.Node, device: str, buffer_type: int, wanted: VideoInput) -> tuple[Mode, Layout]:
    """Ask a camera-like grabber for the profile's sizes in turn."""
    found = ""
    for word in wanted.standards:
        mode = _mode_of(word)
        layout = _layout(node, device, buffer_type, mode, wanted)
        interval_ns = _frame_interval_ns(node, buffer_type, mode.frame_interval_ns)
        rate = f"p{round(1e9 / interval_ns)}" if interval_ns else ""
        found = f"{layout.width_px}x{layout.height_px}{rate}"
        if word in {"any", found}:
            return Mode(name=found, frame_interval_ns=interval_ns), layout
    raise WrongStandard(device=device, found=found, expected=_expected(wanted))


def _mode_of(word: str) -> Mode:
    """Read "1280x720p60"; anything else asks for nothing."""
    match = _MODE.match(word)
    if match is None:
        return Mode()
    width, height, scan, rate = match.groups()
    return Mode(
        name=word,
        width_px=int(width),
        height_px=int(height),
        is_interlaced=scan == "i",
        frame_interval_ns=round(1e9 / int(rate)) if int(rate) else 0,
    )


def _frame_interval_ns(node: v.Node, buffer_type: int, asked_ns: int) -> int:
    """Ask for an interval where one is given (VIDIOC_S_PARM), and return the one the driver states; 0: it states none."""
    stated = v.v4l2_streamparm(type=buffer_type)
    if not is_offered(node, v.VIDIOC_G_PARM, stated):
        return 0
    if asked_ns:
        stated.parm.capture.timeperframe = v.v4l2_fract(1, round(1e9 / asked_ns))
        is_offered(node, v.VIDIOC_S_PARM, stated)
    period = stated.parm.capture.timeperframe
    return round(1e9 * period.numerator / period.denominator) if period.denominator else 0


# ---- reading back ----


def _layout(node: v.Node, device: str, buffer_type: int, mode: Mode, wanted: VideoInput) -> Layout:
    size = mode.width_px, mode.height_px
    return set_format(node, device, buffer_type, wanted, size, is_interlaced=mode.is_interlaced)


def _read_back(node: v.Node, buffer_type: int, mode: Mode, layout: Layout, wanted: VideoInput) -> FrameFormat:
    return FrameFormat(
        pixel_format=layout.pixel_format,
        width_px=layout.width_px,
        height_px=layout.height_px,
        stride_bytes=layout.stride_bytes,
        field=field_order(layout.field, mode.name, wanted.top_field_first),
        matrix=layout.matrix,
        range=layout.range,
        frame_interval_ns=mode.frame_interval_ns or 40_000_000,
        pixel_aspect=_pixel_aspect(node, buffer_type, mode),
        standard=mode.name,
        largest_bytes=0 if layout.stride_bytes else layout.memories[0].size_bytes,
    )


def _pixel_aspect(node: v.Node, buffer_type: int, mode: Mode) -> tuple[int, int]:
    """Return (vertical, horizontal): V4L2's y/x is DICOM's order. BT.601's own where an analogue decoder states none."""
    cropcap = v.v4l2_cropcap(type=buffer_type)
    stated = cropcap.pixelaspect
    if is_offered(node, v.VIDIOC_CROPCAP, cropcap) and stated.numerator and stated.denominator:
        return stated.numerator, stated.denominator
    if mode.is_analogue:
        return (11, 10) if "525" in mode.name else (54, 59)
    return 1, 1
