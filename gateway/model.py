"""The nouns: frozen values in the standard's words, which rooms hand to one another.

No behaviour beyond what a value can say of itself, no I/O. Times named `*_at` are aware UTC datetimes; `*_ns` are
CLOCK_MONOTONIC nanoseconds, which mean something only together with a boot id. Dates of the standard (DA) are strings
`YYYYMMDD`. A Patient's `repr` shows nothing (PHI never reaches a log by accident), and whatever holds one inherits that.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from msgspec import Struct

from gateway.structs import learn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# ---- what comes from a grabber (V4L2, linux/videodev2.h) ----


class Field(IntEnum):
    """How the lines of a buffer relate to the fields of interlaced video (enum v4l2_field)."""

    NONE = 1
    TOP = 2
    BOTTOM = 3
    INTERLACED = 4
    SEQ_TB = 5
    SEQ_BT = 6
    ALTERNATE = 7
    INTERLACED_TB = 8
    INTERLACED_BT = 9


class Matrix(StrEnum):
    """Which luma weights the Y'CbCr samples follow (enum v4l2_ycbcr_encoding, resolved)."""

    BT601 = "601"
    BT709 = "709"
    BT2020 = "2020"


class Range(StrEnum):
    """Whether samples use 16-235/240 or 0-255 (enum v4l2_quantization, resolved)."""

    LIMITED = "limited"
    FULL = "full"


class FrameFormat(Struct, frozen=True, kw_only=True):
    """What a grabber said its buffers hold, as read back from it, never as requested."""

    pixel_format: str
    """V4L2 fourcc: YUYV, UYVY, GREY, RGB3, ...; MJPG: each frame is one JPEG, as it came."""
    width_px: int
    height_px: int
    stride_bytes: int
    """Bytes from one row to the next, of the first plane; 0: the frames are compressed."""
    field: Field = Field.NONE
    matrix: Matrix = Matrix.BT601
    range: Range = Range.LIMITED
    frame_interval_ns: int = 40_000_000
    pixel_aspect: tuple[int, int] = (1, 1)
    """Height to width of one pixel, the order of DICOM's PixelAspectRatio (vertical, horizontal)."""
    standard: str = ""
    """In words: "PAL 625/50i", "1280x720p60"."""
    largest_bytes: int = 0
    """Of compressed frames: no frame is larger. 0 for the others, which are all of `frame_bytes`."""

    @property
    def is_compressed(self) -> bool:
        """Say whether each frame has a length of its own."""
        return self.stride_bytes == 0

    @property
    def planes(self) -> tuple[tuple[int, int], ...]:
        """(rows, bytes a row) of each plane, in the order in which they follow one another in a frame."""
        rows = (self.height_px + 1) // 2
        match self.pixel_format:
            case "NV12" | "NV21":
                return (self.height_px, self.stride_bytes), (rows, self.stride_bytes + self.stride_bytes % 2)
            case "YU12" | "YV12":
                half = (self.stride_bytes + 1) // 2
                return (self.height_px, self.stride_bytes), (rows, half), (rows, half)
            case _:
                return ((self.height_px, self.stride_bytes),)

    @property
    def frame_bytes(self) -> int:
        """Size of one whole frame; of compressed frames, the most that one may have."""
        return self.largest_bytes or sum(rows * row_bytes for rows, row_bytes in self.planes)


class Frame(Struct, frozen=True, kw_only=True):
    """One buffer as the kernel gave it: raw bytes, (sequence, field) and the kernel's capture time."""

    data: npt.NDArray[np.uint8]
    """1-D, the payload (`bytesused` bytes): rows of `format.stride_bytes`, plane after plane; or one JPEG."""
    format: FrameFormat
    sequence: int
    field: Field
    captured_ns: int
    has_error: bool = False
    buffer: int = -1
    """Which of the grabber's buffers `data` is a view of, until it is handed back; -1: a copy of one's own."""


class Signal(StrEnum):
    """What stands between the modality's picture and us."""

    ABSENT = "ABSENT"
    NO_CABLE = "NO_CABLE"
    NO_SIGNAL = "NO_SIGNAL"
    NO_LOCK = "NO_LOCK"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    LOCKED = "LOCKED"
    STREAMING = "STREAMING"


# ---- what a picture is once the pixel chain has run ----


class Region(Struct, frozen=True, kw_only=True):
    """A calibrated area of an ultrasound picture, in stored pixels (PS3.3 C.8.5.5)."""

    x0: int
    y0: int
    x1: int
    """Of its last column: inside."""
    y1: int
    """Of its last row: inside."""
    delta_x: float
    """What one pixel to the right is: centimetres, or seconds in M-mode."""
    delta_y: float
    """What one pixel down is, in centimetres."""
    spatial_format: Literal["2d", "m-mode"] = "2d"
    data_type: Literal["tissue", "colour_flow"] = "tissue"


class Loss(Struct, frozen=True):
    """One compression with loss: LossyImageCompressionMethod and how many bytes became one."""

    method: str
    ratio: float


class Picture(Struct, frozen=True, kw_only=True):
    """What the pixels of one object are, and what was done to them (law 4)."""

    rows: int
    columns: int
    samples_per_pixel: Literal[1, 3]
    transfer_syntax_uid: str
    photometric_interpretation: str
    """Of the stored frames: MONOCHROME2, RGB, YBR_RCT, YBR_PARTIAL_420 (MPEG-4), ..."""
    bits_stored: int = 8
    """8; or, grey only, 9 to 16: then each sample has 16 bits, little endian where frames are native."""
    frame_count: int = 1
    frame_times_ns: tuple[int, ...] = ()
    """Monotonic capture time of each frame (multi-frame only); a gap is simply a longer interval."""
    frame_lengths: tuple[int, ...] = ()
    """Bytes of each encoded frame, where known before writing: gives an offset table. Empty: readers count fragments."""
    pixel_aspect: tuple[int, int] = (1, 1)
    """(vertical, horizontal)"""
    steps: tuple[str, ...] = ()
    """What the chain did, in words, in order: "crop 640x480+40+20", "de-interlaced (motion adaptive)"."""
    is_cropped: bool = False
    is_text_masked: bool = False
    """The profile says that every area with patient text is masked (BurnedInAnnotation NO)."""
    regions: tuple[Region, ...] = ()
    """Where a length can be measured (ultrasound only)."""
    notes: tuple[str, ...] = ()
    """Sentences on what a reader cannot see in the pixels; they become lines of ImageComments."""
    source_format: str = ""
    """VideoImageFormatAcquired / DigitalImageFormatAcquired."""
    lossy_method: str = ""
    """Of the last compression with loss; empty when there was none."""
    lossy_ratio: float = 0.0
    earlier_losses: tuple[Loss, ...] = ()
    """What had compressed it with loss before that (an MJPEG grabber, of a video), in order."""
    lossy_rule: str = ""
    """Who decided that the box itself compresses with loss, and why; empty when it does not (the source may have)."""
    missing_frames: int = 0
    """Dropped or faulty frames between the first and the last."""
    ended_early: str = ""
    """Why the recording ended before it was stopped ("the power failed"); empty when it did not."""


# ---- who, what was ordered, what is done ----


class Code(Struct, frozen=True):
    """A coded concept: value, coding scheme designator, meaning (PS3.3 8)."""

    value: str
    scheme: str
    meaning: str


class Patient(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Who is examined (PS3.3 C.7.1.1). Shows nothing when printed."""

    patient_id: str
    name: str
    """DICOM PN, Unicode: components by `^`, groups by `=`."""
    birth_date: str = ""
    sex: Literal["", "M", "F", "O"] = ""
    issuer_of_patient_id: str = ""
    comments: str = ""

    def __repr__(self) -> str:
        """Show nothing: PHI must not reach a log by accident."""
        return "Patient(…)"

    __str__ = __repr__


class ScheduledStep(Struct, frozen=True, kw_only=True):
    """One worklist item: what was ordered (PS3.4 K.6.1.2.2)."""

    patient: Patient
    scheduled_procedure_step_id: str
    study_instance_uid: str
    accession_number: str = ""
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""
    requested_procedure_code: Code | None = None
    scheduled_procedure_step_description: str = ""
    scheduled_protocol_codes: tuple[Code, ...] = ()
    scheduled_start_date: str = ""
    scheduled_start_time: str = ""
    scheduled_station_ae_title: str = ""
    scheduled_station_name: str = ""
    modality: str = ""
    referring_physician_name: str = ""
    requesting_physician_name: str = ""
    performing_physician_name: str = ""
    admission_id: str = ""
    patient_weight_kg: str = ""
    medical_alerts: str = ""
    allergies: str = ""
    pregnancy_status: str = ""

    def __repr__(self) -> str:
        """Show the step's id only."""
        return f"ScheduledStep({self.scheduled_procedure_step_id!r}, …)"

    @property
    def key(self) -> str:
        """What tells two items of a worklist apart."""
        return f"{self.study_instance_uid}/{self.scheduled_procedure_step_id}"


class StepStatus(StrEnum):
    """Performed Procedure Step Status (PS3.4 F.7.2)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


class PerformedStep(Struct, frozen=True, kw_only=True):
    """The exam on this box. Its identity is a UUID, committed before anything is derived from it."""

    exam_id: UUID
    station: str
    """Which place: the name of the grabber (or of the serial port, for an exam without video)."""
    status: StepStatus
    study_instance_uid: str
    modality: str
    profile: str
    started_at: datetime
    started_ns: int
    boot_id: str
    clock_doubt: str = ""
    """Why `started_at` may be wrong; empty when the clock was trusted."""
    clock_note: str = ""
    """How a doubtful time was settled, as a sentence ("A person confirmed the date and time."): the objects say it."""
    patient: Patient | None = None
    scheduled: ScheduledStep | None = None
    identity_revision: int = 0
    """Raised each time the patient is identified or corrected."""
    corrected: int = 0
    """The revision of the last correction after something had left: study and series are of their own since; 0 for none."""
    operator: str = ""
    ended_at: datetime | None = None
    discontinuation_reason: str = ""

    def __repr__(self) -> str:
        """Show identity and status only."""
        return f"PerformedStep({self.exam_id}, {self.status})"


class CaptureKind(StrEnum):
    """What was asked of the source."""

    STILL = "STILL"
    CINE = "CINE"
    RETROSPECTIVE = "RETROSPECTIVE"
    TIME_LAPSE = "TIME_LAPSE"
    READING = "READING"


class CaptureState(StrEnum):
    """Where a capture stands: RECORDING until its source ends, HELD until release, then RELEASED; or DISCARDED, or LOST."""

    RECORDING = "RECORDING"
    HELD = "HELD"
    RELEASED = "RELEASED"
    DISCARDED = "DISCARDED"
    LOST = "LOST"
    """Nothing could be kept of it (a power cut before its first whole frame)."""


class Capture(Struct, frozen=True, kw_only=True):
    """One press: its number is committed before the first byte (law 2). A long cine has several segments (Instances)."""

    exam_id: UUID
    number: int
    """From 1, in order of the presses."""
    kind: CaptureKind
    state: CaptureState
    source: str
    """Which grabber or port."""
    started_at: datetime
    started_ns: int
    note: str = ""
    """What a person should know: "3 frames were missed", "ended early: the picture was lost"."""


class MeasurementKind(StrEnum):
    """What was measured of an eye or of spectacles: each has an object of its own (PS3.3 A.60)."""

    LENSOMETRY = "lensometry"
    AUTOREFRACTION = "autorefraction"
    KERATOMETRY = "keratometry"
    SUBJECTIVE = "subjective refraction"
    FINAL = "final prescription"
    """A subjective refraction too: the one that was decided on."""
    ACUITY = "visual acuity"
    """With a chart that is known: each kind of acuity has an object of its own."""


class Observation(Struct, frozen=True, kw_only=True):
    """One value an instrument stated, with the bytes it came from."""

    concept: Code
    value: str
    """As stated, as a decimal string with a point ("12.5"), or text."""
    unit: Code | None = None
    """UCUM; None for text."""
    raw: bytes = b""
    received_ns: int = 0
    doubts: tuple[str, ...] = ()
    """Why the value may be wrong, in words: it is kept, marked and shown."""
    laterality: Literal["", "R", "L", "B"] = ""
    """Of which eye (or side): right, left, both; empty where that means nothing, or was not stated."""
    part_of: MeasurementKind | None = None
    """The measurement of an eye or a lens that it is a part of; None: it stands by itself."""


class TraceKind(StrEnum):
    """Which waveform objects a trace may become a part of (PS3.3 A.34)."""

    ECG = "electrocardiogram"
    HEMODYNAMIC = "pressure curves"
    ARTERIAL_PULSE = "pulse wave"
    RESPIRATORY = "breathing curves"
    CARDIOTOCOGRAM = "fetal heart rate and contractions"
    """No IOD of its own: it becomes a drawn page."""


NO_SAMPLE: Final = -32768
"""In a trace: nothing was measured then, or it was lost on the way."""


class Trace(Struct, frozen=True, kw_only=True):
    """Samples of one channel, evenly spaced in time: whole (an ECG), or the next piece of a stream (a monitor's curve).

    A value is `zero + sample * step`, in `unit`.
    """

    kind: TraceKind
    channel: Code
    """What is measured: a lead, a pressure, a flow (PS3.16 CID 3001, 3003 and their kin; MDC)."""
    unit: Code
    """UCUM."""
    hz: float
    """Samples in a second."""
    step: str
    """What a difference of 1 between samples is, as a decimal string, more than 0."""
    zero: str = "0"
    """What a sample of 0 is, as a decimal string."""
    samples: bytes
    """Signed 16 bits each, little endian; NO_SAMPLE where there is none."""
    received_ns: int = 0
    """When its first sample arrived."""
    low_hz: float | None = None
    """The instrument's own filters, where it states them: what is lower than this is weakened."""
    high_hz: float | None = None
    """What is higher than this is weakened."""
    notch_hz: float | None = None
    """The mains frequency that was taken out."""
    doubts: tuple[str, ...] = ()
    """What a person should know of it, in words."""


class ReadingSet(Struct, frozen=True, kw_only=True):
    """What one instrument stated in one go, or within one interval of its stream."""

    observations: tuple[Observation, ...] = ()
    traces: tuple[Trace, ...] = ()
    received_ns: int
    """When its first value arrived."""
    model_name: str = ""
    """What the instrument calls itself."""
    unread: int = 0
    """Parts that its dialect does not read: the journal has them."""
    paper_cm_min: int = 1
    """How fast the paper of a fetal strip runs, in centimetres a minute: 1, 2 or 3. Its page is drawn so."""


class InboxState(StrEnum):
    """Where a set stands that came without an exam."""

    WAITING = "WAITING"
    ASSIGNED = "ASSIGNED"
    """A person said whose it is; the service of its port makes the objects."""
    KEPT = "KEPT"
    DISCARDED = "DISCARDED"


class InboxEntry(Struct, frozen=True, kw_only=True):
    """A set of readings that came without an exam: it waits until a person says whose it is, or discards it."""

    entry_id: int
    port: str
    instrument: str
    """Title of the port's profile at that time."""
    received_at: datetime
    readings: ReadingSet
    state: InboxState = InboxState.WAITING
    exam_id: UUID | None = None
    by: str = ""
    """Who decided."""
    problem: str = ""
    """Why it could not be kept, in words: it waits again."""


# ---- what the box holds and owes ----


class Instance(Struct, frozen=True, kw_only=True):
    """One SOP Instance on this box."""

    sop_instance_uid: str
    variant: int = 0
    """0, or n for the n-th other content that arrived under the same UID (law 2)."""
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    blob: str
    """SHA-256 of the stored Part 10 file, hex."""
    size_bytes: int
    data_digest: str
    """SHA-256 of the encoded data set without group 0002, hex: equal means the same object for sure."""
    revision: int = 0
    """Of the header: raised by an identity correction; pixel data never changes under a UID."""
    exam_id: UUID | None = None
    capture: int = 0
    segment: int = 0
    kind: str = ""
    """`image`, `cine`, `sr`, `note` (a rejection note: of no capture), or `received`."""
    modality: str = ""
    frame_count: int = 1
    captured_ns: int = 0
    """CLOCK_MONOTONIC of its first frame, of the boot in which its capture began."""
    received_from: str = ""
    """Calling AE title, for a received object."""
    is_held: bool = False
    """Same UID with other content: delivered only when a person decides."""
    replaces: str = ""
    """The SOP Instance UID of what it is the corrected copy of; empty for every other object."""
    is_rejected: bool = False
    """A rejection note names it."""
    stored_at: datetime


class PayloadKind(StrEnum):
    """What a Delivery carries."""

    STORE = "STORE"
    MPPS = "MPPS"
    COMMIT_REQUEST = "COMMIT_REQUEST"
    HL7 = "HL7"
    RECEIPT = "RECEIPT"


class DeliveryState(StrEnum):
    """Where an obligation stands (the table is gateway/spool/states.py)."""

    HELD = "HELD"
    QUEUED = "QUEUED"
    SENDING = "SENDING"
    RELAYED = "RELAYED"
    SENT = "SENT"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Delivery(Struct, frozen=True, kw_only=True):
    """One obligation: this payload, to that destination."""

    delivery_id: int
    kind: PayloadKind
    payload: str
    """For STORE: `<SOPInstanceUID>` or `<SOPInstanceUID>#<variant>`."""
    destination: str
    state: DeliveryState
    after: int | None = None
    """Another Delivery that must be SENT first."""
    attempts: int = 0
    error_code: str = ""
    error_text: str = ""
    """The peer's own words, or ours; no PHI."""
    note: str = ""
    """What an accepting peer remarked (coercion, discarded elements)."""


class RequestKind(StrEnum):
    """What a person asks of acquire."""

    STILL = "STILL"
    CINE_START = "CINE_START"
    CINE_STOP = "CINE_STOP"
    """Ends a time-lapse too."""
    RETROSPECTIVE = "RETROSPECTIVE"
    TIME_LAPSE_START = "TIME_LAPSE_START"
    """One picture each `time_lapse_s` of the grabber, until CINE_STOP or the end of the exam."""


class RequestState(StrEnum):
    """How a request stands."""

    REQUESTED = "REQUESTED"
    TAKEN = "TAKEN"
    DONE = "DONE"
    MISSED = "MISSED"


class Request(Struct, frozen=True, kw_only=True):
    """A press, as a row: acquire takes from its ring the frame whose time covers `pressed_ns`."""

    request_id: int
    kind: RequestKind
    exam_id: UUID
    station: str
    pressed_boot_id: str
    pressed_ns: int
    expires_ns: int
    state: RequestState
    capture: int | None = None
    """The capture that answered it."""
    error_code: str = ""
    error_text: str = ""


# ---- how equipment names itself ----


class Equipment(Struct, frozen=True, kw_only=True):
    """The modality beside the box, as an installer states it (PS3.3 C.7.5.1)."""

    manufacturer: str = ""
    model_name: str = ""
    serial_number: str = ""
    software_versions: str = ""
    station_name: str = ""
    institution_name: str = ""
    institution_address: str = ""
    department_name: str = ""


class StoreOutcome(Struct, frozen=True, kw_only=True):
    """What one attempt came to: the sender tries once and reports."""

    verdict: Literal["accepted", "later", "never"]
    error_code: str = ""
    """The code in gateway.errors; empty when accepted."""
    text: str = ""
    status: int = 0
    """DIMSE status, 0 when none came."""


class WholePicture(Struct, frozen=True, kw_only=True):
    """What acquire says of a grabber's uncropped picture, while an engineer draws on it: live, not state."""

    width_px: int
    height_px: int
    """Of the source: what crop, mask and calibration count in, whatever the size of the picture that is shown."""
    pixel_aspect: tuple[int, int] = (1, 1)
    """(vertical, horizontal)"""
    standard: str = ""
    """What arrives, as `input.standards` of a profile names it."""
    captured_ns: int = 0
    proposal: tuple[int, int, int, int] | None = None
    """The crop that the picture itself suggests (x, y, width, height); never applied unasked."""


class Shown(StrEnum):
    """What a picture that arrives shows, as far as that can be told."""

    PICTURE = "PICTURE"
    BLACK = "BLACK"
    BLUE = "BLUE"
    """The blue screen of a converter or a recorder that gets no signal itself."""
    COLOUR_BARS = "COLOUR_BARS"
    """A test pattern."""


class StationStatus(Struct, frozen=True, kw_only=True):
    """What acquire says of one grabber, as a file on tmpfs replaced atomically: live, not state."""

    station: str
    signal: Signal
    boot_id: str
    updated_ns: int
    """Older than a few seconds: acquire does not run."""
    input: str = ""
    """The grabber's own name for the connector in use ("HDMI 1"), where it has several."""
    signal_since_ns: int = 0
    edges: dict[str, int] = {}
    """How often each signal state was entered since acquire started."""
    picture: str = ""
    """The format in words: "720x576 PAL 625/50i"."""
    shows: Shown = Shown.PICTURE
    """Looked at while somebody looks."""
    frames: int = 0
    dropped: int = 0
    """Pictures that the kernel lost, by (sequence, field)."""
    faulty: int = 0
    """Pictures that came damaged: `faults` says how."""
    faults: dict[str, int] = {}
    """By kind: `error` flagged by the driver, `short`, `half` (a field alone), `time` (older than the last), `broken` JPEG."""
    duplicated: int = 0
    """Buffers that came twice under one (sequence, field): left out, nothing is missing for them."""
    ring_bytes: int = 0
    """How much memory the last seconds take at most, and how far back they reach when it is full."""
    ring_s: float = 0.0
    recording: int = 0
    """Number of the capture that records now; 0: none."""
    recording_since_ns: int = 0
    error_code: str = ""
    error_facts: dict[str, str] = {}


class LiveTrace(Struct, frozen=True, kw_only=True):
    """The last seconds of one channel."""

    channel: Code
    unit: Code
    hz: float
    step: str
    zero: str
    samples: bytes
    """As in Trace; the newest last."""


class InstrumentStatus(Struct, frozen=True, kw_only=True):
    """What a serial service says of its port, as a file on tmpfs replaced atomically: live, not state."""

    port: str
    instrument: str
    """Title of its profile."""
    boot_id: str
    updated_ns: int
    """Older than a few seconds: the service does not run."""
    is_open: bool
    """The line is there, and ours."""
    problem: str = ""
    """Why it is not, in words."""
    heard_ns: int = 0
    """When something arrived last; 0: never since the service started."""
    received_bytes: int = 0
    sets: int = 0
    unreadable: int = 0
    """Records that could not be read."""
    framing_errors: int = 0
    parity_errors: int = 0
    overruns: int = 0
    values: tuple[Observation, ...] = ()
    """The last value of each concept and side, in order of their first coming."""
    traces: tuple[LiveTrace, ...] = ()
    """Filled while somebody looks."""


class LineGuess(Struct, frozen=True, kw_only=True):
    """One way a line might be set, and what was read when it was."""

    baud: int
    data_bits: int
    parity: str
    stop_bits: int
    instruments: tuple[str, ...] = ()
    """Names of the profiles whose dialect read whole records, best first."""
    records: int = 0
    """How many whole records the best of them read."""
    errors: int = 0
    """Framing and parity errors."""
    seen: str = ""
    """The beginning of what was received, printable: what is not stands as \\x..."""


class Detection(Struct, frozen=True, kw_only=True):
    """What listening to a line at one setting after another has found, best first; offered, never applied unasked."""

    port: str
    is_over: bool
    received_bytes: int = 0
    trying: str = ""
    """The setting that is tried now, in words."""
    guesses: tuple[LineGuess, ...] = ()


learn(
    ReadingSet,
    InboxEntry,
    InstrumentStatus,
    Detection,
    ScheduledStep,
    PerformedStep,
    Capture,
    Instance,
    Delivery,
    Request,
    WholePicture,
    StationStatus,
)
