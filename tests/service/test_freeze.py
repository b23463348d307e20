"""A freeze is told once, after the picture has moved and then stood; a clock, a held probe and a still picture are none."""

import pytest

from gateway.service.freeze import HOLD_NS, MOVED, MOVES, STANDS, Freeze

STEP = 100_000_000


def told(*shares):
    """At which of the looks, a tenth of a second apart, a freeze is told."""
    freeze = Freeze()
    return [n for n, share in enumerate(shares) if freeze.seen(share, n * STEP, (n + 1) * STEP)]


MOVING, STILL, CLOCK = MOVES * 4, 0.0, STANDS * 0.8


def test_a_picture_that_moved_and_then_stands_froze_once():
    assert told(*[MOVING] * 5, *[STILL] * 20) == [10]
    assert 6 * STEP == HOLD_NS


def test_a_picture_that_never_moved_did_not_freeze():
    assert told(*[STILL] * 30) == []
    assert told(*[MOVING] * (MOVED - 1), *[STILL] * 30) == []


def test_it_freezes_again_after_it_has_moved_again():
    assert told(*([MOVING] * 5 + [STILL] * 10) * 3) == [10, 25, 40]


def test_a_clock_that_ticks_does_not_keep_it_from_standing():
    assert told(*[MOVING] * 5, *[STILL, STILL, CLOCK] * 5) == [10]


def test_a_heart_that_pauses_is_no_freeze():
    assert told(*([MOVING] * 4 + [STILL] * 5) * 6) == []


@pytest.mark.parametrize("share", [STANDS * 2, MOVES * 0.9])
def test_what_neither_moves_nor_stands_decides_nothing(share):
    assert told(*[MOVING] * 5, *[share] * 30) == []
    assert told(*[MOVING] * 5, *[share] * 3, *[STILL] * 8) == [13]
