"""A recording becomes MPEG-4 video only where somebody allowed it, it came at an even beat, and an encoder is there."""

import subprocess

import numpy as np
import pydicom
import pytest
from msgspec import structs

from gateway.device import process
from gateway.model import Code
from gateway.pixels import chain
from gateway.service import movie
from tests.service.recordings import RULE, format_of, profile, truth

COLUMNS, ROWS = 128, 96
VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
TRUE_COLOUR_SC = "1.2.840.10008.5.1.4.1.1.7.4"
AIRWAY = Code("44567001", "SCT", "Trachea")


def endoscopic(**keys):
    found = profile(rule=RULE)
    kind = structs.replace(found.object, modality="ES", cine="endoscopic", anatomic_region=AIRWAY, **keys)
    return structs.replace(found, object=kind)


def moving(number):
    """A smooth picture that moves: what H.264 is made for."""
    ramp = np.add.outer(np.arange(ROWS), np.arange(COLUMNS) + 2 * number) % 200 + 20
    packed = np.full((ROWS, COLUMNS, 2), 128, np.uint8)
    packed[..., 0] = ramp
    packed[:, ::2, 1] = 100
    packed[:, 1::2, 1] = 150
    return packed.reshape(-1)


def probed(path, *entries):
    asked = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", *entries, "-of", "csv=p=0", str(path)]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split("\n")


def stream_of(ds, folder):
    """Write the MP4 that an object holds to a file."""
    path = folder / "out.mp4"
    with pydicom.config.disable_value_validation():
        items = list(pydicom.encaps.generate_fragments(ds.PixelData))
    path.write_bytes(b"".join(items[1:] if len(items[0]) in {0, 4} and len(items) > 1 else items))
    return path


def test_a_regular_recording_of_an_endoscope_becomes_h264_of_the_same_length_and_look(place, tmp_path):
    raws = [moving(number) for number in range(30)]
    fmt = format_of(COLUMNS, ROWS)
    made = place.record(place.ring(raws, fmt), endoscopic())
    (ds,) = place.objects(made)
    assert ds.SOPClassUID == VIDEO_ENDOSCOPIC
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_14496_10")
    assert float(ds.LossyImageCompressionRatio) > 5
    assert RULE in ds.DerivationDescription
    assert int(ds.NumberOfFrames) == 30
    path = stream_of(ds, tmp_path)
    (said, *_) = probed(path, "stream=profile,level,pix_fmt,r_frame_rate,has_b_frames,color_space")
    assert sorted(said.split(",")) == sorted(["High", "41", "yuv420p", "25/1", "0", "bt709"])
    kinds = [line.strip(",") for line in probed(path, "frame=pict_type") if line]
    assert len(kinds) == 30
    assert set(kinds) <= {"I", "P"}
    assert kinds[0] == kinds[25] == "I", "a closed group each second"
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True,
        capture_output=True,
    ).stdout
    seen = np.frombuffer(raw, np.uint8).reshape(30, ROWS, COLUMNS, 3)
    asked = np.stack(truth(raws, endoscopic(), fmt))
    assert np.abs(seen.astype(int) - asked).mean() < 4
    assert list((place.spool.data / "framelogs").iterdir()) == []


def test_pixels_that_are_not_square_are_made_so_and_the_object_says_so(place, tmp_path):
    fmt = structs.replace(format_of(COLUMNS, ROWS), pixel_aspect=(54, 59))
    (ds,) = place.objects(place.record(place.ring([moving(n) for n in range(5)], fmt), endoscopic()))
    assert (ds.Rows, ds.Columns) == (ROWS, 140)
    assert "PixelAspectRatio" not in ds
    assert "resampled to 140x96 square pixels" in ds.DerivationDescription
    (said, *_) = probed(stream_of(ds, tmp_path), "stream=width,height,sample_aspect_ratio")
    assert said.startswith("140,96")


def test_a_recording_with_a_gap_stays_as_it_was_recorded_and_says_why(place):
    ring = place.ring([moving(number) for number in range(6)], format_of(COLUMNS, ROWS))
    place.put(ring, 8, moving(8), missing=2)
    (ds,) = place.objects(place.record(ring, endoscopic()))
    assert ds.SOPClassUID == TRUE_COLOUR_SC
    assert ds.LossyImageCompression == "00"
    assert "not as video: its pictures did not come at an even beat." in ds.ImageComments


def test_without_an_encoder_it_stays_as_it_was_recorded_and_says_why(place, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (ds,) = place.objects(
        place.record(place.ring([moving(n) for n in range(4)], format_of(COLUMNS, ROWS)), endoscopic())
    )
    assert ds.SOPClassUID == TRUE_COLOUR_SC
    assert "not as video: this box has no encoder for it." in ds.ImageComments


def test_an_encoder_that_fails_costs_no_picture(place, monkeypatch):
    monkeypatch.setattr(movie, "_command", lambda _picture, _target: ["sh", "-c", "head -c 100 > /dev/null; exit 3"])
    raws = [moving(number) for number in range(4)]
    (ds,) = place.objects(place.record(place.ring(raws, format_of(COLUMNS, ROWS)), endoscopic()))
    assert ds.SOPClassUID == TRUE_COLOUR_SC
    assert int(ds.NumberOfFrames) == 4
    assert "not as video: its encoder failed." in ds.ImageComments


def test_a_profile_that_cannot_fill_a_video_costs_no_picture(place):
    found = endoscopic()
    found = structs.replace(found, object=structs.replace(found.object, anatomic_region=None))
    made = place.record(place.ring([moving(n) for n in range(4)], format_of(COLUMNS, ROWS)), found)
    (ds,) = place.objects(made)
    assert ds.SOPClassUID == TRUE_COLOUR_SC
    assert "anatomic_region" in ds.ImageComments


def test_while_it_records_nothing_is_lost_whatever_stills_are(place):
    from gateway.service import encoding

    fmt, found = format_of(COLUMNS, ROWS), endoscopic(compression="jpeg")
    made = chain.build(fmt, found.chain)
    assert encoding.encoder(made, fmt, found).form.is_lossy
    assert not encoding.encoder(made, fmt, found, is_cine=True).form.is_lossy


def test_without_a_rule_there_is_no_video():
    assert movie.is_wanted(endoscopic().object)
    assert not movie.is_wanted(structs.replace(endoscopic().object, lossy_rule=""))
    assert not movie.is_wanted(profile(rule=RULE).object)


# ---- programs that are fed ----


def test_a_program_gets_every_piece_and_says_how_it_ended():
    said = process.feed(["sh", "-c", "wc -c; echo done >&2; exit 4"], (b"x" * 1000 for _ in range(1000)))
    assert said == (4, "1000000\ndone\n")


def test_a_program_that_stops_reading_is_fed_no_more():
    given = []
    said = process.feed(["sh", "-c", "exit 0"], (given.append(1) or b"x" * 65536 for _ in range(1000)))
    assert said.status == 0
    assert len(given) < 100


def test_what_feeding_raises_ends_the_program():
    def pieces():
        yield b"x"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        process.feed(["sh", "-c", "sleep 60"], pieces())


def test_a_program_that_is_not_there_is_said():
    with pytest.raises(FileNotFoundError):
        process.feed(["no-such-program-anywhere"])
