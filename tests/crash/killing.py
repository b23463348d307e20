"""A child process that is killed at a durable step, or at a random moment, and tells its parent what was acknowledged until then.

The steps are counted where the system is called: writes, syncs, renames, unlinks and statements, before and after each. A step
is named by the call or the statement and by who makes it. Children are forked: whoever imports little forks quickly.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from sqlite_utils import Database

SYSTEM_CALLS = ("write", "writev", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "truncate", "pwrite")
READING = ("SELECT", "PRAGMA", "EXPLAIN")
CALLERS = 3

Say = Callable[..., None]
"""`say("still", 7)`: one line through the pipe to the parent."""


class Life(NamedTuple):
    """How a child ended, and what steps it named when it lived to its end."""

    is_killed: bool
    steps: list[str]


def watch_steps(at: str = "", nth: int = 0) -> list[str]:
    """Make the process die at the n-th of its steps, or of those of one name; return the steps that pass."""
    passed: list[str] = []
    left = [nth]

    def pass_one(name: str, when: str) -> None:
        step = f"{when} {name} in {_callers()}"
        passed.append(step)
        if at in {"", step}:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(real, name: str):
        def call(*args, **kwargs):
            pass_one(name, "before")
            answer = real(*args, **kwargs)
            pass_one(name, "after")
            return answer

        return call

    for name in SYSTEM_CALLS:
        setattr(os, name, watched(getattr(os, name), name))
    execute = Database.execute

    def executed(db, sql, *rest):
        if sql.lstrip().startswith(READING):
            return execute(db, sql, *rest)
        return watched(execute, " ".join(sql.split()[:2]))(db, sql, *rest)

    Database.execute = executed
    return passed


def _callers() -> str:
    """Name who calls, from the inside: rooms of the gateway, not the store that all of them go through."""
    names, frame = [], sys._getframe(3)
    while frame is not None and len(names) < CALLERS:
        file = frame.f_code.co_filename
        if "/gateway/" in file and not file.endswith(("store.py", "quota.py")):
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return "<".join(names)


def life(what: Callable[[Say], None], hear: Callable[..., None], *, after_s: float = 0.0) -> Life:
    """Fork a child that does `what`, and let it live until it is killed; `hear` gets each line that it said, word by word."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        write, code = os.write, 3

        def say(*words: object) -> None:
            write(writing, f"{' '.join(map(str, words))}\n".encode())

        try:
            what(say)
            code = 0
        except BaseException:  # noqa: BLE001  the parent says it
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    if after_s:
        time.sleep(after_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    steps = []
    with os.fdopen(reading, encoding="utf-8") as words:
        for line in words.read().split("\n")[:-1]:  # a line that was cut off was told to nobody
            word, *facts = line.split()
            if word == "step":
                steps.append(" ".join(facts))
            else:
                hear(word, *facts)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, -9}, f"the child ended with {code}"
    return Life(code == -signal.SIGKILL, steps)


def steps_of(what: Callable[[Say], None], hear: Callable[..., None]) -> list[tuple[str, int]]:
    """Live once to the end; return each step that there is, and how often it came, in the order of the first."""
    lived = life(what, hear)
    assert not lived.is_killed
    return list(Counter(lived.steps).items())


def step_for(kill: int, kills: int, steps: list[tuple[str, int]]) -> tuple[str, int]:
    """Spread the kills over the steps, from the first to the last."""
    return steps[(kill * len(steps) // min(kills, len(steps)) + kill // len(steps)) % len(steps)]
