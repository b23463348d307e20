"""A data set and its pixel data to a Part 10 stream, in one pass: nothing is held but one frame, nothing is sought back.

Values that were read are carried as the bytes they are: only their headers, their byte order and the lengths of
sequences are written anew, so a transfer syntax can change without a text being decoded and encoded again. PS3.5 7 (data
set), A.4 (encapsulation), PS3.10 7.1 (group 0002).
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.tag import BaseTag

from gateway import uids
from gateway.errors import ObjectInvalid
from gateway.objects import broken
from gateway.objects.words import Sink, Written

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})

PIXEL_DATA = 0x7FE00010
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
_UNDEFINED = 0xFFFFFFFF
_LONGEST_FRAGMENT = 0xFFFFFFFE
_COPY_BYTES = 1 << 20
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?")
_LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_WORD_BYTES = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
_WORD_BYTES |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}


def is_implicit(transfer_syntax_uid: str) -> bool:
    """Whether elements carry no VR."""
    return transfer_syntax_uid == IMPLICIT_LITTLE


def is_little(transfer_syntax_uid: str) -> bool:
    """Whether words are little endian."""
    return transfer_syntax_uid != EXPLICIT_BIG


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether pixel data is one stream of MPEG-2, H.264 or HEVC, and not frame by frame (PS3.5 8.2.5 to 8.2.11)."""
    return _VIDEO.fullmatch(transfer_syntax_uid) is not None


def is_fragmentable(transfer_syntax_uid: str) -> bool:
    """Whether a video may lie in several fragments (PS3.6 table A-1): it has a UID of its own for that; HEVC always may."""
    return is_video(transfer_syntax_uid) and transfer_syntax_uid.endswith((".1", ".107", ".108"))


def write(sink: Sink, ds: Dataset, transfer_syntax_uid: str, tail: Iterable[bytes] = ()) -> Written:
    """Write preamble, group 0002, the data set, and then `tail`: everything from the Pixel Data element's tag on, encoded."""
    sop_class_uid, sop_instance_uid = _identity(ds, "SOPClassUID"), _identity(ds, "SOPInstanceUID")
    sink.write(preface(sop_class_uid, sop_instance_uid, transfer_syntax_uid))
    hashed = _Hashed(sink)
    chunks = _chunks(ds, transfer_syntax_uid, tail)
    for chunk in _deflated(chunks) if transfer_syntax_uid == DEFLATED else chunks:
        hashed.write(chunk)
    return Written(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        data_digest=hashed.hexdigest(),
    )


def preface(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble, prefix and group 0002, which names this implementation."""
    elements = b"".join(
        (
            _short(0x0001, b"OB", b"\x00\x01"),
            _short(0x0002, b"UI", _ui(sop_class_uid)),
            _short(0x0003, b"UI", _ui(sop_instance_uid)),
            _short(0x0010, b"UI", _ui(transfer_syntax_uid)),
            _short(0x0012, b"UI", _ui(uids.IMPLEMENTATION_CLASS_UID)),
            _short(0x0013, b"SH", _padded(uids.IMPLEMENTATION_VERSION_NAME.encode(), b" ")),
        )
    )
    return bytes(128) + b"DICM" + _short(0x0000, b"UL", struct.pack("<L", len(elements))) + elements


def native(
    frames: Iterable[bytes], length: int, transfer_syntax_uid: str, vr: str = "OB", tag: int = PIXEL_DATA
) -> Iterator[bytes]:
    """Yield the Pixel Data element of native frames (8 bits: OB, in the order of the target). `length` is known before.

    Raises ObjectInvalid when the frames do not come to exactly that, or when 32 bits cannot say it.
    """
    padded = length + length % 2
    if padded >= _UNDEFINED:
        raise ObjectInvalid(problem="uncompressed pixel data ends at 4 GiB")
    yield _element_header(BaseTag(tag), vr, padded, transfer_syntax_uid)
    total = 0
    for frame in frames:
        total += len(frame)
        if total > length:
            break
        yield frame
    if total != length:
        raise ObjectInvalid(
            problem=f"the frames hold {'more' if total > length else 'less'} than the {length} bytes announced"
        )
    yield bytes(length % 2)


def encapsulated(frames: Iterable[bytes], lengths: Sequence[int] = ()) -> Iterator[bytes]:
    """Yield the Pixel Data element of compressed frames, one fragment each (PS3.5 A.4).

    With the frames' lengths known before, a Basic Offset Table comes first while 32 bits can say it (else `extended` has
    put an Extended Offset Table in the data set); without, it is empty, and a reader counts fragments. Raises ObjectInvalid
    when a frame's length is not the one announced.
    """
    offsets = _offsets(lengths)
    table = struct.pack(f"<{len(offsets)}L", *offsets) if offsets and offsets[-1] < _UNDEFINED else b""
    yield (
        _element_header(BaseTag(PIXEL_DATA), "OB", _UNDEFINED, EXPLICIT_LITTLE) + _ITEM + struct.pack("<L", len(table))
    )
    yield table
    count = 0
    for frame in frames:
        if lengths and (count >= len(lengths) or len(frame) != lengths[count]):
            raise ObjectInvalid(problem=f"frame {count + 1} is not as long as was announced")
        if not frame or len(frame) >= _UNDEFINED - 1:
            raise ObjectInvalid(problem=f"frame {count + 1} holds {len(frame)} bytes")
        yield _ITEM + struct.pack("<L", len(frame) + len(frame) % 2)
        yield frame if len(frame) % 2 == 0 else bytes(frame) + b"\0"
        count += 1
    if lengths and count != len(lengths):
        raise ObjectInvalid(problem=f"{count} frames came, and {len(lengths)} were announced")
    yield _SEQUENCE_END


def video(stream: Path, transfer_syntax_uid: str) -> Iterator[bytes]:
    """Yield the Pixel Data element of a video file: an empty offset table and the whole stream as one fragment (PS3.5 8.2.7).

    The Fragmentable syntaxes say the same in as many fragments as it takes. Raises ObjectInvalid when the file is longer than
    one fragment can be, or changes its length meanwhile.
    """
    left = stream.stat().st_size
    if left > _LONGEST_FRAGMENT and not is_fragmentable(transfer_syntax_uid):
        raise ObjectInvalid(problem=f"a video of {left} bytes is longer than one fragment can be")
    yield _element_header(BaseTag(PIXEL_DATA), "OB", _UNDEFINED, EXPLICIT_LITTLE) + _ITEM + bytes(4)
    with stream.open("rb") as file:
        while left:
            length = min(left, _LONGEST_FRAGMENT)
            yield _ITEM + struct.pack("<L", length + length % 2)
            yield from _exactly(file, length)
            yield bytes(length % 2)
            left -= length
    yield _SEQUENCE_END


def extended(lengths: Sequence[int]) -> tuple[bytes, bytes] | None:
    """Return the Extended Offset Table and its lengths (C.7.6.3.1.8) when 32-bit offsets do not reach the last frame."""
    offsets = _offsets(lengths)
    if not offsets or offsets[-1] < _UNDEFINED:
        return None
    return struct.pack(f"<{len(offsets)}Q", *offsets), struct.pack(f"<{len(lengths)}Q", *lengths)


def data_set(ds: Dataset, transfer_syntax_uid: str) -> bytes:
    """Return a data set (without pixel data) encoded: values as the bytes they were read as, made values by pydicom.

    Raises NotDicom when a value that was read cannot be understood as far as that takes.
    """
    with broken.named():
        return b"".join(_elements(ds, transfer_syntax_uid, _character_sets(ds, ["iso8859"])))


def unread(ds: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """Return an element as it was read, where nobody has looked at its value yet."""
    return cast("DataElement | RawDataElement", ds.get_item(tag))


def swapped(value: bytes, word_bytes: int) -> bytes:
    """Return the value with the bytes of each word in the other order; a torn last word stays as it is."""
    if word_bytes == 1:
        return value
    whole = len(value) - len(value) % word_bytes
    return np.frombuffer(value[:whole], dtype=f"u{word_bytes}").byteswap().tobytes() + value[whole:]


def word_bytes(vr: str) -> int:
    """Return how many bytes change places with the byte order under this VR."""
    return _WORD_BYTES.get(vr, 1)


class _Hashed:
    """A sink that digests what goes through it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._sink.write(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _identity(ds: Dataset, keyword: str) -> str:
    with broken.named():
        uid = str(ds.get(keyword) or "")
    if not uid or not uid.isascii() or len(uid) > 64:
        raise ObjectInvalid(problem=f"it has no valid {keyword}")
    return uid


def _chunks(ds: Dataset, transfer_syntax_uid: str, tail: Iterable[bytes]) -> Iterator[bytes]:
    yield data_set(ds, transfer_syntax_uid)
    yield from tail


def _deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """RFC 1951, without the zlib header (PS3.5 A.5)."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    for chunk in chunks:
        out = deflate.compress(chunk)
        length += len(out)
        yield out
    out = deflate.flush()
    yield out
    yield bytes((length + len(out)) % 2)


def _elements(ds: Dataset, syntax: str, character_sets: list[str]) -> Iterator[bytes]:
    for tag in sorted(ds.keys()):
        if tag.element == 0 and tag.group > 6:
            continue  # group lengths are retired and would be wrong
        yield _encoded(ds, tag, syntax, character_sets)


def _encoded(ds: Dataset, tag: BaseTag, syntax: str, character_sets: list[str]) -> bytes:
    element = unread(ds, tag)
    vr = _vr(ds, element)
    if vr == "SQ":
        return _sequence(ds[tag], syntax, character_sets)
    if isinstance(element, RawDataElement):
        value = element.value or b""
        if vr != "UN" and element.is_little_endian != is_little(syntax):
            value = swapped(value, word_bytes(vr))
        return _with_header(tag, vr, value, syntax)
    return _with_header(tag, vr, _made(element, syntax, character_sets), syntax)


def _with_header(tag: BaseTag, vr: str, value: bytes, syntax: str) -> bytes:
    if len(value) > 0xFFFF and vr not in _LONG_VRS and not is_implicit(syntax):
        # PS3.5 6.2.2: what the 16-bit length of its VR cannot say is written as UN, which is always little endian.
        value, vr = (value if is_little(syntax) else swapped(value, word_bytes(vr))), "UN"
    value = _padded(value, b"\0" if vr in _LONG_VRS or vr == "UI" else b" ")
    return _element_header(tag, vr, len(value), syntax) + value


def _vr(ds: Dataset, element: DataElement | RawDataElement) -> str:
    """The VR an element is written with: its own, the dictionary's, or UN for one that nobody knows."""
    vr: str = element.VR or _known_vr(ds, element.tag)
    if len(vr) > 2:  # "US or SS": other elements decide
        vr = str(correct_ambiguous_vr_element(ds[element.tag], ds, is_little_endian=True).VR)
    return vr if len(vr) == 2 else "UN"


def _known_vr(ds: Dataset, tag: BaseTag) -> str:
    try:
        if not tag.is_private:
            return dictionary_VR(tag)
        if tag.is_private_creator:
            return "LO"
        return private_dictionary_VR(tag, str(ds[tag.group, tag.element >> 8].value))
    except KeyError:
        return ""


def _sequence(element: DataElement, syntax: str, character_sets: list[str]) -> bytes:
    items = []
    for item in cast("Iterable[Dataset]", element.value):
        body = b"".join(_elements(item, syntax, _character_sets(item, character_sets)))
        items.append(_tag(0xFFFE, 0xE000, syntax) + struct.pack(_order(syntax) + "L", len(body)) + body)
    value = b"".join(items)
    return _element_header(element.tag, "SQ", len(value), syntax) + value


def _made(element: DataElement, syntax: str, character_sets: list[str]) -> bytes:
    """The value's bytes of an element that was made, not read: pydicom encodes it, with a header that is cut off."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = is_little(syntax), True
    write_data_element(buffer, element, character_sets)
    return buffer.getvalue()[8:]


def _character_sets(ds: Dataset, inherited: list[str]) -> list[str]:
    if "SpecificCharacterSet" not in ds:
        return inherited
    value = ds.SpecificCharacterSet
    return [str(value)] if isinstance(value, str) or value is None else [str(term) for term in value]


def _element_header(tag: BaseTag, vr: str, length: int, syntax: str) -> bytes:
    head, order = _tag(tag.group, tag.element, syntax), _order(syntax)
    if is_implicit(syntax):
        return head + struct.pack(order + "L", length)
    if vr in _LONG_VRS:
        return head + vr.encode() + bytes(2) + struct.pack(order + "L", length)
    return head + vr.encode() + struct.pack(order + "H", length)


def _order(syntax: str) -> str:
    return "<" if is_little(syntax) else ">"


def _tag(group: int, element: int, syntax: str) -> bytes:
    return struct.pack(_order(syntax) + "HH", group, element)


def _exactly(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        chunk = file.read(min(length, _COPY_BYTES))
        if not chunk:
            raise ObjectInvalid(problem="the video became shorter while it was read")
        length -= len(chunk)
        yield chunk


def _offsets(lengths: Sequence[int]) -> list[int]:
    """Where each frame's item begins, from the first item after the offset table."""
    offsets, at = [], 0
    for length in lengths:
        offsets.append(at)
        at += 8 + length + length % 2
    return offsets


def _short(element: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH2s", 2, element, vr)
    return head + (bytes(2) + struct.pack("<L", len(value)) if vr == b"OB" else struct.pack("<H", len(value))) + value


def _ui(uid: str) -> bytes:
    return _padded(uid.encode("ascii"), b"\0")


def _padded(value: bytes, pad: bytes) -> bytes:
    return value if len(value) % 2 == 0 else value + pad
