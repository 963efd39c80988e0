"""The figures, drawn: SVG without a library.

Every scale is logarithmic, but for shares. The colours are of middle
brightness and there is no background, so that the page's may be light
or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from .figures import Figure, shown

TEXT, GRID = "#808891", "#80889140"
COLOURS = ("#3b8ad8", "#d9822b", "#3a9d6e", "#b0629f")
FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 30, 34, 46

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One scale: what is on it, from where to where.

    Attributes:
        label: with the unit.
        low, high: its ends.
        ticks: the values that are marked.
        log: whether the scale is logarithmic.
        name: turns a tick into its text.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = True
    name: Callable[[float], str] = lambda value: f"{value:,.10g}"

    @classmethod
    def of(cls, label: str, values: Sequence[float]) -> Axis:
        """Return a logarithmic axis of whole decades around some values."""
        low = math.floor(math.log10(min(values)) + 1e-9)
        high = max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))
        return cls(label, 10.0**low, 10.0**high, [10.0**power for power in range(low, high + 1)])

    def at(self, value: float) -> float:
        """Return where a value is: from 0 to 1."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return math.log(value / self.low) / math.log(self.high / self.low)


@dataclass
class Panel:
    """One plot, at a place of the picture."""

    title: str
    x: Axis
    y: Axis
    left: float
    top: float
    width: float
    height: float
    legend: float = 8  # how far to the right the names of the lines are
    parts: list[str] = field(default_factory=list)
    _lines: int = 0

    def __post_init__(self) -> None:
        middle = self.left + self.width / 2
        self._write(middle, self.top - 14, self.title, 'text-anchor="middle" font-weight="600"')
        below = self.top + self.height
        for tick in self.x.ticks:
            x, _ = self._place((tick, self.y.low))
            self.parts.append(_line(x, self.top, x, below, GRID))
            self._write(x, below + 17, self.x.name(tick), 'text-anchor="middle"')
        for tick in self.y.ticks:
            _, y = self._place((self.x.low, tick))
            self.parts.append(_line(self.left, y, self.left + self.width, y, GRID))
            self._write(self.left - 7, y + 4, self.y.name(tick), 'text-anchor="end"')
        self._write(middle, below + 36, self.x.label, 'text-anchor="middle"')
        x, y = self.left - 50, self.top + self.height / 2
        turned = f'text-anchor="middle" transform="rotate(-90 {x:g} {y:g})"'
        self._write(x, y, self.y.label, turned)

    def line(self, name: str, points: Sequence[Point], *, dots: bool = False) -> None:
        """Draw a line, and name it below those before."""
        colour = COLOURS[self._lines % len(COLOURS)]
        places = [self._place(point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        for x, y in places if dots else ():
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        y = self.top + 16 + 18 * self._lines
        x = self.left + self.legend
        self.parts.append(_line(x, y - 4, x + 18, y - 4, colour, "2.5"))
        self._write(x + 24, y, name)
        self._lines += 1

    def rule(self, name: str, points: Sequence[Point], *, upright: bool = False) -> None:
        """Draw a dashed line that is not a measurement, named at its end or along it."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self._place, points))
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{TEXT}" stroke-dasharray="4 4"/>'
        )
        x, y = self._place(points[-1])
        turned = f'transform="rotate(-90 {x - 5:.1f} {y:.1f})"' if upright else ""
        x, y = (x - 5, y) if upright else (x - 7, y + 15)
        self._write(x, y, name, f'text-anchor="end" {turned}')

    def _place(self, point: Point) -> Point:
        x, y = self.x.at(point[0]), self.y.at(point[1])
        return self.left + self.width * x, self.top + self.height * (1 - y)

    def _write(self, x: float, y: float, text: str, more: str = "") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>')


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: str = "1") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _picture(title: str, width: float, height: float, panels: Sequence[Panel]) -> str:
    parts = "\n".join(part for panel in panels for part in panel.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        f' width="{width:g}" height="{height:g}" role="img">\n<title>{escape(title)}</title>\n'
        f'<g {FONT} fill="{TEXT}">\n{parts}\n</g>\n</svg>\n'
    )


# -- the pictures ---------------------------------------------------------------

_ENDS = (
    ("ends/one/told/p50", "the client hears why"),
    ("ends/one/p50", "the client has closed"),
    ("ends/guide/p50", "the same with a timer of 30 s per socket"),
)


def ends(figures: Sequence[Figure]) -> str | None:
    """Draw how many ends were done within which time; None if none was measured."""
    known = {figure.name: figure for figure in figures}
    some = [(known[name].samples, title) for name, title in _ENDS if name in known]
    if not some:
        return None
    x = Axis.of("time since destroy() in another process, ms", [v for vs, _ in some for v in vs])
    y = Axis("share of ends", 0, 1, [0, 0.25, 0.5, 0.75, 1], log=False, name=lambda v: f"{v:.0%}")
    title = "From destroy() to the closed socket"
    panel = Panel(title, x, y, _LEFT + 4, _TOP, 640, 300, 210)
    for samples, name in some:
        ordered = sorted(samples)
        steps = [(value, (rank + 1) / len(ordered)) for rank, value in enumerate(ordered)]
        panel.line(name, [(ordered[0], 0), *steps])
    for name, share in (("ends/one/p50", 0.5), ("ends/one/p99", 0.99)):
        figure = known.get(name)
        if figure is not None and figure.bound is not None:
            said = f"bound of p{share * 100:.0f}: {shown(figure.bound)} ms"
            panel.rule(said, [(figure.bound, 0), (figure.bound, share)], upright=True)
    return _picture(title, 640 + _LEFT + _RIGHT + 16, 300 + _TOP + _BOTTOM, [panel])


_GROWTH = (
    (
        "CPU of a load, of a load and a save",
        "sessions in the store",
        (("load", "load, read a key"), ("change", "load, change a key, save")),
    ),
    (
        "The same with more keys in the session",
        "keys in the session",
        (("read-key", "load, read one key"), ("change-key", "load, change one key, save")),
    ),
    ("CPU of one reload", "sessions with a connection", (("reload", "one reload"),)),
    (
        "From destroy() to the other process's closing",
        "connections in the other process",
        (("end-one", "one is ended, p50"), ("end-all", "all are ended, the last")),
    ),
)


def growth(figures: Sequence[Figure]) -> str | None:
    """Draw cost by size, beside what growing in proportion would be."""
    width, height, panels = 300.0, 230.0, list[Panel]()
    for title, label, series in _GROWTH:
        lines = [(name, *_series(figures, f"growth/{key}/")) for key, name in series]
        lines = [line for line in lines if line[2]]
        if not lines:
            continue
        values = [value for *_, points in lines for _, value in points]
        sizes = [size for size, _ in lines[0][2]]
        row, column = divmod(len(panels), 2)
        # A decade more than needed: room for the names of the lines.
        y = Axis.of(lines[0][1], [*values, max(values) * 8])
        if sizes[0] in (3, 30):
            x = Axis(label, sizes[0], sizes[-1], sizes)
        else:
            x = Axis.of(label, sizes)
        left = _LEFT + column * (width + _LEFT + _RIGHT)
        panel = Panel(title, x, y, left, _TOP + row * (height + _TOP + _BOTTOM), width, height)
        size, value = lines[-1][2][0]
        most = min(sizes[-1], size * y.high / 8 / value)  # below the names
        panel.rule("linear", [(size, value), (most, value * most / size)])
        for name, _, points in lines:
            panel.line(name, points, dots=True)
        panels.append(panel)
    if not panels:
        return None
    rows = (len(panels) + 1) // 2
    whole = 2 * (width + _LEFT + _RIGHT), rows * (height + _TOP + _BOTTOM)
    return _picture("What grows, and how", *whole, panels)


def _series(figures: Sequence[Figure], prefix: str) -> tuple[str, list[Point]]:
    """Return the unit and the cost at each size."""
    found = [
        (figure, figure.name.removeprefix(prefix))
        for figure in figures
        if figure.name.startswith(prefix)
    ]
    sized = [(figure, int(size)) for figure, size in found if size.isdigit()]
    unit = sized[0][0].unit if sized else ""
    return unit, [(size, max(figure.value, 1e-3)) for figure, size in sized]


def write(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write the pictures of what was measured; return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, draw in (("live-ends.svg", ends), ("live-growth.svg", growth)):
        picture = draw(figures)
        if picture is not None:
            (folder / name).write_text(picture)
            written.append(folder / name)
    return written
