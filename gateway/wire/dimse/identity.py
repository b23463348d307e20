"""The first bytes of an encoded data set to what the object is: its UIDs, modality and number of frames.

Only headers of elements are walked, up to (0028,0008); no value is decoded but the six that are wanted, and nothing needs the
pixels. A data set that cannot be read, or that is another object than the command announced, is an error with a name; a head
that ends too early says so with `HeadTooShort`, and the caller may give it more. PS3.5 7.1 (element structure), 7.5 (sequences).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from msgspec import Struct

from gateway.errors import NotDicom

HEAD_BYTES = 64 * 1024
"""Where a data set usually has said all that is wanted."""
_SOP_CLASS, _SOP_INSTANCE, _MODALITY = 0x0008_0016, 0x0008_0018, 0x0008_0060
_STUDY, _SERIES, _FRAMES = 0x0020_000D, 0x0020_000E, 0x0028_0008
_WANTED = frozenset({_SOP_CLASS, _SOP_INSTANCE, _MODALITY, _STUDY, _SERIES, _FRAMES})
_DEEPEST = 32


class Identity(Struct, frozen=True, kw_only=True):
    """What a data set says of itself; "" where it does not say it."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    frame_count: int


class HeadTooShort(Exception):
    """The bytes end before everything wanted has been seen. Never leaves the caller of `read`."""


def read(head: bytes, transfer_syntax_uid: str, *, is_whole: bool = False) -> Identity:
    """Read the start of a data set in its transfer syntax. `is_whole`: nothing follows `head`.

    Raises HeadTooShort when more is needed, NotDicom when it cannot be a data set.
    """
    if transfer_syntax_uid in _DEFLATED:
        head = _inflate(head)
    found: dict[int, bytes] = {}
    try:
        _walk(head, transfer_syntax_uid).top_level(found)
    except _Ended as ended:
        if is_whole and not ended.is_between:
            raise NotDicom(problem="the data set ends inside an element") from None
        if not is_whole:
            raise HeadTooShort from None
    return _identity(found)


_IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
"""Implicit VR Little Endian, and GE's private form of it (its pixels are big endian, its elements are not)."""
_BIG_ENDIAN = frozenset({"1.2.840.10008.1.2.2"})
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""The whole data set is deflated: Deflated Explicit VR, JPIP Referenced Deflate, JPIP HTJ2K Referenced Deflate (PS3.5 A.5)."""
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"}
    | {b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD


class _Ended(Exception):
    def __init__(self, *, is_between: bool) -> None:
        super().__init__()
        self.is_between = is_between


class _Walk:
    """One pass over the elements of a data set."""

    def __init__(self, data: bytes, order: str, *, is_explicit: bool) -> None:
        self._data = data
        self._order = order
        self._is_explicit = is_explicit
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")
        self._at = 0

    def top_level(self, found: dict[int, bytes]) -> None:
        """Collect the wanted values; return once they are passed, raise _Ended when the bytes end before."""
        last = 0
        while True:
            tag, vr, length = self._element()
            if tag > _FRAMES:
                return
            if tag <= last:
                raise NotDicom(problem="the elements of its data set are not in order")
            last = tag
            if length == _UNDEFINED:
                self._skip_items(0, is_unknown=vr == b"UN")
                continue
            if tag in _WANTED:
                if self._at + length > len(self._data):
                    raise _Ended(is_between=False)
                found[tag] = self._data[self._at : self._at + length]
            self._at += length

    def _element(self) -> tuple[int, bytes, int]:
        at = self._at
        if at + 8 > len(self._data):
            raise _Ended(is_between=at == len(self._data))
        group, element = self._tag.unpack_from(self._data, at)
        tag = group << 16 | element
        if not self._is_explicit or group == 0xFFFE:
            self._at = at + 8
            return tag, b"", self._long.unpack_from(self._data, at + 4)[0]
        vr = self._data[at + 4 : at + 6]
        if vr in _SHORT:
            self._at = at + 8
            return tag, vr, self._short.unpack_from(self._data, at + 6)[0]
        if vr not in _LONG:
            raise NotDicom(problem="its data set is not in the transfer syntax that was agreed")
        if at + 12 > len(self._data):
            raise _Ended(is_between=False)
        self._at = at + 12
        return tag, vr, self._long.unpack_from(self._data, at + 8)[0]

    def _skip_items(self, depth: int, *, is_unknown: bool) -> None:
        """Pass over a value of undefined length: items up to the sequence delimiter (PS3.5 7.5.1)."""
        if depth > _DEEPEST:
            raise NotDicom(problem="its sequences are nested too deep")
        was_explicit, self._is_explicit = self._is_explicit, self._is_explicit and not is_unknown
        while True:
            tag, _, length = self._element()
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise NotDicom(problem="a sequence holds something else than items")
            if length != _UNDEFINED:
                self._at += length
            else:
                self._skip_item(depth)
        self._is_explicit = was_explicit

    def _skip_item(self, depth: int) -> None:
        while True:
            tag, vr, length = self._element()
            if tag == _ITEM_END:
                return
            if length == _UNDEFINED:
                self._skip_items(depth + 1, is_unknown=vr == b"UN")
            else:
                self._at += length


def _walk(head: bytes, transfer_syntax_uid: str) -> _Walk:
    order = ">" if transfer_syntax_uid in _BIG_ENDIAN else "<"
    return _Walk(head, order, is_explicit=transfer_syntax_uid not in _IMPLICIT)


def _inflate(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, 4 * HEAD_BYTES)
    except zlib.error:
        raise NotDicom(problem="its data set cannot be inflated") from None


def _identity(found: Mapping[int, bytes]) -> Identity:
    frames = _text(found, _FRAMES)
    return Identity(
        sop_class_uid=_text(found, _SOP_CLASS),
        sop_instance_uid=_text(found, _SOP_INSTANCE),
        study_instance_uid=_text(found, _STUDY),
        series_instance_uid=_text(found, _SERIES),
        modality=_text(found, _MODALITY),
        frame_count=int(frames) if frames.isascii() and frames.isdecimal() else 1,
    )


def _text(found: Mapping[int, bytes], tag: int) -> str:
    return found.get(tag, b"").decode("ascii", "replace").strip("\0 ")
