"""dciodvfy says no error on any object we make; each warning it may say is listed here, with the reason why it stays."""

import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway import codes
from gateway.model import Code, Observation, Patient
from gateway.objects import revise, transcode, verify
from gateway.pixels import codecs
from gateway.profile import ObjectKind
from tests.objects import samples

ANY = "any object"
UNKNOWN = "Error - Information Object Not found"
PRIVATE = Code("UterineActivity", "99GATEWAY", "Uterine activity")
DERMOSCOPIC = "DermoscopicPhotographyImage"
EXPLAINED = {
    (ANY, "Warning", "is only permitted to be empty when actually unknown"): (
        "Laterality: nobody told us the body part, or it is one of a pair and nobody told us which; that is what empty means."
    ),
    (ANY, "Warning", "should be absent (not empty) if an unpaired body part"): "as above",
    (ANY, "Warning", "Retired Person Name form"): (
        "An account of one name: PS3.5 6.2.1.1 lets the delimiters behind the last component go."
    ),
    (DERMOSCOPIC, "Warning", "Unrecognized defined term <DMS>"): (
        "Dermoscopy: a term of PS3.3 C.7.3.1.1.1, younger than its list of terms; it asks DMS of this very IOD."
    ),
    (DERMOSCOPIC, "Error", "Module=<FrameOfReference>"): (
        "The IOD has no Frame of Reference module in the standard (see test_standard); dciodvfy demands one, though its"
        " own table calls it optional."
    ),
    (UNKNOWN, "Error", "Information Object Not found"): (
        "Arterial Pulse and Respiratory Waveform are younger than its tables; test_standard holds them to the standard's own."
    ),
    (ANY, "Warning", "Unrecognized defined term <99GATEWAY>"): (
        "A concept for which no published scheme has a code known to us; PS3.16 8.2 lets a private scheme begin with 99."
    ),
    (
        ANY,
        "Warning",
        "method inconsistent with Transfer Syntax - attribute <LossyImageCompressionMethod> = <ISO_10918_1>",
    ): (
        "A JPEG of the grabber that is stored losslessly: what the source lost is told in whatever form (C.7.6.1.1.5)."
    ),
}
"""What dciodvfy may say of which IOD, and why it stays: the only place where one of its messages is set aside."""

VARIANTS = {
    "emergency": {"exam_changes": {"patient": None, "scheduled": None}},
    "typed by hand": {"exam_changes": {"patient": Patient(patient_id="7", name="王^小东"), "scheduled": None}},
    "clock confirmed": {"exam_changes": {"clock_note": "A person confirmed the date and time."}},
    "an operator of one name": {"exam_changes": {"operator": "Kofi"}},
    "body part": {"object": ObjectKind(modality="US", still="us", cine="us", body_part_examined="ABDOMEN")},
}

PICTURES = {
    "pixels not square": samples.picture(pixel_aspect=(12, 11)),
    "lossy source": samples.picture(lossy_method="ISO_10918_1", lossy_ratio=8.2),
    "text masked": samples.picture(is_text_masked=True),
    "irregular": samples.picture(frames=3, frame_times_ns=(0, 40_000_000, 200_000_000), missing_frames=3),
    "ended early": samples.picture(frames=2, ended_early="the power failed"),
}


def test_every_object_kind_is_valid(saved):
    for name, data in samples.every_object():
        assert unexplained(saved(data)) == [], name


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["us", "sc", "endoscopic", "sr", "note"])
def test_an_object_is_valid_whoever_the_patient_is(saved, name, variant):
    if name == "sr":
        data = samples.report(**VARIANTS[variant])[0].getvalue()
    elif name == "note":
        data = samples.rejection(by="Awa Diallo", **VARIANTS[variant])[0]
    else:
        data = samples.composed(name, samples.picture(), **VARIANTS[variant])[0]
    assert unexplained(saved(data)) == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", samples.WAVEFORMS)
def test_curves_are_valid_whoever_the_patient_is(saved, name, variant):
    said = {key: value for key, value in VARIANTS[variant].items() if key != "object"}
    assert unexplained(saved(samples.drawn(samples.WAVEFORMS[name], **said)[0])) == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", samples.PAGES)
def test_a_page_is_valid_whoever_the_patient_is(saved, name, variant):
    said = {key: value for key, value in VARIANTS[variant].items() if key != "object"}
    assert unexplained(saved(samples.drawn(samples.PAGES[name], "DOC", **said)[0])) == []


@pytest.mark.parametrize("shown", PICTURES)
@pytest.mark.parametrize("name", ["us", "sc", "photographic"])
def test_an_object_is_valid_whatever_happened_to_its_picture(saved, name, shown):
    assert unexplained(saved(samples.composed(name, PICTURES[shown])[0])) == []


@pytest.mark.parametrize("syntax", [samples.JPEG_LS, samples.RLE, samples.JPEG_2000, samples.HTJ2K])
@pytest.mark.parametrize("samples_per_pixel", [1, 3])
def test_a_compressed_object_is_valid(saved, syntax, samples_per_pixel):
    shown = samples.picture(samples=samples_per_pixel, frames=2, transfer_syntax_uid=syntax)
    if syntax in {samples.JPEG_2000, samples.HTJ2K} and samples_per_pixel == 3:
        shown = replace(shown, photometric_interpretation="YBR_RCT")
    frames = [samples.encode(frame, syntax) for frame in samples.pixels(shown)]
    for name in ("us", "sc"):
        assert unexplained(saved(samples.composed(name, shown, frames)[0])) == []


@pytest.mark.parametrize("samples_per_pixel", [1, 3])
def test_an_object_that_lost_by_a_rule_is_valid(saved, samples_per_pixel):
    shown = samples.picture(
        samples=samples_per_pixel,
        transfer_syntax_uid=samples.JPEG,
        photometric_interpretation=codecs.photometric("jpeg", samples_per_pixel),
        lossy_method="ISO_10918_1",
        lossy_ratio=8.0,
        lossy_rule="Dr A decided in 2026 that these pictures are for teaching.",
    )
    frames = [codecs.jpeg_baseline(frame, 90) for frame in samples.pixels(shown)]
    for name in ("us", "sc", "endoscopic", "photographic"):
        data = samples.composed(name, shown, frames)[0]
        assert unexplained(saved(data)) == []
        assert verify.check(saved(data)) == []


@pytest.mark.parametrize("syntax", sorted(codecs.ENCODABLE))
def test_deep_grey_is_valid_in_every_form(saved, tmp_path, syntax):
    for frames in (1, 3):
        path = tmp_path / "packed.dcm"
        with path.open("wb") as sink:
            plain = saved(samples.composed("sc", samples.picture(bits_stored=12, frames=frames))[0])
            transcode.write(plain, sink, syntax, codecs.decode, codecs.encode_as)
        assert unexplained(path) == []


def test_a_revised_object_is_valid(saved, tmp_path):
    emergency = samples.composed("us", samples.picture(), **VARIANTS["emergency"])[0]
    with (tmp_path / "revised.dcm").open("wb") as sink:
        revise.write(saved(emergency), sink, samples.words(), modified_at=samples.AT)
    assert unexplained(tmp_path / "revised.dcm") == []


def test_a_broken_object_is_seen(saved):
    data = samples.composed("us", samples.picture())[0].replace(b"MONOCHROME2 ", b"MONOCHROME9 ")
    assert unexplained(saved(data)) != []


def _lossy_source_kept_losslessly():
    shown = samples.picture(transfer_syntax_uid=samples.HTJ2K, lossy_method="ISO_10918_1", lossy_ratio=8.0)
    return samples.composed("sc", shown, [samples.encode(frame, samples.HTJ2K) for frame in samples.pixels(shown)])


def test_every_explanation_is_needed(saved):
    made = (
        samples.composed("dermoscopic", samples.picture(samples=3)),
        samples.composed("us", samples.picture(), **VARIANTS["an operator of one name"]),
        _lossy_source_kept_losslessly(),
        samples.drawn(samples.WAVEFORMS["respiratory"]),
        (samples.report((Observation(concept=PRIVATE, value="12", unit=codes.NO_UNITS),))[0].getvalue(), None),
    )
    said = [_said(saved(data)) for data, _ in made]
    for reason in EXPLAINED:
        assert any(_explains(reason, iod, line) for iod, lines in said for line in lines), reason


def unexplained(path: Path) -> list[str]:
    iod, lines = _said(path)
    return [line for line in lines if not any(_explains(reason, iod, line) for reason in EXPLAINED)]


def _said(path: Path) -> tuple[str, list[str]]:
    """The IOD as dciodvfy names it, and its errors and warnings."""
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    return UNKNOWN if UNKNOWN in lines else "".join(lines[:1]), [
        line for line in lines if line.startswith(("Error", "Warning"))
    ]


def _explains(reason: tuple[str, str, str], iod: str, line: str) -> bool:
    which, kind, text = reason
    return which in {ANY, iod} and line.startswith(kind) and text in line
