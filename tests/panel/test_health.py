"""Green only by traffic; every failure in words; figures without a patient."""

import fcntl

import pytest

from gateway.errors import BlobMissing
from gateway.model import Signal
from gateway.panel import health
from tests.panel.conftest import Browser
from tests.panel.world import ENGINEER, LATER, NEVER, STATION


@pytest.fixture
def look(peopled):
    """Return what the health screen shows, as values."""

    def now():
        peopled.signal()
        with peopled.app.test_request_context():
            return health.now()

    return now


def _named(checks, name):
    return next(check for check in checks if check.name == name)


def test_a_destination_that_has_received_nothing_is_not_green(look):
    assert [check.tone for check in look().destinations] == ["off", "off"]


def test_a_destination_is_green_when_an_object_went_all_the_way_lately(peopled, look):
    peopled.receive()
    peopled.send("PACS")
    assert _named(look().destinations, "PACS").tone == "safe"
    peopled.clock.sleep(25 * 3600)
    check = _named(look().destinations, "PACS")
    assert (check.tone, check.verdict) == ("off", "Not proven lately")


def test_a_destination_that_is_out_of_reach_waits_and_says_why(peopled, look):
    peopled.receive()
    peopled.send("PACS")
    peopled.receive()
    peopled.send("PACS", LATER)
    check = _named(look().destinations, "PACS")
    assert check.tone == "care"
    assert "PACS cannot be reached: connection refused." in check.sentence
    assert "The gateway tries again by itself." in check.hint


def test_a_destination_that_refused_something_is_red(peopled, look):
    peopled.receive()
    peopled.send("PACS", NEVER)
    assert _named(look().destinations, "PACS").tone == "bad"


@pytest.mark.parametrize(
    ("signal", "tone"),
    [(Signal.STREAMING, "safe"), (Signal.NO_SIGNAL, "care"), (Signal.ABSENT, "bad")],
)
def test_a_source_is_as_its_signal_is(peopled, signal, tone):
    peopled.signal(signal)
    with peopled.app.test_request_context():
        assert _named(health.now().sources, STATION).tone == tone


def test_a_service_runs_while_it_holds_its_lock(peopled, look):
    path = peopled.site.data / "locks" / "forward"
    assert _named(look().services, "forward").verdict == "Does not run"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert _named(look().services, "forward").verdict == "Runs"
    assert _named(look().services, "forward").verdict == "Does not run"


def test_looking_at_a_lock_keeps_nobody_out(peopled):
    path = peopled.site.data / "locks" / "forward"
    path.touch()
    assert not health.is_running(peopled.site.data, "forward")
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_doubtful_clock_and_a_silent_ris_are_said(peopled, browser):
    peopled.clock.why = "it shows 1970"
    peopled.spool.worklist.failure("refused")
    page = browser.get("/health").text
    assert "Their images wait until the time is certain" in page
    assert "The RIS does not answer" in page


def test_a_trouble_stays_until_an_engineer_has_dealt_with_it(peopled, browser):
    peopled.spool.troubles.add("2.25.1", BlobMissing(blob="abc"))
    assert "A stored object has no file: abc." in browser.get("/health").text
    assert "It is dealt with" not in browser.get("/health").text
    trouble = peopled.spool.troubles.all()[0].trouble_id
    assert browser.post("/health/cleared", {"trouble": trouble}).status_code == 403
    engineer = Browser(peopled).sign_in(ENGINEER)
    assert "It is dealt with" in engineer.get("/health").text
    engineer.post("/health/cleared", {"trouble": trouble})
    assert peopled.spool.troubles.all() == []


def test_figures_name_no_patient(peopled):
    exam = peopled.start(scheduled=peopled.spool.worklist.all()[0])
    peopled.capture(exam)
    peopled.receive()
    peopled.send("PACS")
    figures = Browser(peopled).get("/metrics").text
    assert 'gateway_deliveries{destination="PACS",state="sent"} 1.0' in figures
    assert f'gateway_signal{{signal="streaming",station="{STATION}"}} 1.0' in figures
    assert "gateway_exams_in_progress 1.0" in figures
    assert 'gateway_service_up{service="forward"} 0.0' in figures
    assert not any(word in figures for word in ("Mwangi", "KE-20418", str(exam.exam_id), "2.25."))


def test_a_scrape_says_what_acquire_counted_and_how_much_memory_the_last_seconds_take(peopled):
    peopled.signal(
        frames=900,
        dropped=2,
        faults={"short": 1},
        faulty=1,
        duplicated=3,
        edges={"STREAMING": 2},
        ring_bytes=1 << 20,
        ring_s=5.5,
    )
    figures = Browser(peopled).get("/metrics").text
    for line in (
        f'gateway_frames_total{{station="{STATION}"}} 900.0',
        f'gateway_frames_lost_total{{station="{STATION}",why="dropped"}} 2.0',
        f'gateway_frames_lost_total{{station="{STATION}",why="short"}} 1.0',
        f'gateway_frames_repeated_total{{station="{STATION}"}} 3.0',
        f'gateway_signal_edges_total{{signal="streaming",station="{STATION}"}} 2.0',
        f'gateway_ring_bytes{{station="{STATION}"}} 1.048576e+06',
        f'gateway_ring_seconds{{station="{STATION}"}} 5.5',
    ):
        assert line in figures


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "192.0.2.7"}])
def test_figures_are_for_this_box_and_for_engineers(peopled, headers):
    address = "127.0.0.1" if headers else "192.0.2.7"
    assert Browser(peopled, address).get("/metrics", headers=headers).status_code == 303
    assert Browser(peopled, address).sign_in().get("/metrics", headers=headers).status_code == 403
    assert Browser(peopled, address).sign_in(ENGINEER).get("/metrics", headers=headers).status_code == 200
