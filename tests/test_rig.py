"""What the virtual bench is made of agrees with itself; the bench runs with `make rig`."""

import gzip
import re
import struct
import tomllib
from pathlib import Path

import pytest

from hw.rig import bed

ROOT = Path(__file__).resolve().parent.parent


def test_the_recipe_names_packages_and_modules_once():
    recipe = tomllib.loads((ROOT / "hw" / "rig" / "recipe.toml").read_text())
    for names in (recipe["root"]["packages"], recipe["kernel"]["boot"], recipe["kernel"]["modules"]):
        assert len(set(names)) == len(names) > 0


def test_make_rig_installs_every_program_that_the_bench_starts():
    listed = re.search(r"^APT_RIG := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(bed.PROGRAMS.values()) <= set(listed)


def test_every_group_of_the_bench_is_told_in_its_page():
    page = (ROOT / "hw" / "rig" / "README.md").read_text()
    groups = [path.name for path in (ROOT / "tests" / "rig").iterdir() if path.is_dir() and any(path.glob("test_*.py"))]
    assert [group for group in groups if f"| `{group}` |" not in page] == []


def bzimage(payload: bytes) -> bytes:
    """A boot sector, one sector of set-up, and a payload."""
    image = bytearray(1024)
    image[0x1F1] = 1
    struct.pack_into("<II", image, 0x248, 0, len(payload))
    return bytes(image) + payload


def test_a_packed_kernel_is_unpacked():
    assert bed.unpacked(bzimage(gzip.compress(b"\x7fELF kernel"))) == b"\x7fELF kernel"


def test_a_kernel_packed_in_an_unknown_way_is_refused_with_a_sentence():
    with pytest.raises(bed.BenchError, match="packed"):
        bed.unpacked(bzimage(b"\x02\x21\x4c\x18 lz4"))
