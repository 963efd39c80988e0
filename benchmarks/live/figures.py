"""What was found, as a table, a verdict and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    Attributes:
        name: to find it by; stable, such as ``ends/one/p99``.
        title: what it is, for a reader.
        unit: of the value and the samples.
        value: the figure itself.
        samples: what it was taken from, as far as there were several.
        bound: the most that the value may be; None: there is no bound.
        note: what one has to know to read it.
        scales: it is time that a processor takes, so it is judged as it
            would be on the machine where the bounds were set.
    """

    name: str
    title: str
    unit: str
    value: float
    samples: tuple[float, ...]
    bound: float | None = None
    note: str = ""
    scales: bool = False

    def scaled(self, factor: float) -> float:
        """Return the value that is judged, given how fast this machine is."""
        return self.value * factor if self.scales else self.value

    def holds(self, factor: float = 1.0) -> bool:
        """Whether the value is within the bound, if there is one."""
        return self.bound is None or self.scaled(factor) <= self.bound


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(value: float) -> str:
    """Return a number with three digits that mean something."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Sequence[Figure], factor: float = 1.0) -> str:
    """Return the Markdown: one table for each part."""
    lines: list[str] = []
    part = ""
    for figure in figures:
        if figure.name.split("/")[0] != part:
            part = figure.name.split("/")[0]
            lines += ["", f"**{part}**", "", "| | measured | bound | |", "|---|---:|---:|---|"]
        value = f"{shown(figure.value)} {figure.unit}"
        bound = ""
        if figure.bound is not None:
            value = f"**{value}**"
            if figure.scales and factor != 1.0:
                value += f", scaled {shown(figure.scaled(factor))}"
            over = "" if figure.holds(factor) else "OVER "
            bound = f"{over}<= {shown(figure.bound)} {figure.unit}"
        lines.append(f"| {figure.title} | {value} | {bound} | {figure.note} |")
    return "\n".join(lines[1:])


def verdict(figures: Sequence[Figure], factor: float = 1.0) -> tuple[bool, str]:
    """Judge the bounds; where none was measured, none holds."""
    bounded = [figure for figure in figures if figure.bound is not None]
    lines = ["Bounds:"]
    for one in bounded:
        lines.append(
            f"- {'ok' if one.holds(factor) else 'OVER'}: {one.name}: {shown(one.scaled(factor))}"
            f" {one.unit}, at most {shown(one.bound or 0)} {one.unit}"
        )
    return bool(bounded) and all(one.holds(factor) for one in bounded), "\n".join(lines)


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return every figure with its samples, for later comparison."""
    return [asdict(figure) for figure in figures]
