"""Four processes write, one checkpoints, and a thrower stops them anywhere: the database stays sound, every row is there."""

from tests.benchmarks import writers


def test_stopped_anywhere_beside_checkpoints_the_database_stays_sound(campaign):
    said = writers.measure(campaign(3.0, 600.0), seed=3)
    assert said["integrity"] == []
    assert said["rows"] == said["commits"] > 10
    assert said["stops"] > 0
