"""GE Corometrics 120 and 170 series fetal monitors ("115 update" mode): heart rates, contractions and marks to Traces and Observations.

The monitor sends unasked: each heart rate four times a second, the uterine activity eight times, what it measures with
(modes) each minute; one message is one sample. Nothing checks a message, so a number that is none is refused, and one that no
fetus has is kept with its doubt. When the pen is lifted (00, 128) there is no sample. What is lost is filled with NO_SAMPLE by
the clock. Marks stand beside the first heart rate, sample for sample.

Sources. GE Corometrics 170 Series Service Manual 2000947-004, pages 8-11 to 8-15; 120 Series Operator's Manual 2015590-001,
pages 11-10 to 11-13. Not read, as no page that says it could be: what the two characters of the modes mean (they are kept as
they came), hence whether the second heart rate is a twin's or the mother's and whether the uterine activity is in mmHg;
annotations, in which the 120 series puts maternal vital signs; and requests (115 transmit/receive mode).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway import codes
from gateway.errors import UnreadableRecord
from gateway.model import NO_SAMPLE, Code, Observation, Trace, TraceKind
from gateway.source.dialects.pace import SECOND_NS, Pace
from gateway.source.dialects.said import Said
from gateway.wire.corometrics import FetalMessages

if TYPE_CHECKING:
    from gateway.profile import InstrumentProfile
    from gateway.wire.records import Record

RATE_HZ: Final = 4
ACTIVITY_HZ: Final = 8
_LOWEST_RATE, _HIGHEST_RATE = 30, 240
"""What the strip shows; outside of it no sensor of these monitors measures."""
_HIGHEST_ACTIVITY: Final = 127
_PEN_LIFT_RATE: Final = 0
_PEN_LIFT_ACTIVITY: Final = 128
_WHOSE: Final = ("whether it is a twin's or the mother's, the monitor's modes say",)
_SCALE: Final = ("mmHg with a catheter, else a number without a unit",)


class Corometrics:
    """One fetal monitor."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Nothing of its protocol can be set."""
        self.framing = FetalMessages()
        self._paces = {
            channel: Pace(hz, profile.collect_s)
            for channel, hz in (
                (codes.FETAL_HEART_RATE, RATE_HZ),
                (codes.SECOND_HEART_RATE, RATE_HZ),
                (codes.UTERINE_ACTIVITY, ACTIVITY_HZ),
                (codes.FETAL_MOVEMENT, RATE_HZ),
            )
        }
        self._is_marked = False
        self._has_movement = False

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a message says. Raises UnreadableRecord for one that was cut off, and for data that is none."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        data = record.data[3:]
        match record.data[1:2]:
            case b"\x60":
                return self._first_rate(data, received_ns)
            case b"e":
                return self._rate(codes.SECOND_HEART_RATE, data, received_ns, _WHOSE)
            case b"a":
                return self._activity(data, received_ns)
            case b"f":
                return self._movement(data, received_ns)
            case b"d":
                self._is_marked = True
                return Said()
            case b"b":
                return _modes(data, received_ns)
            case b"g":  # the paper is out: there is none here
                return Said()
            case _:
                return Said(unread=1)

    def answer(self) -> bytes:
        """Return nothing: in this mode the monitor answers nobody."""
        return b""

    def due(self, now_ns: int) -> bytes:
        """Return nothing: it speaks unasked."""
        return b""

    def _first_rate(self, data: bytes, received_ns: int) -> Said:
        """A first heart rate, and beside it whether the mark was pressed since the last one."""
        said = self._rate(codes.FETAL_HEART_RATE, data, received_ns, ())
        (rate,) = said.traces
        empty = rate.samples[:-2]
        marked = self._trace(
            codes.EVENT_MARK, codes.NO_UNITS, RATE_HZ, empty + _sample(int(self._is_marked)), rate.received_ns
        )
        self._is_marked = False
        return Said(observations=said.observations, traces=(rate, marked))

    def _rate(self, channel: Code, data: bytes, received_ns: int, doubts: tuple[str, ...]) -> Said:
        number = _number(data)
        sample = NO_SAMPLE if number == _PEN_LIFT_RATE else number
        trace = self._piece(channel, codes.PER_MINUTE, RATE_HZ, sample, received_ns, doubts)
        if number == _PEN_LIFT_RATE:
            return Said(traces=(trace,))
        strange = _beyond(number, _LOWEST_RATE, _HIGHEST_RATE)
        return Said(
            observations=(_value(channel, number, codes.PER_MINUTE, data, received_ns, doubts + strange),),
            traces=(trace,),
        )

    def _activity(self, data: bytes, received_ns: int) -> Said:
        number = _number(data)
        is_lifted = number == _PEN_LIFT_ACTIVITY
        sample = NO_SAMPLE if is_lifted else number
        trace = self._piece(codes.UTERINE_ACTIVITY, codes.NO_UNITS, ACTIVITY_HZ, sample, received_ns, _SCALE)
        if is_lifted:
            return Said(traces=(trace,))
        strange = _SCALE + _beyond(number, 0, _HIGHEST_ACTIVITY)
        stated = _value(codes.UTERINE_ACTIVITY, number, codes.NO_UNITS, data, received_ns, strange)
        return Said(observations=(stated,), traces=(trace,))

    def _movement(self, data: bytes, received_ns: int) -> Said:
        """0: none, 1: one, 2: the monitor cannot tell, 4: it was not told to."""
        if data not in _MOVEMENTS:
            raise UnreadableRecord(problem="its fetal movement is none")
        sample = _MOVEMENTS[data]
        self._has_movement |= sample != NO_SAMPLE
        if not self._has_movement:
            return Said()
        return Said(traces=(self._piece(codes.FETAL_MOVEMENT, codes.NO_UNITS, RATE_HZ, sample, received_ns, ()),))

    def _piece(
        self, channel: Code, unit: Code, hz: int, sample: int, received_ns: int, doubts: tuple[str, ...]
    ) -> Trace:
        """One sample, behind those that were lost before it."""
        lost = self._paces[channel].missing(1, received_ns)
        samples = _sample(NO_SAMPLE) * lost + _sample(sample)
        return self._trace(channel, unit, hz, samples, received_ns - lost * SECOND_NS // hz, doubts)

    def _trace(
        self, channel: Code, unit: Code, hz: int, samples: bytes, began_ns: int, doubts: tuple[str, ...] = ()
    ) -> Trace:
        return Trace(
            kind=TraceKind.CARDIOTOCOGRAM,
            channel=channel,
            unit=unit,
            hz=hz,
            step="1",
            samples=samples,
            received_ns=began_ns,
            doubts=doubts,
        )


_MOST_DIGITS: Final = 3
_MOVEMENTS: Final = {b"0": 0, b"1": 1, b"2": NO_SAMPLE, b"4": NO_SAMPLE}
_MODE_CHARACTERS: Final = 2


def _number(data: bytes) -> int:
    """Return a number of one to three digits. Raises UnreadableRecord for anything else."""
    if not 0 < len(data) <= _MOST_DIGITS or not data.isdigit():
        raise UnreadableRecord(problem="its number is none")
    return int(data)


def _modes(data: bytes, received_ns: int) -> Said:
    if len(data) != _MODE_CHARACTERS or not data.isascii() or not data.decode("ascii").isprintable():
        raise UnreadableRecord(problem="its modes are none")
    return Said(
        observations=(
            Observation(concept=codes.MONITOR_MODES, value=data.decode("ascii"), raw=data, received_ns=received_ns),
        )
    )


def _value(
    concept: Code, number: int, unit: Code, raw: bytes, received_ns: int, doubts: tuple[str, ...]
) -> Observation:
    return Observation(concept=concept, value=str(number), unit=unit, raw=raw, received_ns=received_ns, doubts=doubts)


def _beyond(number: int, lowest: int, highest: int) -> tuple[str, ...]:
    if number < lowest:
        return (f"it is below {lowest}",)
    return (f"it is above {highest}",) if number > highest else ()


def _sample(number: int) -> bytes:
    return number.to_bytes(2, "little", signed=True)
