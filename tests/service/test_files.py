"""A file from a stick: what is in it is what the line would have said, kept in the exam that a person names, or named."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import config
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.errors import NoSuchRow, UnreadableRecord
from gateway.model import CaptureState
from gateway.service import files, replay
from gateway.service.compose import Box
from gateway.simulators import electrocardiograph, nidek
from gateway.spool.journal import Journal
from gateway.spool.spool import Spool
from tests.service.world import site_file, still

ECG = profiles.instrument("scp-ecg")
SMALL = electrocardiograph.record(electrocardiograph.recording(seconds=1.3, hz=250))


def written(folder: Path, data: bytes) -> Path:
    path = folder / "FILE.001"
    path.write_bytes(data)
    return path


def test_a_record_is_one_set_even_without_the_mark_that_finds_it_in_a_stream(tmp_path: Path) -> None:
    (found,) = files.read(written(tmp_path, SMALL), ECG, SystemClock())
    assert len(found.traces) == 12
    (said,) = files.said([found], SystemClock())
    assert said.curves[2] == "Lead V1, 1.3 s of 250 samples in a second"
    assert ("Heart rate", "75", "/min") in {(one.concept, one.value, one.unit) for one in said.values}


def test_a_print_that_was_saved_is_read_as_from_its_line(tmp_path: Path) -> None:
    found = files.read(written(tmp_path, nidek.lensmeter() * 2), profiles.instrument("nidek-lm"), SystemClock())
    assert len(found) == 2
    assert all(each.model_name == "LM-1000P" for each in found)


@pytest.mark.parametrize("instrument", ["scp-ecg", "nidek-lm", "plain-line-dose"])
@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0JFIF" * 900, nidek.lensmeter()[:40]])
def test_what_is_not_of_this_instrument_is_named(instrument: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecord):
        files.read(written(tmp_path, data), profiles.instrument(instrument), SystemClock())


def test_it_is_kept_in_the_exam_that_is_named_and_in_no_other(tmp_path: Path) -> None:
    site = config.load(site_file(tmp_path))
    with Spool.open(site.data, SystemClock()) as spool:
        box = Box(site=site, spool=spool, clock=spool.clock)
        step, _ = still(box)
        found = files.read(written(tmp_path, SMALL), ECG, spool.clock)
        (capture,) = files.keep(box, "ECG", ECG, step.exam_id, found)
        kept = spool.captures.get(step.exam_id, capture.number)
        assert kept.state is not CaptureState.LOST
        assert "its own clock" in kept.note
        modalities = {one.modality for one in spool.instances.of_capture(step.exam_id, capture.number)}
        assert {"ECG", "SR"} <= modalities
        with pytest.raises(NoSuchRow):
            files.keep(box, "ECG", ECG, type(step.exam_id)(int=7), found)


def test_a_transfer_with_damage_replays_to_the_same_ecg(tmp_path: Path) -> None:
    """Nobody answers a journal: what was refused, and came again, is in it."""
    sent = electrocardiograph.session("ECG.SCP", SMALL)
    first, second = sent[: 133 + 1029], sent[133 + 1029 : 133 + 2 * 1029]
    hurt, short = second[:500] + b"\x00" + second[501:], second[:700]
    journal, now = Journal(tmp_path / "ECG"), 10**12
    for piece in (first, hurt, short, sent[len(first) :]):
        for at in range(0, len(piece), 64):
            now += 70_000_000
            journal.append(piece[at : at + 64], datetime(2026, 11, 24, 12, tzinfo=UTC), now)
        now += 2_000_000_000
    journal.close()
    found = list(replay.play(replay.journals(tmp_path / "ECG"), ECG))
    assert [(one.number, len(one.curves)) for one in found] == [(0, 0), (0, 0), (1, 12)]
