"""TOML files to tables that can be merged, compared, checked against a struct, and written back durably.

Values are handed on as they are; what is wrong with them is said in words, by key, and all of it at once: a person who
mends a file should not have to run the program again for every mistake. TOML 1.0 (toml.io), read by tomllib.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import TypeGuard, get_args, get_origin

import msgspec
from msgspec import Struct

from gateway.errors import ConfigError, ConfigUnreadable

Table = dict[str, object]
Keys = tuple[str, ...]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a person may call a grabber, a port or a destination: it becomes part of file names and unit names."""


class Mistake(Struct, frozen=True, kw_only=True):
    """What is wrong with one key."""

    keys: Keys
    problem: str = ""
    """The rest of a sentence that begins with the key."""
    nearest: str = ""
    """For a key that nothing reads: the one that may be meant."""

    @property
    def key(self) -> str:
        """The key as TOML writes it."""
        return dotted(self.keys)


def read(path: Path) -> Table:
    """Return what a file says. Raises ConfigError when there is none, ConfigUnreadable with line and column."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(problem=f"there is no file {path}") from error
    except OSError as error:
        raise ConfigError(problem=f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigUnreadable(file=path, problem=f"line {line} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        last = path.read_text(encoding="utf-8").rstrip("\n").count("\n") + 1
        raise ConfigUnreadable(
            file=path, problem=str(error).replace("at end of document", f"at line {last}, the last")
        ) from error


def merged(under: Mapping[str, object], over: Mapping[str, object]) -> Table:
    """Return both, table by table; where both have a value, `over` has its way."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def difference(is_so: Mapping[str, object], default: Mapping[str, object]) -> Table:
    """Return what of `is_so` is not as in `default`."""
    out: Table = {}
    for key, value in is_so.items():
        usual = default.get(key)
        if isinstance(value, dict) and isinstance(usual, dict):
            if inner := difference(value, usual):
                out[key] = inner
        elif key not in default or value != usual:
            out[key] = value
    return out


def keys_of(table: Mapping[str, object], at: Keys = ()) -> Iterator[Keys]:
    """Yield every key of a table and of the tables in it."""
    for key, value in table.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from keys_of(value, (*at, key))


def dotted(keys: Keys) -> str:
    """Return keys as TOML writes them: `destination.near.port`."""
    return ".".join(_key(key) for key in keys)


# ---- a table against a struct ----


def mistakes(table: Mapping[str, object], cls: type[Struct], at: Keys = ()) -> Iterator[Mistake]:
    """Yield everything that keeps `msgspec.convert(table, cls)` from succeeding, each with its key; None is an absent value."""
    fields = {field.name: field for field in msgspec.structs.fields(cls)}
    for key, value in table.items():
        if key not in fields:
            yield Mistake(keys=(*at, key), nearest=nearest(key, fields))
        elif value is not None:
            yield from _of_value(value, fields[key].type, (*at, key))
    for name, field in fields.items():
        if field.required and name not in table:
            yield Mistake(keys=(*at, name), problem=f"is missing: give it, in [{dotted(at)}]")


def nearest(wrong: str, known: Collection[str]) -> str:
    """Return what somebody may have meant: the nearest, or all there are."""
    return close(wrong, known) or f"one of {', '.join(sorted(known))}"


def close(wrong: str, known: Collection[str]) -> str:
    """Return the nearest of what is known, whatever its case; empty when nothing is near."""
    folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(wrong.casefold(), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else ""


def table_of(kind: object) -> type[Struct] | None:
    """Return the struct that a type means, also inside an optional; None when it is no table."""
    for each in (kind, *(get_args(kind) if NoneType in get_args(kind) else ())):
        if isinstance(each, type) and issubclass(each, Struct):
            return each
    return None


def tables_of(kind: object) -> type[Struct] | None:
    """Return the struct of each entry of a type that is a table of named tables; None when it is not."""
    return table_of(get_args(kind)[1]) if get_origin(kind) is dict else None


def _of_value(value: object, kind: object, at: Keys) -> Iterator[Mistake]:
    cls, each = table_of(kind), tables_of(kind)
    if not (cls or each):
        yield from _of_plain(value, kind, at)
    elif not isinstance(value, dict):
        yield Mistake(keys=at, problem=f"must be a table: write [{dotted(at)}{'.NAME' if each else ''}]")
    elif cls:
        yield from mistakes(value, cls, at)
    else:
        for name, inner in value.items():
            if not NAME.fullmatch(name):
                yield Mistake(
                    keys=(*at, name), problem="is no good name: use letters, digits, and . _ - after the first"
                )
            yield from _of_value(inner, get_args(kind)[1], (*at, name))


def _of_plain(value: object, kind: object, at: Keys) -> Iterator[Mistake]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        place = re.match(r"\[(\d+)\]", where)
        item = f"has an item {int(place[1]) + 1} that " if place else ""
        yield Mistake(keys=at, problem=item + _in_words(problem, kind))


_WORDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list"}
_WORDS |= {"object": "a table", "null": "nothing", "date": "a date", "datetime": "a date", "time": "a time"}


def _in_words(problem: str, kind: object) -> str:
    """Say msgspec's finding as the rest of a sentence that begins with the key."""
    if problem.startswith("Invalid enum value"):
        choices = ", ".join(f'"{choice}"' for choice in get_args(kind))
        return f"does not know {problem.removeprefix('Invalid enum value ')}: it is one of {choices}"
    if found := re.fullmatch(r"Expected `(.+?)`, got `(.+?)`", problem):
        return f"must be {_either(found[1])}, not {_either(found[2])}"
    if found := re.fullmatch(r"Expected `(\w+)` of length (<=|>=) (\d+)", problem):
        limit = "at most" if found[2] == "<=" else "at least"
        return f"must be {_either(found[1])} of {limit} {found[3]} character{'s' * (found[3] != '1')}"
    if found := re.fullmatch(r"Expected `(\w+)` (<=|>=) (\S+)", problem):
        return f"must be {_either(found[1])} of at {'most' if found[2] == '<=' else 'least'} {found[3]}"
    return f"is not as it must be ({problem})"


def _either(kinds: str) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))


# ---- writing ----


def written(table: Mapping[str, object]) -> str:
    """Return a table of tables, strings, numbers, booleans and lists of these as TOML; what is None is left out.

    A list of tables becomes an array of tables (`[[region]]`).
    """
    return "\n".join(_lines(table, ())) + "\n"


def save(path: Path, table: Mapping[str, object]) -> None:
    """Write a file atomically and durably: it is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(written(table))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)


def literal(value: object) -> str:
    """Return one value as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(literal(each) for each in value)}]"
        case dict():
            return f"{{ {', '.join(f'{_key(key)} = {literal(each)}' for key, each in value.items())} }}"
        case _:
            return repr(value)


def _lines(table: Mapping[str, object], at: Keys) -> Iterator[str]:
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping) or _is_array(value)}
    if at and (len(tables) < len(table) or not table):
        yield f"[{dotted(at)}]"
    yield from _values(table, tables)
    for key, inner in tables.items():
        if isinstance(inner, Mapping):
            yield from _lines(inner, (*at, key))
        else:
            for each in inner:
                yield f"[[{dotted((*at, key))}]]"
                yield from _values(each, ())


def _values(table: Mapping[str, object], besides: Collection[str]) -> Iterator[str]:
    for key, value in table.items():
        if key not in besides and value is not None:
            yield f"{_key(key)} = {literal(value)}"


def _is_array(value: object) -> TypeGuard[list[Mapping[str, object]]]:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else literal(key)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
