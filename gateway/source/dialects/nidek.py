"""NIDEK refractors, autorefractors, lensmeters and tonometers: both forms of their messages to Observations.

The block form (LM, AR/ARK, NT, TONOREF): `SOH DLM STX` and segments that end with ETB, then EOT and a checksum; the blocks
DRM, DKM and DNT may stand in one message. The print form (RT-5100): `SOH NIDEK RT-5100 ID...` and records `STX ... CR`, then
EOT. The instrument's own patient number and date are not used: they are often empty or wrong, and the exam in progress
says who it is.

Sources. RT-5100 RS-232C Interface Manual MRT10*RTZ001J/E, chapters 3 and 4 (print form). LM-1000/1000P/1200 RS-232C
Interface Manual 31001*RTZ001E/E, pages 8, 22 and 25 (DLM). ARK-510A/530A Interface Manual XRK8A*RTZ001B/E, chapter 2 (DRM).
The segments of DRM, DKM and DNT, and that the first of several measurements is the one to take: published drivers of the
TONOREF II and NT-510. Not read, as nothing public says how: night data (sources lm, rm, rt in lower case), wavefront data
(WF), the binocular tests of the RT, pachymetry (DPM), the NT-3000's form without AV, prisms stated as power and angle, and
how an instrument is asked to send a damaged message again.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct, structs

from gateway import codes
from gateway.errors import UnreadableRecord
from gateway.model import Code, MeasurementKind, Observation
from gateway.source.dialects.said import Said
from gateway.wire.records import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.profile import Chart, InstrumentProfile
    from gateway.wire.records import Record

Side = Literal["", "R", "L", "B"]
Found = tuple[Code, str, Code | None]
"""A concept, its value as stated, and its unit."""

SOH: Final = "\x01"
STX: Final = "\x02"
ETB: Final = "\x17"
EOT: Final = "\x04"


class Nidek:
    """One NIDEK instrument."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """`profile` says whether messages carry a checksum, and whether the instrument asks before it sends."""
        self.framing = Messages(has_checksum=profile.checksum != "none")
        self._needs_checksum = profile.checksum == "required"
        self._clear_to_send = profile.clear_to_send
        self._chart = tuple(_chart(profile.chart))
        self._answer = b""

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a message says. Raises UnreadableRecord for a damaged one, and for one without any value."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        text = record.data.decode("ascii", errors="replace").replace("\n", "")
        if text.startswith(f"{SOH}C"):
            return self._asked(text)
        if text.startswith(f"{SOH}NIDEK "):
            said = _printed(text)
        elif self._needs_checksum and not record.is_checked:
            raise UnreadableRecord(problem="it has no checksum")
        else:
            said = _blocks(text.replace("\r", ""))
        if not said.observations:
            raise UnreadableRecord(problem="no value was found in it")
        stated = _tested(said.observations, self._chart)
        stamped = (structs.replace(one, raw=record.data, received_ns=received_ns) for one in stated)
        return structs.replace(said, observations=tuple(stamped), is_end=True)

    def _asked(self, text: str) -> Said:
        """A command: RS asks whether it may send; SD is the answer (LM-1000 manual, communication procedure)."""
        if not self._clear_to_send or f"{STX}RS{ETB}" not in text:
            return Said(unread=1)
        self._answer = f"{SOH}{self._clear_to_send}{STX}SD{ETB}{EOT}\r".encode("ascii")
        return Said()

    def answer(self) -> bytes:
        """Return the command that an instrument waits for which asked to send, once."""
        answer, self._answer = self._answer, b""
        return answer

    def due(self, now_ns: int) -> bytes:
        """Return nothing: it speaks unasked."""
        return b""


def _chart(chart: Chart | None) -> Iterator[Observation]:
    """What the profile says of the chart, as if the instrument had said so."""
    if chart is not None:
        found = (
            (codes.OPTOTYPE, chart.optotype),
            (codes.OPTOTYPE_DEFINITION, chart.definition),
            (codes.OPTOTYPE_PRESENTATION, chart.presentation),
            (codes.CHART_BACKGROUND, chart.background),
            (codes.VIEWING_DISTANCE, chart.viewing_distance),
        )
        yield from (
            Observation(concept=concept, value=value, part_of=MeasurementKind.ACUITY)
            for concept, value in found
            if value
        )


def _tested(observations: tuple[Observation, ...], chart: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """Acuities become a measurement of their own once the chart is known."""
    if not chart or not any(one.concept in codes.ACUITIES for one in observations):
        return observations
    kinds = (MeasurementKind.ACUITY if one.concept in codes.ACUITIES else one.part_of for one in observations)
    return (*(structs.replace(one, part_of=kind) for one, kind in zip(observations, kinds, strict=True)), *chart)


# ---- values: what each may be, and how it is written ----

_BOUNDS: Final[dict[Code, tuple[str, str]]] = {
    codes.SPHERE: ("-30", "30"),
    codes.CYLINDER: ("-15", "15"),
    codes.AXIS: ("0", "180"),
    codes.ADD: ("0", "10"),
    codes.SECOND_ADD: ("0", "10"),
    codes.NEAR_SPHERE: ("-30", "40"),
    codes.SECOND_NEAR_SPHERE: ("-30", "40"),
    codes.HORIZONTAL_PRISM: ("0", "25"),
    codes.VERTICAL_PRISM: ("0", "25"),
    codes.DISTANCE_PD: ("30", "90"),
    codes.NEAR_PD: ("30", "90"),
    codes.VERTEX_DISTANCE: ("0", "20"),
    codes.RADIUS_1: ("5", "12"),
    codes.RADIUS_2: ("5", "12"),
    codes.POWER_1: ("28", "68"),
    codes.POWER_2: ("28", "68"),
    codes.MERIDIAN_1: ("0", "180"),
}
_PRESSURES: Final = {codes.MMHG: ("1", "80"), codes.KILOPASCAL: ("0.1", "10.7")}
_BASES: Final = {"I": "IN", "O": "OUT", "U": "UP", "D": "DOWN"}
_DIOPTRES: Final = r"[-+ ][ \d]\d\.\d\d"
_AXIS: Final = r"(  \d| \d\d|\d\d\d)"
_SCA: Final = re.compile(rf"({_DIOPTRES})({_DIOPTRES}){_AXIS}", re.ASCII)
_KERATOMETRY: Final = re.compile(rf"([ \d]\d\.\d\d)([ \d]\d\.\d\d){_AXIS}", re.ASCII)


def _number(stated: str) -> str:
    """Return a number without spaces, a plus or leading zeros: "- 1.25" is -1.25, " 0.00" is 0.00."""
    number = Decimal(stated.replace(" ", "") or "0")
    return format(abs(number) if number.is_zero() else number, "f")


def _doubts(concept: Code, value: str, unit: Code | None) -> tuple[str, ...]:
    low, high = _BOUNDS.get(concept) or (_PRESSURES.get(unit, ("", "")) if unit else ("", ""))
    if low and Decimal(value) < Decimal(low):
        return (f"it is below {low}",)
    if high and Decimal(value) > Decimal(high):
        return (f"it is above {high}",)
    return ()


def _observations(found: list[Found], side: Side, part_of: MeasurementKind | None) -> list[Observation]:
    return [
        Observation(
            concept=concept,
            value=value,
            unit=unit,
            laterality=side,
            part_of=part_of,
            doubts=_doubts(concept, value, unit) if unit else (),
        )
        for concept, value, unit in found
    ]


def _sca(text: str) -> list[Found]:
    """Sphere, cylinder and axis, 6 + 6 + 3 characters. Axis 0 of a cylinder is what others call 180."""
    match = _SCA.match(text)
    if match is None:
        return []
    sphere, cylinder, axis = (_number(group) for group in match.groups())
    if axis == "0" and Decimal(cylinder):
        axis = "180"
    return [
        (codes.SPHERE, sphere, codes.DIOPTRE),
        (codes.CYLINDER, cylinder, codes.DIOPTRE),
        (codes.AXIS, axis, codes.DEGREE),
    ]


def _cornea(text: str, *, is_power: bool) -> list[Found]:
    """Two radii in mm, or two powers in dioptres, and the axis of the first: 5 + 5 + 3 characters."""
    match = _KERATOMETRY.match(text)
    if match is None:
        return []
    first, second, axis = (_number(group) for group in match.groups())
    concepts, unit = (
        ((codes.POWER_1, codes.POWER_2), codes.DIOPTRE)
        if is_power
        else ((codes.RADIUS_1, codes.RADIUS_2), codes.MILLIMETRE)
    )
    return [(concepts[0], first, unit), (concepts[1], second, unit), (codes.MERIDIAN_1, axis, codes.DEGREE)]


# ---- the block form ----


def _blocks(text: str) -> Said:
    """Read every block of a message whose carriage returns are gone."""
    observations: list[Observation] = []
    model, unread = "", 0
    for block in text.rstrip(EOT).split(SOH):
        header, _, body = block.partition(STX)
        segments = [segment for segment in body.split(ETB) if segment]
        for segment in segments:
            if segment.startswith("IDNIDEK/"):
                model = segment.removeprefix("IDNIDEK/").strip()
        reader = _Block(header)
        unread += sum(not reader.read(segment) for segment in segments if segment[:2] not in _IDENTITY)
        observations += reader.observations()
    return Said(observations=tuple(observations), model_name=model, unread=unread)


_IDENTITY: Final = frozenset({"ID", "NO", "IP", "DA"})
"""Model, print number, patient and date of the instrument: not measurements."""

_FIRST: Final = re.compile(r" ([ RL])(.*)", re.ASCII)
_OBJECTIVE: Final = re.compile(r"O([RL])(.*)", re.ASCII)
_LENS_ADD: Final = re.compile(r"A([RL ]?)(\d\d\.\d\d)", re.ASCII)
_LENS_NEAR: Final = re.compile(r"N([RL ]?)([-+ ]\d\d\.\d\d)", re.ASCII)
_LENS_PRISM: Final = re.compile(r"P([RL ]?)(\d\d\.\d\d)([IOUD])", re.ASCII)
_LENS_SECOND: Final = re.compile(r"([-+ ]?)(\d\d\.\d\d)", re.ASCII)
_VERTEX: Final = re.compile(r"VD ?(\d\d\.\d\d|\d\d\.\d|\d\d)", re.ASCII)
_DISTANCES: Final = re.compile(r"PD(\d\d\.\d)(?:[ \d.]{8})?|PD(\d\d)(?:[ \d]{4}(\d\d)?)?", re.ASCII)
_DIOPTRE_SEGMENT: Final = re.compile(r"D([RL])(.*)", re.ASCII)
_PRESSURE: Final = re.compile(r" ?([RL])\d\d.*AV ?(\d{1,2}(?:\.\d)?)/ ?\d{1,2}\.\d{1,2}", re.ASCII)


class _Block:
    """One block, segment by segment. Of several measurements of an eye the first counts: it is the instrument's choice."""

    def __init__(self, header: str) -> None:
        self._observations: list[Observation] = []
        self._counts: dict[tuple[Code, Side], int] = {}
        self._last: tuple[Code, Side] | None = None
        readers: dict[str, Callable[[str], bool]] = {
            "DLM": self._lens,
            "DRM": self._objective,
            "DKM": self._cornea,
            "DNT": self._pressure,
        }
        self.read: Callable[[str], bool] = readers.get(header, _is_unread)

    def observations(self) -> Iterator[Observation]:
        """Yield what was read; where there were several, the first says so."""
        for one in self._observations:
            count = self._counts[one.concept, one.laterality]
            is_told = count > 1 and one.concept in {codes.SPHERE, codes.RADIUS_1, codes.POWER_1}
            doubt = (f"the instrument listed {count} measurements, this is the first",) if is_told else ()
            yield structs.replace(one, doubts=one.doubts + doubt)

    def _add(self, found: list[Found], side: str, part_of: MeasurementKind | None) -> bool:
        laterality: Side = side if side in {"R", "L", "B"} else ""  # type: ignore[assignment]
        for one in _observations(found, laterality, part_of):
            key = one.concept, laterality
            self._counts[key] = self._counts.get(key, 0) + 1
            if self._counts[key] == 1:
                self._observations.append(one)
            self._last = key
        return bool(found)

    def _lens(self, segment: str) -> bool:
        """DLM: SCA behind " R", " L" or two spaces; A addition, N near sphere, P prism; a second A or N has no letter."""
        kind = MeasurementKind.LENSOMETRY
        if match := _FIRST.fullmatch(segment):
            return self._add(_sca(match[2]), match[1], kind)
        if match := _LENS_ADD.fullmatch(segment):
            return self._add([(codes.ADD, _number(match[2]), codes.DIOPTRE)], match[1], kind)
        if match := _LENS_NEAR.fullmatch(segment):
            return self._add([(codes.NEAR_SPHERE, _number(match[2]), codes.DIOPTRE)], match[1], kind)
        if match := _LENS_PRISM.fullmatch(segment):
            return self._add(_prism(match[2], match[3]), match[1], kind)
        if (match := _LENS_SECOND.fullmatch(segment)) and self._last is not None:
            return self._second(match[1], match[2])
        return self._distance(segment, None)

    def _second(self, sign: str, stated: str) -> bool:
        """The value without a letter that follows an addition or a near sphere."""
        concept, side = self._last or (codes.SPHERE, "")
        second = {codes.ADD: codes.SECOND_ADD, codes.NEAR_SPHERE: codes.SECOND_NEAR_SPHERE}.get(concept)
        if second is None:
            return False
        return self._add([(second, _number(sign + stated), codes.DIOPTRE)], side, MeasurementKind.LENSOMETRY)

    def _objective(self, segment: str) -> bool:
        """DRM: OR and OL with SCA (then a confidence), VD vertex distance in mm, PD in mm."""
        kind = MeasurementKind.AUTOREFRACTION
        if match := _OBJECTIVE.fullmatch(segment):
            return self._add(_sca(match[2]), match[1], kind)
        if match := _VERTEX.fullmatch(segment):
            return self._add([(codes.VERTEX_DISTANCE, _number(match[1]), codes.MILLIMETRE)], "", kind)
        return self._distance(segment, kind)

    def _cornea(self, segment: str) -> bool:
        """DKM: radii behind " R" and " L", powers behind DR and DL (then their means)."""
        kind = MeasurementKind.KERATOMETRY
        if match := _FIRST.fullmatch(segment):
            return self._add(_cornea(match[2], is_power=False), match[1], kind)
        if match := _DIOPTRE_SEGMENT.fullmatch(segment):
            return self._add(_cornea(match[2], is_power=True), match[1], kind)
        return False

    def _pressure(self, segment: str) -> bool:
        """DNT: how many, each, and behind AV their mean in mmHg and kPa."""
        match = _PRESSURE.fullmatch(segment)
        return match is not None and self._add([(codes.PRESSURE, _number(match[2]), codes.MMHG)], match[1], None)

    def _distance(self, segment: str, part_of: MeasurementKind | None) -> bool:
        match = _DISTANCES.fullmatch(segment)
        if match is None:
            return False
        found: list[Found] = [(codes.DISTANCE_PD, _number(match[1] or match[2]), codes.MILLIMETRE)]
        if match[3]:
            found.append((codes.NEAR_PD, _number(match[3]), codes.MILLIMETRE))
        return self._add(found, "B", part_of)


def _is_unread(_segment: str) -> bool:
    return False


def _prism(stated: str, base: str) -> list[Found]:
    power, concept = (
        (codes.HORIZONTAL_PRISM, codes.HORIZONTAL_BASE) if base in "IO" else (codes.VERTICAL_PRISM, codes.VERTICAL_BASE)
    )
    return [(power, _number(stated), codes.PRISM_DIOPTRE), (concept, _BASES[base], None)]


# ---- the print form ----

_MODEL: Final = re.compile(rf"{SOH}NIDEK (\S+)", re.ASCII)
_RECORD: Final = re.compile(r"(?P<what>[A-Za-z ])(?P<side>[RLB])(?P<rest>.*)", re.ASCII)
_PUPILS: Final = re.compile(r"(?P<what>[Pp][Dd])(?P<both>[ \d]\d\.\d).*", re.ASCII)
_KNOWN: Final = re.compile(r"(?:WD|wd|Wd|TT|AG).*", re.ASCII)
"""Working distances, duration and age: read by nobody."""
_SIX: Final = re.compile(r"[+ ]?[ \d]\d\.\d\d", re.ASCII)
_TWO_PRISMS: Final = re.compile(r"([IO ])([ \d]\d\.\d\d)([UD ])([ \d]\d\.\d\d)", re.ASCII)
_ACUITY: Final = re.compile(r" *(\d{1,2}\.\d{1,3}) *", re.ASCII)
_TONOMETER: Final = re.compile(r"([ \d]\d\.\d|\d\.\d\d)", re.ASCII)
_ACUITIES: Final = {
    "LM": codes.HABITUAL_ACUITY,
    "RM": codes.AUTOREFRACTION_ACUITY,
    "RT": codes.PRESCRIPTION_ACUITY,
}


class _Line(Struct, frozen=True):
    """One record of the print form, and the data source that it stands below."""

    source: str
    what: str
    side: str
    rest: str


def _printed(text: str) -> Said:
    """Read the records of a print: below each `@` the data of one source."""
    model = _MODEL.match(text)
    found: dict[tuple[object, ...], Observation] = {}
    source, unread = "", 0
    for record in text.rstrip(EOT).split("\r")[1:]:
        line = record.strip(STX)
        if not line or _KNOWN.fullmatch(line):
            continue
        if line.startswith("@"):
            source = line[1:]
            continue
        values = _record(source, line)
        unread += not values
        found |= {(one.concept, one.unit, one.laterality, one.part_of): one for one in values}
    return Said(observations=tuple(found.values()), model_name=model[1] if model else "", unread=unread)


def _record(source: str, line: str) -> list[Observation]:
    if match := _PUPILS.fullmatch(line):
        concept = codes.NEAR_PD if match["what"].endswith("d") else codes.DISTANCE_PD
        part_of = _PARTS.get((source, "F" if match["what"].startswith("P") else "f"))
        return _observations([(concept, _number(match["both"]), codes.MILLIMETRE)], "B", part_of)
    match = _RECORD.fullmatch(line)
    if match is None:
        return []
    what, rest = match["what"], match["rest"]
    side: Side = match["side"]  # type: ignore[assignment]  # the pattern allows R, L, B
    if what in "VUWM":
        return _observations(_acuity(source, what, rest), side, None)
    if source == "NT":
        return _observations(_tonometer(what, rest), side, None)
    if source == "KM":
        found = _cornea(rest, is_power=what == "D") if what in "CD" else []
        return _observations(found, side, MeasurementKind.KERATOMETRY)
    part_of = _PARTS.get((source, what))
    return [] if part_of is None else _observations(_of_part(what, rest), side, part_of)


_PARTS: Final[dict[tuple[str, str], MeasurementKind]] = {
    **{("LM", what): MeasurementKind.LENSOMETRY for what in " APN"},
    **{("RM", what): MeasurementKind.AUTOREFRACTION for what in "OF"},
    **{("RT", what): MeasurementKind.FINAL for what in "FAPN"},
    **{("RT", what): MeasurementKind.SUBJECTIVE for what in "fan"},
}
"""Which measurement a record belongs to, by its source and letter; in lower case subjective, in upper case final."""


def _of_part(what: str, rest: str) -> list[Found]:
    match what:
        case "A" | "a":
            return [(codes.ADD, _number(rest), codes.DIOPTRE)] if _SIX.fullmatch(rest) else []
        case "N" | "n":
            return [(codes.NEAR_SPHERE, value, unit) for _, value, unit in _sca(rest)[:1]]
        case "P":
            return _prisms(rest)
        case _:
            return _sca(rest)


def _prisms(rest: str) -> list[Found]:
    """Horizontal and vertical, each a letter for the base and five digits; without a base the prism is 0.00."""
    match = _TWO_PRISMS.fullmatch(rest)
    if match is None:
        return []
    across, upright = (match[1].strip() or "I"), (match[3].strip() or "U")
    return _prism(match[2], across) + _prism(match[4], upright)


def _acuity(source: str, what: str, rest: str) -> list[Found]:
    """V and U: with what the source states (U is the same in seven characters); W and M: without any correction."""
    concept = codes.UNCORRECTED_ACUITY if what in "WM" else _ACUITIES.get(source)
    value = _ACUITY.fullmatch(rest)
    return [(concept, value[1], codes.NO_UNITS)] if concept and value else []


def _tonometer(what: str, rest: str) -> list[Found]:
    value = _TONOMETER.match(rest)
    unit = {"T": codes.MMHG, "t": codes.KILOPASCAL}.get(what)
    return [(codes.PRESSURE, _number(value[1]), unit)] if value and unit else []
