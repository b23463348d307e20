"""kill -9 of a serial port: what its journal has becomes one object, or waits for a person; it is never lost and never twice."""


def test_killed_at_each_durable_step_every_reading_is_there_once(drive, campaign):
    kills = campaign(16, 600)
    said = drive("serial_driver", "steps", kills, seed=1)
    assert said["died"] > kills * 0.7
    assert said["steps"] > 60, "the steps of journal, objects, inbox and mark are told apart"
    assert said["kept"] > kills
    assert said["assigned"] > 0


def test_killed_at_any_moment_every_reading_is_there_once(drive, campaign):
    kills = campaign(4, 200)
    said = drive("serial_driver", "moments", kills, seed=2)
    assert said["died"] > kills // 2
    assert said["kept"] > kills
