"""Somebody freezes the picture at the scanner: where the profile asks for it, the picture that stands is captured."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec import structs

from gateway import profile
from gateway.config import Paths
from gateway.model import RequestKind
from tests.flow.rooms import Room, numbers, site_of

SCRIPT = "phantom,320x240,progressive,yuyv,25"


@pytest.mark.parametrize("freeze", ["still", "off"])
def test_a_picture_that_freezes_is_captured_where_the_profile_asks_for_it(tmp_path: Path, freeze: str) -> None:
    shipped = (profile.shipped() / "modalities" / "simulator-ultrasound.toml").read_text()
    own = tmp_path / "profiles" / "modalities" / "simulator-ultrasound.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'{shipped}\n[trigger]\nfreeze = "{freeze}"\n')
    site = site_of(tmp_path, SCRIPT)
    paths = Paths(data=site.paths.data, run=site.paths.run, profiles=str(tmp_path / "profiles"))
    with Room(tmp_path, SCRIPT, site=structs.replace(site, paths=paths)) as room, room.at_work(room.acquire.works[3]):
        step = room.start()
        time.sleep(1.5)
        assert room.spool.requests.of_exam(step.exam_id) == []
        room.scanner("freeze on")
        if freeze == "off":
            time.sleep(1.2)
            assert room.spool.requests.of_exam(step.exam_id) == []
            return
        room.until(lambda: room.spool.captures.of_exam(step.exam_id) != [])
        (request,) = room.spool.requests.of_exam(step.exam_id)
        assert request.kind is RequestKind.STILL
        (instance,) = room.objects(step, 1)
        (stands,) = numbers(room.pictures(instance))
        time.sleep(1.0)
        assert len(room.spool.requests.of_exam(step.exam_id)) == 1
        assert stands == room.acquire._source._open_grabber.__self__.scanner.frozen_at
