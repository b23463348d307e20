"""What is seen of an instrument while it works: its values and their age, its curves, and its line."""

import re
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import exam
from gateway.codes import LEADS, MICROVOLT
from gateway.config import SerialPort
from gateway.errors import DeviceBusy, DeviceGone
from gateway.model import NO_SAMPLE, Code, LiveTrace
from gateway.panel import measured, terms
from gateway.spool import live
from tests.panel.conftest import Browser
from tests.panel.world import ENGINEER, EYES, HEART, World, eyes, live_traces, pressure

MINUTE_NS = 60_000_000_000


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


def test_the_last_values_are_shown_with_units_doubts_and_age(peopled, browser):
    now_ns = peopled.clock.monotonic_ns()
    peopled.hear(values=(*eyes(now_ns), pressure(now_ns - 3 * MINUTE_NS)))
    page = _says(browser.get("/readings/instruments").text)
    assert "Sphere −1.25 D Cylinder −0.50 D Axis 180 °" in page
    assert "Axis 181 ° it is above 180" in page
    assert "Eye pressure 16.5 mmHg 3 min ago" in page


def test_curves_are_drawn_and_asked_for_by_looking(peopled, browser):
    peopled.hear(HEART, traces=tuple(live_traces()))
    page = browser.get("/readings/instruments").text
    assert page.count("<path") == 2
    assert live.is_wanted(peopled.site.run, HEART, live.INSTRUMENT)
    assert 'data-renew="1"' in page


def test_a_service_that_does_not_answer_shows_no_value_as_if_it_were_live(peopled, browser):
    peopled.hear(values=eyes(peopled.clock.monotonic_ns()))
    peopled.clock.sleep(11)
    page = browser.get("/readings/instruments").text
    assert page.count("The program of this port does not answer.") == 2
    assert "−1.25" not in page


def test_what_another_boot_heard_is_not_shown(peopled, browser):
    peopled.hear(values=eyes(peopled.clock.monotonic_ns()), boot_id="another boot")
    assert "−1.25" not in browser.get("/readings/instruments").text


def test_a_line_that_is_not_open_says_what_to_do(peopled, browser):
    for error, hint in (
        (DeviceGone(device="/dev/gateway/serial-1"), "Plug the adapter of the line in again, in the same socket."),
        (DeviceBusy(device="/dev/gateway/serial-1"), "Stop the other program, or restart the gateway."),
    ):
        peopled.hear(is_open=False, problem=str(error))
        page = browser.get("/readings/instruments").text
        assert str(error) in page
        assert hint in page


def test_an_instrument_that_has_sent_nothing_says_what_to_press(peopled, browser):
    peopled.hear(heard_ns=0)
    assert "Nothing has come yet. Press Print or Send on the instrument." in browser.get("/readings/instruments").text


def test_only_the_engineer_sees_the_counters_of_a_line(peopled, browser):
    peopled.hear(sets=14, unreadable=2, framing_errors=5, parity_errors=3, overruns=1)
    assert "Parity errors" not in browser.get("/readings/instruments").text
    page = _says(Browser(peopled).sign_in(ENGINEER).get("/readings/instruments").text)
    assert "Readings 14 Could not be read 2 Bytes 0 Framing errors 5 Parity errors 3 Overruns 1" in page
    assert "a wrong speed or parity, or a bad cable" in page


def test_a_port_is_looked_at_in_french(peopled, browser):
    peopled.hear(values=eyes(peopled.clock.monotonic_ns()))
    browser.post("/language", {"language": "fr", "back": "/"})
    page = _says(browser.get("/readings/instruments").text)
    assert "Autoréfraction · Gauche Sphère +0.75 D" in page
    assert "au-dessus de 180" in page


def test_health_names_each_instrument_and_what_waits(peopled, browser):
    peopled.hear()
    peopled.hear(HEART, is_open=False, problem=str(DeviceGone(device="/dev/gateway/serial-2")))
    peopled.stray()
    page = _says(browser.get("/health").text)
    assert "AUTOREF Open Last heard just now." in page
    assert "ECG Not open /dev/gateway/serial-2 was unplugged. Plug the adapter of the line in again" in page
    assert "Readings Waits 1 reading waits" in page
    assert not live.is_wanted(peopled.site.run, EYES, live.INSTRUMENT), "nobody looks at curves"


def test_the_counters_of_a_line_are_figures_too(peopled, browser):
    peopled.hear(sets=14, parity_errors=3)
    peopled.stray()
    figures = browser.get("/metrics").text
    assert 'gateway_port_open{port="AUTOREF"} 1.0' in figures
    assert 'gateway_port_open{port="ECG"} 0.0' in figures
    assert 'gateway_port_readings_total{port="AUTOREF"} 14.0' in figures
    assert 'gateway_port_errors_total{kind="parity_errors",port="AUTOREF"} 3.0' in figures
    assert "gateway_readings_waiting 1.0" in figures


def test_an_exam_without_video_shows_its_instrument_and_no_keys_of_a_camera(tmp_path):
    world = World(tmp_path, grabber={}, serial={EYES: SerialPort(device="/dev/x", instrument="nidek-ark")})
    world.people()
    browser = Browser(world).sign_in()
    step = exam.start(world.spool, world.clock, station=EYES, modality="OT", profile="nidek-ark")
    world.hear(values=eyes(world.clock.monotonic_ns()))
    page = browser.get(f"/exam/{step.exam_id}").text
    assert "Press Print or Send on the instrument: what it sends goes into this exam." in page
    assert "Sphere −1.25 D" in _says(page)
    assert "Live picture" not in page
    assert "Record" not in page
    pulse = browser.get(f"/exam/{step.exam_id}/pulse").json
    assert "Sphere −1.25 D" in _says(pulse["pulse"])
    assert "Open" in pulse["tags"]
    world.close()


def test_a_meaning_is_said_part_by_part_and_never_lost(peopled):
    for language, meaning, said in (
        ("en", "Arterial pressure, systolic (P1)", "Arterial pressure, systolic (P1)"),
        ("fr", "Arterial pressure, systolic (P1)", "Pression artérielle, systolique (P1)"),
        ("zh", "Arterial pressure, systolic (P1)", "动脉压，收缩压 (P1)"),
        ("fr", "Heart rate", "Fréquence cardiaque"),
        ("fr", "Glucose [Mass/volume] in Serum or Plasma", "Glucose [Mass/volume] in Serum or Plasma"),
        ("fr", "", ""),
    ):
        with peopled.app.test_request_context(headers={"Cookie": f"language={language}"}):
            assert terms.concept(Code("1", "99X", meaning)) == said


def test_a_doubt_is_said_in_french(peopled):
    for doubt, said in (
        ("it is above 180", "au-dessus de 180"),
        ("the monitor calls it questionable", "le moniteur la dit douteuse"),
        ("the monitor calls it P7", "le moniteur l'appelle P7"),
        ("something that has no translation", "something that has no translation"),
    ):
        with peopled.app.test_request_context(headers={"Cookie": "language=fr"}):
            assert terms.doubt(doubt) == said


# ---- curves ----


def _drawn(world, samples, step="5"):
    trace = LiveTrace(
        channel=LEADS[1], unit=MICROVOLT, hz=100, step=step, zero="0", samples=array("h", samples).tobytes()
    )
    with world.app.test_request_context():
        return measured.drawn(trace)


def test_no_peak_is_lost_however_long_a_curve_is(peopled):
    samples = [0] * 50_000
    samples[31_007] = 1000
    drawn = _drawn(peopled, samples)
    assert drawn.span == "0 to 5000 µV, 500 s"
    assert "6.0" in [place.split()[1] for place in re.split("[ML]", drawn.path)[1:]]
    assert len(re.split("[ML]", drawn.path)) < 2 * measured.COLUMNS + 2


def test_a_curve_has_a_hole_where_nothing_was_measured(peopled):
    assert _drawn(peopled, [1, 2, NO_SAMPLE, 2, 1]).path.count("M") == 2
    assert _drawn(peopled, [NO_SAMPLE] * 9).span == "nothing was measured"
    assert _drawn(peopled, []).path == ""


@given(st.lists(st.integers(-32768, 32767), max_size=2000))
def test_any_samples_are_drawn_inside_their_frame(samples):
    drawn = list(measured._path(array("h", samples), min(samples, default=0), max(samples, default=0)))
    places = [step[1:].split() for step in drawn]
    assert all(0 <= float(x) <= measured.COLUMNS and 0 <= float(y) <= measured.HEIGHT for x, y in places)
    assert (len(drawn) == 0) == all(sample == NO_SAMPLE for sample in samples)


def test_a_browser_without_an_instrument_says_who_adds_one(tmp_path):
    world = World(tmp_path, serial={})
    world.people()
    browser = Browser(world).sign_in()
    assert "The engineer adds one under Set-up, Ports." in browser.get("/readings/instruments").text
    assert "/readings" not in browser.get("/").text
    world.close()


def test_a_port_that_is_named_like_no_profile_is_still_shown(tmp_path):
    world = World(tmp_path, serial={EYES: SerialPort(device="/dev/x", instrument="nothing")})
    world.people()
    assert "nothing (cannot be read)" in Browser(world).sign_in().get("/readings/instruments").text
    world.close()
