"""Services of the gateway as processes of their own, forked from the test: under emulation importing takes longest, and is done once."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway import cli
from gateway.config import Site
from gateway.service.unit import run_unit


@contextmanager
def running(names: Sequence[str], site: Site, before: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Have services for a block; each has done `before` first. Yields their process ids, and each must end well when it is told to."""
    pids = [_fork(name, site, before) for name in names]
    try:
        yield pids
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGTERM)
        ends = {name: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for name, pid in zip(names, pids, strict=True)}
    assert set(ends.values()) == {0}, ends


def _fork(name: str, site: Site, before: Callable[[], None]) -> int:
    if pid := os.fork():
        return pid
    code = 9
    try:
        before()
        code = run_unit(name, site, cli._serve(name, site))
    except BaseException:  # noqa: BLE001  it is a process of its own: nobody else would say it
        traceback.print_exc()
    finally:
        os._exit(code)
