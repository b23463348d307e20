"""DCMTK's storescp as the PACS inside a guest: other code than ours, one process for each association, one file for each object."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STORESCP = "/usr/bin/storescp"
"""Not the one of pynetdicom, which stands before it in the PATH of the .venv."""
PORT = 11112
LISTENS = f":{PORT:04X} 00000000:0000 0A"
"""How /proc/net/tcp says so (proc(5)): the local port, no peer, TCP_LISTEN."""


@contextmanager
def storescp(folder: Path, *options: str, inside: Sequence[str] = ()) -> Iterator[Path]:
    """Have a PACS for a block; yield the folder into which it writes, byte for byte, whatever it accepts.

    `inside`: the command that leads into its network name space. Files have names of their own, so that an object that
    comes twice is two files.
    """
    folder.mkdir()
    command = [
        *inside,
        STORESCP,
        "--fork",
        "-dhl",
        "-aet",
        "PACS",
        "+B",
        "+uf",
        *options,
        "-od",
        str(folder),
        str(PORT),
    ]
    with (folder.parent / "storescp.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as peer:
        try:
            end = time.monotonic() + 60
            while not _listens(inside):
                assert peer.poll() is None, (folder.parent / "storescp.log").read_text()
                assert time.monotonic() < end, "storescp does not listen"
                time.sleep(0.2)
            yield folder
        finally:
            peer.kill()


def _listens(inside: Sequence[str]) -> bool:
    return (
        LISTENS in subprocess.run([*inside, "cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout
    )
