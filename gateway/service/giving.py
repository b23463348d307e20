"""What a person assigned, from the inbox to the objects of an exam: kept once with its time, or refused with the reason.

The service of its port does so, and the keeper for a port that has no service any more. KEPT is said in the transaction that admits
the objects: who decides otherwise meanwhile is obeyed, and nothing of that transaction happens.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from msgspec import structs

from gateway.clock import BUILT_AT
from gateway.errors import DiskFull, ExamError, GatewayError, ProfileError, WrongState
from gateway.service import detecting, log, readings
from gateway.spool.heard import Kept, digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from gateway.model import Capture, InboxEntry, ReadingSet
    from gateway.profile import InstrumentProfile
    from gateway.service.compose import Box

SAME: Final = timedelta(seconds=2)
"""The same content so near in time is this very set: a replay has kept it."""
LATE: Final = "when it was measured is not known, the clock was wrong"


def take(box: Box, port: str, known: Sequence[InstrumentProfile] = ()) -> None:
    """Keep what was assigned to a port, or say why not; without room it stays assigned, and is taken the next time.

    `known`: instruments that are looked at before the files are.
    """
    for entry in box.spool.inbox.assigned(port):
        if entry.exam_id is None:
            continue
        try:
            _give(box, entry, entry.exam_id, known)
        except WrongState:
            continue  # a person has decided otherwise meanwhile
        except DiskFull as error:
            log.of(f"serial@{port}").warning("%s", error, extra={"CODE": error.code})
            return
        except GatewayError as error:
            with suppress(WrongState):
                box.spool.inbox.refuse(entry.entry_id, entry.exam_id, str(error))


def _give(box: Box, entry: InboxEntry, exam_id: UUID, known: Sequence[InstrumentProfile]) -> None:
    step, profile, content = box.spool.exams.get(exam_id), _titled(box, entry.instrument, known), digest(entry.readings)
    within = max(timedelta(minutes=profile.reprint_minutes), SAME)
    if box.spool.heard.same(entry.port, content, exam_id, entry.received_at, within) is not None:
        raise ExamError(problem="the same values are in it already: this is a reprint")

    def also(capture: Capture) -> None:
        kept = Kept(exam_id=exam_id, capture=capture.number)
        box.spool.inbox.keep(entry.entry_id, exam_id)
        box.spool.heard.remember(entry.port, content, kept, entry.received_at)
        text = f"{len(entry.readings.observations)} values are kept in exam {exam_id}"
        box.spool.history.add(f"port {entry.port}", "a reading was assigned", text=text)

    readings.keep(box, entry.port, profile, step, _of_its_time(box, entry), also=also)


def _of_its_time(box: Box, entry: InboxEntry) -> ReadingSet:
    """The readings timed by this boot's clock; of a time that cannot be true, by now, and it is said."""
    if box.spool.inbox.boot_of(entry.entry_id) == box.clock.boot_id():
        return entry.readings
    if entry.received_at >= BUILT_AT:
        return readings.in_this_boot(box, entry.received_at, entry.readings)
    said = readings.in_this_boot(box, box.clock.now(), entry.readings)
    return structs.replace(
        said,
        observations=tuple(structs.replace(one, doubts=(*one.doubts, LATE)) for one in said.observations),
        traces=tuple(structs.replace(one, doubts=(*one.doubts, LATE)) for one in said.traces),
    )


def _titled(box: Box, title: str, known: Sequence[InstrumentProfile]) -> InstrumentProfile:
    """The instrument that said it: another one may be on the port since. Raises ProfileError when no file describes it any more."""
    for one in known:
        if one.title == title:
            return one
    for one in detecting.known(box.site.own_profiles)[0]:
        if one.title == title:
            return one
    raise ProfileError(name=title, problem="is not the instrument on this port any more, and no file describes it")
