"""Plots with two axes as SVG: lines, points, bars and images over numbers, in light and dark, in one element."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import replace

from gradloom.drawing.svg import clean
from gradloom.records import dataclass

WIDTH, HEIGHT = 440.0, 270.0
"""So narrow that letters stay large enough to read where a phone shrinks the picture."""
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 54.0, 12.0, 12.0, 42.0, 17.0
_LETTER = 6.4
_TICKS = 5
_MOST_DECADES = 6
_MOST_LETTERS = 14
_LEAST, _MOST = 1e-150, 1e150
"""The sizes that an axis can have, so that neither their ratio nor their difference leaves the range of numbers."""

COLOURS = ("one", "two", "three", "four", "five", "six", "seven")
_LIGHT = ["#2563eb", "#c2410c", "#15803d", "#9333ea", "#b45309", "#0e7490", "#be185d"]
_DARK = ["#7aa5f8", "#fb923c", "#4ade80", "#c79bfa", "#fbbf24", "#38c6e0", "#f472b6"]


def _variables(paints: Sequence[str]) -> str:
    return " ".join(f"--{name}: {paint};" for name, paint in zip(COLOURS, paints))


STYLE = f"""
.plot {{ color-scheme: light dark; --paper: #ffffff; --ink: #1d2330; --faint: #5d6473; --edge: #e1e5ee; --mark: #69707f;
  {_variables(_LIGHT)} }}
@media (prefers-color-scheme: dark) {{ .plot {{ --paper: #14171e; --ink: #e8ebf2; --faint: #98a1b3; --edge: #2c3340;
  --mark: #98a1b3; {_variables(_DARK)} }} }}
svg.plot {{ background: var(--paper); font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  max-width: 100%; height: auto; }}
.plot text {{ fill: var(--ink); }} .plot .faint {{ fill: var(--faint); }} .plot .grid {{ stroke: var(--edge); }}
.plot .line {{ fill: none; stroke-width: 2; stroke-linejoin: round; }} .plot .ring {{ stroke: var(--paper); }}
.plot .rule {{ stroke: var(--mark); stroke-width: 1.3; stroke-dasharray: 5 4; }}
.plot image {{ image-rendering: pixelated; }}
"""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Points joined by a line.

    Attributes:
        points: places.
        name: in the legend; none if empty.
        colour: one of ``COLOURS``.
    """

    points: Sequence[Pair]
    name: str = ""
    colour: str = "one"


@dataclass(frozen=True)
class Points:
    """Dots, with a line from low to high through each where there are errors.

    Attributes:
        points: places.
        name: in the legend; none if empty.
        colour: one of ``COLOURS``.
        ranges: for each the lowest and the highest y.
        rim: whether dots have a rim in the colour of the paper, so that they stand out on an image.
    """

    points: Sequence[Pair]
    name: str = ""
    colour: str = "one"
    ranges: Sequence[Pair] = ()
    rim: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars from 0 up: each from x0 to x1, of a height."""

    bars: Sequence[tuple[float, float, float]]
    name: str = ""
    colour: str = "one"


@dataclass(frozen=True)
class Rule:
    """A dashed line across: upright at x, level at y, or from one point to another."""

    start: tuple[float | None, float | None]
    end: tuple[float | None, float | None]
    name: str = ""


@dataclass(frozen=True)
class Raster:
    """A PNG image behind everything, from corner to corner."""

    png: bytes
    left: float
    right: float
    bottom: float
    top: float


Mark = Line | Points | Bars | Rule | Raster


@dataclass(frozen=True)
class Axis:
    """From values to places on the paper.

    Attributes:
        low, high: the ends of the values.
        start, end: their places.
        is_log: whether it is logarithmic.
        is_whole: whether it counts, so that all ticks are whole numbers.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_whole: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; what has none lies at the low end."""
        at = value if self.shows(value) else self.low
        low, high, at = (self._scale(v) for v in (self.low, self.high, at))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.is_log else value

    def shows(self, value: float) -> bool:
        """Whether a value has a place."""
        return _is_shown(value, self.is_log)

    def ticks(self) -> list[float]:
        """Round values, a few."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = max(1, -(-(last - first) // _MOST_DECADES))
            powers = [10.0**k for k in range(first, last + 1, step)]
            if len(powers) > 1:
                return powers
        raw = max((self.high - self.low) / _TICKS, 1.0 if self.is_whole else 0.0)
        unit = 10.0 ** math.floor(math.log10(raw))
        steps = (m * unit for m in (1, 2, 2.5, 5, 10) if not self.is_whole or (m * unit).is_integer())
        step = next(step for step in steps if step >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1) if self.shows(k * step)]


def _is_shown(value: float, is_log: bool) -> bool:
    """Whether a value has a place on an axis; NaN has none."""
    return (_LEAST if is_log else -_MOST) <= value <= _MOST


@dataclass(frozen=True)
class Plot:
    """What is drawn; values that are not finite or beyond 10^150 (or, on a logarithmic axis, not from 10^-150) are left
    out.

    Attributes:
        about: what can be seen, for those who do not see it.
        x: what the horizontal axis counts.
        y: what the vertical axis counts.
        marks: what is drawn, the last on top.
        x_range: the ends of the axis; found from the marks if None.
        y_range: likewise.
        log_y: whether the vertical axis is logarithmic.
        log_x: whether the horizontal axis is.
        labels: what stands at 0, 1, 2, ... on the horizontal axis, in place of numbers.
    """

    about: str
    x: str
    y: str
    marks: Sequence[Mark]
    x_range: Pair | None = None
    y_range: Pair | None = None
    log_y: bool = False
    log_x: bool = False
    labels: Sequence[str] = ()

    def to_svg(self, *, style: bool = True) -> str:
        """The plot as an ``<svg>`` element.

        Args:
            style: whether the style stands inside, as it must where the page has none.
        """
        legend = _legend(self.marks)
        rows = 1 + max((row for row, _, _ in legend), default=-1)
        top = _TOP + _LINE * (rows + (1 if self.y else 0))
        xs, ys = _extent(self.marks)
        x = _axis(self.x_range, xs, _LEFT, WIDTH - _RIGHT, self.log_x)
        x = replace(x, is_whole=self.x_range is None and _are_whole(xs))
        y = _axis(self.y_range, ys, HEIGHT - _BOTTOM + _LINE * rows, top, self.log_y)
        height = HEIGHT + _LINE * rows
        return "\n".join(
            [
                f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{clean(self.about)}" '
                f'viewBox="0 0 {WIDTH:.0f} {height:.0f}" width="{WIDTH:.0f}" height="{height:.0f}">',
                *([f"<style>{STYLE}</style>"] if style else []),
                *_frame(x, y, self.x, self.y, top, self.labels),
                *(part for mark in self.marks for part in _drawn(mark, x, y)),
                *(_entry(*entry) for entry in legend),
                "</svg>",
            ]
        )


def _extent(marks: Sequence[Mark]) -> tuple[list[float], list[float]]:
    """All values that the axes must show."""
    xs: list[float] = []
    ys: list[float] = []
    for mark in marks:
        match mark:
            case Line() | Points():
                xs += [p[0] for p in mark.points]
                ys += [p[1] for p in mark.points]
                ys += [v for pair in (mark.ranges if isinstance(mark, Points) else ()) for v in pair]
            case Bars():
                xs += [v for left, right, _ in mark.bars for v in (left, right)]
                ys += [0.0, *(height for _, _, height in mark.bars)]
            case Raster():
                xs += [mark.left, mark.right]
                ys += [mark.bottom, mark.top]
            case Rule():
                xs += [v for v, _ in (mark.start, mark.end) if v is not None]
                ys += [v for _, v in (mark.start, mark.end) if v is not None]
    return xs, ys


def _are_whole(values: Sequence[float]) -> bool:
    """Whether an axis counts, as epochs do: there is nothing between whole numbers."""
    return all(float(v).is_integer() for v in values)


def _axis(asked: Pair | None, values: Sequence[float], start: float, end: float, is_log: bool) -> Axis:
    if asked is not None:
        return Axis(*asked, start, end, is_log)
    shown = [v for v in values if _is_shown(v, is_log)] or [1.0]
    low, high = min(shown), max(shown)
    if is_log:
        room = (high / low) ** 0.05 if high > low * (1 + 1e-9) else 3.0
        return Axis(low / room, high * room, start, end, True)
    room = 0.05 * (high - low) if high - low > _LEAST else 0.5 * max(abs(high), 1e-6)
    return Axis(low - room, high + room, start, end)


def _frame(x: Axis, y: Axis, x_name: str, y_name: str, top: float, labels: Sequence[str] = ()) -> list[str]:
    """Grid, ticks, and what the axes count."""
    parts = [f'<text class="faint" x="4" y="{top - 6:.1f}">{clean(y_name)}</text>']
    for value in y.ticks():
        at = y(value)
        parts.append(f'<line class="grid" x1="{x.start:.1f}" y1="{at:.1f}" x2="{x.end:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="faint" x="{x.start - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{tick(value)}</text>'
        )
    for value, text in _told(x, labels):
        parts.append(
            f'<text class="faint" x="{x(value):.1f}" y="{y.start + 16:.1f}" text-anchor="middle">{clean(text)}</text>'
        )
    parts.append(f'<text class="faint" x="{x.end:.1f}" y="{y.start + 34:.1f}" text-anchor="end">{clean(x_name)}</text>')
    return parts


def _told(x: Axis, labels: Sequence[str]) -> list[tuple[float, str]]:
    """What stands below the axis; of labels as many as there is room for."""
    if not labels:
        return [(value, tick(value)) for value in x.ticks()]
    room = int((x.end - x.start) / _LETTER / len(labels))
    wanted = min(max(map(len, labels)), _MOST_LETTERS) + 1
    step = -(-wanted // max(room, 1))
    most = max(room * step - 1, _MOST_LETTERS)
    cut = [name if len(name) <= most else "\u2026" + name[1 - most :] for name in labels]
    return [(float(i), cut[i]) for i in range(0, len(labels), step)]


def tick(value: float) -> str:
    """A round value in a few characters."""
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.6g}"


def _drawn(mark: Mark, x: Axis, y: Axis) -> list[str]:
    match mark:
        case Line():
            kept = [(x(a), y(b)) for a, b in mark.points if x.shows(a) and y.shows(b)]
            if len(kept) == 1:
                return _drawn(Points(mark.points, colour=mark.colour), x, y)
            route = " ".join(f"{a:.1f},{b:.1f}" for a, b in kept)
            return [f'<polyline class="line" style="stroke: var(--{mark.colour})" points="{route}"/>']
        case Points():
            return _dots(mark, x, y)
        case Bars():
            foot = y.start if y.is_log else y(0)
            return [
                f'<rect x="{x(left) + 1:.1f}" y="{min(y(height), foot):.1f}" width="{x(right) - x(left) - 2:.1f}" '
                f'height="{abs(y(height) - foot):.1f}" style="fill: var(--{mark.colour}); fill-opacity: 0.75"/>'
                for left, right, height in mark.bars
                if y.shows(height)
            ]
        case Rule():
            (a, b), (c, d) = mark.start, mark.end
            ends = (
                x.start if a is None else x(a),
                y.start if b is None else y(b),
                x.end if c is None else x(c),
                y.end if d is None else y(d),
            )
            return ['<line class="rule" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends)]
        case Raster():
            data = base64.b64encode(mark.png).decode()
            left, top = x(mark.left), y(mark.top)
            size = f'width="{x(mark.right) - left:.1f}" height="{y(mark.bottom) - top:.1f}"'
            href = f'href="data:image/png;base64,{data}"'
            return [f'<image x="{left:.1f}" y="{top:.1f}" {size} preserveAspectRatio="none" {href}/>']


def _dots(mark: Points, x: Axis, y: Axis) -> list[str]:
    parts = []
    many = len(mark.points) > 200
    rim = ' class="ring"' if mark.rim else f' fill-opacity="{0.45 if many else 0.85}"'
    for a, b in mark.points:
        if x.shows(a) and y.shows(b):
            place = f'cx="{x(a):.1f}" cy="{y(b):.1f}" r="{2.4 if many else 3.4}"'
            parts.append(f'<circle{rim} {place} style="fill: var(--{mark.colour})"/>')
    for (a, _), (low, high) in zip(mark.points, mark.ranges):
        ends = f'x1="{x(a):.1f}" y1="{y(low):.1f}" x2="{x(a):.1f}" y2="{y(high):.1f}"'
        parts.append(f'<line {ends} style="stroke: var(--{mark.colour}); stroke-width: 1.6"/>')
    return parts


def _legend(marks: Sequence[Mark]) -> list[tuple[int, float, Mark]]:
    """Row and place of each named mark."""
    found: list[tuple[int, float, Mark]] = []
    row, at = 0, _LEFT
    for mark in marks:
        if isinstance(mark, Raster) or not mark.name:
            continue
        width = 26 + _LETTER * len(mark.name) + 14
        if at > _LEFT and at + width > WIDTH:
            row, at = row + 1, _LEFT
        found.append((row, at, mark))
        at += width
    return found


def _entry(row: int, at: float, mark: Mark) -> str:
    """What a mark is called, behind a sample of it."""
    assert not isinstance(mark, Raster), "images are not in the legend"
    y = _TOP + _LINE * row
    if isinstance(mark, Rule):
        sample = f'<line class="rule" x1="{at:.1f}" y1="{y:.1f}" x2="{at + 18:.1f}" y2="{y:.1f}"/>'
    elif isinstance(mark, Line):
        ends = f'x1="{at:.1f}" y1="{y:.1f}" x2="{at + 18:.1f}" y2="{y:.1f}"'
        sample = f'<line {ends} style="stroke: var(--{mark.colour}); stroke-width: 2.4"/>'
    else:
        sample = f'<circle cx="{at + 9:.1f}" cy="{y:.1f}" r="4.5" style="fill: var(--{mark.colour})"/>'
    return f'{sample}<text x="{at + 24:.1f}" y="{y + 4:.1f}">{clean(mark.name)}</text>'
