"""Losses for targets that are numbers.

Outputs and targets have one shape, (n,) or (n, outputs); the loss of an example is the mean over its outputs.
"""

from __future__ import annotations

from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.nn.losses.base import MappedLoss, check_map, mean_by_example, sum_by_example
from gradloom.nn.pairs import paired
from gradloom.records import dataclass
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class SquaredError(MappedLoss):
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

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """(y - ŷ)² of each example, scaled."""
        given, wanted = paired("SquaredError", outputs, targets)
        squares, within = fn.square(given - wanted), check_map("SquaredError", within, given.shape, given.dtype)
        if self.scale == "sum":
            return sum_by_example(squares if within is None else squares * within)
        return mean_by_example(squares, within) * (0.5 if self.scale == "half" else 1.0)


@dataclass(frozen=True)
class AbsoluteError(MappedLoss):
    """|y - ŷ|; outliers pull less than on squares."""

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """|y - ŷ| of each example."""
        given, wanted = paired("AbsoluteError", outputs, targets)
        within = check_map("AbsoluteError", within, given.shape, given.dtype)
        return mean_by_example(fn.abs(given - wanted), within)


@dataclass(frozen=True)
class Huber(MappedLoss):
    """½ e² for errors |e| up to ``delta``, δ(|e| - ½ δ) beyond: a parabola that goes on as its tangents.

    Source: Huber (1964).
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        options.positive("Huber", "delta", self.delta)

    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """The Huber function of each example's error."""
        given, wanted = paired("Huber", outputs, targets)
        error = fn.abs(given - wanted)
        inner = fn.minimum(error, self.delta)  # both branches in one: ½ i² + δ(|e| - i)
        values = 0.5 * fn.square(inner) + self.delta * (error - inner)
        return mean_by_example(values, check_map("Huber", within, given.shape, given.dtype))
