"""Every pixel format, however a driver lays it out in memory, gives the same colour bars; what we do not read is refused by name.

The tolerance of 4 levels: vivid cuts Y', Cb and Cr down to whole levels before it sends them, and one level of Cb is 2.1 of
blue, one of Y' 1.2; the other half level is our own rounding. A wrong matrix or range is 16 levels off and more.
"""

import re

import numpy as np
import pytest

from gateway.device import grabber
from gateway.errors import UnknownPixelFormat
from gateway.model import Range
from gateway.profile import PixelChain
from tests.rig.video.conftest import BARS_75, BARS_100, DEVICE, WEBCAM, bars_of, run, wanted

TOLERANCE = 4
COLOURED = ("YUYV", "UYVY", "YVYU", "NV12", "NV21", "YU12", "RGB3", "BGR3")
APART = {"NM12": "NV12", "NM21": "NV21", "YM12": "YU12"}
"""Planes in memories of their own, and what they become when they are put together."""
LUMA = np.rint(BARS_100 @ (0.2126, 0.7152, 0.0722)).astype(int)
"""What vivid sends for a bar in a grey format: Rec. 709's luma, of the whole range whatever it states."""


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("pixel_format", COLOURED)
def test_a_format_gives_the_colour_bars(load, picture, pixel_format, planes):
    load(planes=planes).set(test_pattern=1)
    pixels, _, fmt = picture(wanted(WEBCAM, pixel_format))
    assert fmt.pixel_format == pixel_format
    assert np.abs(bars_of(pixels) - BARS_100).max() <= TOLERANCE


@pytest.mark.parametrize("pixel_format", APART)
def test_planes_in_memories_of_their_own_give_the_colour_bars(load, picture, pixel_format):
    load(planes=2).set(test_pattern=0)
    pixels, _, fmt = picture(wanted(WEBCAM, pixel_format))
    assert fmt.pixel_format == APART[pixel_format]
    assert np.abs(bars_of(pixels) - BARS_75).max() <= TOLERANCE


@pytest.mark.parametrize(("pixel_format", "bits"), [("GREY", 8), ("Y10", 10), ("Y12", 12), ("Y16", 16)])
def test_a_grey_format_gives_the_bars_luma_in_all_its_bits(load, picture, pixel_format, bits):
    load(planes=1).set(test_pattern=1)
    pixels, built, fmt = picture(wanted(WEBCAM, pixel_format), PixelChain(grey="always"))
    assert (fmt.pixel_format, built.bits_stored) == (pixel_format, bits)
    seen = bars_of(pixels if pixels.ndim == 2 else pixels[..., 0])
    sent = LUMA if fmt.range is Range.FULL else np.clip((LUMA - 16) * 255 / 219, 0, 255)
    assert np.abs(seen / (1 << bits - 8) - sent).max() <= 2


@pytest.mark.parametrize("planes", [1, 2])
def test_what_we_state_of_a_format_is_what_the_driver_states(load, planes):
    load(planes=planes)
    opened = grabber.open(DEVICE, wanted(WEBCAM, "NV12"))
    try:
        fmt, said = opened.format, run("v4l2-ctl", "-d", DEVICE, "--get-fmt-video")
    finally:
        opened.close()
    width, height = map(int, re.search(r"Width/Height\s+: (\d+)/(\d+)", said).groups())
    assert (fmt.width_px, fmt.height_px) == (width, height)
    assert fmt.stride_bytes == int(re.search(r"Bytes per Line\s+: (\d+)", said)[1])
    assert fmt.frame_bytes == int(re.search(r"Size Image\s+: (\d+)", said)[1])


@pytest.mark.parametrize("pixel_format", ["HSV3", "RGGB", "NV24"])
def test_a_format_we_do_not_read_is_refused_by_name(vivid, pixel_format):
    with pytest.raises(UnknownPixelFormat) as refused:
        grabber.open(DEVICE, wanted(WEBCAM, pixel_format)).close()
    assert pixel_format in refused.value.facts["fourcc"]


def test_a_device_says_what_it_offers(vivid):
    seen = grabber.describe(DEVICE)
    assert (seen.driver, [each.name for each in seen.inputs]) == ("vivid", ["Webcam 0", "TV 0", "S-Video 0", "HDMI 0"])
    assert set(COLOURED) <= set(seen.pixel_formats)
