"""An FT232 under the kernel's ftdi_sio: damaged characters, modem lines, handshakes, names that stay, and how a line is set."""

import threading
import time
from pathlib import Path

import pytest

from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.tty import LineErrors, Tty
from gateway.errors import DeviceBusy, DeviceGone, NotReady
from gateway.profile import SerialSettings
from gateway.service import detecting
from gateway.simulators import nidek
from gateway.simulators.uart import Wire
from gateway.source.detect import Listener
from tests.rig.serial.conftest import ADAPTER, until

EVEN = SerialSettings(baud=9600, data_bits=7, parity="E")
NAMED = "/dev/gateway/serial-platform-dummy_hcd.1-usb-0:1:1.0"


def heard(tty: Tty, seconds: float = 0.5) -> bytes:
    """What arrives until nothing has for so long."""
    data = b""
    while piece := tty.read(seconds):
        data += piece
    return data


def test_a_damaged_character_keeps_its_place_and_is_counted_by_its_kind(ftdi):
    ftdi.line = EVEN
    with Tty(ftdi.plug(), EVEN) as tty:
        until(lambda: ftdi.settings == EVEN, "setting the chip")
        ftdi.print(b"DAP 12.50 cGycm2\r\n")
        assert heard(tty) == b"DAP 12.50 cGycm2\r\n"
        assert tty.errors() == LineErrors()
        ftdi.print(b"DAP 12.50 cGycm2\r\n", wrong={4, 7})
        assert heard(tty) == b"DAP \x1a2.\x1a0 cGycm2\r\n"
        assert tty.errors() == LineErrors(parity=2)
        ftdi.hold_line_down()  # no stop bit either: ftdi_sio counts both
        assert heard(tty) == b"\x1a"
        assert tty.errors() == LineErrors(breaks=1, framing=1)
        ftdi.lose()
        heard(tty)
        assert tty.errors() == LineErrors(overruns=1, unplaced=1)


@pytest.mark.parametrize("line", [SerialSettings(baud=4800), SerialSettings(baud=9600, parity="E")])
def test_an_instrument_that_is_set_otherwise_is_damage_and_not_text(ftdi, line):
    ftdi.line = line
    with Tty(ftdi.plug(), SerialSettings()) as tty:
        ftdi.print(nidek.lensmeter())
        assert b"\x1a" in heard(tty)
        assert tty.errors().framing > 10


def test_every_byte_passes_both_ways(ftdi):
    with Tty(ftdi.plug(), SerialSettings()) as tty:
        ftdi.print(bytes(range(256)))
        assert heard(tty) == bytes(range(256))
        tty.write(bytes(range(256)))
        until(lambda: len(ftdi.heard()) > 0, "hearing")


def test_dtr_says_that_we_listen_and_dsr_that_the_instrument_does(ftdi):
    with Tty(ftdi.plug(), SerialSettings(handshake="dtr/dsr", duplex="half")) as tty:
        until(lambda: ftdi.dtr, "raising DTR")
        tty.hold()
        until(lambda: not ftdi.dtr, "lowering DTR")
        tty.resume()
        until(lambda: ftdi.dtr, "raising DTR again")
        ftdi.ready(dsr=False)
        with pytest.raises(NotReady, match="DSR is off"):
            tty.write(b"\x01C**\x02RS\x17\x04")
        assert ftdi.heard() == b""
        ready = threading.Timer(0.5, ftdi.ready)
        ready.start()
        tty.write(b"\x06")
        until(lambda: ftdi.heard() == b"\x06", "hearing")
    until(lambda: not ftdi.dtr, "lowering DTR in the end")


def test_an_instrument_that_lowers_cts_is_sent_nothing_and_nobody_waits_for_ever(ftdi):
    with Tty(ftdi.plug(), SerialSettings(handshake="rts/cts")) as tty:
        until(lambda: ftdi.rts and ftdi.is_flow_by_rts, "setting the flow")
        tty.write(b"one")
        until(lambda: ftdi.heard() == b"one", "hearing")
        ftdi.ready(cts=False)
        began = time.monotonic()
        with pytest.raises(NotReady, match="CTS is off"):
            tty.write(b"two")
        assert time.monotonic() - began < 20
        assert ftdi.heard() == b""
        ftdi.ready()
        tty.write(b"three")
        until(lambda: ftdi.heard() == b"three", "hearing again")


def test_an_adapter_that_is_pulled_out_has_its_name_again_when_it_is_back(ftdi):
    first = ftdi.plug()
    assert str(Path(NAMED).resolve()) == first
    with Tty(NAMED, SerialSettings()) as tty:
        with pytest.raises(DeviceBusy, match="in use by py"):
            Tty(first, SerialSettings())
        ftdi.print(b"before")
        assert heard(tty) == b"before"
        ftdi.unplug()
        with pytest.raises(DeviceGone):
            for _ in range(50):
                tty.read(0.2)
        until(lambda: not Path(NAMED).exists(), "taking the name away")
        with pytest.raises(DeviceGone):
            Tty(NAMED, SerialSettings())
        second = ftdi.plug()
        assert str(Path(NAMED).resolve()) == second
    with Tty(NAMED, SerialSettings()) as tty:
        ftdi.print(b"after")
        assert heard(tty) == b"after"


def test_an_adapter_whose_ports_have_no_numbers_has_a_name_that_stays_too(adapter):
    assert str(Path("/dev/gateway/serial-platform-dummy_hcd.0-usb-0:1:1.0").resolve()) == ADAPTER


def test_how_a_line_is_set_is_found_behind_the_driver(ftdi):
    """The chip's receiver is our model: the driver is the kernel's."""
    known = [profiles.instrument(name) for name in ("nidek-lm", "nidek-rt", "plain-line-dose")]
    listener, stop = Listener("P", known), threading.Event()
    with Tty(ftdi.plug(), listener.settings) as tty:
        playing = threading.Thread(target=ftdi.play, args=(Wire(nidek.lensmeter(), EVEN, pause_s=0.3), stop))
        playing.start()
        try:
            *_, found = detecting.detect(tty, listener, SystemClock())
        finally:
            stop.set()
            playing.join()
    best = found.guesses[0]
    assert (best.baud, best.data_bits, best.parity) == (9600, 7, "E"), found
    assert "nidek-lm" in best.instruments
