"""From samples to a table, a verdict and a file."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .measure import Sample
from .plan import BOUNDS, Cell, baseline
from .run import Samples

COLUMNS = (
    ("", "---"),
    ("server CPU", "---:"),
    ("added to bare", "---:"),
    ("(min to max)", "---:"),
    ("ops/s", "---:"),
    ("p50", "---:"),
    ("p99", "---:"),
    ("Redis CPU", "---:"),
    ("commands", "---:"),
)


@dataclass(frozen=True)
class Spread:
    """The median over the rounds, and the extremes."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        ordered = list(values)
        return cls(median(ordered), min(ordered), max(ordered))


def added(samples: Samples, cell: Cell) -> Spread:
    """Return the CPU added to the bare framework in the same round.

    Rounds are compared one by one, so that a slow minute of the machine
    is in both sides of a difference.
    """
    bare = samples[baseline(cell) or cell]
    return Spread.of(
        ours.cpu_us - theirs.cpu_us for ours, theirs in zip(samples[cell], bare, strict=True)
    )


def _median(samples: list[Sample], figure: Callable[[Sample], float]) -> float:
    return median(figure(sample) for sample in samples)


def table(samples: Samples) -> str:
    """Return the Markdown: one small table for each row."""
    lines: list[str] = []
    row = None
    for cell, taken in samples.items():
        if cell.row != row:
            row = cell.row
            lines += ["", f"**{row.name}**", ""]
            lines.append("| " + " | ".join(name for name, _ in COLUMNS) + " |")
            lines.append("|" + "|".join(rule for _, rule in COLUMNS) + "|")
        extra, spread = "", ""
        if cell.subject.base:
            figure = added(samples, cell)
            extra = f"**{figure.median:.1f} us**"
            spread = f"{figure.lowest:.1f} to {figure.highest:.1f}"
        values = (
            cell.subject.title,
            f"{_median(taken, lambda s: s.cpu_us):.1f} us",
            extra,
            spread,
            f"{_median(taken, lambda s: s.per_second):.0f}",
            f"{_median(taken, lambda s: s.p50_us):.0f} us",
            f"{_median(taken, lambda s: s.p99_us):.0f} us",
            f"{_median(taken, lambda s: s.redis_us):.1f} us",
            f"{_median(taken, lambda s: s.commands):.2f}",
        )
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines[1:])


def verdict(samples: Samples) -> tuple[bool, str]:
    """Judge the bounds; one that was not measured does not pass."""
    lines, passed = ["Bounds (median CPU added to bare):"], True
    cells = {(cell.row.name, cell.subject.name): cell for cell in samples}
    for bound in BOUNDS:
        cell = cells.get((bound.row, bound.subject))
        found = "not measured"
        holds = False
        if cell is not None:
            figure = added(samples, cell).median
            found, holds = f"{figure:.1f} us", figure <= bound.added_us
        lines.append(
            f"- {'ok' if holds else 'OVER' if cell else 'MISSING'}: {bound.row} / "
            f"{bound.subject}: {found}, at most {bound.added_us:.0f} us"
        )
        passed = passed and holds
    return passed, "\n".join(lines)


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
        "load_at_end": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        **{name: version(name) for name in packages},
    }


def write_json(samples: Samples, file: Path) -> None:
    """Write every sample, and the summary, for later comparison."""
    rows = [
        {
            "row": cell.row.name,
            "subject": cell.subject.name,
            "added_us": asdict(added(samples, cell)),
            "rounds": [asdict(sample) for sample in taken],
        }
        for cell, taken in samples.items()
    ]
    when = datetime.now(UTC).isoformat(timespec="seconds")
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"when": when, "machine": machine(), "cells": rows}
    file.write_text(json.dumps(content, indent=1) + "\n")
