"""kill -9 at each durable step and at random moments: nothing acknowledged is lost, nothing settled is sent again.

That each sync stands before the next step is held by tests/spool/test_blobs.py, and what a power cut leaves of a file by
tests/spool/test_framelog.py.
"""


def test_killed_at_each_durable_step_nothing_acknowledged_is_lost_or_doubled(drive, campaign):
    kills = campaign(44, 900)
    said = drive("spool_driver", "steps", kills, seed=1)
    assert said["died"] > kills * 0.8
    assert said["steps"] > 200, "the steps of one round are counted"
    assert min(said["admitted"], said["settled"], said["frames"], said["purged"], said["revised"]) > 10


def test_killed_at_any_moment_nothing_acknowledged_is_lost_or_doubled(drive, campaign):
    kills = campaign(16, 400)
    said = drive("spool_driver", "moments", kills, seed=2)
    assert said["died"] > kills * 0.8
    assert min(said["admitted"], said["settled"]) > 10
