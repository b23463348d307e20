"""Results of a laboratory analyser (ASTM E1394 records in E1381 frames) to Observations, by the patterns of its profile.

Declarative, as `plain_line`: which test is which concept differs from analyser to analyser, so each `[[reading]]` is a regular
expression over a whole R record, whose fields are parted by `|`. A message ends with its L record. The patient and order that
an analyser names (P, O) are not used: the exam in progress says who it is. Frames are acknowledged, and refused when damaged
(`wire.frames.AstmFrames`). Sources: ASTM E1381 and E1394 as python-astm implements them (astm/codec.py, astm/records.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import UnreadableRecord
from gateway.source.dialects.plain_line import PlainLine
from gateway.source.dialects.said import Said
from gateway.wire.frames import AstmFrames

if TYPE_CHECKING:
    from gateway.profile import InstrumentProfile
    from gateway.wire.records import Record

_SENDER: Final = 4
"""Which field of H names the analyser: name^version^serial."""
_OTHER: Final = frozenset("HPOCQMSL")
"""Records that carry no result."""


class Astm:
    """One analyser."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """Raise ProfileError when a pattern is no regular expression or has no group `value`."""
        self.framing = AstmFrames()
        self._patterns = PlainLine(profile)

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a record says. Raises UnreadableRecord for a damaged frame, and for what is no record of E1394."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        kind = record.data[:1].decode("ascii", errors="replace")
        if kind == "R":
            found = self._patterns.parse(record.data, received_ns)
            return Said(observations=found, unread=0 if found else 1)
        if kind not in _OTHER:
            raise UnreadableRecord(problem="it is no record of ASTM E1394")
        return Said(is_end=kind == "L", model_name=_model(record.data) if kind == "H" else "")

    def answer(self) -> bytes:
        """Return the ACK or NAK of each frame, and of the request to send, once."""
        return self.framing.answer()

    def due(self, now_ns: int) -> bytes:
        """Return nothing: it speaks unasked."""
        return b""


def _model(header: bytes) -> str:
    fields = header.decode("ascii", errors="replace").split("|")
    return fields[_SENDER].split("^")[0].strip() if len(fields) > _SENDER else ""
