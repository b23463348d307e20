"""Pixel formats as a driver states them to the one layout that the gateway reads: names, rows, planes, colours, fields.

What is not read is refused by name. What the driver leaves to a default is resolved by V4L2's own rules
(`V4L2_MAP_COLORSPACE_DEFAULT` and its sisters in linux/videodev2.h). Several planes of memory become one after another.
Follows the V4L2 documentation, "Image Formats", "Colorspaces", "Field Order".
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from gateway.device import v4l2 as v
from gateway.device.inputs import is_offered
from gateway.errors import DeviceError, UnknownPixelFormat
from gateway.model import Field, Matrix, Range
from gateway.profile import VideoInput

READABLE: Final = MappingProxyType(
    {
        **dict.fromkeys(("YUYV", "UYVY", "YVYU", "VYUY", "Y10", "Y12", "Y16"), 2),
        **dict.fromkeys(("GREY", "NV12", "NV21", "YU12", "YV12"), 1),
        **dict.fromkeys(("RGB3", "BGR3", "YUV3"), 3),
        **dict.fromkeys(("XR24", "BGR4"), 4),
        "MJPG": 0,
    }
)
"""Fourccs that a frame may hold, and how many bytes a pixel takes in its first plane; anything else is refused by name."""

SAME: Final = MappingProxyType({"NM12": "NV12", "NM21": "NV21", "YM12": "YU12", "YM21": "YV12", "JPEG": "MJPG"})
"""Fourccs whose planes lie in memories of their own (and JFIF, which is one JPEG a frame too), and what they are put together."""

_FIELDS_APART: Final = {Field.ALTERNATE, Field.SEQ_TB, Field.SEQ_BT}
_RGB: Final = {"RGB3", "BGR3", "XR24", "BGR4"}
_MATRICES: Final = {
    v.V4L2_YCBCR_ENC_601: Matrix.BT601,
    v.V4L2_YCBCR_ENC_XV601: Matrix.BT601,
    v.V4L2_YCBCR_ENC_SYCC: Matrix.BT601,
    v.V4L2_YCBCR_ENC_709: Matrix.BT709,
    v.V4L2_YCBCR_ENC_XV709: Matrix.BT709,
    v.V4L2_YCBCR_ENC_BT2020: Matrix.BT2020,
}
_XVYCC: Final = {v.V4L2_YCBCR_ENC_XV601, v.V4L2_YCBCR_ENC_XV709}
"""They use what lies outside the limited range for more colours: there is no other range, whatever the driver states."""
_DEFAULT_ENC: Final = {
    v.V4L2_COLORSPACE_REC709: v.V4L2_YCBCR_ENC_709,
    v.V4L2_COLORSPACE_DCI_P3: v.V4L2_YCBCR_ENC_709,
    v.V4L2_COLORSPACE_BT2020: v.V4L2_YCBCR_ENC_BT2020,
    v.V4L2_COLORSPACE_SMPTE240M: v.V4L2_YCBCR_ENC_SMPTE240M,
}


class Memory(Struct, frozen=True):
    """One of the memories that a buffer consists of."""

    stride_bytes: int
    size_bytes: int


class Layout(Struct, frozen=True, kw_only=True):
    """What a driver said that its buffers hold, whichever of the two interfaces it said it by."""

    pixel_format: str
    """As the gateway reads it, planes put together."""
    said: str
    """The driver's own fourcc."""
    width_px: int
    height_px: int
    field: Field
    memories: tuple[Memory, ...]
    matrix: Matrix
    range: Range

    @property
    def stride_bytes(self) -> int:
        """Bytes a row of the first plane; 0: compressed."""
        return self.memories[0].stride_bytes if READABLE[self.pixel_format] else 0


def set_format(
    node: v.Node, device: str, buffer_type: int, wanted: VideoInput, size: tuple[int, int], *, is_interlaced: bool
) -> Layout:
    """Ask for the profile's pixel formats in turn; take the driver's own choice where it insists and we read it.

    `size` is columns and rows, 0: as it is. Raises UnknownPixelFormat, DeviceError, OSError.
    """
    found = v.v4l2_format()
    for code in wanted.pixel_formats:
        found = _ask(node, buffer_type, size, code, is_interlaced=is_interlaced)
        name = _said(found)
        if name == code and SAME.get(name, name) in READABLE:
            break
    return _layout(found, device, wanted)


def fourccs(node: v.Node, buffer_type: int) -> Iterator[str]:
    """Yield the pixel formats that a device offers (VIDIOC_ENUM_FMT)."""
    described = v.v4l2_fmtdesc(type=buffer_type)
    while is_offered(node, v.VIDIOC_ENUM_FMT, described):
        yield v.fourcc(described.pixelformat)
        described = v.v4l2_fmtdesc(type=buffer_type, index=described.index + 1)


def colours(pix: v.v4l2_pix_format, device: str) -> tuple[Matrix, Range]:
    """Resolve colour space, encoding and quantisation by V4L2's default rules. Raises UnknownPixelFormat for what has no matrix here."""
    name = v.fourcc(pix.pixelformat)
    is_extended = pix.priv == v.V4L2_PIX_FMT_PRIV_MAGIC
    space = pix.colorspace or _default_colorspace(pix.height)
    encoding = (pix.ycbcr_enc if is_extended else 0) or _DEFAULT_ENC.get(space, v.V4L2_YCBCR_ENC_601)
    quantization = pix.quantization if is_extended else v.V4L2_QUANTIZATION_DEFAULT
    is_jpeg = SAME.get(name, name) == "MJPG"
    if is_jpeg:  # JFIF knows one matrix and one range, whatever the driver states
        return Matrix.BT601, Range.FULL
    is_full = name in _RGB or space == v.V4L2_COLORSPACE_JPEG
    if quantization != v.V4L2_QUANTIZATION_DEFAULT:
        is_full = quantization == v.V4L2_QUANTIZATION_FULL_RANGE
    is_full = is_full and encoding not in _XVYCC
    if encoding not in _MATRICES:
        raise UnknownPixelFormat(device=device, fourcc=f"{name} with colour encoding {encoding}")
    return _MATRICES[encoding], Range.FULL if is_full else Range.LIMITED


def field_order(field: Field, standard: str, top_field_first: bool | None) -> Field:  # noqa: FBT001  it is the profile's three-valued field
    """Say which field of INTERLACED is older: as the profile states, else M/NTSC sends the bottom first, all others the top."""
    if field is not Field.INTERLACED:
        return field
    is_top_first = top_field_first if top_field_first is not None else "525/60" not in standard
    return Field.INTERLACED_TB if is_top_first else Field.INTERLACED_BT


def _ask(node: v.Node, buffer_type: int, size: tuple[int, int], code: str, *, is_interlaced: bool) -> v.v4l2_format:
    """Do one VIDIOC_S_FMT, on top of what is set, and return what the driver made of it."""
    asked = v.v4l2_format(type=buffer_type)
    node.ioctl(v.VIDIOC_G_FMT, asked)
    is_multi = buffer_type == v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    pix = asked.fmt.pix_mp if is_multi else asked.fmt.pix
    pix.width, pix.height = size[0] or pix.width, size[1] or pix.height
    pix.pixelformat = v.fourcc_number(code)
    pix.field = Field.INTERLACED if is_interlaced else Field.NONE
    if is_multi:
        multi = asked.fmt.pix_mp
        multi.num_planes = {"NM12": 2, "NM21": 2, "YM12": 3, "YM21": 3}.get(code, 1)
        for plane in multi.plane_fmt:
            plane.bytesperline = plane.sizeimage = 0
    else:
        asked.fmt.pix.bytesperline = asked.fmt.pix.sizeimage = 0
        asked.fmt.pix.priv = v.V4L2_PIX_FMT_PRIV_MAGIC
    node.ioctl(v.VIDIOC_S_FMT, asked)
    if (
        pix.field == Field.ALTERNATE and size[1] and pix.height > size[1] // 2
    ):  # each buffer is one field: whoever scales made it as high as a picture
        pix.height = size[1] // 2
        node.ioctl(v.VIDIOC_S_FMT, asked)
    if _take_all(node):
        node.ioctl(v.VIDIOC_G_FMT, asked)
    return asked


def _take_all(node: v.Node) -> bool:
    """Undo what another program left: a part cut out, or scaled. "Applications should set the rectangles to their defaults first"."""
    has_set = False
    for target, default in (
        (v.V4L2_SEL_TGT_CROP, v.V4L2_SEL_TGT_CROP_DEFAULT),
        (v.V4L2_SEL_TGT_COMPOSE, v.V4L2_SEL_TGT_COMPOSE_DEFAULT),
    ):
        whole = v.v4l2_selection(type=v.V4L2_BUF_TYPE_VIDEO_CAPTURE, target=default)
        if is_offered(node, v.VIDIOC_G_SELECTION, whole):
            whole.target = target
            has_set |= is_offered(node, v.VIDIOC_S_SELECTION, whole)
    return has_set


def _said(found: v.v4l2_format) -> str:
    is_multi = found.type == v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    return v.fourcc(found.fmt.pix_mp.pixelformat if is_multi else found.fmt.pix.pixelformat)


def _layout(found: v.v4l2_format, device: str, wanted: VideoInput) -> Layout:
    """Believe what was read back, once it makes sense. Raises UnknownPixelFormat, DeviceError."""
    is_multi = found.type == v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    pix = _as_single(found.fmt.pix_mp) if is_multi else found.fmt.pix
    said = v.fourcc(pix.pixelformat)
    name = SAME.get(said, said)
    if name not in READABLE:
        raise UnknownPixelFormat(device=device, fourcc=said)
    memories = _memories(found.fmt.pix_mp) if is_multi else (Memory(pix.bytesperline, pix.sizeimage),)
    if len(memories) != _memories_of(said):
        raise UnknownPixelFormat(device=device, fourcc=f"{said} in {len(memories)} planes")
    if name == "MJPG" and pix.field in _FIELDS_APART:
        raise UnknownPixelFormat(device=device, fourcc=f"{said}, one for each field")
    if min(pix.width, pix.height) < 1 or memories[0].stride_bytes < READABLE[name] * pix.width:
        problem = f"it states {pix.width}x{pix.height} pixels of {said} in rows of {memories[0].stride_bytes} bytes"
        raise DeviceError(device=device, problem=problem)
    matrix, quantisation = colours(pix, device)
    return Layout(
        pixel_format=name,
        said=said,
        width_px=pix.width,
        height_px=pix.height,
        field=Field(pix.field or Field.NONE),
        memories=memories,
        matrix=matrix if wanted.matrix == "driver" else Matrix(wanted.matrix),
        range=quantisation if wanted.range == "driver" else Range(wanted.range),
    )


def _memories(multi: v.v4l2_pix_format_mplane) -> tuple[Memory, ...]:
    planes = multi.plane_fmt[: max(1, min(multi.num_planes, len(multi.plane_fmt)))]
    return tuple(Memory(plane.bytesperline, plane.sizeimage) for plane in planes)


def _memories_of(said: str) -> int:
    """Return how many memories a buffer of a format has: as many as planes where its name says so, else one."""
    if said not in SAME or SAME[said] == "MJPG":
        return 1
    return 2 if SAME[said].startswith("NV") else 3


def _as_single(multi: v.v4l2_pix_format_mplane) -> v.v4l2_pix_format:
    """State a multi-planar format as the single-planar interface would."""
    return v.v4l2_pix_format(
        width=multi.width,
        height=multi.height,
        pixelformat=multi.pixelformat,
        field=multi.field,
        colorspace=multi.colorspace,
        priv=v.V4L2_PIX_FMT_PRIV_MAGIC,
        ycbcr_enc=multi.ycbcr_enc,
        quantization=multi.quantization,
    )


def _default_colorspace(height_px: int) -> int:
    """V4L2_MAP_COLORSPACE_DEFAULT: SD is SMPTE 170M, HD is Rec. 709."""
    return v.V4L2_COLORSPACE_REC709 if height_px >= 720 else v.V4L2_COLORSPACE_SMPTE170M
