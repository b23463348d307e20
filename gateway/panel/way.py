"""Deliveries to plain words: here, on the way, safe; what failed, what to do and who; and what a person must decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from msgspec import Struct
from werkzeug.wrappers import Response

from gateway.model import (
    CaptureKind,
    CaptureState,
    Delivery,
    DeliveryState,
    Instance,
    PayloadKind,
    PerformedStep,
    ReadingSet,
)
from gateway.panel import guard, measured, standing, words
from gateway.panel.box import box
from gateway.panel.language import gettext, lazy_gettext, ngettext
from gateway.panel.words import Trouble
from gateway.spool import readings
from gateway.spool.instances import payload_of

views = Blueprint("way", __name__, url_prefix="/way")
_EXAMS = 25
_LOOKED_AT = 500
_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image": lazy_gettext("Picture %(number)d"),
        "note": lazy_gettext("Note that rejects what was sent before"),
        "sr": lazy_gettext("Measurement %(number)d"),
        "len": lazy_gettext("Lens measurement %(number)d"),
        "ar": lazy_gettext("Autorefraction %(number)d"),
        "ker": lazy_gettext("Keratometry %(number)d"),
        "srf": lazy_gettext("Subjective refraction %(number)d"),
        "va": lazy_gettext("Visual acuity %(number)d"),
        "ecg": lazy_gettext("Electrocardiogram %(number)d"),
        "hd": lazy_gettext("Pressure curves %(number)d"),
        "resp": lazy_gettext("Breathing curves %(number)d"),
        "doc": lazy_gettext("Drawn page %(number)d"),
    }
)
_ANY: Final = lazy_gettext("Object %(number)d")


class Problem(Struct, frozen=True, kw_only=True):
    """One reason for which one destination did not take things."""

    title: str
    trouble: Trouble
    destination: str
    code: str


class Waiting(Struct, frozen=True, kw_only=True):
    """What is tried again by itself, and why it did not go yet."""

    title: str
    hint: str


class Hold(Struct, frozen=True):
    """One object that waits for a person, by its place in the list: a UID has no place in an address."""

    number: int
    instance: Instance


class ExamRow(Struct, frozen=True, kw_only=True):
    """One exam and its counts."""

    exam: PerformedStep
    here: int
    moving: int
    safe: int
    bad: int


class SenderRow(Struct, frozen=True, kw_only=True):
    """One piece of equipment that sends to us, and the counts of what it sent lately."""

    sender: str
    here: int
    moving: int
    safe: int
    bad: int


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """One object's way to one destination."""

    destination: str
    tone: str
    word: str
    shape: str
    note: str
    trouble: Trouble | None
    words: str


class ObjectRow(Struct, frozen=True, kw_only=True):
    """One object and its ways."""

    title: str
    mark: str
    """What a correction means for it; empty for most."""
    deliveries: list[DeliveryRow]
    failed: list[int]
    capture: int
    reading: measured.Brief | None
    """What it says, of a measurement."""
    can_reject: bool
    """It is the first object of a capture that has been released: it can still be discarded, for good."""


@views.get("")
def screen() -> str:
    """Show where everything is."""
    site, deliveries = box().site, box().spool.deliveries
    totals = standing.total(
        standing.tally_counts(counts, is_commitment_required=standing.is_commitment_required(site, name))
        for name, counts in deliveries.counts().items()
    )
    return render_template(
        "way.html",
        totals=totals,
        problems=problems(deliveries.failed(_LOOKED_AT)),
        waits=waits(deliveries.recent(_LOOKED_AT)),
        holds=[Hold(number, instance) for number, instance in enumerate(box().spool.instances.held())],
        exams=[_exam_row(exam) for exam in box().spool.exams.recent(_EXAMS)],
        received=_senders(),
    )


@views.get("/<uuid:exam_id>")
def one(exam_id: UUID) -> str:
    """Show where each object of an exam is."""
    exam = box().spool.exams.get(exam_id)
    return render_template("way_exam.html", exam=exam, objects=_objects(exam_id))


@views.post("/again")
def again() -> Response:
    """Send again: some deliveries by number, or all that one destination refused for one reason."""
    deliveries = box().spool.deliveries
    numbers = [int(number) for number in request.form.getlist("delivery") if number.isdecimal()] or [
        delivery.delivery_id
        for delivery in deliveries.failed(_LOOKED_AT)
        if delivery.destination == request.form.get("destination")
        and delivery.error_code == request.form.get("code", "")
    ]
    for number in numbers:
        deliveries.apply(number, "retry", by=guard.operator())
    box().ring("forward")
    flash(ngettext("%(num)d object is sent again.", "%(num)d objects are sent again.", len(numbers)), "moving")
    exam_id = request.form.get("exam")
    return redirect(url_for("way.one", exam_id=UUID(exam_id)) if exam_id else url_for("way.screen"), 303)


@views.get("/decide/<int:number>")
def decide(number: int) -> str:
    """Show two objects that have one number, side by side."""
    held = box().spool.instances.held()
    if number >= len(held):
        abort(404)
    second = held[number]
    first = next((each for each in box().spool.instances.same_uid(second.sop_instance_uid) if not each.variant), None)
    return render_template("decide.html", held=second, first=first, payload=payload_of(second))


@views.post("/decide/<int:number>")
def decided(**_: int) -> Response:
    """Do what a person decided; by the object itself, for the list may have moved meanwhile."""
    is_delivered = request.form.get("choice") == "deliver"
    box().spool.instances.decide(request.form.get("payload", ""), deliver=is_delivered, by=guard.operator())
    box().ring("forward")
    flash(gettext("It will be delivered.") if is_delivered else gettext("It will not be delivered."), "safe")
    return redirect(url_for("way.screen"), 303)


def problems(failed: Iterable[Delivery]) -> list[Problem]:
    """Group what was refused by destination and reason, so that one outage is one problem."""
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in failed:
        groups.setdefault((delivery.destination, delivery.error_code), []).append(delivery)
    return [
        Problem(
            title=ngettext(
                "%(num)d object was not delivered to %(destination)s.",
                "%(num)d objects were not delivered to %(destination)s.",
                len(group),
                destination=destination,
            ),
            trouble=trouble_of(group[0]),
            destination=destination,
            code=code,
        )
        for (destination, code), group in groups.items()
    ]


def waits(recent: Iterable[Delivery]) -> list[Waiting]:
    """Say what is tried again by itself, one row a destination."""
    groups: dict[str, list[Delivery]] = {}
    for delivery in recent:
        if delivery.state is DeliveryState.QUEUED and delivery.error_code:
            groups.setdefault(delivery.destination, []).append(delivery)
    return [
        Waiting(
            title=ngettext(
                "%(num)d object waits for %(destination)s.",
                "%(num)d objects wait for %(destination)s.",
                len(group),
                destination=destination,
            ),
            hint=words.together(
                trouble_of(group[0]).sentence, gettext("The gateway tries again by itself; nothing is lost.")
            ),
        )
        for destination, group in groups.items()
    ]


def trouble_of(delivery: Delivery) -> Trouble:
    """Say why a delivery did not succeed."""
    return words.trouble(delivery.error_code, delivery.error_text, peer=delivery.destination)


def _exam_row(exam: PerformedStep) -> ExamRow:
    rejected = _rejected(exam) if exam.corrected else frozenset()
    owed = _objects_of(box().spool.deliveries.of_exam(exam.exam_id))
    counted = standing.tally([each for each in owed if each.payload not in rejected], box().site)
    return ExamRow(exam=exam, here=counted.here, moving=counted.moving, safe=counted.safe, bad=counted.bad)


def _rejected(exam: PerformedStep) -> frozenset[str]:
    """Name what a corrected copy has taken the place of: it is not counted twice."""
    instances = box().spool.instances.of_exam(exam.exam_id)
    return frozenset(payload_of(instance) for instance in instances if instance.is_rejected)


def _senders() -> list[SenderRow]:
    owed: dict[str, list[Delivery]] = {}
    for instance in box().spool.instances.received(_LOOKED_AT):
        owed.setdefault(instance.received_from, []).extend(
            _objects_of(box().spool.deliveries.of_payload(payload_of(instance)))
        )
    counted = {sender: standing.tally(deliveries, box().site) for sender, deliveries in owed.items()}
    return [
        SenderRow(sender=sender, here=each.here, moving=each.moving, safe=each.safe, bad=each.bad)
        for sender, each in counted.items()
    ]


def _objects_of(deliveries: Iterable[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if delivery.kind is PayloadKind.STORE]


def _objects(exam_id: UUID) -> list[ObjectRow]:
    owed: dict[str, list[Delivery]] = {}
    for delivery in _objects_of(box().spool.deliveries.of_exam(exam_id)):
        owed.setdefault(delivery.payload, []).append(delivery)
    captures = box().spool.captures.of_exam(exam_id)
    released = {capture.number for capture in captures if capture.state is CaptureState.RELEASED}
    measuring = [capture.number for capture in captures if capture.kind is CaptureKind.READING]
    said = {number: readings.read(box().site.data, exam_id, number) for number in measuring}
    wrong = {payload_of(instance) for instance in box().spool.instances.uncorrected(exam_id, is_damaged_too=True)}
    return [
        _object_row(
            instance,
            owed.get(payload_of(instance), []),
            mark=_mark(instance, owed.get(payload_of(instance), []), is_wrong=payload_of(instance) in wrong),
            said=said.get(instance.capture),
            can_reject=_is_first_of(instance, released),
        )
        for instance in box().spool.instances.of_exam(exam_id)
    ]


def _is_first_of(instance: Instance, captures: set[int]) -> bool:
    return instance.capture in captures and instance.segment == 0 and not instance.is_rejected


def _mark(instance: Instance, deliveries: list[Delivery], *, is_wrong: bool) -> str:
    """Say what is rejected, what takes its place, and what a note waits for."""
    if is_wrong:
        return gettext("Sent for the wrong patient: a corrected copy and a note that rejects it follow.")
    if instance.is_rejected:
        return gettext("Rejected: every receiver is asked to hide it.")
    if instance.replaces:
        return gettext("Corrected copy, in place of what was sent for the wrong patient.")
    if instance.kind == "note" and any(delivery.state is DeliveryState.HELD for delivery in deliveries):
        return gettext("It waits until the corrected copies have arrived.")
    return ""


def _object_row(
    instance: Instance, deliveries: list[Delivery], *, mark: str, said: ReadingSet | None, can_reject: bool
) -> ObjectRow:
    return ObjectRow(
        title=_title(instance),
        mark=mark,
        deliveries=[_delivery_row(delivery) for delivery in deliveries],
        failed=[delivery.delivery_id for delivery in deliveries if delivery.state is DeliveryState.FAILED],
        capture=instance.capture,
        reading=measured.of_object(said, instance.kind) if said else None,
        can_reject=can_reject,
    )


def _title(instance: Instance) -> str:
    if instance.kind == "cine":
        return ngettext(
            "Recording %(number)d, %(num)d frame",
            "Recording %(number)d, %(num)d frames",
            instance.frame_count,
            number=instance.capture,
        )
    return str(_TITLES.get(instance.kind, _ANY)) % {"number": instance.capture}


def _delivery_row(delivery: Delivery) -> DeliveryRow:
    where = standing.of(delivery, box().site)
    has_trouble = bool(delivery.error_code)
    return DeliveryRow(
        destination=delivery.destination,
        tone=where,
        word=standing.word(where),
        shape="gone" if where == "off" else "",
        note=words.in_this_language(delivery.note),
        trouble=trouble_of(delivery) if has_trouble else None,
        words=delivery.error_text if has_trouble else "",
    )
