"""Which charts are drawn of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .figures import Spread, added, middle
from .plan import ROWS, SUBJECTS, Cell
from .run import Samples
from .svg import Bar, Group, chart

Figure = Callable[[Samples, Cell], Spread]


def per_second(samples: Samples, cell: Cell) -> Spread:
    """Return the operations per second."""
    return middle(samples, cell, lambda sample: sample.per_second)


@dataclass(frozen=True)
class Plot:
    """One chart: a figure of some rows, for the subjects with a session."""

    name: str
    title: str
    axis: str
    figure: Figure
    rows: dict[str, str]


CPU = "server CPU added to the same framework without a session, us (median; line: min to max)"
RATE = "per second, one core (median; line: min to max)"

PLOTS = (
    Plot(
        "added-80B",
        "What a session adds to a page: 80 bytes, 32 connections",
        CPU,
        added,
        {"http-read-32-80B": "read", "http-write-32-80B": "write (+1)"},
    ),
    Plot(
        "added-4KB",
        "What a session adds to a page: 4 KB, one key used, 32 connections",
        CPU,
        added,
        {"http-read-32-4KB": "read", "http-write-32-4KB": "write (+1)"},
    ),
    Plot(
        "requests-80B",
        "Pages with a session: 80 bytes, 32 connections",
        f"requests {RATE}",
        per_second,
        {"http-read-32-80B": "read", "http-write-32-80B": "write (+1)"},
    ),
    Plot(
        "requests-4KB",
        "Pages with a session: 4 KB, one key used, 32 connections",
        f"requests {RATE}",
        per_second,
        {"http-read-32-4KB": "read", "http-write-32-4KB": "write (+1)"},
    ),
    Plot(
        "connections",
        "Pages that change a session of 80 bytes, by connections",
        f"requests {RATE}",
        per_second,
        {f"http-write-{n}-80B": f"{n} at once" for n in (1, 32, 128)},
    ),
    Plot(
        "added-events",
        "What a session adds to a Socket.IO event, 64 in flight",
        CPU,
        added,
        {"event-read-64-80B": "read", "event-write-64-80B": "write (+1)"},
    ),
    Plot(
        "connects",
        "What a session adds to a Socket.IO connect, 64 at once",
        CPU,
        added,
        {"connect-64-80B": "handshake, CONNECT and close"},
    ),
)


def _bar(spread: Spread) -> Bar:
    return Bar(spread.median, spread.lowest, spread.highest)


def _groups(samples: Samples, plot: Plot) -> Iterator[Group]:
    rows = {row.name: row for row in ROWS}
    for subject in SUBJECTS:
        cells = [Cell(rows[name], subject) for name in plot.rows]
        if subject.base and any(cell in samples for cell in cells):
            bars = [_bar(plot.figure(samples, c)) if c in samples else None for c in cells]
            ours = subject.factory.startswith("library:")
            title = subject.title.replace(" + connect-redis", "")
            yield Group(title, ours, bars)


def draw(samples: Samples) -> dict[str, str]:
    """Return the charts by name; one without any measured row is left out."""
    found: dict[str, str] = {}
    for plot in PLOTS:
        if groups := list(_groups(samples, plot)):
            found[plot.name] = chart(plot.title, plot.axis, list(plot.rows.values()), groups)
    return found
