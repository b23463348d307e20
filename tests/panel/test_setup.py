"""What an engineer sets up: an echo, a profile, people; and how the panel says what it cannot do."""

import pytest

from gateway import config
from gateway.panel import EchoAnswer
from gateway.spool.accounts import Role
from tests.panel.conftest import Browser
from tests.panel.world import ENGINEER, PASSWORD, PIN, STATION, TECHNOLOGIST, World


@pytest.fixture
def engineer(peopled):
    return Browser(peopled).sign_in(ENGINEER)


def test_an_echo_says_that_a_destination_answers(engineer):
    page = engineer.post("/setup/destinations/PACS/echo").text
    assert page.count("It answers, in 12 ms.") == 1


def test_an_echo_says_why_a_destination_does_not_answer(peopled, engineer):
    facts = {"peer": "PACS", "problem": "connection refused"}
    peopled.echo = EchoAnswer(is_ok=False, error_code="G501", facts=facts)
    page = engineer.post("/setup/destinations/PACS/echo").text
    assert "PACS cannot be reached: connection refused." in page
    assert "Call the engineer of this box." in page


def test_an_echo_of_nobody_is_not_sent(engineer):
    assert engineer.post("/setup/destinations/elsewhere/echo").status_code == 404


def test_a_profile_says_what_is_done_and_what_must_be_confirmed(tmp_path):
    folder = tmp_path / "profiles" / "modalities"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(
        """title = "Our old scanner"
sources = ["its manual, page 12"]
confirm = ["the crop, with a test picture"]
[input]
connector = "composite"
standards = ["PAL 625/50i"]
[chain]
crop = [40, 20, 640, 480]
mask = [[40, 20, 200, 30]]
mask_polygons = [[[40, 20], [90, 20], [40, 60]]]
levels = [16, 200]
denoise = "median3"
[[region]]
area = [40, 20, 600, 400]
points = [[600, 40], [600, 340]]
length_cm = 10
[object]
modality = "US"
still = "us"
""",
        encoding="utf-8",
    )
    own = config.Paths(data=str(tmp_path / "data"), run=str(tmp_path / "run"), profiles=str(tmp_path / "profiles"))
    world = World(tmp_path, paths=own, grabber={STATION: config.Grabber(device="simulator:phantom", profile="own")})
    world.people()
    page = Browser(world).sign_in(ENGINEER).get("/setup/modality").text
    for said in ("Our old scanner", "the crop, with a test picture", "640 × 480 + 40 + 20", "its manual, page 12"):
        assert said in page
    for said in ("3 corners", "16–200", "median3", "600 × 400 + 40 + 20: 10 cm"):
        assert said in page
    world.close()


def test_another_profile_is_written_where_the_configuration_reads_it(peopled, engineer, tmp_path):
    other = next(name for name in _profiles() if name != "simulator-ultrasound")
    engineer.post(f"/setup/modality/{STATION}", {"profile": other})
    file = tmp_path / "gateway.toml"
    file.write_text(config.toml(config.changes(peopled.site)), encoding="utf-8")
    assert config.load(file).grabber[STATION].profile == other
    page = engineer.get("/setup/modality").text
    assert "What this profile says of the cable counts from the next start of the gateway." in page
    assert f'value="{other}" selected' in page


def test_a_profile_that_does_not_exist_is_not_written(peopled, engineer):
    assert engineer.post(f"/setup/modality/{STATION}", {"profile": "../../etc/passwd"}).status_code == 404
    assert engineer.post("/setup/modality/elsewhere", {"profile": "simulator-ultrasound"}).status_code == 404
    assert not (peopled.site.data / "conf.d").exists()


def test_a_profile_that_cannot_be_read_is_a_sentence(tmp_path):
    world = World(tmp_path, grabber={STATION: config.Grabber(device="simulator:phantom", profile="missing")})
    world.people()
    browser = Browser(world).sign_in(ENGINEER)
    assert "The profile missing cannot be used" in browser.get("/setup/modality").text
    answer = browser.post("/exams", {"how": "emergency", "station": STATION})
    assert (answer.status_code, "The profile missing cannot be used" in answer.text) == (409, True)
    world.close()


def test_a_person_is_added_and_signs_in(peopled, engineer):
    fields = {"name": "Zoë", "password": "five quiet words here", "role": "technologist"}
    assert engineer.post("/setup/people", fields).location == "/setup/people"
    assert "Zoë may sign in now." in engineer.get("/setup/people").text
    Browser(peopled).sign_in("Zoë", "five quiet words here")


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"password": "short"}, 400, "needs at least 10 characters"),
        ({"name": TECHNOLOGIST}, 409, "There is already an account for Kofi."),
        ({"name": "a/b"}, 409, "has a slash"),
        ({"role": "king"}, 400, "The form was not complete."),
    ],
)
def test_a_person_who_cannot_be_added_is_a_sentence(engineer, changed, status, said):
    fields = {"name": "Zoë", "password": "five quiet words here", "role": "technologist"} | changed
    answer = engineer.post("/setup/people", fields)
    assert (answer.status_code, said in answer.text) == (status, True)


def test_a_role_is_changed(peopled, engineer):
    engineer.post(f"/setup/people/{TECHNOLOGIST}/role", {"role": "engineer"})
    assert peopled.spool.accounts.get(TECHNOLOGIST).role is Role.ENGINEER


def test_an_account_is_closed_and_opened_again(peopled, engineer):
    engineer.post(f"/setup/people/{TECHNOLOGIST}/close")
    assert Browser(peopled).post("/sign-in", {"name": TECHNOLOGIST, "password": PASSWORD}).status_code == 401
    assert "This account is closed." in engineer.get(f"/setup/people/{TECHNOLOGIST}").text
    engineer.post(f"/setup/people/{TECHNOLOGIST}/reopen")
    Browser(peopled).sign_in()


def test_the_last_engineer_stays(peopled, engineer):
    assert engineer.post(f"/setup/people/{ENGINEER}/close").status_code == 409
    assert engineer.post(f"/setup/people/{ENGINEER}/role", {"role": "technologist"}).status_code == 409
    assert peopled.spool.accounts.get(ENGINEER).role is Role.ENGINEER


def test_ones_own_password_and_pin_are_changed_by_the_present_password(peopled, browser):
    wrong = browser.post("/you/password", {"password": "wrong", "new": "seven quiet words"})
    assert (wrong.status_code, "is not right" in wrong.text) == (403, True)
    browser.post("/you/password", {"password": PASSWORD, "new": "seven quiet words"})
    assert "Your password is changed." in browser.get("/you").text
    browser.post("/you/pin", {"password": "seven quiet words", "pin": "135790"})
    assert "Your PIN is set." in browser.get("/you").text
    assert Browser(peopled).post("/sign-in/pin", {"name": TECHNOLOGIST, "pin": PIN}).status_code == 401
    assert Browser(peopled).post("/sign-in/pin", {"name": TECHNOLOGIST, "pin": "135790"}).status_code == 303


def test_the_log_shows_what_was_done_by_whom_and_no_patient(peopled, engineer):
    exam = peopled.start(scheduled=peopled.spool.worklist.all()[0])
    page = engineer.get("/setup/log").text
    assert f"exam {exam.exam_id}" in page
    assert "from the worklist" in page
    assert not any(word in page for word in ("Mwangi", "KE-20418", "A0001"))


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("get", "/nothing", 404, "There is nothing here."),
        ("get", "/exam/11111111-2222-3333-4444-555555555555", 404, "There is no exam"),
        ("get", "/exam/not-a-uuid", 404, "There is nothing here."),
        ("post", "/health", 405, "That cannot be done here."),
    ],
)
def test_what_is_not_there_is_said_in_the_panels_own_words(browser, method, path, status, said):
    answer = getattr(browser, method)(path)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert "<nav" in answer.text


def test_a_mistake_of_ours_is_a_page_too_and_names_nothing(peopled, browser, monkeypatch):
    monkeypatch.setattr(peopled.spool.exams, "recent", lambda _limit: 1 / 0)
    peopled.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = browser.get("/way")
    assert (answer.status_code, "The panel made a mistake." in answer.text) == (500, True)
    assert "ZeroDivisionError" not in answer.text


def test_too_large_a_form_is_refused(browser):
    answer = browser.post("/search", {"query": "x" * 400_000})
    assert answer.status_code == 413


def _profiles():
    from gateway import profile

    return profile.names("modalities")
