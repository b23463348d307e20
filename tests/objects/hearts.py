"""Curves that no patient ever had: an electrocardiogram of sums of bells, a fetal strip, and what a monitor draws."""

import numpy as np

from gateway import codes
from gateway.model import NO_SAMPLE, Code, Observation, ReadingSet, Trace, TraceKind

BPM = Code("{beats}/min", "UCUM", "beats per minute")
PERCENT = Code("%", "UCUM", "%")
MILLISECOND = Code("ms", "UCUM", "ms")
FHR = Code("18241-0", "MDC", "Fetal heart rate 1")
FHR_2 = Code("18242-0", "MDC", "Fetal heart rate 2")
UA = Code("18243-0", "MDC", "Uterine activity")

WAVES = ((0.18, 0.022, 0), (0.345, 0.009, 1), (0.37, 0.011, 2), (0.395, 0.010, 3), (0.62, 0.055, 4))
"""Of P, Q, R, S and T: where in the beat (s), how wide (s), which column of AMPLITUDES."""
AMPLITUDES = {
    0: (90, -60, 650, -120, 170),
    1: (140, -80, 1100, -160, 280),
    6: (60, 0, 220, -850, 60),
    7: (70, 0, 480, -1250, 380),
    8: (80, -20, 850, -900, 420),
    9: (80, -60, 1400, -450, 390),
    10: (80, -90, 1300, -200, 330),
    11: (70, -90, 1000, -80, 250),
}
"""In microvolts, of the leads from which the others follow."""


def beats(seconds, hz, amplitudes, rate=72, seed=3):
    at = np.arange(int(seconds * hz)) / hz
    rng = np.random.default_rng(seed)
    found = np.zeros_like(at)
    starts = np.cumsum(60 / rate + rng.normal(0, 0.012, int(seconds * rate / 60) + 3)) - 60 / rate
    for start in starts:
        for centre, width, which in WAVES:
            found += amplitudes[which] * np.exp(-((at - start - centre) ** 2) / (2 * width**2))
    return found


def packed(values, step=1.0):
    return np.clip(np.rint(np.asarray(values) / step), -32767, 32767).astype("<i2").tobytes()


def lead(at, seconds=10.0, hz=500.0, *, step="2.5", unit=codes.MICROVOLT, **changes):
    """One of the twelve leads, by its place in codes.LEADS."""
    noise = np.random.default_rng(at).normal(0, 6, int(seconds * hz))

    def of(place):
        return beats(seconds, hz, AMPLITUDES[place])

    one, two = of(0), of(1)
    derived = {2: two - one, 3: -(one + two) / 2, 4: one - two / 2, 5: two - one / 2}
    values = (derived[at] if at in derived else of(at)) + noise
    factor = float(step) * (1000 if unit == codes.MILLIVOLT else 1)
    said = {
        "kind": TraceKind.ECG,
        "channel": codes.LEADS[at],
        "unit": unit,
        "hz": hz,
        "step": step,
        "samples": packed(values, factor),
        "received_ns": 5_000_000_000,
        "low_hz": 0.05,
        "high_hz": 150.0,
        "notch_hz": 50.0,
    }
    return Trace(**(said | changes))


def twelve(seconds=10.0, hz=500.0, **changes):
    return tuple(lead(at, seconds, hz, **changes) for at in range(12))


def _value(concept, value, unit, **changes):
    return Observation(concept=concept, value=value, unit=unit, received_ns=5_000_000_000, **changes)


MEASURED = (
    _value(Code("8867-4", "LN", "Heart rate"), "72", BPM),
    _value(Code("8625-6", "LN", "P-R Interval"), "164", MILLISECOND),
    _value(Code("8633-0", "LN", "QRS duration"), "92", MILLISECOND),
    _value(Code("8634-8", "LN", "Q-T interval"), "398", MILLISECOND),
    _value(Code("8636-3", "LN", "Q-T interval corrected"), "436", MILLISECOND),
    _value(Code("8632-2", "LN", "QRS axis"), "181", codes.DEGREE, doubts=("it is outside -180 to 180",)),
    Observation(concept=Code("121106", "DCM", "Comment"), value="Sinus rhythm. Normal ECG.", received_ns=5_000_000_000),
)
ELECTROCARDIOGRAM = ReadingSet(traces=twelve(), observations=MEASURED, received_ns=5_000_000_000, model_name="MAC 500")


def curve(kind, channel, unit, values, hz, step="1", **changes):
    said = {"kind": kind, "channel": channel, "unit": unit, "hz": hz, "step": step, "received_ns": 5_000_000_000}
    return Trace(samples=packed(values, float(step)), **(said | changes))


def pressure(seconds=10, hz=100.0, channel=None, **changes):
    """An arterial pressure."""
    at = np.arange(int(seconds * hz)) / hz
    values = 80 + 40 * np.abs(np.sin(np.pi * 1.2 * at)) ** 3
    channel = channel or Code("150032", "MDC", "Arterial pressure")
    return curve(TraceKind.HEMODYNAMIC, channel, codes.MMHG, values, hz, "0.25", **changes)


def pleth(seconds=10, hz=100.0, **changes):
    at = np.arange(int(seconds * hz)) / hz
    values = 2000 + 1500 * np.abs(np.sin(np.pi * 1.2 * at))
    channel = Code("109116", "DCM", "Arterial Pulse Waveform")
    return curve(TraceKind.ARTERIAL_PULSE, channel, codes.NO_UNITS, values, hz, **changes)


def breathing(seconds=10, hz=25.0, **changes):
    at = np.arange(int(seconds * hz)) / hz
    channel = Code("151784", "MDC", "Airway pressure")
    unit = Code("mbar", "UCUM", "mbar")
    return curve(TraceKind.RESPIRATORY, channel, unit, 10 + 8 * np.sin(1.5 * at), hz, "0.01", zero="-2.5", **changes)


def fetal(minutes=20, hz=4.0, seed=11):
    """Two traces of a cardiotocogram, with pen lifts."""
    rng = np.random.default_rng(seed)
    at = np.arange(int(minutes * 60 * hz)) / hz
    contraction = 55 * np.exp(-(((at % 210) - 100) ** 2) / (2 * 24**2))
    rate = 138 + 6 * np.sin(at / 9) + np.cumsum(rng.normal(0, 0.25, at.size)) * 0.4 + rng.normal(0, 1.0, at.size)
    rate += 18 * np.exp(-(((at - 380) % 700 - 60) ** 2) / (2 * 11**2)) - 0.35 * np.roll(contraction, int(18 * hz))
    heart = np.clip(np.rint(rate * 4), 30 * 4, 240 * 4).astype("<i2")
    for start in (140, 612, 900):
        heart[int(start * hz) : int((start + 9) * hz)] = NO_SAMPLE
    first = 5_000_000_000
    common = {"kind": TraceKind.CARDIOTOCOGRAM, "hz": hz, "received_ns": first}
    return (
        Trace(channel=FHR, unit=BPM, step="0.25", samples=heart.tobytes(), **common),
        Trace(channel=UA, unit=PERCENT, step="0.5", samples=packed(8 + contraction, 0.5), **common),
    )


STRIP = ReadingSet(
    traces=fetal(),
    observations=(
        Observation(
            concept=Code("121106", "DCM", "Comment"), value="Patient pressed the button", received_ns=(5 + 410) * 10**9
        ),
    ),
    received_ns=5_000_000_000,
    model_name="170",
)
