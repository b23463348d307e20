"""What flow tests of acquire share: a room whose grabber is at work, on a clock that a file of tests may make its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import Clock, SystemClock
from tests.flow.rooms import Room


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
def room(tmp_path: Path, clock: Clock) -> Iterator[Room]:
    with Room(tmp_path, clock=clock) as made:
        yield made
