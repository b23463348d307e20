"""Any bytes give a picture or CodecError, and no decoder takes the process with it."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CodecError
from gateway.pixels import codecs, streams

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = {
    "native": "1.2.840.10008.1.2.1",
    "rle": codecs.RLE,
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-ls": "1.2.840.10008.1.2.4.81",
    "jpeg-2000": "1.2.840.10008.1.2.4.91",
    "htj2k": "1.2.840.10008.1.2.4.203",
    "jpeg-xl": "1.2.840.10008.1.2.4.112",
}
"""One UID of each decoder."""


@pytest.mark.parametrize("family", FAMILIES)
def test_broken_streams_kill_nobody(family, campaign):
    size = campaign(1000, 200_000)
    command = [sys.executable, "-m", "tests.pixels.fuzz_codecs", FAMILIES[family], str(size), str(campaign(1, 2))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"of {size} decoded" in ran.stdout
    assert not ran.stdout.startswith("0 of")  # the streams were real ones


@given(st.data())
def test_any_bytes_are_a_header_or_a_named_error(data):
    name = data.draw(st.sampled_from(sorted(streams._READERS)))
    start = data.draw(
        st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\xff\x0a", streams._JXL_BOX])
    )
    wanted = streams.Header(
        *(data.draw(st.integers(1, 65535)) for _ in range(2)), data.draw(st.sampled_from([1, 3])), 8
    )
    try:
        stated = streams.checked(start + data.draw(st.binary(max_size=80)), name, wanted)
    except CodecError:
        return
    assert stated[:3] == wanted[:3]
