"""What a loss is: one number an example, then their weighted mean or sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.nn.pairs import example_weights
from gradloom.tensor import Tensor


@dataclass(frozen=True)
class Loss(ABC):
    """Base of losses.  For one of your own, write :meth:`per_example` in a frozen dataclass.

    Args:
        reduction: "mean" for Σ wᵢ lᵢ / Σ wᵢ, "sum" for Σ wᵢ lᵢ.
    """

    reduction: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        options.choice(type(self).__name__, "reduction", self.reduction, ("mean", "sum"))

    @abstractmethod
    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """The loss of each example, shape (n,)."""

    def __call__(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            outputs: what the model gives, examples along the first axis.
            targets: what it should give.
            weights: of the examples, shape (n,); 1 each by default.

        Returns:
            A scalar; 0 for a mean whose weights are all 0.

        Raises:
            ShapeError: outputs, targets and weights do not fit together.
        """
        values = self.per_example(outputs, targets)
        w = example_weights(type(self).__name__, weights, values.shape[0], values.dtype)
        total = fn.sum(w * values)
        if self.reduction == "sum":
            return total
        mass = fn.sum(w)
        return total / fn.where(mass > 0, mass, 1)


def mean_by_example(values: Tensor) -> Tensor:
    """The mean over all axes but the first."""
    return fn.mean(values, tuple(range(1, values.ndim)))


def sum_by_example(values: Tensor) -> Tensor:
    """The sum over all axes but the first."""
    return fn.sum(values, tuple(range(1, values.ndim)))
