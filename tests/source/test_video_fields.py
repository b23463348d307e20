"""Fields become whole pictures by moving lines; what is missing or repeated is told by sequence unless the sequence lies."""

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Field, Frame, FrameFormat
from gateway.source.fields import Continuity, Repeats, Weaver, is_jpeg

INTERVAL = 40_000_000
TOP, BOTTOM = Field.TOP, Field.BOTTOM


def fmt(field: Field, height: int = 4) -> FrameFormat:
    return FrameFormat(pixel_format="GREY", width_px=3, height_px=height, stride_bytes=3, field=field)


def buffer(field: Field, sequence: int, rows: list[int], at_ns: int = 0, **facts) -> Frame:
    stated = fmt(Field.ALTERNATE if field in {TOP, BOTTOM} else field, len(rows))
    return Frame(
        data=np.repeat(np.array(rows, np.uint8), 3),
        format=stated,
        sequence=sequence,
        field=field,
        captured_ns=at_ns,
        **facts,
    )


def rows_of(frame: Frame) -> list[int]:
    return frame.data.reshape(-1, 3)[:, 0].tolist()


def test_progressive_and_interlaced_buffers_pass_untouched():
    for field in (Field.NONE, Field.INTERLACED_TB, Field.TOP):
        frame = Frame(data=np.zeros(12, np.uint8), format=fmt(field), sequence=1, field=field, captured_ns=0)
        assert Weaver(fmt(field)).take(frame) is frame


@pytest.mark.parametrize(("first", "order"), [(TOP, Field.INTERLACED_TB), (BOTTOM, Field.INTERLACED_BT)])
def test_two_fields_of_one_sequence_become_a_picture_with_the_older_ones_time(first, order):
    second = BOTTOM if first is TOP else TOP
    lines = {TOP: [1, 3], BOTTOM: [2, 4]}
    weaver = Weaver(fmt(Field.ALTERNATE, 2))
    assert weaver.take(buffer(first, 7, lines[first], 100)) is None
    whole = weaver.take(buffer(second, 7, lines[second], 120))
    assert rows_of(whole) == [1, 2, 3, 4]
    assert (whole.sequence, whole.captured_ns, whole.field) == (7, 100, order)
    assert (whole.format.field, whole.format.height_px, whole.format.frame_bytes) == (order, 4, 12)


def test_the_first_field_may_be_handed_back_before_the_second_comes():
    weaver = Weaver(fmt(Field.ALTERNATE, 2))
    lent = buffer(TOP, 0, [1, 3])
    weaver.take(lent)
    lent.data[:] = 99  # the driver has filled it again
    assert rows_of(weaver.take(buffer(BOTTOM, 0, [2, 4]))) == [1, 2, 3, 4]


def test_the_woven_format_is_the_same_value_each_time():
    weaver = Weaver(fmt(Field.ALTERNATE, 2))
    formats = set()
    for sequence in range(3):
        weaver.take(buffer(TOP, sequence, [1, 3]))
        formats.add(id(weaver.take(buffer(BOTTOM, sequence, [2, 4])).format))
    assert len(formats) == 1


@pytest.mark.parametrize(
    ("arriving", "pictures", "orphans"),
    [
        ([(0, TOP), (0, BOTTOM), (1, TOP), (1, BOTTOM)], [0, 1], 0),
        ([(0, TOP), (0, BOTTOM), (1, TOP), (2, TOP), (2, BOTTOM)], [0, 2], 1),
        ([(0, TOP), (0, BOTTOM), (1, BOTTOM), (2, TOP), (2, BOTTOM)], [0, 2], 1),
        ([(0, TOP), (0, BOTTOM), (1, TOP), (2, BOTTOM), (3, TOP), (3, BOTTOM)], [0, 3], 2),
        ([(0, BOTTOM), (1, TOP), (1, BOTTOM)], [1], 0),  # a stream may begin in the middle of a picture
        ([(0, TOP), (0, TOP), (0, BOTTOM)], [0], 0),
        ([(5, TOP), (5, BOTTOM), (5, TOP), (5, TOP), (5, BOTTOM)], [5, 5], 1),
    ],
)
def test_a_field_alone_is_an_orphan_and_never_half_of_a_picture(arriving, pictures, orphans):
    weaver = Weaver(fmt(Field.ALTERNATE, 2))
    woven = [weaver.take(buffer(field, sequence, [1, 2])) for sequence, field in arriving]
    assert [whole.sequence for whole in woven if whole is not None] == pictures
    assert weaver.orphans == orphans


@pytest.mark.parametrize("bad", [0, 1])
def test_a_picture_with_a_faulty_field_is_faulty(bad):
    weaver = Weaver(fmt(Field.ALTERNATE, 2))
    weaver.take(buffer(TOP, 0, [1, 3], has_error=bad == 0))
    assert weaver.take(buffer(BOTTOM, 0, [2, 4], has_error=bad == 1)).has_error


@pytest.mark.parametrize("short", [TOP, BOTTOM])
def test_a_picture_with_a_short_field_is_short(short):
    weaver = Weaver(fmt(Field.ALTERNATE, 2))
    weaver.take(buffer(TOP, 0, [1] if short is TOP else [1, 3]))
    whole = weaver.take(buffer(BOTTOM, 0, [2] if short is BOTTOM else [2, 4]))
    assert len(whole.data) < whole.format.frame_bytes


@pytest.mark.parametrize(("field", "order"), [(Field.SEQ_TB, Field.INTERLACED_TB), (Field.SEQ_BT, Field.INTERLACED_BT)])
def test_two_fields_one_below_the_other_are_unfolded(field, order):
    rows = [1, 3, 2, 4] if field is Field.SEQ_TB else [2, 4, 1, 3]
    whole = Weaver(fmt(field)).take(buffer(field, 0, rows))
    assert rows_of(whole) == [1, 2, 3, 4]
    assert whole.format.field is order
    assert whole.format.height_px == 4


def at(sequence: int, time: float) -> Frame:
    return Frame(
        data=np.empty(0, np.uint8),
        format=fmt(Field.NONE),
        sequence=sequence,
        field=Field.NONE,
        captured_ns=int(time * INTERVAL),
    )


@pytest.mark.parametrize(
    ("stamps", "missing"),
    [
        ([(0, 0), (1, 1), (2, 2)], [0, 0, 0]),
        ([(9, 0), (10, 1), (13, 4)], [0, 0, 2]),
        ([(0, 0), (2, 1.1)], [0, 1]),  # the time came early: the sequence is believed
        ([(0, 0), (1, 4)], [0, 0]),  # a slow frame is not a lost one
        ([(0xFFFFFFFF, 0), (0, 1), (2, 3)], [0, 0, 1]),  # the counter has 32 bits
        ([(0, 0), (0, 1), (0, 2), (0, 5)], [0, 0, 0, 2]),  # a driver that does not count
        ([(0, 0), (1000, 1), (1001, 2)], [0, 0, 0]),  # a leap that no time passed for
        ([(1000, 0), (0, 1), (1, 2)], [0, 0, 0]),  # a counter that started afresh
        ([(0, 0), (100, 100)], [0, 99]),  # a long pause that both agree on
    ],
)
def test_missing_pictures_are_counted_by_sequence_unless_it_lies(stamps, missing):
    continuity = Continuity(INTERVAL)
    assert [continuity.missing_before(at(*stamp)) for stamp in stamps] == missing


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(-0.4, 0.4))
def test_whatever_is_dropped_is_counted(is_kept, jitter):
    continuity = Continuity(INTERVAL)
    kept = [n for n, keep in enumerate(is_kept) if keep]
    counted = sum(continuity.missing_before(at(n, n + 1 + jitter * (n % 2))) for n in kept)
    assert counted == (kept[-1] - kept[0] + 1 - len(kept) if kept else 0)


def test_a_time_that_is_not_later_is_noticed():
    continuity = Continuity(INTERVAL)
    assert not continuity.is_going_back(at(0, 5))
    continuity.missing_before(at(0, 5))
    assert continuity.is_going_back(at(1, 5))
    assert not continuity.is_going_back(at(1, 5.1))


# ---- planes, repeats, JPEG ----


@pytest.mark.parametrize("name", ["NV12", "YU12"])
@pytest.mark.parametrize("field", [Field.ALTERNATE, Field.SEQ_TB, Field.SEQ_BT])
def test_the_planes_of_two_fields_are_woven_each_by_itself(name, field):
    is_apart = field is Field.ALTERNATE
    whole = FrameFormat(pixel_format=name, width_px=4, height_px=8, stride_bytes=4, field=Field.INTERLACED_TB)
    stated = structs.replace(whole, field=field, height_px=4 if is_apart else 8)
    lines = [np.arange(rows) + 50 * n for n, (rows, _) in enumerate(whole.planes)]
    widths = [row_bytes for _, row_bytes in whole.planes]
    planes = [
        np.repeat(line.astype(np.uint8), width).reshape(-1, width) for line, width in zip(lines, widths, strict=True)
    ]
    top, bottom = ([plane[parity::2] for plane in planes] for parity in (0, 1))
    weaver = Weaver(stated)

    def sent(parts, which, sequence=3):
        data = np.concatenate([part.reshape(-1) for part in parts])
        return Frame(data=data, format=stated, sequence=sequence, field=which, captured_ns=0)

    if is_apart:
        assert weaver.take(sent(top, TOP)) is None
        woven = weaver.take(sent(bottom, BOTTOM))
    else:
        older, younger = (top, bottom) if field is Field.SEQ_TB else (bottom, top)
        both = [np.concatenate(pair) for pair in zip(older, younger, strict=True)]
        woven = weaver.take(sent(both, field))
    assert np.array_equal(woven.data, np.concatenate([plane.reshape(-1) for plane in planes]))
    assert len(woven.data) == woven.format.frame_bytes == whole.frame_bytes


def seen(*keys):
    repeats = Repeats()
    return [repeats.is_repeated(buffer(field, sequence, [1, 2], at_ns)) for sequence, field, at_ns in keys]


def test_two_fields_of_one_sequence_are_no_repeat_and_a_third_is():
    assert seen((0, TOP, 0), (0, BOTTOM, 20), (1, TOP, 40), (1, BOTTOM, 60), (1, BOTTOM, 61)) == [False] * 4 + [True]


def test_one_sequence_twice_is_a_repeat_whatever_its_time():
    assert seen((4, Field.NONE, 0), (5, Field.NONE, 40), (5, Field.NONE, 80), (6, Field.NONE, 120)) == [
        False,
        False,
        True,
        False,
    ]


def test_the_very_first_frame_twice_is_a_repeat_where_its_time_is_the_same():
    assert seen((0, Field.NONE, 7), (0, Field.NONE, 7)) == [False, True]


def test_a_driver_that_never_counts_repeats_nothing():
    assert not any(seen(*((0, Field.NONE, 40 * n) for n in range(9))))


JPEG = imagecodecs.jpeg8_encode(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))


@pytest.mark.parametrize("padding", [0, 1, 2, 3, 900])
def test_a_whole_jpeg_is_one_with_zeros_behind_it(padding):
    assert is_jpeg(np.frombuffer(JPEG + bytes(padding), np.uint8))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        JPEG[:-1],
        JPEG[:-2],
        JPEG[1:],
        b"\0" + JPEG,
        JPEG[: len(JPEG) // 2],
        JPEG + b"\xff",
        b"\xff\xd8\xff\xd9",
        bytes(500),
    ],
)
def test_what_is_cut_or_tiny_is_no_jpeg(data):
    assert not is_jpeg(np.frombuffer(data, np.uint8))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_jpeg_or_not(data):
    assert is_jpeg(np.frombuffer(data, np.uint8)) in {True, False}
