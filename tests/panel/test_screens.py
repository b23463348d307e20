"""The screens in Chromium: with a keyboard alone, without JavaScript, on a 7-inch screen, and for axe.

Screenshots of every screen are left in build/screens/; the picture in them is the simulator's phantom.
"""

import logging
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from werkzeug.serving import make_server

from gateway.model import CaptureKind, CaptureState, Patient, Signal, StepStatus
from gateway.spool import live
from tests.panel.world import ENGINEER, EYES, PASSWORD, PIN, STATION, TECHNOLOGIST, World, phantom, pressure, steps

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS = Path(__file__).resolve().parents[2] / "build" / "screens"
SIZES = {"1024": (1024, 600), "800": (800, 480), "1366": (1366, 768)}
TARGET_PX = 48
AXE = {"resultTypes": ["violations"]}


class Served:
    """A world behind a real port, with an acquire that answers presses."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.world.on_wait = self._acquire
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, self.world.app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.presses: list[str] = []

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self.world.close()

    def _acquire(self) -> None:
        world = self.world
        request = world.spool.requests.take(STATION)
        if request is None:
            return
        self.presses.append(request.kind.value)
        exam = world.spool.exams.get(request.exam_id)
        recording = [
            each for each in world.spool.captures.of_exam(exam.exam_id) if each.state is CaptureState.RECORDING
        ]
        match request.kind:
            case "STILL":
                made = world.capture(exam)
            case "RETROSPECTIVE":
                made = world.capture(exam, CaptureKind.RETROSPECTIVE)
            case "CINE_START":
                made = world.capture(exam, CaptureKind.CINE, is_done=False)
            case _:
                made = recording[0]
                world.finish(exam, made)
        world.spool.requests.done(request.request_id, made.number)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path):
    made = Served(tmp_path)
    made.world.people()
    made.world.worklist()
    made.world.signal()
    made.world.picture()
    yield made
    made.close()


@pytest.fixture
def page(chromium, served):
    context = chromium.new_context(viewport={"width": 1024, "height": 600}, base_url=served.url)
    opened = context.new_page()
    opened.set_default_timeout(8000)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture
def plain(chromium, served):
    """A browser without JavaScript."""
    context = chromium.new_context(
        viewport={"width": 1024, "height": 600}, base_url=served.url, java_script_enabled=False
    )
    opened = context.new_page()
    opened.set_default_timeout(8000)
    yield opened
    context.close()


def _sign_in(page, name=TECHNOLOGIST) -> None:
    page.goto("/sign-in")
    page.get_by_text("With the password instead").click()
    page.locator("#by-password [name=name]").fill(name)
    page.locator("#by-password [name=password]").fill(PASSWORD)
    page.locator("#by-password button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Worklist")


# ---- without JavaScript ----


def test_without_javascript_an_exam_goes_from_the_worklist_to_its_end(served, plain):
    world = served.world
    plain.goto("/")
    plain.locator("[name=pin]").fill(PIN)
    plain.locator("#pin-name").select_option(TECHNOLOGIST)
    plain.get_by_role("button", name="Sign in with the PIN").click()
    plain.locator("#query").fill("mwangi")
    plain.get_by_role("button", name="Search").click()
    plain.get_by_role("button", name="Start exam Mwangi, Grace").click()
    exam = world.spool.exams.running(STATION)

    expect(plain.locator(".capture")).to_be_focused()
    plain.keyboard.press("Space")
    expect(plain.get_by_text("Saved: picture 1.")).to_be_visible()
    expect(plain.locator(".capture")).to_be_focused()
    plain.keyboard.press("Enter")
    expect(plain.get_by_text("Saved: picture 2.")).to_be_visible()
    plain.get_by_role("button", name="Record").click()
    plain.get_by_role("button", name="Stop").click()
    expect(plain.get_by_text("Saved: recording, capture 3.")).to_be_visible()
    plain.get_by_role("button", name="Last 5 s").click()
    assert served.presses == ["STILL", "STILL", "CINE_START", "CINE_STOP", "RETROSPECTIVE"]

    plain.get_by_role("button", name="Discard capture 2").click()
    plain.get_by_role("button", name="Bring capture 2 back").click()
    plain.get_by_role("button", name="Discard capture 1").click()
    states = [capture.state for capture in world.spool.captures.of_exam(exam.exam_id)]
    assert states == [CaptureState.DISCARDED, CaptureState.HELD, CaptureState.HELD, CaptureState.HELD]

    plain.get_by_role("link", name="End exam").click()
    plain.get_by_role("button", name="Complete exam").click()
    expect(plain.get_by_text("The exam is completed.")).to_be_visible()
    assert world.spool.exams.get(exam.exam_id).status is StepStatus.COMPLETED


def test_without_javascript_the_live_picture_reloads_in_a_frame_of_its_own(served, plain):
    exam = _exam_without_javascript(served, plain)
    frame = plain.frame_locator("iframe")
    expect(frame.locator("img")).to_be_visible()
    assert frame.locator("img").evaluate("picture => picture.naturalWidth") == 800
    served.world.signal(Signal.NO_SIGNAL)
    expect(frame.get_by_text("No signal on HDMI-1: is the scanner on?")).to_be_visible(timeout=5000)
    assert plain.url.endswith(str(exam.exam_id))


def test_without_javascript_the_language_changes(served, plain):
    plain.goto("/sign-in")
    plain.get_by_role("button", name="中文").click()
    assert plain.locator("html").get_attribute("lang") == "zh-Hans"
    expect(plain.get_by_role("heading", level=1)).to_have_text("登录")


def test_without_javascript_and_with_a_keyboard_alone_a_reading_is_given_to_its_exam(served, plain):
    exam = _exam_without_javascript(served, plain)
    entry = served.world.stray()
    plain.goto("/readings")
    for name, leads_to in (
        ("Give to … NIDEK autorefractor (ARK-530A), today, 15:00", "Whose reading is it?"),
        ("Choose No patient yet", "Give it to this exam?"),
    ):
        _tab_to(plain, name)
        plain.keyboard.press("Enter")
        expect(plain.get_by_role("heading", level=1)).to_have_text(leads_to)
    assert served.world.spool.inbox.count() == 1
    _tab_to(plain, "Yes, it is of this patient")
    plain.keyboard.press("Enter")
    expect(plain.get_by_text("Given to No patient yet.")).to_be_visible()
    assert served.world.spool.inbox.get(entry.entry_id).exam_id == exam.exam_id


def _exam_without_javascript(served, plain):
    exam = served.world.start()
    plain.goto("/")
    plain.locator("#pin-name").select_option(TECHNOLOGIST)
    plain.locator("[name=pin]").fill(PIN)
    plain.get_by_role("button", name="Sign in with the PIN").click()
    plain.goto(f"/exam/{exam.exam_id}")
    return exam


# ---- with a keyboard alone ----


def test_with_a_keyboard_alone_an_exam_goes_from_sign_in_to_its_end(served, page):
    page.goto("/")
    assert page.evaluate("document.activeElement.id") == "pin"
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("K")
    page.keyboard.press("Tab")
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Worklist")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**/#content")
    _tab_to(page, "Start exam 王小东 (Wang, Xiaodong)")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("王小东 (Wang, Xiaodong)")

    page.keyboard.press("Space")
    expect(page.get_by_text("Saved: picture 1.")).to_be_visible()
    page.keyboard.press("F2")
    expect(page.get_by_text("Saved: picture 2.")).to_be_visible()
    page.keyboard.press("F8")
    expect(page.get_by_text("Recording.", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("F8")
    expect(page.get_by_text("Saved: recording, capture 3.")).to_be_visible()
    page.keyboard.press("F9")
    expect(page.get_by_text("Saved: the last seconds, capture 4.")).to_be_visible()
    assert served.presses == ["STILL", "STILL", "CINE_START", "CINE_STOP", "RETROSPECTIVE"]

    expect(page.get_by_role("button", name="Discard capture 4")).to_be_visible()
    _tab_to(page, "Discard capture 4")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Capture 4 is discarded.")).to_be_visible()
    expect(page.get_by_role("button", name="Bring capture 4 back")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_text("Capture 4 is back.")).to_be_visible()
    _tab_to(page, "End exam")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("End exam")
    _tab_to(page, "Complete exam")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The exam is completed.")).to_be_visible()


def test_a_key_that_is_held_down_captures_once(served, page):
    _open_exam(served, page)
    for _ in range(8):  # playwright repeats the event while the key is down, as a keyboard does
        page.keyboard.down("F2")
    page.keyboard.up("F2")
    expect(page.get_by_text("Saved: picture 1.")).to_be_visible()
    for _ in range(8):
        page.keyboard.down("Enter")  # on the button that has the focus
    page.keyboard.up("Enter")
    expect(page.get_by_text("Saved: picture 2.")).to_be_visible()
    assert served.presses == ["STILL", "STILL"]


def test_a_pedal_works_wherever_the_focus_is(served, page):
    _open_exam(served, page)
    page.locator(".menu summary").focus()
    page.keyboard.press("F2")
    expect(page.get_by_text("Saved: picture 1.")).to_be_visible()
    page.locator("body").click(position={"x": 400, "y": 300})
    page.keyboard.press("Space")
    expect(page.get_by_text("Saved: picture 2.")).to_be_visible()


def test_whatever_has_the_focus_shows_it(served, page):
    _open_exam(served, page)
    seen = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(_FOCUSED)
        if name:  # past the last one the focus leaves the page
            assert outline == "solid", name
            seen.add(name)
    assert len(seen) >= 8


def _tab_to(page, name: str, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        said = page.evaluate("document.activeElement.textContent.replace(/\\s+/g, ' ').trim()")
        if said == name:
            return
    raise AssertionError(f"no Tab leads to {name}")


def _open_exam(served, page):
    exam = served.world.start()
    _sign_in(page)
    page.goto(f"/exam/{exam.exam_id}")
    return exam


# ---- in real time ----


def test_the_live_picture_follows_the_source(served, page):
    _open_exam(served, page)
    _picture_is_drawn(page, 800)
    live.write_preview(served.world.site.run, STATION, phantom(640, 480, 0.2, 85))
    _picture_is_drawn(page, 640)
    before = page.evaluate(_PIXELS)
    live.write_preview(served.world.site.run, STATION, phantom(640, 480, 0.7, 85))
    for _ in range(100):
        if page.evaluate(_PIXELS) != before:
            return
        page.wait_for_timeout(20)
    raise AssertionError("the picture stands still")


def test_when_the_signal_goes_the_stage_says_so_at_once(served, page):
    _open_exam(served, page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    served.world.signal(Signal.NO_SIGNAL)
    expect(page.get_by_text("No signal on HDMI-1: is the scanner on?")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_hidden()


def test_when_the_gateway_does_not_answer_no_picture_is_called_live(served, page):
    _open_exam(served, page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.route("**/pulse", lambda route: route.abort())
    expect(page.get_by_text("The picture is not live: the gateway does not answer.")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_hidden()


def test_a_press_that_is_not_answered_says_so_and_does_not_ask_for_another(served, page):
    page.route("**/press", lambda route: route.abort())  # before the page: Chromium lets a later one be overtaken
    _open_exam(served, page)
    page.keyboard.press("F2")
    expect(page.get_by_text("The gateway did not answer. Look at the captures before you press again.")).to_be_visible()


def test_a_discard_that_is_not_answered_says_so(served, page):
    page.route("**/discard", lambda route: route.abort())
    exam = _open_exam(served, page)
    served.world.capture(exam)
    page.get_by_role("button", name="Discard capture 1").click()
    expect(page.get_by_text("The gateway did not answer.")).to_be_visible()


def test_a_capture_that_a_pedal_elsewhere_made_appears_by_itself(served, page):
    exam = _open_exam(served, page)
    served.world.capture(exam)
    expect(page.get_by_role("button", name="Discard capture 1")).to_be_visible()


def test_what_an_instrument_says_and_what_waits_appear_by_themselves(served, page):
    world = served.world
    _open_exam(served, page)
    world.stray()
    expect(page.get_by_role("link", name="1 reading waits")).to_be_visible()
    now_ns = world.clock.monotonic_ns()
    world.hear(values=(pressure(now_ns),))
    page.goto("/readings/instruments")
    expect(page.get_by_text("16.5")).to_be_visible()
    world.hear(values=(pressure(now_ns, "17.5"),))
    expect(page.get_by_text("17.5")).to_be_visible()


def test_good_news_leaves_the_picture_and_bad_news_stays(served, page):
    lost = []
    page.route("**/press", lambda route: route.abort() if lost else route.continue_())
    _open_exam(served, page)
    page.keyboard.press("F2")
    expect(page.get_by_text("Saved: picture 1.")).to_be_visible()
    expect(page.get_by_text("Saved: picture 1.")).to_be_hidden()
    lost.append(True)
    page.keyboard.press("F2")
    expect(page.get_by_text("The gateway did not answer.")).to_be_visible()
    page.wait_for_timeout(4500)
    expect(page.get_by_text("The gateway did not answer.")).to_be_visible()


def test_an_exam_that_somebody_else_ended_leaves_the_screen(served, page):
    from gateway import exam as verbs

    exam = _open_exam(served, page)
    verbs.complete(served.world.spool, served.world.clock, exam.exam_id)
    page.wait_for_url(f"**/way/{exam.exam_id}")


def test_the_worklist_filters_while_one_types(served, page):
    _sign_in(page)
    page.locator("#query").press_sequentially("nguyen")
    expect(page.get_by_text("Nguyễn, Thị Hoa").first).to_be_visible()
    expect(page.get_by_text("Mwangi, Grace").first).to_be_hidden()
    page.locator("#query").press_sequentially("xyz")
    expect(page.get_by_text("Nothing on the list matches.")).to_be_visible()


def test_a_pin_is_typed_with_gloves(served, page):
    page.goto("/sign-in")
    page.locator("#pin-name").select_option(TECHNOLOGIST)
    for figure in PIN:
        page.locator("#pad").get_by_role("button", name=figure, exact=True).click()
    page.get_by_role("button", name="Sign in with the PIN").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Worklist")


def test_a_hostile_name_runs_nothing(served, page):
    hostile = "<script>document.title+'hacked'</script>^<b onclick>"
    patient_id = "'\"><img src=x onerror=\"document.title='hacked'\">"
    exam = served.world.start(patient=Patient(patient_id=patient_id, name=hostile))
    served.world.capture(exam)
    _sign_in(page)
    for path in ("/", f"/exam/{exam.exam_id}", "/way", f"/way/{exam.exam_id}"):
        page.goto(path)
        expect(page.get_by_text("<script>document.title").first).to_be_visible()
        assert "hacked" not in page.title()


# ---- every screen ----


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A busy day, with the addresses of every screen of it."""
    made = Served(tmp_path_factory.mktemp("day"))
    exam = made.world.busy_day()
    made.world.run_services()
    past = made.world.spool.exams.recent(9)
    made.paths = {
        "exam": f"/exam/{exam.exam_id}",
        "worklist": "/",
        "patient": "/patient",
        "identify": f"/exam/{exam.exam_id}/identify",
        "time": f"/exam/{exam.exam_id}/time",
        "end": f"/exam/{exam.exam_id}/end",
        "discard": f"/exam/{exam.exam_id}/captures/1/discard",
        "way": "/way",
        "one": f"/way/{past[2].exam_id}",
        "unknown": f"/way/{past[1].exam_id}",
        "decide": "/way/decide/0",
        "health": "/health",
        "destinations": "/setup/destinations",
        "modality": "/setup/modality",
        "people": "/setup/people",
        "person": f"/setup/people/{TECHNOLOGIST}",
        "log": "/setup/log",
        "inbox": "/readings",
        "give": "/readings/1",
        "give-ask": f"/readings/1/give/{exam.exam_id}",
        "instruments": "/readings/instruments",
        "reading": f"/exam/{exam.exam_id}/captures/7",
        "ports": "/setup/ports",
        "port-find": f"/setup/ports/{EYES}/find",
        "you": "/you",
        "missing": "/nothing",
    }
    yield made
    made.close()


@pytest.fixture(scope="module")
def tour(day, chromium):
    """An engineer's browser that stays signed in."""
    context = chromium.new_context(viewport={"width": 1024, "height": 600}, base_url=day.url)
    page = context.new_page()
    _sign_in(page, ENGINEER)
    yield page
    context.close()


@pytest.fixture(scope="module", params=["en", "fr", "zh"])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def looked(day, tour, language):
    """Every screen opened once: what axe found, what does not fit, and a photograph of it."""
    violations, misfits = {}, []
    tour.context.add_cookies([{"name": "language", "value": language, "url": day.url}])
    for name, path in day.paths.items():
        tour.set_viewport_size(_size("1024"))
        tour.goto(path)
        violations |= _violations(tour, name)
        for size in ("800", "1024"):
            tour.set_viewport_size(_size(size))
            misfits += [f"{name} at {size}: {what}" for what in tour.evaluate(_MISFITS, [TARGET_PX, name == "exam"])]
        if language == "en" or name in {"exam", "way"}:
            _photograph(tour, name, language)
    return violations, misfits


def test_axe_finds_nothing_on_any_screen(looked):
    assert looked[0] == {}


def test_every_screen_fits_a_7_inch_screen(looked):
    """Nothing to scroll sideways, nothing smaller than a gloved finger; the exam needs no scrolling at all."""
    assert looked[1] == []


def test_every_screen_is_photographed(looked, language):
    assert (SCREENS / f"exam-{language}-1024.png").stat().st_size > 20_000


def test_axe_finds_nothing_at_the_door(day, chromium, language, tmp_path):
    fresh = Served(tmp_path)
    context = chromium.new_context(viewport={"width": 800, "height": 480})
    page = context.new_page()
    found = {}
    for url in (fresh.url, day.url):
        context.add_cookies([{"name": "language", "value": language, "url": url}])
    for name, url in {"pair": f"{fresh.url}/pair", "enter": f"{day.url}/sign-in"}.items():
        page.goto(url)
        found |= _violations(page, name)
        _photograph(page, name, language)
    context.close()
    fresh.close()
    assert found == {}


@pytest.mark.parametrize("language", ["en", "fr", "zh"])
def test_a_wrong_patient_is_corrected_with_a_plain_confirmation(served, page, language):
    world = served.world
    exam = world.start(scheduled=steps()[0])
    for _ in range(3):
        world.capture(exam)
    world.release()
    world.send("PACS")
    _sign_in(page)
    page.context.add_cookies([{"name": "language", "value": language, "url": served.url}])
    page.goto(f"/exam/{exam.exam_id}/identify")
    page.locator("form", has_text="王小东").locator("button").click()
    expect(page.locator("button.grave")).to_be_visible()
    assert _violations(page, "correct") == {}
    for size in ("800", "1024"):
        page.set_viewport_size(_size(size))
        assert page.evaluate(_MISFITS, [TARGET_PX, False]) == []
    _photograph(page, "correct", language)
    page.locator("button.grave").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("王小东 (Wang, Xiaodong)")
    assert world.spool.exams.get(exam.exam_id).corrected == 1
    page.goto(f"/way/{exam.exam_id}")
    assert _violations(page, "corrected") == {}
    _photograph(page, "corrected", language)


def test_the_start_of_an_emergency_is_photographed(chromium, tmp_path):
    fresh = Served(tmp_path)
    fresh.world.people()
    fresh.world.worklist()
    context = chromium.new_context(base_url=fresh.url)
    page = context.new_page()
    _sign_in(page)
    assert _violations(page, "start") == {}
    _photograph(page, "start", "en")
    exam = fresh.world.start()
    fresh.world.capture(exam)
    for name, signal in {"emergency": Signal.NO_SIGNAL, "recording": Signal.STREAMING}.items():
        fresh.world.signal(signal)
        if signal is Signal.STREAMING:
            fresh.world.picture()
            fresh.world.capture(exam, CaptureKind.CINE, is_done=False)
            fresh.world.clock.sleep(2)
            fresh.world.signal(signal)
        page.goto(f"/exam/{exam.exam_id}")
        expect(page.locator("#tags")).to_contain_text("No picture" if signal is Signal.NO_SIGNAL else "Live")
        found = _violations(page, name)
        _photograph(page, name, "en")
        assert found == {}
    context.close()
    fresh.close()


def _size(name: str):
    width, height = SIZES[name]
    return {"width": width, "height": height}


def _picture_is_drawn(page, width: int = 800) -> None:
    expect(page.locator("#live")).to_have_js_property("width", width)


def _violations(page, name: str) -> dict[str, list[str]]:
    found = Axe().run(page, options=AXE).response["violations"]
    return {name: [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found]} if found else {}


def _photograph(page, name: str, language: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        page.set_viewport_size(_size(size))
        if page.locator("#live").count() and page.get_by_text("Live", exact=True).count():
            _picture_is_drawn(page)
        page.screenshot(path=str(SCREENS / f"{name}-{language}-{size}.png"))


_FOCUSED = """() => {
  const each = document.activeElement;
  return [each === document.body ? "" : each.textContent.trim(), getComputedStyle(each).outlineStyle];
}"""
_PIXELS = "document.getElementById('live').toDataURL()"
_MISFITS = """([target, isExam]) => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) wrong.push(`${root.scrollWidth} px wide`);
  if (isExam && root.scrollHeight > innerHeight) wrong.push(`${root.scrollHeight} px high`);
  for (const each of document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")) {
    const box = each.getBoundingClientRect();
    const isThere = box.width > 1 && !each.closest(".unseen, details:not([open]) > :not(summary)");
    if (isThere && !each.classList.contains("skip") && (box.height < target - 0.5 || box.width < target - 0.5))
      wrong.push(`${each.textContent.trim() || each.name} is ${Math.round(box.width)} by ${Math.round(box.height)}`);
  }
  return wrong;
}"""
