"""Frame logs: whatever is cut off, exactly the whole frames remain."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import SpoolError
from gateway.model import Picture
from gateway.spool import framelog
from gateway.spool.framelog import FrameLog, FrameLogHeader, tally

HEADER = FrameLogHeader(
    exam_id=UUID(int=7),
    capture=3,
    started_at=datetime(2026, 12, 1, tzinfo=UTC),
    started_ns=12,
    boot_id="boot",
    picture=Picture(
        rows=2, columns=2, samples_per_pixel=1, transfer_syntax_uid="1.2", photometric_interpretation="MONOCHROME2"
    ),
    notes={"station": "us"},
)
FRAMES = st.lists(st.tuples(st.integers(0, 2**63), st.binary(max_size=300)), max_size=12)


def test_frames_come_back_as_they_went(tmp_path):
    log = FrameLog.create(tmp_path / "a.log", HEADER)
    log.append(b"one", 10)
    log.append(memoryview(b"twotwo").cast("B", (2, 3)), 20)
    log.miss(25)
    log.miss(26, is_overrun=True)
    log.append(b"", 30)
    assert (log.frames, log.payload_bytes) == (3, 9)
    log.end("the picture was lost")
    header, frames = FrameLog.read(tmp_path / "a.log")
    assert header == HEADER
    assert list(frames) == [(10, b"one"), (20, b"twotwo"), (30, b"")]
    assert tally(tmp_path / "a.log") == framelog.Tally(
        3, 2, 1, 9, 10, 30, is_over=True, ended_early="the picture was lost"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES, st.data())
def test_cut_at_any_byte_exactly_the_whole_frames_remain(tmp_path, frames, data):
    path = tmp_path / "cut.log"
    path.unlink(missing_ok=True)
    ends = _record(path, frames)
    cut = data.draw(st.integers(ends[0], path.stat().st_size))
    os.truncate(path, cut)
    whole = sum(1 for end in ends[1:] if end <= cut)
    assert list(FrameLog.read(path)[1]) == frames[:whole]
    assert tally(path).frames == whole


def test_cut_at_every_byte_of_one_log(tmp_path):
    path = tmp_path / "every.log"
    frames = [(1, b"a" * 5), (2, b""), (3, b"b" * 11)]
    ends = _record(path, frames)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        if cut < ends[0]:
            with pytest.raises(SpoolError):
                FrameLog.read(path)
        else:
            expected = frames[: sum(1 for end in ends[1:] if end <= cut)]
            assert list(FrameLog.read(path)[1]) == expected
            assert not tally(path).is_over


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES, st.binary(min_size=1, max_size=400))
def test_whatever_follows_the_last_frame_is_no_frame(tmp_path, frames, tail):
    """After a power cut a file system may show zeros, or another file's bytes, where the tail was."""
    path = tmp_path / "tail.log"
    path.unlink(missing_ok=True)
    ends = _record(path, frames)
    for junk in (tail, bytes(len(tail) + 40)):
        path.write_bytes(path.read_bytes()[: ends[-1]] + junk)
        assert list(FrameLog.read(path)[1]) == frames


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES.filter(bool), st.data())
def test_a_changed_byte_ends_the_log_there(tmp_path, frames, data):
    path = tmp_path / "flip.log"
    path.unlink(missing_ok=True)
    ends = _record(path, frames)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(ends[0], ends[-1] - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    untouched = sum(1 for end in ends[1:] if end <= at)
    assert list(FrameLog.read(path)[1]) == frames[:untouched]


@given(st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_log_or_a_named_error(tmp_path, junk):
    path = tmp_path / "junk.log"
    path.write_bytes(junk)
    with pytest.raises(SpoolError):
        FrameLog.read(path)


def test_a_log_is_never_written_over(tmp_path):
    FrameLog.create(tmp_path / "a.log", HEADER).close()
    with pytest.raises(FileExistsError):
        FrameLog.create(tmp_path / "a.log", HEADER)


def test_a_killed_recording_keeps_what_it_appended_and_is_known_to_be_dead(tmp_path):
    path = tmp_path / "killed.log"
    code = f"""
import os, time
from pathlib import Path
from tests.spool.test_framelog import HEADER
from gateway.spool import framelog
log = framelog.FrameLog.create(Path({str(path)!r}), HEADER)
for number in range(5):
    log.append(bytes([number]) * 1000, number)
log.sync()
print(framelog.is_recording(Path({str(path)!r})), flush=True)
os.kill(os.getpid(), 9)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "True\n", ran.stderr
    assert not framelog.is_recording(path)
    assert [frame[0] for _, frame in FrameLog.read(path)[1]] == [0, 1, 2, 3, 4]
    assert not tally(path).is_over


def test_a_full_segment_is_not_the_end_of_its_recording(tmp_path):
    log = FrameLog.create(tmp_path / "a.log", HEADER)
    log.append(b"one", 10)
    log.close()
    assert tally(tmp_path / "a.log") == framelog.Tally(1, 0, 0, 3, 10, 10, is_over=False)


def _record(path, frames):
    """Return where the header and each frame end."""
    log = FrameLog.create(path, HEADER)
    ends = [path.stat().st_size]
    for captured_ns, frame in frames:
        log.append(frame, captured_ns)
        ends.append(path.stat().st_size)
    log.end()
    return ends


def test_a_log_cut_off_before_it_had_begun_goes_and_a_damaged_one_is_kept_aside_and_shown(spool):
    spool.new_frame_log(HEADER).end()
    (path,) = spool.frame_logs()
    whole = path.read_bytes()
    inside = whole.index(b"station")
    assert spool.check_frame_log(path)
    for cut in (0, 5, 12, inside, len(whole) - 24):
        path.write_bytes(whole[:cut])
        assert not spool.check_frame_log(path)
        assert not path.exists()
    assert spool.troubles.all() == []
    path.write_bytes(whole.replace(b"station", b"stat\0on"))
    assert not spool.check_frame_log(path)
    assert spool.frame_logs() == []
    assert (spool.data / "quarantine" / path.name).exists()
    assert [trouble.subject for trouble in spool.troubles.all()] == [path.name]
