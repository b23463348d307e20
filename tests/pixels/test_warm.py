"""Warming: everything is compiled before it is needed, kept where the profile of the box says, and loaded from there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import PixelError
from gateway.model import Field
from gateway.pixels import chain, kernels, looks, measures, retouch, warm
from gateway.profile import PixelChain
from tests.pixels import frames

ROOT = Path(__file__).resolve().parents[2]
MODULES = (kernels, retouch, measures)
DISPATCHERS = {
    name: found
    for module in MODULES
    for name, found in vars(module).items()
    if getattr(found, "_can_compile", True) is False
}

RUN = """
import json, sys
from pathlib import Path
from gateway.pixels import warm
assert "numba" not in sys.modules and "numpy" not in sys.modules
warm.prepare(Path(sys.argv[1]))
seconds = warm.compile_all()
from gateway.pixels import kernels, measures, retouch
found = {}
for module in (kernels, retouch, measures):
    found |= {name: each for name, each in vars(module).items() if getattr(each, "_can_compile", True) is False}
hits = {name: sum(each.stats.cache_hits.values()) for name, each in found.items()}
misses = {name: sum(each.stats.cache_misses.values()) for name, each in found.items()}
print(json.dumps({"seconds": seconds, "hits": hits, "misses": misses}))
"""


def run_in_new_process(code, *arguments, **environment):
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | environment
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_kernels_are_compiled_into_the_cache_and_loaded_from_it(tmp_path):
    """The first start compiles all, the second nothing; neither writes beside the program, whose folder may be read-only."""
    before = everything_in(ROOT / "gateway")
    first, second = (run_in_new_process(RUN, tmp_path / "cache") for _ in range(2))
    assert first.returncode == 0, first.stderr
    cold, warmed = json.loads(first.stdout), json.loads(second.stdout)
    assert cold["misses"] == dict.fromkeys(DISPATCHERS, 1)
    assert warmed["hits"] == dict.fromkeys(DISPATCHERS, 1)
    assert warmed["misses"] == dict.fromkeys(DISPATCHERS, 0)
    assert warmed["seconds"] < cold["seconds"]
    assert list((tmp_path / "cache").rglob("*.nbc"))
    assert {path for path in everything_in(ROOT / "gateway") - before if path.suffix in (".nbi", ".nbc")} == set()


def everything_in(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


ONE_MODULE = """
import sys
from pathlib import Path
from gateway.pixels import warm
warm.prepare(Path(sys.argv[1]))
from gateway.pixels import measures
print(sum(measures.changes.stats.cache_hits.values()), measures.changes.signatures != [])
"""


def test_a_cache_that_cannot_be_written_costs_seconds_and_no_picture(tmp_path):
    """The disk's folder is gone and a file stands in its place: neither the home nor the program's folder is used instead."""
    (tmp_path / "file").touch()
    before = everything_in(ROOT / "gateway")
    ran = run_in_new_process(ONE_MODULE, tmp_path / "file" / "cache", HOME=str(tmp_path / "home"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["0", "True"]
    assert not (tmp_path / "home").exists()
    assert {path for path in everything_in(ROOT / "gateway") - before if path.suffix in (".nbi", ".nbc")} == set()


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_torn_cache_is_compiled_again(tmp_path, suffix):
    """Empty, as a power cut may leave it; one kernel is torn, the others load."""
    cache = tmp_path / "cache"
    subprocess.run(["cp", "-a", os.environ["NUMBA_CACHE_DIR"], cache], check=True)
    for path in cache.rglob(f"*to_grey*{suffix}"):
        path.write_bytes(b"")
    ran = run_in_new_process(RUN, cache)
    assert ran.returncode == 0, ran.stderr
    hits = json.loads(ran.stdout)["hits"]
    assert hits == dict.fromkeys(DISPATCHERS, 1) | {"to_grey": 0}


def test_importing_the_room_imports_neither_numba_nor_a_codec():
    code = "import sys, gateway.pixels, gateway.pixels.warm; print(sorted({'numba', 'imagecodecs', 'numpy'} & set(sys.modules)))"
    assert run_in_new_process(code).stdout.strip() == "[]"


def test_a_cache_chosen_after_numba_was_imported_is_refused(tmp_path):
    code = "import numba, sys, pathlib; from gateway.pixels import warm; warm.prepare(pathlib.Path(sys.argv[1]))"
    ran = run_in_new_process(code, tmp_path)
    assert ran.returncode == 1
    assert "chosen too late" in ran.stderr


def test_choosing_the_same_cache_again_is_no_error():
    warm.prepare(Path(os.environ["NUMBA_CACHE_DIR"]))
    assert warm.compile_all() < 5


def test_no_run_of_any_chain_compiles_anything():
    """One signature each, and no way to compile another."""
    before = [(found.signatures, found.stats) for found in DISPATCHERS.values()]
    for kind in frames.ALL:
        for field in (Field.NONE, Field.INTERLACED):
            for method in ("weave", "bob", "motion_adaptive", "bwdif"):
                fmt = frames.make(kind, 17, 9, field=field)
                recipe = PixelChain(
                    deinterlace=method,
                    crop=(1, 1, 15, 7),
                    mask=((0, 0, 5, 5),),
                    mask_polygons=(((8, 2), (12, 7), (4, 7)),),
                    levels=(10, 200),
                    denoise="median3",
                )
                built = chain.build(fmt, recipe)
                raw = np.frombuffer(bytes(frames.size(fmt)), np.uint8)
                picture = built.for_still(raw, raw.copy(), None).run(raw, raw.copy(), None)
                looks.change(built.luma(raw), built.luma(raw))
                built.to_grey(picture)
                built.is_grey(picture)
                built.preview(raw, 4)
    assert [(found.signatures, found.stats) for found in DISPATCHERS.values()] == before
    assert all(len(signatures) == 1 for signatures, _ in before)
    with pytest.raises(TypeError):
        retouch.shrink(np.zeros((2, 2, 3), np.float32), np.zeros((1, 1, 3), np.float32))


def test_every_kernel_that_python_calls_is_warmed():
    """A new one without a signature would be compiled at its first use, in an exam."""
    assert {"to_rgb", "shrink", "changes"} <= set(DISPATCHERS)
    called = {word for path in (ROOT / "gateway" / "pixels").glob("*.py") for word in _calls(path)}
    assert called <= set(DISPATCHERS)


def _calls(path):
    import ast

    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) in {"kernels", "retouch", "measures"}
        ):
            yield node.func.attr


def test_kernels_say_their_flags_in_one_place():
    for found in DISPATCHERS.values():
        options = found.targetoptions
        assert (options["nogil"], options["fastmath"], options["boundscheck"]) == (True, False, False)
        assert not options.get("parallel")


def test_the_late_choice_is_an_error_here_too(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    with pytest.raises(PixelError):
        warm.prepare(Path("/somewhere"))
