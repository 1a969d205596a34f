"""Shifts by whole pixels, with or without another size."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from gradloom import functional as gl
from gradloom.data.augment.base import uniform
from gradloom.data.augment.geometry import Moving, Points, Size
from gradloom.errors import ShapeError
from gradloom.options import number_where, optional, whole_where
from gradloom.records import dataclass
from gradloom.tensor import Tensor

Pixels = Annotated[int, whole_where(lambda n: n >= 0, "is a whole number from 0", "Use a number of pixels, e.g. 4.")]
Side = Annotated[
    int | None, optional(whole_where(lambda n: n > 0, "is a whole number from 1", "Leave it out to keep the size."))
]
Part = Annotated[float, number_where(lambda x: 0 <= x <= 1, "lies in [0, 1]", "Use a share of the side, e.g. 0.1.")]


@dataclass(frozen=True)
class Crop(Moving):
    """A random part of the image with some pixels put around it.

    Args:
        padding: how many pixels are put around all four sides first.
        side: height and width of the part; None for those of the image.  A network whose size follows from its input
            must be built for the part's size.

    Raises:
        ShapeError: when applied: the part is larger than the image with its padding.
    """

    padding: Pixels = 4
    side: Side = None

    exact: ClassVar[bool] = True

    def size(self, size: Size) -> Size:
        """The part's size."""
        found = size if self.side is None else (self.side, self.side)
        if any(part > whole + 2 * self.padding for part, whole in zip(found, size)):
            raise ShapeError(
                "Crop",
                rule="the part must not be larger than the image with its padding",
                got=f"{found[0]} x {found[1]} of {size[0]} x {size[1]} with {self.padding} around",
                fix="Choose a smaller side, or a larger padding.",
            )
        return found

    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """From as far down and right as the part begins."""
        starts = zip(uniform(keys, 2), size, self.size(size))
        down, right = (_whole(u, n + 2 * self.padding - m + 1) - self.padding for u, n, m in starts)
        return replace(points, rows=points.rows + down, columns=points.columns + right)


@dataclass(frozen=True)
class Translate(Moving):
    """The image moved by whole pixels, up or down, and left or right.

    Args:
        by: how far at most, as a share of height and width, rounded to pixels.
    """

    by: Part = 0.1

    exact: ClassVar[bool] = True

    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """From as far away as the image is moved."""
        most = [round(self.by * n) for n in size]
        down, right = (_whole(u, 2 * m + 1) - m for u, m in zip(uniform(keys, 2), most))
        return replace(points, rows=points.rows + down, columns=points.columns + right)


def _whole(unit: Tensor, count: int) -> Tensor:
    """A whole number from 0 to ``count`` - 1 from one uniform in [0, 1), as a float; rounding may reach ``count``."""
    return gl.minimum(gl.floor(unit * count), count - 1.0)
