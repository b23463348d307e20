"""Sending beside its peers: 150 CT of 0.5 MB over one association to the same receiver, all in one run.

`gateway` is the whole unit `forward` on a real spool: claim, digest of each blob, C-STORE, a durable row for each answer;
`gateway, wire only` is its sender without a spool, which is what dcmsend and storescu are. The receivers are DCMTK's
storescp, with Nagle's algorithm (its default) and without (TCP_NODELAY=1), and Orthanc; medians of rounds in turns.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway import config
from gateway.clock import SystemClock
from gateway.forward import dicom
from gateway.service.forward import transcode
from gateway.spool.spool import Spool
from gateway.wire.dimse import scu
from gateway.wire.dimse.peer import Peer
from tests import dcmtk
from tests.benchmarks.ingest import _PORT, _orthanc, _storescp
from tests.dicom_files import CT, admit
from tests.flow.arrivals import write

OBJECTS, ROUNDS, SLOW_ROUNDS = 150, 3, 1
EXPLICIT = "1.2.840.10008.1.2.1"
PEER = Peer(name="pacs", host="127.0.0.1", port=_PORT, called_ae="GATEWAY", calling_ae="BOX")
RECEIVERS = {"storescp": (_storescp, ""), "storescp TCP_NODELAY=1": (_storescp, "1"), "Orthanc": (_orthanc, "")}


def run(objects: int = OBJECTS) -> list[dict[str, object]]:
    """Measure; one row for each receiver and peer. A goal of 0 is only reported."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"), prefix="send") as name:
        folder = Path(name)
        (folder / "ct").mkdir()
        paths = [write(folder / "ct" / f"{n:03}.dcm", f"2.25.{10**20 + n}", rows=512, seed=n) for n in range(objects)]
        rows = []
        for receiver in RECEIVERS:
            rates = _rates(folder, paths, receiver)
            for peer, goal in (("dcmsend", 1.0), ("dcmsend TCP_NODELAY=1", 0.0), ("storescu TCP_NODELAY=1", 0.0)):
                rows += [_row(f"send, {who} / {receiver}", rates[who], rates[peer], peer, goal) for who in OURS]
    return rows


def _row(name, ours, peer, peer_name, goal):
    ratio = ours / peer
    return {
        "name": name,
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "peer_name": peer_name,
        "unit": "objects/s",
        "ratio": round(ratio, 2),
        "goal": goal,
        "met": ratio >= goal,
    }


def _rates(folder, paths, receiver):
    """Objects a second of every sender to one receiver."""
    seconds = {sender: [] for sender in SENDERS}
    for turn in range(ROUNDS):
        for sender, (rounds, send) in SENDERS.items():
            if turn < rounds:
                seconds[sender].append(_once(folder / "run", paths, receiver, send))
    return {sender: len(paths) / statistics.median(taken) for sender, taken in seconds.items()}


def _once(folder, paths, receiver, send):
    """A fresh receiver; seconds of the sending alone. Everything must have arrived."""
    start, no_delay = RECEIVERS[receiver]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    with start(folder, {"TCP_NODELAY": no_delay} if no_delay else {}) as count:
        taken = send(folder, paths)
        assert count() == len(paths)
    return taken


def _wire(folder, paths):
    begun = time.perf_counter()
    offers = [scu.Offer(CT, (EXPLICIT,))] * len(paths)
    outcomes = list(scu.store(PEER, offers, lambda index, accepted: contextlib.nullcontext(paths[index])))
    taken = time.perf_counter() - begun
    assert {outcome.verdict for _, outcome in outcomes} == {"accepted"}, outcomes[0]
    return taken


def _forward(folder, paths):
    """What a courier does, one claim after the other."""
    site = config.Destination(host=PEER.host, port=PEER.port, called_ae=PEER.called_ae)
    peer = dicom.peer_of("pacs", site, "BOX")
    with Spool.open(folder / "spool", SystemClock()) as spool:
        for path in paths:
            admit(spool, path, ["pacs"])
        begun = time.perf_counter()
        while batch := spool.deliveries.claim("pacs", 64):
            for settled in dicom.send(peer, batch, spool, transcode):
                spool.deliveries.settle([settled])
        return time.perf_counter() - begun


def _dcmtk(program, no_delay):
    def send(folder, paths):
        line = [
            dcmtk.program(program),
            "-aet",
            "BOX",
            "-aec",
            PEER.called_ae,
            PEER.host,
            str(PEER.port),
            *map(str, paths),
        ]
        begun = time.perf_counter()
        subprocess.run(line, env=os.environ | {"TCP_NODELAY": no_delay}, check=True, capture_output=True)
        return time.perf_counter() - begun

    return send


OURS = ("gateway", "gateway, wire only")
SENDERS = {
    "gateway": (ROUNDS, _forward),
    "gateway, wire only": (ROUNDS, _wire),
    "dcmsend": (SLOW_ROUNDS, _dcmtk("dcmsend", "0")),
    "dcmsend TCP_NODELAY=1": (SLOW_ROUNDS, _dcmtk("dcmsend", "1")),
    "storescu TCP_NODELAY=1": (SLOW_ROUNDS, _dcmtk("storescu", "1")),
}


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=2)
