"""Every pixel format of linux/videodev2.h that the gateway reads, by either interface: the bytes are those on the wire."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.device import grabber
from gateway.device import v4l2 as v
from gateway.device.formats import READABLE, SAME
from gateway.device.grabber import join, take
from gateway.errors import DeviceError, UnknownPixelFormat
from gateway.model import Field, FrameFormat, Matrix, Range
from gateway.profile import VideoInput
from gateway.simulators.formats import WORDS
from gateway.simulators.kernel import Kernel
from tests.device.conftest import make_world

APART = ("nv12", "nv21", "yu12", "yv12")


def opened(kernel, **wanted):
    return grabber.open(
        "/dev/video0", VideoInput(connector="hdmi", standards=("any",), **wanted), open_node=kernel.open
    )


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("kind", ["simulator", "driver", "multi-planar driver"])
def test_every_format_comes_as_it_was_sent(scanner, word, kind):
    here = make_world(kind, scanner(f"phantom,128x96,{word}"))
    stream = here.open()
    assert stream.format.pixel_format == WORDS[word]
    assert stream.format == here.scanner.playback.format
    for shot in take(stream, 3):
        assert shot.data.tobytes() == here.scanner.playback.raw(shot.sequence).tobytes()
        if word != "mjpeg":
            assert len(shot.data) == stream.format.frame_bytes


@pytest.mark.parametrize("word", APART)
def test_planes_that_come_apart_are_put_together(scanner, word):
    machine = Kernel(scanner(f"phantom,128x96,{word}"), are_planes_apart=True)
    stream = opened(machine)
    assert stream.format == machine.scanner.playback.format
    shots = list(take(stream, 8))
    for shot in shots:
        assert shot.data.tobytes() == machine.scanner.playback.raw(shot.sequence).tobytes()
    assert [shot.sequence for shot in shots] == list(range(8))


def test_a_frame_whose_planes_are_short_is_short(scanner):
    machine = Kernel(scanner("phantom,128x96,nv12,faults=.s"), are_planes_apart=True)
    whole, short = take(opened(machine), 2)
    assert len(whole.data) == whole.format.frame_bytes > len(short.data)


@pytest.mark.parametrize("word", ["nv12", "yu12", "grey", "y10", "rgb24", "yvyu"])
@pytest.mark.parametrize("scan", ["interlaced", "alternate", "sequential"])
def test_interlaced_formats_come_as_they_were_sent(scanner, word, scan):
    here = make_world("driver", scanner(f"phantom,128x96,{word},{scan}"))
    stream = here.open()
    for shot in take(stream, 2):
        assert shot.data.tobytes() == here.scanner.playback.raw(shot.sequence, shot.field).tobytes()
        assert len(shot.data) == stream.format.frame_bytes


def test_a_jpeg_is_as_long_as_it_is_and_no_longer_than_was_said(scanner):
    stream = make_world("driver", scanner("phantom,128x96,mjpeg")).open()
    fmt = stream.format
    assert (fmt.stride_bytes, fmt.is_compressed, fmt.frame_bytes) == (0, True, fmt.largest_bytes)
    assert (fmt.matrix, fmt.range) == (Matrix.BT601, Range.FULL)
    lengths = {len(shot.data) for shot in take(stream, 5)}
    assert len(lengths) > 1
    assert max(lengths) < fmt.largest_bytes


@pytest.mark.parametrize(("said", "planes"), [("NM12", 1), ("YM12", 2), ("NV12", 2), ("YUYV", 3)])
def test_more_or_fewer_memories_than_the_name_says_are_refused_by_name(scanner, said, planes):
    machine = Kernel(scanner("phantom,128x96,nv12"), is_multi_planar=True)
    machine.fourcc = said
    machine.stated_planes = planes
    with pytest.raises(UnknownPixelFormat) as refused:
        opened(machine)
    assert refused.value.facts["fourcc"] == f"{said} in {planes} planes"


def test_rows_too_short_for_their_pixels_are_not_believed(scanner):
    machine = Kernel(scanner("phantom,128x96,grey"))
    machine.fourcc = "RGB3"
    with pytest.raises(DeviceError, match="128x96 pixels of RGB3 in rows of 128 bytes"):
        opened(machine)


def test_an_installer_may_correct_what_a_grabber_says_of_its_colours(scanner):
    machine = Kernel(scanner("phantom,128x96"))
    fmt = opened(machine, matrix="709", range="full").format
    assert (fmt.matrix, fmt.range) == (Matrix.BT709, Range.FULL)


def test_what_is_the_same_is_read():
    assert set(SAME.values()) <= set(READABLE)
    assert not set(SAME) & set(READABLE)
    assert {WORDS[word] for word in WORDS} <= set(READABLE)
    assert all(v.fourcc(v.fourcc_number(name)) == name for name in (*READABLE, *SAME))


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 12),
    padding=st.integers(0, 5),
    name=st.sampled_from(["NV12", "NV21", "YU12", "YV12"]),
    seed=st.integers(0, 999),
)
def test_planes_of_any_stride_are_joined_sample_by_sample(width, height, padding, name, seed):
    fmt = FrameFormat(pixel_format=name, width_px=width, height_px=height, stride_bytes=width, field=Field.NONE)
    random = np.random.default_rng(seed)
    rows = [(count, row_bytes, row_bytes + padding) for count, row_bytes in fmt.planes]
    planes = [random.integers(0, 256, (count, stride), np.uint8) for count, _, stride in rows]
    out = np.zeros(fmt.frame_bytes, np.uint8)
    joined = join(fmt, [plane.reshape(-1) for plane in planes], [stride for _, _, stride in rows], out)
    expected = [plane[:, :row_bytes].reshape(-1) for plane, (_, row_bytes, _) in zip(planes, rows, strict=True)]
    assert np.array_equal(joined, np.concatenate(expected))
    cut = [planes[0].reshape(-1), *(plane.reshape(-1)[:-1] for plane in planes[1:])]
    short = join(fmt, cut, [stride for _, _, stride in rows], out)
    assert padding or len(short) < fmt.frame_bytes
