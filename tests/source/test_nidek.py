"""NIDEK messages: the published examples to the letter, what is damaged named, and any bytes values or a named error."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import codes
from gateway.errors import UnreadableRecord
from gateway.model import MeasurementKind, Observation, ReadingSet
from gateway.profile import Chart, InstrumentProfile
from gateway.simulators import nidek
from gateway.source.serial import Instrument

SECOND = 1_000_000_000
LENS, AUTO, CORNEA, SUBJECTIVE, FINAL, ACUITY = MeasurementKind


def profile(**changes: object) -> InstrumentProfile:
    return InstrumentProfile(name="n", title="N", sources=("test",), kind="nidek", **changes)  # type: ignore[arg-type]


def hear(data: bytes, **changes: object) -> tuple[list[ReadingSet], list[UnreadableRecord]]:
    instrument = Instrument(profile(**changes))
    return instrument.receive_data(data, SECOND) + instrument.tick(9 * SECOND), instrument.errors()


def values(found: tuple[Observation, ...], part_of: MeasurementKind | None, side: str) -> dict[str, str]:
    return {one.concept.meaning: one.value for one in found if one.part_of is part_of and one.laterality == side}


def only(data: bytes, **changes: object) -> ReadingSet:
    (one,), errors = hear(data, **changes)
    assert errors == []
    return one


def test_the_example_of_the_lensmeters_manual_is_read_to_the_letter() -> None:
    one = only(nidek.lensmeter(), checksum="required")
    assert one.model_name == "LM-1000P"
    assert one.unread == 0
    assert values(one.observations, LENS, "R") == {
        "Power of sphere": "-1.25",
        "Power of cylinder": "-0.75",
        "Axis of cylinder": "120",
        "Addition": "2.00",
        "Horizontal Prism Power": "2.50",
        "Horizontal Prism Base": "IN",
        "Vertical Prism Power": "2.00",
        "Vertical Prism Base": "DOWN",
    }
    left = values(one.observations, LENS, "L")
    assert (left["Power of sphere"], left["Addition"], left["Horizontal Prism Base"], left["Vertical Prism Base"]) == (
        "-2.00",
        "2.25",
        "OUT",
        "UP",
    )


def test_a_trifocal_lens_has_a_second_addition_and_near_spheres() -> None:
    """LM-1000 manual, page 25."""
    message = b"\x01DLM\x02 R-01.25-00.75120\x17\rAR02.00\x17\r03.00\x17\rNR+00.75\x17\r+01.75\x17\r\x04\r"
    right = values(only(message).observations, LENS, "R")
    assert (right["Addition"], right["Second addition"]) == ("2.00", "3.00")
    assert (right["Power of sphere for near vision"], right["Second power of sphere for near vision"]) == (
        "0.75",
        "1.75",
    )


def test_a_lens_of_neither_side_has_none() -> None:
    one = only(b"\x01DLM\x02IDNIDEK/LM-7P\x17  +01.00+00.00000\x17\x04\r")
    assert values(one.observations, LENS, "")["Power of sphere"] == "1.00"


def test_an_autorefractor_states_refraction_and_cornea_and_the_first_of_several_counts() -> None:
    one = only(nidek.autorefractor(), checksum="required")
    assert one.model_name == "ARK-530A"
    right = values(one.observations, AUTO, "R")
    assert (right["Power of sphere"], right["Power of cylinder"], right["Axis of cylinder"]) == (
        "-5.25",
        "-0.75",
        "109",
    )
    sphere = next(o for o in one.observations if o.concept == codes.SPHERE and o.laterality == "R")
    assert sphere.doubts == ("the instrument listed 2 measurements, this is the first",)
    assert values(one.observations, AUTO, "B") == {
        "Distance Pupillary Distance": "64",
        "Near Pupillary Distance": "60",
    }
    left = values(one.observations, CORNEA, "L")
    assert left == {
        "Radius of curvature of the first meridian": "7.95",
        "Radius of curvature of the second meridian": "7.71",
        "Axis of the first meridian": "176",
        "Keratometric power of the first meridian": "42.45",
        "Keratometric power of the second meridian": "43.77",
    }


def test_a_tonometer_states_the_mean_pressure_of_each_eye() -> None:
    one = only(nidek.tonometer(), checksum="required")
    found = [(o.concept, o.laterality, o.value, o.unit) for o in one.observations]
    assert found == [(codes.PRESSURE, "R", "18.7", codes.MMHG), (codes.PRESSURE, "L", "13.0", codes.MMHG)]


def test_a_refractor_prints_everything_that_was_measured_in_its_exam() -> None:
    one = only(nidek.refractor())
    assert (one.model_name, one.unread) == ("RT-5100", 0)
    found = one.observations
    assert values(found, LENS, "R") == {
        "Power of sphere": "-1.50",
        "Power of cylinder": "-1.00",
        "Axis of cylinder": "120",
    }
    assert values(found, AUTO, "L") == {
        "Power of sphere": "1.25",
        "Power of cylinder": "0.00",
        "Axis of cylinder": "0",
    }
    assert values(found, SUBJECTIVE, "R")["Power of sphere"] == "1.00"
    right = values(found, FINAL, "R")
    assert (right["Power of sphere"], right["Addition"]) == ("1.25", "1.50")
    assert (right["Horizontal Prism Base"], right["Vertical Prism Power"]) == ("IN", "0.50")
    assert values(found, FINAL, "B") == {
        "Distance Pupillary Distance": "64.0",
        "Near Pupillary Distance": "59.5",
    }
    assert values(found, CORNEA, "R")["Radius of curvature of the first meridian"] == "7.86"
    assert values(found, None, "R") == {
        "Habitual Visual Acuity": "0.32",
        "Prescription Visual Acuity": "1.0",
        "Intraocular pressure of Eye": "15.0",
    }


def test_axis_0_of_a_cylinder_is_180() -> None:
    one = only(nidek.refractor())
    assert values(one.observations, LENS, "L")["Axis of cylinder"] == "180"


@pytest.mark.parametrize("date", ["1999/ 1/ 1", "2105/12/31", "99/99/9999"])
def test_the_instruments_own_date_is_never_used(date: str) -> None:
    found, expected = only(nidek.refractor(date=date)).observations, only(nidek.refractor()).observations
    assert [(o.concept, o.value, o.doubts) for o in found] == [(o.concept, o.value, o.doubts) for o in expected]


def test_what_cannot_be_true_is_kept_with_its_doubt() -> None:
    message = b"\x01DLM\x02 R-01.25-00.75181\x17\x04\r"
    axis = next(o for o in only(message).observations if o.concept == codes.AXIS)
    assert (axis.value, axis.doubts) == ("181", ("it is above 180",))


def test_a_wrong_checksum_is_never_accepted() -> None:
    for rule in ("optional", "required"):
        sets, (error,) = hear(nidek.damaged(nidek.lensmeter()), checksum=rule)
        assert sets == []
        assert "its checksum is wrong" in str(error)


def test_where_a_checksum_is_required_a_message_without_one_is_not_read() -> None:
    sets, (error,) = hear(nidek.autorefractor(has_checksum=False), checksum="required")
    assert (sets, "it has no checksum" in str(error)) == ([], True)
    sets, errors = hear(nidek.autorefractor(has_checksum=False), checksum="optional")
    assert (len(sets), errors) == (1, [])


def test_a_power_cut_in_the_middle_is_named_and_the_next_message_is_whole() -> None:
    half = nidek.lensmeter()[:60]
    sets, (error,) = hear(half + nidek.lensmeter(), checksum="required")
    assert [one.observations for one in sets] == [only(nidek.lensmeter()).observations]
    assert "it was cut off" in str(error)
    sets, (error,) = hear(half, checksum="required")
    assert (sets, "it was cut off" in str(error)) == ([], True)


def test_noise_before_a_message_is_dropped() -> None:
    assert only(b"\xff\x00XY\x04\x17" + nidek.tonometer(), checksum="required").observations


def test_an_instrument_that_asks_is_told_to_send() -> None:
    instrument = Instrument(profile(checksum="required", clear_to_send="CLM"))
    assert instrument.receive_data(nidek.request_to_send(), SECOND) == []
    assert instrument.answer() == b"\x01CLM\x02SD\x17\x04\r"
    assert instrument.answer() == b""
    assert instrument.errors() == []


def test_an_instrument_that_is_not_to_be_answered_gets_nothing() -> None:
    instrument = Instrument(profile(checksum="required"))
    instrument.receive_data(nidek.request_to_send(), SECOND)
    assert instrument.answer() == b""


def test_an_unknown_block_or_night_data_is_counted_and_not_guessed() -> None:
    sets, (error,) = hear(b"\x01DPM\x02 R03 519 521 520 AV520\x17\x04\r")
    assert (sets, "no value was found" in str(error)) == ([], True)
    night = nidek.refractor().replace(b"@RM\r", b"@rm\r")
    one = only(night)
    assert values(one.observations, AUTO, "R") == {}
    assert one.unread == 2


PIECES = [
    nidek.lensmeter(),
    nidek.tonometer(),
    nidek.autorefractor(has_checksum=False),
    nidek.refractor(),
    nidek.request_to_send(),
]
noise = st.binary(max_size=12)
streams = st.lists(
    st.one_of(noise, st.sampled_from(PIECES), st.sampled_from(PIECES).map(lambda m: m[: len(m) // 2])), max_size=5
)


@given(streams, st.sampled_from(["none", "optional", "required"]), st.lists(st.integers(0, 2000), max_size=6))
def test_any_stream_whole_or_in_pieces_gives_the_same_sets_and_errors(
    parts: list[bytes], checksum: str, cuts: list[int]
) -> None:
    data = b"".join(parts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = hear(data, checksum=checksum)
    for pieces in ([data[a:b] for a, b in pairwise(edges)], [data[i : i + 1] for i in range(len(data))]):
        instrument = Instrument(profile(checksum=checksum))
        sets = [one for piece in pieces for one in instrument.receive_data(piece, SECOND)] + instrument.tick(9 * SECOND)
        assert sets == expected[0]
        assert [str(error) for error in instrument.errors()] == [str(error) for error in expected[1]]


@given(
    st.binary(max_size=300),
    st.sampled_from(
        [b"\x01DLM\x02", b"\x01DRM\x02", b"\x01DKM\x02", b"\x01DNT\x02", b"\x01NIDEK RT-5100 ID\r\x02@RT\r", b""]
    ),
)
def test_any_bytes_give_numbers_or_a_named_error(data: bytes, start: bytes) -> None:
    sets, _ = hear(start + data + b"\x04\r")
    for one in sets:
        for observation in one.observations:
            assert observation.unit is None or Decimal(observation.value).is_finite()


alphabet = st.sampled_from([*"RLB+-. 0123456789AVPNODFfanITUt@/", "\r", "\x02", "\x17", "\x01", "\x04"])


@given(
    st.lists(alphabet, max_size=80).map("".join),
    st.sampled_from(["DLM\x02", "DRM\x02", "DKM\x02", "DNT\x02", "NIDEK RT-5100 ID\r"]),
)
def test_bytes_that_look_like_messages_give_numbers_or_a_named_error(text: str, header: str) -> None:
    hear(f"\x01{header}{text}\x17\x04\r".encode("ascii"))


def test_where_the_profile_states_the_chart_acuities_are_a_measurement_of_their_own():
    chart = Chart(optotype="LETTERS", definition="Sloan letters")
    found = only(nidek.refractor(), chart=chart).observations
    acuity = [one for one in found if one.part_of is ACUITY]
    assert [(one.concept.value, one.laterality, one.value) for one in acuity] == [
        ("111686", "R", "0.32"),
        ("111687", "R", "1.0"),
        ("111687", "L", "0.80"),
        ("Optotype", "", "LETTERS"),
        ("OptotypeDetailedDefinition", "", "Sloan letters"),
        ("OptotypePresentation", "", "MULTIPLE"),
        ("BackgroundColor", "", "WHITE"),
        ("ViewingDistanceType", "", "DISTANCE"),
    ]
