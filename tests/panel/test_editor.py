"""What an engineer draws on the picture becomes a profile of the site's own; mistakes are sentences, and nothing is lost."""

import re
import tomllib
from pathlib import Path

import pytest

from gateway import config, profile, tables
from gateway.model import Signal
from gateway.spool import live
from tests.panel.conftest import Browser
from tests.panel.world import ENGINEER, STATION, TECHNOLOGIST, World

PAGE = f"/setup/modality/{STATION}/picture"
OURS = "simulator-ultrasound-hdmi-1"


@pytest.fixture
def engineer(peopled):
    peopled.whole()
    return Browser(peopled).sign_in(ENGINEER)


def form(**changed):
    """Return the form as a browser sends it: a crop, two masks and a scale."""
    filled = {
        "do": "save",
        "crop": ["100", "60", "600", "480"],
        "mask": ["100", "60", "200", "40", "500", "60", "200", "40"],
        "area": ["150", "100", "500", "400"],
        "points": ["740", "100", "740", "400"],
        "length": ["10"],
        "name": OURS,
        "only": "on",
    }
    return {key: value for key, value in (filled | changed).items() if value is not None}


def saved(world, name=OURS):
    return tomllib.loads((Path(world.site.own_profiles) / "modalities" / f"{name}.toml").read_text(encoding="utf-8"))


def test_what_was_drawn_is_saved_as_the_sites_own_profile_and_the_next_exam_begins_with_it(peopled, engineer):
    shipped = profile.path_of("modalities", "simulator-ultrasound").read_bytes()
    assert engineer.post(PAGE, form(covers="on")).status_code == 303
    assert f"Saved as {OURS}. It counts from the next exam." in engineer.get(PAGE).text
    found = profile.modality(OURS, peopled.site.own_profiles)
    assert found.chain.crop == (100, 60, 600, 480)
    assert found.chain.mask == ((100, 60, 200, 40), (500, 60, 200, 40))
    assert found.chain.mask_covers_all_text
    (region,) = found.region
    assert (region.area, region.points, region.length_cm) == ((150, 100, 500, 400), ((740, 100), (740, 400)), 10.0)
    assert found.input.standards == ("800x600p60",)
    assert any("drawn in the panel" in source for source in found.sources)
    assert profile.path_of("modalities", "simulator-ultrasound").read_bytes() == shipped
    engineer.post("/exams", {"how": "emergency", "station": STATION})
    assert peopled.spool.exams.running(STATION).profile == OURS
    assert f"acquire@{STATION}" in peopled.rung


def test_everything_else_of_the_profile_stays_as_it_was(peopled, engineer):
    before = tomllib.loads(profile.path_of("modalities", "simulator-ultrasound").read_text(encoding="utf-8"))
    engineer.post(PAGE, form())
    after = saved(peopled)
    for key in ("title", "equipment", "object"):
        assert after[key] == before[key]


def test_a_profile_of_the_sites_own_is_saved_under_its_name_again_and_its_other_regions_stay(peopled, engineer):
    engineer.post(PAGE, form())
    table = saved(peopled)
    m_mode = {
        "area": [0, 0, 100, 100],
        "points": [[0, 50], [100, 50]],
        "length_s": 2.0,
        "vertical_points": [[0, 0], [0, 100]],
        "vertical_length_cm": 5.0,
        "spatial_format": "m-mode",
    }
    tables.save(
        Path(peopled.site.own_profiles) / "modalities" / f"{OURS}.toml", table | {"region": [*table["region"], m_mode]}
    )
    page = engineer.get(PAGE).text
    assert f'value="{OURS}"' in page
    assert "More of them stand in the file" in page
    assert engineer.post(PAGE, form(crop=["10", "10", "700", "500"], length=["12,5"])).status_code == 303
    again = profile.modality(OURS, peopled.site.own_profiles)
    assert again.chain.crop == (10, 10, 700, 500)
    assert [(each.spatial_format, each.length_cm) for each in again.region] == [("2d", 12.5), ("m-mode", 0.0)]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"crop": ["100", "60", "800", "480"]}, "Crop reaches outside the picture, which has 800 × 600 pixels."),
        ({"crop": ["100", "60", "", "480"]}, "Crop: fill in all four numbers, or none."),
        ({"mask": ["0", "0", "0", "9"]}, "Mask 1: width and height must be at least 1."),
        ({"mask": ["0", "0", "9", "9", "x", "0", "9", "9"]}, "Mask 2: fill in all four numbers, or none."),
        ({"length": [""]}, "Scale 1: how many centimetres lie between the two points?"),
        ({"length": ["-3"]}, "Scale 1: how many centimetres lie between the two points?"),
        ({"length": ["nan"]}, "Scale 1: how many centimetres lie between the two points?"),
        ({"points": ["7", "7", "7", "7"]}, "Scale 1: the two points are the same."),
        ({"points": ["", "", "", ""]}, "Scale 1: fill in the area and both points."),
        ({"name": "../../etc/passwd"}, "Give the profile a name"),
        ({"name": ""}, "Give the profile a name"),
        ({"name": "ultrasound-hdmi"}, "There is already a profile ultrasound-hdmi: choose another name"),
        ({"name": "simulator-ultrasound"}, "There is already a profile simulator-ultrasound: choose another name"),
    ],
)
def test_what_cannot_be_saved_says_why_and_stays_in_the_form(peopled, engineer, changed, says):
    answer = engineer.post(PAGE, form(**changed))
    assert (answer.status_code, says in answer.text) == (400, True)
    assert not Path(peopled.site.own_profiles).exists()
    for value in [each for values in form(**changed).values() if isinstance(values, list) for each in values if each]:
        assert f'value="{value}"' in answer.text


def test_a_crop_that_fits_not_every_mode_of_the_profile_is_refused_by_the_profile_itself(tmp_path):
    world = World(tmp_path, grabber={STATION: config.Grabber(device="simulator:phantom", profile="ultrasound-hdmi")})
    world.people()
    world.signal()
    world.whole(1920, 1080, standard="1920x1080p60")
    browser = Browser(world).sign_in(ENGINEER)
    wide = form(crop=["100", "60", "1600", "900"], name="ours", only=None)
    answer = browser.post(PAGE, wide)
    assert (answer.status_code, "reaches outside the picture of" in answer.text) == (400, True)
    assert browser.post(PAGE, wide | {"only": "on"}).status_code == 303
    assert profile.modality("ours", world.site.own_profiles).input.standards == ("1920x1080p60",)
    world.close()


def test_the_buttons_work_without_javascript(peopled, engineer):
    peopled.whole(proposal=(40, 20, 700, 540))
    page = engineer.post(PAGE, form(do="propose", crop=["", "", "", ""])).text
    assert 'data-draws="crop" x="40" y="20" width="700" height="540"' in page
    page = engineer.post(PAGE, form(do="mask")).text
    assert page.count('name="mask"') == 12
    page = engineer.post(PAGE, form(do="no-mask 0")).text
    assert 'data-draws="mask-0" x="500"' in page
    page = engineer.post(PAGE, form(do="no-scale 0")).text
    assert 'name="points"' not in page
    page = engineer.post(PAGE, form(do="scale", area=[], points=[], length=[])).text
    assert 'data-draws="points-0"' in page
    page = engineer.post(PAGE, form(do="no-crop")).text
    assert 'data-draws="crop"' not in page
    assert not Path(peopled.site.own_profiles).exists()


def test_without_a_dark_border_no_crop_is_suggested(engineer):
    assert "The picture suggests no crop" in engineer.post(PAGE, form(do="propose")).text


def test_before_and_after_are_drawn_in_the_shape_that_a_screen_shows(peopled, engineer):
    peopled.whole(720, 576, pixel_aspect=(54, 59), standard="PAL 625/50i")
    page = engineer.post(PAGE, form(do="look")).text
    before, after = re.findall(r'<svg [^>]*viewBox="0 0 ([\d.]+) (\d+)" role="img"', page)
    assert (float(before[0]), before[1]) == (pytest.approx(786.67, abs=0.01), "576")
    assert (float(after[0]), after[1]) == (pytest.approx(655.56, abs=0.01), "480")
    assert 'viewBox="100 60 600 480"' in page


def test_a_mask_outside_the_crop_is_doubted_and_may_be_saved(engineer):
    answer = engineer.post(PAGE, form(mask=["0", "0", "50", "50"], do="look"))
    assert "Mask 1 lies outside the crop: it covers nothing." in answer.text
    assert engineer.post(PAGE, form(mask=["0", "0", "50", "50"])).status_code == 303


def test_no_picture_is_said_and_numbers_can_be_typed_all_the_same(peopled):
    peopled.signal(Signal.NO_SIGNAL, input="HDMI 1")
    browser = Browser(peopled).sign_in(ENGINEER)
    assert "No signal on HDMI 1: is the scanner on?" in browser.get(PAGE).text
    assert browser.post(PAGE, form(only=None)).status_code == 303


def test_an_old_picture_is_not_called_live(peopled, engineer):
    assert 'class="tag is-safe"' in engineer.get(PAGE).text
    peopled.clock.sleep(10)
    peopled.signal()
    assert 'class="tag is-safe"' not in engineer.get(PAGE).text


def test_the_whole_picture_is_for_an_engineer_only_and_no_browser_keeps_it(peopled, engineer):
    answer = engineer.get(f"{PAGE}/whole.jpg")
    assert (answer.status_code, answer.mimetype, answer.headers["Cache-Control"]) == (200, "image/jpeg", "no-store")
    assert live.is_wanted(peopled.site.run, STATION, live.WHOLE)
    again = engineer.get(f"{PAGE}/whole.jpg", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    other = Browser(peopled).sign_in(TECHNOLOGIST)
    for path in (PAGE, f"{PAGE}/whole.jpg"):
        assert other.get(path).status_code == 403
    assert other.post(PAGE, form()).status_code == 403
    assert engineer.get("/setup/modality/elsewhere/picture").status_code == 404


def test_who_drew_is_in_the_log(peopled, engineer):
    engineer.post(PAGE, form())
    entry = next(each for each in peopled.spool.history.recent(9) if each.event == "profile drawn")
    assert (entry.subject, entry.text, entry.by) == (f"grabber {STATION}", OURS, ENGINEER)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "profiles").write_text("a file where a folder should be")
    paths = config.Paths(data=str(tmp_path / "data"), run=str(tmp_path / "run"), profiles=str(tmp_path / "profiles"))
    world = World(tmp_path, paths=paths)
    world.people()
    world.signal()
    world.whole()
    answer = Browser(world).sign_in(ENGINEER).post(PAGE, form())
    assert (answer.status_code, "The profile cannot be written" in answer.text) == (409, True)
    world.close()


def test_where_nothing_is_measured_no_scale_is_offered(tmp_path):
    world = World(tmp_path, grabber={STATION: config.Grabber(device="simulator:phantom", profile="endoscopy-tower")})
    world.people()
    world.signal()
    world.whole(1920, 1080, standard="1920x1080p60")
    page = Browser(world).sign_in(ENGINEER).get(PAGE).text
    assert "Add a mask" in page
    assert "Add a scale" not in page
    world.close()


def test_a_profile_that_cannot_be_given_to_the_grabber_is_not_left_behind(tmp_path):
    world = World(tmp_path, spool=config.Store(keep_free_mb=1))  # as if the installer's file had been spoilt meanwhile
    world.people()
    world.signal()
    world.whole()
    browser = Browser(world).sign_in(ENGINEER)
    answer = browser.post(PAGE, form())
    assert (answer.status_code, "keep_free_mb" in answer.text) == (400, True)
    assert OURS not in profile.names("modalities", world.site.own_profiles)
    world.close()
