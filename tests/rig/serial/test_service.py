"""The whole serial service on real drivers: instruments with modem lines, damage on the way, an adapter that is pulled out; objects in the spool."""

import threading

import pydicom
import pytest

from gateway import exam, profile
from gateway.clock import SystemClock
from gateway.config import Paths, SerialPort, Site, Station, Store
from gateway.device.tty import Tty
from gateway.model import CaptureKind, Patient
from gateway.profile import SerialSettings
from gateway.service import serial
from gateway.service.bell import Bell
from gateway.simulators import nidek
from gateway.simulators.analyser import Analyser
from gateway.spool import journal
from gateway.spool.spool import Spool
from tests.rig.serial.conftest import until

MIB = 1 << 20
REFRACTOR = "/dev/gateway/serial-platform-dummy_hcd.1-usb-0:1:1.0"
LENSMETER = "/dev/gateway/serial-platform-dummy_hcd.2-usb-0:1:1.0"
RTS_CTS = SerialSettings(handshake="rts/cts")


class FarEnd:
    """What stands at the other 16550 of the cable; `print` and `heard` as a SimulatedInstrument has them."""

    def __init__(self, tty: Tty) -> None:
        self._tty = tty

    def print(self, text: bytes) -> None:
        self._tty.write(text)

    def heard(self) -> bytes:
        return self._tty.read(0.05)


@pytest.fixture
def ports(tmp_path, cable):
    """Three services of one box, and its spool: a refractor and a lensmeter on FT232s, an analyser on a 16550."""
    own = tmp_path / "own" / "instruments"
    own.mkdir(parents=True)
    shipped = profile.shipped() / "instruments" / "astm-analyser.toml"
    text = shipped.read_text(encoding="utf-8").replace("[line]\n", '[line]\nhandshake = "rts/cts"\n')
    (own / "analyser.toml").write_text(text, encoding="utf-8")
    site = Site(
        paths=Paths(data=str(tmp_path / "data"), run=str(tmp_path / "run"), profiles=str(own.parent)),
        station=Station(timezone="Africa/Nairobi"),
        serial={
            "RT": SerialPort(device=REFRACTOR, instrument="nidek-rt", station="ROOM"),
            "LM": SerialPort(device=LENSMETER, instrument="nidek-lm", station="ROOM"),
            "LAB": SerialPort(device=cable[0], instrument="analyser", station="ROOM"),
        },
        spool=Store(ballast_mb=1, keep_free_mb=1),
    )
    spool = Spool.open(tmp_path / "data", SystemClock(), ballast_bytes=MIB, keep_free_bytes=MIB)
    stop = threading.Event()

    def serve(name: str) -> None:
        with Bell(tmp_path / "run", f"serial@{name}") as bell:
            serial.serve(name, site, spool, SystemClock(), stop, bell)

    threads = [threading.Thread(target=serve, args=(name,)) for name in site.serial]
    for thread in threads:
        thread.start()
    yield spool
    stop.set()
    for thread in threads:
        thread.join(60)
    spool.close()


def kept(spool: Spool, step) -> dict[str, int]:
    """How many readings of the exam each port has."""
    found = [each for each in spool.captures.of_exam(step.exam_id) if each.kind is CaptureKind.READING]
    return {name: sum(each.source == name for each in found) for name in sorted({each.source for each in found})}


def objects(spool: Spool, step) -> dict[str, pydicom.Dataset]:
    """The objects of the exam, by port and modality."""
    return {
        f"{each.source} {one.modality}": pydicom.dcmread(spool.blobs.path(one.blob))
        for each in spool.captures.of_exam(step.exam_id)
        for one in spool.instances.of_capture(step.exam_id, each.number)
    }


def events(spool: Spool, name: str) -> list[str]:
    return [entry.event for entry in spool.history.of(f"port {name}")]


def journalled(spool_folder, name: str) -> bytes:
    return b"".join(
        chunk.data for path in sorted((spool_folder / "serial" / name).iterdir()) for chunk in journal.read(path)
    )


def test_three_instruments_of_one_exam_with_damage_and_a_pulled_plug_are_objects(
    ports, ftdi, other_ftdi, cable, tmp_path
):
    spool = ports
    who = Patient(patient_id="P1", name="Synthetic^Test")
    step = exam.start(spool, SystemClock(), station="ROOM", modality="OT", profile="simulator-ultrasound", patient=who)
    ftdi.line, other_ftdi.line = profile.instrument("nidek-rt").line, profile.instrument("nidek-lm").line
    until(lambda: all(events(spool, name) == ["unplugged"] for name in ("RT", "LM")), "missing the adapters", 120)
    ftdi.plug()
    other_ftdi.plug()
    until(lambda: all(len(events(spool, name)) == 2 for name in ("RT", "LM")), "opening", 120)
    assert (ftdi.settings, ftdi.dtr) == (SerialSettings(baud=2400, data_bits=7, parity="E", stop_bits=2), True)

    figure = nidek.refractor().index(b"1.25")
    ftdi.print(nidek.refractor(), wrong={figure})
    until(lambda: "a record could not be read" in events(spool, "RT"), "saying that it was damaged", 120)
    assert kept(spool, step) == {}
    ftdi.print(nidek.refractor())
    until(lambda: kept(spool, step) == {"RT": 1}, "the refractor", 120)

    half = nidek.lensmeter()[: len(nidek.lensmeter()) // 2]
    other_ftdi.print(half)
    until(lambda: half in journalled(tmp_path / "data", "LM"), "journalling half a message", 120)
    before = len(events(spool, "LM"))
    other_ftdi.unplug()
    until(lambda: len(events(spool, "LM")) == before + 1, "noticing", 120)
    other_ftdi.plug()
    until(lambda: len(events(spool, "LM")) == before + 2, "coming back", 120)
    other_ftdi.print(nidek.lensmeter())
    until(lambda: kept(spool, step) == {"LM": 1, "RT": 1}, "the lensmeter", 120)
    assert half + nidek.lensmeter() in journalled(tmp_path / "data", "LM")

    with Tty(cable[1], RTS_CTS) as tty:
        analyser = Analyser(FarEnd(tty), damaged=frozenset({4}))
        analyser.send()
    assert analyser.answers.count(b"\x15") == 1
    until(lambda: kept(spool, step) == {"LAB": 1, "LM": 1, "RT": 1}, "the analyser", 120)

    found = objects(spool, step)
    assert set(found) == {"RT LEN", "RT AR", "RT KER", "RT SRF", "RT SR", "LM LEN", "LAB SR"}
    assert found["LM LEN"].LeftLensSequence[0].CylinderSequence[0].CylinderAxis == 180
    right = found["RT AR"].AutorefractionRightEyeSequence[0]
    assert (right.SpherePower, right.CylinderSequence[0].CylinderAxis) == (1.25, 150)
    assert {ds.PatientID for ds in found.values()} == {"P1"}
