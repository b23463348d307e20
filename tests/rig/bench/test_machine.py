"""The bench keeps its word: a guest's end is told as what it was, and nothing outside the guest can be reached from inside."""

import os
from pathlib import Path

import pytest

from hw.rig.machine import GuestDied, Machine, Share

ROOT = Path(__file__).resolve().parents[3]


def test_a_command_runs_with_the_checkout_at_its_own_path_and_its_status_comes_back(bed, tmp_path):
    seen = "cmp /run/rig/command /run/rig/command && ls hw/rig/recipe.toml && ! touch hw/rig/new; ls /sys/class/net; echo kept > out/told"
    with Machine(
        bed,
        f"cd {ROOT} && mkdir /out && {seen.replace('out/', '/mnt/out/')}; exit 7",
        shares=[Share("out", tmp_path, "/mnt/out", True)],
    ) as guest:
        assert guest.wait() == 7
        assert "hw/rig/recipe.toml" in guest.console
        assert [line for line in guest.console if line.startswith(("eth", "en", "wl"))] == [], "no network but lo"
    assert (tmp_path / "told").read_text() == "kept\n"
    assert not (ROOT / "hw" / "rig" / "new").exists()


def test_a_kernel_panic_is_told_and_no_process_is_left(bed):
    with Machine(bed, "echo c > /proc/sysrq-trigger") as guest, pytest.raises(GuestDied, match="panicked"):
        guest.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(guest.pid, 0)


def test_a_guest_that_hangs_is_ended(bed):
    with Machine(bed, "sleep 10000") as guest:
        assert any("rig: kernel" in line for line in guest.lines())
        with pytest.raises(GuestDied, match="nothing was heard"):
            guest.wait(silence_s=2)


def test_a_guest_that_is_switched_off_without_a_result_has_failed(bed):
    with (
        Machine(bed, "mkfifo /run/off && { echo o > /proc/sysrq-trigger; read -r _; } <> /run/off") as guest,
        pytest.raises(GuestDied, match="without a result"),
    ):
        guest.wait()
