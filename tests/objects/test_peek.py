"""Any bytes: what they are, or a named error, and never the pixels in memory."""

import io
import tracemalloc

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from gateway.errors import CodecError, NotDicom, ObjectError
from gateway.model import Region
from gateway.objects import broken, encode, peek, transcode, verify
from gateway.objects.peek import Peeked
from gateway.pixels import codecs
from tests.objects import samples


def test_an_object_is_known_by_its_header(saved, kind):
    of, shown = samples.KINDS[kind]
    data, written = samples.composed(of, shown)
    assert peek.read(saved(data)) == Peeked(
        sop_class_uid=written.sop_class_uid,
        sop_instance_uid=written.sop_instance_uid,
        study_instance_uid=samples.STEP.study_instance_uid,
        series_instance_uid=samples.words().series_instance_uid,
        transfer_syntax_uid=samples.EXPLICIT,
        modality=samples.object_kind(of).modality,
        rows=48,
        columns=64,
        frames=shown.frame_count,
        samples_per_pixel=shown.samples_per_pixel,
        bits_allocated=8 if shown.bits_stored == 8 else 16,
        photometric_interpretation=shown.photometric_interpretation,
        has_pixels=True,
    )


def test_a_report_has_no_pixels(saved):
    peeked = peek.read(saved(samples.report()[0].getvalue()))
    assert (peeked.has_pixels, peeked.modality, peeked.rows) == (False, "SR", 0)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_native_transfer_syntax_is_read(saved, syntax):
    peeked = peek.read(saved(_recast(samples.composed("us", samples.picture(frames=2))[0], syntax)))
    assert (peeked.transfer_syntax_uid, peeked.rows, peeked.frames, peeked.has_pixels) == (syntax, 48, 2, True)


def test_a_transfer_syntax_nobody_knows_is_read_as_explicit(saved):
    data = samples.composed("us", samples.picture(transfer_syntax_uid="1.2.840.10008.1.2.4.110"), [b"jxl"])[0]
    assert peek.read(saved(data)).transfer_syntax_uid == "1.2.840.10008.1.2.4.110"


def test_pixels_are_never_loaded(tmp_path):
    path = tmp_path / "big.dcm"
    head = samples.composed("us", samples.picture())[0]
    with path.open("wb") as file:
        file.write(head[: -48 * 64 - 4] + (300 << 20).to_bytes(4, "little"))
        file.truncate(len(head) + (300 << 20))
    tracemalloc.start()
    assert peek.read(path).has_pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_length_that_lies_reserves_no_memory(saved):
    data = samples.composed("us", samples.picture())[0]
    at = data.index(b"\x08\x00\x05\x00CS")
    path = saved(data[:at] + b"\x08\x00\x05\x00UN\x00\x00\xf0\xff\xff\xff" + data[at + 8 :])
    tracemalloc.start()
    with pytest.raises(NotDicom):
        peek.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "data", [b"", b"DICM", bytes(128) + b"DICM", bytes(200), bytes(128) + b"DICM\x02\x00\x10\x00UI\x00\x00"]
)
def test_what_is_no_dicom_is_named(saved, data):
    with pytest.raises(NotDicom) as named:
        peek.read(saved(data))
    assert named.value.code == "G312"


def test_an_object_without_identity_is_named(saved):
    data = samples.composed("us", samples.picture())[0]
    with pytest.raises(NotDicom, match="SeriesInstanceUID"):
        peek.read(saved(data.replace(b"\x20\x00\x0e\x00UI", b"\x20\x00\x0f\x00UI")))


def test_a_failing_disk_is_not_called_a_broken_object(saved):
    path = saved(samples.composed("us", samples.picture())[0])
    with pytest.raises(OSError) as failed, broken.named():
        path.with_name("gone").read_bytes()
    assert failed.value.errno is not None


def test_a_deeply_nested_header_is_named(saved):
    data = samples.composed("us", samples.picture())[0]
    at = data.index(b"\x08\x00\x05\x00CS")
    nest = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20000
    with pytest.raises(NotDicom):
        peek.read(saved(data[:at] + nest))


@given(st.binary(max_size=400), st.booleans())
def test_random_bytes_are_a_value_or_a_named_error(tmp_path_factory, data, has_prefix):
    _looked_at(tmp_path_factory, (bytes(128) + b"DICM" if has_prefix else b"") + data)


@given(st.data())
def test_a_torn_object_is_a_value_or_a_named_error(tmp_path_factory, data):
    whole = data.draw(st.sampled_from(_WHOLE))
    _looked_at(tmp_path_factory, whole[: data.draw(st.integers(0, len(whole)))])


@given(st.data())
def test_an_object_with_flipped_bits_is_a_value_or_a_named_error(tmp_path_factory, data):
    broken = bytearray(data.draw(st.sampled_from(_WHOLE)))
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(132, len(broken) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _looked_at(tmp_path_factory, bytes(broken))


pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # pydicom remarks on what is broken; that is expected


def _looked_at(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.dcm"
    path.write_bytes(data)
    for look in (peek.read, verify.check, _recode, lambda one: verify.same(one, one, codecs.decode)):
        try:
            look(path)
        except (ObjectError, CodecError) as error:
            assert error.code in {"G301", "G310", "G311", "G312"}  # noqa: PT017  these are fine, nothing else is


def _recode(path):
    for target in (encode.IMPLICIT_LITTLE, samples.RLE):
        transcode.write(path, io.BytesIO(), target, codecs.decode, codecs.encode_as)


def _recast(data, syntax):
    """The object in another native syntax, by pydicom."""
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.file_meta.TransferSyntaxUID = syntax
    sink = io.BytesIO()
    pydicom.dcmwrite(sink, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return sink.getvalue()


_SMALL = samples.picture(rows=4, columns=4, frames=2)
_WHOLE = [
    samples.composed("us", _SMALL)[0],
    _recast(samples.composed("us", _SMALL)[0], ImplicitVRLittleEndian),
    _recast(samples.composed("us", _SMALL)[0], ExplicitVRBigEndian),
    _recast(samples.composed("us", _SMALL)[0], DeflatedExplicitVRLittleEndian),
    samples.composed("us", samples.replace(_SMALL, transfer_syntax_uid="1.2.840.10008.1.2.1.98"), [b"1234", b"5678"])[
        0
    ],
    samples.report()[0].getvalue(),
    samples.composed(
        "us", samples.replace(_SMALL, regions=(Region(x0=0, y0=0, x1=3, y1=3, delta_x=0.1, delta_y=0.1),))
    )[0],
    samples.composed("sc", samples.replace(_SMALL, bits_stored=10))[0],
    dict(samples.every_object())["endoscopic-video"],
]
assert DeflatedExplicitVRLittleEndian == encode.DEFLATED
