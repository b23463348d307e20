"""A V4L2 video device to Frames: zero-copy views of the driver's buffers, with the kernel's sequence, field and time.

A frame lives from `poll` until it is handed back with `release`; the driver owns the buffer before and after. Nothing is
retried and nothing waits here: a device that is gone, busy, without signal or of another format says so by a named error,
and is opened again by whoever decides that. Follows the V4L2 documentation, "Streaming I/O (Memory Mapping)" and
"Event Interface" (SOURCE_CHANGE is subscribed with the input's index as its id).
"""

from __future__ import annotations

import ctypes
import errno
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import c_int32
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway.device import refusal
from gateway.device import v4l2 as v
from gateway.device.formats import fourccs
from gateway.device.inputs import Input, inputs, standing
from gateway.device.negotiate import Negotiated, arriving, capture_type, named, negotiate
from gateway.errors import DeviceError, FormatChanged, NoSignal
from gateway.model import Field, Frame, FrameFormat, Signal
from gateway.profile import VideoInput

BUFFERS: Final = 6
"""Mapped buffers: at 25 Hz a reader may be a fifth of a second late before a frame is lost."""

_MEANINGS: Final = {errno.E2BIG: "it takes no EDID of so many blocks"}


class Grabber(Protocol):
    """A stream of frames that has been opened."""

    @property
    def format(self) -> FrameFormat:
        """What its buffers hold; it never changes while the stream lives."""

    @property
    def input(self) -> str:
        """The grabber's own name for the connector in use, where it has several: "HDMI 1"; else empty."""

    def signal(self) -> Signal:
        """Ask what stands on the input now. Raises DeviceGone, FormatChanged where something else arrives than was agreed."""

    def poll(self, timeout_s: float) -> Frame | None:
        """Return the next frame in order, None when none came in time. Raises DeviceGone, NoSignal, FormatChanged, DeviceError."""

    def release(self, frame: Frame) -> None:
        """Hand a frame's buffer back to the driver; its `data` must not be read any more."""

    def close(self) -> None:
        """Stop. Frames not yet released stay readable as long as somebody holds them."""


class Description(Struct, frozen=True, kw_only=True):
    """What a device says of itself, without being set up for anything."""

    device: str
    driver: str
    card: str
    bus: str
    inputs: tuple[Input, ...]
    pixel_formats: tuple[str, ...]


def open(  # noqa: A001  `grabber.open()` is what it does
    device: str, wanted: VideoInput, *, edid: bytes = b"", open_node: v.OpenNode = v.DeviceNode, buffers: int = BUFFERS
) -> VideoDevice:
    """Negotiate and start streaming; a receiver presents `edid`, where one is given. Raises DeviceGone, DeviceBusy, NoSignal (fact `signal`), WrongStandard, UnknownPixelFormat, DeviceError."""
    with _naming(device):
        node = open_node(device)
        try:
            return VideoDevice(node, device, negotiate(node, device, wanted, edid), buffers)
        except BaseException:
            node.close()
            raise


def describe(device: str, *, open_node: v.OpenNode = v.DeviceNode) -> Description:
    """Ask a device who it is and what it offers. Raises DeviceGone, DeviceError."""
    with _naming(device):
        node = open_node(device)
        try:
            return _described(node, device)
        finally:
            node.close()


def take(grabber: Grabber, count: int, timeout_s: float = 2.0) -> Iterator[Frame]:
    """Yield copies of the next `count` frames. Raises NoSignal when none comes for `timeout_s`, and what `poll` raises."""
    for _ in range(count):
        frame = grabber.poll(timeout_s)
        if frame is None:
            raise NoSignal(device=grabber.format.standard, signal=grabber.signal())
        copied = Frame(
            data=frame.data.copy(),
            format=frame.format,
            sequence=frame.sequence,
            field=frame.field,
            captured_ns=frame.captured_ns,
            has_error=frame.has_error,
        )
        grabber.release(frame)
        yield copied


class VideoDevice:
    """An open V4L2 device that streams. Made by `open`; used by one thread."""

    def __init__(self, node: v.Node, device: str, agreed: Negotiated, buffers: int) -> None:
        """Map `buffers` buffers, queue them all and start."""
        self._node = node
        self._device = device
        self._agreed = agreed
        self._is_multi = agreed.buffer_type == v.V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
        self._is_streaming = False
        self._name = named(device, agreed.input)
        self._event = v.v4l2_event()
        self._planes: list[ctypes.Array[v.v4l2_plane]] = []
        self._joined: list[npt.NDArray[np.uint8]] = []
        _subscribe(node, agreed.input)
        self._buffers = self._map(buffers)
        self._taken = self._buffer(0)
        self._taken_planes = (v.v4l2_plane * len(agreed.memories))()
        if self._is_multi:
            self._taken.m.planes = ctypes.cast(self._taken_planes, ctypes.POINTER(v.v4l2_plane))
        self._lent = [False] * len(self._buffers)
        self._queued = [self._buffer(index) for index in range(len(self._buffers))]
        for each in self._queued:
            node.ioctl(v.VIDIOC_QBUF, each)
        node.ioctl(v.VIDIOC_STREAMON, c_int32(agreed.buffer_type))

    @property
    def format(self) -> FrameFormat:
        """What the buffers hold, as the driver stated it."""
        return self._agreed.format

    @property
    def input(self) -> str:
        """The connector in use, where there are several."""
        return "" if self._name == self._device else self._name

    def signal(self) -> Signal:
        """Ask the driver: STREAMING once a frame has come, LOCKED before. Raises FormatChanged, which not every driver says by itself."""
        with _naming(self._device):
            found = standing(self._node, self._agreed.input)
        now = arriving(found)
        if now and now != self.format.standard:
            raise FormatChanged(device=self._name, was=self.format.standard, now=now)
        return Signal.STREAMING if found.signal is Signal.LOCKED and self._is_streaming else found.signal

    def poll(self, timeout_s: float) -> Frame | None:
        """Return the next frame in order, None when none came in time. Raises DeviceGone, NoSignal, FormatChanged, DeviceError."""
        try:
            ready = self._node.poll(timeout_s)
            if ready & select.POLLPRI:
                self._take_events()
            return self._dequeue(ready) if ready & (select.POLLIN | select.POLLERR) else None
        except OSError as error:
            raise _named(self._device, error) from error

    def release(self, frame: Frame) -> None:
        """Hand a buffer back (VIDIOC_QBUF). Raises ValueError for a frame that is not lent, DeviceGone."""
        index = frame.buffer
        if not 0 <= index < len(self._lent) or not self._lent[index]:
            raise ValueError(f"buffer {index} is not lent")  # a mistake of ours, not of the world
        self._lent[index] = False
        try:
            self._node.ioctl(v.VIDIOC_QBUF, self._queued[index])
        except OSError as error:
            raise _named(self._device, error) from error

    def close(self) -> None:
        """Stop streaming, give the buffers up and close the device. Memory that is still held would keep it busy for the next who opens it."""
        given_up = v.v4l2_requestbuffers(count=0, type=self._agreed.buffer_type, memory=v.V4L2_MEMORY_MMAP)
        for request, argument in (
            (v.VIDIOC_STREAMOFF, c_int32(self._agreed.buffer_type)),
            (v.VIDIOC_REQBUFS, given_up),
        ):
            with suppress(OSError):  # it may be unplugged: then it has stopped already
                self._node.ioctl(request, argument)
        with suppress(OSError):
            self._node.close()

    def _map(self, count: int) -> list[list[npt.NDArray[np.uint8]]]:
        """Ask for buffers and map them: read-only views, one for each memory of each buffer."""
        asked = v.v4l2_requestbuffers(count=count, type=self._agreed.buffer_type, memory=v.V4L2_MEMORY_MMAP)
        self._node.ioctl(v.VIDIOC_REQBUFS, asked)
        apart = len(self._agreed.memories)
        self._planes = [(v.v4l2_plane * apart)() for _ in range(asked.count)]
        if apart > 1:
            self._joined = [np.empty(self.format.frame_bytes, np.uint8) for _ in range(asked.count)]
        return [self._map_one(index) for index in range(asked.count)]

    def _map_one(self, index: int) -> list[npt.NDArray[np.uint8]]:
        stated = self._buffer(index)
        self._node.ioctl(v.VIDIOC_QUERYBUF, stated)
        memories = [(stated.length, stated.m.offset)]
        if self._is_multi:
            memories = [(plane.length, plane.m.mem_offset) for plane in self._planes[index]]
        views = [np.frombuffer(self._node.mmap(*memory), np.uint8) for memory in memories]
        for view in views:
            view.flags.writeable = False
        return views

    def _buffer(self, index: int) -> v.v4l2_buffer:
        buffer = v.v4l2_buffer(index=index, type=self._agreed.buffer_type, memory=v.V4L2_MEMORY_MMAP)
        if self._is_multi:
            planes = self._planes[index]
            buffer.length = len(planes)
            buffer.m.planes = ctypes.cast(planes, ctypes.POINTER(v.v4l2_plane))
        return buffer

    def _take_events(self) -> None:
        """Look at every event that waits; a source that changed ends the stream. Raises FormatChanged, NoSignal."""
        has_changed = False
        while True:
            try:
                self._node.ioctl(v.VIDIOC_DQEVENT, self._event)
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EAGAIN}:  # no event waits (any more)
                    break
                raise
            has_changed |= self._event.type in {v.V4L2_EVENT_SOURCE_CHANGE, v.V4L2_EVENT_EOS}
        if has_changed:
            found = standing(self._node, self._agreed.input)
            if found.signal is not Signal.LOCKED:
                raise NoSignal(device=self._name, signal=found.signal)
            raise FormatChanged(device=self._name, was=self.format.standard, now=arriving(found) or "another")

    def _dequeue(self, ready: int) -> Frame | None:
        taken = self._taken
        try:
            self._node.ioctl(v.VIDIOC_DQBUF, taken)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            if ready & select.POLLERR:
                raise DeviceError(device=self._device, problem="the driver has stopped the stream") from error
            return None
        index = taken.index
        self._lent[index] = self._is_streaming = True
        return Frame(
            data=self._filled(taken),
            format=self._agreed.format,
            sequence=taken.sequence,
            field=Field(taken.field or Field.NONE),
            captured_ns=_captured_ns(taken),
            has_error=bool(taken.flags & v.V4L2_BUF_FLAG_ERROR),
            buffer=index,
        )

    def _filled(self, taken: v.v4l2_buffer) -> npt.NDArray[np.uint8]:
        """Return what a buffer holds: a view of its memory, or its planes put together."""
        views = self._buffers[taken.index]
        if not self._is_multi:
            return views[0][: taken.bytesused]
        planes = self._taken_planes
        parts = [view[plane.data_offset : plane.bytesused] for view, plane in zip(views, planes, strict=True)]
        if len(parts) == 1:
            return parts[0]
        strides = [memory.stride_bytes for memory in self._agreed.memories]
        return join(self.format, parts, strides, self._joined[taken.index])


_the_device: type[Grabber] = VideoDevice


def join(
    fmt: FrameFormat, parts: list[npt.NDArray[np.uint8]], strides: list[int], out: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Put planes that came apart one after another into `out`, in rows as long as `fmt` says; return what came of it.

    Planes that are short give a frame that is short.
    """
    begins = 0
    for part, stride, (rows, row_bytes) in zip(parts, strides, fmt.planes, strict=True):
        if stride < 1 or len(part) < stride * (rows - 1) + min(stride, row_bytes):
            return out[: min(begins + len(part), fmt.frame_bytes - 1)]
        into, least = out[begins : begins + rows * row_bytes].reshape(rows, row_bytes), min(stride, row_bytes)
        into[:, :least] = np.lib.stride_tricks.as_strided(part, (rows, least), (stride, 1))
        begins += rows * row_bytes
    return out


def _captured_ns(taken: v.v4l2_buffer) -> int:
    """Return the kernel's time where it is CLOCK_MONOTONIC; drivers that state no clock leave only the time of arrival."""
    if taken.flags & v.V4L2_BUF_FLAG_TIMESTAMP_MASK == v.V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC:
        return taken.timestamp.tv_sec * 1_000_000_000 + taken.timestamp.tv_usec * 1_000
    return time.monotonic_ns()


def _subscribe(node: v.Node, chosen: Input | None) -> None:
    """Ask to be told when the source changes; a driver without events is asked each second instead (`signal`)."""
    if chosen is None:
        return
    with suppress(OSError):
        wish = v.v4l2_event_subscription(type=v.V4L2_EVENT_SOURCE_CHANGE, id=chosen.index)
        node.ioctl(v.VIDIOC_SUBSCRIBE_EVENT, wish)


def _described(node: v.Node, device: str) -> Description:
    capability = v.v4l2_capability()
    buffer_type = capture_type(node, device)
    node.ioctl(v.VIDIOC_QUERYCAP, capability)
    return Description(
        device=device,
        driver=capability.driver.decode("utf-8", "replace"),
        card=capability.card.decode("utf-8", "replace"),
        bus=capability.bus_info.decode("utf-8", "replace"),
        inputs=tuple(inputs(node)),
        pixel_formats=tuple(fourccs(node, buffer_type)),
    )


@contextmanager
def _naming(device: str) -> Iterator[None]:
    """Give the kernel's errors their names."""
    try:
        yield
    except OSError as error:
        raise _named(device, error) from error


def _named(device: str, error: OSError) -> DeviceError:
    return refusal.named(device, error.errno, "the group `video`", _MEANINGS)
