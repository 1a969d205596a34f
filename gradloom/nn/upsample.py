"""Making images larger without parameters."""

from __future__ import annotations

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import ShapeError
from gradloom.nn.geometry import Sizes, check_image, sizes, spread
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Upsample(Module):
    """(N, *spatial, C) to (N, *(factor · spatial), C).

    Args:
        factor: one whole number or one for each spatial axis.
        mode: "nearest" repeats every element; "linear" (in two dimensions bilinear) interpolates between the middles
            of the elements, and repeats the outermost beyond theirs ("align_corners=False" elsewhere).

    Raises:
        ShapeError: the input has another number of spatial axes.
    """

    def __init__(self, factor: Sizes = 2, *, mode: str = "nearest") -> None:
        self.factor = sizes("Upsample", "factor", factor)
        self.mode = options.choice("Upsample", "mode", mode, ("nearest", "linear"))

    def forward(self, x: Tensor) -> Tensor:
        """The larger image, axis after axis."""
        factors = spread(self.factor, check_image("Upsample", x.shape, x.type))
        if len(factors) != x.ndim - 2:
            rule = "factor has one number for each spatial axis"
            fix = "Use one number for all of them, or as many as the image has."
            raise ShapeError("Upsample", rule=rule, got=f"{self.factor} for {x.type}", fix=fix)
        for axis, factor in enumerate(factors, 1):
            if factor > 1:
                phases = [self._phase(x, axis, (i + 0.5) / factor - 0.5) for i in range(factor)]
                x = fn.stack(phases, axis + 1).reshape(*x.shape[:axis], factor * x.shape[axis], *x.shape[axis + 1 :])
        return x

    def _phase(self, x: Tensor, axis: int, shift: float) -> Tensor:
        """The value ``shift`` elements, less than one, from the middle of every element."""
        share = abs(shift)
        if self.mode == "nearest" or not share:
            return x
        n = x.shape[axis]
        ranges = [(1, n), (n - 1, n)] if shift > 0 else [(0, 1), (0, n - 1)]
        neighbours = [x[(slice(None),) * axis + (slice(*ends),)] for ends in ranges]
        return (1 - share) * x + share * fn.concatenate(neighbours, axis)
