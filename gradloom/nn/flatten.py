"""From images to vectors."""

from __future__ import annotations

import math

from gradloom.errors import ShapeError
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Flatten(Module):
    """(n, a, b, c) to (n, a·b·c): all axes but the first become one, the last axis fastest."""

    def forward(self, x: Tensor) -> Tensor:
        """x with two axes."""
        if not x.shape:
            raise ShapeError("Flatten", rule="the input needs an axis of examples", got=str(x.type))
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))
