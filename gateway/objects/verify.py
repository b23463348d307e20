"""Two questions about Part 10 files: does this one keep the rules, and are these two the same object?

`check` says in words what is wrong, and covers what dciodvfy does not see: lossy attributes, time zone, character set
against bytes, UIDs, dates of 1970, frames against fragments, lengths. `same` is law 2's definition: equal data sets without
group 0002, after normalising the transfer syntax and comparing decoded pixels.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments

from gateway.errors import NotDicom, ObjectError
from gateway.objects import broken, coerce, encode, part10, transcode
from gateway.objects.part10 import Part10

_LOSSY_METHOD = (
    (re.compile(r"1\.2\.840\.10008\.1\.2\.4\.5[01]"), "ISO_10918_1"),
    (re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[01](\.1)?"), "ISO_13818_2"),
    (re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[2-6](\.1)?"), "ISO_14496_10"),
    (re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[78]"), "ISO_23008_2"),
)
"""Transfer syntaxes that are always lossy, and the method that belongs to them (PS3.3 C.7.6.1.1.5.1)."""

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d", re.ASCII)
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def check(path: Path) -> list[str]:
    """Return what is wrong with one object, in words; empty when nothing is. Raises NotDicom, OSError."""
    with part10.open_file(path) as file, broken.named():
        return [
            *_values(file.header, _character_sets(file.header)),  # first: it looks at values that nobody has converted
            *_identity(file),
            *_time_zone(file.header),
            *_lossy(file),
            *_frame_times(file),
            *_samples_said(file),
            *_regions(file.header),
            *_curves(file.header),
            *_document(file.header),
            *(_pixels(file) if file.pixels is not None else ()),
        ]


def same(one: Path, other: Path, decode: transcode.Decode) -> bool:
    """Whether two files hold the same object, frame by frame. Raises NotDicom, ObjectError, CodecError, OSError."""
    with part10.open_file(one) as a, part10.open_file(other) as b:
        if _canonical(a) != _canonical(b) or (a.pixels is None) != (b.pixels is None):
            return False
        if a.pixels is None:
            return True
        if encode.is_video(a.transfer_syntax_uid) or encode.is_video(b.transfer_syntax_uid):
            return a.transfer_syntax_uid == b.transfer_syntax_uid and _equal(a.tail(), b.tail())
        if a.transfer_syntax_uid == b.transfer_syntax_uid:
            return _equal(a.tail(), b.tail()) or _same_pixels(a, b, decode)
        return _same_pixels(a, b, decode)


_OF_THE_ENCODING = ("PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def _canonical(file: Part10) -> bytes:
    """The header in implicit VR little endian, without what belongs to the encoding of the pixels."""
    ds = copy.deepcopy(file.header)
    for keyword in _OF_THE_ENCODING:
        if keyword in ds:
            del ds[keyword]
    with broken.named():
        if "PhotometricInterpretation" in ds:
            stored = str(ds.PhotometricInterpretation)
            ds.PhotometricInterpretation = transcode.decoded_photometric(file.transfer_syntax_uid, stored)
    return encode.data_set(ds, encode.IMPLICIT_LITTLE)


def _same_pixels(a: Part10, b: Part10, decode: transcode.Decode) -> bool:
    return all(
        one is not None and other is not None and one.shape == other.shape and np.array_equal(one, other)
        for one, other in zip_longest(_samples(a, decode), _samples(b, decode))
    )


def _samples(file: Part10, decode: transcode.Decode) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Decoded frames; where samples have no 8 or 16 bits, native bytes piece by piece."""
    if file.transfer_syntax_uid not in encode.NATIVE:
        yield from transcode.frames(file, decode)
        return
    try:
        transcode.shape(file.header)
    except (NotDicom, ObjectError):
        yield from (np.frombuffer(piece, dtype=np.uint8) for piece in file.native_bytes())
        return
    yield from transcode.frames(file, decode)


def _equal(one: Iterator[bytes], other: Iterator[bytes]) -> bool:
    return all(a == b for a, b in zip_longest(one, other))


def _identity(file: Part10) -> Iterator[str]:
    ds, meta = file.header, file.meta
    for keyword in _REQUIRED:
        if not ds.get(keyword):
            yield f"{keyword} is missing"
    for keyword, of_meta in (
        ("SOPClassUID", "MediaStorageSOPClassUID"),
        ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
    ):
        if str(meta.get(of_meta) or "") != str(ds.get(keyword) or ""):
            yield f"{of_meta} in group 0002 is not the {keyword} of the data set"


def _time_zone(ds: Dataset) -> Iterator[str]:
    offset = str(ds.get("TimezoneOffsetFromUTC") or "")
    if offset and (_OFFSET.fullmatch(offset) is None or offset == "-0000" or not -1200 <= int(offset) <= 1400):
        yield "TimezoneOffsetFromUTC is not of the form +HHMM or -HHMM"


def _character_sets(ds: Dataset) -> list[str]:
    value = ds.get("SpecificCharacterSet")
    return [] if value is None else [value] if isinstance(value, str) else [str(term) for term in value]


def _values(ds: Dataset, character_sets: list[str]) -> Iterator[str]:
    """What each value breaks, in the data set and its items; names the attribute, never the value."""
    for term in character_sets:
        if term and term not in python_encoding:
            yield "SpecificCharacterSet names a character set that the standard does not know"
    for tag in sorted(ds.keys()):
        element = encode.unread(ds, tag)
        if isinstance(element, RawDataElement):
            yield from _bytes(element, character_sets)
        if tag.element != 0 and (element.VR in {None, "SQ", "UN"} and ds[tag].VR == "SQ"):
            for item in ds[tag].value:
                yield from _values(item, _character_sets(item) or character_sets)


def _bytes(element: RawDataElement, character_sets: list[str]) -> Iterator[str]:
    value = element.value or b""
    if not value:
        return
    keyword, vr = _name(element)
    if len(value) % 2:
        yield f"{keyword} has an odd length"
    if vr == "UI":
        yield from _uids(keyword, value)
    elif vr in {"DA", "DT"} and value.startswith(b"1970") and keyword != "PatientBirthDate":
        yield f"{keyword} is in 1970: a clock that nobody had set"
    elif vr in _TEXT_VRS and not coerce.is_text(value, character_sets):
        yield f"{keyword} holds bytes that its character set does not have"
    elif element.VR == "UN" and len(value) > 0xFFFF and vr not in {"UN", "SQ"}:
        yield f"{keyword} is too long for its VR and was written as UN"
    yield from _too_long(keyword, vr, value, character_sets)


def _name(element: RawDataElement) -> tuple[str, str]:
    made = DataElement(element.tag, element.VR or "UN", None)
    return made.keyword or str(element.tag), made.VR if element.VR in {None, "UN"} else str(element.VR)


def _uids(keyword: str, value: bytes) -> Iterator[str]:
    for uid in value.rstrip(b"\0").split(b"\\"):
        if len(uid) > 64 or _UID.fullmatch(uid.decode("latin-1")) is None:
            yield f"{keyword} is not a valid UID"


def _too_long(keyword: str, vr: str, value: bytes, character_sets: list[str]) -> Iterator[str]:
    limit = coerce.LIMITS.get(vr)
    if limit is None or len(value) <= limit:
        return
    text = coerce.decode(value, character_sets)
    parts = [text] if vr in {"ST", "LT"} else re.split(r"[\\=]" if vr == "PN" else r"\\", text)
    if any(len(part.strip()) > limit for part in parts):
        yield f"{keyword} is longer than {vr} allows"


def _lossy(file: Part10) -> Iterator[str]:
    """PS3.3 C.7.6.1.1.5: what a lossy source must say of itself."""
    ds = file.header
    method = next((name for uids, name in _LOSSY_METHOD if uids.fullmatch(file.transfer_syntax_uid)), None)
    flag = str(ds.get("LossyImageCompression") or "")
    if method is not None and file.pixels is not None:
        if flag != "01":
            yield "LossyImageCompression is not 01, and the transfer syntax is lossy"
        if method not in str(ds.get("LossyImageCompressionMethod") or ""):
            yield f"LossyImageCompressionMethod does not name {method}"
    if flag == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if not ds.get(keyword):
                yield f"{keyword} is missing, and LossyImageCompression is 01"
        if _count(ds, "LossyImageCompressionRatio") != _count(ds, "LossyImageCompressionMethod"):
            yield "LossyImageCompressionRatio has not as many values as LossyImageCompressionMethod"


def _count(ds: Dataset, keyword: str) -> int:
    return int(ds[keyword].VM) if keyword in ds else 0


def _frame_times(file: Part10) -> Iterator[str]:
    ds = file.header
    pointer = ds.get("FrameIncrementPointer")
    if pointer is not None and file.frame_count > 1:
        for tag in pointer if isinstance(pointer, (list, tuple)) else [pointer]:
            if tag not in ds:
                yield "FrameIncrementPointer points at an attribute that is not there"
    vector = ds.get("FrameTimeVector")
    if vector is not None:
        times = list(vector) if not isinstance(vector, (int, float)) else [vector]
        if len(times) != file.frame_count:
            yield f"FrameTimeVector has {len(times)} values for {file.frame_count} frames"
        elif times and float(times[0]) != 0:
            yield "FrameTimeVector does not begin with 0"


def _samples_said(file: Part10) -> Iterator[str]:
    """PS3.3 C.7.6.3; PS3.5 8.1.1, and 8.2.7 for video."""
    ds = file.header
    if file.pixels is None:
        return
    allocated, stored, high = (int(ds.get(name) or 0) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if not 0 < stored <= allocated or high != stored - 1:
        yield f"HighBit {high} and BitsStored {stored} do not fit BitsAllocated {allocated}"
    photometric = str(ds.get("PhotometricInterpretation") or "")
    if photometric.startswith(("MONOCHROME", "PALETTE")) != (int(ds.get("SamplesPerPixel") or 0) == 1):
        yield "SamplesPerPixel does not fit PhotometricInterpretation"
    if encode.is_video(file.transfer_syntax_uid):
        if "PixelAspectRatio" in ds:
            yield "PixelAspectRatio is there, and video has square pixels"
        if photometric != "YBR_PARTIAL_420":
            yield "PhotometricInterpretation of video is not YBR_PARTIAL_420"


def _regions(ds: Dataset) -> Iterator[str]:
    """PS3.3 C.8.5.5: a region lies in the picture, and its centimetres agree with the shape of the pixels."""
    if "SequenceOfUltrasoundRegions" in ds and not ds.SequenceOfUltrasoundRegions:
        yield "SequenceOfUltrasoundRegions is empty"
    for number, region in enumerate(ds.get("SequenceOfUltrasoundRegions") or (), 1):
        x0, y0 = int(region.RegionLocationMinX0), int(region.RegionLocationMinY0)
        x1, y1 = int(region.RegionLocationMaxX1), int(region.RegionLocationMaxY1)
        if not (0 <= x0 <= x1 < int(ds.Columns) and 0 <= y0 <= y1 < int(ds.Rows)):
            yield f"ultrasound region {number} reaches outside the picture"
        if float(region.PhysicalDeltaX) <= 0 or float(region.PhysicalDeltaY) == 0:
            yield f"ultrasound region {number} has no scale"


def _curves(ds: Dataset) -> Iterator[str]:
    """PS3.3 C.10.9: each multiplex group defines as many channels, and holds as many samples, as it says."""
    for number, group in enumerate(ds.get("WaveformSequence") or (), 1):
        channels, samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
        if len(group.ChannelDefinitionSequence) != channels:
            yield f"waveform group {number} does not define each of its {channels} channels"
        expected = channels * samples * int(group.WaveformBitsAllocated) // 8
        if len(group.WaveformData) != expected + expected % 2:
            yield f"waveform group {number} has {len(group.WaveformData)} bytes of samples, and {expected} are announced"
        if float(group.SamplingFrequency) <= 0:
            yield f"waveform group {number} has no sampling frequency"


def _document(ds: Dataset) -> Iterator[str]:
    """PS3.3 C.24.2: a PDF is one, whole to its end, and as long as is said."""
    if ds.get("MIMETypeOfEncapsulatedDocument") != "application/pdf":
        return
    held, length = bytes(ds.EncapsulatedDocument), int(ds.get("EncapsulatedDocumentLength") or 0)
    if not held.startswith(b"%PDF-") or b"%%EOF" not in held[-32:]:
        yield "the encapsulated document is not a whole PDF"
    if length and len(held) != length + length % 2:
        yield f"the encapsulated document has {len(held)} bytes, and {length} are announced"


def _pixels(file: Part10) -> Iterator[str]:
    element = file.pixel_element()
    is_native = file.transfer_syntax_uid in encode.NATIVE
    if is_native == element.is_encapsulated:
        yield "the pixel data is not encoded as the transfer syntax says"
    elif is_native:
        yield from _native_length(file)
    else:
        yield from _fragments(file)


def _native_length(file: Part10) -> Iterator[str]:
    ds, length = file.header, file.pixel_element().length
    bits = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * int(ds.BitsAllocated) * file.frame_count
    if str(ds.PhotometricInterpretation) == "YBR_FULL_422":
        bits = bits * 2 // 3
    expected = (bits + 7) // 8
    if length != expected + expected % 2:
        yield f"the pixel data has {length} bytes, and {expected} are announced"
    elif not _is_whole(file):
        yield "the pixel data ends early"


def _is_whole(file: Part10) -> bool:
    try:
        return all(file.native_bytes())
    except NotDicom:
        return False


def _fragments(file: Part10) -> Iterator[str]:
    file.stream.seek(file.pixel_element().at)
    offsets = parse_basic_offsets(file.stream)
    first = file.stream.tell()
    count, starts = parse_fragments(file.stream)
    if encode.is_video(file.transfer_syntax_uid):
        if offsets or count == 0 or (count > 1 and not encode.is_fragmentable(file.transfer_syntax_uid)):
            yield f"the video lies in {count} fragments with {len(offsets)} offsets, where one fragment and no offset is the rule"
    elif count < file.frame_count:
        yield f"{count} fragments cannot hold {file.frame_count} frames"
    if offsets and (len(offsets) != file.frame_count or not {first + offset for offset in offsets} <= set(starts)):
        yield "the Basic Offset Table does not point at the frames"
    if not _is_closed(file, starts):
        yield "the pixel data ends early"


def _is_closed(file: Part10, starts: list[int]) -> bool:
    """Whether the last fragment is whole and the sequence delimiter follows it."""
    if not starts:
        return False
    file.stream.seek(starts[-1] + 4)
    length = int.from_bytes(file.stream.read(4), "little")
    file.stream.seek(length, 1)
    return file.stream.read(8) == b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
