"""What readings mean, as codes: the words that dialects state and objects understand.

Where a published scheme has no code known to us, the keyword of the DICOM attribute is the code, in the private scheme
99GATEWAY (PS3.16 8.2: private designators begin with 99). DCM and SCT as in PS3.16 TID 2020 to 2024 and annex D; units in UCUM.
"""

from __future__ import annotations

from typing import Final

from gateway.model import Code

SPHERE: Final = Code("251795007", "SCT", "Power of sphere")
CYLINDER: Final = Code("251797004", "SCT", "Power of cylinder")
AXIS: Final = Code("251799001", "SCT", "Axis of cylinder")
ADD: Final = Code("AddPower", "99GATEWAY", "Addition")
SECOND_ADD: Final = Code("SecondAddPower", "99GATEWAY", "Second addition")
NEAR_SPHERE: Final = Code("NearSpherePower", "99GATEWAY", "Power of sphere for near vision")
SECOND_NEAR_SPHERE: Final = Code("SecondNearSpherePower", "99GATEWAY", "Second power of sphere for near vision")
HORIZONTAL_PRISM: Final = Code("111675", "DCM", "Horizontal Prism Power")
HORIZONTAL_BASE: Final = Code("111676", "DCM", "Horizontal Prism Base")
VERTICAL_PRISM: Final = Code("111677", "DCM", "Vertical Prism Power")
VERTICAL_BASE: Final = Code("111678", "DCM", "Vertical Prism Base")
DISTANCE_PD: Final = Code("111679", "DCM", "Distance Pupillary Distance")
NEAR_PD: Final = Code("111680", "DCM", "Near Pupillary Distance")
VERTEX_DISTANCE: Final = Code("VertexDistance", "99GATEWAY", "Vertex distance")

RADIUS_1: Final = Code("RadiusOfCurvature1", "99GATEWAY", "Radius of curvature of the first meridian")
RADIUS_2: Final = Code("RadiusOfCurvature2", "99GATEWAY", "Radius of curvature of the second meridian")
POWER_1: Final = Code("KeratometricPower1", "99GATEWAY", "Keratometric power of the first meridian")
POWER_2: Final = Code("KeratometricPower2", "99GATEWAY", "Keratometric power of the second meridian")
MERIDIAN_1: Final = Code("KeratometricAxis1", "99GATEWAY", "Axis of the first meridian")

PRESSURE: Final = Code("56844-4", "LN", "Intraocular pressure of Eye")
COMPENSATED_PRESSURE: Final = Code("IOPcc", "99GATEWAY", "Corneal-compensated intraocular pressure")
HYSTERESIS: Final = Code("CH", "99GATEWAY", "Hysteresis of the cornea")
CURVE_SCORE: Final = Code("WS", "99GATEWAY", "Score of the tonometer's curve, 0 to 10")
HABITUAL_ACUITY: Final = Code("111686", "DCM", "Habitual Visual Acuity")
AUTOREFRACTION_ACUITY: Final = Code("111685", "DCM", "Autorefraction Visual Acuity")
PRESCRIPTION_ACUITY: Final = Code("111687", "DCM", "Prescription Visual Acuity")
UNCORRECTED_ACUITY: Final = Code("420050001", "SCT", "Uncorrected Visual Acuity")
ACUITIES: Final = frozenset({HABITUAL_ACUITY, AUTOREFRACTION_ACUITY, PRESCRIPTION_ACUITY, UNCORRECTED_ACUITY})
"""Kinds of visual acuity (PS3.16 CID 4216)."""
OPTOTYPE: Final = Code("Optotype", "99GATEWAY", "Optotype")
OPTOTYPE_DEFINITION: Final = Code("OptotypeDetailedDefinition", "99GATEWAY", "Definition of the optotype")
OPTOTYPE_PRESENTATION: Final = Code("OptotypePresentation", "99GATEWAY", "Optotypes shown at a time")
CHART_BACKGROUND: Final = Code("BackgroundColor", "99GATEWAY", "Background of the chart")
VIEWING_DISTANCE: Final = Code("ViewingDistanceType", "99GATEWAY", "Viewing distance")

DIOPTRE: Final = Code("[diop]", "UCUM", "dioptre")
PRISM_DIOPTRE: Final = Code("[p'diop]", "UCUM", "prism dioptre")
DEGREE: Final = Code("deg", "UCUM", "degree")
MILLIMETRE: Final = Code("mm", "UCUM", "mm")
MMHG: Final = Code("mm[Hg]", "UCUM", "mmHg")
KILOPASCAL: Final = Code("kPa", "UCUM", "kPa")
NO_UNITS: Final = Code("1", "UCUM", "no units")
PER_MINUTE: Final = Code("/min", "UCUM", "/min")

LEADS: Final = (
    Code("2:1", "MDC", "Lead I"),
    Code("2:2", "MDC", "Lead II"),
    Code("2:61", "MDC", "Lead III"),
    Code("2:62", "MDC", "aVR, augmented voltage, right"),
    Code("2:63", "MDC", "aVL, augmented voltage, left"),
    Code("2:64", "MDC", "aVF, augmented voltage, foot"),
    Code("2:3", "MDC", "Lead V1"),
    Code("2:4", "MDC", "Lead V2"),
    Code("2:5", "MDC", "Lead V3"),
    Code("2:6", "MDC", "Lead V4"),
    Code("2:7", "MDC", "Lead V5"),
    Code("2:8", "MDC", "Lead V6"),
)
"""The twelve leads of an electrocardiogram, in the order of a page (PS3.16 CID 3001)."""
MILLIVOLT: Final = Code("mV", "UCUM", "mV")
MICROVOLT: Final = Code("uV", "UCUM", "µV")

FETAL_HEART_RATE: Final = Code("55283-6", "LN", "Fetal Heart rate")
SECOND_HEART_RATE: Final = Code("SecondHeartRate", "99GATEWAY", "Second heart rate")
"""Beside the fetal one: a twin's or the mother's, as the monitor's modes say."""
UTERINE_ACTIVITY: Final = Code("UterineActivity", "99GATEWAY", "Uterine activity")
FETAL_MOVEMENT: Final = Code("FetalMovement", "99GATEWAY", "Fetal movement")
"""Of a cardiotocogram: 1 while there is one, else 0."""
EVENT_MARK: Final = Code("EventMark", "99GATEWAY", "Event mark")
"""Of a cardiotocogram: 1 where somebody pressed Mark, else 0."""
MONITOR_MODES: Final = Code("FetalMonitorModes", "99GATEWAY", "Modes of the fetal monitor, as it sent them")
"""A text about the curves, at whatever time it came: no mark on them."""
