"""Values to rows and back: a Struct's fields are the columns' names, times are ISO 8601 in UTC with microseconds."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Row = sqlite3.Row


def columns(value: msgspec.Struct) -> dict[str, Any]:
    """Return a Struct as named parameters of a statement."""
    return {
        name: stamp(field) if isinstance(field, datetime) else msgspec.to_builtins(field)
        for name, field in msgspec.structs.asdict(value).items()
    }


def value(row: Row, cls: type[T]) -> T:
    """Return a row as a Struct; columns that it does not have are left out."""
    return msgspec.convert(dict(row), cls, strict=False)


def stamp(at: datetime) -> str:
    """Write an aware time so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def time_of(text: str | None) -> datetime | None:
    """Read what `stamp` wrote."""
    return datetime.fromisoformat(text) if text else None
