"""Our own checks see what dciodvfy misses; two objects are the same when their words and decoded pixels are."""

import io

import pydicom
import pytest
from msgspec.structs import replace

from gateway.errors import NotDicom
from gateway.objects import encode, verify
from tests.objects import samples
from tests.objects.test_transcode import transcoded

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # pydicom remarks on what is broken; that is expected


def test_every_object_we_make_is_clean(saved):
    for name, data in samples.every_object():
        assert verify.check(saved(data)) == [], name


BROKEN = {
    "TimezoneOffsetFromUTC is not of the form +HHMM or -HHMM": {"TimezoneOffsetFromUTC": "+530"},
    "StudyDate is in 1970: a clock that nobody had set": {"StudyDate": "19700101"},
    "StudyInstanceUID is missing": {"StudyInstanceUID": ""},
    "SeriesInstanceUID is not a valid UID": {"SeriesInstanceUID": "1.02.3"},
    "AccessionNumber is longer than SH allows": {"AccessionNumber": "12345678901234567"},
    "PatientName is longer than PN allows": {"PatientName": "x" * 65},
    "SpecificCharacterSet names a character set that the standard does not know": {"SpecificCharacterSet": "KLINGON"},
    "PatientName holds bytes that its character set does not have": {"SpecificCharacterSet": None},
    "LossyImageCompressionRatio is missing, and LossyImageCompression is 01": {
        "LossyImageCompression": "01",
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "LossyImageCompressionRatio has not as many values as LossyImageCompressionMethod": {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": ["8", "9"],
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "FrameTimeVector has 2 values for 3 frames": {"FrameTimeVector": [0, 40]},
    "FrameTimeVector does not begin with 0": {"FrameTimeVector": [40, 40, 40]},
    "FrameIncrementPointer points at an attribute that is not there": {"FrameTime": None},
    "the pixel data has 9216 bytes, and 12288 are announced": {"NumberOfFrames": 4},
    "MediaStorageSOPInstanceUID in group 0002 is not the SOPInstanceUID of the data set": {"SOPInstanceUID": "2.25.1"},
}


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("HighBit 7 and BitsStored 12 do not fit BitsAllocated 8", {"BitsStored": 12}),
        ("HighBit 9 and BitsStored 8 do not fit BitsAllocated 8", {"HighBit": 9}),
        ("SamplesPerPixel does not fit PhotometricInterpretation", {"PhotometricInterpretation": "RGB"}),
        ("SequenceOfUltrasoundRegions is empty", {"SequenceOfUltrasoundRegions": []}),
        ("ultrasound region 1 reaches outside the picture", {"Columns": 32}),
    ],
)
def test_what_the_pixels_and_regions_say_must_fit(saved, said, values):
    broken = _changed(samples.composed("us", samples.picture(frames=3, regions=(samples.REGION,)))[0], **values)
    assert said in verify.check(saved(broken))


@pytest.mark.parametrize("said", BROKEN)
def test_a_broken_rule_is_said_in_words(saved, said):
    broken = _changed(samples.composed("us", samples.picture(frames=3))[0], **BROKEN[said])
    assert said in verify.check(saved(broken))


def test_a_bad_value_deep_in_a_sequence_is_found(saved):
    data = samples.composed("us", samples.picture())[0]
    assert verify.check(saved(data.replace(b"45036003", b"4503600\xff"))) != []


def test_a_jpeg_without_lossy_attributes_is_said(saved):
    shown = samples.picture(transfer_syntax_uid=samples.JPEG)
    assert verify.check(saved(samples.composed("us", shown, [b"\xff\xd8\xff\xd9"])[0])) == [
        "LossyImageCompression is not 01, and the transfer syntax is lossy",
        "LossyImageCompressionMethod does not name ISO_10918_1",
    ]


def test_torn_pixel_data_is_said(saved):
    native = samples.composed("us", samples.picture())[0]
    assert verify.check(saved(native[:-10])) == ["the pixel data ends early"]
    shown = samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=(4, 6))
    packed = samples.composed("us", shown, [b"1234", b"123456"])[0]
    assert verify.check(saved(packed[:-8])) == ["the pixel data ends early"]
    assert verify.check(saved(packed[:-10])) == ["the pixel data ends early"]
    assert "1 fragments cannot hold 2 frames" in verify.check(saved(packed[:-22]))


def test_an_offset_table_that_points_nowhere_is_said(saved):
    shown = samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=(4, 6))
    packed = samples.composed("us", shown, [b"1234", b"123456"])[0]
    wrong = packed.replace(b"\0\0\0\0\x0c\0\0\0\xfe\xff", b"\0\0\0\0\x0e\0\0\0\xfe\xff")
    assert verify.check(saved(wrong)) == ["the Basic Offset Table does not point at the frames"]


def test_a_value_too_long_for_its_vr_is_said(saved, recwarn):
    ds = pydicom.dcmread(io.BytesIO(samples.composed("us", samples.picture(rows=1, columns=2, frames=9999))[0]))
    ds.FrameTimeVector = ["0"] + ["1234.567"] * 9998
    sink = io.BytesIO()
    ds.save_as(sink)
    assert "FrameTimeVector is too long for its VR and was written as UN" in verify.check(saved(sink.getvalue()))


def test_what_is_no_dicom_is_named(saved):
    with pytest.raises(NotDicom):
        verify.check(saved(b"no"))
    with pytest.raises(NotDicom):
        verify.same(saved(b"no"), saved(b"no"), samples.decode)


def test_the_same_object_is_the_same_in_any_syntax_and_with_any_group_two(saved):
    data = samples.composed("us", samples.picture(samples=3, frames=2))[0]
    other_meta = saved(data.replace(b"MODGATEWAY_01", b"PYNETDICOM_30"))
    packed = saved(transcoded(saved(data), samples.JPEG_2000)[0])
    assert verify.same(saved(data), other_meta, samples.decode)
    assert verify.same(saved(data), packed, samples.decode)
    assert verify.same(packed, packed, samples.decode)


def test_one_frame_packed_twice_differently_is_the_same(saved):
    shown = samples.picture(transfer_syntax_uid=samples.RLE)
    (frame,) = samples.pixels(shown)
    packed = samples.encode(frame, samples.RLE)
    one = saved(samples.composed("us", shown, [packed])[0])
    other = saved(samples.composed("us", shown, [packed + b"\0\0"])[0])
    assert verify.same(one, other, samples.decode)


@pytest.mark.parametrize(
    "change",
    [
        {"PatientID": "other"},
        {"Rows": 64, "Columns": 48},
        {"StudyDescription": None},
        {"PhotometricInterpretation": "MONOCHROME1"},
    ],
)
def test_another_word_is_another_object(saved, change):
    data = samples.composed("us", samples.picture())[0]
    assert not verify.same(saved(data), saved(_changed(data, **change)), samples.decode)


def test_another_pixel_is_another_object(saved):
    shown = samples.picture(frames=3)
    data = samples.composed("us", shown)[0]
    other = saved(data[:-1] + bytes([data[-1] ^ 1]))
    assert not verify.same(saved(data), other, samples.decode)
    assert not verify.same(saved(transcoded(saved(data), samples.JPEG_LS)[0]), other, samples.decode)


def test_one_frame_more_is_another_object(saved):
    one, two = (
        samples.composed("us", replace(samples.picture(frames=n), frame_times_ns=tuple(range(n))))[0] for n in (2, 3)
    )
    assert not verify.same(saved(one), saved(two), samples.decode)


def test_objects_without_pixels_are_compared_by_their_words(saved):
    one = saved(samples.report()[0].getvalue())
    assert verify.same(one, saved(transcoded(one, encode.IMPLICIT_LITTLE)[0]), samples.decode)
    assert not verify.same(one, saved(samples.report(samples.READINGS[:2])[0].getvalue()), samples.decode)


def _changed(data, **values):
    """The object with other values, whatever the standard says of them."""
    ds = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in values.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    if values.get("SpecificCharacterSet", "") is None:
        ds = pydicom.dcmread(io.BytesIO(data.replace(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192", b"")))
    sink = io.BytesIO()
    pydicom.dcmwrite(sink, ds)
    return sink.getvalue()
