"""A reading that came without an exam: it waits, is shown, and goes where a person says, never by itself."""

import re

import pytest

from gateway import profile
from gateway.model import CaptureKind, InboxState, ReadingSet
from gateway.panel import measured
from gateway.simulators import electrocardiograph, nidek
from gateway.source.dialects import scp_ecg
from gateway.source.serial import Instrument
from tests.panel.world import ENGINEER, EYES, HEART, TECHNOLOGIST, steps


@pytest.fixture
def exam(peopled):
    return peopled.start(scheduled=steps()[0])


def nidek_print():
    """What an autorefractor says, as its service hears it."""
    (said,) = Instrument(profile.instrument("nidek-ark")).receive_data(nidek.autorefractor(), 1)
    return said


def _says(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_what_waits_is_shown_with_what_it_says_about_itself(peopled, browser):
    peopled.stray()
    peopled.stray(peopled.heart(), HEART, "Electrocardiograph")
    page = _says(browser.get("/readings").text)
    assert "NIDEK autorefractor (ARK-530A) Port AUTOREF" in page
    assert "Right −1.25 −0.50 × 180°" in page
    assert "Left +0.75 −1.00 × 181° doubtful" in page
    assert "Electrocardiograph (CARDIO 12)" in page
    assert "−85 to 440 µV, 10 s" in page


def test_every_screen_counts_what_waits(peopled, browser, exam):
    assert "badge" not in browser.get("/").text
    for _ in range(2):
        peopled.stray()
    assert "Readings 2 wait " in _says(browser.get("/").text)
    assert "2 readings wait" in browser.get(f"/exam/{exam.exam_id}").text
    assert "2 readings wait" in browser.get(f"/exam/{exam.exam_id}/pulse").json["waiting"]


def test_who_has_signed_out_is_not_sent_to_the_inbox(peopled, browser, exam):
    peopled.stray()
    browser.get(f"/exam/{exam.exam_id}")
    peopled.clock.sleep(31 * 60)
    page = browser.get(f"/exam/{exam.exam_id}")
    assert (page.status_code, "reading waits" in page.text) == (200, False)
    assert browser.get("/readings").location.startswith("/sign-in")


def test_a_person_gives_a_reading_to_an_exam_and_both_sides_are_shown_before(peopled, browser, exam):
    entry = peopled.stray()
    choice = browser.get(f"/readings/{entry.entry_id}").text
    assert f"/readings/{entry.entry_id}/give/{exam.exam_id}" in choice
    assert "checked" not in choice
    asked = _says(browser.get(f"/readings/{entry.entry_id}/give/{exam.exam_id}").text)
    assert "The reading NIDEK autorefractor (ARK-530A)" in asked
    assert "Axis 181 ° it is above 180" in asked
    assert "The exam Mwangi, Grace" in asked
    assert peopled.spool.inbox.get(entry.entry_id).state is InboxState.WAITING
    browser.post(f"/readings/{entry.entry_id}/give/{exam.exam_id}")
    given = peopled.spool.inbox.get(entry.entry_id)
    assert (given.state, given.exam_id, given.by) == (InboxState.ASSIGNED, exam.exam_id, TECHNOLOGIST)
    assert f"serial@{EYES}" in peopled.rung


def test_the_exam_in_progress_is_first_to_choose_from(peopled, browser):
    old = peopled.start(scheduled=steps()[1])
    peopled._complete(old)
    running = peopled.start(scheduled=steps()[0])
    later = browser.get(f"/readings/{peopled.stray().entry_id}").text
    assert 0 < later.index(str(running.exam_id)) < later.index(str(old.exam_id))


def test_without_any_exam_the_reading_waits_and_says_so(peopled, browser):
    page = browser.get(f"/readings/{peopled.stray().entry_id}").text
    assert "Start one, and come back: the reading waits." in page


def test_a_reading_is_discarded_once_asked_with_the_reason(peopled, browser):
    entry = peopled.stray()
    assert "A test of the instrument" in browser.get(f"/readings/{entry.entry_id}/discard").text
    assert browser.post(f"/readings/{entry.entry_id}/discard", {"reason": "none of these"}).status_code == 400
    assert peopled.spool.inbox.count() == 1
    browser.post(f"/readings/{entry.entry_id}/discard", {"reason": "A test of the instrument"})
    assert peopled.spool.inbox.get(entry.entry_id).state is InboxState.DISCARDED
    why = peopled.spool.history.of(f"inbox {entry.entry_id}")
    assert [(each.text, each.by) for each in why] == [("A test of the instrument", TECHNOLOGIST)]


def test_what_somebody_else_decided_is_not_decided_again(peopled, browser, exam):
    entry = peopled.stray()
    peopled.spool.inbox.discard(entry.entry_id, ENGINEER)
    answer = browser.post(f"/readings/{entry.entry_id}/give/{exam.exam_id}")
    assert (answer.status_code, answer.location) == (303, "/readings")
    assert "Somebody else has decided about it already." in browser.get("/readings").text
    for path in ("", f"/give/{exam.exam_id}", "/discard"):
        assert browser.get(f"/readings/{entry.entry_id}{path}").location == "/readings"


def test_a_reading_that_is_not_there_is_said_to_be_gone(browser):
    assert browser.get("/readings/99").status_code == 404


def test_what_became_of_the_last_ones_is_told(peopled, browser, exam):
    kept, gone, given = (peopled.stray().entry_id for _ in range(3))
    for entry in (kept, given):
        peopled.spool.inbox.assign(entry, exam.exam_id, TECHNOLOGIST)
    peopled.spool.inbox.keep(kept, exam.exam_id)
    peopled.spool.inbox.discard(gone, TECHNOLOGIST)
    page = _says(browser.get("/readings").text)
    assert "In the exam of Mwangi, Grace" in page
    assert "Discarded" in page
    assert "It is for Mwangi, Grace, and waits until the program of its port runs." in page
    peopled.run_services()
    assert "On its way to Mwangi, Grace" in _says(browser.get("/readings").text)


def test_what_came_from_a_port_that_is_gone_is_kept_by_the_keeper(peopled, browser, exam):
    entry = peopled.stray(port="GONE")
    browser.post(f"/readings/{entry.entry_id}/give/{exam.exam_id}")
    assert peopled.rung == ["keeper"]
    peopled.run_services()
    assert "On its way to Mwangi, Grace" in _says(browser.get("/readings").text)


def test_what_could_not_be_kept_waits_again_and_says_why(peopled, browser, exam):
    entry = peopled.stray()
    peopled.spool.inbox.assign(entry.entry_id, exam.exam_id, TECHNOLOGIST)
    peopled.spool.inbox.refuse(entry.entry_id, exam.exam_id, "AUTOREF was unplugged.")
    page = browser.get("/readings").text
    assert "AUTOREF was unplugged." in page
    assert "Give to …" in page


# ---- beside the pictures of an exam ----


def test_a_reading_stands_among_the_pictures_with_its_values(peopled, browser, exam):
    peopled.measure(exam, "ar", "ker", said=peopled.eyes())
    film = _says(browser.get(f"/exam/{exam.exam_id}/film").text)
    assert "Right −1.25 −0.50 × 180°" in film
    assert "Left +0.75 −1.00 × 181° doubtful" in film
    assert "Left Radius 7.82 / 7.70 mm" in film
    assert "more value" not in film
    assert "Axis left: it is above 180" in film
    page = _says(browser.get(f"/exam/{exam.exam_id}/captures/1").text)
    assert "Keratometry · Left Radius 1 7.82 mm Radius 2 7.70 mm" in page


def test_what_is_read_first_stands_first(world):
    said = nidek_print()
    with world.app.test_request_context():
        found = [f"{line.side} {line.text}" for line in measured.brief(said).lines]
    assert found == [
        "Right −5.25 −0.75 × 109°",
        "Left −4.75 +0.00 × 0°",
        "Right Radius 7.86 / 7.53 mm",
        "Left Radius 7.95 / 7.71 mm",
    ]


def test_of_an_electrocardiogram_the_rate_and_what_it_means_stand_first(world):
    heard = scp_ecg.read(electrocardiograph.record(electrocardiograph.recording(seconds=2.0)), 1)
    said = ReadingSet(observations=tuple(heard.observations), received_ns=1)
    with world.app.test_request_context():
        found = [(line.text, line.is_doubtful) for line in measured.brief(said).lines]
        all_of_it = measured.said(said).parts[0].values
    assert found[:2] == [("Heart rate 75 /min", False), ("Interpretation SINUS RHYTHM", True)]
    assert all_of_it[0].label == "Recorded at"
    assert all_of_it[0].is_words


def test_what_an_instrument_calls_itself_runs_nothing(peopled, browser, exam):
    hostile = "<script>alert(1)</script>"
    entry = peopled.stray(peopled.eyes(model_name=hostile), instrument=hostile)
    peopled.measure(exam, "ar", said=peopled.eyes(model_name=hostile))
    for path in ("/readings", f"/readings/{entry.entry_id}", f"/exam/{exam.exam_id}/captures/1"):
        assert "<script>alert" not in browser.get(path).text
        assert "&lt;script&gt;alert" in browser.get(path).text


def test_an_electrocardiogram_is_a_small_curve_and_opens_to_all_leads(peopled, browser, exam):
    peopled.measure(exam, "ecg", said=peopled.heart())
    assert browser.get(f"/exam/{exam.exam_id}/film").text.count("<path") == 1
    page = browser.get(f"/exam/{exam.exam_id}/captures/1").text
    assert page.count("<path") == 12
    assert "aVR, " in page


def test_a_reading_of_which_nothing_was_kept_is_still_a_capture(peopled, browser, exam):
    peopled.measure(exam, "sr")
    assert "Measurement" in browser.get(f"/exam/{exam.exam_id}/film").text
    assert browser.get(f"/exam/{exam.exam_id}/captures/1").status_code == 404


def test_on_the_way_each_object_shows_what_it_holds(peopled, browser, exam):
    peopled.capture(exam, CaptureKind.STILL)
    peopled.measure(exam, "ar", "ker", "ecg", said=peopled.eyes(traces=peopled.heart().traces))
    page = _says(browser.get(f"/way/{exam.exam_id}").text)
    refraction, keratometry, heart = (page.index(word) for word in ("Autorefraction 2", "Keratometry 2", "Electrocard"))
    assert "−0.50 × 180°" in page[refraction:keratometry]
    assert "−0.50 × 180°" not in page[keratometry:]
    assert "Radius 7.80 / 7.65 mm" in page[keratometry:heart]
    assert "10 s" in page[heart:]
