"""Every page that can be computed is as the code would print it today, and says what a person needs."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from gateway import config, errors, tables
from gateway.cli import main
from gateway.config import Site
from gateway.profile import Cable, InstrumentProfile, ModalityProfile
from gateway.service import docs, reference

ROOT = Path(__file__).resolve().parent.parent
PAGES = docs.pages(main)


@pytest.mark.parametrize("name", PAGES)
def test_a_printed_page_is_as_the_code_says(name):
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name], "run `gateway docs`"


def test_gateway_docs_writes_what_is_stale_and_nothing_else(tmp_path):
    assert docs.write(tmp_path, main) == list(PAGES)
    assert docs.write(tmp_path, main) == []
    (tmp_path / "docs/errors.md").write_text("old")
    assert docs.write(tmp_path, main) == ["docs/errors.md"]


@pytest.mark.parametrize("root", [Site, ModalityProfile, InstrumentProfile, Cable])
def test_every_key_is_documented_where_it_stands(root):
    missing = [
        f"{cls.__name__}.{key.name}"
        for cls in (root, *reference.every_table(root))
        for key in reference.keys(cls)
        if not key.meaning
    ]
    assert missing == []


def test_the_shipped_configuration_changes_nothing_as_it_stands():
    assert msgspec.convert(tomllib.loads(reference.example()), Site) == Site()


def test_every_line_of_the_shipped_configuration_may_be_uncommented():
    uncommented = re.sub(r"^#(?=[a-z_]+ = |\[)", "", reference.example(), flags=re.MULTILINE)
    table = tomllib.loads(uncommented.replace("NAME", "name"))
    assert list(tables.mistakes(table, Site)) == []
    stated = set(tables.keys_of(table))
    assert {("grabber", "name", "ring_s"), ("worklist", "host"), ("listen", "allow", "name", "address")} <= stated


def test_every_error_says_what_to_do_and_no_code_is_used_twice():
    found = errors.by_code()
    classes = list(_below(errors.GatewayError))
    assert len(found) == len(set(classes)) == len({cls.code for cls in classes})
    for cls in classes:
        assert cls.sentence()
        assert cls.hint
        assert re.fullmatch(r"G\d{3}", cls.code)


def test_every_command_that_prints_facts_has_json():
    silent = {"run", "service", "warm", "docs", "queue retry", "queue cancel", "queue", "serial"}
    for path, command in _commands(main, ""):
        has = any(option.name == "as_json" for option in command.params)
        assert has is (path not in silent), path


def test_no_printed_page_depends_on_where_or_when_it_is_printed():
    for text in PAGES.values():
        assert str(ROOT) not in text
        assert "/home/" not in text


def test_the_configuration_page_names_every_table():
    page = PAGES["docs/configuration.md"]
    for cls in reference.every_table(Site):
        assert f"## `{cls.__doc__.partition(':')[0]}`" in page


def test_the_default_file_is_the_one_that_is_shipped():
    assert (ROOT / "firmware-config" / config.DEFAULT_FILE.relative_to("/")).is_file()


def _below(cls):
    yield cls
    for each in cls.__subclasses__():
        if each.__module__.startswith("gateway."):
            yield from _below(each)


def _commands(group, before):
    for name, command in group.commands.items():
        path = f"{before}{name}"
        yield path, command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} ")
