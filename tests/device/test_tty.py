"""A real pseudo-terminal, opened by the code that opens a serial port."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from gateway.device.tty import LineErrors, Tty
from gateway.errors import DeviceBusy, DeviceError, DeviceGone, LineClaimed, LineLocked, NotReady
from gateway.profile import SerialSettings
from gateway.simulators.instrument import SimulatedInstrument

SETTINGS = SerialSettings()
XON, XOFF = b"\x11", b"\x13"
TIOCGEXCL = 0x80045440
"""asm-generic/ioctls.h."""


def read_all(tty: Tty) -> bytes:
    data = b""
    while piece := tty.read(0.05):
        data += piece
    return data


def heard_by(instrument: SimulatedInstrument, size: int) -> bytes:
    """So many bytes: the kernel hands them on in its own time."""
    data, end = b"", time.monotonic() + 10
    while len(data) < size and time.monotonic() < end:
        data += instrument.heard()
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
        assert heard_by(instrument, 1) == b"\x06"


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


def test_a_line_that_is_locked_names_who_locks_it_and_one_that_is_claimed_cannot() -> None:
    with SimulatedInstrument() as instrument:
        descriptor = os.open(instrument.path, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with pytest.raises(DeviceBusy) as refused:
                Tty(instrument.path, SETTINGS)
            if Path("/proc/locks").read_text(encoding="ascii"):
                assert type(refused.value) is LineLocked
                assert refused.value.facts["pid"] == str(os.getpid())
            else:
                assert type(refused.value) is LineClaimed
        finally:
            os.close(descriptor)
        with Tty(instrument.path, SETTINGS):
            pass


def test_an_open_line_is_claimed() -> None:
    with SimulatedInstrument() as instrument, Tty(instrument.path, SETTINGS) as tty:
        answer = fcntl.ioctl(tty.fileno(), TIOCGEXCL, b"\0" * 4)
        assert answer != b"\0" * 4


def test_what_the_instrument_does_not_take_is_not_ready_and_what_it_prints_then_is_still_read() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SerialSettings(handshake="xon/xoff")) as tty:
        instrument.print(XOFF)
        assert tty.read(0.05) == b""
        with pytest.raises(NotReady, match="XOFF"):
            tty.write(b"\x06")
        instrument.print(XON + b"AV15.0")
        assert read_all(tty) == b"AV15.0"
        tty.write(b"\x15")
        assert heard_by(instrument, 1) == b"\x15"


def test_an_adapter_that_is_pulled_out_while_it_is_written_to_is_gone() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SerialSettings(handshake="xon/xoff")) as tty:
        instrument.print(XOFF)
        assert tty.read(0.05) == b""
        pulled = threading.Timer(0.1, instrument.unplug)
        pulled.start()
        with pytest.raises(DeviceGone):
            tty.write(b"\x06")
        pulled.join()


def test_a_line_that_is_held_says_so_to_the_instrument() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SerialSettings(handshake="xon/xoff")) as tty:
        tty.hold()
        assert heard_by(instrument, 1) == XOFF
        tty.resume()
        assert heard_by(instrument, 1) == XON


@pytest.mark.parametrize("handshake", ["none", "rts/cts", "dtr/dsr"])
def test_a_line_without_modem_lines_is_never_held_and_always_ready(handshake: str) -> None:
    settings = SerialSettings(handshake=handshake)
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, settings) as tty:
        tty.hold()
        tty.resume()
        tty.write(b"x" * 40)
        assert heard_by(instrument, 40) == b"x" * 40


SLOW_HALF_DUPLEX = SerialSettings(baud=150, duplex="half")
"""A pause is four characters, 0.27 s: a busy machine makes none by chance."""


def test_half_duplex_waits_for_a_pause_and_keeps_what_came_meanwhile() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SLOW_HALF_DUPLEX) as tty:
        order: list[bytes] = []

        def talk() -> None:
            for _ in range(10):
                instrument.print(b"data")
                order.append(instrument.heard())
                time.sleep(0.004)

        talker = threading.Thread(target=talk)
        instrument.print(b"begin")
        talker.start()
        tty.write(b"\x06")
        talker.join()
        assert order == [b""] * 10
        assert heard_by(instrument, 1) == b"\x06"
        assert read_all(tty) == b"begin" + b"data" * 10


def test_half_duplex_gives_up_on_an_instrument_that_never_pauses() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SLOW_HALF_DUPLEX) as tty:
        stop = threading.Event()

        def talk() -> None:
            while not stop.wait(0.004):
                instrument.print(b"x")

        talker = threading.Thread(target=talk)
        instrument.print(b"x")
        talker.start()
        try:
            with pytest.raises(NotReady, match="without a pause"):
                tty.write(b"\x06")
        finally:
            stop.set()
            talker.join()
        assert read_all(tty).strip(b"x") == b""


def test_a_line_is_set_anew_without_being_closed_and_what_came_before_is_dropped() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SETTINGS) as tty:
        instrument.print(b"before\xff")
        tty.change(SerialSettings(baud=2400, data_bits=7, parity="E", handshake="xon/xoff"))
        instrument.print(b"\xffafter")
        assert read_all(tty) == b"\xffafter"
        assert tty.errors() == LineErrors()
        with pytest.raises(DeviceBusy):
            Tty(instrument.path, SETTINGS)


def test_a_pseudo_terminal_has_no_errors() -> None:
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, SETTINGS) as tty:
        instrument.print(b"\xff\x00\x00\xff\xff")
        assert read_all(tty) == b"\xff\x00\x00\xff\xff"
        assert tty.errors() == LineErrors()
