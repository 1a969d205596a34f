"""What was measured as curves or bars by name: values that can be written as JSON, and drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from gradloom.drawing.plot import COLOURS, Bars, Line, Mark, Pair, Plot, Rule
from gradloom.records import dataclass

_MOST_BARS = 60
_WIDEST = 0.38


@dataclass(frozen=True)
class Chart:
    """Curves over an axis of numbers, or bars with labels.

    Attributes:
        title: what it shows.
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
    curves: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False
    limit: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON."""
        curves = {name: [[float(x), float(y)] for x, y in points] for name, points in self.curves.items()}
        bars = {name: float(value) for name, value in self.bars.items()}
        facts = {"title": self.title, "x": self.x, "y": self.y, "log_x": self.log_x, "log_y": self.log_y}
        return finite({**facts, "curves": curves, "bars": bars, "limit": self.limit})

    def to_svg(self) -> str:
        """The chart as an ``<svg>`` element."""
        above = f"{self.title}: {self.y}" if self.y else self.title
        labels = tuple(self.bars)[:_MOST_BARS]
        marks = self._bars(labels) if labels else self._curves()
        plot = Plot(self.title, self.x, above, marks, log_x=self.log_x, log_y=self.log_y, labels=labels)
        return plot.to_svg()

    def _bars(self, labels: Sequence[str]) -> list[Mark]:
        heights = [(i - _WIDEST, i + _WIDEST, float(self.bars[name])) for i, name in enumerate(labels)]
        return [Bars(heights), *([] if self.limit is None else [Rule((None, self.limit), (None, self.limit))])]

    def _curves(self) -> list[Mark]:
        alone = len(self.curves) == 1
        lines: list[Mark] = [
            Line(points, "" if alone else name, COLOURS[i % len(COLOURS)])
            for i, (name, points) in enumerate(self.curves.items())
        ]
        return [*lines, *([] if self.limit is None else [Rule((self.limit, None), (self.limit, None))])]


def finite(value: Any) -> Any:
    """The value with None in place of NaN and infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
