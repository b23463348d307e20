"""The structs and numbers are those of the kernel's header: known ones, and, where a compiler is, all of them."""

import ctypes
import platform
import re
import subprocess

import pytest

from gateway.device import v4l2 as v

pytestmark = pytest.mark.skipif(ctypes.sizeof(ctypes.c_long) != 8, reason="layouts of 64-bit Linux")

OURS = {"V4L2_STD_PAL_525", "V4L2_STD_PAL_625", "V4L2_STD_NTSC_525"}
"""Groups of standards the header does not name as we do."""
SIZES = {
    "v4l2_capability": 104,
    "v4l2_buffer": 88,
    "v4l2_format": 208,
    "v4l2_dv_timings": 132,
    "v4l2_event": 136,
    "v4l2_requestbuffers": 20,
    "v4l2_input": 80,
    "v4l2_plane": 64,
    "v4l2_streamparm": 204,
    "v4l2_event_subscription": 32,
    "v4l2_fmtdesc": 64,
    "v4l2_cropcap": 44,
}
NUMBERS = {
    "VIDIOC_QUERYCAP": 0x80685600,
    "VIDIOC_ENUM_FMT": 0xC0405602,
    "VIDIOC_G_FMT": 0xC0D05604,
    "VIDIOC_S_FMT": 0xC0D05605,
    "VIDIOC_REQBUFS": 0xC0145608,
    "VIDIOC_QUERYBUF": 0xC0585609,
    "VIDIOC_QBUF": 0xC058560F,
    "VIDIOC_DQBUF": 0xC0585611,
    "VIDIOC_STREAMON": 0x40045612,
    "VIDIOC_STREAMOFF": 0x40045613,
    "VIDIOC_S_STD": 0x40085618,
    "VIDIOC_ENUMINPUT": 0xC050561A,
    "VIDIOC_S_INPUT": 0xC0045627,
    "VIDIOC_QUERYSTD": 0x8008563F,
    "VIDIOC_S_DV_TIMINGS": 0xC0845657,
    "VIDIOC_DQEVENT": 0x80885659,
    "VIDIOC_SUBSCRIBE_EVENT": 0x4020565A,
    "VIDIOC_QUERY_DV_TIMINGS": 0x80845663,
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_struct_has_the_kernels_size(name, size):
    assert ctypes.sizeof(getattr(v, name)) == size


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_an_ioctl_has_the_kernels_number(name, number):
    assert getattr(v, name) == number


def test_every_struct_and_number_agrees_with_the_header_of_this_machine(tmp_path):
    expected = {**_layouts(), **_constants()}
    lines = [f'printf("%s %llu\\n", "{_quoted(what)}", (unsigned long long)({what}));' for what in expected]
    source = tmp_path / "abi.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/videodev2.h>\n"
        f"int main(void) {{ {' '.join(lines)} return 0; }}\n"
    )
    subprocess.run(["gcc", "-w", "-o", tmp_path / "abi", source], check=True)
    printed = subprocess.run([tmp_path / "abi"], check=True, capture_output=True, text=True).stdout
    found = {what: int(number) for what, number in (line.rsplit(" ", 1) for line in printed.splitlines())}
    assert len(found) > 250, platform.machine()
    assert found == {_quoted(what): value for what, value in expected.items()}


@pytest.mark.parametrize(("text", "number"), [("YUYV", 0x56595559), ("RGB3", 0x33424752), ("Y10", 0x20303159)])
def test_a_fourcc_is_its_four_letters(text, number):
    assert v.fourcc_number(text) == number
    assert v.fourcc(number) == text


def test_a_node_that_is_no_video_device_says_so():
    node = v.DeviceNode("/dev/null")
    with pytest.raises(OSError, match="ioctl"):
        node.ioctl(v.VIDIOC_QUERYCAP, v.v4l2_capability())
    node.close()


def _layouts() -> dict[str, int]:
    """C expressions of every struct's size and every member's offset and size, and what ctypes says."""
    expected = {}
    for name, struct in vars(v).items():
        if not re.fullmatch(r"v4l2_\w+", name):
            continue
        expected[f"sizeof(struct {name})"] = ctypes.sizeof(struct)
        for member in _members(struct):
            expected[f"offsetof(struct {name}, {member})"] = getattr(struct, member).offset
            expected[f"sizeof(((struct {name}*)0)->{member})"] = getattr(struct, member).size
    return expected


def _members(struct) -> list[str]:
    anonymous = set(getattr(struct, "_anonymous_", ()))
    names = [field[0] for field in struct._fields_ if field[0] not in anonymous]
    return names + (["bt"] if anonymous else [])


def _constants() -> dict[str, int]:
    names = [name for name in vars(v) if re.match("VIDIOC_|V4L2_", name) and name not in OURS]
    return {name: getattr(v, name) for name in names}


def _quoted(expression: str) -> str:
    return expression.replace(" ", "_")
