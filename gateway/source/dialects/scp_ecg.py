"""SCP-ECG records (EN 1064, ISO 11073-91064) to traces, one for each lead, and to what the instrument measured and stated.

Every checksum is enforced, of the record and of each section. Who was examined (section 1) is not used: the exam in progress
says it; its date and time are a text, for a person who must tell two records apart: an electrocardiograph may send what it has
stored for hours. A lead that the record does not have is not computed. Where leads do not cover the same time, NO_SAMPLE fills
them up to the whole of the recording.

Sources: the sections as PixelMed reads them (com.pixelmed.scpecg, after prEN 1064:2002), and ecgdatakit's parser for the
languages, the filters and the values that mean "not measured". PR, QRS and QT are the differences of the stated limits of the
waves, which is what these words mean. Not read: rhythm in section 12 (SCP-ECG 3), spikes of a pacemaker, measurements of each
lead (10), makers' own sections.
"""

from __future__ import annotations

from binascii import crc_hqx
from decimal import Decimal
from struct import Struct as Layout
from struct import error as struct_error
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from gateway import codes
from gateway.errors import UnreadableRecord
from gateway.model import NO_SAMPLE, Code, Observation, Trace, TraceKind
from gateway.source.dialects import scp_codes, scp_leads
from gateway.source.dialects.said import Said
from gateway.wire.xmodem import SizedRecords, Xmodem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.profile import InstrumentProfile
    from gateway.wire.records import Record

_HEADER: Final = 16
_FIRST: Final = 6
"""Where section 0 begins."""
_POINTER: Final = Layout("<HII")
_MAKERS: Final = 12
"""From here on, sections are a maker's own (12: rhythm of SCP-ECG 3)."""
_READ: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 11})
_NOT_MEASURED: Final = frozenset({0xFFFF, 29999, 29998, 19999})
_NO_AXIS: Final = frozenset({999, 29999, 29998, 19999, -999, -29999})
_LONGEST_TEXT: Final = 1000
_LANGUAGES: Final = {
    0x03: "iso8859_2",
    0x0B: "iso8859_4",
    0x13: "iso8859_5",
    0x1B: "iso8859_6",
    0x23: "iso8859_7",
    0x2B: "iso8859_8",
    0x33: "iso8859_11",
    0x3B: "iso8859_15",
    0x07: "utf_16_le",
    0x0F: "shift_jis",
    0x17: "euc_jp",
    0x1F: "euc_jp",
    0x27: "gb2312",
    0x2F: "cp949",
    0x37: "utf_8",
}


class Device(Struct, frozen=True, kw_only=True):
    """What section 1 says of the instrument and of how it recorded."""

    model_name: str = ""
    encoding: str = "latin_1"
    started: str = ""
    started_raw: bytes = b""
    low_hz: float | None = None
    high_hz: float | None = None
    notch_hz: float | None = None


class ScpEcg:
    """One electrocardiograph."""

    def __init__(self, profile: InstrumentProfile) -> None:
        """`profile` says whether records come by XMODEM or YMODEM, or as they are."""
        self.framing: Xmodem | SizedRecords = Xmodem() if profile.transfer == "xmodem" else SizedRecords()

    def hear(self, record: Record, received_ns: int) -> Said:
        """Return what a record says. Raises UnreadableRecord for a damaged one, and for one whose rhythm it cannot decode."""
        if record.fault:
            raise UnreadableRecord(problem=record.fault)
        said = read(record.data, received_ns)
        return said if self.framing.file_number <= 1 else _of_several(said, self.framing.file_number)

    def answer(self) -> bytes:
        """Return what the sender waits for: ACK, NAK, or CAN."""
        return self.framing.answer()

    def due(self, now_ns: int) -> bytes:
        """Return what asks the sender to begin, or to send again."""
        return self.framing.due(now_ns)


def read(data: bytes, received_ns: int) -> Said:
    """Return what one record says; bytes behind its end (the padding of a transfer) mean nothing. Raises UnreadableRecord."""
    try:
        sections, unread = _sections(data)
        return _said(sections, unread, received_ns)
    except struct_error as error:
        raise UnreadableRecord(problem="a section of it is cut off") from error


def _of_several(said: Said, number: int) -> Said:
    """Records that were stored and are sent in one go may be of several people: from the second on, each says so."""
    doubt = f"it came as number {number} of several in one go: look whose it is"
    return structs.replace(said, traces=tuple(structs.replace(one, doubts=(*one.doubts, doubt)) for one in said.traces))


def _said(sections: dict[int, bytes], unread: int, received_ns: int) -> Said:
    for number, what in ((3, "its list of leads (section 3)"), (6, "its rhythm (section 6)")):
        if number not in sections:
            raise UnreadableRecord(problem=f"{what} is missing")
    device = _device(sections.get(1, b""))
    statements = _statements(sections, device.encoding)
    return Said(
        observations=tuple(
            structs.replace(one, received_ns=received_ns)
            for one in (*_started(device), *_measured(sections.get(7, b"")), *statements)
        ),
        traces=tuple(structs.replace(one, received_ns=received_ns) for one in _traces(sections, device)),
        is_end=True,
        model_name=device.model_name,
        unread=unread,
    )


# ---- the sections ----


def _sections(data: bytes) -> tuple[dict[int, bytes], int]:
    """Return each section without its header, checked, and how many are not read."""
    if len(data) < _FIRST + _HEADER:
        raise UnreadableRecord(problem="it is too short for an SCP-ECG record")
    crc, size = unpack_from("<HI", data)
    if not _FIRST + _HEADER <= size <= len(data):
        raise UnreadableRecord(problem="it was cut off")
    data = data[:size]
    if crc_hqx(data[2:], 0xFFFF) != crc:
        raise UnreadableRecord(problem="its checksum is wrong")
    found: dict[int, bytes] = {}
    unread = 0
    for number, length, index in _POINTER.iter_unpack(_pointers(data)):
        if number in found or not number or not length:
            continue
        if number in _READ:
            found[number] = _section(data, number, length, index - 1)
        else:
            unread += 1
    return found, unread


def _pointers(data: bytes) -> bytes:
    """Section 0, without its header: ten bytes for each section."""
    body = _section(data, 0, unpack_from("<I", data, _FIRST + 4)[0], _FIRST)
    return body[: len(body) // _POINTER.size * _POINTER.size]


def _section(data: bytes, number: int, length: int, start: int) -> bytes:
    if start < 0 or length < _HEADER or start + length > len(data):
        raise UnreadableRecord(problem=f"section {number} lies outside of it")
    crc, said, own_length = unpack_from("<HHI", data, start)
    if said != number:
        raise UnreadableRecord(problem=f"section {number} calls itself {said}")
    section = data[start : start + min(length, max(own_length, _HEADER))]
    if crc_hqx(section[2:], 0xFFFF) != crc:
        raise UnreadableRecord(problem=f"the checksum of section {number} is wrong")
    return section[_HEADER:]


# ---- section 1: the instrument, not the patient ----


def _device(section: bytes) -> Device:
    fields = dict(_fields(section))
    acquiring = fields.get(14, b"")
    filters = fields.get(29, b"\0")[:1]
    low, high = (unpack_from("<H", fields[tag])[0] if len(fields.get(tag, b"")) > 1 else 0 for tag in (27, 28))
    started = fields.get(25, b"")[:4] + fields.get(26, b"")[:3]
    language = acquiring[16] if len(acquiring) > 16 else 0
    return Device(
        model_name=_text(acquiring[8:14], "latin_1"),
        encoding=_LANGUAGES.get(language, "latin_1"),
        started=_moment(started),
        started_raw=started,
        low_hz=low / 100 or None,
        high_hz=float(high) or None,
        notch_hz=60.0 if filters and filters[0] & 1 else 50.0 if filters and filters[0] & 2 else None,
    )


def _fields(section: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag, length, value; what follows a length that cannot be is not believed."""
    at = 0
    while at + 3 <= len(section):
        tag, length = unpack_from("<BH", section, at)
        if tag == 255 or at + 3 + length > len(section):
            return
        yield tag, section[at + 3 : at + 3 + length]
        at += 3 + length


def _moment(stated: bytes) -> str:
    """Date and time as stated, whether they can be or not; empty when they are not all there, or zero."""
    if len(stated) < 7 or not any(stated):
        return ""
    year, month, day, hour, minute, second = unpack_from("<H5B", stated)
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"


def _started(device: Device) -> Iterator[Observation]:
    if device.started:
        doubt = f"recorded at {device.started} by its own clock: is that the time of this exam?"
        yield Observation(concept=scp_codes.STARTED, value=device.started, raw=device.started_raw, doubts=(doubt,))


# ---- sections 2 to 6: the leads ----


def _traces(sections: dict[int, bytes], device: Device) -> Iterator[Trace]:
    recorded = scp_leads.decode(sections)
    leads = recorded.leads
    start, end = min(lead.first for lead in leads), max(lead.last for lead in leads)
    for at, (lead, values) in enumerate(zip(leads, recorded.samples, strict=True)):
        whole = [NO_SAMPLE] * (lead.first - start) + values + [NO_SAMPLE] * (end - lead.last)
        yield Trace(
            kind=TraceKind.ECG,
            channel=scp_codes.LEADS.get(lead.number, scp_codes.UNSPECIFIED),
            unit=codes.MICROVOLT,
            hz=1_000_000 / recorded.interval_us,
            step=f"{Decimal(recorded.step_nv) / 1000:f}",
            samples=pack(f"<{len(whole)}h", *whole),
            low_hz=device.low_hz,
            high_hz=device.high_hz,
            notch_hz=device.notch_hz,
            doubts=tuple(_of_lead(recorded, at)),
        )


def _of_lead(recorded: scp_leads.Recording, at: int) -> Iterator[str]:
    """What a person should know of a lead, in words."""
    number = recorded.leads[at].number
    if number not in scp_codes.LEADS:
        yield f"the record calls it lead {number}, which is not known"
    if [lead.number for lead in recorded.leads].count(number) > 1:
        yield f"the record has this lead more than once: this is the lead in place {at + 1}"
    if recorded.thinned > 1:
        yield f"between the beats {recorded.thinned} samples are one value: the electrocardiograph thinned them out"


# ---- section 7: what was measured ----


def _measured(section: bytes) -> Iterator[Observation]:
    """The rate, the intervals and the axes of reference beat 0, as far as they are stated."""
    if not section:
        return
    blocks, spikes, rr, pp = unpack_from("<BBHH", section)
    at = 6 + 16 * blocks + 10 * spikes
    rate = qtc = formula = 0
    if at + 2 <= len(section):
        at += 2 + unpack_from("<H", section, at)[0]
        if at + 7 <= len(section):
            rate, _atrial, qtc, formula = unpack_from("<HHHB", section, at)
    yield from _value(scp_codes.HEART_RATE, rate, codes.PER_MINUTE, 10, 400)
    yield from _value(scp_codes.RR, rr, scp_codes.MILLISECOND, 150, 6000)
    yield from _value(scp_codes.PP, pp, scp_codes.MILLISECOND, 150, 6000)
    if blocks:
        yield from _of_beat(section[6:22])
    yield from _value(scp_codes.QTC_BAZETT if formula == 1 else scp_codes.QTC, qtc, scp_codes.MILLISECOND, 100, 1000)


def _of_beat(measured: bytes) -> Iterator[Observation]:
    """Eight numbers: begin and end of P, begin and end of QRS, end of T in ms; axes of P, QRS and T in degrees."""
    p_on, p_off, qrs_on, qrs_off, t_off, *axes = unpack_from("<5H3h", measured)
    for concept, begin, end in (
        (scp_codes.P_DURATION, p_on, p_off),
        (scp_codes.PR, p_on, qrs_on),
        (scp_codes.QRS, qrs_on, qrs_off),
        (scp_codes.QT, qrs_on, t_off),
    ):
        if begin not in _NOT_MEASURED and end not in _NOT_MEASURED and end > begin:
            yield from _value(concept, end - begin, scp_codes.MILLISECOND, 20, 1000, raw=measured[:10])
    for concept, axis in zip((scp_codes.P_AXIS, scp_codes.QRS_AXIS, scp_codes.T_AXIS), axes, strict=True):
        if axis not in _NO_AXIS:
            yield _observation(concept, axis, scp_codes.DEGREE, -180, 180, pack("<h", axis))


def _value(concept: Code, value: int, unit: Code, low: int, high: int, *, raw: bytes = b"") -> Iterator[Observation]:
    if value and value not in _NOT_MEASURED:
        yield _observation(concept, value, unit, low, high, raw or pack("<H", value))


def _observation(concept: Code, value: int, unit: Code, low: int, high: int, raw: bytes) -> Observation:
    doubt = f"it is below {low}" if value < low else f"it is above {high}" if value > high else ""
    return Observation(concept=concept, value=str(value), unit=unit, raw=raw, doubts=(doubt,) if doubt else ())


# ---- sections 8 and 11: what it means, in words ----


def _statements(sections: dict[int, bytes], encoding: str) -> Iterable[Observation]:
    """The statements in words (8), or, where there are none, the universal codes (11)."""
    return list(_section_statements(sections.get(8, b""), encoding, skip=0)) or list(
        _section_statements(sections.get(11, b""), encoding, skip=1)
    )


def _section_statements(section: bytes, encoding: str, *, skip: int) -> Iterator[Observation]:
    """`skip`: bytes before the words of each, which say of what kind it is."""
    if not section:
        return
    is_confirmed, count = section[0] == 1, unpack_from("<B", section, 8)[0]
    at = 9
    for _ in range(count):
        _number, length = unpack_from("<BH", section, at)
        raw = section[at + 3 : at + 3 + length]
        at += 3 + length
        if text := _text(raw[skip:], encoding):
            doubts = () if is_confirmed else ("no physician has confirmed it",)
            yield Observation(concept=scp_codes.INTERPRETATION, value=text, raw=raw, doubts=doubts)


def _text(raw: bytes, encoding: str) -> str:
    """Words as one line: what parts them (NUL) and what cannot be printed become spaces."""
    text = raw.decode(encoding, errors="replace")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_LONGEST_TEXT]
