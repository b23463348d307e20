"""Pictures to the bytes of one compressed frame and back: the one door to imagecodecs.

The rule: what `encode` makes decodes to the same samples, bit for bit (what loses is called `jpeg`, and asked for by that
name); and any bytes at all decode to an array or raise CodecError. Before a decoder sees a stream, its own header must claim the rows, columns and samples that the
object claims, so that a hostile one cannot ask for memory, and it must be whole: libjpeg paints grey over what is
missing and says nothing. PS3.5 8.2 and A.4; RLE PS3.5 annex G; SIZ of JPEG 2000: T.800 A.5.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import imagecodecs
import numpy as np
import numpy.typing as npt

from gateway.errors import CodecError
from gateway.pixels import streams

Pixels = npt.NDArray[Any]
Result = TypeVar("Result")
Compression = Literal["none", "rle", "jpeg-ls", "jpeg2000", "htj2k", "jpeg-xl", "jpeg-lossless", "jpeg", "passthrough"]

TRANSFER_SYNTAXES: Mapping[str, str] = MappingProxyType(
    {
        "none": "1.2.840.10008.1.2.1",
        "rle": "1.2.840.10008.1.2.5",
        "jpeg-lossless": "1.2.840.10008.1.2.4.70",
        "jpeg-ls": "1.2.840.10008.1.2.4.80",
        "jpeg2000": "1.2.840.10008.1.2.4.90",
        "jpeg-xl": "1.2.840.10008.1.2.4.110",
        "htj2k": "1.2.840.10008.1.2.4.201",
    }
)
"""What can be encoded, all of it lossless: a profile's word to the UID."""

QUICK = "jpeg-xl"
"""The form that is five times as quick as HTJ2K: a recorder's when it cannot keep up, until its object is composed."""

LOSSY: Mapping[str, str] = MappingProxyType({"jpeg": "1.2.840.10008.1.2.4.50", "passthrough": "1.2.840.10008.1.2.4.50"})
"""What loses, or came with a loss: `jpeg_baseline`, or a grabber's own JPEG frames (`mjpeg.whole`)."""

LOSSY_METHOD = "ISO_10918_1"
"""Lossy Image Compression Method of both (PS3.3 C.7.6.1.1.5.1)."""

ENCODABLE = frozenset(TRANSFER_SYNTAXES.values())

NATIVE_LITTLE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
NATIVE_BIG = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_DCT = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
JPEG_LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})
HTJ2K = frozenset({"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"})
JPEG_XL = frozenset({"1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"})
DECODABLE = (
    NATIVE_LITTLE | {NATIVE_BIG, RLE} | JPEG_DCT | JPEG_LOSSLESS | JPEG_LS | JPEG_2000 | HTJ2K | JPEG_XL
)  # fmt: skip

LARGEST_FRAME_BYTES = 1 << 30
"""A frame that claims more is refused."""


def transfer_syntax(compression: str) -> str:
    """Return the UID of a profile's word for a compression; raises CodecError."""
    uid = TRANSFER_SYNTAXES.get(compression) or LOSSY.get(compression)
    if uid is None:
        raise CodecError(codec=compression, problem="nothing here encodes it")
    return uid


def able(compression: Compression, bits_stored: int) -> Compression:
    """Return what holds samples of so many bits: JPEG has 8 of them here, and the stream of JPEG-LS cannot say 10 or 12."""
    if compression in LOSSY and bits_stored > 8:
        return "htj2k"
    return "jpeg2000" if compression in _ALL_BITS_ONLY and bits_stored not in {8, 16} else compression


def photometric(compression: str, samples: int) -> str:
    """Return the PhotometricInterpretation of frames encoded here from grey or RGB pictures.

    JPEG 2000 and HTJ2K code RGB with their reversible colour transform: YBR_RCT (PS3.5 8.2.4); JPEG baseline Y'CbCr
    with half the chroma: YBR_FULL_422 (PS3.5 8.2.1).
    """
    if samples == 1:
        return "MONOCHROME2"
    if compression in LOSSY:
        return "YBR_FULL_422"
    return "YBR_RCT" if compression in {"jpeg2000", "htj2k"} else "RGB"


def encode(array: Pixels, compression: str, bits_stored: int | None = None) -> bytes:
    """Return one frame, losslessly. `array`: (rows, columns) or (rows, columns, 3), 8- or 16-bit integers.

    `bits_stored` says how many of 16 bits are used: for JPEG-LS and JPEG lossless it raises CodecError, as their streams
    would state more bits than the object does. They and JPEG XL carry signed samples as the bits they are (two's
    complement), since their streams have no sign. A lossy `compression` raises CodecError.
    """
    if compression not in TRANSFER_SYNTAXES:
        raise CodecError(codec=compression, problem="nothing here encodes it without a loss")
    return encode_as(array, TRANSFER_SYNTAXES[compression], bits_stored)


def encode_as(array: Pixels, transfer_syntax_uid: str, bits_stored: int | None = None) -> bytes:
    """Do what `encode` does, for a UID in ENCODABLE."""
    if transfer_syntax_uid not in ENCODABLE:
        raise CodecError(codec=transfer_syntax_uid, problem="nothing here encodes it")
    compression = next(name for name, uid in TRANSFER_SYNTAXES.items() if uid == transfer_syntax_uid)
    if array.dtype.kind not in "iu" or array.dtype.itemsize > 2 or not _is_picture(array):
        raise CodecError(codec=compression, problem=f"a frame of {array.dtype} {array.shape} is not a picture")
    bits = array.dtype.itemsize * 8
    if (bits_stored or bits) != bits and compression in _ALL_BITS_ONLY:
        raise CodecError(codec=compression, problem=f"it cannot say that {bits_stored} of {bits} bits are used")
    pixels = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if compression in _UNSIGNED_ONLY and pixels.dtype.kind == "i":
        pixels, bits_stored = pixels.view(f"u{pixels.dtype.itemsize}"), bits
    return bytes(_encoded(pixels, compression, bits_stored or bits))


def decode(  # noqa: PLR0913  the object's own attributes
    data: bytes,
    transfer_syntax_uid: str,
    rows: int,
    columns: int,
    samples: int,
    bits: int,
    signed: bool = False,  # noqa: FBT001, FBT002  the order of the object's own attributes
    *,
    photometric: str = "",
    is_planar: bool = False,
) -> Pixels:
    """Return one frame: (rows, columns) or (rows, columns, samples), 8- or 16-bit integers as `bits` and `signed` say.

    `bits` are Bits Allocated, 8 or 16. A codec's own colour transform is undone (YBR_RCT and YBR_ICT come back as RGB); a
    lossy JPEG whose components are Y'CbCr comes back as RGB, which the stream decides unless `photometric` does.
    `is_planar` is Planar Configuration, and matters only for native frames. Raises CodecError.
    """
    wanted = streams.Header(rows, columns, samples, bits)
    _refuse(wanted, transfer_syntax_uid)
    if transfer_syntax_uid in NATIVE_LITTLE or transfer_syntax_uid == NATIVE_BIG:
        return _native(
            data, wanted, ">" if transfer_syntax_uid == NATIVE_BIG else "<", is_signed=signed, is_planar=is_planar
        )
    if transfer_syntax_uid == RLE:
        return _typed(_rle_decode(data, wanted), wanted, bits, is_signed=signed)
    stated = streams.checked(data, _NAMES[transfer_syntax_uid], wanted)
    pixels = _decoded(data, transfer_syntax_uid, photometric)
    if pixels.shape != _shape(wanted) or pixels.dtype.kind not in "iu" or pixels.dtype.itemsize * 8 > bits:
        raise CodecError(
            codec=_NAMES[transfer_syntax_uid],
            problem=f"it holds {pixels.dtype} {pixels.shape}, not {bits} bits {_shape(wanted)}",
        )
    return _typed(pixels, wanted, stated.bits, is_signed=signed)


def jpeg(array: Pixels, quality: int) -> bytes:
    """Return a JPEG for the screen (preview, thumbnail); `array` is 8-bit grey or RGB, `quality` 1 to 100."""
    return _jpeg(array, level=quality)


def jpeg_baseline(array: Pixels, quality: int) -> bytes:
    """Return one frame of an object, with loss: JPEG baseline, half the chroma (4:2:2); `array` and `quality` as in `jpeg`."""
    return _jpeg(array, level=quality, subsampling="422") if array.ndim == 3 else _jpeg(array, level=quality)


def load_all() -> None:
    """Run every encoder and its decoder once on a tiny picture: their libraries are loaded when first used."""
    picture = np.zeros((8, 8, 3), np.uint8)
    for compression, uid in TRANSFER_SYNTAXES.items():
        decode(encode(picture, compression), uid, 8, 8, 3, 8)
    jpeg(picture, 80)


def _jpeg(array: Pixels, **options: object) -> bytes:
    if array.dtype != np.uint8 or not _is_picture(array):
        raise CodecError(codec="jpeg", problem=f"a frame of {array.dtype} {array.shape} is not a picture")
    return bytes(_called("jpeg", imagecodecs.jpeg8_encode, np.ascontiguousarray(array), **options))


def _is_picture(array: Pixels) -> bool:
    is_shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    return is_shaped and all(0 < side <= 0xFFFF for side in array.shape)


def _shape(wanted: streams.Header) -> tuple[int, ...]:
    return (wanted.rows, wanted.columns) if wanted.samples == 1 else (wanted.rows, wanted.columns, wanted.samples)


def _refuse(wanted: streams.Header, uid: str) -> None:
    """Refuse what no decoder here can make: better before it tries."""
    if uid not in DECODABLE:
        raise CodecError(codec=uid, problem="nothing here decodes it")
    if wanted.samples not in {1, 3} or wanted.bits not in {8, 16}:
        raise CodecError(codec=uid, problem=f"{wanted.samples} samples of {wanted.bits} bits are not decoded here")
    if not (0 < wanted.rows <= 0xFFFF and 0 < wanted.columns <= 0xFFFF) or wanted.size_bytes > LARGEST_FRAME_BYTES:
        raise CodecError(codec=uid, problem=f"a frame of {wanted.columns}x{wanted.rows} is not decoded here")


def _called(codec: str, function: Callable[..., Result], data: bytes | Pixels, **options: object) -> Result:
    """Call into imagecodecs: whatever it raises becomes a CodecError that names the codec."""
    try:
        return function(data, **options)
    except _REFUSALS as refusal:
        raise CodecError(codec=codec, problem=str(refusal)) from refusal


def _encoded(pixels: Pixels, compression: str, bits: int) -> bytes | bytearray:
    match compression:
        case "none":
            return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        case "rle":
            return _rle_encode(pixels)
        case "jpeg-ls":
            return _called(
                compression, imagecodecs.jpegls_encode, pixels, out=4 * pixels.nbytes + 4096
            )  # T.87: LIMIT bits each
        case "jpeg-lossless":
            options: dict[str, object] = {"lossless": True, "predictor": 1, "bitspersample": bits}
            return _called(compression, imagecodecs.jpeg8_encode, pixels, **options)
        case "jpeg2000":
            options = {"codecformat": "j2k", "level": 0, "reversible": True, "mct": True, "bitspersample": bits}
            return _called(compression, imagecodecs.jpeg2k_encode, pixels, numthreads=1, **options)
        case "jpeg-xl":
            options = {"lossless": True, "effort": 1, "numthreads": 1, "bitspersample": bits}
            return _called(compression, imagecodecs.jpegxl_encode, pixels, **options)
        case _:
            return _htj2k(pixels, bits)


def _htj2k(pixels: Pixels, bits: int) -> bytes | bytearray:
    """Encode; where fewer bits than the container's are used, state them in SIZ, which the encoder cannot.

    A decoder adds half the stated range to unsigned samples, the encoder took off half the container's: what is
    encoded is higher by the difference. T.800 A.5.1 (Ssiz), G.1 (DC level shift).
    """
    container = pixels.dtype.itemsize * 8
    if bits == container:
        return _called("htj2k", imagecodecs.htj2k_encode, pixels, reversible=True)
    is_signed = pixels.dtype.kind == "i"
    low = -(1 << (bits - 1)) if is_signed else 0
    if pixels.min() < low or pixels.max() >= low + (1 << bits):
        raise CodecError(codec="htj2k", problem=f"its samples use more than {bits} bits")
    shift = 0 if is_signed else (1 << (container - 1)) - (1 << (bits - 1))
    stream = bytearray(_called("htj2k", imagecodecs.htj2k_encode, pixels + pixels.dtype.type(shift), reversible=True))
    for sample in range(1 if pixels.ndim == 2 else pixels.shape[2]):
        stream[_SSIZ + 3 * sample] = (0x80 if is_signed else 0) | (bits - 1)
    return stream


def _decoded(data: bytes, uid: str, photometric: str) -> Pixels:
    name = _NAMES[uid]
    if uid in JPEG_DCT:
        spaces = _JPEG_SPACES.get(photometric[:3], {})
        pixels = _called(name, imagecodecs.jpeg8_decode, data, **spaces)
    elif uid in JPEG_LOSSLESS:
        pixels = _called(name, imagecodecs.jpeg8_decode, data)
    elif uid in JPEG_LS:
        pixels = _called(name, imagecodecs.jpegls_decode, data)
    elif uid in JPEG_2000 | HTJ2K:  # OpenJPEG for both: OpenJPH is twice as fast, and dies of a hostile stream
        pixels = _called(name, imagecodecs.jpeg2k_decode, data, numthreads=1)
    else:
        pixels = _called(name, imagecodecs.jpegxl_decode, data, index=0, numthreads=1)
    return np.asarray(pixels)


def _typed(pixels: Pixels, wanted: streams.Header, precision: int, *, is_signed: bool) -> Pixels:
    """Give samples the object's type; where the stream had no sign, the highest bit of its precision is the sign."""
    kind = np.dtype(f"{'i' if is_signed else 'u'}{wanted.bits // 8}")
    if is_signed and pixels.dtype.kind == "u" and precision < wanted.bits:
        shift = wanted.bits - precision
        return np.ascontiguousarray((pixels.astype(kind) << shift) >> shift)
    return np.ascontiguousarray(pixels.astype(kind, copy=False))


def _native(data: bytes, wanted: streams.Header, order: str, *, is_signed: bool, is_planar: bool) -> Pixels:
    """Return the samples as they lie (PS3.5 8.1): interleaved, or plane after plane; one byte of padding is allowed.

    Big endian swaps the bytes of 16-bit samples only: 8-bit samples are taken to be OB.
    """
    if not 0 <= len(data) - wanted.size_bytes <= 1:
        raise CodecError(codec="native", problem=f"a frame has {len(data)} bytes instead of {wanted.size_bytes}")
    kind = np.dtype(f"{order}{'i' if is_signed else 'u'}{wanted.bits // 8}")
    flat = np.frombuffer(data, kind, wanted.rows * wanted.columns * wanted.samples)
    if is_planar and wanted.samples == 3:
        pixels = flat.reshape(3, wanted.rows, wanted.columns).transpose(1, 2, 0)
    else:
        pixels = flat.reshape(_shape(wanted))
    return np.ascontiguousarray(pixels, dtype=kind.newbyteorder("="))


def _rle_encode(pixels: Pixels) -> bytes:
    """Code each byte of each sample as a segment, most significant first, row by row (PS3.5 G.2 to G.5)."""
    rows, columns = pixels.shape[:2]
    big = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">"))).view(np.uint8)
    planes = big.reshape(rows, columns, -1).transpose(2, 0, 1)
    segments = [_called("rle", imagecodecs.packbits_encode, plane.copy(), axis=-1) for plane in planes]
    padded = [segment + bytes(len(segment) % 2) for segment in segments]
    starts = [64 + sum(map(len, padded[:number])) for number in range(len(padded))]
    return struct.pack("<16L", len(padded), *starts, *[0] * (15 - len(padded))) + b"".join(padded)


def _rle_decode(data: bytes, wanted: streams.Header) -> Pixels:
    """Decode the segments of a frame; each must hold exactly one byte of every pixel, padding apart."""
    count = wanted.samples * wanted.bits // 8
    header = struct.unpack("<16L", data[:64]) if len(data) >= 64 else (0,) * 16
    starts = (*header[1 : count + 1], len(data))
    if header[0] != count or starts[0] != 64 or any(a >= b for a, b in pairwise(starts)):
        raise CodecError(codec="rle", problem="its header does not fit its samples")
    pixel_count = wanted.rows * wanted.columns
    planes = np.empty((count, pixel_count), np.uint8)
    for plane, start, end in zip(planes, starts[:-1], starts[1:], strict=True):
        plane[:] = _unpacked(data[start:end], pixel_count)
    big = planes.reshape(wanted.samples, wanted.bits // 8, wanted.rows, wanted.columns).transpose(2, 3, 0, 1)
    samples = np.ascontiguousarray(big).view(f">u{wanted.bits // 8}")
    return samples.reshape(_shape(wanted)).astype(f"u{wanted.bits // 8}")


def _unpacked(segment: bytes, count: int) -> Pixels:
    """Return the `count` bytes of a PackBits segment; one of padding may follow."""
    found = np.frombuffer(_called("rle", imagecodecs.packbits_decode, segment), np.uint8)
    if not 0 <= found.size - count <= 1:
        raise CodecError(codec="rle", problem=f"a segment holds {found.size} bytes instead of {count}")
    return found[:count]


_ALL_BITS_ONLY = frozenset({"jpeg-ls", "jpeg-lossless"})
_UNSIGNED_ONLY = frozenset({"jpeg-ls", "jpeg-lossless", "jpeg-xl"})
_SSIZ = 42
"""Where the first component's depth stands: SOC, SIZ and its fields up to Csiz take 42 bytes."""

_REFUSALS = (ValueError, TypeError, RuntimeError, MemoryError, OverflowError, struct.error)
"""What imagecodecs raises; its own errors are RuntimeErrors."""

_JPEG_SPACES: Mapping[str, dict[str, object]] = MappingProxyType(
    {
        "RGB": {"colorspace": "RGB", "outcolorspace": "RGB"},
        "YBR": {"colorspace": "YCBCR", "outcolorspace": "RGB"},
    }
)
"""What libjpeg is told of the components, by the first letters of PhotometricInterpretation; else it looks at the markers."""

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(JPEG_DCT, "JPEG"),
        **dict.fromkeys(JPEG_LOSSLESS, "JPEG lossless"),
        **dict.fromkeys(JPEG_LS, "JPEG-LS"),
        **dict.fromkeys(JPEG_2000, "JPEG 2000"),
        **dict.fromkeys(HTJ2K, "HTJ2K"),
        **dict.fromkeys(JPEG_XL, "JPEG XL"),
    }
)
