"""A clock that tests set, and short words for what they do with a spool."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from gateway.model import Instance, Patient, PerformedStep, StepStatus, StoreOutcome
from gateway.spool.spool import Spool

SECOND_NS = 1_000_000_000
ACCEPTED = StoreOutcome(verdict="accepted")
LATER = StoreOutcome(verdict="later", error_code="G501", text="no route")
NEVER = StoreOutcome(verdict="never", error_code="G505", text="not wanted")


class FakeClock:
    """Starts trusted at noon; `sleep` moves both times, `reboot` starts another boot."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 12, 1, 12, tzinfo=UTC)
        self.mono_ns = 1000 * SECOND_NS
        self.boot = "boot-1"
        self.why = ""

    def now(self) -> datetime:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def boot_id(self) -> str:
        return self.boot

    def doubt(self) -> str:
        return self.why

    def sleep(self, seconds: float) -> None:
        self.mono_ns += int(seconds * SECOND_NS)
        self.wall += timedelta(seconds=seconds)

    def reboot(self) -> None:
        self.boot = f"boot-{int(self.boot.removeprefix('boot-')) + 1}"
        self.mono_ns = 5 * SECOND_NS


def step(clock: FakeClock, *, station: str = "us", patient: Patient | None = None, **fields) -> PerformedStep:
    return PerformedStep(
        exam_id=uuid4(),
        station=station,
        status=StepStatus.IN_PROGRESS,
        study_instance_uid="2.25.1",
        modality="US",
        profile="p",
        started_at=clock.now(),
        started_ns=clock.monotonic_ns(),
        boot_id=clock.boot_id(),
        clock_doubt=clock.doubt(),
        patient=patient,
        **fields,
    )


def instance(uid: str, data: bytes, **fields) -> Instance:
    digest = hashlib.sha256(data).hexdigest()
    given = {
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.6.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "study_instance_uid": "2.25.1",
        "series_instance_uid": "2.25.2",
        "data_digest": digest,
        "stored_at": datetime(2026, 12, 1, tzinfo=UTC),
    }
    return Instance(sop_instance_uid=uid, blob=digest, size_bytes=len(data), **(given | fields))


def admit(
    spool: Spool, uid: str, destinations=("pacs",), *, data: bytes | None = None, hold=False, **fields
) -> Instance:
    """Write a blob and admit it, as acquire and listen do."""
    data = f"bytes of {uid}".encode() if data is None else data
    admission = {key: fields.pop(key) for key in ("release_at_ns", "commitment") if key in fields}
    with spool.blobs.part() as part:
        part.write(data)
        part.commit()
        made = instance(uid, data, **fields)
        spool.instances.admit(made, destinations, hold=hold, **admission)
    return made


def send(spool: Spool, destination: str = "pacs", outcome: StoreOutcome = ACCEPTED, limit: int = 1000) -> list[str]:
    """Claim and settle everything due; return the payloads."""
    claimed = spool.deliveries.claim(destination, limit)
    assert spool.deliveries.settle([(delivery.delivery_id, outcome) for delivery in claimed]) == []
    return [delivery.payload for delivery in claimed]


def states(spool: Spool, uid: str) -> list[str]:
    return [delivery.state.value for delivery in spool.deliveries.of_payload(uid)]
