"""From a wrong patient in a real PACS to the right one: copies with the very pixels, and a note that names the former."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pydicom
import pytest
from msgspec import structs

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.forward.probes import Probes
from gateway.model import DeliveryState, Instance, Patient, PerformedStep
from gateway.service import forward, keeper
from gateway.service.bell import Bell
from gateway.service.compose import Box
from gateway.spool.spool import Spool
from tests.crash.killing import Say, life, watch_steps
from tests.flow.orthanc import orthanc
from tests.objects.test_dciodvfy import unexplained
from tests.service.world import WHO, another, site_file, still

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
TRUE = Patient(patient_id="42", name="True^Patient")
pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both units look again as often as can be."""
    monkeypatch.setattr(Probes, "FIRST_S", 0.1)
    monkeypatch.setattr(forward, "LOOK_EVERY_S", 0.1)
    for name in ("ASK_S", "CORRECT_S", "RELEASE_S", "IDENTITY_S"):
        monkeypatch.setattr(keeper, name, 0.05)


@pytest.fixture
def ports(free_ports: Callable[[int], list[int]]) -> list[int]:
    return free_ports(2)


@pytest.fixture
def site(tmp_path: Path, ports: list[int]) -> config.Site:
    pacs = {"host": "127.0.0.1", "port": ports[0], "called_ae": "PACS", "timeout_s": 20}
    return structs.replace(
        config.load(site_file(tmp_path, destination={"pacs": pacs})), release=config.Release(after_s=0)
    )


def test_a_pacs_has_the_true_patients_copies_with_the_very_pixels_and_a_note_that_names_the_former(
    site: config.Site, ports: list[int], tmp_path: Path
) -> None:
    with orthanc(tmp_path / "orthanc", *ports) as get, opened(site) as box:
        step, former = sent_as_somebody_else(box)
        exam.correct(box.spool, step.exam_id, patient=TRUE, operator="Ada")
        with at_work(box):
            until(lambda: settled(box, step, 5))
        assert_corrected(get, box, step, former, tmp_path)


def test_a_correction_that_is_killed_half_way_is_finished_and_nothing_stands_twice_in_the_pacs(
    site: config.Site, ports: list[int], tmp_path: Path
) -> None:
    """The keeper dies when the second of two copies is durable, and has no row yet; another one goes on."""
    with orthanc(tmp_path / "orthanc", *ports) as get:
        with opened(site) as box:
            step, former = sent_as_somebody_else(box)
            exam.correct(box.spool, step.exam_id, patient=TRUE, operator="Ada")
        half_way = partial(die_correcting, tmp_path, "after rename in commit<_copy<_copy_all", 2)
        assert life(half_way, hear=pytest.fail).is_killed
        with opened(site) as box:
            assert len([each for each in box.spool.instances.of_exam(step.exam_id) if each.replaces]) == 1
            keeper.recover(box)
            with at_work(box):
                until(lambda: settled(box, step, 5))
            assert_corrected(get, box, step, former, tmp_path)


def assert_corrected(
    get: Callable[..., object], box: Box, step: PerformedStep, former: list[Instance], folder: Path
) -> None:
    there = {}
    for one in get("/instances"):  # type: ignore[attr-defined]
        data = get(f"/instances/{one}/file", is_file=True)
        ds = pydicom.dcmread(io.BytesIO(data))  # type: ignore[arg-type]
        there[str(ds.SOPInstanceUID)] = ds
        (folder / f"{ds.SOPInstanceUID}.dcm").write_bytes(data)  # type: ignore[arg-type]
        assert unexplained(folder / f"{ds.SOPInstanceUID}.dcm") == []
    copies = [each for each in box.spool.instances.of_exam(step.exam_id) if each.replaces]
    (note,) = (ds for ds in there.values() if ds.SOPClassUID == KEY_OBJECT_SELECTION)
    assert there.keys() == {each.sop_instance_uid for each in (*former, *copies)} | {note.SOPInstanceUID}
    assert sorted(each.replaces for each in copies) == sorted(each.sop_instance_uid for each in former)
    for each in copies:
        new, old = there[each.sop_instance_uid], there[each.replaces]
        assert (old.PatientID, new.PatientID, new.PatientName) == (WHO.patient_id, "42", "True^Patient")
        assert new.StudyInstanceUID != old.StudyInstanceUID
        assert new.PixelData == old.PixelData
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    named = [
        sop.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    ]
    assert sorted(named) == sorted(each.sop_instance_uid for each in former)
    assert (note.PatientID, study.StudyInstanceUID) == (WHO.patient_id, step.study_instance_uid)


def die_correcting(folder: Path, at: str, nth: int, _say: Say) -> None:
    site = structs.replace(config.load(folder / "gateway.toml"), release=config.Release(after_s=0))
    with opened(site) as box:
        watch_steps(at, nth)
        keeper.correct(box)


def sent_as_somebody_else(box: Box) -> tuple[PerformedStep, list[Instance]]:
    step, first = still(box)
    _, second = another(box, step)
    with at_work(box):
        until(lambda: settled(box, step, 2))
    return step, [first, second]


def settled(box: Box, step: PerformedStep, count: int) -> bool:
    states = [each.state for each in box.spool.deliveries.of_exam(step.exam_id)]
    return states == [DeliveryState.SENT] * count


@contextmanager
def opened(site: config.Site) -> Iterator[Box]:
    clock = SystemClock()
    with Spool.open(site.data, clock) as spool:
        yield Box(site=site, spool=spool, clock=clock)


@contextmanager
def at_work(box: Box) -> Iterator[None]:
    """The units `forward` and `keeper`, as long as it takes."""
    stop = threading.Event()
    with Bell(box.site.run, "forward") as heard, Bell(box.site.run, "keeper") as told:
        threads = [
            threading.Thread(target=unit.serve, args=(box.site, box.spool, box.clock, stop, bell))
            for unit, bell in ((forward, heard), (keeper, told))
        ]
        for thread in threads:
            thread.start()
        yield
        stop.set()
        heard.ring_self()
        told.ring_self()
        for thread in threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
