"""Who gets in, how far, and for how long; and what an exam in progress keeps whatever the session."""

import pytest

from gateway.config import Panel
from tests.panel.conftest import Browser
from tests.panel.world import ENGINEER, PASSWORD, PIN, STATION, TECHNOLOGIST, World

REMOTE = "192.0.2.7"
MINUTES_31 = 31 * 60


# ---- the first start ----


def test_without_an_engineer_every_page_leads_to_the_pairing(world):
    browser = Browser(world)
    assert browser.get("/").location == "/pair"
    assert browser.get("/sign-in").location == "/pair"


def test_the_pairing_code_makes_the_first_engineer_once(world):
    code = world.spool.accounts.open_pairing()
    browser = Browser(world)
    browser.get("/pair")
    fields = {"code": code, "name": ENGINEER, "password": PASSWORD, "again": PASSWORD}
    assert browser.post("/pair", fields).location == "/setup/destinations"
    assert browser.get("/setup/people").status_code == 200
    assert browser.get("/pair").location == "/sign-in"
    assert Browser(world).post("/pair", fields | {"name": "second"}).status_code == 400


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"code": "AAAA-AAAA"}, "The name, password or PIN is not right."),
        ({"again": "another"}, "The two passwords are not the same."),
        ({"password": "short", "again": "short"}, "needs at least 10 characters"),
    ],
)
def test_a_bad_pairing_makes_nobody(world, changed, said):
    code = world.spool.accounts.open_pairing()
    browser = Browser(world)
    browser.get("/pair")
    fields = {"code": code, "name": ENGINEER, "password": PASSWORD, "again": PASSWORD} | changed
    answer = browser.post("/pair", fields)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert world.spool.accounts.people() == []


# ---- signing in ----


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(peopled):
    browser = Browser(peopled)
    wrong = browser.post("/sign-in", {"name": TECHNOLOGIST, "password": "wrong"})
    unknown = browser.post("/sign-in", {"name": "nobody", "password": "wrong"})
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert "The name, password or PIN is not right." in wrong.text
    assert "The name, password or PIN is not right." in unknown.text


def test_after_some_mistakes_even_the_right_password_must_wait(peopled):
    browser = Browser(peopled)
    for _ in range(4):
        browser.post("/sign-in", {"name": TECHNOLOGIST, "password": "wrong"})
    answer = browser.post("/sign-in", {"name": TECHNOLOGIST, "password": PASSWORD})
    assert answer.status_code == 401
    assert "Too many wrong attempts" in answer.text
    peopled.clock.sleep(300)
    assert browser.post("/sign-in", {"name": TECHNOLOGIST, "password": PASSWORD}).status_code == 303


def test_a_pin_is_enough_on_the_box_itself(peopled):
    answer = Browser(peopled).post("/sign-in/pin", {"name": TECHNOLOGIST, "pin": PIN})
    assert (answer.status_code, answer.location) == (303, "/")


def test_who_guesses_elsewhere_keeps_nobody_from_the_screen_of_the_box(peopled):
    """A proxy on the box hands strangers on from 127.0.0.1: they are not the box either."""
    for stranger in (Browser(peopled, REMOTE), Browser(peopled, "2001:db8::1")):
        for _ in range(4):
            stranger.post("/sign-in", {"name": TECHNOLOGIST, "password": "a wrong word here"})
    for _ in range(4):
        given = {"name": TECHNOLOGIST, "password": "a wrong word here"}
        Browser(peopled).post("/sign-in", given, headers={"X-Forwarded-For": REMOTE})
    assert Browser(peopled).sign_in()
    neighbour = Browser(peopled, "2001:db8::2")
    assert neighbour.post("/sign-in", {"name": TECHNOLOGIST, "password": PASSWORD}).status_code == 401


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (REMOTE, {}),
        ("127.0.0.1", {"X-Forwarded-For": REMOTE}),
        ("127.0.0.1", {"Forwarded": f"for={REMOTE}"}),
        ("127.0.0.1", {"Host": "panel.example.org"}),
    ],
)
def test_a_pin_is_never_enough_from_elsewhere(peopled, address, headers):
    browser = Browser(peopled, address)
    assert "PIN" not in browser.get("/sign-in", headers=headers).text
    answer = browser.post("/sign-in/pin", {"name": TECHNOLOGIST, "pin": PIN}, headers=headers)
    assert answer.status_code == 403
    assert browser.get("/").location.startswith("/sign-in")


def test_without_a_kiosk_no_pin_is_asked_for(tmp_path):
    world = World(tmp_path, panel=Panel(is_kiosk_enabled=False))
    world.people()
    assert "PIN" not in Browser(world).get("/sign-in").text
    world.close()


def test_the_page_that_was_wanted_follows_the_sign_in(peopled):
    browser = Browser(peopled)
    wanted = browser.get("/way").location
    assert wanted == "/sign-in?back=/way"
    assert 'name="back" value="/way"' in browser.get(wanted).text
    fields = {"name": TECHNOLOGIST, "password": PASSWORD, "back": "/way"}
    assert browser.post("/sign-in", fields).location == "/way"


def test_signing_in_begins_a_session_of_its_own(peopled):
    browser = Browser(peopled)
    browser.get("/sign-in")
    before = browser.token
    browser.sign_in()
    assert browser.token != before


def test_signing_out_ends_it(browser):
    assert browser.post("/sign-out").location == "/sign-in"
    assert browser.get("/").location.startswith("/sign-in")


# ---- rights ----


def test_a_technologist_does_not_set_the_box_up(browser):
    for path in ("/setup/destinations", "/setup/modality", "/setup/ports", "/setup/people", "/setup/log"):
        answer = browser.get(path)
        assert (answer.status_code, "This is for the engineer of this box." in answer.text) == (403, True)
    assert browser.post("/setup/people", {"name": "x", "password": PASSWORD, "role": "engineer"}).status_code == 403
    assert "/setup/" not in browser.get("/").text


def test_every_view_needs_somebody_but_those_of_the_door(peopled):
    """A new view is closed until somebody opens it."""
    browser = Browser(peopled, REMOTE)
    exam = peopled.start()
    open_to_all = {"static", "door.pair", "door.enter"}
    for rule in peopled.app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.endpoint in open_to_all:
            continue
        known = {"exam_id": exam.exam_id, "number": 0, "name": "x", "grabber": STATION, "entry_id": 1}
        with peopled.app.test_request_context():
            path = peopled.app.url_for(rule.endpoint, **{key: known[key] for key in rule.arguments})
        answer = browser.get(path)
        assert (answer.status_code, answer.location.split("?")[0]) == (303, "/sign-in"), rule.endpoint


def test_a_closed_account_is_out_at_once(peopled, browser):
    peopled.spool.accounts.set_active(TECHNOLOGIST, is_active=False, by=ENGINEER)
    assert browser.get("/").location.startswith("/sign-in")


def test_a_reset_password_is_out_at_once(peopled, browser):
    peopled.spool.accounts.set_password(TECHNOLOGIST, "another quiet word", by=ENGINEER)
    assert browser.get("/").location.startswith("/sign-in")


# ---- CSRF and headers ----


@pytest.mark.parametrize("token", ["", "x", None])
def test_a_press_without_the_pages_token_does_nothing(peopled, browser, token):
    exam = peopled.start()
    fields = {"kind": "STILL"} | ({} if token is None else {"csrf": token})
    answer = browser.client.post(f"/exam/{exam.exam_id}/press", data=fields)
    assert (answer.status_code, "This page was too old." in answer.text) == (400, True)
    assert peopled.spool.requests.of_exam(exam.exam_id) == []


def test_another_browsers_token_is_no_token(peopled, browser):
    stranger = Browser(peopled).sign_in()
    browser.token = stranger.token
    assert browser.post("/sign-out").status_code == 400


def test_a_forged_session_is_nobody(peopled):
    browser = Browser(peopled)
    browser.client.set_cookie("session", "eyJuYW1lIjoiQXdhIERpYWxsbyJ9.forged")
    assert browser.get("/").location.startswith("/sign-in")


def test_every_page_is_hardened(browser):
    for path in ("/", "/nothing", "/static/panel.css"):
        headers = browser.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
    assert browser.get("/").headers["Cache-Control"] == "no-store"


def test_no_page_needs_what_the_policy_forbids(peopled, browser):
    exam = peopled.start()
    for path in ("/", "/patient", f"/exam/{exam.exam_id}", f"/exam/{exam.exam_id}/end", "/way", "/health", "/sign-in"):
        page = browser.get(path).text
        assert " style=" not in page
        assert "<style" not in page
        assert " onclick=" not in page
        assert "<script>" not in page
        assert "//" not in page.replace("http://www.w3.org", "").split("<body>")[0].split("<head>")[1]


@pytest.mark.parametrize(("scheme", "is_secure"), [("http", False), ("https", True)])
def test_the_cookie_is_for_this_site_alone(peopled, scheme, is_secure):
    client = peopled.app.test_client()
    cookie = client.get("/sign-in", base_url=f"{scheme}://localhost").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ("Secure" in cookie) is is_secure
    assert "Expires" not in cookie


# ---- expiry, clocks, and the exam in progress ----


def test_a_person_who_does_nothing_must_sign_in_again(peopled, browser):
    peopled.clock.sleep(MINUTES_31)
    assert browser.get("/").location.startswith("/sign-in")


def test_a_person_who_does_something_stays(peopled, browser):
    for _ in range(4):
        peopled.clock.sleep(20 * 60)
        assert browser.get("/").status_code == 200


def test_a_page_that_looks_by_itself_keeps_nobody_signed_in(peopled, browser):
    exam = peopled.start()
    for _ in range(4):
        peopled.clock.sleep(20 * 60)
        browser.get(f"/exam/{exam.exam_id}/pulse")
        browser.get("/way", headers={"X-Asked-By": "page"})
    assert browser.get("/way").location.startswith("/sign-in")


def test_a_clock_that_jumps_signs_nobody_out(peopled, browser):
    for year in (1970, 2026, 2044, 2025):
        peopled.clock.wall = peopled.clock.wall.replace(year=year)
        assert browser.get("/").status_code == 200


def test_a_reboot_signs_out(peopled, browser):
    peopled.clock.reboot()
    assert browser.get("/").location.startswith("/sign-in")


@pytest.fixture
def expired(peopled, browser):
    """An exam that a browser opened, half an hour after the last press."""
    exam = peopled.start(scheduled=peopled.spool.worklist.all()[0])
    peopled.capture(exam)
    browser.get(f"/exam/{exam.exam_id}")
    peopled.clock.sleep(MINUTES_31)
    peopled.signal()
    return exam


def test_expiry_never_interrupts_an_exam_in_progress(peopled, browser, expired):
    peopled.on_wait = lambda: _answer(peopled)
    answer = browser.json(f"/exam/{expired.exam_id}/press", {"kind": "STILL"})
    assert (answer.status_code, answer.json["state"]) == (200, "DONE")
    assert browser.get(f"/exam/{expired.exam_id}").status_code == 200
    assert browser.get(f"/exam/{expired.exam_id}/pulse").status_code == 200
    assert browser.post(f"/exam/{expired.exam_id}/captures/1/discard").status_code == 303
    assert browser.post(f"/exam/{expired.exam_id}/complete").status_code == 303
    assert browser.get("/").location.startswith("/sign-in")


def test_the_pass_of_an_exam_opens_nothing_else(peopled, browser, expired):
    for path in ("/", "/way", f"/way/{expired.exam_id}", f"/exam/{expired.exam_id}/identify", "/health"):
        assert browser.get(path).location.startswith("/sign-in"), path


def test_the_pass_of_an_exam_ends_with_it(peopled, browser, expired):
    browser.post(f"/exam/{expired.exam_id}/complete")
    assert browser.get(f"/exam/{expired.exam_id}").location.startswith("/sign-in")
    assert browser.json(f"/exam/{expired.exam_id}/press", {"kind": "STILL"}).status_code == 401


def test_the_pass_is_for_the_browser_that_opened_the_exam(peopled, expired):
    stranger = Browser(peopled)
    assert stranger.get(f"/exam/{expired.exam_id}").location.startswith("/sign-in")
    assert stranger.json(f"/exam/{expired.exam_id}/press", {"kind": "STILL"}).status_code == 401


def test_the_pass_outlives_a_reboot_of_the_box(peopled, browser, expired):
    peopled.clock.reboot()
    assert browser.get(f"/exam/{expired.exam_id}").status_code == 200


def test_signing_out_gives_the_pass_back(peopled, browser, expired):
    browser.post("/sign-out")
    assert browser.get(f"/exam/{expired.exam_id}").location.startswith("/sign-in")


def _answer(world):
    request = world.spool.requests.take("HDMI-1")
    world.spool.requests.done(request.request_id, 1)
