"""The main job on one command: real processes, two PACS of which one is down at first, and every object whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.objects.test_dciodvfy import unexplained


@pytest.mark.timeout(300)
def test_the_demo_delivers_every_object_whole_and_valid(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", "--json", "--output", str(kept)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert told["is_good"]
    near = Counter(one["modality"] for one in told["objects"] if one["pacs"] == "near")
    assert near == {"US": 4, "SR": 2, "LEN": 1, "ECG": 1, "DOC": 1}
    assert near == Counter(one["modality"] for one in told["objects"] if one["pacs"] == "far")
    files = sorted(kept.glob("*.dcm"))
    assert {path.stem for path in files} == {one["sop_instance_uid"] for one in told["objects"]}
    assert {path.name: problems for path in files if (problems := unexplained(path))} == {}
