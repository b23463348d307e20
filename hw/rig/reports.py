"""A pytest session in the guest to one line of JSON for each thing that happened, in a file that the host reads as it grows.

A plugin (`-p hw.rig.reports`, file in `RIG_REPORTS`), the guest's half of `hw.rig.bench`. A line is flushed before anything
else happens: when the guest dies, the host knows which test it died in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Begin the file."""
    path = os.environ.get("RIG_REPORTS")
    if path:
        config.pluginmanager.register(_Reports(config, Path(path)), "rig-reports")


class _Reports:
    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._path = path

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(event="broken", node=report.nodeid, text=report.longreprtext)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write(event="start", node=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._write(event="report", node=report.nodeid, data=data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._write(event="end", node=nodeid)

    def _write(self, **what: Any) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(what, default=str) + "\n")
