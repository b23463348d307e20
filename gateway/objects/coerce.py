"""Any text, in any script, to a value that its VR allows, and any character set to Unicode; what was changed is said.

The rules, each stated once, here. Lone surrogates become U+FFFD. Control characters become a space (CR, LF, FF and TAB stay
where a paragraph is allowed). A backslash, which would split a value in two, becomes a slash, except in paragraphs. Spaces
at the ends go. What is too long is cut, never inside a combined character, and whoever calls keeps the original in
a comment of the object. A date or time that does not exist is left out. PS3.5 6.2 (VRs), C.12.1.1.2 (character sets).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal, cast

from msgspec import Struct
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from gateway.model import Patient

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240, "UI": 64}
"""Characters of one value (PS3.5 table 6.2-1); of a PN, of one component group."""

_PARAGRAPHS = frozenset({"ST", "LT", "UT"})
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
_PARAGRAPH_CONTROLS = {code: " " for code in _CONTROLS if code not in {9, 10, 12, 13}}
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_TIME = re.compile(r"(\d\d)(\d\d)?(\d\d)?(?:\.(\d{1,6}))?", re.ASCII)
_LEFT_BEHIND = "\x1b$)A"
"""pydicom 3.0 decodes ISO 2022 IR 58 (simplified Chinese) and leaves its escape sequence in the text."""

_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C, 0x5C, 0x5E, 0x3D}
"""After these a text under ISO 2022 is back in its first character set (PS3.5 6.1.2.5.3)."""


class Fitted(Struct, frozen=True):
    """A value that its VR allows, and what was changed to make it so, in words (never the value itself)."""

    value: str
    doubt: str = ""

    def __repr__(self) -> str:
        """Show what was changed only: the value may be a name."""
        return f"Fitted(…, {self.doubt!r})"


def fit(vr: str, text: str) -> Fitted:
    """Return the text as one value of the VR. Text VRs are cleaned and cut; DA, TM, DS, IS, CS are left out when wrong."""
    if vr in _EXACT:
        value = _EXACT[vr](text)
        return Fitted(value, "" if value or not text.strip() else LEFT_OUT)
    is_paragraph = vr in _PARAGRAPHS
    whole = "=".join(_groups(text)) if vr == "PN" else clean(text, is_paragraph=is_paragraph)
    value = name(text) if vr == "PN" else cut(whole, LIMITS.get(vr, len(whole)))
    if value != whole:
        return Fitted(value, CUT)
    typed = _lines(text).strip(" ") if is_paragraph else text.strip()
    return Fitted(value, "" if value == typed else "what DICOM does not allow was replaced")


LEFT_OUT = "it is not valid and was left out"
CUT = "it was too long and was cut"
"""The doubts of a value of which something is missing: whoever writes it keeps the original in a comment."""


def clean(text: str, *, is_paragraph: bool = False) -> str:
    """Return the text without what DICOM does not allow in a value; its length stays as it is."""
    text = text.replace(_LEFT_BEHIND, "").translate(_SURROGATES)
    if is_paragraph:
        return _lines(text).translate(_PARAGRAPH_CONTROLS).strip(" ")
    return text.translate(_CONTROLS).replace("\\", "/").strip()


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters, not ending within a combined character."""
    if len(text) <= limit:
        return text
    end = limit
    while end > 0 and (unicodedata.combining(text[end]) or text[end] in _JOINERS or text[end - 1] == _ZWJ):
        end -= 1
    return text[: end or limit].rstrip()


_ZWJ = "\u200d"
_JOINERS = frozenset({_ZWJ, "\ufe0e", "\ufe0f"})


def name(text: str) -> str:
    """Return a person's name as PN: at most three groups, of at most five components and 64 characters each.

    Components beyond the fifth become part of the fifth; groups beyond the third (ideographic, phonetic) are dropped.
    """
    return "=".join(cut(group, LIMITS["PN"]).rstrip("^ ") for group in _groups(text)).rstrip("=")


def da(text: str) -> str:
    """Return a DA that exists (`YYYYMMDD`; the ACR-NEMA `YYYY.MM.DD` and ISO dashes are read too), else empty."""
    digits = re.sub(r"(?<=\d)[.-](?=\d)", "", text.strip())
    if re.fullmatch(r"\d{8}", digits, re.ASCII) is None:
        return ""
    try:
        return f"{date(int(digits[:4]), int(digits[4:6]), int(digits[6:])):%Y%m%d}".rjust(8, "0")
    except ValueError:
        return ""


def tm(text: str) -> str:
    """Return a TM that exists (`HH[MM[SS[.F]]]`; colons are read too), else empty."""
    match = _TIME.fullmatch(text.strip().replace(":", ""))
    if match is None or (match[4] and not match[3]):
        return ""
    try:
        time(int(match[1]), int(match[2] or 0), min(int(match[3] or 0), 59))
    except ValueError:
        return ""
    return match[0] if int(match[3] or 0) <= 60 else ""


def ds(text: str) -> str:
    """Return a DS (at most 16 characters, a finite decimal number), else empty; a longer number is rounded to fit."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return ""
    if not number.is_finite() or abs(number.adjusted()) > 300:
        return ""
    stated = text.strip()
    return (
        stated if len(stated) <= 16 and stated.isascii() and "_" not in stated else format_number_as_ds(float(number))
    )


def is_(text: str) -> str:
    """Return an IS, else empty."""
    stripped = text.strip()
    if re.fullmatch(r"[+-]?\d{1,10}", stripped, re.ASCII) and -(2**31) <= int(stripped) < 2**31:
        return stripped
    return ""


def cs(text: str) -> str:
    """Return a CS (upper case, digits, space, underscore, 16 characters), else empty."""
    upper = text.strip().upper()
    return upper if re.fullmatch(r"[A-Z0-9 _]{0,16}", upper, re.ASCII) else ""


_EXACT: dict[str, Callable[[str], str]] = {"DA": da, "TM": tm, "DS": ds, "IS": is_, "CS": cs}


def decode(raw: bytes, character_sets: Sequence[str]) -> str:
    """Return text from bytes under the values of SpecificCharacterSet; what cannot be read becomes U+FFFD.

    Backslashes that delimit values are kept. An unknown character set is read as ASCII.
    """
    known = [term for term in character_sets if term in python_encoding] or [""]
    encodings = convert_encodings(known)
    return decode_bytes(raw, encodings, _DELIMITERS).replace(_LEFT_BEHIND, "").rstrip(" \0")


def is_text(raw: bytes, character_sets: Sequence[str]) -> bool:
    """Whether the bytes are text under these character sets; under none, that is ASCII."""
    terms = [term for term in character_sets if term in python_encoding]
    if not any(terms):
        return raw.isascii()
    if b"\x1b" in raw:
        return "\ufffd" not in decode(raw, terms)
    try:
        raw.decode(convert_encodings(terms)[0])
    except UnicodeDecodeError:
        return False
    return True


def patient(ds_in: Dataset) -> Patient:
    """Return who a received object or an answer says it is about; what is not valid is left out."""
    return Patient(
        patient_id=clean(_first(ds_in, "PatientID")),
        name=name(_first(ds_in, "PatientName")),
        birth_date=da(_first(ds_in, "PatientBirthDate")),
        sex=_sex(_first(ds_in, "PatientSex")),
        issuer_of_patient_id=clean(_first(ds_in, "IssuerOfPatientID")),
        comments=clean(_first(ds_in, "PatientComments"), is_paragraph=True),
    )


def _first(ds_in: Dataset, keyword: str) -> str:
    if keyword not in ds_in:
        return ""
    value = ds_in[keyword].value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def _sex(text: str) -> Literal["", "M", "F", "O"]:
    letter = text.strip().upper()
    return cast("Literal['M', 'F', 'O']", letter) if letter in {"M", "F", "O"} else ""


def _groups(text: str) -> list[str]:
    """The component groups of a name, cleaned and not yet cut."""
    groups = [_group(clean(group)) for group in text.split("=")[:3]]
    while groups and not groups[-1]:
        groups.pop()
    return groups


def _group(text: str) -> str:
    components = text.split("^")
    joined = [*components[:4], " ".join(components[4:])] if len(components) > 5 else components
    return "^".join(joined).rstrip("^ ")


def _lines(text: str) -> str:
    """Every kind of line end as CR LF."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text)
