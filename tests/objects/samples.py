"""What the tests of objects share: words for every object kind, pictures of every shape, codecs that are not ours."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import imagecodecs
import numpy as np
from msgspec.structs import replace
from pydicom.pixels.decoders.rle import _rle_decode_frame as rle_decode_frame
from pydicom.pixels.encoders import RLELosslessEncoder

from gateway import codes, uids
from gateway.config import Station
from gateway.model import (
    Code,
    Equipment,
    Instance,
    MeasurementKind,
    Observation,
    Patient,
    PerformedStep,
    Picture,
    ReadingSet,
    Region,
    ScheduledStep,
    StepStatus,
)
from gateway.objects import image, note, refraction, sr, stated, video
from gateway.objects.words import Words
from gateway.profile import ObjectKind
from tests.objects import hearts

EXAM = UUID("6f1f4d1e-2f6b-4c0e-9d7b-3f0a5a1c2b3d")
AT = datetime(2026, 12, 1, 9, 30, 15, 250_000, tzinfo=UTC)
JPEG_LS = "1.2.840.10008.1.2.4.80"
RLE = "1.2.840.10008.1.2.5"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
JPEG = "1.2.840.10008.1.2.4.50"
EXPLICIT = "1.2.840.10008.1.2.1"

PATIENT = Patient(patient_id="P-0042", name="Müller^Ana", birth_date="19700102", sex="F")
STEP = ScheduledStep(
    patient=PATIENT,
    scheduled_procedure_step_id="SPS1",
    study_instance_uid="1.2.826.0.1.3680043.8.498.1",
    accession_number="A-17",
    requested_procedure_id="RP1",
    requested_procedure_description="Ultrasound abdomen",
    requested_procedure_code=Code("45036003", "SCT", "Ultrasonography of abdomen"),
    scheduled_procedure_step_description="Abdomen",
    scheduled_protocol_codes=(Code("45036003", "SCT", "Ultrasonography of abdomen"),),
    modality="US",
    referring_physician_name="Rossi^Carla",
    performing_physician_name="Okafor^Ngozi",
    patient_weight_kg="61.5",
    medical_alerts="Pacemaker",
    allergies="Latex",
    pregnancy_status="1",
    admission_id="ADM9",
)


LARYNX = Code("4596009", "SCT", "Larynx")
SKIN = Code("39937001", "SCT", "Skin")


def object_kind(kind):
    """What a profile says of each kind of object."""
    if kind == "us":
        return ObjectKind(modality="US", still="us", cine="us", series_description="Live")
    modality, region = {
        "sc": ("OT", None),
        "endoscopic": ("ES", LARYNX),
        "microscopic": ("GM", LARYNX),
        "photographic": ("XC", SKIN),
        "dermoscopic": ("DMS", SKIN),
        "specimen": ("GM", LARYNX),
    }[kind]
    return ObjectKind(
        modality=modality,
        still="microscopic" if kind == "specimen" else kind,
        cine={"dermoscopic": "sc", "specimen": "microscopic"}.get(kind, kind),
        specimen=kind == "specimen",
        anatomic_region=region,
        recognizable_visual_features=False if kind == "dermoscopic" else None,
        series_description="Live",
    )


def exam(**changes):
    step = PerformedStep(
        exam_id=EXAM,
        station="us-room-1",
        status=StepStatus.IN_PROGRESS,
        study_instance_uid=STEP.study_instance_uid,
        modality="US",
        profile="us",
        started_at=AT - timedelta(minutes=3),
        started_ns=1_000_000_000,
        boot_id="b0",
        patient=PATIENT,
        scheduled=STEP,
        operator="Lee^Kim",
    )
    return replace(step, **changes)


def words(kind="us", *, exam_changes=None, **changes):
    made = Words(
        exam=exam(**(exam_changes or {})),
        equipment=Equipment(
            manufacturer="Aloka", model_name="SSD-500", serial_number="123", software_versions="1.0", station_name="US1"
        ),
        object=object_kind(kind),
        station=Station(institution_name="Clinic", timezone="Africa/Nairobi"),
        sop_instance_uid=uids.instance(EXAM, "image", 1, 1),
        series_instance_uid=uids.series(EXAM, "image"),
        series_number=1,
        instance_number=1,
        captured_at=AT,
    )
    return replace(made, **changes)


def picture(rows=48, columns=64, samples=1, frames=1, **changes):
    made = Picture(
        rows=rows,
        columns=columns,
        samples_per_pixel=samples,
        transfer_syntax_uid=EXPLICIT,
        photometric_interpretation="RGB" if samples == 3 else "MONOCHROME2",
        frame_count=frames,
        frame_times_ns=tuple(10**9 + 40_000_000 * index for index in range(frames)) if frames > 1 else (),
        steps=("crop 64x48+0+0", "de-interlaced (motion adaptive)"),
        source_format="PAL 625/50i",
    )
    return replace(made, **changes)


def pixels(shown, seed=7):
    """Frames of a picture, (rows, columns[, 3]) uint8: noise with a ramp, so that a swapped axis is seen."""
    rng = np.random.default_rng(seed)
    shape = (shown.rows, shown.columns) + ((3,) if shown.samples_per_pixel == 3 else ())
    if shown.bits_stored > 8:
        return [rng.integers(0, 1 << shown.bits_stored, shape, dtype=np.uint16) for _ in range(shown.frame_count)]
    ramp = np.linspace(0, 180, shown.columns, dtype=np.uint8)
    ramp = ramp[None, :, None] if len(shape) == 3 else ramp[None, :]
    return [rng.integers(0, 60, shape, dtype=np.uint8) + ramp for _ in range(shown.frame_count)]


READINGS = (
    Observation(
        concept=Code("8867-4", "LN", "Heart rate"),
        value="72",
        unit=Code("/min", "UCUM", "per minute"),
        received_ns=5_000_000_000,
    ),
    Observation(
        concept=Code("56844-4", "LN", "Intraocular pressure of Eye"),
        value="12.5",
        unit=Code("mm[Hg]", "UCUM", "mmHg"),
        received_ns=5_250_000_000,
        doubts=("it is outside 0 to 10",),
    ),
    Observation(concept=Code("121106", "DCM", "Comment"), value="Messung ok 中", received_ns=5_500_000_000),
)


def composed(kind, shown, frames=None, **changes):
    """The bytes of a Part 10 image, and what was written."""
    sink = io.BytesIO()
    raw = frames if frames is not None else [frame.tobytes() for frame in pixels(shown)]
    written = image.write(sink, words(kind, **changes), shown, iter(raw))
    return sink.getvalue(), written


def report(observations=READINGS, **changes):
    sink = io.BytesIO()
    made = words(
        sop_instance_uid=uids.instance(EXAM, "sr", 2, 1), series_instance_uid=uids.series(EXAM, "sr"), **changes
    )
    return sink, sr.write(sink, made, observations)


def eyes(part_of, *values):
    """Observations of both eyes: (concept, right, left)."""
    return tuple(
        Observation(
            concept=concept,
            value=value,
            unit=None if concept.meaning.endswith("Base") else codes.DIOPTRE,
            laterality=side,
            part_of=part_of,
            received_ns=5_000_000_000,
        )
        for concept, right, left in values
        for side, value in (("R", right), ("L", left))
    )


SCA = ((codes.SPHERE, "-1.25", "-2.00"), (codes.CYLINDER, "-0.75", "0.00"), (codes.AXIS, "120", "0"))
PRISM = (
    (codes.HORIZONTAL_PRISM, "2.50", "1.25"),
    (codes.HORIZONTAL_BASE, "IN", "OUT"),
    (codes.VERTICAL_PRISM, "2.00", "2.00"),
    (codes.VERTICAL_BASE, "DOWN", "UP"),
)
DISTANCE = Observation(
    concept=codes.DISTANCE_PD,
    value="64.0",
    unit=codes.MILLIMETRE,
    laterality="B",
    part_of=MeasurementKind.AUTOREFRACTION,
)
EYES = {
    "lensometry": eyes(MeasurementKind.LENSOMETRY, *SCA, (codes.ADD, "2.00", "2.25"), *PRISM),
    "autorefraction": (
        *eyes(MeasurementKind.AUTOREFRACTION, *SCA, (codes.VERTEX_DISTANCE, "12.00", "12.00")),
        DISTANCE,
    ),
    "keratometry": eyes(
        MeasurementKind.KERATOMETRY,
        (codes.RADIUS_1, "7.86", "7.95"),
        (codes.RADIUS_2, "7.53", "7.71"),
        (codes.MERIDIAN_1, "175", "176"),
    ),
    "single-lens": tuple(
        replace(one, laterality="")
        for one in eyes(
            MeasurementKind.LENSOMETRY, *SCA, (codes.ADD, "1.75", "1.75"), (codes.SECOND_ADD, "3.00", "3.00")
        )
        if one.laterality == "R"
    ),
    "final-prescription": eyes(MeasurementKind.FINAL, *SCA, (codes.ADD, "2.00", "2.25"), *PRISM),
    "visual-acuity": (
        *eyes(MeasurementKind.ACUITY, (codes.PRESCRIPTION_ACUITY, "1.0", "0.8")),
        *(
            Observation(concept=concept, value=value, part_of=MeasurementKind.ACUITY)
            for concept, value in (
                (codes.OPTOTYPE, "LETTERS"),
                (codes.OPTOTYPE_DEFINITION, "Sloan letters"),
                (codes.OPTOTYPE_PRESENTATION, "MULTIPLE"),
                (codes.CHART_BACKGROUND, "WHITE"),
                (codes.VIEWING_DISTANCE, "DISTANCE"),
            )
        ),
    ),
}


def measured(observations, **changes):
    """The bytes of a measurement object of PS3.3 A.60, and what was written."""
    sink = io.BytesIO()
    made = words(
        sop_instance_uid=uids.instance(EXAM, "ar", 2, 0), series_instance_uid=uids.series(EXAM, "ar"), **changes
    )
    written = refraction.write(sink, made, observations)
    return sink.getvalue(), written


WAVEFORMS = {
    "twelve-lead-ecg": hearts.ELECTROCARDIOGRAM,
    "general-ecg": ReadingSet(traces=(hearts.lead(1),), received_ns=5_000_000_000),
    "hemodynamic": ReadingSet(
        traces=(
            hearts.pressure(),
            hearts.pressure(channel=Code("150088", "MDC", "Central venous pressure"), doubts=("the line was flushed",)),
            hearts.pressure(seconds=8, hz=50.0),
        ),
        received_ns=5_000_000_000,
    ),
    "arterial-pulse": ReadingSet(traces=(hearts.pleth(),), received_ns=5_000_000_000),
    "respiratory": ReadingSet(traces=(hearts.breathing(),), received_ns=5_000_000_000),
}


PAGES = {"ecg-page": hearts.ELECTROCARDIOGRAM, "fetal-page": hearts.STRIP}


def drawn(readings, modality="", **changes):
    """The bytes of the first object (of a modality) that a set of curves becomes, and what was written."""
    kind, held = next(each for each in stated.objects_of(readings) if modality in {"", each[0].modality})
    sink = io.BytesIO()
    name = kind.modality.lower()
    made = words(
        sop_instance_uid=uids.instance(EXAM, name, 2, 0),
        series_instance_uid=uids.series(EXAM, name),
        object=kind,
        **changes,
    )
    written = stated.write(sink, made, held)
    return sink.getvalue(), written


def rejected(kind, number, sop_class_uid):
    """The row of an object that was discarded after it had left."""
    return Instance(
        sop_instance_uid=uids.instance(EXAM, kind, number, 0),
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=EXPLICIT,
        study_instance_uid=STEP.study_instance_uid,
        series_instance_uid=uids.series(EXAM, "sr" if kind == "sr" else "image"),
        blob="",
        size_bytes=0,
        data_digest="",
        kind=kind,
        stored_at=AT,
    )


REJECTED = (
    rejected("cine", 3, "1.2.840.10008.5.1.4.1.1.3.1"),
    rejected("sr", 3, "1.2.840.10008.5.1.4.1.1.88.33"),
)


def rejection(of=REJECTED, by="Lee^Kim", why=note.DISCARDED, **changes):
    """The bytes of a rejection note, and what was written."""
    sink = io.BytesIO()
    made = words(
        sop_instance_uid=uids.instance(EXAM, "note", 3, 0),
        series_instance_uid=uids.series(EXAM, "note"),
        series_number=3,
        instance_number=3,
        **changes,
    )
    written = note.write(sink, made, of, by=by, why=why)
    return sink.getvalue(), written


REGION = Region(x0=4, y0=2, x1=59, y1=45, delta_x=0.0625, delta_y=0.0625)
M_MODE = Region(x0=4, y0=30, x1=59, y1=46, delta_x=0.005, delta_y=0.0625, spatial_format="m-mode")
KINDS = {
    "us-still-grey": ("us", picture()),
    "us-still-colour": ("us", picture(samples=3)),
    "us-cine-grey": ("us", picture(frames=5)),
    "us-cine-colour": ("us", picture(samples=3, frames=5)),
    "sc-still-grey": ("sc", picture()),
    "sc-still-colour": ("sc", picture(samples=3)),
    "sc-cine-grey": ("sc", picture(frames=5)),
    "sc-cine-colour": ("sc", picture(samples=3, frames=5)),
    "sc-still-10-bits": ("sc", picture(bits_stored=10)),
    "sc-cine-12-bits": ("sc", picture(frames=5, bits_stored=12)),
    "us-still-regions": ("us", picture(samples=3, regions=(REGION, M_MODE))),
    "us-cine-regions": ("us", picture(frames=5, regions=(REGION,))),
    "endoscopic-still": ("endoscopic", picture(samples=3)),
    "microscopic-still": ("microscopic", picture(samples=3)),
    "photographic-still": ("photographic", picture(samples=3)),
    "dermoscopic-still": ("dermoscopic", picture(samples=3)),
    "specimen-still": ("specimen", picture(samples=3)),
    "endoscopic-cine-without-video": ("endoscopic", picture(samples=3, frames=5)),
}
VIDEO = picture(
    samples=3,
    frames=5,
    transfer_syntax_uid=video.HIGH_4_1,
    photometric_interpretation="YBR_PARTIAL_420",
    lossy_method=video.METHOD,
    lossy_ratio=40.0,
    lossy_rule="The department decided in 2026 that its videos are for teaching.",
)
VIDEOS = ("endoscopic", "microscopic", "photographic", "specimen")


def stream(folder, name="video.mp4", data=b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40):
    """A file that is an MP4 as far as its first bytes tell."""
    path = folder / name
    path.write_bytes(data)
    return path


def video_of(kind, mp4, shown=VIDEO, **changes):
    """The bytes of a Part 10 video, and what was written."""
    sink = io.BytesIO()
    written = image.write_video(sink, words(kind, **changes), shown, mp4)
    return sink.getvalue(), written


def every_object():
    """Name and bytes of one object of every kind the gateway makes."""
    for name, (kind, shown) in KINDS.items():
        yield name, composed(kind, shown)[0]
    with TemporaryDirectory() as folder:
        mp4 = stream(Path(folder))
        for kind in VIDEOS:
            yield f"{kind}-video", video_of(kind, mp4)[0]
    yield "sr", report()[0].getvalue()
    yield "note", rejection()[0]
    for name, observations in EYES.items():
        yield name, measured(observations)[0]
    for name, readings in WAVEFORMS.items():
        yield name, drawn(readings)[0]
    for name, readings in PAGES.items():
        yield name, drawn(readings, "DOC")[0]


def decode(data, syntax, rows, columns, samples, bits, signed, /, *, photometric):
    """The contract of pixels.codecs, kept by imagecodecs and pydicom directly."""
    if syntax == RLE:
        plain = rle_decode_frame(data, rows, columns, samples, bits)
        dtype = np.dtype(f"{'i' if signed else 'u'}{bits // 8}")
        planes = np.frombuffer(plain, dtype).reshape(samples, rows, columns)
        return planes[0] if samples == 1 else planes.transpose(1, 2, 0)
    return {JPEG_LS: imagecodecs.jpegls_decode, JPEG: imagecodecs.jpeg8_decode}.get(syntax, imagecodecs.jpeg2k_decode)(
        data
    )


def encode(pixels, syntax, bits_stored=None, /):
    if syntax == RLE:
        return rle_encode(pixels)
    pixels = np.ascontiguousarray(pixels)
    if syntax == JPEG_LS:
        return imagecodecs.jpegls_encode(pixels)
    if syntax == HTJ2K:
        return imagecodecs.htj2k_encode(pixels, reversible=True)
    return imagecodecs.jpeg2k_encode(
        pixels, codecformat="j2k", reversible=True, level=0, mct=pixels.ndim == 3, bitspersample=bits_stored
    )


def rle_encode(pixels):
    """One frame by pydicom's encoder."""
    is_colour = pixels.ndim == 3
    return RLELosslessEncoder.encode(
        np.ascontiguousarray(pixels),
        encoding_plugin="pydicom",
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=3 if is_colour else 1,
        bits_allocated=pixels.dtype.itemsize * 8,
        bits_stored=pixels.dtype.itemsize * 8,
        pixel_representation=int(pixels.dtype.kind == "i"),
        photometric_interpretation="RGB" if is_colour else "MONOCHROME2",
        planar_configuration=0,
        number_of_frames=1,
    )
