"""Elastic distortion: the image on a rubber sheet that is pulled about at a few points."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np

from gradloom import functional as gl
from gradloom import random
from gradloom.data.augment.geometry import Moving, Points, Size
from gradloom.options import not_negative, whole_where
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor
from gradloom.transforms import vmap

Strength = Annotated[float, not_negative]
Count = Annotated[int, whole_where(lambda n: n >= 2, "is a whole number from 2", "Usual is 3.")]


@dataclass(frozen=True)
class Elastic(Moving):
    """Points of a coarse grid are moved at random, and all between them smoothly with them.

    Displacements at the grid's points are normal; those of pixels follow by bicubic interpolation (Catmull and Rom),
    beyond the grid as if its last points were repeated.  It is followed from pixels, so a geometric change that comes
    behind it in a chain reads the image again: put it last.

    Args:
        sd: standard deviation of the displacements, as a share of height and width.  The U-Net's 10 pixels are
            0.02 of its images.
        points: of the grid along either side; the outermost lie on the corners.

    Source: Ronneberger, Fischer and Brox, "U-Net" (2015); Simard, Steinkraus and Platt, "Best practices for
    convolutional neural networks" (2003) draw a displacement for every pixel and smooth these, which costs more.
    """

    sd: Strength = 0.02
    points: Count = 3

    needs_grid: ClassVar[bool] = True

    def source(self, points: Points, keys: Tensor, size: Size) -> Points:
        """From where the sheet was before."""
        count = self.points
        drawn = vmap(lambda key: random.normal(key, (2, count, count)))(keys)
        down = tensor(interpolation(size[0], count))
        right = tensor(np.repeat(interpolation(size[1], count).T, points.channels, axis=1))
        pulls = gl.matmul(drawn, right)  # (n, 2, count, w · c)
        by_row = gl.matmul(down, pulls[:, 0]) * (self.sd * size[0])
        by_column = gl.matmul(down, pulls[:, 1]) * (self.sd * size[1])
        return replace(points, rows=points.rows + by_row, columns=points.columns + by_column)


def interpolation(pixels: int, points: int) -> np.ndarray:
    """Catmull and Rom's interpolation from points to pixels between them as a matrix, shape (pixels, points).

    Between two points at a distance t from the first, with the two next to them, the weights are
    (-t + 2t² - t³, 2 - 5t² + 3t³, t + 4t² - 3t³, -t² + t³) / 2.
    """
    places = np.linspace(0, points - 1, pixels)
    first = np.minimum(places.astype(int), points - 2)
    t = places - first
    weights = np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]) / 2
    found = np.zeros((pixels, points))
    for offset, weight in zip(range(-1, 3), weights):
        np.add.at(found, (np.arange(pixels), np.clip(first + offset, 0, points - 1)), weight)
    return found.astype(np.float32)
