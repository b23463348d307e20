"""The numbers of EN 1064 to coded concepts: leads (PS3.16 CID 3001) and what was measured of an ECG (CID 3227 to 3229).

EN 1064 and ISO/IEEE 11073-10101 share the numbers of the leads, but not all of them: what one calls the calibration pulse of a
lead (31 to 60), the other calls a derived lead. Only those on which both agree are here. A test holds every code against the
concept dictionary that pydicom made of PS3.16.
"""

from __future__ import annotations

from typing import Final

from gateway.model import Code

UNSPECIFIED: Final = Code("2:0", "MDC", "Unspecified lead")
LEADS: Final = {
    number: Code(f"2:{number}", "MDC", meaning)
    for number, meaning in (
        (1, "Lead I"),
        (2, "Lead II"),
        (3, "Lead V1"),
        (4, "Lead V2"),
        (5, "Lead V3"),
        (6, "Lead V4"),
        (7, "Lead V5"),
        (8, "Lead V6"),
        (9, "Lead V7"),
        (10, "Lead V2R"),
        (11, "Lead V3R"),
        (12, "Lead V4R"),
        (13, "Lead V5R"),
        (14, "Lead V6R"),
        (15, "Lead V7R"),
        (16, "Lead X"),
        (17, "Lead Y"),
        (18, "Lead Z"),
        (19, "Chest lead per V5 and V5R placement"),
        (20, "Chest-manubrium lead per V5 placement"),
        (21, "Left Arm Lead"),
        (22, "Right Arm Lead"),
        (23, "Left Leg Lead"),
        (24, "Frank Lead I"),
        (25, "Frank Lead E"),
        (26, "Frank Lead C"),
        (27, "Frank Lead A"),
        (28, "Frank Lead M"),
        (29, "Frank Lead F"),
        (30, "Frank Lead H"),
        (61, "Lead III"),
        (62, "aVR, augmented voltage, right"),
        (63, "aVL, augmented voltage, left"),
        (64, "aVF, augmented voltage, foot"),
        (65, "\N{MINUS SIGN}aVR"),
        (66, "Lead V8"),
        (67, "Lead V9"),
        (68, "Lead V8R"),
        (69, "Lead V9R"),
        (70, "Lead D (Nehb - Dorsal)"),
        (71, "Lead A (Nehb - Anterior)"),
        (72, "Lead J (Nehb - Inferior)"),
        (73, "Defibrillator lead: anterior-lateral"),
        (74, "External pacing lead: anterior-posterior"),
        (75, "Auxiliary unipolar lead 1"),
        (76, "Auxiliary unipolar lead 2"),
        (77, "Auxiliary unipolar lead 3"),
        (78, "Auxiliary unipolar lead 4"),
    )
}

HEART_RATE: Final = Code("8867-4", "LN", "Heart rate")
RR: Final = Code("2:16168", "MDC", "RR interval global")
PP: Final = Code("2:16140", "MDC", "PP interval global")
P_DURATION: Final = Code("2:16184", "MDC", "P duration global")
PR: Final = Code("2:15872", "MDC", "PR interval global")
QRS: Final = Code("2:16156", "MDC", "QRS duration global")
QT: Final = Code("2:16160", "MDC", "QT interval global")
QTC: Final = Code("2:15876", "MDC", "QTc interval global")
QTC_BAZETT: Final = Code("2:15880", "MDC", "QTc global using Bazett formula")
P_AXIS: Final = Code("2:16128", "MDC", "P Axis")
QRS_AXIS: Final = Code("2:16132", "MDC", "QRS axis")
T_AXIS: Final = Code("2:16136", "MDC", "T axis")
STARTED: Final = Code("111526", "DCM", "DateTime Started")
INTERPRETATION: Final = Code("122147", "DCM", "Clinical Interpretation")

MILLISECOND: Final = Code("ms", "UCUM", "millisecond")
DEGREE: Final = Code("deg", "UCUM", "Degree")
