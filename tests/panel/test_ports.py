"""A serial port is set up, switched off, and its line settings found out: from the form to what the next start finds."""

import re

import pytest

from gateway import config, profile
from gateway.model import LineGuess
from gateway.service.run import units
from gateway.spool import live
from tests.panel.conftest import Browser
from tests.panel.world import BY_PATH, ENGINEER, EYES, HEART, STATION, World

FREE = f"{BY_PATH}3:1.0"
SEEN = r"\x01DRM\x02OR- 1.25- 0.50180"
NEW = {"name": "LENS", "device": FREE, "instrument": "nidek-lm", "station": STATION}


def _says(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One for all tests here: to make a box takes longer than to look at it."""
    made = World(tmp_path_factory.mktemp("box"))
    made.people()
    yield made
    made.close()


@pytest.fixture
def peopled(box):
    yield box
    box.tidy()


@pytest.fixture
def engineer(peopled):
    live.write_lines(peopled.site.run, [f"{BY_PATH}1:1.0", FREE])
    return Browser(peopled).sign_in(ENGINEER)


def test_every_port_is_shown_with_its_line_and_how_it_is(peopled, engineer):
    peopled.hear()
    page = _says(engineer.get("/setup/ports").text)
    assert f"AUTOREF NIDEK AR, ARK and TONOREF autorefractors, block form with checksum {BY_PATH}1:1.0" in page
    assert "9600 baud, 8N1 exams at HDMI-1 Open Last heard just now." in page
    assert "Verified against a published driver's tests" in page.replace("&#39;", "'")


def test_the_devices_that_the_box_found_are_offered_and_one_that_is_used_is_not(engineer):
    page = engineer.get("/setup/ports").text
    assert f'<option value="{FREE}"' in page
    assert f"{BY_PATH}1:1.0 (used by AUTOREF)" in page


def test_a_port_that_is_added_counts_from_the_next_start(peopled, engineer):
    assert engineer.post("/setup/ports", NEW).status_code == 303
    page = _says(engineer.get("/setup/ports").text)
    assert "Saved. It counts from the next start of the gateway." in page
    assert "LENS NIDEK" in page
    assert "systemctl enable gateway-serial@LENS" in page
    line = config.saved(peopled.site).serial["LENS"]
    assert (line.device, line.instrument, line.station) == (FREE, "nidek-lm", STATION)


def test_a_mistake_is_a_sentence_and_nothing_is_saved(peopled, engineer):
    for field, typed, says in (
        ("name", "../x", "Give the port a name"),
        ("name", EYES, "The name AUTOREF is taken"),
        ("name", STATION, "The name HDMI-1 is taken"),
        ("device", "", "Choose the device"),
        ("device", f"{BY_PATH}1:1.0", "The port AUTOREF uses that device already."),
        ("instrument", "none", "Choose the instrument."),
        ("station", "elsewhere", "Choose the place."),
    ):
        answer = engineer.post("/setup/ports", NEW | {field: typed})
        assert (answer.status_code, says in answer.text) == (400, True), says
        assert "LENS" not in config.saved(peopled.site).serial
        assert ('value="LENS"' in answer.text) == (field != "name"), "what was right stays in the form"


def test_a_device_that_is_typed_goes_before_one_that_is_chosen(peopled, engineer):
    engineer.post("/setup/ports", NEW | {"other": "/dev/pts/7"})
    assert config.saved(peopled.site).serial["LENS"].device == "/dev/pts/7"


def test_a_port_is_changed(peopled, engineer):
    assert f'<option value="{BY_PATH}1:1.0" selected' in engineer.get(f"/setup/ports/{EYES}").text
    engineer.post(f"/setup/ports/{EYES}", NEW | {"instrument": "nidek-rt"})
    line = config.saved(peopled.site).serial[EYES]
    assert (line.device, line.instrument) == (FREE, "nidek-rt")
    assert "Counts from the next start of the gateway" in engineer.get("/setup/ports").text


def test_a_port_is_switched_off_and_on_again(peopled, engineer):
    engineer.post(f"/setup/ports/{EYES}/off")
    assert f"serial@{EYES}" not in units(config.saved(peopled.site))
    assert "Switched off" in engineer.get("/setup/ports").text
    engineer.post(f"/setup/ports/{EYES}/on")
    assert f"serial@{EYES}" in units(config.saved(peopled.site))
    assert config.saved(peopled.site).serial[EYES] == peopled.site.serial[EYES]


def test_a_port_that_never_started_is_taken_out_whole(peopled, engineer):
    engineer.post("/setup/ports", NEW)
    engineer.post("/setup/ports/LENS/off")
    assert "LENS" not in config.saved(peopled.site).serial
    assert engineer.post("/setup/ports/LENS/off").status_code == 404


def test_a_port_comes_back_only_while_its_device_is_free(peopled, engineer):
    engineer.post(f"/setup/ports/{EYES}/off")
    engineer.post("/setup/ports", NEW | {"device": f"{BY_PATH}1:1.0"})
    engineer.post(f"/setup/ports/{EYES}/on")
    assert "is the device of serial." in engineer.get("/setup/ports").text
    assert not config.saved(peopled.site).serial[EYES].is_enabled


# ---- find out ----


def test_a_detection_is_asked_of_the_service_that_listens(peopled, engineer):
    engineer.post(f"/setup/ports/{EYES}/find")
    assert not live.take_detection(peopled.site.run, EYES)
    assert "The program of this port does not run." in engineer.get(f"/setup/ports/{EYES}/find").text
    peopled.run_services()
    engineer.post(f"/setup/ports/{EYES}/find")
    assert f"serial@{EYES}" in peopled.rung
    assert "It is about to begin." in engineer.get(f"/setup/ports/{EYES}/find").text
    assert live.take_detection(peopled.site.run, EYES)


def test_a_port_that_is_new_is_not_asked_before_the_next_start(peopled, engineer):
    peopled.run_services()
    engineer.post("/setup/ports", NEW)
    engineer.post("/setup/ports/LENS/find")
    assert "The program of this port does not run." in engineer.get("/setup/ports/LENS/find").text
    assert not live.is_detection_asked(peopled.site.run, "LENS")


def test_while_an_exam_is_in_progress_looking_for_settings_is_advised_against(peopled, engineer):
    peopled.run_services()
    assert "An exam is in progress here." not in engineer.get(f"/setup/ports/{EYES}/find").text
    peopled.start()
    assert "An exam is in progress here." in engineer.get(f"/setup/ports/{EYES}/find").text


def _guess(**fields) -> LineGuess:
    known = {"baud": 2400, "data_bits": 7, "parity": "E", "stop_bits": 1, "seen": SEEN}
    return LineGuess(**(known | {"instruments": ("nidek-ark", "nidek-rt"), "records": 4} | fields))


def test_what_is_tried_and_what_was_seen_is_shown_while_it_listens(peopled, engineer):
    peopled.run_services()
    peopled.find(is_over=False, trying="9600 baud, 8N1", received_bytes=40, guesses=(_guess(errors=2),))
    page = _says(engineer.get(f"/setup/ports/{EYES}/find").text)
    assert "Listening at 9600 baud, 8N1. 40 bytes have come so far." in page
    assert f"2400 baud, 7E1 4 whole records 2 damaged characters {SEEN}" in page


def test_the_end_says_what_was_found(peopled, engineer):
    peopled.run_services()
    for found, says in (
        ({}, "Nothing came."),
        ({"received_bytes": 9, "guesses": (_guess(instruments=(), records=0),)}, "makes sense of it"),
        ({"received_bytes": 9, "guesses": (_guess(),)}, "The best is the first."),
    ):
        peopled.find(**found)
        assert says in engineer.get(f"/setup/ports/{EYES}/find").text


def _use(engineer, instrument="nidek-ark", **line):
    known = {"baud": 9600, "data_bits": 8, "parity": "N", "stop_bits": 1}
    return engineer.post(f"/setup/ports/{HEART}/use", {"instrument": instrument} | known | line)


def test_what_was_found_is_used_only_when_somebody_presses(peopled, engineer):
    peopled.find(HEART, received_bytes=9, guesses=(_guess(),))
    engineer.get(f"/setup/ports/{HEART}/find")
    assert config.saved(peopled.site).serial[HEART].instrument == "nidek-nt"
    _use(engineer)
    assert config.saved(peopled.site).serial[HEART].instrument == "nidek-ark"


def test_settings_that_differ_from_the_profile_become_a_profile_of_this_site(peopled, engineer):
    shipped = profile.instrument("nidek-ark")
    _use(engineer, baud=2400, data_bits=7, parity="E")
    name = config.saved(peopled.site).serial[HEART].instrument
    made = profile.instrument(name, peopled.site.own_profiles)
    assert (name, made.line.baud, made.line.data_bits, made.line.parity) == ("nidek-ark-ecg", 2400, 7, "E")
    assert (made.title, made.kind, made.line.handshake) == (shipped.title, shipped.kind, shipped.line.handshake)
    assert "Line settings: found by listening on this site's line" in made.sources
    _use(engineer, "nidek-ark-ecg", baud=4800)
    assert profile.instrument("nidek-ark-ecg", peopled.site.own_profiles).line.baud == 4800
    assert profile.instrument("nidek-ark") == shipped


def test_settings_that_no_line_has_are_not_used(peopled, engineer):
    for wrong in ({"parity": "X"}, {"stop_bits": 3}, {"baud": "fast"}, {"instrument": "none"}):
        assert _use(engineer, **wrong).status_code == 400, wrong
    assert config.saved(peopled.site).serial[HEART] == peopled.site.serial[HEART]
