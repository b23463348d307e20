"""Values of the gateway to words a person reads, in the language of the page.

Names follow PS3.5 6.2 (PN): groups by `=`, components by `^`. Errors are said by their class's docstring, which is the key
of its translations; facts that another process has already put into an English sentence are read back out of it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Final

from babel.dates import format_skeleton
from flask_babel import format_date, format_decimal, format_time, get_locale, get_timezone, to_user_timezone
from msgspec import Struct

from gateway.errors import GatewayError, by_code
from gateway.model import (
    CaptureKind,
    Patient,
    PerformedStep,
    Request,
    RequestKind,
    RequestState,
    ScheduledStep,
    Shown,
    Signal,
    StepStatus,
)
from gateway.panel.language import current, gettext, lazy_gettext


class Trouble(Struct, frozen=True, kw_only=True):
    """What went wrong, what to do, and who must do it."""

    sentence: str
    hint: str = ""
    who: str = ""
    code: str = ""
    shape: str = "bad"


class Answer(Struct, frozen=True, kw_only=True):
    """What the panel says to a press."""

    tone: str
    sentence: str
    hint: str = ""
    who: str = ""


WHO: Final[Mapping[str, str]] = MappingProxyType(
    {
        "technologist": lazy_gettext("You can put this right yourself."),
        "engineer": lazy_gettext("Call the engineer of this box."),
        "peer": lazy_gettext("Call whoever runs the other side."),
        "us": lazy_gettext("Tell the makers of the gateway."),
    }
)
ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {"technologist": lazy_gettext("Technologist"), "engineer": lazy_gettext("Engineer")}
)
SEXES: Final[Mapping[str, str]] = MappingProxyType(
    {"F": lazy_gettext("Female"), "M": lazy_gettext("Male"), "O": lazy_gettext("Other"), "": lazy_gettext("Not stated")}
)
SIGNALS: Final[Mapping[Signal, tuple[str, str, str]]] = MappingProxyType(
    {
        Signal.ABSENT: (
            lazy_gettext("The video grabber %(station)s is not there."),
            lazy_gettext("Plug it in again. What was captured so far is kept."),
            "technologist",
        ),
        Signal.NO_CABLE: (
            lazy_gettext("No cable on %(input)s."),
            lazy_gettext("Plug the video cable in at both ends."),
            "technologist",
        ),
        Signal.NO_SIGNAL: (
            lazy_gettext("No signal on %(input)s: is the scanner on?"),
            lazy_gettext("If it is, look at the cable at both ends."),
            "technologist",
        ),
        Signal.NO_LOCK: (
            lazy_gettext("The signal on %(input)s is not steady."),
            lazy_gettext("Push the cable in at both ends, and wait a moment."),
            "technologist",
        ),
        Signal.OUT_OF_RANGE: (
            lazy_gettext("The scanner sends a picture on %(input)s that the grabber cannot take."),
            lazy_gettext("The modality profile names the formats, the scanner's menu chooses one."),
            "engineer",
        ),
        Signal.LOCKED: (lazy_gettext("The picture on %(input)s is starting."), "", ""),
        Signal.STREAMING: (lazy_gettext("A picture arrives on %(input)s."), "", ""),
    }
)
"""What is said, what to do, and who does it. `%(input)s` is the connector's own name ("HDMI 1") where the grabber has several."""
SHOWN: Final[Mapping[Shown, tuple[str, str]]] = MappingProxyType(
    {
        Shown.BLACK: (
            lazy_gettext("The picture is all black."),
            lazy_gettext("Wake the scanner's screen, and look at its brightness."),
        ),
        Shown.BLUE: (
            lazy_gettext("The picture is a blue screen, not the scanner's."),
            lazy_gettext("Switch the scanner on, and look at the cable between it and the converter."),
        ),
        Shown.COLOUR_BARS: (
            lazy_gettext("The picture is a test pattern."),
            lazy_gettext("Switch the scanner, or the converter, to its live picture."),
        ),
    }
)
KINDS: Final[Mapping[CaptureKind, str]] = MappingProxyType(
    {
        CaptureKind.STILL: lazy_gettext("Picture"),
        CaptureKind.CINE: lazy_gettext("Film"),
        CaptureKind.RETROSPECTIVE: lazy_gettext("Last seconds"),
        CaptureKind.TIME_LAPSE: lazy_gettext("Time-lapse"),
        CaptureKind.READING: lazy_gettext("Measurement"),
    }
)
REASONS: Final[tuple[tuple[str, str], ...]] = (
    # Meanings of CID 9300, Procedure Discontinuation Reasons (PS3.16); the English one is what is recorded.
    ("Patient refused to continue procedure", lazy_gettext("The patient refuses to go on")),
    ("Patient condition prevented continuing", lazy_gettext("The patient's condition does not allow it")),
    ("Patient taken for treatment or surgery", lazy_gettext("The patient was taken for treatment")),
    ("Patient did not arrive", lazy_gettext("The patient did not come")),
    ("Equipment failure", lazy_gettext("The equipment failed")),
    ("Incorrect worklist entry selected", lazy_gettext("The wrong patient was chosen")),
    ("Incorrect procedure ordered", lazy_gettext("The wrong exam was ordered")),
    ("Discontinued for unspecified reason", lazy_gettext("Another reason")),
)
PROBLEMS: Final[tuple[str, ...]] = (
    # What other rooms put into "{problem}", so that it has translations too.
    lazy_gettext("neither a worklist item nor a patient was given"),
    lazy_gettext("images of it have already left under the former name"),
    lazy_gettext("some of its images are no longer kept on this box"),
    lazy_gettext("only a named person may correct what has left"),
    lazy_gettext("its patient was corrected"),
    lazy_gettext("discarded"),
    lazy_gettext("rejected by a note"),
    lazy_gettext("waiting for the corrected copies"),
    lazy_gettext("this capture was not discarded"),
    lazy_gettext("the exam has ended, and its discards with it"),
    lazy_gettext("this capture had already left"),
    lazy_gettext("the box was restarted since"),
    lazy_gettext("that exam has ended"),
    lazy_gettext("the service that had taken it was stopped"),
    lazy_gettext("the power failed, or the gateway was stopped"),
    lazy_gettext("the gateway stumbled"),
    lazy_gettext("connection refused"),
    lazy_gettext("password"),
    lazy_gettext("name"),
    lazy_gettext("This account"),
    lazy_gettext("This capture"),
    lazy_gettext("This delivery"),
    lazy_gettext("This note"),
    lazy_gettext("This object"),
    lazy_gettext("This press"),
    lazy_gettext("This reading"),
    lazy_gettext("No exam was in progress."),
    lazy_gettext("It began before the exam did."),
    lazy_gettext("It came before the box was restarted."),
    lazy_gettext("the same values are in it already: this is a reprint"),
    lazy_gettext("the line had errors while it arrived"),
    lazy_gettext("when it was measured is not known, the clock was wrong"),
)
_NOTE = re.compile(
    r"(?:It ended early: (?P<early>.+?)\.)?(?: ?Pictures missed: (?P<missed>\d+)\.)?"
    r"(?: ?This box was too slow for (?P<slow>\d+) of them\.)?"
)
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def patient_name(patient: Patient | None) -> str:
    """Say a patient's name as it is spoken of, or that there is none yet."""
    if patient is None:
        return gettext("No patient yet")
    return person_name(patient.name) or gettext("No name stated")


def person_name(pn: str) -> str:
    """Write a PN value for a reader: ideographic group first where there is one, then the alphabetic one."""
    alphabetic, _, rest = pn.partition("=")
    ideographic = rest.partition("=")[0]
    names = [name for name in (_group(ideographic), _group(alphabetic)) if name]
    if len(names) > 1 and names[0] != names[1]:
        return f"{names[0]} ({names[1]})"
    return names[0] if names else ""


def _group(group: str) -> str:
    family, given, middle, prefix, suffix = (part.strip() for part in [*group.split("^"), *[""] * 5][:5])
    if _IDEOGRAPHS.search(group):
        return family + given + middle
    first = " ".join(part for part in (prefix, given, middle, suffix) if part)
    return ", ".join(part for part in (family, first) if part)


def birth_date(da: str) -> str:
    """Write a DA value in words; one that is no date is shown as it came."""
    day = _date(da)
    return format_date(day, "medium") if day else da


def step_time(step: ScheduledStep) -> str:
    """Write when a step is scheduled, which the RIS states in local time."""
    digits = step.scheduled_start_time.replace(":", "")
    with contextlib.suppress(ValueError):
        return f"{time(int(digits[:2]), int(digits[2:4] or 0)):%H:%M}"
    return "–"


def step_day(step: ScheduledStep) -> str:
    """Write the day a step is scheduled for."""
    day = _date(step.scheduled_start_date)
    return format_skeleton("MMMd", day, locale=get_locale()) if day else "–"


def step_words(step: ScheduledStep) -> str:
    """Return all that a search may match."""
    patient = step.patient
    return " ".join(
        [
            person_name(patient.name),
            patient.name,
            patient.patient_id,
            step.accession_number,
            step.scheduled_procedure_step_description,
            step.requested_procedure_description,
        ]
    )


def day_of(at: datetime) -> str:
    """Write the day of the week and the date at this box's place."""
    return str(format_skeleton("MMMEd", to_user_timezone(at), tzinfo=get_timezone(), locale=get_locale()))


def time_of(at: datetime) -> str:
    """Write a time of day at this box's place."""
    return str(format_time(at, "HH:mm"))


def moment(at: datetime, now: datetime) -> str:
    """Write a day and time at this box's place, as near as a person needs it."""
    local = to_user_timezone(at)
    if local.date() == to_user_timezone(now).date():
        return gettext("today, %(time)s", time=time_of(at))
    skeleton = "MMMd" if local.year == to_user_timezone(now).year else "yMMMd"
    day = format_skeleton(skeleton, local, tzinfo=get_timezone(), locale=get_locale())
    return gettext("%(date)s, %(time)s", date=day, time=time_of(at))


def size_word(size_bytes: int) -> str:
    """Write a size in the unit a person would choose."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{format_decimal(round(size_bytes / size, 1))} {unit}"
    return f"{size_bytes} B"


def sex_word(sex: str) -> str:
    """Write Patient's Sex."""
    return str(SEXES.get(sex, sex))


def role_word(role: str) -> str:
    """Write a role."""
    return str(ROLES.get(role, role))


def exam_word(exam: PerformedStep) -> str:
    """Say how an exam stands."""
    match exam.status:
        case StepStatus.IN_PROGRESS:
            return gettext("in progress")
        case StepStatus.COMPLETED:
            return gettext("completed")
        case StepStatus.DISCONTINUED:
            return gettext("discontinued")


def signal_words(signal: Signal, station: str, connector: str = "") -> Trouble:
    """Say what stands between the scanner's picture and us, what to do, and who does it."""
    sentence, hint, act = SIGNALS[signal]
    said = str(sentence) % {"station": station, "input": connector or station}
    return Trouble(sentence=said, hint=str(hint), who=str(WHO[act]) if act else "", shape="signal")


def shown(what: Shown) -> Trouble:
    """Say that a picture shows no patient, and what to do: for all but Shown.PICTURE."""
    sentence, hint = SHOWN[what]
    return Trouble(sentence=str(sentence), hint=str(hint), who="", shape="signal")


def press_answer(request: Request) -> Answer:
    """Say what became of a press."""
    if request.state is RequestState.MISSED:
        found = trouble(request.error_code, request.error_text)
        return Answer(tone="bad", sentence=found.sentence, hint=found.hint, who=found.who)
    if request.state is not RequestState.DONE:
        return Answer(
            tone="care",
            sentence=gettext("Not saved yet."),
            hint=gettext("The gateway has not answered the press so far. Look at the captures before you press again."),
        )
    if request.kind in {RequestKind.CINE_START, RequestKind.TIME_LAPSE_START}:
        return Answer(tone="moving", sentence=gettext("Recording."))
    return Answer(tone="safe", sentence=_saved(request))


def _saved(request: Request) -> str:
    number = request.capture or 0
    match request.kind:
        case RequestKind.STILL:
            return gettext("Saved: picture %(number)d.", number=number)
        case RequestKind.RETROSPECTIVE:
            return gettext("Saved: the last seconds, capture %(number)d.", number=number)
        case _:
            return gettext("Saved: recording, capture %(number)d.", number=number)


def trouble_of(error: GatewayError) -> Trouble:
    """Say an error that was raised here."""
    return _trouble(type(error), error.facts)


def trouble(code: str, text: str = "", **facts: str) -> Trouble:
    """Say an error of which only the code and its English sentence, or a peer's own words, came to us."""
    cls = by_code().get(code, GatewayError)
    return _trouble(cls, {"problem": text, **facts, **_facts_in(cls, text)})


def said(text: str) -> Trouble:
    """Say what another process has said in English: an error's own sentence with what to do, or a sentence as it is."""
    found = [(cls, facts) for cls in by_code().values() if (facts := _facts_in(cls, text))]
    if not found:
        return Trouble(sentence=in_this_language(text), shape="care")
    return _trouble(*min(found, key=lambda match: sum(map(len, match[1].values()))))


def together(*sentences: str) -> str:
    """Put sentences after one another: Chinese leaves no space behind its full stop."""
    return ("" if current() == "zh" else " ").join(sentence for sentence in sentences if sentence)


def in_this_language(text: str) -> str:
    """Return the translation of a sentence that stands in the source of another room, or the sentence itself."""
    return gettext(text) if text else ""


def note(text: str) -> str:
    """Say what became of a recording, as acquire wrote it beside the capture, in the language of the page."""
    found = _NOTE.fullmatch(text)
    if not found:
        return in_this_language(text)
    sentences = []
    if found["early"]:
        sentences.append(gettext("It ended early: %(why)s", why=_why(found["early"])))
    if found["missed"]:
        sentences.append(gettext("Pictures missed: %(number)s.", number=found["missed"]))
    if found["slow"]:
        sentences.append(gettext("This box was too slow for %(number)s of them.", number=found["slow"]))
    return together(*sentences)


def _why(reason: str) -> str:
    """Say the reason itself: an error's own sentence, or one of ours."""
    for cls in by_code().values():
        if facts := _facts_in(cls, f"{reason}."):
            return _trouble(cls, facts).sentence
    return gettext("%(reason)s.", reason=in_this_language(reason))


def _trouble(cls: type[GatewayError], facts: Mapping[str, str]) -> Trouble:
    said = {key: in_this_language(value) for key, value in facts.items()}
    sentence = re.sub(r"\{(\w+)\}", lambda name: said.get(name[1]) or "…", gettext(cls.sentence()))
    return Trouble(sentence=sentence, hint=gettext(cls.hint), who=str(WHO[cls.act]), code=cls.code)


def _facts_in(cls: type[GatewayError], text: str) -> dict[str, str]:
    """Read the facts back out of a sentence that this class has made."""
    parts = re.split(r"\{(\w+)\}", cls.sentence())
    seen: set[str] = set()
    pattern = ""
    for number, part in enumerate(parts):
        if number % 2 == 0:
            pattern += re.escape(part)
        elif part in seen:
            pattern += f"(?P={part})"
        else:
            seen.add(part)
            pattern += f"(?P<{part}>.*?)"
    found = re.fullmatch(pattern, text, re.DOTALL)
    return found.groupdict() if found else {}


def _date(da: str) -> date | None:
    try:
        return datetime.strptime(da, "%Y%m%d").date()  # noqa: DTZ007  a calendar day, not an instant
    except ValueError:
        return None
