"""One service of the gateway as it is, that says aloud when it has synced a recording; or with one of its syncs taken out.

`python -m tests.rig.power.unit CONFIG SERVICE LACKING`. `LACKING` is "nothing", or what of `LACKS` is not done: the negative
controls of the power group, which must be caught.
"""

import os
import stat
import sys
from pathlib import Path

from gateway.spool import store
from gateway.spool.framelog import FrameLog
from gateway.spool.spool import Spool
from tests.rig.power import say

NOTHING = "nothing"


def lack_files() -> None:
    """No object's bytes are synced: fsync(2) of a regular file does nothing."""
    _sync_only_if(lambda mode: not stat.S_ISREG(mode))


def lack_folders() -> None:
    """No name is synced: fsync(2) of a folder does nothing."""
    _sync_only_if(lambda mode: not stat.S_ISDIR(mode))


def lack_frames() -> None:
    """No recording is synced: fdatasync(2) does nothing."""
    os.fdatasync = lambda _fd: None


def lack_rows() -> None:
    """SQLite syncs nothing."""
    made = store._Session.__init__

    def make(session, path):
        made(session, path)
        session.db.execute("PRAGMA synchronous=OFF")

    store._Session.__init__ = make


LACKS = {"files": lack_files, "folders": lack_folders, "frames": lack_frames, "rows": lack_rows, NOTHING: lambda: None}


def say_what_is_synced() -> None:
    """After each sync of a frame log: which one, and how many frames it had before."""
    begin, sync = Spool.new_frame_log, FrameLog.sync

    def begun(spool, header):
        log = begin(spool, header)
        log.name = spool.frame_log_path(header.exam_id, header.capture, header.segment).name
        return log

    def synced(log):
        frames = log.frames
        sync(log)
        say("synced", log.name, frames)

    Spool.new_frame_log, FrameLog.sync = begun, synced


def _sync_only_if(is_wanted) -> None:
    sync = os.fsync

    def chosen(fd):
        if is_wanted(os.fstat(fd).st_mode):
            sync(fd)

    os.fsync = chosen


if __name__ == "__main__":
    config, name, lacking = sys.argv[1:]
    LACKS[lacking]()
    say_what_is_synced()
    from gateway import cli, config as configuration
    from gateway.service.unit import run_unit

    site = configuration.load(Path(config))
    sys.exit(run_unit(name, site, cli._serve(name, site)))
