"""Detection on an open line: real pseudo-terminals, instruments that answer, settings that an adapter refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.tty import Tty
from gateway.errors import DeviceError, DeviceGone
from gateway.model import Detection
from gateway.profile import SerialSettings
from gateway.service import detecting
from gateway.simulators import nidek
from gateway.simulators.analyser import Analyser
from gateway.simulators.instrument import SimulatedInstrument
from gateway.simulators.ventilator import Ventilator
from gateway.source.detect import Listener


def found_by(line: SimulatedInstrument, listener: Listener, heard: list[bytes] | None = None) -> Detection:
    with Tty(line.path, listener.settings) as tty:
        *_, last = detecting.detect(tty, listener, SystemClock(), (heard if heard is not None else []).append)
    return last


@contextmanager
def working(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Have an instrument at work for a block."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_what_is_heard_is_handed_on_before_it_is_judged() -> None:
    with SimulatedInstrument(baud=0) as line:

        def print_again(stop: threading.Event) -> None:
            while not stop.wait(0.1):
                line.print(nidek.lensmeter())

        heard: list[bytes] = []
        with working(print_again):
            found = found_by(line, Listener("P", [profiles.instrument("nidek-lm")]), heard)
    assert found.is_over
    assert found.guesses[0].instruments == ("nidek-lm",)
    assert nidek.lensmeter() in b"".join(heard)


def test_a_ventilator_that_waits_to_be_asked_is_found_when_it_may_be_asked() -> None:
    with SimulatedInstrument(baud=0) as line:
        ventilator = Ventilator(line)
        with working(ventilator.run):
            found = found_by(line, Listener("P", [profiles.instrument("draeger-medibus")], may_ask=True))
        assert found.guesses[0].instruments == ("draeger-medibus",)
        assert ventilator.asked


def test_an_analyser_that_waits_for_its_answers_is_found_when_it_may_be_answered() -> None:
    with SimulatedInstrument(baud=0) as line, Tty(line.path, SerialSettings()) as tty:
        listener = Listener("P", [profiles.instrument("astm-analyser")], may_ask=True)
        seen = detecting.detect(tty, listener, SystemClock())
        next(seen)
        with working(lambda _: Analyser(line).send()):
            *_, found = seen
            data = b"\n"  # what was heard last was not answered any more
            while data:
                tty.write(b"\x06" * data.endswith(b"\n"))
                data = tty.read(0.3)
        assert found.guesses[0].instruments == ("astm-analyser",)
        assert found.guesses[0].records == 2


class Stubborn(Tty):
    """An adapter that has no parity."""

    def change(self, settings: SerialSettings) -> None:
        if settings.parity != "N":
            raise DeviceError(device="P", problem="it cannot do that")
        super().change(settings)


def test_a_setting_that_the_adapter_refuses_is_left_out() -> None:
    with SimulatedInstrument(baud=0) as line, Stubborn(line.path, SerialSettings()) as tty:
        listener = Listener("P", [profiles.instrument("nidek-rt")], limit_s=1)
        *_, last = detecting.detect(tty, listener, SystemClock())
    assert last.is_over
    assert listener.settings.parity == "N"


def test_an_adapter_that_is_pulled_out_ends_it() -> None:
    with SimulatedInstrument(baud=0) as line, Tty(line.path, SerialSettings()) as tty:
        found = detecting.detect(tty, Listener("P", [profiles.instrument("nidek-rt")]), SystemClock())
        next(found)
        line.unplug()
        with pytest.raises(DeviceGone):
            list(found)


def test_a_profile_that_cannot_be_used_is_named_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "instruments").mkdir()
    (tmp_path / "instruments" / "own.toml").write_text("title = 1\n", encoding="utf-8")
    found, wrong = detecting.known(str(tmp_path))
    assert [each.name for each in found] == profiles.names("instruments")
    assert [error.facts["name"] for error in wrong] == ["own"]
