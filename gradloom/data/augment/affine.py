"""Rotation, scale and shear about the middle of the image; straight lines stay straight."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Annotated

from gradloom import functional as gl
from gradloom.data.augment.base import uniform
from gradloom.data.augment.geometry import Moving, Points, Size
from gradloom.options import fraction, number_where
from gradloom.records import dataclass
from gradloom.tensor import Tensor

Turn = Annotated[float, number_where(lambda x: 0 <= x <= 180, "lies in [0, 180]", "Use degrees, such as 10.")]
Slant = Annotated[float, number_where(lambda x: 0 <= x < 90, "lies in [0, 90)", "Use degrees, such as 10.")]
Change = Annotated[float, fraction]


class _Linear(Moving):
    """A point goes to the image of its distance from the middle under a 2 by 2 matrix."""

    @abstractmethod
    def linear(self, u: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Where a distance from the middle comes from.

        Args:
            u: uniform in [-1, 1), one an example, shape (n, 1, 1).
            down: the distance along columns.
            right: the distance along rows.
        """

    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """From its place before the change."""
        middle, centre = ((n - 1) / 2 for n in size)
        down, right = self.linear(uniform(keys, 1, -1, 1)[0], points.rows - middle, points.columns - centre)
        return replace(points, rows=down + middle, columns=right + centre)


@dataclass(frozen=True)
class Rotate(_Linear):
    """The image turned about its middle.

    Args:
        degrees: how far at most, in either direction.
    """

    degrees: Turn = 15.0

    def linear(self, u: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Turned back: (y cos α - x sin α, y sin α + x cos α)."""
        angle = u * math.radians(self.degrees)
        c, s = gl.cos(angle), gl.sin(angle)
        return down * c - right * s, down * s + right * c


@dataclass(frozen=True)
class Scale(_Linear):
    """The image made larger or smaller about its middle.

    Args:
        by: how much at most; 0.1 for factors from 0.9 to 1.1.
    """

    by: Change = 0.1

    def linear(self, u: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Divided by the factor."""
        factor = 1.0 / (u * self.by + 1.0)
        return down * factor, right * factor


@dataclass(frozen=True)
class Shear(_Linear):
    """The image slanted: rows slide over each other.

    Args:
        degrees: the slant of what was upright, at most, in either direction.
    """

    degrees: Slant = 10.0

    def linear(self, u: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """(y, x + y tan α)."""
        angle = u * math.radians(self.degrees)
        return down, right + down * (gl.sin(angle) / gl.cos(angle))
