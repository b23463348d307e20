"""An object in one transfer syntax to the same object in another, losslessly, frame by frame.

Law 4: a change that would lose anything is refused. Decoders and encoders are handed in: this room does not know who
computes. A lossy source may be decoded to native on request; it keeps saying that it is lossy. PS3.5 A, PS3.3 C.7.6.3.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from pydicom.dataset import Dataset

from gateway.errors import ObjectError
from gateway.objects import broken, encode, part10
from gateway.objects.attributes import dataset
from gateway.objects.part10 import Part10
from gateway.objects.words import Sink, Written

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.int8] | npt.NDArray[np.uint16] | npt.NDArray[np.int16]


class Decode(Protocol):
    """One compressed frame to pixels: (rows, columns) or (rows, columns, 3), RGB where the codec has a colour transform.

    `bits` are those allocated to a sample: 8 or 16. `photometric` is what the object says of its encoded colours.
    """

    def __call__(
        self,
        data: bytes,
        transfer_syntax_uid: str,
        rows: int,
        columns: int,
        samples: int,
        bits: int,
        signed: bool,  # noqa: FBT001  the contract of pixels.codecs
        /,
        *,
        photometric: str,
    ) -> Pixels:
        """Decode; raises CodecError."""


class Encode(Protocol):
    """Pixels to one compressed frame of a lossless transfer syntax."""

    def __call__(self, pixels: Pixels, transfer_syntax_uid: str, bits: int, /) -> bytes:
        """Encode; `bits` of each sample are what the stream shall say it has. Raises CodecError."""


LOSSLESS = frozenset(
    {
        *encode.NATIVE,
        "1.2.840.10008.1.2.5",  # RLE
        "1.2.840.10008.1.2.4.57",  # JPEG lossless, process 14
        "1.2.840.10008.1.2.4.70",  # JPEG lossless, first order prediction
        "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
        "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
        "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
        "1.2.840.10008.1.2.4.110",  # JPEG XL lossless
    }
)
"""All that is written; any other source may be lossy."""

_WAVELET = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (90, 91, 201, 202, 203))
"""JPEG 2000 and HTJ2K: their colour transform is part of the code stream (PS3.5 8.2.4)."""

_SAYS_ITS_BITS = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (90, 110, 201))
"""Encoders that can state Bits Stored; the others code all bits allocated, which gives the same samples."""

_SUBSAMPLED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"})
"""Native pixels of which several share their chroma: not rows x columns x samples."""

_DCT = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})


class Shape(Struct, frozen=True, kw_only=True):
    """What the frames of an object are (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    is_planar: bool
    photometric: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of one native frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The numpy type of a sample, little endian."""
        return np.dtype(f"<{'i' if self.is_signed else 'u'}{self.bits_allocated // 8}")


def write(
    source: Path,
    sink: Sink,
    transfer_syntax_uid: str,
    decode: Decode,
    encode_frame: Encode,
    *,
    is_loss_known: bool = False,
) -> Written:
    """Write the object at `source` in another transfer syntax; group 0002 is new, the data set says the same.

    What follows the pixel data (digital signatures, which would no longer hold; padding) goes when the syntax changes.

    Raises ObjectError when that would lose something, or when a lossy source is not to be decoded (`is_loss_known`: it may,
    to native only); NotDicom for a broken source; CodecError from the codecs.
    """
    with part10.open_file(source) as file:
        if file.pixels is None or (_is_native(file.transfer_syntax_uid) and _is_native(transfer_syntax_uid)):
            return encode.write(sink, file.header, transfer_syntax_uid, _recast(file, transfer_syntax_uid))
        if file.transfer_syntax_uid == transfer_syntax_uid:
            return encode.write(sink, file.header, transfer_syntax_uid, file.tail())
        _refuse_loss(file, transfer_syntax_uid, is_loss_known=is_loss_known)
        return _repainted(file, sink, transfer_syntax_uid, decode, encode_frame)


def shape(ds: Dataset) -> Shape:
    """Return what the frames are. Raises NotDicom when the data set does not say, ObjectError when it is not 8 or 16 bits."""
    with broken.named():
        said = Shape(
            rows=int(ds.Rows),
            columns=int(ds.Columns),
            samples=int(ds.SamplesPerPixel),
            bits_allocated=int(ds.BitsAllocated),
            bits_stored=int(ds.BitsStored),
            is_signed=int(ds.PixelRepresentation) == 1,
            is_planar=int(ds.get("PlanarConfiguration") or 0) == 1,
            photometric=str(ds.PhotometricInterpretation),
        )
    if said.bits_allocated not in {8, 16} or said.samples not in {1, 3} or not said.rows or not said.columns:
        raise ObjectError(problem=f"{said.samples} samples of {said.bits_allocated} bits cannot be recoded")
    return said


def frames(file: Part10, decode: Decode) -> Iterator[Pixels]:
    """Yield the decoded frames of an object, interleaved. Raises NotDicom, ObjectError, CodecError."""
    said = shape(file.header)
    if _is_native(file.transfer_syntax_uid):
        if said.photometric in _SUBSAMPLED:
            raise ObjectError(problem=f"uncompressed {said.photometric} cannot be recoded")
        for raw in file.native_frames(said.frame_bytes):
            yield _interleaved(raw, said)
        return
    for data in file.compressed_frames():
        pixels = decode(
            data,
            file.transfer_syntax_uid,
            said.rows,
            said.columns,
            said.samples,
            said.bits_allocated,
            said.is_signed,
            photometric=said.photometric,
        )
        yield pixels.reshape(_dimensions(said)).view(said.dtype)


def decoded_photometric(transfer_syntax_uid: str, photometric: str) -> str:
    """Return the photometric interpretation of decoded frames: a codec's own colour transform is undone."""
    if transfer_syntax_uid in _WAVELET and photometric in {"YBR_RCT", "YBR_ICT"}:
        return "RGB"
    if transfer_syntax_uid in _DCT and photometric.startswith("YBR"):
        return "RGB"
    return photometric


def encoded_photometric(transfer_syntax_uid: str, photometric: str) -> str:
    """Return the photometric interpretation of encoded frames: JPEG 2000 and HTJ2K carry RGB as YBR_RCT."""
    return "YBR_RCT" if transfer_syntax_uid in _WAVELET and photometric == "RGB" else photometric


def _is_native(transfer_syntax_uid: str) -> bool:
    return transfer_syntax_uid in encode.NATIVE


def _refuse_loss(file: Part10, target: str, *, is_loss_known: bool) -> None:
    if target not in LOSSLESS:
        raise ObjectError(problem=f"it cannot be written as {target} without a loss")
    if encode.is_video(file.transfer_syntax_uid):
        raise ObjectError(problem=f"it is video ({file.transfer_syntax_uid}) and stays as it is")
    if file.transfer_syntax_uid in LOSSLESS:
        return
    if not _is_native(target):
        raise ObjectError(problem=f"it is compressed with loss ({file.transfer_syntax_uid}) and stays as it is")
    if not is_loss_known:
        raise ObjectError(
            problem=f"it is compressed with loss ({file.transfer_syntax_uid}); decoding it was not asked for"
        )


def _recast(file: Part10, target: str) -> Iterator[bytes]:
    """Native pixel data under another native syntax: the same samples in the target's byte order."""
    if file.pixels is None:
        return
    vr = "OB" if file.pixels.vr == "OW" and _bits_allocated(file) <= 8 else file.pixels.vr
    word_bytes = 1 if encode.is_little(target) else encode.word_bytes(vr)
    pieces = (encode.swapped(piece, word_bytes) for piece in file.native_bytes())
    yield from encode.native(pieces, file.pixels.length, target, vr, file.pixels.tag)


def _bits_allocated(file: Part10) -> int:
    with broken.named():
        return int(file.header.get("BitsAllocated") or 16)


def _repainted(file: Part10, sink: Sink, target: str, decode: Decode, encode_frame: Encode) -> Written:
    """Decode each frame and write it anew."""
    said = shape(file.header)
    ds = _relabelled(file, said, target)
    pictures = frames(file, decode)
    if not _is_native(target):
        bits = said.bits_stored if target in _SAYS_ITS_BITS else said.bits_allocated
        packed = (encode_frame(_for_codec(pixels, said, target), target, bits) for pixels in pictures)
        return encode.write(sink, ds, target, encode.encapsulated(packed))
    vr = "OB" if said.bits_allocated == 8 else "OW"
    word_bytes = 1 if encode.is_little(target) else encode.word_bytes(vr)
    raw = (encode.swapped(pixels.astype(said.dtype).tobytes(), word_bytes) for pixels in pictures)
    return encode.write(sink, ds, target, encode.native(raw, said.frame_bytes * file.frame_count, target, vr))


def _relabelled(file: Part10, said: Shape, target: str) -> Dataset:
    """The header with what depends on the encoding of the pixels."""
    ds = copy.deepcopy(file.header)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in ds:
            del ds[keyword]
    photometric = encoded_photometric(target, decoded_photometric(file.transfer_syntax_uid, said.photometric))
    if photometric != said.photometric:
        ds.update(dataset(PhotometricInterpretation=photometric))
    if said.is_planar:
        ds.update(dataset(PlanarConfiguration=0))
    if file.transfer_syntax_uid not in LOSSLESS and not _says_lossy(ds):
        ds.update(dataset(LossyImageCompression="01"))
    return ds


def _says_lossy(ds: Dataset) -> bool:
    with broken.named():
        return str(ds.get("LossyImageCompression") or "") == "01"


def _for_codec(pixels: Pixels, said: Shape, target: str) -> Pixels:
    """Samples as the codec takes them: only the wavelet codecs know of a sign; to the others the same bits are unsigned.

    Raises ObjectError when bits beyond Bits Stored are used (old overlays live there): a codec could drop them.
    """
    low = -(1 << (said.bits_stored - 1)) if said.is_signed else 0
    if said.bits_stored < said.bits_allocated and (pixels.min() < low or pixels.max() >= low + (1 << said.bits_stored)):
        raise ObjectError(problem=f"its samples use more than the {said.bits_stored} bits that it says")
    is_hidden = pixels.dtype.kind == "i" and target not in _WAVELET
    return pixels.view(f"<u{pixels.dtype.itemsize}") if is_hidden else pixels


def _dimensions(said: Shape) -> tuple[int, ...]:
    return (said.rows, said.columns) if said.samples == 1 else (said.rows, said.columns, said.samples)


def _interleaved(raw: bytes, said: Shape) -> Pixels:
    samples = np.frombuffer(raw, dtype=said.dtype)
    if said.is_planar and said.samples == 3:
        return samples.reshape(3, said.rows, said.columns).transpose(1, 2, 0)
    return samples.reshape(_dimensions(said))
