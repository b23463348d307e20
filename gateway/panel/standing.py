"""Deliveries to the three states a technologist needs: here, on the way, safe; and what a person must look at.

Safe is said only of what arrived: SENT where the destination need not answer for it, COMMITTED where it must (law 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from gateway.config import Site
from gateway.model import Delivery, DeliveryState
from gateway.panel.language import gettext

Standing = Literal["bad", "here", "moving", "safe", "off"]
_WORST_FIRST: tuple[Standing, ...] = ("bad", "here", "moving", "safe", "off")


class Tally(Struct, frozen=True):
    """How many stand where."""

    here: int = 0
    moving: int = 0
    safe: int = 0
    bad: int = 0


def standing(state: DeliveryState, *, is_commitment_required: bool) -> Standing:
    """Say where one delivery stands."""
    match state:
        case DeliveryState.HELD | DeliveryState.QUEUED:
            return "here"
        case DeliveryState.SENDING | DeliveryState.RELAYED:
            return "moving"
        case DeliveryState.SENT:
            return "moving" if is_commitment_required else "safe"
        case DeliveryState.COMMITTED:
            return "safe"
        case DeliveryState.FAILED:
            return "bad"
        case DeliveryState.CANCELLED:
            return "off"


def of(delivery: Delivery, site: Site) -> Standing:
    """Say where one delivery stands, by what its destination must promise."""
    return standing(delivery.state, is_commitment_required=is_commitment_required(site, delivery.destination))


def is_commitment_required(site: Site, destination: str) -> bool:
    """Say whether a destination must answer for what it took; one that is no longer configured need not."""
    known = site.destination.get(destination)
    return known is not None and known.is_commitment_required


def word(where: Standing) -> str:
    """Say it in plain words."""
    match where:
        case "here":
            return gettext("Here")
        case "moving":
            return gettext("On the way")
        case "safe":
            return gettext("Safe")
        case "bad":
            return gettext("Not delivered")
        case "off":
            return gettext("Given up")


def worst(places: Iterable[Standing]) -> Standing:
    """Return where an object stands that has several deliveries: where the one stands that is farthest from safe."""
    found = set(places)
    return next((place for place in _WORST_FIRST if place in found), "here")


def tally(deliveries: Iterable[Delivery], site: Site) -> Tally:
    """Count objects by where they stand."""
    places: dict[str, list[Standing]] = {}
    for delivery in deliveries:
        places.setdefault(delivery.payload, []).append(of(delivery, site))
    return _tally(worst(each) for each in places.values())


def tally_counts(counts: Mapping[DeliveryState, int], *, is_commitment_required: bool) -> Tally:
    """Count the deliveries of one destination by where they stand."""
    numbers = dict.fromkeys(_WORST_FIRST, 0)
    for state, number in counts.items():
        numbers[standing(state, is_commitment_required=is_commitment_required)] += number
    return Tally(numbers["here"], numbers["moving"], numbers["safe"], numbers["bad"])


def total(tallies: Iterable[Tally]) -> Tally:
    """Add tallies up."""
    every = list(tallies)
    return Tally(
        sum(each.here for each in every),
        sum(each.moving for each in every),
        sum(each.safe for each in every),
        sum(each.bad for each in every),
    )


def _tally(places: Iterable[Standing]) -> Tally:
    every = list(places)
    return Tally(every.count("here"), every.count("moving"), every.count("safe"), every.count("bad"))
