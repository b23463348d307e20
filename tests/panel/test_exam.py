"""From the worklist to the end of an exam, as the rows of the spool tell it."""

import html
import re

import pytest

from gateway import exam as verbs
from gateway.errors import NoPictureThen
from gateway.model import CaptureKind, CaptureState, Patient, Signal, StepStatus
from tests.panel.conftest import Browser
from tests.panel.world import STATION, TECHNOLOGIST, recording, steps

HOSTILE = '<script>alert(1)</script>^"><img src=x onerror=alert(2)>'


# ---- the worklist ----


def test_today_is_listed_in_the_order_of_the_day(browser):
    page = browser.get("/").text
    names = ["Mwangi, Grace", "王小东 (Wang, Xiaodong)", "Nguyễn, Thị Hoa", "O&#39;Brien, Siobhán", "عبد الله, ليلى"]
    assert all(name in page for name in names)
    assert [page.index(name) for name in names] == sorted(page.index(name) for name in names)
    assert "Latex allergy" in page
    assert page.index("1 exam on another day") < page.index("Banda, Thoko")


def test_while_the_ris_is_down_the_list_says_from_when_it_is(peopled, browser):
    peopled.clock.sleep(600)
    peopled.spool.worklist.failure("connection refused")
    page = browser.get("/").text
    assert "The RIS does not answer. This list is from today, 15:00." in page
    assert "Exams can start all the same." in page
    key = steps()[0].key
    assert browser.post("/exams", {"how": "scheduled", "step": key, "station": STATION}).status_code == 303


@pytest.mark.parametrize("query", ["mwangi", "KE-20418", "abdominal grace", "GRACE"])
def test_a_search_finds_names_ids_and_procedures(browser, query):
    page = browser.post("/search", {"query": query}).text
    assert "Mwangi, Grace" in page
    assert "Wang, Xiaodong" not in page


def test_a_search_folds_accents(browser):
    assert "Nguyễn, Thị Hoa" in browser.post("/search", {"query": "nguyen thi"}).text
    assert "王小东" in browser.post("/search", {"query": "小东"}).text


def test_a_search_that_finds_nothing_says_so(browser):
    assert "Nothing on the list matches “&lt;b&gt;”." in browser.post("/search", {"query": "<b>"}).text


def test_with_a_doubtful_clock_every_step_is_shown(peopled, browser):
    peopled.clock.why = "it shows 1970"
    page = browser.get("/").text
    assert "Date not certain" in page
    assert "Banda, Thoko" in page.split('<details class="other"')[0]


# ---- starting ----


def test_an_exam_starts_from_the_worklist_with_one_press(peopled, browser):
    step = steps()[1]
    answer = browser.post("/exams", {"how": "scheduled", "step": step.key, "station": STATION})
    running = peopled.spool.exams.running(STATION)
    assert answer.location == f"/exam/{running.exam_id}"
    assert running.scheduled == step
    assert running.operator == TECHNOLOGIST
    assert running.modality == "US"
    assert peopled.rung == [f"acquire@{STATION}"]
    page = browser.get(answer.location).text
    assert "王小东 (Wang, Xiaodong)" in page
    assert "born May 8, 1980" in page


def test_an_emergency_starts_with_one_press_and_no_patient(peopled, browser):
    browser.post("/exams", {"how": "emergency", "station": STATION})
    running = peopled.spool.exams.running(STATION)
    assert running.patient is None
    page = browser.get(f"/exam/{running.exam_id}").text
    assert "No patient yet" in page
    assert "Identify patient" in page


def test_a_typed_patient_starts_an_exam(peopled, browser):
    fields = {
        "how": "typed",
        "station": STATION,
        "family": " Okonkwo^=\\ ",
        "given": "Ada  Obi",
        "patient_id": "N-1",
        "birth_date": "1990-02-03",
        "sex": "F",
    }
    browser.post("/exams", fields)
    patient = peopled.spool.exams.running(STATION).patient
    assert (patient.name, patient.patient_id, patient.birth_date, patient.sex) == (
        "Okonkwo^Ada Obi",
        "N-1",
        "19900203",
        "F",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"family": " "}, "Type the family name."),
        ({"patient_id": ""}, "Type the patient ID."),
        ({"birth_date": "1990-13-40"}, "The birth date is not a date."),
        ({"given": "x" * 64}, "at most 64 characters"),
    ],
)
def test_a_wrong_field_keeps_what_was_typed(peopled, browser, changed, said):
    fields = {"how": "typed", "station": STATION, "family": "Okonkwo", "given": "Ada", "patient_id": "N-1"} | changed
    answer = browser.post("/exams", fields)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert 'value="Okonkwo"' in answer.text or "family" in changed
    assert peopled.spool.exams.all_running() == []


def test_a_second_exam_on_one_station_is_refused_in_words(peopled, browser):
    peopled.start()
    answer = browser.post("/exams", {"how": "emergency", "station": STATION})
    assert answer.status_code == 409
    assert "An exam is already in progress on HDMI-1." in answer.text
    assert "Complete or discontinue it first." in answer.text
    assert "You can put this right yourself." in answer.text
    assert "Start exam" not in browser.get("/").text


def test_a_station_that_does_not_exist_starts_nothing(peopled, browser):
    assert browser.post("/exams", {"how": "emergency", "station": "elsewhere"}).status_code == 409
    assert peopled.spool.exams.all_running() == []


def test_hostile_names_are_only_text(peopled, browser):
    patient = Patient(patient_id='"><script>', name=HOSTILE, birth_date="<b>", comments="<i>")
    exam = peopled.start(patient=patient)
    peopled.capture(exam)
    for path in (f"/exam/{exam.exam_id}", "/", "/way", f"/way/{exam.exam_id}", f"/exam/{exam.exam_id}/end"):
        page = browser.get(path).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page, path
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert '"><script>' not in page


# ---- presses ----


@pytest.fixture
def exam(peopled, browser):
    step = peopled.start(scheduled=steps()[0])
    browser.get(f"/exam/{step.exam_id}")
    peopled.rung.clear()
    return step


def _done(world, number=1):
    """Acquire, which answers while the panel waits."""

    def answer():
        request = world.spool.requests.take(STATION)
        if request:
            world.spool.requests.done(request.request_id, number)

    return answer


def test_a_press_is_a_row_with_the_instant_it_came_in(peopled, browser, exam):
    at_ns = peopled.clock.monotonic_ns()
    peopled.on_wait = _done(peopled, 7)
    answer = browser.json(f"/exam/{exam.exam_id}/press", {"kind": "STILL"})
    (request,) = peopled.spool.requests.of_exam(exam.exam_id)
    assert (request.kind, request.pressed_ns, request.station) == ("STILL", at_ns, STATION)
    assert peopled.rung == [f"acquire@{STATION}"]
    assert answer.json["capture"] == 7
    assert "Saved: picture 7." in answer.json["answer"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("CINE_START", "Recording."),
        ("TIME_LAPSE_START", "Recording."),
        ("CINE_STOP", "Saved: recording, capture 3."),
        ("RETROSPECTIVE", "Saved: the last seconds, capture 3."),
    ],
)
def test_every_kind_of_press_is_answered_in_words(peopled, browser, exam, kind, said):
    peopled.on_wait = _done(peopled, 3)
    assert said in browser.json(f"/exam/{exam.exam_id}/press", {"kind": kind}).json["answer"]


def test_without_javascript_the_press_leads_back_to_the_exam_and_says_what_became_of_it(peopled, browser, exam):
    peopled.on_wait = _done(peopled, 2)
    answer = browser.post(f"/exam/{exam.exam_id}/press", {"kind": "STILL"})
    assert answer.status_code == 303
    assert "Saved: picture 2." in browser.get(answer.location).text


def test_a_missed_press_says_why_and_what_to_do(peopled, browser, exam):
    def miss():
        request = peopled.spool.requests.take(STATION)
        error = NoPictureThen(device="HDMI-1", problem="the ring is older")
        peopled.spool.requests.missed(request.request_id, error)

    peopled.on_wait = miss
    answer = browser.json(f"/exam/{exam.exam_id}/press", {"kind": "STILL"}).json
    assert answer["state"] == "MISSED"
    assert "No picture arrived on HDMI-1 at that moment: the ring is older." in answer["answer"]
    assert "is-bad" in answer["answer"]


def test_a_press_that_nobody_answers_is_never_called_saved(peopled, browser, exam):
    answer = browser.json(f"/exam/{exam.exam_id}/press", {"kind": "STILL"}).json
    assert answer["state"] == "REQUESTED"
    assert "Not saved yet." in answer["answer"]


def test_a_press_for_an_exam_that_has_ended_is_refused(peopled, browser, exam):
    verbs.complete(peopled.spool, peopled.clock, exam.exam_id)
    answer = browser.json(f"/exam/{exam.exam_id}/press", {"kind": "STILL"})
    assert answer.status_code == 409
    assert "No exam is in progress on HDMI-1." in answer.json["answer"]


def test_an_unknown_kind_of_press_is_a_bad_form(browser, exam):
    assert browser.json(f"/exam/{exam.exam_id}/press", {"kind": "MAGIC"}).status_code == 400


def test_the_record_button_stops_what_records(peopled, browser, exam):
    assert 'value="CINE_START"' in browser.get(f"/exam/{exam.exam_id}").text
    recording(peopled, exam)
    peopled.clock.sleep(75)
    peopled.signal()
    page = browser.get(f"/exam/{exam.exam_id}").text
    assert 'value="CINE_STOP"' in page
    assert "Recording 1:15" in page


# ---- the picture ----


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (Signal.NO_SIGNAL, "No signal on HDMI-1: is the scanner on?"),
        (Signal.NO_CABLE, "No cable on HDMI-1."),
        (Signal.ABSENT, "The video grabber HDMI-1 is not there."),
        (Signal.NO_LOCK, "The signal on HDMI-1 is not steady."),
        (Signal.OUT_OF_RANGE, "that the grabber cannot take"),
    ],
)
def test_without_a_picture_the_stage_says_why(peopled, browser, exam, signal, said):
    peopled.signal(signal)
    pulse = browser.get(f"/exam/{exam.exam_id}/pulse").json
    assert said in pulse["pulse"]
    assert "No picture" in pulse["tags"]
    assert said in browser.get(f"/exam/{exam.exam_id}").text


@pytest.mark.parametrize("later", ["a while", "another boot", "never"])
def test_a_frozen_picture_is_never_called_live(peopled, browser, exam, later):
    if later == "a while":
        peopled.clock.sleep(4)
    elif later == "another boot":
        peopled.clock.reboot()
    else:
        (peopled.site.run / "status" / f"{STATION}.json").unlink()
    pulse = browser.get(f"/exam/{exam.exam_id}/pulse").json
    assert "the video program of HDMI-1 does not answer" in pulse["pulse"]
    assert ">Live<" not in pulse["tags"]


def test_the_live_picture_is_asked_for_and_sent_once(peopled, browser, exam):
    from gateway.spool import live

    assert browser.get(f"/exam/{exam.exam_id}/live.jpg").status_code == 204
    peopled.picture()
    answer = browser.get(f"/exam/{exam.exam_id}/live.jpg")
    assert (answer.mimetype, answer.data[:2]) == ("image/jpeg", b"\xff\xd8")
    assert live.is_wanted(peopled.site.run, STATION)
    again = browser.get(f"/exam/{exam.exam_id}/live.jpg", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    peopled.picture()
    assert browser.get(f"/exam/{exam.exam_id}/live.jpg", headers={"If-None-Match": answer.headers["ETag"]}).data


def test_the_frame_for_browsers_without_javascript_reloads_and_is_framed_by_us_alone(peopled, browser, exam):
    answer = browser.get(f"/exam/{exam.exam_id}/live")
    assert '<meta http-equiv="refresh" content="1">' in answer.text
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


# ---- captures ----


def test_a_capture_is_discarded_and_brought_back(peopled, browser, exam):
    peopled.capture(exam)
    url = f"/exam/{exam.exam_id}"
    assert "Discard capture 1" in browser.get(url).text
    browser.post(f"{url}/captures/1/discard")
    assert peopled.spool.captures.get(exam.exam_id, 1).state is CaptureState.DISCARDED
    assert "Bring capture 1 back" in browser.get(url).text
    answer = browser.json(f"{url}/captures/1/undo")
    assert "Capture 1 is back." in answer.json["answer"]
    assert peopled.spool.captures.get(exam.exam_id, 1).state is CaptureState.HELD


def test_a_capture_that_has_left_is_discarded_only_after_it_was_asked_for_once_more(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    url = f"/exam/{exam.exam_id}/captures/1/discard"
    assert f'href="{url}"' in browser.get(f"/exam/{exam.exam_id}").text
    asked = browser.post(url)
    assert (asked.status_code, asked.location) == (303, url)
    assert peopled.spool.captures.get(exam.exam_id, 1).state is CaptureState.RELEASED
    assert "This cannot be undone." in browser.get(url).text
    browser.post(url, {"released": "yes"})
    assert peopled.spool.captures.get(exam.exam_id, 1).state is CaptureState.DISCARDED
    assert [owed.by for owed in peopled.spool.captures.notes_owed()] == [TECHNOLOGIST]
    assert "keeper" in peopled.rung
    page = browser.get(f"/exam/{exam.exam_id}").text
    assert "A note that rejects it follows it." in page
    assert "Bring capture 1 back" not in page
    undone = browser.post(f"/exam/{exam.exam_id}/captures/1/undo")
    assert (undone.status_code, "this capture had already left" in undone.text) == (409, True)


def test_the_question_is_not_asked_of_a_capture_that_waits(peopled, browser, exam):
    peopled.capture(exam)
    answer = browser.get(f"/exam/{exam.exam_id}/captures/1/discard")
    assert (answer.status_code, answer.location) == (303, f"/exam/{exam.exam_id}")


def test_a_browser_that_only_drives_the_exam_cannot_reject_what_has_left(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    url = f"/exam/{exam.exam_id}"
    browser.get(url)
    peopled.clock.sleep(3600)
    peopled.signal()
    assert f"{url}/captures/1/discard" not in browser.get(url).text
    browser.post(f"{url}/captures/1/discard", {"released": "yes"})
    assert "/sign-in" in browser.get(f"{url}/captures/1/discard").location
    assert peopled.spool.captures.get(exam.exam_id, 1).state is CaptureState.RELEASED


def test_a_capture_of_an_ended_exam_is_discarded_from_where_it_is_shown(peopled, browser, exam):
    peopled.capture(exam)
    verbs.complete(peopled.spool, peopled.clock, exam.exam_id)
    url = f"/exam/{exam.exam_id}/captures/1/discard"
    assert f'href="{url}"' in browser.get(f"/way/{exam.exam_id}").text
    browser.post(url, {"released": "yes"})
    page = browser.get(f"/way/{exam.exam_id}").text
    assert "It had not been sent to anybody." in page
    assert url not in page


def test_the_film_says_where_each_capture_is(peopled, browser, exam):
    for _ in range(2):
        peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    peopled.send("Archive", limit=1, committed=True)
    peopled.send("Archive", limit=1)
    peopled.capture(exam)
    peopled.capture(exam, CaptureKind.CINE)
    film = browser.get(f"/exam/{exam.exam_id}/film").text
    assert [film.index(word) for word in ("Kept", "On the way", "Safe")] == sorted(
        film.index(word) for word in ("Kept", "On the way", "Safe")
    )
    assert film.count("<figure") == 4


def test_the_films_version_changes_with_what_it_shows(peopled, browser, exam):
    def version():
        return browser.get(f"/exam/{exam.exam_id}/pulse").json["film_version"]

    before = version()
    assert version() == before
    peopled.capture(exam)
    assert version() != before


def test_thumbnails_are_for_people_who_may_see_them(peopled, browser, exam):
    peopled.capture(exam)
    url = f"/exam/{exam.exam_id}/captures/1.jpg"
    assert browser.get(url).headers["Cache-Control"] == "no-store"
    assert browser.get(f"/exam/{exam.exam_id}/captures/2.jpg").status_code == 404
    assert Browser(peopled).get(url).status_code == 303


# ---- who, and the end ----


def test_an_emergency_is_identified_from_the_worklist(peopled, browser):
    exam = peopled.start()
    peopled.capture(exam)
    step = steps()[3]
    assert "Lefèvre, Jean-Baptiste" in browser.get(f"/exam/{exam.exam_id}/identify").text
    browser.post(f"/exam/{exam.exam_id}/identify", {"how": "scheduled", "step": step.key})
    identified = peopled.spool.exams.get(exam.exam_id)
    assert identified.patient == step.patient
    assert identified.identity_revision == 1
    assert "keeper" in peopled.rung


def test_an_emergency_is_identified_by_hand_after_it_has_ended(peopled, browser):
    exam = peopled.start()
    verbs.complete(peopled.spool, peopled.clock, exam.exam_id)
    assert "Identify patient" in browser.get(f"/way/{exam.exam_id}").text
    fields = {"how": "typed", "family": "Okonkwo", "patient_id": "N-1"}
    browser.post(f"/exam/{exam.exam_id}/identify", fields)
    assert peopled.spool.exams.get(exam.exam_id).patient.name == "Okonkwo"


def test_a_wrong_patient_is_corrected_after_release_once_that_is_confirmed(peopled, browser, exam):
    was = exam.patient
    peopled.capture(exam)
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    url = f"/exam/{exam.exam_id}/identify"
    assert "2 objects have already been sent." in browser.get(url).text
    step = steps()[3]
    fields = {"how": "scheduled", "step": step.key}
    asked = browser.post(url, fields)
    said = _text(asked)
    assert asked.status_code == 200
    assert "2 objects have already been sent as Mwangi, Grace." in said
    assert "New copies for Lefèvre, Jean-Baptiste are sent, and every receiver is asked to hide the old ones." in said
    assert peopled.spool.exams.get(exam.exam_id).patient == was
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    answer = browser.post(url, hidden | {"sent": "yes"})
    assert (answer.status_code, answer.location) == (303, f"/exam/{exam.exam_id}")
    corrected = peopled.spool.exams.get(exam.exam_id)
    assert (corrected.patient, corrected.corrected) == (step.patient, 1)
    assert peopled.spool.exams.corrections_owed() == [exam.exam_id]
    assert peopled.spool.exams.correction_after(exam.exam_id, 0).by == TECHNOLOGIST
    assert "keeper" in peopled.rung
    assert "new copies are sent, and the old ones are rejected." in browser.get(f"/exam/{exam.exam_id}").text


def test_a_typed_correction_is_asked_for_once_more_with_what_was_typed(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    url = f"/exam/{exam.exam_id}/identify"
    fields = {
        "how": "typed",
        "family": '"><b>',
        "given": "Ada",
        "patient_id": "N-1",
        "birth_date": "1990-02-03",
        "sex": "F",
    }
    asked = browser.post(url, fields)
    assert "1 object has already been sent as" in _text(asked)
    assert "<b>" not in asked.text
    page = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    browser.post(url, {key: html.unescape(value) for key, value in page.items()} | {"sent": "yes"})
    patient = peopled.spool.exams.get(exam.exam_id).patient
    assert (patient.name, patient.patient_id, patient.birth_date) == ('"><b>^Ada', "N-1", "19900203")


def test_the_patient_it_names_already_sends_nothing_again(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    url = f"/exam/{exam.exam_id}/identify"
    answer = browser.post(url, {"how": "scheduled", "step": steps()[0].key, "sent": "yes"})
    assert (answer.status_code, "It has been sent for this patient already." in answer.text) == (400, True)
    assert peopled.spool.exams.get(exam.exam_id).corrected == 0


def test_what_waits_to_be_sent_is_corrected_without_a_question(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    browser.post(f"/exam/{exam.exam_id}/identify", {"how": "scheduled", "step": steps()[3].key})
    corrected = peopled.spool.exams.get(exam.exam_id)
    assert (corrected.patient, corrected.corrected) == (steps()[3].patient, 0)
    assert not peopled.spool.exams.has_left(exam.exam_id)


def test_nobody_corrects_without_a_token_or_a_name(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    url, fields = f"/exam/{exam.exam_id}/identify", {"how": "scheduled", "step": steps()[3].key, "sent": "yes"}
    assert browser.client.post(url, data=fields).status_code == 400
    assert "/sign-in" in Browser(peopled).post(url, fields).location
    assert peopled.spool.exams.get(exam.exam_id).corrected == 0


def test_what_is_no_longer_here_cannot_be_corrected_and_the_page_says_so(peopled, browser, exam):
    peopled.capture(exam)
    peopled.release()
    peopled.send("PACS")
    peopled.send("Archive", committed=True)
    verbs.complete(peopled.spool, peopled.clock, exam.exam_id)
    (instance,) = peopled.spool.instances.of_exam(exam.exam_id)
    peopled.spool.instances.purge(instance.sop_instance_uid)
    fields = {"how": "scheduled", "step": steps()[3].key, "sent": "yes"}
    answer = browser.post(f"/exam/{exam.exam_id}/identify", fields)
    assert (answer.status_code, "some of its images are no longer kept on this box" in answer.text) == (409, True)
    assert peopled.spool.exams.get(exam.exam_id).patient == exam.patient


def test_one_press_too_many_does_not_end_an_exam(peopled, browser, exam):
    peopled.capture(exam)
    peopled.capture(exam)
    verbs.discard(peopled.spool, exam.exam_id, 2)
    page = browser.get(f"/exam/{exam.exam_id}/end").text
    assert "1 capture is kept and will be sent." in page
    assert "1 was discarded and is gone for good." in page
    assert peopled.spool.exams.get(exam.exam_id).status is StepStatus.IN_PROGRESS


def test_an_exam_is_completed(peopled, browser, exam):
    assert browser.post(f"/exam/{exam.exam_id}/complete").location == "/"
    assert peopled.spool.exams.get(exam.exam_id).status is StepStatus.COMPLETED
    assert {"keeper", "forward", f"acquire@{STATION}"} <= set(peopled.rung)
    assert "The exam is completed." in browser.get("/").text
    assert browser.get(f"/exam/{exam.exam_id}").location == f"/way/{exam.exam_id}"
    assert browser.get(f"/exam/{exam.exam_id}/pulse").status_code == 410


def test_an_exam_is_discontinued_with_a_reason_of_the_standard(peopled, browser, exam):
    assert browser.post(f"/exam/{exam.exam_id}/discontinue", {"reason": "because"}).status_code == 400
    browser.post(f"/exam/{exam.exam_id}/discontinue", {"reason": "Equipment failure"})
    ended = peopled.spool.exams.get(exam.exam_id)
    assert (ended.status, ended.discontinuation_reason) == (StepStatus.DISCONTINUED, "Equipment failure")


def test_the_time_of_an_exam_is_confirmed_by_a_person(peopled, browser):
    peopled.clock.why = "it shows 1970-01-01"
    exam = peopled.start()
    assert "Confirm the time" in browser.get(f"/exam/{exam.exam_id}").text
    assert browser.get(f"/exam/{exam.exam_id}/time").status_code == 200
    browser.post(f"/exam/{exam.exam_id}/time", {"started": "2026-12-01T09:30"})
    confirmed = peopled.spool.exams.get(exam.exam_id)
    assert (confirmed.started_at.isoformat(), confirmed.clock_doubt) == ("2026-12-01T06:30:00+00:00", "")
    assert browser.post(f"/exam/{exam.exam_id}/time", {"started": "noon"}).status_code == 400


def test_no_address_names_a_patient(peopled, browser, exam):
    """Paths end up in histories and logs: nothing of a patient may be in one."""
    peopled.capture(exam)
    patient = exam.patient
    for path in ("/", f"/exam/{exam.exam_id}", "/way", f"/way/{exam.exam_id}", f"/exam/{exam.exam_id}/identify"):
        page = browser.get(path).text
        for address in re.findall(r'(?:href|src|action|data-url)="([^"]*)"', page):
            assert not any(word in address for word in (*patient.name.split("^"), patient.patient_id, "A0001")), address


def _text(answer):
    """What a page says, without its marks and the space between them."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", answer.text)).split())
