"""A frame of an MJPEG grabber becomes a JPEG that anybody reads, and not one coefficient of it is touched."""

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CodecError
from gateway.pixels import codecs, mjpeg

DHT, SOS = b"\xff\xc4", b"\xff\xda"


def picture(shape=(48, 64, 3)):
    ramp = np.add.outer(np.arange(shape[0]) * 3, np.arange(shape[1]) * 2).astype(np.uint8)
    return ramp if len(shape) == 2 else np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1)


def without_tables(data):
    """Take the Huffman tables out, as a USB grabber leaves them out."""
    at = 2
    kept = data[:2]
    while data[at : at + 2] != SOS:
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        kept += b"" if data[at : at + 2] == DHT else data[at : at + length]
        at += length
    return kept + data[at:]


@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64)])
def test_a_frame_without_tables_gets_the_standards_and_decodes_as_the_whole_one_does(shape):
    full = codecs.jpeg_baseline(picture(shape), 90)
    bare = without_tables(full)
    assert DHT not in bare[: bare.index(SOS)]
    made = mjpeg.whole(bare + bytes(37))
    assert (made.rows, made.columns, made.samples) == (48, 64, 3 if len(shape) == 3 else 1)
    assert np.array_equal(imagecodecs.jpeg8_decode(made.data), imagecodecs.jpeg8_decode(full))
    assert made.data[made.data.index(SOS) :] == full[full.index(SOS) :], "the coefficients are those that came"


def test_a_whole_frame_stays_as_it_is():
    full = codecs.jpeg_baseline(picture(), 90)
    assert mjpeg.whole(full).data == full


def test_the_tables_are_those_of_annex_k():
    """K.3.3.1: the counts of each code length of the DC tables, luminance and chrominance, and how many codes the AC ones have."""
    tables = mjpeg.standard_tables()
    found = {}
    at = 0
    while at < len(tables):
        length = int.from_bytes(tables[at + 2 : at + 4], "big")
        body = tables[at + 4 : at + 2 + length]
        while body:
            count = sum(body[1:17])
            found[body[0]], body = body[1 : 17 + count], body[17 + count :]
        at += 2 + length
    assert found[0x00] == bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, *range(12)))
    assert found[0x01] == bytes((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, *range(12)))
    assert [sum(found[table][:16]) for table in (0x10, 0x11)] == [162, 162]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff\xd9",
        codecs.jpeg_baseline(picture(), 90)[:-2],
        imagecodecs.jpeg8_encode(picture(), lossless=True, predictor=1),
        codecs.jpeg_baseline(picture(), 90).replace(b"\xff\xc0", b"\xff\xc2", 1),
        codecs.encode(picture(), "jpeg-ls"),
    ],
    ids=["nothing", "no frame", "no end", "lossless", "progressive", "JPEG-LS"],
)
def test_what_is_not_a_whole_baseline_jpeg_is_refused(data):
    with pytest.raises(CodecError):
        mjpeg.whole(data)


@given(st.data())
def test_any_bytes_are_a_jpeg_or_a_named_error(data):
    full = codecs.jpeg_baseline(picture(), 50)
    at = data.draw(st.integers(0, len(full)))
    broken = full[:at] + data.draw(st.binary(max_size=12)) + full[at + data.draw(st.integers(0, 12)) :]
    try:
        made = mjpeg.whole(broken)
    except CodecError:
        return
    assert made.samples in {1, 3}
