"""Losses of one's own, as plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradloom.errors import OptionError, ShapeError
from gradloom.nn.losses.base import Loss, mean_by_example
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

Function = Callable[[Any, Any], Any]
"""From outputs and targets to a loss for each example, or for each position of it."""


@dataclass(frozen=True)
class Custom(Loss):
    """L(outputs, targets) for any function L (catalogue 74).

    Its mean over examples is the empirical risk (1/n) Σ L, with ``reduction="sum"`` their sum; with probabilities as
    weights Σ p L is the expected loss under them.  A model file cannot hold a function: pass ``loss=`` again to
    ``train.load``.

    Args:
        function: gives a loss for each example, shape (n,), or for each of its positions, shape (n, ...), whose mean
            is taken.  It is differentiated like everything else, so it uses gradloom's functions.

    Raises:
        OptionError: it is no function.
        ShapeError: it does not give one loss an example.
    """

    function: Function

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise OptionError(
                "Custom", rule="the loss is a function of outputs and targets", got=repr(self.function)[:100]
            )

    def config(self) -> dict[str, Any]:
        """The options for a description, which can hold the function's name alone."""
        return {"function": getattr(self.function, "__name__", "function"), "reduction": self.reduction}

    def per_example(self, outputs: Any, targets: Any) -> Tensor:
        """L of each example."""
        given = [
            x if isinstance(x, (dict, tuple)) else tensor(x) for x in (outputs, targets)
        ]  # nested ones as they are
        values = tensor(self.function(*given))
        if not values.shape:
            raise ShapeError(
                "Custom",
                rule="the function gives a loss for each example, of which the mean is taken here",
                got=str(values.type),
                fix="Leave out its last mean or sum.",
            )
        return mean_by_example(values)
