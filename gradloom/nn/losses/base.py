"""What a loss is: one number an example, then their weighted mean or sum.

A weight map, one weight for each position (pixel) of each example, says two things: how much an example counts, the
mean of its weights, and how its positions count beside each other.  So a map that is constant on every example is the
same as one weight an example, whatever the loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import field
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.equations import Described
from gradloom.errors import ShapeError
from gradloom.nn.pairs import example_weights, map_means
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class Loss(Described, ABC):
    """Base of losses.  For one of your own, write :meth:`per_example` in a frozen dataclass.

    Args:
        reduction: "mean" for Σ wᵢ lᵢ / Σ wᵢ, "sum" for Σ wᵢ lᵢ.
    """

    reduction: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        options.choice(type(self).__name__, "reduction", self.reduction, ("mean", "sum"))

    @property
    def kind(self) -> str:
        """What targets are: "numbers", "classes" (class indices or one-hot rows) or "binary" (from 0 to 1)."""
        return "numbers"

    @abstractmethod
    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """The loss of each example, shape (n,)."""

    def __call__(self, outputs: Any, targets: Any, weights: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            outputs: what the model gives, examples along the first axis.
            targets: what it should give.
            weights: of the examples, shape (n,); 1 each by default.  Losses of this package also take maps, one weight
                for each position, shape (n, ...).

        Returns:
            A scalar; 0 for a mean whose weights are all 0.

        Raises:
            ShapeError: outputs, targets and weights do not fit together.
        """
        values, w = self._weighed(outputs, targets, weights)
        total = fn.sum(w * values)
        return total if self.reduction == "sum" else total / _or_1(fn.sum(w))

    def _weighed(self, outputs: Any, targets: Any, weights: Any) -> tuple[Tensor, Tensor]:
        """The loss of each example and its weight."""
        values = self.per_example(outputs, targets)
        return values, example_weights(type(self).__name__, weights, values.shape[0], values.dtype)


@dataclass(frozen=True)
class MappedLoss(Loss):
    """Base of losses that take weight maps."""

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """The loss of each example, all its positions counting alike."""
        return self.by_position(outputs, targets, None)

    @abstractmethod
    def by_position(self, outputs: Any, targets: Any, within: Tensor | None) -> Tensor:
        """The loss of each example, shape (n,).

        Args:
            outputs: what the model gives.
            targets: what it should give.
            within: how the positions of each example count beside each other, with mean 1; None is 1 each.
        """

    def _weighed(self, outputs: Any, targets: Any, weights: Any) -> tuple[Tensor, Tensor]:
        if weights is None or tensor(weights).ndim < 2:
            return super()._weighed(outputs, targets, weights)
        found = tensor(weights)
        means = map_means(found)
        within = found / _or_1(means).reshape(-1, *[1] * (found.ndim - 1))
        values = self.by_position(outputs, targets, within)
        return values, means.astype(values.dtype)


def check_map(who: str, within: Tensor | None, positions: tuple[int, ...], dtype: Any) -> Tensor | None:
    """The weights of positions in the data type of the outputs.

    Raises:
        ShapeError: there is not one for each position.
    """
    if within is not None and within.shape != positions:
        raise ShapeError(
            who,
            rule="there must be one weight for each example, or one for each of its positions",
            got=f"weights of shape {within.shape} for positions {positions}",
            fix=f"Pass weights of shape {positions[:1]}{f' or {positions}' if len(positions) > 1 else ''}.",
        )
    return None if within is None else within.astype(dtype)


def mean_by_example(values: Tensor, within: Tensor | None = None) -> Tensor:
    """The mean over all axes but the first; 0 where no position counts."""
    axes = tuple(range(1, values.ndim))
    if within is None:
        return fn.mean(values, axes)
    return fn.sum(values * within, axes) / _or_1(fn.sum(within, axes))


def _or_1(x: Tensor) -> Tensor:
    """A divisor that is 1 where it would be 0, for a numerator that is 0 there."""
    return fn.where(x > 0, x, 1)


def sum_by_example(values: Tensor) -> Tensor:
    """The sum over all axes but the first."""
    return fn.sum(values, tuple(range(1, values.ndim)))
