"""Runs the benchmarks: `python -m tests.benchmarks [NAME]`; writes build/bench.json, docs/benchmarks.md and its plot.

A benchmark is a module here (`still-1080p` is `still_1080p.py`) with `run()`, which returns a row or a list of rows: name, ours, peer, peer_name, unit, ratio,
goal, met. A row's name begins with its module's: running one benchmark replaces only its own rows. Exits 1 when a goal is missed.
"""

import importlib
import json
import os
import platform
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JSON = ROOT / "build" / "bench.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "benchmarks.svg"
NAMES = sorted(
    path.stem.replace("_", "-") for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
)

Row = dict[str, object]

_HEAD = """# Benchmarks

Written by `make bench` (one of them: `make bench B=queue`). Each is measured beside its peer, in one run, on one machine; the
figure that travels to another machine is the ratio. A row without a goal is only reported.
"""


def main(asked: list[str]) -> int:
    """Run what is asked for, or all; return the exit status."""
    if unknown := set(asked) - set(NAMES):
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    rows = json.loads(JSON.read_text(encoding="utf-8")) if JSON.exists() else []
    fresh: list[Row] = []
    for name in asked or NAMES:
        print(f"{name} ...", flush=True)
        found = importlib.import_module(f"tests.benchmarks.{name.replace('-', '_')}").run()
        measured = found if isinstance(found, list) else [found]
        print(*map(_line, measured), sep="\n", flush=True)
        rows = [row for row in rows if not row["name"].startswith((f"{name},", f"{name} "))] + measured
        fresh += measured
        _write(sorted(rows, key=lambda row: str(row["name"])))
    return 0 if all(row["met"] for row in fresh) else 1


def _line(row: Row) -> str:
    mark = "ok  " if row["met"] else "MISS"
    return f"  {mark} {row['name']}: {row['ours']} beside {row['peer']} ({row['peer_name']}), {row['unit']}; {row['ratio']}"


def _write(rows: list[Row]) -> None:
    JSON.parent.mkdir(exist_ok=True)
    JSON.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    _draw(rows)
    PAGE.write_text(_page(rows), encoding="utf-8")


def _page(rows: list[Row]) -> str:
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    cells = [
        f"| {row['name']} | {row['ours']} | {row['peer']} | {row['peer_name']} | {row['unit']} | {row['ratio']} | "
        f"{row['goal'] or ''} | {'yes' if row['met'] else '**no**'} |"
        for row in rows
    ]
    table = [
        "| what | ours | peer | which peer | unit | ratio | goal | met |",
        "|---|---|---|---|---|---|---|---|",
        *cells,
    ]
    measured = f"Last measured {datetime.now(tz=UTC):%Y-%m-%d} on {where}."
    return "\n".join([_HEAD, measured, "", *table, "", "![ratios](benchmarks.svg)", ""])


def _draw(rows: list[Row]) -> None:
    """Draw each ratio as a bar, and its goal as a line across it."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    figure, axes = plt.subplots(figsize=(10, 1 + 0.35 * len(rows)), layout="constrained")
    places = range(len(rows))
    colours = ["#2a7f62" if row["met"] else "#b3402e" for row in rows]
    axes.barh(places, [float(str(row["ratio"])) for row in rows], color=colours)
    for place, row in zip(places, rows, strict=True):
        if row["goal"]:
            axes.plot([float(str(row["goal"]))] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2)
    axes.set_yticks(places, [str(row["name"]) for row in rows], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("ratio to the peer (black: the goal)")
    axes.invert_yaxis()
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
