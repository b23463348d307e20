"""Standards, timings and fields of a real driver: followed and named, and fields that come apart are woven line for line."""

import numpy as np
import pytest

from gateway.device import grabber, v4l2
from gateway.errors import WrongStandard
from gateway.model import Field
from gateway.source.fields import Weaver
from tests.rig.video.conftest import BARS_75, DEVICE, HDMI, SVIDEO, TV, bars_of, run, wanted
from tests.rig.video.test_formats import TOLERANCE

SELECTED = 4
"""Of the two signal modes: what the menu beside it says."""
NTSC_M, PAL_BGH, PAL_M, SECAM_L = 0, 4, 7, 13
HORIZONTAL_LINES = 15
"""The pattern "Alternating Hor Lines": one field is white, the other black."""
CROSS = 19


@pytest.mark.parametrize("input_name", [TV, SVIDEO])
@pytest.mark.parametrize(
    ("standard", "words", "rows", "field", "interval_ms"),
    [
        (PAL_BGH, "PAL 625/50i", 576, Field.INTERLACED_TB, 40.0),
        (NTSC_M, "NTSC 525/60i", 480, Field.INTERLACED_BT, 33.367),
        (PAL_M, "PAL 525/60i", 480, Field.INTERLACED_BT, 33.367),
        (SECAM_L, "SECAM 625/50i", 576, Field.INTERLACED_TB, 40.0),
    ],
)
def test_an_analogue_standard_is_followed(vivid, picture, input_name, standard, words, rows, field, interval_ms):
    vivid.choose(input_name)
    vivid.set(standard_signal_mode=SELECTED, standard=standard, test_pattern=0)
    pixels, _, fmt = picture(wanted(input_name, standard=words))
    assert (fmt.standard, fmt.height_px, fmt.width_px, fmt.field) == (words, rows, 720, field)
    assert fmt.frame_interval_ns == pytest.approx(interval_ms * 1e6, rel=1e-4)
    assert fmt.pixel_aspect != (1, 1)
    assert np.abs(bars_of(pixels) - BARS_75).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("timings", "words", "size", "field"),
    [
        (9, "1280x720p60", (1280, 720), Field.NONE),
        (8, "1280x720p50", (1280, 720), Field.NONE),
        (16, "1920x1080p60", (1920, 1080), Field.NONE),
        (13, "1920x1080i50", (1920, 1080), Field.INTERLACED_TB),  # vivid gives its fields one by one
        (31, "1024x768p60", (1024, 768), Field.NONE),
        (50, "1280x1024p60", (1280, 1024), Field.NONE),
    ],
)
def test_digital_timings_are_followed(vivid, picture, timings, words, size, field):
    vivid.choose(HDMI)
    vivid.set(dv_timings_signal_mode=SELECTED, dv_timings=timings, test_pattern=0)
    pixels, _, fmt = picture(wanted(HDMI, standard=words))
    assert (fmt.standard, (fmt.width_px, fmt.height_px), fmt.field) == (words, size, field)
    assert np.abs(bars_of(pixels) - BARS_75).max() <= TOLERANCE


def test_timings_that_the_profile_does_not_expect_are_refused_by_name(vivid):
    vivid.choose(HDMI)
    vivid.set(dv_timings_signal_mode=SELECTED, dv_timings=16)
    with pytest.raises(WrongStandard) as refused:
        grabber.open(DEVICE, wanted(HDMI, standard="1280x720p60")).close()
    assert refused.value.facts["found"] == "1920x1080p60"


def test_a_standard_that_the_profile_does_not_expect_is_refused_by_name(vivid):
    vivid.choose(SVIDEO)
    vivid.set(standard_signal_mode=SELECTED, standard=NTSC_M)
    with pytest.raises(WrongStandard):
        grabber.open(DEVICE, wanted(SVIDEO, standard="PAL 625/50i")).close()


class Insisting(v4l2.DeviceNode):
    """The device's node, of a driver that delivers fields in its own way whatever it is asked for."""

    field = Field.ALTERNATE

    def ioctl(self, request, argument):
        if request == v4l2.VIDIOC_S_FMT:
            argument.fmt.pix.field = self.field
        super().ioctl(request, argument)


def insisting(field: Field) -> type[Insisting]:
    return type("InsistingOn", (Insisting,), {"field": field})


def woven(open_node: v4l2.OpenNode) -> tuple[np.ndarray, Field]:
    """The third whole picture, and in which order its fields came. Under emulation a field may be lost before."""
    opened = grabber.open(DEVICE, wanted(SVIDEO), open_node=open_node)
    try:
        weaver = Weaver(opened.format)
        whole = (each for frame in grabber.take(opened, 50, timeout_s=20) if (each := weaver.take(frame)) is not None)
        for count, each in enumerate(whole, 1):
            if count == 3:
                return each.data.copy(), each.format.field
    finally:
        opened.close()
    raise AssertionError("no whole picture came")


@pytest.mark.parametrize("pattern", [HORIZONTAL_LINES, CROSS])
@pytest.mark.parametrize("field", [Field.ALTERNATE, Field.SEQ_TB, Field.SEQ_BT])
def test_fields_that_come_apart_are_woven_to_the_picture_they_are(vivid, field, pattern):
    vivid.choose(SVIDEO)
    vivid.set(standard_signal_mode=SELECTED, standard=PAL_BGH, test_pattern=pattern)
    whole, _ = woven(v4l2.DeviceNode)
    apart, order = woven(insisting(field))
    differ = np.flatnonzero((apart.reshape(576, -1) != whole.reshape(576, -1)).any(axis=1))
    assert set(differ) <= {0}, "only the wide screen signalling of the first line is new in each picture"
    assert order is (Field.INTERLACED_BT if field is Field.SEQ_BT else Field.INTERLACED_TB)


def test_a_part_cut_out_by_another_program_is_not_ours(vivid, picture):
    vivid.choose(SVIDEO)
    vivid.set(standard_signal_mode=SELECTED, standard=PAL_BGH, test_pattern=0)
    run("v4l2-ctl", "-d", DEVICE, "--set-selection=target=crop,top=100,left=200,width=90,height=100")
    pixels, _, _ = picture(wanted(SVIDEO))
    assert np.abs(bars_of(pixels) - BARS_75).max() <= TOLERANCE


def test_alternate_fields_come_two_a_sequence(vivid):
    vivid.choose(SVIDEO)
    vivid.set(standard_signal_mode=SELECTED, standard=PAL_BGH)
    opened = grabber.open(DEVICE, wanted(SVIDEO), open_node=insisting(Field.ALTERNATE))
    try:
        frames = list(grabber.take(opened, 30, timeout_s=20))
    finally:
        opened.close()
    assert (opened.format.field, opened.format.height_px) == (Field.ALTERNATE, 288)
    seen = [(frame.sequence, frame.field) for frame in frames]
    assert len(set(seen)) == len(seen), "one top and one bottom of each picture"
    tops, bottoms = ({number for number, field in seen if field is each} for each in (Field.TOP, Field.BOTTOM))
    assert tops & bottoms
