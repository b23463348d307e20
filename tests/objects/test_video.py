"""An MPEG-4 stream lies in its object byte for byte, and the object says of it what PS3.5 8.2.7 asks."""

import io
import subprocess

import pytest
from msgspec.structs import replace
from pydicom.encaps import generate_fragments, parse_basic_offsets

from gateway.errors import ObjectError, ObjectInvalid
from gateway.objects import encode, image, peek, revise, transcode, verify, video
from gateway.profile import ObjectKind
from tests.objects import samples
from tests.objects.test_dciodvfy import unexplained
from tests.objects.test_transcode import transcoded


def fragments(ds):
    """The fragments of a video; its offset table is empty."""
    value = io.BytesIO(ds.PixelData)
    assert parse_basic_offsets(value) == []
    return list(generate_fragments(value))


@pytest.fixture
def mp4(tmp_path):
    return samples.stream(tmp_path)


@pytest.fixture
def real_mp4(tmp_path):
    """One second of a moving test picture, encoded by ffmpeg."""
    path = tmp_path / "real.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1"]
    form = ["-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-pix_fmt", "yuv420p", "-aspect", "4:3"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *form, path], check=True)
    return path


@pytest.mark.parametrize("kind", samples.VIDEOS)
def test_the_stream_is_one_fragment_byte_for_byte(read, mp4, kind):
    ds = read(samples.video_of(kind, mp4)[0])
    assert fragments(ds) == [mp4.read_bytes()]
    assert ds.file_meta.TransferSyntaxUID == video.HIGH_4_1
    assert (ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation) == (3, 0, "YBR_PARTIAL_420")
    assert (ds.NumberOfFrames, float(ds.FrameTime), ds.CineRate) == (5, 40, 25)
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_14496_10")
    assert float(ds.LossyImageCompressionRatio) == 40
    assert "for teaching" in ds.DerivationDescription
    assert ds.DerivationCodeSequence[0].CodeValue == "113040"


def test_an_odd_stream_is_padded_to_an_even_fragment(read, tmp_path):
    odd = samples.stream(tmp_path, data=b"\0\0\0\x18ftypmp42" + b"x" * 999)
    (fragment,) = fragments(read(samples.video_of("endoscopic", odd)[0]))
    assert fragment == odd.read_bytes() + b"\0"


def test_a_stream_longer_than_a_fragment_lies_in_several_only_where_its_syntax_allows_it(read, mp4, monkeypatch):
    monkeypatch.setattr(encode, "_LONGEST_FRAGMENT", 1000)
    with pytest.raises(ObjectInvalid):
        samples.video_of("endoscopic", mp4)
    shown = replace(samples.VIDEO, transfer_syntax_uid=f"{video.HIGH_4_1}.1")
    data = samples.video_of("endoscopic", mp4, shown)[0]
    parts = fragments(read(data))
    assert [len(part) for part in parts[:-1]] == [1000] * (len(parts) - 1)
    assert b"".join(parts) == mp4.read_bytes()


@pytest.mark.parametrize("broken", [b"", b"\0\0\0\1\x67\x64\0\x28" * 40, b"G" + b"\0" * 400])
def test_a_bare_stream_without_a_container_is_refused(tmp_path, broken):
    with pytest.raises(ObjectInvalid, match="neither an MP4"):
        samples.video_of("endoscopic", samples.stream(tmp_path, data=broken))


def test_a_transport_stream_is_taken(tmp_path):
    packets = samples.stream(tmp_path, data=(b"G" + bytes(187)) * 9)
    assert samples.video_of("endoscopic", packets)[1].transfer_syntax_uid == video.HIGH_4_1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"transfer_syntax_uid": samples.HTJ2K}, "not a transfer syntax of video"),
        ({"frame_count": 1, "frame_times_ns": ()}, "single frame"),
        ({"pixel_aspect": (12, 11)}, "must be square"),
        ({"photometric_interpretation": "RGB"}, "YBR_PARTIAL_420"),
        ({"rows": 47}, "even numbers"),
        ({"lossy_method": ""}, "how it lost"),
        ({"lossy_ratio": 0.0}, "how it lost"),
        ({"rows": 2160, "columns": 3840}, "level"),
        ({"rows": 1080, "columns": 1920, "frame_times_ns": tuple(n * 16_666_667 for n in range(5))}, "level"),
        ({"frame_times_ns": (1, 2)}, "capture times"),
    ],
)
def test_a_picture_that_cannot_be_video_says_why(mp4, change, says):
    with pytest.raises(ObjectInvalid, match=says):
        samples.video_of("endoscopic", mp4, replace(samples.VIDEO, **change))


def test_a_profile_without_video_or_without_what_video_needs_is_refused(mp4):
    with pytest.raises(ObjectInvalid, match="has no video"):
        samples.video_of("sc", mp4)
    with pytest.raises(ObjectInvalid, match="anatomic_region"):
        samples.video_of("endoscopic", mp4, object=ObjectKind(modality="ES", cine="endoscopic"))


@pytest.mark.parametrize(
    ("rows", "columns", "rate", "syntax"),
    [
        (1080, 1920, 30, video.HIGH_4_1),
        (720, 1280, 60, video.HIGH_4_1),
        (576, 720, 50, video.HIGH_4_1),
        (1080, 1920, 60, video.HIGH_4_2),
        (1080, 1920, 59.94, video.HIGH_4_2),
    ],
)
def test_the_lowest_level_that_holds_it_names_the_syntax(rows, columns, rate, syntax):
    assert video.syntax_for(rows, columns, rate) == syntax


def test_what_no_level_holds_is_refused():
    with pytest.raises(ObjectInvalid):
        video.syntax_for(2160, 3840, 30)


def test_a_gap_stays_a_longer_interval(read, mp4):
    shown = replace(samples.VIDEO, frame_count=3, frame_times_ns=(0, 40_000_000, 200_000_000), missing_frames=3)
    ds = read(samples.video_of("photographic", mp4, shown)[0])
    assert [float(at) for at in ds.FrameTimeVector] == [0, 40, 160]
    assert ds.ImageComments.startswith("3 frames were missed")


def test_a_late_identity_leaves_the_stream_alone(read, saved, mp4):
    before = saved(samples.video_of("endoscopic", mp4, exam_changes={"patient": None, "scheduled": None})[0])
    sink = io.BytesIO()
    revise.write(before, sink, samples.words("endoscopic"), modified_at=samples.AT)
    ds = read(sink.getvalue())
    assert ds.PatientID == "P-0042"
    assert fragments(ds) == [mp4.read_bytes()]


def test_video_is_peeked_checked_and_compared_without_a_decoder(saved, mp4):
    data = samples.video_of("endoscopic", mp4)[0]
    peeked = peek.read(saved(data))
    assert (peeked.transfer_syntax_uid, peeked.frames, peeked.is_lossy) == (video.HIGH_4_1, 5, True)
    assert verify.check(saved(data)) == []
    assert verify.same(saved(data), saved(data.replace(b"MODGATEWAY_01", b"PYNETDICOM_30")), samples.decode)
    other = data.replace(bytes(range(256)), bytes(reversed(range(256))), 1)
    assert not verify.same(saved(data), saved(other), samples.decode)


@pytest.mark.parametrize("target", [encode.EXPLICIT_LITTLE, samples.HTJ2K])
def test_video_stays_as_it_is(saved, mp4, target):
    path = saved(samples.video_of("endoscopic", mp4)[0])
    with pytest.raises(ObjectError, match="is video"):
        transcode.write(path, io.BytesIO(), target, samples.decode, samples.encode, is_loss_known=True)
    assert transcoded(path, video.HIGH_4_1)[0] == path.read_bytes()


def test_a_broken_video_is_said(saved, mp4):
    data = samples.video_of("endoscopic", mp4)[0]
    assert verify.check(saved(data[:-8])) == ["the pixel data ends early"]
    wrong = verify.check(
        saved(data.replace(b"ISO_14496_10", b"ISO_10918_1 ").replace(b"YBR_PARTIAL_420 ", b"YBR_FULL_422    "))
    )
    assert wrong == [
        "LossyImageCompressionMethod does not name ISO_14496_10",
        "PhotometricInterpretation of video is not YBR_PARTIAL_420",
    ]


def test_a_real_encoding_is_valid_and_plays_from_the_object(saved, read, tmp_path, real_mp4):
    shown = samples.picture(
        rows=240,
        columns=320,
        samples=3,
        frames=25,
        transfer_syntax_uid=video.syntax_for(240, 320, 25),
        photometric_interpretation="YBR_PARTIAL_420",
        lossy_method=video.METHOD,
        lossy_ratio=240 * 320 * 3 * 25 / real_mp4.stat().st_size,
    )
    path = tmp_path / "video.dcm"
    with path.open("wb") as sink:
        image.write_video(sink, samples.words("endoscopic"), shown, real_mp4)
    assert unexplained(path) == []
    assert verify.check(path) == []
    (stream,) = fragments(read(path.read_bytes()))
    played = tmp_path / "played.mp4"
    played.write_bytes(stream)
    counted = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
        played,
    ]
    assert subprocess.run(counted, capture_output=True, text=True, check=True).stdout.strip() == "25"
