"""Multiplying by a constant."""

from __future__ import annotations

from gradloom import options
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Rescale(Module):
    """factor · x, with a factor that is not trained, for inputs in other units or logits that begin too large.

    Args:
        factor: any number.
    """

    def __init__(self, factor: float) -> None:
        self.factor = options.number("Rescale", "factor", factor)

    def forward(self, x: Tensor) -> Tensor:
        """factor · x."""
        return self.factor * x
