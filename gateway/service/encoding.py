"""Pictures of a capture to the bytes that its frame log or its still holds, several at a time and in their order.

A picture in a frame log begins with one byte that says what it is: grey or colour in the form of its object, or in the
quick one (a recorder that loses ground on its ring takes that, and the object's form is made at closing), or a grabber's
own JPEG. Of an MJPEG grabber, four bytes follow that say how long its frame was: the object states the ratio. The rule:
nothing loses here without a rule of the profile, and what came lossy is never made lossy a second time (law 4).
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import numpy.typing as npt
from msgspec import Struct, structs

from gateway.errors import CodecError
from gateway.pixels import codecs, mjpeg
from gateway.pixels.chain import Chain
from gateway.pixels.codecs import Compression
from gateway.profile import VIDEO, ModalityProfile, PixelChain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.model import Frame, FrameFormat

Pixels = npt.NDArray[Any]
T = TypeVar("T")
R = TypeVar("R")

GREY, COLOUR = b"G", b"C"
QUICK_GREY, QUICK_COLOUR = b"g", b"c"
JPEG_GREY, JPEG_COLOUR = b"j", b"J"
GREYS: Final = frozenset({GREY, QUICK_GREY, JPEG_GREY})
QUICKS: Final = frozenset({QUICK_GREY, QUICK_COLOUR})
JPEGS: Final = frozenset({JPEG_GREY, JPEG_COLOUR})
SLOW: Final = frozenset({"htj2k", "jpeg2000", "jpeg-ls", "rle"})
"""Forms that take longer to encode than the quick one."""
COLOURS: Final = 3
MJPEG: Final = "MJPG"
NICENESS: Final = 2
"""Encoders stand back behind what must be in time: the thread that owns the device, and answers to people."""
AHEAD: Final = 2
"""Pictures taken on beyond the number of encoders, so that none of them waits for its next."""
_SIZE = struct.Struct("<I")


class Form(Struct, frozen=True):
    """How the pictures of one object are stored."""

    compression: Compression
    """Of what is encoded here; of what passes through, when it cannot."""
    bits_stored: int = 8
    is_passthrough: bool = False
    """A grabber's own JPEG frames are kept as they came, where each of them can be."""

    @property
    def is_lossy(self) -> bool:
        """Whether encoding here loses something."""
        return self.compression in codecs.LOSSY


class Stored(Struct, frozen=True, kw_only=True):
    """One picture as it is stored."""

    kind: bytes
    data: bytes
    source_bytes: int = 0
    """How long the frame of an MJPEG grabber was; 0 for every other grabber."""

    @property
    def is_grey(self) -> bool:
        """Whether it has one sample a pixel."""
        return self.kind in GREYS

    def packed(self) -> bytes:
        """Return it as a frame log holds it."""
        size = _SIZE.pack(self.source_bytes) if self.source_bytes else b""
        return b"".join((self.kind, size, self.data))


class Encoder(Struct, frozen=True, kw_only=True):
    """What is done to every picture of one capture: immutable, for any number of threads."""

    chain: Chain
    profile: ModalityProfile
    form: Form
    is_mjpeg: bool

    def store(
        self,
        before: Frame | None,
        now: Frame,
        after: Frame | None,
        *,
        is_quick: bool = False,
        is_coloured: bool = False,
    ) -> Stored:
        """Return one picture as it is stored; `is_coloured`: others of its object are, and so it is too.

        Raises CodecError or PixelError for a frame that came compressed and cannot be decoded.
        """
        kept = self.kept(now)
        if kept is not None:
            return kept
        return self.encoded(self.pixels(before, now, after, is_coloured=is_coloured), now, is_quick=is_quick)

    def kept(self, now: Frame) -> Stored | None:
        """Return a frame as the grabber's own JPEG, where that passes through; else None: it is to be encoded."""
        jpeg = _baseline(now, self.chain) if self.form.is_passthrough else None
        if jpeg is None:
            return None
        kind = JPEG_COLOUR if jpeg.samples == COLOURS else JPEG_GREY
        return Stored(kind=kind, data=jpeg.data, source_bytes=now.data.nbytes)

    def pixels(self, before: Frame | None, now: Frame, after: Frame | None, *, is_coloured: bool = False) -> Pixels:
        """Run the chain; return (rows, columns) of a truly grey picture, else (rows, columns, 3)."""
        picture = self.chain.run(before.data if before else None, now.data, after.data if after else None)
        if picture.ndim == COLOURS and not is_coloured and self.chain.is_grey(picture):
            return self.chain.to_grey(picture)
        return picture

    def for_still(self, before: Frame | None, now: Frame, after: Frame | None) -> Self:
        """Return the encoder for a still of these frames: its chain may weave where nothing moves."""
        chain = self.chain.for_still(before.data if before else None, now.data, after.data if after else None)
        return structs.replace(self, chain=chain)

    def encoded(self, pixels: Pixels, now: Frame, *, is_quick: bool = False) -> Stored:
        """Return the picture of a frame in the form of its object, or in the quick one where that is quicker."""
        form, is_grey, source_bytes = self.form, pixels.ndim != COLOURS, now.data.nbytes if self.is_mjpeg else 0
        if form.is_lossy:
            data = codecs.jpeg_baseline(pixels, self.profile.object.jpeg_quality)
        elif is_quick and form.compression in SLOW:
            data = codecs.encode(pixels, codecs.QUICK, form.bits_stored)
            return Stored(kind=QUICK_GREY if is_grey else QUICK_COLOUR, data=data, source_bytes=source_bytes)
        else:
            data = codecs.encode(pixels, form.compression, form.bits_stored)
        return Stored(kind=GREY if is_grey else COLOUR, data=data, source_bytes=source_bytes)


class Encoders:
    """The threads that encode, shared by all recordings of one grabber."""

    def __init__(self, threads: int = 0) -> None:
        """`threads`: how many; 0 takes one for each core that this process may use."""
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads, "encoder", initializer=_stand_back)

    def in_order(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield every item with what `work` made of it, in order, several being worked on at a time.

        Never more than `threads` + AHEAD items are under way or waiting to be taken: who takes slowly slows the items down.
        What `work` raises is raised when its turn comes.
        """
        waiting: deque[tuple[T, Future[R]]] = deque()
        try:
            for item in items:
                waiting.append((item, self._pool.submit(work, item)))
                while waiting and (len(waiting) >= self.threads + AHEAD or waiting[0][1].done()):
                    yield _taken(waiting)
            while waiting:
                yield _taken(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def encoder(chain: Chain, fmt: FrameFormat, profile: ModalityProfile, *, is_cine: bool = False) -> Encoder:
    """Return the encoder of a capture: as the profile says, as far as the pictures can be stored so."""
    found = form(chain, fmt, profile)
    if is_cine and found.is_lossy and profile.object.cine in VIDEO:
        found = Form("htj2k")
    return Encoder(chain=chain, profile=profile, form=found, is_mjpeg=fmt.pixel_format == MJPEG)


def form(chain: Chain, fmt: FrameFormat, profile: ModalityProfile) -> Form:
    """Return how pictures of a format are stored.

    A JPEG passes through only where nothing else is done to its pixels; what came lossy is else stored losslessly, and what
    is no JPEG cannot pass through.
    """
    wanted = codecs.able(profile.object.compression, chain.bits_stored)
    if wanted not in codecs.LOSSY:
        return Form(wanted, chain.bits_stored)
    if fmt.pixel_format == MJPEG:
        return Form("htj2k", is_passthrough=_is_untouched(chain, profile))
    return Form("jpeg" if wanted == "jpeg" else "htj2k")


def unpacked(frame: bytes, *, is_mjpeg: bool) -> Stored:
    """Return what a frame log holds as one picture."""
    if not is_mjpeg:
        return Stored(kind=frame[:1], data=frame[1:])
    (source_bytes,) = _SIZE.unpack_from(frame, 1)
    return Stored(kind=frame[:1], data=frame[1 + _SIZE.size :], source_bytes=source_bytes)


def _is_untouched(chain: Chain, profile: ModalityProfile) -> bool:
    """Say whether the profile asks for nothing but decoding (whatever keys a chain has)."""
    asked = profile.chain
    nothing = PixelChain(
        mask_covers_all_text=asked.mask_covers_all_text,
        deinterlace=asked.deinterlace,
        still_deinterlace=asked.still_deinterlace,
    )
    return asked == nothing and not chain.is_interlaced


def _baseline(now: Frame, chain: Chain) -> mjpeg.Jpeg | None:
    """Return a grabber's frame as the JPEG that an object can hold; None when it is none of the size that it said."""
    try:
        found = mjpeg.whole(now.data.tobytes())
    except CodecError:
        return None
    return found if (found.rows, found.columns) == (chain.rows, chain.columns) else None


def _taken(waiting: deque[tuple[T, Future[R]]]) -> tuple[T, R]:
    item, future = waiting.popleft()
    return item, future.result()


def _stand_back() -> None:
    """Lower the priority of this thread alone (on Linux a niceness belongs to a thread: setpriority(2), NOTES)."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
