"""SCP-ECG: every lead is the original sample by sample, whatever its compression, and no damage is believed."""

from __future__ import annotations

import csv
import shutil
import struct
import subprocess
import threading
from binascii import crc_hqx
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sr._concepts_dict import concepts

from gateway import profile as profiles
from gateway.device.tty import Tty
from gateway.errors import UnreadableRecord
from gateway.model import NO_SAMPLE, Code, Observation, ReadingSet, Trace, TraceKind
from gateway.simulators.electrocardiograph import (
    EIGHT,
    TWELVE,
    Coding,
    Electrocardiograph,
    Recording,
    Refused,
    protected,
    record,
    recording,
)
from gateway.simulators.instrument import SimulatedInstrument
from gateway.source.dialects import scp_codes, scp_ecg, scp_signal
from gateway.source.dialects.said import Said
from gateway.source.serial import Instrument

SECOND = 1_000_000_000
PROFILE = profiles.instrument("scp-ecg")
SMALL = recording(seconds=2.0, hz=250)
TINY = recording(seconds=1.7, hz=125, leads=(1, 2))
BODY = 16
"""Bytes of a section's header."""


def samples(trace: Trace) -> list[int]:
    return list(struct.unpack(f"<{len(trace.samples) // 2}h", trace.samples))


def read(data: bytes) -> Said:
    return scp_ecg.read(data, 7)


def stated(said: Said) -> dict[str, str]:
    return {one.concept.meaning: one.value for one in said.observations}


def problem(data: bytes) -> str:
    with pytest.raises(UnreadableRecord) as raised:
        read(data)
    return str(raised.value)


def made(**bodies: bytes) -> bytes:
    """A record with some sections written otherwise: `s3=...`."""
    return record(TINY, bodies={int(name[1:]): body for name, body in bodies.items()})


def body_of(data: bytes, number: int) -> bytes:
    _, length, index = next(each for each in struct.iter_unpack("<HII", data[22:142]) if each[0] == number)
    return data[index - 1 + BODY : index - 1 + length]


# ---- the samples ----


def test_the_example_of_the_standard_decodes_to_its_samples() -> None:
    """prEN 1064:2002 C.2.7.4, with the sixth byte and the last as PixelMed corrects them: the table of bits there says so."""
    encoded = bytes.fromhex("FF837FE0E6F1536559B65B964B9600")
    expected = (13, 14, 15, 14, 16, 18, 19, 20, 22, 22, 23, 23, 23, 22)
    expected += (22, 20, 17, 15, 12, 8, 6, 3, 1, 0, -2, -2, -3, -3)
    table = scp_signal.tables(struct.pack("<H", 19999))
    assert scp_signal.samples(encoded, len(expected), 2, table) == list(expected)


@pytest.mark.parametrize("reference_step", [0, 1, 2])
@pytest.mark.parametrize("differences", [0, 1, 2])
@pytest.mark.parametrize("coding", ["plain", "huffman", "table"])
def test_every_lead_is_the_original_sample_by_sample(coding: Coding, differences: int, reference_step: int) -> None:
    said = read(record(SMALL, coding=coding, differences=differences, reference_step=reference_step))
    assert {trace.channel.value: samples(trace) for trace in said.traces} == {
        f"2:{number}": lead for number, lead in SMALL.leads.items()
    }
    assert {(one.kind, one.hz, one.step, one.zero, one.doubts) for one in said.traces} == {
        (TraceKind.ECG, 250.0, "5", "0", ())
    }


@pytest.mark.parametrize("thinned", [2, 4])
def test_of_a_thinned_out_ecg_the_beats_are_the_original_and_the_rest_says_what_it_is(thinned: int) -> None:
    """PixelMed, run on the same records, finds the same samples, but for its fiducial point, which it counts from 0."""
    areas = protected(SMALL, thinned)
    said = read(record(SMALL, reference_step=2, thinned=thinned))
    for trace, lead in zip(said.traces, SMALL.leads.values(), strict=True):
        found = samples(trace)
        assert (len(found), trace.hz, trace.step) == (len(lead), 250.0, "5")
        assert all(found[first - 1 : last] == lead[first - 1 : last] for first, last in areas)
        assert max(abs(ours - theirs) for ours, theirs in zip(found, lead, strict=True)) <= 4
        assert trace.doubts == (
            f"between the beats {thinned} samples are one value: the electrocardiograph thinned them out",
        )


def test_an_ecg_that_is_thinned_out_in_an_unknown_way_is_refused() -> None:
    whole = record(SMALL, reference_step=1, thinned=4)
    beats = body_of(whole, 4)
    crooked = beats[:-4] + struct.pack("<I", protected(SMALL, 4)[-1][1] - 1)
    assert "way that is not known" in problem(record(SMALL, reference_step=1, thinned=4, bodies={4: crooked}))
    assert "way that is not known" in problem(record(SMALL, reference_step=1, thinned=4, bodies={5: b""}))
    no_areas = beats[: 6 + 14 * len(SMALL.peaks)]
    assert "way that is not known" in problem(record(SMALL, reference_step=1, thinned=4, bodies={4: no_areas}))


def test_beats_that_no_heart_has_are_refused() -> None:
    beat = struct.pack("<HIII", 0, 1, 60, 500)
    many = struct.pack("<HHH", 648, 60, 40) + beat * 40
    assert "one upon the other" in problem(record(SMALL, reference_step=1, bodies={4: many}))
    more = struct.pack("<HHH", 648, 60, 6000) + beat * 6000
    assert "more beats" in problem(record(SMALL, reference_step=1, bodies={4: more}))


@settings(max_examples=60, deadline=None, database=None)
@given(
    st.lists(st.integers(-32768, 32767) | st.integers(-9, 9) | st.integers(-140, 140), min_size=3, max_size=60),
    st.sampled_from(["huffman", "table"]),
    st.integers(0, 2),
)
def test_any_samples_of_16_bits_come_back(lead: list[int], coding: Coding, differences: int) -> None:
    made = Recording(hz=250, step_nv=1000, leads={1: lead}, peaks=())
    (trace,) = read(record(made, coding=coding, differences=differences)).traces
    assert samples(trace) == lead


@pytest.mark.peers
@pytest.mark.parametrize(("coding", "differences"), [("plain", 0), ("plain", 2), ("huffman", 1), ("huffman", 2)])
def test_biosig_reads_the_same_microvolts(coding: Coding, differences: int, tmp_path: Path) -> None:
    """An independent reader, over the same file: it and we find the same in it. It does not add reference beats."""
    check_against_biosig(record(SMALL, coding=coding, differences=differences), tmp_path)


@pytest.mark.peers
def test_biosig_reads_the_same_by_a_table_in_the_record(tmp_path: Path) -> None:
    """It takes the two lengths of a code in the other order; we take both."""
    rows = struct.iter_unpack("<BB7s", body_of(record(SMALL, coding="table"), 2)[4:175])
    table = struct.pack("<HH", 1, 19) + b"".join(
        struct.pack("<BB7s", whole, prefix, rest) for prefix, whole, rest in rows
    )
    check_against_biosig(record(SMALL, coding="table", bodies={2: table}), tmp_path)


def check_against_biosig(data: bytes, folder: Path) -> None:
    program = shutil.which("save2gdf")
    assert program, "biosig is missing: apt-get install biosig-tools"
    (folder / "ecg.scp").write_bytes(data)
    subprocess.run([program, "-CSV", "ecg.scp", "ecg.csv"], cwd=folder, check=True, capture_output=True)
    with (folder / "ecg.csv").open(encoding="ascii") as file:
        rows = [row for row in csv.reader(file) if row]
    theirs = [[float(value) for value in column] for column in zip(*rows[1:], strict=True)]
    assert theirs == [[value * float(one.step) for value in samples(one)] for one in read(data).traces]
    assert rows[0][:2] == ["I [uV]", "II [uV]"]


def test_only_the_leads_of_the_record_are_there() -> None:
    eight = recording(seconds=2.0, hz=250, leads=EIGHT)
    assert [one.channel.value for one in read(record(eight)).traces] == [f"2:{number}" for number in EIGHT]
    assert [one.channel.value for one in read(record(SMALL)).traces] == [f"2:{number}" for number in TWELVE]


def test_the_step_is_the_amplitude_of_the_record_and_the_filters_are_stated() -> None:
    said = read(record(recording(seconds=2.0, hz=250, step_nv=2440, leads=(1,))))
    (trace,) = said.traces
    assert (trace.step, trace.low_hz, trace.high_hz, trace.notch_hz) == ("2.44", 0.05, 150.0, 50.0)
    assert said.model_name == "EXMPL"


def test_a_lead_that_begins_later_and_ends_earlier_keeps_its_place_in_time() -> None:
    part = SMALL.leads[1][100:300]
    rhythm = struct.pack("<HHBBHH", 5000, 4000, 0, 0, 1000, 400)
    rhythm += struct.pack("<500h200h", *SMALL.leads[2], *part)
    leads = struct.pack("<BBIIBIIB", 2, 0, 1, 500, 2, 101, 300, 1)
    whole, late = read(record(SMALL, coding="plain", bodies={3: leads, 6: rhythm})).traces
    assert samples(whole) == SMALL.leads[2]
    assert samples(late) == [NO_SAMPLE] * 100 + part + [NO_SAMPLE] * 200


def test_a_lead_with_an_unknown_number_and_one_that_is_there_twice_are_kept_and_marked() -> None:
    count = len(TINY.leads[1])
    leads = struct.pack("<BBIIBIIB", 2, 0, 1, count, 40, 1, count, 40)
    one, two = read(made(s3=leads)).traces
    assert one.channel == two.channel == scp_codes.UNSPECIFIED
    assert one.doubts[0] == "the record calls it lead 40, which is not known"
    assert one.doubts[1] != two.doubts[1]


def test_a_table_may_switch_to_another() -> None:
    """Table 1: 0 is 3; 10 switches to table 2; 11 and 8 bits. Table 2: 0 is -1; 1 switches back."""

    def row(prefix: int, whole: int, mode: int, value: int, code: int) -> bytes:
        return struct.pack("<BBBhI", prefix, whole, mode, value, code)

    one = row(1, 1, 1, 3, 0) + row(2, 2, 0, 2, 0b01) + row(2, 10, 1, 0, 0b11)
    two = row(1, 1, 1, -1, 0) + row(1, 1, 0, 1, 1)
    tables = scp_signal.tables(struct.pack("<HH", 2, 3) + one + struct.pack("<H", 2) + two)
    bits = "0" + "10" + "0" + "0" + "1" + "11" + f"{-100 & 0xFF:08b}" + "0"
    encoded = int(bits.ljust(24, "0"), 2).to_bytes(3, "big")
    assert scp_signal.samples(encoded, 5, 0, tables) == [3, -1, -1, -100, 3]


def test_differences_that_went_round_in_16_bits_come_round_again() -> None:
    encoded = struct.pack("<3h", 30000, -5536, 100)
    assert scp_signal.samples(encoded, 3, 1, ()) == [30000, 24464, 24564]
    turned = struct.pack("<2h", 30000, (-30000 - 30000 + 32768) % 65536 - 32768)
    assert scp_signal.samples(turned, 2, 1, ()) == [30000, -30000]


# ---- what was measured and stated ----


def test_what_was_measured_has_its_codes_and_units() -> None:
    found = {
        one.concept.value: (one.value, one.unit.value if one.unit else "") for one in read(record(TINY)).observations
    }
    assert found == {
        "111526": ("2026-11-24 09:30:05", ""),
        "8867-4": ("75", "/min"),
        "2:16168": ("800", "ms"),
        "2:16140": ("800", "ms"),
        "2:16184": ("90", "ms"),
        "2:15872": ("175", "ms"),
        "2:16156": ("90", "ms"),
        "2:16160": ("405", "ms"),
        "2:16128": ("52", "deg"),
        "2:16132": ("61", "deg"),
        "2:16136": ("38", "deg"),
        "2:15880": ("453", "ms"),
        "122147": ("NORMAL ECG", ""),
    }


def test_what_was_not_measured_is_not_there() -> None:
    nothing = struct.pack("<BBHH5H3h", 1, 0, 29999, 0, 29999, 29999, 100, 29999, 50, 999, 999, 29999)
    found = stated(read(made(s7=nothing)))
    assert set(found) == {"DateTime Started", "Clinical Interpretation"}


def test_an_axis_of_181_degrees_and_a_rate_of_500_are_kept_and_marked() -> None:
    wild = struct.pack("<BBHH5H3hHHHHB", 1, 0, 800, 800, 30, 120, 205, 295, 610, 181, 61, 38, 0, 500, 75, 453, 2)
    doubts = {one.concept.meaning: one.doubts for one in read(made(s7=wild)).observations if one.doubts and one.unit}
    assert doubts == {"P Axis": ("it is above 180",), "Heart rate": ("it is above 400",)}
    assert stated(read(made(s7=wild)))["QTc interval global"] == "453"


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (struct.pack("<HBB", 1999, 12, 31), "1999-12-31 09:30:05"),
        (struct.pack("<HBB", 2105, 1, 1), "2105-01-01 09:30:05"),
        (struct.pack("<HBB", 2026, 13, 40), "2026-13-40 09:30:05"),
        (b"\0\0", ""),
    ],
)
def test_the_date_of_the_instrument_is_a_text_as_it_stated_it(day: bytes, expected: str) -> None:
    fields = struct.pack("<BH", 25, len(day)) + day + struct.pack("<BH3B", 26, 3, 9, 30, 5)
    assert stated(read(made(s1=fields))).get("DateTime Started", "") == expected


def test_who_was_examined_is_nowhere() -> None:
    said = read(record(TINY))
    assert "Nobody" not in str(msgspec.to_builtins(said))
    assert b"S-0001" not in b"".join(one.raw for one in said.observations)


@pytest.mark.parametrize(
    ("language", "encoding", "text"),
    [
        (0, "latin_1", "RYTHME SINUSAL, 72° à gauche"),
        (0x27, "gb2312", "窦性心律"),
        (0x13, "iso8859_5", "Синусовый ритм"),
        (0x37, "utf_8", "Rhythme à 75 – ΔT"),
    ],
)
def test_statements_are_read_in_the_language_of_the_record(language: int, encoding: str, text: str) -> None:
    about = body_of(record(TINY), 1)
    at = about.index(b"EXMPL\0") + 8
    section = about[:at] + bytes([language]) + about[at + 1 :]
    said = read(record(TINY, statements=(text.encode(encoding),), bodies={1: section}))
    (one,) = [each for each in said.observations if each.concept == scp_codes.INTERPRETATION]
    assert (one.value, one.doubts) == (text, ("no physician has confirmed it",))


def test_codes_are_read_where_there_are_no_words_and_a_confirmed_one_has_no_doubt() -> None:
    universal = struct.pack("<BHBBBBBB", 1, 2026, 11, 24, 9, 31, 0, 1) + struct.pack("<BH", 1, 8) + b"\x01NSR\0MI\0"
    found = [one for one in read(made(s8=b"", s11=universal)).observations if one.unit is None]
    assert [(one.value, one.doubts) for one in found[1:]] == [("NSR MI", ())]
    words = [one for one in read(made(s11=universal)).observations if one.unit is None]
    assert [one.value for one in words[1:]] == ["SINUS RHYTHM", "NORMAL ECG"]


def test_sections_that_are_not_read_are_counted() -> None:
    assert read(made(s10=b"\0\0", s200=b"maker")).unread == 2


@pytest.mark.parametrize(
    "code",
    [
        *scp_codes.LEADS.values(),
        *(each for each in vars(scp_codes).values() if isinstance(each, Code) and each.scheme != "99GATEWAY"),
    ],
    ids=lambda code: f"{code.scheme} {code.value}",
)
def test_every_code_is_in_the_concept_dictionary_with_its_meaning(code: Code) -> None:
    known = concepts[{"UCUM": "UCUM"}.get(code.scheme, code.scheme)]
    meanings = {meaning for words in known.values() for value, (meaning, _) in words.items() if value == code.value}
    assert code.meaning.replace("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}") in {
        each.replace("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}") for each in meanings
    }


# ---- what cannot be read has a name ----


def test_what_is_unknown_is_named() -> None:
    count = len(TINY.leads[1])
    coded = body_of(record(TINY), 6)
    leads = struct.pack("<BBIIBIIB", 2, 1, 1, count, 1, 1, count, 2)
    assert "bimodal" in problem(made(s6=coded[:5] + b"\x01" + coded[6:]))
    assert "unknown kind, 3" in problem(made(s6=coded[:4] + b"\x03" + coded[5:]))
    assert "list of leads" in problem(made(s3=b""))
    assert "its rhythm" in problem(made(s6=b""))
    assert "reference beat" in problem(made(s3=leads))
    assert "end too early" in problem(made(s6=coded[:6] + bytes(4)))
    assert "more samples than an ECG" in problem(made(s3=struct.pack("<BBIIB", 1, 0, 1, 4_000_000_000, 1)))
    assert "which samples" in problem(made(s3=struct.pack("<BBIIB", 1, 0, 9, 8, 1)))
    assert "unknown code" in problem(made(s2=struct.pack("<HH", 1, 0)))
    assert "table 9" in problem(
        made(s2=struct.pack("<HHBBBhIBBBhI", 1, 2, 1, 1, 0, 9, 0, 1, 1, 0, 9, 1)),
    )
    assert "what a sample is" in problem(made(s6=bytes(2) + coded[2:]))
    other_rate = record(TINY, reference_step=1)
    reference = body_of(other_rate, 5)
    sections = {number: body_of(other_rate, number) for number in (3, 4, 6)}
    bodies = {**sections, 5: reference[:2] + struct.pack("<H", 4000) + reference[4:]}
    assert "another sampling rate" in problem(record(TINY, bodies=bodies))


def test_every_checksum_is_enforced() -> None:
    data = record(TINY)
    assert problem(data[:-1] + bytes([data[-1] ^ 1])).endswith("its checksum is wrong.")
    for number in (0, 1, 3, 6, 7, 8):
        start = 6 if number == 0 else data.index(body_of(data, number)) - BODY
        hurt = data[: start + 9] + bytes([data[start + 9] ^ 1]) + data[start + 10 :]
        mended = struct.pack("<H", crc_hqx(hurt[2:], 0xFFFF)) + hurt[2:]
        assert problem(mended).endswith(f"the checksum of section {number} is wrong.")


def test_a_record_that_was_cut_off_or_is_none_is_named() -> None:
    data = record(TINY)
    assert "cut off" in problem(data[:-1])
    assert "too short" in problem(b"")
    assert read(data + bytes([0x1A] * 77)).traces == read(data).traces


@given(st.binary(max_size=300) | st.builds(lambda head, tail: head + tail, st.just(record(TINY)[:200]), st.binary()))
def test_any_bytes_are_read_or_named(data: bytes) -> None:
    read_or_named(data)


def test_any_section_is_read_or_named(campaign: Callable[[int, int], int]) -> None:
    """With right checksums, so that the bytes reach the decoders."""

    @settings(max_examples=campaign(60, 5000), deadline=None, database=None)
    @given(
        st.dictionaries(st.integers(1, 12), st.binary(max_size=80), max_size=4),
        st.sampled_from(["plain", "huffman", "table"]),
        st.integers(0, 2),
        st.sampled_from([1, 2]),
        st.data(),
    )
    def check(bodies: dict[int, bytes], coding: Coding, step: int, thin: int, data: st.DataObject) -> None:
        thinned = thin if step else 1
        whole = record(TINY, coding=coding, reference_step=step, thinned=thinned)
        number = data.draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8]))
        if step or number not in {4, 5}:
            body = bytearray(body_of(whole, number)) if number != 2 or coding != "plain" else bytearray(9)
            for _ in range(data.draw(st.integers(0, 3))):
                body[data.draw(st.integers(0, min(len(body), 60) - 1))] = data.draw(st.integers(0, 255))
            bodies = {number: bytes(body), **bodies}
        read_or_named(record(TINY, coding=coding, reference_step=step, thinned=thinned, bodies=bodies))

    check()


def read_or_named(data: bytes) -> None:
    try:
        said = read(data)
    except UnreadableRecord:
        return
    assert said.traces
    assert all(isinstance(each, Observation) for each in said.observations)


# ---- over the line ----


def over_the_line(
    send: Callable[[Electrocardiograph, bytes], None], data: bytes, **faults: object
) -> tuple[list[ReadingSet], list[str]]:
    """Play the gateway while an electrocardiograph sends; its clock runs five times as fast."""
    found: list[ReadingSet] = []
    stop = threading.Event()
    kind = faults.pop("profile", PROFILE)
    instrument = Instrument(kind)  # type: ignore[arg-type]
    with SimulatedInstrument(baud=0) as line, Tty(line.path, PROFILE.line) as tty:

        def gateway() -> None:
            now = SECOND
            while not stop.is_set():
                now += 5 * SECOND // 100
                found.extend(instrument.receive_data(tty.read(0.01), now))
                if said := instrument.answer() + instrument.due(now):
                    tty.write(said)
            found.extend(instrument.tick(now + 3600 * SECOND))

        thread = threading.Thread(target=gateway)
        thread.start()
        try:
            send(Electrocardiograph(line, **faults), data)  # type: ignore[arg-type]
            for _ in range(200):
                if found:
                    break
                stop.wait(0.01)
        except Refused:
            pass
        finally:
            stop.set()
            thread.join()
    return found, [str(error) for error in instrument.errors()]


@pytest.mark.parametrize(
    ("send", "damaged"),
    [
        (lambda one, data: one.xmodem(data), ()),
        (lambda one, data: one.xmodem(data, block_bytes=1024), (2,)),
        (lambda one, data: one.ymodem("ECG.SCP", data), (3,)),
    ],
    ids=["xmodem", "xmodem-1k", "ymodem"],
)
def test_an_electrocardiograph_is_heard_though_blocks_are_damaged(
    send: Callable[[Electrocardiograph, bytes], None], damaged: tuple[int, ...]
) -> None:
    found, problems = over_the_line(send, record(SMALL), damaged=frozenset(damaged))
    (one,) = found
    assert [samples(trace) for trace in one.traces] == list(SMALL.leads.values())
    assert len(problems) == len(damaged)


def test_the_second_record_of_a_batch_says_that_it_may_be_of_somebody_else() -> None:
    data, instrument = record(TINY), Instrument(PROFILE)

    def block(number: int, payload: bytes) -> bytes:
        size = 1024 if number else 128
        padded = payload.ljust(size, b"\0")
        return bytes([2 if number else 1, number, 255 - number]) + padded + crc_hqx(padded, 0).to_bytes(2, "big")

    def file(name: str) -> bytes:
        pieces = [data[at : at + 1024] for at in range(0, len(data), 1024)]
        blocks = b"".join(block(number, piece) for number, piece in enumerate(pieces, start=1))
        return block(0, f"{name}\0{len(data)}".encode()) + blocks + b"\x04\x04"

    one, two = instrument.receive_data(file("A.SCP") + file("B.SCP") + block(0, b""), SECOND)
    assert {each.doubts for each in one.traces} == {()}
    assert {each.doubts for each in two.traces} == {("it came as number 2 of several in one go: look whose it is",)}


def test_a_power_cut_in_the_middle_gives_a_name_and_no_ecg() -> None:
    found, problems = over_the_line(lambda one, data: one.xmodem(data), record(SMALL), dies_at=7)
    assert found == []
    assert "cut off" in problems[-1]


def test_records_that_come_as_they_are_are_heard_one_after_the_other() -> None:
    plain = msgspec.structs.replace(PROFILE, transfer="none")
    instrument = Instrument(plain)
    one, two = record(TINY), record(SMALL)
    sets = instrument.receive_data(b"\xff\xff" + one + b"\r\n" + two[:50], SECOND)
    sets += instrument.receive_data(two[50:], 2 * SECOND)
    assert [len(each.traces) for each in sets] == [2, 12]
    assert instrument.due(9 * SECOND) == b""
