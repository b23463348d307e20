"""What a person sees of an instrument now: the last of each kind, bounded however long it runs."""

from msgspec import structs

from gateway.model import Code, Observation, Trace, TraceKind
from gateway.source import recent
from gateway.source.recent import Recent

PULSE = Code("8867-4", "LN", "Heart rate")
PER_MINUTE = Code("/min", "UCUM", "/min")


def value(said: str, laterality: str = "") -> Observation:
    return Observation(concept=PULSE, value=said, unit=PER_MINUTE, laterality=laterality)


def piece(samples: int, **fields: object) -> Trace:
    given = {"kind": TraceKind.ECG, "channel": PULSE, "unit": PER_MINUTE, "hz": 100.0, "step": "1"}
    return Trace(samples=bytes(2 * samples), **(given | fields))


def test_the_last_value_of_each_concept_and_side_is_shown_in_order_of_their_first_coming() -> None:
    shown = Recent()
    shown.add([value("60", "R"), value("61", "L")], [])
    shown.add([value("62", "R")], [])
    assert [(one.value, one.laterality) for one in shown.values()] == [("62", "R"), ("61", "L")]


def test_the_last_ten_seconds_of_a_curve_are_shown() -> None:
    shown = Recent()
    for _ in range(50):
        shown.add([], [piece(99)])
    (one,) = shown.traces()
    assert (len(one.samples), one.hz) == (2000, 100.0)


def test_a_curve_of_another_scale_begins_anew() -> None:
    shown = Recent()
    shown.add([], [piece(100)])
    shown.add([], [piece(5, step="2")])
    (one,) = shown.traces()
    assert (len(one.samples), one.step) == (10, "2")


def test_an_instrument_that_never_says_the_same_twice_fills_no_memory() -> None:
    shown = Recent()
    for number in range(1000):
        code = structs.replace(PULSE, value=str(number))
        shown.add([structs.replace(value("1"), concept=code)], [piece(1, channel=code)])
    assert (len(shown.values()), len(shown.traces())) == (recent.MOST_VALUES, recent.MOST_TRACES)
