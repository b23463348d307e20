"""keeper: puts right what the dead left, releases, rewrites headers, corrects, rejects, purges, checkpoints, asks the RIS.

The only service that checkpoints. Each task is a function of its own with its own pace; one that fails is said and tried
again later, and never keeps the others from theirs. The RIS is asked in a thread of its own: one that does not answer
holds up nobody's release.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from gateway import config
from gateway.errors import BlobCorrupt, BlobMissing, GatewayError, PeerError
from gateway.objects import revise
from gateway.service import correction, giving, log, notify, rejection, unit
from gateway.service.bell import ring
from gateway.service.compose import Box, of_instance, words
from gateway.source import worklist
from gateway.spool.instances import payload_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.model import Instance, PerformedStep
    from gateway.service.bell import Bell
    from gateway.spool.spool import Spool

RELEASE_S: Final = 1.0
IDENTITY_S: Final = 1.0
CORRECT_S: Final = 1.0
REJECT_S: Final = 1.0
CHECKPOINT_S: Final = 5.0
TAKE_BACK_S: Final = 5.0
GIVE_S: Final = 2.0
ROOM_S: Final = 10.0
PURGE_S: Final = 60.0
CLOCK_S: Final = 5.0
NOTE_S: Final = 60.0
ASK_S: Final = 0.5
AFTER_TROUBLE_S: Final = 30.0
"""A task that failed is not tried sooner: its trouble is rarely over in a second."""
PARTING_S: Final = 2.0
BY: Final = "keeper"


class Task(Struct):
    """Something that is done again and again."""

    name: str
    every_s: float
    work: Callable[[Box], None]
    due_s: float = 0.0


def serve(site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Recover, then keep the box in order until told to stop."""
    box = Box(site=site, spool=spool, clock=clock)
    recover(box)
    show_configuration(box)
    asker = threading.Thread(target=ask_on, args=(box, stop), name="worklist", daemon=True)
    asker.start()
    tasks = _tasks()
    watchdog = notify.Watchdog()
    notify.ready()
    while not stop.is_set():
        watchdog.alive()
        for task in tasks:
            turn(task, box)
        bell.wait(ASK_S)
    checkpoint(box)
    asker.join(PARTING_S)


def recover(box: Box) -> None:
    """Put right what a crash left; only what has no living owner is touched."""
    recovered = box.spool.recover()
    if recovered.deliveries or recovered.quarantined or recovered.flagged:
        box.spool.history.add(
            BY,
            "recovered",
            text=f"{recovered.deliveries} deliveries given back, {recovered.quarantined} files quarantined, "
            f"{recovered.flagged} objects missing or damaged",
        )


def show_configuration(box: Box) -> None:
    """Show in Health which files of the panel are not used as they are, and take off what has been mended."""
    subject = "configuration"
    wrong = config.left_out(box.site)
    for trouble in box.spool.troubles.all():
        if trouble.subject == subject and trouble.text not in {str(error) for error in wrong}:
            box.spool.troubles.clear(trouble.trouble_id, BY)
    for error in wrong:
        box.spool.troubles.add(subject, error)


def take_back(box: Box) -> None:
    """Take back what a service that died had claimed."""
    box.spool.deliveries.recover()
    box.spool.requests.recover()


def release(box: Box) -> None:
    """Let every capture leave whose time has come, whose patient is known and whose header is up to date."""
    if box.spool.deliveries.release_due():
        ring(box.site.run, "forward")


def bring_up_to_date(box: Box) -> None:
    """Rewrite the header of every held object that was made before its exam was identified or its time confirmed.

    While the time of the exam is in doubt its objects wait for that too: a date of 1970 must not stay in what they were.
    One that cannot be rewritten stays held, is shown, and keeps none of the others from it; raises the first such error.
    """
    failed: list[GatewayError] = []
    for instance in box.spool.instances.behind_identity():
        try:
            _rewrite(box, instance)
        except (BlobCorrupt, BlobMissing) as error:
            box.spool.instances.flag(payload_of(instance), error)
        except GatewayError as error:
            box.spool.troubles.add(payload_of(instance), error)
            failed.append(error)
    if failed:
        raise failed[0]


def correct(box: Box) -> None:
    """Make the corrected copies that are owed, and the notes that reject what they replace, and let them leave.

    What cannot be made is shown and tried again, and keeps no other exam from it; raises the first such error.
    """
    _pay_each(box, [(exam_id, partial(correction.pay, box, exam_id)) for exam_id in box.spool.exams.corrections_owed()])


def reject(box: Box) -> None:
    """Write the rejection notes that are owed for captures discarded after they had left, and let them follow; as above."""
    _pay_each(box, [(owed.exam_id, partial(rejection.pay, box, owed)) for owed in box.spool.captures.notes_owed()])


def give(box: Box) -> None:
    """Keep what a person assigned from the inbox, of a port that is switched off, or gone and without a service."""
    if not (assigned := box.spool.inbox.ports_assigned()):
        return
    from gateway.panel.health import is_running

    for port in assigned:
        line = box.site.serial.get(port)
        has_service = line.is_enabled if line else is_running(box.site.data, f"serial@{port}")
        if not has_service:
            giving.take(box, port)


def checkpoint(box: Box) -> None:
    """Copy the WAL into the database."""
    box.spool.checkpoint()


def purge(box: Box) -> None:
    """Remove what everybody has and whose retention has passed (law 3)."""
    retention = timedelta(days=box.site.spool.retention_days)
    for instance in box.spool.instances.purgeable(box.clock.now(), retention):
        box.spool.instances.purge(payload_of(instance))


class RoomWatch:
    """Gives the ballast back its place when there is room again, and writes into the history when room gets low, and when it is back."""

    def __init__(self) -> None:
        """Nothing is known yet; a box that starts with little room says so."""
        self._is_low = False

    def __call__(self, box: Box) -> None:
        """Measure."""
        room = box.spool.quota.room()
        if not room.is_low:
            box.spool.quota.restore_ballast()
        if room.is_low != self._is_low:
            event = "room is low: new work is refused" if room.is_low else "there is room again"
            box.spool.history.add("disk", event, text=f"{room.free_bytes // 1_000_000} MB free")
            self._is_low = room.is_low


def watch_clock(box: Box) -> None:
    """Date this boot's exams once the clock can be trusted (law 6)."""
    if dated := box.spool.exams.date_doubtful():
        box.spool.history.add("keeper", "dated", text=f"{dated} exams that had begun with a doubtful clock")


def note_time(box: Box) -> None:
    """Write down how late it is, while that is certain: no later start believes a clock that shows less (law 6)."""
    if not box.clock.doubt():
        unit.note_time(box.site.data, box.clock.now())


def ask_on(box: Box, stop: threading.Event) -> None:
    """Ask the RIS again and again, in a thread of its own, until `stop` is set."""
    if box.site.worklist is None:
        return
    task = Task("worklist", box.site.worklist.interval_s, ask_worklist)
    while not stop.is_set():
        turn(task, box)
        stop.wait(ASK_S)


def ask_worklist(box: Box) -> None:
    """Fetch the worklist; while the RIS is down the last one stays, and the reason is kept beside it."""
    settings = box.site.worklist
    if settings is None:
        return
    now = box.clock.now()
    try:
        today = now.astimezone(ZoneInfo(box.site.station.timezone)).date()
        box.spool.worklist.replace(worklist.fetch(settings, box.site.station.ae_title, today), now)
    except PeerError as error:
        box.spool.worklist.failure(str(error))


def turn(task: Task, box: Box) -> None:
    """Do a task whose time has come; what fails is said, and done again a while later."""
    if time.monotonic() < task.due_s:
        return
    task.due_s = time.monotonic() + task.every_s
    try:
        task.work(box)
    except GatewayError as error:
        log.of(BY).warning("%s: %s", task.name, error, extra={"CODE": error.code})
        task.due_s = time.monotonic() + max(task.every_s, AFTER_TROUBLE_S)
    except Exception:  # noqa: BLE001  the top of the loop: a mistake of ours in one task must not end the others
        log.of(BY).exception("%s stumbled", task.name)
        task.due_s = time.monotonic() + max(task.every_s, AFTER_TROUBLE_S)


def _tasks() -> list[Task]:
    return [
        Task("release", RELEASE_S, release),
        Task("identity", IDENTITY_S, bring_up_to_date),
        Task("correction", CORRECT_S, correct),
        Task("rejection", REJECT_S, reject),
        Task("checkpoint", CHECKPOINT_S, checkpoint),
        Task("clock", CLOCK_S, watch_clock),
        Task("take back", TAKE_BACK_S, take_back),
        Task("room", ROOM_S, RoomWatch()),
        Task("time", NOTE_S, note_time),
        Task("purge", PURGE_S, purge),
        Task("inbox", GIVE_S, give),
    ]


def _pay_each(box: Box, debts: Iterable[tuple[UUID, Callable[[datetime], bool]]]) -> None:
    failed: list[GatewayError] = []
    for exam_id, pay in debts:
        try:
            is_paid = pay(_now_of(box, box.spool.exams.get(exam_id)))
        except GatewayError as error:
            box.spool.troubles.add(f"exam {exam_id}", error)
            failed.append(error)
        else:
            if is_paid:
                ring(box.site.run, "forward")
    if failed:
        raise failed[0]


def _rewrite(box: Box, instance: Instance) -> None:
    """Write one object again with the words of its exam as it is now; its pixels are copied byte for byte.

    It is read whole and compared with its digest first: a new digest must never hide that the disk has changed a pixel.
    """
    if instance.exam_id is None:
        return
    step = box.spool.exams.get(instance.exam_id)
    if step.clock_doubt:
        return
    box.spool.blobs.verify(instance.blob)
    says = structs.replace(
        words(box.site, of_instance(box, instance, step)), sop_instance_uid=instance.sop_instance_uid
    )
    with box.spool.blobs.part(instance.size_bytes, is_urgent=True) as part:
        written = revise.write(
            box.spool.blobs.path(instance.blob),
            part,
            says,
            modified_at=_now_of(box, step),
        )
        blob, size_bytes = part.commit()
        box.spool.instances.revise(
            instance.sop_instance_uid,
            revision=step.identity_revision,
            blob=blob,
            size_bytes=size_bytes,
            data_digest=written.data_digest,
            what="identified, or its time confirmed",
            study_instance_uid=step.study_instance_uid,
            series_instance_uid=says.series_instance_uid,
        )


def _now_of(box: Box, step: PerformedStep) -> datetime:
    """Return what time it is for what an object says; while the clock is not trusted, by what is known of the exam (law 6)."""
    now = box.clock.now()
    if not box.clock.doubt():
        return now
    if step.boot_id != box.clock.boot_id():
        return max(now, step.started_at)
    return step.started_at + timedelta(microseconds=(box.clock.monotonic_ns() - step.started_ns) // 1000)
