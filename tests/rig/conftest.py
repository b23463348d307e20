"""The bench in pytest: a test in a group of `GROUPS` runs inside a QEMU guest, all others here run on the host (`power`).

`make rig` collects on the host, starts one guest for each group, and shows what it reports as if it had run here. In the
guest the same files are collected again and really run.
"""

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from hw.rig import bed as beds
from hw.rig import bench
from hw.rig.machine import GuestDied

GROUPS = {
    "video": bench.Group(memory_mib=2048),
    "serial": bench.Group(
        needs_kernels=False,
        # A null-modem cable between two 16550s, and a line with nothing at its end.
        qemu=(
            *("-chardev", "socket,id=near,path=cable,server=on,wait=off", "-chardev", "socket,id=far,path=cable"),
            *("-serial", "null", "-device", "pci-serial,chardev=near", "-device", "pci-serial,chardev=far"),
        ),
    ),
    "net": bench.Group(needs_kernels=False),
}
IS_GUEST = "RIG_REPORTS" in os.environ
_guests = pytest.StashKey[dict[str, bench.GuestTests]]()
_seconds = pytest.StashKey[dict[str, float]]()


@pytest.fixture(scope="session")
def bed() -> beds.Bed:
    """What a guest boots from, for tests that start their own `Machine` on the host."""
    return beds.make()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/rig/" in item.nodeid:
            item.add_marker(pytest.mark.rig)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a guest's test: wait for what it reports. None: pytest runs it here."""
    if IS_GUEST or _group(item) not in GROUPS:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    if nextitem is None or _group(nextitem) != _group(item):
        _switch_off(item)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for group, seconds in config.stash.get(_seconds, {}).items():
        terminalreporter.write_line(f"rig: {group} in one guest, {seconds:.0f} s")


def pytest_unconfigure(config: pytest.Config) -> None:
    for guest in config.stash.get(_guests, {}).values():
        guest.close()


def _group(item: pytest.Item) -> str:
    return item.nodeid.partition("tests/rig/")[2].partition("/")[0]


def _reports(item: pytest.Item) -> Iterator[pytest.TestReport]:
    try:
        for data in _guest(item).reports_of(item.nodeid):
            report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
            if report.skipped and not hasattr(report, "wasxfail"):
                report.outcome, report.longrepr = "failed", f"skipped in the bench: {report.longrepr}"
            yield report
    except GuestDied as died:
        yield _failed(item, str(died))
    except (beds.BenchError, subprocess.CalledProcessError) as error:
        pytest.exit(f"the bench cannot run here: {error}", returncode=1)


def _failed(item: pytest.Item, why: str) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")


def _guest(item: pytest.Item) -> bench.GuestTests:
    """The guest of the item's group, switched on at its first test."""
    guests = item.config.stash.setdefault(_guests, {})
    group = _group(item)
    if group not in guests:
        if GROUPS[group].needs_kernels:
            bench.compile_kernels()
        nodes = [each.nodeid for each in item.session.items if _group(each) == group]
        item.config.stash.setdefault(_seconds, {})[group] = -time.monotonic()
        guests[group] = bench.GuestTests(beds.make(), GROUPS[group], nodes)
    return guests[group]


def _switch_off(item: pytest.Item) -> None:
    if guest := item.config.stash.get(_guests, {}).pop(_group(item), None):
        guest.close()
        item.config.stash[_seconds][_group(item)] += time.monotonic()
