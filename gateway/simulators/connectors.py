"""The connectors of a simulated grabber at the driver's ioctls: inputs, standards, timings, EDID, and what is told of changes.

As the kernel's `vivid`: composite, S-Video and HDMI, each with what V4L2 knows of it; or one camera, of which it knows nothing.
Follows Documentation/userspace-api/media/v4l, "Video Inputs and Outputs", "Digital Video (DV) Timings", "Event Interface".
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from ctypes import c_int32, c_uint64
from typing import Any, Final

from gateway.device import v4l2 as v
from gateway.model import Field, FrameFormat, Signal
from gateway.simulators.scanner import Scanner

COMPOSITE, S_VIDEO, HDMI = 0, 1, 2
_NAMES: Final = ("Composite 0", "S-Video 0", "HDMI 0")
_ERRNOS: Final = {
    Signal.NO_CABLE: errno.ENOLINK,
    Signal.NO_SIGNAL: errno.ENOLINK,
    Signal.NO_LOCK: errno.ENOLCK,
    Signal.OUT_OF_RANGE: errno.ERANGE,
}
_STATUS: Final = {
    Signal.NO_CABLE: v.V4L2_IN_ST_NO_SIGNAL,
    Signal.NO_SIGNAL: v.V4L2_IN_ST_NO_SIGNAL,
    Signal.NO_LOCK: v.V4L2_IN_ST_NO_H_LOCK,
    Signal.OUT_OF_RANGE: v.V4L2_IN_ST_NO_STD_LOCK,
}
_EDID_BLOCKS: Final = 2


class Front:
    """The grabber's connectors, whoever has it open."""

    def __init__(self, scanner: Scanner, *, is_camera: bool, has_events: bool) -> None:
        """`is_camera`: one input without standards or timings."""
        self.scanner = scanner
        self.is_camera = is_camera
        self.has_events = has_events
        self.edid = b""
        """What it was told to present to the source."""

    @property
    def connected(self) -> int:
        """The input that the scanner's cable is in: analogue standards on S-Video, everything else on HDMI."""
        if self.is_camera:
            return 0
        return S_VIDEO if "/" in self.scanner.playback.format.standard else HDMI


class Inputs:
    """What one open file sees of them, and has chosen."""

    def __init__(self, front: Front, is_streaming: Callable[[], bool]) -> None:
        """The first input is selected; nothing can be chosen while `is_streaming`."""
        self._front = front
        self._is_streaming = is_streaming
        self._standard = v.V4L2_STD_NTSC
        self._subscribed: set[int] = set()
        self._changes = front.scanner.changes
        self.selected = 0
        self.calls: dict[int, Callable[[Any], None]] = {
            v.VIDIOC_ENUMINPUT: self._enuminput,
            v.VIDIOC_G_INPUT: self._g_input,
            v.VIDIOC_S_INPUT: self._s_input,
            v.VIDIOC_QUERYSTD: self._querystd,
            v.VIDIOC_S_STD: self._s_std,
            v.VIDIOC_G_CTRL: self._g_ctrl,
            v.VIDIOC_QUERY_DV_TIMINGS: self._query_dv_timings,
            v.VIDIOC_S_DV_TIMINGS: self._s_dv_timings,
            v.VIDIOC_S_EDID: self._s_edid,
            v.VIDIOC_G_EDID: self._g_edid,
            v.VIDIOC_CROPCAP: self._cropcap,
            v.VIDIOC_SUBSCRIBE_EVENT: self._subscribe,
            v.VIDIOC_DQEVENT: self._dqevent,
        }
        """What answers each ioctl that is about connectors."""

    @property
    def signal(self) -> Signal:
        """What stands on the input that is selected."""
        return self._front.scanner.signal if self.selected == self._front.connected else Signal.NO_SIGNAL

    @property
    def has_event(self) -> bool:
        """Is there something to tell?"""
        is_told = self._front.has_events and self.selected in self._subscribed
        return is_told and self._changes != self._front.scanner.changes

    def refuse_while_streaming(self) -> None:
        """Raise EBUSY while what was chosen must stay as it is."""
        if self._is_streaming():
            raise refusal(errno.EBUSY)

    def _enuminput(self, offered: v.v4l2_input) -> None:
        names = ("Camera 1",) if self._front.is_camera else _NAMES
        if offered.index >= len(names):
            raise refusal(errno.EINVAL)
        offered.name = names[offered.index].encode()
        offered.type = 2  # V4L2_INPUT_TYPE_CAMERA: a video input
        signal = self._front.scanner.signal if offered.index == self._front.connected else Signal.NO_SIGNAL
        if self._front.is_camera:
            return
        if offered.index == HDMI:
            offered.capabilities = v.V4L2_IN_CAP_DV_TIMINGS
        else:
            offered.capabilities, offered.std = v.V4L2_IN_CAP_STD, v.V4L2_STD_625_50 | v.V4L2_STD_525_60
            offered.status = _STATUS.get(signal, 0)

    # ---- input, standard, timings ----

    def _g_input(self, number: c_int32) -> None:
        number.value = self.selected

    def _s_input(self, number: c_int32) -> None:
        self.refuse_while_streaming()
        if not 0 <= number.value < (1 if self._front.is_camera else len(_NAMES)):
            raise refusal(errno.EINVAL)
        self.selected = number.value

    def _querystd(self, detected: c_uint64) -> None:
        if self._front.is_camera or self.selected == HDMI:
            raise refusal(errno.ENODATA)
        is_pal = self._front.scanner.playback.format.standard.startswith("PAL")
        found = v.V4L2_STD_PAL if is_pal else v.V4L2_STD_NTSC
        detected.value = found if self.signal is Signal.LOCKED else v.V4L2_STD_UNKNOWN

    def _s_std(self, asked: c_uint64) -> None:
        if self._front.is_camera or self.selected == HDMI:
            raise refusal(errno.ENODATA)
        self.refuse_while_streaming()
        self._standard = asked.value

    def _g_ctrl(self, control: v.v4l2_control) -> None:
        if control.id != v.V4L2_CID_DV_RX_POWER_PRESENT or self._front.is_camera:
            raise refusal(errno.EINVAL)
        control.value = int(self.signal is not Signal.NO_CABLE)

    def _query_dv_timings(self, timings: v.v4l2_dv_timings) -> None:
        if self._front.is_camera or self.selected != HDMI:
            raise refusal(errno.ENODATA)
        if self.signal in _ERRNOS:
            raise refusal(_ERRNOS[self.signal])
        _fill_timings(timings, self._front.scanner.playback.format, self._front.scanner.playback.whole(0).shape[0])

    def _s_dv_timings(self, timings: v.v4l2_dv_timings) -> None:
        self.refuse_while_streaming()
        if self.selected != HDMI:
            raise refusal(errno.ENODATA)

    def _s_edid(self, told: v.v4l2_edid) -> None:
        """Take an EDID of whole blocks, two at most, on the input that is a receiver; `pad` is its index."""
        if self._front.is_camera or told.pad != HDMI or told.start_block:
            raise refusal(errno.EINVAL)
        if told.blocks > _EDID_BLOCKS:
            told.blocks = _EDID_BLOCKS
            raise refusal(errno.E2BIG)
        self._front.edid = bytes(told.edid[: 128 * told.blocks])

    def _g_edid(self, asked: v.v4l2_edid) -> None:
        if self._front.is_camera or asked.pad != HDMI:
            raise refusal(errno.EINVAL)
        if not self._front.edid:
            raise refusal(errno.ENODATA)
        asked.blocks = min(asked.blocks, len(self._front.edid) // 128)
        for at, byte in enumerate(self._front.edid[: 128 * asked.blocks]):
            asked.edid[at] = byte

    def _cropcap(self, cropcap: v.v4l2_cropcap) -> None:
        aspect = self._front.scanner.playback.format.pixel_aspect
        cropcap.pixelaspect = v.v4l2_fract(*aspect)

    # ---- events ----

    def _subscribe(self, wish: v.v4l2_event_subscription) -> None:
        if wish.type != v.V4L2_EVENT_SOURCE_CHANGE or self._front.is_camera or not self._front.has_events:
            raise refusal(errno.EINVAL)
        self._subscribed.add(wish.id)

    def _dqevent(self, event: v.v4l2_event) -> None:
        if not self.has_event:
            raise refusal(errno.ENOENT)
        self._changes = self._front.scanner.changes
        event.type, event.id = v.V4L2_EVENT_SOURCE_CHANGE, self.selected
        event.u.src_change.changes = v.V4L2_EVENT_SRC_CH_RESOLUTION


def _fill_timings(timings: v.v4l2_dv_timings, fmt: FrameFormat, lines: int) -> None:
    """Make up blanking, and a pixel clock that gives the format's frame interval."""
    ctypes.memset(ctypes.byref(timings), 0, ctypes.sizeof(timings))
    bt = timings.bt
    bt.width, bt.height, bt.interlaced = fmt.width_px, lines, int(fmt.field is not Field.NONE)
    bt.hfrontporch, bt.hsync, bt.hbackporch = 110, 40, 220
    bt.vfrontporch, bt.vsync, bt.vbackporch = 5, 5, 20
    if bt.interlaced:
        bt.il_vfrontporch, bt.il_vsync, bt.il_vbackporch = 5, 5, 21
    columns = bt.width + 370
    rows = lines + (61 if bt.interlaced else 30)
    bt.pixelclock = round(columns * rows * 1e9 / fmt.frame_interval_ns)


def refusal(number: int) -> OSError:
    """Return the error of an ioctl."""
    return OSError(number, os.strerror(number))
