"""linux/videodev2.h in ctypes: the structs, numbers and flags we speak, and the few syscalls that carry them.

Everything bears the kernel's own name, so that a reader finds it in the header and in the V4L2 documentation; nothing here
decides anything. A `Node` is an open video device at the level of its system calls: whatever stands behind one (a driver, or
`gateway.simulators.kernel`) is driven by the same `gateway.device.grabber`. Layouts are those of 64-bit Linux (x86-64, arm64).
Follows linux/videodev2.h, linux/v4l2-controls.h and asm-generic/ioctl.h.
"""
# ruff: noqa: N801  the structs bear the kernel's names

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import select
from collections.abc import Callable
from ctypes import c_char, c_int32, c_int64, c_long, c_uint8, c_uint16, c_uint32, c_uint64, c_ulong
from typing import Final, Protocol, TypeAlias

Argument: TypeAlias = ctypes.Structure | c_int32 | c_uint64
"""What an ioctl reads and fills in."""


class Node(Protocol):
    """An open video device. Every method raises OSError with the kernel's errno."""

    def ioctl(self, request: int, argument: Argument) -> None:
        """Ask the driver: `argument` is read and filled in place."""

    def mmap(self, length: int, offset: int) -> mmap.mmap:
        """Map one buffer, shared; `offset` as VIDIOC_QUERYBUF gave it."""

    def poll(self, timeout_s: float) -> int:
        """Wait for POLLIN, a buffer is filled, or POLLPRI, an event waits: which came, 0 when the time is over."""

    def close(self) -> None:
        """Give the device back. Memory that was mapped stays readable as long as somebody holds it."""


OpenNode: TypeAlias = Callable[[str], Node]


class DeviceNode:
    """A node of the running kernel: /dev/videoN."""

    def __init__(self, path: str) -> None:
        """open(2), so that VIDIOC_DQBUF never blocks."""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN | select.POLLPRI)

    def ioctl(self, request: int, argument: Argument) -> None:
        """See `Node`."""
        fcntl.ioctl(self._fd, request, argument)

    def mmap(self, length: int, offset: int) -> mmap.mmap:
        """See `Node`."""
        return mmap.mmap(self._fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)

    def poll(self, timeout_s: float) -> int:
        """See `Node`."""
        ready = self._poll.poll(timeout_s * 1000)
        return ready[0][1] if ready else 0

    def close(self) -> None:
        """See `Node`."""
        os.close(self._fd)


_the_kernel: OpenNode = DeviceNode


def fourcc(code: int) -> str:
    """Return v4l2_fourcc's number as its four letters, without padding: "YUYV", "Y10"."""
    return code.to_bytes(4, "little").decode("latin-1").rstrip(" \0")


def fourcc_number(text: str) -> int:
    """Return the number of a fourcc: v4l2_fourcc('Y', 'U', 'Y', 'V')."""
    return int.from_bytes(text.ljust(4).encode("latin-1"), "little")


# ---- structs ----


class v4l2_capability(ctypes.Structure):
    """Who the driver is and what it can do (VIDIOC_QUERYCAP)."""

    _fields_ = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]
    driver: bytes
    card: bytes
    bus_info: bytes
    capabilities: int
    device_caps: int


class v4l2_fmtdesc(ctypes.Structure):
    """One pixel format a device can deliver (VIDIOC_ENUM_FMT)."""

    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    ]
    index: int
    type: int
    description: bytes
    pixelformat: int


class v4l2_input(ctypes.Structure):
    """One input, what it can do and how its signal stands (VIDIOC_ENUMINPUT)."""

    _fields_ = [
        ("index", c_uint32),
        ("name", c_char * 32),
        ("type", c_uint32),
        ("audioset", c_uint32),
        ("tuner", c_uint32),
        ("std", c_uint64),
        ("status", c_uint32),
        ("capabilities", c_uint32),
        ("reserved", c_uint32 * 3),
    ]
    index: int
    name: bytes
    type: int
    std: int
    status: int
    capabilities: int


class v4l2_fract(ctypes.Structure):
    """A fraction."""

    _fields_ = [("numerator", c_uint32), ("denominator", c_uint32)]
    numerator: int
    denominator: int


class v4l2_rect(ctypes.Structure):
    """A rectangle in pixels."""

    _fields_ = [("left", c_int32), ("top", c_int32), ("width", c_uint32), ("height", c_uint32)]
    left: int
    top: int
    width: int
    height: int


class v4l2_cropcap(ctypes.Structure):
    """The picture's bounds and its pixel aspect, y/x (VIDIOC_CROPCAP)."""

    _fields_ = [("type", c_uint32), ("bounds", v4l2_rect), ("defrect", v4l2_rect), ("pixelaspect", v4l2_fract)]
    type: int
    bounds: v4l2_rect
    defrect: v4l2_rect
    pixelaspect: v4l2_fract


class v4l2_selection(ctypes.Structure):
    """Which part of the picture is captured, or where it lies in the buffer (VIDIOC_G_SELECTION, VIDIOC_S_SELECTION)."""

    _fields_ = [
        ("type", c_uint32),
        ("target", c_uint32),
        ("flags", c_uint32),
        ("r", v4l2_rect),
        ("reserved", c_uint32 * 9),
    ]
    type: int
    target: int
    flags: int
    r: v4l2_rect


class v4l2_captureparm(ctypes.Structure):
    """The frame interval of a camera-like input."""

    _fields_ = [
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", v4l2_fract),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    ]
    capability: int
    timeperframe: v4l2_fract


class _parm(ctypes.Union):
    _fields_ = [("capture", v4l2_captureparm), ("raw_data", c_uint8 * 200)]
    capture: v4l2_captureparm


class v4l2_streamparm(ctypes.Structure):
    """Streaming parameters (VIDIOC_G_PARM, VIDIOC_S_PARM)."""

    _fields_ = [("type", c_uint32), ("parm", _parm)]
    type: int
    parm: _parm


class v4l2_control(ctypes.Structure):
    """One control's value (VIDIOC_G_CTRL)."""

    _fields_ = [("id", c_uint32), ("value", c_int32)]
    id: int
    value: int


class v4l2_bt_timings(ctypes.Structure):
    """The timings of a digital (or VGA) signal, as BT.656/BT.1120 count them."""

    _pack_ = 1
    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("interlaced", c_uint32),
        ("polarities", c_uint32),
        ("pixelclock", c_uint64),
        ("hfrontporch", c_uint32),
        ("hsync", c_uint32),
        ("hbackporch", c_uint32),
        ("vfrontporch", c_uint32),
        ("vsync", c_uint32),
        ("vbackporch", c_uint32),
        ("il_vfrontporch", c_uint32),
        ("il_vsync", c_uint32),
        ("il_vbackporch", c_uint32),
        ("standards", c_uint32),
        ("flags", c_uint32),
        ("picture_aspect", v4l2_fract),
        ("cea861_vic", c_uint8),
        ("hdmi_vic", c_uint8),
        ("reserved", c_uint8 * 46),
    ]
    width: int
    height: int
    interlaced: int
    pixelclock: int
    hfrontporch: int
    hsync: int
    hbackporch: int
    vfrontporch: int
    vsync: int
    vbackporch: int
    il_vfrontporch: int
    il_vsync: int
    il_vbackporch: int
    flags: int


class _timings(ctypes.Union):
    _pack_ = 1
    _fields_ = [("bt", v4l2_bt_timings), ("reserved", c_uint32 * 32)]
    bt: v4l2_bt_timings


class v4l2_dv_timings(ctypes.Structure):
    """Digital video timings (VIDIOC_QUERY_DV_TIMINGS, VIDIOC_S_DV_TIMINGS)."""

    _pack_ = 1
    _anonymous_ = ("u",)
    _fields_ = [("type", c_uint32), ("u", _timings)]
    type: int
    bt: v4l2_bt_timings


class v4l2_pix_format(ctypes.Structure):
    """What a buffer holds, in one plane."""

    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    ]
    width: int
    height: int
    pixelformat: int
    field: int
    bytesperline: int
    sizeimage: int
    colorspace: int
    priv: int
    flags: int
    ycbcr_enc: int
    quantization: int
    xfer_func: int


class v4l2_plane_pix_format(ctypes.Structure):
    """One plane of a multi-planar format."""

    _pack_ = 1
    _fields_ = [("sizeimage", c_uint32), ("bytesperline", c_uint32), ("reserved", c_uint16 * 6)]
    sizeimage: int
    bytesperline: int


class v4l2_pix_format_mplane(ctypes.Structure):
    """What a buffer holds, through the multi-planar interface."""

    _pack_ = 1
    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("colorspace", c_uint32),
        ("plane_fmt", v4l2_plane_pix_format * 8),
        ("num_planes", c_uint8),
        ("flags", c_uint8),
        ("ycbcr_enc", c_uint8),
        ("quantization", c_uint8),
        ("xfer_func", c_uint8),
        ("reserved", c_uint8 * 7),
    ]
    width: int
    height: int
    pixelformat: int
    field: int
    colorspace: int
    plane_fmt: ctypes.Array[v4l2_plane_pix_format]
    num_planes: int
    flags: int
    ycbcr_enc: int
    quantization: int


class _fmt(ctypes.Union):
    _fields_ = [
        ("pix", v4l2_pix_format),
        ("pix_mp", v4l2_pix_format_mplane),
        ("raw_data", c_uint8 * 200),
        ("_align", c_ulong),  # struct v4l2_window has pointers
    ]
    pix: v4l2_pix_format
    pix_mp: v4l2_pix_format_mplane


class v4l2_format(ctypes.Structure):
    """A format asked for or read back (VIDIOC_G_FMT, VIDIOC_S_FMT)."""

    _fields_ = [("type", c_uint32), ("fmt", _fmt)]
    type: int
    fmt: _fmt


class v4l2_requestbuffers(ctypes.Structure):
    """How many buffers, of which kind (VIDIOC_REQBUFS)."""

    _fields_ = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    ]
    count: int
    type: int
    memory: int


class timeval(ctypes.Structure):
    """struct timeval, seconds and microseconds."""

    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]
    tv_sec: int
    tv_usec: int


class v4l2_timecode(ctypes.Structure):
    """SMPTE time code; unused here, but it takes room."""

    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("frames", c_uint8),
        ("seconds", c_uint8),
        ("minutes", c_uint8),
        ("hours", c_uint8),
        ("userbits", c_uint8 * 4),
    ]


class _plane_m(ctypes.Union):
    _fields_ = [("mem_offset", c_uint32), ("userptr", c_ulong), ("fd", c_int32)]
    mem_offset: int


class v4l2_plane(ctypes.Structure):
    """One plane of a multi-planar buffer."""

    _fields_ = [
        ("bytesused", c_uint32),
        ("length", c_uint32),
        ("m", _plane_m),
        ("data_offset", c_uint32),
        ("reserved", c_uint32 * 11),
    ]
    bytesused: int
    length: int
    m: _plane_m
    data_offset: int


class _buffer_m(ctypes.Union):
    _fields_ = [
        ("offset", c_uint32),
        ("userptr", c_ulong),
        ("planes", ctypes.POINTER(v4l2_plane)),
        ("fd", c_int32),
    ]
    offset: int
    userptr: int
    planes: ctypes._Pointer[v4l2_plane]


class v4l2_buffer(ctypes.Structure):
    """One buffer: asked for, handed over or taken back (VIDIOC_QUERYBUF, VIDIOC_QBUF, VIDIOC_DQBUF)."""

    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", timeval),
        ("timecode", v4l2_timecode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _buffer_m),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    ]
    index: int
    type: int
    bytesused: int
    flags: int
    field: int
    timestamp: timeval
    sequence: int
    memory: int
    m: _buffer_m
    length: int


class v4l2_event_subscription(ctypes.Structure):
    """Which events to be told of (VIDIOC_SUBSCRIBE_EVENT)."""

    _fields_ = [("type", c_uint32), ("id", c_uint32), ("flags", c_uint32), ("reserved", c_uint32 * 5)]
    type: int
    id: int


class v4l2_event_src_change(ctypes.Structure):
    """What of the source changed."""

    _fields_ = [("changes", c_uint32)]
    changes: int


class _event_u(ctypes.Union):
    _fields_ = [("src_change", v4l2_event_src_change), ("data", c_uint8 * 64), ("_align", c_int64)]
    src_change: v4l2_event_src_change


class timespec(ctypes.Structure):
    """struct timespec, seconds and nanoseconds."""

    _fields_ = [("tv_sec", c_long), ("tv_nsec", c_long)]


class v4l2_event(ctypes.Structure):
    """One event (VIDIOC_DQEVENT)."""

    _fields_ = [
        ("type", c_uint32),
        ("u", _event_u),
        ("pending", c_uint32),
        ("sequence", c_uint32),
        ("timestamp", timespec),
        ("id", c_uint32),
        ("reserved", c_uint32 * 8),
    ]
    type: int
    u: _event_u
    pending: int
    id: int


class v4l2_edid(ctypes.Structure):
    """What a receiver tells a source that it is (VIDIOC_G_EDID, VIDIOC_S_EDID)."""

    _fields_ = [
        ("pad", c_uint32),
        ("start_block", c_uint32),
        ("blocks", c_uint32),
        ("reserved", c_uint32 * 5),
        ("edid", ctypes.POINTER(c_uint8)),
    ]
    pad: int
    start_block: int
    blocks: int
    edid: ctypes._Pointer[c_uint8]


# ---- ioctl numbers (asm-generic/ioctl.h) ----

_WRITE: Final = 1
_READ: Final = 2


def _ioc(direction: int, number: int, argument: type[ctypes._CData]) -> int:
    return direction << 30 | ctypes.sizeof(argument) << 16 | ord("V") << 8 | number


VIDIOC_QUERYCAP: Final = _ioc(_READ, 0, v4l2_capability)
VIDIOC_ENUM_FMT: Final = _ioc(_READ | _WRITE, 2, v4l2_fmtdesc)
VIDIOC_G_FMT: Final = _ioc(_READ | _WRITE, 4, v4l2_format)
VIDIOC_S_FMT: Final = _ioc(_READ | _WRITE, 5, v4l2_format)
VIDIOC_REQBUFS: Final = _ioc(_READ | _WRITE, 8, v4l2_requestbuffers)
VIDIOC_QUERYBUF: Final = _ioc(_READ | _WRITE, 9, v4l2_buffer)
VIDIOC_QBUF: Final = _ioc(_READ | _WRITE, 15, v4l2_buffer)
VIDIOC_DQBUF: Final = _ioc(_READ | _WRITE, 17, v4l2_buffer)
VIDIOC_STREAMON: Final = _ioc(_WRITE, 18, c_int32)
VIDIOC_STREAMOFF: Final = _ioc(_WRITE, 19, c_int32)
VIDIOC_G_PARM: Final = _ioc(_READ | _WRITE, 21, v4l2_streamparm)
VIDIOC_S_PARM: Final = _ioc(_READ | _WRITE, 22, v4l2_streamparm)
VIDIOC_G_STD: Final = _ioc(_READ, 23, c_uint64)
VIDIOC_S_STD: Final = _ioc(_WRITE, 24, c_uint64)
VIDIOC_ENUMINPUT: Final = _ioc(_READ | _WRITE, 26, v4l2_input)
VIDIOC_G_CTRL: Final = _ioc(_READ | _WRITE, 27, v4l2_control)
VIDIOC_G_EDID: Final = _ioc(_READ | _WRITE, 40, v4l2_edid)
VIDIOC_S_EDID: Final = _ioc(_READ | _WRITE, 41, v4l2_edid)
VIDIOC_G_INPUT: Final = _ioc(_READ, 38, c_int32)
VIDIOC_S_INPUT: Final = _ioc(_READ | _WRITE, 39, c_int32)
VIDIOC_CROPCAP: Final = _ioc(_READ | _WRITE, 58, v4l2_cropcap)
VIDIOC_G_SELECTION: Final = _ioc(_READ | _WRITE, 94, v4l2_selection)
VIDIOC_S_SELECTION: Final = _ioc(_READ | _WRITE, 95, v4l2_selection)
VIDIOC_QUERYSTD: Final = _ioc(_READ, 63, c_uint64)
VIDIOC_S_DV_TIMINGS: Final = _ioc(_READ | _WRITE, 87, v4l2_dv_timings)
VIDIOC_DQEVENT: Final = _ioc(_READ, 89, v4l2_event)
VIDIOC_SUBSCRIBE_EVENT: Final = _ioc(_WRITE, 90, v4l2_event_subscription)
VIDIOC_QUERY_DV_TIMINGS: Final = _ioc(_READ, 99, v4l2_dv_timings)

# ---- flags and enumerations ----

V4L2_CAP_VIDEO_CAPTURE: Final = 0x0000_0001
V4L2_CAP_VIDEO_CAPTURE_MPLANE: Final = 0x0000_1000
V4L2_CAP_STREAMING: Final = 0x0400_0000
V4L2_CAP_DEVICE_CAPS: Final = 0x8000_0000

V4L2_BUF_TYPE_VIDEO_CAPTURE: Final = 1
V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE: Final = 9
V4L2_MEMORY_MMAP: Final = 1

V4L2_BUF_FLAG_MAPPED: Final = 0x0000_0001
V4L2_BUF_FLAG_QUEUED: Final = 0x0000_0002
V4L2_BUF_FLAG_DONE: Final = 0x0000_0004
V4L2_SEL_TGT_CROP: Final = 0x0000
V4L2_SEL_TGT_CROP_DEFAULT: Final = 0x0001
V4L2_SEL_TGT_COMPOSE: Final = 0x0100
V4L2_SEL_TGT_COMPOSE_DEFAULT: Final = 0x0101
V4L2_BUF_FLAG_ERROR: Final = 0x0000_0040
V4L2_BUF_FLAG_TIMESTAMP_MASK: Final = 0x0000_E000
V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC: Final = 0x0000_2000

V4L2_IN_CAP_DV_TIMINGS: Final = 0x2
V4L2_IN_CAP_STD: Final = 0x4
V4L2_IN_ST_NO_POWER: Final = 0x0000_0001
V4L2_IN_ST_NO_SIGNAL: Final = 0x0000_0002
V4L2_IN_ST_NO_H_LOCK: Final = 0x0000_0100
V4L2_IN_ST_NO_V_LOCK: Final = 0x0000_0400
V4L2_IN_ST_NO_STD_LOCK: Final = 0x0000_0800
V4L2_IN_ST_NO_SYNC: Final = 0x0001_0000

V4L2_STD_UNKNOWN: Final = 0
V4L2_STD_PAL_525: Final = 0x0000_0900
"""V4L2_STD_PAL_M | V4L2_STD_PAL_60: PAL's colour on the lines of NTSC."""
V4L2_STD_PAL_625: Final = 0x0000_06FF
"""V4L2_STD_PAL | V4L2_STD_PAL_N | V4L2_STD_PAL_Nc"""
V4L2_STD_NTSC_525: Final = 0x0000_F000
"""V4L2_STD_NTSC | V4L2_STD_NTSC_443"""
V4L2_STD_SECAM: Final = 0x00FF_0000
V4L2_STD_525_60: Final = V4L2_STD_PAL_525 | V4L2_STD_NTSC_525
V4L2_STD_625_50: Final = V4L2_STD_PAL_625 | V4L2_STD_SECAM
V4L2_STD_PAL: Final = 0x0000_00FF
V4L2_STD_NTSC: Final = 0x0000_B000

V4L2_PIX_FMT_PRIV_MAGIC: Final = 0xFEED_CAFE
V4L2_COLORSPACE_DEFAULT: Final = 0
V4L2_COLORSPACE_SMPTE170M: Final = 1
V4L2_COLORSPACE_SMPTE240M: Final = 2
V4L2_COLORSPACE_REC709: Final = 3
V4L2_COLORSPACE_JPEG: Final = 7
V4L2_COLORSPACE_SRGB: Final = 8
V4L2_COLORSPACE_BT2020: Final = 10
V4L2_COLORSPACE_DCI_P3: Final = 12
V4L2_YCBCR_ENC_DEFAULT: Final = 0
V4L2_YCBCR_ENC_601: Final = 1
V4L2_YCBCR_ENC_709: Final = 2
V4L2_YCBCR_ENC_XV601: Final = 3
V4L2_YCBCR_ENC_XV709: Final = 4
V4L2_YCBCR_ENC_SYCC: Final = 5
V4L2_YCBCR_ENC_BT2020: Final = 6
V4L2_YCBCR_ENC_BT2020_CONST_LUM: Final = 7
V4L2_YCBCR_ENC_SMPTE240M: Final = 8
V4L2_QUANTIZATION_DEFAULT: Final = 0
V4L2_QUANTIZATION_FULL_RANGE: Final = 1
V4L2_QUANTIZATION_LIM_RANGE: Final = 2

V4L2_EVENT_EOS: Final = 2
V4L2_EVENT_SOURCE_CHANGE: Final = 5
V4L2_EVENT_SRC_CH_RESOLUTION: Final = 0x1
V4L2_CID_DV_RX_POWER_PRESENT: Final = 0x00A0_0964
"""Bit per input pin: 5 V of the source seen, so a cable is plugged in (linux/v4l2-controls.h)."""
