"""What a profile wants meets what a driver says: everything is read back, and what does not fit is refused by name."""

import pytest

from gateway.device import grabber
from gateway.device import v4l2 as v
from gateway.device.formats import colours, field_order
from gateway.device.negotiate import timings_mode
from gateway.errors import DeviceBusy, DeviceError, DeviceGone, NoSignal, UnknownPixelFormat, WrongStandard
from gateway.model import Field, Matrix, Range, Signal
from gateway.profile import VideoInput
from gateway.simulators.kernel import Kernel

PAL = "phantom,720x576,interlaced"
HD = "phantom,1280x720,50,bt709"


@pytest.fixture
def kernel(scanner):
    """`kernel(script, **shape)`"""
    return lambda script=PAL, **shape: Kernel(scanner(script), **shape)


def opened(kernel, *, connector="s-video", standards=("any",), **wanted):
    profile = VideoInput(connector=connector, standards=standards, **wanted)
    return grabber.open("/dev/video0", profile, open_node=kernel.open)


def test_pal_is_read_back_whole(kernel):
    fmt = opened(kernel(), standards=("PAL 625/50i",)).format
    assert (fmt.width_px, fmt.height_px, fmt.stride_bytes) == (720, 576, 1440)
    assert (fmt.standard, fmt.pixel_format, fmt.frame_interval_ns) == ("PAL 625/50i", "UYVY", 40_000_000)
    assert (fmt.field, fmt.matrix, fmt.range, fmt.pixel_aspect) == (
        Field.INTERLACED_TB,
        Matrix.BT601,
        Range.LIMITED,
        (54, 59),
    )


def test_ntsc_is_read_back_whole(kernel):
    fmt = opened(kernel("phantom,720x480,interlaced,30"), standards=("NTSC 525/60i",)).format
    assert (fmt.standard, fmt.height_px, fmt.frame_interval_ns) == ("NTSC 525/60i", 480, 33_366_667)
    assert (fmt.field, fmt.pixel_aspect) == (Field.INTERLACED_BT, (11, 10))


def test_hdmi_follows_the_source(kernel):
    fmt = opened(kernel(HD), connector="hdmi", standards=("1280x720p50",)).format
    assert (fmt.standard, fmt.field, fmt.matrix, fmt.pixel_aspect) == ("1280x720p50", Field.NONE, Matrix.BT709, (1, 1))
    assert abs(fmt.frame_interval_ns - 20_000_000) < 10


def test_a_usb_grabber_states_its_size_and_rate(kernel):
    fmt = opened(kernel("phantom,640x480", is_camera=True), connector="hdmi", standards=("640x480p25",)).format
    assert (fmt.standard, fmt.frame_interval_ns) == ("640x480p25", 40_000_000)


@pytest.mark.parametrize(
    ("script", "connector", "question"),
    [(PAL, "s-video", v.VIDIOC_QUERYSTD), ("phantom,128x96", "hdmi", v.VIDIOC_QUERY_DV_TIMINGS)],
)
def test_a_driver_is_asked_once_what_arrives(kernel, script, connector, question):
    machine = kernel(script)
    stream = opened(machine, connector=connector)
    assert list(machine.requests).count(question) == 1
    assert stream.signal() is Signal.LOCKED
    assert list(machine.requests).count(question) == 2


def test_the_input_is_found_by_its_name(kernel):
    assert opened(kernel(), connector="component", input_name="s-video 0").format.standard == "PAL 625/50i"


def test_an_input_that_is_not_there_is_refused_with_the_names_that_are(kernel):
    with pytest.raises(DeviceError, match="Composite 0, S-Video 0, HDMI 0"):
        opened(kernel(), input_name="SCART")


def test_the_wrong_input_has_no_signal(kernel):
    with pytest.raises(NoSignal) as lost:
        opened(kernel(), connector="composite")
    assert lost.value.facts["signal"] == Signal.NO_SIGNAL


@pytest.mark.parametrize(
    ("script", "connector", "standards", "found"),
    [
        (PAL, "s-video", ("NTSC 525/60i",), "PAL 625/50i"),
        (HD, "hdmi", ("1920x1080p60", "1280x720p60"), "1280x720p50"),
    ],
)
def test_another_standard_than_the_profiles_is_refused(kernel, script, connector, standards, found):
    with pytest.raises(WrongStandard) as refused:
        opened(kernel(script), connector=connector, standards=standards)
    assert refused.value.facts == {"device": "/dev/video0", "found": found, "expected": " or ".join(standards)}


def test_a_usb_grabber_that_gives_another_size_is_refused(kernel):
    with pytest.raises(WrongStandard, match="640x480p25"):
        opened(kernel("phantom,640x480", is_camera=True), standards=("1280x720p25",))


def test_a_pixel_format_the_driver_insists_on_is_taken_when_we_read_it(kernel):
    assert opened(kernel(), pixel_formats=("RGB3", "NV12")).format.pixel_format == "UYVY"


@pytest.mark.parametrize("fourcc", ["H264", "BA81", "P010", "Y1X"])
def test_a_pixel_format_we_do_not_read_is_refused_by_name(kernel, fourcc):
    machine = kernel()
    machine.fourcc = fourcc
    with pytest.raises(UnknownPixelFormat) as refused:
        opened(machine, pixel_formats=("UYVY", fourcc))
    assert refused.value.facts["fourcc"] == fourcc


def test_a_colour_encoding_without_a_matrix_is_refused(kernel):
    machine = kernel()
    machine.matrix_encoding = v.V4L2_YCBCR_ENC_SMPTE240M
    with pytest.raises(UnknownPixelFormat, match="colour encoding 8"):
        opened(machine)


@pytest.mark.parametrize("shape", [{}, {"is_multi_planar": True}])
def test_a_refused_device_is_given_back(kernel, shape):
    machine = kernel(**shape)
    with pytest.raises(WrongStandard):
        opened(machine, standards=("NTSC 525/60i",))
    assert machine.nodes == 0


def test_a_second_opening_is_busy_until_the_first_is_closed(kernel):
    machine = kernel()
    first = opened(machine)
    with pytest.raises(DeviceBusy):
        opened(machine)
    first.close()
    opened(machine).close()
    assert machine.nodes == 0


def test_events_are_subscribed_for_the_input_in_use(kernel):
    machine = kernel(HD)
    stream = opened(machine, connector="hdmi")
    assert v.VIDIOC_SUBSCRIBE_EVENT in machine.requests
    machine.scanner.do("signal off")
    with pytest.raises(NoSignal):
        stream.poll(1.0)


def test_describe_sets_nothing_up(kernel):
    machine = kernel()
    said = grabber.describe("/dev/video0", open_node=machine.open)
    assert (said.driver, said.pixel_formats) == ("simulator", ("UYVY", "YUYV"))
    assert [each.name for each in said.inputs] == ["Composite 0", "S-Video 0", "HDMI 0"]
    assert not {v.VIDIOC_S_INPUT, v.VIDIOC_S_FMT, v.VIDIOC_REQBUFS} & set(machine.requests)
    assert machine.nodes == 0


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("/dev/no-such-video", DeviceGone, "unplugged"),
        ("/dev/null", DeviceError, "Inappropriate ioctl|not a video device"),
    ],
)
def test_a_real_path_that_is_no_grabber_says_so(path, error, words):
    with pytest.raises(error, match=words):
        grabber.open(path, VideoInput(connector="hdmi", standards=("any",)))
    with pytest.raises(error):
        grabber.describe(path)


# V4L2's default rules, as in linux/videodev2.h: (colour space, encoding, quantisation, fourcc, lines) -> (matrix, range)
@pytest.mark.parametrize(
    ("stated", "meaning"),
    [
        ((0, 0, 0, "UYVY", 576), (Matrix.BT601, Range.LIMITED)),
        ((0, 0, 0, "UYVY", 1080), (Matrix.BT709, Range.LIMITED)),
        ((v.V4L2_COLORSPACE_SMPTE170M, 0, 0, "YUYV", 1080), (Matrix.BT601, Range.LIMITED)),
        ((v.V4L2_COLORSPACE_REC709, 0, 0, "YUYV", 480), (Matrix.BT709, Range.LIMITED)),
        ((v.V4L2_COLORSPACE_JPEG, 0, 0, "YUYV", 480), (Matrix.BT601, Range.FULL)),
        ((v.V4L2_COLORSPACE_JPEG, 0, v.V4L2_QUANTIZATION_LIM_RANGE, "YUYV", 480), (Matrix.BT601, Range.LIMITED)),
        ((v.V4L2_COLORSPACE_SRGB, 0, 0, "YUYV", 1080), (Matrix.BT601, Range.LIMITED)),
        ((v.V4L2_COLORSPACE_SRGB, 0, 0, "RGB3", 1080), (Matrix.BT601, Range.FULL)),
        ((v.V4L2_COLORSPACE_SRGB, 0, v.V4L2_QUANTIZATION_LIM_RANGE, "RGB3", 720), (Matrix.BT601, Range.LIMITED)),
        ((v.V4L2_COLORSPACE_SRGB, v.V4L2_YCBCR_ENC_709, 0, "YUYV", 720), (Matrix.BT709, Range.LIMITED)),
        (
            (v.V4L2_COLORSPACE_REC709, v.V4L2_YCBCR_ENC_601, v.V4L2_QUANTIZATION_FULL_RANGE, "NV12", 720),
            (Matrix.BT601, Range.FULL),
        ),
        ((v.V4L2_COLORSPACE_BT2020, 0, 0, "NV12", 2160), (Matrix.BT2020, Range.LIMITED)),
    ],
)
def test_colour_that_is_left_to_a_default_follows_the_headers_rules(stated, meaning):
    space, encoding, quantisation, code, lines = stated
    pix = v.v4l2_pix_format(
        pixelformat=v.fourcc_number(code),
        height=lines,
        priv=v.V4L2_PIX_FMT_PRIV_MAGIC,
        colorspace=space,
        ycbcr_enc=encoding,
        quantization=quantisation,
    )
    assert colours(pix, "x") == meaning


def test_colour_fields_count_only_when_the_driver_knows_them():
    pix = v.v4l2_pix_format(pixelformat=v.fourcc_number("YUYV"), height=480, ycbcr_enc=6, quantization=1)
    assert colours(pix, "x") == (Matrix.BT601, Range.LIMITED)


@pytest.mark.parametrize(
    ("standard", "stated", "order"),
    [
        ("PAL 625/50i", None, Field.INTERLACED_TB),
        ("SECAM 625/50i", None, Field.INTERLACED_TB),
        ("NTSC 525/60i", None, Field.INTERLACED_BT),
        ("1920x1080i50", None, Field.INTERLACED_TB),
        ("PAL 625/50i", False, Field.INTERLACED_BT),
        ("NTSC 525/60i", True, Field.INTERLACED_TB),
    ],
)
def test_the_older_field_is_the_standards_unless_the_installer_confirmed_another(standard, stated, order):
    assert field_order(Field.INTERLACED, standard, stated) is order
    assert field_order(Field.NONE, standard, stated) is Field.NONE


# CEA-861: 1280x720p60, 1920x1080i50, 1280x720p59.94 and 1920x1080p24
@pytest.mark.parametrize(
    ("bt", "name", "interval_ns"),
    [
        ((1280, 720, 0, 74_250_000, 370, 30, 0), "1280x720p60", 16_666_667),
        ((1280, 720, 0, 74_175_824, 370, 30, 0), "1280x720p60", 16_683_333),
        ((1920, 1080, 1, 74_250_000, 720, 22, 23), "1920x1080i50", 40_000_000),
        ((1920, 1080, 0, 74_250_000, 830, 45, 0), "1920x1080p24", 41_666_667),
    ],
)
def test_timings_are_named_as_people_name_them(bt, name, interval_ns):
    width, height, interlaced, clock, columns, lines, other_field = bt
    mode = timings_mode(
        v.v4l2_bt_timings(
            width=width,
            height=height,
            interlaced=interlaced,
            pixelclock=clock,
            hsync=columns,
            vsync=lines,
            il_vsync=other_field,
        )
    )
    assert mode.name == name
    assert abs(mode.frame_interval_ns - interval_ns) <= 1
