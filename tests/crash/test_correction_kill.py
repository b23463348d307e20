"""kill -9 of a correction after release: every copy and every note is made once, in the right order, and nothing is lost."""


def test_killed_at_each_durable_step_a_correction_is_made_once_and_in_order(drive, campaign):
    kills = campaign(16, 500)
    said = drive("correction_driver", "steps", kills, seed=1)
    assert said["died"] > kills * 0.8
    assert said["steps"] > 100, "the steps of copies, notes and their release are told apart"
    assert min(said["copies"], said["notes"]) > kills


def test_killed_at_any_moment_a_correction_is_made_once_and_in_order(drive, campaign):
    kills = campaign(5, 200)
    said = drive("correction_driver", "moments", kills, seed=2)
    assert said["died"] > kills // 2
    assert min(said["copies"], said["notes"]) > kills
