"""A script's words become the raw video they name: real pictures, proper Y'CbCr, fields of two moments, a number in each frame."""

import cv2
import numpy as np
import pydicom.examples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Field, Matrix
from gateway.simulators import formats
from gateway.simulators.phantom import Phantom
from gateway.simulators.pictures import (
    NATIVE,
    Playback,
    chroma_at,
    frame_format,
    number_of,
    pack,
    parse,
    with_word,
)


@pytest.fixture(scope="module")
def play():
    """`play(script)`, each drawn once."""
    made = {}
    return lambda script: made.setdefault(script, Playback(parse(script)))


@pytest.mark.parametrize(
    ("words", "format_words"),
    [
        ("simulator:phantom", (720, 576, Field.NONE, "720x576p25", Matrix.BT601, (1, 1))),
        ("phantom,720x576,interlaced,uyvy,25", (720, 576, Field.INTERLACED_TB, "PAL 625/50i", Matrix.BT601, (54, 59))),
        ("phantom,720x480,interlaced,30", (720, 480, Field.INTERLACED_BT, "NTSC 525/60i", Matrix.BT601, (11, 10))),
        ("phantom,720x576,alternate", (720, 288, Field.ALTERNATE, "PAL 625/50i", Matrix.BT601, (54, 59))),
        ("phantom,1920x1080,interlaced", (1920, 1080, Field.INTERLACED_TB, "1920x1080i50", Matrix.BT709, (1, 1))),
        ("ybr_color,30", (320, 240, Field.NONE, "320x240p30", Matrix.BT601, (1, 1))),
        ("jpeg2k,1280x720,yuyv,50", (1280, 720, Field.NONE, "1280x720p50", Matrix.BT709, (1, 1))),
        ("phantom,1280x720,bt601", (1280, 720, Field.NONE, "1280x720p25", Matrix.BT601, (1, 1))),
    ],
)
def test_a_script_says_what_the_grabber_delivers(words, format_words):
    fmt = frame_format(parse(words))
    stated = (fmt.width_px, fmt.height_px, fmt.field, fmt.standard, fmt.matrix, fmt.pixel_aspect)
    assert stated == format_words
    assert fmt.stride_bytes == 2 * fmt.width_px


@pytest.mark.parametrize(
    "words",
    ["", "heart", "phantom,", "phantom,mpeg", "phantom,721x576", "phantom,64x64", "phantom,0", "phantom,faults=x"],
)
def test_a_word_nobody_knows_is_refused(words):
    with pytest.raises(ValueError, match="no "):
        parse(words)


@pytest.mark.parametrize("picture", NATIVE)
def test_every_picture_there_is_plays(picture, play):
    script = "phantom,160x120" if picture == "phantom" else picture
    playback = play(script)
    raw = playback.raw(7)
    assert raw.nbytes == playback.format.frame_bytes
    assert raw.std() > 5


@pytest.mark.parametrize("picture", ["rgb_color", "jpeg2k"])
def test_real_ultrasound_is_shown_as_it_is(picture, play):
    playback = play(picture)
    sent = getattr(pydicom.examples, picture).pixel_array
    back = playback.truth(0)
    is_grey = (np.ptp(sent, axis=2) == 0).reshape(sent.shape[0], -1, 2).all(axis=2).repeat(2, axis=1)
    assert is_grey.mean() > 0.5
    assert np.abs(back.astype(int) - sent)[is_grey].max() <= 1
    assert np.abs(back.astype(int) - sent).mean() < 1.5  # colour is halved sideways


def test_the_cine_moves_and_comes_round(play):
    playback = play("ybr_color")
    assert not np.array_equal(playback.raw(0), playback.raw(1))
    assert np.array_equal(playback.raw(3), playback.raw(33))


def test_a_small_picture_stands_enlarged_in_the_middle_of_a_large_one(play):
    rgb = play("rgb_color,720x576").truth(0)
    assert rgb[:48].max() == rgb[-48:].max() == rgb[:, :40].max() == rgb[:, -40:].max() == 0
    inner = rgb[48:528, 40:680]
    assert np.array_equal(inner[0::2, 0::2], inner[1::2, 0::2])


@pytest.mark.parametrize("word", ["uyvy", "yuyv"])
def test_the_reference_agrees_with_opencv_for_601(word, play):
    playback = play(f"jpeg2k,{word}")
    code = cv2.COLOR_YUV2RGB_UYVY if word == "uyvy" else cv2.COLOR_YUV2RGB_YUYV
    theirs = cv2.cvtColor(playback.whole(0).reshape(480, 640, 2), code)
    assert np.abs(theirs.astype(int) - playback.truth(0)).max() <= 1


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@given(colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_a_flat_colour_survives_the_way_there_and_back(matrix, colour):
    fmt = frame_format(parse(f"phantom,128x8,{matrix}"))
    there = pack(np.full((8, 128, 3), colour, np.uint8), fmt)
    assert np.abs(formats.truth(there.reshape(-1), fmt).astype(int) - colour).max() <= 2
    assert there.min() >= 16
    assert there[:, 1 - chroma_at(fmt) :: 2].max() <= 235
    assert there.max() <= 240


def test_the_two_matrices_differ():
    red = np.full((8, 128, 3), (255, 0, 0), np.uint8)
    as_601, as_709 = (pack(red, frame_format(parse(f"phantom,128x8,{m}"))) for m in ("bt601", "bt709"))
    assert (as_601[0, 1], as_709[0, 1]) == (81, 63)  # Y' of pure red, Rec. 601 and Rec. 709


@pytest.mark.parametrize(
    ("script", "top_is_older"), [("phantom,720x576,interlaced", True), ("phantom,720x480,interlaced", False)]
)
def test_the_fields_of_a_frame_are_sampled_at_two_moments(script, top_is_older, play):
    playback = play(script)
    phantom = Phantom(playback.script.width_px, playback.script.height_px)
    frame = playback.whole(0)
    sector = slice(100, 440)
    older, younger = (pack(phantom.draw(n / 40), playback.format) for n in (0, 1))
    top, bottom = (older, younger) if top_is_older else (younger, older)
    assert np.array_equal(frame[sector][0::2], top[sector][0::2])
    assert np.array_equal(frame[sector][1::2], bottom[sector][1::2])
    assert not np.array_equal(older[sector][1::2], younger[sector][1::2])


@pytest.mark.parametrize(
    "script", ["phantom,128x96", "phantom,720x576,interlaced", "jpeg2k,stamp", "ybr_color,stamp,yuyv"]
)
@pytest.mark.parametrize("sequence", [0, 1, 41, 123_456, 0xFFFF_FFFF])
def test_a_frames_number_is_read_from_its_pixels(script, sequence, play):
    assert number_of(play(script).truth(sequence)) == sequence


def test_frames_of_one_loop_differ_by_their_number_only(play):
    playback = play("phantom,128x96")
    first, again = playback.whole(2), playback.whole(42)
    assert np.array_equal(first[:-8], again[:-8])
    assert not np.array_equal(first, again)


def test_alternate_fields_make_up_the_frame(play):
    playback = play("phantom,128x96,alternate")
    whole = playback.whole(3)
    assert np.array_equal(playback.raw(3, Field.TOP), whole[0::2].reshape(-1))
    assert np.array_equal(playback.raw(3, Field.BOTTOM), whole[1::2].reshape(-1))


def test_the_phantom_is_always_the_same_and_never_still():
    one, other = Phantom(160, 120), Phantom(160, 120)
    assert np.array_equal(one.draw(0.3), other.draw(0.3))
    assert not np.array_equal(one.draw(0.3), one.draw(0.325))


def test_the_phantoms_tissue_is_grey_and_its_writing_is_not():
    drawn = Phantom(720, 576).draw(0.1).astype(int)
    sector = drawn[200:400, 300:420]
    assert np.ptp(sector, axis=2).max() == 0
    assert sector.std() > 40
    assert np.ptp(drawn, axis=2).max() > 100


def test_words_that_come_later_win():
    assert with_word(parse("phantom,yuyv"), "uyvy").pixel_format == "UYVY"
