"""What an instrument said, kept beside the thumbnail of its capture."""

from uuid import UUID

from gateway.codes import DIOPTRE, SPHERE
from gateway.model import Observation, ReadingSet
from gateway.spool import readings

EXAM = UUID(int=7)
SAID = ReadingSet(observations=(Observation(concept=SPHERE, value="-1.25", unit=DIOPTRE, raw=b"\xff"),), received_ns=5)


def test_what_was_written_is_read_and_then_forgotten(tmp_path):
    readings.write(tmp_path, EXAM, 2, SAID)
    assert readings.read(tmp_path, EXAM, 2) == SAID
    assert readings.read(tmp_path, EXAM, 3) is None
    readings.remove(tmp_path, EXAM, 2)
    assert readings.read(tmp_path, EXAM, 2) is None


def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path):
    readings.write(tmp_path, EXAM, 2, SAID)
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(path.read_bytes()[:-9])
    assert readings.read(tmp_path, EXAM, 2) is None
