"""Serial lines of the kernel's own drivers: bytes arrive as they were sent, and an adapter that is pulled out is named and comes back."""

import threading
import time

import pytest

from gateway import exam
from gateway.clock import SystemClock
from gateway.config import Paths, SerialPort, Site, Station, Store
from gateway.device.tty import Tty
from gateway.errors import DeviceBusy, DeviceGone
from gateway.model import CaptureKind, Patient
from gateway.profile import SerialSettings
from gateway.service import serial
from gateway.service.bell import Bell
from gateway.simulators.instrument import dose_report
from gateway.spool.spool import Spool
from tests.rig.serial.conftest import ADAPTER, LONELY, until

MIB = 1 << 20


def everything(tty: Tty, size: int) -> bytes:
    """So many bytes, within a minute."""
    got, end = b"", time.monotonic() + 60
    while len(got) < size and time.monotonic() < end:
        got += tty.read(1.0)
    return got


@pytest.mark.parametrize(("baud", "parity", "data_bits"), [(9600, "N", 8), (19200, "E", 8), (115200, "O", 7)])
def test_bytes_pass_a_null_modem_cable_as_they_are(cable, baud, parity, data_bits):
    settings = SerialSettings(baud=baud, parity=parity, data_bits=data_bits)
    sent = bytes(range(1 << data_bits)) * 4
    with Tty(cable[0], settings) as near, Tty(cable[1], settings) as far:
        far.write(sent)
        assert everything(near, len(sent)) == sent
        near.write(b"\x06")
        assert everything(far, 1) == b"\x06"


def test_a_line_with_nothing_at_its_end_is_silent(cable):
    with Tty(LONELY, SerialSettings()) as tty:
        assert tty.read(0.5) == b""


def test_a_line_belongs_to_one_program(cable):
    with Tty(cable[0], SerialSettings()), pytest.raises(DeviceBusy):
        Tty(cable[0], SerialSettings())


def test_a_port_that_is_not_there_is_named(cable):
    with pytest.raises(DeviceGone):
        Tty("/dev/ttyACM7", SerialSettings())


def test_an_adapter_pulled_out_while_it_is_read_is_gone_by_name(adapter):
    with Tty(ADAPTER, SerialSettings()) as tty:
        assert tty.read(0.2) == b""
        adapter.unplug()
        with pytest.raises(DeviceGone):
            for _ in range(50):
                tty.read(0.2)
    adapter.plug()
    with Tty(ADAPTER, SerialSettings()) as tty, Tty(adapter.far, SerialSettings()) as meter:
        meter.write(b"back\r\n")
        assert everything(tty, 6) == b"back\r\n"


@pytest.fixture
def box(tmp_path):
    """`with box(device)`: the service of one port, and its spool."""
    spool = Spool.open(tmp_path / "data", SystemClock(), ballast_bytes=MIB, keep_free_bytes=MIB)
    stop, threads = threading.Event(), []

    def serve(device: str) -> Spool:
        site = Site(
            paths=Paths(data=str(tmp_path / "data"), run=str(tmp_path / "run")),
            station=Station(timezone="Africa/Nairobi"),
            serial={"DOSE": SerialPort(device=device, instrument="plain-line-dose", station="ROOM")},
            spool=Store(ballast_mb=1, keep_free_mb=1),
        )

        def work() -> None:
            with Bell(tmp_path / "run", "serial@DOSE") as bell:
                serial.serve("DOSE", site, spool, SystemClock(), stop, bell)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return spool

    yield serve
    stop.set()
    for thread in threads:
        thread.join(60)
    spool.close()


def readings(spool: Spool, step) -> int:
    return sum(each.kind is CaptureKind.READING for each in spool.captures.of_exam(step.exam_id))


def begin(spool: Spool):
    who = Patient(patient_id="P1", name="Synthetic^Test")
    return exam.start(spool, SystemClock(), station="ROOM", modality="US", profile="simulator-ultrasound", patient=who)


def print_until(spool: Spool, step, far: str, count: int) -> None:
    """Print until that many readings are part of the exam: what is printed while nobody listens is lost on any serial line."""
    with Tty(far, SerialSettings()) as meter:

        def is_read() -> bool:
            meter.write(dose_report())
            time.sleep(2.0)
            return readings(spool, step) >= count

        until(is_read, "a reading", 120.0)


def test_what_a_meter_prints_on_a_16550_is_a_reading_of_the_exam(box, cable):
    spool = box(cable[0])
    step = begin(spool)
    print_until(spool, step, cable[1], 1)


def test_an_adapter_pulled_out_and_put_back_is_read_again(box, adapter):
    spool = box(ADAPTER)
    step = begin(spool)
    print_until(spool, step, adapter.far, 1)
    adapter.unplug()
    time.sleep(1.0)
    adapter.plug()
    print_until(spool, step, adapter.far, readings(spool, step) + 1)
