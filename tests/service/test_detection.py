"""A port that looks for its settings on a person's word: what it finds is offered, and then it goes on as before."""

import threading
import time

import pytest

from gateway import config, exam
from gateway import profile as profiles
from gateway.clock import SystemClock
from gateway.device.tty import Tty
from gateway.errors import DeviceGone
from gateway.service.compose import Box
from gateway.service.serial import Port
from gateway.simulators import nidek
from gateway.simulators.instrument import SimulatedInstrument
from gateway.spool import journal, live
from gateway.spool.spool import Spool
from tests.flow.clinic import until
from tests.service.world import WHO, site_file

PORT = "LM"
LENSMETER = profiles.instrument("nidek-lm")


@pytest.fixture
def box(tmp_path):
    serial = {PORT: {"device": "/dev/null-lm", "instrument": "nidek-lm", "station": "ROOM-1"}}
    site = config.load(site_file(tmp_path, serial=serial))
    with Spool.open(site.data, SystemClock()) as spool:
        yield Box(site=site, spool=spool, clock=spool.clock)


@pytest.mark.timeout(60)
def test_a_port_that_is_asked_says_who_speaks_on_its_line_and_goes_on_as_before(box):
    run, message = box.site.run, nidek.lensmeter()
    step = exam.start(
        box.spool, box.clock, station="ROOM-1", modality="OT", profile="simulator-ultrasound", patient=WHO
    )
    with SimulatedInstrument(baud=0) as instrument, Tty(instrument.path, LENSMETER.line) as tty:
        port, stop = Port(PORT, box, LENSMETER), threading.Event()
        thread = threading.Thread(target=port.listen, args=(tty, stop))
        live.ask_detection(run, PORT)
        thread.start()
        until(lambda: live.read_detection(run, PORT) is not None, 10, "it did not begin")
        assert not live.read_detection(run, PORT).is_over
        instrument.print(message)
        until(lambda: live.read_detection(run, PORT).is_over, 30, "it did not end")
        found = live.read_detection(run, PORT)
        assert box.spool.captures.of_exam(step.exam_id) == box.spool.inbox.waiting() == []
        time.sleep(0.7)
        instrument.print(message)
        until(lambda: len(box.spool.instances.of_exam(step.exam_id)) == 1, 10, "it did not go on")
        stop.set()
        thread.join()
        port.close()
    assert found.received_bytes == len(message)
    assert "nidek-lm" in found.guesses[0].instruments
    (path,) = (box.site.data / "serial" / PORT).glob("*.journal")
    assert b"".join(chunk.data for chunk in journal.read(path)) == message * 2
    Port(PORT, box, LENSMETER).close()
    assert box.spool.inbox.waiting() == [], "what was only overheard makes no set at the next start"


def test_a_line_that_is_not_there_ends_the_search_at_once(box):
    port = Port(PORT, box, LENSMETER)
    live.ask_detection(box.site.run, PORT)
    port.unplugged(DeviceGone(device="line"))
    port.close()
    assert live.read_detection(box.site.run, PORT).is_over
    assert live.read_instrument(box.site.run, PORT).problem
