"""kill -9 of the unit `listen` at random moments: every acknowledged object is there, whole, and exactly once."""

import random
import signal
import threading
import time

from gateway.clock import SystemClock
from gateway.simulators.modality import Modality
from gateway.spool.spool import Spool
from tests.flow.arrivals import data_set, files, unit, write


def test_no_acknowledged_object_is_lost_or_doubled_by_kill_9(tmp_path, free_port, campaign):
    """Two modalities send, the unit is killed, recovery runs, they send again what was not acknowledged; many times."""
    rounds, chance = campaign(4, 150), random.Random(20261124)
    paths = {f"1.2.3.{n}": write(tmp_path / f"{n}.dcm", f"1.2.3.{n}", rows=200 + n, seed=n) for n in range(12 * rounds)}
    waiting, acknowledged = list(paths), set()
    for _ in range(rounds):
        with unit(tmp_path, free_port) as process:
            modalities = [Modality(("127.0.0.1", free_port), calling_ae=f"CT{n}", pdu_bytes=16384) for n in range(2)]
            threads = [
                threading.Thread(target=_send_until_it_breaks, args=(modality, [paths[uid] for uid in waiting[n::2]]))
                for n, modality in enumerate(modalities)
            ]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.wait()
            for thread in threads:
                thread.join()
        acknowledged |= {
            one.sop_instance_uid for modality in modalities for one in modality.seen if one.answer == "0000"
        }
        # What was acknowledged last is sent again too: its answer may have been lost on another day.
        waiting = [uid for uid in paths if uid not in acknowledged] + sorted(acknowledged)[-2:]
        _check(tmp_path / "data", paths, acknowledged)
    assert acknowledged


def _send_until_it_breaks(modality, paths):
    for path in paths:
        try:
            answer = modality.send([path])[-1].answer
        except OSError:
            return
        if answer != "0000":
            return


def _check(data, paths, acknowledged):
    with Spool.open(data, SystemClock()) as spool:
        spool.recover()
        assert spool.integrity() == []
        stored = {one.sop_instance_uid: one for one in spool.instances.received(10_000)}
        assert acknowledged <= set(stored)
        for uid, instance in stored.items():
            assert len(spool.instances.same_uid(uid)) == 1
            assert len(spool.deliveries.of_payload(uid)) == 1
            spool.blobs.verify(instance.blob)
            assert data_set(spool.blobs.path(instance.blob).read_bytes()) == data_set(paths[uid].read_bytes())
        assert {path.name for path in files(data / "blobs")} == {one.blob for one in stored.values()}
        assert files(data / "parts") == []
        assert {trouble.error_code for trouble in spool.troubles.all()} <= {"G409"}, "killed between rename and row"
