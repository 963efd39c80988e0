"""Writes what is measured into ``docs/performance.md``, between markers.

The page's prose is written by hand. All figures in it come from the
file of one run, which is kept beside the plots, so that the page can be
made anew and nobody has to believe a number without its samples.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from . import bounds, plots, report
from .figures import added, ours, ratio
from .live import plots as live_plots
from .live.figures import table as live_table
from .plan import SUBJECTS, Cell
from .results_file import Results, read, write

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "performance.md"
FOLDER = DOCS / "performance"
RESULTS = FOLDER / "results.json"

GLANCE = {
    "http": {
        "http-read-32-80B": "read",
        "http-write-32-80B": "write",
        "http-read-32-4KB": "4 KB read",
        "http-write-32-4KB": "4 KB write",
    },
    "socketio": {
        "connect-64-80B": "connect",
        "event-read-64-80B": "event, read",
        "event-write-64-80B": "event, write",
    },
}


def glance(results: Results, family: str) -> str:
    """Return one table: what is added, and the rate compared with ours."""
    rows = GLANCE[family]
    samples = results.samples
    rates = [f"{name}: rate" for name in rows.values()]
    head = ["", *(f"{name}: added us" for name in rows.values()), *rates]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    cells = {(cell.row.name, cell.subject.name): cell for cell in samples}
    for subject in SUBJECTS:
        found = [cells.get((row, subject.name)) for row in rows]
        if subject.base and any(found):
            values = [f"{added(samples, cell).median:.0f}" if cell else "" for cell in found]
            values += [_rate(results, cell) if cell else "" for cell in found]
            lines.append("| " + " | ".join([subject.title, *values]) + " |")
    return "\n".join(lines)


def _rate(results: Results, cell: Cell) -> str:
    if ours(cell) not in results.samples:
        return ""
    spread = ratio(results.samples, cell, ours(cell), lambda sample: sample.per_second)
    return f"{spread.median:.2f}"


def run_facts(results: Results) -> str:
    """Tell where and on what the figures were taken."""
    machine = results.machine
    ours = ", ".join(
        f"{name} {machine[name]}"
        for name in ("tornado", "python-socketio", "redis", "hiredis", "msgpack")
    )
    lines = [
        f"- Taken {results.when}, {results.rounds} rounds, on {machine['cpu']}, {machine['cores']} "
        f"cores, load at the end {machine['load_at_end']}",
        f"- Python {machine['python']}, {ours}",
        f"- Peers: {machine['peers']}; Node {machine['node']}",
        f"- Scale: {bounds.scales(results.samples)}",
    ]
    lines += [f"- Left out: {name}: {reason}" for name, reason in results.left_out.items()]
    return "\n".join(lines)


def details(results: Results) -> str:
    """Return every row's table, folded."""
    parts = []
    for row, cells in groupby(results.samples, key=lambda cell: cell.row):
        table = report.table({cell: results.samples[cell] for cell in cells})
        text = table.split("\n", 2)[2]
        parts.append(f"<details><summary><code>{row.name}</code></summary>\n\n{text}\n\n</details>")
    return "\n".join(parts)


def blocks(results: Results) -> dict[str, str]:
    """Return what goes between each pair of markers."""
    return {
        "run": run_facts(results),
        "http": glance(results, "http"),
        "socketio": glance(results, "socketio"),
        "bounds": bounds.verdict(results.samples, results.left_out)[1],
        "live": live_table(results.live, bounds.scale(results.samples, "http") or 1.0)
        or "Not part of this run.",
        "rows": details(results),
    }


def fill(text: str, results: Results) -> str:
    """Return the page with its blocks made anew.

    Raises:
        ValueError: the page has no such pair of markers.
    """
    for name, block in blocks(results).items():
        start, end = f"<!-- benchmark: {name} -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"no {start} ... {end} in the page")
        text = f"{before}{start}\n{block}\n{end}{after}"
    return text


def publish(file: Path) -> None:
    """Make a run the one that the page shows."""
    results = read(file)
    write(results, RESULTS)
    for name, drawing in plots.draw(results.samples).items():
        (FOLDER / f"{name}.svg").write_text(drawing)
    if results.live:
        live_plots.write(results.live, FOLDER)
    PAGE.write_text(fill(PAGE.read_text(), results))
