"""A small site on a disk, its configuration file, and one exam with a real object, for the tests of services."""

from pathlib import Path

import numpy as np

from gateway import config, exam
from gateway import profile as profiles
from gateway.model import CaptureKind, Patient, Picture
from gateway.service import compose
from gateway.service.compose import Box, Segment

WHO = Patient(patient_id="PHI-ID-7731", name="Phiname^Sentinel", birth_date="19010203", sex="F")
SENTINELS = ("PHI-ID-7731", "Phiname", "Sentinel", "19010203", "PHI-ACC-9")


def site_file(folder: Path, ports=(), **tables) -> Path:
    """Write a gateway.toml for a box that listens on `ports` (listen, panel) and has a simulated scanner."""
    listen, panel = ports or (11112, 8080)
    table = {
        "paths": {
            "data": str(folder / "data"),
            "run": str(folder / "run"),
            "cache": str(Path(__file__).resolve().parents[2] / "build" / "numba-cache"),
        },
        "spool": {"ballast_mb": 1, "keep_free_mb": 16},
        "grabber": {
            "ROOM-1": {"device": "simulator:phantom,320x240,progressive,yuyv,25", "profile": "simulator-ultrasound"}
        },
        "destination": {"pacs": {"host": "127.0.0.1", "port": 1, "called_ae": "PACS", "timeout_s": 2}},
        "listen": {"host": "127.0.0.1", "port": listen},
        "panel": {"host": "127.0.0.1", "port": panel},
    }
    path = folder / "gateway.toml"
    path.write_text(config.toml(table | tables), encoding="utf-8")
    return path


def still(box: Box, *, patient=WHO):
    """Begin an exam and capture one picture of it, as acquire does; return the step and the instance."""
    step = exam.start(
        box.spool, box.clock, station="ROOM-1", modality="US", profile="simulator-ultrasound", patient=patient
    )
    return another(box, step)


def another(box: Box, step):
    """Capture one more picture of an exam."""
    capture = exam.begin_capture(box.spool, box.clock, step.exam_id, CaptureKind.STILL, "ROOM-1")
    pixels = np.full((16, 16, 3), 70 + capture.number, np.uint8)
    picture = Picture(
        rows=16,
        columns=16,
        samples_per_pixel=3,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        photometric_interpretation="RGB",
    )
    found = profiles.modality("simulator-ultrasound")
    segment = Segment(
        step=step,
        capture=capture,
        equipment=found.equipment,
        object=found.object,
        captured_ns=box.clock.monotonic_ns(),
    )
    instance = compose.store_picture(
        box, segment, picture, [pixels.tobytes()], also=lambda: exam.finish_capture(box.spool, capture)
    )
    return step, instance
