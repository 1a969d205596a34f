"""Curves and bars as SVG: one element that stands for itself, in light and dark, without anything from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradloom.drawing.svg import clean

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 44
_MOST_BARS = 60
_COLOURS = ("var(--a)", "var(--b)", "var(--c)", "var(--d)")

_STYLE = """
svg.chart { color-scheme: light dark; --paper: #ffffff; --ink: #1d2330; --faint: #69707f; --edge: #d5dae5;
  --a: #2f6fd6; --b: #c2410c; --c: #2f855a; --d: #8b5cb5; background: var(--paper);
  font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { svg.chart { --paper: #14171e; --ink: #e8ebf2; --faint: #98a1b3;
  --edge: #343c4a; --a: #6ea0f0; --b: #fb923c; --c: #5fc48d; --d: #b794e0; } }
svg.chart text { fill: var(--ink); } svg.chart .faint { fill: var(--faint); }
svg.chart .title { font-weight: 600; } svg.chart .grid { stroke: var(--edge); }
svg.chart .curve { fill: none; stroke-width: 1.8; } svg.chart .limit { stroke: var(--b); stroke-dasharray: 5 4; }
"""


@dataclass(frozen=True)
class Chart:
    """What is drawn; points that are not finite (or not positive on a logarithmic axis) are left out.

    Attributes:
        title: above it.
        x: what the horizontal axis counts.
        y: what the vertical axis counts.
        curves: points by the name of the curve.
        bars: heights by label, in place of curves.
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical axis is.
        limit: a value to mark by a dashed line: a height among bars, a place on the horizontal axis among curves.
    """

    title: str
    x: str
    y: str
    curves: Mapping[str, Points] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False
    limit: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        curves = {name: [[float(x), float(y)] for x, y in points] for name, points in self.curves.items()}
        bars = {name: float(value) for name, value in self.bars.items()}
        facts = {"title": self.title, "x": self.x, "y": self.y, "log_x": self.log_x, "log_y": self.log_y}
        return {**facts, "curves": curves, "bars": bars, "limit": self.limit}

    def to_svg(self) -> str:
        """The chart as an ``<svg>`` element."""
        return "\n".join(
            [
                f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{clean(self.title)}" '
                f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"><style>{_STYLE}</style>',
                f'<text class="title" x="{_LEFT}" y="17">{clean(self.title)}</text>',
                *(self._bars() if self.bars else self._curves()),
                f'<text class="faint" x="{WIDTH - _RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{clean(self.x)}</text>',
                "</svg>",
            ]
        )

    def _curves(self) -> list[str]:
        kept = {name: [p for p in points if self._shown(*p)] for name, points in self.curves.items()}
        all_points = [p for points in kept.values() for p in points]
        marked = [] if self.limit is None else [self.limit]
        across = _Axis.over([x for x, _ in all_points] + marked, self.log_x, _LEFT, WIDTH - _RIGHT)
        up = _Axis.over([y for _, y in all_points], self.log_y, HEIGHT - _BOTTOM, _TOP)
        parts = [*_grid(up, self.y), *_ticks(across)]
        if self.limit is not None:
            x = across(self.limit)
            parts.append(f'<line class="limit" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{HEIGHT - _BOTTOM}"/>')
        for i, (name, points) in enumerate(kept.items()):
            colour = _COLOURS[i % len(_COLOURS)]
            path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
            parts.append(f'<polyline class="curve" stroke="{colour}" points="{path}"/>')
            parts.append(
                f'<text x="{WIDTH - _RIGHT}" y="{_TOP + 14 * (i + 1)}" text-anchor="end" style="fill:{colour}">'
                f"{clean(name)}</text>"
            )
        return parts

    def _bars(self) -> list[str]:
        shown = dict(list(self.bars.items())[:_MOST_BARS])
        finite = [v for v in shown.values() if self._shown(1.0, v)]
        marked = [] if self.limit is None else [self.limit]
        up = _Axis.over([*finite, *marked, *([] if self.log_y else [0.0])], self.log_y, HEIGHT - _BOTTOM, _TOP)
        step = (WIDTH - _LEFT - _RIGHT) / max(len(shown), 1)
        parts = _grid(up, self.y)
        foot = HEIGHT - _BOTTOM
        for i, (name, value) in enumerate(shown.items()):
            x = _LEFT + (i + 0.12) * step
            if self._shown(1.0, value):
                top, bottom = sorted((up(value), foot if self.log_y else up(0.0)))
                parts.append(
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{0.76 * step:.1f}" height="{max(bottom - top, 0.5):.1f}" '
                    f'fill="var(--a)"><title>{clean(name)}: {value:.4g}</title></rect>'
                )
            if len(shown) <= 12:
                label = clean(name if len(name) <= 12 else "\u2026" + name[-11:])
                middle = x + 0.38 * step
                parts.append(
                    f'<text class="faint" x="{middle:.1f}" y="{foot + 15}" text-anchor="middle">{label}</text>'
                )
        if self.limit is not None:
            y = up(self.limit)
            parts.append(f'<line class="limit" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        return parts

    def _shown(self, x: float, y: float) -> bool:
        is_known = math.isfinite(x) and math.isfinite(y)
        return is_known and (x > 0 or not self.log_x) and (y > 0 or not self.log_y)


@dataclass(frozen=True)
class _Axis:
    """From values to places on the paper."""

    low: float
    high: float
    scale: Callable[[float], float]
    start: float
    end: float
    is_log: bool

    @classmethod
    def over(cls, values: Sequence[float], is_log: bool, start: float, end: float) -> _Axis:
        scale = math.log10 if is_log else float
        places = [scale(v) for v in values] or [0.0]
        low, high = min(places), max(places)
        room = 0.04 * (high - low) or 0.5
        return cls(low - room, high + room, scale, start, end, is_log)

    def __call__(self, value: float) -> float:
        return self.start + (self.scale(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Some round values."""
        if self.is_log:
            first, last = math.ceil(self.low), math.floor(self.high)
            step = max(1, (last - first) // 4)
            return [10.0**k for k in range(first, last + 1, step)]
        raw = (self.high - self.low) / 4
        unit = 10 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
        count = math.floor(self.high / step) - math.ceil(self.low / step)
        return [(math.ceil(self.low / step) + i) * step for i in range(count + 1)]


def _grid(up: _Axis, name: str) -> list[str]:
    parts = [f'<text class="faint" x="4" y="{_TOP - 2}">{clean(name)}</text>']
    for value in up.ticks():
        y = up(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="faint" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    return parts


def _ticks(across: _Axis) -> list[str]:
    foot = HEIGHT - _BOTTOM + 15
    return [
        f'<text class="faint" x="{across(value):.1f}" y="{foot}" text-anchor="middle">{value:.3g}</text>'
        for value in across.ticks()
    ]
