"""The file of a run: where it ran, what was left out, and every sample."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .installs import FILES, PINS
from .live.figures import Figure, as_json
from .measure import Sample
from .plan import ROWS, Cell, subject
from .run import Samples

FIGURES = [field.name for field in fields(Sample)]


@dataclass(frozen=True)
class Results:
    """A run, as it was or as it was read from its file."""

    when: str
    machine: dict[str, str]
    rounds: int
    left_out: dict[str, str]
    samples: Samples
    live: list[Figure] = field(default_factory=list)


def machine() -> dict[str, str]:
    """Describe where and on what this ran."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    packages = ("tornado", "python-socketio", "redis", "hiredis", "msgpack")
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "python": sys.version.split()[0],
        "node": _node(),
        "peers": peers(),
        "load_at_end": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        **{name: version(name) for name in packages},
    }


def peers() -> str:
    """Tell the versions that the peers are pinned to, by where they come from."""
    node = json.loads((PINS / FILES["node"]).read_text())["dependencies"].items()
    lines = re.findall(
        r"^([\w-]+)==(.+)$", (PINS / FILES["python"]).read_text().split("\n\n")[0], re.M
    )
    parts = [f"{name} {number}" for name, number in lines]
    return f"{', '.join(parts)}; npm: {', '.join(f'{name} {number}' for name, number in node)}"


def _node() -> str:
    program = shutil.which("node")
    if program is None:
        return "none"
    return subprocess.run([program, "--version"], text=True, capture_output=True).stdout.strip()


def now() -> str:
    """Return the time of day as the file has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(results: Results, file: Path) -> None:
    """Write a run, one line for each figure of each cell."""
    cells = [
        {"row": cell.row.name, "subject": cell.subject.name}
        | {name: [round(getattr(s, name), 3) for s in taken] for name in FIGURES}
        for cell, taken in results.samples.items()
    ]
    head = {key: getattr(results, key) for key in ("when", "machine", "rounds", "left_out")}
    lines = ",\n".join(json.dumps(cell) for cell in cells)
    live = ",\n".join(json.dumps(figure) for figure in as_json(results.live))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps(head, indent=1)[:-2] + f',\n "cells": [\n{lines}\n],\n "live": [\n{live}\n]}}\n'
    )


def read(file: Path) -> Results:
    """Read a run back; cells that are no longer in the plan are passed over."""
    content = json.loads(file.read_text())
    rows = {row.name: row for row in ROWS}
    samples: Samples = {}
    for cell in content.pop("cells"):
        if cell["row"] in rows:
            columns = zip(*(cell[name] for name in FIGURES), strict=True)
            key = Cell(rows[cell["row"]], subject(cell["subject"]))
            samples[key] = [Sample(*figures) for figures in columns]
    live = [
        Figure(**{**figure, "samples": tuple(figure["samples"])})
        for figure in content.pop("live", ())
    ]
    return Results(**content, samples=samples, live=live)
