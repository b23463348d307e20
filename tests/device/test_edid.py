"""What a receiver says of itself has valid checksums, passes edid-decode, and is told to a driver only when it is news."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.device import edid, grabber
from gateway.device import v4l2 as v
from gateway.errors import DeviceError, NoSignal
from gateway.profile import VideoInput
from gateway.simulators.kernel import Kernel

FILES = Path(__file__).resolve().parents[2] / "firmware-config" / "usr/share/gateway/edid"
HDMI = VideoInput(connector="hdmi", standards=("any",))
P1080 = edid.build(edid.SINKS["hdmi-1920x1080p60"])


@pytest.mark.parametrize("path", sorted(FILES.glob("*")), ids=lambda path: path.stem)
def test_edid_decode_finds_nothing_wrong_with_what_is_shipped(path, tmp_path):
    binary = tmp_path / "edid.bin"
    binary.write_bytes(edid.load(str(path)))
    done = subprocess.run(["edid-decode", "--check", binary], capture_output=True, text=True, check=False)
    assert "EDID conformity: PASS" in done.stdout
    assert "Warnings" not in done.stdout
    assert done.returncode == 0
    width, height = re.search(r"(\d+)x(\d+)", path.stem).groups()
    assert re.search(rf"DTD 1: +{width}x{height} +(60|50)\.0", done.stdout)


def test_every_edid_there_is_is_shipped_as_it_is_built():
    assert {path.stem for path in FILES.glob("*.hex")} == set(edid.SINKS)
    for name, sink in edid.SINKS.items():
        assert edid.load(name, FILES) == edid.build(sink)
        assert len(sink.title) <= 13


@pytest.mark.parametrize("name", edid.SINKS)
def test_an_interlaced_mode_or_halved_chroma_is_never_offered(name):
    data = edid.build(edid.SINKS[name])
    for at in (54, 72):
        assert data[at : at + 2] == b"\0\0" or not data[at + 17] & 0x80
    assert len(data) == 128 or not data[128 + 3] & 0x30  # Y'CbCr 4:4:4, 4:2:2


@given(at=st.integers(0, 255), by=st.integers(1, 255))
def test_one_wrong_byte_is_seen(at, by):
    damaged = bytearray(P1080)
    damaged[at] = (damaged[at] + by) % 256
    assert edid.fault_of(bytes(damaged))


@given(st.binary(max_size=600))
def test_any_bytes_are_an_edid_or_said_to_be_none(data):
    assert isinstance(edid.fault_of(data), str)


def test_a_file_is_read_as_text_or_as_binary(tmp_path):
    (tmp_path / "a.bin").write_bytes(P1080)
    (tmp_path / "a.hex").write_text(edid.as_hex("hdmi-1920x1080p60"))
    assert edid.load(str(tmp_path / "a.bin")) == edid.load("a", tmp_path) == P1080


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff", "neither binary"), (b"00 11", "no whole blocks"), (P1080[:128], "names 1 extensions")],
)
def test_a_bad_file_is_refused_with_a_reason(tmp_path, content, says):
    (tmp_path / "bad.hex").write_bytes(content)
    with pytest.raises(DeviceError, match=says):
        edid.load("bad", tmp_path)


def test_a_name_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(DeviceError, match="The EDID heart"):
        edid.load("heart", tmp_path)


def test_a_driver_is_told_once_and_not_again(scanner):
    machine = Kernel(scanner("phantom,128x96"))
    grabber.open("/dev/video0", HDMI, edid=P1080, open_node=machine.open).close()
    assert machine.front.edid == P1080
    machine.requests.clear()
    grabber.open("/dev/video0", HDMI, edid=P1080, open_node=machine.open).close()
    assert v.VIDIOC_G_EDID in machine.requests
    assert v.VIDIOC_S_EDID not in machine.requests


def test_a_source_without_a_signal_is_told_too(scanner):
    machine = Kernel(scanner("phantom,128x96"))
    machine.scanner.do("signal off")
    with pytest.raises(NoSignal):
        grabber.open("/dev/video0", HDMI, edid=P1080, open_node=machine.open)
    assert machine.front.edid == P1080


def test_a_driver_without_a_receiver_takes_none_and_captures_all_the_same(scanner):
    for machine, wanted in (
        (Kernel(scanner("phantom,128x96"), is_camera=True), HDMI),
        (Kernel(scanner("phantom,720x576,interlaced")), VideoInput(connector="s-video", standards=("any",))),
    ):
        assert grabber.open("/dev/video0", wanted, edid=P1080, open_node=machine.open).poll(1.0)
        assert machine.front.edid == b""


def test_more_blocks_than_it_takes_is_said(scanner):
    machine = Kernel(scanner("phantom,128x96"))
    with pytest.raises(DeviceError, match="takes no EDID of so many blocks"):
        grabber.open("/dev/video0", HDMI, edid=bytes(128 * 3), open_node=machine.open)
