"""The connectors of a grabber to Inputs, and what stands on one to a Signal.

Cheap enough to ask each second; what a driver has no notion of is never held against it. Follows the V4L2 documentation,
"Video Inputs and Outputs", "Video Standards", "Digital Video (DV) Timings", and linux/v4l2-controls.h.
"""

from __future__ import annotations

import ctypes
import errno
from ctypes import c_int32, c_uint8, c_uint64
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.device import v4l2 as v
from gateway.errors import DeviceError
from gateway.model import Signal
from gateway.profile import VideoInput

_NOT_OFFERED: Final = {errno.ENOTTY, errno.ENODATA, errno.EINVAL}
_NOT_SAID: Final = {*_NOT_OFFERED, errno.EBUSY}
"""A decoder that may not look for another standard while it streams says EBUSY."""
_SIGNALS: Final = {errno.ENOLINK: Signal.NO_SIGNAL, errno.ENOLCK: Signal.NO_LOCK, errno.ERANGE: Signal.OUT_OF_RANGE}
_NO_SIGNAL: Final = v.V4L2_IN_ST_NO_POWER | v.V4L2_IN_ST_NO_SIGNAL
_NO_LOCK: Final = v.V4L2_IN_ST_NO_H_LOCK | v.V4L2_IN_ST_NO_V_LOCK | v.V4L2_IN_ST_NO_STD_LOCK | v.V4L2_IN_ST_NO_SYNC


class Input(Struct, frozen=True, kw_only=True):
    """One connector of a grabber."""

    index: int
    name: str
    has_timings: bool
    has_standards: bool
    status: int
    place: int = 0
    """Among the connectors with timings, from 0: its bit in V4L2_CID_DV_RX_POWER_PRESENT."""
    is_alone: bool = True
    """There is no other connector: its name tells nobody anything."""


class Standing(NamedTuple):
    """What stands on a connector at one moment."""

    signal: Signal
    """LOCKED, or what is missing."""
    timings: v.v4l2_dv_timings | None = None
    """What arrives; None without a signal, or where the driver cannot tell."""
    standards: int | None = None
    """Analogue standards that the decoder thinks possible; None as above, or not now."""


def inputs(node: v.Node) -> list[Input]:
    """Return the connectors of a device (VIDIOC_ENUMINPUT); empty where the driver has no notion of them."""
    found: list[v.v4l2_input] = []
    offered = v.v4l2_input()
    while is_offered(node, v.VIDIOC_ENUMINPUT, offered):
        found.append(offered)
        offered = v.v4l2_input(index=offered.index + 1)
    digital = [each.index for each in found if each.capabilities & v.V4L2_IN_CAP_DV_TIMINGS]
    return [
        Input(
            index=each.index,
            name=each.name.decode("utf-8", "replace"),
            has_timings=each.index in digital,
            has_standards=bool(each.capabilities & v.V4L2_IN_CAP_STD),
            status=each.status,
            place=digital.index(each.index) if each.index in digital else 0,
            is_alone=len(found) == 1,
        )
        for each in found
    ]


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


def standing(node: v.Node, chosen: Input | None) -> Standing:
    """Ask the driver once what stands on the input, and whether anything is missing."""
    if chosen is None:
        return Standing(Signal.LOCKED)
    if chosen.has_timings:
        return _timings_standing(node, chosen)
    status = v.v4l2_input(index=chosen.index)
    node.ioctl(v.VIDIOC_ENUMINPUT, status)
    if status.status & _NO_SIGNAL:
        return Standing(Signal.NO_SIGNAL)
    if status.status & _NO_LOCK:
        return Standing(Signal.NO_LOCK)
    detected = _standards(node) if chosen.has_standards else None
    return Standing(Signal.NO_SIGNAL if detected == v.V4L2_STD_UNKNOWN else Signal.LOCKED, standards=detected)


def present_edid(node: v.Node, chosen: Input | None, edid: bytes) -> None:
    """Let the receiver present an EDID, unless it does already: every change makes the source start anew.

    A driver that has no receiver takes none, and nothing is said. Raises OSError, E2BIG for more blocks than it takes.
    """
    place = chosen.index if chosen is not None else 0
    blocks = len(edid) // 128
    now = (c_uint8 * 256)()
    asked = v.v4l2_edid(pad=place, blocks=2, edid=ctypes.cast(now, ctypes.POINTER(c_uint8)))
    if is_offered(node, v.VIDIOC_G_EDID, asked) and bytes(now[: 128 * asked.blocks]) == edid:
        return
    told = (c_uint8 * len(edid)).from_buffer_copy(edid)
    wish = v.v4l2_edid(pad=place, blocks=blocks, edid=ctypes.cast(told, ctypes.POINTER(c_uint8)))
    is_offered(node, v.VIDIOC_S_EDID, wish)


def is_offered(node: v.Node, request: int, argument: v.Argument) -> bool:
    """Do an ioctl that a driver may not have, or that ends a list."""
    try:
        node.ioctl(request, argument)
    except OSError as error:
        if error.errno in _NOT_OFFERED:
            return False
        raise
    return True


def _named(offered: list[Input], wanted: VideoInput, device: str) -> Input | None:
    if wanted.input_name:
        for each in offered:
            if each.name.casefold() == wanted.input_name.casefold():
                return each
        names = ", ".join(each.name for each in offered)
        raise DeviceError(device=device, problem=f"it has no input named {wanted.input_name}, only {names}")
    fitting = [each for each in offered if wanted.connector in each.name.casefold()]
    return fitting[0] if len(fitting) == 1 else None


def _timings_standing(node: v.Node, chosen: Input) -> Standing:
    """VIDIOC_QUERY_DV_TIMINGS, whose errors are states of the signal."""
    power = v.v4l2_control(id=v.V4L2_CID_DV_RX_POWER_PRESENT)
    if is_offered(node, v.VIDIOC_G_CTRL, power) and not power.value >> chosen.place & 1:
        return Standing(Signal.NO_CABLE)
    found = v.v4l2_dv_timings()
    try:
        is_told = is_offered(node, v.VIDIOC_QUERY_DV_TIMINGS, found)
    except OSError as error:
        if error.errno not in _SIGNALS:
            raise
        return Standing(_SIGNALS[error.errno])
    return Standing(Signal.LOCKED, timings=found if is_told else None)


def _standards(node: v.Node) -> int | None:
    """Return the analogue standards that the decoder thinks possible (VIDIOC_QUERYSTD); None: it cannot tell, or not now."""
    detected = c_uint64()
    try:
        node.ioctl(v.VIDIOC_QUERYSTD, detected)
    except OSError as error:
        if error.errno in _NOT_SAID:
            return None
        raise
    return int(detected.value)
