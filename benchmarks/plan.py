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

POOL = 256
"""The connections to Redis that a pool may hold, where there is a pool.

redis-py's own limit is 100, and beyond that it raises: with 128 requests
at once every one of its users has to raise it.
"""


@dataclass(frozen=True)
class Subject:
    """A server to be measured, in a process of its own.

    ``factory`` is ``module:function``, imported only in that process.
    ``per_session`` tells where the counter lives: in each client's
    session, or (the bare framework) once in the process. ``base`` names
    the bare framework that it is compared with; a bare one has none.
    """

    name: str
    title: str
    family: str
    factory: str
    base: str = ""

    @property
    def per_session(self) -> bool:
        """Whether each client has a counter of its own."""
        return bool(self.base)


@dataclass(frozen=True)
class Row:
    """One workload: what is asked, by how many, of how big a session.

    ``action`` is ``read``, ``write``, ``cookieless`` (the session is
    not touched and no cookie sent), ``untouched`` (a cookie is),
    ``connect``, ``event-read`` or ``event-write``.
    """

    name: str
    family: str
    action: str
    connections: int
    size: str

    @property
    def changes(self) -> bool:
        """Whether each operation adds one to the counter."""
        return self.action.endswith("write")


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


SUBJECTS = (
    Subject("bare", "bare Tornado", "http", "bare:http"),
    Subject("hand", "Tornado + redis by hand", "http", "hand:http", "bare"),
    Subject("library", "this library", "http", "library:http", "bare"),
    Subject("sio-bare", "bare python-socketio", "socketio", "bare:socketio"),
    Subject("sio-hand", "python-socketio + redis by hand", "socketio", "hand:socketio", "sio-bare"),
    Subject("sio-event", 'this library, reload="event"', "socketio", "library:event", "sio-bare"),
    Subject(
        "sio-interval",
        'this library, reload="interval"',
        "socketio",
        "library:interval",
        "sio-bare",
    ),
)

# One request or event in flight on each connection: two on one session
# would race for the counter, and what is promised then is "the last one
# wins".
ROWS = (
    *(
        Row(f"http-{action}-{connections}-{size}", "http", action, connections, size)
        for size in ("80B", "4KB")
        for connections in (1, 32, 128)
        for action in ("read", "write")
    ),
    *(Row(f"http-cookieless-{n}", "http", "cookieless", n, "80B") for n in (1, 32, 128)),
    *(Row(f"http-untouched-{n}-80B", "http", "untouched", n, "80B") for n in (1, 32, 128)),
    *(
        Row(f"{action}-{connections}-80B", "socketio", action, connections, "80B")
        for action in ("connect", "event-read", "event-write")
        for connections in (1, 64)
    ),
)

BOUNDS = (
    Bound("http-read-32-80B", "library", 35.0),
    Bound("http-write-32-80B", "library", 60.0),
)


def subject(name: str) -> Subject:
    """Return the subject of that name."""
    return next(subject for subject in SUBJECTS if subject.name == name)


def baseline(cell: Cell) -> Cell | None:
    """Return the bare framework's cell in the same row; None for itself."""
    base = cell.subject.base
    return Cell(cell.row, subject(base)) if base else None


def select(only: str) -> list[Cell]:
    """Return the cells whose label matches, each with its baseline.

    A cell without its bare framework would have nothing to be added to,
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
        wanted = {*chosen, *map(baseline, chosen)}
        cells += [cell for cell in family if cell in wanted]
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
