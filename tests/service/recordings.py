"""A spool, an exam and a ring that a test fills by hand, and what the objects of a recording then hold."""

import logging

import numpy as np
import pydicom
from pydicom.encaps import generate_frames

from gateway import exam
from gateway.model import CaptureKind, CaptureState, Frame, FrameFormat, Patient
from gateway.pixels import chain, codecs
from gateway.profile import ModalityProfile, ObjectKind, PixelChain, VideoInput
from gateway.service import closing, encoding
from gateway.service.compose import Box
from gateway.service.encoding import Encoders
from gateway.service.recording import Plan, Recording
from gateway.source.ring import Ring
from gateway.spool.spool import Spool

NAME, COLUMNS, ROWS = "ROOM-1", 64, 48
BEAT_NS = 40_000_000
WHO = Patient(patient_id="P1", name="Synthetic^Test")
RULE = "Dr A, 2026-03-01: these pictures document, they do not diagnose."


def profile(compression="htj2k", *, rule="", **keys) -> ModalityProfile:
    return ModalityProfile(
        name="simulator-ultrasound",
        title="A scanner",
        sources=("this test",),
        input=VideoInput(connector="hdmi", standards=("any",)),
        chain=PixelChain(**keys),
        object=ObjectKind(modality="US", still="sc", cine="sc", compression=compression, lossy_rule=rule),
    )


def yuyv(number: int, *, is_grey=False, columns=COLUMNS, rows=ROWS) -> np.ndarray:
    """A raw picture of noise, told apart by its number."""
    rng = np.random.default_rng(number)
    packed = rng.integers(16, 236, (rows, columns, 2), dtype=np.uint8)
    packed[..., 1] = 128 if is_grey else packed[..., 1]
    return packed.reshape(-1)


def format_of(columns=COLUMNS, rows=ROWS, beat_ns=BEAT_NS) -> FrameFormat:
    return FrameFormat(
        pixel_format="YUYV", width_px=columns, height_px=rows, stride_bytes=2 * columns, frame_interval_ns=beat_ns
    )


class Place:
    """A spool, an exam, and a ring that the test fills by hand."""

    def __init__(self, site, spool: Spool, encoders: Encoders) -> None:
        self.spool = spool
        self.heard = logging.getLogger("recording")
        self.station = closing.Station(
            name=NAME, box=Box(site=site, spool=spool, clock=spool.clock), logger=self.heard, encoders=encoders
        )
        self.step = exam.start(
            spool, spool.clock, station=NAME, modality="US", profile="simulator-ultrasound", patient=WHO
        )
        self.shown: list[np.ndarray] = []

    def ring(self, pictures, fmt=None, capacity=100) -> Ring:
        fmt = fmt or format_of()
        ring = Ring(fmt, (capacity - 2) * fmt.frame_interval_ns / 1e9, 1 << 30)
        for number, data in enumerate(pictures):
            self.put(ring, number, data)
        return ring

    def put(self, ring: Ring, number: int, data: np.ndarray, missing: int = 0) -> None:
        fmt = ring.format
        ring.put(
            Frame(
                data=data,
                format=fmt,
                sequence=number,
                field=fmt.field,
                captured_ns=(number + 1) * fmt.frame_interval_ns,
            ),
            ("dropped",) * missing,
        )

    def recording(self, ring: Ring, found: ModalityProfile, reader=None) -> Recording:
        reader = reader or ring.reader(0)
        made = chain.build(ring.format, found.chain)
        capture = exam.begin_capture(
            self.spool,
            self.spool.clock,
            self.step.exam_id,
            CaptureKind.CINE,
            NAME,
            captured_ns=ring.format.frame_interval_ns,
        )
        plan = Plan(
            step=self.step,
            capture=capture,
            profile=found,
            format=ring.format,
            encoder=encoding.encoder(made, ring.format, found),
        )
        return Recording(self.station, plan, iter(reader), reader, lambda _plan, pixels: self.shown.append(pixels))

    def record(self, ring: Ring, found: ModalityProfile) -> Recording:
        """Record all that a ring holds, up to its end."""
        made = self.recording(ring, found)
        ring.end(None)
        made.start()
        made.join(60)
        return made

    def objects(self, made: Recording):
        """Return the objects of a recording, as pydicom reads them."""
        kept = self.spool.instances.of_capture(self.step.exam_id, made.plan.capture.number)
        return [pydicom.dcmread(self.spool.blobs.path(each.blob)) for each in kept]

    def note(self, made: Recording) -> str:
        capture = self.spool.captures.get(self.step.exam_id, made.plan.capture.number)
        assert capture.state is CaptureState.HELD
        return capture.note


def frames_of(ds) -> list[bytes]:
    return list(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))))


def pixels_of(ds) -> list[np.ndarray]:
    samples, bits = int(ds.SamplesPerPixel), int(ds.BitsAllocated)
    return [
        codecs.decode(
            each,
            ds.file_meta.TransferSyntaxUID,
            ds.Rows,
            ds.Columns,
            samples,
            bits,
            photometric=str(ds.PhotometricInterpretation),
        )
        for each in frames_of(ds)
    ]


def truth(raws, found: ModalityProfile, fmt=None) -> list[np.ndarray]:
    made = chain.build(fmt or format_of(), found.chain)
    return [made.run(None, raw, None) for raw in raws]
