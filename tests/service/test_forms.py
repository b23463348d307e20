"""What a source and a rule make of the stored form: a grabber's own JPEG, JPEG baseline by rule, and grey of ten bits or more."""

import numpy as np
import pytest

from gateway.model import Frame, FrameFormat, Range
from gateway.pixels import chain, codecs, mjpeg
from gateway.service import encoding, picture
from tests.objects.test_dciodvfy import unexplained
from tests.pixels.test_mjpeg import DHT, SOS, without_tables
from tests.service.recordings import (
    BEAT_NS,
    RULE,
    frames_of,
    pixels_of,
    profile,
    yuyv,
)

COLUMNS, ROWS = 64, 48
MJPEG = FrameFormat(
    pixel_format="MJPG",
    width_px=COLUMNS,
    height_px=ROWS,
    stride_bytes=0,
    frame_interval_ns=BEAT_NS,
    largest_bytes=1 << 16,
)
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def jpeg(number: int, *, quality=80, shape=(ROWS, COLUMNS, 3)) -> np.ndarray:
    """A USB grabber's frame: no Huffman tables, and padding behind its end."""
    rng = np.random.default_rng(number)
    smooth = np.add.outer(np.arange(shape[0]) * 2, np.arange(shape[1])) + 3 * number
    coloured = np.stack([smooth, smooth[::-1], smooth[:, ::-1]], axis=-1) if len(shape) == 3 else smooth
    noisy = (coloured + rng.integers(0, 9, shape)) % 256
    return np.frombuffer(without_tables(codecs.jpeg_baseline(noisy.astype(np.uint8), quality)) + bytes(11), np.uint8)


def decoded(frames) -> np.ndarray:
    return np.stack([chain.build(MJPEG, profile().chain).run(None, frame, None) for frame in frames])


# ---- a grabber's own JPEG ----


def test_a_grabbers_jpeg_passes_through_by_rule_with_the_very_bytes_that_came(place):
    frames = [jpeg(number) for number in range(9)]
    made = place.record(place.ring(frames, MJPEG), profile("passthrough", rule=RULE))
    (ds,) = place.objects(made)
    assert ds.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert (ds.SamplesPerPixel, ds.PhotometricInterpretation) == (3, "YBR_FULL_422")
    for stored, came in zip(frames_of(ds), frames, strict=True):
        scan = came.tobytes()[came.tobytes().index(SOS) : came.tobytes().rindex(b"\xff\xd9") + 2]
        assert scan in stored
        assert DHT in stored
    assert np.array_equal(np.stack(pixels_of(ds)), np.stack(decoded(frames)))
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    asked = ROWS * COLUMNS * 3 * 9 / sum(frame.size for frame in frames)
    assert float(ds.LossyImageCompressionRatio) == pytest.approx(asked, abs=0.01)
    assert "lossy at the source" in ds.DerivationDescription
    assert RULE in ds.ImageComments


@pytest.mark.parametrize(
    ("compression", "keys"),
    [
        ("htj2k", {}),
        ("passthrough", {"crop": (8, 8, 32, 24)}),
        ("passthrough", {"mask": ((0, 0, 8, 8),)}),
        ("passthrough", {"levels": (10, 250)}),
        ("passthrough", {"grey": "always"}),
        ("jpeg", {"mask": ((0, 0, 8, 8),)}),
    ],
    ids=str,
)
def test_what_came_as_jpeg_and_cannot_stay_is_stored_losslessly_and_still_says_what_it_lost(place, compression, keys):
    frames = [jpeg(number) for number in range(4)]
    found = profile(compression, rule=RULE, **keys)
    (ds,) = place.objects(place.record(place.ring(frames, MJPEG), found))
    assert ds.file_meta.TransferSyntaxUID == codecs.transfer_syntax("htj2k")
    made = chain.build(MJPEG, found.chain)
    asked = [made.run(None, frame, None) for frame in frames]
    asked = [made.to_grey(each) for each in asked] if keys.get("grey") else asked
    assert np.array_equal(np.stack(pixels_of(ds)), np.stack(asked))
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(ds.LossyImageCompressionRatio) > 1
    assert "lossy at the source" in ds.DerivationDescription
    assert "by rule" not in ds.DerivationDescription


def test_a_jpeg_that_cannot_pass_takes_the_others_of_its_object_with_it_losslessly(place):
    frames = [jpeg(number) for number in range(5)]
    frames[2] = jpeg(2, shape=(ROWS, COLUMNS))  # of one sample: no object holds it beside those of three
    (ds,) = place.objects(place.record(place.ring(frames, MJPEG), profile("passthrough", rule=RULE)))
    assert ds.file_meta.TransferSyntaxUID == codecs.transfer_syntax("htj2k")
    assert np.array_equal(np.stack(pixels_of(ds)), np.stack(decoded(frames)))
    assert ds.LossyImageCompression == "01"


def test_a_damaged_jpeg_is_a_missing_picture_not_the_end_of_a_recording(place):
    frames = [jpeg(number) for number in range(6)]
    frames[3] = frames[3][: frames[3].size // 2]
    made = place.record(place.ring(frames, MJPEG), profile())
    (ds,) = place.objects(made)
    assert int(ds.NumberOfFrames) == 5
    assert place.note(made) == "Pictures missed: 1."


def test_a_still_that_passes_through_says_the_same(place):
    found, data = profile("passthrough", rule=RULE), jpeg(1)
    encoder = encoding.encoder(chain.build(MJPEG, found.chain), MJPEG, found)
    now = Frame(data=data, format=MJPEG, sequence=0, field=MJPEG.field, captured_ns=1)
    stored = encoder.store(None, now, None)
    made = picture.of_one(encoder, MJPEG, stored)
    assert mjpeg.whole(stored.data).data == stored.data
    assert (made.transfer_syntax_uid, made.photometric_interpretation) == (JPEG_BASELINE, "YBR_FULL_422")
    assert made.lossy_ratio == pytest.approx(ROWS * COLUMNS * 3 / data.size, abs=0.01)
    assert (made.lossy_method, made.lossy_rule, made.steps) == ("ISO_10918_1", "", ())


# ---- JPEG baseline, by rule ----


def test_jpeg_by_rule_is_baseline_and_says_who_allowed_it_and_how_much_it_lost(place):
    raws = [yuyv(number, is_grey=number == 0) for number in range(5)]
    (ds,) = place.objects(place.record(place.ring(raws), profile("jpeg", rule=RULE)))
    assert ds.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert ds.PhotometricInterpretation == "YBR_FULL_422"
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    asked = ROWS * COLUMNS * 3 * 5 / sum(map(len, frames_of(ds)))
    assert float(ds.LossyImageCompressionRatio) == pytest.approx(asked, rel=0.02)
    assert f"compressed with loss (ISO_10918_1), by rule: {RULE}" in ds.DerivationDescription
    assert len(pixels_of(ds)) == 5


def test_a_recorder_of_jpeg_that_is_hard_pressed_stays_what_it_is(place, monkeypatch):
    from gateway.service import recording

    monkeypatch.setattr(recording.Pace, "is_losing", lambda _: True)
    (ds,) = place.objects(place.record(place.ring([yuyv(n) for n in range(3)]), profile("jpeg", rule=RULE)))
    assert ds.file_meta.TransferSyntaxUID == JPEG_BASELINE


# ---- grey of more than eight bits ----


@pytest.mark.parametrize(("fourcc", "bits"), [("Y10", 10), ("Y12", 12), ("Y16", 16)])
@pytest.mark.parametrize("compression", ["none", "rle", "jpeg-ls", "jpeg2000", "htj2k", "jpeg-xl", "jpeg"])
def test_deep_grey_keeps_every_bit_in_every_form(place, fourcc, bits, compression, monkeypatch):
    from gateway.service import recording

    turns = iter(range(99))
    monkeypatch.setattr(recording.Pace, "is_losing", lambda _: next(turns) % 2 == 1)
    fmt = FrameFormat(
        pixel_format=fourcc,
        width_px=COLUMNS,
        height_px=ROWS,
        stride_bytes=2 * COLUMNS,
        frame_interval_ns=BEAT_NS,
        range=Range.FULL,
    )
    rng = np.random.default_rng(bits)
    deep = [rng.integers(0, 1 << bits, (ROWS, COLUMNS), dtype=np.uint16) for _ in range(4)]
    ring = place.ring([each.astype("<u2").view(np.uint8).reshape(-1) for each in deep], fmt)
    (ds,) = place.objects(place.record(ring, profile(compression, rule=RULE)))
    taken = codecs.able(compression, bits)
    assert ds.file_meta.TransferSyntaxUID == codecs.transfer_syntax(taken)
    assert (ds.SamplesPerPixel, ds.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (16, bits, bits - 1)
    assert ds.LossyImageCompression == "00"
    seen = list(ds.pixel_array) if compression == "none" else pixels_of(ds)
    made = chain.build(fmt, profile().chain)
    asked = [made.run(None, each.astype("<u2").view(np.uint8).reshape(-1), None) for each in deep]
    assert np.array_equal(np.stack(seen), np.stack(asked))


# ---- as the standard asks ----


@pytest.mark.parametrize("compression", ["passthrough", "jpeg", "htj2k"])
@pytest.mark.parametrize("is_mjpeg", [True, False])
def test_whatever_the_form_dciodvfy_finds_nothing_unexplained(place, compression, is_mjpeg):
    ring = place.ring([jpeg(n) for n in range(3)], MJPEG) if is_mjpeg else place.ring([yuyv(n) for n in range(3)])
    made = place.record(ring, profile(compression, rule=RULE))
    (kept,) = place.spool.instances.of_capture(place.step.exam_id, made.plan.capture.number)
    assert unexplained(place.spool.blobs.path(kept.blob)) == []
