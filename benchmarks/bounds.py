"""What may be spent, and the verdict on what was.

Bounds in microseconds were set on one machine, where a page of bare
Tornado took 120 us and an event of bare python-socketio 98 us, and a
lonely client of bare Tornado waited 116 us. A figure is scaled by what
these took in the same run before it is judged: processor time by
processor time, and waiting, which is mostly processes that wake each
other up, by waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import median

from .figures import added, ratio
from .plan import ROWS, Cell, Row, subject
from .run import Samples


@dataclass(frozen=True)
class Bound:
    """A limit of one kind on one cell.

    ``added``, ``p50`` and ``redis`` are microseconds at most: of server
    CPU beyond the bare framework, of waiting, of Redis's CPU.
    ``commands`` are at most so many for one operation. ``ratio`` is
    requests per second against ``peer``, at least.
    """

    kind: str
    row: str
    subject: str
    limit: float
    peer: str = ""


SCALES = {
    "http": ("http-read-32-80B", "bare", "cpu_us", 120.0),
    "socketio": ("event-write-64-80B", "sio-bare", "cpu_us", 98.0),
    "p50": ("http-read-1-80B", "bare", "p50_us", 116.0),
}
"""What microseconds of a family, or of waiting, are scaled by.

Row, subject, what of it, and how much that was there.
"""


def _against_peers() -> Iterator[Bound]:
    """Like with like: both on asyncio's own loop, or both on uvloop."""
    rows = ["http-write-32-80B", "http-write-128-80B"]
    rows += [f"http-{action}-{n}-4KB" for n in (32, 128) for action in ("read", "write")]
    for row in rows:
        for peer in ("starlette", "aiohttp", "flask"):
            yield Bound("ratio", row, "library", 1.0, peer)
        for peer in ("starlette-uvloop", "aiohttp-uvloop"):
            yield Bound("ratio", row, "library-uvloop", 1.0, peer)


def _against_express() -> Iterator[Bound]:
    for n, action in product((32, 128), ("read", "write")):
        yield Bound("ratio", f"http-{action}-{n}-80B", "library", 0.95, "express")
        yield Bound("ratio", f"http-{action}-{n}-80B", "library-uvloop", 1.05, "express")
        yield Bound("ratio", f"http-{action}-{n}-4KB", "library", 1.5, "express")
    for action in ("read", "write"):
        yield Bound("ratio", f"http-{action}-1-80B", "library", 1.5, "express")


BOUNDS = (
    Bound("added", "http-read-32-80B", "library", 25.0),
    Bound("added", "http-read-128-80B", "library", 25.0),
    Bound("added", "http-write-32-80B", "library", 40.0),
    Bound("added", "http-read-32-4KB", "library", 32.0),
    Bound("added", "http-write-32-4KB", "library", 50.0),
    Bound("added", "http-read-1-80B", "library", 115.0),
    Bound("p50", "http-read-1-80B", "library", 255.0),
    Bound("ratio", "http-read-1-80B", "library", 1.0, "hand"),
    Bound("added", "http-cookieless-32", "library", 3.0),
    # The heartbeat that a process sends now and then rounds to nothing.
    Bound("commands", "http-cookieless-32", "library", 0.005),
    *_against_express(),
    *_against_peers(),
    Bound("added", "event-write-64-80B", "sio-event", 55.0),
    Bound("added", "event-write-64-80B", "sio-interval", 30.0),
    Bound("added", "event-read-64-80B", "sio-event", 30.0),
    Bound("added", "event-read-64-80B", "sio-interval", 6.0),
    Bound("added", "connect-64-80B", "sio-event", 90.0),
    Bound("redis", "http-read-32-80B", "library", 10.0),
    Bound("redis", "http-write-32-80B", "library", 15.0),
)

NAMES = {
    "added": "CPU added to bare",
    "p50": "p50",
    "redis": "Redis CPU",
    "commands": "Redis commands",
    "ratio": "requests/s",
}


def _row(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def scale(samples: Samples, of: str) -> float | None:
    """Return by what microseconds of this run are multiplied; None: not measured."""
    row, name, what, reference = SCALES[of]
    taken = samples.get(Cell(_row(row), subject(name)))
    return reference / median(getattr(s, what) for s in taken) if taken else None


@dataclass(frozen=True)
class Judged:
    """A bound, and what was measured; None if it was not.

    ``scaled`` is what is judged: ``measured``, unless it is in
    microseconds. ``excused`` says why it could not be measured.
    """

    bound: Bound
    measured: float | None
    scaled: float | None
    excused: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; one that was not measured is not."""
        if self.scaled is None:
            return bool(self.excused)
        if self.bound.kind == "ratio":
            return self.scaled >= self.bound.limit
        return self.scaled <= self.bound.limit

    @property
    def word(self) -> str:
        """The verdict in a word."""
        if self.scaled is None:
            return "LEFT OUT" if self.excused else "MISSING"
        return "ok" if self.holds else "MISSED" if self.bound.kind == "ratio" else "OVER"


def judge(samples: Samples, bound: Bound, left_out: dict[str, str]) -> Judged:
    """Judge one bound."""
    cell = Cell(_row(bound.row), subject(bound.subject))
    peer = Cell(cell.row, subject(bound.peer or cell.subject.base))
    if cell not in samples or peer not in samples:
        away = {cell.subject.name, peer.subject.name} & left_out.keys()
        return Judged(bound, None, None, "; ".join(sorted({left_out[name] for name in away})))
    taken = samples[cell]
    match bound.kind:
        case "ratio":
            measured = ratio(samples, cell, peer, lambda s: s.per_second).median
        case "added":
            measured = added(samples, cell).median
        case "p50":
            measured = median(s.p50_us for s in taken)
        case "redis":
            measured = median(s.redis_us for s in taken)
        case _:
            measured = median(s.commands for s in taken)
    if bound.kind in ("ratio", "commands"):
        return Judged(bound, measured, measured)
    of = "p50" if bound.kind == "p50" else cell.row.family
    return Judged(bound, measured, measured * (scale(samples, of) or 1.0))


def verdict(samples: Samples, left_out: dict[str, str]) -> tuple[bool, str]:
    """Judge all bounds and return whether they hold, and a Markdown table."""
    judged = [judge(samples, bound, left_out) for bound in BOUNDS]
    lines = [
        "| | row | what | bound | measured | scaled |",
        "|---|---|---|---:|---:|---:|",
    ]
    for one in judged:
        bound = one.bound
        unit = "" if bound.kind in ("ratio", "commands") else " us"
        digits = 2 if not unit else 1
        what = f"{NAMES[bound.kind]}, {subject(bound.subject).title}"
        if bound.peer:
            what += f" : {subject(bound.peer).title}"
        sign = ">=" if bound.kind == "ratio" else "<="
        limit = f"{bound.limit:.0f} us" if unit else f"{bound.limit:.2f}"
        measured = one.excused
        if one.measured is not None:
            measured = f"{one.measured:.{digits}f}{unit}"
        scaled = f"{one.scaled:.{digits}f}{unit}" if unit and one.scaled is not None else ""
        values = (one.word, f"`{bound.row}`", what, f"{sign} {limit}", measured, scaled)
        lines.append("| " + " | ".join(values) + " |")
    return all(one.holds for one in judged), "\n".join(lines)


def scales(samples: Samples) -> str:
    """Tell what the microseconds were scaled by."""
    parts = []
    for of, (row, name, what, reference) in SCALES.items():
        factor = scale(samples, of)
        if factor is not None:
            waits = " waits" if what == "p50_us" else ""
            parts.append(
                f"{subject(name).title} on `{row}`{waits}: {reference / factor:.1f} us here, "
                f"{reference:.0f} us where the bounds were set, factor {factor:.2f}"
            )
    return "; ".join(parts) or "not scaled: the bare rows were not measured"
