"""Every class that is read from JSON, a row or a file is learnt before a second thread can meet it half learnt."""

import ast
import gc
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from gateway.structs import learn

PACKAGE = Path(__file__).resolve().parent.parent / "gateway"
READERS = {"decode", "convert", "value", "_load", "_made"}
RACE = """
import sys, threading
import msgspec
from {module} import {name}
sys.setswitchinterval(1e-6)
start = threading.Barrier(6)
def read():
    start.wait()
    for _ in range(50):
        try:
            msgspec.json.decode(b'{{}}', type={name})
        except msgspec.ValidationError:
            pass
threads = [threading.Thread(target=read) for _ in range(6)]
[each.start() for each in threads]
[each.join() for each in threads]
"""


def _is_learnt(cls: type) -> bool:
    return any(type(held).__name__ == "StructInfo" for held in gc.get_referents(cls))


def _read() -> dict[str, type]:
    """Every class that stands in the code as what something is read into."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or ast.unparse(call.func).rpartition(".")[2] not in READERS:
                continue
            for each in [*call.args, *(keyword.value for keyword in call.keywords)]:
                if isinstance(each, ast.Name) and each.id[0].isupper():
                    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
                    cls = getattr(importlib.import_module(module), each.id, None)
                    if isinstance(cls, type) and issubclass(cls, Struct):
                        found[each.id] = cls
    return found


def test_every_class_that_something_is_read_into_is_learnt():
    read = _read()
    assert {"PerformedStep", "StationStatus", "Site", "ModalityProfile", "FrameLogHeader", "Entry"} <= set(read)
    assert [name for name, cls in read.items() if not _is_learnt(cls)] == []


def test_what_a_learnt_class_holds_is_learnt_with_it():
    class Inner(Struct):
        number: int

    class Outer(Struct):
        inner: list[Inner]

    assert not _is_learnt(Inner)
    learn(Outer)
    assert _is_learnt(Inner)


@pytest.mark.parametrize(("module", "name"), [("gateway.model", "PerformedStep"), ("gateway.config", "Site")])
def test_threads_that_read_a_class_for_the_first_time_at_once_live(module, name):
    done = subprocess.run([sys.executable, "-c", RACE.format(module=module, name=name)], check=False)
    assert done.returncode == 0
