"""What a serial port does on a disk that is really full. `python -m tests.service.full_disk SCENARIO FOLDER`: a small file system."""

import os
import sys
import tempfile
from pathlib import Path

from gateway.simulators import nidek
from gateway.spool import journal
from tests.service.port import PAUSE, PORT, PortAtWork

MIB = 1 << 20
FIRST, SECOND, THIRD = nidek.lensmeter(), nidek.tonometer(), nidek.autorefractor()
BALLAST_BYTES = 4 * MIB


def without_an_exam_what_arrives_waits_and_the_port_goes_on_when_there_is_room(folder: Path) -> None:
    at = PortAtWork(folder, ballast_bytes=BALLAST_BYTES)
    filler: list[Path] = []
    at.play(
        FIRST,
        PAUSE,
        lambda: filler.append(fill(folder)),
        SECOND,
        PAUSE,
        0.5,
        lambda: [path.unlink() for path in filler],
        0.5,
        THIRD,
        PAUSE,
        10.0,
        PAUSE,
    )
    assert [len(one.readings.observations) for one in at.waiting()] == sizes()
    assert heard(at) == FIRST + SECOND + THIRD


def the_running_exam_has_its_readings_from_the_ballast(folder: Path) -> None:
    at = PortAtWork(folder, ballast_bytes=BALLAST_BYTES)
    step = at.start()
    at.play(1.0, FIRST, PAUSE, lambda: fill(folder), SECOND, PAUSE, THIRD, PAUSE, 10.0, PAUSE)
    assert at.spool.quota.room().ballast_bytes == 0
    assert len(at.captures(step)) == 3
    assert at.waiting() == []
    at.play(PAUSE)
    assert len(at.captures(step)) == 3
    assert at.spool.integrity() == []


def sizes() -> list[int]:
    """How many values each message states, on a disk with room."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        at = PortAtWork(Path(folder))
        at.play(*(part for message in (FIRST, SECOND, THIRD) for part in (message, PAUSE)))
        return [len(one.readings.observations) for one in at.waiting()]


def heard(at: PortAtWork) -> bytes:
    paths = sorted((at.site.data / "serial" / PORT).glob("*.journal"))
    return b"".join(chunk.data for path in paths for chunk in journal.read(path))


def fill(folder: Path) -> Path:
    """Use up every byte."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 512, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue
    return path


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
