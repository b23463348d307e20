"""What a profile wants and what a driver offers to one FrameFormat: input, standard or timings, pixel format, colour, aspect.

Nothing is believed because it was asked for: every value is read back from the driver. What the driver leaves to a default is
resolved by V4L2's own rules (`V4L2_MAP_COLORSPACE_DEFAULT` and its sisters in linux/videodev2.h); what the gateway does not
read is refused by name. A standard that the profile does not expect is refused too: its crop and mask would fit by chance only.
Follows the V4L2 documentation, "Digital Video (DV) Timings", "Video Standards", "Colorspaces", "Field Order".
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from ctypes import c_int32, c_uint64
from typing import Final

from msgspec import Struct

from gateway.device import v4l2 as v
from gateway.errors import DeviceError, NoSignal, UnknownPixelFormat, WrongStandard
from gateway.model import Field, FrameFormat, Matrix, Range, Signal
from gateway.profile import VideoInput

READABLE: Final = ("YUYV", "UYVY", "YVYU", "VYUY", "NV12", "NV21", "YU12", "GREY", "RGB3", "BGR3")
"""Fourccs a buffer may hold; anything else is refused by name."""

ANALOGUE: Final = (
    ("PAL 625/50i", v.V4L2_STD_PAL_625),
    ("NTSC 525/60i", v.V4L2_STD_NTSC_525),
    ("PAL 525/60i", v.V4L2_STD_PAL_525),
    ("SECAM 625/50i", v.V4L2_STD_SECAM),
)
"""Analogue standards in words, as profiles write them."""

_MODE: Final = re.compile(r"(\d+)x(\d+)([pi])(\d+)$")
_NOT_OFFERED: Final = {errno.ENOTTY, errno.ENODATA, errno.EINVAL}
_SIGNALS: Final = {errno.ENOLINK: Signal.NO_SIGNAL, errno.ENOLCK: Signal.NO_LOCK, errno.ERANGE: Signal.OUT_OF_RANGE}
_NO_LOCK: Final = v.V4L2_IN_ST_NO_H_LOCK | v.V4L2_IN_ST_NO_V_LOCK | v.V4L2_IN_ST_NO_STD_LOCK | v.V4L2_IN_ST_NO_SYNC
_RGB: Final = {"RGB3", "BGR3"}
_MATRICES: Final = {
    v.V4L2_YCBCR_ENC_601: Matrix.BT601,
    v.V4L2_YCBCR_ENC_XV601: Matrix.BT601,
    v.V4L2_YCBCR_ENC_SYCC: Matrix.BT601,
    v.V4L2_YCBCR_ENC_709: Matrix.BT709,
    v.V4L2_YCBCR_ENC_XV709: Matrix.BT709,
    v.V4L2_YCBCR_ENC_BT2020: Matrix.BT2020,
}
_DEFAULT_ENC: Final = {
    v.V4L2_COLORSPACE_REC709: v.V4L2_YCBCR_ENC_709,
    v.V4L2_COLORSPACE_DCI_P3: v.V4L2_YCBCR_ENC_709,
    v.V4L2_COLORSPACE_BT2020: v.V4L2_YCBCR_ENC_BT2020,
    v.V4L2_COLORSPACE_SMPTE240M: v.V4L2_YCBCR_ENC_SMPTE240M,
}


class Input(Struct, frozen=True, kw_only=True):
    """One connector of a grabber."""

    index: int
    name: str
    has_timings: bool
    has_standards: bool
    status: int


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


def negotiate(node: v.Node, device: str, wanted: VideoInput) -> Negotiated:
    """Set the device up for `wanted`. Raises NoSignal, WrongStandard, UnknownPixelFormat, DeviceError, OSError."""
    buffer_type = _buffer_type(node, device)
    chosen = choose_input(node, device, wanted)
    state = signal(node, chosen)
    if state is not Signal.LOCKED:
        raise NoSignal(device=device, signal=state)
    if chosen is not None and chosen.has_timings:
        mode = _follow_timings(node, device, wanted)
        pix = _set_format(node, device, buffer_type, mode, wanted)
    elif chosen is not None and chosen.has_standards:
        mode = _follow_standard(node, device, wanted)
        pix = _set_format(node, device, buffer_type, mode, wanted)
    else:
        mode, pix = _ask_for_size(node, device, buffer_type, wanted)
    return Negotiated(
        format=_read_back(node, device, buffer_type, mode, pix, wanted), input=chosen, buffer_type=buffer_type
    )


def inputs(node: v.Node) -> list[Input]:
    """Return the connectors of a device (VIDIOC_ENUMINPUT); empty where the driver has no notion of them."""
    found = []
    offered = v.v4l2_input()
    while _is_offered(node, v.VIDIOC_ENUMINPUT, offered):
        found.append(_input(offered))
        offered = v.v4l2_input(index=offered.index + 1)
    return found


def choose_input(node: v.Node, device: str, wanted: VideoInput) -> Input | None:
    """Select the input that the profile names, else the only one its connector's name fits, else leave what is selected."""
    offered = inputs(node)
    if not offered:
        return None
    current = c_int32()
    node.ioctl(v.VIDIOC_G_INPUT, current)
    chosen = _named(offered, wanted, device) or next(each for each in offered if each.index == current.value)
    if chosen.index != current.value:
        node.ioctl(v.VIDIOC_S_INPUT, c_int32(chosen.index))
    return chosen


def signal(node: v.Node, chosen: Input | None) -> Signal:
    """Ask the driver what stands on the input: LOCKED, or what is missing. Cheap enough to ask each second."""
    if chosen is None:
        return Signal.LOCKED
    if chosen.has_timings:
        return _timings_signal(node)
    status = v.v4l2_input(index=chosen.index)
    node.ioctl(v.VIDIOC_ENUMINPUT, status)
    if status.status & (v.V4L2_IN_ST_NO_POWER | v.V4L2_IN_ST_NO_SIGNAL):
        return Signal.NO_SIGNAL
    return Signal.NO_LOCK if status.status & _NO_LOCK else Signal.LOCKED


def fourccs(node: v.Node, buffer_type: int) -> Iterator[str]:
    """Yield the pixel formats that a device offers (VIDIOC_ENUM_FMT)."""
    described = v.v4l2_fmtdesc(type=buffer_type)
    while _is_offered(node, v.VIDIOC_ENUM_FMT, described):
        yield v.fourcc(described.pixelformat)
        described = v.v4l2_fmtdesc(type=buffer_type, index=described.index + 1)


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


def colours(pix: v.v4l2_pix_format, device: str) -> tuple[Matrix, Range]:
    """Resolve colour space, encoding and quantisation by V4L2's default rules. Raises UnknownPixelFormat for what has no matrix here."""
    name = v.fourcc(pix.pixelformat)
    is_extended = pix.priv == v.V4L2_PIX_FMT_PRIV_MAGIC
    space = pix.colorspace or _default_colorspace(pix.height)
    encoding = (pix.ycbcr_enc if is_extended else 0) or _DEFAULT_ENC.get(space, v.V4L2_YCBCR_ENC_601)
    quantization = pix.quantization if is_extended else v.V4L2_QUANTIZATION_DEFAULT
    is_full = name in _RGB or space == v.V4L2_COLORSPACE_JPEG
    if quantization != v.V4L2_QUANTIZATION_DEFAULT:
        is_full = quantization == v.V4L2_QUANTIZATION_FULL_RANGE
    if encoding not in _MATRICES:
        raise UnknownPixelFormat(device=device, fourcc=f"{name} with colour encoding {encoding}")
    return _MATRICES[encoding], Range.FULL if is_full else Range.LIMITED


# ---- device and input ----


def _buffer_type(node: v.Node, device: str) -> int:
    capability = v.v4l2_capability()
    if not _is_offered(node, v.VIDIOC_QUERYCAP, capability):
        raise DeviceError(device=device, problem="it is not a video device")
    can = capability.device_caps if capability.capabilities & v.V4L2_CAP_DEVICE_CAPS else capability.capabilities
    if can & v.V4L2_CAP_STREAMING and can & v.V4L2_CAP_VIDEO_CAPTURE:
        return v.V4L2_BUF_TYPE_VIDEO_CAPTURE
    if can & v.V4L2_CAP_STREAMING and can & v.V4L2_CAP_VIDEO_CAPTURE_MPLANE:
        return v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    raise DeviceError(device=device, problem="it does not capture video into mapped buffers")


def _input(offered: v.v4l2_input) -> Input:
    return Input(
        index=offered.index,
        name=offered.name.decode("utf-8", "replace"),
        has_timings=bool(offered.capabilities & v.V4L2_IN_CAP_DV_TIMINGS),
        has_standards=bool(offered.capabilities & v.V4L2_IN_CAP_STD),
        status=offered.status,
    )


def _named(offered: list[Input], wanted: VideoInput, device: str) -> Input | None:
    if wanted.input_name:
        for each in offered:
            if each.name.casefold() == wanted.input_name.casefold():
                return each
        names = ", ".join(each.name for each in offered)
        raise DeviceError(device=device, problem=f"it has no input named {wanted.input_name}, only {names}")
    fitting = [each for each in offered if wanted.connector in each.name.casefold()]
    return fitting[0] if len(fitting) == 1 else None


# ---- standards and timings ----


def _timings_signal(node: v.Node) -> Signal:
    power = v.v4l2_control(id=v.V4L2_CID_DV_RX_POWER_PRESENT)
    if _is_offered(node, v.VIDIOC_G_CTRL, power) and not power.value:
        return Signal.NO_CABLE
    try:
        node.ioctl(v.VIDIOC_QUERY_DV_TIMINGS, v.v4l2_dv_timings())
    except OSError as error:
        if error.errno in _SIGNALS:
            return _SIGNALS[error.errno]
        if error.errno not in _NOT_OFFERED:
            raise
    return Signal.LOCKED


def _follow_timings(node: v.Node, device: str, wanted: VideoInput) -> Mode:
    """Take the timings that the source sends: a receiver can follow a source, never lead it."""
    timings = v.v4l2_dv_timings()
    node.ioctl(v.VIDIOC_QUERY_DV_TIMINGS, timings)
    mode = timings_mode(timings.bt)
    if not _is_expected(mode.name, wanted):
        raise WrongStandard(device=device, found=mode.name, expected=_expected(wanted))
    node.ioctl(v.VIDIOC_S_DV_TIMINGS, timings)
    return mode


def _follow_standard(node: v.Node, device: str, wanted: VideoInput) -> Mode:
    """Take the standard that the decoder detected, or the profile's first where it cannot tell."""
    detected = c_uint64()
    if not _is_offered(node, v.VIDIOC_QUERYSTD, detected):
        detected = c_uint64(v.V4L2_STD_525_60 | v.V4L2_STD_625_50)
    if detected.value == v.V4L2_STD_UNKNOWN:
        raise NoSignal(device=device, signal=Signal.NO_SIGNAL)
    present = [(name, bits & detected.value) for name, bits in ANALOGUE if bits & detected.value]
    expected = [each for word in wanted.standards for each in present if word in {"any", each[0]}]
    if not expected:
        found = " or ".join(name for name, _ in present) or f"standard {detected.value:#x}"
        raise WrongStandard(device=device, found=found, expected=_expected(wanted))
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


# ---- pixel format ----


def _set_format(node: v.Node, device: str, buffer_type: int, mode: Mode, wanted: VideoInput) -> v.v4l2_pix_format:
    """Ask for the profile's pixel formats in turn; take the driver's own choice where it insists and we read it."""
    pix = v.v4l2_pix_format()
    for code in wanted.pixel_formats:
        pix = _ask(node, device, buffer_type, mode, code)
        if v.fourcc(pix.pixelformat) == code and code in READABLE:
            return pix
    if v.fourcc(pix.pixelformat) not in READABLE:
        raise UnknownPixelFormat(device=device, fourcc=v.fourcc(pix.pixelformat))
    return pix


def _ask(node: v.Node, device: str, buffer_type: int, mode: Mode, code: str) -> v.v4l2_pix_format:
    """Do one VIDIOC_S_FMT, on top of what is set, and return what the driver made of it, as one plane."""
    asked = v.v4l2_format(type=buffer_type)
    node.ioctl(v.VIDIOC_G_FMT, asked)
    is_multi = buffer_type == v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    pix = asked.fmt.pix_mp if is_multi else asked.fmt.pix
    pix.width, pix.height = mode.width_px or pix.width, mode.height_px or pix.height
    pix.pixelformat = v.fourcc_number(code)
    pix.field = Field.INTERLACED if mode.is_interlaced else Field.NONE
    if is_multi:
        asked.fmt.pix_mp.num_planes = 1
    else:
        asked.fmt.pix.bytesperline = asked.fmt.pix.sizeimage = 0
        asked.fmt.pix.priv = v.V4L2_PIX_FMT_PRIV_MAGIC
    node.ioctl(v.VIDIOC_S_FMT, asked)
    return _one_plane(asked.fmt.pix_mp, device) if is_multi else asked.fmt.pix


def _one_plane(multi: v.v4l2_pix_format_mplane, device: str) -> v.v4l2_pix_format:
    """Read a multi-planar format that uses one plane as the single-planar one it is."""
    if multi.num_planes != 1:
        raise UnknownPixelFormat(device=device, fourcc=f"{v.fourcc(multi.pixelformat)} in {multi.num_planes} planes")
    plane = multi.plane_fmt[0]
    return v.v4l2_pix_format(
        width=multi.width,
        height=multi.height,
        pixelformat=multi.pixelformat,
        field=multi.field,
        bytesperline=plane.bytesperline,
        sizeimage=plane.sizeimage,
        colorspace=multi.colorspace,
        priv=v.V4L2_PIX_FMT_PRIV_MAGIC,
        ycbcr_enc=multi.ycbcr_enc,
        quantization=multi.quantization,
    )


def _ask_for_size(node: v.Node, device: str, buffer_type: int, wanted: VideoInput) -> tuple[Mode, v.v4l2_pix_format]:
    """Ask a camera-like grabber, which converts to what it is asked for, for the profile's sizes in turn."""
    found = ""
    for word in wanted.standards:
        mode = _mode_of(word)
        pix = _set_format(node, device, buffer_type, mode, wanted)
        interval_ns = _frame_interval_ns(node, buffer_type, mode.frame_interval_ns)
        rate = f"p{round(1e9 / interval_ns)}" if interval_ns else ""
        found = f"{pix.width}x{pix.height}{rate}"
        if word in {"any", found}:
            return Mode(name=found, frame_interval_ns=interval_ns), pix
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
    if not _is_offered(node, v.VIDIOC_G_PARM, stated):
        return 0
    if asked_ns:
        stated.parm.capture.timeperframe = v.v4l2_fract(1, round(1e9 / asked_ns))
        _is_offered(node, v.VIDIOC_S_PARM, stated)
    period = stated.parm.capture.timeperframe
    return round(1e9 * period.numerator / period.denominator) if period.denominator else 0


# ---- reading back ----


def _read_back(
    node: v.Node, device: str, buffer_type: int, mode: Mode, pix: v.v4l2_pix_format, wanted: VideoInput
) -> FrameFormat:
    matrix, quantisation = colours(pix, device)
    return FrameFormat(
        pixel_format=v.fourcc(pix.pixelformat),
        width_px=pix.width,
        height_px=pix.height,
        stride_bytes=pix.bytesperline,
        field=field_order(Field(pix.field), mode.name, wanted.top_field_first),
        matrix=matrix,
        range=quantisation,
        frame_interval_ns=mode.frame_interval_ns or 40_000_000,
        pixel_aspect=_pixel_aspect(node, buffer_type, mode),
        standard=mode.name,
    )


def field_order(field: Field, standard: str, top_field_first: bool | None) -> Field:  # noqa: FBT001  it is the profile's three-valued field
    """Say which field of INTERLACED is older: as the profile states, else M/NTSC sends the bottom first, all others the top."""
    if field is not Field.INTERLACED:
        return field
    is_top_first = top_field_first if top_field_first is not None else "525/60" not in standard
    return Field.INTERLACED_TB if is_top_first else Field.INTERLACED_BT


def _pixel_aspect(node: v.Node, buffer_type: int, mode: Mode) -> tuple[int, int]:
    """Return (vertical, horizontal): V4L2's y/x is DICOM's order. BT.601's own where an analogue decoder states none."""
    cropcap = v.v4l2_cropcap(type=buffer_type)
    stated = cropcap.pixelaspect
    if _is_offered(node, v.VIDIOC_CROPCAP, cropcap) and stated.numerator and stated.denominator:
        return stated.numerator, stated.denominator
    if mode.is_analogue:
        return (11, 10) if "525" in mode.name else (54, 59)
    return 1, 1


def _default_colorspace(height_px: int) -> int:
    """V4L2_MAP_COLORSPACE_DEFAULT: SD is SMPTE 170M, HD is Rec. 709."""
    return v.V4L2_COLORSPACE_REC709 if height_px >= 720 else v.V4L2_COLORSPACE_SMPTE170M


def _is_offered(node: v.Node, request: int, argument: v.Argument) -> bool:
    """Do an ioctl that a driver may not have, or that ends a list."""
    try:
        node.ioctl(request, argument)
    except OSError as error:
        if error.errno in _NOT_OFFERED:
            return False
        raise
    return True
