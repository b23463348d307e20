"""One sync taken out of the gateway, from outside: the negative controls of the power group, which must be caught."""

import os
import stat

from gateway.spool import store
from tests.rig.power import NOTHING


def files() -> None:
    """No object's bytes are synced: fsync(2) of a regular file does nothing."""
    _sync_only_if(lambda mode: not stat.S_ISREG(mode))


def folders() -> None:
    """No name is synced: fsync(2) of a folder does nothing."""
    _sync_only_if(lambda mode: not stat.S_ISDIR(mode))


def frames() -> None:
    """No recording is synced: fdatasync(2) does nothing."""
    os.fdatasync = lambda _fd: None


def rows() -> None:
    """SQLite syncs nothing."""
    made = store._Session.__init__

    def make(session, path):
        made(session, path)
        session.db.execute("PRAGMA synchronous=OFF")

    store._Session.__init__ = make


LACKS = {"files": files, "folders": folders, "frames": frames, "rows": rows, NOTHING: lambda: None}


def _sync_only_if(is_wanted) -> None:
    sync = os.fsync

    def chosen(fd):
        if is_wanted(os.fstat(fd).st_mode):
            sync(fd)

    os.fsync = chosen
