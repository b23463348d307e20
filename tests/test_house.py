"""The house: imports only go down, one library has one door, and no file says where it was written.

Each rule is a row of a table; `test_a_broken_rule_is_seen` breaks every one of them once.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gateway"

# Where a library may be imported: paths inside gateway/, a folder ends in a slash.
SOCKETS = ("wire/net.py", "wire/dimse/", "service/bell.py", "simulators/")
DOORS = {
    "numba": ("pixels/",),
    "pynetdicom": ("wire/dimse/", "simulators/"),
    "pydicom": ("objects/", "wire/dimse/", "media/fileset.py", "simulators/"),
    "reportlab": ("objects/paper.py",),
    "uharfbuzz": ("objects/fonts.py",),
    "serial": ("device/tty.py", "simulators/"),
    "sqlite_utils": ("spool/",),
    "sqlite3": ("spool/",),
    "flask": ("panel/",),
    "flask_babel": ("panel/",),
    "systemd": ("service/",),
    "subprocess": ("device/process.py", "service/", "cli.py"),
    "socket": SOCKETS,
    "socketserver": SOCKETS,
    "ssl": SOCKETS,
    "http.client": SOCKETS,
    "urllib.request": SOCKETS,
}
# Functions that are a way round a door, or that wait.
CALLS = {
    "time.sleep": ("service/", "simulators/"),
    "asyncio.sleep": ("service/", "simulators/"),
    "os.system": (),
    "os.popen": (),
    "os.fork": ("device/process.py", "service/"),
    "os.posix_spawn": ("device/process.py", "service/", "cli.py"),
    "os.execv": ("device/process.py", "service/", "cli.py"),
    "os.execvp": ("device/process.py", "service/", "cli.py"),
    "os.execve": ("device/process.py", "service/", "cli.py"),
}
SQL = re.compile(
    r"\bSELECT\s.+\sFROM\s|\bINSERT\s+(OR\s+\w+\s+)?INTO\s|\bUPDATE\s+\w+\s+SET\s|\bDELETE\s+FROM\s|\bCREATE\s+(TABLE|INDEX)\s|^\s*PRAGMA\s",
    re.DOTALL,
)
FILE_NAMES = {
    "utils.py",
    "util.py",
    "helpers.py",
    "helper.py",
    "common.py",
    "constants.py",
    "types.py",
    "base.py",
    "misc.py",
}
CLASS_WORDS = {"Manager", "Helper", "Util", "Utils", "Common", "Base", "Abstract", "Factory", "Engine", "Mixin"}


def test_imports_only_go_down():
    linted = subprocess.run(["lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_room_is_a_package():
    """Without `__init__.py` a folder is invisible to the floors, the types and the installer."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    wrong = [
        f"{folder.relative_to(ROOT)}/__init__.py is missing"
        for folder in sorted(folders)
        if not (folder / "__init__.py").is_file()
    ]
    assert not wrong, "\n".join(wrong)


def test_one_library_has_one_door():
    wrong = [f"gateway/{path} {what}" for path, tree in _modules() for what in _wrong_doors(path, tree)]
    assert not wrong, "\n".join(wrong)


def test_names_say_what_a_thing_is():
    wrong = [f"gateway/{path}: {what}" for path, tree in _modules() for what in _wrong_names(path, tree)]
    assert not wrong, "\n".join(wrong)


def test_no_file_says_where_it_was_written():
    found = [
        f"{name}: {leak.group()}"
        for name in _files_of_the_project()
        if (ROOT / name).is_file()
        and (leak := _LEAK.search((ROOT / name).read_text(encoding="utf-8", errors="replace")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("forward/stow.py", "import pynetdicom"),
        ("panel/queue.py", "from gateway.pixels.kernels import x; from numba import njit"),
        ("exam.py", "def f():\n    import pydicom.uid"),
        ("source/serial.py", "from serial.tools import list_ports"),
        ("objects/us.py", "import sqlite3 as db"),
        ("wire/stow.py", "from http import client"),
        ("device/optical.py", "from subprocess import run"),
        ("forward/link.py", "import time\ntime.sleep(1)"),
        ("forward/link.py", "import time as t\nt.sleep(1)"),
        ("forward/link.py", "from time import sleep"),
        ("device/tape.py", "import os\nos.system('mt')"),
        ("exam.py", "x = 'UPDATE exam SET state = 1'"),
        ("exam.py", "x = f'SELECT {y} FROM exam'"),
    ],
)
def test_a_broken_door_is_seen(path, code):
    assert len(_wrong_doors(path, ast.parse(code))) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("panel/utils.py", ""),
        ("exam.py", "class ExamManager: ..."),
        ("exam.py", "class AbstractExam: ..."),
        ("exam.py", "class USBEngine: ..."),
    ],
)
def test_a_wrong_name_is_seen(path, code):
    assert len(_wrong_names(path, ast.parse(code))) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("spool/spool.py", "import sqlite3\nx = 'SELECT 1 FROM exam'"),
        ("wire/dimse/scp.py", "import pynetdicom, socket"),
        ("service/keeper.py", "import time\ntime.sleep(1)"),
        ("service/panel.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flask import Flask"),
        (
            "exam.py",
            "class Database: ...\nclass Baseline: ...\nfrom gateway.spool import spool\nx = 'Select a frame from the ring'",
        ),
    ],
)
def test_what_is_allowed_is_not_seen(path, code):
    assert _wrong_doors(path, ast.parse(code)) + _wrong_names(path, ast.parse(code)) == []


@pytest.mark.parametrize(
    "text", ["cd /work" + "/main", "https://pyp" + "i.org/project", "-i http://mirror/" + "simple/numpy"]
)
def test_a_leak_is_seen(text):
    assert _LEAK.search(text)


_LEAK = re.compile(
    r"(?<![\w.])/w[o]rk/|/f[a]rm/|f[a]rm-(bench|studio)|[.]library/|(files|registry|deb)[.](pythonh|npmjs|debi)|\bpyp[i][.]org|/simpl[e]/[a-z]"
)


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"), str(path))


def _files_of_the_project() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name]


def _wrong_doors(path: str, tree: ast.Module) -> list[str]:
    """Every import, call or statement in a file of gateway/ that has its door elsewhere."""
    wrong, names = [], {}
    only_types = {id(inner) for node in ast.walk(tree) if _is_for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        for name, bound in _imported(node):
            names[bound] = name
            if id(node) in only_types:
                continue
            library = next((door for door in DOORS if name == door or name.startswith(f"{door}.")), None)
            if library and not _is_inside(path, DOORS[library]):
                wrong.append(f"imports {library}: its door is {', '.join(DOORS[library])}")
            if name in CALLS and not _is_inside(path, CALLS[name]):
                wrong.append(f"imports {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{names.get(node.value.id, '')}.{node.attr}"
            if name in CALLS and not _is_inside(path, CALLS[name]):
                wrong.append(f"calls {name}")
    if not path.startswith("spool/"):
        wrong += [f"speaks SQL: {text[:40]!r}" for text in _strings(tree) if SQL.search(text)]
    return wrong


def _wrong_names(path: str, tree: ast.Module) -> list[str]:
    wrong = [f"{Path(path).name} says nothing"] if Path(path).name in FILE_NAMES else []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", node.name)
            wrong += [f"class {node.name}" for word in words if word in CLASS_WORDS]
    return wrong


def _is_for_types(node: ast.AST) -> bool:
    """Whether a block is read by the type checker only: it opens nothing."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(what is imported, the name it gets here) for an import statement of anything outside gateway/."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            yield f"{node.module}.{alias.name}", alias.asname or alias.name


def _strings(tree: ast.Module) -> Iterator[str]:
    """Every string constant but docstrings; an f-string counts as one, with its holes closed."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | prose:
            yield node.value


def _is_inside(path: str, doors: tuple[str, ...]) -> bool:
    return any(path == door or (door.endswith("/") and path.startswith(door)) for door in doors)
