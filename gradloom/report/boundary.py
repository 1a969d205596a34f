"""The decisions of a model of two features, as a map of the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradloom.drawing.plot import COLOURS, Plot, Points, Raster
from gradloom.records import dataclass
from gradloom.report.colours import rgb, sequential
from gradloom.report.svg import png_bytes

SIDE = 160
"""So many points along each axis."""
_MARGIN, _MOST_POINTS = 0.08, 600
_PAINTS = ["#2563eb", "#c2410c", "#15803d", "#9333ea", "#b45309", "#0e7490", "#be185d"]
_GREY = 140.0


@dataclass(frozen=True)
class Plane:
    """Two features, in the unit of the data.

    Attributes:
        names: of the features.
        points: of the examples, (n, 2).
        answer: from points (m, 2) to probabilities (m, classes) or numbers (m,).
    """

    names: tuple[str, str]
    points: np.ndarray
    answer: Callable[[np.ndarray], np.ndarray]


def decision_boundary(plane: Plane, truth: np.ndarray, classes: Sequence[str]) -> Plot:
    """What the model says all over the plane, with examples as they are.

    Each class has a colour, the stronger the surer the model is; where classes meet lies the boundary.  Numbers go from
    dark to light.

    Args:
        plane: the features.
        truth: classes or numbers of the examples, (n,).
        classes: names; none for numbers.
    """
    least, most = plane.points.min(0), plane.points.max(0)
    room = np.where(most > least, _MARGIN * (most - least), 1.0)
    (left, bottom), (right, top) = least - room, most + room
    x, y = np.linspace(left, right, SIDE), np.linspace(top, bottom, SIDE)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    found = plane.answer(grid)
    pixels = (_mixed(found) if classes else _shaded(found)).reshape(SIDE, SIDE, 3)
    raster = Raster(png_bytes(pixels), float(left), float(right), float(bottom), float(top))
    some = np.arange(0, len(truth), -(-len(truth) // _MOST_POINTS))
    dots = [raster, *_dots(plane.points[some], truth[some], classes)]
    about = f"What the model says for each {plane.names[0]} and {plane.names[1]}, with {len(some)} examples."
    edges = (float(left), float(right)), (float(bottom), float(top))
    return Plot(about, *plane.names, dots, *edges)


def _dots(points: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> list[Points]:
    if not classes:
        return [Points([(float(a), float(b)) for a, b in points], "examples", rim=True)]
    return [
        Points(
            [(float(a), float(b)) for a, b in points[truth == number]], name, COLOURS[number % len(COLOURS)], rim=True
        )
        for number, name in enumerate(classes)
    ]


def _mixed(probabilities: np.ndarray) -> np.ndarray:
    """The colour of the likeliest class, paler the less sure it is."""
    paints = np.array([rgb(p) for p in _PAINTS], np.float64)
    chosen, sure = probabilities.argmax(1), probabilities.max(1)
    least = 1 / probabilities.shape[1]
    strength = 0.18 + 0.42 * np.clip((sure - least) / (1 - least), 0, 1)[:, np.newaxis]
    # On middle grey, so that the map is neither glaring on dark paper nor dull on light.
    paper = 255 - 0.16 * _GREY
    return ((1 - strength) * paper + strength * paints[chosen % len(paints)]).round().astype(np.uint8)


def _shaded(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return sequential((values.reshape(-1) - low) / ((high - low) or 1.0))
