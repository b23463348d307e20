"""A Part 10 file to its header, and its pixel data as a stream: a gigabyte is read frame by frame, never at once.

Any bytes give a value, NotDicom, or ObjectError: what pydicom raises on broken input becomes our own words, without the
value it choked on. A deflated data set is inflated as it is read, up to a limit. PS3.10 7, PS3.5 A.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from gateway.errors import NotDicom, ObjectError
from gateway.objects import broken, encode

PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and integer Pixel Data."""

UNDEFINED = 0xFFFFFFFF
_COPY_BYTES = 1 << 20
_INFLATE_LIMIT = 8 << 30


class PixelElement:
    """Where pixel data begins in the stream: its tag, VR and length (UNDEFINED when encapsulated)."""

    def __init__(self, tag: int, vr: str, length: int, at: int) -> None:
        """`at` is the position of the first byte of the value."""
        self.tag, self.vr, self.length, self.at = tag, vr, length, at

    @property
    def is_encapsulated(self) -> bool:
        """Whether the value is a sequence of fragments."""
        return self.length == UNDEFINED


class Part10:
    """An open Part 10 file: `meta` (group 0002), `header` (all before the pixel data), `pixels`."""

    def __init__(self, stream: BinaryIO, tags: Sequence[int] = ()) -> None:
        """Read the header; with `tags`, only those elements of it. Raises NotDicom."""
        self._file = stream
        self.meta = _meta(stream)
        self.transfer_syntax_uid = _transfer_syntax(self.meta)
        self.stream = cast("BinaryIO", _Inflated(stream)) if self.transfer_syntax_uid == encode.DEFLATED else stream
        with broken.named():
            self.header, self.pixels = _header(self.stream, self.transfer_syntax_uid, tags)

    @property
    def frame_count(self) -> int:
        """NumberOfFrames, 1 where absent. Raises NotDicom when it is none."""
        with broken.named():
            count = int(self.header.get("NumberOfFrames") or 1)
        if count < 1:
            raise NotDicom(problem="its number of frames is not a positive number")
        return count

    def pixel_element(self) -> PixelElement:
        """Return where its pixels are. Raises ObjectError when it has none."""
        if self.pixels is None:
            raise ObjectError(problem="it has no pixel data")
        return self.pixels

    def tail(self) -> Iterator[bytes]:
        """Yield everything from the pixel data's tag to the end, as it lies in the (inflated) file."""
        if self.pixels is not None:
            self.stream.seek(self.pixels.at - _header_bytes(self.transfer_syntax_uid))
            while chunk := self.stream.read(_COPY_BYTES):
                yield chunk

    def native_bytes(self) -> Iterator[bytes]:
        """Yield the native pixel data's value in pieces (multiples of 8 bytes but the last), words little endian."""
        element = self.pixel_element()
        word_bytes = 1 if encode.is_little(self.transfer_syntax_uid) else encode.word_bytes(element.vr)
        self.stream.seek(element.at)
        left = element.length
        while left:
            chunk = self.stream.read(min(left, _COPY_BYTES))
            if not chunk:
                raise NotDicom(problem="its pixel data ends early")
            left -= len(chunk)
            yield encode.swapped(chunk, word_bytes)

    def native_frames(self, frame_bytes: int) -> Iterator[bytes]:
        """Yield native frames of this size, words little endian. Raises NotDicom when there are fewer than announced."""
        waiting, left = bytearray(), self.frame_count
        for chunk in self.native_bytes():
            waiting += chunk
            while left and len(waiting) >= frame_bytes:
                yield bytes(waiting[:frame_bytes])
                del waiting[:frame_bytes]
                left -= 1
        if left:
            raise NotDicom(problem=f"it announces {self.frame_count} frames and does not hold as many")

    def compressed_frames(self) -> Iterator[bytes]:
        """Yield the frames of encapsulated pixel data, fragments joined. Raises NotDicom when they do not add up.

        Raises ObjectError for video: its frames are no frames of DICOM's.
        """
        if encode.is_video(self.transfer_syntax_uid):
            raise ObjectError(problem=f"it is video ({self.transfer_syntax_uid}), and has no frames of its own")
        element = self.pixel_element()
        self.stream.seek(element.at)
        with broken.named():
            frames = generate_frames(
                self.stream, number_of_frames=self.frame_count, extended_offsets=self._extended_offsets()
            )
            count = 0
            for frame in frames:
                count += 1
                if count > self.frame_count:
                    break
                yield frame
        if count != self.frame_count:
            raise NotDicom(problem=f"it announces {self.frame_count} frames and does not hold as many")

    def __enter__(self) -> Self:
        """Stay open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def _extended_offsets(self) -> tuple[bytes, bytes] | None:
        if "ExtendedOffsetTable" not in self.header or "ExtendedOffsetTableLengths" not in self.header:
            return None
        return self.header.ExtendedOffsetTable, self.header.ExtendedOffsetTableLengths


def open_file(path: Path, tags: Sequence[int] = ()) -> Part10:
    """Open a Part 10 file and read its header (with `tags`: only those). Raises NotDicom; OSError from the disk."""
    file = path.open("rb")
    try:
        return Part10(cast("BinaryIO", _Window(file, path.stat().st_size)), tags)
    except BaseException:
        file.close()
        raise


def _meta(stream: BinaryIO) -> Dataset:
    if stream.read(132)[128:] != b"DICM":
        raise NotDicom(problem="the DICM prefix is missing")
    with broken.named():
        return read_dataset(
            stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2
        )


def _transfer_syntax(meta: Dataset) -> str:
    with broken.named():
        uid = str(meta.get("TransferSyntaxUID") or "").rstrip("\0 ")
    if not uid:
        raise NotDicom(problem="it does not say its transfer syntax")
    return uid


def _header(stream: BinaryIO, syntax: str, tags: Sequence[int]) -> tuple[Dataset, PixelElement | None]:
    """Read up to the pixel data; an element that its file is too short for is an error, not a shorter value."""
    found: list[PixelElement] = []
    ds = read_dataset(
        stream,
        is_implicit_VR=encode.is_implicit(syntax),
        is_little_endian=encode.is_little(syntax),
        stop_when=_at_pixels(stream, found),
        specific_tags=[BaseTag(tag) for tag in tags] or None,
    )
    for element in ds.elements():
        if isinstance(element, RawDataElement) and element.length != UNDEFINED:
            _whole(element)
    return ds, found[0] if found else None


def _at_pixels(stream: BinaryIO, found: list[PixelElement]) -> Callable[[BaseTag, str | None, int], bool]:
    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXELS:
            found.append(PixelElement(int(tag), vr or _implicit_vr(int(tag)), length, stream.tell()))
        return int(tag) in PIXELS

    return stop


def _whole(element: RawDataElement) -> None:
    if len(element.value or b"") != element.length:
        raise NotDicom(problem="it ends in the middle of an element")


def _implicit_vr(tag: int) -> str:
    return {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(tag, "OW")


def _header_bytes(syntax: str) -> int:
    return 8 if encode.is_implicit(syntax) else 12


class _Window(io.RawIOBase):
    """A file that is never asked for more than it has: a broken length must not reserve gigabytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._inner, self._size = file, size

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._inner.tell())
        return self._inner.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 1:
            offset += self._inner.tell()
        return self._inner.seek(max(0, min(offset, self._size)))

    def tell(self) -> int:
        return self._inner.tell()

    def close(self) -> None:
        self._inner.close()


class _Inflated(io.RawIOBase):
    """A deflated data set, read forward; going back inflates it again from its beginning (PS3.5 A.5)."""

    def __init__(self, deflated: BinaryIO) -> None:
        super().__init__()
        self._deflated, self._start = deflated, deflated.tell()
        self._restart()

    def read(self, size: int = -1) -> bytes:
        parts = []
        left = _INFLATE_LIMIT if size < 0 else size
        while left and (chunk := self._take(left)):
            parts.append(chunk)
            left -= len(chunk)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0) -> int:
        target = offset + (self._at if whence == 1 else 0)
        if target < self._at:
            self._restart()
        while self._at < target and self._take(target - self._at):
            pass
        return self._at

    def tell(self) -> int:
        return self._at

    def _restart(self) -> None:
        self._deflated.seek(self._start)
        self._inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._at, self._ahead = 0, b""

    def _take(self, most: int) -> bytes:
        """Up to `most` of the next bytes; empty at the end."""
        if not self._ahead:
            self._ahead = self._more()
        chunk, self._ahead = self._ahead[:most], self._ahead[most:]
        self._at += len(chunk)
        if self._at > _INFLATE_LIMIT:
            raise ObjectError(problem="it inflates to more than 8 GiB")
        return chunk

    def _more(self) -> bytes:
        try:
            while not self._inflate.eof:
                piece = self._inflate.unconsumed_tail or self._deflated.read(1 << 16)
                out = self._inflate.decompress(piece, _COPY_BYTES)
                if out or not piece:
                    return out
        except zlib.error as error:
            raise NotDicom(problem="its deflated data set is broken") from error
        return b""
