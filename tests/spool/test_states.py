"""Every cell of the table, good and bad, on the table and through the spool."""

from itertools import product
from pathlib import Path

import pytest

from gateway.errors import WrongState
from gateway.model import DeliveryState, StoreOutcome
from gateway.spool import states
from gateway.spool.states import Event
from tests.spool.world import admit

# Written by hand, from HOUSE.md: what the table must say. Everything else must be refused.
GOOD = {
    "HELD": {"release": "QUEUED", "cancel": "CANCELLED"},
    "QUEUED": {"claim": "SENDING", "hold": "HELD", "cancel": "CANCELLED"},
    "SENDING": {"accept": "SENT", "relayed": "RELAYED", "defer": "QUEUED", "reject": "FAILED", "lease_lost": "QUEUED"},
    "RELAYED": {
        "accept": "SENT",
        "committed": "COMMITTED",
        "reject": "FAILED",
        "lost": "QUEUED",
        "cancel": "CANCELLED",
    },
    "SENT": {"committed": "COMMITTED", "commit_failed": "FAILED", "lost": "QUEUED", "retry": "QUEUED"},
    "COMMITTED": {"lost": "QUEUED", "retry": "QUEUED"},
    "FAILED": {"retry": "QUEUED", "cancel": "CANCELLED"},
    "CANCELLED": {},
}
CELLS = list(product(DeliveryState, Event))
ROAD = {
    "HELD": ["hold"],
    "QUEUED": [],
    "SENDING": ["claim"],
    "RELAYED": ["claim", "relayed"],
    "SENT": ["claim", "accept"],
    "COMMITTED": ["claim", "accept", "committed"],
    "FAILED": ["claim", "reject"],
    "CANCELLED": ["cancel"],
}


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_every_cell_of_the_table_is_as_the_house_says(state, event):
    expected = GOOD[state].get(event)
    if expected is None:
        with pytest.raises(WrongState):
            states.following(state, event)
    else:
        assert states.following(state, event) == expected


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One spool for all cells: each uses an object of its own."""
    from gateway.spool.spool import Spool
    from tests.spool.world import FakeClock

    with Spool.open(tmp_path_factory.mktemp("cells") / "data", FakeClock()) as spool:
        yield spool


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_the_spool_moves_a_delivery_as_the_table_says_and_no_other_way(shared, state, event):
    uid = f"1.{list(DeliveryState).index(state)}.{list(Event).index(event)}"
    admit(shared, uid, [uid])
    (delivery,) = shared.deliveries.of_payload(uid)
    for passed in ROAD[state]:
        _happen(shared, uid, delivery.delivery_id, passed)
    assert shared.deliveries.get(delivery.delivery_id).state == state
    before = shared.data_version()
    if event in GOOD[state]:
        _happen(shared, uid, delivery.delivery_id, event)
        assert shared.deliveries.get(delivery.delivery_id).state == GOOD[state][event]
    elif event == "claim":
        assert shared.deliveries.claim(uid, 10) == []
        assert shared.deliveries.get(delivery.delivery_id).state == state
    else:
        with pytest.raises(WrongState):
            shared.deliveries.apply(delivery.delivery_id, event)
        assert shared.deliveries.get(delivery.delivery_id).state == state
        assert shared.data_version() == before


def test_a_word_that_is_no_event_is_refused(shared):
    admit(shared, "9.9", ["d9"])
    (delivery,) = shared.deliveries.of_payload("9.9")
    for word in ("claim", "vanish", ""):
        with pytest.raises(WrongState):
            shared.deliveries.apply(delivery.delivery_id, word)


@pytest.mark.parametrize("state", DeliveryState)
@pytest.mark.parametrize("required", [True, False])
def test_what_is_owed_is_what_law_three_says(state, required):
    owed = state in {"HELD", "QUEUED", "SENDING", "RELAYED", "FAILED"} or (state == "SENT" and required)
    assert states.is_owed(state, is_commitment_required=required) is owed


def test_every_state_can_be_reached_and_left_but_the_last():
    assert {following for _, following in states.TABLE.items()} | {"HELD"} == set(DeliveryState)
    assert {state for state, _ in states.TABLE} == set(DeliveryState) - {DeliveryState.CANCELLED}


def test_the_page_of_states_is_drawn_from_the_table():
    page = Path(__file__).parents[2] / "docs" / "states.md"
    assert page.read_text(encoding="utf-8") == states.as_markdown(), "docs/states.md is stale"


def _happen(spool, destination, delivery_id, event):
    verdicts = {"accept": "accepted", "defer": "later", "reject": "never"}
    if event == "claim":
        assert [delivery.delivery_id for delivery in spool.deliveries.claim(destination, 10)] == [delivery_id]
    elif event in verdicts and spool.deliveries.get(delivery_id).state == "SENDING":
        assert spool.deliveries.settle([(delivery_id, StoreOutcome(verdict=verdicts[event]))]) == []
    else:
        spool.deliveries.apply(delivery_id, event)
