"""kill -9 of acquire: every still that was acknowledged is kept, and a recording that died keeps each frame it had."""


def test_killed_at_each_durable_step_what_was_acknowledged_is_kept_once_and_whole(drive, campaign):
    kills = campaign(14, 600)
    said = drive("acquire_driver", "steps", kills, seed=1)
    assert said["died"] > kills * 0.7, "some steps come only where an exam begins, or a picture was missed"
    assert said["steps"] > 100, "the steps of a still, a cine and the last seconds are told apart"
    assert min(said["stills"], said["early"]) > kills // 4
    assert said["synced"] > 10 * kills


def test_killed_at_any_moment_what_was_acknowledged_is_kept_once_and_whole(drive, campaign):
    kills = campaign(6, 300)
    said = drive("acquire_driver", "moments", kills, seed=2)
    assert said["died"] == kills
    assert min(said["stills"], said["early"], said["synced"]) > 2
