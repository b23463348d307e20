"""The store-and-forward spool of one box: what it holds, what it owes, and what was asked, opened from one folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self
from uuid import UUID

from gateway.clock import Clock
from gateway.errors import SpoolError
from gateway.spool import framelog, recovery
from gateway.spool.accounts import Accounts
from gateway.spool.blobs import Blobs, sync_folder
from gateway.spool.captures import Captures
from gateway.spool.deliveries import Deliveries
from gateway.spool.exams import Exams
from gateway.spool.framelog import FrameLog, FrameLogHeader
from gateway.spool.heard import Heard
from gateway.spool.history import History, Troubles
from gateway.spool.inbox import Inbox
from gateway.spool.instances import Instances, thumbnail
from gateway.spool.quota import Quota
from gateway.spool.requests import Requests
from gateway.spool.store import Checkpointed, Store
from gateway.spool.worklist import Worklist


class Spool:
    """Safe to share between the threads of a process; after a fork, open another. Methods that write join `transaction()`."""

    def __init__(self, store: Store, quota: Quota) -> None:
        """Use `open`."""
        self._store = store
        self.data = store.data
        self.clock = store.clock
        self.quota = quota
        self.history = History(store)
        self.troubles = Troubles(store, self.history)
        self.exams = Exams(store, quota)
        self.captures = Captures(store, quota)
        self.deliveries = Deliveries(store, quota, self.history)
        self.blobs = Blobs(store.data, quota, self._is_owned, self._drop_unowned)
        self.instances = Instances(store, quota, self.blobs, self.deliveries, self.history, self.troubles)
        self.requests = Requests(store, quota)
        self.inbox = Inbox(store, quota, self.history)
        self.heard = Heard(store)
        self.worklist = Worklist(store)
        self.accounts = Accounts(store, self.history)

    @classmethod
    def open(cls, data: Path, clock: Clock, *, ballast_bytes: int = 0, keep_free_bytes: int = 0) -> Spool:
        """Open the spool of a folder, and make it when there is none.

        Raises SpoolCorrupt (the database is left for inspection), SpoolTooNew, DiskFull or SpoolError.
        """
        data.mkdir(parents=True, exist_ok=True, mode=0o750)
        for folder in ("framelogs", "serial", "thumbnails", "locks"):
            (data / folder).mkdir(exist_ok=True)
        store = Store(data, clock)
        quota = Quota(data, store.me, ballast_bytes=ballast_bytes, keep_free_bytes=keep_free_bytes)
        return cls(store, quota)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable when it returns; nested ones are savepoints."""
        return self._store.transaction()

    def data_version(self) -> int:
        """Return a number that grows whenever any process has changed anything; the same for everyone who asks."""
        return self._store.change_count()

    def checkpoint(self) -> Checkpointed:
        """Copy the WAL into the database; one service does so, now and then."""
        return self._store.checkpoint()

    def integrity(self) -> list[str]:
        """Return what SQLite finds wrong with the database; an empty list when it is sound."""
        return self._store.integrity()

    def recover(self) -> recovery.Recovered:
        """Put right what the dead left; at every start of the keeper, and whenever a service has died."""
        rooms = recovery.Rooms(
            self._store, self.quota, self.blobs, self.deliveries, self.instances, self.requests, self.troubles
        )
        recovered = recovery.recover(rooms)
        self.quota.restore_ballast()
        return recovered

    def frame_log_path(self, exam_id: UUID, capture: int, segment: int) -> Path:
        """Return where a segment of a recording is kept while it is not an object yet."""
        return self.data / "framelogs" / f"{exam_id}-{capture}-{segment}.log"

    def new_frame_log(self, header: FrameLogHeader) -> FrameLog:
        """Begin a segment of a recording, of the running exam: it may use the last byte and the ballast."""
        reservation = self.quota.reserve(0, is_urgent=True)
        try:
            path = self.frame_log_path(header.exam_id, header.capture, header.segment)
            return FrameLog.create(path, header, reservation)
        except BaseException:
            reservation.close()
            raise

    def frame_logs(self) -> list[Path]:
        """Return every recording that is not an object yet, living or not (`framelog.is_recording`)."""
        return sorted((self.data / "framelogs").glob("*.log"))

    def remove_frame_log(self, path: Path) -> None:
        """Remove a recording whose object has been admitted."""
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def check_frame_log(self, path: Path) -> bool:
        """Say whether a recording can be read; if not, take it out of the way.

        One that was cut off before it had begun is removed; a damaged one goes to the quarantine, and is shown.
        """
        try:
            framelog.read_header(path)
        except SpoolError as error:
            if framelog.has_begun(path):
                path.rename(self.data / "quarantine" / path.name)
                sync_folder(self.data / "quarantine")
                self.troubles.add(path.name, error)
            else:
                self.remove_frame_log(path)
            return False
        return True

    def thumbnail_path(self, exam_id: UUID, capture: int) -> Path:
        """Return where the small picture of a capture is kept; it goes with the capture's last object."""
        return thumbnail(self.data, exam_id, capture)

    def close(self) -> None:
        """Close every thread's connection."""
        self.quota.close()
        self._store.close()

    def _is_owned(self, digest: str) -> bool:
        return self.instances.is_owned(digest)

    def _drop_unowned(self, digest: str) -> bool:
        return self.instances.drop_unowned(digest)
