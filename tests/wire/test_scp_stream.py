"""The stream of PDUs: any bytes, whole and in any pieces, are events or a Breach, and always the same ones."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulators.modality import ABORT, RELEASE_RQ, associate_rq, fragment
from gateway.wire.dimse.pdu import HEADER, PDUType
from gateway.wire.dimse.stream import (
    INVALID_PARAMETER,
    MAX_ASSOCIATE_BYTES,
    UNRECOGNIZED_PDU,
    Breach,
    PDUStream,
    Whole,
)

REQUEST = associate_rq([("1.2.840.10008.1.1", "1.2.840.10008.1.2")], "CT", "GATEWAY")

pdus = st.one_of(
    st.just(REQUEST),
    st.just(RELEASE_RQ),
    st.just(ABORT),
    st.builds(
        fragment,
        st.integers(0, 255),
        st.binary(max_size=300),
        is_command=st.booleans(),
        is_last=st.booleans(),
    ),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40)), min_size=1, max_size=4).map(
        lambda pdvs: _p_data(
            b"".join(struct.pack(">IBB", len(data) + 2, cid, flags) + data for cid, flags, data in pdvs)
        )
    ),
)
hostile = st.one_of(
    pdus,
    st.binary(max_size=80),
    st.builds(HEADER.pack, st.integers(0, 8), st.integers(0, 2**32 - 1)),
)


@given(st.lists(pdus, max_size=6), st.lists(st.integers(1, 50), min_size=1), st.integers(16, 4096))
def test_the_same_pdus_come_out_however_the_bytes_are_cut(sent, sizes, room):
    data = b"".join(sent)
    whole, breach = _read(data, [len(data) or 1], 1 << 16)
    assert breach is None
    assert _read(data, sizes, room) == (whole, None)
    assert _rebuilt(whole) == _rebuilt(_read(data, [1], 16)[0])


@given(st.lists(hostile, max_size=5), st.lists(st.integers(1, 50), min_size=1))
def test_any_bytes_are_events_or_a_breach_however_they_are_cut(sent, sizes):
    data = b"".join(sent)
    assert _read(data, [len(data) or 1], 1 << 16) == _read(data, sizes, 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEADER.pack(0x00, 4), UNRECOGNIZED_PDU),
        (HEADER.pack(0x08, 4), UNRECOGNIZED_PDU),
        (b"GET / HTTP/1.1", UNRECOGNIZED_PDU),
        (HEADER.pack(PDUType.P_DATA, 0), INVALID_PARAMETER),
        (HEADER.pack(PDUType.P_DATA, 5), INVALID_PARAMETER),
        (HEADER.pack(PDUType.RELEASE_RQ, 5), INVALID_PARAMETER),
        (HEADER.pack(PDUType.ABORT, 0xFFFFFFFF), INVALID_PARAMETER),
        (HEADER.pack(PDUType.ASSOCIATE_RQ, MAX_ASSOCIATE_BYTES + 1), INVALID_PARAMETER),
        (HEADER.pack(PDUType.P_DATA, 10) + struct.pack(">IBB", 7, 1, 0), INVALID_PARAMETER),
        (HEADER.pack(PDUType.P_DATA, 10) + struct.pack(">IBB", 1, 1, 0), INVALID_PARAMETER),
        (HEADER.pack(PDUType.P_DATA, 10) + struct.pack(">IBB", 0xFFFFFFFF, 1, 0), INVALID_PARAMETER),
        (HEADER.pack(PDUType.P_DATA, 9) + struct.pack(">IBB", 2, 1, 0) + b"abc", INVALID_PARAMETER),
    ],
)
def test_a_length_that_cannot_be_is_a_breach(data, reason):
    _, breach = _read(data, [1], 16)
    assert breach[0] == reason


def test_a_pdu_longer_than_memory_is_read_piece_by_piece():
    stream = PDUStream(4096)
    size = 0xFFFFFFF0
    _feed(stream, HEADER.pack(PDUType.P_DATA, size) + struct.pack(">IBB", size - 4, 1, 2))
    assert list(stream.events()) == []
    seen = 0
    for _ in range(100):
        stream.took(len(stream.space()))
        pieces = list(stream.events())
        seen += sum(len(piece.data) for piece in pieces)
        assert not any(piece.is_end for piece in pieces)
    assert seen == 100 * 4096


def test_the_stream_knows_whether_a_pdu_is_under_way():
    stream = PDUStream()
    assert stream.is_between
    for count in range(1, len(RELEASE_RQ)):
        stream = PDUStream()
        _feed(stream, RELEASE_RQ[:count])
        assert list(stream.events()) == []
        assert not stream.is_between
    _feed(stream, RELEASE_RQ[-1:])
    assert list(stream.events()) == [Whole(PDUType.RELEASE_RQ, bytes(4))]
    assert stream.is_between


def _p_data(body):
    return HEADER.pack(PDUType.P_DATA, len(body)) + body


def _feed(stream, data):
    stream.space()[: len(data)] = data
    stream.took(len(data))


def _read(data, sizes, room):
    """Events with the pieces of each PDV joined, and the breach (reason, source, problem) that ended them."""
    stream, events, at, turn = PDUStream(room), [], 0, 0
    while at < len(data):
        space = stream.space()
        assert space, "the buffer is full of something that cannot be read on"
        count = min(sizes[turn % len(sizes)], len(space), len(data) - at)
        space[:count] = data[at : at + count]
        stream.took(count)
        at, turn = at + count, turn + 1
        try:
            for event in stream.events():
                _join(events, event)
        except Breach as breach:
            return events, (breach.reason, breach.source, breach.problem)
    return events, None


def _join(events, event):
    if isinstance(event, Whole):
        events.append(event)
        return
    piece = (event.context_id, event.is_command, event.is_last)
    if events and events[-1][0] == "open":
        _, begun, data = events.pop()
        assert begun == piece
        events.append(("done" if event.is_end else "open", piece, data + bytes(event.data)))
    else:
        events.append(("done" if event.is_end else "open", piece, bytes(event.data)))


def _rebuilt(events):
    return [event if isinstance(event, Whole) else event[1:] for event in events]
