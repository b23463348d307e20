"""Where everything is, in three plain words; what failed and who must act; what only a person may decide."""

import pytest

from gateway import exam as verbs
from gateway.model import DeliveryState, Patient, StoreOutcome
from gateway.panel import standing
from tests.panel.world import LATER, NEVER
from tests.spool.world import admit

UID = "2.25.777"


@pytest.fixture
def done(peopled):
    """A completed exam of three pictures, QUEUED for both destinations."""
    step = peopled.start()
    for _ in range(3):
        peopled.capture(step)
    fields = {"patient": _patient()}
    verbs.identify(peopled.spool, step.exam_id, **fields)
    for instance in peopled.spool.instances.of_exam(step.exam_id):
        _rewrite(peopled, instance)
    verbs.complete(peopled.spool, peopled.clock, step.exam_id)
    return step


@pytest.mark.parametrize(
    ("state", "is_commitment_required", "where"),
    [
        (DeliveryState.HELD, False, "here"),
        (DeliveryState.QUEUED, False, "here"),
        (DeliveryState.SENDING, False, "moving"),
        (DeliveryState.RELAYED, False, "moving"),
        (DeliveryState.SENT, False, "safe"),
        (DeliveryState.SENT, True, "moving"),
        (DeliveryState.COMMITTED, True, "safe"),
        (DeliveryState.FAILED, True, "bad"),
        (DeliveryState.CANCELLED, False, "off"),
    ],
)
def test_safe_is_said_only_of_what_arrived(state, is_commitment_required, where):
    assert standing.standing(state, is_commitment_required=is_commitment_required) == where


def test_every_state_of_a_delivery_stands_somewhere():
    assert all(standing.standing(state, is_commitment_required=True) for state in DeliveryState)


@pytest.mark.parametrize(
    ("places", "where"),
    [(["safe", "moving"], "moving"), (["safe", "here", "moving"], "here"), (["safe", "bad"], "bad"), ([], "here")],
)
def test_an_object_stands_where_its_slowest_copy_stands(places, where):
    assert standing.worst(places) == where


def test_an_exam_is_counted_by_its_objects_and_not_by_its_copies(peopled, browser, done):
    assert "3 here" in browser.get("/way").text
    peopled.send("PACS")
    peopled.send("Archive", limit=1, committed=True)
    page = browser.get("/way").text
    assert "2 here" in page
    assert "1 safe" in page


def test_one_refusal_is_one_problem_with_what_to_do_and_who(peopled, browser, done):
    peopled.send("Archive", NEVER)
    page = browser.get("/way").text
    assert page.count("3 objects were not delivered to Archive.") == 1
    assert "Ask the PACS administrator why, then press Send again." in page
    assert "Call whoever runs the other side." in page
    assert "3 not delivered" in page


def test_what_is_tried_again_by_itself_asks_for_nothing(peopled, browser, done):
    peopled.send("Archive", LATER)
    page = browser.get("/way").text
    assert "3 objects wait for Archive." in page
    assert "Archive cannot be reached: connection refused." in page
    assert "Send again" not in page


def test_all_that_was_refused_for_one_reason_is_sent_again_together(peopled, browser, done):
    peopled.send("Archive", NEVER, limit=2)
    peopled.send("Archive", StoreOutcome(verdict="never", error_code="G504", text="no syntax"))
    browser.post("/way/again", {"destination": "Archive", "code": "G505"})
    counts = peopled.spool.deliveries.counts()["Archive"]
    assert counts == {DeliveryState.QUEUED: 2, DeliveryState.FAILED: 1}
    assert "forward" in peopled.rung
    assert "2 objects are sent again." in browser.get("/way").text


def test_one_object_is_sent_again_from_its_exam(peopled, browser, done):
    peopled.send("Archive", NEVER)
    failed = peopled.spool.deliveries.failed(9)[-1].delivery_id
    page = browser.get(f"/way/{done.exam_id}").text
    assert "SOP class not supported (status 0122)" in page
    answer = browser.post("/way/again", {"delivery": failed, "exam": done.exam_id})
    assert answer.location == f"/way/{done.exam_id}"
    assert peopled.spool.deliveries.counts()["Archive"][DeliveryState.FAILED] == 2


def test_sending_again_what_is_not_refused_is_an_error_in_words(peopled, browser, done):
    number = peopled.spool.deliveries.recent(1)[0].delivery_id
    answer = browser.post("/way/again", {"delivery": number})
    assert (answer.status_code, "is not possible now" in answer.text) == (409, True)


def test_an_exam_without_a_patient_says_that_it_waits(peopled, browser):
    step = peopled.start()
    peopled.capture(step)
    verbs.complete(peopled.spool, peopled.clock, step.exam_id)
    page = browser.get(f"/way/{step.exam_id}").text
    assert "The exam has no patient yet." in page
    assert "Its images wait here until you identify the patient." in page


def test_what_was_corrected_says_what_became_of_it_and_is_counted_once(peopled, browser, done):
    peopled.send("PACS")
    peopled.send("Archive", committed=True)
    assert "Correct the patient" in browser.get(f"/way/{done.exam_id}").text
    verbs.correct(peopled.spool, done.exam_id, patient=_patient(family="True"), operator="Ada")
    page = browser.get(f"/way/{done.exam_id}").text
    assert page.count("Sent for the wrong patient: a corrected copy and a note that rejects it follow.") == 3
    _correct(peopled, done)
    page = browser.get(f"/way/{done.exam_id}").text
    assert page.count("Corrected copy, in place of what was sent for the wrong patient.") == 3
    assert page.count("Rejected: every receiver is asked to hide it.") == 3
    assert "It waits until the corrected copies have arrived." in page
    assert "Note that rejects what was sent before" in page
    assert "4 here" in browser.get("/way").text
    assert "3 safe" not in browser.get("/way").text.split("<h2")[-1]


@pytest.fixture
def held(peopled):
    peopled.receive("CT_ROOM_2", UID, b"the first")
    peopled.receive("CT_ROOM_2", UID, b"another", variant=1)


@pytest.mark.parametrize(
    ("choice", "state", "said"),
    [
        ("deliver", DeliveryState.QUEUED, "It will be delivered."),
        ("keep", DeliveryState.CANCELLED, "It will not be delivered."),
    ],
)
def test_other_content_under_one_number_waits_for_a_person(peopled, browser, held, choice, state, said):
    deliveries = peopled.spool.deliveries
    assert {each.state for each in deliveries.of_payload(f"{UID}#1")} == {DeliveryState.HELD}
    assert "Two different objects have the same number." in browser.get("/way").text
    page = browser.get("/way/decide/0").text
    assert UID not in page.split("<form")[0]
    assert browser.post("/way/decide/0", {"payload": f"{UID}#1", "choice": choice}).location == "/way"
    assert {each.state for each in deliveries.of_payload(f"{UID}#1")} == {state}
    assert {each.state for each in deliveries.of_payload(UID)} == {DeliveryState.QUEUED}
    page = browser.get("/way").text
    assert said in page
    assert "Two different objects" not in page
    assert browser.get("/way/decide/0").status_code == 404


def test_each_measurement_object_is_called_by_what_was_measured(peopled, browser):
    step = peopled.start(Patient(patient_id="P1", name="Test^Ada"))
    peopled.measure(step, "sr", "len", "ar", "ker", "srf")
    page = browser.get(f"/way/{step.exam_id}").text
    for title in (
        "Measurement 1",
        "Lens measurement 1",
        "Autorefraction 1",
        "Keratometry 1",
        "Subjective refraction 1",
    ):
        assert title in page
    assert "Object" not in page


def test_what_other_equipment_sent_is_counted_by_its_sender(peopled, browser):
    for _ in range(3):
        peopled.receive("CT_ROOM_2")
    peopled.receive("XA_1")
    page = browser.get("/way").text
    assert [page.index(sender) < page.index("3 here") for sender in ("XA_1", "CT_ROOM_2")].count(True) >= 1
    assert "CT_ROOM_2" in page


def test_an_empty_box_says_that_nothing_is_on_the_way(browser):
    assert "Nothing was captured or received yet." in browser.get("/way").text


def _patient(family="Okonkwo"):
    return Patient(patient_id="N-1", name=f"{family}^Ada")


def _correct(world, step):
    """What the keeper does after a correction."""
    former = world.spool.instances.of_exam(step.exam_id)
    for number, each in enumerate(former):
        facts = {"replaces": each.sop_instance_uid, "capture": each.capture, "revision": 2, "kind": "image"}
        admit(world.spool, f"1.2.{number}", ("PACS",), hold=True, exam_id=step.exam_id, **facts)
    admit(world.spool, "1.3", ("PACS",), hold=True, exam_id=step.exam_id, kind="note", release_at_ns=0)
    world.spool.instances.rejected(former)


def _rewrite(world, instance):
    """What the keeper does after an identification."""
    data = f"{instance.sop_instance_uid} of Ada".encode()
    with world.spool.blobs.part() as part:
        part.write(data)
        blob, size = part.commit()
        world.spool.instances.revise(
            instance.sop_instance_uid, revision=1, blob=blob, size_bytes=size, data_digest=blob, what="identified"
        )
