"""Cutout: a square of the image that says nothing."""

from __future__ import annotations

from typing import Annotated

from gradloom import functional as gl
from gradloom.data.augment.base import Recolouring, uniform
from gradloom.options import number, number_where
from gradloom.records import dataclass
from gradloom.tensor import Tensor

Part = Annotated[float, number_where(lambda x: 0 <= x <= 1, "lies in [0, 1]", "Use a share of the side, e.g. 0.5.")]


@dataclass(frozen=True)
class Cutout(Recolouring):
    """One value in a square about a random pixel; the square may reach over the border.  Masks stay as they are.

    Args:
        side: of the square, as a share of the image's shorter one (the paper: 16 of CIFAR-10's 32 pixels).
        value: what stands there.

    Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout" (2017).
    """

    side: Part = 0.5
    value: Annotated[float, number] = 0.0

    def recolour(self, images: Tensor, keys: Tensor) -> Tensor:
        """The value in the square, x elsewhere."""
        sizes = images.shape[1:3]
        side = round(self.side * min(sizes))
        rows, columns = (_covered(u, n, side) for u, n in zip(uniform(keys, 2), sizes))
        covered = gl.logical_and(rows[:, :, None, None], columns[:, None, :, None])
        return gl.where(covered, gl.full((), self.value, images.dtype), images)


def _covered(unit: Tensor, count: int, side: int) -> Tensor:
    """Which of ``count`` places lie in the square along one axis, shape (n, count)."""
    first = gl.floor(unit[:, :, 0] * count) - side // 2
    places = gl.arange(count).astype("float32")
    return gl.logical_and(places >= first, places < first + side)
