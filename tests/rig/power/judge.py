"""On the host, as root in a mount namespace of its own: the disk at each cut, mounted, recovered by us, and held to every word.

`python -m tests.rig.power.judge FOLDER RUN CUTS SEED SHARE SHARES`. FOLDER holds the recorded disk of the run and `told.json`:
for each run what was said, as [entries in the log by then, word, facts ...]. Prints one JSON object: how many cuts were
looked at, and what was wrong at which, with the seed and the fate that make it again. `lost` counts the cuts at which
something acknowledged was missing, torn, or no longer settled.
"""

import json
import logging
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from gateway import config
from gateway.clock import SystemClock
from gateway.errors import GatewayError, NoSuchRow
from gateway.model import CaptureState, DeliveryState, StepStatus
from gateway.pixels import chain  # noqa: F401  loaded once, not at the first cut
from gateway.service import closing
from gateway.service.acquire import Acquire
from gateway.service.compose import Box
from gateway.spool import framelog
from gateway.spool.spool import Spool
from hw.rig import power
from hw.rig.power import Disk, Log
from hw.rig.power_disk import SUPERBLOCK_BYTES, RecordedDisk, mounted
from tests.rig.power import STATION, settings

TMPFS_MIB = 1024
KEPT = {CaptureState.HELD, CaptureState.RELEASED}
NEVER_ACKNOWLEDGED = {"G409"}
"""A blob between its rename and its row is quarantined, and shown."""


class Cut(Struct, frozen=True):
    """Where the power failed, and what that did to the cache."""

    number: int
    at: int
    fate: str
    chance: random.Random


class Wrong(Exception):
    """The store is not as it must be after a recovery."""


class Lost(Wrong):
    """Something acknowledged is missing or torn: the promise was broken."""


def look(log: Log, disk: Disk, image: Path, cut: Cut, told: list[list], workshop: Path) -> None:
    """Make the disk of a cut, mount it, recover, and compare. Raises Wrong, or what recovery raises."""
    cached = disk.forward(cut.at)
    broken = workshop / "cut"
    power.copy_sparse(image, broken)
    with broken.open("r+b") as file:
        fate = power.Fate[cut.fate]
        left = power.survivors(log, cached, fate, cut.chance, whole_below=SUPERBLOCK_BYTES)
        power.write(file.fileno(), left)
    said = [words for position, *words in told if position <= cut.at]
    with mounted(broken, workshop / "mounted") as place:
        judge(place / "spool", workshop, said, received_in(told))


def judge(data: Path, workshop: Path, said: list[list[str]], received: set[str]) -> None:
    """Recover as the box does at its start, and hold the store to what was said before the cut."""
    site = config.load(_written(workshop / "gateway.toml", settings(data, workshop / "run")))
    with Spool.open(data, SystemClock()) as spool:
        recovered = spool.recover()
        _frame_logs(spool, said)
        station = closing.Station(
            name=STATION, box=Box(site=site, spool=spool, clock=SystemClock()), logger=logging.getLogger("judge")
        )
        closing.rescue(station, Acquire(station).profile_of)
        for words in said:
            _hold(spool, *words)
        _demand(recovered.flagged == 0, f"{recovered.flagged} rows have lost their file")
        _whole(spool, received)


def received_in(told: list[list]) -> set[str]:
    """Return what the PACS had, sooner or later: it says so before it answers."""
    return {words[1] for _, *words in told if words[0] == "received"}


# ---- each word ----


def _hold(spool: Spool, word: str, *facts: str) -> None:
    if word in HOLD:
        try:
            HOLD[word](spool, *facts)
        except NoSuchRow as error:
            raise Lost(f"{word} {' '.join(facts)}: {error}") from None


def _object(spool: Spool, payload: str, blob: str) -> None:
    found = spool.instances.same_uid(payload)
    _keep(bool(found), f"{payload} was acknowledged and is not here")
    _keep(found[0].blob == blob, f"{payload} is another object than was acknowledged")
    _keep(spool.instances.verify(payload), f"{payload} was acknowledged and is torn")


def _captured(spool: Spool, exam_id: str, number: str, payload: str, blob: str) -> None:
    _keep(spool.captures.get(UUID(exam_id), int(number)).state in KEPT, f"capture {number} is not kept")
    _object(spool, payload, blob)


def _exam(spool: Spool, exam_id: str) -> None:
    spool.exams.get(UUID(exam_id))


def _ended(spool: Spool, exam_id: str) -> None:
    _keep(spool.exams.get(UUID(exam_id)).status is StepStatus.COMPLETED, "an exam that had ended goes on")


def _sent(spool: Spool, payload: str, destination: str) -> None:
    states = [d.state for d in spool.deliveries.of_payload(payload) if d.destination == destination]
    _keep(states == [DeliveryState.SENT], f"{payload} had been sent, and is owed again: {states}")


def _synced(spool: Spool, name: str, frames: str) -> None:
    """The object that was made of a recording has every frame that was ever synced (its log was looked at before)."""
    exam_id, number, segment = name.removesuffix(".log").rsplit("-", 2)
    made = {each.segment: each.frame_count for each in spool.instances.of_capture(UUID(exam_id), int(number))}
    has = made.get(int(segment), 0)
    _keep(has >= int(frames), f"{name} has {has} frames of {frames} that were synced")


HOLD = {
    "stored": _object,
    "still": _captured,
    "cine": _captured,
    "exam": _exam,
    "ended": _ended,
    "sent": _sent,
    "synced": _synced,
}


def _frame_logs(spool: Spool, said: list[list[str]]) -> None:
    """Every frame log can be read to the last frame that was synced."""
    synced = {words[1]: int(words[2]) for words in said if words[0] == "synced"}
    for path in spool.frame_logs():
        if frames := synced.get(path.name, 0):
            has = framelog.tally(path).frames
            _keep(has >= frames, f"{path.name} can be read for {has} frames of {frames} that were synced")


def _whole(spool: Spool, received: set[str]) -> None:
    """Whatever is here is sound, also what nobody had been told of yet."""
    _demand(spool.integrity() == [], f"SQLite: {spool.integrity()}")
    troubles = {trouble.error_code for trouble in spool.troubles.all()} - NEVER_ACKNOWLEDGED
    _demand(not troubles, f"troubles: {troubles}")
    _demand(not list(spool.blobs.orphans()), "an object without a row")
    _demand(not list((spool.data / "parts").iterdir()), "half an object")
    for made in _instances(spool):
        owed = spool.deliveries.of_payload(made)
        _demand([each.destination for each in owed] == ["pacs"], f"{made} is owed {len(owed)} times")
        is_sent = owed[0].state is DeliveryState.SENT
        _demand(not is_sent or made in received, f"{made} is called sent, and the PACS never had it")
        _demand(owed[0].state is not DeliveryState.SENDING, f"{made} is being sent by a dead process")


def _instances(spool: Spool) -> Iterator[str]:
    for each in spool.instances.received(100_000):
        yield each.sop_instance_uid
    for step in spool.exams.recent(100_000):
        for each in spool.instances.of_exam(step.exam_id):
            yield each.sop_instance_uid


def _keep(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Lost(otherwise)


def _demand(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Wrong(otherwise)


# ---- the cuts ----


def cuts_of(log: Log, told: list[list], count: int, seed: int) -> list[Cut]:
    """Draw the cuts of a run: the same for the same seed, each with a chance of its own."""
    chance = random.Random(seed)
    answered = [words[0] for words in told if words[1] in HOLD]
    total = min(len(log.entries), told[-1][0])
    flushes = [number for number, entry in enumerate(log.entries) if entry.is_flush and answered[0] <= number < total]
    chosen = power.cuts(total, answered, flushes, count, chance)
    fates = [chance.choice(power.FATES).name for _ in chosen]
    return [
        Cut(n, at, fate, random.Random(f"{seed}-{n}")) for n, (at, fate) in enumerate(zip(chosen, fates, strict=True))
    ]


def main(folder: Path, run: str, count: int, seed: int, share: int, shares: int) -> dict[str, object]:
    logging.disable(logging.CRITICAL)
    told = json.loads((folder / "told.json").read_text(encoding="utf-8"))[run]
    workshop = Path("/run/gateway-power")
    workshop.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MIB}m", "workshop", workshop], check=True)
    recorded = RecordedDisk(folder, run)
    image = workshop / "durable"
    power.copy_sparse(recorded.first, image)
    wrong: list[str] = []
    lost = looked = 0
    with Log(recorded.log) as log, Disk(log, image) as disk:
        for cut in cuts_of(log, told, count, seed)[share::shares]:
            looked += 1
            where = f"{run} cut {cut.number} after {cut.at} entries ({cut.fate}, seed {seed})"
            try:
                look(log, disk, image, cut, told, workshop)
            except (Wrong, GatewayError) as broken:
                lost += isinstance(broken, Lost)
                wrong.append(f"{where}: {broken!r}")
            except subprocess.CalledProcessError as error:
                wrong.append(f"{where}: {error}: {error.stderr!r}")
    return {"looked": looked, "lost": lost, "wrong": wrong}


def _written(path: Path, what: dict[str, object]) -> Path:
    path.write_text(config.toml(what), encoding="utf-8")
    return path


if __name__ == "__main__":
    folder, run, *numbers = sys.argv[1:]
    print(json.dumps(main(Path(folder), run, *map(int, numbers))))
