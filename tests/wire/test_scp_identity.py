"""The head of a data set: what pydicom says of the whole file, we say of its first bytes."""

import contextlib
import io
import zlib
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gateway.errors import NotDicom
from gateway.wire.dimse import identity
from gateway.wire.dimse.identity import HeadTooShort

FILES = Path(pydicom.data.__file__).parent / "test_files"
EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)


def _readable():
    names = "CT_small MR_small US1_UNCI JPEG2000 emri_small rtplan reportsi test-SR ExplVR_BigEnd image_dfl SC_rgb_rle color3d_jpeg_baseline liver"
    return [path for path in (FILES / f"{name}.dcm" for name in names.split()) if path.exists()]


@pytest.mark.parametrize("path", _readable(), ids=lambda path: path.stem)
def test_the_head_says_what_pydicom_says(path):
    ds = pydicom.dcmread(path)
    data = path.read_bytes()[144 + int(ds.file_meta.FileMetaInformationGroupLength) :]
    head = data[: identity.HEAD_BYTES]
    found = identity.read(head, str(ds.file_meta.TransferSyntaxUID), is_whole=len(head) == len(data))
    assert found == identity.Identity(
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        study_instance_uid=str(ds.StudyInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        modality=str(ds.Modality),
        frame_count=int(ds.get("NumberOfFrames", 1) or 1),
    )


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("is_undefined", [True, False])
def test_sequences_of_any_length_are_passed_over(syntax, is_undefined):
    data = _encoded(_nested(is_undefined=is_undefined), syntax)
    found = identity.read(data, syntax, is_whole=True)
    assert (found.sop_instance_uid, found.study_instance_uid, found.frame_count) == ("1.2.3", "1.2.4", 7)


def test_an_unknown_value_of_undefined_length_is_read_as_implicit():
    item = b"\x10\x00\x20\x00\x04\x00\x00\x00ABCD"
    unknown = (
        b"\x09\x00\x10\x10UN\0\0\xff\xff\xff\xff"
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + item + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )
    data = _encoded(_simple(), EXPLICIT)
    at = data.index(b"\x20\x00\x0d\x00")
    assert identity.read(data[:at] + unknown + data[at:], EXPLICIT, is_whole=True).study_instance_uid == "1.2.4"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_a_head_that_ends_too_early_says_so_wherever_it_ends(syntax):
    ds = _nested(is_undefined=True)
    ds.PixelData = b"\0\0"
    ds["PixelData"].VR = "OW"
    data = _encoded(ds, syntax)
    enough = identity.read(data, syntax, is_whole=True)
    ends = []
    for end in range(len(data)):
        try:
            assert identity.read(data[:end], syntax) == enough
        except HeadTooShort:
            ends.append(end)
    assert ends == list(range(ends[-1] + 1))


def test_a_data_set_that_ends_inside_an_element_is_not_dicom():
    with pytest.raises(NotDicom):
        identity.read(_encoded(_simple(), EXPLICIT)[:-1], EXPLICIT, is_whole=True)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@given(data=st.binary(max_size=400))
def test_any_bytes_are_an_identity_or_a_named_error(syntax, data):
    for is_whole in (True, False):
        try:
            identity.read(data, syntax, is_whole=is_whole)
        except (NotDicom, HeadTooShort):
            continue


@given(at=st.integers(0, 500), value=st.integers(0, 255), syntax=st.sampled_from([EXPLICIT, IMPLICIT, BIG]))
def test_one_wrong_byte_is_an_identity_or_a_named_error(at, value, syntax):
    data = bytearray(_encoded(_nested(is_undefined=True), syntax))
    data[at % len(data)] = value
    with contextlib.suppress(NotDicom):
        identity.read(bytes(data), syntax, is_whole=True)


def test_sequences_nested_without_end_are_refused():
    open_sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(NotDicom):
        identity.read(open_sequence * 1000, EXPLICIT)


def _simple():
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.7", "1.2.3", "US"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.NumberOfFrames = "1.2.4", "1.2.5", 7
    return ds


def _nested(*, is_undefined):
    ds, inner, deepest = _simple(), Dataset(), Dataset()
    deepest.CodeValue = "X"
    inner.ReferencedSOPInstanceUID = "1.9"
    inner.PurposeOfReferenceCodeSequence = Sequence([deepest, deepest])
    ds.ReferencedStudySequence = Sequence([inner, inner, Dataset()])
    for sequence in (ds["ReferencedStudySequence"], inner["PurposeOfReferenceCodeSequence"]):
        sequence.is_undefined_length = is_undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = is_undefined
    return ds


def _encoded(ds, syntax):
    """The data set alone, in a transfer syntax."""
    file = io.BytesIO()
    kwargs = {"implicit_vr": syntax == IMPLICIT, "little_endian": syntax != BIG}
    pydicom.dcmwrite(file, ds, **kwargs)
    data = file.getvalue()
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(data) + packer.flush()
    return data
