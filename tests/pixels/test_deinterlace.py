"""De-interlacing: exactly as the naive twins and as ffmpeg, on luma and on chroma."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PixelError
from gateway.model import Field, Range
from gateway.pixels import chain
from gateway.profile import PixelChain
from tests.pixels import frames, naive
from tests.pixels.test_colour import ffmpeg, off_by

TOP, BOTTOM = Field.INTERLACED_TB, Field.INTERLACED_BT


def grey(width, height, field=TOP):
    return frames.make("GREY", width, height, field=field, range=Range.FULL)


def luma(fmt, method, three):
    return chain.build(fmt, PixelChain(deinterlace=method)).run(*three)[..., 0]


@given(st.data())
def test_every_format_size_and_parity_is_within_one_level_of_the_twin(data):
    fmt = data.draw(frames.formats(interlaced=True))
    method = data.draw(st.sampled_from(["bob", "motion_adaptive"]))
    crop = data.draw(st.none() | frames.rectangles(fmt))
    make = data.draw(st.sampled_from([frames.noise, frames.picture_like]))
    raws = make(fmt, data.draw(st.integers(0, 99)))
    confirmed = data.draw(st.none() | st.booleans())
    top_first = {TOP: True, BOTTOM: False}.get(fmt.field, True if confirmed is None else confirmed)
    picture = chain.build(fmt, PixelChain(deinterlace=method, crop=crop), top_field_first=confirmed).run(*raws)
    twin = naive.picture(fmt, raws, crop=crop, deinterlace=method, top_first=top_first)
    assert off_by(picture, twin) <= 1


@pytest.mark.parametrize("method", ["bob", "motion_adaptive"])
@pytest.mark.parametrize("field", [TOP, BOTTOM])
@pytest.mark.parametrize(("width", "height"), [(1, 4), (6, 5), (7, 7), (33, 12), (64, 9)])
def test_luma_is_exactly_the_twin(method, field, width, height):
    fmt = grey(width, height, field)
    fill = naive.bob if method == "bob" else naive.yadif
    for seed in range(4):
        raws = (frames.noise if seed % 2 else frames.picture_like)(fmt, seed)
        three = [raw.reshape(height, width) for raw in raws]
        assert np.array_equal(luma(fmt, method, raws), fill(*three, field is TOP))


@pytest.mark.parametrize("field", [TOP, BOTTOM])
@pytest.mark.parametrize(("width", "height"), [(1, 4), (6, 5), (7, 9), (33, 12), (64, 21)])
def test_luma_of_bwdif_is_within_one_level_of_the_twin(field, width, height):
    fmt = grey(width, height, field)
    for seed in range(4):
        raws = (frames.noise if seed % 2 else frames.picture_like)(fmt, seed)
        three = [raw.reshape(height, width) for raw in raws]
        assert np.abs(luma(fmt, "bwdif", raws).astype(int) - naive.bwdif(*three, field is TOP)).max() <= 1


@given(st.data())
def test_colour_of_bwdif_is_within_one_level_of_each_plane(data):
    """One level of luma and one of chroma are 1.2 + 2 levels of blue at most, and a rounding."""
    fmt = data.draw(frames.formats(interlaced=True))
    crop = data.draw(st.none() | frames.rectangles(fmt))
    raws = data.draw(st.sampled_from([frames.noise, frames.picture_like]))(fmt, data.draw(st.integers(0, 99)))
    top_first = fmt.field is not BOTTOM
    picture = chain.build(fmt, PixelChain(deinterlace="bwdif", crop=crop), top_field_first=top_first).run(*raws)
    assert off_by(picture, naive.picture(fmt, raws, crop=crop, deinterlace="bwdif", top_first=top_first)) <= 4


@pytest.mark.parametrize(("field", "parity"), [(TOP, "tff"), (BOTTOM, "bff")])
@pytest.mark.parametrize(("width", "height"), [(180, 144), (61, 47)])
def test_bwdif_is_ffmpegs_but_for_one_level_here_and_there(field, parity, width, height):
    """Our sums are in 32nds of a level, theirs in 8192nds. (At the ends of a film theirs looks at one frame only.)"""
    fmt = grey(width, height, field)
    for make in (frames.noise, frames.picture_like):
        raws = make(fmt, 5, 5)
        theirs = ffmpeg(b"".join(map(bytes, raws)), "gray", width, height, f"bwdif=send_frame:{parity}:all", "gray")
        theirs = theirs.reshape(-1, height, width)
        assert len(theirs) == 5
        for n in range(1, 4):
            difference = np.abs(luma(fmt, "bwdif", raws[n - 1 : n + 2]).astype(int) - theirs[n])
            assert difference.max() <= 1
            assert difference.mean() < 0.03


@pytest.mark.parametrize(("field", "parity"), [(TOP, "tff"), (BOTTOM, "bff")])
@pytest.mark.parametrize(("width", "height"), [(180, 144), (61, 47)])
def test_motion_adaptive_is_exactly_ffmpegs_yadif(field, parity, width, height):
    fmt = grey(width, height, field)
    for make in (frames.noise, frames.picture_like):
        raws = make(fmt, 5, 5)
        theirs = ffmpeg(b"".join(map(bytes, raws)), "gray", width, height, f"yadif=send_frame:{parity}:all", "gray")
        theirs = theirs.reshape(-1, height, width)
        assert len(theirs) == 5
        for n in range(5):
            before, after = (raws[n - 1] if n else None), (raws[n + 1] if n < 4 else None)
            assert np.array_equal(luma(fmt, "motion_adaptive", (before, raws[n], after)), theirs[n])


def test_motion_adaptive_colour_is_what_ffmpegs_yadif_makes_of_each_plane():
    fmt = frames.make("UYVY", 120, 64, field=TOP)
    raws = frames.picture_like(fmt, 6)
    graph = "format=yuv422p,yadif=send_frame:tff:all"
    out = ffmpeg(b"".join(map(bytes, raws)), "uyvy422", 120, 64, graph, "yuv422p").reshape(3, -1)[1]
    y, u, v = out[: 120 * 64], out[120 * 64 : 120 * 96], out[120 * 96 :]
    planes = (y.reshape(64, 120), u.reshape(64, 60), v.reshape(64, 60))
    ours = chain.build(fmt, PixelChain(deinterlace="motion_adaptive")).run(*raws)
    assert off_by(ours, naive.colour(fmt, planes)) <= 1


def test_bob_is_ffmpegs_linear_interpolation():
    """libpostproc's `li` makes every second line from its neighbours, rounding halves up; we round them down."""
    fmt = grey(128, 64)
    raw = frames.picture_like(fmt, 7, 1)[0]
    planes = raw.tobytes() + bytes([128]) * (128 * 64 // 2)
    theirs = ffmpeg(planes, "yuv420p", 128, 64, "pp=li", "yuv420p")[: 128 * 64].reshape(64, 128)
    ours = luma(fmt, "bob", (None, raw, None))
    inside = slice(8, 56)
    assert np.abs(ours[inside].astype(int) - theirs[inside]).max() <= 1


def test_what_stands_still_keeps_all_its_lines():
    """Where nothing moves, and no line differs from both of its neighbours, the motion-adaptive picture is the frame."""
    fmt = frames.make("YUYV", 64, 48, field=TOP)
    still = np.repeat(frames.picture_like(frames.make("YUYV", 64, 1), 8, 1)[0][None], 48, axis=0)
    still[:, ::2] = np.clip(still[:, ::2].astype(int) + np.arange(48)[:, None] * 2 - 48, 0, 255)
    raw = still.reshape(-1)
    built = chain.build(fmt, PixelChain(deinterlace="motion_adaptive"))
    woven = chain.build(fmt, PixelChain(deinterlace="weave"))
    assert np.array_equal(built.run(raw, raw, raw), woven.run(None, raw, None))


def test_what_moves_has_no_comb():
    """A bar that jumps between the fields leaves teeth in the woven frame, none in the de-interlaced one."""
    height, width = 48, 64
    three = []
    for n in range(3):
        frame = np.full((height, width), 20, np.uint8)
        frame[0::2, 8 + 12 * n : 16 + 12 * n] = 220
        frame[1::2, 14 + 12 * n : 22 + 12 * n] = 220
        three.append(frame.reshape(-1))
    fmt = grey(width, height)
    assert comb(luma(fmt, "weave", three)) > 5
    assert comb(luma(fmt, "motion_adaptive", three)) < 0.5
    assert comb(luma(fmt, "bob", three)) < 0.5


def comb(picture):
    """How far lines stand out from both neighbours: the mean of |2 x line - above - below| / 2."""
    rows = picture.astype(int)
    return float(np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean() / 2)


def test_bob_does_not_bob():
    """The lines of a field keep their place: a vertical ramp looks the same from either field (half a line apart)."""
    ramp = np.repeat((np.arange(40) * 4).astype(np.uint8), 16)
    top, bottom = (luma(grey(16, 40, field), "bob", (None, ramp, None)).astype(int) for field in (TOP, BOTTOM))
    assert np.abs(top[1:-1] - bottom[1:-1]).max() <= 1
    assert np.array_equal(top[1:-1], ramp.reshape(40, 16)[1:-1])


@pytest.mark.parametrize("method", ["weave", "bob", "motion_adaptive"])
def test_the_lines_of_the_kept_field_are_never_computed(method):
    for field, first in ((TOP, 0), (BOTTOM, 1)):
        fmt = grey(20, 10, field)
        raws = frames.noise(fmt, 9)
        assert np.array_equal(luma(fmt, method, raws)[first::2], raws[1].reshape(10, 20)[first::2])


@given(st.data())
def test_a_crop_is_the_same_part_of_the_whole(data):
    fmt = data.draw(frames.formats(interlaced=True))
    crop = x, y, w, h = data.draw(frames.rectangles(fmt))
    raws = frames.picture_like(fmt, 10)
    for method in ("weave", "bob", "motion_adaptive"):
        whole = chain.build(fmt, PixelChain(deinterlace=method)).run(*raws)
        part = chain.build(fmt, PixelChain(deinterlace=method, crop=crop)).run(*raws)
        assert np.array_equal(part, whole[y : y + h, x : x + w])


@pytest.mark.parametrize(
    ("field", "height", "confirmed", "top_first"),
    [
        (Field.INTERLACED, 576, None, True),
        (Field.INTERLACED, 480, None, False),
        (Field.INTERLACED, 486, None, False),
        (Field.INTERLACED, 1080, None, True),
        (Field.INTERLACED, 480, True, True),
        (Field.INTERLACED, 576, False, False),
        (Field.INTERLACED_TB, 480, None, True),
        (Field.INTERLACED_BT, 576, True, False),
    ],
)
def test_parity_is_the_drivers_word_then_the_installers_then_the_standards(field, height, confirmed, top_first):
    built = chain.build(frames.make("GREY", 8, height, field=field), PixelChain(), top_field_first=confirmed)
    assert f"{'top' if top_first else 'bottom'} field first" in " ".join(built.steps)
    assert built._missing == (1 if top_first else 0)


@pytest.mark.parametrize("method", ["auto", "none", "weave", "bob", "motion_adaptive"])
def test_progressive_pictures_are_never_de_interlaced(method):
    fmt = frames.make("GREY", 12, 8, range=Range.FULL)
    raw = frames.noise(fmt, 11, 1)[0]
    built = chain.build(fmt, PixelChain(deinterlace=method))
    assert np.array_equal(built.run(None, raw, None)[..., 0], raw.reshape(8, 12))
    assert built.steps == ()
    assert not built.is_interlaced


def test_auto_adapts_to_motion_where_the_source_is_interlaced():
    fmt = grey(16, 8)
    raws = frames.noise(fmt, 12)
    assert np.array_equal(luma(fmt, "auto", raws), luma(fmt, "motion_adaptive", raws))
    assert not np.array_equal(luma(fmt, "auto", raws), luma(fmt, "weave", raws))


def test_a_neighbour_that_is_not_there_looks_like_the_frame():
    fmt = grey(16, 8)
    before, now, after = frames.noise(fmt, 13)
    assert np.array_equal(luma(fmt, "auto", (None, now, after)), luma(fmt, "auto", (now, now, after)))
    assert np.array_equal(luma(fmt, "auto", (before, now, None)), luma(fmt, "auto", (before, now, now)))


def test_three_lines_are_not_two_fields():
    with pytest.raises(PixelError, match="3 lines"):
        chain.build(grey(16, 3), PixelChain())
