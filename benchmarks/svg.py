"""Draws bar charts as SVG: readable on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import floor, log10

WIDTH, LABELS, RIGHT = 800, 250, 70
BAR, GAP, TOP = 13, 9, 66
TICKS = 6
STYLE = """
  .page { fill: #ffffff } text { fill: #1f2328; font: 12px system-ui, sans-serif }
  .title { font-size: 15px; font-weight: 600 } .ours { font-weight: 700 }
  .grid { stroke: #d0d7de } .whisker { stroke: #1f2328; stroke-opacity: 0.6 }
  .s0 { fill: #2f6fde } .s1 { fill: #e08a1e } .s2 { fill: #3a9d6a }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 }
    .grid { stroke: #30363d } .whisker { stroke: #e6edf3 }
    .s0 { fill: #5b95f5 } .s1 { fill: #f0a94a } .s2 { fill: #56b989 }
  }
"""


@dataclass(frozen=True)
class Bar:
    """A value, and how far it was spread."""

    value: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Group:
    """The bars of one subject, one for each series; None where there is none."""

    label: str
    ours: bool
    bars: list[Bar | None]


def step(highest: float) -> float:
    """Return a round distance between ticks: 1, 2 or 5 times a power of ten."""
    rough = max(highest, 1e-9) / TICKS
    power = 10.0 ** floor(log10(rough))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= rough)


def chart(title: str, axis: str, series: list[str], groups: list[Group]) -> str:
    """Return a chart of horizontal bars.

    Whiskers end where the axis does: an outlier must not shrink the
    bars. A value below zero is drawn as none, its number tells.
    """
    values = [bar.value for group in groups for bar in group.bars if bar]
    distance = step(max(values, default=1.0) * 1.15)
    end = distance * (floor(max(values, default=1.0) * 1.15 / distance) + 1)
    pixels = (WIDTH - LABELS - RIGHT) / end
    high = len(series) * BAR + GAP
    bottom = TOP + len(groups) * high
    body = [
        f'<rect class="page" width="{WIDTH}" height="{bottom + 48}"/>',
        f'<text class="title" x="12" y="24">{escape(title)}</text>',
        *_legend(series),
    ]
    for number in range(round(end / distance) + 1):
        x = LABELS + number * distance * pixels
        body.append(f'<path class="grid" d="M{x:.1f} {TOP - 4}V{bottom}"/>')
        tick = f"{number * distance:,.10g}"
        body.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick}</text>')
    middle = LABELS + (WIDTH - LABELS - RIGHT) / 2
    body.append(f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle">{escape(axis)}</text>')
    for number, group in enumerate(groups):
        body += _group(group, TOP + number * high, pixels, end)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 48}" '
        f'width="{WIDTH}" role="img" aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _legend(series: list[str]) -> Iterator[str]:
    x = 12.0
    for number, name in enumerate(series):
        yield f'<rect class="s{number}" x="{x:.0f}" y="37" width="12" height="12"/>'
        yield f'<text x="{x + 17:.0f}" y="47">{escape(name)}</text>'
        x += 40 + 6.6 * len(name)


def _group(group: Group, top: float, pixels: float, end: float) -> Iterator[str]:
    centre = top + len(group.bars) * BAR / 2 + 4
    kind = ' class="ours"' if group.ours else ""
    label = escape(group.label)
    yield f'<text{kind} x="{LABELS - 10}" y="{centre:.1f}" text-anchor="end">{label}</text>'
    for number, bar in enumerate(group.bars):
        if bar is None:
            continue
        y = top + number * BAR
        width = max(bar.value, 0) * pixels
        low, high = (min(max(v, 0), end) * pixels + LABELS for v in (bar.lowest, bar.highest))
        middle = y + (BAR - 2) / 2
        yield (
            f'<rect class="s{number}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR - 2}"/>'
        )
        yield f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}"/>'
        right = max(LABELS + width, high) + 5
        yield f'<text x="{right:.1f}" y="{y + BAR - 3}">{_number(bar.value)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"
