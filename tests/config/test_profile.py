"""Every file of hw/ loads; a profile that cannot work says why, with its file, before an exam needs it."""

import re
import tomllib

import pytest
from pydicom.sr import codedict

from gateway import profile, tables
from gateway.errors import ProfileError
from gateway.source.dialects.plain_line import PlainLine

KINDS = {"modalities": profile.modality, "instruments": profile.instrument, "cables": profile.cable}
FILES = sorted(
    path.relative_to(profile.shipped()) for kind in KINDS for path in (profile.shipped() / kind).glob("*.toml")
)

MODALITY = """
title = "A scanner"
sources = ["its manual, page 3"]
[input]
connector = "s-video"
standards = ["PAL 625/50i"]
[object]
modality = "US"
"""
INSTRUMENT = """
title = "A meter"
sources = ["its manual, page 3"]
kind = "plain_line"
[[reading]]
pattern = 'DAP (?P<value>[0-9.]+)'
concept = { value = "122130", scheme = "DCM", meaning = "Dose Area Product" }
unit = { value = "cGy.cm2", scheme = "UCUM", meaning = "cGy.cm2" }
"""
CABLE = """
title = "A cable"
sources = ["TIA-574"]
box_connector = "DE-9"
equipment_connector = "DE-9"
wire = [{ box = "2", equipment = "3", signal = "receive data" }]
"""


@pytest.fixture
def own(tmp_path):
    """A site's own folder; `own(kind, text)` puts one file called `mine` there and returns the folder's name."""

    def put(kind, text):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / "mine.toml").write_text(text, encoding="utf-8")
        return str(tmp_path)

    return put


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_of_hw_loads_and_says_where_it_comes_from(path):
    found = KINDS[path.parent.name](path.stem)
    assert found.title
    assert found.sources
    if found.name != "simulator-ultrasound":
        assert all(len(sentence) > 20 and sentence.endswith(".") for sentence in found.confirm)
        assert found.confirm


def test_what_the_first_issue_promises_is_there():
    assert {"ultrasound-analogue", "ultrasound-hdmi", "simulator-ultrasound"} <= set(profile.names("modalities"))
    assert "plain-line-dose" in profile.names("instruments")


def test_the_readme_of_hw_names_every_folder():
    stated = set(
        re.findall(r"^\| `(\w+)/`", (profile.shipped() / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert stated == {path.parent.name for path in FILES} == set(KINDS)


FAMILIES = {
    "ultrasound-analogue",
    "ultrasound-hdmi",
    "echocardiography-cart",
    "endoscopic-ultrasound",
    "endoscopy-tower",
    "endoscopy-analogue",
    "laparoscopy-camera",
    "c-arm-pal",
    "c-arm-dvi",
    "fluoroscopy-analogue",
    "slit-lamp",
    "microscope-surgical",
    "microscope-laboratory",
    "console-dvi",
    "dermatology-camera",
    "colposcope",
    "dental-camera",
    "otoscope",
}
"""Kinds of equipment of which one is there when somebody comes to install."""
MODALITY_OF_VL = {"endoscopic": "ES", "microscopic": "GM", "photographic": "XC", "dermoscopic": "DMS", "us": "US"}
"""What the IOD requires as Modality (PS3.3 A.32.1, A.32.2, A.32.4, A.32.11; C.8.5.5)."""


def test_the_families_of_equipment_that_clinics_have_are_there():
    assert set(profile.names("modalities")) >= FAMILIES


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_shipped_profile_names_a_public_source_and_says_what_only_the_site_can_know(name):
    found = profile.modality(name)
    assert any("confirmed on site" in source for source in found.sources)
    assert sum("confirmed on site" not in source for source in found.sources) >= 2
    assert len(found.confirm) >= 5
    assert not any(word in sentence for sentence in found.confirm for word in ("usually", "typically", "probably"))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_shipped_profile_invents_nothing_about_one_machine(name):
    """Crop, mask, calibration and plate differ from machine to machine; a loss is for the site to decide."""
    found = profile.modality(name)
    assert (found.chain.crop, found.chain.mask, found.region, found.object.lossy_rule) == (None, (), (), "")
    assert not found.chain.mask_covers_all_text
    assert found.equipment == profile.Equipment()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_shipped_profile_states_the_modality_that_its_objects_require(name):
    made = profile.modality(name).object
    assert MODALITY_OF_VL.get(made.still, made.modality) == made.modality
    assert made.conversion_type == (
        "DV" if profile.modality(name).input.connector in {"composite", "s-video"} else "DI"
    )


@pytest.mark.parametrize("name", profile.names("instruments"))
def test_every_shipped_code_is_in_the_standard(name):
    for reading in profile.instrument(name).reading:
        if reading.concept.scheme == "DCM":
            meanings = {code.value: code.meaning for code in _dcm_codes()}
            assert meanings[reading.concept.value] == reading.concept.meaning


def test_the_shipped_instrument_reads_the_line_that_it_describes():
    stated = PlainLine(profile.instrument("plain-line-dose")).parse(b"DAP 12.50 cGycm2", 0)
    assert [(each.value, each.unit.value, each.doubts) for each in stated] == [("12.50", "cGy.cm2", ())]


def test_a_sites_own_file_is_taken_before_the_shipped_one(tmp_path):
    (tmp_path / "modalities").mkdir()
    (tmp_path / "modalities" / "ultrasound-hdmi.toml").write_text(MODALITY, encoding="utf-8")
    assert profile.modality("ultrasound-hdmi", str(tmp_path)).title == "A scanner"
    assert profile.modality("ultrasound-hdmi").title != "A scanner"


@pytest.mark.parametrize("load", KINDS.values())
@pytest.mark.parametrize("name", ["nothing", "../modalities/ultrasound-hdmi", "a/b", "", ".hidden"])
def test_a_name_without_a_file_is_refused_and_leads_nowhere_else(load, name):
    with pytest.raises(ProfileError) as refused:
        load(name)
    assert "there is no hw/" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("[object]", "[chain]\ncrop = [0, 0, 1024, 768]\n[object]"),
            "reaches outside the picture of PAL 625/50i, 768x576",
        ),
        (("[object]", "[chain]\ncrop = [-1, 0, 10, 10]\n[object]"), "width and height of at least 1"),
        (("[object]", "[chain]\nmask = [[0, 0, 10, 0]]\n[object]"), "chain.mask is [x, y, width, height]"),
        (("[object]", "[chain]\nmask = [[0, 570, 10, 10]]\n[object]"), "reaches outside"),
        (("[object]", "[chain]\ncrop = [1, 2, 3]\n[object]"), "chain.crop"),
        (("[object]", "[chain]\nmask_polygons = [[[0, 0], [9, 9]]]\n[object]"), "three corners or more"),
        (("[object]", "[chain]\nmask_polygons = [[[0, 0], [9, 9], [-1, 3]]]\n[object]"), "outside the picture"),
        (("[object]", "[chain]\nlevels = [200, 100]\n[object]"), "no range within 0 to 255"),
        (('"PAL 625/50i"', '"PAL"'), '"PAL" is none of'),
        (('["PAL 625/50i"]', "[]"), "input.standards is empty"),
        (('["its manual, page 3"]', "[]"), "names no source"),
        (('["its manual, page 3"]', '[" "]'), "names no source"),
        (('"s-video"', '"scart"'), "scart"),
        (('title = "A scanner"', 'title = "A scanner"\nname = "other"'), "calls itself other"),
        (('title = "A scanner"', 'title = "A scanner"\ncolour = true'), "colour"),
        (('title = "A scanner"', 'title = "A scanner'), "line 2"),
        (("standards", 'pixel_formats = ["YU"]\nstandards'), '"YU" is no fourcc'),
    ],
)
def test_a_modality_that_cannot_work_says_why(own, change, says):
    folder = own("modalities", MODALITY)
    profile.modality("mine", folder)
    with pytest.raises(ProfileError) as refused:
        profile.modality("mine", own("modalities", MODALITY.replace(*change)))
    assert says in str(refused.value)
    assert "mine.toml" in str(refused.value)


REGION = """
[[region]]
area = [100, 50, 400, 400]
points = [[520, 100], [520, 300]]
length_cm = 5.0
"""
DERMATOSCOPE = """
still = "dermoscopic"
recognizable_visual_features = false
[equipment]
manufacturer = "Maker"
model_name = "M1"
serial_number = "17"
software_versions = "2"
"""


def test_a_calibration_takes_two_points_and_a_length(own):
    folder = own("modalities", MODALITY + 'still = "us"' + REGION)
    (region,) = profile.modality("mine", folder).region
    assert (region.area, region.points, region.length_cm) == ((100, 50, 400, 400), ((520, 100), (520, 300)), 5.0)
    assert (region.spatial_format, region.data_type, region.vertical_points) == ("2d", "tissue", None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[100, 50, 400, 400]", "[100, 50, 800, 400]"), "region 1: area [100, 50, 800, 400] reaches outside"),
        (("[[520, 100], [520, 300]]", "[[520, 100], [520, 100]]"), "two different points"),
        (("length_cm = 5.0", "length_cm = 0.0"), "length_cm is the distance"),
        (("length_cm = 5.0", "length_s = 1.0"), "length_cm is the distance"),
        (("length_cm = 5.0", 'length_cm = 5.0\nspatial_format = "m-mode"'), "needs length_s"),
        (("length_cm = 5.0", 'length_s = 1.0\nspatial_format = "m-mode"'), "needs vertical_points"),
        (
            ("length_cm = 5.0", "length_cm = 5.0\nvertical_points = [[1, 1], [1, 9]]\nvertical_length_cm = 1.0"),
            "x differ",
        ),
        (
            ("[520, 300]]", "[530, 300]]\nvertical_points = [[1, 9], [8, 9]]\nvertical_length_cm = 1.0"),
            "their y differ",
        ),
        (("[520, 300]]", "[530, 300]]\nvertical_points = [[1, 1], [1, 9]]"), "vertical_length_cm is the distance"),
        (("[[region]]", "[object]"), "object"),
    ],
)
def test_a_calibration_that_cannot_measure_says_why(own, change, says):
    with pytest.raises(ProfileError) as refused:
        profile.modality("mine", own("modalities", MODALITY + 'still = "us"' + REGION.replace(*change)))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("", REGION), 'object.still or object.cine must be "us"'),
        (('modality = "US"', 'modality = "OT"\nstill = "endoscopic"'), 'needs object.modality = "ES"'),
        (
            ('modality = "US"', 'modality = "ES"\ncine = "endoscopic"\nlossy_rule = "Dr A"'),
            "needs object.anatomic_region",
        ),
        (('modality = "US"', 'modality = "DMS"\nstill = "dermoscopic"'), "needs equipment.manufacturer"),
        (
            ('modality = "US"', 'modality = "DMS"' + DERMATOSCOPE.replace("recognizable_visual_features = false", "")),
            "needs object.recognizable_visual_features",
        ),
    ],
)
def test_a_kind_of_object_that_lacks_what_its_standard_asks_says_so(own, change, says):
    text = MODALITY.replace(*change) if change[0] else MODALITY + change[1]
    with pytest.raises(ProfileError) as refused:
        profile.modality("mine", own("modalities", text))
    assert says in str(refused.value)


def test_ten_bits_are_asked_for_only_where_the_object_can_hold_them(own):
    deep = MODALITY.replace("[object]", 'pixel_formats = ["Y10", "GREY"]\n[object]')
    profile.modality("mine", own("modalities", deep))
    with pytest.raises(ProfileError, match="Y10 has more than the 8 bits"):
        profile.modality("mine", own("modalities", deep + 'still = "us"\n'))


def test_a_dermatoscope_whose_profile_says_everything_is_taken(own):
    found = profile.modality(
        "mine", own("modalities", MODALITY.replace('modality = "US"', 'modality = "DMS"' + DERMATOSCOPE))
    )
    assert found.object.still == "dermoscopic"


def test_a_crop_must_fit_every_standard_that_the_profile_admits(own):
    with_crop = MODALITY.replace("[object]", "[chain]\ncrop = [0, 0, 720, 576]\n[object]")
    profile.modality("mine", own("modalities", with_crop))
    both = with_crop.replace('["PAL 625/50i"]', '["PAL 625/50i", "NTSC 525/60i"]')
    with pytest.raises(ProfileError, match="outside the picture of NTSC 525/60i"):
        profile.modality("mine", own("modalities", both))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("(?P<value>[0-9.]+)", "(?P<value>[0-9.]+"), "is no regular expression"),
        (("(?P<value>[0-9.]+)", "([0-9.]+)"), "has no group (?P<value>...)"),
        (
            ("unit =", 'units = { Gy = { value = "Gy", scheme = "UCUM", meaning = "Gy" } }\nunit ='),
            "no group (?P<unit>...)",
        ),
        (("unit =", "low = 2\nhigh = 1\nunit ="), "low 2 is above high 1"),
        (('kind = "plain_line"', 'kind = "plain_line"\nencoding = "klingon"'), "klingon"),
        (('kind = "plain_line"', 'kind = "plain_line"\nterminator = ""'), "terminator is empty"),
        (('kind = "plain_line"', 'kind = "plain_line"\ncable = "liquorice"'), "there is no hw/cables/liquorice.toml"),
        (('"plain_line"', '"telepathy"'), "telepathy"),
        (('value = "122130", ', ""), "value"),
    ],
)
def test_an_instrument_that_cannot_work_says_why(own, change, says):
    profile.instrument("mine", own("instruments", INSTRUMENT))
    with pytest.raises(ProfileError) as refused:
        profile.instrument("mine", own("instruments", INSTRUMENT.replace(*change)))
    assert says in str(refused.value)


def test_a_cable_without_a_wire_carries_nothing(own):
    assert profile.cable("mine", own("cables", CABLE)).wire[0].equipment == "3"
    with pytest.raises(ProfileError, match="carries nothing"):
        profile.cable("mine", own("cables", re.sub(r"wire = .*", "wire = []", CABLE)))


def test_no_cable_uses_a_pin_twice():
    for name in profile.names("cables"):
        wires = profile.cable(name).wire
        assert len({wire.box for wire in wires}) == len({wire.equipment for wire in wires}) == len(wires)


def test_a_profile_that_is_not_utf8_is_refused_in_words(tmp_path):
    (tmp_path / "modalities").mkdir()
    (tmp_path / "modalities" / "mine.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(ProfileError, match="utf-8"):
        profile.modality("mine", str(tmp_path))


def test_the_wheel_carries_every_file_of_hw():
    project = tomllib.loads((profile.shipped().parent / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["setuptools"]["data-files"]
    for path in FILES:
        assert carried[f"share/modality-gateway/hw/{path.parent}"] == [f"hw/{path.parent}/*.toml"]


def _dcm_codes():
    return [getattr(codedict.codes.DCM, name) for name in codedict.codes.DCM.dir()]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('compression = "jpeg"', "lossy_rule"),
        ('compression = "passthrough"', "lossy_rule"),
        ('compression = "jpeg"\nlossy_rule = "  "', "who decided that, and why"),
        (f'lossy_rule = "{"because " * 60}"', "300 characters"),
        ('compression = "jpeg"\nlossy_rule = "Dr A: films only."\njpeg_quality = 101', "1 to 100"),
    ],
)
def test_what_loses_needs_a_rule_that_somebody_wrote(own, keys, says):
    with pytest.raises(ProfileError, match=says):
        profile.modality("mine", own("modalities", MODALITY + keys))


def test_with_a_rule_jpeg_and_pass_through_are_admitted():
    for name in ("jpeg", "passthrough"):
        kind = profile.ObjectKind(modality="ES", compression=name, lossy_rule="Dr A, 2026: enough for documentation.")
        assert list(profile._of_loss(kind)) == []


def test_a_profile_that_was_written_is_read_back_with_its_arrays_of_tables(tmp_path):
    table = tomllib.loads(MODALITY) | {
        "chain": {"crop": [1, 2, 30, 40], "mask": [[1, 2, 3, 4], [5, 6, 7, 8]]},
        "region": [
            {"area": [1, 2, 30, 40], "points": [[5, 6], [5, 36]], "length_cm": 5.0},
            {"area": [1, 2, 30, 30], "points": [[5, 6], [5, 26]], "length_cm": 2.5, "data_type": "colour_flow"},
        ],
    }
    table["object"] |= {"still": "us", "anatomic_region": {"value": "1", "scheme": "99TEST", "meaning": "Test"}}
    tables.save(tmp_path / "modalities" / "mine.toml", table)
    assert tomllib.loads((tmp_path / "modalities" / "mine.toml").read_text(encoding="utf-8")) == table
    assert profile.modality("mine", str(tmp_path)) == profile.modality_from("mine", table)
    assert profile.path_of("modalities", "mine", str(tmp_path)).parent.parent == tmp_path


def test_a_table_that_would_be_no_profile_is_refused_before_it_is_written():
    table = tomllib.loads(MODALITY)
    with pytest.raises(ProfileError, match="reaches outside"):
        profile.modality_from("mine", table | {"chain": {"crop": [0, 0, 4000, 10]}})
    with pytest.raises(ProfileError, match="no good name"):
        profile.modality_from("../mine", table)


def test_a_chart_of_letters_says_which():
    table = {"title": "N", "sources": ["test"], "kind": "nidek", "chart": {"optotype": "LETTERS"}}
    with pytest.raises(ProfileError, match="which letters are shown"):
        profile._made(table, "n", profile.InstrumentProfile, "")
    table["chart"]["definition"] = "Sloan letters"
    assert profile._made(table, "n", profile.InstrumentProfile, "").chart.presentation == "MULTIPLE"
