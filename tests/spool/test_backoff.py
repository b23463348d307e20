from hypothesis import given
from hypothesis import strategies as st

from gateway.spool import backoff


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_under_five_seconds_nor_over_fifteen_minutes(attempts, drawn):
    assert 5 <= backoff.delay_s(attempts, lambda: drawn) <= 900


def test_the_ceiling_doubles_until_it_stands():
    ceilings = [backoff.delay_s(attempts, lambda: 1.0) for attempts in range(10)]
    assert ceilings == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_the_whole_wait_is_drawn_at_random():
    assert backoff.delay_s(6, lambda: 0.0) == 5
    assert backoff.delay_s(6, lambda: 0.5) == 5 + 315 / 2
