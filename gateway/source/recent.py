"""What an instrument stated to what a person sees of it now: the last value of each kind, and the last seconds of each curve.

Live, not state: sets of readings are made elsewhere (`source.serial`), whatever is shown here. Bounded, however long it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway.model import LiveTrace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.model import Code, Observation, Trace

SECONDS: Final = 10.0
"""So much of each curve is shown."""
MOST_VALUES: Final = 200
MOST_TRACES: Final = 32
_SAMPLE_BYTES: Final = 2


class Recent:
    """The last that one instrument stated."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._values: dict[tuple[object, ...], Observation] = {}
        self._traces: dict[Code, tuple[Trace, bytearray]] = {}

    def add(self, observations: Iterable[Observation], traces: Iterable[Trace]) -> None:
        """Take what was stated; what there is no room for was never shown."""
        for one in observations:
            key = (one.concept, one.laterality, one.part_of)
            if key in self._values or len(self._values) < MOST_VALUES:
                self._values[key] = one
        for piece in traces:
            if piece.channel in self._traces or len(self._traces) < MOST_TRACES:
                self._join(piece)

    def values(self) -> tuple[Observation, ...]:
        """Return the last value of each concept and side, in order of their first coming."""
        return tuple(self._values.values())

    def traces(self) -> tuple[LiveTrace, ...]:
        """Return the last seconds of each curve, in order of their first coming."""
        return tuple(
            LiveTrace(
                channel=last.channel,
                unit=last.unit,
                hz=last.hz,
                step=last.step,
                zero=last.zero,
                samples=bytes(samples),
            )
            for last, samples in self._traces.values()
        )

    def _join(self, piece: Trace) -> None:
        """Append a piece to its curve; another rate or scale begins it anew."""
        last, samples = self._traces.get(piece.channel, (piece, bytearray()))
        if (last.unit, last.hz, last.step, last.zero) != (piece.unit, piece.hz, piece.step, piece.zero):
            samples = bytearray()
        samples += piece.samples
        del samples[: max(0, len(samples) - max(1, round(SECONDS * piece.hz)) * _SAMPLE_BYTES)]
        self._traces[piece.channel] = (structs.replace(piece, samples=b""), samples)
