"""Mirror images and quarter turns."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from gradloom import functional as gl
from gradloom.data.augment.base import uniform
from gradloom.data.augment.geometry import Geometric, Points, Size
from gradloom.options import number_where, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor

Chance = Annotated[float, number_where(lambda p: 0 <= p <= 1, "lies in [0, 1]", "Usual is 0.5.")]


@dataclass(frozen=True)
class Flip(Geometric):
    """The image mirrored, or not.

    Args:
        axis: "horizontal" changes left and right, "vertical" top and bottom.
        chance: how probable that is.
    """

    axis: Annotated[str, words("horizontal", "vertical")] = "horizontal"
    chance: Chance = 0.5

    exact: ClassVar[bool] = True

    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """From the other side."""
        flipped = uniform(keys, 1)[0] < self.chance
        height, width = size
        if self.axis == "vertical":
            return replace(points, rows=gl.where(flipped, height - 1.0 - points.rows, points.rows))
        return replace(points, columns=gl.where(flipped, width - 1.0 - points.columns, points.columns))


@dataclass(frozen=True)
class QuarterTurns(Geometric):
    """The image turned by 0, 90, 180 or 270 degrees, each equally probable.

    Images that are not square are turned by 0 or 180 degrees, for in a batch all have one shape.
    """

    exact: ClassVar[bool] = True

    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """From where the turn brought it."""
        height, width = size
        turns = gl.floor(uniform(keys, 1, 0, 4)[0])
        rows, columns = points.rows, points.columns
        if height == width:
            across = gl.logical_or(turns == 1.0, turns == 3.0)
            rows, columns = gl.where(across, columns, rows), gl.where(across, height - 1.0 - rows, columns)
        half = turns >= 2.0
        rows, columns = (gl.where(half, n - 1.0 - places, places) for n, places in ((height, rows), (width, columns)))
        return replace(points, rows=rows, columns=columns)
