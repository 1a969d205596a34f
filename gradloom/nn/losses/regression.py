"""Losses for targets that are numbers.

Outputs and targets have one shape, (n,) or (n, outputs); the loss of an example is the mean over its outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.nn.losses.base import Loss, mean_by_example, sum_by_example
from gradloom.nn.pairs import paired
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class SquaredError(Loss):
    """(y - ŷ)², in the three scalings that are in use.

    Args:
        scale: "mean": (1/n) Σ (y - ŷ)², the mean squared error; "half": (1/2n) Σ (y - ŷ)², whose derivative has no
            factor 2; "sum": ‖Y - Ŷ‖², all examples and outputs added up (this sets ``reduction`` to "sum").
    """

    scale: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if options.choice("SquaredError", "scale", self.scale, ("mean", "half", "sum")) == "sum":
            object.__setattr__(self, "reduction", "sum")

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """(y - ŷ)² of each example, scaled."""
        given, wanted = paired("SquaredError", outputs, targets)
        squares = fn.square(given - wanted)
        if self.scale == "sum":
            return sum_by_example(squares)
        return mean_by_example(squares) * (0.5 if self.scale == "half" else 1.0)


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """|y - ŷ|; outliers pull less than on squares."""

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """|y - ŷ| of each example."""
        given, wanted = paired("AbsoluteError", outputs, targets)
        return mean_by_example(fn.abs(given - wanted))


@dataclass(frozen=True)
class Huber(Loss):
    """½ e² for errors |e| up to ``delta``, δ(|e| - ½ δ) beyond: a parabola that goes on as its tangents.

    Source: Huber (1964).
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        options.positive("Huber", "delta", self.delta)

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """The Huber function of each example's error."""
        given, wanted = paired("Huber", outputs, targets)
        error = fn.abs(given - wanted)
        inner = fn.minimum(error, self.delta)  # both branches in one: ½ i² + δ(|e| - i)
        return mean_by_example(0.5 * fn.square(inner) + self.delta * (error - inner))
