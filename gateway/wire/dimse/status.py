"""The status of a C-STORE response to a verdict in words: accepted, later or never.

The tables are the program: every one of the 65,536 statuses falls into exactly one row, and what the standard does not
name is parked for a person, never thrown away. PS3.4 B.2.3 (Storage), PS3.7 annex C (classes of status).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.errors import GatewayError, NoPresentationContext, PeerError, PeerOutOfResources, PeerRefused, PeerRejected
from gateway.model import StoreOutcome


class Row(Struct, frozen=True):
    """The statuses `first` to `last`, and what they mean to a delivery."""

    first: int
    last: int
    verdict: Literal["accepted", "later", "never"]
    words: str
    error: type[PeerError] | None = None


# The first row that fits wins: single codes stand before the classes they belong to.
TABLE: tuple[Row, ...] = (
    Row(0x0000, 0x0000, "accepted", ""),
    Row(0x0001, 0x0001, "accepted", "stored; optional attributes are not supported"),
    Row(0x0107, 0x0107, "accepted", "stored; some attributes were not recognised"),
    Row(0x0110, 0x0110, "later", "it could not process the object", PeerError),
    Row(0x0111, 0x0111, "accepted", "it already had this object"),
    Row(0x0116, 0x0116, "accepted", "stored; an attribute's value is out of range"),
    Row(0x0117, 0x0117, "never", "the SOP Instance UID is not valid", PeerRejected),
    Row(0x0122, 0x0122, "never", "it does not support this SOP class", NoPresentationContext),
    Row(0x0124, 0x0124, "later", "we are not authorised to store there", PeerRefused),
    Row(0x0100, 0x01FF, "never", "the object failed there", PeerRejected),
    Row(0x0210, 0x0210, "later", "it believes that the message was sent twice", PeerError),
    Row(0x0211, 0x0211, "never", "it does not know how to store", PeerRejected),
    Row(0x0212, 0x0212, "never", "it found an argument of the wrong type", PeerRejected),
    Row(0x0213, 0x0213, "later", "it reached a limit", PeerOutOfResources),
    Row(0x0200, 0x02FF, "never", "the request failed there", PeerRejected),
    Row(0xA700, 0xA7FF, "later", "it is out of resources", PeerOutOfResources),
    Row(0xA900, 0xA9FF, "never", "the object does not match its SOP class", PeerRejected),
    Row(0xA000, 0xAFFF, "never", "it refused the object", PeerRejected),
    Row(0xB000, 0xB000, "accepted", "stored; it changed some elements"),
    Row(0xB006, 0xB006, "accepted", "stored; it discarded some elements"),
    Row(0xB007, 0xB007, "accepted", "stored; it finds that the object does not match its SOP class"),
    Row(0xB000, 0xBFFF, "accepted", "stored, with a remark"),
    Row(0xC000, 0xCFFF, "never", "it cannot understand the object", PeerRejected),
    Row(0xFE00, 0xFE00, "later", "it cancelled", PeerError),
    Row(0xFF00, 0xFF01, "later", "it says that it is still at work, and nothing more", PeerError),
    Row(0x0000, 0xFFFF, "never", "the standard does not know this status", PeerRejected),
)


def outcome(peer: str, status: int, comment: str = "") -> StoreOutcome:
    """Say what a status means; `comment` is the peer's Error Comment (0000,0902), quoted as it came.

    `peer` is its name. The text of an acceptance is a note, empty when there is nothing to remark.
    """
    row = next(row for row in TABLE if row.first <= status <= row.last)
    words = f"{row.words} ({comment})" if comment and row.words else row.words or comment
    if row.error is None:
        note = f"{words} [{status:04X}]" if status else words
        return StoreOutcome(verdict="accepted", text=note, status=status)
    problem = words if row.error in {PeerRejected, PeerOutOfResources} else f"{words} [{status:04X}]"
    error = row.error(peer=peer, status=f"{status:04X}", problem=problem)
    text = f"{error} {comment}".strip() if row.error is PeerOutOfResources else str(error)
    return StoreOutcome(verdict=row.verdict, error_code=error.code, text=text, status=status)


def failure(error: GatewayError) -> StoreOutcome:
    """Turn what was raised instead of a status into a verdict: the error itself says whether to try again."""
    verdict: Literal["later", "never"] = "never" if error.retry == "never" else "later"
    return StoreOutcome(verdict=verdict, error_code=error.code, text=str(error))
