"""A real pseudo-terminal, opened by the code that opens a serial port."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.device.tty import Tty
from gateway.errors import DeviceBusy, DeviceError, DeviceGone
from gateway.profile import SerialSettings
from gateway.simulators.instrument import SimulatedInstrument

SETTINGS = SerialSettings()


def read_all(tty: Tty) -> bytes:
    data = b""
    while piece := tty.read(0.05):
        data += piece
    return data


def test_what_the_instrument_prints_is_read_byte_for_byte() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SETTINGS) as tty:
        instrument.print(bytes(range(256)))
        assert read_all(tty) == bytes(range(256))


def test_a_silent_line_reads_as_nothing() -> None:
    with SimulatedInstrument() as instrument, Tty(instrument.path, SETTINGS) as tty:
        assert tty.read(0.01) == b""


def test_what_is_written_reaches_the_instrument() -> None:
    with SimulatedInstrument() as instrument, Tty(instrument.path, SETTINGS) as tty:
        tty.write(b"\x06")
        assert instrument.heard() == b"\x06"


def test_an_unplugged_adapter_is_gone() -> None:
    with SimulatedInstrument() as instrument, Tty(instrument.path, SETTINGS) as tty:
        instrument.unplug()
        with pytest.raises(DeviceGone):
            tty.read(0.5)


def test_a_missing_device_is_gone() -> None:
    with pytest.raises(DeviceGone):
        Tty("/dev/no-such-line", SETTINGS)


def test_a_line_in_use_is_busy() -> None:
    with SimulatedInstrument() as instrument, Tty(instrument.path, SETTINGS), pytest.raises(DeviceBusy):
        Tty(instrument.path, SETTINGS)


def test_a_file_that_is_no_line_is_an_error_of_the_device(tmp_path: object) -> None:
    with pytest.raises(DeviceError):
        Tty(__file__, SETTINGS)


ODD_LINES = [SerialSettings(parity="E", data_bits=7, stop_bits=2), SerialSettings(parity="O")]


@pytest.mark.parametrize("settings", ODD_LINES)
def test_a_pseudo_terminal_opens_whatever_the_line_of_the_real_instrument_is(settings: SerialSettings) -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, settings) as tty:
        instrument.print(b"AV15.0")
        assert read_all(tty) == b"AV15.0"


@pytest.mark.parametrize("settings", ODD_LINES)
def test_a_pseudo_terminal_is_known_by_any_name(settings: SerialSettings, tmp_path: Path) -> None:
    with SimulatedInstrument(baud=0) as instrument:
        (tmp_path / "line").symlink_to(instrument.path)
        with Tty(str(tmp_path / "line"), settings) as tty:
            instrument.print(b"AV15.0")
            assert read_all(tty) == b"AV15.0"
