"""From samples to Markdown tables."""

from __future__ import annotations

from itertools import groupby

from .figures import Spread, added, middle, ours, ratio
from .plan import Cell
from .run import Samples

COLUMNS = (
    "",
    "ops/s",
    "p50",
    "p99",
    "server CPU",
    "added to its bare",
    "(min to max)",
    "ops/s, ours = 1",
    "(min to max)",
    "CPU, ours = 1",
    "(min to max)",
    "Redis CPU",
    "commands",
)


def _times(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:.2f}", f"{spread.lowest:.2f} to {spread.highest:.2f}"


def line(samples: Samples, cell: Cell) -> str:
    """Return what was measured of one subject on one row."""
    extra, spread = "", ""
    if cell.subject.base:
        figure = added(samples, cell)
        extra = f"**{figure.median:.1f} us**"
        spread = f"{figure.lowest:.1f} to {figure.highest:.1f}"
    ratios = ("", "", "", "")
    if ours(cell) in samples and cell != ours(cell):
        ratios = (
            *_times(ratio(samples, cell, ours(cell), lambda s: s.per_second)),
            *_times(ratio(samples, cell, ours(cell), lambda s: s.cpu_us)),
        )
    values = (
        cell.subject.title,
        f"{middle(samples, cell, lambda s: s.per_second).median:.0f}",
        f"{middle(samples, cell, lambda s: s.p50_us).median:.0f} us",
        f"{middle(samples, cell, lambda s: s.p99_us).median:.0f} us",
        f"{middle(samples, cell, lambda s: s.cpu_us).median:.1f} us",
        extra,
        spread,
        *ratios,
        f"{middle(samples, cell, lambda s: s.redis_us).median:.1f} us",
        f"{middle(samples, cell, lambda s: s.commands).median:.2f}",
    )
    return "| " + " | ".join(values) + " |"


def table(samples: Samples) -> str:
    """Return one small table for each row."""
    lines: list[str] = []
    for row, cells in groupby(samples, key=lambda cell: cell.row):
        lines += ["", f"**{row.name}**", ""]
        lines.append("| " + " | ".join(COLUMNS) + " |")
        lines.append("|---|" + "---:|" * (len(COLUMNS) - 1))
        lines += [line(samples, cell) for cell in cells]
    return "\n".join(lines[1:])
