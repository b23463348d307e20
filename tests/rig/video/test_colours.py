"""The driver's colour bars in every colour space, encoding and range, through the real ioctl path, come out as the bars they are.

vivid paints the same R'G'B' in every colour space and encodes it as it states (v4l2-tpg-core.c, color_to_ycbcr); what it leaves
to a default is resolved by linux/videodev2.h. What we have no matrix for is refused by name. Tolerance: see `test_formats`.
"""

import numpy as np
import pytest

from gateway.device import grabber
from gateway.errors import UnknownPixelFormat
from gateway.model import Matrix, Range
from tests.rig.video.conftest import BARS_75, BARS_100, DEVICE, SVIDEO, WEBCAM, bars_of, wanted
from tests.rig.video.test_formats import TOLERANCE

SPACES = ("smpte170m", "rec709", "srgb", "oprgb", "bt2020", "dci-p3", "smpte240m", "470m", "470bg")
"""vivid's menu "colorspace", in its order."""
DEFAULT_MATRIX = {"rec709": Matrix.BT709, "dci-p3": Matrix.BT709, "bt2020": Matrix.BT2020}
ENCODINGS = {1: Matrix.BT601, 2: Matrix.BT709, 3: Matrix.BT601, 4: Matrix.BT709, 6: Matrix.BT2020}
"""vivid's menu "y_cbcr_encoding": 601, 709, xvYCC 601, xvYCC 709, BT.2020."""
XVYCC = (3, 4)
FULL, LIMITED = 1, 2


@pytest.mark.parametrize("quantization", [FULL, LIMITED])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bars_in_every_encoding_and_range(vivid, picture, encoding, quantization):
    vivid.set(test_pattern=1, colorspace=1, y_cbcr_encoding=encoding, quantization=quantization)
    pixels, built, fmt = picture(wanted(WEBCAM, "YUYV"))
    assert fmt.matrix is ENCODINGS[encoding]
    is_full = quantization == FULL and encoding not in XVYCC  # xvYCC has one range only
    assert fmt.range is (Range.FULL if is_full else Range.LIMITED)
    assert np.abs(bars_of(pixels) - BARS_100).max() <= TOLERANCE
    assert any(str(fmt.matrix) in step for step in built.steps)


@pytest.mark.parametrize("space", [each for each in SPACES if each != "smpte240m"])
def test_bars_in_every_colour_space_with_its_defaults(vivid, picture, space):
    vivid.set(test_pattern=0, colorspace=SPACES.index(space))
    pixels, _, fmt = picture(wanted(WEBCAM, "UYVY"))
    assert (fmt.matrix, fmt.range) == (DEFAULT_MATRIX.get(space, Matrix.BT601), Range.LIMITED)
    assert np.abs(bars_of(pixels) - BARS_75).max() <= TOLERANCE


@pytest.mark.parametrize("quantization", [0, FULL, LIMITED])
def test_bars_as_rgb_in_every_range(vivid, picture, quantization):
    vivid.set(test_pattern=1, colorspace=2, quantization=quantization)
    pixels, _, fmt = picture(wanted(WEBCAM, "RGB3"))
    assert fmt.range is (Range.LIMITED if quantization == LIMITED else Range.FULL)
    assert np.abs(bars_of(pixels) - BARS_100).max() <= TOLERANCE


@pytest.mark.parametrize("pixel_format", ["NV12", "YU12"])
def test_bars_in_planes_of_the_full_range(vivid, picture, pixel_format):
    vivid.set(test_pattern=1, colorspace=1, y_cbcr_encoding=2, quantization=FULL)
    pixels, _, _ = picture(wanted(WEBCAM, pixel_format))
    assert np.abs(bars_of(pixels) - BARS_100).max() <= TOLERANCE


def test_an_analogue_picture_is_bt601_of_limited_range(vivid, picture):
    vivid.set(test_pattern=0, standard_signal_mode=4, standard=4)
    pixels, _, fmt = picture(wanted(SVIDEO))
    assert (fmt.matrix, fmt.range) == (Matrix.BT601, Range.LIMITED)
    assert np.abs(bars_of(pixels) - BARS_75).max() <= TOLERANCE


@pytest.mark.parametrize(
    "controls", [{"y_cbcr_encoding": 7}, {"y_cbcr_encoding": 8}, {"colorspace": SPACES.index("smpte240m")}]
)
def test_an_encoding_without_a_matrix_is_refused_by_name(vivid, controls):
    vivid.set(**controls)
    with pytest.raises(UnknownPixelFormat, match="YUYV"):
        grabber.open(DEVICE, wanted(WEBCAM, "YUYV")).close()
