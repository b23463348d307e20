"""The header of each object kind, as DICOM JSON in golden/: its diff is a decision. GATEWAY_GOLDEN=write makes them anew."""

import hashlib
import json
import os
from pathlib import Path

import pytest

import gateway
from tests.objects import samples

GOLDEN = Path(__file__).parent / "golden"
VIDEOS = {f"{kind}-video": kind for kind in samples.VIDEOS}
NAMES = [
    *samples.KINDS,
    *VIDEOS,
    *samples.EYES,
    *samples.WAVEFORMS,
    *samples.PAGES,
    "sr",
    "note",
    "emergency",
    "lossy-irregular",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_object_is_what_was_decided(read, monkeypatch, tmp_path, name):
    monkeypatch.setattr(gateway, "__version__", "0.0.0")  # a release changes no object
    made = _as_json(read(_object(name, tmp_path)))
    path = GOLDEN / f"{name}.json"
    if os.environ.get("GATEWAY_GOLDEN") == "write":
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert made == json.loads(path.read_text(encoding="utf-8"))


def test_no_golden_object_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(NAMES)


def _object(name, folder):
    if name in VIDEOS:
        return samples.video_of(VIDEOS[name], samples.stream(folder))[0]
    if name in samples.EYES:
        return samples.measured(samples.EYES[name])[0]
    if name in samples.WAVEFORMS:
        return samples.drawn(samples.WAVEFORMS[name])[0]
    if name in samples.PAGES:
        return samples.drawn(samples.PAGES[name], "DOC")[0]
    if name == "sr":
        return samples.report()[0].getvalue()
    if name == "note":
        return samples.rejection()[0]
    if name == "emergency":
        return samples.composed("us", samples.picture(), exam_changes={"patient": None, "scheduled": None})[0]
    if name == "lossy-irregular":
        shown = samples.picture(
            frames=3,
            frame_times_ns=(0, 40_000_000, 200_000_000),
            missing_frames=3,
            ended_early="the power failed",
            lossy_method="ISO_10918_1",
            lossy_ratio=8.25,
            pixel_aspect=(12, 11),
            is_text_masked=True,
        )
        return samples.composed("sc", shown)[0]
    return samples.composed(*samples.KINDS[name])[0]


def _as_json(ds):
    """Keyword by keyword, so that a diff can be read; pixel data by its digest."""
    pixels = {"PixelData": hashlib.sha256(ds.PixelData).hexdigest()} if "PixelData" in ds else {}
    if pixels:
        del ds.PixelData
    return _named(ds) | pixels


def _named(ds):
    return {element.keyword: _value(element) for element in ds}


def _value(element):
    said = element.to_json_dict(None, 0)
    if element.keyword in {"EncapsulatedDocument", "EncapsulatedDocumentLength"}:
        return {"vr": element.VR}  # a font of another Debian is another page
    if element.keyword == "WaveformData":
        return {"vr": element.VR, "sha256": hashlib.sha256(element.value).hexdigest()}
    if element.VR == "SQ":
        said["Value"] = [_named(item) for item in element.value]
    return said
