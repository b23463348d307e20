"""A page is drawn to scale and names its patient; a new identity draws it anew, and what it was drawn from stays whole."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from gateway import codes
from gateway.errors import ObjectInvalid
from gateway.model import NO_SAMPLE, Code, Equipment, Observation, Patient, ReadingSet, Trace, TraceKind
from gateway.objects import curves, drawn, ecg_sheet, fetal_sheet, fonts, head, page, paper, revise, sr, stated, verify
from tests.objects import hearts, samples

PX_PER_MM = 10
NAMES = {
    "Müller^Ana": "Müller, Ana",
    "Yamada^Tarou=山田^太郎=やまだ^たろう": "Yamada, Tarou (山田, 太郎 / やまだ, たろう)",
    "Nguyễn^Thị Hương^^^Dr": "Nguyễn, Thị Hương Dr",
    "Kofi": "Kofi",
    "": "",
}


@pytest.fixture
def image(tmp_path):
    """`image(pdf, sheet)`: one sheet as grey pixels, ten to a millimetre."""

    def made(pdf, sheet=1):
        (tmp_path / "page.pdf").write_bytes(pdf)
        options = ["-r", "254", "-gray", "-f", str(sheet), "-singlefile"]
        subprocess.run(["pdftoppm", *options, tmp_path / "page.pdf", tmp_path / "page"], check=True)
        return np.asarray(Image.open(tmp_path / "page.pgm"))

    return made


@pytest.fixture
def text(tmp_path):
    """`text(pdf)`: what can be read on it."""

    def read(pdf):
        (tmp_path / "page.pdf").write_bytes(pdf)
        said = ["pdftotext", "-layout", tmp_path / "page.pdf", "-"]
        return subprocess.run(said, check=True, capture_output=True, text=True).stdout

    return read


def black(pixels, x_mm, y_mm):
    """Whether ink of a curve is at a point, to 0.2 mm."""
    x, y = round(x_mm * PX_PER_MM), round(y_mm * PX_PER_MM)
    return bool((pixels[y - 2 : y + 3, x - 2 : x + 3] < 110).any())


def steady(value_mv, seconds=10.0, hz=500.0):
    """A lead that jumps between 0 and a value each half second: its median is 0."""
    at = np.arange(int(seconds * hz)) / hz
    return hearts.packed(np.where((at % 1 > 0.6), value_mv * 1000, 0), 1)


def test_a_millivolt_is_ten_millimetres_and_a_second_twenty_five(image):
    lead = hearts.lead(1, step="1", samples=steady(1.0))
    pixels = image(page.draw(samples.words(), ReadingSet(traces=(lead,), received_ns=1)))
    assert pixels.shape == pytest.approx((2100, 2970), abs=1)
    base, x0 = ecg_sheet.TOP_MM + 15, head.LEFT_MM + 10
    for second in range(10):
        assert black(pixels, x0 + 25 * (second + 0.3), base)
        assert black(pixels, x0 + 25 * (second + 0.8), base - 10)
        assert not black(pixels, x0 + 25 * (second + 0.8), base)
    pulse = head.LEFT_MM + 2
    assert black(pixels, pulse + 2.5, base - 10)
    assert black(pixels, pulse, base - 5)
    assert black(pixels, pulse + 5, base - 5)
    assert not black(pixels, pulse + 2.5, base - 10.6)


def test_the_grid_is_a_millimetre_wide(image):
    pixels = image(page.draw(samples.words(), hearts.ELECTROCARDIOGRAM))
    row = pixels[round((ecg_sheet.BOTTOM_MM - 1.5) * PX_PER_MM)].astype(int)
    lines = np.flatnonzero((row[1:-1] < row[:-2]) & (row[1:-1] <= row[2:]) & (row[1:-1] < 250)) + 1
    inside = lines[(lines > (head.LEFT_MM + 0.5) * PX_PER_MM) & (lines < (head.RIGHT_MM - 0.5) * PX_PER_MM)]
    assert len(inside) == round(head.RIGHT_MM - head.LEFT_MM) - 1
    assert set(np.diff(inside)) <= {9, 10, 11}


def test_twelve_leads_of_ten_seconds_stand_in_three_rows_of_four_and_a_rhythm_strip(text):
    (sheet,) = ecg_sheet.sheets(hearts.twelve())
    rows = {}
    for piece in sheet:
        rows.setdefault(piece.base_mm, []).append((piece.label, piece.from_s, piece.to_s))
    assert [[name for name, _, _ in row] for _, row in sorted(rows.items())] == [
        ["I", "aVR", "V1", "V4"],
        ["II", "aVL", "V2", "V5"],
        ["III", "aVF", "V3", "V6"],
        ["II"],
    ]
    assert [(from_s, to_s) for _, from_s, to_s in rows[min(rows)]] == [(0, 2.5), (2.5, 5), (5, 7.5), (7.5, 10)]
    said = text(page.draw(samples.words(), hearts.ELECTROCARDIOGRAM))
    for words in ("aVR", "V6", "25 mm/s", "10 mm/mV", "0.05–150 Hz, without 50 Hz", "unconfirmed", "1 of 1"):
        assert words in said


@pytest.mark.parametrize(
    ("traces", "rows"),
    [
        (hearts.twelve(7.5, 250.0), [["I", "II", "III", "aVR", "aVL", "aVF"], ["V1", "V2", "V3", "V4", "V5", "V6"]]),
        ((hearts.lead(1, 25.0),), [["II", "II   10 s", "II   20 s"]]),
        (
            tuple(hearts.lead(at, 20.0) for at in (0, 1, 2, 6)),
            [["I", "II", "III", "V1"], ["I   10 s", "II   10 s", "III   10 s", "V1   10 s"]],
        ),
        ((hearts.lead(1, 0.05),), [["II"]]),
    ],
)
def test_other_leads_stand_in_rows_of_ten_seconds(traces, rows):
    assert [[piece.label for piece in sheet] for sheet in ecg_sheet.sheets(traces)] == rows


def test_what_is_longer_than_ten_seconds_goes_on_on_further_sheets():
    found = ecg_sheet.sheets(hearts.twelve(20.0, 200.0))
    assert [len(sheet) for sheet in found] == [13, 6, 6]
    assert {piece.from_s for sheet in found[1:] for piece in sheet} == {10.0}


def test_a_page_says_who_when_by_what_and_what_was_measured_with_its_doubts(text):
    said = text(page.draw(samples.words(), hearts.ELECTROCARDIOGRAM))
    for words in (
        "Müller, Ana", "ID P-0042", "born 1970-01-02", "female", "2026-12-01", "12:30:15", "UTC+0300", "Clinic",
        "Aloka MAC 500, serial number 123", "A-17", "Ultrasound abdomen", "Heart rate: 72 /min", "QRS duration: 92 ms",
        "Q-T interval corrected: 436 ms", "QRS axis: 181° (?)", "(?) QRS axis: it is outside -180 to 180", "Normal ECG.",
    ):  # fmt: skip
        assert words in said


def test_what_has_no_room_at_the_top_is_on_a_sheet_of_its_own(text):
    many = tuple(
        Observation(concept=Code(str(at), "99X", f"Something of lead {at} with a name that is long, {'and on ' * 6}"), value="12.5", unit=hearts.MILLISECOND)
        for at in range(40)
    )  # fmt: skip
    said = text(page.draw(samples.words(), replace(hearts.ELECTROCARDIOGRAM, observations=many)))
    for at in range(40):
        assert f"Something of lead {at} with" in said
    assert "3 of 3" in said
    assert said.count("Müller, Ana") == 3
    assert said.count(head.MORE) == 1


def test_a_doubt_of_the_clock_is_on_the_page(text):
    said = text(page.draw(samples.words(exam_changes={"clock_doubt": "no time server"}), hearts.ELECTROCARDIOGRAM))
    assert "the date and time are not" in said


def test_a_fetal_strip_is_a_centimetre_a_minute_and_its_pen_lifts_are_gaps(image):
    def trace(channel, unit, values):
        return Trace(
            kind=TraceKind.CARDIOTOCOGRAM,
            channel=channel,
            unit=unit,
            hz=1,
            step="1",
            samples=np.asarray(values, "<i2").tobytes(),
            received_ns=5_000_000_000,
        )

    rate = np.full(1200, 140)
    rate[300:360] = NO_SAMPLE
    mark = np.zeros(1200)
    mark[600] = 1
    readings = ReadingSet(
        traces=(
            trace(hearts.FHR, Code("/min", "UCUM", "/min"), rate),
            trace(hearts.UA, codes.NO_UNITS, np.full(1200, 25)),
            trace(codes.EVENT_MARK, codes.NO_UNITS, mark),
        ),
        received_ns=5_000_000_000,
    )
    pixels = image(page.draw(samples.words(), readings))
    form, x0 = fetal_sheet.FORMS[1], fetal_sheet.LEFT_MM
    y = form.rate_y(140)
    assert y == fetal_sheet.TOP_MM + 50
    assert [black(pixels, x0 + minute * 10, y) for minute in (0.5, 4.9, 5.5, 6.1, 19.9)] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert not black(pixels, x0 + 201, y)
    assert black(pixels, x0 + 100, form.activity_y(25))
    assert black(pixels, x0 + 100, form.rate_mm + 1.5)


def test_what_the_monitor_measures_with_is_no_mark_on_its_strip(image):
    """It says so each minute; an arrow is what the mother or the staff set."""
    said = (
        Observation(concept=codes.MONITOR_MODES, value="AA", received_ns=65_000_000_000),
        Observation(concept=sr.COMMENT, value="Oxytocin", received_ns=125_000_000_000),
    )
    pixels = image(page.draw(samples.words(), replace(hearts.STRIP, observations=said)))
    form = fetal_sheet.FORMS[1]
    arrows = [black(pixels, fetal_sheet.LEFT_MM + minute * 10, form.rate_mm + 1.5) for minute in (1, 2)]
    assert arrows == [False, True]


@pytest.mark.parametrize(("speed", "sheets", "last"), [(1, 1, "12:50:15"), (2, 2, "12:50:15"), (3, 3, "12:50:15")])
def test_a_strip_is_drawn_at_the_speed_of_its_department(image, text, speed, sheets, last):
    still = replace(hearts.fetal()[0], samples=np.full(4800, 140 * 4, "<i2").tobytes())
    pdf = page.draw(samples.words(), replace(hearts.STRIP, traces=(still,), paper_cm_min=speed))
    said = text(pdf)
    assert f"{speed} cm/min" in said
    assert f"{sheets} of {sheets}" in said
    assert last in said
    form, pixels = fetal_sheet.FORMS[speed], image(pdf, sheets)
    end = fetal_sheet.LEFT_MM + (20 - form.minutes * (sheets - 1)) * 10 * speed
    assert (black(pixels, end - 1, form.rate_y(140)), black(pixels, end + 1, form.rate_y(140))) == (True, False)


def test_a_strip_of_an_hour_is_three_sheets(text):
    said = text(page.draw(samples.words(), replace(hearts.STRIP, traces=hearts.fetal(60))))
    for words in ("3 of 3", "13:20:15", "Fetal heart rate 1 (beats per minute)", "Uterine activity (%)", "1 cm/min"):
        assert words in said


def test_the_same_words_and_readings_give_the_same_bytes():
    one, other = (page.draw(samples.words(), hearts.ELECTROCARDIOGRAM) for _ in range(2))
    assert one == other


def test_the_file_says_what_it_is_and_when_its_curves_were_received_and_names_nobody(tmp_path):
    (tmp_path / "page.pdf").write_bytes(page.draw(samples.words(), hearts.ELECTROCARDIOGRAM))
    said = ["pdfinfo", "-isodates", tmp_path / "page.pdf"]
    told = subprocess.run(said, check=True, capture_output=True, text=True).stdout
    for line in (
        r"Title: +Electrocardiogram",
        r"CreationDate: +2026-12-01T09:30:15Z",
        r"Page size: .*\(A4\)",
        "PDF version: +1.7",
    ):
        assert re.search(line, told)
    assert "Müller" not in told


def test_every_font_is_in_the_file(tmp_path):
    (tmp_path / "page.pdf").write_bytes(page.draw(samples.words(), hearts.ELECTROCARDIOGRAM))
    said = subprocess.run(["pdffonts", tmp_path / "page.pdf"], check=True, capture_output=True, text=True).stdout
    assert [line.split()[-5] for line in said.splitlines()[2:]] == ["yes", "yes"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_people_read_it(name):
    assert head.shown_name(name) == NAMES[name]


@pytest.mark.parametrize(
    ("name", "font"),
    [
        ("Ωμέγα Äpfel Đặng Иванова", "DejaVuSans.ttf"),
        ("محمد علي", "NotoSansArabic-Regular.ttf"),
        ("אנה", "NotoSansHebrew-Regular.ttf"),
        ("अनीता शर्मा", "NotoSansDevanagari-Regular.ttf"),
        ("สมชาย ใจดี", "NotoSansThai-Regular.ttf"),
        ("ወልደ", "NotoSansEthiopic-Regular.ttf"),
        ("王小东", "NotoSansCJK-Regular.ttc"),
        ("김철수", "NotoSansCJK-Regular.ttc"),
    ],
)
def test_a_name_in_any_script_is_drawn_by_a_font_that_has_it(name, font):
    (run,) = fonts.runs(name)
    assert (run.text, run.font.name) == (name, font)
    if run.font != fonts.OWN:
        strokes, reach = fonts.outline(run)
        assert strokes
        assert reach > 500


def test_arabic_letters_are_joined_and_run_from_right_to_left():
    (word,) = fonts.runs("محمد")
    joined, _ = fonts.outline(word)
    apart = [fonts.outline(fonts.Run(letter, word.font))[0] for letter in word.text]
    assert len(joined) != sum(map(len, apart))
    alef, _ = fonts.outline(fonts.Run("ا", word.font))
    both, _ = fonts.outline(fonts.Run("دا", word.font))
    assert both[: len(alef)] == alef, "the second letter stands at the left end"


@pytest.mark.parametrize("letter", ["\U0001fae0", "\u202e", "\ue000", "\u0378", "\ud800"])
def test_what_cannot_be_drawn_is_a_box(letter):
    assert [run.text for run in fonts.runs(f"A{letter}B")] == [f"A{fonts.BOX}B"]


@given(st.text(max_size=20))
def test_any_text_becomes_runs_that_can_be_drawn_and_no_letter_is_lost(text):
    found = list(fonts.runs(text))
    for run in found:
        if run.font != fonts.OWN:
            fonts.outline(run)
    assert sum(len(run.text) for run in found) >= len(text.replace("\r", "")) // 4
    pdf = paper.Paper("t", 100, 100)
    pdf.text(1, 10, text, 4, most_mm=30)
    assert pdf.finish(b"", samples.AT).startswith(b"%PDF")


@pytest.mark.parametrize("name", samples.PAGES)
def test_an_object_holds_the_page_and_says_what_it_is(read, saved, name):
    data, written = samples.drawn(samples.PAGES[name], "DOC")
    ds = read(data)
    assert written.sop_class_uid == "1.2.840.10008.5.1.4.1.1.104.1"
    assert (ds.Modality, ds.BurnedInAnnotation) == ("DOC", "YES")
    assert (ds.MIMETypeOfEncapsulatedDocument, ds.DocumentTitle) == (
        "application/pdf",
        drawn.TITLES[samples.PAGES[name].traces[0].kind],
    )
    assert page.readings_of(ds.EncapsulatedDocument).traces == samples.PAGES[name].traces
    assert verify.check(saved(data)) == []


@pytest.mark.parametrize("name", samples.PAGES)
def test_an_identity_given_later_draws_the_same_page_with_the_true_name(read, saved, text, name):
    emergency = samples.drawn(samples.PAGES[name], "DOC", exam_changes={"patient": None, "scheduled": None})[0]
    assert "EMERGENCY" in text(read(emergency).EncapsulatedDocument)
    old = read(emergency)
    said = samples.words(
        object=drawn.PAGE, sop_instance_uid=str(old.SOPInstanceUID), series_instance_uid=str(old.SeriesInstanceUID)
    )
    sink = io.BytesIO()
    revise.write(saved(emergency), sink, said, modified_at=samples.AT)
    new = read(sink.getvalue())
    assert "EMERGENCY" not in text(new.EncapsulatedDocument)
    assert "Müller, Ana" in text(new.EncapsulatedDocument)
    assert b"EMERGENCY" not in new.EncapsulatedDocument
    del new.OriginalAttributesSequence
    assert new == read(samples.drawn(samples.PAGES[name], "DOC")[0])
    assert verify.check(saved(sink.getvalue())) == []


def test_an_unchanged_identity_draws_the_same_bytes(saved):
    before, written = samples.drawn(hearts.ELECTROCARDIOGRAM, "DOC")
    said = samples.words(object=drawn.PAGE, sop_instance_uid=written.sop_instance_uid)
    said = replace(said, series_instance_uid=samples.uids.series(samples.EXAM, "doc"))
    sink = io.BytesIO()
    assert revise.write(saved(before), sink, said, modified_at=samples.AT) == written
    assert sink.getvalue() == before


def test_a_page_names_the_instrument_that_it_was_drawn_of_whatever_stands_at_its_port_by_now(saved):
    before, written = samples.drawn(hearts.ELECTROCARDIOGRAM, "DOC")
    said = samples.words(object=drawn.PAGE, sop_instance_uid=written.sop_instance_uid, equipment=Equipment())
    said = replace(said, series_instance_uid=samples.uids.series(samples.EXAM, "doc"))
    said = replace(said, station=replace(said.station, institution_name="Another clinic"))
    sink = io.BytesIO()
    revise.write(saved(before), sink, said, modified_at=samples.AT)
    assert sink.getvalue() == before


def test_a_page_of_others_cannot_be_drawn_again():
    for pdf in (b"%PDF-1.4\n%%EOF", b"", b"<< /Type /GatewaySource /Length 4 >>\nstream\nxxxx"):
        with pytest.raises(ObjectInvalid):
            page.readings_of(pdf)


def test_a_truncated_document_is_seen(read, saved):
    ds = read(samples.drawn(hearts.ELECTROCARDIOGRAM, "DOC")[0])
    ds.EncapsulatedDocument = ds.EncapsulatedDocument[:1000]
    sink = io.BytesIO()
    ds.save_as(sink)
    assert len(verify.check(saved(sink.getvalue()))) == 2


def test_a_page_is_made_of_an_electrocardiograph_and_of_a_fetal_monitor_and_of_no_other_monitor():
    def pages(*traces):
        found = stated.objects_of(ReadingSet(traces=traces, received_ns=5_000_000_000))
        return [tuple(trace.kind for trace in held.traces) for kind, held in found if kind == drawn.PAGE]

    assert pages(hearts.lead(1)) == [(TraceKind.ECG,)]
    assert pages(hearts.lead(1), hearts.pressure()) == []
    assert pages(hearts.lead(1), hearts.lead(2, received_ns=9_000_000_000)) == [(TraceKind.ECG,)] * 2
    assert pages(*hearts.fetal(1), hearts.lead(1)) == [(TraceKind.CARDIOTOCOGRAM,) * 2]
    assert pages(replace(hearts.lead(1), unit=codes.NO_UNITS)) == []


def test_curves_that_cannot_be_drawn_are_named_on_the_page(text):
    odd = replace(hearts.lead(6, channel=Code("x", "99X", "Vector Z")), unit=codes.NO_UNITS)
    said = text(page.draw(samples.words(), ReadingSet(traces=(hearts.lead(1), odd), received_ns=1)))
    assert "Vector Z." in said
    with pytest.raises(ObjectInvalid):
        page.draw(samples.words(), ReadingSet(traces=(odd,), received_ns=1))
    with pytest.raises(ObjectInvalid):
        page.draw(samples.words(), ReadingSet(traces=(hearts.pleth(),), received_ns=1))


def test_a_value_that_was_lost_is_a_gap_and_no_other_value():
    lost = np.frombuffer(hearts.lead(1).samples, "<i2").copy()
    lost[10:20] = NO_SAMPLE
    values = ecg_sheet.millivolts(hearts.lead(1, samples=lost.tobytes()))
    assert np.isnan(values[10:20]).all()
    whole = ecg_sheet.millivolts(hearts.lead(1))
    assert np.abs(values[20:] - whole[20:]).max() < 0.01
    assert curves.label(codes.LEADS[3]) == "aVR"


def test_a_name_of_the_longest_kind_is_whole_on_every_sheet(text):
    """64 letters, as long as a component group may be."""
    name = "Wijayasundara-Bandaranayake^Chandrasekhara Abeywickrama Nissanka"
    assert len(name) == 64
    who = samples.words(exam_changes={"patient": Patient(patient_id="1", name=name), "scheduled": None})
    said = text(page.draw(who, hearts.STRIP))
    for word in ("Wijayasundara-Bandaranayake,", "Chandrasekhara", "Abeywickrama", "Nissanka"):
        assert word in said


def test_a_patient_without_anything_known_has_a_page_too(text):
    nobody = Patient(patient_id="", name="")
    page.draw(samples.words(exam_changes={"patient": nobody, "scheduled": None}), hearts.STRIP)


figures = st.sampled_from(["1", "0.5", "2.5e-7", "1e200", "-1", "x"])


def any_of(*traces):
    return st.builds(
        replace,
        st.sampled_from(traces),
        channel=st.sampled_from(
            [*codes.LEADS, codes.EVENT_MARK, codes.FETAL_MOVEMENT, Code("x", "99X", "\ud800 Ä" * 30)]
        ),
        unit=st.sampled_from([codes.MICROVOLT, codes.MILLIVOLT, codes.NO_UNITS, hearts.BPM]),
        hz=st.sampled_from([1, 4.0, 500.0, 1e9]),
        step=figures,
        zero=figures,
        samples=st.binary(max_size=40).map(lambda half: half + half),
        received_ns=st.sampled_from([0, 1, 10**12]),
        doubts=st.lists(st.text(max_size=200), max_size=2).map(tuple),
    )


curve_sets = st.one_of(
    st.lists(any_of(hearts.lead(1, 0.5)), max_size=4), st.lists(any_of(*hearts.fetal(0.2)), max_size=4)
)
remarks = st.builds(
    Observation,
    concept=st.builds(Code, st.just("x"), st.just("99X"), st.text(max_size=200)),
    value=st.text(max_size=400),
    unit=st.sampled_from([None, hearts.BPM]),
    received_ns=st.integers(0, 10**15),
)


@given(curve_sets, st.lists(remarks, max_size=4), st.integers(0, 10**15), st.text(max_size=80))
def test_any_readings_are_drawn_or_refused_by_name(traces, observations, received_ns, name):
    readings = ReadingSet(traces=tuple(traces), observations=tuple(observations), received_ns=received_ns)
    said = samples.words(exam_changes={"patient": Patient(patient_id=name, name=name), "scheduled": None})
    try:
        pdf = page.draw(said, readings)
    except ObjectInvalid:
        return
    kept = page.readings_of(pdf)
    assert [trace.samples for trace in kept.traces] == [trace.samples for trace in traces]
    assert [one.value for one in kept.observations] == [one.value for one in observations]


def test_what_would_never_end_is_a_hundred_sheets_and_says_so(text):
    said = text(page.draw(samples.words(), ReadingSet(traces=(replace(hearts.lead(1), hz=1e-6),), received_ns=1)))
    assert "100 of 100" in said
    assert "Only the first 100 sheets are drawn." in said


def test_a_service_that_draws_nothing_does_not_load_what_draws():
    code = "import sys, gateway.service.serial, gateway.service.keeper, gateway.objects.statement; print({'reportlab', 'uharfbuzz'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_a_box_without_fonts_draws_latin_letters_and_boxes(monkeypatch, text):
    """A page is less than a reading: what the archive must have is not lost for want of a font."""
    code = (
        "import pathlib; there = pathlib.Path.is_dir\n"
        "pathlib.Path.is_dir = lambda path: 'dejavu' not in str(path) and there(path)\n"
        "from gateway.objects import page; from tests.objects import hearts, samples; import sys\n"
        "sys.stdout.buffer.write(page.draw(samples.words(), hearts.ELECTROCARDIOGRAM))"
    )
    pdf = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert "Müller, Ana" in text(pdf)


def test_another_program_finds_the_same_pdf_in_the_object(read, saved, tmp_path):
    data = samples.drawn(hearts.STRIP, "DOC")[0]
    subprocess.run(["dcm2pdf", saved(data), tmp_path / "out.pdf"], check=True, capture_output=True)
    ds = read(data)
    assert (tmp_path / "out.pdf").read_bytes() == ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
