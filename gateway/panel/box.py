"""The box as the views see it: one site, one spool, one clock, and three calls into the services around the panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import current_app
from msgspec import Struct

from gateway.clock import Clock
from gateway.config import Site
from gateway.spool.spool import Spool


class EchoAnswer(Struct, frozen=True, kw_only=True):
    """What a destination said to our C-ECHO (PS3.4 A.4)."""

    is_ok: bool
    took_ms: float = 0.0
    error_code: str = ""
    facts: dict[str, str] = {}


@dataclass(frozen=True)
class Box:
    """What create_app was given."""

    site: Site
    spool: Spool
    clock: Clock
    ring: Callable[[str], None] = field(repr=False)
    """Wake a service ("acquire@us1"); losing it costs latency only."""
    wait: Callable[[float], None] = field(repr=False)
    """Return after so many seconds, or sooner when a service has rung the panel."""
    echo: Callable[[str], EchoAnswer] = field(repr=False)
    """Ask the destination of this name whether it answers."""


def box() -> Box:
    """Return the box of this app."""
    found: Box = current_app.extensions["gateway"]
    return found
