"""What the nomenclature of an IntelliVue monitor means: physiological identifiers, units and curves, as codes and units.

The monitor's identifiers are those of ISO/IEEE 11073-10101: partition 2 (SCADA) for what is measured, 4 for units. What begins with F,
and what stands in a partition of the maker's own, is in the private scheme 99GATEWAY as `IVUE-`, partition and element. A setting has the
element of what it sets, in partition 1026: it is never coded as what was measured. MDC codes are written partition:element, as in PS3.16
CID 3001; units in UCUM where their name says what they are, else as the MDC code.

Sources: Data Export Interface Programming Guide 4535 642 59271, pages 115 to 188, as open implementations list it (identifiers, units,
labels); which numbers are the same in 11073-10101 was compared with HL7 messages and lists that others published (16770, 16993, 18442,
18466, 18945 to 18951, 18961 to 18967, 19015, 19252 to 19324, 19376, 19384, 20490, 20498, 20636, 20760, 21036, 21120, 21124, 21368, 22532
and the curves). Channels: PS3.16 CID 3001, 3003, 3004, 3005.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from msgspec import Struct

from gateway import codes
from gateway.model import Code, TraceKind

PRIVATE: Final = 0xF000
"""From here on an identifier is the maker's own."""
MEASURED, SETTINGS = 2, 1026
"""Partitions of labels."""
_DIMENSIONS: Final = 4


class Curve(Struct, frozen=True):
    """One curve that a monitor may send."""

    kind: TraceKind
    channel: Code
    unit: Code
    """Where the monitor does not say."""


def concept_of(identifier: int, partition: int, label: str) -> Code:
    """Return what a value is; `partition`: of its label; `label`: what the monitor calls it in its own language, kept in the meaning."""
    name = _NAMES.get(identifier, "") if partition in {MEASURED, SETTINGS} else ""
    if partition == SETTINGS:
        name = f"Setting: {name[:1].lower()}{name[1:]}" if name else "Setting"
    known = f"{name} ({label})" if name and label else name or label or f"value {identifier}"
    return _code(partition, identifier, known)


def unit_of(identifier: int) -> Code:
    """Return a unit: UCUM where it is known."""
    return _UNITS.get(identifier) or _code(_DIMENSIONS, identifier, f"unit {identifier}")


def is_plausible(identifier: int, unit: Code) -> tuple[str, str] | None:
    """Return between which values a patient's lie, as far as the unit says; None: it does not."""
    return None if identifier in _DIFFERENCES else _PLAUSIBLE.get(unit.value)


def _code(partition: int, identifier: int, meaning: str) -> Code:
    if identifier >= PRIVATE or partition not in {MEASURED, _DIMENSIONS}:
        return Code(f"IVUE-{partition}-{identifier}", "99GATEWAY", meaning[:_LONGEST_MEANING])
    return Code(f"{partition}:{identifier}", "MDC", meaning[:_LONGEST_MEANING])


_LONGEST_MEANING: Final = 64
"""Of CodeMeaning (LO)."""


def _pressure(first: int, name: str) -> dict[int, str]:
    """The four identifiers of a pressure: itself, systolic, diastolic, mean."""
    parts = ("", ", systolic", ", diastolic", ", mean")
    return {first + number: f"{name}{part}" for number, part in enumerate(parts)}


_PRESSURES: Final = {
    18944: "Blood pressure",
    18948: "Non-invasive blood pressure",
    18956: "Aortic pressure",
    18960: "Arterial pressure",
    18964: "Arterial blood pressure",
    18972: "Pulmonary artery pressure",
    18984: "Umbilical artery pressure",
    18992: "Left atrial pressure",
    18996: "Right atrial pressure",
    19012: "Central venous pressure",
    19016: "Umbilical venous pressure",
    22536: "Intracranial pressure",
    61604: "Pressure 1",
    61608: "Pressure 2",
    61612: "Pressure 3",
    61616: "Pressure 4",
    61628: "Femoral artery pressure",
    61632: "Brachial artery pressure",
}
_NAMES: Final[dict[int, str]] = {
    **dict(chain.from_iterable(_pressure(first, name).items() for first, name in _PRESSURES.items())),
    16160: "QT interval",
    16164: "QTc interval",
    16770: "Heart rate",
    16778: "Heart rate, beat to beat",
    16993: "Premature ventricular contractions",
    18442: "Pulse rate",
    18466: "Pulse rate from plethysmogram",
    18700: "Cardiac index",
    18980: "Pulmonary artery wedge pressure",
    19204: "Cardiac output",
    19236: "Pulmonary vascular resistance",
    19240: "Systemic vascular resistance",
    19244: "Oxygen saturation",
    19252: "Arterial oxygen saturation",
    19260: "Mixed venous oxygen saturation",
    19272: "Temperature",
    19280: "Arterial temperature",
    19284: "Airway temperature",
    19292: "Body temperature",
    19296: "Core temperature",
    19300: "Oesophageal temperature",
    19308: "Nasopharyngeal temperature",
    19316: "Skin temperature",
    19320: "Tympanic temperature",
    19324: "Venous temperature",
    19332: "Stroke volume",
    19376: "Perfusion indicator",
    19384: "Oxygen saturation by pulse oximetry",
    19396: "Difference of oxygen saturations by pulse oximetry",
    19420: "Continuous cardiac output",
    20490: "Respiration rate",
    20498: "Airway respiration rate",
    20636: "End-tidal carbon dioxide concentration",
    20646: "Inspired minimum carbon dioxide concentration",
    20656: "End-tidal carbon dioxide",
    20666: "Inspired minimum carbon dioxide",
    20684: "Transcutaneous carbon dioxide",
    20688: "Transcutaneous oxygen",
    20760: "Ratio of inspiration to expiration",
    20796: "Tidal volume",
    20808: "Minute volume",
    21012: "End-tidal desflurane concentration",
    21016: "End-tidal enflurane concentration",
    21020: "End-tidal halothane concentration",
    21024: "End-tidal sevoflurane concentration",
    21028: "End-tidal isoflurane concentration",
    21036: "End-tidal nitrous oxide concentration",
    21096: "Inspired desflurane concentration",
    21100: "Inspired enflurane concentration",
    21104: "Inspired halothane concentration",
    21108: "Inspired sevoflurane concentration",
    21112: "Inspired isoflurane concentration",
    21120: "Inspired nitrous oxide concentration",
    21124: "Inspired oxygen concentration",
    21368: "End-tidal oxygen concentration",
    22532: "Cerebral perfusion pressure",
    57348: "Rectal temperature",
    57364: "Blood temperature",
    57368: "Temperature difference",
    61518: "Bispectral index",
    61669: "Pulse rate from non-invasive blood pressure",
}
_DIFFERENCES: Final = frozenset({19396, 57368})


def _ucum(value: str, meaning: str = "") -> Code:
    return Code(value, "UCUM", meaning or value)


_UNITS: Final[dict[int, Code]] = {
    512: codes.NO_UNITS,
    544: _ucum("%"),
    992: _ucum("[pH]", "pH"),
    1297: _ucum("cm"),
    1298: codes.MILLIMETRE,
    1600: _ucum("L"),
    1618: _ucum("mL"),
    1728: _ucum("g"),
    1731: _ucum("kg"),
    1746: _ucum("mg"),
    2048: _ucum("g/L"),
    2112: _ucum("g/dL"),
    2130: _ucum("mg/dL"),
    2176: _ucum("s"),
    2194: _ucum("ms"),
    2195: _ucum("us", "µs"),
    2208: _ucum("min"),
    2240: _ucum("h"),
    2496: _ucum("Hz"),
    2528: _ucum("/min"),
    2560: _ucum("/h"),
    2720: _ucum("/min", "beats per minute"),
    2752: _ucum("/min", "pulses per minute"),
    2784: _ucum("/min", "breaths per minute"),
    2848: _ucum("L/min/m2"),
    3040: _ucum("L/s"),
    3072: _ucum("L/min"),
    3090: _ucum("mL/min"),
    3122: _ucum("mL/h"),
    3186: _ucum("mL/kg"),
    3842: _ucum("hPa"),
    3843: codes.KILOPASCAL,
    3872: codes.MMHG,
    3904: _ucum("cm[H2O]", "cmH2O"),
    3954: _ucum("mbar"),
    4052: _ucum("nW"),
    4128: _ucum("dyn.s/cm5"),
    4256: _ucum("V"),
    4274: codes.MILLIVOLT,
    4275: codes.MICROVOLT,
    4288: _ucum("Ohm", "ohm"),
    4291: _ucum("kOhm", "kiloohm"),
    4384: _ucum("K"),
    4416: _ucum("[degF]", "degree Fahrenheit"),
    4722: _ucum("mmol/L"),
    5906: _ucum("mL/cm[H2O]", "mL/cmH2O"),
    5920: _ucum("cm[H2O].s/L", "cmH2O/(L/s)"),
    6048: _ucum("Cel", "degree Celsius"),
    6432: _ucum("dB"),
}
_PLAUSIBLE: Final = {
    "%": ("0", "100"),
    "/min": ("0", "350"),
    "mm[Hg]": ("-50", "400"),
    "kPa": ("-7", "54"),
    "Cel": ("5", "50"),
    "[degF]": ("41", "122"),
}
"""What lies outside is kept, and marked."""


def _lead(number: int) -> Curve:
    return Curve(TraceKind.ECG, codes.LEADS[number], codes.MILLIVOLT)


def _blood(value: str, meaning: str, label: str) -> Curve:
    """Two pressures of one kind are told apart by the label, which is kept in the meaning."""
    return Curve(TraceKind.HEMODYNAMIC, Code(value, "SCT", f"{meaning} pressure waveform ({label})"), codes.MMHG)


def _pulse(where: str = "") -> Curve:
    return Curve(TraceKind.ARTERIAL_PULSE, Code("109116", "DCM", f"Arterial Pulse Waveform{where}"), codes.NO_UNITS)


def _breath(value: str, meaning: str, unit: Code) -> Curve:
    return Curve(TraceKind.RESPIRATORY, Code(value, "DCM", meaning), unit)


_ARTERIAL, _ANYWHERE = "128446002", "128433007"
CURVES: Final[dict[int, Curve]] = {
    0x0100: Curve(TraceKind.ECG, Code("2:0", "MDC", "Unspecified lead"), codes.MILLIVOLT),
    0x0101: _lead(0),
    0x0102: _lead(1),
    0x013D: _lead(2),
    0x013E: _lead(3),
    0x013F: _lead(4),
    0x0140: _lead(5),
    **{0x0103 + number: _lead(6 + number) for number in range(6)},
    0x0143: Curve(TraceKind.ECG, Code("2:86", "MDC", "Chest lead"), codes.MILLIVOLT),
    0x4A00: _blood(_ANYWHERE, "Hemodynamic", "P"),
    0x4A0C: _blood("128444004", "Aortic", "Ao"),
    0x4A10: _blood(_ARTERIAL, "Arterial", "ART"),
    0x4A14: _blood(_ARTERIAL, "Arterial", "ABP"),
    0x4A1C: _blood("128443005", "Pulmonary artery", "PAP"),
    0x4A28: _blood(_ARTERIAL, "Arterial", "UAP"),
    0x4A30: _blood("128441007", "Left atrium", "LAP"),
    0x4A34: _blood("128440008", "Right atrium", "RAP"),
    0x4A44: _blood("128445003", "Central venous", "CVP"),
    0xF0A4: _blood(_ANYWHERE, "Hemodynamic", "P1"),
    0xF0A8: _blood(_ANYWHERE, "Hemodynamic", "P2"),
    0xF0AC: _blood(_ANYWHERE, "Hemodynamic", "P3"),
    0xF0B0: _blood(_ANYWHERE, "Hemodynamic", "P4"),
    0xF0BC: _blood("128442000", "Femoral artery", "FAP"),
    0xF0C0: _blood(_ARTERIAL, "Arterial", "BAP"),
    0x4BB4: _pulse(),
    0xF08C: _pulse(", right"),
    0xF08D: _pulse(", left"),
    0x5000: _breath("109117", "Respiration Waveform", _UNITS[4288]),
    0x50AC: _breath("130443", "CO2 Respiration", codes.MMHG),
    0x50D4: _breath("130421", "Airflow", _UNITS[3072]),
    0x50F0: _breath("130426", "Respiratory Pressure", _UNITS[3904]),
}
"""By physiological identifier. Not read: EEG, intracranial pressure, gases and the curves that the guide gives no unit for."""
NAMES: Final[dict[str, int]] = {
    "ECG": 0x0100,
    "I": 0x0101,
    "II": 0x0102,
    "III": 0x013D,
    "aVR": 0x013E,
    "aVL": 0x013F,
    "aVF": 0x0140,
    "V": 0x0143,
    **{f"V{number}": 0x0102 + number for number in range(1, 7)},
    "P": 0x4A00,
    "Ao": 0x4A0C,
    "ART": 0x4A10,
    "ABP": 0x4A14,
    "PAP": 0x4A1C,
    "UAP": 0x4A28,
    "LAP": 0x4A30,
    "RAP": 0x4A34,
    "CVP": 0x4A44,
    "P1": 0xF0A4,
    "P2": 0xF0A8,
    "P3": 0xF0AC,
    "P4": 0xF0B0,
    "FAP": 0xF0BC,
    "BAP": 0xF0C0,
    "Pleth": 0x4BB4,
    "Resp": 0x5000,
    "CO2": 0x50AC,
    "AWF": 0x50D4,
    "AWP": 0x50F0,
}
"""How a profile names the curves that it wants: the labels on an English monitor."""
LABEL_OF: Final = 0x00020000
"""A curve's label is its identifier in partition 2 (page 84)."""
MOST_LEADS, MOST_OTHERS = 3, 8
"""More leads, and more other curves, no monitor sends at once (pages 286 and 287)."""
