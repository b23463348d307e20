"""What the data codes of MEDIBUS mean: measured values, settings, texts and real-time curves, as codes and units.

Where ISO/IEEE 11073-10101 has the concept, its partition and term are the code (scheme MDC); where none could be verified, the code
is `MEDIBUS-`, the command and the data code, in the private scheme 99GATEWAY. A setting is never coded as what was measured.

Sources. Data codes and units: the tables of MEDIBUS.X in VSCaptureDrgVent (Class2.cs), and the older ones of OpenICE
(devices/draeger, *.map), which a code must not contradict: where they disagree (06h, 82h, 8Bh, B8h, D9h of measured data; 0Ah, 16h
and 17h of settings) it differs from device to device, and is not read. MDC numbers: OpenICE's table for Philips monitors
(ObservedValue.java: a partition of 2 and the 16-bit term), checked against HL7 messages of ventilators that others published
(151784, 151817, 151819, 151868, 151880, 151976, 152196, 152440, 152660, 152664, 152860). Channels: PS3.16 CID 3004 and 3005.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gateway.model import Code, TraceKind


class Quantity(Struct, frozen=True, kw_only=True):
    """One number that an instrument states, with what is plausible for it."""

    concept: Code
    unit: Code
    low: str
    high: str


class Curve(Struct, frozen=True, kw_only=True):
    """One real-time curve that an instrument may offer."""

    kind: TraceKind
    channel: Code
    unit: Code


_PLAUSIBLE: Final[dict[str, tuple[str, str]]] = {
    "mbar": ("-100", "150"),
    "kPa": ("0", "25"),
    "mm[Hg]": ("-50", "350"),
    "%": ("0", "100"),
    "mL": ("0", "5000"),
    "L": ("0", "5"),
    "mL/min": ("0", "30000"),
    "L/min": ("0", "200"),
    "mL/s": ("0", "4000"),
    "/min": ("0", "350"),
    "s": ("0", "600"),
    "Cel": ("0", "60"),
    "L/bar": ("0", "500"),
    "mL/mbar": ("0", "500"),
    "mbar/L": ("0", "1000"),
    "mbar.s/L": ("0", "1000"),
    "/min/L": ("0", "2000"),
    "mL/kg": ("0", "100"),
    "1": ("0", "1000"),
}
"""By unit (UCUM): what lies outside is kept, and marked."""
_AMBIENT: Final = ("500", "1150")
"""mbar, of the air in the room."""


_SPOKEN: Final = {"1": "no units", "mm[Hg]": "mmHg"}


def _unit(unit: str) -> Code:
    return Code(unit, "UCUM", _SPOKEN.get(unit, unit))


def _mdc(number: int, meaning: str) -> Code:
    """A 32-bit number as partition and term, as PS3.16 CID 3001 writes them."""
    return Code(f"{number >> 16}:{number & 0xFFFF}", "MDC", meaning)


def _quantity(page: int, code: int, mdc: int, meaning: str, unit: str) -> Quantity:
    own = Code(f"MEDIBUS-{page:02X}-{code:02X}", "99GATEWAY", meaning)
    concept = _mdc(mdc, meaning) if mdc else own
    low, high = _AMBIENT if mdc == _AMBIENT_PRESSURE else _PLAUSIBLE[unit]
    return Quantity(concept=concept, unit=_unit(unit), low=low, high=high)


_AMBIENT_PRESSURE: Final = 152836
_MEASURED_1: Final = (
    (0x03, 151884, "Expiratory minute volume", "L/min"),
    (0x05, 151792, "Airway pressure", "mbar"),
    (0x07, 151692, "Dynamic lung compliance", "L/bar"),
    (0x08, 151840, "Airway resistance", "mbar.s/L"),
    (0x09, 151776, "Carbon dioxide production", "mL/min"),
    (0x0A, 0, "Spontaneous expiratory minute volume", "L/min"),
    (0x0B, 0, "Resistance of the patient's airway", "mbar.s/L"),
    (0x0D, 0, "Mandatory expiratory minute volume", "L/min"),
    (0x50, 152176, "Inspired halothane", "kPa"),
    (0x51, 152092, "End-tidal halothane", "kPa"),
    (0x52, 152172, "Inspired enflurane", "kPa"),
    (0x53, 152088, "End-tidal enflurane", "kPa"),
    (0x54, 152184, "Inspired isoflurane", "kPa"),
    (0x55, 152100, "End-tidal isoflurane", "kPa"),
    (0x56, 152168, "Inspired desflurane", "kPa"),
    (0x57, 152084, "End-tidal desflurane", "kPa"),
    (0x58, 152180, "Inspired sevoflurane", "kPa"),
    (0x59, 152096, "End-tidal sevoflurane", "kPa"),
    (0x5A, 0, "Inspired primary agent, partial pressure", "kPa"),
    (0x5B, 0, "End-tidal primary agent, partial pressure", "kPa"),
    (0x5C, 0, "Inspired secondary agent, partial pressure", "kPa"),
    (0x5D, 0, "End-tidal secondary agent, partial pressure", "kPa"),
    (0x6B, _AMBIENT_PRESSURE, "Ambient pressure", "mbar"),
    (0x71, 151794, "Minimum airway pressure", "mbar"),
    (0x72, 151964, "Occlusion pressure", "mbar"),
    (0x73, 151819, "Mean airway pressure", "mbar"),
    (0x74, 151784, "Plateau pressure", "mbar"),
    (0x76, 151773, "Peak inspiratory flow", "mL/s"),
    (0x78, 151976, "Positive end-expiratory pressure", "mbar"),
    (0x79, 151808, "Intrinsic positive end-expiratory pressure", "mbar"),
    (0x7B, 0, "Mandatory respiratory rate", "/min"),
    (0x7C, 0, "Mandatory minute volume", "L/min"),
    (0x7D, 151817, "Peak inspiratory pressure", "mbar"),
    (0x7E, 0, "Mandatory tidal volume", "L"),
    (0x7F, 0, "Spontaneous tidal volume", "L"),
    (0x81, 0, "Volume trapped in the lung", "mL"),
    (0x83, 0, "Mandatory expiratory tidal volume", "mL"),
    (0x84, 0, "Spontaneous expiratory tidal volume", "mL"),
    (0x85, 0, "Mandatory inspiratory tidal volume", "mL"),
    (0x88, 151868, "Tidal volume", "mL"),
    (0x89, 151984, "Dead space volume", "mL"),
    (0x8A, 151836, "Ratio of dead space to tidal volume", "%"),
    (0x8C, 150022, "Non-invasive blood pressure, diastolic", "mm[Hg]"),
    (0x91, 150023, "Non-invasive blood pressure, mean", "mm[Hg]"),
    (0x96, 150021, "Non-invasive blood pressure, systolic", "mm[Hg]"),
    (0xAC, 0, "Multiple of the minimum alveolar concentration, inspired", "1"),
    (0xAD, 0, "Multiple of the minimum alveolar concentration, expired", "1"),
    (0xAE, 152168, "Inspired desflurane", "%"),
    (0xAF, 152084, "End-tidal desflurane", "%"),
    (0xB0, 152180, "Inspired sevoflurane", "%"),
    (0xB1, 152096, "End-tidal sevoflurane", "%"),
    (0xB2, 152432, "Leakage", "mL/min"),
    (0xB3, 0, "Leakage as a part of the inspired minute volume", "%"),
    (0xB4, 0, "Respiratory rate from pressure", "/min"),
    (0xB5, 0, "Spontaneous respiratory rate", "/min"),
    (0xB6, 0, "Spontaneous part of the minute volume", "%"),
    (0xB7, 0, "Spontaneous minute volume", "L/min"),
    (0xB9, 151880, "Minute volume", "L/min"),
    (0xBD, 151856, "Duration of apnea", "s"),
    (0xC0, 151908, "Oxygen concentration", "%"),
    (0xC1, 150356, "Airway temperature", "Cel"),
    (0xC4, 151912, "Difference of inspired and expired oxygen", "%"),
    (0xC8, 150034, "Arterial pressure, diastolic", "mm[Hg]"),
    (0xC9, 152860, "Rapid shallow breathing index", "/min/L"),
    (0xCD, 150035, "Arterial pressure, mean", "mm[Hg]"),
    (0xD2, 150033, "Arterial pressure, systolic", "mm[Hg]"),
    (0xD5, 151594, "Respiratory rate from carbon dioxide", "/min"),
    (0xD6, 151562, "Respiratory rate", "/min"),
    (0xD7, 0, "Respiratory rate from volume and flow", "/min"),
    (0xDA, 151716, "Inspired carbon dioxide", "%"),
    (0xDB, 151708, "End-tidal carbon dioxide", "%"),
    (0xDC, 147842, "Heart rate", "/min"),
    (0xDD, 0, "Fresh gas flow of nitrous oxide", "mL/min"),
    (0xDE, 0, "Fresh gas flow of air", "mL/min"),
    (0xE1, 149530, "Pulse rate from the oximeter", "/min"),
    (0xE2, 0, "Fresh gas flow of oxygen", "mL/min"),
    (0xE3, 151728, "End-tidal carbon dioxide, partial pressure", "kPa"),
    (0xE5, 151738, "Inspired carbon dioxide, partial pressure", "mm[Hg]"),
    (0xE6, 151728, "End-tidal carbon dioxide, partial pressure", "mm[Hg]"),
    (0xE7, 0, "Inspiratory part of I:E", "1"),
    (0xE8, 0, "Expiratory part of I:E", "1"),
    (0xE9, 0, "Inspired primary agent", "%"),
    (0xEA, 0, "End-tidal primary agent", "%"),
    (0xEB, 150456, "Oxygen saturation from the oximeter", "%"),
    (0xED, 0, "Inspired secondary agent", "%"),
    (0xEE, 0, "End-tidal secondary agent", "%"),
    (0xEF, 152440, "End-tidal oxygen", "%"),
    (0xF0, 152196, "Inspired oxygen", "%"),
    (0xF4, 152176, "Inspired halothane", "%"),
    (0xF5, 152092, "End-tidal halothane", "%"),
    (0xF6, 152172, "Inspired enflurane", "%"),
    (0xF7, 152088, "End-tidal enflurane", "%"),
    (0xF8, 152184, "Inspired isoflurane", "%"),
    (0xF9, 152100, "End-tidal isoflurane", "%"),
    (0xFB, 152192, "Inspired nitrous oxide", "%"),
    (0xFC, 152108, "End-tidal nitrous oxide", "%"),
    (0xFF, 151738, "Inspired carbon dioxide, partial pressure", "kPa"),
)
_MEASURED_2: Final = (
    (0x00, 0, "Spontaneous tidal volume", "mL"),
    (0x06, 0, "Elastance", "mbar/L"),
    (0x07, 0, "Time constant", "s"),
    (0x09, 0, "Expiratory time constant", "s"),
    (0x0A, 151696, "Static lung compliance", "mL/mbar"),
    (0x21, 152664, "Expiratory tidal volume", "mL"),
    (0x22, 152660, "Inspiratory tidal volume", "mL"),
    (0x23, 0, "End-inspiratory pressure", "mbar"),
    (0x31, 0, "Upper pressure level", "mbar"),
    (0x32, 0, "Lower pressure level", "mbar"),
    (0x36, 153208, "Tidal volume by ideal body weight", "mL/kg"),
    (0x37, 0, "Leakage minute volume", "L/min"),
    (0x38, 0, "Inspiratory time", "s"),
)
_SET: Final = (
    (0x01, 0, "Setting: inspired oxygen", "%"),
    (0x02, 0, "Setting: inspiratory flow", "L/min"),
    (0x04, 0, "Setting: inspiratory tidal volume", "L"),
    (0x05, 0, "Setting: inspiratory time", "s"),
    (0x07, 0, "Setting: inspiratory part of I:E", "1"),
    (0x08, 0, "Setting: expiratory part of I:E", "1"),
    (0x09, 0, "Setting: respiratory rate", "/min"),
    (0x0B, 0, "Setting: positive end-expiratory pressure", "mbar"),
    (0x0C, 0, "Setting: intermittent end-expiratory pressure", "mbar"),
    (0x0D, 0, "Setting: lower pressure level", "mbar"),
    (0x0E, 0, "Setting: upper pressure level", "mbar"),
    (0x0F, 0, "Setting: time of the lower pressure level", "s"),
    (0x10, 0, "Setting: time of the upper pressure level", "s"),
    (0x11, 0, "Setting: apnea alarm time", "s"),
    (0x12, 0, "Setting: pressure support", "mbar"),
    (0x13, 0, "Setting: pressure limit", "mbar"),
    (0x27, 0, "Setting: pause as a part of the inspiratory time", "%"),
    (0x29, 0, "Setting: flow trigger", "L/min"),
    (0x2E, 0, "Setting: pressure rise time", "s"),
    (0x2F, 0, "Setting: fresh gas flow", "mL/min"),
    (0x40, 0, "Setting: tidal volume", "mL"),
    (0x42, 0, "Setting: respiratory rate in apnea", "/min"),
    (0x45, 0, "Setting: inspiratory pressure", "mbar"),
)
"""Age and weight (4Ah, 4Bh) are not among them: who the patient is, says the exam."""

QUANTITIES: Final[dict[int, dict[int, Quantity]]] = {
    page: {row[0]: _quantity(page, *row) for row in rows}
    for page, rows in ((0x24, _MEASURED_1), (0x2B, _MEASURED_2), (0x29, _SET))
}
"""By the command that asks for them, and by data code."""

STATES: Final = frozenset(
    {*range(0x01, 0x1C), 0x1E, 0x20, 0x21, *range(0x25, 0x2C), *range(0x34, 0x39), 0x3A, 0x3E, *range(0x47, 0x50), 0x53}
    | {0x54, *range(0x58, 0x60), 0x63, 0x69, 0x6A, 0x6B, 0x6D, 0x74, 0x75}
)
"""Texts that say how the device works: its mode, its patient category, its gases. All others stay unread: among them are the
patient's first and last name (60h, 61h)."""

_CO2: Final = Code("130443", "DCM", "CO2 Respiration")
_BREATHING: Final = TraceKind.RESPIRATORY
CURVES: Final[dict[int, Curve]] = {
    0x00: Curve(kind=_BREATHING, channel=Code("130426", "DCM", "Respiratory Pressure"), unit=_unit("mbar")),
    0x01: Curve(kind=_BREATHING, channel=Code("130421", "DCM", "Airflow"), unit=_unit("L/min")),
    0x02: Curve(
        kind=TraceKind.ARTERIAL_PULSE, channel=Code("109116", "DCM", "Arterial Pulse Waveform"), unit=_unit("%")
    ),
    0x03: Curve(kind=_BREATHING, channel=_mdc(152708, "Volume of gas in the airway"), unit=_unit("mL")),
    0x05: Curve(kind=_BREATHING, channel=_mdc(151908, "Oxygen concentration"), unit=_unit("%")),
    0x06: Curve(kind=_BREATHING, channel=_CO2, unit=_unit("mm[Hg]")),
    0x07: Curve(kind=_BREATHING, channel=_CO2, unit=_unit("kPa")),
    0x08: Curve(kind=_BREATHING, channel=_CO2, unit=_unit("%")),
    0x20: Curve(kind=_BREATHING, channel=_mdc(151772, "Inspiratory flow"), unit=_unit("L/min")),
    0x21: Curve(kind=_BREATHING, channel=Code("MEDIBUS-RT-21", "99GATEWAY", "Expiratory flow"), unit=_unit("L/min")),
}
"""By real-time data code."""
WANTED: Final = ((0x00,), (0x01, 0x20), (0x06, 0x07, 0x08), (0x03,), (0x02,), (0x21,), (0x05,))
"""Which curves are asked for, the most important first; of each group, the first that the device offers."""
