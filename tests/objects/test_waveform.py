"""Curves become waveform objects: every sample as it came, in the object that may hold it, and what none takes is said."""

import io
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydicom.waveforms import multiplex_array

from gateway import codes
from gateway.errors import ClockUntrusted, ObjectInvalid
from gateway.model import NO_SAMPLE, Code, ReadingSet, TraceKind
from gateway.objects import curves, encode, iods, revise, stated, transcode, verify, waveform
from gateway.profile import READINGS
from tests.objects import hearts, samples


def objects_of(*traces, observations=()):
    return list(stated.objects_of(ReadingSet(traces=traces, observations=observations, received_ns=5_000_000_000)))


def curves_of(*traces):
    """Of each waveform object: its IOD, and how many traces it holds."""
    found = [held.traces for kind, held in objects_of(*traces) if kind in waveform.KINDS]
    return [(waveform.iod_of(held), len(held)) for held in found]


def channels(ds):
    """(definition, raw samples, values) of every channel."""
    for at, group in enumerate(ds.WaveformSequence):
        raw, values = multiplex_array(ds, at, as_raw=True), multiplex_array(ds, at, as_raw=False)
        for channel, definition in enumerate(group.ChannelDefinitionSequence):
            yield definition, raw[:, channel], values[:, channel]


@pytest.mark.parametrize("name", samples.WAVEFORMS)
def test_an_object_holds_the_samples_of_each_trace_and_what_they_mean(read, saved, name):
    data, _ = samples.drawn(samples.WAVEFORMS[name])
    found = list(channels(read(data)))
    traces = [trace for group in curves.groups_of(samples.WAVEFORMS[name].traces) for trace in group]
    assert len(found) == len(traces)
    for (definition, raw, values), trace in zip(found, traces, strict=True):
        assert raw.astype("<i2").tobytes() == trace.samples
        assert definition.ChannelSourceSequence[0].CodeValue == trace.channel.value
        assert definition.ChannelSensitivityUnitsSequence[0].CodeValue == trace.unit.value
        assert Decimal(str(definition.ChannelSensitivity)) == Decimal(trace.step)
        assert Decimal(str(definition.ChannelBaseline)) == Decimal(trace.zero)
        exact = [Decimal(trace.zero) + int(sample) * Decimal(trace.step) for sample in raw[:50]]
        assert values[:50] == pytest.approx([float(value) for value in exact], abs=1e-9)
    assert verify.check(saved(data)) == []


def test_a_lead_says_its_filters_and_its_name(read):
    definition, _, _ = list(channels(read(samples.drawn(hearts.ELECTROCARDIOGRAM)[0])))[3]
    assert (definition.ChannelLabel, definition.ChannelSourceSequence[0].CodeValue) == ("aVR", "2:62")
    assert (definition.FilterLowFrequency, definition.FilterHighFrequency) == (0.05, 150)
    assert definition.NotchFilterFrequency == 50


@pytest.mark.parametrize(
    ("meaning", "label"),
    [
        ("Arterial pressure waveform (P1)", "Arterial pr (P1)"),
        ("Pulmonary artery pressure waveform (P2)", "Pulmonary a (P2)"),
        ("Chest lead (ECG3)", "Chest lea (ECG3)"),
        ("Pressure (P1)", "Pressure (P1)"),
        ("Airway pressure of a machine", "Airway pressure"),
        ("Pressure (of the pulmonary artery)", "Pressure (of the"),
    ],
)
def test_two_pressures_are_told_apart_by_the_short_name_of_their_channel(meaning, label, read):
    named = Code("128446002", "SCT", meaning)
    ds = read(samples.drawn(ReadingSet(traces=(hearts.pressure(channel=named),), received_ns=1))[0])
    assert ds.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelLabel == label


def test_a_lead_stated_by_its_whole_number_is_the_same_lead(read):
    said = Code("131134", "MDC", "MDC_ECG_LEAD_AVR")
    ds = read(samples.drawn(ReadingSet(traces=(hearts.lead(3, channel=said),), received_ns=1))[0])
    assert ds.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSourceSequence[0].CodeValue == "2:62"


def test_what_was_not_measured_is_padding(read):
    lost = np.frombuffer(hearts.lead(1).samples, "<i2").copy()
    lost[100:200] = NO_SAMPLE
    group = read(
        samples.drawn(ReadingSet(traces=(hearts.lead(1, samples=lost.tobytes()),), received_ns=1))[0]
    ).WaveformSequence[0]
    assert int.from_bytes(group.WaveformPaddingValue, "little", signed=True) == NO_SAMPLE
    assert "WaveformPaddingValue" not in read(samples.drawn(hearts.ELECTROCARDIOGRAM)[0]).WaveformSequence[0]


def test_what_was_measured_of_an_electrocardiogram_stands_beside_it_with_its_doubts_and_in_the_report(read):
    (_, curve), (_, report) = (
        (kind, held)
        for kind, held in objects_of(*hearts.twelve(), observations=hearts.MEASURED)
        if kind.modality != "DOC"
    )
    assert curve.observations == report.observations == hearts.MEASURED
    notes = read(samples.drawn(hearts.ELECTROCARDIOGRAM)[0]).WaveformAnnotationSequence
    numbers = {one.ConceptNameCodeSequence[0].CodeMeaning: one for one in notes if "NumericValue" in one}
    assert (numbers["Q-T interval"].NumericValue, numbers["Q-T interval"].ReferencedWaveformChannels) == (398, [1, 0])
    texts = [one.UnformattedTextValue for one in notes if "UnformattedTextValue" in one]
    assert texts == ["QRS axis: it is outside -180 to 180", "Comment: Sinus rhythm. Normal ECG."]


def test_a_doubtful_curve_is_marked(read):
    ds = read(samples.drawn(samples.WAVEFORMS["hemodynamic"])[0])
    assert [definition.get("ChannelStatus") for definition, _, _ in channels(ds)] == [None, "QUESTIONABLE", None]
    (note,) = ds.WaveformAnnotationSequence
    assert (note.ReferencedWaveformChannels, note.UnformattedTextValue) == ([1, 2], "the line was flushed")


def test_twelve_leads_or_the_eight_from_which_the_others_follow_are_a_12_lead_ecg():
    eight = tuple(hearts.lead(at, seconds=1) for at in sorted(waveform.INDEPENDENT))
    assert curves_of(*hearts.twelve(seconds=1)) == [(iods.TWELVE_LEAD_ECG, 12)]
    assert curves_of(*eight) == [(iods.TWELVE_LEAD_ECG, 8)]
    assert curves_of(*eight[1:]) == [(iods.GENERAL_ECG, 7)]


def test_what_is_longer_or_has_another_channel_is_a_general_ecg():
    other = hearts.lead(1, seconds=1, channel=Code("131139", "MDC", "another lead"))
    twelve = hearts.twelve(seconds=1)
    assert curves_of(*twelve, other) == [(iods.GENERAL_ECG, 13)]
    for count, iod in ((16384, iods.TWELVE_LEAD_ECG), (16385, iods.GENERAL_ECG)):
        assert curves_of(*(replace(trace, samples=bytes(2 * count)) for trace in twelve)) == [(iod, 12)]


def test_what_has_too_many_channels_or_groups_becomes_several_objects():
    ten = tuple(hearts.pressure(channel=Code(str(at), "99GATEWAY", f"Pressure {at}")) for at in range(10))
    rates = tuple(hearts.pressure(hz=float(hz)) for hz in (50, 100, 125, 200, 250, 400))
    assert [count for _, count in curves_of(*ten)] == [8, 2]
    assert [count for _, count in curves_of(*rates)] == [4, 2]
    assert curves_of(hearts.pleth(), hearts.pleth()) == [(iods.ARTERIAL_PULSE, 1)] * 2
    assert curves_of(hearts.breathing(), hearts.breathing()) == [(iods.RESPIRATORY, 1)] * 2


def test_curves_that_begin_at_different_times_are_objects_of_their_own_times():
    later = hearts.pressure(received_ns=7_000_000_000)
    found = [held.received_ns for kind, held in objects_of(hearts.pressure(), later) if kind in waveform.KINDS]
    assert found == [5_000_000_000, 7_000_000_000]


@pytest.mark.parametrize(
    ("trace", "why"),
    [
        (hearts.lead(1, hz=125.0), "no waveform object takes 125 samples in a second of it"),
        (hearts.lead(1, hz=1001.0), "no waveform object takes 1001 samples in a second of it"),
        (hearts.breathing(hz=125.0), "no waveform object takes 125 samples in a second of it"),
        (hearts.pressure(zero="high"), "what its samples mean is no number that an object can hold"),
        (replace(hearts.pressure(), step="-1"), "what its samples mean is no number that an object can hold"),
        (
            replace(hearts.pressure(), step="0.12345678901234567"),
            "what its samples mean is no number that an object can hold",
        ),
        (replace(hearts.pressure(), samples=b"\1"), "it has no samples that are evenly spaced in time"),
        (replace(hearts.pressure(), hz=float("nan")), "it has no samples that are evenly spaced in time"),
    ],
)
def test_a_curve_that_no_object_takes_is_said_in_the_report_and_of_the_capture(trace, why):
    found = [(kind, held) for kind, held in objects_of(trace, hearts.pleth()) if kind.modality != "DOC"]
    assert [kind.modality for kind, _ in found] == ["HD", "SR"]
    sentence = f"The curve {curves.label(trace.channel)} is in no waveform object, the journal has it: {why}."
    assert [one.value for one in found[1][1].observations] == [sentence]
    assert list(stated.unheld(ReadingSet(traces=(trace,), received_ns=1))) == [sentence]


def test_a_curve_of_which_nothing_was_measured_is_no_object():
    empty = replace(hearts.pressure(), samples=NO_SAMPLE.to_bytes(2, "little", signed=True) * 100)
    assert objects_of(empty) == []


def test_traces_that_do_not_belong_together_are_refused():
    for traces in ((), (hearts.pressure(), hearts.pleth()), (hearts.pleth(), hearts.pleth()), hearts.fetal(1)):
        with pytest.raises(ObjectInvalid):
            waveform.iod_of(traces)


@pytest.mark.parametrize("name", samples.WAVEFORMS)
def test_an_identity_given_later_changes_no_sample_and_the_object_is_the_one_that_would_have_been_written(
    saved, read, name
):
    before = samples.drawn(samples.WAVEFORMS[name], exam_changes={"patient": None, "scheduled": None})[0]
    after = io.BytesIO()
    old = read(before)
    kind = stated.kind_of(str(old.Modality))
    said = samples.words(
        object=kind, sop_instance_uid=str(old.SOPInstanceUID), series_instance_uid=str(old.SeriesInstanceUID)
    )
    revise.write(saved(before), after, said, modified_at=samples.AT)
    new = read(after.getvalue())
    assert new.PatientID == "P-0042"
    assert new.WaveformSequence == old.WaveformSequence
    del new.OriginalAttributesSequence
    assert new == read(samples.drawn(samples.WAVEFORMS[name])[0])
    assert verify.check(saved(after.getvalue())) == []


def test_a_confirmed_time_moves_the_time_of_acquisition_and_is_said(saved, read):
    before = samples.drawn(samples.WAVEFORMS["general-ecg"], exam_changes={"clock_doubt": "no time server"})[0]
    assert "no time server" in read(before).AcquisitionContextDescription
    at = samples.AT.replace(day=4)
    said = samples.words(
        sop_instance_uid=str(read(before).SOPInstanceUID),
        captured_at=at,
        exam_changes={"clock_note": "A person confirmed the time.", "started_at": at},
    )
    sink = io.BytesIO()
    revise.write(saved(before), sink, said, modified_at=samples.AT)
    after = read(sink.getvalue())
    assert after.AcquisitionDateTime.startswith("20261204")
    assert after.AcquisitionContextDescription == "Clock: A person confirmed the time."


def test_a_time_of_1970_is_refused():
    with pytest.raises(ClockUntrusted):
        samples.drawn(hearts.ELECTROCARDIOGRAM, captured_at=samples.AT.replace(year=1970))


def test_a_group_that_announces_more_than_it_holds_is_seen(saved, read):
    ds = read(samples.drawn(samples.WAVEFORMS["general-ecg"])[0])
    ds.WaveformSequence[0].NumberOfWaveformSamples = 4000
    ds.WaveformSequence[0].NumberOfWaveformChannels = 2
    sink = io.BytesIO()
    ds.save_as(sink)
    assert len(verify.check(saved(sink.getvalue()))) == 2


numbers = st.one_of(st.text(max_size=6), st.decimals(allow_nan=True, allow_infinity=True).map(str))
traces = st.lists(
    st.builds(
        replace,
        st.sampled_from([hearts.lead(1, 0.1), hearts.pressure(0.1), hearts.pleth(0.1), hearts.breathing(0.2)]),
        kind=st.sampled_from(TraceKind),
        channel=st.sampled_from([*codes.LEADS, Code("131072", "MDC", "a lead"), Code("x" * 20, "99X", "Ä" * 80)]),
        hz=st.floats(allow_nan=True),
        step=numbers,
        zero=numbers,
        samples=st.binary(max_size=40),
        received_ns=st.integers(0, 3),
    ),
    max_size=6,
)


@given(traces)
def test_any_traces_become_objects_that_can_be_written_or_are_said_to_be_in_none(found):
    objects = [(kind, held) for kind, held in objects_of(*found) if kind.modality != "DOC"]
    held = [trace for kind, one in objects if kind in waveform.KINDS for trace in one.traces]
    said = len(list(stated.unheld(ReadingSet(traces=tuple(found), received_ns=0))))
    silent = [t for t in found if not waveform.why_not(t) and curves.is_empty(t)]
    strips = [t for t in found if t.kind is TraceKind.CARDIOTOCOGRAM]
    assert len(held) + said + len(silent) + len(strips) == len(found)
    for kind, one in objects:
        stated.write(io.BytesIO(), samples.words(object=kind), one)
    assert all(kind in (*waveform.KINDS, READINGS) for kind, _ in objects)


@pytest.mark.parametrize("target", [encode.IMPLICIT_LITTLE, encode.EXPLICIT_BIG, encode.DEFLATED])
@pytest.mark.parametrize("name", ["twelve-lead-ecg", "hemodynamic"])
def test_every_form_of_an_object_holds_the_same_samples(read, saved, name, target):
    plain = saved(samples.drawn(samples.WAVEFORMS[name])[0])
    there, back = io.BytesIO(), io.BytesIO()
    transcode.write(plain, there, target, samples.decode, samples.encode)
    packed = saved(there.getvalue())
    assert verify.check(packed) == []
    assert verify.same(plain, packed, samples.decode)
    for (_, one, _), (_, other, _) in zip(
        channels(read(plain.read_bytes())), channels(read(there.getvalue())), strict=True
    ):  # pydicom leaves the words of a big endian object as they lie
        assert np.array_equal(one, other.byteswap() if target == encode.EXPLICIT_BIG else other)
    transcode.write(packed, back, encode.EXPLICIT_LITTLE, samples.decode, samples.encode)
    assert back.getvalue() == plain.read_bytes()
