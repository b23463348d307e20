"""Philips IntelliVue monitors (MP, MX, X2) on their MIB/RS232 interface: values each second, and curves, to Observations and Traces.

The monitor speaks when asked: `intellivue_dialogue` says what is sent when, `wire.intellivue` has the messages, `intellivue_curves` reads
the curves. A value that the monitor calls invalid or unavailable is left out; whatever else it says against one (questionable, being
calibrated, a test, a demonstration, measured minutes ago) becomes a doubt. Its patient data are not asked for: the exam in progress says
who it is.

Sources: Data Export Interface Programming Guide 4535 642 59271, pages 62 (times), 76, 77 (values), 96 (demonstration), 286, 287 (which
curves at once), as open implementations quote it. Not read: alarms, enumerations, averages and trends. Not spoken: the AutoSpeed
protocol, which finds the speed by itself (page 32).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway.errors import ProfileError, UnreadableRecord
from gateway.model import Observation
from gateway.source.dialects import intellivue_codes as terms
from gateway.source.dialects import intellivue_state as states
from gateway.source.dialects.intellivue_curves import Curves
from gateway.source.dialects.intellivue_dialogue import Dialogue
from gateway.source.dialects.said import Said
from gateway.wire import intellivue as wire
from gateway.wire.frames import EscapedFrames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.model import Code, Trace
    from gateway.profile import InstrumentProfile
    from gateway.source.dialects.intellivue_curves import Handle
    from gateway.wire.records import Record


class _Name(Struct, frozen=True):
    """What the monitor calls an object."""

    partition: int
    """Of its label: what it is of is measured, or set."""
    text: str
    """In its own language."""


class IntelliVue:
    """One monitor. A value waits for its name, which says whether it was measured or is a setting; but not for ever."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raise ProfileError for curves that no monitor has, or more than one sends."""
        self.framing = EscapedFrames("intellivue")
        self._labels = _labels(profile)
        self._dialogue = Dialogue(self._labels)
        self._begin(wire.Created(0, b"", b"", {}))

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a frame says. Raises UnreadableRecord for a damaged one, a foreign one, and where the monitor does not want to talk."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        message = wire.read(wire.unframed(record.data))
        self._dialogue.hear(message, received_ns)
        match message:
            case wire.Created():
                return self._begin(message)
            case wire.Polled():
                return self._result(message, received_ns)
            case wire.Refused():
                raise UnreadableRecord(problem="the monitor refuses to talk: something else may be reading it")
            case wire.Ended():
                raise UnreadableRecord(problem="the monitor ended the conversation, and is asked anew")
            case wire.Failed():
                raise UnreadableRecord(problem=f"the monitor refused a request, with error {message.reason}")
            case wire.Accepted() if self._labels and not message.has_curves:
                raise UnreadableRecord(problem="the monitor sends no curves, only values")
            case _:
                return Said()

    def answer(self) -> bytes:
        """Return the answer to the event with which a conversation begins, once."""
        return self._dialogue.answer()

    def due(self, now_ns: int) -> bytes:
        """Return the next request, or a sign of life."""
        return self._dialogue.due(now_ns)

    def _begin(self, event: wire.Created) -> Said:
        """Forget what was said before: a new association has new handles."""
        self._curves = Curves()
        self._names: dict[Handle, _Name] = {}
        self._nameless_ns = 0
        """When a value without a name came first."""
        mode = event.attributes.get(wire.MODE, b"")
        self._is_demonstration = bool(int.from_bytes(mode[:2], "big") & wire.DEMONSTRATION)
        self._started_at = _started(event.attributes)
        """What its clock said when its ticks were 0; None: it did not say."""
        names = wire.texts(event.attributes.get(wire.MODEL, b""))
        return Said(model_name=_printable(names[-1]) if names else "")

    def _result(self, result: wire.Polled, received_ns: int) -> Said:
        observations: list[Observation] = []
        traces: list[Trace] = []
        unread = 0
        for each in result.objects:
            self._learn(each)
            found, missed = self._curves.traces(each.handle, each.attributes, result.ticks, received_ns)
            traces += found
            unread += missed
            values = list(_values(each.attributes))
            name, doubts = self._name(each.handle, received_ns)
            if name is None:
                unread += len(values)
                continue
            doubts += self._late(each.attributes, result.ticks)
            observations += (one for value in values for one in _observation(value, name, received_ns, doubts))
        if self._is_demonstration:
            observations = [structs.replace(one, doubts=_demonstrated(one.doubts)) for one in observations]
            traces = [structs.replace(one, doubts=_demonstrated(one.doubts)) for one in traces]
        return Said(observations=tuple(observations), traces=tuple(traces), unread=unread)

    def _learn(self, item: wire.PolledObject) -> None:
        """Keep what an object is called. Raises UnreadableRecord for lengths that are wrong."""
        self._curves.learn(item.handle, item.attributes)
        if label := item.attributes.get(wire.LABEL):
            texts = wire.texts(item.attributes.get(wire.LABEL_TEXT, b""))
            partition = int.from_bytes(label[:2], "big")
            self._names[item.handle] = _Name(partition, _printable(texts[0]) if texts else "")
        if len(self._names) > _MOST_OBJECTS:
            self._names.clear()

    def _name(self, handle: Handle, now_ns: int) -> tuple[_Name | None, tuple[str, ...]]:
        """Return the name of an object, and what is doubtful of it; None: it is asked for, and may still come."""
        if handle in self._names:
            return self._names[handle], ()
        self._nameless_ns = self._nameless_ns or now_ns
        if now_ns - self._nameless_ns < _NAMED_WITHIN_NS:
            return None, ()
        return _Name(terms.MEASURED, ""), ("the monitor did not say what it calls it: it may be a setting",)

    def _late(self, attributes: dict[int, bytes], ticks: int) -> tuple[str, ...]:
        """Say how old a value is that stands on the screen since some time, as a cuff's does; by the monitor's own clock."""
        if wire.STAMP not in attributes or self._started_at is None:
            return ()
        stamp = wire.time_of(attributes[wire.STAMP])
        if stamp is None:
            return ()
        age = self._started_at + timedelta(seconds=ticks / wire.TICKS_A_SECOND) - stamp
        if not _YOUNG <= age <= _OLD:
            return ()
        return (f"the monitor measured it {age // timedelta(minutes=1)} minutes earlier",)


def _observation(value: bytes, name: _Name, received_ns: int, doubts: tuple[str, ...]) -> Iterator[Observation]:
    """Yield a NuObsValue, unless it says that there is none."""
    identifier, state, unit_code, stated = struct.unpack(">HHHI", value)
    number, unit = wire.decimal(stated), terms.unit_of(unit_code)
    if number is not None and states.has_value(state):
        yield Observation(
            concept=terms.concept_of(identifier, name.partition, name.text),
            value=format(number, "f"),
            unit=unit,
            raw=value,
            received_ns=received_ns,
            doubts=(*states.doubts(state), *_implausible(number, identifier, unit), *doubts),
        )


def _started(attributes: dict[int, bytes]) -> datetime | None:
    now, ticks = wire.time_of(attributes.get(wire.CLOCK, b"")), attributes.get(wire.TICKS, b"")
    return None if now is None else now - timedelta(seconds=int.from_bytes(ticks[:4], "big") / wire.TICKS_A_SECOND)


def _demonstrated(doubts: tuple[str, ...]) -> tuple[str, ...]:
    words = states.doubts(states.DEMONSTRATION)
    return doubts if set(words) <= set(doubts) else doubts + words


def _values(attributes: dict[int, bytes]) -> Iterator[bytes]:
    """Yield each NuObsValue, ten bytes."""
    if stated := attributes.get(wire.VALUE):
        yield wire.Taken(stated).take(_VALUE_BYTES)
    if stated := attributes.get(wire.COMPOUND_VALUE):
        yield from (each.take(_VALUE_BYTES) for each in wire.Taken(stated).listed())


def _implausible(number: Decimal, identifier: int, unit: Code) -> tuple[str, ...]:
    bounds = terms.is_plausible(identifier, unit)
    if bounds is None:
        return ()
    low, high = bounds
    if number < Decimal(low):
        return (f"it is below {low}",)
    return (f"it is above {high}",) if number > Decimal(high) else ()


def _printable(text: str) -> str:
    return "".join(each for each in text if each.isprintable() and each != "\\")[:_LONGEST_LABEL].strip()


def _labels(profile: InstrumentProfile) -> tuple[int, ...]:
    unknown = [name for name in profile.curves if name not in terms.NAMES]
    if unknown:
        known = ", ".join(terms.NAMES)
        raise ProfileError(name=profile.name, problem=f'curves: "{unknown[0]}" is none of {known}')
    leads = sum(terms.NAMES[name] <= _LAST_LEAD for name in profile.curves)
    if leads > terms.MOST_LEADS or len(profile.curves) - leads > terms.MOST_OTHERS:
        problem = f"curves: a monitor sends {terms.MOST_LEADS} leads and {terms.MOST_OTHERS} other curves at most"
        raise ProfileError(name=profile.name, problem=problem)
    return tuple(terms.LABEL_OF | terms.NAMES[name] for name in profile.curves)


_VALUE_BYTES: Final = 10
_MOST_OBJECTS: Final = 1024
_LONGEST_LABEL: Final = 24
_NAMED_WITHIN_NS: Final = 65_000_000_000
"""Names are asked for at the beginning and each minute."""
_LAST_LEAD: Final = 0x01FF
_YOUNG, _OLD = timedelta(minutes=2), timedelta(days=7)
"""What is younger is of now, and what is older is a clock that was set."""
