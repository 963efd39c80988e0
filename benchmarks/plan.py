"""What is measured, and on whom; how much it may cost is in ``bounds``.

The only file to touch when a row or a peer is added: the runner and the
report know nothing but these tables. A peer in another language needs
to be told of in ``installs`` and ``launch``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .content import SEED_COUNT as SEED_COUNT


@dataclass(frozen=True)
class Subject:
    """A server to be measured, in a process of its own.

    ``factory`` is ``module:function``, imported only in that process.
    ``per_session`` tells where the counter lives: in each client's
    session, or (the bare framework) once in the process. ``base`` names
    the bare framework that it is compared with; a bare one has none.
    ``runtime`` is ``own`` (this interpreter), ``python`` (that of the
    peers) or ``node``.
    """

    name: str
    title: str
    family: str
    factory: str
    base: str = ""
    runtime: str = "own"
    loop: str = "asyncio"

    @property
    def needs(self) -> str:
        """What has to be installed for it, if anything (see ``installs``)."""
        if self.runtime == "own":
            return "uvloop" if self.loop == "uvloop" else ""
        return self.runtime

    @property
    def bare(self) -> str:
        """The name of its bare framework, which may be itself."""
        return self.base or self.name

    @property
    def per_session(self) -> bool:
        """Whether each client has a counter of its own."""
        return bool(self.base)


@dataclass(frozen=True)
class Row:
    """One workload: what is asked, by how many, of how big a session.

    ``action`` is ``read``, ``write``, ``cookieless`` (the session is
    not touched and no cookie sent), ``untouched`` (a cookie is),
    ``connect``, ``event-read`` or ``event-write``. Without ``peers``
    only what needs no installation is measured.
    """

    name: str
    family: str
    action: str
    connections: int
    size: str
    peers: bool = True

    @property
    def changes(self) -> bool:
        """Whether each operation adds one to the counter."""
        return self.action.endswith("write")


@dataclass(frozen=True)
class Cell:
    """One subject on one row."""

    row: Row
    subject: Subject

    @property
    def label(self) -> str:
        """What ``--only`` is matched against and progress is told as."""
        return f"{self.row.name} / {self.subject.name}"


def _peer(
    name: str, title: str, package: str, module: str, loop: str = "asyncio"
) -> tuple[Subject, Subject]:
    """Return a framework in Python, bare and with its session package."""
    suffix = "" if loop == "asyncio" else f"-{loop}"
    note = suffix.replace("-", ", ")
    bare = f"{name}-bare{suffix}"
    return (
        Subject(bare, f"bare {title}{note}", "http", f"{module}:bare", runtime="python", loop=loop),
        Subject(
            f"{name}{suffix}",
            f"{title} + {package}{note}",
            "http",
            f"{module}:session",
            bare,
            "python",
            loop,
        ),
    )


SUBJECTS = (
    Subject("bare", "bare Tornado", "http", "bare:http"),
    Subject("hand", "Tornado + redis by hand", "http", "hand:http", "bare"),
    Subject("library", "this library", "http", "library:http", "bare"),
    Subject("bare-uvloop", "bare Tornado, uvloop", "http", "bare:http", loop="uvloop"),
    Subject(
        "library-uvloop",
        "this library, uvloop",
        "http",
        "library:http",
        "bare-uvloop",
        loop="uvloop",
    ),
    Subject("express-bare", "bare Express", "http", "express:bare", runtime="node"),
    Subject(
        "express",
        "Express + express-session + connect-redis",
        "http",
        "express:session",
        "express-bare",
        "node",
    ),
    *_peer("starlette", "Starlette", "starsessions", "starlette_app"),
    *_peer("starlette", "Starlette", "starsessions", "starlette_app", "uvloop"),
    *_peer("aiohttp", "aiohttp", "aiohttp-session", "aiohttp_app"),
    *_peer("aiohttp", "aiohttp", "aiohttp-session", "aiohttp_app", "uvloop"),
    *_peer("flask", "Flask", "Flask-Session", "flask_app"),
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
    Subject("node-sio-bare", "bare socket.io", "socketio", "express:socketBare", runtime="node"),
    Subject(
        "node-sio",
        "socket.io + express-session + connect-redis",
        "socketio",
        "express:socketSession",
        "node-sio-bare",
        "node",
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
    *(Row(f"http-cookieless-{n}", "http", "cookieless", n, "80B", n == 32) for n in (1, 32, 128)),
    *(Row(f"http-untouched-{n}-80B", "http", "untouched", n, "80B", n == 32) for n in (1, 32, 128)),
    *(
        Row(f"{action}-{connections}-80B", "socketio", action, connections, "80B")
        for action in ("connect", "event-read", "event-write")
        for connections in (1, 64)
    ),
)


def subject(name: str) -> Subject:
    """Return the subject of that name."""
    return next(subject for subject in SUBJECTS if subject.name == name)


def baseline(cell: Cell) -> Cell | None:
    """Return the bare framework's cell in the same row; None for itself."""
    base = cell.subject.base
    return Cell(cell.row, subject(base)) if base else None


def select(only: str, *, peers: bool = True) -> list[Cell]:
    """Return the cells whose label matches, each with its baseline.

    A cell without its bare framework would have nothing to be added to,
    so the baseline comes along unasked. Without ``peers`` only those
    that need no installation are there.

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
        everyone = peers and row.peers
        family = [
            Cell(row, subject)
            for subject in SUBJECTS
            if subject.family == row.family and (everyone or not subject.needs)
        ]
        chosen = [cell for cell in family if pattern.search(cell.label)]
        wanted = {*chosen, *map(baseline, chosen)}
        cells += [cell for cell in family if cell in wanted]
    if not cells:
        raise ValueError(f"--only {only!r} matches no row")
    return cells
