"""Claim, settle, wait, recover: each obligation is met once, and none is forgotten."""

import os
import subprocess
import sys
import threading

import pytest

from gateway.errors import LeaseLost, NoSuchRow, WrongState
from gateway.model import DeliveryState, PayloadKind, StoreOutcome
from gateway.spool.spool import Spool
from tests.spool.world import ACCEPTED, LATER, NEVER, FakeClock, admit, send, states


def test_the_oldest_is_claimed_first_and_never_twice(spool):
    for number in range(7):
        admit(spool, f"1.{number}")
    first, rest = spool.deliveries.claim("pacs", 3), spool.deliveries.claim("pacs", 100)
    assert [delivery.payload for delivery in first + rest] == [f"1.{number}" for number in range(7)]
    assert {delivery.state for delivery in first} == {"SENDING"}
    assert {delivery.attempts for delivery in first} == {1}
    assert spool.deliveries.claim("pacs", 100) == []


def test_destinations_do_not_see_one_another(spool):
    admit(spool, "1.1", ["a", "b"])
    assert send(spool, "a") == ["1.1"]
    assert states(spool, "1.1") == ["SENT", "QUEUED"]
    assert spool.deliveries.counts() == {"a": {"SENT": 1}, "b": {"QUEUED": 1}}


def test_many_claimants_share_a_queue_without_a_double(data, clock):
    with Spool.open(data, clock) as spool:
        for number in range(60):
            admit(spool, f"1.{number}")
    code = f"""
import sys
from pathlib import Path
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock, ACCEPTED
spool = Spool.open(Path({str(data)!r}), FakeClock())
print("ready", flush=True)
sys.stdin.read()
while (batch := spool.deliveries.claim("pacs", 4)):
    print(*(delivery.delivery_id for delivery in batch))
    assert spool.deliveries.settle([(delivery.delivery_id, ACCEPTED) for delivery in batch]) == []
"""
    claimants = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for claimant in claimants:
        assert claimant.stdout.readline() == "ready\n"
    for claimant in claimants:
        claimant.stdin.close()
        claimant.stdin = None
    got = [int(word) for claimant in claimants for word in claimant.communicate()[0].split()]
    assert sorted(got) == list(range(1, 61))


def test_threads_share_a_queue_without_a_double(spool):
    for number in range(40):
        admit(spool, f"1.{number}")
    got = []

    def work():
        while batch := spool.deliveries.claim("pacs", 3):
            got.extend(delivery.delivery_id for delivery in batch)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 41))


def test_what_was_deferred_waits_and_then_is_due(spool, clock):
    admit(spool, "1.1")
    assert spool.deliveries.next_due_s("pacs") == 0.0
    send(spool, outcome=LATER)
    assert states(spool, "1.1") == ["QUEUED"]
    wait_s = spool.deliveries.next_due_s("pacs")
    assert 0 < wait_s <= 5
    assert spool.deliveries.claim("pacs", 1) == []
    clock.sleep(wait_s - 0.001)
    assert spool.deliveries.claim("pacs", 1) == []
    clock.sleep(0.002)
    assert spool.deliveries.next_due_s("pacs") == 0.0
    assert send(spool) == ["1.1"]
    assert spool.deliveries.next_due_s("pacs") is None


def test_waits_grow_to_fifteen_minutes_and_never_end(spool, clock):
    admit(spool, "1.1")
    waits = []
    for _ in range(40):
        assert send(spool, outcome=LATER) == ["1.1"]
        waits.append(spool.deliveries.next_due_s("pacs"))
        clock.sleep(waits[-1] + 0.001)
    assert waits[0] == 5
    assert all(5 <= wait_s <= 900 for wait_s in waits)
    assert max(waits) > 300
    (delivery,) = spool.deliveries.of_payload("1.1")
    assert (delivery.attempts, delivery.error_code, delivery.error_text) == (40, "G501", "no route")


def test_the_wall_clock_shortens_no_wait(spool, clock):
    admit(spool, "1.1")
    send(spool, outcome=LATER)
    clock.wall = clock.wall.replace(year=2039)
    assert spool.deliveries.next_due_s("pacs") > 0
    clock.wall = clock.wall.replace(year=1970)
    assert spool.deliveries.next_due_s("pacs") <= 5


def test_a_peer_that_answers_ends_every_wait_of_its_own(spool, clock):
    for number in range(3):
        admit(spool, f"1.{number}", ["pacs", "other"])
    send(spool, "other", LATER)
    for _ in range(6):
        send(spool, outcome=LATER)
        clock.sleep(1000)
    send(spool, outcome=LATER)
    assert spool.deliveries.probe_now("pacs") == 3
    assert spool.deliveries.next_due_s("pacs") == 0.0
    assert send(spool, outcome=LATER) == ["1.0", "1.1", "1.2"]
    assert spool.deliveries.next_due_s("pacs") <= 5, "it starts again from the shortest wait"


def test_after_a_reboot_everything_that_waited_is_due(data, clock):
    with Spool.open(data, clock) as spool:
        for number in range(3):
            admit(spool, f"1.{number}")
        for _ in range(5):
            send(spool, outcome=LATER)
            clock.sleep(1000)
        send(spool, outcome=LATER)
    clock.reboot()
    with Spool.open(data, clock) as spool:
        assert spool.deliveries.next_due_s("pacs") == 0.0
        assert send(spool) == ["1.0", "1.1", "1.2"]


def test_the_oldest_goes_first_although_it_waited(spool, clock):
    admit(spool, "1.old")
    send(spool, outcome=LATER)
    admit(spool, "1.new")
    clock.sleep(6)
    assert [delivery.payload for delivery in spool.deliveries.claim("pacs", 1)] == ["1.old"]


def test_one_bad_object_does_not_hold_up_the_queue(spool):
    for number in range(3):
        admit(spool, f"1.{number}")
    first, second, third = spool.deliveries.claim("pacs", 3)
    spool.deliveries.settle([(first.delivery_id, LATER), (second.delivery_id, NEVER), (third.delivery_id, ACCEPTED)])
    assert [states(spool, f"1.{number}") for number in range(3)] == [["QUEUED"], ["FAILED"], ["SENT"]]
    assert [delivery.payload for delivery in spool.deliveries.failed(5)] == ["1.1"]


def test_what_follows_another_waits_until_that_one_was_taken(spool):
    create = spool.deliveries.add(PayloadKind.MPPS, "create", "ris")
    spool.deliveries.add(PayloadKind.MPPS, "set", "ris", after=create.delivery_id)
    (claimed,) = spool.deliveries.claim("ris", 9)
    assert claimed.payload == "create"
    assert spool.deliveries.claim("ris", 9) == []
    assert spool.deliveries.next_due_s("ris") is None
    spool.deliveries.settle([(claimed.delivery_id, NEVER)])
    assert spool.deliveries.claim("ris", 9) == []
    spool.deliveries.apply(claimed.delivery_id, "retry", by="eve")
    assert send(spool, "ris") == ["create"]
    assert send(spool, "ris") == ["set"]


def test_what_follows_a_cancelled_one_is_cancelled_too(spool):
    create = spool.deliveries.add(PayloadKind.MPPS, "create", "ris")
    one = spool.deliveries.add(PayloadKind.MPPS, "set", "ris", after=create.delivery_id)
    two = spool.deliveries.add(PayloadKind.MPPS, "set again", "ris", after=one.delivery_id)
    spool.deliveries.apply(create.delivery_id, "cancel", by="eve")
    assert {spool.deliveries.get(number.delivery_id).state for number in (create, one, two)} == {"CANCELLED"}


def test_a_dead_senders_deliveries_return_and_a_living_ones_do_not(data, clock):
    with Spool.open(data, clock) as spool:
        for number in range(4):
            admit(spool, f"1.{number}")
        _claim_in_another_process(data, "pacs", 2)
        mine = spool.deliveries.claim("pacs", 1)
        assert [delivery.payload for delivery in mine] == ["1.2"]
        assert spool.deliveries.recover() == 2
        assert [states(spool, f"1.{number}")[0] for number in range(4)] == ["QUEUED", "QUEUED", "SENDING", "QUEUED"]
        assert spool.deliveries.recover() == 0
        assert send(spool) == ["1.0", "1.1", "1.3"], "the first loss costs no wait"


def test_a_lease_of_another_boot_is_dead_although_the_process_id_lives(data, clock):
    with Spool.open(data, clock) as spool:
        admit(spool, "1.1")
        spool.deliveries.claim("pacs", 1)
    clock.reboot()
    with Spool.open(data, clock) as spool:
        assert spool.deliveries.recover() == 1


def test_a_poisonous_object_waits_longer_each_time_it_kills_its_sender(data, clock):
    with Spool.open(data, clock) as spool:
        admit(spool, "1.1")
        waits = []
        for _ in range(8):
            _claim_in_another_process(data, "pacs", 1, clock.mono_ns)
            spool.deliveries.recover()
            waits.append(spool.deliveries.next_due_s("pacs"))
            clock.sleep(waits[-1] + 0.001)
        assert waits[0] == 0
        assert waits[1] == 5
        assert all(wait_s >= 5 for wait_s in waits[1:])


def test_a_late_verdict_on_a_lost_lease_is_reported_and_changes_nothing(data, clock):
    with Spool.open(data, clock) as spool, Spool.open(data, clock) as other:
        admit(spool, "1.1")
        admit(spool, "1.2")
        first, second = spool.deliveries.claim("pacs", 2)
        other._store.me = other._store.me.__class__("boot-1", 1, 1)
        spool.deliveries.apply(first.delivery_id, "lease_lost")
        taken = other.deliveries.claim("pacs", 1)
        assert [delivery.payload for delivery in taken] == ["1.1"]
        outcomes = [(first.delivery_id, NEVER), (second.delivery_id, ACCEPTED), (999, ACCEPTED)]
        assert spool.deliveries.settle(outcomes) == [first.delivery_id, 999]
        assert [states(spool, uid) for uid in ("1.1", "1.2")] == [["SENDING"], ["SENT"]]
        with pytest.raises(LeaseLost):
            spool.deliveries.apply(first.delivery_id, "accept")


def test_one_outcome_twice_in_a_batch_is_settled_once(spool):
    admit(spool, "1.1")
    (delivery,) = spool.deliveries.claim("pacs", 1)
    assert spool.deliveries.settle([(delivery.delivery_id, ACCEPTED), (delivery.delivery_id, NEVER)]) == [1]
    assert states(spool, "1.1") == ["SENT"]


def test_what_an_accepting_peer_remarked_is_kept(spool):
    admit(spool, "1.1")
    send(spool, outcome=StoreOutcome(verdict="accepted", text="B000 coerced PatientName", status=0xB000))
    assert spool.deliveries.of_payload("1.1")[0].note == "B000 coerced PatientName"


def test_a_success_is_dated_only_by_a_clock_that_is_trusted(spool, clock):
    assert spool.deliveries.last_success("pacs") is None
    clock.why = "it shows 1970"
    admit(spool, "1.1")
    send(spool)
    assert spool.deliveries.last_success("pacs") is None
    clock.why = ""
    admit(spool, "1.2")
    send(spool)
    assert spool.deliveries.last_success("pacs") == clock.now()
    assert spool.deliveries.last_success("other") is None


def test_what_a_person_did_is_in_the_history(spool):
    admit(spool, "1.1")
    send(spool, outcome=NEVER)
    spool.deliveries.apply(1, "retry", by="eve", text="the PACS was repaired")
    assert [(entry.event, entry.by) for entry in spool.history.of("delivery 1")] == [("reject", ""), ("retry", "eve")]


def test_a_delivery_that_nobody_knows_is_named(spool):
    with pytest.raises(NoSuchRow):
        spool.deliveries.apply(77, "cancel")
    with pytest.raises(NoSuchRow):
        spool.deliveries.get(77)


def test_an_object_that_has_left_this_box_cannot_be_sent_again(spool, clock):
    from datetime import timedelta

    admit(spool, "1.1")
    send(spool)
    clock.sleep(10)
    spool.instances.purge(spool.instances.purgeable(clock.now(), timedelta(0))[0].sop_instance_uid)
    for event in ("retry", "lost"):
        with pytest.raises(WrongState):
            spool.deliveries.apply(1, event)
    assert spool.deliveries.apply(1, "committed") == DeliveryState.COMMITTED


def test_the_latest_deliveries_come_first(spool):
    for number in range(5):
        admit(spool, f"1.{number}")
    assert [delivery.payload for delivery in spool.deliveries.recent(2)] == ["1.4", "1.3"]


@pytest.mark.parametrize("statement", ["DUE", "CLAIM", "WAKE", "NEXT", "PROBED"])
def test_claiming_reads_an_index_and_never_the_whole_table(spool, statement):
    from gateway.spool import statements

    sql = getattr(statements, statement)
    named = {"destination": "a", "boot": "b", "now": 1}
    parameters = named if ":boot" in sql else ["a"] * sql.count("?")
    plan = [row["detail"] for row in spool._store.rows(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert not [line for line in plan if line.startswith("SCAN delivery") or "TEMP B-TREE" in line], plan


def _claim_in_another_process(data, destination, limit, mono_ns=None):
    """Claim, and die with the lease."""
    code = f"""
import os
from pathlib import Path
from gateway.spool.spool import Spool
from tests.spool.world import FakeClock
clock = FakeClock()
clock.mono_ns = {mono_ns} or clock.mono_ns
spool = Spool.open(Path({str(data)!r}), clock)
assert len(spool.deliveries.claim({destination!r}, {limit})) == {limit}
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, env=os.environ).returncode == -9


def test_a_fake_clock_is_a_clock():
    from gateway.clock import Clock

    checked: type[Clock] = FakeClock
    assert checked
