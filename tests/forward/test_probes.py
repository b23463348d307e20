"""When a peer out of reach is asked again: soon, then later; a false hope is not believed twice as fast."""

from gateway.errors import PeerRefused, PeerUnreachable
from gateway.forward.probes import Probes


def waits(probes, happen, times):
    found = []
    for _ in range(times):
        found.append(probes.wait_s())
        happen()
    return found


def never_early():
    return 0.999999


def test_it_asks_later_and_later_but_at_least_every_minute():
    probes = Probes(never_early)
    missed = waits(probes, lambda: probes.missed(PeerUnreachable(peer="P")), 8)
    assert [round(wait) for wait in missed] == [5, 10, 20, 40, 60, 60, 60, 60]


def test_a_peer_that_refuses_us_is_asked_less_often():
    probes = Probes(never_early)
    refused = waits(probes, lambda: probes.missed(PeerRefused(peer="P")), 9)
    assert round(refused[-1]) == 300


def test_a_peer_that_answers_probes_and_takes_nothing_is_not_stormed():
    probes = Probes(never_early)
    hopes = waits(probes, probes.hoped, 10)
    assert hopes == sorted(hopes)
    assert round(hopes[-1]) == 900


def test_what_went_through_starts_anew():
    probes = Probes(never_early)
    waits(probes, probes.hoped, 5)
    probes.delivered()
    assert round(probes.wait_s()) == 5


def test_no_two_boxes_ask_in_step():
    assert Probes(lambda: 0.0).wait_s() == 2.5
    assert 2.5 <= Probes().wait_s() <= 5.0
