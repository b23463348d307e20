"""Images: streamed, timed, truthful about what was done to them."""

import hashlib
import io
import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pydicom
import pytest
from msgspec.structs import replace
from pydicom.encaps import parse_basic_offsets
from pydicom.sr.codedict import codes

from gateway import uids
from gateway.config import Station
from gateway.errors import ClockUntrusted, ObjectInvalid
from gateway.model import Equipment, Loss
from gateway.objects import encode, image, iods
from gateway.profile import ObjectKind
from tests.conftest import IS_FULL
from tests.objects import samples


def test_the_class_follows_from_profile_and_picture():
    made = {name: iods.for_picture(samples.words(of), shown).name for name, (of, shown) in samples.KINDS.items()}
    assert made == {
        "us-still-grey": "Ultrasound Image",
        "us-still-colour": "Ultrasound Image",
        "us-cine-grey": "Ultrasound Multi-frame Image",
        "us-cine-colour": "Ultrasound Multi-frame Image",
        "sc-still-grey": "Secondary Capture Image",
        "sc-still-colour": "Secondary Capture Image",
        "sc-cine-grey": "Multi-frame Grayscale Byte Secondary Capture Image",
        "sc-cine-colour": "Multi-frame True Color Secondary Capture Image",
        "sc-still-10-bits": "Secondary Capture Image",
        "sc-cine-12-bits": "Multi-frame Grayscale Word Secondary Capture Image",
        "us-still-regions": "Ultrasound Image",
        "us-cine-regions": "Ultrasound Multi-frame Image",
        "endoscopic-still": "VL Endoscopic Image",
        "microscopic-still": "VL Microscopic Image",
        "photographic-still": "VL Photographic Image",
        "dermoscopic-still": "Dermoscopic Photography Image",
        "specimen-still": "VL Microscopic Image",
        "endoscopic-cine-without-video": "Multi-frame True Color Secondary Capture Image",
    }


def test_what_a_kind_cannot_hold_becomes_secondary_capture_and_says_so(read):
    deep = read(samples.composed("us", samples.picture(bits_stored=10))[0])
    assert (deep.SOPClassUID, deep.Modality) == (iods.SC_IMAGE.sop_class_uid, "US")
    assert deep.ImageComments == "Stored as Secondary Capture: its 10 bits are more than the us kind can hold."
    assert "ImageComments" not in read(samples.composed("sc", samples.picture(bits_stored=10))[0])


@pytest.mark.parametrize("bits", [9, 10, 12, 16])
def test_deep_grey_is_written_in_words_and_shown_whole(read, bits):
    shown = samples.picture(bits_stored=bits, frames=2)
    ds = read(samples.composed("sc", shown)[0])
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds["PixelData"].VR) == (16, bits, bits - 1, "OW")
    assert (float(ds.WindowCenter), float(ds.WindowWidth)) == (2 ** (bits - 1), 2**bits)
    assert np.array_equal(ds.pixel_array, np.array(samples.pixels(shown)))


def test_deep_grey_is_written_big_endian_too(read):
    shown = samples.picture(bits_stored=12, transfer_syntax_uid=encode.EXPLICIT_BIG)
    assert np.array_equal(read(samples.composed("sc", shown)[0]).pixel_array, samples.pixels(shown)[0])


def test_a_dermoscopic_picture_needs_what_only_its_profile_can_say():
    with pytest.raises(ObjectInvalid) as refused:
        samples.composed(
            "dermoscopic",
            samples.picture(samples=3),
            equipment=Equipment(manufacturer="Aloka"),
            object=ObjectKind(modality="DMS", still="dermoscopic"),
        )
    for key in ("equipment.model_name", "equipment.software_versions", "recognizable_visual_features"):
        assert key in str(refused.value)


@pytest.mark.parametrize(("stated", "said"), [(True, "YES"), (False, "NO"), (None, None)])
def test_whether_somebody_can_be_recognised_is_said_where_it_is_known(read, stated, said):
    kind = ObjectKind(modality="XC", still="photographic", recognizable_visual_features=stated)
    ds = read(samples.composed("photographic", samples.picture(samples=3), object=kind)[0])
    assert ds.get("RecognizableVisualFeatures") == said


def test_a_specimen_is_named_by_its_order_or_by_the_exam(read):
    ordered = read(samples.composed("specimen", samples.picture(samples=3))[0])
    (of,) = ordered.SpecimenDescriptionSequence
    assert (ordered.ContainerIdentifier, of.SpecimenIdentifier) == ("A-17", "A-17")
    assert of.SpecimenUID == uids.specimen(samples.EXAM)
    alone = read(samples.composed("specimen", samples.picture(samples=3), exam_changes={"scheduled": None})[0])
    assert alone.ContainerIdentifier == "6F1F4D1E"


@pytest.mark.parametrize(("region", "present"), [(samples.LARYNX, False), (samples.SKIN, True), (None, True)])
def test_a_region_without_sides_has_no_laterality(read, region, present):
    kind = ObjectKind(modality="ES", still="endoscopic", anatomic_region=region)
    ds = read(samples.composed("endoscopic", samples.picture(samples=3), object=kind)[0])
    assert ("Laterality" in ds) is present
    assert ("AnatomicRegionSequence" in ds) is (region is not None)


def test_the_digest_is_that_of_the_data_set_without_group_two(kind):
    of, shown = samples.KINDS[kind]
    data, written = samples.composed(of, shown)
    file = io.BytesIO(data)
    pydicom.filereader.read_preamble(file, False)
    pydicom.filereader._read_file_meta_info(file)
    assert written.data_digest == hashlib.sha256(file.read()).hexdigest()


def test_the_same_words_and_pixels_give_the_same_bytes(kind):
    of, shown = samples.KINDS[kind]
    assert samples.composed(of, shown) == samples.composed(of, shown)


def test_group_two_names_this_implementation(read):
    meta = read(samples.composed("us", samples.picture())[0]).file_meta
    assert meta.ImplementationClassUID == uids.IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == uids.IMPLEMENTATION_VERSION_NAME
    assert meta.TransferSyntaxUID == samples.EXPLICIT


@pytest.mark.parametrize("syntax", [samples.EXPLICIT, samples.JPEG_LS])
def test_a_cine_of_300_mb_costs_the_memory_of_one_picture(syntax):
    frame, count = bytes(1_000_000), 300
    shown = samples.picture(rows=1000, columns=1000, frames=count, transfer_syntax_uid=syntax)
    sink = Counting()
    tracemalloc.start()
    image.write(sink, samples.words(), shown, (bytes(frame) for _ in range(count)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sink.count > 300_000_000
    assert peak < 8_000_000


def test_the_offset_table_points_at_every_frame(read):
    frames = [b"\x01" * 7, b"\x02" * 8, b"\x03" * 9]
    shown = samples.picture(frames=3, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=(7, 8, 9))
    ds = read(samples.composed("us", shown, frames)[0])
    assert parse_basic_offsets(ds.PixelData) == [0, 16, 32]


def test_without_lengths_the_offset_table_is_empty_and_frames_are_fragments(read):
    shown = samples.picture(frames=3, transfer_syntax_uid=samples.JPEG_LS)
    ds = read(samples.composed("us", shown, [b"\x01" * 7] * 3)[0])
    assert parse_basic_offsets(ds.PixelData) == []
    assert [len(frame) for frame in pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=3)] == [8, 8, 8]


def test_beyond_4_gib_an_extended_offset_table_takes_over():
    lengths = [(1 << 30) + 1] * 5
    offsets, stated = encode.extended(lengths)
    assert [int.from_bytes(offsets[at : at + 8], "little") for at in range(0, 40, 8)] == [
        n * ((1 << 30) + 10) for n in range(5)
    ]
    assert int.from_bytes(stated[:8], "little") == (1 << 30) + 1
    assert encode.extended(lengths[:4]) is None
    begin = encode.encapsulated(iter(()), lengths)
    assert next(begin).endswith(b"\xfe\xff\x00\xe0\x00\x00\x00\x00")


@pytest.mark.skipif(not IS_FULL, reason="hashes 4.5 GB; make campaign")
def test_an_object_of_more_than_4_gib_is_written_with_an_extended_offset_table():
    frame = bytes(1 << 29)
    lengths = (len(frame),) * 9
    shown = samples.picture(frames=9, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=lengths)
    sink = Counting()
    image.write(sink, samples.words(), shown, (frame for _ in lengths))
    assert sink.count > sum(lengths)
    assert b"\xe0\x7f\x01\x00OV\x00\x00\x48\x00\x00\x00" in sink.head


def test_native_pixels_beyond_4_gib_are_refused_before_a_byte_is_written():
    shown = samples.picture(rows=60000, columns=60000, frames=2)
    sink = Counting()
    with pytest.raises(ObjectInvalid):
        image.write(sink, samples.words(), shown, iter(()))
    assert sink.count < 5000


@pytest.mark.parametrize(
    ("shown", "frames"),
    [
        (samples.picture(), [b"\0" * 10]),
        (samples.picture(), []),
        (samples.picture(), [bytes(48 * 64), b"\0"]),
        (samples.picture(frames=2), [bytes(48 * 64)]),
        (samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS), [b"1", b"2", b"3"]),
        (samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS), [b"1"]),
        (samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS), [b"1", b""]),
        (samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=(1, 2)), [b"1", b"2"]),
        (samples.picture(frames=2, transfer_syntax_uid=samples.JPEG_LS, frame_lengths=(1, 1, 1)), [b"1", b"2"]),
        (samples.picture(transfer_syntax_uid=samples.JPEG_LS), []),
        (samples.picture(photometric_interpretation="RGB"), [bytes(48 * 64)]),
        (samples.picture(rows=0), [b""]),
        (samples.picture(bits_stored=7), [bytes(48 * 64)]),
        (samples.picture(bits_stored=17), [bytes(2 * 48 * 64)]),
        (samples.picture(bits_stored=10), [bytes(48 * 64)]),
        (samples.picture(samples=3, bits_stored=10), [bytes(6 * 48 * 64)]),
        (samples.picture(regions=(replace(samples.REGION, x1=64),)), [bytes(48 * 64)]),
        (samples.picture(regions=(replace(samples.REGION, y0=-1),)), [bytes(48 * 64)]),
        (samples.picture(regions=(replace(samples.REGION, delta_y=0.0),)), [bytes(48 * 64)]),
        (samples.picture(frames=2, frame_times_ns=(5,)), [bytes(48 * 64)] * 2),
        (samples.picture(frames=2, frame_times_ns=(5, 4)), [bytes(48 * 64)] * 2),
    ],
)
def test_frames_that_do_not_keep_the_pictures_promise_are_refused(shown, frames):
    with pytest.raises(ObjectInvalid) as refused:
        image.write(Counting(), samples.words(), shown, iter(frames))
    assert refused.value.code == "G311"


def test_even_capture_times_are_one_frame_time(read):
    ds = read(samples.composed("us", samples.picture(frames=5))[0])
    assert (ds.FrameTime, ds.FrameIncrementPointer, ds.CineRate, ds.RecommendedDisplayFrameRate) == (
        40,
        0x00181063,
        25,
        25,
    )
    assert "FrameTimeVector" not in ds


def test_ntsc_frame_time_keeps_its_fraction(read):
    times = tuple(round(n * 1e9 * 1001 / 30000) for n in range(60))
    ds = read(samples.composed("us", samples.picture(frames=60, frame_times_ns=times))[0])
    assert str(ds.FrameTime) == "33.366667"


def test_jitter_below_a_millisecond_is_still_even(read):
    times = tuple(40_000_000 * n + (900_000 if n % 2 else 0) for n in range(6))
    assert "FrameTime" in read(samples.composed("us", samples.picture(frames=6, frame_times_ns=times))[0])


def test_a_missing_frame_is_a_longer_interval_and_is_said(read):
    shown = samples.picture(frames=4, frame_times_ns=(7, 40_000_007, 160_000_007, 200_000_007), missing_frames=2)
    ds = read(samples.composed("us", shown)[0])
    assert list(ds.FrameTimeVector) == [0, 40, 120, 40]
    assert ds.FrameIncrementPointer == 0x00181065
    assert ds.ImageComments == "2 frames were missed; the intervals between frames show where."


@pytest.mark.parametrize("interval_ns", [41_234_567, 1_512_345_678])
def test_8000_uneven_frames_fit_explicit_vr_and_do_not_drift(read, interval_ns):
    times = tuple(n * interval_ns + (n % 3) * 2_000_000 for n in range(8000))
    shown = samples.picture(rows=1, columns=2, frames=8000, frame_times_ns=times)
    ds = read(samples.composed("us", shown)[0])
    assert ds["FrameTimeVector"].VR == "DS"
    assert abs(sum(ds.FrameTimeVector) - (times[-1] - times[0]) / 1e6) < 1


def test_frames_with_one_and_the_same_time_are_kept():
    assert samples.composed("us", samples.picture(frames=3, frame_times_ns=(5, 5, 5)))[1].sop_class_uid.endswith(".3.1")


def test_what_was_done_to_the_pixels_is_said(read):
    ds = read(samples.composed("sc", samples.picture())[0])
    assert list(ds.ImageType) == ["DERIVED", "PRIMARY"]
    assert ds.DerivationDescription == "crop 64x48+0+0; de-interlaced (motion adaptive)"
    assert ds.LossyImageCompression == "00"
    assert ds.BurnedInAnnotation == "YES"
    assert (ds.ConversionType, ds.VideoImageFormatAcquired) == ("DV", "PAL 625/50i")
    gateway = ds.ContributingEquipmentSequence[0]
    assert (gateway.Manufacturer, gateway.PurposeOfReferenceCodeSequence[0].CodeValue) == ("Modality gateway", "109102")


def test_untouched_pixels_are_original(read):
    ds = read(samples.composed("us", samples.picture(steps=()))[0])
    assert list(ds.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert "DerivationDescription" not in ds


def test_what_was_done_is_coded_where_the_standard_has_a_code(read):
    steps = (
        "crop 64x48+0+0",
        "noise filter in time (median of three frames)",
        "pixels of 54:59 resampled to square ones (area, 64x48)",
        "masked 1x1+0+0 with black",
    )
    shown = samples.picture(steps=steps, lossy_method="ISO_10918_1", lossy_ratio=8.0)
    ds = read(samples.composed("us", shown)[0])
    assert [item.CodeValue for item in ds.DerivationCodeSequence] == ["113085", "113087", "113040"]
    meanings = {concept.value: concept.meaning for concept in codes.cid7203.concepts.values()}
    assert all(meanings[item.CodeValue].lower() == item.CodeMeaning.lower() for item in ds.DerivationCodeSequence)
    assert "lossy at the source" in ds.DerivationDescription
    assert all(step in ds.DerivationDescription for step in steps)
    assert "DerivationCodeSequence" not in read(samples.composed("us", samples.picture(steps=("crop 4x4+0+0",)))[0])


def test_more_steps_than_one_attribute_holds_are_told_whole_in_the_comments(read):
    steps = tuple(f"masked 100x20+{at}+400 with black" for at in range(1000, 1040))
    ds = read(samples.composed("us", samples.picture(steps=steps))[0])
    assert len(ds.DerivationDescription) <= 1024
    assert all(step in ds.ImageComments for step in steps)


def test_a_time_lapse_has_no_rate_of_whole_frames_a_second(read):
    shown = samples.picture(frames=3, frame_times_ns=(0, 5_000_000_000, 10_000_000_000))
    ds = read(samples.composed("us", shown)[0])
    assert float(ds.FrameTime) == 5000
    assert "CineRate" not in ds
    assert "RecommendedDisplayFrameRate" not in ds


def test_a_lossy_source_stays_lossy(read):
    ds = read(samples.composed("us", samples.picture(steps=(), lossy_method="ISO_10918_1", lossy_ratio=7.777))[0])
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(ds.LossyImageCompressionRatio) == 7.78
    assert ds.ImageType[0] == "DERIVED"


def test_each_loss_is_told_in_order(read):
    shown = samples.picture(
        steps=("resampled to 64x48 square pixels",),
        earlier_losses=(Loss("ISO_10918_1", 12.5),),
        lossy_method="ISO_14496_10",
        lossy_ratio=40.0,
        lossy_rule="Dr A",
    )
    ds = read(samples.composed("us", shown)[0])
    assert list(ds.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_14496_10"]
    assert [float(ratio) for ratio in ds.LossyImageCompressionRatio] == [12.5, 40]
    assert ds.DerivationDescription == (
        "compressed with loss (ISO_10918_1, 12.5 to 1); resampled to 64x48 square pixels;"
        " compressed with loss (ISO_14496_10), by rule: Dr A"
    )


def test_a_digital_source_is_named_as_such(read):
    digital = ObjectKind(modality="OT", still="sc", conversion_type="DI")
    ds = read(samples.composed("sc", samples.picture(source_format="1280x720p60"), object=digital)[0])
    assert (ds.ConversionType, ds.DigitalImageFormatAcquired) == ("DI", "1280x720p60")
    assert "VideoImageFormatAcquired" not in ds


def test_only_pixels_that_are_not_square_say_so(read):
    assert "PixelAspectRatio" not in read(samples.composed("us", samples.picture(pixel_aspect=(3, 3)))[0])
    assert list(read(samples.composed("us", samples.picture(pixel_aspect=(12, 11)))[0]).PixelAspectRatio) == [12, 11]


def test_a_masked_picture_says_that_no_text_is_burned_in(read):
    assert read(samples.composed("us", samples.picture(is_text_masked=True))[0]).BurnedInAnnotation == "NO"


@pytest.mark.parametrize(("part", "present"), [("", True), ("ABDOMEN", False), ("BREAST", True)])
def test_laterality_is_asked_for_only_where_there_may_be_two_sides(read, part, present):
    ds = read(
        samples.composed(
            "us", samples.picture(), object=ObjectKind(modality="US", still="us", body_part_examined=part)
        )[0]
    )
    assert ("Laterality" in ds) is present


def test_dates_are_local_and_say_their_offset(read):
    at = datetime(2026, 12, 31, 20, 0, tzinfo=UTC)
    ds = read(samples.composed("us", samples.picture(), captured_at=at, station=Station(timezone="Asia/Kolkata"))[0])
    assert (ds.ContentDate, ds.ContentTime, ds.TimezoneOffsetFromUTC) == ("20270101", "013000.000", "+0530")


def test_an_unknown_time_zone_is_an_error_with_a_name():
    with pytest.raises(ObjectInvalid):
        samples.composed("us", samples.picture(), station=Station(timezone="Mars/Olympus"))


@pytest.mark.parametrize("which", ["captured_at", "started_at"])
def test_a_date_of_1970_is_never_written(which):
    early = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    changes = {"captured_at": early} if which == "captured_at" else {"exam_changes": {"started_at": early}}
    with pytest.raises(ClockUntrusted):
        samples.composed("us", samples.picture(), **changes)


def test_a_settled_or_open_doubt_about_the_clock_is_said(read):
    settled = samples.composed("us", samples.picture(), exam_changes={"clock_note": "A person confirmed the time."})[0]
    assert read(settled).ImageComments == "Clock: A person confirmed the time."
    doubt = {"clock_doubt": "no time server has confirmed it"}
    still_open = samples.composed("us", samples.picture(), exam_changes=doubt)[0]
    assert (
        read(still_open).ImageComments == "Clock: the date and time are not certain: no time server has confirmed it."
    )


def test_an_emergency_gets_a_stand_in_that_nobody_takes_for_a_patient(read):
    ds = read(samples.composed("us", samples.picture(), exam_changes={"patient": None, "scheduled": None})[0])
    assert (ds.PatientID, ds.PatientName) == ("EMERGENCY-6F1F4D1E", "EMERGENCY^2026-12-01 12.27")


def test_a_recording_of_one_frame_is_an_image():
    assert samples.composed("us", samples.picture(frames=1))[1].sop_class_uid == iods.US_IMAGE.sop_class_uid


def test_an_error_never_says_the_value(caplog):
    with pytest.raises(ObjectInvalid) as refused:
        samples.composed("us", samples.picture(), sop_instance_uid="Müller^Ana")
    assert "Müller" not in str(refused.value)
    assert "SOPInstanceUID" in str(refused.value)


def test_words_show_nothing_of_the_patient_when_printed():
    assert "Müller" not in repr(samples.words())
    assert "P-0042" not in repr(replace(samples.words(), captured_at=samples.AT + timedelta(1)))


class Counting:
    """A sink that keeps nothing but the beginning."""

    def __init__(self):
        self.count = 0
        self.head = b""

    def write(self, data):
        self.count += len(data)
        self.head = (self.head + data[:10_000])[:10_000]
