"""From a press in the browser to the durable object: the POST to the panel until its answer "saved", while two modalities send.

The answer comes after the Instance's COMMIT, so what is measured here is more than the way to it. All services are processes
of their own; the senders are two, one association each, as fast as they are answered. 640x480, 25 Hz, progressive; `still-1080p`
does the same with 1920x1080 at 30 Hz.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from gateway import config, exam
from gateway.clock import SystemClock
from gateway.model import Patient, Signal
from gateway.service.run import Services, units
from gateway.simulators import ports
from gateway.spool import live
from gateway.spool.spool import Spool

LIMIT_MS = 100.0
PRESSES = int(os.environ.get("GATEWAY_PRESSES", "1000"))
STATION, PROFILE = "ROOM", "simulator-ultrasound"
SMALL, LARGE = "640x480,progressive,yuyv,25", "1920x1080,progressive,yuyv,30"
READY_S = 120.0
PASSWORD = "a bench of a password"
SENDERS = 2
_SENDER = """
import sys
from pathlib import Path
from gateway.simulators.modality import Modality
from tests.dicom_files import image
port, number, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
folder.mkdir()
uid = str(image(folder / "first.dcm", side=512, seed=number).SOPInstanceUID)
template = (folder / "first.dcm").read_bytes()
count = 0
while True:
    paths = []
    for _ in range(50):
        count += 1
        fresh = f"2.25.{number + 1}".ljust(len(uid) - 8, "7") + str(count).zfill(8)
        paths.append(folder / f"{count % 100}.dcm")
        paths[-1].write_bytes(template.replace(uid.encode(), fresh.encode()))
    Modality(("127.0.0.1", port)).send(paths)
"""


def run() -> list[dict[str, object]]:
    """Measure; one row."""
    return rows("still", SMALL)


def rows(name: str, picture: str) -> list[dict[str, object]]:
    """Measure with a picture of one size; one row."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        took_ms, received = measure(Path(folder), picture)
    took_ms.sort()
    p99 = took_ms[int(len(took_ms) * 0.99)]
    p50 = took_ms[len(took_ms) // 2]
    return [
        {
            "name": f"{name}, press to durable object, 99th percentile",
            "ours": round(p99, 1),
            "peer": LIMIT_MS,
            "peer_name": f"limit ({len(took_ms)} presses, median {p50:.0f} ms, {received} objects received meanwhile)",
            "unit": "ms",
            "ratio": round(LIMIT_MS / p99, 2),
            "goal": 1.0,
            "met": p99 < LIMIT_MS,
        }
    ]


def measure(folder: Path, picture: str) -> tuple[list[float], int]:
    """Return what each press took in ms, and how many objects came in meanwhile."""
    listen, panel = ports.free(2)
    file = folder / "gateway.toml"
    file.write_text(config.toml(_settings(folder, listen, panel, picture)), encoding="utf-8")
    site = config.load(file)
    services = Services(units(site), file, lambda _: None)
    senders: list[subprocess.Popen[bytes]] = []
    try:
        with Spool.open(site.data, SystemClock()) as spool:
            _wait_for_picture(site)
            browser = Browser(panel)
            browser.pair(str(spool.accounts.open_pairing()))
            step = exam.start(
                spool,
                spool.clock,
                station=STATION,
                modality="US",
                profile=PROFILE,
                patient=Patient(patient_id="BENCH", name="Bench^Press"),
            )
            senders = [_sender(listen, number, folder / f"sender-{number}") for number in range(SENDERS)]
            time.sleep(3.0)
            before = len(spool.instances.received(1_000_000))
            took_ms = [browser.press(str(step.exam_id)) for _ in range(PRESSES)]
            return took_ms, len(spool.instances.received(1_000_000)) - before
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
        services.stop()


class Browser:
    """As much of one as signing in and pressing takes: one connection, a cookie, a token."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._cookie = ""
        self._token = ""

    def pair(self, code: str) -> None:
        """Become the first engineer."""
        self._ask("GET", "/pair")
        self._ask("POST", "/pair", code=code, name="bench", password=PASSWORD, again=PASSWORD)
        self._ask("GET", "/")

    def press(self, exam_id: str) -> float:
        """Press Capture; return how long the answer "saved" took, in ms. Anything else is a failure of the benchmark."""
        began = time.perf_counter()
        answer = json.loads(self._ask("POST", f"/exam/{exam_id}/press", kind="STILL"))
        took_ms = (time.perf_counter() - began) * 1e3
        if answer["state"] != "DONE":
            raise RuntimeError(f"a press was not answered: {answer['state']}")
        return took_ms

    def _ask(self, method: str, path: str, **form: str) -> bytes:
        headers = (
            {"Cookie": self._cookie, "Accept": "application/json"} if "press" in path else {"Cookie": self._cookie}
        )
        body = urllib.parse.urlencode({**form, "csrf": self._token}) if method == "POST" else None
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        page = response.read()
        if set_cookie := response.getheader("Set-Cookie"):
            self._cookie = set_cookie.partition(";")[0]
        if response.status in {301, 302, 303}:
            return self._ask("GET", str(response.getheader("Location")))
        if found := re.search(rb'name="csrf" value="([^"]+)"', page):
            self._token = found[1].decode()
        return page


def _sender(port: int, number: int, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _SENDER, str(port), str(number), str(folder)])


def _wait_for_picture(site: config.Site) -> None:
    end = time.monotonic() + READY_S
    while (status := live.read_status(site.run, STATION)) is None or status.signal is not Signal.STREAMING:
        if time.monotonic() > end:
            raise TimeoutError("no picture came")
        time.sleep(0.1)


def _settings(folder: Path, listen: int, panel: int, picture: str) -> dict[str, object]:
    return {
        "paths": {"data": str(folder / "data"), "run": str(folder / "run"), "cache": str(config.own_cache())},
        "spool": {"ballast_mb": 16, "keep_free_mb": 64},
        "grabber": {STATION: {"device": f"simulator:phantom,{picture}", "profile": PROFILE}},
        "listen": {"host": "127.0.0.1", "port": listen, "is_open_to_all": True},
        "panel": {"host": "127.0.0.1", "port": panel},
    }
