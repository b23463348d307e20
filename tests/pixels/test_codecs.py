"""Codecs: what is encoded decodes to the same samples, here and in other people's decoders; other people's files decode too."""

import struct
import subprocess
import warnings
from pathlib import Path

import cv2
import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames

from gateway.errors import CodecError
from gateway.pixels import codecs
from tests import dcmtk
from tests.pixels import naive

LOSSLESS = tuple(codecs.TRANSFER_SYNTAXES)
DCT, EXTENDED, LS, XL = (f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 81, 110))


def picture(shape, dtype, seed=0, kind="noise"):
    """Noise; or a smooth picture with flat parts, on which run modes and predictors do their work."""
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    if kind == "noise":
        return rng.integers(limits.min, limits.max + 1, shape, dtype=dtype)
    ramp = np.add.outer(np.arange(shape[0]) * 3, np.arange(shape[1]) * 2) * (limits.max // 256 + 1)
    smooth = np.clip(ramp + limits.min, limits.min, limits.max).astype(dtype)
    smooth[shape[0] // 2 :] = limits.max
    return smooth if len(shape) == 2 else np.stack([smooth, smooth[::-1], smooth[:, ::-1]], axis=-1)


def back(data, uid, like):
    samples = 3 if like.ndim == 3 else 1
    bits, signed = like.dtype.itemsize * 8, like.dtype.kind == "i"
    return codecs.decode(data, uid, *like.shape[:2], samples, bits, signed)


@given(st.data())
def test_every_lossless_form_gives_every_sample_back(data):
    rows, columns = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    shape = data.draw(st.sampled_from([(rows, columns), (rows, columns, 3)]))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int8, np.int16]))
    kind = data.draw(st.sampled_from(["noise", "smooth"]))
    array = picture(shape, dtype, data.draw(st.integers(0, 999)), kind)
    for compression in LOSSLESS:
        decoded = back(codecs.encode(array, compression), codecs.transfer_syntax(compression), array)
        assert decoded.dtype == array.dtype, compression
        assert np.array_equal(decoded, array), compression


@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("shape", [(240, 320, 3), (240, 320), (1, 900, 3), (900, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_cannot_be_compressed_is_encoded_all_the_same(compression, shape, dtype):
    """A picture of noise, or of black and white alone, is longer when compressed: no encoder may run out of room."""
    rng, top = np.random.default_rng(1), np.iinfo(dtype).max
    for array in (picture(shape, dtype), rng.choice(np.array([0, top], dtype), shape)):
        assert np.array_equal(
            back(codecs.encode(array, compression), codecs.transfer_syntax(compression), array), array
        )


@pytest.mark.parametrize("compression", LOSSLESS)
def test_a_view_that_is_not_contiguous_and_a_big_endian_one_are_encoded_by_value(compression):
    wide = picture((20, 60), np.uint16, 1)
    for array in (wide[:, ::3], wide[::-1], wide.astype(">u2"), wide.T):
        assert np.array_equal(
            back(codecs.encode(array, compression), codecs.transfer_syntax(compression), array), array
        )


@pytest.mark.parametrize("compression", ["none", "rle", "jpeg2000", "htj2k", "jpeg-xl"])
@pytest.mark.parametrize("bits", [9, 10, 12, 15])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
@pytest.mark.parametrize("shape", [(31, 17), (31, 17, 3)])
def test_fewer_bits_than_the_containers_are_stated_and_come_back(compression, bits, dtype, shape):
    array = picture(shape, dtype, 2) >> (16 - bits)
    data = codecs.encode(array, compression, bits)
    assert np.array_equal(back(data, codecs.transfer_syntax(compression), array), array)
    if compression in {"jpeg2000", "htj2k"}:
        assert {data[at] & 0x7F for at in range(42, 42 + 3 * (array.ndim == 3) + 1, 3)} == {bits - 1}  # Ssiz


def test_twelve_bits_of_htj2k_are_read_by_other_decoders():
    array = picture((31, 17), np.uint16, 2, "smooth") >> 4
    data = codecs.encode(array, "htj2k", 12)
    assert np.array_equal(imagecodecs.htj2k_decode(data), array)
    with pytest.raises(CodecError, match="more than 12 bits"):
        codecs.encode(array + np.uint16(4096), "htj2k", 12)


def test_what_cannot_say_ten_bits_gives_way_to_what_can():
    able = {(name, bits): codecs.able(name, bits) for name in (*LOSSLESS, *codecs.LOSSY) for bits in (8, 10, 16)}
    for (name, bits), taken in able.items():
        array = np.full((8, 8), 200, np.uint8 if bits == 8 else np.uint16)
        if taken in LOSSLESS:
            codecs.encode(array, taken, bits)
        assert (taken == name) is not (name in {"jpeg-ls", "jpeg-lossless"} and bits == 10) or name in codecs.LOSSY
    assert [able["jpeg", bits] for bits in (8, 10, 16)] == ["jpeg", "htj2k", "htj2k"]


def test_what_loses_is_made_only_under_its_own_name():
    array = picture((16, 16, 3), np.uint8, 0, "smooth")
    for name in codecs.LOSSY:
        with pytest.raises(CodecError, match="without a loss"):
            codecs.encode(array, name)
        assert codecs.transfer_syntax(name) == DCT
        assert codecs.photometric(name, 3) == "YBR_FULL_422"
        assert codecs.photometric(name, 1) == "MONOCHROME2"
    with pytest.raises(CodecError, match="nothing here encodes it"):
        codecs.encode_as(array, DCT)


@pytest.mark.parametrize("shape", [(240, 320, 3), (240, 320)])
def test_jpeg_baseline_is_baseline_with_half_the_chroma_and_near_the_picture(shape):
    array = picture(shape, np.uint8, 0, "smooth")
    data = codecs.jpeg_baseline(array, 95)
    at = data.index(b"\xff\xc0")  # SOF0
    assert data[at + 4] == 8
    if len(shape) == 3:
        assert [data[at + 11 + 3 * n] for n in range(3)] == [0x21, 0x11, 0x11]
    samples = 3 if len(shape) == 3 else 1
    decoded = codecs.decode(data, DCT, *shape[:2], samples, 8, photometric=codecs.photometric("jpeg", samples))
    assert np.abs(decoded.astype(int) - array).mean() < 3


@pytest.mark.parametrize("compression", ["jpeg-ls", "jpeg-lossless"])
def test_a_form_that_cannot_state_twelve_bits_is_refused(compression):
    with pytest.raises(CodecError, match="12 of 16 bits"):
        codecs.encode(np.zeros((4, 4), np.uint16), compression, 12)


def test_uids_and_photometric_interpretation_are_the_standards():
    assert {name: codecs.transfer_syntax(name) for name in LOSSLESS} == {
        "none": "1.2.840.10008.1.2.1",
        "rle": "1.2.840.10008.1.2.5",
        "jpeg-lossless": "1.2.840.10008.1.2.4.70",
        "jpeg-ls": "1.2.840.10008.1.2.4.80",
        "jpeg2000": "1.2.840.10008.1.2.4.90",
        "jpeg-xl": "1.2.840.10008.1.2.4.110",
        "htj2k": "1.2.840.10008.1.2.4.201",
    }
    assert {name: codecs.photometric(name, 3) for name in LOSSLESS} == {
        "none": "RGB",
        "rle": "RGB",
        "jpeg-lossless": "RGB",
        "jpeg-ls": "RGB",
        "jpeg-xl": "RGB",
        "jpeg2000": "YBR_RCT",
        "htj2k": "YBR_RCT",
    }
    assert {codecs.photometric(name, 1) for name in LOSSLESS} == {"MONOCHROME2"}


@pytest.mark.parametrize("compression", ["jpeg2000", "htj2k"])
def test_the_colour_transform_that_photometric_names_is_in_the_stream(compression):
    """COD (T.800 A.6.1): multiple component transformation 1, reversible 5-3 wavelet 1."""
    for shape, transform in (((16, 16, 3), 1), ((16, 16), 0)):
        data = codecs.encode(picture(shape, np.uint8), compression)
        at = data.index(b"\xff\x52")
        assert data[at + 8] == transform
        assert data[at + 13] == 1


def test_rle_is_what_annex_g_says():
    """64 bytes of header; a segment for each byte of each sample, most significant first; no run crosses a row; even lengths."""
    array = picture((9, 33, 3), np.uint16, 3, "smooth")
    data = codecs.encode(array, "rle")
    count, *starts = struct.unpack("<16L", data[:64])
    assert count == 6
    assert starts[6:] == [0] * 9
    assert all(start % 2 == 0 for start in starts[:6])
    assert len(data) % 2 == 0
    ends = [*starts[1:6], len(data)]
    for number, (start, end) in enumerate(zip(starts[:6], ends, strict=True)):
        sample, byte = divmod(number, 2)
        plane = (array[:, :, sample] >> (8 if byte == 0 else 0)).astype(np.uint8)
        at = start
        for row in plane:  # every row by itself
            length = _coded_length(data[at:end], 33)
            assert naive.packbits(data[at : at + length]) == row.tobytes()
            at += length
        assert end - at <= 1


def _coded_length(segment, count):
    at, got = 0, 0
    while got < count:
        n = segment[at]
        got, at = (got + n + 1, at + n + 2) if n < 128 else (got + 257 - n, at + 2)
    assert got == count
    return at


# ---- other people's decoders ----


def as_file(path, data, uid, array, photometric):
    ds = pydicom.Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "2.25.1"
    ds.Rows, ds.Columns = array.shape[:2]
    ds.SamplesPerPixel = 3 if array.ndim == 3 else 1
    ds.PhotometricInterpretation = photometric
    ds.BitsAllocated = ds.BitsStored = array.dtype.itemsize * 8
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    if array.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.PixelData = encapsulate([data])
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


KINDS = [
    ((48, 64), np.uint8),
    ((48, 64, 3), np.uint8),
    ((48, 64), np.uint16),
    ((33, 47), np.uint8),
    ((33, 47, 3), np.uint8),
]


@pytest.mark.parametrize(("shape", "dtype"), KINDS)
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_pydicoms_own_decoder_reads_our_rle(tmp_path, shape, dtype, kind):
    array = picture(shape, dtype, 4, kind)
    data = codecs.encode(array, "rle")
    path = as_file(
        tmp_path / "rle.dcm", data, codecs.RLE, array, codecs.photometric("rle", 3 if len(shape) == 3 else 1)
    )
    ds = pydicom.dcmread(path)
    decoder = pydicom.pixels.get_decoder(ds.file_meta.TransferSyntaxUID)
    assert np.array_equal(decoder.as_array(ds, decoding_plugin="pydicom")[0], array)
    ds.decompress()
    ds.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
    theirs = next(generate_frames(ds.PixelData, number_of_frames=1))
    assert np.array_equal(back(theirs, codecs.RLE, array), array)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("compression", "program"), [("jpeg-ls", "dcmdjpls"), ("jpeg-lossless", "dcmdjpeg"), ("rle", "dcmdrle")]
)
@pytest.mark.parametrize(("shape", "dtype"), KINDS)
def test_dcmtk_reads_ours(tmp_path, compression, program, shape, dtype):
    array = picture(shape, dtype, 5, "smooth")
    photometric = codecs.photometric(compression, 3 if len(shape) == 3 else 1)
    source = as_file(
        tmp_path / "in.dcm", codecs.encode(array, compression), codecs.transfer_syntax(compression), array, photometric
    )
    options = ["+cn"] if program == "dcmdjpeg" else []  # never convert colour
    subprocess.run([dcmtk.program(program), *options, source, tmp_path / "out.dcm"], check=True, capture_output=True)
    ds = pydicom.dcmread(tmp_path / "out.dcm")
    raw = np.frombuffer(ds.PixelData, array.dtype)[: array.size]
    is_planar = len(shape) == 3 and ds.PlanarConfiguration == 1
    theirs = raw.reshape(3, *shape[:2]).transpose(1, 2, 0) if is_planar else raw.reshape(shape)
    assert np.array_equal(theirs, array)


# No JPEG-LS in colour: ffmpeg does not know the run mode of pixels interleaved by sample. DCMTK does, above.
FFMPEGS = [("jpeg2000", "j2k", *kind) for kind in KINDS]
FFMPEGS += [("jpeg-ls", "jls", shape, dtype) for shape, dtype in KINDS if len(shape) == 2]


@pytest.mark.parametrize(("compression", "suffix", "shape", "dtype"), FFMPEGS)
def test_ffmpegs_own_decoder_reads_ours(tmp_path, compression, suffix, shape, dtype):
    array = picture(shape, dtype, 6, "smooth")
    path = tmp_path / f"frame.{suffix}"
    path.write_bytes(codecs.encode(array, compression))
    pixel_format = "rgb24" if len(shape) == 3 else "gray" if dtype == np.uint8 else "gray16le"
    codec = {"j2k": "jpeg2000", "jls": "jpegls"}[suffix]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "image2",
        "-c:v",
        codec,
        "-i",
        path,
        "-f",
        "rawvideo",
        "-pix_fmt",
        pixel_format,
        "-",
    ]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    assert np.array_equal(np.frombuffer(out, dtype).reshape(shape), array)


@pytest.mark.parametrize(("shape", "dtype"), KINDS)
def test_another_decoder_of_the_same_kind_reads_our_htj2k(shape, dtype):
    """Ours is written by OpenJPH and read by OpenJPEG; OpenJPH reads it too."""
    array = picture(shape, dtype, 7, "smooth")
    data = codecs.encode(array, "htj2k")
    assert np.array_equal(imagecodecs.htj2k_decode(data), array)
    assert np.array_equal(back(data, codecs.transfer_syntax("htj2k"), array), array)


# ---- other people's files ----


def first_frame(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(get_testdata_file(name, download=False))
    if not ds.file_meta.TransferSyntaxUID.is_encapsulated:
        return ds, ds.PixelData
    return ds, next(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))))


def decode_file(name):
    ds, frame = first_frame(name)
    return ds, codecs.decode(
        frame, ds.file_meta.TransferSyntaxUID, ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.BitsAllocated,
        ds.PixelRepresentation == 1, photometric=ds.PhotometricInterpretation,
        is_planar=ds.get("PlanarConfiguration", 0) == 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
    ],
)  # fmt: skip
def test_the_same_slice_in_every_syntax_is_the_same(name):
    ds, slice_ = decode_file(name)
    assert ds.PixelRepresentation == 1
    assert np.array_equal(slice_, decode_file("MR_small.dcm")[1])
    assert slice_.dtype == np.int16


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm",
        "SC_jpeg_no_color_transform.dcm", "SC_jpeg_no_color_transform_2.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_jpeg.dcm", "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_small_odd_jpeg.dcm", "examples_jpeg2k.dcm",
        "examples_ybr_color.dcm", "ExplVR_BigEnd.dcm",
    ],
)  # fmt: skip
def test_what_pydicom_reads_with_its_own_plugins_we_read_alike(name):
    ds, ours = decode_file(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pydicom.pixels.pixel_array(ds, index=0)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.peers
@pytest.mark.parametrize("name", ["JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_what_only_dcmtk_reads_we_read_alike(tmp_path, name):
    """Twelve-bit JPEG, and JPEG lossless in colour."""
    _, ours = decode_file(name)
    out = tmp_path / "out.dcm"
    source = get_testdata_file(name, download=False)
    subprocess.run([dcmtk.program("dcmdjpeg"), "+cn", "+px", source, out], check=True, capture_output=True)
    native = pydicom.dcmread(out)
    theirs = np.frombuffer(native.PixelData, ours.dtype)[: ours.size].reshape(ours.shape)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= (1 if name == "JPGExtended.dcm" else 0)


def test_jpeg_xl_decodes_lossless_lossy_and_recompressed():
    array = picture((40, 56, 3), np.uint8, 8, "smooth")
    for options in ({"lossless": True}, {"lossless": True, "usecontainer": True}):
        assert np.array_equal(back(imagecodecs.jpegxl_encode(array, **options), XL, array), array)
    deep = picture((40, 56), np.uint16, 9)
    assert np.array_equal(back(imagecodecs.jpegxl_encode(deep, lossless=True), XL, deep), deep)
    for last in (111, 112):
        lossy = back(imagecodecs.jpegxl_encode(array, level=95), f"1.2.840.10008.1.2.4.{last}", array)
        assert np.abs(lossy.astype(int) - array).mean() < 12
    for side in ((1, 9), (8, 8), (33, 513), (700, 3), (64, 48)):  # every way SizeHeader says a size
        flat = np.zeros(side, np.uint8)
        assert np.array_equal(back(imagecodecs.jpegxl_encode(flat, lossless=True), XL, flat), flat)


def test_a_lossy_jpeg_in_components_is_returned_in_rgb_and_one_in_rgb_untouched():
    array = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    as_ycc = imagecodecs.jpeg8_encode(array, 100)
    as_rgb = imagecodecs.jpeg8_encode(array, 100, colorspace="RGB", outcolorspace="RGB")
    for data, photometric in ((as_ycc, "YBR_FULL_422"), (as_ycc, ""), (as_rgb, "RGB")):
        decoded = codecs.decode(data, DCT, 16, 16, 3, 8, photometric=photometric)
        assert np.abs(decoded.astype(int) - array).max() <= 2


def test_twelve_bits_of_extended_jpeg():
    array = picture((24, 24), np.uint16, 10, "smooth") >> 4
    data = imagecodecs.jpeg8_encode(array, 100, bitspersample=12)
    decoded = codecs.decode(data, EXTENDED, 24, 24, 1, 16)
    assert decoded.max() > 255
    assert np.abs(decoded.astype(int) - array).mean() < 12


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.57"])
def test_a_sign_below_the_containers_highest_bit_is_extended(uid):
    """Twelve-bit signed samples in streams without a sign: as others write them, the upper four bits are empty."""
    array = picture((40, 50), np.int16, 15, "smooth") >> 4
    assert (array.min(), array.max()) == (-2048, 2047)
    twelve = (array & 0xFFF).astype(np.uint16)
    if uid.endswith("57"):
        data = imagecodecs.jpeg8_encode(twelve, lossless=True, bitspersample=12)
    else:
        data = bytes(jpeg_ls.encode_buffer(twelve.tobytes(), 40, 50, 1, 12))
    assert np.array_equal(codecs.decode(data, uid, 40, 50, 1, 16, True), array)


# ---- what is refused ----


def test_what_is_not_a_picture_is_refused():
    for array in (np.zeros((4, 4), np.float32), np.zeros((4, 4), np.uint32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8),
                  np.zeros((0, 4), np.uint8), np.zeros((4, 70000), np.uint8)):  # fmt: skip
        for compression in LOSSLESS:
            with pytest.raises(CodecError):
                codecs.encode(array, compression)
        with pytest.raises(CodecError):
            codecs.jpeg(array, 80)


def test_unknown_names_and_uids_are_refused():
    with pytest.raises(CodecError):
        codecs.encode(np.zeros((4, 4), np.uint8), "mpeg")
    with pytest.raises(CodecError):
        codecs.encode_as(np.zeros((4, 4), np.uint8), LS)
    with pytest.raises(CodecError):
        codecs.decode(b"", "1.2.840.10008.1.2.4.100", 4, 4, 1, 8)


@pytest.mark.parametrize(
    ("rows", "columns", "samples", "bits"),
    [(0, 4, 1, 8), (4, 70000, 1, 8), (-1, 4, 1, 8), (4, 4, 2, 8), (4, 4, 1, 12), (4, 4, 1, 32), (65535, 65535, 3, 16)],
)
def test_a_frame_that_no_decoder_should_try_is_refused(rows, columns, samples, bits):
    for uid in sorted(codecs.DECODABLE):
        with pytest.raises(CodecError):
            codecs.decode(bytes(64), uid, rows, columns, samples, bits)


@pytest.mark.parametrize("compression", LOSSLESS)
def test_a_stream_of_another_shape_is_refused(compression):
    data = codecs.encode(picture((16, 24), np.uint8), compression)
    uid = codecs.transfer_syntax(compression)
    for rows, columns, samples, bits in ((24, 16, 3, 8), (16, 23, 1, 8), (17, 24, 1, 8), (16, 24, 3, 8)):
        with pytest.raises(CodecError):
            codecs.decode(data, uid, rows, columns, samples, bits)


@pytest.mark.parametrize("compression", ["rle", "jpeg-ls", "jpeg-lossless", "jpeg2000", "htj2k"])
def test_sixteen_bits_are_never_cut_to_eight(compression):
    data = codecs.encode(picture((16, 24), np.uint16), compression)
    with pytest.raises(CodecError):
        codecs.decode(data, codecs.transfer_syntax(compression), 16, 24, 1, 8)
    with pytest.raises(CodecError):
        codecs.decode(imagecodecs.jpegxl_encode(picture((16, 24), np.uint16), lossless=True), XL, 16, 24, 1, 8)


@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("shape", [(24, 30), (24, 30, 3)])
def test_a_cut_stream_is_an_error_or_whole_and_never_a_grey_patch(compression, shape):
    array = picture(shape, np.uint8, 11, "smooth")
    data, uid = codecs.encode(array, compression), codecs.transfer_syntax(compression)
    for end in {0, 1, 2, 20, 63, 64, len(data) // 2, len(data) - 40, len(data) - 3, len(data) - 2, len(data) - 1}:
        try:
            decoded = back(data[: max(end, 0)], uid, array)
        except CodecError:
            continue
        assert np.array_equal(decoded, array), end  # only padding was cut


def test_a_lossy_jpeg_without_its_end_is_an_error():
    data = imagecodecs.jpeg8_encode(picture((64, 64, 3), np.uint8, 12), 80)
    for end in (len(data) // 2, len(data) - 2):
        with pytest.raises(CodecError, match="its end is missing"):
            codecs.decode(data[:end], DCT, 64, 64, 3, 8)


def test_padding_after_the_end_is_allowed():
    array = picture((16, 16), np.uint8, 13)
    for compression in ("rle", "jpeg-ls", "jpeg-lossless", "jpeg2000", "htj2k"):
        data = codecs.encode(array, compression)
        assert np.array_equal(back(data + b"\0", codecs.transfer_syntax(compression), array), array)


# ---- pictures for the screen ----


def test_a_jpeg_for_the_screen_looks_like_the_picture_and_grows_with_quality():
    array = cv2.GaussianBlur(picture((120, 160, 3), np.uint8, 14), (0, 0), 3)
    sizes = []
    for quality in (30, 60, 90):
        data = codecs.jpeg(array, quality)
        sizes.append(len(data))
        assert isinstance(data, bytes)
        shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert np.abs(shown.astype(int) - array).mean() < 6
    assert sizes == sorted(sizes)
    assert codecs.jpeg(array[..., 0], 80)[:2] == b"\xff\xd8"


def test_no_file_of_the_tests_is_missing():
    """pydicom ships them; a test that skips them proves nothing."""
    assert Path(get_testdata_file("MR_small.dcm", download=False)).exists()
