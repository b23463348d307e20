"""Pedals and foot switches to presses: rows that acquire answers like those of the panel, each with the instant of its contact.

One thread for each device; several triggers may share one, each with its own keys. What is unplugged is opened again, at
most once in `REOPEN_S`, and both are said once in the history. A press while nobody is examined is told in the log only.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from gateway import exam as exams
from gateway.device import evdev, trigger
from gateway.errors import DeviceError, GatewayError
from gateway.model import CaptureState, RequestKind, RequestState
from gateway.service.bell import ring

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from gateway.config import Trigger
    from gateway.device.trigger import Press
    from gateway.model import PerformedStep
    from gateway.service.closing import Station
    from gateway.spool.spool import Spool

REOPEN_S: Final = 1.0
POLL_S: Final = 0.5
_STARTS: Final = {"cine": RequestKind.CINE_START, "time-lapse": RequestKind.TIME_LAPSE_START}
_ONCE: Final = {"still": RequestKind.STILL, "retrospective": RequestKind.RETROSPECTIVE}
_BEGINNING: Final = {RequestKind.CINE_START, RequestKind.TIME_LAPSE_START}
_OPEN: Final = {RequestState.REQUESTED, RequestState.TAKEN}


def works(station: Station) -> tuple[Callable[[threading.Event], None], ...]:
    """Return what runs for the triggers of a grabber, each in a thread of its own, until told to stop."""
    devices: dict[tuple[str, str], dict[str, Trigger]] = {}
    for name, each in station.box.site.trigger.items():
        if each.grabber == station.name:
            line = each.line if each.kind == "switch" else ""
            devices.setdefault((each.device, line), {})[name] = each
    return tuple(_Watch(station, device, triggers).run for (device, _), triggers in devices.items())


def press(station: Station, action: str, at_ns: int) -> None:
    """Ask acquire for what a trigger means, if somebody is examined. Raises GatewayError."""
    spool = station.box.spool
    step = spool.exams.running(station.name)
    if step is None:
        station.logger.info("a press while nobody is examined")
        return
    exams.press(spool, station.box.clock, _kind(spool, step, action), step.exam_id, station.name, pressed_ns=at_ns)
    ring(station.box.site.run, f"acquire@{station.name}")


def is_recording(spool: Spool, step: PerformedStep) -> bool:
    """Say whether the last press that began a recording still has its effect, or is about to have it."""
    asked = [each for each in spool.requests.of_exam(step.exam_id) if each.state is not RequestState.MISSED]
    last = next((each for each in reversed(asked) if each.kind in {*_BEGINNING, RequestKind.CINE_STOP}), None)
    if last is None or last.kind not in _BEGINNING:
        return False
    if last.state in _OPEN or last.capture is None:
        return True
    return spool.captures.get(step.exam_id, last.capture).state is CaptureState.RECORDING


def _kind(spool: Spool, step: PerformedStep, action: str) -> RequestKind:
    if action in _ONCE:
        return _ONCE[action]
    return RequestKind.CINE_STOP if is_recording(spool, step) else _STARTS[action]


class _Watch:
    """One pedal or port, and everything that a press of it may mean."""

    def __init__(self, station: Station, device: str, triggers: Mapping[str, Trigger]) -> None:
        self._station = station
        self._device = device
        self._triggers = triggers
        self._name = ", ".join(triggers)
        self._trouble: DeviceError | None = None
        self._was_there = False

    def run(self, stop: threading.Event) -> None:
        """Wait for presses; open the device again when it has gone."""
        while not stop.is_set():
            try:
                with closing(self._opened()) as opened:
                    self._found()
                    self._listen(opened, stop)
            except DeviceError as error:
                self._lost(error)
                stop.wait(REOPEN_S)

    def _opened(self) -> trigger.Trigger:
        first = next(iter(self._triggers.values()))
        if first.kind == "switch":
            return trigger.switch(
                self._device,
                first.line,
                debounce_ms=first.debounce_ms,
                is_closed_at_rest=first.is_closed_at_rest,
            )
        counts_all = any(not each.keys for each in self._triggers.values())
        keys = () if counts_all else tuple(key for each in self._triggers.values() for key in each.keys)
        return trigger.pedal(
            self._device,
            keys,
            debounce_ms=max(each.debounce_ms for each in self._triggers.values()),
            is_exclusive=any(each.is_exclusive for each in self._triggers.values()),
        )

    def _listen(self, opened: trigger.Trigger, stop: threading.Event) -> None:
        while not stop.is_set():
            pressed = opened.poll(POLL_S)
            if pressed is not None:
                self._press(pressed)

    def _press(self, pressed: Press) -> None:
        """Do what the key means; a press that cannot be written down is said, and the next one is waited for."""
        meant = self._meaning(pressed.key)
        if meant is None:
            return
        try:
            press(self._station, meant.action, pressed.at_ns)
        except GatewayError as error:
            self._station.logger.warning("%s", error, extra={"CODE": error.code})

    def _meaning(self, key: int) -> Trigger | None:
        """Return the trigger whose key it is; one without keys means every key that is nobody's."""
        named = [each for each in self._triggers.values() if key in {evdev.code_of(name) for name in each.keys}]
        others = [each for each in self._triggers.values() if not each.keys]
        return next(iter((*named, *others)), None)

    def _found(self) -> None:
        if not self._was_there or self._trouble is not None:
            self._tell("plugged in", "")
        self._was_there, self._trouble = True, None

    def _lost(self, error: DeviceError) -> None:
        if type(error) is not type(self._trouble):
            self._tell("lost", str(error))
            self._station.logger.warning("%s", error, extra={"CODE": error.code})
        self._trouble = error

    def _tell(self, event: str, text: str) -> None:
        try:
            self._station.box.spool.history.add(f"trigger {self._name}", event, text=text)
        except GatewayError as error:
            self._station.logger.warning("%s", error, extra={"CODE": error.code})
