"""From samples to figures: medians and spreads over paired rounds.

Rounds are compared one by one, so that a slow minute of the machine is
in both sides of a difference or a ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from .measure import Sample
from .plan import Cell, baseline, subject
from .run import Samples

OURS = {"http": "library", "socketio": "sio-event"}
"""Whom the others of a family are compared with."""


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
    """Return the CPU added to its bare framework in the same round."""
    bare = samples[baseline(cell) or cell]
    return Spread.of(
        ours.cpu_us - theirs.cpu_us for ours, theirs in zip(samples[cell], bare, strict=True)
    )


def ratio(samples: Samples, cell: Cell, other: Cell, figure: Callable[[Sample], float]) -> Spread:
    """Return a figure of a cell, divided by that of another in the same round."""
    return Spread.of(
        figure(a) / figure(b) for a, b in zip(samples[cell], samples[other], strict=True)
    )


def ours(cell: Cell) -> Cell:
    """Return this library's cell in the same row."""
    return Cell(cell.row, subject(OURS[cell.row.family]))


def middle(samples: Samples, cell: Cell, figure: Callable[[Sample], float]) -> Spread:
    """Return a figure's median over the rounds, and its extremes."""
    return Spread.of(map(figure, samples[cell]))
