"""`gateway demo`: the whole box on simulators: a scanner, three instruments, a RIS and two PACS, one of them down at first.

`stay` leaves it to a person with a browser. `once` plays one exam without one, and ends well only if every object arrived
whole at both PACS: pixels bit for bit what the pixel chain makes of the frames that the scanner showed, values as printed, an
electrocardiogram sample by sample.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
import numpy as np
from msgspec import Struct

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.model import CaptureKind, DeliveryState, Patient, RequestKind, RequestState, ScheduledStep, Signal
from gateway.pixels import chain
from gateway.service.bell import ring
from gateway.service.compose import Box
from gateway.service.run import Services, units
from gateway.simulators import electrocardiograph, nidek, ports, viewer
from gateway.simulators.electrocardiograph import Electrocardiograph, Refused
from gateway.simulators.instrument import SimulatedInstrument, dose_report
from gateway.simulators.pacs import SimulatedPACS
from gateway.simulators.pictures import Playback, number_of, parse
from gateway.simulators.ris import SimulatedRIS
from gateway.spool import live
from gateway.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from gateway.config import Site
    from gateway.model import Capture, Instance, PerformedStep

STATION: Final = "ROOM-1"
PROFILE: Final = "simulator-ultrasound"
PHANTOM: Final = "simulator:phantom,720x576,interlaced,uyvy,25"
REAL: Final = "simulator:ybr_color,640x480,progressive,yuyv,25,stamp"
NATIVE: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""What the older of the two PACS takes: nothing compressed."""
READY_S: Final = 90.0
ANSWER_S: Final = 20.0
DELIVERY_S: Final = 120.0
CINE_S: Final = 2.0
CART_BAUD: Final = 115200
ECG: Final = electrocardiograph.recording(seconds=5.0)
RING_S: Final = 4.0
RETROSPECTIVE_S: Final = 2.0


class Arrived(Struct, frozen=True, kw_only=True):
    """One object at one PACS, compared with what it must be."""

    pacs: str
    sop_instance_uid: str
    kind: str
    modality: str
    frames: int
    transfer_syntax_uid: str
    is_whole: bool
    remark: str


class World(Struct, frozen=True, kw_only=True):
    """Everything around the box."""

    folder: Path
    file: Path
    site: Site
    ris: SimulatedRIS
    near: SimulatedPACS
    far: SimulatedPACS
    instrument: SimulatedInstrument
    """The dose meter."""
    lensmeter: SimulatedInstrument
    cart: SimulatedInstrument
    """The electrocardiograph."""


class DemoFailed(Exception):
    """Something did not happen in time, in words."""


def stay() -> int:
    """Run the box until Ctrl-C, with its panel; print where to look and the one-time pairing code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with world_of(PHANTOM) as world:
        world.far.start()
        services = Services(units(world.site), world.file, click.echo)
        try:
            while not stop.wait(0.2):
                services.look()
        finally:
            services.stop()
    return 0


def once(*, as_json: bool = False, output: Path | None = None) -> int:
    """Play one exam; print what happened; return 0 only if every object arrived whole."""
    lines: list[str] = []
    told: list[tuple[str, str]] = []

    def say(what: str, result: str) -> None:
        told.append((what, result))
        if not as_json:
            click.echo(f"{what:<14} {result}")

    with world_of(REAL) as world:
        services = Services([name for name in units(world.site) if name != "panel"], world.file, lines.append)
        try:
            arrived = _play(world, say)
            is_good = bool(arrived) and all(one.is_whole for one in arrived)
        except DemoFailed as error:
            say("failed", str(error))
            arrived, is_good = [], False
        finally:
            services.stop()
        if output is not None:
            shutil.copytree(world.near.keep or world.folder, output, dirs_exist_ok=True)
        if not is_good:
            click.echo("\n".join(lines[-60:]))
    _print(told, arrived, is_good=is_good, as_json=as_json)
    return 0 if is_good else 1


# ---- the world ----


@contextmanager
def world_of(script: str) -> Iterator[World]:
    """Make a place, a configuration and the peers; the second PACS is down. A modality `MODALITY` here may send to the box."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    tcp = ports.free(5)
    near = SimulatedPACS(tcp[0], ae_title="NEAR", keep=folder / "near")
    far = SimulatedPACS(tcp[1], ae_title="FAR", keep=folder / "far", transfer_syntaxes=NATIVE)
    ris = SimulatedRIS(tcp[2], _orders())
    try:
        with (
            near,
            ris,
            SimulatedInstrument() as instrument,
            SimulatedInstrument() as lensmeter,
            SimulatedInstrument(baud=CART_BAUD) as cart,
        ):
            file = folder / "gateway.toml"
            lines = {
                "DOSE": (instrument.path, "plain-line-dose"),
                "LENS": (lensmeter.path, "nidek-lm"),
                "ECG": (cart.path, "scp-ecg"),
            }
            file.write_text(config.toml(_settings(folder, tcp, script, lines)), encoding="utf-8")
            yield World(
                folder=folder,
                file=file,
                site=config.load(file),
                ris=ris,
                near=near,
                far=far,
                instrument=instrument,
                lensmeter=lensmeter,
                cart=cart,
            )
            far.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path, tcp: list[int], script: str, lines: dict[str, tuple[str, str]]) -> dict[str, object]:
    near, far, ris, listen, panel = tcp
    return {
        "station": {"ae_title": "GATEWAY", "institution_name": "Demonstration", "timezone": "Africa/Nairobi"},
        "paths": {"data": str(folder / "data"), "run": str(folder / "run"), "cache": str(config.own_cache())},
        "spool": {"ballast_mb": 16, "keep_free_mb": 64},
        "release": {"after_s": 5.0},
        "grabber": {
            STATION: {"device": script, "profile": PROFILE, "ring_s": RING_S, "retrospective_s": RETROSPECTIVE_S}
        },
        "serial": {
            name: {"device": device, "instrument": instrument, "station": STATION}
            for name, (device, instrument) in lines.items()
        },
        "destination": {
            "near": {"host": "127.0.0.1", "port": near, "called_ae": "NEAR"},
            "far": {"host": "127.0.0.1", "port": far, "called_ae": "FAR"},
        },
        "worklist": {"host": "127.0.0.1", "port": ris, "called_ae": "RIS", "interval_s": 5.0},
        "listen": {
            "host": "127.0.0.1",
            "port": listen,
            "allow": {"demo": {"ae_title": "MODALITY", "address": "127.0.0.1"}},
        },
        "panel": {"host": "127.0.0.1", "port": panel},
    }


def _orders() -> list[ScheduledStep]:
    """Made-up people, with names in three scripts."""
    today = time.strftime("%Y%m%d")
    people = (
        ("DEMO-1", "Nakato^Grace", "19840212", "F"),
        ("DEMO-2", "Wang^XiaoDong=王^小东", "19790430", "M"),
        ("DEMO-3", "Lefèvre^Zoé", "20010905", "F"),
    )
    return [
        ScheduledStep(
            patient=Patient(patient_id=number, name=name, birth_date=born, sex=sex),  # type: ignore[arg-type]
            scheduled_procedure_step_id=f"SPS-{index}",
            study_instance_uid=f"2.25.20261124000{index}",
            accession_number=f"ACC-{index}",
            requested_procedure_id=f"RP-{index}",
            requested_procedure_description="Abdominal ultrasound",
            scheduled_procedure_step_description="Abdominal ultrasound",
            scheduled_start_date=today,
            scheduled_start_time=f"{8 + index:02}3000",
            scheduled_station_ae_title="GATEWAY",
            modality="US",
        )
        for index, (number, name, born, sex) in enumerate(people, 1)
    ]


# ---- the exam ----


def _play(world: World, say: Callable[[str, str], None]) -> list[Arrived]:
    clock = SystemClock()
    with Spool.open(world.site.data, clock) as spool:
        box = Box(site=world.site, spool=spool, clock=clock)
        order = ready(box, say)
        step = exam.start(spool, clock, station=STATION, modality="US", profile=PROFILE, scheduled=order)
        say("exam", f"started for the first of {len(spool.worklist.all())} steps on the worklist")
        _captures(box, world, step, say)
        exam.complete(spool, clock, step.exam_id)
        ring(world.site.run, "keeper")
        say("exam", "completed")
        _deliveries(box, world, step, say)
        return _compare(box, world, step)


def ready(box: Box, say: Callable[[str, str], None]) -> ScheduledStep:
    """Wait for a picture and for the worklist."""

    def is_streaming() -> bool:
        status = live.read_status(box.site.run, STATION)
        return status is not None and status.signal is Signal.STREAMING

    began = time.monotonic()
    until(is_streaming, READY_S, "no picture came from the scanner")
    until(lambda: bool(box.spool.worklist.all()), READY_S, "no worklist came from the RIS")
    time.sleep(RETROSPECTIVE_S)
    say("ready", f"picture and worklist after {time.monotonic() - began:.1f} s")
    return box.spool.worklist.all()[0]


def _captures(box: Box, world: World, step: PerformedStep, say: Callable[[str, str], None]) -> None:
    for _ in range(2):
        say("still", _press(box, step, RequestKind.STILL))
    _press(box, step, RequestKind.CINE_START)
    time.sleep(CINE_S)
    say("cine", _press(box, step, RequestKind.CINE_STOP))
    say("last seconds", _press(box, step, RequestKind.RETROSPECTIVE))
    slip = _press(box, step, RequestKind.STILL)
    exam.discard(box.spool, step.exam_id, int(slip.split()[1].rstrip(",")))
    say("discard", f"{slip}, taken out again")
    world.instrument.print(dose_report())
    until(lambda: _readings(box, step) == 1, ANSWER_S, "the reading did not arrive")
    say("reading", "Dose Area Product 12.50 cGy.cm2, time 42 s, from the serial line")
    world.lensmeter.print(nidek.lensmeter())
    until(lambda: _readings(box, step) == 2, ANSWER_S, "the spectacles were not read")
    say("reading", "spectacles of -1.25 and -2.00 dioptres, from a NIDEK LM-1000P")
    _electrocardiogram(box, world, step, say)
    until(lambda: not _is_recording(box, step), ANSWER_S, "a recording did not end")


def _electrocardiogram(box: Box, world: World, step: PerformedStep, say: Callable[[str, str], None]) -> None:
    data = electrocardiograph.record(ECG, reference_step=1)
    began = time.monotonic()
    try:
        Electrocardiograph(world.cart).ymodem("ECG00001.SCP", data)
    except Refused as error:
        raise DemoFailed("the ECG was not taken") from error
    until(lambda: _readings(box, step) == len(world.site.serial), ANSWER_S, "the ECG was not read")
    took = f"{len(data)} bytes by YMODEM in {time.monotonic() - began:.1f} s"
    say("reading", f"an ECG of {len(ECG.leads)} leads, {took}")


def _press(box: Box, step: PerformedStep, kind: RequestKind) -> str:
    began = time.monotonic()
    request = exam.press(box.spool, box.clock, kind, step.exam_id, STATION)
    ring(box.site.run, f"acquire@{STATION}")
    waiting = {RequestState.REQUESTED, RequestState.TAKEN}
    until(lambda: box.spool.requests.get(request.request_id).state not in waiting, ANSWER_S, f"{kind} was not answered")
    answer = box.spool.requests.get(request.request_id)
    if answer.state is not RequestState.DONE:
        raise DemoFailed(f"{kind}: {answer.error_text}")
    return f"capture {answer.capture}, answered in {(time.monotonic() - began) * 1000:.0f} ms"


def _readings(box: Box, step: PerformedStep) -> int:
    return sum(capture.kind is CaptureKind.READING for capture in box.spool.captures.of_exam(step.exam_id))


def _is_recording(box: Box, step: PerformedStep) -> bool:
    return any(capture.state.value == "RECORDING" for capture in box.spool.captures.of_exam(step.exam_id))


def _deliveries(box: Box, world: World, step: PerformedStep, say: Callable[[str, str], None]) -> None:
    """The near PACS gets everything while the far one is down; then the far one comes back."""

    def owed(destination: str) -> int:
        final = {DeliveryState.SENT, DeliveryState.CANCELLED}
        mine = [d for d in box.spool.deliveries.of_exam(step.exam_id) if d.destination == destination]
        return sum(d.state not in final for d in mine)

    until(lambda: not owed("near"), DELIVERY_S, "not everything reached the near PACS")
    say("delivery", f"near has all; far is down, and {owed('far')} objects wait for it here")
    if not owed("far"):
        raise DemoFailed("objects were called sent to a PACS that is down")
    world.far.start()
    began = time.monotonic()
    until(lambda: not owed("far"), DELIVERY_S, "not everything reached the far PACS")
    say("delivery", f"far is back, and has all after {time.monotonic() - began:.1f} s")


def until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until it is so; raise DemoFailed with the words `otherwise` when it does not become so in time."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise DemoFailed(f"{otherwise} within {seconds:.0f} s")
        time.sleep(0.005)


# ---- the comparison ----


def _compare(box: Box, world: World, step: PerformedStep) -> list[Arrived]:
    """Compare every object that must be there, at both PACS, with what it must be."""
    playback = Playback(parse(REAL))
    pixels = chain.build(playback.format, profiles.modality(PROFILE).chain)
    kept = [c for c in box.spool.captures.of_exam(step.exam_id) if c.state.value == "RELEASED"]
    return [
        _arrived(name, pacs, capture, instance, lambda number: pixels.run(None, playback.raw(number), None))
        for name, pacs in (("near", world.near), ("far", world.far))
        for capture in kept
        for instance in box.spool.instances.of_capture(capture.exam_id, capture.number)
    ]


def _arrived(
    name: str,
    pacs: SimulatedPACS,
    capture: Capture,
    instance: Instance,
    expected: Callable[[int], npt.NDArray[np.uint8]],
) -> Arrived:
    path = (pacs.keep or Path()) / f"{instance.sop_instance_uid}.dcm"
    if not path.exists():
        return Arrived(
            pacs=name,
            sop_instance_uid=instance.sop_instance_uid,
            kind=capture.kind.value,
            modality=instance.modality,
            frames=0,
            transfer_syntax_uid="",
            is_whole=False,
            remark="it did not arrive",
        )
    seen = viewer.look(path)
    is_reading = capture.kind is CaptureKind.READING
    remark = _reading_remark(seen) if is_reading else _picture_remark(seen, instance.frame_count, expected)
    return Arrived(
        pacs=name,
        sop_instance_uid=seen.sop_instance_uid,
        kind=capture.kind.value,
        modality=seen.modality,
        frames=len(seen.pictures),
        transfer_syntax_uid=seen.transfer_syntax_uid,
        is_whole=not remark,
        remark=remark,
    )


_DOSE: Final = {("Dose Area Product", 12.5, "cGy.cm2"), ("Total Fluoro Time", 42.0, "s")}
_SPECTACLES: Final = {("RightLensSequence", -1.25, "[diop]"), ("LeftLensSequence", -2.0, "[diop]")}
_HEART: Final = {
    ("Heart rate", 75.0, "/min"),
    ("RR interval global", 800.0, "ms"),
    ("PP interval global", 800.0, "ms"),
    ("P duration global", 90.0, "ms"),
    ("PR interval global", 175.0, "ms"),
    ("QRS duration global", 90.0, "ms"),
    ("QT interval global", 405.0, "ms"),
    ("QTc global using Bazett formula", 453.0, "ms"),
    ("P Axis", 52.0, "deg"),
    ("QRS axis", 61.0, "deg"),
    ("T axis", 38.0, "deg"),
}


def _reading_remark(seen: viewer.Seen) -> str:
    if seen.curves:
        return _curves_remark(seen.curves)
    if seen.document:
        return "" if seen.document.startswith(b"%PDF") else "it is no drawn page"
    found = {(meaning, float(value), unit) for meaning, value, unit in seen.values}
    wanted = _SPECTACLES if seen.modality == "LEN" else _HEART if "Heart rate" in {one[0] for one in found} else _DOSE
    return "" if found == wanted else f"it says {sorted(found)}"


def _curves_remark(curves: tuple[viewer.Curve, ...]) -> str:
    """Each lead must be, sample by sample, what the electrocardiograph encoded."""
    found = {curve.code: curve for curve in curves}
    if set(found) != {f"2:{number}" for number in ECG.leads}:
        return f"it has the leads {sorted(found)}"
    for number, lead in ECG.leads.items():
        curve = found[f"2:{number}"]
        if curve.samples != tuple(lead):
            return f"lead {number} has other samples"
        if (curve.unit, curve.hz, round(curve.step * 1000)) != ("uV", ECG.hz, ECG.step_nv):
            return f"lead {number} has another scale"
    return ""


def _picture_remark(seen: viewer.Seen, count: int, expected: Callable[[int], npt.NDArray[np.uint8]]) -> str:
    """Each picture bears the number of the scanner's frame: it must be that frame, and follow its predecessor."""
    if len(seen.pictures) != count:
        return f"{len(seen.pictures)} frames of {count}"
    before = -1
    for picture in seen.pictures:
        colour = picture if picture.ndim == expected(0).ndim else np.repeat(picture[..., None], 3, axis=2)
        number = number_of(colour)
        if not np.array_equal(colour, expected(number)):
            return f"frame {number} has other pixels"
        if before >= 0 and number <= before:
            return f"frame {number} follows frame {before}"
        before = number
    return ""


def _print(told: list[tuple[str, str]], arrived: list[Arrived], *, is_good: bool, as_json: bool) -> None:
    if as_json:
        objects = [msgspec.to_builtins(one) for one in arrived]
        click.echo(json.dumps({"is_good": is_good, "happened": told, "objects": objects}, indent=2))
        return
    for one in arrived:
        verdict = "whole" if one.is_whole else f"NOT WHOLE: {one.remark}"
        click.echo(
            f"{one.pacs:<5} {one.kind:<14} {one.modality:<4} {one.frames or '':>4} {one.transfer_syntax_uid:<24} {verdict}"
        )
    click.echo("Everything arrived whole." if is_good else "Not everything arrived whole.")
