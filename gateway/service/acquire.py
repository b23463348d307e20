"""acquire@GRABBER: one video source to the captures of the exam in progress there.

One thread owns the device and fills the ring; this one answers presses, ends a recording whose exam has ended, and says
how things stand; a third makes the live picture while somebody looks. A still is answered here, whole; a cine and the
last seconds record in threads of their own. A signal change, an exam change or a change of geometry ends what is being
recorded (law 5).
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain as chained
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from gateway import exam as exams
from gateway import profile as profiles
from gateway.device import edid, grabber
from gateway.errors import DeviceError, ExamError, GatewayError, NoPictureThen
from gateway.model import CaptureKind, CaptureState, RequestKind, Shown
from gateway.pixels import chain as chains
from gateway.pixels import codecs, looks, unload, warm
from gateway.service import closing, compose, encoding, freeze, log, notify, picture, triggers
from gateway.service.bell import ring
from gateway.service.closing import Station
from gateway.service.lines import Lines
from gateway.service.recording import Plan, Recording
from gateway.service.whole import Whole
from gateway.simulators import grabber as simulated
from gateway.source.ring import Ended, Wait
from gateway.source.video import FormatEdge, FrameLost, FrameRepeated, SignalEdge, Source
from gateway.spool import live

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.clock import Clock
    from gateway.config import Grabber as Settings
    from gateway.config import Site
    from gateway.device.grabber import Grabber
    from gateway.model import Capture, Frame, FrameFormat, PerformedStep, Request
    from gateway.pixels.chain import Chain
    from gateway.profile import ModalityProfile
    from gateway.service.bell import Bell
    from gateway.service.encoding import Encoder, Pixels, Stored
    from gateway.source.ring import Reader, Shot
    from gateway.spool.spool import Spool

T = TypeVar("T")

LOOK_S: Final = 0.5
"""How long the loop sleeps when nobody rings."""
PREVIEW_S: Final = 0.08
PREVIEW_COLUMNS: Final = 800
PREVIEW_QUALITY: Final = 80
LOOKED_AT: Final = 8
"""Each so many rows and columns of the live picture tell what it shows."""
THUMBNAIL_COLUMNS: Final = 240
POLL_S: Final = 0.002
STEP_S: Final = 0.2
PICTURE_S: Final = 1.0
MEND_S: Final = 10.0
END_S: Final = 30.0
COLOUR_DIMENSIONS: Final = 3
BYTE_BITS: Final = 8
SIMULATOR: Final = "simulator:"


def serve(name: str, site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Serve one grabber until told to stop."""
    warm.compile_all()
    unload.compiler()
    box = compose.Box(site=site, spool=spool, clock=clock)
    station = Station(name=name, box=box, logger=log.of(f"acquire@{name}"))
    acquire = Acquire(station)
    closing.rescue(station, acquire.profile_of)
    threads = [threading.Thread(target=work, args=(stop,), daemon=True) for work in acquire.works]
    for thread in threads:
        thread.start()
    watchdog = notify.Watchdog()
    notify.ready()
    while not stop.is_set():
        watchdog.alive()
        acquire.turn()
        bell.wait(LOOK_S)
    acquire.end()
    for thread in threads:
        thread.join()


class Acquire:
    """One grabber at work."""

    def __init__(self, station: Station) -> None:
        """Open nothing yet; `watch` does."""
        self._station = station
        self._box = station.box
        self._settings = station.box.site.grabber[station.name]
        self._profiles: dict[str, ModalityProfile] = {}
        self._chains: dict[tuple[FrameFormat, str], Chain] = {}
        self._recordings: list[Recording] = []
        self._aside = ThreadPoolExecutor(1, "still")
        self._edges: SimpleQueue[SignalEdge] = SimpleQueue()
        self._lines = Lines(station.box.site.run)
        self._cine: Recording | None = None
        self._exam: PerformedStep | None = None
        self._shows = Shown.PICTURE
        self._whole = Whole(station.box.site.run, station.name)
        profile = self.profile_of(self._settings.profile)
        self._source = Source(
            opener(self._settings, profile, station.name, station.box.site, station.box.clock),
            station.box.clock,
            name=station.name,
            ring_s=self._settings.ring_s,
            memory_limit_bytes=self._settings.ring_mb << 20,
        )

    def profile_of(self, name: str) -> ModalityProfile:
        """Return a profile, read once in an exam."""
        found = self._profiles.get(name)
        if found is None:
            found = self._profiles[name] = profiles.modality(name, self._box.site.own_profiles)
        return found

    # ---- what its threads do ----

    @property
    def works(self) -> tuple[Callable[[threading.Event], None], ...]:
        """What runs beside `turn`, each in a thread of its own, until told to stop."""
        freezing = freeze.Watch(self._station, self._newest, self._chain, self.profile_of)
        return self.watch, self.preview, self.mend, freezing.run, *triggers.works(self._station)

    def turn(self) -> None:
        """Answer every press that waits, and end a cine whose exam is no longer in progress."""
        self._meet(self._box.spool.exams.running(self._station.name))
        while (request := self._box.spool.requests.take(self._station.name)) is not None:
            self._answer(request)
        self._tell_edges()
        self._recordings = [each for each in self._recordings if each.is_alive() or not each.is_kept()]
        cine = self._recording()
        if cine is not None and not self._is_running(cine.plan.step):
            cine.stop(self._box.clock.monotonic_ns())
        self._say()
        self._lines.publish(self._box.clock.monotonic_ns())

    def end(self) -> None:
        """Close what is being recorded, so that nothing is left for the next start to rescue."""
        for each in self._recordings:
            each.stop(self._box.clock.monotonic_ns())
        for each in self._recordings:
            each.join(END_S)

    def watch(self, stop: threading.Event) -> None:
        """Own the device: fill the ring, and hand on every edge of the signal."""
        while not stop.is_set():
            for event in self._source.step(STEP_S):
                if isinstance(event, SignalEdge):
                    self._edges.put(event)
                    self._say()
                elif isinstance(event, FrameLost):
                    where = f"{event.sequence} {event.field.name}"
                    self._station.logger.info("%d pictures lost at %s (%s)", event.count, where, event.why)
                elif isinstance(event, FrameRepeated):
                    self._station.logger.info("picture %d %s came twice", event.sequence, event.field.name)
                elif isinstance(event, FormatEdge):
                    self._say()
            stop.wait(min(self._source.pause_s, STEP_S))
        self._source.close()

    def preview(self, stop: threading.Event) -> None:
        """Publish the live picture while somebody looks; one that cannot be made (a crop that does not fit) is told once."""
        told = ""
        while not stop.wait(PREVIEW_S):
            try:
                self._show()
                told = ""
            except GatewayError as error:
                if str(error) != told:
                    told = str(error)
                    self._station.logger.warning("no live picture: %s", error, extra={"CODE": error.code})

    def mend(self, stop: threading.Event) -> None:
        """Keep what could not be kept before: a recording that found the disk full, here or in a process that died."""
        while not stop.wait(MEND_S):
            try:
                closing.rescue(self._station, self.profile_of)
            except GatewayError as error:
                self._station.logger.warning("%s", error, extra={"CODE": error.code})
            for each in [each for each in self._recordings if not each.is_alive()]:
                if not each.is_kept():
                    each.keep()

    # ---- presses ----

    def _meet(self, step: PerformedStep | None) -> None:
        """Look at an exam; for one that is new here profiles are read again: what was saved since counts from this exam on."""
        if step is not None and (self._exam is None or self._exam.exam_id != step.exam_id):
            self._exam = step
            self._profiles.clear()
            self._chains.clear()

    def _answer(self, request: Request) -> None:
        try:
            step = self._box.spool.exams.get(request.exam_id)
            self._meet(step)
            match request.kind:
                case RequestKind.STILL:
                    self._still(request, step)
                case RequestKind.CINE_START:
                    self._start_cine(request, step)
                case RequestKind.CINE_STOP:
                    self._stop_cine(request)
                case RequestKind.RETROSPECTIVE:
                    self._last_seconds(request, step)
                case RequestKind.TIME_LAPSE_START:
                    self._start_cine(request, step, CaptureKind.TIME_LAPSE, every_s=self._settings.time_lapse_s)
        except GatewayError as error:
            self._station.logger.warning("%s", error, extra={"EXAM": str(request.exam_id), "CODE": error.code})
            self._box.spool.requests.missed(request.request_id, error)
        ring(self._box.site.run, "panel")

    def _still(self, request: Request, step: PerformedStep) -> None:
        shot = self._wait_for(lambda: self._source.frame_at(request.pressed_ns))
        encoder = self._encoder(shot.frame.format, step.profile)
        making = self._aside.submit(self._made, encoder, shot)  # while the capture's number becomes durable
        capture = self._begin(step, CaptureKind.STILL, shot.frame.captured_ns)
        try:
            encoder, pixels, stored = making.result()
            profile, fmt = self.profile_of(step.profile), shot.frame.format
            plan = Plan(step=step, capture=capture, profile=profile, format=fmt, encoder=encoder)
            self._keep(request, plan, stored)
        except GatewayError as error:
            self._box.spool.captures.set_state(step.exam_id, capture.number, CaptureState.LOST, str(error))
            raise
        self._thumbnail(plan, pixels)

    def _made(self, encoder: Encoder, shot: Shot) -> tuple[Encoder, Pixels, Stored]:
        """Run the chain that is right for this still and encode, in a thread of its own; the neighbours may be looked at."""
        before: Frame | None = None
        after: Frame | None = None
        if encoder.chain.is_interlaced or encoder.chain.needs_neighbours:
            near = self._wait_for(lambda: self._source.neighbours(shot))
            before, after = near.previous, near.following
        chosen = encoder.for_still(before, shot.frame, after)
        pixels = chosen.pixels(before, shot.frame, after)
        return chosen, pixels, chosen.kept(shot.frame) or chosen.encoded(pixels, shot.frame)

    def _keep(self, request: Request, plan: Plan, stored: Stored) -> None:
        """Make the still durable, its capture complete and its press answered, in one transaction."""
        spool, profile = self._box.spool, plan.profile

        def answered() -> None:
            exams.finish_capture(spool, plan.capture)
            spool.requests.done(request.request_id, plan.capture.number)

        segment = compose.Segment(
            step=plan.step,
            capture=plan.capture,
            equipment=profile.equipment,
            object=profile.object,
            captured_ns=plan.capture.started_ns,
        )
        made = picture.of_one(plan.encoder, plan.format, stored)
        compose.store_picture(self._box, segment, made, [stored.data], also=answered)

    def _start_cine(
        self, request: Request, step: PerformedStep, kind: CaptureKind = CaptureKind.CINE, *, every_s: float = 0.0
    ) -> None:
        if self._recording() is not None:
            raise ExamError(problem="it is recording already")
        self._cine = self._record(request, step, kind, self._source.subscribe(request.pressed_ns, every_s=every_s))

    def _stop_cine(self, request: Request) -> None:
        cine = self._recording()
        if cine is None:
            raise ExamError(problem="nothing is being recorded")
        cine.stop(request.pressed_ns)
        self._cine = None
        self._box.spool.requests.done(request.request_id, cine.plan.capture.number)

    def _last_seconds(self, request: Request, step: PerformedStep) -> None:
        from_ns = request.pressed_ns - int(self._settings.retrospective_s * 1e9)
        reader = self._source.frames_between(from_ns, request.pressed_ns)
        self._record(request, step, CaptureKind.RETROSPECTIVE, reader)

    def _record(self, request: Request, step: PerformedStep, kind: CaptureKind, reader: Reader) -> Recording:
        """Begin a capture with the first picture of `reader`; it goes on in a thread of its own."""
        first = self._first(reader)
        plan = Plan(
            step=step,
            capture=self._begin(step, kind, first.frame.captured_ns),
            profile=self.profile_of(step.profile),
            format=reader.format,
            encoder=self._encoder(reader.format, step.profile, is_cine=True),
        )
        made = Recording(self._station, plan, chained((first,), reader), reader, self._thumbnail)
        self._recordings.append(made)
        made.start()
        self._box.spool.requests.done(request.request_id, plan.capture.number)
        return made

    def _first(self, reader: Reader) -> Shot:
        """Wait for the first picture of a reader. Raises what ended the stream, or NoPictureThen."""

        def look() -> Shot | Wait:
            taken = reader.take()
            if isinstance(taken, Ended):
                raise taken.error or NoPictureThen(device=self._station.name, problem="there was none then")
            return taken

        return self._wait_for(look)

    def _begin(self, step: PerformedStep, kind: CaptureKind, captured_ns: int) -> Capture:
        box, name = self._box, self._station.name
        return exams.begin_capture(box.spool, box.clock, step.exam_id, kind, name, captured_ns=captured_ns)

    # ---- what they share ----

    def _recording(self) -> Recording | None:
        """Return the cine that records now."""
        return self._cine if self._cine is not None and self._cine.is_alive() else None

    def _is_running(self, step: PerformedStep) -> bool:
        running = self._box.spool.exams.running(self._station.name)
        return running is not None and running.exam_id == step.exam_id

    def _chain(self, fmt: FrameFormat, profile: str) -> Chain:
        key = (fmt, profile)
        made = self._chains.get(key)
        if made is None:
            found = self.profile_of(profile)
            made = self._chains[key] = chains.build(fmt, found.chain, top_field_first=found.input.top_field_first)
        return made

    def _encoder(self, fmt: FrameFormat, profile: str, *, is_cine: bool = False) -> Encoder:
        return encoding.encoder(self._chain(fmt, profile), fmt, self.profile_of(profile), is_cine=is_cine)

    def _wait_for(self, look: Callable[[], T | Wait]) -> T:
        """Look until the answer is there; a picture that does not come within a second does not come."""
        until = time.monotonic() + PICTURE_S
        while isinstance(found := look(), Wait):
            if time.monotonic() > until:
                raise NoPictureThen(device=self._station.name, problem="no picture followed")
            time.sleep(POLL_S)
        return found

    def _newest(self) -> Frame | None:
        """Return a copy of the picture that covers this moment, if there is one."""
        try:
            shot = self._source.frame_at(self._box.clock.monotonic_ns() - self._lag_ns())
        except GatewayError:
            return None
        return None if isinstance(shot, Wait) else shot.frame

    def _lag_ns(self) -> int:
        """Look back by two intervals: that moment is covered for sure."""
        return 2 * self._source.ring.format.frame_interval_ns

    def _show(self) -> None:
        """Make the pictures that somebody looks at: the whole one first, since a crop that does not fit is mended on it."""
        if self._whole.is_due() and (frame := self._newest()) is not None:
            self._whole.publish(frame)
        frame = self._newest() if live.is_wanted(self._box.site.run, self._station.name) else None
        self._shows = Shown.PICTURE if frame is None else self._publish(frame)

    def _publish(self, frame: Frame) -> Shown:
        profile = self._exam.profile if self._exam is not None else self._settings.profile
        picture = self._chain(frame.format, profile).preview(frame.data, PREVIEW_COLUMNS)
        live.write_preview(self._box.site.run, self._station.name, codecs.jpeg(picture, PREVIEW_QUALITY))
        return looks.shows(picture[::LOOKED_AT, ::LOOKED_AT])

    def _thumbnail(self, plan: Plan, pixels: Pixels) -> None:
        """Write the small picture that the panel shows; no capture is lost for the want of one."""
        path = self._box.spool.thumbnail_path(plan.step.exam_id, plan.capture.number)
        chain = plan.encoder.chain
        seen = pixels if pixels.ndim == COLOUR_DIMENSIONS else pixels[..., None]
        if chain.bits_stored > BYTE_BITS:
            seen = (seen >> (chain.bits_stored - BYTE_BITS)).astype("uint8")
        shrunk = chains.shrink(seen, THUMBNAIL_COLUMNS, chain.pixel_aspect)
        small = codecs.jpeg(shrunk if shrunk.shape[2] == COLOUR_DIMENSIONS else shrunk[..., 0], PREVIEW_QUALITY)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(small)
        except OSError as error:
            self._station.logger.info("no thumbnail (%s)", error.strerror)
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _tell_edges(self) -> None:
        """Write what the device's thread saw of the signal to the history: that thread never waits for a disk."""
        while not self._edges.empty():
            event = self._edges.get()
            text = str(event.error) if event.error is not None else ""
            try:
                self._box.spool.history.add(f"grabber {self._station.name}", f"{event.was} to {event.now}", text=text)
            except GatewayError as error:
                self._station.logger.warning("%s to %s: %s", event.was, event.now, error, extra={"CODE": error.code})

    def _say(self) -> None:
        cine = self._recording()
        number = cine.plan.capture.number if cine else 0
        since_ns = cine.plan.capture.started_ns if cine else 0
        status = self._source.status(self._station.name, recording=number, recording_since_ns=since_ns)
        live.write_status(self._box.site.run, replace(status, shows=self._shows))


def opener(settings: Settings, profile: ModalityProfile, name: str, site: Site, clock: Clock) -> Callable[[], Grabber]:
    """Return what opens the device that the configuration names: a node, or a simulator that plays one.

    Raises DeviceError for a simulator's script that cannot be read; an EDID that cannot be read is told at each opening.
    """
    device = settings.device
    if not device.startswith(SIMULATOR):
        return partial(_open, settings, profile)
    try:
        return simulated.simulator(device, clock, run=site.run, station=name).open
    except ValueError as error:
        raise DeviceError(device=device, problem=str(error)) from error


def _open(settings: Settings, profile: ModalityProfile) -> Grabber:
    presented = edid.load(settings.edid) if settings.edid else b""
    return grabber.open(settings.device, profile.input, edid=presented)
