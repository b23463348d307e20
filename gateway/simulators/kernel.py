"""A V4L2 driver at its system calls, so that `gateway.device.grabber` itself runs where there is no /dev/video.

It answers ioctls on the kernel's own structs as the kernel's test driver `vivid` does: composite, S-Video and HDMI inputs
with standards or timings, a format that is what the driver likes and not what was asked, ALTERNATE fields with one sequence,
dropped buffers, the error flag, SOURCE_CHANGE through POLLPRI, ENODEV once it is unplugged. Buffers are real memory maps.
What stands on the cable, and what goes wrong, is a `gateway.simulators.scanner`. Follows Documentation/userspace-api/media/v4l.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
from collections import deque
from collections.abc import Callable
from ctypes import c_int32
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.device import v4l2 as v
from gateway.model import Field, FrameFormat, Matrix
from gateway.simulators.connectors import Front, Inputs, refusal
from gateway.simulators.scanner import REMEMBERED, Exposure, Scanner, Stream

_OFFERED: Final = ("UYVY", "YUYV")
_APART: Final = {"NV12": "NM12", "NV21": "NM21", "YU12": "YM12", "YV12": "YM21"}
_PAGE: Final = mmap.PAGESIZE


class Kernel:
    """A machine with one simulated grabber: `open_node=kernel.open`."""

    def __init__(
        self,
        scanner: Scanner,
        *,
        is_camera: bool = False,
        is_multi_planar: bool = False,
        are_planes_apart: bool = False,
        has_events: bool = True,
    ) -> None:
        """`is_camera`: an input without standards or timings, as a USB grabber has; `are_planes_apart`: NM12 instead of NV12."""
        self.scanner = scanner
        self.front = Front(scanner, is_camera=is_camera, has_events=has_events)
        self.is_multi_planar = is_multi_planar or are_planes_apart
        self.are_planes_apart = are_planes_apart
        self.fourcc: str | None = None
        """A pixel format the driver insists on, whatever is asked; its bytes are the scanner's."""
        self.stated_planes: int | None = None
        """How many memories it claims that a buffer has, instead of the true number."""
        self.matrix_encoding: int | None = None
        """A ycbcr_enc it states instead of the true one."""
        self.requests: deque[int] = deque(maxlen=REMEMBERED)
        """Every ioctl it was asked."""
        self.owner: Node | None = None
        """Who holds its buffers."""
        self.nodes = 0
        """How many openings are not closed."""

    def open(self, path: str) -> Node:
        """Open the only node there is, whatever its `path`. Raises OSError once it is unplugged."""
        self.scanner.look()
        if not self.scanner.is_plugged:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.nodes += 1
        return Node(self)


class Node:
    """One open file of it."""

    def __init__(self, kernel: Kernel) -> None:
        """A fresh file: the driver's settings are at their defaults."""
        self._kernel = kernel
        self._scanner = kernel.scanner
        self._inputs = Inputs(kernel.front, lambda: kernel.owner is not None)
        self._memories: list[list[mmap.mmap]] = []
        """Of each buffer: one, or one for each plane."""
        self._lengths = 0
        self._stream: Stream | None = None
        self._whole: list[npt.NDArray[np.uint8]] = []
        self._owned: set[int] = set()
        """Buffers that are the driver's."""
        self._calls: dict[int, Callable[[Any], None]] = {
            **self._inputs.calls,
            v.VIDIOC_QUERYCAP: self._querycap,
            v.VIDIOC_ENUM_FMT: self._enum_fmt,
            v.VIDIOC_G_FMT: self._g_fmt,
            v.VIDIOC_S_FMT: self._s_fmt,
            v.VIDIOC_G_PARM: self._parm,
            v.VIDIOC_S_PARM: self._parm,
            v.VIDIOC_REQBUFS: self._reqbufs,
            v.VIDIOC_QUERYBUF: self._querybuf,
            v.VIDIOC_QBUF: self._qbuf,
            v.VIDIOC_DQBUF: self._dqbuf,
            v.VIDIOC_STREAMON: self._streamon,
            v.VIDIOC_STREAMOFF: self._streamoff,
        }

    def ioctl(self, request: int, argument: v.Argument) -> None:
        """Answer as the driver would. Raises OSError with its errno."""
        self._scanner.look()
        self._kernel.requests.append(request)
        if not self._scanner.is_plugged:
            raise refusal(errno.ENODEV)
        call = self._calls.get(request)
        if call is None:
            raise refusal(errno.ENOTTY)
        call(argument)

    def mmap(self, length: int, offset: int) -> mmap.mmap:
        """Return the memory of the buffer at `offset`. Raises OSError."""
        place, rest = divmod(offset, self._lengths or 1)
        index, plane = divmod(place, self._plane_count)
        if rest or not 0 <= index < len(self._memories) or length != self._lengths:
            raise refusal(errno.EINVAL)
        return self._memories[index][plane]

    def poll(self, timeout_s: float) -> int:
        """Wait for a frame or an event, in the scanner's time."""
        clock = self._scanner.clock
        until_ns = clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            self._scanner.look()
            ready = self._ready()
            if ready or clock.monotonic_ns() >= until_ns:
                return ready
            if self._stream is not None:
                self._stream.wait(until_ns)
            else:
                self._scanner.wait(timeout_s)

    def close(self) -> None:
        """Give everything back; who mapped a buffer keeps its memory."""
        self._kernel.nodes -= 1
        if self._kernel.owner is self:
            self._kernel.owner = None
        self._stream = None

    def _ready(self) -> int:
        if not self._scanner.is_plugged:
            return select.POLLERR | select.POLLHUP | select.POLLPRI
        ready = 0
        if self._inputs.has_event:
            ready |= select.POLLPRI
        if self._stream is None:
            return ready | select.POLLERR
        self._stream.advance()
        return ready | (select.POLLIN if self._stream.is_ready else 0)

    # ---- what it is ----

    @property
    def _type(self) -> int:
        is_multi = self._kernel.is_multi_planar
        return v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE if is_multi else v.V4L2_BUF_TYPE_VIDEO_CAPTURE

    @property
    def _planes(self) -> list[tuple[int, int]]:
        """(bytes a row, bytes) of each memory of a buffer."""
        fmt = self._format
        if self._kernel.are_planes_apart:
            return [(row_bytes, rows * row_bytes) for rows, row_bytes in fmt.planes]
        return [(fmt.stride_bytes, fmt.frame_bytes)]

    @property
    def _plane_count(self) -> int:
        return len(self._planes)

    @property
    def _format(self) -> FrameFormat:
        return self._scanner.playback.format

    def _querycap(self, capability: v.v4l2_capability) -> None:
        capability.driver, capability.card, capability.bus_info = (
            b"simulator",
            b"Simulated grabber",
            b"platform:simulator",
        )
        is_multi = self._kernel.is_multi_planar
        capability.device_caps = v.V4L2_CAP_STREAMING | (
            v.V4L2_CAP_VIDEO_CAPTURE_MPLANE if is_multi else v.V4L2_CAP_VIDEO_CAPTURE
        )
        capability.capabilities = capability.device_caps | v.V4L2_CAP_DEVICE_CAPS

    def _enum_fmt(self, described: v.v4l2_fmtdesc) -> None:
        if described.type != self._type or described.index >= len(_OFFERED):
            raise refusal(errno.EINVAL)
        described.pixelformat = v.fourcc_number(_OFFERED[described.index])

    # ---- format ----

    def _g_fmt(self, asked: v.v4l2_format) -> None:
        self._refuse_type(asked.type)
        self._state_format(asked)

    def _s_fmt(self, asked: v.v4l2_format) -> None:
        """Take note of nothing: a driver delivers what stands on the cable."""
        self._refuse_type(asked.type)
        self._inputs.refuse_while_streaming()
        self._state_format(asked)

    def _state_format(self, asked: v.v4l2_format) -> None:
        fmt = self._format
        is_multi = self._kernel.is_multi_planar
        pix = asked.fmt.pix_mp if is_multi else asked.fmt.pix
        pix.width, pix.height = fmt.width_px, fmt.height_px
        name = _APART[fmt.pixel_format] if self._kernel.are_planes_apart else fmt.pixel_format
        pix.pixelformat = v.fourcc_number(self._kernel.fourcc or name)
        is_woven = fmt.field in {Field.INTERLACED_TB, Field.INTERLACED_BT}
        pix.field = Field.INTERLACED if is_woven else fmt.field
        is_709 = fmt.matrix is Matrix.BT709
        pix.colorspace = v.V4L2_COLORSPACE_REC709 if is_709 else v.V4L2_COLORSPACE_SMPTE170M
        pix.ycbcr_enc = self._kernel.matrix_encoding or v.V4L2_YCBCR_ENC_DEFAULT
        pix.quantization = v.V4L2_QUANTIZATION_DEFAULT
        if is_multi:
            asked.fmt.pix_mp.num_planes = self._kernel.stated_planes or self._plane_count
            for plane, (stride, size) in zip(asked.fmt.pix_mp.plane_fmt, self._planes, strict=False):
                plane.bytesperline, plane.sizeimage = stride, size
        else:
            asked.fmt.pix.bytesperline, asked.fmt.pix.sizeimage = fmt.stride_bytes, fmt.frame_bytes
            asked.fmt.pix.priv = v.V4L2_PIX_FMT_PRIV_MAGIC

    def _parm(self, stated: v.v4l2_streamparm) -> None:
        stated.parm.capture.timeperframe = v.v4l2_fract(self._format.frame_interval_ns, 1_000_000_000)

    # ---- buffers ----

    def _reqbufs(self, asked: v.v4l2_requestbuffers) -> None:
        self._refuse_type(asked.type)
        owner = self._kernel.owner
        if self._scanner.is_busy or (owner is not None and owner is not self):
            raise refusal(errno.EBUSY)
        self._kernel.owner = self if asked.count else None
        self._lengths = -(-self._format.frame_bytes // _PAGE) * _PAGE
        self._memories = [[mmap.mmap(-1, self._lengths) for _ in self._planes] for _ in range(asked.count)]

    def _querybuf(self, buffer: v.v4l2_buffer) -> None:
        index = self._index(buffer)
        if self._kernel.is_multi_planar:
            for at in range(self._plane_count):
                plane = buffer.m.planes[at]
                plane.length, plane.m.mem_offset = self._lengths, (index * self._plane_count + at) * self._lengths
        else:
            buffer.length, buffer.m.offset = self._lengths, index * self._lengths

    def _qbuf(self, buffer: v.v4l2_buffer) -> None:
        index = self._index(buffer)
        if index in self._owned:
            raise refusal(errno.EINVAL)
        self._owned.add(index)
        if self._stream is not None:
            self._stream.queue(index)

    def _dqbuf(self, buffer: v.v4l2_buffer) -> None:
        self._refuse_type(buffer.type)
        if self._stream is None:
            raise refusal(errno.EINVAL)
        self._stream.advance()
        taken = self._stream.take()
        if taken is None:
            raise refusal(errno.EAGAIN)
        index, exposure, used = taken
        self._owned.discard(index)
        self._fill(buffer, index, exposure, used)

    def _fill(self, buffer: v.v4l2_buffer, index: int, exposure: Exposure, used: int) -> None:
        buffer.index, buffer.sequence = index, exposure.sequence
        is_woven = exposure.field in {Field.INTERLACED_TB, Field.INTERLACED_BT}
        buffer.field = Field.INTERLACED if is_woven else exposure.field
        buffer.timestamp.tv_sec, rest_ns = divmod(exposure.captured_ns, 1_000_000_000)
        buffer.timestamp.tv_usec = rest_ns // 1000
        error = v.V4L2_BUF_FLAG_ERROR if exposure.fault == "e" else 0
        buffer.flags = v.V4L2_BUF_FLAG_MAPPED | v.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | error
        if self._plane_count > 1:
            self._take_apart(buffer, index, used)
        elif self._kernel.is_multi_planar:
            buffer.m.planes[0].bytesused = used
        else:
            buffer.bytesused = used

    def _take_apart(self, buffer: v.v4l2_buffer, index: int, used: int) -> None:
        """Lay the planes of a filled frame into memories of their own."""
        begins = 0
        for at, (_, size) in enumerate(self._planes):
            part = self._whole[index][begins : min(begins + size, used)]
            self._memories[index][at][: len(part)] = part.tobytes()
            buffer.m.planes[at].bytesused = len(part)
            begins += size

    def _streamon(self, _: c_int32) -> None:
        if not self._memories:
            raise refusal(errno.EINVAL)
        self._whole = [np.frombuffer(each[0], np.uint8) for each in self._memories]
        if self._plane_count > 1:
            self._whole = [np.zeros(self._format.frame_bytes, np.uint8) for _ in self._memories]
        self._stream = Stream(self._scanner, self._whole)
        for index in sorted(self._owned):
            self._stream.queue(index)

    def _streamoff(self, _: c_int32) -> None:
        self._stream = None
        self._owned.clear()

    def _index(self, buffer: v.v4l2_buffer) -> int:
        self._refuse_type(buffer.type)
        if self._kernel.is_multi_planar and not (buffer.length >= self._plane_count and buffer.m.userptr):
            raise refusal(errno.EINVAL)
        if buffer.index >= len(self._memories) or buffer.memory != v.V4L2_MEMORY_MMAP:
            raise refusal(errno.EINVAL)
        return buffer.index

    def _refuse_type(self, buffer_type: int) -> None:
        if buffer_type != self._type:
            raise refusal(errno.EINVAL)


_the_open_node: Callable[[Kernel], v.OpenNode] = lambda kernel: kernel.open  # noqa: E731  for mypy: it is a v4l2.Node
