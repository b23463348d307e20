"""Orthanc, a real PACS, on this box: started for a test, asked over its REST interface, and ended."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.request

ORTHANC = "/usr/sbin/Orthanc"
"""Where Debian puts it, which is not in everybody's PATH; where it is missing the tests fail."""


@contextlib.contextmanager
def orthanc(folder, port, http):
    """Yield `get(path)`: what its REST interface answers, as JSON; or as bytes where `is_file`."""
    folder.mkdir()
    settings = {
        "StorageDirectory": str(folder / "db"), "DicomPort": port, "HttpPort": http, "DicomAet": "PACS",
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "Plugins": [],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))

    def get(path, *, is_file=False):
        with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}") as answer:
            return answer.read() if is_file else json.load(answer)

    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], stdout=log, stderr=subprocess.STDOUT)
        try:
            for number in (port, http):
                _wait_for(number)
            yield get
        finally:
            process.kill()  # its folder is thrown away: nobody waits for it to tidy up
            process.wait()


def _wait_for(port):
    end = time.monotonic() + 60
    while not _is_listening(port):
        assert time.monotonic() < end, f"Orthanc does not listen on port {port}"
        time.sleep(0.05)


def _is_listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
