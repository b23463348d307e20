"""What stands between the scanner's picture and us, in words: on the exam screen and on Health, in every language."""

import pytest

from gateway.model import Shown, Signal
from gateway.panel import language, words
from tests.panel.conftest import Browser
from tests.panel.world import STATION, World

SAID = {
    Signal.ABSENT: ("The video grabber HDMI-1 is not there.", "Plug it in again.", "You can put this right yourself."),
    Signal.NO_CABLE: ("No cable on HDMI 2.", "at both ends", "You can put this right yourself."),
    Signal.NO_SIGNAL: (
        "No signal on HDMI 2: is the scanner on?",
        "look at the cable",
        "You can put this right yourself.",
    ),
    Signal.NO_LOCK: ("The signal on HDMI 2 is not steady.", "wait a moment", "You can put this right yourself."),
    Signal.OUT_OF_RANGE: (
        "The scanner sends a picture on HDMI 2 that the grabber cannot take.",
        "The modality profile names the formats",
        "Call the engineer of this box.",
    ),
    Signal.LOCKED: ("The picture on HDMI 2 is starting.", "", ""),
}


@pytest.mark.parametrize("signal", SAID)
def test_the_exam_screen_says_what_is_wrong_what_to_do_and_who_does_it(peopled, browser, signal):
    exam = peopled.start()
    peopled.signal(signal, input="HDMI 2")
    for path in (f"/exam/{exam.exam_id}", f"/exam/{exam.exam_id}/live"):
        page = browser.get(path).text.replace("&#39;", "'")
        assert all(said in page for said in SAID[signal])
    assert SAID[signal][0] in browser.get(f"/exam/{exam.exam_id}/pulse").json["pulse"]


@pytest.mark.parametrize(
    ("shows", "said"),
    [
        (Shown.BLACK, "The picture is all black."),
        (Shown.BLUE, "The picture is a blue screen"),
        (Shown.COLOUR_BARS, "The picture is a test pattern."),
    ],
)
def test_a_picture_that_is_no_patient_is_live_and_said(peopled, browser, shows, said):
    exam = peopled.start()
    peopled.signal(shows=shows)
    for path in (f"/exam/{exam.exam_id}", f"/exam/{exam.exam_id}/live"):
        assert said in browser.get(path).text
    pulse = browser.get(f"/exam/{exam.exam_id}/pulse").json
    assert said in pulse["pulse"]
    assert "Live" in pulse["tags"]
    assert said in browser.get("/health").text
    peopled.signal()
    assert "notice" not in browser.get(f"/exam/{exam.exam_id}/pulse").json["pulse"]


def test_a_grabber_with_one_connector_is_called_by_its_own_name(peopled, browser):
    exam = peopled.start()
    peopled.signal(Signal.NO_SIGNAL)
    assert f"No signal on {STATION}: is the scanner on?" in browser.get(f"/exam/{exam.exam_id}").text


def test_every_signal_has_words_in_every_language(tmp_path):
    for code in language.NAMES:
        catalogue = language.catalogue(code)
        with World(tmp_path / code, language=code).app.test_request_context():
            for signal in Signal:
                said = words.signal_words(signal, STATION, "HDMI 2")
                assert said.sentence
                assert "%" not in said.sentence + said.hint
                if code != "en":
                    english = words.SIGNALS[signal][0]._args[0]  # type: ignore[attr-defined]
                    assert catalogue.gettext(english) != english
                    assert said.sentence != english % {"station": STATION, "input": "HDMI 2"}
            for shows in set(Shown) - {Shown.PICTURE}:
                for english in words.SHOWN[shows]:
                    text = english._args[0]  # type: ignore[attr-defined]
                    assert code == "en" or catalogue.gettext(text) != text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("fr", "Pas de signal sur HDMI 2 : l&#39;appareil est-il allumé ?"),
        ("zh", "HDMI 2 无信号：设备开机了吗？"),
    ],
)
def test_the_question_is_asked_in_the_language_of_the_box(tmp_path, code, said):
    world = World(tmp_path, language=code)
    world.people()
    exam = world.start()
    world.signal(Signal.NO_SIGNAL, input="HDMI 2")
    assert said in Browser(world).sign_in().get(f"/exam/{exam.exam_id}").text
    world.close()


def test_health_says_how_often_the_picture_went_and_how_many_were_missed(peopled, browser):
    peopled.signal(edges={"STREAMING": 3, "NO_SIGNAL": 2}, dropped=4, faulty=1)
    page = browser.get("/health").text
    assert "The picture was lost 2 times." in page
    assert "5 pictures were missed or damaged." in page
    peopled.signal(Signal.NO_SIGNAL, edges={"STREAMING": 1, "NO_SIGNAL": 1})
    assert "The picture was lost 1 time." in browser.get("/health").text
    peopled.signal(edges={"STREAMING": 1})
    assert "The picture was lost" not in browser.get("/health").text


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        ("en", "It ended early: HDMI-1 was unplugged.", "It ended early: HDMI-1 was unplugged."),
        ("fr", "It ended early: HDMI-1 was unplugged.", "HDMI-1"),
        ("zh", "It ended early: HDMI-1 was unplugged. Pictures missed: 3.", "3"),
        ("zh", "It ended early: the power failed, or the gateway was stopped.", "。"),
        ("fr", "Pictures missed: 12. This box was too slow for 4 of them.", "12"),
    ],
)
def test_what_became_of_a_film_is_said_in_the_language_of_the_page(tmp_path, code, text, said):
    with World(tmp_path, language=code).app.test_request_context():
        note = words.note(text)
    assert said in note
    assert (note == text) is (code == "en")
    if code != "en":
        english = ("ended early", "unplugged", "missed", "too slow", "power failed")
        assert not any(word in note for word in english)


def test_a_note_in_other_words_stays_as_it_is(tmp_path):
    with World(tmp_path, language="fr").app.test_request_context():
        assert words.note("") == ""
        assert words.note("Something else happened.") == "Something else happened."
