"""The power fails while the whole gateway works: at no moment is anything lost that was acknowledged, and the test can tell.

One guest records every write of its disks, one disk for the gateway as it is and one for each sync taken out of it; then the
disks are replayed on the host to hundreds of cuts, mounted, recovered by our own recovery, and held to what the console had
said by then. `GATEWAY_POWER_SEED` draws other cuts; a failure names the seed.
"""

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from hw.rig import bench, power, power_disk
from hw.rig.bed import CHECKOUT
from hw.rig.machine import Machine, Share
from tests.conftest import IS_FULL
from tests.rig.power import NOTHING, heard

LACKING = ("files", "folders", "frames", "rows")
SECONDS = {NOTHING: 240 if IS_FULL else 30} | dict.fromkeys(LACKING, 30 if IS_FULL else 10)
SEED = int(os.environ.get("GATEWAY_POWER_SEED", "20261124"))
WORDS = {"exam", "ended", "stored", "still", "cine", "synced", "sent", "received"}
SILENCE_S = 240


def _command() -> str:
    exported = {**bench.GENERIC, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return "\n".join(
        [
            *(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
            *(f"mkdir -p /mnt/{run} && mount -t ext4 /dev/vd{chr(98 + n)} /mnt/{run}" for n, run in enumerate(SECONDS)),
            f"cd {shlex.quote(str(CHECKOUT))}",
            f"exec {shlex.quote(sys.executable)} -m tests.rig.power.work "
            + " ".join(f"{run}={seconds}" for run, seconds in SECONDS.items()),
        ]
    )


@pytest.fixture(scope="module")
def recorded(bed, tmp_path_factory):
    """What the guest's disks went through, and `told.json`: what was said of each, and when."""
    bench.refuse_foreign_python()
    bench.compile_kernels()
    folder = tmp_path_factory.mktemp("power")
    disks = [power_disk.make(folder, run) for run in SECONDS]
    told = {run: [] for run in SECONDS}
    logs, overs = {}, []
    with Machine(
        bed,
        _command(),
        disks=list(SECONDS),
        qemu=[argument for disk in disks for argument in disk.arguments],
        memory_mib=2048,
        shares=[Share("numba", bench.NUMBA, str(bench.NUMBA), is_writable=True)],
    ) as guest:
        for line in guest.lines(SILENCE_S):
            run, *words = heard(line) or [""]
            if run not in told or run in overs or not words:
                continue
            if run not in logs:
                logs[run] = power.Log(folder / f"{run}.log")
            told[run].append([logs[run].position(), *words])
            if words == ["over"]:
                overs.append(run)
            if overs == list(SECONDS):
                break  # the plug is pulled
        assert overs == list(SECONDS), "\n".join(guest.console[-200:])
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
    yield folder
    for path in folder.glob("*"):
        path.unlink()


def looked_at(folder, run, cuts):
    """Look at so many cuts of a run, on every processor; what was found of all."""
    shares = os.cpu_count() or 1

    def share(number):
        command = [sys.executable, "-m", "tests.rig.power.judge", folder, run, cuts, SEED, number, shares]
        done = subprocess.run(
            power_disk.in_own_namespace([str(part) for part in command]),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    with ThreadPoolExecutor(shares) as pool:
        found = list(pool.map(share, range(shares)))
    print(
        f"{run}: {sum(each['looked'] for each in found)} cuts, seed {SEED}, {sum(each['lost'] for each in found)} lose"
    )
    assert sum(each["looked"] for each in found) == cuts
    return sum(each["lost"] for each in found), [wrong for each in found for wrong in each["wrong"]]


def test_the_whole_gateway_was_at_work(recorded):
    told = json.loads((recorded / "told.json").read_text(encoding="utf-8"))[NOTHING]
    said = Counter(words[1] for words in told)
    assert set(said) >= WORDS, said
    assert said["stored"] >= 10, said
    assert said["still"] >= 3, said


def test_nothing_that_was_acknowledged_is_missing_or_torn_after_any_cut(recorded, campaign):
    _, wrong = looked_at(recorded, NOTHING, campaign(300, 6000))
    assert not wrong, "\n".join(wrong[:40])


@pytest.mark.parametrize("sync", ["files", "frames", "rows"])
def test_a_sync_that_is_taken_out_loses_what_was_acknowledged(recorded, campaign, sync):
    lost, _ = looked_at(recorded, sync, campaign(40, 600))
    assert lost, f"the gateway works without syncing its {sync}, or this test sees nothing"


def test_without_the_sync_of_a_folder_there_are_rows_whose_file_has_lost_its_name(recorded, campaign):
    """Ext4 hides most of it: whoever syncs a file that has grown commits everybody's names too."""
    _, wrong = looked_at(recorded, "folders", campaign(250, 4000))
    assert any("lost their file" in each or "is torn" in each for each in wrong), wrong
