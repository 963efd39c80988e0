"""What is measured, on whom, and how much it may cost.

The only file to touch when a row, a peer or a bound is added: the
runner and the report know nothing but these tables. A peer in another
language needs a ``command`` of its own in ``processes.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SEED_COUNT = 7
"""The counter in a freshly seeded session: not 0, which is the default."""


@dataclass(frozen=True)
class Subject:
    """A server to be measured, in a process of its own.

    ``factory`` is ``module:function``, imported only in that process.
    ``per_session`` tells where the counter lives: in each client's
    session, or (the bare framework) once in the process.
    """

    name: str
    title: str
    family: str
    factory: str
    per_session: bool = True


@dataclass(frozen=True)
class Row:
    """One workload: what is asked, by how many, of how big a session."""

    name: str
    family: str
    action: str
    connections: int
    size: str

    @property
    def changes(self) -> bool:
        """Whether each operation adds one to the counter."""
        return self.action != "read"


@dataclass(frozen=True)
class Bound:
    """The most CPU that a subject may add to bare, in microseconds."""

    row: str
    subject: str
    added_us: float


@dataclass(frozen=True)
class Cell:
    """One subject on one row."""

    row: Row
    subject: Subject

    @property
    def label(self) -> str:
        """What ``--only`` is matched against and progress is told as."""
        return f"{self.row.name} / {self.subject.name}"


# The first subject of a family is the bare framework, which the others
# of that family are compared with.
SUBJECTS = (
    Subject("bare", "bare Tornado", "http", "bare:http", per_session=False),
    Subject("hand", "Tornado + redis by hand", "http", "hand:http"),
    Subject("library", "this library", "http", "library:http"),
    Subject(
        "sio-bare",
        "bare python-socketio",
        "socketio",
        "bare:socketio",
        per_session=False,
    ),
    Subject("sio-hand", "python-socketio + redis by hand", "socketio", "hand:socketio"),
    Subject("sio-event", 'this library, reload="event"', "socketio", "library:event"),
    Subject(
        "sio-interval",
        'this library, reload="interval"',
        "socketio",
        "library:interval",
    ),
)

ROWS = (
    *(
        Row(f"http-{action}-{connections}-{size}", "http", action, connections, size)
        for size in ("80B", "4KB")
        for connections in (1, 32)
        for action in ("read", "write")
    ),
    # One event in flight on each: two on one session would race for the
    # counter, and what is promised then is "the last one wins".
    Row("event-write-64-80B", "socketio", "event", 64, "80B"),
)

BOUNDS = (
    Bound("http-read-32-80B", "library", 35.0),
    Bound("http-write-32-80B", "library", 60.0),
)


def baseline(family: str) -> Subject:
    """Return the bare framework of a family."""
    return next(s for s in SUBJECTS if s.family == family)


def select(only: str) -> list[Cell]:
    """Return the cells whose label matches, each row with its baseline.

    A row without its bare framework would have nothing to be added to,
    so the baseline comes along unasked.

    Raises:
        ValueError: the pattern is not a regular expression, or matches
            nothing.
    """
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise ValueError(f"--only {only!r}: {error}") from error
    cells: list[Cell] = []
    for row in ROWS:
        family = [Cell(row, s) for s in SUBJECTS if s.family == row.family]
        chosen = [cell for cell in family if pattern.search(cell.label)]
        if chosen and chosen[0] != family[0]:
            chosen.insert(0, family[0])
        cells += chosen
    if not cells:
        raise ValueError(f"--only {only!r} matches no row")
    return cells


def seed(size: str) -> dict[str, str | int]:
    """Return the content of a fresh session of about that size."""
    if size == "80B":
        return {
            "count": SEED_COUNT,
            "user": "u-8f14e45fceea167a",
            "name": "Ada Lovelace",
            "theme": "dark",
            "lang": "en-GB",
        }
    return {"count": SEED_COUNT} | {f"item-{i:03}": f"{i:03}" * 30 for i in range(40)}
