"""Character sets in, Unicode out; what a VR does not allow is cleaned, cut and said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.model import Patient
from gateway.objects import coerce, verify
from gateway.objects.coerce import Fitted
from tests.objects import samples

# The names of PS3.5 annexes H, I, J, K with their bytes, and one for each code page we promise.
NAMES = {
    "Latin-1": (["ISO_IR 100"], b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    "Latin-2": (["ISO_IR 101"], b"Wa\xb3\xeasa", "Wałęsa"),
    "Greek": (["ISO_IR 126"], b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    "Cyrillic": (["ISO_IR 144"], "Люксембург".encode("iso8859_5"), "Люксембург"),
    "Arabic": (["ISO_IR 127"], b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
    "Hebrew": (["ISO_IR 138"], b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
    "Japanese, PS3.5 H.3": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "Japanese with half-width katakana": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    "Korean, PS3.5 I.2": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "Chinese, GB18030": (["GB18030"], "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="),
    "Chinese, GBK": (["GBK"], "Wang^XiaoDong=王^小东".encode("gbk"), "Wang^XiaoDong=王^小东"),
    "Chinese, ISO 2022 IR 58": (
        ["", "ISO 2022 IR 58"],
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
        "Zhang^XiaoDong=张^小东",
    ),
    "Thai": (["ISO_IR 166"], b"\xca\xc1\xaa\xd2\xc2", "สมชาย"),
    "UTF-8": (["ISO_IR 192"], "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
    "none said": ([], b"Smith^John", "Smith^John"),
    "an unknown one": (["ISO_IR 999"], b"Smith^John", "Smith^John"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_any_character_set_becomes_unicode(name):
    terms, raw, text = NAMES[name]
    assert coerce.decode(raw, terms) == text


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_any_script_survives_to_the_object(read, name):
    text = coerce.name(NAMES[name][2])
    ds = read(
        samples.composed("us", samples.picture(), exam_changes={"patient": Patient(patient_id="1", name=text)})[0]
    )
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == text


@given(st.text(st.characters(codec=None), max_size=90))
def test_any_typed_text_gives_a_valid_object(tmp_path_factory, text):
    who = Patient(patient_id=text, name=text, comments=text)
    data = samples.composed("us", samples.picture(rows=2, columns=2), exam_changes={"patient": who, "scheduled": None})[
        0
    ]
    path = tmp_path_factory.getbasetemp() / "typed.dcm"
    path.write_bytes(data)
    assert verify.check(path) == []


@given(
    st.text(st.characters(codec=None), max_size=300),
    st.sampled_from(["SH", "LO", "PN", "ST", "LT", "CS", "DA", "TM", "DS", "IS"]),
)
def test_a_fitted_value_stays_as_it_is(text, vr):
    once = coerce.fit(vr, text).value
    assert coerce.fit(vr, once) == Fitted(once)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("A\\B", "A/B"),
        ("A\tB\x00C\x1bD", "A B C D"),
        ("A\ud800B", "A\ufffdB"),
        ("  A^B  ", "A^B"),
        ("A^B^^^", "A^B"),
        ("A^B^C^D^E^F^G", "A^B^C^D^E F G"),
        ("A=B=C=D", "A=B=C"),
        ("=山田", "=山田"),
        ("x" * 70 + "=山田", "x" * 64 + "=山田"),
    ],
)
def test_a_name_is_cleaned_by_the_stated_rule(typed, kept):
    assert coerce.name(typed) == kept


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("abcdef", 3, "abc"),
        ("abe\u0301f", 3, "ab"),
        ("ab\U0001f469\u200d\U0001f52c", 3, "ab"),
        ("abc  d", 4, "abc"),
        ("ab", 3, "ab"),
    ],
)
def test_a_cut_never_splits_a_combined_character(text, limit, cut):
    assert coerce.cut(text, limit) == cut


@pytest.mark.parametrize(
    ("vr", "text", "value"),
    [
        ("DA", "20260229", ""), ("DA", "20280229", "20280229"), ("DA", "1970.01.02", "19700102"), ("DA", "1970-01-02", "19700102"),
        ("DA", "yesterday", ""), ("DA", "٢٠٢٦٠١٠١", ""),
        ("TM", "0930", "0930"), ("TM", "09:30:15", "093015"), ("TM", "093015.25", "093015.25"), ("TM", "2500", ""), ("TM", "0960", ""),
        ("TM", "235960", "235960"), ("TM", "093061", ""), ("TM", "09.5", ""),
        ("DS", "61.5", "61.5"), ("DS", "61,5", ""), ("DS", "1e400", ""), ("DS", "NaN", ""), ("DS", "1_0", "10.0"),
        ("IS", "12", "12"), ("IS", "12.5", ""), ("IS", "99999999999", ""),
        ("CS", "abdomen", "ABDOMEN"), ("CS", "a-b", ""),
        ("SH", "a" * 20, "a" * 16), ("LT", "a\nb", "a\r\nb"),
    ],
)  # fmt: skip
def test_a_value_of_an_exact_kind_is_right_or_left_out(vr, text, value):
    fitted = coerce.fit(vr, text)
    assert fitted.value == value
    assert bool(fitted.doubt) is (value in {"", "a" * 16})  # what was left out or cut is said, another notation is not


def test_what_was_cut_is_kept_in_full_in_a_comment(read):
    long_name, long_number = "Nguyen^" + "An " * 30 + "X", "ACCESSION-2026-0000042"
    step = samples.replace(
        samples.STEP, accession_number=long_number, requested_procedure_description="abdomen " * 20 + "end"
    )
    who = Patient(patient_id="7" * 70, name=long_name, comments="allergic")
    ds = read(samples.composed("us", samples.picture(), exam_changes={"patient": who, "scheduled": step})[0])
    assert ds.AccessionNumber == long_number[:16]
    assert f"In full: AccessionNumber: {long_number}" in ds.ImageComments
    assert "abdomen end" in ds.ImageComments
    assert ds.PatientComments.split("\r\n") == [
        "allergic",
        f"In full: PatientName: {long_name}",
        f"In full: PatientID: {'7' * 70}",
    ]


def test_a_birth_date_that_does_not_exist_is_left_out_and_kept_as_typed(read):
    who = Patient(patient_id="7", name="A", birth_date="31.02.1970")
    ds = read(samples.composed("us", samples.picture(), exam_changes={"patient": who})[0])
    assert (ds.PatientBirthDate, ds.PatientComments) == ("", "In full: PatientBirthDate: 31.02.1970")


def test_a_received_patient_is_read_and_what_is_wrong_left_out():
    ds = Dataset()
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Yamada^Tarou=山田^太郎", "7", "19701301", "X"
    assert coerce.patient(ds) == Patient(patient_id="7", name="Yamada^Tarou=山田^太郎")
    assert coerce.patient(Dataset()) == Patient(patient_id="", name="")


def test_a_fitted_value_shows_nothing_when_printed():
    assert "Müller" not in repr(coerce.fit("PN", "Müller^Ana\x00"))
