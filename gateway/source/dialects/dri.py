"""Datex-Ohmeda S/5 and CARESCAPE monitors (DRI records in 7E frames): displayed values to Observations, curves to Traces.

The monitor says nothing unasked: values are asked for first, and each few seconds it sends them from then on; once they come,
and say what lies on its channels, the curves of the profile are asked for. What falls silent is asked for again. The
time of a record is the monitor's own clock, and is not used.

Sources. Datex-Ohmeda S/5 DRI Specification 8005313 and Computer Interface as VSCapture (Class1.cs, Class2.cs) reads them:
header, requests, frames; a driver in Java that was published: two requests, byte for byte. pycollect (measures.py, device.py)
and a Rust reader (waveform.rs): rates and scales of the curves, at most 600 samples a second together; a driver in Go (type.go):
the status of a curve. They do not agree on two scales: the flow is in tenths (two of three), the pulse wave in hundredths of a
percent (three of four). Not read: the O2, N2O, agent, volume and EEG curves, trends, alarms.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway import codes
from gateway.errors import ProfileError, UnreadableRecord
from gateway.model import NO_SAMPLE, Code, Trace, TraceKind
from gateway.source.dialects import dri_values as values
from gateway.source.dialects.pace import SECOND_NS, Pace
from gateway.source.dialects.said import Said
from gateway.wire.frames import EscapedFrames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.model import Observation
    from gateway.profile import InstrumentProfile
    from gateway.wire.records import Record

INTERVAL_S: Final = 5
"""How often the monitor is asked to send its values."""
SILENCE_NS: Final = 15 * SECOND_NS
"""What has not come for so long is asked for again."""
MOST_SAMPLES: Final = 600
"""In a second, of all curves together: what the monitor sends at 19200 baud."""
MOST_CURVES: Final = 8


class Curve(Struct, frozen=True):
    """One of the curves that a monitor can send."""

    number: int
    """Its subrecord type."""
    kind: TraceKind
    hz: int
    unit: Code
    step: str


class Dri:
    """One monitor."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """`profile` says which curves. Raises ProfileError for one that is not known, and for more than the line carries."""
        self.framing = EscapedFrames("dri", limit_bytes=_LONGEST_FRAME)
        self._wanted = tuple(_curve(profile.name, each) for each in profile.curves)
        if len(self._wanted) > MOST_CURVES or sum(each.hz for each in self._wanted) > MOST_SAMPLES:
            problem = f"its curves are more than {MOST_CURVES}, or more than {MOST_SAMPLES} samples in a second"
            raise ProfileError(name=profile.name, problem=problem)
        self._collect_s = profile.collect_s
        self._labels = values.Labels()
        self._paces: dict[int, Pace] = {}
        self._values_ns = self._curves_ns = -SILENCE_NS
        """When each was last asked for or heard."""
        self._has_values = False

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a record says. Raises UnreadableRecord for a damaged one, and for one whose parts lie outside of it."""
        if record.fault:
            for pace in self._paces.values():
                pace.suspect()
            raise UnreadableRecord(problem=record.fault)
        main, parts = _parts(record.data)
        match main:
            case 0:
                return self._values(parts, received_ns)
            case 1:
                return self._curves(parts, received_ns)
            case _:
                return Said(unread=1)

    def answer(self) -> bytes:
        """Return nothing: the monitor waits for no answer."""
        return b""

    def due(self, now_ns: int) -> bytes:
        """Return the request for what has not been asked for yet, or has fallen silent."""
        asked = b""
        if now_ns - self._values_ns >= SILENCE_NS:
            self._values_ns, self._has_values = now_ns, False
            asked += _request(0, struct.pack("<BhIh", _DISPLAYED, INTERVAL_S, _BASIC_ONLY, 0))
        if self._wanted and self._has_values and now_ns - self._curves_ns >= SILENCE_NS:
            self._curves_ns = now_ns
            asked += _request(1, _curves_command(_STOP, (_EVERY,)))
            asked += _request(1, _curves_command(_START, tuple(each.number for each in self._wanted)))
        return asked

    def _values(self, parts: list[tuple[int, bytes]], received_ns: int) -> Said:
        found: list[Observation] = []
        unread = 0
        for kind, part in parts:
            if len(part) < _VALUES_BYTES:
                raise UnreadableRecord(problem="its values are cut off")
            if kind != _DISPLAYED or part[_CLASS_AT] & 0x0F:
                unread += 1
                continue
            basic = part[_TIME_BYTES : _TIME_BYTES + values.SIZE_BYTES]
            self._values_ns, self._has_values = received_ns, True
            self._labels = values.labels_of(basic)
            found += values.values_of(basic, received_ns)
        return Said(observations=tuple(found), unread=unread)

    def _curves(self, parts: list[tuple[int, bytes]], received_ns: int) -> Said:
        traces: list[Trace] = []
        unread = 0
        for number, part in parts:
            if number not in _BY_NUMBER:
                unread += number != _EVERY
                continue
            status, samples = _samples(part)
            self._curves_ns = received_ns
            if samples:
                traces.append(self._trace(_BY_NUMBER[number], status, samples, received_ns))
        return Said(traces=tuple(traces), unread=unread)

    def _trace(self, curve: Curve, status: int, samples: bytes, received_ns: int) -> Trace:
        pace = self._paces.setdefault(curve.number, Pace(curve.hz, self._collect_s))
        lost = pace.missing(len(samples) // 2, received_ns)
        channel, doubts = _channel(curve, self._labels)
        if curve.kind is TraceKind.ECG and status & _LEAD_OFF:
            doubts = (*doubts, "the monitor says that an electrode is off")
        return Trace(
            kind=curve.kind,
            channel=channel,
            unit=curve.unit,
            hz=curve.hz,
            step=curve.step,
            samples=_NO_SAMPLE * lost + samples,
            received_ns=received_ns - lost * SECOND_NS // curve.hz,
            doubts=doubts,
        )


_DISPLAYED: Final = 1
_BASIC_ONLY: Final = 0
_START, _STOP = 0, 1
_EVERY: Final = 0
_END: Final = 0xFF
_HEADER_BYTES: Final = 40
_TIME_BYTES: Final = 4
_VALUES_BYTES: Final = 278
_CLASS_AT: Final = 277
"""The high byte of the last word: its low four bits say which class the values are."""
_LONGEST_FRAME: Final = 4096
"""A record has at most 1490 bytes, and each may be escaped."""
_NO_SAMPLE: Final = NO_SAMPLE.to_bytes(2, "little", signed=True)

_LITRES_PER_MINUTE: Final = Code("L/min", "UCUM", "L/min")
_OHM: Final = Code("Ohm", "UCUM", "ohm")
CURVES: Final = {
    **{f"ECG{n}": Curve(n, TraceKind.ECG, 300, codes.MICROVOLT, "1") for n in (1, 2, 3)},
    **{
        f"INVP{n}": Curve(number, TraceKind.HEMODYNAMIC, 100, codes.MMHG, "0.01")
        for n, number in enumerate((4, 5, 6, 7, 16, 17), start=1)
    },
    "PLETH": Curve(8, TraceKind.ARTERIAL_PULSE, 100, values.PERCENT, "0.01"),
    "CO2": Curve(9, TraceKind.RESPIRATORY, 25, values.PERCENT, "0.01"),
    "AWP": Curve(13, TraceKind.RESPIRATORY, 25, values.CMH2O, "0.1"),
    "FLOW": Curve(14, TraceKind.RESPIRATORY, 25, _LITRES_PER_MINUTE, "0.1"),
    "RESP": Curve(15, TraceKind.RESPIRATORY, 25, _OHM, "0.01"),
}
"""By the names that a profile uses."""
_BY_NUMBER: Final = {curve.number: curve for curve in CURVES.values()}
_PRESSURE_OF: Final = {4: 1, 5: 2, 6: 3, 7: 4, 16: 5, 17: 6}
"""The subrecord type of a pressure curve to the number of its channel."""

_CHEST: Final = Code("2:86", "MDC", "Chest lead")
_LEADS: Final = dict(enumerate((*codes.LEADS[:6], _CHEST), start=1))
_ANY_LEAD: Final = Code("2:0", "MDC", "Unspecified lead")
_BLOOD: Final = {  # PS3.16 CID 3003
    1: ("128446002", "Arterial pressure waveform"),
    2: ("128445003", "Central venous pressure waveform"),
    3: ("128443005", "Pulmonary artery pressure waveform"),
    4: ("128440008", "Right atrium pressure waveform"),
    5: ("128439006", "Right ventricle pressure waveform"),
    6: ("128441007", "Left atrium pressure waveform"),
    8: ("128446002", "Arterial pressure waveform"),
    16: ("128442000", "Femoral artery pressure waveform"),
}
_ANY_BLOOD: Final = ("128433007", "Hemodynamic pressure waveform")
_OTHERS: Final = {  # PS3.16 CID 3004 and 3005
    8: Code("109116", "DCM", "Arterial Pulse Waveform"),
    9: Code("130443", "DCM", "CO2 Respiration"),
    13: Code("130426", "DCM", "Respiratory Pressure"),
    14: Code("130421", "DCM", "Airflow"),
    15: Code("109117", "DCM", "Respiration Waveform"),
}


def _curve(profile: str, name: str) -> Curve:
    if name not in CURVES:
        raise ProfileError(name=profile, problem=f"curves: {name!r} is none of {', '.join(CURVES)}")
    return CURVES[name]


def _channel(curve: Curve, labels: values.Labels) -> tuple[Code, tuple[str, ...]]:
    """Return what a curve is of, by the labels that the monitor gave last, and what is to be known of it."""
    if curve.kind is TraceKind.ECG:
        lead = _LEADS.get(labels.leads[curve.number - 1], _ANY_LEAD)
        return structs.replace(lead, meaning=f"{lead.meaning} (ECG{curve.number})"), ()
    if curve.kind is not TraceKind.HEMODYNAMIC:
        return _OTHERS[curve.number], ()
    number = _PRESSURE_OF[curve.number]
    label = labels.pressures[number - 1]
    code, meaning = _BLOOD.get(label, _ANY_BLOOD)
    called = values.PRESSURES.get(label, "")
    doubts = (f"the monitor calls it {called}",) if called and label not in _BLOOD else ()
    return Code(code, "SCT", f"{meaning} (P{number})"), doubts


def _parts(data: bytes) -> tuple[int, list[tuple[int, bytes]]]:
    """Return the main type of a record, and its subrecords: each its type and what there is from its beginning on."""
    if len(data) < _HEADER_BYTES:
        raise UnreadableRecord(problem="it is shorter than a header")
    length, main = struct.unpack_from("<h", data)[0], struct.unpack_from("<h", data, 14)[0]
    if not _HEADER_BYTES <= length <= len(data):
        raise UnreadableRecord(problem="it is not as long as it says")
    return main, list(_descriptors(data[:length]))


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    for at in range(16, _HEADER_BYTES, 3):
        offset, kind = struct.unpack_from("<hB", data, at)
        if kind == _END:
            return
        if not 0 <= offset < len(data) - _HEADER_BYTES:
            raise UnreadableRecord(problem="a part of it lies outside of it")
        yield kind, data[_HEADER_BYTES + offset :]


def _samples(part: bytes) -> tuple[int, bytes]:
    """Return the status and the samples of a curve; what is no measured value is NO_SAMPLE."""
    if len(part) < _CURVE_HEADER_BYTES:
        raise UnreadableRecord(problem="a curve of it is cut off")
    count, status = struct.unpack_from("<hH", part)
    samples = part[_CURVE_HEADER_BYTES : _CURVE_HEADER_BYTES + 2 * count] if count > 0 else b""
    if len(samples) < 2 * count:
        raise UnreadableRecord(problem="a curve of it is cut off")
    numbers = struct.unpack(f"<{len(samples) // 2}h", samples)
    if min(numbers, default=0) > values.LAST_INVALID:
        return status, samples
    return status, struct.pack(f"<{len(numbers)}h", *(n if n > values.LAST_INVALID else NO_SAMPLE for n in numbers))


_CURVE_HEADER_BYTES: Final = 6
_LEAD_OFF: Final = 0x0008
"""Of an ECG's status; it also knows a gap (0001h) and a pacemaker's pulse (0004h)."""


def _request(main: int, body: bytes) -> bytes:
    """Return a framed request: a header with one subrecord of type 0, and its body."""
    header = struct.pack("<hBBHIBBHh", _HEADER_BYTES + len(body), 0, 0, 0, 0, 0, 0, 0, main)
    descriptors = struct.pack("<hBhB", 0, 0, 0, _END) + bytes(18)
    content = header + descriptors + body
    stuffed = (content + bytes([sum(content) & 0xFF])).replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return b"\x7e" + stuffed + b"\x7e"


def _curves_command(command: int, numbers: tuple[int, ...]) -> bytes:
    listed = bytes([*numbers, _END])[:MOST_CURVES].ljust(MOST_CURVES, b"\x00")
    return struct.pack("<hh", command, 0) + listed + bytes(20)
