"""A scanner that sleeps, a converter without a signal, a test pattern: what arrives is told while somebody looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model import Shown
from gateway.spool import live
from tests.flow.rooms import NAME, Room


@pytest.mark.parametrize("shows", list(Shown))
def test_what_arrives_is_told_while_somebody_looks(tmp_path: Path, shows: Shown) -> None:
    picture = {Shown.PICTURE: "phantom", Shown.COLOUR_BARS: "bars"}.get(shows, shows.value.lower())

    def said() -> Shown | None:
        status = live.read_status(room.site.run, NAME)
        return status.shows if status else None

    with Room(tmp_path, f"{picture},640x480,progressive,yuyv,25") as room, room.at_work(room.acquire.works[1]):
        assert said() is Shown.PICTURE
        live.want(room.site.run, NAME)
        room.until(lambda: live.read_preview(room.site.run, NAME) is not None and said() is shows)
