"""The structs of the configuration and of profiles, with the words beneath their fields, to a reference a person can read.

A struct that is a table says so in its docstring, `[name]: what it is`. What Python forgets about a field, the docstring
beneath it, is read from the source (PEP 257, "attribute docstrings").
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct
from msgspec import inspect as types

from gateway import tables
from gateway.config import Grabber, SerialPort, Site, Trigger
from gateway.profile import Cable, InstrumentProfile, ModalityProfile
from gateway.tables import Keys

SAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "host": "192.0.2.10",
        "called_ae": "PACS",
        "ae_title": "CT1",
        "address": "192.0.2.0/24",
        "profile": "ultrasound-hdmi",
        "instrument": "plain-line-dose",
        "kind": "pedal",
        "grabber": "NAME",
    }
)
"""What stands in the example where there is no default; addresses of RFC 5737."""
DEVICES: Final[Mapping[type[Struct], str]] = MappingProxyType(
    {
        Grabber: "/dev/gateway/video-pci-0000:00:14.0-usb-0:3:1.0",
        SerialPort: "/dev/gateway/serial-ttyS0",
        Trigger: "/dev/gateway/pedal-pci-0000:00:14.0-usb-0:2:1.0",
    }
)


class Key(Struct, frozen=True, kw_only=True):
    """One key of a table, as a person reads of it."""

    name: str
    kind: str
    meaning: str
    is_required: bool
    value: str
    """The default, or a sample where there is none; as TOML writes it, empty where TOML cannot."""


class Inner(Struct, frozen=True, kw_only=True):
    """One table inside another."""

    field: str
    cls: type[Struct]
    is_many: bool
    """It stands for any number of tables, each with a name of its own."""
    is_always: bool
    """It is there, with its defaults, also when nobody writes it."""


def configuration() -> str:
    """Return every table of gateway.toml with its keys, in Markdown."""
    return "\n".join(_sections(Site, "##"))


def profiles() -> str:
    """Return every kind of file in hw/ with its keys, in Markdown."""
    return "\n".join(
        line
        for cls in (ModalityProfile, InstrumentProfile, Cable)
        for line in (f"## `{_headline(cls)[0]}`", "", *_table(cls), *_sections(cls, "###"))
    )


def example() -> str:
    """Return a gateway.toml in which every key stands with its meaning, commented out."""
    head = "# The gateway's configuration: every key, with what it means. What is commented out is the default,\n# or an example where it says required.\n"
    return head + "\n".join(_example(Site, (), is_written=True)) + "\n"


def keys(cls: type[Struct]) -> list[Key]:
    """Return the plain keys of a table, in the order of its fields."""
    inside, meanings = {inner.field for inner in _inside(cls)}, _meanings(cls)
    return [
        Key(
            name=field.name,
            kind=_in_words(types.type_info(field.type)),
            meaning=meanings.get(field.name, ""),
            is_required=field.required,
            value=_sample(cls, field.name) if field.required else _default(field.default),
        )
        for field in msgspec.structs.fields(cls)
        if field.name not in inside
    ]


def every_table(cls: type[Struct]) -> Iterator[type[Struct]]:
    """Yield every table inside a struct, at any depth."""
    for inner in _inside(cls):
        yield inner.cls
        yield from every_table(inner.cls)


def _sections(cls: type[Struct], heading: str) -> Iterator[str]:
    for inner in every_table(cls):
        name, words = _headline(inner)
        yield from (f"{heading} `{name}`", "", f"{words[:1].upper()}{words[1:]}", "", *_table(inner))


def _table(cls: type[Struct]) -> Iterator[str]:
    yield from ("| key | is | default | meaning |", "|---|---|---|---|")
    for key in keys(cls):
        default = "**required**" if key.is_required else f"`{key.value}`" if key.value else ""
        yield f"| `{key.name}` | {key.kind} | {default} | {key.meaning} |"
    yield ""


def _example(cls: type[Struct], at: Keys, *, is_written: bool) -> Iterator[str]:
    for key in keys(cls):
        yield f"# {key.meaning} ({key.kind.replace('`', '')})"
        yield f"#{key.name} = {key.value}{'  # required' if key.is_required else ''}"
    for inner in _inside(cls):
        name = (*at, inner.field, "NAME") if inner.is_many else (*at, inner.field)
        is_always = is_written and inner.is_always
        yield from ("", f"# {': '.join(_headline(inner.cls))}", f"{'' if is_always else '#'}[{tables.dotted(name)}]")
        yield from _example(inner.cls, name, is_written=is_always)


def _inside(cls: type[Struct]) -> list[Inner]:
    """Return the tables directly inside a struct: those whose docstring begins with their name in brackets."""
    found = []
    for field in msgspec.structs.fields(cls):
        many = tables.tables_of(field.type)
        inner = many or tables.table_of(field.type) or _item(types.type_info(field.type))
        if inner and _headline(inner)[0].startswith("["):
            is_always = isinstance(field.default, Struct)
            found.append(Inner(field=field.name, cls=inner, is_many=many is not None, is_always=is_always))
    return found


def _item(kind: types.Type) -> type[Struct] | None:
    """Return the struct that each item of a list of tables is."""
    inner = kind.item_type if isinstance(kind, types.VarTupleType) else None
    return inner.cls if isinstance(inner, types.StructType) else None


def _headline(cls: type[Struct]) -> tuple[str, str]:
    """Return name and words of a table, from the first line of its docstring."""
    name, _, words = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0].partition(": ")
    return name, words


def _meanings(cls: type[Struct]) -> dict[str, str]:
    """Return the words beneath each field in the source."""
    tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__).body
    found: dict[str, str] = {}
    for field, words in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(words, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(words.value)).split())
    return found


def _sample(cls: type[Struct], key: str) -> str:
    return tables.literal(DEVICES[cls] if key == "device" else SAMPLES.get(key, ""))


def _default(value: object) -> str:
    return tables.literal(value) if isinstance(value, str | bool | int | float | tuple) else ""


def _in_words(kind: types.Type) -> str:
    match kind:
        case types.StrType():
            found = _between("text", kind.min_length, kind.max_length, " characters")
        case types.BoolType():
            found = "true or false"
        case types.IntType():
            found = _between("whole number", kind.ge, kind.le)
        case types.FloatType():
            found = _between("number", kind.ge, kind.le)
        case types.LiteralType():
            found = "one of " + ", ".join(f"`{tables.literal(value)}`" for value in kind.values)
        case types.VarTupleType():
            found = f"list of {_in_words(kind.item_type)}"
        case types.TupleType():
            found = f"list of {len(kind.item_types)} times {_in_words(kind.item_types[0])}"
        case types.UnionType():
            found = " or ".join(_in_words(each) for each in kind.types if not isinstance(each, types.NoneType))
        case types.DictType():
            found = f"table of {_in_words(kind.value_type)}"
        case types.StructType():
            found = f"{{ {', '.join(field.name for field in kind.fields)} }}"
        case _:
            found = type(kind).__name__
    return found


def _between(what: str, low: float | None, high: float | None, unit: str = "") -> str:
    if low is not None and high is not None:
        return f"{what}, {low:g} to {high:g}{unit}"
    if low is not None:
        return f"{what}, at least {low:g}{unit}"
    return f"{what}, at most {high:g}{unit}" if high is not None else what
