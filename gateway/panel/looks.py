"""What acquire says of a station, and what the spool says of its captures, to what the exam screen shows.

A picture is called live only while acquire answers in this boot: a frozen picture must never pass for a live one.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from gateway.model import Capture, CaptureKind, CaptureState, PerformedStep, Shown, Signal, StationStatus, StepStatus
from gateway.panel import measured, standing, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.spool import live, readings
from gateway.spool.instances import payload_of

STALE_NS = 3_000_000_000
"""Acquire says how it is about once a second."""
_ICONS = {
    CaptureKind.STILL: "capture",
    CaptureKind.CINE: "cine",
    CaptureKind.RETROSPECTIVE: "last",
    CaptureKind.TIME_LAPSE: "cine",
    CaptureKind.READING: "reading",
}


class Look(Struct, frozen=True, kw_only=True):
    """What stands on the stage."""

    is_live: bool = False
    sentence: str = ""
    """Why no picture is to be seen, or what is wrong with the one that is."""
    hint: str = ""
    who: str = ""
    signal: Signal | None = None
    """None: acquire does not answer."""
    picture: str = ""
    shows: Shown = Shown.PICTURE
    losses: int = 0
    """How often the picture went since acquire started."""
    missed: int = 0
    """Pictures that were dropped or came damaged since then."""
    is_recording: bool = False
    recording_time: str = ""


class Shot(Struct, frozen=True, kw_only=True):
    """One capture on the film."""

    number: int
    kind: str
    icon: str
    tone: str
    word: str
    shape: str = ""
    note: str = ""
    has_picture: bool = False
    reading: measured.Brief | None = None
    """What an instrument said, of a READING."""
    is_discarded: bool = False
    can_discard: bool = False
    can_reject: bool = False
    """It has been released: discarding it is final, and asked for once more."""
    can_undo: bool = False


def station(name: str) -> Look:
    """Say what arrives at a station."""
    status = live.read_status(box().site.run, name)
    if status is None or status.boot_id != box().clock.boot_id() or _age_ns(status) > STALE_NS:
        return Look(
            sentence=gettext("No live picture: the video program of %(station)s does not answer.", station=name),
            hint=gettext("It is started again by itself. If it stays so for a minute, call the engineer of this box."),
        )
    said = words.signal_words(status.signal, name, status.input)
    hint, who = said.hint, said.who
    if status.error_code and status.signal is not Signal.NO_SIGNAL:
        found = words.trouble(status.error_code, **status.error_facts)
        hint, who = words.together(found.sentence, found.hint), found.who
    is_live = status.signal is Signal.STREAMING
    if is_live and status.shows is not Shown.PICTURE:
        said = words.shown(status.shows)
        hint = said.hint
    return Look(
        is_live=is_live,
        sentence=said.sentence,
        hint=hint,
        who=who,
        signal=status.signal,
        picture=status.picture,
        shows=status.shows,
        losses=max(0, status.edges.get(Signal.STREAMING, 0) - is_live),
        missed=status.dropped + status.faulty,
    )


def exam(step: PerformedStep) -> Look:
    """Say what the exam screen shows: the picture, and the recording that the spool knows of."""
    seen = station(step.station)
    recording = next(
        (capture for capture in box().spool.captures.of_exam(step.exam_id) if _is_recording(capture)), None
    )
    if recording is None:
        return seen
    seconds = max(0, box().clock.monotonic_ns() - recording.started_ns) // 1_000_000_000
    return replace(seen, is_recording=True, recording_time=f"{seconds // 60}:{seconds % 60:02d}")


def film(step: PerformedStep) -> list[Shot]:
    """Return the captures of an exam, latest first."""
    return [_shot(step, capture) for capture in reversed(box().spool.captures.of_exam(step.exam_id))]


def _shot(step: PerformedStep, capture: Capture) -> Shot:
    tone, word, shape = _state(step, capture)
    is_running = step.status is StepStatus.IN_PROGRESS
    reading = brief_of(step, capture) if capture.kind is CaptureKind.READING else None
    return Shot(
        number=capture.number,
        kind=str(words.KINDS[capture.kind]),
        icon=_ICONS[capture.kind],
        tone=tone,
        word=word,
        shape=shape,
        note="; ".join(reading.doubts) if reading and reading.doubts else words.note(capture.note),
        reading=reading,
        has_picture=box().spool.thumbnail_path(step.exam_id, capture.number).exists(),
        is_discarded=capture.state is CaptureState.DISCARDED,
        can_discard=is_running and capture.state is CaptureState.HELD,
        can_reject=capture.state is CaptureState.RELEASED,
        can_undo=is_running and _can_undo(capture),
    )


def brief_of(step: PerformedStep, capture: Capture) -> measured.Brief | None:
    """Return what a reading says in short; None where it was not kept beside its objects."""
    found = readings.read(box().site.data, step.exam_id, capture.number)
    return measured.brief(found) if found else None


def _state(step: PerformedStep, capture: Capture) -> tuple[str, str, str]:
    """Return tone, word and shape."""
    match capture.state:
        case CaptureState.RECORDING:
            return "moving", gettext("Recording"), "record"
        case CaptureState.HELD:
            return "here", gettext("Kept"), ""
        case CaptureState.DISCARDED:
            return "off", gettext("Discarded"), "gone"
        case CaptureState.LOST:
            return "bad", gettext("Lost"), ""
        case CaptureState.RELEASED:
            where = _where(step, capture)
            return where, standing.word(where), ""


def _can_undo(capture: Capture) -> bool:
    is_discarded = capture.state is CaptureState.DISCARDED
    return is_discarded and not box().spool.captures.is_rejected(capture.exam_id, capture.number)


def _where(step: PerformedStep, capture: Capture) -> standing.Standing:
    spool = box().spool
    instances = spool.instances.of_capture(step.exam_id, capture.number)
    payloads = [payload_of(instance) for instance in instances if not instance.is_rejected]
    owed = [each for payload in payloads for each in spool.deliveries.of_payload(payload)]
    return standing.worst(standing.of(delivery, box().site) for delivery in owed)


def _is_recording(capture: Capture) -> bool:
    return capture.state is CaptureState.RECORDING and capture.kind in {CaptureKind.CINE, CaptureKind.TIME_LAPSE}


def _age_ns(status: StationStatus) -> int:
    return box().clock.monotonic_ns() - status.updated_ns
