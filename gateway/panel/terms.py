"""Codes of what was measured, and why a value may be wrong, to the short words that a person at the instrument uses.

A code that has no word here is shown by its own meaning, and a doubt by the sentence of whoever had it: nothing is hidden
for want of a translation. Units are UCUM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway import codes
from gateway.model import Code, MeasurementKind
from gateway.panel.language import current, lazy_gettext
from gateway.panel.words import in_this_language

_CONCEPTS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (code.scheme, code.value): word
        for code, word in (
            (codes.SPHERE, lazy_gettext("Sphere")),
            (codes.CYLINDER, lazy_gettext("Cylinder")),
            (codes.AXIS, lazy_gettext("Axis")),
            (codes.ADD, lazy_gettext("Addition")),
            (codes.SECOND_ADD, lazy_gettext("Second addition")),
            (codes.NEAR_SPHERE, lazy_gettext("Sphere, near")),
            (codes.SECOND_NEAR_SPHERE, lazy_gettext("Second sphere, near")),
            (codes.HORIZONTAL_PRISM, lazy_gettext("Horizontal prism")),
            (codes.HORIZONTAL_BASE, lazy_gettext("Horizontal base")),
            (codes.VERTICAL_PRISM, lazy_gettext("Vertical prism")),
            (codes.VERTICAL_BASE, lazy_gettext("Vertical base")),
            (codes.DISTANCE_PD, lazy_gettext("Pupils apart, far")),
            (codes.NEAR_PD, lazy_gettext("Pupils apart, near")),
            (codes.VERTEX_DISTANCE, lazy_gettext("Vertex distance")),
            (codes.RADIUS_1, lazy_gettext("Radius 1")),
            (codes.RADIUS_2, lazy_gettext("Radius 2")),
            (codes.POWER_1, lazy_gettext("Power 1")),
            (codes.POWER_2, lazy_gettext("Power 2")),
            (codes.MERIDIAN_1, lazy_gettext("Axis 1")),
            (codes.PRESSURE, lazy_gettext("Eye pressure")),
            (codes.HABITUAL_ACUITY, lazy_gettext("Acuity with own glasses")),
            (codes.AUTOREFRACTION_ACUITY, lazy_gettext("Acuity with autorefraction")),
            (codes.PRESCRIPTION_ACUITY, lazy_gettext("Acuity with prescription")),
            (codes.UNCORRECTED_ACUITY, lazy_gettext("Acuity without glasses")),
            (codes.FETAL_HEART_RATE, lazy_gettext("Fetal heart rate")),
            (codes.SECOND_HEART_RATE, lazy_gettext("Second heart rate")),
            (codes.UTERINE_ACTIVITY, lazy_gettext("Contractions")),
            (codes.FETAL_MOVEMENT, lazy_gettext("Fetal movement")),
            (codes.EVENT_MARK, lazy_gettext("Mark")),
            (codes.MONITOR_MODES, lazy_gettext("Modes of the monitor")),
        )
    }
)
_LEADS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (code.scheme, code.value): name
        for code, name in zip(
            codes.LEADS, ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"), strict=True
        )
    }
)
"""What is printed beside a lead everywhere: no words of a language."""
_MEANINGS: Final[tuple[str, ...]] = (
    # What monitors, ventilators and electrocardiographs measure, as their dialects write it: whole, or a part between commas.
    lazy_gettext("Heart rate"),
    lazy_gettext("Pulse rate"),
    lazy_gettext("Respiration rate"),
    lazy_gettext("Arterial pressure"),
    lazy_gettext("Arterial blood pressure"),
    lazy_gettext("Blood pressure"),
    lazy_gettext("Non-invasive blood pressure"),
    lazy_gettext("Noninvasive blood pressure"),
    lazy_gettext("Invasive pressure"),
    lazy_gettext("Central venous pressure"),
    lazy_gettext("Pulmonary artery pressure"),
    lazy_gettext("Intracranial pressure"),
    lazy_gettext("systolic"),
    lazy_gettext("diastolic"),
    lazy_gettext("mean"),
    lazy_gettext("by cuff"),
    lazy_gettext("by pulse oximetry"),
    lazy_gettext("Oxygen saturation"),
    lazy_gettext("Oxygen saturation by pulse oximetry"),
    lazy_gettext("Venous oxygen saturation"),
    lazy_gettext("Temperature"),
    lazy_gettext("Core temperature"),
    lazy_gettext("Skin temperature"),
    lazy_gettext("Airway temperature"),
    lazy_gettext("End-tidal carbon dioxide"),
    lazy_gettext("Inspired minimum carbon dioxide"),
    lazy_gettext("Tidal volume"),
    lazy_gettext("Minute volume"),
    lazy_gettext("Expiratory minute volume"),
    lazy_gettext("Airway pressure"),
    lazy_gettext("Peak airway pressure"),
    lazy_gettext("Mean airway pressure"),
    lazy_gettext("Plateau pressure"),
    lazy_gettext("Peak inspiratory pressure"),
    lazy_gettext("Positive end-expiratory pressure"),
    lazy_gettext("Airway resistance"),
    lazy_gettext("P Axis"),
    lazy_gettext("QRS axis"),
    lazy_gettext("T axis"),
    lazy_gettext("Corneal-compensated intraocular pressure"),
    lazy_gettext("Hysteresis of the cornea"),
    lazy_gettext("Arterial Pulse Waveform"),
    lazy_gettext("Respiration Waveform"),
    lazy_gettext("Airflow"),
    lazy_gettext("Respiratory Pressure"),
    lazy_gettext("CO2 Respiration"),
    lazy_gettext("Comment"),
)
_PLAINER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DateTime Started": lazy_gettext("Recorded at"),
        "Clinical Interpretation": lazy_gettext("Interpretation"),
        "P duration global": lazy_gettext("P duration"),
        "PP interval global": lazy_gettext("PP interval"),
        "PR interval global": lazy_gettext("PR interval"),
        "QRS duration global": lazy_gettext("QRS duration"),
        "QT interval global": lazy_gettext("QT interval"),
        "QTc interval global": lazy_gettext("QTc interval"),
        "QTc global using Bazett formula": lazy_gettext("QTc (Bazett)"),
        "RR interval global": lazy_gettext("RR interval"),
    }
)
"""Meanings that nobody says."""
_LABELLED: Final = re.compile(r"(?P<what>.+?)(?: \((?P<label>[^()]*)\))?")
"""A meaning, and what the instrument itself calls it."""
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "[diop]": "D",
        "[p'diop]": "Δ",
        "deg": "°",
        "mm[Hg]": "mmHg",
        "cm[H2O]": "cmH₂O",
        "1": "",
        "uV": "µV",
        "Cel": "°C",
        "Gy.m2": "Gy·m²",
        "cGy.cm2": "cGy·cm²",
        "mGy.cm2": "mGy·cm²",
        "mL/cm[H2O]": "mL/cmH₂O",
        "{beats}/min": "/min",
        "{breaths}/min": "/min",
    }
)
_KINDS: Final[Mapping[MeasurementKind, str]] = MappingProxyType(
    {
        MeasurementKind.LENSOMETRY: lazy_gettext("Spectacles"),
        MeasurementKind.AUTOREFRACTION: lazy_gettext("Autorefraction"),
        MeasurementKind.KERATOMETRY: lazy_gettext("Keratometry"),
        MeasurementKind.SUBJECTIVE: lazy_gettext("Subjective refraction"),
        MeasurementKind.FINAL: lazy_gettext("Final prescription"),
        MeasurementKind.ACUITY: lazy_gettext("Visual acuity"),
    }
)
_SIDES: Final[Mapping[str, str]] = MappingProxyType(
    {"R": lazy_gettext("Right"), "L": lazy_gettext("Left"), "B": lazy_gettext("Both")}
)
_DOUBTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"it is below (?P<limit>.+)"), lazy_gettext("it is below %(limit)s")),
    (re.compile(r"it is above (?P<limit>.+)"), lazy_gettext("it is above %(limit)s")),
    (
        re.compile(r"the instrument stated the unit '(?P<unit>.*)', which its profile does not know"),
        lazy_gettext("the instrument stated the unit “%(unit)s”, which its profile does not know"),
    ),
    (
        re.compile(r"the instrument listed (?P<count>\d+) measurements, this is the first"),
        lazy_gettext("the instrument listed %(count)s measurements, this is the first"),
    ),
    (re.compile(r"the monitor calls it (?P<name>.+)"), lazy_gettext("the monitor calls it %(name)s")),
    (
        re.compile(r"the monitor measured it (?P<minutes>\d+) minutes earlier"),
        lazy_gettext("the monitor measured it %(minutes)s minutes earlier"),
    ),
    (
        re.compile(r"it came as number (?P<number>\d+) of several in one go: look whose it is"),
        lazy_gettext("it came as number %(number)s of several in one go: look whose it is"),
    ),
    (
        re.compile(r"recorded at (?P<time>.+) by its own clock: is that the time of this exam\?"),
        lazy_gettext("recorded at %(time)s by its own clock: is that the time of this exam?"),
    ),
    (
        re.compile(r"the record calls it lead (?P<number>\d+), which is not known"),
        lazy_gettext("the record calls it lead %(number)s, which is not known"),
    ),
    (
        re.compile(r"the record has this lead more than once: this is the lead in place (?P<number>\d+)"),
        lazy_gettext("the record has this lead more than once: this is the lead in place %(number)s"),
    ),
)
"""What dialects say of values with a fact in it, and how it is said here."""
_PLAIN_DOUBTS: Final[tuple[str, ...]] = (
    lazy_gettext("it is not a number"),
    lazy_gettext("it is older than a minute"),
    lazy_gettext("the monitor calls it questionable"),
    lazy_gettext("it was being calibrated"),
    lazy_gettext("it is a test signal of the monitor, of no patient"),
    lazy_gettext("the monitor is in its demonstration mode: it is of no patient"),
    lazy_gettext("the monitor marked it in a way that this software does not know"),
    lazy_gettext("it is an early estimate"),
    lazy_gettext("the monitor says that an electrode is off"),
    lazy_gettext("whether it is a twin's or the mother's, the monitor's modes say"),
    lazy_gettext("mmHg with a catheter, else a number without a unit"),
    lazy_gettext("the monitor did not say what it calls it: it may be a setting"),
    lazy_gettext("no physician has confirmed it"),
)
"""And what they say without one."""


def concept(code: Code) -> str:
    """Return what a value or a channel is."""
    key = (code.scheme, code.value)
    return _LEADS.get(key) or str(_CONCEPTS.get(key) or _meant(code.meaning))


def _meant(meaning: str) -> str:
    """Say a meaning part by part: "Arterial pressure, systolic (P1)"."""
    if meaning in _PLAINER:
        return str(_PLAINER[meaning])
    found = _LABELLED.fullmatch(meaning)
    if found is None or in_this_language(meaning) != meaning:
        return in_this_language(meaning)
    comma = "，" if current() == "zh" else ", "
    what = comma.join(in_this_language(part) for part in found["what"].split(", "))
    return f"{what} ({found['label']})" if found["label"] else what


def unit(code: Code | None) -> str:
    """Return a unit as it is written behind a number; empty for text and for plain numbers."""
    return _UNITS.get(code.value, code.value) if code else ""


def kind(part_of: MeasurementKind | None) -> str:
    """Return what was measured; empty for values that stand by themselves."""
    return str(_KINDS[part_of]) if part_of else ""


def side(laterality: str) -> str:
    """Return which side; empty where none was stated."""
    return str(_SIDES[laterality]) if laterality in _SIDES else ""


def doubt(text: str) -> str:
    """Say why a value may be wrong, in the language of the page."""
    plain = in_this_language(text)
    if plain != text:
        return plain
    for pattern, sentence in _DOUBTS:
        if found := pattern.fullmatch(text):
            return str(sentence) % found.groupdict()
    return text
