"""DCMTK's storescp as the PACS: other code than ours, one process for each association, one file for each object."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import dcmtk

PORT = 11112


@contextmanager
def storescp(folder: Path, *options: str, port: int = PORT, inside: Sequence[str] = ()) -> Iterator[Path]:
    """Have a PACS for a block; yield the folder into which it writes, byte for byte, whatever it accepts.

    `inside`: the command that leads into its network name space. Files have names of their own, so that an object that
    comes twice is two files.
    """
    folder.mkdir()
    told = ["--fork", "-dhl", "-aet", "PACS", "+B", "+uf", *options, "-od", str(folder), str(port)]
    log = folder.with_name(f"{folder.name}.log")
    with (
        log.open("wb") as file,
        subprocess.Popen([*inside, dcmtk.program("storescp"), *told], stdout=file, stderr=file) as peer,
    ):
        try:
            end = time.monotonic() + 60
            while not _listens(port, inside):
                assert peer.poll() is None, log.read_text()
                assert time.monotonic() < end, "storescp does not listen"
                time.sleep(0.05)
            yield folder
        finally:
            peer.kill()


def _listens(port: int, inside: Sequence[str]) -> bool:
    """Say whether somebody listens, without calling: the local port, no peer, TCP_LISTEN (proc(5))."""
    said = subprocess.run([*inside, "cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout
    return f":{port:04X} 00000000:0000 0A" in said
