"""From every transfer syntax to every other, pixels and words stay what they were; what would lose something is refused."""

import io
import tracemalloc

import imagecodecs
import numpy as np
import pydicom
import pytest
from msgspec.structs import replace
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from gateway.errors import ObjectError
from gateway.objects import encode, image, transcode, verify
from gateway.pixels import codecs
from tests.objects import samples

NATIVE = [encode.IMPLICIT_LITTLE, encode.EXPLICIT_LITTLE, encode.DEFLATED, encode.EXPLICIT_BIG]
PACKED = [samples.RLE, samples.JPEG_LS, samples.JPEG_2000, samples.HTJ2K]
READ_BY_PYDICOM = [*NATIVE, samples.RLE, samples.JPEG_LS, samples.JPEG_2000]


@pytest.mark.parametrize("target", NATIVE + PACKED)
@pytest.mark.parametrize("source", NATIVE + PACKED)
@pytest.mark.parametrize(("samples_per_pixel", "frames"), [(1, 1), (3, 3)])
def test_every_lossless_road_keeps_the_pixels(saved, samples_per_pixel, frames, source, target):
    shown = samples.picture(rows=15, columns=17, samples=samples_per_pixel, frames=frames)
    plain = saved(samples.composed("us", shown)[0])
    first = saved(transcoded(plain, source)[0])
    second, written = transcoded(first, target)
    path = saved(second)
    assert written.transfer_syntax_uid == target
    assert verify.check(path) == []
    assert verify.same(plain, path, samples.decode)
    if target in READ_BY_PYDICOM:
        ds = pydicom.dcmread(io.BytesIO(second))
        ds_before = pydicom.dcmread(plain)
        assert np.array_equal(ds.pixel_array, ds_before.pixel_array)
        assert [element for element in ds if element.keyword not in OF_PIXELS] == [
            element for element in ds_before if element.keyword not in OF_PIXELS
        ]


OF_PIXELS = {"PixelData", "PhotometricInterpretation"}


@pytest.mark.parametrize("target", [*NATIVE, samples.RLE, samples.JPEG_LS])
def test_sixteen_bit_pixels_keep_their_bytes(saved, target):
    source = get_testdata_file("CT_small.dcm")
    data, _ = transcoded(saved(open(source, "rb").read()), target)  # noqa: PTH123, SIM115
    assert np.array_equal(pydicom.dcmread(io.BytesIO(data)).pixel_array, pydicom.dcmread(source).pixel_array)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "reportsi.dcm"])
@pytest.mark.parametrize("target", NATIVE)
def test_objects_of_other_makers_go_there_and_back(saved, name, target):
    path = saved(open(get_testdata_file(name), "rb").read())  # noqa: PTH123, SIM115
    before = pydicom.dcmread(path)
    there = saved(transcoded(path, target, is_loss_known=True)[0])
    back = saved(transcoded(there, encode.EXPLICIT_LITTLE)[0])
    after = pydicom.dcmread(back)
    assert not before.file_meta.TransferSyntaxUID.is_compressed or np.array_equal(after.pixel_array, before.pixel_array)
    compared = OF_PIXELS | {"LossyImageCompression", "DataSetTrailingPadding"}
    has_forgotten = target == encode.IMPLICIT_LITTLE  # implicit VR forgets what a private value is
    assert _said(after, compared, has_private=not has_forgotten) == _said(
        before, compared, has_private=not has_forgotten
    )


@pytest.mark.parametrize("target", [samples.JPEG_2000, samples.JPEG_LS, samples.HTJ2K, samples.RLE])
def test_twelve_bits_stay_twelve_bits_and_what_lies_beyond_them_is_not_dropped(saved, target):
    ds = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 0, 4095
    sink = io.BytesIO()
    ds.save_as(sink)
    path = saved(sink.getvalue())
    packed = io.BytesIO()
    transcode.write(path, packed, target, codecs.decode, codecs.encode_as)
    assert verify.same(path, saved(packed.getvalue()), codecs.decode)
    if target in READ_BY_PYDICOM:
        assert np.array_equal(pydicom.dcmread(io.BytesIO(packed.getvalue())).pixel_array, ds.pixel_array)
    ds.PixelData = b"\x00\x10" + ds.PixelData[2:]
    sink = io.BytesIO()
    ds.save_as(sink)
    with pytest.raises(ObjectError, match="12 bits"):
        transcoded(saved(sink.getvalue()), target)


@pytest.mark.parametrize("target", sorted(codecs.ENCODABLE))
@pytest.mark.parametrize("samples_per_pixel", [1, 3])
def test_the_gateways_own_codecs_keep_the_contract(saved, samples_per_pixel, target):
    shown = samples.picture(samples=samples_per_pixel, frames=3)
    plain = saved(samples.composed("us", shown)[0])
    sink = io.BytesIO()
    transcode.write(plain, sink, target, codecs.decode, codecs.encode_as)
    packed = saved(sink.getvalue())
    assert verify.check(packed) == []
    assert verify.same(plain, packed, codecs.decode)
    back = io.BytesIO()
    transcode.write(packed, back, samples.EXPLICIT, codecs.decode, codecs.encode_as)
    assert back.getvalue() == plain.read_bytes()


@pytest.mark.parametrize("target", [encode.IMPLICIT_LITTLE, encode.EXPLICIT_BIG, encode.DEFLATED, samples.RLE])
def test_a_long_cine_is_recoded_in_the_memory_of_a_few_pictures(tmp_path, target):
    shown = samples.picture(rows=500, columns=500, frames=200)
    with (tmp_path / "cine.dcm").open("wb") as file:
        image.write(file, samples.words(), shown, (bytes(250_000) for _ in range(200)))
    tracemalloc.start()
    with (tmp_path / "recoded.dcm").open("wb") as file:
        transcode.write(tmp_path / "cine.dcm", file, target, codecs.decode, codecs.encode_as)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert verify.same(tmp_path / "cine.dcm", tmp_path / "recoded.dcm", codecs.decode)


def test_frames_are_found_by_an_extended_offset_table_which_goes_with_its_encoding(saved):
    shown = samples.picture(frames=3, transfer_syntax_uid=samples.JPEG_LS)
    frames = [samples.encode(frame, samples.JPEG_LS) for frame in samples.pixels(shown)]
    ds = pydicom.dcmread(io.BytesIO(samples.composed("us", shown, frames)[0]))
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = pydicom.encaps.encapsulate_extended(frames)
    sink = io.BytesIO()
    ds.save_as(sink)
    path = saved(sink.getvalue())
    assert verify.check(path) == []
    assert verify.same(path, saved(samples.composed("us", shown, frames)[0]), samples.decode)
    after = pydicom.dcmread(io.BytesIO(transcoded(path, samples.EXPLICIT)[0]))
    assert "ExtendedOffsetTable" not in after
    assert np.array_equal(after.pixel_array, np.array(samples.pixels(shown)))


def test_planar_colour_becomes_interleaved(saved):
    shown = samples.picture(rows=4, columns=5, samples=3)
    (frame,) = samples.pixels(shown)
    ds = pydicom.dcmread(io.BytesIO(samples.composed("us", shown)[0]))
    ds.PlanarConfiguration = 1
    ds.PixelData = frame.transpose(2, 0, 1).tobytes()
    sink = io.BytesIO()
    ds.save_as(sink)
    planar = saved(sink.getvalue())
    data, _ = transcoded(planar, samples.JPEG_LS)
    after = pydicom.dcmread(io.BytesIO(data))
    assert (after.PlanarConfiguration, np.array_equal(after.pixel_array, frame)) == (0, True)
    assert verify.same(planar, saved(data), samples.decode)


def test_colour_by_a_wavelet_is_labelled_as_its_transform_says(saved):
    path = saved(samples.composed("us", samples.picture(samples=3))[0])
    packed = saved(transcoded(path, samples.JPEG_2000)[0])
    assert pydicom.dcmread(packed).PhotometricInterpretation == "YBR_RCT"
    assert pydicom.dcmread(io.BytesIO(transcoded(packed, samples.RLE)[0])).PhotometricInterpretation == "RGB"


def test_a_lossy_object_is_decoded_only_when_that_is_asked_for_and_stays_lossy(saved):
    shown = samples.picture(samples=3, transfer_syntax_uid=samples.JPEG, lossy_method="ISO_10918_1", lossy_ratio=9.0)
    shown = replace(shown, photometric_interpretation="YBR_FULL_422")
    jpeg = imagecodecs.jpeg8_encode(samples.pixels(shown)[0], level=90)
    path = saved(samples.composed("us", shown, [jpeg])[0])
    with pytest.raises(ObjectError, match="not asked for"):
        transcoded(path, encode.EXPLICIT_LITTLE)
    for target in (samples.JPEG_LS, samples.HTJ2K, samples.JPEG):
        if target != samples.JPEG:
            with pytest.raises(ObjectError, match="stays as it is"):
                transcoded(path, target, is_loss_known=True)
    after = pydicom.dcmread(io.BytesIO(transcoded(path, encode.EXPLICIT_LITTLE, is_loss_known=True)[0]))
    assert (after.LossyImageCompression, after.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert (after.PhotometricInterpretation, np.array_equal(after.pixel_array, imagecodecs.jpeg8_decode(jpeg))) == (
        "RGB",
        True,
    )


@pytest.mark.parametrize(
    "target", [samples.JPEG, "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.102"]
)
def test_a_syntax_that_could_lose_something_is_never_written(saved, target):
    with pytest.raises(ObjectError, match="without a loss"):
        transcoded(saved(samples.composed("us", samples.picture())[0]), target)


def test_the_same_syntax_is_copied_byte_for_byte_with_a_new_group_two(saved):
    frames = [samples.encode(frame, samples.JPEG_LS) for frame in samples.pixels(samples.picture(frames=3))]
    shown = samples.picture(frames=3, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=tuple(map(len, frames)))
    data, written = samples.composed("us", shown, frames)
    assert transcoded(saved(data), samples.JPEG_LS) == (data, written)


def test_a_report_changes_its_encoding_only(saved):
    path = saved(samples.report()[0].getvalue())
    for target in NATIVE:
        data, _ = transcoded(path, target)
        assert verify.same(path, saved(data), samples.decode)
        assert list(pydicom.dcmread(io.BytesIO(data))) == list(pydicom.dcmread(path))


def test_the_digest_is_that_of_what_was_written(saved):
    data, written = transcoded(saved(samples.composed("us", samples.picture())[0]), encode.DEFLATED)
    again, same = transcoded(saved(data), encode.DEFLATED)
    assert (again, same) == (data, written)


def test_bits_that_are_no_bytes_cannot_be_compressed(saved):
    path = saved(open(get_testdata_file("liver_1frame.dcm"), "rb").read())  # noqa: PTH123, SIM115
    with pytest.raises(ObjectError, match="1 bits"):
        transcoded(path, samples.JPEG_LS)
    data, _ = transcoded(path, encode.IMPLICIT_LITTLE)
    assert np.array_equal(pydicom.dcmread(io.BytesIO(data)).pixel_array, pydicom.dcmread(path).pixel_array)
    assert verify.same(path, saved(data), samples.decode)


def _said(ds, left_out, *, has_private):
    """Tag, VR and value of each element."""
    return [
        (element.tag, element.VR, element.value)
        for element in ds
        if element.keyword not in left_out and element.tag.element and (has_private or not element.tag.is_private)
    ]


@pytest.mark.parametrize("target", sorted(codecs.ENCODABLE))
def test_every_kind_of_object_keeps_its_pixels_and_words_in_every_form(saved, kind, target):
    of, shown = samples.KINDS[kind]
    plain = saved(samples.composed(of, shown)[0])
    there, back = io.BytesIO(), io.BytesIO()
    transcode.write(plain, there, target, codecs.decode, codecs.encode_as)
    packed = saved(there.getvalue())
    assert verify.check(packed) == []
    assert verify.same(plain, packed, codecs.decode)
    transcode.write(packed, back, samples.EXPLICIT, codecs.decode, codecs.encode_as)
    assert back.getvalue() == plain.read_bytes()


def transcoded(path, target, **options):
    sink = io.BytesIO()
    written = transcode.write(path, sink, UID(target), samples.decode, samples.encode, **options)
    return sink.getvalue(), written
