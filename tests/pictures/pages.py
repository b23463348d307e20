"""Each page that the gateway draws, as a picture for docs/pages.md: of curves that no patient ever had."""

import io
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from PIL import Image

from gateway import codes
from gateway.model import Code, Equipment, ReadingSet, ScheduledStep, Trace, TraceKind
from gateway.objects import page
from gateway.objects.words import Words
from tests.objects import hearts, samples

DPI = 87
COLOURS = 16


def _words(manufacturer: str, model_name: str, ordered: str) -> Words:
    step: ScheduledStep = replace(samples.STEP, requested_procedure_description=ordered)
    return samples.words(
        equipment=Equipment(manufacturer=manufacturer, model_name=model_name), exam_changes={"scheduled": step}
    )


def _electrocardiogram() -> bytes:
    return page.draw(
        _words("A maker", "Electrocardiograph", "Resting ECG"), replace(hearts.ELECTROCARDIOGRAM, model_name="")
    )


def _strip() -> bytes:
    mark = np.zeros(1200, "<i2")
    mark[[395, 820]] = 1
    marks = Trace(
        kind=TraceKind.CARDIOTOCOGRAM,
        channel=codes.EVENT_MARK,
        unit=codes.NO_UNITS,
        hz=1,
        step="1",
        samples=mark.tobytes(),
        received_ns=hearts.STRIP.received_ns,
    )
    per_minute = Code("/min", "UCUM", "/min")
    heart, activity = hearts.STRIP.traces
    traces = (replace(heart, unit=per_minute), activity, marks)
    readings = ReadingSet(traces=traces, received_ns=hearts.STRIP.received_ns)
    return page.draw(_words("A maker", "Fetal monitor", "Cardiotocography"), readings)


PAGES = {"page-ecg": _electrocardiogram, "page-fetal": _strip}


def all_of_them() -> Iterator[tuple[str, bytes]]:
    """Yield (name of the file, PNG of 16 colours: thin lines stay thin)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, drawn in PAGES.items():
            path = Path(folder) / f"{name}.pdf"
            path.write_bytes(drawn())
            subprocess.run(["pdftoppm", "-r", str(DPI), "-singlefile", path, path.with_suffix("")], check=True)
            made = io.BytesIO()
            Image.open(path.with_suffix(".ppm")).quantize(COLOURS).save(made, "PNG", optimize=True)
            yield name, made.getvalue()
