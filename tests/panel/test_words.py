"""Every sentence exists in every language, with the same facts in it; names and errors are said as people say them."""

import ast
import re

import pytest

from gateway.errors import PeerRejected, StalePress, by_code
from gateway.model import Patient
from gateway.panel import language, words
from tests.panel import messages
from tests.panel.conftest import Browser

PLACES = re.compile(r"%\(\w+\)[sd]|\{\w+\}|`[^`]+`")


@pytest.fixture(scope="module")
def collected():
    return [message for message in messages.collected() if message.id]


@pytest.mark.parametrize("code", messages.TRANSLATED)
def test_every_sentence_is_translated(code, collected):
    stored = messages.stored(code)
    missing = [
        message.id
        for message in collected
        if stored.get(message.id) is None or not messages.is_whole(stored.get(message.id))
    ]
    assert missing == [], "run: python -m tests.panel.messages, and translate what it counts"


def test_no_sentence_hides_from_the_collector():
    """Babel does not look inside an f-string, nor at a sentence that is put together."""
    hidden = []
    for path in sorted(language.FOLDER.parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(call) for text in ast.walk(tree) if isinstance(text, ast.JoinedStr) for call in ast.walk(text)}
        for call in ast.walk(tree):
            name = getattr(getattr(call, "func", None), "id", "")
            is_lookup = path.name in {"language.py", "words.py"}  # where sentences of other rooms are looked up
            if name in {"gettext", "ngettext", "lazy_gettext"} and (
                id(call) in inside or not (isinstance(call.args[0], ast.Constant) or is_lookup)
            ):
                hidden.append(f"{path.name}: {ast.unparse(call)}")
    assert hidden == []


@pytest.mark.parametrize("code", messages.TRANSLATED)
def test_no_catalogue_keeps_a_sentence_that_nobody_says(code, collected):
    said = {message.id for message in collected}
    assert [message.id for message in messages.stored(code) if message.id and message.id not in said] == []


@pytest.mark.parametrize("code", messages.TRANSLATED)
def test_a_translation_keeps_the_facts(code):
    for message in messages.stored(code):
        if not message.id:
            continue
        source = message.id if isinstance(message.id, str) else message.id[1]
        for form in message.string if isinstance(message.string, tuple) else (message.string,):
            assert sorted(PLACES.findall(form)) == sorted(PLACES.findall(source)), message.id


def test_the_catalogues_hold_what_the_errors_say(collected):
    said = {message.id for message in collected}
    assert all(cls.sentence() in said and cls.hint in said for cls in by_code().values())


@pytest.mark.parametrize(
    ("pn", "said"),
    [
        ("Mwangi^Grace", "Mwangi, Grace"),
        ("Wang^Xiaodong=王^小东=", "王小东 (Wang, Xiaodong)"),
        ("王^小东", "王小东"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎 (Yamada, Tarou)"),
        ("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "Adams, Rev. John Robert Quincy B.A. M.Div."),
        ("Lefèvre", "Lefèvre"),
        ("^", ""),
    ],
)
def test_a_name_is_said_as_it_is_spoken(pn, said):
    assert words.person_name(pn) == said


def test_a_name_that_says_nothing_is_not_an_empty_line(world):
    with world.app.test_request_context():
        assert words.patient_name(Patient(patient_id="1", name="^^")) == "No name stated"
        assert words.patient_name(None) == "No patient yet"


def test_an_error_that_came_as_a_sentence_is_said_in_french(world):
    with world.app.test_request_context(headers={"Cookie": f"{language.COOKIE}=fr"}):
        error = StalePress(problem="that exam has ended")
        said = words.trouble(error.code, str(error))
    assert said.sentence == "L'appui est arrivé trop tard\u00a0: cet examen est fini. Rien n'a été capturé."
    assert said.hint == "Appuyez de nouveau sur Capturer."


def test_a_peers_own_words_stand_in_the_sentence_when_they_are_no_sentence_of_ours(world):
    with world.app.test_request_context():
        said = words.trouble(PeerRejected.code, "out of memory", peer="PACS", status="A900")
    assert said.sentence == "PACS refused the object with status A900: out of memory."
    assert said.who == "Call whoever runs the other side."


def test_an_unknown_code_is_still_a_sentence(world):
    with world.app.test_request_context():
        assert words.trouble("G999", "what?").sentence == "Something failed that has no name yet."


@pytest.mark.parametrize(
    ("code", "tag", "word"), [("en", "en", "Sign in"), ("fr", "fr", "Se connecter"), ("zh", "zh-Hans", "登录")]
)
def test_a_browser_keeps_the_language_it_chose(peopled, code, tag, word):
    browser = Browser(peopled)
    answer = browser.post("/language", {"language": code, "back": "/health"})
    assert answer.location == "/health"
    page = browser.get("/sign-in").text
    assert f'<html lang="{tag}">' in page
    assert word in page


def test_the_switch_never_leads_to_another_site(peopled):
    browser = Browser(peopled)
    for elsewhere in ("https://example.org/", "//example.org/", "/\\example.org", "javascript:alert(1)"):
        assert browser.post("/language", {"language": "fr", "back": elsewhere}).location == "/"


def test_times_are_local_to_the_station_and_not_to_the_browser(peopled, browser):
    assert "since 15:00" in _exam_page(peopled, browser)  # noon in UTC is three in Nairobi


def _exam_page(world, browser) -> str:
    return browser.get(f"/exam/{world.start().exam_id}").text
