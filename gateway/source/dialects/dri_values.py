"""The displayed values of a Datex-Ohmeda S/5 monitor: one basic subrecord of 270 bytes to Observations.

Twenty-five groups stand one after another, each with a header of six bytes (status bits, a label) and signed 16-bit numbers,
little endian; -32001 and below is no number but a reason why there is none, and such a value is left out. A value that no
patient has is kept, with its doubt. Pressures, temperatures, saturations and gases are in hundredths, volumes in tenths.

Sources. Layout: the structures of the S/5 DRI Specification 8005313 as VSCapture (Class2.cs, basic_phdb) has them. Scales,
units and labels: pycollect (measures.py), the same document read by others. MDC codes are ISO/IEEE 11073-10101, written
partition:element as in PS3.16 CID 3001; their numbers from GE's and Mindray's published HL7 tables and from a list checked
against the standard's index. Not read, for want of a second source for the scale or of a code: SpO2 modulation and the second
saturation, cardiac output, blood temperature, ejection fraction, neuromuscular transmission, and the extended classes.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway import codes
from gateway.model import Code, Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_BYTES: Final = 270
LAST_INVALID: Final = -32001
"""This and what is below is no measured value."""


class Field(Struct, frozen=True):
    """One number of a group."""

    concept: Code
    unit: Code
    places: int
    """How many decimal places it has been shifted by."""
    low: int
    high: int
    """Outside of these no patient is."""


class Labels(Struct, frozen=True):
    """What the monitor says is where, in the words of its labels; 0 where it does not."""

    leads: tuple[int, ...] = (0, 0, 0)
    """Of ECG 1 to 3."""
    pressures: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    """Of P1 to P6."""


def labels_of(basic: bytes) -> Labels:
    """Return the labels of a basic subrecord, SIZE_BYTES long."""
    label = _label(basic, _ECG)
    pressures = [_label(basic, _PRESSURES[number]) for number in range(1, 7)]
    return Labels(leads=(label & 15, label >> 4 & 15, label >> 8 & 15), pressures=tuple(pressures))


def values_of(basic: bytes, received_ns: int) -> Iterator[Observation]:
    """Yield every value of a basic subrecord, SIZE_BYTES long, that is one."""
    for offset, field, doubts in _fields(basic):
        raw = basic[offset : offset + 2]
        number = int.from_bytes(raw, "little", signed=True)
        if number > LAST_INVALID:
            value = Decimal(number).scaleb(-field.places)
            yield Observation(
                concept=field.concept,
                value=str(value),
                unit=field.unit,
                raw=raw,
                received_ns=received_ns,
                doubts=doubts + _implausible(value, field),
            )


LEADS: Final = {1: "I", 2: "II", 3: "III", 4: "aVR", 5: "aVL", 6: "aVF", 7: "V"}
PRESSURES: Final = {
    1: "ART",
    2: "CVP",
    3: "PA",
    4: "RAP",
    5: "RVP",
    6: "LAP",
    7: "ICP",
    8: "ABP",
    15: "SP",
    16: "FEM",
    17: "UAC",
    18: "UVC",
    19: "ICP2",
    22: "FEMV",
}
"""What the monitor calls a pressure; 9 to 14, 20 and 21 are P1 to P8: it was told nothing."""

PERCENT: Final = Code("%", "UCUM", "Percent")
CELSIUS: Final = Code("Cel", "UCUM", "degrees Celsius")
CMH2O: Final = Code("cm[H2O]", "UCUM", "cmH2O")
_MILLILITRE: Final = Code("mL", "UCUM", "mL")
_LITRES_PER_MINUTE: Final = Code("L/min", "UCUM", "L/min")
_COMPLIANCE: Final = Code("mL/cm[H2O]", "UCUM", "mL/cmH2O")

_HEADER: Final = 6
_PRESSURES: Final = {1: 16, 2: 30, 3: 44, 4: 58, 5: 240, 6: 254}
"""Where the groups of P1 to P6 begin."""
_ECG, _NIBP, _SPO2, _CO2, _O2, _N2O, _AGENT, _FLOW, _WEDGE, _EXTRA, _SVO2 = (
    0,
    72,
    118,
    132,
    146,
    156,
    166,
    178,
    200,
    226,
    232,
)
_TEMPERATURES: Final = {1: 86, 2: 94, 3: 102, 4: 110}
_AGENTS: Final = {2: "halothane", 3: "enflurane", 4: "isoflurane", 5: "desflurane", 6: "sevoflurane"}
_BY_IMPEDANCE: Final = 2
"""Label of the CO2 group: its respiration rate is that of the ECG's impedance."""
_OLD_CUFF: Final = 1 << 8
_OLD_WEDGE: Final = 1 << 1
_OLD: Final = ("it is older than a minute",)

_BLOOD: Final = {  # label: element of the pressure itself; systolic, diastolic and mean follow it (MDC, partition 2)
    1: (18960, "Arterial pressure"),
    2: (19012, "Central venous pressure"),
    3: (18972, "Pulmonary artery pressure"),
    4: (18996, "Right atrial pressure"),
    6: (18992, "Left atrial pressure"),
    7: (22536, "Intracranial pressure"),
    8: (18964, "Arterial pressure"),
    19: (22536, "Intracranial pressure"),
}
_ANY_BLOOD: Final = (18944, "Invasive pressure")
_SITES: Final = {  # label: whole code (MDC) of a temperature
    1: ("2:19300", "Esophageal temperature"),
    2: ("2:19308", "Nasopharyngeal temperature"),
    3: ("2:19320", "Tympanic temperature"),
    4: ("2:57348", "Rectal temperature"),
    5: ("2:19276", "Bladder temperature"),
    6: ("2:19272", "Axillary temperature"),
    7: ("2:19316", "Skin temperature"),
    8: ("2:19284", "Airway temperature"),
    9: ("2:57436", "Room temperature"),
    10: ("2:57428", "Myocardial temperature"),
    15: ("2:19296", "Core temperature"),
    16: ("2:19272", "Surface temperature"),
}
_ANY_SITE: Final = ("2:19272", "Temperature")
_ST: Final = {1: 769, 2: 770, 3: 829, 4: 830, 5: 831, 6: 832, 7: 835}
"""Label of a lead to the element of its ST amplitude (MDC, partition 2): 768 and the number of the lead."""


def _mdc(element: int, meaning: str) -> Code:
    return Code(f"2:{element}", "MDC", meaning)


_HEART_RATE: Final = Field(Code("8867-4", "LN", "Heart rate"), codes.PER_MINUTE, 0, 15, 300)
_RATES: Final = (5, 300)
_BREATHS: Final = (0, 150)
_GAS: Final = (0, 100)
_CUFF: Final = tuple(
    Field(_mdc(element, f"Noninvasive blood pressure, {what}"), codes.MMHG, 2, 5, 300)
    for element, what in ((18949, "systolic"), (18950, "diastolic"), (18951, "mean"))
)
_GASES: Final = (  # offset, expired, inspired
    (_CO2, _mdc(20636, "End tidal carbon dioxide"), _mdc(20644, "Inspired carbon dioxide")),
    (_O2, _mdc(21368, "End tidal oxygen"), _mdc(21124, "Inspired oxygen")),
    (_N2O, _mdc(21036, "End tidal nitrous oxide"), _mdc(21120, "Inspired nitrous oxide")),
)
_SPIROMETRY: Final = (
    Field(_mdc(20490, "Respiration rate, by spirometry"), codes.PER_MINUTE, 0, *_BREATHS),
    Field(_mdc(20901, "Peak airway pressure"), CMH2O, 2, -20, 120),
    Field(_mdc(20904, "Positive end expiratory pressure"), CMH2O, 2, -20, 60),
    Field(_mdc(21352, "Plateau airway pressure"), CMH2O, 2, -20, 120),
    Field(_mdc(21588, "Inspired tidal volume"), _MILLILITRE, 1, 0, 3000),
    Field(_mdc(21592, "Expired tidal volume"), _MILLILITRE, 1, 0, 3000),
    Field(_mdc(20616, "Compliance of the respiratory system"), _COMPLIANCE, 2, 0, 300),
    Field(_mdc(20928, "Expired minute volume"), _LITRES_PER_MINUTE, 2, 0, 60),
)


def _fields(basic: bytes) -> Iterator[tuple[int, Field, tuple[str, ...]]]:
    """Yield where each number stands, what it is, and what is to be doubted of it."""
    yield from _of_ecg(basic)
    for number, offset in _PRESSURES.items():
        yield from _of_pressure(number, offset, _label(basic, offset))
    age = _OLD if _label(basic, _NIBP) & _OLD_CUFF else ()
    for index, field in enumerate(_CUFF):
        yield _at(_NIBP, index), field, age
    yield _at(_NIBP, 3), Field(_mdc(18474, "Pulse rate, by cuff"), codes.PER_MINUTE, 0, *_RATES), age
    for number, offset in _TEMPERATURES.items():
        code, meaning = _SITES.get(_label(basic, offset), _ANY_SITE)
        yield _at(offset, 0), Field(Code(code, "MDC", f"{meaning} (T{number})"), CELSIUS, 2, 10, 45), ()
    yield _at(_SPO2, 0), Field(_mdc(19384, "Oxygen saturation, by pulse oximetry"), PERCENT, 2, 0, 100), ()
    yield _at(_SPO2, 1), Field(_mdc(18458, "Pulse rate, by pulse oximetry"), codes.PER_MINUTE, 0, *_RATES), ()
    yield from _of_gases(basic)
    for index, field in enumerate(_SPIROMETRY):
        yield _at(_FLOW, index), field, ()
    old = _OLD if _label(basic, _WEDGE) & _OLD_WEDGE else ()
    yield _at(_WEDGE, 3), Field(_mdc(18980, "Pulmonary artery wedge pressure"), codes.MMHG, 2, -20, 100), old
    yield _at(_SVO2, 0), Field(_mdc(19260, "Venous oxygen saturation"), PERCENT, 2, 0, 100), ()


def _of_ecg(basic: bytes) -> Iterator[tuple[int, Field, tuple[str, ...]]]:
    yield _at(_ECG, 0), _HEART_RATE, ()
    for index, label in enumerate(labels_of(basic).leads):
        if label in _ST:
            meaning = f"ST level, lead {LEADS[label]} (ECG{index + 1})"
            yield _at(_ECG, index + 1), Field(_mdc(_ST[label], meaning), codes.MILLIMETRE, 2, -20, 20), ()
    breaths = _mdc(20490, "Respiration rate, by impedance")
    yield _at(_ECG, 4), Field(breaths, codes.PER_MINUTE, 0, *_BREATHS), ()
    ecg = _mdc(16770, "Heart rate, by ECG")
    yield _EXTRA, Field(ecg, codes.PER_MINUTE, 0, 15, 300), ()  # the only group without a header


def _of_pressure(number: int, offset: int, label: int) -> Iterator[tuple[int, Field, tuple[str, ...]]]:
    element, meaning = _BLOOD.get(label, _ANY_BLOOD)
    called = PRESSURES.get(label, "")
    doubts = (f"the monitor calls it {called}",) if called and label not in _BLOOD else ()
    for index, what in enumerate(("systolic", "diastolic", "mean")):
        concept = _mdc(element + 1 + index, f"{meaning}, {what} (P{number})")
        yield _at(offset, index), Field(concept, codes.MMHG, 2, -40, 320), doubts
    pulse = _mdc(18450, f"Pulse rate, by pressure (P{number})")
    yield _at(offset, 3), Field(pulse, codes.PER_MINUTE, 0, *_RATES), doubts


def _of_gases(basic: bytes) -> Iterator[tuple[int, Field, tuple[str, ...]]]:
    for offset, expired, inspired in _GASES:
        yield _at(offset, 0), Field(expired, PERCENT, 2, *_GAS), ()
        yield _at(offset, 1), Field(inspired, PERCENT, 2, *_GAS), ()
    if _label(basic, _CO2) & 7 != _BY_IMPEDANCE:
        breaths = _mdc(20522, "Respiration rate, by carbon dioxide")
        yield _at(_CO2, 2), Field(breaths, codes.PER_MINUTE, 0, *_BREATHS), ()
    agent = _AGENTS.get(_label(basic, _AGENT), "anesthetic agent")
    yield _at(_AGENT, 0), Field(_mdc(21388, f"End tidal {agent}"), PERCENT, 2, 0, 30), ()
    yield _at(_AGENT, 1), Field(_mdc(21392, f"Inspired {agent}"), PERCENT, 2, 0, 30), ()
    mac = _mdc(21800, "Minimum alveolar concentration")
    yield _at(_AGENT, 2), Field(mac, codes.NO_UNITS, 2, 0, 10), ()


def _at(group: int, index: int) -> int:
    return group + _HEADER + 2 * index


def _label(basic: bytes, group: int) -> int:
    return int(struct.unpack_from("<H", basic, group + 4)[0])


def _implausible(value: Decimal, field: Field) -> tuple[str, ...]:
    if value < field.low:
        return (f"it is below {field.low}",)
    if value > field.high:
        return (f"it is above {field.high}",)
    return ()
