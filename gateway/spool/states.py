"""A Delivery's state and an event to its next state: this table is the program, and docs/states.md is drawn from it.

A cell that is not here is a mistake of the caller (WrongState). Retry lives here and nowhere else: a sender tries once
and reports. After h11's `_state.py`: the table is data, and good and bad cells alike are tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gateway.errors import WrongState
from gateway.model import DeliveryState

HELD, QUEUED, SENDING, RELAYED, SENT, COMMITTED, FAILED, CANCELLED = DeliveryState


class Event(StrEnum):
    """What can happen to a Delivery."""

    CLAIM = "claim"
    """A sender takes it, and leaves its lease."""
    ACCEPT = "accept"
    """The destination has taken it."""
    RELAYED = "relayed"
    """A relay has taken it, and will report."""
    DEFER = "defer"
    """Not now: it is tried again, later and later."""
    REJECT = "reject"
    """Never, as it is: a person must look."""
    LEASE_LOST = "lease_lost"
    """The sender died with it, or hands it back untried."""
    COMMITTED = "committed"
    """The destination answers for its safety (storage commitment)."""
    COMMIT_FAILED = "commit_failed"
    """The destination will not answer for it: a person must look."""
    LOST = "lost"
    """The destination, or the relay, says that it does not have it: it is sent again."""
    HOLD = "hold"
    """A person, or a doubt, stops it before it leaves."""
    RELEASE = "release"
    """It may leave."""
    RETRY = "retry"
    """A person sends it again."""
    CANCEL = "cancel"
    """A named person gives it up."""


TABLE: Final[Mapping[tuple[DeliveryState, Event], DeliveryState]] = MappingProxyType(
    {
        (HELD, Event.RELEASE): QUEUED,
        (HELD, Event.CANCEL): CANCELLED,
        (QUEUED, Event.CLAIM): SENDING,
        (QUEUED, Event.HOLD): HELD,
        (QUEUED, Event.CANCEL): CANCELLED,
        (SENDING, Event.ACCEPT): SENT,
        (SENDING, Event.RELAYED): RELAYED,
        (SENDING, Event.DEFER): QUEUED,
        (SENDING, Event.REJECT): FAILED,
        (SENDING, Event.LEASE_LOST): QUEUED,
        (RELAYED, Event.ACCEPT): SENT,
        (RELAYED, Event.COMMITTED): COMMITTED,
        (RELAYED, Event.REJECT): FAILED,
        (RELAYED, Event.LOST): QUEUED,
        (RELAYED, Event.CANCEL): CANCELLED,
        (SENT, Event.COMMITTED): COMMITTED,
        (SENT, Event.COMMIT_FAILED): FAILED,
        (SENT, Event.LOST): QUEUED,
        (SENT, Event.RETRY): QUEUED,
        (COMMITTED, Event.LOST): QUEUED,
        (COMMITTED, Event.RETRY): QUEUED,
        (FAILED, Event.RETRY): QUEUED,
        (FAILED, Event.CANCEL): CANCELLED,
    }
)

OWED: Final = frozenset({HELD, QUEUED, SENDING, RELAYED, FAILED})
"""What holds its blob here, whatever the retention; SENT does too where commitment is required."""

MEANINGS: Final[Mapping[DeliveryState, str]] = MappingProxyType(
    {
        HELD: "waits: for its release, for a patient, or for a person's decision",
        QUEUED: "may leave, as soon as it is due and its destination answers",
        SENDING: "a living process has it on the wire",
        RELAYED: "a relay has it; its receipt is awaited",
        SENT: "the destination has accepted it",
        COMMITTED: "the destination answers for its safety",
        FAILED: "the destination refuses it as it is; a person must look",
        CANCELLED: "a named person gave it up; this is final",
    }
)


def is_owed(state: DeliveryState, *, is_commitment_required: bool) -> bool:
    """Say whether a Delivery in this state still holds its blob here (law 3)."""
    return state in OWED or (state is SENT and is_commitment_required)


def following(state: DeliveryState, event: Event) -> DeliveryState:
    """Return the next state; raise WrongState for a cell that the table does not have."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise WrongState(what="This delivery", state=state, event=event) from None


def as_markdown() -> str:
    """Draw the table for docs/states.md: states in words, every cell, and the picture."""
    return "\n".join([_HEAD, *_states(), "", "## Every cell", "", *_cells(), "", "## The picture", "", *_picture(), ""])


def _states() -> list[str]:
    rows = [f"| {state} | {meaning} | {_owed_in_words(state)} |" for state, meaning in MEANINGS.items()]
    return ["| state | it | owed |", "|---|---|---|", *rows]


def _owed_in_words(state: DeliveryState) -> str:
    if state is SENT:
        return "where commitment is required"
    return "yes" if state in OWED else "no"


def _cells() -> list[str]:
    head = "| event | " + " | ".join(DeliveryState) + " |"
    rows = [
        f"| `{event}` | " + " | ".join(str(TABLE.get((state, event), "")) for state in DeliveryState) + " |"
        for event in Event
    ]
    return [head, "|---" * (len(DeliveryState) + 1) + "|", *rows]


def _picture() -> list[str]:
    edges = [f"    {state} --> {following}: {event}" for (state, event), following in TABLE.items()]
    start = ["    [*] --> HELD: a capture", "    [*] --> QUEUED: a received object"]
    return ["```mermaid", "stateDiagram-v2", *start, *edges, "    CANCELLED --> [*]", "```"]


_HEAD = """# How a delivery stands

Drawn from the table in `gateway/spool/states.py` by `as_markdown()`; a test fails when this page is stale. A Delivery is
one obligation: this payload, to that destination. An empty cell is an error (`WrongState`). There is no limit of attempts:
a rural outage lasts weeks. What is owed keeps its object on this box, whatever the retention.
"""
